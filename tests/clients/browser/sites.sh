# shellcheck shell=bash
# Sites that require the authentication certificate, for the scripts that drive a browser. To be sourced after lib.sh,
# in its directory of files. A browser's script leaves what it showed in the file `seen`, and the text of the page in
# `page`.

make_server_certificate() {
    local names=DNS:localhost,DNS:second.localhost,DNS:third.localhost
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out server-ca.pem -days 2 \
        -subj '/CN=Server CA' -addext keyUsage=critical,keyCertSign
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.pem -days 2 \
        -subj '/CN=localhost' -addext "subjectAltName=$names" -addext extendedKeyUsage=serverAuth \
        -addext basicConstraints=critical,CA:FALSE -CA server-ca.pem -CAkey ca.key
}

# serve_anyone PORT: a site that asks for no certificate.
serve_anyone() {
    background "server-$1.log" openssl s_server -www -accept "127.0.0.1:$1" -cert server.pem -key server.key -tls1_3
    wait_until is_listening "$1" || die "$(cat "server-$1.log")"
}

# serve PORT OPTION...: each connection needs a new signature, and its page tells about it. It serves one connection
# after the other, so that one which a browser keeps for later would block another site of the same server.
serve() {
    local port=$1
    shift
    background "server-$port.log" openssl s_server -www -accept "127.0.0.1:$port" -cert server.pem -key server.key \
        -Verify 3 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem" \
        -no_ticket -num_tickets 0 -no_cache "$@"
    wait_until is_listening "$port" || die "$(cat "server-$port.log")"
}

# serve_sites: sets TLS_13, SECOND_SITE, TLS_12 and TLS_12_PKCS1 to the addresses of sites.
# shellcheck disable=SC2034 # for the caller
serve_sites() {
    local port
    make_server_certificate 2>/dev/null
    port=$(free_port)
    TLS_13=https://localhost:$port/
    serve "$port" -tls1_3
    port=$(free_port)
    SECOND_SITE=https://second.localhost:$port/
    serve "$port" -tls1_3
    port=$(free_port)
    TLS_12=https://localhost:$port/
    serve "$port" -tls1_2
    port=$(free_port)
    TLS_12_PKCS1=https://localhost:$port/
    serve "$port" -tls1_2 -client_sigalgs RSA+SHA256
}

# page_says PATTERN...
page_says() {
    local pattern
    for pattern in "$@"; do
        grep -Eq -- "$pattern" page || {
            printf 'not in the page: %s\n' "$pattern"
            head -n 20 page
            return 1
        }
    done
}

# The page has come, and the server has seen the certificate of the card.
page_is_for_the_card() {
    shows '^loaded$'
    page_says 'Verify return code: 0 \(ok\)' "$@"
    sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' page | openssl x509 -outform DER | cmp - "$WORK/identity/authentication.der"
}
