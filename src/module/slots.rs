//! Slots: two for each reader, whose ids follow the reader's name and never move.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use cryptoki_sys as ck;
use log::{info, warn};
use parking_lot::Mutex;

use super::survey::ReaderListing;
use crate::config::Config;
use crate::error::Error;
use crate::handle::{HandleCounter, SlotId};
use crate::jpki::credential::Credential;
use crate::manager::error::CardError;
use crate::manager::memory::ProcessMemory;
use crate::manager::{CardCredential, CardManager};
use crate::os::SecretMemory;
use crate::token::Token;
use crate::token::output::padded;
use crate::transport::{ReaderName, ReaderState, Service, TransportError};

/// One credential at one reader.
pub(super) struct Slot {
    id: SlotId,
    credential: Credential,
    manager: Arc<CardManager>,
    /// The token of the card that was last seen here.
    token: Mutex<Option<Arc<Token>>>,
}

/// Every slot there ever was, and the events that were not fetched yet.
pub(super) struct SlotTable {
    config: Config,
    service: Arc<Service>,
    secrets: Arc<dyn SecretMemory>,
    memory: Arc<ProcessMemory>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order of their ids. A reader that goes away keeps its slots.
    slots: Vec<Arc<Slot>>,
    readers: Vec<Arc<CardManager>>,
    /// What was seen of each reader when events were last looked for; `None` before the first look.
    seen: Option<HashMap<ReaderName, ReaderState>>,
    events: VecDeque<SlotId>,
}

impl Slot {
    /// PKCS #11, C_GetSlotInfo. No exchange with a card that is known.
    pub(super) fn info(&self) -> ck::CK_SLOT_INFO {
        let present = if self.has_token(self.asks_for_signature()) { ck::CKF_TOKEN_PRESENT } else { 0 };
        ck::CK_SLOT_INFO {
            // What tells the two slots of a reader apart comes first: programs show about twenty characters.
            slotDescription: padded(&format!("{}, {}", self.kind(), self.manager.reader())),
            manufacturerID: padded("PC/SC"),
            flags: ck::CKF_REMOVABLE_DEVICE | ck::CKF_HW_SLOT | present,
            hardwareVersion: ck::CK_VERSION { major: 0, minor: 0 },
            firmwareVersion: ck::CK_VERSION { major: 0, minor: 0 },
        }
    }

    /// The token in the slot.
    pub(super) fn token(&self, objects: &HandleCounter) -> Result<Arc<Token>, Error> {
        let card = self.manager.open_card(self.asks_for_signature()).map_err(absent_if_never_seen)?;
        if !self.manager.has(&card, self.credential)? {
            return Err(Error::TokenNotPresent);
        }
        let mut token = self.token.lock();
        if let Some(token) = token.as_ref().filter(|token| Arc::ptr_eq(token.card(), &card)) {
            return Ok(token.clone());
        }
        let of = CardCredential { card, credential: self.credential };
        let fresh = Arc::new(Token::new(self.manager.clone(), of, objects));
        Ok(token.insert(fresh).clone())
    }

    fn has_token(&self, with_signature: bool) -> bool {
        let card = self.manager.open_card(with_signature);
        card.and_then(|card| self.manager.has(&card, self.credential)).unwrap_or(false)
    }

    /// What the slot is for, in one word.
    fn kind(&self) -> &'static str {
        match self.credential {
            Credential::UserAuthentication => "Authentication",
            Credential::DigitalSignature => "Signature",
        }
    }

    fn asks_for_signature(&self) -> bool {
        self.credential == Credential::DigitalSignature
    }
}

impl SlotTable {
    pub(super) fn new(
        config: Config,
        service: Arc<Service>,
        secrets: Arc<dyn SecretMemory>,
        memory: Arc<ProcessMemory>,
    ) -> Self {
        Self { config, service, secrets, memory, state: Mutex::default() }
    }

    /// Ends every login and lets no card operation begin.
    pub(super) fn shut_down(&self) {
        for manager in &self.state.lock().readers {
            manager.shut_down();
        }
    }

    /// Waits until no operation is under way, not beyond `deadline`.
    pub(super) fn wait_for_operations(&self, deadline: Instant) {
        let readers = self.state.lock().readers.clone();
        readers.iter().for_each(|manager| manager.wait_for_operations(deadline));
    }

    /// Closes the connections that no operation uses.
    pub(super) fn close_connections(&self) {
        let readers = self.state.lock().readers.clone();
        readers.iter().for_each(|manager| manager.close_connection());
    }

    /// Looks for readers that came.
    pub(super) fn refresh(&self) {
        self.look_for_events();
    }

