//! The calls of PC/SC, made to a simulated service: the module's own recovery runs over them, as it
//! does over the library.

use std::time::Duration;

use jpki_pkcs11::transport::calls::{Calls, Card, CardTransaction, Code, Context, ReaderEvent};
use jpki_pkcs11::transport::{Disposition, MAX_ANSWER, ReaderName};
use pcsc_stand_in::service::{
    self, CardHandle, ContextHandle, Quirks, ReaderState, Service, ShareMode, protocol,
};

/// The waits of the module for what a service notices late are shorter. In most tests nothing
/// changes by itself in the meantime, and hundreds of cases would spend most of their time in them.
const LOOK: Duration = Duration::from_millis(600);

const PROTOCOLS: u32 = protocol::T0 | protocol::T1;

/// The ways of the service that these tests run on. `JPKI_TEST_SERVICE=macos` chooses that of
/// macOS, and `windows` that of Windows.
///
/// # Panics
/// When there is no such service.
pub fn quirks() -> Quirks {
    match std::env::var("JPKI_TEST_SERVICE").as_deref() {
        Ok("macos") => Quirks { is_macos: true, ..Quirks::default() },
        Ok("windows") => Quirks { is_windows: true, ..Quirks::default() },
        Err(_) => Quirks::default(),
        Ok(other) => panic!("no service {other}"),
    }
}

/// The library of the simulated service.
pub struct SimulatedPcsc {
    service: Service,
    /// A wait as short as this is a look.
    look: Duration,
}

/// A context, released when it is dropped.
struct SimulatedContext {
    service: Service,
    look: Duration,
    handle: ContextHandle,
}

/// A connection. It does not end by itself.
struct SimulatedCard {
    service: Service,
    handle: CardHandle,
}

/// A transaction. It does not end by itself either.
struct SimulatedTransaction<'a>(&'a SimulatedCard);

impl SimulatedPcsc {
    /// The library of this service.
    pub fn new(service: Service) -> Self {
        Self { service, look: LOOK }
    }

    /// The same, and short waits are waits too.
    pub fn waiting(self) -> Self {
        Self { look: Duration::ZERO, ..self }
    }
}

impl Calls for SimulatedPcsc {
    fn counts_changes(&self) -> bool {
        !self.service.quirks().is_macos
    }

    fn tells_of_readers(&self) -> bool {
        !self.service.quirks().is_macos
    }

    fn serves_children(&self) -> bool {
        !self.service.quirks().is_macos
    }

    fn runs_without_reader(&self) -> bool {
        !self.service.quirks().is_windows
    }

    fn establish_context(&self) -> Result<Box<dyn Context>, Code> {
        let handle = self.service.establish_context().map_err(code)?;
        Ok(Box::new(SimulatedContext { service: self.service.clone(), look: self.look, handle }))
    }
}

impl Context for SimulatedContext {
    fn list_readers(&self) -> Result<Vec<ReaderName>, Code> {
        let names = self.service.list_readers(self.handle).map_err(code)?;
        Ok(names.into_iter().map(ReaderName::from).collect())
    }

    fn get_status_change(&self, timeout: Duration, readers: &mut [ReaderEvent]) -> Result<(), Code> {
        let mut states: Vec<_> = readers
            .iter()
            .map(|reader| {
                let unaware = ReaderState::unaware(reader.reader.as_c_str());
                ReaderState { current: reader.current, ..unaware }
            })
            .collect();
        let timeout = if timeout <= self.look { Duration::ZERO } else { timeout };
        let result = self.service.get_status_change(self.handle, Some(timeout), &mut states);
        for (reader, state) in readers.iter_mut().zip(states) {
            reader.event = state.event;
        }
        result.map_err(code)
    }

    fn cancel(&self) -> Result<(), Code> {
        self.service.cancel(self.handle).map_err(code)
    }

    fn connect(&self, reader: &ReaderName) -> Result<Box<dyn Card>, Code> {
        let (handle, _) = self
            .service
            .connect(self.handle, reader.as_c_str(), ShareMode::Shared, PROTOCOLS)
            .map_err(code)?;
        Ok(Box::new(SimulatedCard { service: self.service.clone(), handle }))
    }
}

impl Drop for SimulatedContext {
    fn drop(&mut self) {
        // A service that has died meanwhile has released it already.
        let _ = self.service.release_context(self.handle);
    }
}

impl SimulatedCard {
    fn renew(&self, initialization: Disposition) -> Result<(), Code> {
        let initialization = stand_in_disposition(initialization);
        let renewed = self.service.reconnect(self.handle, ShareMode::Shared, PROTOCOLS, initialization);
        renewed.map(drop).map_err(code)
    }
}

impl Card for SimulatedCard {
    fn begin_transaction<'a>(
        &'a mut self,
    ) -> Result<Box<dyn CardTransaction + 'a>, (&'a mut dyn Card, Code)> {
        match self.service.begin_transaction(self.handle) {
            Ok(()) => Ok(Box::new(SimulatedTransaction(self))),
            Err(error) => Err((self, code(error))),
        }
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        self.renew(initialization)
    }

    fn control(&self, control_code: u32, _input: &[u8]) -> Result<Vec<u8>, Code> {
        self.service.control(self.handle, control_code.into()).map_err(code)
    }

    fn disconnect(self: Box<Self>, disposition: Disposition) {
        // A service that has died meanwhile has ended it already.
        let _ = self.service.disconnect(self.handle, stand_in_disposition(disposition));
    }
}

impl CardTransaction for SimulatedTransaction<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Option<Vec<u8>>, Code> {
        let sent = self.0.service.transmit(self.0.handle, protocol::T1, command, MAX_ANSWER).map_err(code)?;
        // The crate panics at such a length.
        let credible = sent.reported == u64::try_from(sent.answer.len()).unwrap();
        Ok(credible.then_some(sent.answer))
    }

    fn reconnect(&mut self, initialization: Disposition) -> Result<(), Code> {
        self.0.renew(initialization)
    }

    fn end<'a>(self: Box<Self>, disposition: Disposition) -> Result<(), (Box<dyn CardTransaction + 'a>, Code)>
    where
        Self: 'a,
    {
        match self.0.service.end_transaction(self.0.handle, stand_in_disposition(disposition)) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, code(error))),
        }
    }
}

fn stand_in_disposition(disposition: Disposition) -> service::Disposition {
    match disposition {
        Disposition::LeaveCard => service::Disposition::Leave,
        Disposition::UnpowerCard => service::Disposition::Unpower,
    }
}

fn code(code: service::Code) -> Code {
    Code::new(code.raw())
}
