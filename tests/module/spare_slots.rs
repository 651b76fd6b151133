//! Slots for a reader or a service that comes after the program has read the list.
//!
//! Chromium and LibreOffice read the list once, and then ask each slot of it whether a token is
//! there. Firefox reads the list again and again.

mod events;

use std::ffi::CStr;
use std::sync::Arc;

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::SlotId;
use jpki_pkcs11::jpki::pin::PinEntry;
use jpki_pkcs11::module::Module;
use pcsc_stand_in::icc::FixedAnswerCard;
use pcsc_stand_in::service::{Code, Fault, Function, Service, When};
use virtual_card::{Identity, Profile, VirtualCard};

use crate::support::calls::rv;
use crate::support::fixture::{AUTH_PIN, READER};
use crate::support::memory::{TestMemory, process_memory};
use crate::support::simulated_pcsc::SimulatedPcsc;

const OTHER_MAKE: &CStr = c"Another Make 00 00";
const SECOND: &CStr = c"Virtual Reader 01 00";

/// A service without readers, and a module that has not asked it yet.
struct SpareFixture {
    service: Service,
    module: Module,
}

impl SpareFixture {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let service = Service::new();
        let module = start(&service, config);
        Self { service, module }
    }

    /// What a program does at its start, as NSS does: it reads the list, and asks each slot.
    fn start_host(&self) -> Vec<SlotId> {
        let count = self.module.count_slots(false).unwrap();
        let slots = self.module.list_slots(false).unwrap();
        assert_eq!(slots.len(), count);
        for slot in &slots {
            self.module.slot_info(*slot).unwrap();
        }
        slots
    }

    /// The slots with a token, as a program sees that has read the list before.
    fn with_token(&self, slots: &[SlotId]) -> Vec<u64> {
        let with_token = slots.iter().filter(|slot| self.has_token(**slot));
        with_token.map(|slot| slot.raw()).collect()
    }

    fn has_token(&self, slot: SlotId) -> bool {
        self.module.slot_info(slot).unwrap().flags & ck::CKF_TOKEN_PRESENT != 0
    }

    fn description(&self, slot: SlotId) -> String {
        let text = self.module.slot_info(slot).unwrap().slotDescription;
        String::from_utf8(text.to_vec()).unwrap().trim_end().to_owned()
    }

    fn logs_in(&self, slot: SlotId) {
        let session = self.module.open_session(slot, ck::CKF_SERIAL_SESSION).unwrap();
        self.module.login(session, ck::CKU_USER, PinEntry::Bytes(AUTH_PIN)).unwrap();
        self.module.close_session(session).unwrap();
    }

    /// Plugs a reader in.
    fn plug(&self, reader: &CStr, card: Option<&VirtualCard>) {
        self.service.add_reader(reader);
        if let Some(card) = card {
            self.service.insert(reader, Arc::new(card.clone()));
        }
    }

    /// Plugs in a token that is no JPKI card.
    fn plug_other_make(&self) {
        self.service.add_reader(OTHER_MAKE);
        let card = FixedAnswerCard { atr: vec![0x3b, 0x00], answer: vec![0x6a, 0x82] };
        self.service.insert(OTHER_MAKE, Arc::new(card));
    }

    /// Every event there is, without a wait.
    fn events(&self) -> Vec<u64> {
        let next = || self.module.wait_for_slot_event(false).ok().map(SlotId::raw);
        std::iter::from_fn(next).collect()
    }
}

impl Drop for SpareFixture {
    fn drop(&mut self) {
        self.module.shut_down();
    }
}

fn start(service: &Service, config: Config) -> Module {
    let calls = Arc::new(SimulatedPcsc::new(service.clone()));
    Module::new(config, calls, Arc::<TestMemory>::default(), process_memory())
}

fn ids(slots: &[SlotId]) -> Vec<u64> {
    slots.iter().map(|slot| slot.raw()).collect()
}

#[test]
fn without_a_reader_there_is_a_pair_of_slots_without_a_token() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    assert_eq!(ids(&slots), [0, 1]);
    assert_eq!(fixture.description(slots[0]), "Authentication, a reader that comes later");
    assert_eq!(fixture.description(slots[1]), "Signature, a reader that comes later");
    for slot in slots {
        let code = ck::CKR_TOKEN_NOT_PRESENT;
        assert_eq!(rv(fixture.module.token_info(slot)), code);
        assert_eq!(rv(fixture.module.mechanism_list(slot)), code);
        assert_eq!(rv(fixture.module.open_session(slot, ck::CKF_SERIAL_SESSION)), code);
    }
    assert_eq!(fixture.module.count_slots(true), Ok(0));
    assert_eq!(fixture.start_host().len(), 2, "there is one such pair");
}

#[test]
fn the_reader_that_comes_later_takes_the_spare_pair() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
    assert_eq!(fixture.description(slots[0]), "Authentication, Virtual Reader 00 00");
    fixture.logs_in(slots[0]);
    assert_eq!(ids(&fixture.start_host()), [0, 1], "no other spare pair is made");
}

#[test]
fn any_function_of_a_spare_slot_finds_the_reader() {
    type Ask = fn(&Module, SlotId) -> ck::CK_RV;
    let functions: [Ask; 3] = [
        |module, slot| rv(module.token_info(slot)),
        |module, slot| rv(module.mechanism_list(slot)),
        |module, slot| rv(module.open_session(slot, ck::CKF_SERIAL_SESSION)),
    ];
    for function in functions {
        let fixture = SpareFixture::new();
        let slots = fixture.start_host();
        fixture.plug(READER, Some(&VirtualCard::full()));
        assert_eq!(function(&fixture.module, slots[1]), ck::CKR_OK);
    }
}

