//! The requests as methods. What they do stands at the methods of
//! [`Service`](crate::service::Service) of the same names.

#![expect(missing_docs, reason = "each is a request of the command module and a method of Service")]

use super::StandIn;
use crate::service::{Code, Function, PowerCounts, Quirks};

/// A foreign program in the service of the library. It stays there until it is released.
#[derive(Debug, Clone)]
pub struct ForeignHold {
    stand_in: StandIn,
    name: String,
}

impl StandIn {
    pub fn add_reader(self, name: impl AsRef<[u8]>) {
        self.must(&[b"add-reader", name.as_ref()]);
    }

    pub fn remove_reader(self, name: impl AsRef<[u8]>) {
        self.must(&[b"remove-reader", name.as_ref()]);
    }

    /// Makes a card of a profile and gives it a name.
    pub fn new_card(self, id: &str, profile: &str) {
        self.must(&[b"new-card", id.as_bytes(), profile.as_bytes()]);
    }

    pub fn insert(self, reader: impl AsRef<[u8]>, id: &str) {
        self.must(&[b"insert", reader.as_ref(), id.as_bytes()]);
    }

    pub fn remove_card(self, reader: impl AsRef<[u8]>) {
        self.must(&[b"remove", reader.as_ref()]);
    }

    pub fn out_and_in(self, reader: impl AsRef<[u8]>) {
        self.must(&[b"out-and-in", reader.as_ref()]);
    }

    pub fn disturb(self, reader: impl AsRef<[u8]>) {
        self.must(&[b"disturb", reader.as_ref()]);
    }

    pub fn kill_service(self) {
        self.must(&[b"kill-service"]);
    }

    pub fn start_service(self) {
        self.must(&[b"start-service"]);
    }

    pub fn power_down_idle(self) {
        self.must(&[b"power-down-idle"]);
    }

    pub fn set_quirks(self, quirks: Quirks) {
        let (removed, unplugged) = (number(quirks.removed_in_transmit), number(quirks.unplugged));
        let threads: &[u8] = if quirks.cards_have_threads { b"threads" } else { b"no-threads" };
        self.must(&[b"quirks", removed.as_bytes(), unplugged.as_bytes(), threads]);
    }

    /// The call is not carried out and returns `code`. The next call is the `first` 1.
    pub fn fail(self, function: Function, first: u64, code: Code) {
        self.inject(function, first, Some(1), &[b"fail", number(code).as_bytes()]);
    }

    /// This call and every later one.
    pub fn fail_from(self, function: Function, first: u64, code: Code) {
        self.inject(function, first, None, &[b"fail", number(code).as_bytes()]);
    }

    /// The call is carried out and returns `code`.
    pub fn fail_after(self, function: Function, first: u64, code: Code) {
        self.inject(function, first, Some(1), &[b"fail-after", number(code).as_bytes()]);
    }

    /// The call hangs until [`StandIn::release_hanging`], and returns `code`.
    pub fn hang(self, function: Function, first: u64, code: Code) {
        self.inject(function, first, Some(1), &[b"hang", number(code).as_bytes()]);
    }

    /// Another request is carried out just before the call: `stand_in.before(Transmit, 3,
    /// &[b"remove", reader])`.
    pub fn before(self, function: Function, first: u64, request: &[&[u8]]) {
        let mut words: Vec<&[u8]> = vec![b"before"];
        words.extend(request);
        self.inject(function, first, Some(1), &words);
    }

    /// Any fault of the command module, `count` times or for ever.
    pub fn inject(self, function: Function, first: u64, count: Option<u64>, fault: &[&[u8]]) {
        let function = function.to_string();
        let first = first.to_string();
        let count = count.map_or_else(|| "endless".to_owned(), |count| count.to_string());
        let mut words: Vec<&[u8]> = vec![b"inject", function.as_bytes(), first.as_bytes(), count.as_bytes()];
        words.extend(fault);
        self.must(&words);
    }

