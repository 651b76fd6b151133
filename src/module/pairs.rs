//! The pairs of slots that there are, the readers that have none yet, and the events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;

use super::slot::{PairReader, Slot};
use crate::handle::SlotId;
use crate::jpki::credential::Credential;
use crate::manager::CardManager;
use crate::transport::{ReaderName, ReaderState, TransportError};

/// How long a look for readers serves the spare slots that did not use it yet.
const LOOK_REUSE: Duration = Duration::from_secs(1);

/// The least time between two looks for the spare slots while the service refuses this user: it
/// logs each refusal.
const REFUSED_PAUSE: Duration = Duration::from_secs(8);

/// What was seen of the readers at one moment.
pub(super) type Readers = [(ReaderName, ReaderState)];

/// Two ids, and the slots that the configuration has for them.
struct Pair {
    slots: Vec<Arc<Slot>>,
    reader: PairReader,
    /// It is in the list that was last read.
    listed: bool,
}

/// A look for readers.
struct Look {
    at: Instant,
    refused: bool,
    /// The spare slots that have used it.
    used_by: Vec<SlotId>,
}

/// Every pair of slots there ever was, and the events that were not fetched yet.
#[derive(Default)]
pub(super) struct Pairs {
    /// In the order of their ids. A reader that goes away keeps its slots.
    pairs: Vec<Pair>,
    /// The readers that came since the list was last read, while a spare pair waits for one of
    /// them.
    waiting: Vec<Arc<CardManager>>,
    last_look: Option<Look>,
    /// What was seen of each reader when events were last noted; `None` before the first time.
    seen: Option<HashMap<ReaderName, ReaderState>>,
    events: VecDeque<SlotId>,
}

impl Pairs {
    /// The managers of all readers.
    pub(super) fn managers(&self) -> Vec<Arc<CardManager>> {
        let paired = self.pairs.iter().filter_map(|pair| pair.reader.get());
        paired.chain(&self.waiting).cloned().collect()
    }

    /// Whether readers were ever looked for.
    pub(super) fn is_new(&self) -> bool {
        self.last_look.is_none()
    }

    /// Whether the list was ever read.
    pub(super) fn is_listed(&self) -> bool {
        self.pairs.iter().any(|pair| pair.listed)
    }

    /// The slots of the list that was last read.
    pub(super) fn listed(&self) -> Vec<Arc<Slot>> {
        let listed = self.pairs.iter().filter(|pair| pair.listed);
        listed.flat_map(|pair| pair.slots.iter().cloned()).collect()
    }

    /// The slot with this id.
    pub(super) fn slot(&self, id: SlotId) -> Option<Arc<Slot>> {
        self.pairs.iter().flat_map(|pair| &pair.slots).find(|slot| slot.id() == id).cloned()
    }

    /// The slots of a reader; none while it waits for a pair.
    pub(super) fn slots_of(&self, reader: &ReaderName) -> &[Arc<Slot>] {
        let of = |pair: &&Pair| pair.reader.get().is_some_and(|manager| manager.reader() == reader);
        self.pairs.iter().find(of).map_or(&[], |pair| &pair.slots)
    }

    /// Whether readers have to be looked for before this slot can answer: it is a spare one, and
    /// the last look is old or has served it already.
    ///
    /// So a program that asks for slot after slot, again and again, makes one look for each round,
    /// and none of its own where it reads the list each time.
    pub(super) fn needs_look(&mut self, id: SlotId) -> bool {
        let of = |pair: &&Pair| pair.slots.iter().any(|slot| slot.id() == id);
        if self.pairs.iter().find(of).is_none_or(|pair| pair.reader.get().is_some()) {
            return false;
        }
        let Some(look) = &mut self.last_look else { return true };
        if look.refused {
            return look.at.elapsed() >= REFUSED_PAUSE;
        }
        if look.used_by.contains(&id) {
            return true;
        }
        look.used_by.push(id);
        look.at.elapsed() >= LOOK_REUSE
    }

    /// Notes that readers are looked for now; on whose behalf, if it is a spare slot.
    pub(super) fn note_look(&mut self, result: Result<(), TransportError>, id: Option<SlotId>) {
        let refused = result == Err(TransportError::AccessDenied);
        self.last_look = Some(Look { at: Instant::now(), refused, used_by: id.into_iter().collect() });
    }

