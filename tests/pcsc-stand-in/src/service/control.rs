//! What a test does to the service: it plugs readers in, pulls cards out, kills the service,
//! injects faults and asks what the program under test has done.

use std::ffi::{CStr, CString};
use std::sync::{Arc, PoisonError};

use super::fault::{Fault, When};
use super::journal::{Call, Caller, Function, PowerCounts};
use super::reader::{Inserted, Latched, Power, Reader, ReaderId, Sharing};
use super::{ContextHandle, Quirks, Service, State, protocol};
use crate::icc::Icc;

impl Service {
    /// Chooses among the ways of real services.
    pub fn set_quirks(&self, quirks: Quirks) {
        let mut state = self.lock();
        state.quirks = quirks;
        state.stop_without_reader();
    }

    /// The ways that were chosen.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        self.lock().quirks
    }

    /// Plugs a reader in, without a card. Nothing happens when one of that name is there.
    pub fn add_reader(&self, name: &CStr) {
        let mut state = self.lock();
        if state.reader_named(name).is_none() {
            let id = ReaderId(state.number());
            // With its first reader.
            state.daemon.running |= state.quirks.is_windows && state.readers.is_empty();
            state.readers.push(Reader::new(id, name.to_owned()));
        }
        self.inner.changed.notify_all();
    }

    /// Unplugs a reader with whatever is in it. Its connections end; one that is plugged in under
    /// the same name later is another reader.
    pub fn remove_reader(&self, name: &CStr) {
        let mut state = self.lock();
        let card = state.take_card(name);
        state.readers.retain(|reader| reader.name.as_c_str() != name);
        state.stop_without_reader();
        self.inner.changed.notify_all();
        drop(state);
        if let Some((card, false)) = card {
            card.taken_out();
        }
    }

    /// The readers there are.
    #[must_use]
    pub fn reader_names(&self) -> Vec<CString> {
        self.lock().readers.iter().map(|reader| reader.name.clone()).collect()
    }

    /// Puts a card in; another one is taken out first. Waits while a card works in that reader.
    ///
    /// # Panics
    /// When there is no such reader.
    pub fn insert(&self, name: &CStr, icc: Arc<dyn Icc>) {
        loop {
            self.remove_card(name);
            let id = self.lock().reader_named(name).map(|reader| reader.id);
            let id = id.unwrap_or_else(|| panic!("no reader {}", name.to_string_lossy()));
            // A card that left by itself may come back in between.
            if self.put_into(id, icc.clone()) {
                return;
            }
        }
    }

    /// Puts a card into a reader that is there and empty. `false` when it is not.
    pub(super) fn put_into(&self, id: ReaderId, icc: Arc<dyn Icc>) -> bool {
        let mut state = self.lock();
        while state.reader(id).is_some_and(|reader| reader.busy) {
            state = self.wait(state);
        }
        let Some(reader) = state.reader_mut(id).filter(|reader| reader.card.is_none()) else { return false };
        reader.busy = true;
        drop(state);
        let power = Power::from(icc.put_in());
        let mut state = self.lock();
        let (serial, quirks) = (state.number(), state.quirks);
        if let Some(reader) = state.reader_mut(id) {
            reader.busy = false;
            reader.card = Some(Inserted { serial, icc, power });
            reader.count_event(quirks);
        }
        self.inner.changed.notify_all();
        true
    }

    /// Takes the card out; a transaction on it is over. Returns the card.
    pub fn remove_card(&self, name: &CStr) -> Option<Arc<dyn Icc>> {
        let (card, busy) = self.lock().take_card(name)?;
        self.inner.changed.notify_all();
        if !busy {
            card.taken_out();
        }
        Some(card)
    }

    /// Takes the card out and puts it in again, faster than a person can.
    pub fn out_and_in(&self, name: &CStr) {
        if let Some(card) = self.remove_card(name) {
            self.insert(name, card);
        }
    }

    /// Resets the card by no client's wish, also inside a transaction, as a loose contact does.
    /// Every connection is told.
    pub fn disturb(&self, name: &CStr) {
        let client = self.foreign();
        client.disturb(name);
    }

    /// Kills the service: calls that wait return, connections get no answer from now
    /// on.
    pub fn kill_service(&self) {
        self.lock().stop();
        self.inner.changed.notify_all();
    }

    /// Starts a service that was killed: it powers the cards up and counts its events anew.
    pub fn start_service(&self) {
        let cards: Vec<_> = {
            let mut state = self.lock();
            state.daemon.running = true;
            state.readers.iter_mut().for_each(|reader| {
                reader.events = 0;
                reader.protocol = protocol::UNDEFINED;
            });
            state
                .readers
                .iter()
                .filter_map(|reader| Some((reader.id, reader.card.as_ref()?.icc.clone())))
                .collect()
        };
        for (id, icc) in cards {
            icc.power_off();
            let power = Power::from(icc.power_on());
            let mut state = self.lock();
            if let Some(card) = state.reader_mut(id).and_then(|reader| reader.card.as_mut()) {
                card.power = power;
            }
        }
        self.inner.changed.notify_all();
    }

    /// Takes the power of every card that is not in use, as the service does some seconds after the
    /// last client.
    pub fn power_down_idle(&self) {
        let mut state = self.lock();
        for reader in state.readers.iter_mut().filter(|reader| reader.sharing == Sharing::Shared(0)) {
            reader.protocol = protocol::UNDEFINED;
            if let Some(card) = &mut reader.card {
                card.icc.power_off();
                card.power = Power::Off;
            }
        }
    }

    /// Lets something go wrong at a call of the program under test.
    pub fn inject(&self, function: Function, when: When, fault: Fault) {
        self.lock().faults.add(function, when, fault);
    }

    /// Forgets the faults that have not come yet.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Lets the calls go on that hang by [`Fault::Hang`].
    pub fn release_hanging(&self) {
        self.lock().releases += 1;
        self.inner.changed.notify_all();
    }

    /// How often the program under test called a function.
    #[must_use]
    pub fn calls(&self, function: Function) -> u64 {
        self.lock().journal.calls(function)
    }

    /// How many calls of any kind it made.
    #[must_use]
    pub fn all_calls(&self) -> u64 {
        self.lock().journal.all_calls()
    }

    /// Its last calls, the oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.lock().journal.log()
    }

    /// Empties the log and the counters.
    pub fn clear_log(&self) {
        self.lock().journal.clear();
    }

    /// How often cards were reset or lost their power by one side.
    #[must_use]
    pub fn power_counts(&self, caller: Caller) -> PowerCounts {
        *self.lock().journal.power(caller)
    }

    /// How often foreign programs sent a PIN that the card refused, by
    /// [`super::ForeignCard::verify`] to this PIN file.
    #[must_use]
    pub fn foreign_failed_verifies(&self, pin_ef: u16) -> u64 {
        self.lock().journal.foreign_failed_verifies(pin_ef)
    }

    /// How many contexts and connections the program under test has open.
    #[must_use]
    pub fn open_handles(&self) -> (usize, usize) {
        let state = self.lock();
        let ours = |context: &ContextHandle| state.caller(*context) == Caller::Tested;
        let contexts = state.contexts.keys().filter(|context| ours(context)).count();
        let connections = state.connections.values().filter(|connection| ours(&connection.context)).count();
        (contexts, connections)
    }

    /// How many calls of a function wait now, of all callers.
    #[must_use]
    pub fn blocked_calls(&self, function: Function) -> usize {
        self.lock().blocked.get(&function).copied().unwrap_or(0)
    }

    /// Returns when at least `count` calls of a function wait: for a card, a transaction, a change
    /// or a release.
    pub fn await_blocked(&self, function: Function, count: usize) {
        let mut state = self.lock();
        while state.blocked.get(&function).copied().unwrap_or(0) < count {
            state = self.inner.blocked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn stop(&mut self) {
        self.daemon.running = false;
        self.daemon.generation += 1;
        for reader in &mut self.readers {
            reader.transaction = None;
            reader.sharing = Sharing::Shared(0);
        }
        self.connections.values_mut().for_each(|connection| connection.reader = ReaderId(0));
    }

    /// Stops a service that does not run without a reader.
    fn stop_without_reader(&mut self) {
        if self.quirks.is_windows && self.readers.is_empty() && self.daemon.running {
            self.stop();
        }
    }

    /// Takes the card out of the reader's books. Returns it, and whether it works just now: then it
    /// is told when it is done, and no test waits for that here.
    fn take_card(&mut self, name: &CStr) -> Option<(Arc<dyn Icc>, bool)> {
        let quirks = self.quirks;
        let reader = self.reader_named(name)?;
        let card = reader.card.take()?;
        reader.count_event(quirks);
        reader.transaction = None;
        reader.protocol = protocol::UNDEFINED;
        let (id, busy) = (reader.id, reader.busy);
        self.latch(id, Latched::Removed);
        Some((card.icc, busy))
    }
}
