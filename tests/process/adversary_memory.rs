//! What a process holds of a PIN and of the signature certificate, at any instant and afterwards.
//!
//! The process itself, its forked children and its core files are searched. A PIN, and anything
//! from which one can be computed, lies on protected pages only: locked, not dumped, wiped at a
//! fork.

use std::env;
use std::fs;
use std::iter;
use std::thread;
use std::time::{Duration, Instant};

use crate::memory::core_of;
use crate::support::breakpoint::Breakpoint;
use crate::support::child::Child;
use crate::support::image::{Image, Needle};
use crate::support::memory::Canary;
use crate::support::{stack, wait_until};
use test_support::rng::Rng;
use virtual_card::stack::Stack;
use virtual_card::{Credential, Identity, Validity, VirtualCard};

/// How many bytes of a password count as a find.
const PIECE: usize = 5;

/// Everything that a core file can hold (core(5)).
const WHOLE_CORE: &str = "0x7f";

/// How many instants are sampled of each operation. `JPKI_MEMORY_SAMPLES` makes it more.
fn samples() -> u32 {
    env::var("JPKI_MEMORY_SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

/// What a PIN is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    LogIn,
    ChangePin,
    Sign,
}

const OPERATIONS: [Operation; 3] = [Operation::LogIn, Operation::ChangePin, Operation::Sign];

/// A host whose memory is searched for the PIN of one token.
struct WatchedHost {
    stack: Stack,
    host: Child,
    credential: Credential,
    pin: Vec<u8>,
    /// The PIN of the next change.
    next: Vec<u8>,
    needles: Vec<Needle>,
}

impl WatchedHost {
    /// A host with a session and without a login. No PIN occurs in its memory yet.
    fn new(credential: Credential) -> Self {
        let stack = stack(true);
        let mut host = Child::with(&stack, |command| {
            command.current_dir(stack.directory());
        });
        host.expect("initialize", "CKR_OK");
        host.expect(&format!("open {}", credential.name()), "CKR_OK");
        host.expect("limit core most", "done");
        let before = Image::with_programs(host.pid());
        let pin = new_pin(credential, &before);
        let next = iter::repeat_with(|| new_pin(credential, &before)).find(|next| *next != pin);
        let next = next.expect("there are other PINs");
        let needles = [&pin, &next].into_iter().flat_map(|pin| needles(pin)).collect();
        stack.card(0).set_pin(credential, std::str::from_utf8(&pin).unwrap());
        Self { stack, host, credential, pin, next, needles }
    }

    /// A host that is ready for an operation.
    fn ready_for(credential: Credential, operation: Operation) -> Self {
        let mut watched = Self::new(credential);
        if operation != Operation::LogIn {
            watched.run(Operation::LogIn);
        }
        watched
    }

    fn card(&self) -> VirtualCard {
        self.stack.card(0)
    }

    fn image(&self) -> Image {
        Image::of(self.host.pid())
    }

    fn token(&self) -> &'static str {
        self.credential.name()
    }

    /// Begins an operation. With the prefix `spawn ` it runs in another thread of the host.
    fn begin(&mut self, prefix: &str, operation: Operation) {
        let token = self.token();
        let follows = match self.credential {
            Credential::Authentication => "four digits",
            Credential::Signature => "secret",
        };
        match operation {
            Operation::LogIn => {
                self.host.tell(&format!("{prefix}login {token} {follows}"));
                self.host.send(&self.pin);
            }
            Operation::ChangePin => {
                self.host.tell(&format!("{prefix}set-pin {token} {follows}"));
                self.host.send(&[self.pin.as_slice(), &self.next].concat());
                std::mem::swap(&mut self.pin, &mut self.next);
            }
            Operation::Sign => self.host.tell(&format!("{prefix}sign {token}")),
        }
    }

    fn run(&mut self, operation: Operation) {
        self.begin("", operation);
        assert_eq!(self.host.answer(), "CKR_OK", "{operation:?}");
    }

    /// Makes it ready for the same operation again.
    fn repeat(&mut self, operation: Operation) {
        if operation == Operation::LogIn {
            self.host.expect(&format!("logout {}", self.token()), "CKR_OK");
        }
    }

    /// Checks that the pages that are not protected hold nothing of the PINs.
    fn assert_hidden(&self, when: &str) {
        let image = self.image();
        let needles = [self.needles.clone(), image.protected_pieces()].concat();
        let found = image.find_outside(&needles);
        assert!(found.is_empty(), "{when}: {found:#?}");
    }

    /// Checks a child of the host: it holds nothing at all.
    fn assert_fork_is_empty(&mut self, when: &str) {
        let pieces = self.image().protected_pieces();
        self.host.expect("fork-and-pause", "forked");
        let image = Image::of(self.host.fork_pid());
        let found = image.find(&[self.needles.clone(), pieces].concat());
        assert!(found.is_empty(), "in a child, {when}: {found:#?}");
        assert_eq!(image.wiped_on_fork(), [""; 0], "in a child, {when}");
        self.host.expect("fork-end", "ended");
    }

    /// Checks a core file of the host, which ends.
    fn assert_core_is_empty(&mut self, when: &str) {
        fs::write(format!("/proc/{}/coredump_filter", self.host.pid()), WHOLE_CORE).unwrap();
        let needles = [self.needles.clone(), self.image().protected_pieces()].concat();
        let core = core_of(&mut self.host, self.stack.directory());
        let found: Vec<_> = needles.iter().map(|needle| needle.places_in(&core)).collect();
        assert!(found.iter().all(Vec::is_empty), "core file, {when}: {found:?}");
    }

    /// Checks the host after everything has ended: not even a protected page holds a PIN.
    fn assert_gone(&mut self, when: &str) {
        let found = self.image().find(&self.needles);
        assert!(found.is_empty(), "{when}: {found:#?}");
    }
}

