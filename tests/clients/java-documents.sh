#!/usr/bin/env bash
# Documents that Java signs with the signature key: XML as offices take it (javax.xml.crypto.dsig, with SunPKCS11),
# verified by xmlsec1; PDF by PDFBox, verified by pdfsig.
#
# needs: javac:default-jdk-headless xmlsec1:xmlsec1 pdfsig:poppler-utils certutil:libnss3-tools
# needs: /usr/share/java/pdfbox2.jar:libpdfbox2-java /usr/share/java/bcpkix.jar:libbcpkix-java
source "$(dirname "$0")/lib.sh"

CLASS_PATH=classes
for jar in pdfbox2 fontbox2 commons-logging bcpkix bcprov bcutil; do CLASS_PATH+=:/usr/share/java/$jar.jar; done
readonly CLASS_PATH

# The example configuration, for the signature key.
prepare() {
    sed -e "s|^library = .*|library = $MODULE|" -e 's|^slotListIndex = .*|slotListIndex = 1|' \
        "$ROOT/conf/java-pkcs11.cfg" >sign.cfg
    mkdir classes
    javac -Xlint:all,-path -Werror -implicit:none -proc:none -cp "$CLASS_PATH" -d classes "$CLIENTS"/java/{Xml,Pdf}Signer.java
    cat >form.xml <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<application><form Id="form"><name>番号 太郎</name><request>移転</request></form></application>
END
    mkdir nss
    certutil -N -d sql:nss --empty-password
    certutil -A -d sql:nss -n jpki -t C,C,C -i "$WORK/identity/signature-ca.pem"
}

# sign PROGRAM FILE [PASSWORD]: what it makes is the file signed-FILE.
sign() {
    rm -f "signed-$2"
    java -XX:TieredStopAtLevel=1 -cp "$CLASS_PATH" "$1" sign.cfg "$2" "signed-$2" <<<"${3:-$SIGN_PIN}"
}

# verify_xml FILE [CA]
verify_xml() {
    xmlsec1 --verify --id-attr:Id form --enabled-key-data x509 \
        --trusted-pem "$WORK/identity/${2:-signature-ca}.pem" "$1"
}

signs_xml() {
    sign XmlSigner form.xml "$@"
    grep -q '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#">' signed-form.xml
    grep -q 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256' signed-form.xml
    verify_xml signed-form.xml
}

# The certificate in the document is the card's.
has_the_certificate() {
    tr -d '\r\n' <signed-form.xml | sed 's/&#13;//g; s|.*<X509Certificate>\([^<]*\)</X509Certificate><X509Certificate>.*|\1|' |
        base64 --decode | cmp - "$WORK/identity/signature.der"
}

verify_changed_xml() {
    sed 's/移転/廃止/' signed-form.xml >changed-form.xml
    verify_xml changed-form.xml
}

signs_pdf() {
    cp "$CLIENTS/letter.pdf" .
    sign PdfSigner letter.pdf
    pdfsig -nssdir sql:nss signed-letter.pdf >output
    cat output
    grep -q 'Signer Certificate Common Name: TEST' output
    grep -q 'Total document signed' output
    grep -q 'Signature Validation: Signature is Valid.' output
    grep -q 'Certificate Validation: Certificate is Trusted.' output
}

tries_left() {
    equal "$1" "$(card tries sign)"
}

begin
prepare

check_figure XML "XML is signed" signs_xml
check "the card's certificate is in it" has_the_certificate
refused "a changed form" 'FAIL' verify_changed_xml
refused "another CA" 'FAIL|ERROR' verify_xml signed-form.xml authentication-ca
check_figure PDFBox "PDFBox signs" signs_pdf

check "no PIN try was used up" tries_left 5
refused "a malformed password" 'PKCS11Exception: CKR_PIN_INCORRECT' signs_xml 1234
check "it cost no try" tries_left 5
refused "a wrong password" 'PKCS11Exception: CKR_PIN_INCORRECT' signs_xml WRONG123
check "it cost one try" tries_left 4
card set-tries sign 0
refused "a blocked password" 'PKCS11Exception: CKR_PIN_LOCKED' signs_xml
card set-tries sign 5
refused "the card is pulled out during the signature" 'PKCS11Exception: CKR_DEVICE_REMOVED' pulled_out signs_xml
refused "no card" 'KeyStoreException: PKCS11 not found' signs_xml
card insert

finish 1
