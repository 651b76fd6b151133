#!/usr/bin/env bash
# Node.js by graphene-pk11: signs a file with both keys.
#
# on request: npm must build the part of it that is C++.
# needs: node:nodejs npm:npm /usr/include/node/node.h:libnode-dev node_client
source "$(dirname "$0")/lib.sh"
# shellcheck source=smoke/both_keys.sh
source "$CLIENTS/smoke/both_keys.sh"

prepare() {
    [[ -d $TARGET/node/node_modules ]] || die "graphene-pk11 is missing"
    head -c 1000 /dev/urandom >message
}

# sign TOKEN PIN
sign() {
    rm -f signature
    PIN=$2 NODE_PATH=$TARGET/node/node_modules node "$CLIENTS/smoke/sign.js" "$MODULE" "$1" message signature
}

begin
prepare

check_figure signing "the authentication key signs" signs "$AUTH_TOKEN" "$AUTH_PIN" authentication
check_the_rest

finish
