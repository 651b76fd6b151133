//! A card that answers anything at any command, while a program lists, logs in, reads and signs.
//!
//! Nothing panics, no call costs more than one try, and the card is never left verified.

#![no_main]

use jpki_pkcs11::config::Config;
use jpki_pkcs11::token::mechanism::Parameter;
use jpki_pkcs11_fuzz::card::{Reader, Twist};
use jpki_pkcs11_fuzz::input::Input;
use jpki_pkcs11_fuzz::user::{MECHANISMS, User};
use libfuzzer_sys::fuzz_target;

const PINS: [&[u8]; 6] = [b"1234", b"ABC123", b"9999", b"WRONG1", b"12a4", b""];

const CONFIGS: [&str; 3] = ["", "always_authenticate = true", "reserve_tries = 1\npss = \"on\""];

/// The most steps of one input: longer ones find nothing that shorter ones do not.
const MAX_STEPS: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let Some((profile, config)) = input.byte().zip(input.choice(&CONFIGS)) else { return };
    let reader = Reader::new(profile);
    let mut user = User::new(&reader, Config::parse(config));
    for _ in 0..MAX_STEPS {
        if step(&mut input, &reader, &mut user).is_none() {
            break;
        }
    }
    user.finish();
});

fn step(input: &mut Input<'_>, reader: &Reader, user: &mut User) -> Option<()> {
    let kind = input.byte()?;
    let slot = usize::from(kind >> 7);
    match kind & 0x0f {
        0 | 6 => user.list(),
        1 => user.login(slot, input.choice(&PINS)?),
        2 => user.logout(slot),
        3 => user.look(slot),
        4 => user.sign(slot, input.choice(&MECHANISMS)?, Parameter::None),
        5 => user.set_pin(slot, input.choice(&PINS)?, input.choice(&PINS)?),
        7 => reader.turn(),
        8 => reader.reset(),
        9 => user.verify(slot, input.choice(&MECHANISMS)?, input.bytes()?),
        10 => reader.card().set_file(input.number()?, Some(input.bytes()?.to_vec())),
        _ => reader.twist(input.byte()?, Twist::read(input)?),
    }
    Some(())
}
