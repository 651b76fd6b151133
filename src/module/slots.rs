//! Slots: two for each reader, whose ids follow the reader's name and never move.
//!
//! # The spare pair
//!
//! Programs such as Chromium and LibreOffice read the list of slots once, and then ask the slots
//! that they know whether a token is there. A reader that comes later, or a PC/SC service, would
//! never be seen. So a list that is read before any JPKI card was seen has one more pair, without a
//! reader. The first reader with a JPKI card that has no pair in the list last read takes it, and
//! keeps it; a reader with another maker's token does not. No second spare pair is made. A pair
//! that was listed stays in the list: NSS gives up a module whose list gets shorter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;

use super::pairs::{Pairs, Readers};
use super::slot::Slot;
use super::survey::ReaderListing;
use crate::config::Config;
use crate::error::Error;
use crate::handle::SlotId;
use crate::jpki::credential::Credential;
use crate::manager::error::CardError;
use crate::manager::memory::ProcessMemory;
use crate::manager::{AskSignature, CardManager, WhenInUse};
use crate::os::SecretMemory;
use crate::transport::{ReaderName, ReaderState, Service, TransportError};

/// How long a wait for an event goes on before all readers are looked at again.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The same, while another program keeps a card from being recognised for the spare pair.
const HELD_TIMEOUT: Duration = Duration::from_secs(1);

/// Every slot there ever was, and where they come from.
pub(super) struct SlotTable {
    config: Config,
    service: Arc<Service>,
    secrets: Arc<dyn SecretMemory>,
    memory: Arc<ProcessMemory>,
    pairs: Mutex<Pairs>,
}

/// What was seen when events were looked for.
pub(super) struct Seen {
    pub(super) readers: Vec<(ReaderName, ReaderState)>,
    /// How long to wait for a change before the next look.
    pub(super) timeout: Duration,
}

impl SlotTable {
    pub(super) fn new(
        config: Config,
        service: Arc<Service>,
        secrets: Arc<dyn SecretMemory>,
        memory: Arc<ProcessMemory>,
    ) -> Self {
        Self { config, service, secrets, memory, pairs: Mutex::default() }
    }

    /// Ends every login and lets no card operation begin.
    pub(super) fn shut_down(&self) {
        self.pairs.lock().managers().iter().for_each(|manager| manager.shut_down());
    }

    /// Waits until no operation is under way, not beyond `deadline`.
    pub(super) fn wait_for_operations(&self, deadline: Instant) {
        let readers = self.pairs.lock().managers();
        readers.iter().for_each(|manager| manager.wait_for_operations(deadline));
    }

    /// Closes the connections that no operation uses.
    pub(super) fn close_connections(&self) {
        let readers = self.pairs.lock().managers();
        readers.iter().for_each(|manager| manager.close_connection());
    }

    /// Makes the list anew: the readers that came get their slots.
    ///
    /// Before the first JPKI card the new cards are looked at: they decide about the spare pair. A
    /// caller that does not ask for tokens never waits for another program here.
    pub(super) fn refresh(&self, token_present: bool) {
        let now = self.look(None);
        let candidates = self.pairs.lock().candidates_for_list();
        let (ask, when) = if token_present {
            (self.ask_for_tokens(), WhenInUse::Wait)
        } else {
            (AskSignature::No, WhenInUse::LeaveAlone)
        };
        self.look_for_card(candidates, &now, ask, when);
        let mut pairs = self.pairs.lock();
        pairs.list(|credential| self.config.slots.include(credential));
        pairs.note_events(&now);
    }

    /// As [`SlotTable::refresh`], for a caller that never asked for the number of slots.
    pub(super) fn refresh_if_new(&self, token_present: bool) {
        if !self.pairs.lock().is_listed() {
            self.refresh(token_present);
        }
    }

    /// The ids of all slots in the list, or of those with a token. Cards are recognised without the
    /// table's lock.
    ///
    /// A new card to which another program is connected may take as long as that program's
    /// transaction. It is asked if no other slot has a token, or when a caller asks for its slot.
    /// What a known card was not asked for yet, its signature certificate, waits as well: pcscd
    /// tells of transactions only by waiting.
    pub(super) fn list(&self, token_present: bool) -> Vec<SlotId> {
        let slots = self.pairs.lock().listed();
        let ids = |slots: Vec<&Arc<Slot>>| slots.into_iter().map(|slot| slot.id()).collect::<Vec<_>>();
        if !token_present {
            return ids(slots.iter().collect());
        }
        let ask = self.ask_for_tokens();
        let (mut found, mut held) = (Vec::new(), Vec::new());
        for slot in &slots {
            match slot.has_token(ask, WhenInUse::LeaveAlone) {
                Ok(true) => found.push(slot),
                Err(CardError::Held) => held.push(slot),
                Ok(false) | Err(_) => {}
            }
        }
        if found.is_empty() {
            held.retain(|slot| slot.has_token(ask, WhenInUse::Wait).unwrap_or(false));
            found = held;
        }
        ids(found)
    }

