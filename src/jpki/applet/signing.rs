//! The sign command: by which name the card knows the key, and which schemes it has.

use zeroize::Zeroizing;

use super::{Applet, AppletError, CommandKind, is_refused_form, ok};
use crate::iso7816::apdu::{Command, Expected, Response};
use crate::iso7816::status::{Status, StatusWord};
use crate::jpki::capability::{Capability, Evidence};
use crate::jpki::credential::Credential;
use crate::jpki::key::{Scheme, ToBeSigned};

/// P1 of the sign command that no source knows.
const P1_UNKNOWN: u8 = 0x7f;

/// An input that no scheme takes: a hash has 32 bytes, and PKCS #1 v1.5 padding of 2048 bits leaves room for 245. A
/// question that a chip could sign would be a signature that the user did not ask for.
const UNSIGNABLE: [u8; 246] = [0; 246];

/// What the longest signature needs in Le: 00.
const FULL_ANSWER: u16 = 256;

impl Applet<'_, '_> {
    /// Makes a signature. The PIN has been verified in this transaction.
    ///
    /// # Errors
    /// When the card does not make it.
    pub fn sign(
        &mut self,
        credential: Credential,
        message: ToBeSigned<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, AppletError> {
        let kind = CommandKind::Sign;
        let response = self.sign_command(kind, credential, message.scheme.p1(), message.input)?;
        Ok(ok(kind, response)?.into_data())
    }

    /// Asks whether the card has a scheme, with an input that cannot be signed, and learns what the answer tells.
    ///
    /// A P1 that the card does not know is answered as one that no source knows. A card that looks at the PIN or at the
    /// length first, or that ignores P1, tells nothing this way.
    ///
    /// # Errors
    /// When no answer came.
    pub fn ask_for(&mut self, credential: Credential, scheme: Scheme) -> Result<(), AppletError> {
        let Some(capability) = scheme.capability() else { return Ok(()) };
        let kind = CommandKind::AskForScheme;
        let asked = self.sign_command(kind, credential, scheme.p1(), &UNSIGNABLE)?.status();
        let told = if is_wrong_parameter(asked) {
            Some(false)
        } else {
            let unknown = self.sign_command(kind, credential, P1_UNKNOWN, &UNSIGNABLE)?.status();
            let refuses_unknown = is_wrong_parameter(unknown) || matches!(unknown.raw(), 0x6a80 | 0x6985);
            (unknown != asked && refuses_unknown).then_some(true)
        };
        self.capabilities.learn(capability, told.map_or(Evidence::Unclear, Evidence::ToldByCard));
        Ok(())
    }

    /// The sign command with whatever the card answers: by short key identifier where the card takes that, otherwise
    /// after a SELECT of the key. A refusal of the first form is no signature, so that the second form may follow,
    /// until a key was found in one of them.
    fn sign_command(
        &mut self,
        kind: CommandKind,
        credential: Credential,
        p1: u8,
        input: &[u8],
    ) -> Result<Response, AppletError> {
        let key = credential.facts().key_file;
        let command = |p2| Command::new(0x80, 0x2a, p1, p2).data(input).expect(Expected::Short(FULL_ANSWER));
        let known = self.capabilities.has(Capability::ShortKeyIds);
        if known == Some(true) || (known.is_none() && self.can(Capability::ShortFileIds)) {
            let response = self.exchange(kind, &command(0x80 | key.short()))?;
            if response.status().classify() == Status::Ok {
                self.capabilities.learn(Capability::ShortKeyIds, Evidence::Proven);
            }
            if known == Some(true) || !is_refused_form(response.status()) {
                return Ok(response);
            }
        }
        self.select_file(key, CommandKind::Read)?;
        let response = self.exchange(kind, &command(0x80))?;
        if response.status().classify() == Status::Ok {
            self.capabilities.learn(Capability::ShortKeyIds, Evidence::Disproven);
        }
        Ok(response)
    }
}

/// Whether a status word is about P1 and P2 alone (ISO/IEC 7816-4, 5.6).
fn is_wrong_parameter(status: StatusWord) -> bool {
    status.classify() == Status::WrongParameters
}
