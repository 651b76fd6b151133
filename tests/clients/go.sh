#!/usr/bin/env bash
# Go by miekg/pkcs11, from Debian's packages: signs a file with both keys.
#
# on request: Go is 80 MB to fetch and 550 MB on the disk.
# needs: go
source "$(dirname "$0")/lib.sh"
# shellcheck source=smoke/both_keys.sh
source "$CLIENTS/smoke/both_keys.sh"

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

begin
prepare

check_figure signing "the authentication key signs" signs "$AUTH_TOKEN" "$AUTH_PIN" authentication
check_the_rest

finish
