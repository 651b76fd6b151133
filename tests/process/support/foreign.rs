//! A program that speaks PC/SC, shares the card with the host and attacks it.

use std::ffi::CString;
use std::thread;
use std::time::Duration;

use pcsc::{Card, Context, Disposition, Error, Protocols, ReaderState, Scope, ShareMode, State};
use test_support::rng::{Rng, test_seed};

use super::TIMEOUT;

/// The JPKI application.
const JPKI: &[u8] = &[0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01];
/// Applications that have nothing to do with it.
const OTHERS: [&[u8]; 2] = [
    &[0xa0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00],
    &[0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x04, 0x08],
];

const REFUSED: u16 = 0x6982;
const OK: u16 = 0x9000;

/// The program.
pub struct Foreign {
    context: Context,
    reader: CString,
    card: Option<Card>,
    /// How long an attacker waits before it tries again, and what it tries.
    rng: Rng,
}

/// What came of attempts to sign without a PIN.
#[derive(Default)]
struct Attempts {
    /// Commands to sign within a transaction, after selecting the application.
    sure: usize,
    /// How many of them were answered with 6982.
    refused: usize,
    /// Commands to sign outside a transaction, in whatever state the card is.
    blind: usize,
    /// Signatures.
    signed: usize,
}

impl Foreign {
    /// A program that uses the first reader.
    pub fn new() -> Self {
        let context = Context::establish(Scope::User).expect("a PC/SC service");
        let reader = context.list_readers_owned().expect("readers").first().expect("a reader").clone();
        Self { context, reader, card: None, rng: Rng::from_seed(test_seed()) }
    }

    /// Understands one line.
    pub fn run(&mut self, words: &[&str], told: impl Fn() -> bool) -> String {
        let done = match words {
            ["see"] => self.see(),
            ["connect"] => self.connect(ShareMode::Shared),
            ["connect", "exclusive"] => self.connect(ShareMode::Exclusive),
            ["disconnect"] => self.disconnect(Disposition::LeaveCard),
            ["disconnect", "reset"] => self.disconnect(Disposition::ResetCard),
            ["hold"] => return self.hold(told),
            ["sign"] => return self.sign_without_pin(),
            ["attack"] => return self.attack(told),
            ["disturb"] => return self.disturb(told),
            ["storm"] => return self.storm(told),
            ["verify", file, pin] => return self.verify(file, pin),
            _ => panic!("a foreign program does not know {words:?}"),
        };
        done.map_or_else(|error| format!("{error:?}"), |()| "done".to_owned())
    }

    /// Waits until there is a card.
    fn see(&self) -> Result<(), Error> {
        let mut states = [ReaderState::new(self.reader.clone(), State::UNAWARE)];
        while !states[0].event_state().contains(State::PRESENT) {
            states[0].sync_current_state();
            self.context.get_status_change(TIMEOUT, &mut states)?;
        }
        Ok(())
    }

    fn connect(&mut self, mode: ShareMode) -> Result<(), Error> {
        self.card = Some(self.context.connect(&self.reader, mode, Protocols::ANY)?);
        Ok(())
    }

    fn disconnect(&mut self, disposition: Disposition) -> Result<(), Error> {
        let Some(card) = self.card.take() else { return Ok(()) };
        card.disconnect(disposition).map_err(|(card, error)| {
            // Dropped it would be reset.
            std::mem::forget(card);
            error
        })
    }

    /// A transaction that lasts until the next line.
    fn hold(&mut self, told: impl Fn() -> bool) -> String {
        let card = self.card.as_mut().expect("connected");
        let Ok(transaction) = card.transaction() else { panic!("a transaction begins") };
        super::role::answer("held");
        while !told() {
            thread::sleep(Duration::from_millis(2));
        }
        assert!(transaction.end(Disposition::LeaveCard).is_ok());
        "released".to_owned()
    }

    /// Tries to sign once with each key, by a connection of its own.
    fn sign_without_pin(&mut self) -> String {
        self.connect(ShareMode::Shared).expect("connected");
        let answers = self.sign_in_transaction();
        self.disconnect(Disposition::LeaveCard).expect("disconnected");
        answers.map(|status| format!("{status:04X}")).join(" ")
    }

    /// Tries to sign at random instants, until the next line.
    fn attack(&mut self, told: impl Fn() -> bool) -> String {
        let mut attempts = Attempts::default();
        self.connect(ShareMode::Shared).expect("connected");
        while !told() {
            self.attempt(&mut attempts);
            thread::sleep(Duration::from_micros(self.rng.below(4000)));
        }
        self.disconnect(Disposition::LeaveCard).expect("disconnected");
        let Attempts { sure, refused, blind, signed } = attempts;
        format!("{sure} {refused} {blind} {signed}")
    }