    /// Takes note of readers that came. Each gets its pair, unless a spare pair may be for it.
    pub(super) fn introduce(
        &mut self,
        now: &Readers,
        manager: impl Fn(ReaderName) -> Arc<CardManager>,
        includes: impl Fn(Credential) -> bool,
    ) {
        let waits = self.has_spare();
        if !waits {
            self.add_waiting(&includes);
        }
        for (reader, _) in now {
            if self.managers().iter().any(|known| known.reader() == reader) {
                continue;
            }
            info!("reader: {reader}");
            let manager = manager(reader.clone());
            if waits { self.waiting.push(manager) } else { self.add(Some(manager), &includes) }
        }
    }

    /// The readers of which one may take the spare pair.
    pub(super) fn candidates(&self) -> Vec<Arc<CardManager>> {
        if self.has_spare() { self.waiting.clone() } else { Vec::new() }
    }

    /// The readers whose cards decide about the next list: who takes the spare pair, or whether
    /// there has to be one.
    pub(super) fn candidates_for_list(&self) -> Vec<Arc<CardManager>> {
        if self.is_listed() { self.candidates() } else { self.managers() }
    }

    /// Gives the spare pair, if there still is one, to a reader without a pair. Its slots have an
    /// event.
    pub(super) fn give_spare(&mut self, manager: &Arc<CardManager>) {
        let Some(pair) = self.pairs.iter().find(|pair| pair.reader.get().is_none()) else { return };
        let Some(index) = self.waiting.iter().position(|waiting| Arc::ptr_eq(waiting, manager)) else {
            return;
        };
        info!("{}: takes the spare slots", manager.reader());
        // The cell is empty: it takes the value.
        let _ = pair.reader.set(self.waiting.remove(index));
        let ids: Vec<SlotId> = pair.slots.iter().map(|slot| slot.id()).collect();
        self.push_events(ids);
    }

    /// The list is read: every reader has its pair in it. As long as no JPKI card was seen there is
    /// a spare pair as well.
    pub(super) fn list(&mut self, includes: impl Fn(Credential) -> bool) {
        self.add_waiting(&includes);
        if !self.has_spare() && !self.managers().iter().any(|manager| manager.has_seen_jpki_card()) {
            self.add(None, &includes);
        }
        self.pairs.iter_mut().for_each(|pair| pair.listed = true);
    }

    /// Notes which slots have an event since the last time.
    pub(super) fn note_events(&mut self, now: &Readers) {
        let now: HashMap<ReaderName, ReaderState> = now.iter().cloned().collect();
        if let Some(before) = &self.seen {
            let changed = |pair: &&Pair| {
                let Some(manager) = pair.reader.get() else { return false };
                let (before, now) = (before.get(manager.reader()), now.get(manager.reader()));
                match (before, now) {
                    (Some(before), Some(now)) => !before.is_same_as(*now),
                    // An empty reader that comes or goes is no event: no token came or went.
                    (Some(reader), None) | (None, Some(reader)) => reader.card_present,
                    (None, None) => false,
                }
            };
            let changed = self.pairs.iter().filter(changed).flat_map(|pair| &pair.slots);
            let ids: Vec<SlotId> = changed.map(|slot| slot.id()).collect();
            self.push_events(ids);
        }
        self.seen = Some(now);
    }

    /// A slot whose token came or went, once for each time.
    pub(super) fn take_event(&mut self) -> Option<SlotId> {
        self.events.pop_front()
    }

    fn push_events(&mut self, ids: Vec<SlotId>) {
        for id in ids {
            if !self.events.contains(&id) {
                self.events.push_back(id);
            }
        }
    }

    fn add_waiting(&mut self, includes: impl Fn(Credential) -> bool) {
        for manager in std::mem::take(&mut self.waiting) {
            self.add(Some(manager), &includes);
        }
    }

    fn has_spare(&self) -> bool {
        self.pairs.iter().any(|pair| pair.reader.get().is_none())
    }

    /// Two ids, whether or not both become slots: ids do not depend on the configuration.
    fn add(&mut self, manager: Option<Arc<CardManager>>, includes: impl Fn(Credential) -> bool) {
        let reader = manager.map_or_else(PairReader::default, |manager| {
            let cell = PairReader::default();
            // The cell is empty: it takes the value.
            let _ = cell.set(manager);
            cell
        });
        let first = self.pairs.len() * Credential::ALL.len();
        let slot = |(credential, number): (Credential, usize)| {
            let id = SlotId::new(u64::try_from(number).ok()?);
            includes(credential).then(|| Arc::new(Slot::new(id, credential, reader.clone())))
        };
        let slots = Credential::ALL.into_iter().zip(first..).filter_map(slot).collect();
        self.pairs.push(Pair { slots, reader, listed: false });
    }
}
