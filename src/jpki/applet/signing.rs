//! The sign command: by which name the card knows the key, and whether it makes PSS signatures.

use super::{Applet, AppletError, CHUNK, Step, ok};
use crate::iso7816::apdu::{Command, Expected, Response};
use crate::iso7816::status::{Status, StatusWord};
use crate::jpki::layout::Credential;
use crate::jpki::public_key::{PSS_HASH_LENGTH, ToBeSigned};

/// P1 of the sign command: padding of PKCS #1 v1.5 around the bytes as given.
const SIGN_PKCS1: u8 = 0x00;

/// P1 of the sign command: RSASSA-PSS over a SHA-256 hash (myna-card).
const SIGN_PSS: u8 = 0x04;

/// P1 of the sign command that no source knows.
const SIGN_NOTHING: u8 = 0x7f;

/// Whether the card makes PSS signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PssAnswer {
    /// It does.
    Offered,
    /// It does not know the parameter.
    Refused,
}

impl Applet<'_> {
    /// Makes a signature. The PIN has been verified in this transaction.
    ///
    /// # Errors
    /// When the card does not make it.
    pub fn sign(&mut self, credential: Credential, message: ToBeSigned<'_>) -> Result<Vec<u8>, AppletError> {
        let (p1, input) = match message {
            ToBeSigned::Pkcs1(input) => (SIGN_PKCS1, input),
            ToBeSigned::Pss(hash) => (SIGN_PSS, hash.as_slice()),
        };
        let response = self.sign_command(Step::Sign, credential, p1, input)?;
        ok(Step::Sign, response)
    }

    /// Asks whether the card makes PSS signatures, without a PIN: the sign command is refused either for its
    /// parameter (6A86) or for the missing PIN (6982).
    ///
    /// That a card looks at the parameter first is known of no physical card. One that knows short identifiers is of
    /// the generation that makes PSS signatures (myna-card); any other has to refuse a parameter that nobody makes, or
    /// its 6982 tells nothing.
    ///
    /// # Errors
    /// When no answer came.
    pub fn offers_pss(&mut self, credential: Credential) -> Result<PssAnswer, AppletError> {
        let input = [0; PSS_HASH_LENGTH];
        let response = self.sign_command(Step::AskForPss, credential, SIGN_PSS, &input)?;
        Ok(match response.status().classify() {
            // Another program left the card verified. The signature over a hash without a message is dropped.
            Status::Ok => PssAnswer::Offered,
            Status::SecurityStatus if self.knows_short_file_ids() => PssAnswer::Offered,
            Status::SecurityStatus => {
                let unknown = self.sign_command(Step::AskForPss, credential, SIGN_NOTHING, &input)?;
                match unknown.status().classify() {
                    Status::WrongParameters => PssAnswer::Offered,
                    _ => PssAnswer::Refused,
                }
            }
            _ => PssAnswer::Refused,
        })
    }

    /// The sign command with whatever the card answers: by short key identifier where the card knows those, otherwise
    /// after a SELECT of the key. A refusal of the first form for its parameters is no signature, so that the second
    /// form may follow, until a key was found in one of them.
    fn sign_command(
        &mut self,
        step: Step,
        credential: Credential,
        p1: u8,
        input: &[u8],
    ) -> Result<Response, AppletError> {
        let command = |p2| Command::new(0x80, 0x2a, p1, p2).data(input).expect(Expected::Short(CHUNK));
        let known = self.features.short_key_ids;
        if self.knows_short_file_ids() && known != Some(false) {
            let response = self.exchange(step, &command(0x80 | credential.key().short()))?;
            if found_the_key(&response) {
                self.features.short_key_ids = Some(true);
            }
            if known == Some(true) || !is_refused_form(response.status()) {
                return Ok(response);
            }
        }
        self.select_file(credential.key(), Step::Read)?;
        let response = self.exchange(step, &command(0x80))?;
        if found_the_key(&response) {
            self.features.short_key_ids = Some(false);
        }
        Ok(response)
    }
}

/// Whether the sign command got as far as the key: it signed, or missed the PIN.
fn found_the_key(response: &Response) -> bool {
    matches!(response.status().classify(), Status::Ok | Status::SecurityStatus)
}

/// Whether a status word can mean that a card does not take a short identifier in P1 or P2: 6981, 6985 and 6986 are
/// what is said where a file has to be selected first.
fn is_refused_form(status: StatusWord) -> bool {
    matches!(status.classify(), Status::NotFound | Status::WrongParameters)
        || matches!(status.raw(), 0x6981 | 0x6985 | 0x6986)
}
