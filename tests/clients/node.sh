#!/usr/bin/env bash
# Node.js by graphene-pk11: signs a file with both keys.
#
# on request: npm must build the part of it that is C++.
# needs: node:nodejs npm:npm /usr/include/node/node.h:libnode-dev node_client
source "$(dirname "$0")/lib.sh"

prepare() {
    [[ -d $TARGET/node/node_modules ]] || die "graphene-pk11 is missing"
    head -c 1000 /dev/urandom >message
}

# sign TOKEN PIN
sign() {
    rm -f signature
    PIN=$2 NODE_PATH=$TARGET/node/node_modules node "$CLIENTS/smoke/sign.js" "$MODULE" "$1" message signature
}

# signs TOKEN PIN CREDENTIAL
signs() {
    sign "$1" "$2"
    verified_by "$WORK/identity/$3.pem" signature message
}

begin
prepare

check_figure signing "the authentication key signs" signs "$AUTH_TOKEN" "$AUTH_PIN" authentication
check "the signature key signs" signs "$SIGN_TOKEN" "$SIGN_PIN" signature
refused "a malformed PIN" 'CKR_PIN_INCORRECT' sign "$AUTH_TOKEN" 12a4
check "it cost no try" equal 3 "$(card tries auth)"
card remove
refused "no card" "no token $AUTH_TOKEN" sign "$AUTH_TOKEN" "$AUTH_PIN"
card insert

finish
