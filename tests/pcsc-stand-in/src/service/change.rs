//! SCardGetStatusChange.

use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use super::active_call::ActiveCall;
use super::code::{Code, state};
use super::journal::Function;
use super::reader::Reader;
use super::{ContextHandle, Notification, Service, State};

/// The name that stands for "any reader comes or goes".
pub const PNP_NOTIFICATION: &CStr = c"\\\\?PnP?\\Notification";

/// `SCARD_READERSTATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderState {
    /// Which reader, or [`PNP_NOTIFICATION`].
    pub name: CString,
    /// What the client knows.
    pub current: u32,
    /// What is.
    pub event: u32,
    /// The answer to reset of the card.
    pub atr: Vec<u8>,
}

impl ReaderState {
    /// A reader of which nothing is known.
    #[must_use]
    pub fn unaware(name: &CStr) -> Self {
        Self { name: name.to_owned(), current: state::UNAWARE, event: 0, atr: Vec::new() }
    }

    /// How many insertions and removals there were.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.event >> 16
    }

    fn is_pnp(&self) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(PNP_NOTIFICATION.to_bytes())
    }
}

impl Service {
    /// SCardGetStatusChange: returns when something is not as the client knows it. `None` waits
    /// without limit. The context serves nothing but [`Service::cancel`] meanwhile.
    ///
    /// # Errors TIMEOUT, CANCELLED, UNKNOWN_READER for a reader that is not there at the start,
    /// INVALID_HANDLE, NO_SERVICE.
    pub fn get_status_change(
        &self,
        context: ContextHandle,
        timeout: Option<Duration>,
        readers: &mut [ReaderState],
    ) -> Result<(), Code> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.recorded(Function::GetStatusChange, Some(context), |_| {
            if readers.iter().all(|reader| reader.current & state::IGNORE != 0) {
                return Ok(());
            }
            // Not recorded twice: the call below is the inside of this one.
            self.on_context(context, Function::GetStatusChange, |call| {
                watch(call, context, deadline, readers)
            })
        })
    }
}

fn watch(
    call: &mut ActiveCall<'_>,
    context: ContextHandle,
    deadline: Option<Instant>,
    readers: &mut [ReaderState],
) -> Result<(), Code> {
    for reader in readers.iter_mut() {
        reader.event = 0;
        let refuses_pnp = call.quirks.notification == Notification::Refused;
        if (!reader.is_pnp() || refuses_pnp) && call.reader_named(&reader.name).is_none() {
            return Err(Code::UNKNOWN_READER);
        }
    }
    let count = call.readers.len();
    if !look(call, count, readers) {
        if let Some(context) = call.contexts.get_mut(&context) {
            context.cancellable = true;
            context.cancelled = false;
        }
        let waited = call.wait_while_until(deadline, |state| {
            let cancelled = state.contexts.get(&context).is_none_or(|context| context.cancelled);
            !cancelled && !look(state, count, &mut readers.to_vec())
        });
        let cancelled = call.contexts.get_mut(&context).is_some_and(|context| {
            context.cancellable = false;
            std::mem::take(&mut context.cancelled)
        });
        if cancelled {
            return Err(Code::CANCELLED);
        }
        if !waited? {
            look(call, count, readers);
            return Err(Code::TIMEOUT);
        }
        look(call, count, readers);
    }
    Ok(())
}

/// Fills in what is, and says whether any of it is new.
fn look(service: &State, count: usize, readers: &mut [ReaderState]) -> bool {
    let mut changed = false;
    for reader in readers.iter_mut().filter(|reader| reader.current & state::IGNORE == 0) {
        let there = service.readers.iter().find(|candidate| candidate.name == reader.name);
        let news = match there {
            None if reader.is_pnp() && service.quirks.is_macos => {
                reader.event = state::UNKNOWN;
                false
            }
            None if reader.is_pnp() && service.quirks.notification == Notification::Told => {
                reader.event = 0;
                service.readers.len() != count
            }
            None => {
                reader.event = state::UNKNOWN | state::UNAVAILABLE;
                reader.current & state::UNKNOWN == 0
            }
            Some(there) => {
                reader.event = there.event_state();
                reader.atr = there.atr().to_vec();
                is_new(there, reader.current)
            }
        };
        if news {
            reader.event |= state::CHANGED;
        }
        changed |= news;
    }
    changed
}

/// Whether a reader is not as a client knows it. What the client does not mention is not compared.
fn is_new(reader: &Reader, current: u32) -> bool {
    let event = reader.event_state();
    let opposite = |known: u32, now: u32| current & known != 0 && event & now != 0;
    let unused = event & (state::INUSE | state::EXCLUSIVE) == 0;
    current == state::UNAWARE
        || current & (state::UNKNOWN | state::UNAVAILABLE) != 0
        || (current >> 16 != 0 && current >> 16 != event >> 16)
        || opposite(state::PRESENT, state::EMPTY)
        || opposite(state::EMPTY, state::PRESENT)
        || (event & state::PRESENT != 0 && (current ^ event) & state::MUTE != 0)
        || opposite(state::INUSE, state::EXCLUSIVE)
        || opposite(state::EXCLUSIVE, state::INUSE)
        || (unused && current & (state::INUSE | state::EXCLUSIVE) != 0)
}
