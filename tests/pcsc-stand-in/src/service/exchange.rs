//! What a connection is for: transactions, exchanges, the card's state, attributes.

use std::cell::Cell;
use std::ffi::CString;

use super::active_call::{ActiveCall, PowerChange};
use super::code::{Code, Disposition, protocol};
use super::connection::wait_for_others;
use super::journal::Function;
use super::reader::{Inserted, Latched, ReaderId};
use super::{CardHandle, Service};
use crate::icc::Exchange;

/// SCARD_ATTR_VENDOR_NAME
const VENDOR_NAME: u64 = 0x0001_0100;
/// SCARD_ATTR_ATR_STRING
const ATR_STRING: u64 = 0x0009_0303;
/// SCARD_ATTR_DEVICE_FRIENDLY_NAME
const DEVICE_FRIENDLY_NAME: u64 = 0x7fff_0003;
/// SCARD_ATTR_DEVICE_SYSTEM_NAME
const DEVICE_SYSTEM_NAME: u64 = 0x7fff_0004;
/// CM_IOCTL_GET_FEATURE_REQUEST
const GET_FEATURE_REQUEST: u64 = 0x4200_0d48;

/// What SCardTransmit brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmitted {
    /// The response APDU.
    pub answer: Vec<u8>,
    /// The length that is reported: that of the answer, unless a fault says otherwise.
    pub reported: u64,
}

/// What SCardStatus tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardStatus {
    /// The reader's name.
    pub reader: CString,
    /// `SCARD_PRESENT` and its like; the number of events in the upper half.
    pub state: u32,
    /// The protocol.
    pub protocol: u32,
    /// The answer to reset.
    pub atr: Vec<u8>,
}

impl Service {
    /// SCardBeginTransaction. Waits without limit while another connection has a transaction.
    ///
    /// # Errors
    /// INVALID_HANDLE, RESET_CARD, REMOVED_CARD, READER_UNAVAILABLE, NO_SERVICE.
    pub fn begin_transaction(&self, card: CardHandle) -> Result<(), Code> {
        self.card_call(Function::BeginTransaction, card, |call, _| {
            let id = call.reader_of(card)?.id;
            call.check_event(card)?;
            let blocked = |state: &super::State| {
                state.connections.get(&card).is_some_and(|connection| connection.latched.is_none())
                    && state.reader(id).is_some_and(|reader| reader.is_locked_against(card))
            };
            if blocked(call) {
                call.step_aside_while(blocked)?;
                call.reader_of(card)?;
                call.check_event(card)?;
            }
            call.reader_of(card)?.lock(card);
            Ok(())
        })
    }

    /// SCardEndTransaction. A reset or the loss of power is told to this connection as well, as the
    /// service does it. On any error before that, the transaction goes on.
    ///
    /// # Errors INVALID_HANDLE, RESET_CARD, REMOVED_CARD, NOT_TRANSACTED without a transaction,
    /// SHARING_VIOLATION, NO_SERVICE.
    pub fn end_transaction(&self, card: CardHandle, disposition: Disposition) -> Result<(), Code> {
        self.card_call(Function::EndTransaction, card, |call, _| {
            let reader = call.reader_of(card)?;
            let (id, foreign) = (reader.id, reader.is_locked_against(card));
            call.check_event(card)?;
            if foreign {
                return Err(Code::SHARING_VIOLATION);
            }
            let powered = match disposition {
                Disposition::Reset => call.change_power(id, PowerChange::Reset),
                Disposition::Unpower => call.change_power(id, PowerChange::Cycle),
                Disposition::Leave | Disposition::Eject => Ok(()),
            };
            let unlocked = call.reader_mut(id).is_some_and(|reader| reader.unlock());
            let ended = if unlocked { Ok(()) } else { Err(Code::NOT_TRANSACTED) };
            call.announce();
            powered.and(ended)
        })
    }

    /// SCardTransmit. Waits while another connection has a transaction.
    ///
    /// # Errors Every way an exchange can fail; INSUFFICIENT_BUFFER when the answer does not fit in
    /// `room`, after the card has carried the command out.
    pub fn transmit(
        &self,
        card: CardHandle,
        wanted_protocol: u32,
        command: &[u8],
        room: usize,
    ) -> Result<Transmitted, Code> {
        self.transmit_telling(card, wanted_protocol, command, room, &Cell::new(0))
    }