/// A PIN that does not occur in a process.
fn new_pin(credential: Credential, before: &Image) -> Vec<u8> {
    let mut rng = Rng::new();
    loop {
        let pin = match credential {
            Credential::Signature => Canary::new().bytes().to_vec(),
            // No process id is written with these digits: the answers have them in binary.
            Credential::Authentication => {
                (0..4).map(|_| b'2' + u8::try_from(rng.below(8)).unwrap()).collect()
            }
        };
        if before.find(&needles(&pin)).is_empty() {
            return pin;
        }
    }
}

/// A PIN, or the pieces of a password. Both stand in the commands of the card too.
fn needles(pin: &[u8]) -> Vec<Needle> {
    Needle::pieces("a PIN", pin, PIECE.min(pin.len()), 1)
}

/// How many commands an operation sends.
fn rehearse(credential: Credential, operation: Operation) -> usize {
    let mut watched = WatchedHost::ready_for(credential, operation);
    let mark = watched.card().mark();
    watched.run(operation);
    watched.card().commands_since(mark)
}

/// How long an operation takes: the least of three times, as a busy machine holds up one or
/// another.
fn duration_of(credential: Credential, operation: Operation) -> Duration {
    let mut watched = WatchedHost::ready_for(credential, operation);
    let times = [(); 3].map(|()| {
        let start = Instant::now();
        watched.run(operation);
        let took = start.elapsed();
        watched.repeat(operation);
        took
    });
    times.into_iter().min().unwrap()
}