    /// As [`SlotTable::refresh`], for a caller that never asked for the number of slots.
    pub(super) fn refresh_if_new(&self) {
        if self.state.lock().seen.is_none() {
            self.refresh();
        }
    }

    /// The ids of all slots, or of those with a token. Cards are recognised without the table's
    /// lock.
    pub(super) fn list(&self, token_present: bool) -> Vec<SlotId> {
        let slots = self.state.lock().slots.clone();
        let both = self.config.slots.include(Credential::DigitalSignature);
        let listed = |slot: &&Arc<Slot>| {
            // One transaction tells about both slots of a reader.
            !token_present || slot.has_token(both)
        };
        slots.iter().filter(listed).map(|slot| slot.id).collect()
    }

    /// The slot with this id.
    pub(super) fn get(&self, id: SlotId) -> Result<Arc<Slot>, Error> {
        self.refresh_if_new();
        let state = self.state.lock();
        state.slots.iter().find(|slot| slot.id == id).cloned().ok_or(Error::SlotIdInvalid)
    }

    /// Looks at all readers, notes what has changed, and returns what was seen.
    pub(super) fn look_for_events(&self) -> Vec<(ReaderName, ReaderState)> {
        let names = self.service.readers().unwrap_or_else(|error| {
            self.report(error);
            Vec::new()
        });
        let used = names.into_iter().filter(|name| self.config.uses_reader(name));
        let now: Vec<(ReaderName, ReaderState)> = used
            .filter_map(|name| Some((name.clone(), self.service.reader_state(&name).ok().flatten()?)))
            .collect();
        self.state.lock().note(
            &now,
            |reader| self.manager(reader),
            |credential| self.config.slots.include(credential),
        );
        now
    }

    /// Every reader that the service lists, with its slots.
    pub(super) fn listings(&self) -> Result<Vec<ReaderListing>, TransportError> {
        let names = self.service.readers()?;
        self.look_for_events();
        let state = self.state.lock();
        let slots_of = |reader: &ReaderName| {
            let slots = state.slots.iter().filter(|slot| slot.manager.reader() == reader);
            slots.map(|slot| (slot.credential, slot.id)).collect()
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
        let state = self.state.lock();
        state.readers.iter().find(|manager| manager.reader().to_string() == reader).cloned()
    }

    /// A slot whose token came or went, once for each time.
    pub(super) fn take_event(&self) -> Option<SlotId> {
        self.state.lock().events.pop_front()
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

    /// Says once why there are no readers.
    fn report(&self, error: TransportError) {
        if self.state.lock().seen.is_none() {
            warn!("no readers: {error}");
        }
    }
}

impl State {
    /// Gives new readers their slots, and remembers which slots have an event.
    fn note(
        &mut self,
        now: &[(ReaderName, ReaderState)],
        manager: impl Fn(ReaderName) -> Arc<CardManager>,
        includes: impl Fn(Credential) -> bool,
    ) {
        for (reader, _) in now {
            if !self.readers.iter().any(|known| known.reader() == reader) {
                info!("reader: {reader}");
                self.add(&manager(reader.clone()), &includes);
            }
        }
        let now: HashMap<ReaderName, ReaderState> = now.iter().cloned().collect();
        if let Some(before) = &self.seen {
            let changed = |slot: &&Arc<Slot>| {
                let reader = slot.manager.reader();
                let (before, now) = (before.get(reader), now.get(reader));
                // An empty reader that comes or goes is no event: no token came or went.
                let card = |state: Option<&ReaderState>| state.is_some_and(|state| state.card_present);
                before != now && (card(before) || card(now) || (before.is_some() && now.is_some()))
            };
            let events: Vec<SlotId> = self.slots.iter().filter(changed).map(|slot| slot.id).collect();
            for id in events {
                if !self.events.contains(&id) {
                    self.events.push_back(id);
                }
            }
        }
        self.seen = Some(now);
    }

    /// Two ids for each reader, whether or not both become slots: ids do not depend on the
    /// configuration.
    fn add(&mut self, manager: &Arc<CardManager>, includes: impl Fn(Credential) -> bool) {
        let first = self.readers.len() * Credential::ALL.len();
        self.readers.push(manager.clone());
        for (credential, number) in Credential::ALL.into_iter().zip(first..) {
            let Ok(id) = u64::try_from(number) else { return };
            if includes(credential) {
                self.slots.push(Arc::new(Slot {
                    id: SlotId::new(id),
                    credential,
                    manager: manager.clone(),
                    token: Mutex::new(None),
                }));
            }
        }
    }
}

/// A card that goes while it is looked at was no token yet.
fn absent_if_never_seen(error: CardError) -> Error {
    match error {
        CardError::Removed => Error::TokenNotPresent,
        other => Error::Card(other),
    }
}
