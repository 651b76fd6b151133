#!/usr/bin/env bash
# openconnect logs in to ocserv, a VPN server, with the authentication key. No tunnel is opened, because that takes
# root.
#
# needs: p11-kit:p11-kit logins
source "$(dirname "$0")/lib.sh"
# shellcheck source=logins.sh
source "$CLIENTS/logins.sh"

readonly URI='pkcs11:token=JPKI%20User%20Authentication'

prepare() {
    take_logins openconnect ocserv ocserv-worker
    install_for_p11_kit
    openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 2>/dev/null
    openssl req -newkey rsa:2048 -noenc -keyout server.key -subj /CN=localhost 2>/dev/null |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem 2>/dev/null \
            -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    serve
}

serve() {
    port=$(free_port)
    cat >ocserv.conf <<END
auth = "certificate"
listen-host = 127.0.0.1
tcp-port = $port
socket-file = $PWD/ocserv.sock
run-as-user = $( ((EUID != 0)) || echo nobody)
isolate-workers = false
use-occtl = false
server-cert = $PWD/server.pem
server-key = $PWD/server.key
ca-cert = $WORK/identity/authentication-ca.pem
cert-user-oid = 2.5.4.3
device = vpns
ipv4-network = 192.168.99.0
ipv4-netmask = 255.255.255.0
END
    sed -i '/= $/d' ocserv.conf
    background ocserv.log "${AS_ROOT[@]}" ocserv --foreground --debug 4 --config ocserv.conf
    wait_until is_listening "$port" || die "$(cat ocserv.log)"
}

# logs_in [PIN [URI]]: gets a session's cookie, with which a tunnel would be opened.
logs_in() {
    local uri="${2:-$URI;id=%01}"
    rm -f openconnect.pid
    at_terminal 'Enter PIN:|Failed to' "${1:-$AUTH_PIN}" "sh -c 'echo \$\$ >openconnect.pid; exec \"\$@\"' sh \
        ${WITHOUT_ROOT[*]} timeout --foreground 60 openconnect --authenticate --no-system-trust --cafile ca.pem \
        --certificate '$uri' https://localhost:$port/"
    grep -q "user 'TEST[0-9]*A' obtained cookie" ocserv.log
    grep -aq 'Connected to HTTPS on localhost with ciphersuite (TLS1.3)' terminal
    grep -aq "^COOKIE='.*webvpn=" terminal
}

# asked_again_after PIN: that PIN is refused, and openconnect asks for another until it is ended.
asked_again_after() {
    rm -f terminal
    logs_in "$1" &
    wait_until was_asked_twice || true
    kill "$(<openconnect.pid)" || true
    wait "$!" && return 1
    equal 2 "$(grep -ac 'Enter PIN:' terminal)"
    grep -aq 'Wrong PIN' terminal
    grep -aq 'Only a few tries left before locking!' terminal
}

was_asked_twice() {
    [[ -e terminal ]] && (($(grep -ac 'Enter PIN:' terminal) == 2))
}

begin
prepare

check_figure 'a login' "openconnect logs in" logs_in
refused "a URI without the certificate's id" 'The requested data were not available' logs_in "$AUTH_PIN" "$URI"
check "no PIN try was used up" tries_left 3
check "a malformed PIN" asked_again_after 12a4
check "it cost no try" tries_left 3
check "a wrong PIN" asked_again_after 1111
check "it cost one try" tries_left 2
check "the right PIN" logs_in
check "it restored the tries" tries_left 3
card set-tries auth 0
refused "a blocked PIN" 'PKCS #11 PIN locked' logs_in
card set-tries auth 3
refused "the card is pulled out during a signature" 'Error signing test data with private key: PKCS #11 error in device' \
    pulled_out logs_in
refused "no card" 'Error loading certificate from PKCS#11: The requested data were not available' logs_in
card insert
check "the card is back" logs_in

finish 1