#[test]
fn the_search_finds_a_pin_that_a_host_keeps() {
    for credential in Credential::ALL {
        let mut watched = WatchedHost::new(credential);
        let pin = String::from_utf8(watched.pin.clone()).unwrap();
        watched.run(Operation::LogIn);
        assert!(!watched.image().find(&watched.needles).is_empty(), "on protected pages");
        assert!(watched.image().protected_pages() >= 2 && !watched.image().protected_pieces().is_empty());
        watched.assert_hidden("before it is kept");
        watched.host.expect(&format!("remember {pin}"), "done");
        assert!(!watched.image().find_outside(&watched.needles).is_empty(), "{credential:?}");
        watched.host.expect("fork-and-pause", "forked");
        let child = Image::of(watched.host.fork_pid());
        assert!(!child.find(&watched.needles).is_empty(), "{credential:?}, in a child");
        watched.host.expect("fork-end", "ended");
        let core = core_of(&mut watched.host, watched.stack.directory());
        let found = watched.needles.iter().any(|needle| !needle.places_in(&core).is_empty());
        assert!(found, "{credential:?}, in a core file");
    }
}

#[test]
fn at_each_command_only_protected_pages_hold_a_pin_and_a_child_holds_none() {
    let mut stops = 0;
    for credential in Credential::ALL {
        for operation in OPERATIONS {
            let length = rehearse(credential, operation);
            let mut watched = WatchedHost::ready_for(credential, operation);
            for number in 1..=length {
                let when = format!("{credential:?}, {operation:?}, command {number} of {length}");
                let breakpoint = Breakpoint::before(&watched.card(), number);
                watched.begin("spawn ", operation);
                assert_eq!(watched.host.answer(), "spawned");
                breakpoint.wait();
                watched.assert_hidden(&when);
                watched.assert_fork_is_empty(&when);
                breakpoint.resume();
                watched.host.expect("join", "CKR_OK");
                watched.assert_hidden(&format!("after {when}"));
                watched.repeat(operation);
                stops += 1;
            }
            watched.host.expect("finalize", "CKR_OK");
            watched.assert_gone(&format!("{credential:?}, {operation:?}, at the end"));
            watched.assert_hidden("at the end");
        }
    }
    println!("{stops} stops");
}

#[test]
fn at_random_instants_only_protected_pages_hold_a_pin() {
    let mut rng = Rng::new();
    for credential in Credential::ALL {
        for operation in OPERATIONS {
            let duration = duration_of(credential, operation);
            let limit = u64::try_from(duration.as_micros()).unwrap();
            let mut watched = WatchedHost::ready_for(credential, operation);
            let mut inside = 0;
            for sample in 0..samples() {
                watched.begin("", operation);
                thread::sleep(Duration::from_micros(rng.below(limit)));
                watched.host.stop();
                watched.assert_hidden(&format!("{credential:?}, {operation:?}, sample {sample}"));
                let early = watched.host.answer_within(Duration::ZERO);
                inside += u32::from(early.is_none());
                watched.host.resume();
                assert_eq!(early.unwrap_or_else(|| watched.host.answer()), "CKR_OK");
                watched.repeat(operation);
            }
            println!("{credential:?}, {operation:?}: {inside} of {} inside, in {duration:?}", samples());
            assert!(inside > 0, "all samples come too late");
        }
    }
}

#[test]
fn a_core_file_of_any_operation_holds_no_pin() {
    for credential in Credential::ALL {
        for operation in OPERATIONS {
            // The last command of a change carries the new PIN, as does the one before it.
            let length = rehearse(credential, operation);
            for number in [4, length] {
                let mut watched = WatchedHost::ready_for(credential, operation);
                // Dropped before the stack, which waits for the command.
                let breakpoint = Breakpoint::before(&watched.card(), number);
                watched.begin("spawn ", operation);
                assert_eq!(watched.host.answer(), "spawned");
                breakpoint.wait();
                watched.assert_core_is_empty(&format!("{credential:?}, {operation:?}, command {number}"));
            }
        }
    }
}

