//! The commands of the tests, spelled out byte by byte.

use virtual_card::{Credential, Identity, Profile, Reply, VirtualCard};

pub const SELECT_JPKI: &[u8] = &[0, 0xa4, 4, 0x0c, 10, 0xd3, 0x92, 0xf0, 0, 0x26, 1, 0, 0, 0, 1];
pub const SELECT_ISD: &[u8] = &[0, 0xa4, 4, 0x0c, 7, 0xa0, 0, 0, 1, 0x51, 0, 0];
pub const COMMON_AID: &[u8] = &[0xd3, 0x92, 0x10, 0, 0x31, 0, 1, 1, 1, 0];
pub const AUTHENTICATION_PIN: u8 = 0x18;
pub const SIGNATURE_PIN: u8 = 0x1b;

pub fn card(profile: Profile) -> VirtualCard {
    VirtualCard::new(profile, Identity::shared())
}

/// A card with the application selected.
pub fn selected(profile: Profile) -> VirtualCard {
    let card = card(profile);
    assert_eq!(status(&card, SELECT_JPKI), 0x9000);
    card
}

/// A full card with this PIN verified.
pub fn verified(credential: Credential) -> VirtualCard {
    let card = selected(Profile::full());
    assert_eq!(verify(&card, credential, right_pin(credential)), 0x9000);
    card
}

pub fn right_pin(credential: Credential) -> &'static str {
    match credential {
        Credential::Authentication => "1234",
        Credential::Signature => "ABC123",
    }
}

/// The answer to a command, data and status word.
pub fn answer(card: &VirtualCard, command: &[u8]) -> (Vec<u8>, u16) {
    let Reply::Answer(mut data) = card.transmit(command) else { panic!("no answer to {command:02x?}") };
    let low = data.pop().expect("a status word");
    let high = data.pop().expect("a status word");
    (data, u16::from_be_bytes([high, low]))
}

pub fn status(card: &VirtualCard, command: &[u8]) -> u16 {
    answer(card, command).1
}

pub fn select_file(card: &VirtualCard, id: u8) -> u16 {
    status(card, &[0, 0xa4, 2, 0x0c, 2, 0, id])
}

pub fn verify(card: &VirtualCard, credential: Credential, pin: &str) -> u16 {
    select_pin(card, credential);
    status(card, &with_data([0, 0x20, 0, 0x80], pin.as_bytes()))
}

pub fn tries(card: &VirtualCard, credential: Credential) -> u16 {
    select_pin(card, credential);
    status(card, &[0, 0x20, 0, 0x80])
}

pub fn select_pin(card: &VirtualCard, credential: Credential) {
    let id = match credential {
        Credential::Authentication => AUTHENTICATION_PIN,
        Credential::Signature => SIGNATURE_PIN,
    };
    assert_eq!(select_file(card, id), 0x9000);
}

pub fn with_data(header: [u8; 4], data: &[u8]) -> Vec<u8> {
    [&header[..], &[u8::try_from(data.len()).unwrap()], data].concat()
}

/// The sign command with the key named by its short id.
pub fn sign(card: &VirtualCard, p1: u8, credential: Credential, data: &[u8]) -> (Vec<u8>, u16) {
    let p2 = match credential {
        Credential::Authentication => 0x97,
        Credential::Signature => 0x9a,
    };
    let mut command = with_data([0x80, 0x2a, p1, p2], data);
    command.push(0);
    answer(card, &command)
}
