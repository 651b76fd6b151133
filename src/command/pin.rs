//! PINs as they are typed. They come from the terminal alone: never from an argument, the
//! environment or a pipe.

use jpki_pkcs11::jpki::pin::PinEntry;
use jpki_pkcs11::os::{HiddenInput, LockedMemory, SecretMemory, SecretPage, Terminal, Typed};

/// What was typed, in a page that is locked and wiped.
pub(crate) struct Secret {
    page: Box<dyn SecretPage>,
    /// `None` for more than the page holds.
    length: Option<usize>,
}

/// Why there is no PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPin {
    /// The user has cancelled, or typed nothing.
    Cancelled,
    /// The terminal is gone.
    NoTerminal,
    /// There is no memory for a PIN.
    NoMemory,
}

/// Asks at the terminal, where nothing that is typed is shown meanwhile.
pub(crate) fn at_terminal<T>(ask: impl FnOnce(&HiddenInput<'_>) -> Result<T, NoPin>) -> Result<T, NoPin> {
    let terminal = Terminal::open().map_err(|_| NoPin::NoTerminal)?;
    let input = terminal.hide_input().map_err(|_| NoPin::NoTerminal)?;
    ask(&input)
}

impl Secret {
    /// Asks for a PIN.
    pub(crate) fn ask(input: &HiddenInput<'_>, prompt: &str) -> Result<Self, NoPin> {
        let mut page = LockedMemory.page().ok_or(NoPin::NoMemory)?;
        let length = match input.ask(prompt, &mut *page).map_err(|_| NoPin::NoTerminal)? {
            Typed::Bytes(0) | Typed::Cancelled => return Err(NoPin::Cancelled),
            Typed::Bytes(length) => Some(length),
            Typed::TooMuch => None,
        };
        Ok(Self { page, length })
    }

    /// As an argument of the module.
    pub(crate) fn entry(&self) -> PinEntry<'_> {
        let length = self.length.filter(|length| *length <= PinEntry::MAX_BYTES);
        let bytes = length.and_then(|length| self.page.bytes().get(..length));
        bytes.map_or(PinEntry::TooLong, PinEntry::Bytes)
    }

    /// Whether the same was typed twice.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.length.is_some() && self.length == other.length && self.page.bytes() == other.page.bytes()
    }
}
