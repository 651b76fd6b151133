//! The terminal of the process, and secrets that are typed at it.
//!
//! No crate for this: those that there are gather what is typed in strings that grow, and leave its
//! beginning behind in freed memory. Here each byte goes from the kernel into a locked page.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::os::SecretPage;

/// The terminal that controls the process.
#[derive(Debug)]
pub struct Terminal(File);

/// A terminal that does not show what is typed, as long as this lives. Ctrl-C and its like send no
/// signal meanwhile: a process that one ended would leave the terminal without echo.
#[derive(Debug)]
pub struct HiddenInput<'a> {
    terminal: &'a Terminal,
    before: libc::termios,
}

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    /// So many bytes, which are the first of the page.
    Bytes(usize),
    /// More than a page holds.
    TooMuch,
    /// Ctrl-C, Ctrl-D, Ctrl-\, or the end of the terminal.
    Cancelled,
}

/// What a key does.
enum Key {
    End,
    Cancel,
    EraseOne,
    EraseAll,
    Byte(u8),
}

impl Terminal {
    /// Opens the terminal.
    ///
    /// # Errors
    /// When the process has none.
    pub fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/tty").map(Self)
    }

    fn show(&self, text: &str) -> io::Result<()> {
        (&self.0).write_all(text.as_bytes())
    }

    /// Turns the echo off. What was typed before is discarded: it was meant for another program,
    /// and sent as a PIN it could cost a try.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn hide_input(&self) -> io::Result<HiddenInput<'_>> {
        let before = self.mode()?;
        let mut hidden = before;
        hidden.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
        // One byte ends a read, and no time does.
        for (index, value) in [(libc::VMIN, 1), (libc::VTIME, 0)] {
            if let Some(place) = hidden.c_cc.get_mut(index) {
                *place = value;
            }
        }
        self.set_mode(&hidden, libc::TCSAFLUSH)?;
        Ok(HiddenInput { terminal: self, before })
    }

    /// One byte; `None` at the end.
    fn read_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        loop {
            match (&self.0).read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(byte.first().copied()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn mode(&self) -> io::Result<libc::termios> {
        let mut mode = MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: the descriptor is open, and `mode` may be written.
        let result = unsafe { libc::tcgetattr(self.0.as_raw_fd(), mode.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has written it, and zeros would be a value too.
        Ok(unsafe { mode.assume_init() })
    }

    fn set_mode(&self, mode: &libc::termios, when: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the mode is one that the system gave, with flags of
        // its own.
        let result = unsafe { libc::tcsetattr(self.0.as_raw_fd(), when, mode) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl HiddenInput<'_> {
    /// Shows `prompt` and reads a line into a page, without its end. Backspace, Ctrl-U and Ctrl-W
    /// erase, and what was erased is wiped. Any other key that is no character stays in the line:
    /// it cannot be the PIN then, and what is left of an arrow or a function key is not sent.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn ask(&self, prompt: &str, page: &mut dyn SecretPage) -> io::Result<Typed> {
        self.terminal.show(prompt)?;
        let typed = self.read_secret(page);
        // The line's end was not shown either.
        self.terminal.show("\n")?;
        typed
    }

    fn read_secret(&self, page: &mut dyn SecretPage) -> io::Result<Typed> {
        let mut length = 0;
        let mut too_much = false;
        while let Some(byte) = self.terminal.read_byte()? {
            match Key::of(byte) {
                Key::End => return Ok(if too_much { Typed::TooMuch } else { Typed::Bytes(length) }),
                Key::Cancel => return Ok(Typed::Cancelled),
                Key::EraseOne => length = erase_character(page.bytes_mut(), length),
                Key::EraseAll => {
                    page.bytes_mut().fill(0);
                    (length, too_much) = (0, false);
                }
                Key::Byte(byte) => match page.bytes_mut().get_mut(length) {
                    Some(place) => {
                        *place = byte;
                        length += 1;
                    }
                    None => too_much = true,
                },
            }
        }
        Ok(Typed::Cancelled)
    }
}

impl Drop for HiddenInput<'_> {
    fn drop(&mut self) {
        let _ = self.terminal.set_mode(&self.before, libc::TCSANOW);
    }
}

impl Key {
    fn of(byte: u8) -> Self {
        match byte {
            b'\n' | b'\r' => Self::End,
            // Ctrl-C, Ctrl-D and Ctrl-\.
            0x03 | 0x04 | 0x1c => Self::Cancel,
            // Backspace, by either of its codes.
            0x08 | 0x7f => Self::EraseOne,
            // Ctrl-U, and Ctrl-W: a PIN is one word.
            0x15 | 0x17 => Self::EraseAll,
            _ => Self::Byte(byte),
        }
    }
}

/// Wipes the last character of the first `length` bytes, and returns how many are left.
fn erase_character(bytes: &mut [u8], length: usize) -> usize {
    let mut left = length;
    while let Some(byte) = left.checked_sub(1).and_then(|last| bytes.get_mut(last)) {
        let continues = *byte & 0xc0 == 0x80;
        *byte = 0;
        left -= 1;
        if !continues {
            break;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::erase_character;

    #[test]
    fn a_character_is_erased_with_all_its_bytes() {
        let mut bytes = "1ＡB".as_bytes().to_vec();
        assert_eq!(erase_character(&mut bytes, 5), 4);
        assert_eq!(erase_character(&mut bytes, 4), 1);
        assert_eq!(bytes, b"1\0\0\0\0");
        assert_eq!(erase_character(&mut bytes, 1), 0);
        assert_eq!(erase_character(&mut bytes, 0), 0);
    }
}
