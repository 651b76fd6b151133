//! The service's rules, one by one.

mod disturbances;
mod readers;
mod sharing;

use std::ffi::CStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{CardHandle, ContextHandle, Disposition, Service, ShareMode, protocol};
use crate::icc::{Exchange, Icc};

const READER: &CStr = c"Virtual Reader 00 00";
const ANY: u32 = protocol::T0 | protocol::T1;
const COMMAND: &[u8] = &[0x00, 0xa4, 0x00, 0x00];

/// A card that remembers what was done to it.
#[derive(Default)]
struct Witness(Mutex<Vec<&'static str>>);

impl Witness {
    fn events(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn note(&self, event: &'static str) {
        self.0.lock().unwrap().push(event);
    }
}

impl Icc for Witness {
    fn power_on(&self) -> Option<Vec<u8>> {
        self.note("on");
        Some(vec![0x3b, 0x00])
    }

    fn power_off(&self) {
        self.note("off");
    }

    fn warm_reset(&self) -> Option<Vec<u8>> {
        self.note("reset");
        Some(vec![0x3b, 0x00])
    }

    fn transmit(&self, _command: &[u8]) -> Exchange {
        self.note("command");
        Exchange::Answer(vec![0x90, 0x00])
    }
}

/// A service of one reader with a card.
fn service() -> (Service, Arc<Witness>) {
    let service = Service::new();
    let card = Arc::new(Witness::default());
    service.add_reader(READER);
    service.insert(READER, card.clone());
    card.events();
    (service, card)
}

fn client(service: &Service) -> (ContextHandle, CardHandle) {
    let context = service.establish_context().unwrap();
    let (card, _) = service.connect(context, READER, ShareMode::Shared, ANY).unwrap();
    (context, card)
}

fn reconnect(service: &Service, card: CardHandle) -> Result<u32, super::Code> {
    service.reconnect(card, ShareMode::Shared, ANY, Disposition::Leave)
}
