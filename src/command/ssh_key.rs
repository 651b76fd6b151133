//! `ssh-key`: the authentication key as OpenSSH writes it (RFC 4253, 6.6; sshd(8), AUTHORIZED_KEYS
//! FILE FORMAT).

use base64ct::{Base64, Encoding};
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
    let found = card.credential(Credential::UserAuthentication);
    let certificate = match &found.ok_or(NoKey::NotShown)?.certificate {
        CertificateSurvey::Read(certificate) => certificate,
        CertificateSurvey::Absent => return Err(NoKey::Absent),
        CertificateSurvey::NeedsPin => return Err(NoKey::NeedsPin),
        CertificateSurvey::Unreadable => return Err(NoKey::Unreadable),
    };
    let key = certificate.public_key().ok_or(NoKey::Unreadable)?;
    Ok(format!("{KIND} {} jpki-{}", Base64::encode_string(&blob(key)), card.serial_number))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_positive() {
        assert_eq!(positive(&[0x80, 1]), [0, 0x80, 1]);
        assert_eq!(positive(&[0x7f]), [0x7f]);
    }
}
