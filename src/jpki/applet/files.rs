//! Reading the application's files.

use super::{Applet, AppletError, CHUNK, MAX_FILE, Step, ok, refused};
use crate::iso7816::apdu::{Command, Expected, Response};
use crate::iso7816::der;
use crate::iso7816::status::{Status, StatusWord};
use crate::jpki::certificate::Certificate;
use crate::jpki::layout::{CERTIFICATES_PRESENT, Credential, FileId, TOKEN_INFO, TOKEN_INFO_LENGTH};
use crate::transport::TransportError;

impl Applet<'_> {
    /// The token information if one exchange can bring it, which also tells whether the card knows short file
    /// identifiers. `None` when it does not.
    ///
    /// # Errors
    /// When no answer came.
    pub fn token_info_at_once(&mut self) -> Result<Option<Vec<u8>>, AppletError> {
        self.read_short(TOKEN_INFO, TOKEN_INFO_LENGTH)
    }

    /// The token information, 160 bytes or what the card has of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn token_info(&mut self) -> Result<Vec<u8>, AppletError> {
        self.read_start(TOKEN_INFO, TOKEN_INFO_LENGTH)
    }

    /// Whether the certificate is on the card. One that is not issued (to people under 15, say) is not 8F in EF 0008
    /// (myna-card); where a card has no such file, or does not show it, its certificates are taken to be there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_certificate(&mut self, credential: Credential) -> Result<bool, AppletError> {
        let bytes = match self.read_start(CERTIFICATES_PRESENT, 3) {
            Err(AppletError::Refused { status, .. })
                if matches!(status.classify(), Status::NotFound | Status::SecurityStatus) =>
            {
                return Ok(true);
            }
            answer => answer?,
        };
        let &[signature, authentication, ..] = bytes.as_slice() else {
            return Err(AppletError::Malformed(Step::Read));
        };
        Ok(0x8f
            == match credential {
                Credential::UserAuthentication => authentication,
                Credential::DigitalSignature => signature,
            })
    }

    /// The first bytes of a file, at most 256.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_start(&mut self, file: FileId, length: u16) -> Result<Vec<u8>, AppletError> {
        if let Some(bytes) = self.read_short(file, length)? {
            return Ok(bytes);
        }
        self.select_file(file, Step::Read)?;
        let command = Command::new(0x00, 0xb0, 0, 0).expect(Expected::Short(length));
        ok(Step::Read, self.exchange(Step::Read, &command)?)
    }

    /// A certificate from its file. Its length stands in its first bytes; filler follows it.
    ///
    /// # Errors
    /// When it cannot be read or is no certificate.
    pub fn certificate(&mut self, file: FileId) -> Result<Certificate, AppletError> {
        let start = self.read_start(file, CHUNK).map_err(none_past_the_end)?;
        if start.is_empty() {
            return Err(AppletError::Malformed(Step::Read));
        }
        let length = der::sequence_length(&start)
            .filter(|&length| length <= MAX_FILE)
            .ok_or(AppletError::NoCertificate)?;
        if start.len() >= length || !self.knows_short_file_ids() {
            return self.read_rest(start, length);
        }
        // A short identifier makes its file the current one (ISO/IEC 7816-4, 7.2.2). Whether every chip does so is not
        // known: one that goes on in another file, or in none, brings no certificate.
        if self.features.short_file_ids_select != Some(false) {
            let certificate = self.read_rest(start.clone(), length);
            if certificate.is_ok() {
                self.features.short_file_ids_select = Some(true);
            }
            let may_be_elsewhere =
                matches!(certificate, Err(AppletError::Refused { .. } | AppletError::NoCertificate));
            if self.features.short_file_ids_select == Some(true) || !may_be_elsewhere {
                return certificate;
            }
        }
        self.select_file(file, Step::Read)?;
        let certificate = self.read_rest(start, length)?;
        self.features.short_file_ids_select = Some(false);
        Ok(certificate)
    }

    /// A certificate whose first bytes were read; its file is the current one.
    fn read_rest(&mut self, mut bytes: Vec<u8>, length: usize) -> Result<Certificate, AppletError> {
        if bytes.len() < length {
            self.read_rest_extended(&mut bytes, length)?;
        }
        while bytes.len() < length {
            let wanted = u16::try_from(length - bytes.len()).map_or(CHUNK, |rest| rest.min(CHUNK));
            let response = self.read_on(bytes.len(), Expected::Short(wanted))?;
            let piece = ok(Step::Read, response).map_err(none_past_the_end)?;
            if piece.is_empty() {
                return Err(AppletError::Malformed(Step::Read));
            }
            bytes.extend_from_slice(&piece);
        }
        bytes.truncate(length);
        Certificate::parse(bytes).ok_or(AppletError::NoCertificate)
    }

    /// READ BINARY by short file identifier. `None` when this card does not know them: once it refused one, it is not
    /// asked again.
    fn read_short(&mut self, file: FileId, length: u16) -> Result<Option<Vec<u8>>, AppletError> {
        if self.features.short_file_ids == Some(false) {
            return Ok(None);
        }
        let command = Command::new(0x00, 0xb0, 0x80 | file.short(), 0).expect(Expected::Short(length));
        let response = self.exchange(Step::Read, &command)?;
        match (response.status().classify(), self.features.short_file_ids) {
            (Status::Ok, _) => {
                self.features.short_file_ids = Some(true);
                Ok(Some(response.into_data()))
            }
            (_, Some(true)) => Err(refused(Step::Read, &response)),
            // Whatever is refused here needs no PIN: it is the token information, see `token_info_at_once`.
            (_, None | Some(false)) => {
                self.features.short_file_ids = Some(false);
                Ok(None)
            }
        }
    }

    /// READ BINARY of the selected file.
    fn read_on(&mut self, offset: usize, expected: Expected) -> Result<Response, AppletError> {
        // Bit 8 of P1 would name a file: offsets end at 32,767, and files at MAX_FILE.
        let [high, low] =
            u16::try_from(offset).map_err(|_| AppletError::Malformed(Step::Read))?.to_be_bytes();
        self.exchange(Step::Read, &Command::new(0x00, 0xb0, high, low).expect(expected))
    }

    /// Reads what is left in one exchange, where card and reader can. A card without short file identifiers is an old
    /// one and not asked; a reader that cannot answers with an error, which only means "no" the first time.
    fn read_rest_extended(&mut self, bytes: &mut Vec<u8>, length: usize) -> Result<(), AppletError> {
        let rest = length - bytes.len();
        let Ok(wanted @ 257..) = u16::try_from(rest) else { return Ok(()) };
        if !self.knows_short_file_ids() || self.features.extended_length == Some(false) {
            return Ok(());
        }
        let answer = self.read_on(bytes.len(), Expected::Extended(wanted));
        match answer {
            Ok(response) if response.status() == StatusWord::OK && !response.data().is_empty() => {
                self.features.extended_length = Some(true);
                bytes.extend(response.data().iter().take(rest));
            }
            Ok(_) | Err(AppletError::Transport { error: TransportError::Failed(_), .. }) => {
                self.features.extended_length = Some(false);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A file that ends before its certificate does holds none.
fn none_past_the_end(error: AppletError) -> AppletError {
    match error {
        AppletError::Refused { status, .. } if status.classify() == Status::WrongParameters => {
            AppletError::NoCertificate
        }
        other => other,
    }
}