    pub fn clear_faults(self) {
        self.must(&[b"clear-faults"]);
    }

    pub fn release_hanging(self) {
        self.must(&[b"release-hanging"]);
    }

    #[must_use]
    pub fn calls(self, function: Function) -> u64 {
        self.numbers(&[b"calls", function.to_string().as_bytes()])[0]
    }

    #[must_use]
    pub fn all_calls(self) -> u64 {
        self.numbers(&[b"all-calls"])[0]
    }

    /// The last calls, each a line of function and result.
    #[must_use]
    pub fn log(self) -> Vec<String> {
        self.must(&[b"log"]).lines().map(str::to_owned).collect()
    }

    pub fn clear_log(self) {
        self.must(&[b"clear-log"]);
    }

    /// What the program under test did to the power of cards, and what foreign programs did.
    #[must_use]
    pub fn power(self) -> (PowerCounts, PowerCounts) {
        let counts = self.numbers(&[b"power"]);
        let side = |index: usize| PowerCounts { resets: counts[index], unpowers: counts[index + 1] };
        (side(0), side(2))
    }

    /// Open contexts and connections of the program under test.
    #[must_use]
    pub fn open_handles(self) -> (u64, u64) {
        let counts = self.numbers(&[b"open-handles"]);
        (counts[0], counts[1])
    }

    #[must_use]
    pub fn blocked_calls(self, function: Function) -> u64 {
        self.numbers(&[b"blocked", function.to_string().as_bytes()])[0]
    }

    /// Returns when so many calls of a function wait.
    pub fn await_blocked(self, function: Function, count: usize) {
        self.must(&[b"await-blocked", function.to_string().as_bytes(), count.to_string().as_bytes()]);
    }

    /// Another program connects, `shared`, `exclusive` or `transaction`.
    ///
    /// # Errors
    /// The name of the PC/SC code.
    pub fn foreign(self, reader: impl AsRef<[u8]>, hold: &str, how: &str) -> Result<ForeignHold, String> {
        self.request(&[b"foreign", reader.as_ref(), hold.as_bytes(), how.as_bytes()])?;
        Ok(ForeignHold { stand_in: self, name: hold.to_owned() })
    }

    /// Asks a card for its ledger or gives it a fault: see [`crate::command::cards`].
    pub fn card(self, id: &str, words: &[&str]) -> String {
        let mut request: Vec<&[u8]> = vec![b"card", id.as_bytes()];
        request.extend(words.iter().map(|word| word.as_bytes()));
        self.must(&request)
    }

    fn must(self, words: &[&[u8]]) -> String {
        match self.request(words) {
            Ok(reply) => String::from_utf8_lossy(&reply).into_owned(),
            Err(reason) => panic!("{}: {reason}", String::from_utf8_lossy(&words.join(&b' '))),
        }
    }

    fn numbers(self, words: &[&[u8]]) -> Vec<u64> {
        let reply = self.must(words);
        reply.split(' ').map(|number| number.parse().expect("a number")).collect()
    }
}

impl ForeignHold {
    /// An act of the program: `transmit HEX`, `select HEX`, `verify EF PIN`, `sign EF HEX`,
    /// `begin`, `end`.
    ///
    /// # Errors
    /// The name of the PC/SC code.
    pub fn act(&self, words: &[&str]) -> Result<String, String> {
        let mut request: Vec<&[u8]> = vec![b"on", self.name.as_bytes()];
        request.extend(words.iter().map(|word| word.as_bytes()));
        let reply = self.stand_in.request(&request)?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    /// Disconnects: `leave`, `reset` or `unpower`.
    pub fn release(self, disposition: &str) {
        self.stand_in.must(&[b"release", self.name.as_bytes(), disposition.as_bytes()]);
    }
}

fn number(code: Code) -> String {
    format!("{:#010x}", code.raw())
}
