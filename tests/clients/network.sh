#!/usr/bin/env bash
# Logins to networks with the authentication key: wpa_supplicant's EAP-TLS, OpenVPN, stunnel.
#
# needs: eapol_test:eapoltest /usr/lib/*/libsocket_wrapper.so:libsocket-wrapper
# needs: /usr/lib/*/engines-3/pkcs11.so:libengine-pkcs11-openssl network
source "$(dirname "$0")/lib.sh"

# Those that have been unpacked, because their installation would start something.
PATH=$PATH:/usr/sbin:$TARGET/network/usr/sbin:$TARGET/network/usr/bin

prepare() {
    local program
    for program in eapol_test hostapd openvpn stunnel curl script; do
        command -v "$program" >/dev/null || die "$program is missing"
    done
    ln -s "$MODULE" jpki-pkcs11-auth.so
    openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 2>/dev/null
    openssl req -newkey rsa:2048 -noenc -keyout server.key -subj /CN=localhost 2>/dev/null |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem 2>/dev/null \
            -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
}

# --- wpa_supplicant ---------------------------------------------------------------------------------------------

# hostapd is the RADIUS server. It would listen on every interface; this way its network and that of eapol_test, which
# is wpa_supplicant without a network card, are sockets in a directory.
serve_radius() {
    mkdir network
    echo '* TLS' >users
    echo '127.0.0.1 secret' >clients
    cat >hostapd.conf <<END
driver=none
interface=none
logger_stdout=-1
logger_stdout_level=2
eap_server=1
eap_user_file=$PWD/users
ca_cert=$WORK/identity/authentication-ca.pem
server_cert=$PWD/server.pem
private_key=$PWD/server.key
radius_server_clients=$PWD/clients
radius_server_auth_port=1812
END
    background hostapd.log "${IN_SMALL_NETWORK[@]}" hostapd -dd hostapd.conf
    wait_until grep -q 'AP-ENABLED\|Completing interface initialization\|setup of interface done' hostapd.log ||
        die "$(cat hostapd.log)"
}

# wpa [PIN]: the example configuration. The module is named in the environment, because Debian's wpa_supplicant takes
# none from here. Where it cannot sign it asks for a passphrase, and would wait for one until its time is up.
wpa() {
    local status=0
    sed -e '/^pkcs11_module_path=/d' \
        -e "s|^pkcs11_engine_path=.*|pkcs11_engine_path=$(compgen -G '/usr/lib/*/engines-3/pkcs11.so')|" \
        -e "s|/path/to/server-ca.pem|$PWD/ca.pem|" -e "s|#pin=.*|pin=\"${1:-$AUTH_PIN}\"|" \
        "$ROOT/conf/wpa_supplicant.conf" >wpa.conf
    # What the one before asked for.
    rm -f wpa.log
    PKCS11_MODULE_PATH=$PWD/jpki-pkcs11-auth.so "${IN_SMALL_NETWORK[@]}" \
        timeout 30 stdbuf --output=L eapol_test -c wpa.conf -a 127.0.0.1 -p 1812 -s secret -t 20 >wpa.log 2>&1 &
    remember "$!"
    wait_until has_ended_or_asks "$!"
    kill "$!" 2>/dev/null || true
    wait "$!" || status=$?
    cat wpa.log
    return "$status"
}

has_ended_or_asks() {
    all_gone "$1" || { [[ -e wpa.log ]] && grep -q '^CTRL-REQ-PASSPHRASE-0:' wpa.log; }
}

joins_network() {
    wpa >output
    grep -E 'TLS version|SUCCESS|CTRL-EVENT' output
    grep -qx SUCCESS output
    grep -q 'peer certificate: depth=0 .* subject=/C=JP/CN=TEST' hostapd.log
}

takes_modules_from_usr_lib_only() {
    sed "s|^pkcs11_module_path=.*|pkcs11_module_path=$PWD/jpki-pkcs11-auth.so|" \
        "$ROOT/conf/wpa_supplicant.conf" >wpa.conf
    timeout 20 eapol_test -c wpa.conf -a 127.0.0.1 -p 1812 -s secret -t 10
}

# --- OpenVPN ----------------------------------------------------------------------------------------------------

readonly VPN_PROMPT='Enter JPKI User Authentication token Password:'

# A server for one client, and the client's configuration.
serve_vpn() {
    local port
    port=$(free_port)
    background openvpn.log openvpn --dev null --ifconfig-noexec --proto tcp-server --local 127.0.0.1 --lport "$port" \
        --tls-server --dh none --ca "$WORK/identity/authentication-ca.pem" --cert server.pem --key server.key --verb 3
    wait_until grep -q 'Listening for incoming TCP connection' openvpn.log || die "$(cat openvpn.log)"
    cp vpn.conf openvpn.conf
    printf '%s\n' 'dev null' 'proto tcp-client' "remote 127.0.0.1 $port" nobind tls-client "ca $PWD/ca.pem" \
        'writepid openvpn.pid' 'verb 3' >>openvpn.conf
}

# The example configuration with what OpenVPN calls this card's key.
name_vpn_key() {
    local id
    id=$(openvpn --show-pkcs11-ids "$PWD/jpki-pkcs11-auth.so" | sed -n 's/.*Serialized id: *//p')
    sed -e "s|^pkcs11-providers .*|pkcs11-providers $PWD/jpki-pkcs11-auth.so|" \
        -e "s|^pkcs11-id .*|pkcs11-id '${id//\\/\\\\}'|" "$ROOT/conf/openvpn.conf" >vpn.conf
    grep -F "$id" vpn.conf
}

