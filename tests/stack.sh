#!/usr/bin/env bash
# Keeps a private pcscd with a virtual card up, for trying programs by hand: `pkcs11-tests.sh stack`. Options are those
# of `virtual-card stack`, for instance --readers 2 or --profile blocked-auth.
source "$(dirname "$0")/clients/lib.sh"

begin "$@"
cat <<END
A virtual card is in the reader of a private pcscd. To use it in another shell:

    source $WORK/card/env
    pkcs11-tool --module $MODULE --list-objects

The PINs are $AUTH_PIN (authentication) and $SIGN_PIN (signature); its certificates are in $WORK/identity.
To remove the card, insert it, break it or see what happened to it:

    $VIRTUAL_CARD control $WORK/card help

Ctrl-C ends it.
END
while card ping 2>/dev/null; do
    sleep 1
done
