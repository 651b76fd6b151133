//! The module as the command has it: what every client does, and a terminal for PINs.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::{SessionHandle, SlotId};
use jpki_pkcs11::jpki::certificate::Certificate;
use jpki_pkcs11::jpki::credential::Credential;
use jpki_pkcs11::logging;
use jpki_pkcs11::module::Module;
use jpki_pkcs11::module::survey::{CardSurvey, Obstacle, ReaderListing, ServiceProblem};
use jpki_pkcs11::os::Environment;

use crate::pin::Secret;

/// How long the readers may take all together. A card takes a second or two; another program's
/// transaction has no limit.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The module, until this is dropped.
pub(crate) struct Client {
    config: Config,
    module: Arc<Module>,
}

/// A reader, and what was found in it.
pub(crate) struct Reader {
    pub(crate) listing: ReaderListing,
    pub(crate) finding: Finding,
}

/// What was found in a reader.
pub(crate) enum Finding {
    /// The configuration leaves it alone.
    Ignored,
    /// A card that can be used.
    Card(CardSurvey),
    /// Something keeps the card from being used.
    Obstacle(Obstacle),
    /// No answer came in time: another program has a transaction on the card.
    NoAnswerInTime,
}

/// A session of the command, until this is dropped. The login ends with it.
pub(crate) struct Session<'a> {
    module: &'a Module,
    handle: SessionHandle,
}

impl Client {
    /// A module with the configuration of this user.
    pub(crate) fn start() -> Self {
        let environment = Environment::of_this_process();
        let config = Config::load(&environment);
        logging::start(&config, &environment);
        Self { module: Arc::new(Module::alone(config.clone())), config }
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Every reader, and what is in it. The readers are looked at side by side.
    pub(crate) fn readers(&self) -> Result<Vec<Reader>, ServiceProblem> {
        let listings = self.module.readers()?;
        let mut findings = self.survey(&listings);
        let found = |(number, listing): (usize, ReaderListing)| {
            let finding = if listing.is_used { findings.remove(&number) } else { Some(Finding::Ignored) };
            Reader { listing, finding: finding.unwrap_or(Finding::NoAnswerInTime) }
        };
        Ok(listings.into_iter().enumerate().map(found).collect())
    }

    /// What is in one reader, asked again.
    pub(crate) fn look_again(&self, listing: &ReaderListing) -> Finding {
        let listings = std::slice::from_ref(listing);
        self.survey(listings).remove(&0).unwrap_or(Finding::NoAnswerInTime)
    }

    fn survey(&self, listings: &[ReaderListing]) -> BTreeMap<usize, Finding> {
        let (sender, receiver) = mpsc::channel();
        for (number, listing) in listings.iter().enumerate().filter(|(_, listing)| listing.is_used) {
            let (module, listing, sender) = (self.module.clone(), listing.clone(), sender.clone());
            thread::spawn(move || sender.send((number, module.survey(&listing))));
        }
        drop(sender);
        let end = Instant::now() + TIMEOUT;
        let mut findings = BTreeMap::new();
        while let Ok((number, survey)) = receiver.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            findings.insert(number, survey.map_or_else(Finding::Obstacle, Finding::Card));
        }
        findings
    }

    /// The certificate of the CA that issued a credential's, if the card gives one.
    pub(crate) fn ca_certificate(
        &self,
        listing: &ReaderListing,
        credential: Credential,
    ) -> Result<Option<Arc<Certificate>>, Obstacle> {
        self.module.ca_certificate(listing, credential)
    }

    /// Opens a read-write session.
    pub(crate) fn open(&self, slot: SlotId) -> Result<Session<'_>, Error> {
        let handle = self.module.open_session(slot, ck::CKF_SERIAL_SESSION | ck::CKF_RW_SESSION)?;
        Ok(Session { module: &self.module, handle })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.module.shut_down();
        logging::stop();
    }
}

impl Session<'_> {
    /// PKCS #11, C_Login.
    pub(crate) fn log_in(&self, pin: &Secret) -> Result<(), Error> {
        self.module.login(self.handle, ck::CKU_USER, pin.entry())
    }

    /// PKCS #11, C_SetPIN.
    pub(crate) fn set_pin(&self, old: &Secret, new: &Secret) -> Result<(), Error> {
        self.module.live_session(self.handle)?.set_pin(old.entry(), new.entry())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // A session of a card that is gone is closed already.
        let _ = self.module.close_session(self.handle);
    }
}
