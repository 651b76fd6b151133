//! The same card in a reader of the simulated PC/SC service, for the module as C programs load it:
//! everything below its transport layer is the real thing, down to the calls of `libpcsclite.so.1`.

use std::ffi::CStr;
use std::sync::Arc;

use jpki_pkcs11::transport::calls;
use pcsc_stand_in::command::Console;
use pcsc_stand_in::icc::{Exchange, Icc};
use pcsc_stand_in::service::{Code, Service};

use crate::card::{NOT_TRANSACTED, Reader};

const READER: &CStr = c"Reader";

/// The only reader of the service.
pub struct Slot {
    service: Service,
    card: Reader,
}

impl Slot {
    /// The reader, with this card in it.
    pub fn with(card: Reader) -> Self {
        let service = Console::of_this_process().service().clone();
        service.add_reader(READER);
        service.insert(READER, Arc::new(card.clone()));
        Self { service, card }
    }

    /// What happens to the card.
    pub fn card(&self) -> &Reader {
        &self.card
    }

    /// Takes the card out or puts it in again.
    pub fn turn(&self) {
        if self.service.remove_card(READER).is_none() {
            self.service.insert(READER, Arc::new(self.card.clone()));
        }
    }

    /// Another program resets the card.
    pub fn reset(&self) {
        self.service.disturb(READER);
    }

    /// Nothing of the module is left at the service.
    pub fn must_be_left_alone(&self) {
        assert_eq!(self.service.open_handles(), (0, 0), "contexts and connections are left");
    }
}

impl Icc for Reader {
    fn power_on(&self) -> Option<Vec<u8>> {
        let card = self.card();
        card.power_on();
        Some(card.atr())
    }

    fn power_off(&self) {
        self.card().power_off();
    }

    fn warm_reset(&self) -> Option<Vec<u8>> {
        let card = self.card();
        card.warm_reset();
        Some(card.atr())
    }

    fn transmit(&self, command: &[u8]) -> Exchange {
        match self.exchange(command) {
            // The transport waits to see whether a card that answers nothing is being pulled.
            Ok(answer) if answer.is_empty() => Exchange::Answer(vec![0x90]),
            Ok(answer) => Exchange::Answer(answer),
            Err(calls::Code::REMOVED_CARD) => {
                self.card().remove();
                Exchange::Removed
            }
            Err(calls::Code::RESET_CARD) => {
                self.card().warm_reset();
                Exchange::Reset
            }
            // After this the transport waits as well.
            Err(NOT_TRANSACTED) => Exchange::Failed(Code::SHARING_VIOLATION),
            Err(code) => Exchange::Failed(Code::new(code.raw())),
        }
    }

    fn put_in(&self) -> Option<Vec<u8>> {
        self.card().insert();
        Icc::power_on(self)
    }

    fn taken_out(&self) {
        self.card().remove();
    }
}
