#!/usr/bin/env bash
# In the chroot: runs client.c, moves the card as it asks for, and lets OpenSSL verify its signatures.
#
# usage: run-client.sh VIRTUAL_CARD COMMAND...    COMMAND runs the client with its library
virtual_card=$1
shift
# shellcheck source=tests/ports/stack.sh
source "$(dirname "$0")/stack.sh"

mkfifo answers
"$@" <answers >client.log 2>client.err &
client=$!
exec 6>answers
tail --pid="$client" -n +1 -f client.log | while read -r word what; do
    [[ $word == move ]] || continue
    control "${what%$'\r'}" >&2
    echo moved >&6
done
status=0
wait "$client" || status=$?
exec 6>&-
cat client.log
((status == 0)) || {
    tail -n 30 client.err >&2
    exit "$status"
}
verify authentication pkcs1-0
verify authentication pss-0 pss
verify signature pkcs1-1
verify signature pss-1 pss
for number in 0 1; do
    name=authentication
    ((number == 0)) || name=signature
    openssl x509 -in "identity/$name.pem" -outform DER | cmp - "certificate-$number"
done
card_is_well
end_stack