#[test]
fn a_reader_may_come_before_its_card() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug(READER, None);
    assert_eq!(fixture.with_token(&slots), []);
    fixture.service.insert(READER, Arc::new(VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
}

#[test]
fn a_service_may_come_after_the_program() {
    for code in [Code::NO_SERVICE, Code::SERVICE_STOPPED] {
        let fixture = SpareFixture::new();
        fixture.service.inject(Function::EstablishContext, When::ALWAYS, Fault::Fail(code));
        let slots = fixture.start_host();
        assert_eq!(fixture.with_token(&slots), []);
        fixture.service.clear_faults();
        assert_eq!(fixture.with_token(&slots), []);
        fixture.plug(READER, Some(&VirtualCard::full()));
        assert_eq!(fixture.with_token(&slots), [0, 1]);
    }
}

#[test]
fn a_token_of_another_make_does_not_take_the_spare_pair() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug_other_make();
    for _ in 0..5 {
        assert_eq!(fixture.with_token(&slots), []);
    }
    assert!(fixture.service.calls(Function::Transmit) <= 2, "it is asked once");
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
    assert_eq!(
        ids(&fixture.start_host()),
        [0, 1, 2, 3],
        "the other reader has its own pair in the next list"
    );
}

#[test]
fn a_token_of_another_make_at_the_start_leaves_a_spare_pair() {
    let fixture = SpareFixture::new();
    fixture.plug_other_make();
    let slots = fixture.start_host();
    assert_eq!(ids(&slots), [0, 1, 2, 3]);
    assert_eq!(fixture.description(slots[0]), "Authentication, Another Make 00 00");
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [2, 3]);
}

#[test]
fn with_a_card_at_the_start_there_is_no_spare_pair() {
    for with_token in [true, false] {
        let fixture = SpareFixture::new();
        fixture.plug_other_make();
        fixture.plug(READER, Some(&VirtualCard::full()));
        fixture.module.count_slots(with_token).unwrap();
        assert_eq!(ids(&fixture.module.list_slots(false).unwrap()), [0, 1, 2, 3]);
        assert_eq!(fixture.with_token(&fixture.start_host()), [2, 3]);
    }
}

#[test]
fn a_reader_that_is_in_the_list_keeps_its_own_slots() {
    let fixture = SpareFixture::new();
    fixture.plug(READER, None);
    let slots = fixture.start_host();
    assert_eq!(ids(&slots), [0, 1, 2, 3]);
    fixture.service.insert(READER, Arc::new(VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
    // Another reader: the card may be moved to it.
    fixture.service.remove_card(READER);
    fixture.plug(SECOND, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [2, 3]);
}

#[test]
fn a_program_that_reads_the_list_again_finds_the_card_and_no_shorter_list() {
    // With the card, and before it.
    let fixture = SpareFixture::new();
    fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&fixture.start_host()), [0, 1]);

    let fixture = SpareFixture::new();
    fixture.start_host();
    fixture.plug(READER, None);
    let slots = fixture.start_host();
    assert_eq!(ids(&slots), [0, 1, 2, 3]);
    fixture.service.insert(READER, Arc::new(VirtualCard::full()));
    assert_eq!(fixture.with_token(&fixture.start_host()), [2, 3]);
    assert_eq!(fixture.start_host(), slots, "a slot that was listed stays");
}

#[test]
fn of_two_readers_the_first_takes_the_spare_pair() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    fixture.plug(SECOND, Some(&VirtualCard::new(Profile::full(), Identity::from_seed(7))));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
    assert_eq!(fixture.description(slots[0]), "Authentication, Virtual Reader 00 00");
    assert_eq!(fixture.with_token(&fixture.start_host()), [0, 1, 2, 3]);
}

#[test]
fn a_reader_that_took_the_spare_pair_has_it_again_when_it_comes_back() {
    let fixture = SpareFixture::new();
    let slots = fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
    fixture.service.remove_reader(READER);
    assert_eq!(fixture.with_token(&slots), []);
    fixture.plug(SECOND, None);
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
}

#[test]
fn the_configuration_holds_for_the_spare_pair() {
    for (text, present) in [("slots = \"authentication\"", 0), ("slots = \"signature\"", 1)] {
        let fixture = SpareFixture::with(Config::parse(text));
        let slots = fixture.start_host();
        assert_eq!(ids(&slots), [present]);
        fixture.plug(READER, Some(&VirtualCard::full()));
        assert_eq!(fixture.with_token(&slots), [present]);
        assert_eq!(fixture.events(), [present]);
    }
    let fixture = SpareFixture::with(Config::parse("readers = { ignore = \"*00 00\" }"));
    let slots = fixture.start_host();
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), []);
    fixture.plug(SECOND, Some(&VirtualCard::full()));
    assert_eq!(fixture.with_token(&slots), [0, 1]);
}

#[test]
fn a_module_that_is_initialized_again_begins_anew() {
    let fixture = SpareFixture::new();
    fixture.plug(READER, Some(&VirtualCard::full()));
    assert_eq!(fixture.start_host().len(), 2);
    fixture.module.shut_down();
    fixture.service.remove_reader(READER);
    let module = start(&fixture.service, Config::default());
    assert_eq!(module.count_slots(false), Ok(2));
    assert_eq!(rv(module.token_info(SlotId::new(0))), ck::CKR_TOKEN_NOT_PRESENT);
    fixture.plug(SECOND, Some(&VirtualCard::full()));
    assert_eq!(rv(module.token_info(SlotId::new(0))), ck::CKR_OK);
    module.shut_down();
}
