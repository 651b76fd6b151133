//! READ BINARY: by the current file or a short id, and how a file ends.

use crate::apdu::{Command, sw};
use crate::applet::{Applet, Processed, Refusal, exact_length};
use crate::behaviour::{EndOfFile, FileAnswer, LongRead};
use crate::files::{Access, File};

impl Applet {
    pub(crate) fn read_binary(&mut self, command: &Command<'_>) -> Result<Processed, Refusal> {
        let by_short_id = command.p1 & 0x80 != 0;
        let (id, offset) = if by_short_id {
            (self.short_id(command.p1, self.profile.short_read_refusal)?, usize::from(command.p2))
        } else {
            let offset = usize::from(u16::from_be_bytes([command.p1, command.p2]));
            (self.current_file.ok_or(sw::NO_CURRENT_FILE)?, offset)
        };
        let answer = self.file_answer(id);
        let File::Transparent { content, access } = self.file(id).ok_or(sw::FILE_NOT_FOUND)? else {
            return Err(sw::WRONG_FILE_TYPE);
        };
        if let FileAnswer::Refused(status) | FileAnswer::ReadRefused(status) = answer {
            return Err(status);
        }
        if matches!(access, Access::Pin(credential) if !self.pins.is_verified(*credential)) {
            return Err(sw::NOT_VERIFIED);
        }
        let expected = command.expected.filter(|_| command.data.is_empty()).ok_or(sw::WRONG_LENGTH)?;
        let mut processed =
            self.read_on(content.get(offset..).unwrap_or_default(), expected, command.extended)?;
        if answer == FileAnswer::Warning && !processed.data.is_empty() {
            processed.status = sw::END_OF_FILE_WARNING;
        }
        if !by_short_id || self.profile.short_read_selects {
            self.current_file = Some(id);
        }
        Ok(processed)
    }

    /// Reads from the beginning of `rest`, with which the file ends.
    fn read_on(&self, rest: &[u8], expected: usize, extended: bool) -> Result<Processed, Refusal> {
        let end = self.profile.end_of_file;
        if rest.is_empty() && end == EndOfFile::Refusal {
            return Err(sw::PAST_THE_END);
        }
        if self.profile.insists_on_exact_length && !rest.is_empty() && expected > rest.len() {
            return Err(exact_length(rest.len()));
        }
        let most = match self.profile.long_read {
            LongRead::AtMost(most) => usize::from(most),
            LongRead::Stepwise(first, _) if expected > usize::from(first) => usize::from(first),
            LongRead::Stepwise(_, second) => usize::from(second),
            LongRead::Works | LongRead::ReaderFails => expected,
        };
        if !extended && expected > most && rest.len() > most {
            return Err(exact_length(most));
        }
        let warns = expected > rest.len() && end == EndOfFile::Warning;
        let status = if warns { sw::END_OF_FILE_WARNING } else { sw::OK };
        let data = rest[..rest.len().min(expected)].to_vec();
        Ok(Processed { data, status, ..Processed::default() })
    }
}
