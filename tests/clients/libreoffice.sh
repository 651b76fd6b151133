#!/usr/bin/env bash
# LibreOffice: signs a document and a PDF by its dialogs, after one password dialog; what it does when things go wrong.
# The dialogs are read and worked as a screen reader does it, on an X server that shows nothing.
#
# needs: soffice:libreoffice-writer /usr/lib/libreoffice/program/pyuno.so:python3-uno /usr/bin/python3:python3
# needs: certutil:libnss3-tools pdfsig:poppler-utils xmlsec1:xmlsec1 Xvfb:xvfb
source "$(dirname "$0")/lib.sh"
source "$CLIENTS/desktop/display.sh"

# --- LibreOffice --------------------------------------------------------------------------------------------------

# The profile of NSS that it uses, with the CA of the signature certificate.
new_database() {
    mkdir database
    modutil -force -dbdir sql:database -add JPKI -libfile "$PWD/jpki-pkcs11-sign.so" >modutil.log 2>&1 ||
        die "$(cat modutil.log)"
    certutil -A -d sql:database -n jpki -t C,C,C -i "$WORK/identity/signature-ca.pem"
}

start() {
    background office.log env MOZILLA_CERTIFICATE_FOLDER="sql:$PWD/database" SAL_USE_VCLPLUGIN=gen \
        soffice "-env:UserInstallation=file://$PWD/office" --norestore --nologo --nofirststartwizard --nodefault \
        "--accept=pipe,name=$PIPE;urp"
    APPLICATION=$!
}

# drive COMMAND...: what was shown is in the file `seen`.
drive() {
    # Debian's own Python has the bridge to LibreOffice.
    /usr/bin/python3 -B "$CLIENTS/libreoffice/drive.py" "$PIPE" "$@" >seen || {
        cat seen office.log
        return 1
    }
    cat seen
}

# --- what was shown -------------------------------------------------------------------------------------------------

# asked COUNT: there were so many password dialogs, all for the signature token. Version 25.2 names the profile of NSS
# too.
asked() {
    equal "$1" "$(grep -cE "^password: Enter password to open file: $SIGN_TOKEN(: sql:$PWD/database)?\$" seen)"
    equal "$1" "$(grep -c '^password: ' seen)"
}

# --- signatures -----------------------------------------------------------------------------------------------------

# export_pdf PDF [PASSWORD...]
export_pdf() {
    rm -f "$1"
    drive export letter.odt "$@"
}

pdf_is_signed() {
    shows '^certificate: TEST' '^to sign with: CN=TEST'
    pdfsig -nssdir sql:database "$1" >report
    cat report
    grep -q 'Signature is Valid' report
    grep -q 'Certificate is Trusted' report
    grep -q 'Signing Hash Algorithm: SHA-256' report
}

# No certificate could be chosen, and there is no file.
pdf_is_not_signed() {
    shows '^no certificate$'
    [[ ! -e $1 ]]
}

# export_signed PDF PASSWORD...: after so many password dialogs.
export_signed() {
    export_pdf "$@"
    asked $(($# - 1))
    pdf_is_signed "$1"
}

# export_refused PDF [PASSWORD...]: after a password dialog.
export_refused() {
    ANSWERED_LIST_SECONDS=2 export_pdf "$@"
    asked 1
    pdf_is_not_signed "$1"
}

# export_without_token PDF: there is nothing to ask a password for.
export_without_token() {
    LIST_SECONDS=2 export_pdf "$1"
    asked 0
    pdf_is_not_signed "$1"
}

# What LibreOffice itself finds, and another program.
document_is_signed() {
    shows '^signature: .*TEST' '^The signatures in this document are valid$'
    rm -rf unpacked
    python3 -m zipfile -e "$1" unpacked
    cd unpacked
    xmlsec1 --verify --id-attr:Id http://www.w3.org/2000/09/xmldsig#:Object \
        --id-attr:Id http://uri.etsi.org/01903/v1.3.2#:SignedProperties \
        --trusted-pem "$WORK/identity/signature-ca.pem" META-INF/documentsignatures.xml
}

first_document() {
    drive sign letter.odt "$SIGN_PIN"
    asked 1
    document_is_signed letter.odt
}

signed_document_is_read() {
    drive check letter.odt
    asked 0
    document_is_signed letter.odt
}

# --- things go wrong --------------------------------------------------------------------------------------------------

wrong_password_then_right() {
    export_signed wrong.pdf WRONG1 "$SIGN_PIN"
    shows '^Warning: The password is incorrect. The file cannot be opened.$'
    equal "1 5" "$(card count failed-verifies sign since "$mark") $(card tries sign)"
}

malformed_password_then_right() {
    export_signed malformed.pdf "$AUTH_PIN" "$SIGN_PIN"
    equal 0 "$(card count failed-verifies sign since "$mark")"
}

cancelled() {
    export_refused cancelled.pdf
    equal 0 "$(card count verifies sign since "$mark")"
}

last_try_blocks_the_password() {
    card set-tries sign 1
    export_refused last.pdf WRONG2 "$SIGN_PIN"
    equal "1 0" "$(card count failed-verifies sign since "$mark") $(card tries sign)"
}

blocked_password() {
    export_refused blocked.pdf "$SIGN_PIN"
    equal 0 "$(card count verifies sign since "$mark")"
}

pulled_at_the_signature() {
    card fault on 2A remove
    export_pdf pulled.pdf
    asked 0
    shows '^Problems During PDF Export: .*PDF export aborted'
    [[ ! -e pulled.pdf ]]
}

# LibreOffice reads the list of slots once. Its reader comes when pcscd does.
reader_comes_later() {
    export_without_token early.pdf
    card restart-pcscd
    wait_until a_token_is_listed
    export_signed late.pdf "$SIGN_PIN"
}

# ----------------------------------------------------------------------------------------------------------------------

begin
ln -s "$MODULE" jpki-pkcs11-sign.so
# A name for all programs of this user.
PIPE=jpki-$$
start_display
new_database
start
drive write letter.odt
mark=$(card mark)
check "a document is signed after one password dialog" first_document
near_figure_since "$mark" 'a document' "a signed document"
mark=$(card mark)
check "a PDF is signed without another dialog" export_signed letter.pdf
near_figure_since "$mark" 'a PDF after that' "a PDF after that"
check "the signed document is read: no dialog" signed_document_is_read
check "card pulled at the signature: a message, no file" pulled_at_the_signature
check "card removed: no certificate" export_without_token removed.pdf
card insert
marked "card inserted: a wrong password, a message, the right one: one try used" wrong_password_then_right
quit
check "LibreOffice ends by itself" ended_well

start
marked "Cancel: no certificate, nothing sent" cancelled
marked "a malformed password, then the right one: no try used" malformed_password_then_right
quit

start
marked "the last try: not asked again" last_try_blocks_the_password
marked "a blocked password: nothing sent" blocked_password
card set-tries sign 5
quit

card kill-pcscd
start
check "no pcscd and no reader at the start: they come later, one password dialog" reader_comes_later
quit

finish 2
