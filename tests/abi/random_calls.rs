//! Calls in any order, with good arguments and bad ones, in several threads, while the card and the
//! service are disturbed. Every PIN that can be a PIN is the right one, so that no try may be lost.
//!
//! `JPKI_TEST_SEED` runs it again with the same choices; `JPKI_RANDOM_CALLS` says how many calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, ptr, thread};

use cryptoki_sys as ck;
use cryptoki_sys::{CK_RV, CK_ULONG};
use pcsc_stand_in::client::StandIn;
use pcsc_stand_in::isolated;
use pcsc_stand_in::service::{Code, Function as Pcsc};

use crate::support::functions::{Function, address, of_3_2};
use crate::support::guarded::Guarded;
use crate::support::host::{AUTHENTICATION_PIN, CARD, Host, READER, SIGNATURE_PIN};
use crate::support::process::{End, in_child};
use crate::support::rows::{Argument, row};
use test_support::client::{attribute, mechanism, ulong};
use test_support::rng::Rng;
use test_support::{Rv, c};

/// Threads that call.
const THREADS: u64 = 3;

/// Calls of each thread.
const CALLS: u64 = 600;

/// More than any result has.
const ROOM: usize = 8192;

/// What may stand where a PIN does. None costs a try: what has the form of the other PIN is not
/// sent.
const PINS: [&[u8]; 7] =
    [AUTHENTICATION_PIN, SIGNATURE_PIN, b"abc123", b"12a4", b"", b"1234567890123456789", b"1234\0"];

/// Lengths that no memory has.
const IMPOSSIBLE: [CK_ULONG; 3] = [CK_ULONG::MAX, CK_ULONG::MAX / 2 + 1, CK_ULONG::MAX - 7];

/// What a program does most.
const WORK: [&str; 9] = [
    "C_OpenSession",
    "C_Login",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_SignInit",
    "C_Sign",
    "C_SetPIN",
    "C_GetTokenInfo",
];

const MECHANISMS: [ck::CK_MECHANISM_TYPE; 7] = [
    ck::CKM_RSA_PKCS,
    ck::CKM_SHA256_RSA_PKCS,
    ck::CKM_SHA512_RSA_PKCS,
    ck::CKM_SHA256_RSA_PKCS_PSS,
    ck::CKM_SHA256,
    ck::CKM_AES_CBC,
    CK_ULONG::MAX,
];

/// Handles that were given out, by all threads.
#[derive(Default)]
struct Handles {
    sessions: Vec<CK_ULONG>,
    objects: Vec<CK_ULONG>,
}

/// What a call was made with, as long as it lasts.
struct Memory {
    data: Guarded,
    mechanism: Guarded,
    template: Guarded,
    values: [u8; 256],
    count: Guarded,
    output: Vec<u8>,
}

struct Caller<'a> {
    rng: Rng,
    handles: &'a Mutex<Handles>,
    slots: [CK_ULONG; 2],
}

fn any<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[usize::try_from(rng.below(choices.len() as u64)).unwrap()]
}