    /// The same, and tells how long the answer is, also when it does not fit.
    pub(crate) fn transmit_telling(
        &self,
        card: CardHandle,
        wanted_protocol: u32,
        command: &[u8],
        room: usize,
        needed: &Cell<usize>,
    ) -> Result<Transmitted, Code> {
        self.card_call(Function::Transmit, card, |call, distortion| {
            if room < 2 {
                return Err(Code::INSUFFICIENT_BUFFER);
            }
            let id = call.reader_of(card)?.id;
            wait_for_others(call, id, card)?;
            let (reader_protocol, present) = {
                let reader = call.reader_of(card)?;
                (reader.protocol, reader.card.is_some())
            };
            call.check_event(card)?;
            if wanted_protocol != protocol::RAW && !present {
                return Err(Code::NO_SMARTCARD);
            }
            let any = [protocol::RAW, protocol::ANY_OLD].contains(&wanted_protocol);
            if !any && wanted_protocol != reader_protocol {
                return Err(Code::PROTO_MISMATCH);
            }
            let answer = match distortion.answer {
                Some(answer) => answer,
                None => exchange(call, id, command)?,
            };
            needed.set(answer.len());
            if distortion.length.is_none() && answer.len() > room {
                return Err(Code::INSUFFICIENT_BUFFER);
            }
            let length = u64::try_from(answer.len()).unwrap_or(u64::MAX);
            Ok(Transmitted { answer, reported: distortion.length.unwrap_or(length) })
        })
    }

    /// SCardStatus. Waits while another connection has a transaction.
    ///
    /// # Errors
    /// INVALID_HANDLE, RESET_CARD, REMOVED_CARD, READER_UNAVAILABLE, NO_SERVICE.
    pub fn status(&self, card: CardHandle) -> Result<CardStatus, Code> {
        self.card_call(Function::Status, card, |call, distortion| {
            let id = call.reader_of(card)?.id;
            wait_for_others(call, id, card)?;
            call.check_event(card)?;
            let reader = call.reader_of(card)?;
            Ok(CardStatus {
                reader: reader.name.clone(),
                state: reader.status() | (reader.events << 16),
                protocol: distortion.protocol.unwrap_or(reader.protocol),
                atr: reader.atr().to_vec(),
            })
        })
    }

    /// SCardControl: the reader has no features and knows no other code.
    ///
    /// # Errors
    /// UNSUPPORTED_FEATURE, and whatever a connection can be told.
    pub fn control(&self, card: CardHandle, code: u64) -> Result<Vec<u8>, Code> {
        self.card_call(Function::Control, card, |call, _| {
            let id = call.reader_of(card)?.id;
            wait_for_others(call, id, card)?;
            call.reader_of(card)?;
            if code == GET_FEATURE_REQUEST { Ok(Vec::new()) } else { Err(Code::UNSUPPORTED_FEATURE) }
        })
    }

    /// SCardGetAttrib.
    ///
    /// # Errors UNSUPPORTED_FEATURE for an attribute the reader does not have, and whatever a
    /// connection can be told.
    pub fn attribute(&self, card: CardHandle, attribute: u64) -> Result<Vec<u8>, Code> {
        self.card_call(Function::GetAttrib, card, |call, _| {
            let id = call.reader_of(card)?.id;
            wait_for_others(call, id, card)?;
            call.check_event(card)?;
            let reader = call.reader_of(card)?;
            match attribute {
                VENDOR_NAME => Ok(b"Stand-in\0".to_vec()),
                ATR_STRING => Ok(reader.atr().to_vec()),
                DEVICE_FRIENDLY_NAME | DEVICE_SYSTEM_NAME => Ok(reader.name.as_bytes_with_nul().to_vec()),
                _ => Err(Code::UNSUPPORTED_FEATURE),
            }
        })
    }

    /// SCardSetAttrib: no attribute can be set.
    ///
    /// # Errors
    /// Always; UNSUPPORTED_FEATURE when nothing else is wrong.
    pub fn set_attribute(&self, card: CardHandle) -> Result<(), Code> {
        self.card_call(Function::SetAttrib, card, |call, _| {
            call.reader_of(card)?;
            call.check_event(card)?;
            Err(Code::UNSUPPORTED_FEATURE)
        })
    }
}

/// One exchange with the card itself.
fn exchange(call: &mut ActiveCall<'_>, id: ReaderId, command: &[u8]) -> Result<Vec<u8>, Code> {
    let removed = call.quirks.removed_in_transmit();
    let done = call.on_card(id, |icc| icc.transmit(command));
    if call.is_cut_off() {
        return Err(call.quirks.cut_off());
    }
    match done {
        Some(Exchange::Answer(answer)) => Ok(answer),
        Some(Exchange::Failed(code)) => Err(code),
        Some(Exchange::Reset) => {
            call.latch(id, Latched::Reset);
            call.announce();
            Err(call.quirks.told(Latched::Reset))
        }
        Some(Exchange::Removed) => {
            let quirks = call.quirks;
            let taken = call.reader_mut(id).and_then(|reader| Some((reader.card.take()?, reader)));
            if let Some((Inserted { icc, .. }, reader)) = taken {
                reader.count_event(quirks);
                reader.transaction = None;
                reader.protocol = protocol::UNDEFINED;
                call.latch(id, Latched::Removed);
                call.announce();
                if let Some(absence) = icc.returns_in() {
                    call.bring_back(id, icc, absence);
                }
            }
            Err(removed)
        }
        None if call.reader(id).is_none() => Err(call.quirks.unplugged),
        None => Err(removed),
    }
}
