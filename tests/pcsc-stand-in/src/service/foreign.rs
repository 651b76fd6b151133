//! Other programs at the same readers: a browser, scdaemon, a second user of the card.
//!
//! What they do is not recorded among the calls of the program under test, and no fault hits them.
//! File ids and commands are spelled here once more, so that a wrong constant elsewhere shows.

use std::ffi::CStr;

use super::active_call::PowerChange;
use super::code::{Code, Disposition, ShareMode, protocol};
use super::journal::{Caller, Function};
use super::{CardHandle, ContextHandle, Service};

const PROTOCOLS: u32 = protocol::T0 | protocol::T1;

/// Another program, with a context of its own; dropped, it is gone, and a card in a transaction of
/// its is reset.
pub struct Foreign {
    service: Service,
    context: Option<ContextHandle>,
}

/// A connection of another program; dropped, it leaves the card as it is.
pub struct ForeignCard {
    service: Service,
    // Before `program` is gone the connection must be.
    card: CardHandle,
    _program: Foreign,
}

impl Service {
    /// Another program. When the service is dead it can do nothing.
    #[must_use]
    pub fn foreign(&self) -> Foreign {
        Foreign { service: self.clone(), context: self.new_context(Caller::Foreign).ok() }
    }
}

impl Foreign {
    /// Connects, shared with others.
    ///
    /// # Errors
    /// As [`Service::connect`].
    pub fn connect(self, reader: &CStr) -> Result<ForeignCard, Code> {
        self.open(reader, ShareMode::Shared)
    }

    /// Connects and keeps other programs out, as scdaemon does.
    ///
    /// # Errors
    /// As [`Service::connect`].
    pub fn connect_exclusive(self, reader: &CStr) -> Result<ForeignCard, Code> {
        self.open(reader, ShareMode::Exclusive)
    }

    /// Connects and begins a transaction; it ends when the result is dropped.
    ///
    /// # Errors
    /// As [`Service::connect`] and [`Service::begin_transaction`].
    pub fn hold_transaction(self, reader: &CStr) -> Result<ForeignCard, Code> {
        let card = self.connect(reader)?;
        card.begin()?;
        Ok(card)
    }

    fn open(self, reader: &CStr, share: ShareMode) -> Result<ForeignCard, Code> {
        let context = self.context.ok_or(Code::NO_SERVICE)?;
        let (card, _) = self.service.connect(context, reader, share, PROTOCOLS)?;
        Ok(ForeignCard { service: self.service.clone(), card, _program: self })
    }

    /// See [`Service::disturb`].
    pub(super) fn disturb(&self, reader: &CStr) {
        let Some(context) = self.context else { return };
        // A card that is gone cannot be disturbed.
        let _ = self.service.call(Function::Control, context, |call, _| {
            let id = call.reader_named(reader).ok_or(Code::UNKNOWN_READER)?.id;
            call.apply_power(id, PowerChange::Reset)
        });
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(context) = self.context {
            let _ = self.service.release_context(context);
        }
    }
}

impl ForeignCard {
    /// One exchange.
    ///
    /// # Errors
    /// As [`Service::transmit`].
    pub fn transmit(&self, command: &[u8]) -> Result<Vec<u8>, Code> {
        self.despite_resets(|| self.service.transmit(self.card, protocol::T1, command, 65_538))
            .map(|sent| sent.answer)
    }

    /// SELECT by AID; the status word.
    ///
    /// # Errors
    /// As [`Service::transmit`].
    pub fn select(&self, aid: &[u8]) -> Result<u16, Code> {
        self.transmit(&command(&[0x00, 0xa4, 0x04, 0x0c], aid)).map(|answer| status_word(&answer))
    }

    /// SELECT of the JPKI application.
    ///
    /// # Errors
    /// As [`Service::transmit`].
    pub fn select_jpki(&self) -> Result<u16, Code> {
        self.select(&[0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01])
    }

    /// VERIFY of a PIN in the current application: 0x0018 authentication, 0x001b signature.
    ///
    /// # Errors
    /// As [`Service::transmit`].
    pub fn verify(&self, pin_ef: u16, pin: &[u8]) -> Result<u16, Code> {
        self.transmit(&command(&[0x00, 0xa4, 0x02, 0x0c], &pin_ef.to_be_bytes()))?;
        let status = status_word(&self.transmit(&command(&[0x00, 0x20, 0x00, 0x80], pin))?);
        if matches!(status, 0x63c0..=0x63cf | 0x6983 | 0x6984) {
            self.service.lock().journal.count_foreign_failed_verify(pin_ef);
        }
        Ok(status)
    }

    /// A signature in the current application: key 0x0017 authentication, 0x001a signature. The
    /// whole answer.
    ///
    /// # Errors
    /// As [`Service::transmit`].
    pub fn sign(&self, key_ef: u16, data: &[u8]) -> Result<Vec<u8>, Code> {
        self.transmit(&command(&[0x00, 0xa4, 0x02, 0x0c], &key_ef.to_be_bytes()))?;
        let mut apdu = command(&[0x80, 0x2a, 0x00, 0x80], data);
        apdu.push(0x00);
        self.transmit(&apdu)
    }

    /// Begins a transaction; waits while the program under test has one.
    ///
    /// # Errors
    /// As [`Service::begin_transaction`].
    pub fn begin(&self) -> Result<(), Code> {
        self.despite_resets(|| self.service.begin_transaction(self.card))
    }

    /// Tries again after each reset: with several other programs the next may come right after the
    /// reconnection, or without a notice of its own.
    fn despite_resets<T>(&self, attempt: impl Fn() -> Result<T, Code>) -> Result<T, Code> {
        loop {
            let outcome = attempt();
            if !matches!(outcome, Err(Code::RESET_CARD | Code::PROTO_MISMATCH)) {
                return outcome;
            }
            self.service.reconnect(self.card, ShareMode::Shared, PROTOCOLS, Disposition::Leave)?;
        }
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// As [`Service::end_transaction`].
    pub fn end(&self, disposition: Disposition) -> Result<(), Code> {
        self.service.end_transaction(self.card, disposition)
    }

    /// Ends the connection and does something to the card; waits while the program under test has a
    /// transaction.
    ///
    /// # Errors
    /// As [`Service::disconnect`].
    pub fn disconnect(&self, disposition: Disposition) -> Result<(), Code> {
        self.service.disconnect(self.card, disposition)
    }
}

impl Drop for ForeignCard {
    fn drop(&mut self) {
        let _ = self.service.end_transaction(self.card, Disposition::Leave);
        // INVALID_HANDLE after `disconnect`.
        let _ = self.service.disconnect(self.card, Disposition::Leave);
    }
}

fn command(header: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut apdu = header.to_vec();
    apdu.push(u8::try_from(data.len()).expect("a short command"));
    apdu.extend_from_slice(data);
    apdu
}

fn status_word(answer: &[u8]) -> u16 {
    match answer {
        [.., sw1, sw2] => u16::from_be_bytes([*sw1, *sw2]),
        _ => 0,
    }
}