    /// The slot with this id. A spare one looks for its reader.
    pub(super) fn get(&self, id: SlotId) -> Result<Arc<Slot>, Error> {
        if self.pairs.lock().is_new() {
            // The caller has the id without a list: the slots are made, and no list.
            let now = self.look(None);
            self.pairs.lock().note_events(&now);
        }
        let mut pairs = self.pairs.lock();
        let slot = pairs.slot(id).ok_or(Error::SlotIdInvalid)?;
        if pairs.needs_look(id) {
            drop(pairs);
            let now = self.look(Some(id));
            let candidates = self.pairs.lock().candidates();
            self.look_for_card(candidates, &now, AskSignature::No, WhenInUse::Wait);
        }
        Ok(slot)
    }

    /// Looks at all readers, notes what has changed, and returns what was seen.
    pub(super) fn look_for_events(&self) -> Seen {
        let now = self.look(None);
        let candidates = self.pairs.lock().candidates();
        let held = self.look_for_card(candidates, &now, AskSignature::No, WhenInUse::Wait);
        self.pairs.lock().note_events(&now);
        Seen { readers: now, timeout: if held { HELD_TIMEOUT } else { WAIT_TIMEOUT } }
    }

    /// A slot whose token came or went, once for each time.
    pub(super) fn take_event(&self) -> Option<SlotId> {
        self.pairs.lock().take_event()
    }

    /// What a list of tokens asks of a new card: one transaction tells about both slots of a
    /// reader.
    fn ask_for_tokens(&self) -> AskSignature {
        let has_signature = self.config.slots.include(Credential::DigitalSignature);
        if has_signature { AskSignature::Yes } else { AskSignature::No }
    }

    /// Asks the service for the readers and what it knows of them; on behalf of a spare slot, if
    /// one is named.
    fn look(&self, spare: Option<SlotId>) -> Vec<(ReaderName, ReaderState)> {
        self.look_at(self.service.readers(), spare)
    }

    /// As [`SlotTable::look`], with the list of readers.
    fn look_at(
        &self,
        names: Result<Vec<ReaderName>, TransportError>,
        spare: Option<SlotId>,
    ) -> Vec<(ReaderName, ReaderState)> {
        let result = names.as_ref().map(drop).map_err(|error| *error);
        let used = names.unwrap_or_default().into_iter().filter(|name| self.config.uses_reader(name));
        let now: Vec<(ReaderName, ReaderState)> = used
            .filter_map(|name| Some((name.clone(), self.service.reader_state(&name).ok().flatten()?)))
            .collect();
        let mut pairs = self.pairs.lock();
        if let Err(error) = result {
            report(error, pairs.is_new());
        }
        pairs.note_look(result, spare);
        pairs.introduce(
            &now,
            |reader| self.manager(reader),
            |credential| self.config.slots.include(credential),
        );
        now
    }

    /// Every reader that the service lists, with its slots. No card is asked, not for the spare
    /// pair either: another program may have a transaction on it.
    pub(super) fn listings(&self) -> Result<Vec<ReaderListing>, TransportError> {
        let names = self.service.readers()?;
        let now = self.look_at(Ok(names.clone()), None);
        let mut pairs = self.pairs.lock();
        pairs.note_events(&now);
        let slots_of = |reader: &ReaderName| {
            pairs.slots_of(reader).iter().map(|slot| (slot.credential(), slot.id())).collect()
        };
        let listing = |name: &ReaderName| ReaderListing {
            name: name.to_string(),
            is_used: self.config.uses_reader(name),
            slots: slots_of(name),
        };
        Ok(names.iter().map(listing).collect())
    }

    /// The manager of the reader with this name.
    pub(super) fn manager_of(&self, reader: &str) -> Option<Arc<CardManager>> {
        let managers = self.pairs.lock().managers();
        managers.into_iter().find(|manager| manager.reader().to_string() == reader)
    }

    /// Looks for the JPKI card that decides about the spare pair, and gives the pair to its reader.
    /// Cards to which other programs are connected come last. Returns whether another program keeps
    /// a card from being recognised.
    fn look_for_card(
        &self,
        among: Vec<Arc<CardManager>>,
        now: &Readers,
        ask: AskSignature,
        when: WhenInUse,
    ) -> bool {
        let has_card = |manager: &Arc<CardManager>| {
            now.iter().any(|(name, state)| name == manager.reader() && state.card_present)
        };
        let mut left: Vec<_> = among.into_iter().filter(has_card).collect();
        let passes = [WhenInUse::LeaveAlone].into_iter().chain((when == WhenInUse::Wait).then_some(when));
        for when in passes {
            let mut held = Vec::new();
            for manager in left {
                match manager.open_card(ask, when) {
                    Ok(_) => {
                        self.pairs.lock().give_spare(&manager);
                        return false;
                    }
                    Err(CardError::Held) => held.push(manager),
                    Err(_) => {}
                }
            }
            left = held;
        }
        !left.is_empty()
    }

    fn manager(&self, reader: ReaderName) -> Arc<CardManager> {
        Arc::new(CardManager::new(
            reader,
            self.service.clone(),
            self.secrets.clone(),
            self.memory.clone(),
            self.config.settings,
        ))
    }
}

/// Says once why there are no readers.
fn report(error: TransportError, is_first: bool) {
    if is_first {
        warn!("no readers: {error}");
    }
}