impl Caller<'_> {
    /// One of the last handles, or one that is none.
    fn handle(&mut self, of: impl Fn(&mut Handles) -> &mut Vec<CK_ULONG>) -> CK_ULONG {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let known = of(&mut handles);
        match self.rng.below(40) {
            0 => 0,
            1 => CK_ULONG::MAX,
            _ if known.is_empty() => 1,
            _ => {
                let last = &known[known.len().saturating_sub(6)..];
                any(&mut self.rng, last)
            }
        }
    }

    /// A length beside memory of this length.
    fn length(&mut self, length: usize) -> CK_ULONG {
        match self.rng.below(16) {
            0 => 0,
            1 => ulong(length.saturating_sub(1)),
            2 => any(&mut self.rng, &IMPOSSIBLE),
            _ => ulong(length),
        }
    }

    fn data(&mut self, argument: &Argument) -> Guarded {
        match argument {
            Argument::Pin(_) => Guarded::of(any(&mut self.rng, &PINS)),
            Argument::Input(bytes) if bytes.len() == 256 => Guarded::of(bytes),
            _ => {
                let lengths = [0, 1, 20, 32, 51, 245, 246, 300];
                Guarded::of(&vec![0x5a; any(&mut self.rng, &lengths)])
            }
        }
    }

    /// The words of a call, and what they lead to.
    fn words(&mut self, arguments: &[Argument]) -> (Vec<CK_ULONG>, Vec<Memory>) {
        let (mut words, mut memories) = (Vec::new(), Vec::new());
        // What a count after it is about.
        let mut before = 0;
        for argument in arguments {
            let mut memory = Memory {
                data: self.data(argument),
                mechanism: Guarded::holding(mechanism(any(&mut self.rng, &MECHANISMS))),
                template: Guarded::room(0),
                values: [0; 256],
                count: Guarded::holding(CK_ULONG::from(u8::MAX)),
                output: vec![0; ROOM],
            };
            let word = match argument {
                Argument::Session => self.handle(|handles| &mut handles.sessions),
                Argument::Slot | Argument::OtherSlot => {
                    let [first, second] = self.slots;
                    any(&mut self.rng, &[first, second, second + 1, CK_ULONG::MAX, first, second])
                }
                Argument::PrivateKey | Argument::PublicKey => self.handle(|handles| &mut handles.objects),
                Argument::Number(value) => match self.rng.below(6) {
                    0 => any(&mut self.rng, &[0, 1, 2, 255]),
                    // A read-write session, where it is a session's flags.
                    1 => value | ck::CKF_RW_SESSION,
                    _ => *value,
                },
                Argument::Optional | Argument::Reserved => 0,
                Argument::Count => self.length(before),
                Argument::Input(_) | Argument::Pin(_) => {
                    before = memory.data.bytes().len();
                    memory.data.word()
                }
                Argument::Template(kind) => {
                    let kind =
                        any(&mut self.rng, &[*kind, ck::CKA_CLASS, ck::CKA_VALUE, ck::CKA_ID, CK_ULONG::MAX]);
                    let class =
                        any(&mut self.rng, &[ck::CKO_PRIVATE_KEY, ck::CKO_PUBLIC_KEY, ck::CKO_CERTIFICATE]);
                    memory.values[..size_of::<CK_ULONG>()].copy_from_slice(&class.to_ne_bytes());
                    let length = any(&mut self.rng, &[8, 8, 8, 4, 0, 256]);
                    let mut entry = attribute(kind, &mut []);
                    entry.ulValueLen = ulong(length);
                    memory.template = Guarded::holding(entry);
                    before = 1;
                    memory.template.word()
                }
                Argument::Output(_) | Argument::List(..) | Argument::Buffer(..) => {
                    before = any(&mut self.rng, &[0, 1, 32, 255, 256]);
                    address(memory.output.as_mut_ptr())
                }
                Argument::CountPointer => {
                    memory.count = Guarded::holding(self.length(before).min(ulong(ROOM / 8)));
                    memory.count.word()
                }
                Argument::Mechanism(_) => memory.mechanism.word(),
            };
            let is_pointer = matches!(
                argument,
                Argument::Input(_)
                    | Argument::Pin(_)
                    | Argument::Template(_)
                    | Argument::Output(_)
                    | Argument::List(..)
                    | Argument::Buffer(..)
                    | Argument::CountPointer
                    | Argument::Mechanism(_)
            );
            words.push(if is_pointer && self.rng.below(12) == 0 { 0 } else { word });
            memories.push(memory);
        }
        for memory in &mut memories {
            if memory.template.bytes().len() == size_of::<ck::CK_ATTRIBUTE>() {
                let mut entry: ck::CK_ATTRIBUTE = memory.template.value();
                entry.pValue = memory.values.as_mut_ptr().cast();
                // SAFETY: there is room for one.
                unsafe { memory.template.place::<ck::CK_ATTRIBUTE>().write_unaligned(entry) };
            }
        }
        (words, memories)
    }

    /// Calls one function and keeps the handles that it gives.
    fn call(&mut self, functions: &[Function]) -> (&'static str, Rv) {
        let function = if self.rng.below(2) == 0 {
            let name = any(&mut self.rng, &WORK);
            functions.iter().find(|function| function.name == name).expect("a function")
        } else {
            &functions[usize::try_from(self.rng.below(functions.len() as u64)).unwrap()]
        };
        let arguments = row(function.name).expect("a row").arguments;
        let (words, memories) = self.words(&arguments);
        let rv = function.call(&words);
        let given = memories.last().map(|memory| memory.output.first_chunk().copied().unwrap_or_default());
        let given = CK_ULONG::from_ne_bytes(given.unwrap_or_default());
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        match function.name {
            "C_OpenSession" if rv == ck::CKR_OK => handles.sessions.push(given),
            "C_FindObjects" if rv == ck::CKR_OK => {
                let found = &memories[1].output;
                let all = found.chunks_exact(size_of::<CK_ULONG>()).take(8);
                let all = all.map(|bytes| CK_ULONG::from_ne_bytes(bytes.try_into().unwrap()));
                let fresh: Vec<_> = all.filter(|handle| *handle != 0).collect();
                handles.objects.extend(fresh);
            }
            _ => {}
        }
        (function.name, rv)
    }
}

