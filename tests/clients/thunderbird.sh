#!/usr/bin/env bash
# Thunderbird: signs mail (S/MIME) with the signature certificate, after one PIN dialog; what it does when things go
# wrong; Change Password.
#
# needs: thunderbird:thunderbird certutil:libnss3-tools python3:python3-minimal
source "$(dirname "$0")/lib.sh"
source "$CLIENTS/mozilla/application.sh"

# --- mail -----------------------------------------------------------------------------------------------------------

add_account() {
    drive thunderbird/new-account.js me@example.test "$PORT"
}

# choose_certificate [PASSWORD...]: for signing, in Account Settings.
choose_certificate() {
    drive thunderbird/choose-certificate.js "$@"
    shows '^certificate: TEST'
}

# send [PASSWORD...]: writes a message and presses Send; Cancel follows the last password.
send() {
    rm -f mail
    drive thunderbird/send.js you@example.test "To be signed" "$@"
}

# The message has arrived, and openssl finds the card's signature on it.
mail_is_signed() {
    shows '^sent$'
    grep -q '^Subject: To be signed' mail
    grep -q 'micalg=sha-256' mail
    openssl cms -verify -in mail -CAfile "$WORK/identity/signature-ca.pem" -signer signer.pem -out part
    openssl x509 -in signer.pem -outform DER | cmp - "$WORK/identity/signature.der"
    grep -q 'Signed with the card' < <(sed '1,/^\r*$/d' part | openssl base64 -d)
}

# A message says so, and nothing has arrived.
mail_is_refused() {
    shows '^alert: Sending of the message failed' '^not sent$' "$1"
    [[ ! -e mail ]]
}

# Of what is said without the certificate, the second is version 140's.
readonly UNABLE='Unable to sign message. Please check that the certificates' \
    NOT_VALID="the signing certificate selected in your End-to-End Encryption settings is not valid|\
failed to find the signing certificate specified in your Mail & Newsgroup Account Settings"

# --- one password for all -------------------------------------------------------------------------------------------

certificate_is_chosen() {
    choose_certificate "$SIGN_PIN"
    asked_for "$SIGN_TOKEN"
}

mail_without_pin() {
    send
    asked_for
    mail_is_signed
}

mail_with_pin() {
    send "$SIGN_PIN"
    asked_for "$SIGN_TOKEN"
    mail_is_signed
}

next_mail() {
    mail_without_pin
    equal 1 "$(card count signatures sign since "$mark")"
}

first_mail() {
    mail_with_pin
    equal 1 "$(card count signatures sign since "$mark")"
}

# --- things go wrong ------------------------------------------------------------------------------------------------

log_out() {
    drive mozilla/log-out.js "$SIGN_TOKEN"
}

wrong_password_then_right() {
    log_out
    send WRONG1 "$SIGN_PIN"
    asked_for "$SIGN_TOKEN" "$SIGN_TOKEN"
    mail_is_signed
    equal "1 5" "$(card count failed-verifies sign since "$mark") $(card tries sign)"
}

malformed_password_then_right() {
    log_out
    send "$AUTH_PIN" "$SIGN_PIN"
    asked_for "$SIGN_TOKEN" "$SIGN_TOKEN"
    mail_is_signed
    equal 0 "$(card count failed-verifies sign since "$mark")"
}

cancel_then_right() {
    log_out
    send
    asked_for "$SIGN_TOKEN"
    mail_is_refused "$UNABLE"
    equal 0 "$(card count verifies sign since "$mark")"
    mail_with_pin
}

last_try_blocks_the_password() {
    log_out
    card set-tries sign 1
    send WRONG2 "$SIGN_PIN"
    asked_for "$SIGN_TOKEN"
    mail_is_refused "$UNABLE"
    equal "1 0" "$(card count failed-verifies sign since "$mark") $(card tries sign)"
}

blocked_password() {
    send "$SIGN_PIN"
    asked_for "$SIGN_TOKEN"
    mail_is_refused "$UNABLE"
    equal 0 "$(card count verifies sign since "$mark")"
}

unblocked_password() {
    card set-tries sign 5
    mail_with_pin
}

mail_without_card() {
    card remove
    wait_until has_no_token
    send
    asked_for
    mail_is_refused "$NOT_VALID"
}

mail_with_card_again() {
    card insert
    wait_until has_token "$SIGN_TOKEN"
    mail_with_pin
}

without_pcscd() {
    card kill-pcscd
    wait_until has_no_token
    send
    asked_for
    mail_is_refused "$NOT_VALID"
    card restart-pcscd
    wait_until has_token "$SIGN_TOKEN"
    mail_with_pin
}

