//! A C program that calls the loaded module's functions with anything, over a card that answers
//! anything.
//!
//! Nothing panics, nothing is written where there is no room or after an error, no call costs more
//! than one try, the card is never left verified, and C_Finalize leaves nothing at the PC/SC
//! service.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use jpki_pkcs11_fuzz::card::{Reader, Twist};
use jpki_pkcs11_fuzz::input::Input;
use jpki_pkcs11_fuzz::program::Program;
use jpki_pkcs11_fuzz::slot::Slot;
use libfuzzer_sys::fuzz_target;

const PINS: [&[u8]; 8] = [b"1234", b"ABC123", b"9999", b"WRONG1", b"12a4", b"", b"abc123", &[0xff; 40]];

const CONFIGS: [&str; 3] = ["", "always_authenticate = true", "reserve_tries = 1\npss = \"on\""];

/// The most steps of one input: longer ones find nothing that shorter ones do not.
const MAX_STEPS: usize = 96;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let Some((profile, config)) = input.byte().zip(input.choice(configurations())) else { return };
    // SAFETY: no other thread of this process reads the environment.
    unsafe { std::env::set_var("JPKI_PKCS11_CONF", config) };
    let mut program = Program::start(Slot::with(Reader::new(profile)));
    for _ in 0..MAX_STEPS {
        if step(&mut input, &mut program).is_none() {
            break;
        }
    }
    program.finish();
});

fn step(input: &mut Input<'_>, program: &mut Program) -> Option<()> {
    match input.byte()? & 0x0f {
        0 => program.list(input),
        1 | 2 => program.session(input),
        3 | 4 => {
            let (pin, new) = (input.choice(&PINS)?, input.choice(&PINS)?);
            program.login(input, pin, new)
        }
        5 => program.search(input),
        6 => program.read(input),
        7 | 8 => program.begin(input),
        9..=11 => program.go_on(input),
        12 => program.random(input),
        13 => {
            if input.byte()? & 1 == 0 {
                program.slot().turn()
            } else {
                program.slot().reset()
            }
            Some(())
        }
        _ => {
            program.slot().card().twist(input.byte()?, Twist::read(input)?);
            Some(())
        }
    }
}

/// The configurations, each in a file.
fn configurations() -> &'static [&'static PathBuf] {
    static FILES: OnceLock<Vec<&'static PathBuf>> = OnceLock::new();
    FILES.get_or_init(|| {
        let write = |(number, text): (usize, &&str)| -> &'static PathBuf {
            let file = std::env::temp_dir().join(format!("jpki-fuzz-{}-{number}.toml", std::process::id()));
            fs::write(&file, text).expect("a temporary file");
            Box::leak(Box::new(file))
        };
        CONFIGS.iter().enumerate().map(write).collect()
    })
}