# vpn_until COUNT PATTERN [PIN]: connects until so many lines of this kind were to be seen. OpenVPN does not let itself
# be terminated while it asks.
vpn_until() {
    rm -f openvpn.pid openvpn.log terminal
    serve_vpn
    at_terminal "$VPN_PROMPT" "${3:-$AUTH_PIN}" \
        "timeout --foreground --signal=KILL 20 $(command -v openvpn) --config openvpn.conf" &
    wait_until was_seen "$1" "$2" || true
    kill -KILL "$(<openvpn.pid)"
    wait "$!" || true
    was_seen "$1" "$2"
}

was_seen() {
    [[ -e terminal ]] && (($(grep -aEc -- "$2" terminal) >= $1))
}

connects() {
    vpn_until 1 'Initialization Sequence Completed'
    was_seen 1 'VERIFY OK: depth=0, CN=localhost'
    was_seen 1 'Control Channel: TLSv1.3'
    grep -q 'VERIFY OK: depth=0, C=JP, CN=TEST' openvpn.log
}

# --- stunnel ----------------------------------------------------------------------------------------------------

# A server that insists on a certificate of the authentication CA; its page tells who came.
serve_page() {
    background page.log openssl s_server -www -accept 127.0.0.1:0 -cert server.pem -key server.key \
        -Verify 1 -verify_return_error -CAfile "$WORK/identity/authentication-ca.pem" -no_ticket -num_tickets 0 -no_cache
    wait_until grep -q '^ACCEPT' page.log || die "$(cat page.log)"
}

# start_tunnel NAME [PIN]: the example configuration, and a PIN in it.
start_tunnel() {
    local port
    port=$(free_port)
    printf '%s\n' "$port" >"$1.port"
    sed -e "s|^engineCtrl = .*|engineCtrl = MODULE_PATH:$PWD/jpki-pkcs11-auth.so\nengineCtrl = PIN:${2:-$AUTH_PIN}|" \
        -e "s|^accept = .*|accept = 127.0.0.1:$port|" -e "s|^CAfile = .*|CAfile = $PWD/ca.pem|" \
        -e "s|^connect = .*|connect = 127.0.0.1:$(sed -n 's/^ACCEPT .*://p' page.log)|" \
        -e 's|^checkHost = .*|checkHost = localhost|' "$ROOT/conf/stunnel.conf" >"$1.conf"
    background "$1.log" stunnel "$1.conf"
    wait_until grep -Eq 'Configuration successful|Configuration failed' "$1.log"
    grep 'Configuration successful' "$1.log" || {
        cat "$1.log"
        return 1
    }
}

fetches_page() {
    curl --silent --show-error --max-time 20 "http://127.0.0.1:$(<tunnel.port)/" >page
    grep -q 'Protocol  : TLSv1.3' page
    grep -Eq "Peer signature type: $PSS$" page
    sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' page | openssl x509 -outform DER |
        cmp - "$WORK/identity/authentication.der"
}

opens_tunnel() {
    start_tunnel tunnel
    fetches_page
}

without_card() {
    card remove
    "$@"
}

tries_left() {
    equal "$1" "$(card tries auth)"
}

begin
IN_SMALL_NETWORK=(
    env SOCKET_WRAPPER_DIR="$PWD/network" SOCKET_WRAPPER_DEFAULT_IFACE=1 LD_PRELOAD=libsocket_wrapper.so
)
prepare
serve_radius
serve_page

check_figure wpa_supplicant "eapol_test joins the network" joins_network
refused "Debian's wpa_supplicant takes modules from /usr/lib only" 'Not in trusted path' takes_modules_from_usr_lib_only
check "OpenVPN names the key" name_vpn_key
check_figure OpenVPN "OpenVPN connects" connects
check_figure stunnel "stunnel opens a tunnel" opens_tunnel
check_figure 'its next connection' "stunnel's next connection" fetches_page

check "no PIN try was used up" tries_left 3
refused "a malformed PIN, eapol_test" 'PKCS#11 module::PIN incorrect' wpa 12a4
refused "a malformed PIN, stunnel" 'PKCS#11 module::PIN incorrect' start_tunnel malformed 12a4
check "a malformed PIN, OpenVPN" vpn_until 2 "$VPN_PROMPT" 12a4
check "they cost no try" tries_left 3
refused "a wrong PIN, eapol_test" 'PKCS#11 module::PIN incorrect' wpa 1111
check "it cost one try" tries_left 2
check "the right PIN" joins_network
refused "a wrong PIN, stunnel" 'PKCS#11 module::PIN incorrect' start_tunnel wrong 1111
check "it cost one try, too" tries_left 2
check "the right PIN again" joins_network
check "a wrong PIN, OpenVPN" vpn_until 2 "$VPN_PROMPT" 1111
check "that cost one try, too" tries_left 2
card set-tries auth 0
refused "a blocked PIN, eapol_test" 'PKCS#11 module::PIN locked' wpa
refused "a blocked PIN, stunnel" 'PKCS#11 module::PIN locked' start_tunnel blocked
check "a blocked PIN, OpenVPN, which does not say so" vpn_until 1 "Sent fatal SSL alert: internal error"
card set-tries auth 3
card remove
refused "no card, eapol_test" "No matching initialized token was found for private key" wpa
refused "no card, stunnel, for a new connection" "Connection reset by peer|Empty reply|timed out" fetches_page
refused "no card, stunnel" "pkcs11 engine::object not found" start_tunnel none
check "no card, OpenVPN" vpn_until 1 "Please insert $AUTH_TOKEN token"
card insert

finish 3