    fn attempt(&mut self, attempts: &mut Attempts) {
        let way = self.rng.below(4);
        if way == 0 {
            self.disconnect(Disposition::LeaveCard).expect("disconnected");
            self.connect(ShareMode::Shared).expect("connected");
        }
        if way <= 1 {
            let answers = self.sign_in_transaction();
            attempts.sure += answers.len();
            attempts.refused += answers.iter().filter(|status| **status == REFUSED).count();
            attempts.signed += answers.iter().filter(|status| **status == OK).count();
            return;
        }
        let card = self.card.as_ref().expect("connected");
        if way == 2 {
            transmit(card, &select(JPKI));
        }
        for key in KEYS {
            attempts.blind += 1;
            attempts.signed += usize::from(transmit(card, &sign(key)) == OK);
        }
    }

    /// Selects the application and tries both keys, undisturbed.
    fn sign_in_transaction(&mut self) -> [u16; 2] {
        let card = self.card.as_mut().expect("connected");
        // When a program dies in a transaction pcscd resets the card, and tells each connection
        // once.
        while let Err((card, Error::ResetCard)) = card.transaction2().map(drop) {
            card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard).expect("reconnected");
        }
        let Ok(transaction) = card.transaction() else { panic!("a transaction begins") };
        transmit(&transaction, &select(JPKI));
        let answers = KEYS.map(|key| transmit(&transaction, &sign(key)));
        assert!(transaction.end(Disposition::LeaveCard).is_ok());
        answers
    }

    /// Resets the card and selects other applications, in transactions, until the next line.
    fn disturb(&mut self, told: impl Fn() -> bool) -> String {
        let (mut resets, mut selects) = (0, 0);
        while !told() {
            self.connect(ShareMode::Shared).expect("connected");
            let other = OTHERS[usize::from(self.rng.below(2) == 0)];
            let reset = self.rng.below(2) == 0;
            let card = self.card.as_mut().expect("connected");
            if let Ok(transaction) = card.transaction() {
                selects += usize::from(transaction.transmit(&select(other), &mut [0; 300]).is_ok());
                let disposition = if reset { Disposition::ResetCard } else { Disposition::LeaveCard };
                resets += usize::from(transaction.end(disposition).is_ok() && reset);
            }
            self.disconnect(Disposition::LeaveCard).expect("disconnected");
            thread::sleep(Duration::from_micros(self.rng.below(1000)));
        }
        format!("{resets} {selects}")
    }

    /// Resets the card without a transaction, until the next line.
    fn storm(&mut self, told: impl Fn() -> bool) -> String {
        let mut resets = 0;
        while !told() {
            if self.connect(ShareMode::Shared).is_ok() {
                resets += usize::from(self.disconnect(Disposition::ResetCard).is_ok());
            }
            thread::sleep(Duration::from_micros(self.rng.below(1000)));
        }
        resets.to_string()
    }

    /// Logs in to the card itself and leaves it like that.
    fn verify(&mut self, file: &str, pin: &str) -> String {
        let file = u8::from_str_radix(file, 16).expect("the last byte of a file id");
        self.connect(ShareMode::Shared).expect("connected");
        let card = self.card.as_ref().expect("connected");
        transmit(card, &select(JPKI));
        transmit(card, &[0x00, 0xa4, 0x02, 0x0c, 0x02, 0x00, file]);
        let length = u8::try_from(pin.len()).expect("a PIN is short");
        let status = transmit(card, &[&[0x00, 0x20, 0x00, 0x80, length], pin.as_bytes()].concat());
        self.disconnect(Disposition::LeaveCard).expect("disconnected");
        format!("{status:04X}")
    }
}

/// Short identifiers of the two keys, as P2 has them.
const KEYS: [u8; 2] = [0x97, 0x9a];

fn select(application: &[u8]) -> Vec<u8> {
    let length = u8::try_from(application.len()).expect("an application id is short");
    [&[0x00, 0xa4, 0x04, 0x0c, length], application].concat()
}

fn sign(key: u8) -> Vec<u8> {
    [&[0x80, 0x2a, 0x00, key, 20], [0x5a; 20].as_slice(), &[0x00]].concat()
}

/// The status word of the answer.
fn transmit(card: &Card, command: &[u8]) -> u16 {
    let mut answer = [0; 300];
    match card.transmit(command, &mut answer).expect("an answer") {
        [.., high, low] => u16::from_be_bytes([*high, *low]),
        short => panic!("an answer of {short:?}"),
    }
}