/// `ssh-add -s` gives the PIN of user authentication to both tokens.
#[test]
fn a_core_file_after_logout_leads_to_no_pin_that_was_entered_at_both_tokens() {
    for finalize in [false, true] {
        let mut watched = WatchedHost::new(Credential::Authentication);
        watched.host.expect("open signature", "CKR_OK");
        watched.run(Operation::LogIn);
        watched.host.tell("login signature four digits");
        watched.host.send(&watched.pin);
        assert_eq!(watched.host.answer(), "CKR_PIN_INCORRECT");
        // Another wrong PIN, which the library remembers too.
        watched.host.expect("logout authentication", "CKR_OK");
        let right = watched.pin.clone();
        watched.pin = watched.next.clone();
        watched.begin("", Operation::LogIn);
        assert_eq!(watched.host.answer(), "CKR_PIN_INCORRECT");
        watched.pin = right;
        watched.run(Operation::LogIn);
        watched.host.expect("sign authentication", "CKR_OK");
        watched.host.expect("logout authentication", "CKR_OK");
        if finalize {
            watched.host.expect("finalize", "CKR_OK");
        } else {
            assert!(!watched.image().protected_pieces().is_empty(), "what is remembered is found");
        }
        watched.assert_hidden("after logout");
        watched.assert_core_is_empty("after logout");
    }
}

#[test]
fn no_child_that_is_forked_while_another_thread_signs_holds_a_pin() {
    let mut rng = Rng::new();
    for credential in Credential::ALL {
        let mut watched = WatchedHost::ready_for(credential, Operation::Sign);
        let before = watched.card().signatures();
        watched.host.expect(&format!("spawn signs {} 1000000", watched.token()), "spawned");
        wait_until("signatures", || watched.card().signatures() > before + 2);
        for sample in 0..samples() {
            thread::sleep(Duration::from_micros(rng.below(20_000)));
            watched.assert_fork_is_empty(&format!("{credential:?}, sample {sample}"));
        }
        let signed = watched.card().signatures() - before;
        assert!(signed > 10, "it signed meanwhile: {signed}");
    }
}

/// The certificate that only the password opens, in overlapping pieces. Pieces of certificates that
/// need no password are left out: the name of the CA for one.
fn certificate_pieces() -> Vec<Needle> {
    let own = |credential| Identity::shared().certificate(credential, Validity::Current);
    let public = [
        own(Credential::Authentication),
        Identity::ca_certificate(Credential::Authentication),
        Identity::ca_certificate(Credential::Signature),
    ];
    let pieces = Needle::pieces("the certificate", &own(Credential::Signature), 16, 1).into_iter();
    pieces.filter(|piece| public.iter().all(|der| piece.places_in(der).is_empty())).collect()
}

/// Ways to end a login. The first one is none: then the search must find the certificate.
const ENDS: [&[&str]; 4] = [&[], &["logout signature"], &["logout signature", "finalize"], &["finalize"]];

#[test]
fn nothing_of_the_signature_certificate_is_left_after_logout_and_at_the_end() {
    for end in ENDS {
        let mut watched = WatchedHost::new(Credential::Signature);
        let pieces = certificate_pieces();
        let before = watched.image().find(&pieces);
        assert!(before.is_empty(), "before the login: {before:#?}");
        watched.run(Operation::LogIn);
        for _ in 0..3 {
            watched.host.expect("read-objects signature", "CKR_OK");
            watched.host.expect("sign signature", "CKR_OK");
        }
        watched.run(Operation::ChangePin);
        let found = watched.image().find(&pieces);
        println!("{} copies of {} pieces before the end", found.len(), pieces.len());
        assert!(found.len() >= pieces.len(), "the search finds the certificate");
        end.iter().for_each(|step| watched.host.expect(step, "CKR_OK"));
        let in_process = watched.image().find(&pieces);
        let core = core_of(&mut watched.host, watched.stack.directory());
        let found: Vec<_> = pieces.iter().filter(|piece| !piece.places_in(&core).is_empty()).collect();
        if end.is_empty() {
            assert_eq!(found.len(), pieces.len(), "a core file before the end");
            continue;
        }
        assert!(in_process.is_empty(), "after {end:?}: {in_process:#?}");
        assert!(found.is_empty(), "core file after {end:?}: {found:?}");
    }
}
