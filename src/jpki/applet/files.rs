//! Reading the application's files.

use zeroize::Zeroizing;

use super::{Applet, AppletError, CommandKind, READ_BINARY, ok, refused};
use crate::iso7816::apdu::{Command, Expected, Response};
use crate::iso7816::der;
use crate::iso7816::exchange::MAX_ANSWER;
use crate::iso7816::status::{Status, StatusWord};
use crate::jpki::capability::{Capability, Evidence};
use crate::jpki::certificate::Certificate;
use crate::jpki::credential::{FileId, TOKEN_INFO, TOKEN_INFO_LENGTH, TOKEN_INFO_SERIAL_END};
use crate::transport::TransportError;

/// What a short READ BINARY asks for.
const CHUNK: u16 = 256;

/// The same, where card or reader fail at answers of 256 bytes.
const SMALL_CHUNK: u16 = 224;

impl Applet<'_, '_> {
    /// The token information, 160 bytes or what the card has of them: up to the serial number,
    /// where it gives fewer at once.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn token_info(&mut self) -> Result<Zeroizing<Vec<u8>>, AppletError> {
        self.read_at_least(TOKEN_INFO, TOKEN_INFO_SERIAL_END, TOKEN_INFO_LENGTH)
    }

    /// The first bytes of a file, at most `length`, which is at most 256.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_start(&mut self, file: FileId, length: u16) -> Result<Zeroizing<Vec<u8>>, AppletError> {
        Ok(self.read_first(file, length)?.0)
    }

    /// The same, and whether the file was selected for that.
    fn read_first(&mut self, file: FileId, length: u16) -> Result<(Zeroizing<Vec<u8>>, bool), AppletError> {
        if self.may(Capability::ShortFileIds) {
            let response = self.read(0x80 | file.short(), 0, length)?;
            if let Ok(bytes) = read_data(response) {
                self.capabilities.learn(Capability::ShortFileIds, Evidence::Proven);
                return Ok((bytes, false));
            }
            // The file may be closed or missing, or the form unknown: the other form tells.
        }
        self.select_file(file, CommandKind::Read)?;
        let bytes = self.read(0, 0, length).and_then(read_data)?;
        // It may have a short identifier for other files.
        if !self.can(Capability::ShortFileIds) {
            self.capabilities.learn(Capability::ShortFileIds, Evidence::Disproven);
        }
        Ok((bytes, true))
    }

    /// As [`Applet::read_start`], and on until there are `least` bytes, where the card gives fewer
    /// at once. A shorter file ends before that.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_at_least(
        &mut self,
        file: FileId,
        least: usize,
        length: u16,
    ) -> Result<Zeroizing<Vec<u8>>, AppletError> {
        self.longest_read = None;
        let mut bytes = self.read_start(file, length)?;
        if bytes.is_empty() || bytes.len() >= least {
            return Ok(bytes);
        }
        match self.read_up_to(file, &mut bytes, least) {
            Ok(()) | Err(AppletError::Refused { .. }) => Ok(bytes),
            Err(error) => Err(error),
        }
    }

    /// Goes on until there are `least` bytes, or the file ends.
    fn read_up_to(
        &mut self,
        file: FileId,
        bytes: &mut Zeroizing<Vec<u8>>,
        least: usize,
    ) -> Result<(), AppletError> {
        self.select_file(file, CommandKind::Read)?;
        while bytes.len() < least {
            let wanted = self.length_of_next(least - bytes.len());
            let piece = self.read_on(bytes.len(), wanted).and_then(read_data)?;
            if piece.is_empty() {
                break;
            }
            bytes.extend(piece.iter());
        }
        Ok(())
    }

    /// How much of what is left to ask for at once.
    fn length_of_next(&self, rest: usize) -> u16 {
        let most = self.longest_read.unwrap_or(CHUNK);
        u16::try_from(rest).map_or(most, |rest| rest.min(most))
    }

    /// A certificate from its file. Its length stands in its first bytes; filler follows it. An
    /// empty answer is the end of the file on some chips, and one bad answer on others: it is asked
    /// for once more.
    ///
    /// # Errors
    /// When it cannot be read or is no certificate.
    pub fn certificate(&mut self, file: FileId) -> Result<Certificate, AppletError> {
        self.longest_read = None;
        let (mut start, mut is_selected) = self.read_first(file, CHUNK).map_err(none_past_the_end)?;
        if start.is_empty() {
            (start, is_selected) = self.read_first(file, CHUNK).map_err(none_past_the_end)?;
        }
        let length = der::sequence_length(&start)
            .filter(|&length| length <= MAX_ANSWER)
            .ok_or(AppletError::NoCertificate)?;
        if start.len() >= length || is_selected {
            return self.read_rest(&start, length);
        }
        // A short identifier makes its file the current one (ISO/IEC 7816-4, 7.2.2). Whether every
        // chip does so is not known: one that goes on in another file, or in none, brings no
        // certificate.
        if self.may(Capability::ShortFileIdsSelect) {
            let certificate = self.read_rest(&start, length);
            if certificate.is_ok() {
                self.capabilities.learn(Capability::ShortFileIdsSelect, Evidence::Proven);
            }
            let may_be_elsewhere =
                matches!(certificate, Err(AppletError::Refused { .. } | AppletError::NoCertificate));
            if self.can(Capability::ShortFileIdsSelect) || !may_be_elsewhere {
                return certificate;
            }
        }
        self.select_file(file, CommandKind::Read)?;
        let certificate = self.read_rest(&start, length)?;
        self.capabilities.learn(Capability::ShortFileIdsSelect, Evidence::Disproven);
        Ok(certificate)
    }

    /// A certificate whose first bytes were read; its file is the current one.
    fn read_rest(&mut self, start: &[u8], length: usize) -> Result<Certificate, AppletError> {
        // As long as it will get: one that grows would leave its old bytes behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.extend(start.iter().take(length));
        if bytes.len() < length {
            self.read_rest_extended(&mut bytes, length)?;
        }
        while bytes.len() < length {
            let rest = length - bytes.len();
            let wanted = self.length_of_next(rest);
            let piece = self.read_piece(bytes.len(), wanted).map_err(none_past_the_end)?;
            if piece.is_empty() {
                return Err(AppletError::NoCertificate);
            }
            bytes.extend(piece.iter().take(rest));
        }
        Certificate::parse(bytes).ok_or(AppletError::NoCertificate)
    }

    /// READ BINARY (ISO/IEC 7816-4, 11.3.3) of at most `length` bytes, fewer where the card or the
    /// reader is known to fail at 256.
    fn read(&mut self, p1: u8, p2: u8, length: u16) -> Result<Response, AppletError> {
        let command = |length| Command::new(0x00, READ_BINARY, p1, p2).expect(Expected::Short(length));
        if length <= SMALL_CHUNK || !self.may(Capability::FullLength) {
            return self.exchange(CommandKind::Read, &command(length.min(SMALL_CHUNK)));
        }
        let answer = self.exchange(CommandKind::Read, &command(length));
        match &answer {
            Ok(response) if response.data().len() == usize::from(CHUNK) => {
                self.capabilities.learn(Capability::FullLength, Evidence::Proven);
            }
            Ok(response) if response.status().raw() == 0x6700 => {
                self.capabilities.learn(Capability::FullLength, Evidence::Disproven);
                return self.exchange(CommandKind::Read, &command(SMALL_CHUNK));
            }
            // A reader that fails here may fail at the length. The transaction is begun again, and
            // asks for less.
            Err(AppletError::Transport {
                error: TransportError::Failed(_) | TransportError::NotReady | TransportError::BadLength,
                ..
            }) if !self.can(Capability::FullLength) => {
                self.capabilities.learn(Capability::FullLength, Evidence::Disproven);
                self.capabilities.learn(Capability::ExtendedLength, Evidence::Disproven);
            }
            Ok(_) | Err(_) => {}
        }
        answer
    }

    /// What the selected file has from `offset` on. An empty answer is asked for once more.
    fn read_piece(&mut self, offset: usize, length: u16) -> Result<Zeroizing<Vec<u8>>, AppletError> {
        let piece = self.read_on(offset, length).and_then(read_data)?;
        if piece.is_empty() { self.read_on(offset, length).and_then(read_data) } else { Ok(piece) }
    }

    /// READ BINARY of the selected file, from `offset` on.
    fn read_on(&mut self, offset: usize, length: u16) -> Result<Response, AppletError> {
        let [high, low] = position(offset)?;
        self.read(high, low, length)
    }

    /// Reads what is left in one exchange, where card and reader can. A card without short file
    /// identifiers is an old one and not asked. Some readers lose the card at the first try: it
    /// is made while the card is recognised, or never.
    fn read_rest_extended(
        &mut self,
        bytes: &mut Zeroizing<Vec<u8>>,
        length: usize,
    ) -> Result<(), AppletError> {
        let rest = length - bytes.len();
        let Ok(wanted @ 257..) = u16::try_from(rest) else { return Ok(()) };
        let proven = self.capabilities.evidence(Capability::ExtendedLength) == Some(Evidence::Proven);
        let worth_a_try = self.can(Capability::ShortFileIds) && self.may(Capability::ExtendedLength);
        if !proven && (!worth_a_try || !self.may_experiment) {
            return Ok(());
        }
        let [high, low] = position(bytes.len())?;
        let command = Command::new(0x00, READ_BINARY, high, low).expect(Expected::Extended(wanted));
        let answer = self.exchange(CommandKind::Read, &command);
        let evidence = match &answer {
            Ok(response)
                if response.status() == StatusWord::OK && response.data().len() > usize::from(CHUNK) =>
            {
                Evidence::Proven
            }
            Ok(_) => Evidence::Disproven,
            // The reader failed, or lost the card. The transaction is begun again, and does
            // without.
            Err(_) if !proven => Evidence::Disproven,
            Err(_) => Evidence::Proven,
        };
        self.capabilities.learn(Capability::ExtendedLength, evidence);
        let response = answer?;
        if matches!(response.status().classify(), Status::Ok | Status::EndOfFile) {
            bytes.extend(response.data().iter().take(rest));
        }
        Ok(())
    }
}

/// An offset as READ BINARY has it. Bit 8 of P1 would name a file: offsets end at 32,767, and files
/// before that.
fn position(offset: usize) -> Result<[u8; 2], AppletError> {
    let offset = u16::try_from(offset).map_err(|_| AppletError::Malformed(CommandKind::Read))?;
    Ok(offset.to_be_bytes())
}

/// What was read. The end of the file is no error: the bytes before it come with it.
fn read_data(response: Response) -> Result<Zeroizing<Vec<u8>>, AppletError> {
    match response.status().classify() {
        Status::EndOfFile if !response.data().is_empty() => Ok(response.into_data()),
        Status::Ok => ok(CommandKind::Read, response).map(Response::into_data),
        _ => Err(refused(CommandKind::Read, &response)),
    }
}

/// A file that ends before its certificate does holds none.
fn none_past_the_end(error: AppletError) -> AppletError {
    match error {
        AppletError::Refused { status, .. }
            if matches!(status.classify(), Status::WrongParameters | Status::EndOfFile) =>
        {
            AppletError::NoCertificate
        }
        other => other,
    }
}
