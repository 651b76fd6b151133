# shellcheck shell=bash
# In the chroot: a virtual card behind a private pcscd of the chroot, for sign.sh and client.sh. To be sourced, with the
# path of the program virtual-card in $virtual_card. The current directory is an empty one afterwards.
set -euo pipefail

: "${virtual_card:?}"

work=$(mktemp -d /tmp/stack.XXXXXX)
cd "$work"
export HOME=$work JPKI_TEST_PCSCD=/usr/sbin/pcscd JPKI_TEST_VPCD=/usr/lib/pcsc/drivers/serial/libifdvpcd.so
mkfifo input
"$virtual_card" stack --dir "$work/card" --until-eof <input >stack.log 2>&1 &
exec 5>input
for ((i = 0; i < 300; i++)); do
    ! grep -qx ready stack.log || break
    sleep 0.1
done
grep -qx ready stack.log || {
    cat stack.log >&2
    exit 1
}
# shellcheck source=/dev/null
source card/env
"$virtual_card" identity identity >/dev/null
printf 'A letter, to be signed.\n' >letter
for name in authentication signature; do
    openssl x509 -in "identity/$name.pem" -noout -pubkey >"$name.pub"
done

control() {
    "$virtual_card" control "$work/card" "$@"
}

# verify NAME SIGNATURE [pss]: whether OpenSSL takes it for a signature of the letter.
verify() {
    local options=()
    [[ $# -lt 3 ]] || options=(-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32)
    openssl dgst -sha256 -verify "$1.pub" "${options[@]}" -signature "$2" letter
}

# No PIN try was lost, and no login is left on the card.
card_is_well() {
    local credential lost verified
    for credential in auth sign; do
        lost=$(control count failed-verifies "$credential")
        verified=$(control verified "$credential")
        [[ $lost == 0 && $verified == false ]] || {
            echo "$credential: $lost failed tries; verified: $verified" >&2
            return 1
        }
    done
}

end_stack() {
    exec 5>&-
    wait
    cd /
    rm -rf -- "$work"
}
