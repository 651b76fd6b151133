//! The one service of the process, and a text channel into it.
//!
//! A request is a line of words with TABs between them, since reader names have spaces and may have
//! any other byte. The program that loaded the library sends it through `pcsc_stand_in_command`;
//! [`crate::client::StandIn`] does so with a Rust face. Nothing here blocks but `await-blocked` and
//! `pause`.
//!
//! | request | does |
//! |---|---|
//! | `add-reader NAME`, `remove-reader NAME` | plugs in, unplugs |
//! | `new-card ID PROFILE` | makes a card; see [`cards`] |
//! | `insert NAME ID`, `remove NAME`, `out-and-in NAME` | moves a card |
//! | `disturb NAME` | resets the card, as another program does, also inside a transaction |
//! | `kill-service`, `start-service`, `power-down-idle` | |
//! | `quirks CODE CODE threads`, or `no-threads` | the fields of [`Quirks`] |
//! | `inject FUNCTION FIRST COUNT KIND …` | COUNT may be `endless`; KIND is `fail CODE`, `fail-after CODE`, `hang CODE`, `protocol N`, `length N`, `answer HEX` or `before` and any request |
//! | `clear-faults`, `release-hanging` | |
//! | `calls FUNCTION`, `all-calls`, `log`, `clear-log` | what the program under test has called |
//! | `power` | resets and unpowers of the program under test, then those of foreign programs |
//! | `open-handles` | contexts and connections of the program under test |
//! | `blocked FUNCTION`, `await-blocked FUNCTION N` | calls that wait |
//! | `foreign NAME HOLD shared`, or `exclusive`, or `transaction` | another program connects; it is called HOLD |
//! | `on HOLD transmit HEX`, `select HEX`, `verify EF PIN`, `sign EF HEX`, `begin`, `end` | what it does; the answer in hex |
//! | `release HOLD leave`, or `reset`, or `unpower` | it disconnects |
//! | `pause MILLISECONDS`, `note FILE` | takes time; adds a line to a file: for `before` of a fault |
//! | `card ID …` | the card's ledger and faults; see [`cards`] |

pub mod cards;
mod words;

use std::collections::BTreeMap;
use std::env;
use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use self::cards::CardStore;
use self::words::{Words, from_hex, hex};
use crate::service::{Caller, Code, Disposition, Fault, ForeignCard, Function, Quirks, Service, When};

/// The variable that describes the service at the start: `reader=NAME;card=PROFILE;reader=…`. A
/// card goes into the reader before it and is called by its profile and the number of its reader:
/// `full1`. `do=REQUEST` carries out any request.
pub const ENVIRONMENT: &str = "JPKI_STAND_IN";

/// A service, the cards outside it and the foreign programs at it.
pub struct Console {
    service: Service,
    store: Mutex<CardStore>,
    foreign: Mutex<BTreeMap<String, Arc<ForeignCard>>>,
}

