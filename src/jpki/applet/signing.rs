//! The sign command: by which name the card knows the key, and which schemes it has.

use zeroize::Zeroizing;

use super::{Applet, AppletError, CommandKind, is_refused_form, ok};
use crate::iso7816::apdu::{Command, Expected, Response};
use crate::iso7816::status::{Status, StatusWord};
use crate::jpki::capability::{Capability, Evidence};
use crate::jpki::credential::Credential;
use crate::jpki::key::{KEY_BITS, LEAST_PADDING, Scheme, ToBeSigned};

/// P1 of the sign command that no source knows.
const P1_UNKNOWN: u8 = 0x7f;

/// P2 of the sign command with the key that is selected.
const P2_SELECTED: u8 = 0x80;

/// An input that no scheme takes: a hash is shorter, and PKCS #1 v1.5 padding leaves one byte less.
/// A question that a chip could sign would be a signature that the user did not ask for.
const UNSIGNABLE: [u8; KEY_BITS / 8 - LEAST_PADDING + 1] = [0; KEY_BITS / 8 - LEAST_PADDING + 1];

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
        let response = self.make_signature(credential, message)?;
        Ok(ok(CommandKind::Sign, response)?.into_data())
    }

    /// Asks whether the card has a scheme, with an input that cannot be signed, and learns what the
    /// answer tells.
    ///
    /// A P1 that the card does not know is answered as one that no source knows. A card that looks
    /// at the PIN or at the length first, or that ignores P1, tells nothing this way.
    ///
    /// # Errors
    /// When no answer came.
    pub fn ask_for(&mut self, credential: Credential, scheme: Scheme) -> Result<(), AppletError> {
        let Some(capability) = scheme.capability() else { return Ok(()) };
        let key = credential.facts().key_file;
        let known = self.capabilities.has(Capability::ShortKeyIds);
        let (mut told, mut is_answered) = (None, false);
        if self.may_use_short_key_id() {
            let (status, by_short_id) = self.ask_key_for(scheme, 0x80 | key.short())?;
            // A wrong parameter may be P2: a card may have a short identifier for its other key
            // only.
            told = by_short_id.filter(|&has| has);
            let takes_it = known == Some(true) && by_short_id != Some(false);
            is_answered = told.is_some() || takes_it || !is_refused_form(status);
        }
        if !is_answered {
            self.select_file(key, CommandKind::Read)?;
            (_, told) = self.ask_key_for(scheme, P2_SELECTED)?;
        }
        self.capabilities.learn(capability, told.map_or(Evidence::Unclear, Evidence::ToldByCard));
        Ok(())
    }

    /// The answer to the question, and what it tells.
    fn ask_key_for(&mut self, scheme: Scheme, p2: u8) -> Result<(StatusWord, Option<bool>), AppletError> {
        let kind = CommandKind::AskForScheme;
        let asked = self.exchange(kind, &sign_command(scheme.p1(), p2, &UNSIGNABLE))?.status();
        if is_wrong_parameter(asked) {
            return Ok((asked, Some(false)));
        }
        let unknown = self.exchange(kind, &sign_command(P1_UNKNOWN, p2, &UNSIGNABLE))?.status();
        let refuses_unknown = is_wrong_parameter(unknown) || matches!(unknown.raw(), 0x6a80 | 0x6985);
        Ok((asked, (unknown != asked && refuses_unknown).then_some(true)))
    }

    fn may_use_short_key_id(&self) -> bool {
        let known = self.capabilities.has(Capability::ShortKeyIds);
        known.unwrap_or_else(|| self.can(Capability::ShortFileIds))
    }

    /// The sign command with whatever the card answers: by short key identifier where the card
    /// takes that, otherwise after a SELECT of the key. A refusal of the first form is no
    /// signature, so that the second form may follow.
    fn make_signature(
        &mut self,
        credential: Credential,
        message: ToBeSigned<'_>,
    ) -> Result<Response, AppletError> {
        let kind = CommandKind::Sign;
        let key = credential.facts().key_file;
        let command = |p2| sign_command(message.scheme.p1(), p2, message.input);
        if self.may_use_short_key_id() {
            let response = self.exchange(kind, &command(0x80 | key.short()))?;
            if response.status().classify() == Status::Ok {
                self.capabilities.learn(Capability::ShortKeyIds, Evidence::Proven);
            }
            if !is_refused_form(response.status()) {
                return Ok(response);
            }
        }
        self.select_file(key, CommandKind::Read)?;
        let response = self.exchange(kind, &command(P2_SELECTED))?;
        if response.status().classify() == Status::Ok {
            self.capabilities.learn(Capability::ShortKeyIds, Evidence::Disproven);
        }
        Ok(response)
    }
}

fn sign_command(p1: u8, p2: u8, input: &[u8]) -> Command {
    Command::new(0x80, 0x2a, p1, p2).data(input).expect(Expected::Short(FULL_ANSWER))
}

/// Whether a status word is about P1 and P2 alone (ISO/IEC 7816-4, 5.6).
fn is_wrong_parameter(status: StatusWord) -> bool {
    status.classify() == Status::WrongParameters
}