/// Something happens to the card, the service or the program.
fn disturb(host: &Host, stand_in: StandIn, rng: &mut Rng) {
    // One fault at a time: a service that fails at every end of a transaction keeps the card.
    stand_in.clear_faults();
    match rng.below(32) {
        0..=7 => stand_in.disturb(READER),
        8 => stand_in.out_and_in(READER),
        9 => {
            stand_in.remove_card(READER);
            stand_in.insert(READER, CARD);
        }
        10 => {
            stand_in.kill_service();
            stand_in.start_service();
        }
        11 => {
            host.finalize();
            host.initialize().ok();
        }
        12..=15 => stand_in.fail(Pcsc::Transmit, 1 + rng.below(20), Code::NOT_TRANSACTED),
        16..=19 => stand_in.fail_after(Pcsc::Transmit, 1 + rng.below(20), Code::NOT_TRANSACTED),
        20 | 21 => stand_in.fail(Pcsc::BeginTransaction, 1 + rng.below(4), Code::RESET_CARD),
        22 | 23 => stand_in.fail(Pcsc::EndTransaction, 1 + rng.below(4), Code::COMM_ERROR),
        24..=27 => {
            if let Ok(other) = stand_in.foreign(READER, "other", "shared") {
                let _ = other.act(&["select", "a0000001510000"]);
                other.release("reset");
            }
        }
        28 => {
            let table = host.p11;
            let child = in_child(|| {
                let early = c!(table, C_Logout(1));
                // SAFETY: the child ends without anything that its parent registered.
                unsafe { libc::_exit(i32::from(early != ck::CKR_CRYPTOKI_NOT_INITIALIZED)) };
            });
            assert_eq!(child, End::Exited(0));
        }
        _ => {
            c!(host.p11, C_WaitForSlotEvent(ck::CKF_DONT_BLOCK, &mut 0, ptr::null_mut()));
        }
    }
}

#[test]
fn calls_in_any_order_do_no_harm() {
    isolated!(|stand_in| {
        let host = Host::new(stand_in);
        let calls = env::var("JPKI_RANDOM_CALLS").map_or(CALLS, |text| text.parse().expect("a number"));
        if calls > CALLS {
            // SAFETY: no preconditions.
            unsafe { libc::alarm(3600) };
        }
        let slots = host.both_slots();
        let (handles, over) = (Mutex::new(Handles::default()), AtomicBool::new(false));
        let mut own = Rng::new();
        let seed = own.next();
        let results = Mutex::new(BTreeMap::<(&str, CK_RV), u64>::new());
        thread::scope(|scope| {
            let callers: Vec<_> = (0..THREADS)
                .map(|number| {
                    let mut caller =
                        Caller { rng: Rng::from_seed(seed.wrapping_add(number)), handles: &handles, slots };
                    let (host, results) = (&host, &results);
                    scope.spawn(move || {
                        let known = |function: &Function| {
                            row(function.name).is_some()
                                && !["C_Initialize", "C_Finalize"].contains(&function.name)
                        };
                        let functions: Vec<_> = of_3_2(host.p11).into_iter().filter(known).collect();
                        for _ in 0..calls {
                            let (name, rv) = caller.call(&functions);
                            assert_ne!(rv, ck::CKR_GENERAL_ERROR, "{name}");
                            *results.lock().unwrap().entry((name, rv.0)).or_default() += 1;
                        }
                    })
                })
                .collect();
            let over = &over;
            let (host, rng) = (&host, &mut own);
            let disturber = scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(rng.below(20)));
                    disturb(host, stand_in, rng);
                }
            });
            let ended: Vec<_> = callers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            over.store(true, Ordering::Relaxed);
            disturber.join().unwrap();
            ended.into_iter().for_each(|end| end.unwrap());
        });
        for ((name, value), times) in results.into_inner().unwrap() {
            println!("{name} {} {times}", Rv(value));
        }
        stand_in.clear_faults();
        host.finalize();
        assert_eq!(host.lost_tries(), 0);
        for credential in ["authentication", "signature"] {
            assert_eq!(stand_in.card(CARD, &["verified", credential]), "false");
        }
        stand_in.out_and_in(READER);
        host.initialize().ok();
        host.signs();
    });
}