impl Console {
    /// The one of this process, set up from the environment.
    ///
    /// # Panics
    /// When the environment describes no service.
    pub fn of_this_process() -> &'static Arc<Self> {
        static CONSOLE: OnceLock<Arc<Console>> = OnceLock::new();
        CONSOLE.get_or_init(|| {
            let console = Arc::new(Self::new(Service::new()));
            let description = env::var_os(ENVIRONMENT).map(OsStringExt::into_vec).unwrap_or_default();
            if let Err(reason) = console.set_up(&description) {
                panic!("{ENVIRONMENT}: {reason}");
            }
            console
        })
    }

    /// A console of some service.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self { service, store: Mutex::default(), foreign: Mutex::default() }
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Reads a description as [`ENVIRONMENT`] has it.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn set_up(self: &Arc<Self>, description: &[u8]) -> Result<(), String> {
        let mut reader: Option<CString> = None;
        let mut count = 0;
        for item in description.split(|byte| *byte == b';').filter(|item| !item.is_empty()) {
            if let Some(name) = item.strip_prefix(b"reader=") {
                let name = CString::new(name).map_err(|_| "a NUL in a name")?;
                self.service.add_reader(&name);
                reader = Some(name);
                count += 1;
            } else if let Some(profile) = item.strip_prefix(b"card=") {
                let reader = reader.as_ref().ok_or("a card without a reader")?;
                let profile = std::str::from_utf8(profile).map_err(|_| "a profile is text")?;
                let id = format!("{profile}{count}");
                let card = self.store().make(&id, profile)?;
                self.service.insert(reader, card);
            } else if let Some(request) = item.strip_prefix(b"do=") {
                self.execute(request)?;
            } else {
                return Err(format!("not reader=, card= or do=: {}", String::from_utf8_lossy(item)));
            }
        }
        Ok(())
    }

    /// Carries a request out.
    ///
    /// # Errors
    /// A sentence on what is wrong, or the name of a PC/SC code.
    pub fn execute(self: &Arc<Self>, request: &[u8]) -> Result<Vec<u8>, String> {
        let mut words = Words::new(request);
        let service = &self.service;
        let verb = words.text()?;
        match verb {
            "add-reader" => service.add_reader(&words.name()?),
            "remove-reader" => service.remove_reader(&words.name()?),
            "new-card" => {
                let id = words.text()?;
                self.store().make(id, words.text()?)?;
            }
            "insert" => {
                let reader = words.name()?;
                let card = self.store().card(words.text()?)?;
                if !service.reader_names().contains(&reader) {
                    return Err("no such reader".into());
                }
                service.insert(&reader, card);
            }
            "remove" => drop(service.remove_card(&words.name()?)),
            "out-and-in" => service.out_and_in(&words.name()?),
            "disturb" => service.disturb(&words.name()?),
            "kill-service" => service.kill_service(),
            "start-service" => service.start_service(),
            "power-down-idle" => service.power_down_idle(),
            "quirks" => {
                let (removed_in_transmit, unplugged) = (words.code()?, words.code()?);
                let cards_have_threads = words.text()? == "threads";
                service.set_quirks(Quirks {
                    removed_in_transmit,
                    unplugged,
                    cards_have_threads,
                    ..Quirks::default()
                });
            }
            "inject" => self.inject(&mut words)?,
            "clear-faults" => service.clear_faults(),
            "release-hanging" => service.release_hanging(),
            "clear-log" => service.clear_log(),
            "await-blocked" => {
                let function = words.function()?;
                service.await_blocked(function, words.size()?);
            }
            "pause" => thread::sleep(Duration::from_millis(words.number()?)),
            "note" => {
                let file = File::options().create(true).append(true).open(words.text()?);
                file.and_then(|mut file| file.write_all(b"\n")).map_err(|error| error.to_string())?;
            }
            "card" => {
                // The store is free meanwhile: a busy card does not stop calls for another one.
                let card = self.store().virtual_card(words.text()?)?;
                return cards::execute(&card, &mut words).map(String::into_bytes);
            }
            "foreign" | "on" | "release" => return self.foreign(verb, &mut words).map(String::into_bytes),
            _ => return self.tell(verb, &mut words).map(String::into_bytes),
        }
        words.end()?;
        Ok(Vec::new())
    }

    fn inject(self: &Arc<Self>, words: &mut Words<'_>) -> Result<(), String> {
        let function = words.function()?;
        let first = words.number()?;
        let when = match words.text()? {
            "endless" => When::from(first),
            count => When::times(first, words::number(count)?),
        };
        let fault = match words.text()? {
            "fail" => Fault::Fail(words.code()?),
            "fail-after" => Fault::FailAfter(words.code()?),
            "hang" => Fault::Hang(words.code()?),
            "protocol" => Fault::Protocol(u32::try_from(words.number()?).map_err(|_| "32 bits")?),
            "length" => Fault::Length(words.number()?),
            "answer" => Fault::Answer(from_hex(words.text()?)?),
            "before" => {
                let request = words.rest();
                let console = Arc::downgrade(self);
                Fault::before(move |_| {
                    let Some(console) = console.upgrade() else { return };
                    if let Err(reason) = console.execute(&request) {
                        eprintln!("stand-in: {}: {reason}", String::from_utf8_lossy(&request));
                    }
                })
            }
            other => return Err(format!("no such fault: {other}")),
        };
        self.service.inject(function, when, fault);
        Ok(())
    }

    /// Requests that only ask.
    fn tell(&self, verb: &str, words: &mut Words<'_>) -> Result<String, String> {
        let service = &self.service;
        let answer = match verb {
            "calls" => service.calls(words.function()?).to_string(),
            "all-calls" => service.all_calls().to_string(),
            "log" => service.log().iter().fold(String::new(), |mut text, call| {
                text.push_str(&format!("{} {}\n", call.function, call.result));
                text
            }),
            "power" => {
                let ours = service.power_counts(Caller::Tested);
                let theirs = service.power_counts(Caller::Foreign);
                format!("{} {} {} {}", ours.resets, ours.unpowers, theirs.resets, theirs.unpowers)
            }
            "open-handles" => {
                let (contexts, connections) = service.open_handles();
                format!("{contexts} {connections}")
            }
            "blocked" => service.blocked_calls(words.function()?).to_string(),
            other => return Err(format!("no such request: {other}")),
        };
        words.end()?;
        Ok(answer)
    }

    fn foreign(&self, verb: &str, words: &mut Words<'_>) -> Result<String, String> {
        match verb {
            "foreign" => {
                let reader = words.name()?;
                let hold = words.text()?.to_owned();
                let program = self.service.foreign();
                let card = match words.text()? {
                    "shared" => program.connect(&reader),
                    "exclusive" => program.connect_exclusive(&reader),
                    "transaction" => program.hold_transaction(&reader),
                    other => return Err(format!("no such way to connect: {other}")),
                };
                let card = Arc::new(card.map_err(name_of)?);
                self.holds().insert(hold, card);
                Ok(String::new())
            }
            "on" => {
                let card = self.held(words.text()?)?;
                act(&card, words)
            }
            _ => {
                let hold = words.text()?;
                let card = self.holds().remove(hold).ok_or("no such foreign program")?;
                let disposition = match words.text()? {
                    "leave" => Disposition::Leave,
                    "reset" => Disposition::Reset,
                    "unpower" => Disposition::Unpower,
                    other => return Err(format!("no such disposition: {other}")),
                };
                card.disconnect(disposition).map_err(name_of)?;
                Ok(String::new())
            }
        }
    }

    fn held(&self, hold: &str) -> Result<Arc<ForeignCard>, String> {
        self.holds().get(hold).cloned().ok_or_else(|| "no such foreign program".to_owned())
    }

    fn store(&self) -> MutexGuard<'_, CardStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, BTreeMap<String, Arc<ForeignCard>>> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn act(card: &ForeignCard, words: &mut Words<'_>) -> Result<String, String> {
    let word = |status: u16| format!("{status:04x}");
    let answer = match words.text()? {
        "transmit" => card.transmit(&from_hex(words.text()?)?).map(|answer| hex(&answer)),
        "select" => card.select(&from_hex(words.text()?)?).map(word),
        "verify" => {
            let file = words.file()?;
            card.verify(file, words.bytes()?).map(word)
        }
        "sign" => {
            let file = words.file()?;
            card.sign(file, &from_hex(words.text()?)?).map(|answer| hex(&answer))
        }
        "begin" => card.begin().map(|()| String::new()),
        "end" => card.end(Disposition::Leave).map(|()| String::new()),
        other => return Err(format!("no such act: {other}")),
    };
    words.end()?;
    answer.map_err(name_of)
}

fn name_of(code: Code) -> String {
    code.to_string()
}

/// Reads a function's name.
fn function(text: &str) -> Result<Function, String> {
    Function::parse(text).ok_or_else(|| format!("no such function: {text}"))
}