# Version 140 does not say why.
unknown_issuer() {
    choose_certificate "$SIGN_PIN"
    shows 'SEC_ERROR_UNKNOWN_ISSUER|locate a valid certificate'
    send
    mail_is_refused "$NOT_VALID"
    shows 'valid for this operation. .*issuer is not recognized|failed to find the signing certificate'
}

# --- Change Password --------------------------------------------------------------------------------------------------

wrong_old_password() {
    change_password "$SIGN_TOKEN" WRONG3 NEW4567 'You did not enter the correct current password'
    equal 1 "$(card count failed-verifies sign since "$mark")"
}

changed_password_works() {
    change_password "$SIGN_TOKEN" "$SIGN_PIN" short 'Unable to change password'
    change_password "$SIGN_TOKEN" "$SIGN_PIN" NEW4567 'Password successfully changed'
    mail_without_pin
    log_out
    send NEW4567
    asked_for "$SIGN_TOKEN"
    mail_is_signed
    change_password "$SIGN_TOKEN" NEW4567 "$SIGN_PIN" 'Password successfully changed'
}

# --- other ways to load the module ------------------------------------------------------------------------------------

# Version 140 reads the file, but has no policy SecurityDevices; version 153 has it.
policy_is_known() {
    drive thunderbird/knows-policy.js
    shows '^policy known$'
}

policy_loads_the_module() {
    wait_until has_token "$SIGN_TOKEN"
    shows "$PWD/jpki-pkcs11-sign.so"
    add_account
    certificate_is_chosen
    mail_without_pin
}

# The other token shows its certificates without a PIN, and so is left alone.
both_slots() {
    add_account
    certificate_is_chosen
    mail_without_pin
    drive mozilla/devices.js
    shows "$AUTH_TOKEN: NOT_LOGGED_IN" "$SIGN_TOKEN: LOGGED_IN"
}

# ----------------------------------------------------------------------------------------------------------------------

begin
THUNDERBIRD=$(type -P thunderbird || die "Thunderbird is missing")
# Debian's is a script that looks for displays.
if [[ -x /usr/lib/thunderbird/thunderbird ]]; then THUNDERBIRD=/usr/lib/thunderbird/thunderbird; fi
PORT=$(free_port)
link_module
background smtp.log python3 "$CLIENTS/thunderbird/smtp.py" "$PORT" mail
wait_until is_listening "$PORT" || die "$(cat smtp.log)"

new_profile modutil "$WORK/identity/signature-ca.pem" ,C,
add_module jpki-pkcs11-sign.so
start "$THUNDERBIRD"
check "modutil: the signature token is there" has_token "$SIGN_TOKEN"
check "an account" add_account
check "the certificate is chosen after one PIN dialog, though it has no e-mail address" certificate_is_chosen
check "a signed message without another dialog; openssl verifies it" mail_without_pin
mark=$(card mark)
check_figure 'the next mail' "the next message: one signature" next_mail
quit
check "Thunderbird ends by itself" ended_well
mark=$(card mark)
start "$THUNDERBIRD"
check "after a new start: a signed message after one PIN dialog" first_mail
near_figure_since "$mark" 'from its start to the first mail' "from Thunderbird's start to a signed message"
marked "a wrong password, then the right one: one try used" wrong_password_then_right
marked "a malformed password, then the right one: no try used" malformed_password_then_right
marked "Cancel: a message, nothing sent; the next time it is asked for again" cancel_then_right
marked "the last try: a message, not asked again" last_try_blocks_the_password
marked "a blocked password: a message, nothing sent to the card" blocked_password
check "a password that was blocked and is not any more" unblocked_password
marked "Change Password: wrong old password" wrong_old_password
check "Change Password: the new password works" changed_password_works
check "card removed: a message, no dialog" mail_without_card
check "card inserted: one PIN dialog" mail_with_card_again
check "pcscd gone and back: one PIN dialog" without_pcscd
quit

new_profile unknown
add_module jpki-pkcs11-sign.so
start "$THUNDERBIRD"
add_account >/dev/null
check "without the CA's certificate: a warning, then a message" unknown_issuer
quit

copy_application "$THUNDERBIRD" "$ROOT/conf/thunderbird-policies.json"
new_profile policy "$WORK/identity/signature-ca.pem" ,C,
start "$COPY"
if policy_is_known >/dev/null; then
    check "policy: the module is that of the policy, and signs" policy_loads_the_module
else
    printf 'this version has no policy SecurityDevices\n'
fi
quit

new_profile both "$WORK/identity/signature-ca.pem" ,C,
add_module jpki-pkcs11.so
start "$THUNDERBIRD"
check "both slots: one PIN dialog, that of the signature" both_slots
quit

finish 3
