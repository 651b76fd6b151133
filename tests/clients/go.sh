#!/usr/bin/env bash
# Go by miekg/pkcs11, from Debian's packages: signs a file with both keys.
#
# on request: Go is 80 MB to fetch and 550 MB on the disk.
# needs: go
source "$(dirname "$0")/lib.sh"

prepare() {
    local go
    go=$(compgen -G "$TARGET/go/usr/lib/go-*/bin/go") || die "Go is missing"
    head -c 1000 /dev/urandom >message
    GOROOT=${go%/bin/go} GOPATH=$TARGET/go/usr/share/gocode GOCACHE=$TARGET/go/cache GO111MODULE=off GOFLAGS=-buildvcs=false \
        "$go" build -o sign-go "$CLIENTS/smoke/sign.go"
}

# sign TOKEN PIN
sign() {
    rm -f signature
    PIN=$2 ./sign-go "$MODULE" "$1" message signature
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
