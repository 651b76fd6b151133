//! `ssh-key`: the authentication key as OpenSSH writes it (RFC 4253, 6.6; sshd(8), AUTHORIZED_KEYS
//! FILE FORMAT).

use jpki_pkcs11::jpki::credential::Credential;
use jpki_pkcs11::jpki::key::PublicKey;
use jpki_pkcs11::module::survey::{CardSurvey, CertificateSurvey};

use crate::client::{Client, Finding};
use crate::output::{Exit, Output};
use crate::text;

/// The name of the key's kind.
const KIND: &str = "ssh-rsa";

/// Prints a line for `authorized_keys` for each card.
pub(crate) fn run(output: &mut Output) -> Exit {
    let client = Client::start();
    let readers = client.readers().unwrap_or_default();
    let cards = readers.iter().filter_map(|reader| match &reader.finding {
        Finding::Card(survey) => Some(survey),
        _ => None,
    });
    let language = output.language();
    let mut exit = Exit::Well;
    let mut any = false;
    for card in cards {
        any = true;
        match line(card) {
            Ok(line) => output.line(&line),
            Err(why) => {
                output.remark(text::ssh_key::no_key(language, why));
                exit = Exit::ToDo;
            }
        }
    }
    if !any {
        output.remark(text::pin::no_card(language));
        return Exit::ToDo;
    }
    exit
}

/// Why a card gives no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The configuration does not show the authentication certificate.
    NotShown,
    /// The card has none.
    Absent,
    /// Only the PIN opens it.
    NeedsPin,
    /// It cannot be read, or its key is of another kind.
    Unreadable,
}

fn line(card: &CardSurvey) -> Result<String, NoKey> {
    let is_authentication = |credential| credential == Credential::UserAuthentication;
    let found = card.credentials.iter().find(|found| is_authentication(found.credential));
    let certificate = match &found.ok_or(NoKey::NotShown)?.certificate {
        CertificateSurvey::Read(certificate) => certificate,
        CertificateSurvey::Absent => return Err(NoKey::Absent),
        CertificateSurvey::NeedsPin => return Err(NoKey::NeedsPin),
        CertificateSurvey::Unreadable => return Err(NoKey::Unreadable),
    };
    let key = certificate.public_key().ok_or(NoKey::Unreadable)?;
    let number: String = card.serial_number.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{KIND} {} jpki-{number}", base64(&blob(key))))
}

/// The key as the protocol carries it: strings with their lengths before them.
fn blob(key: &PublicKey) -> Vec<u8> {
    let mut blob = Vec::new();
    for part in [KIND.as_bytes().to_vec(), positive(key.exponent()), positive(key.modulus())] {
        blob.extend(u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
        blob.extend(part);
    }
    blob
}

/// A number whose highest bit says that it is positive (RFC 4251, mpint).
fn positive(number: &[u8]) -> Vec<u8> {
    let is_negative = number.first().is_some_and(|first| first & 0x80 != 0);
    [if is_negative { &[0][..] } else { &[] }, number].concat()
}

/// RFC 4648, 4.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for position in 0..4 {
            let digit = bits >> (18 - 6 * position) & 0x3f;
            text.push(if position > group.len() { '=' } else { base64_digit(digit) });
        }
    }
    text
}

fn base64_digit(digit: u32) -> char {
    let code = match digit {
        0..=25 => u32::from('A') + digit,
        26..=51 => u32::from('a') + digit - 26,
        52..=61 => u32::from('0') + digit - 52,
        62 => u32::from('+'),
        _ => u32::from('/'),
    };
    char::from_u32(code).unwrap_or('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn a_number_is_positive() {
        assert_eq!(positive(&[0x80, 1]), [0, 0x80, 1]);
        assert_eq!(positive(&[0x7f]), [0x7f]);
    }
}
