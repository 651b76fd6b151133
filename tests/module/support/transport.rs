//! The crate's transport traits over a simulated service: what `transport::pcsc` is over the real
//! service.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jpki_pkcs11::transport::{
    Connection, Continuity, Leave, MAX_ANSWER, ReaderName, ReaderState, Transaction, Transport,
    TransportError,
};
use pcsc_stand_in::service::{
    self, CardHandle, Code, ContextHandle, Disposition, PNP_NOTIFICATION, Service, ShareMode, protocol, state,
};

const PROTOCOLS: u32 = protocol::T0 | protocol::T1;

/// A cancel that comes before its wait is lost, as with the real service: waits are cut into
/// slices.
const SLICE: Duration = Duration::from_millis(50);

/// The service as a transport.
pub struct ServiceTransport {
    service: Service,
    interrupts: AtomicU64,
    waiting: Mutex<BTreeSet<ContextHandle>>,
}

/// A context that is released when it is not needed any more.
struct Client {
    service: Service,
    context: ContextHandle,
}

struct ServiceConnection {
    client: Client,
    reader: ReaderName,
    card: CardHandle,
    /// The service has lost the protocol of the connection.
    stale: Cell<bool>,
}

struct ServiceTransaction<'a> {
    connection: &'a ServiceConnection,
    open: bool,
}

impl ServiceTransport {
    /// A transport to this service.
    pub fn new(service: Service) -> Self {
        Self { service, interrupts: AtomicU64::new(0), waiting: Mutex::default() }
    }

    fn client(&self) -> Result<Client, TransportError> {
        let context = self.service.establish_context().map_err(transport_error)?;
        Ok(Client { service: self.service.clone(), context })
    }
}

impl Transport for ServiceTransport {
    fn readers(&self) -> Result<Vec<ReaderName>, TransportError> {
        let client = self.client()?;
        match self.service.list_readers(client.context) {
            Ok(names) => Ok(names.into_iter().map(ReaderName::from).collect()),
            Err(Code::NO_READERS_AVAILABLE) => Ok(Vec::new()),
            Err(code) => Err(transport_error(code)),
        }
    }

    fn reader_state(&self, reader: &ReaderName) -> Result<Option<ReaderState>, TransportError> {
        self.client()?.reader_state(reader).map_err(transport_error)
    }

    fn connect(&self, reader: &ReaderName) -> Result<Box<dyn Connection>, TransportError> {
        let client = self.client()?;
        let (card, _) = self
            .service
            .connect(client.context, reader.as_c_str(), ShareMode::Shared, PROTOCOLS)
            .map_err(transport_error)?;
        Ok(Box::new(ServiceConnection { client, reader: reader.clone(), card, stale: Cell::new(false) }))
    }

    fn wait_for_change(&self, known: &[(ReaderName, ReaderState)], timeout: Duration) {
        let interrupts = self.interrupts.load(Ordering::SeqCst);
        let end = Instant::now() + timeout;
        // Without a service there is nothing to wait on; the caller looks for itself, and comes
        // again.
        let Ok(client) = self.client() else { return };
        self.waiting.lock().unwrap().insert(client.context);
        while Instant::now() < end && self.interrupts.load(Ordering::SeqCst) == interrupts {
            let slice = SLICE.min(end.saturating_duration_since(Instant::now()));
            if client.wait(known, slice) != Err(Code::TIMEOUT) {
                break;
            }
        }
        self.waiting.lock().unwrap().remove(&client.context);
    }

    fn interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::SeqCst);
        for context in self.waiting.lock().unwrap().iter() {
            // A context that was released meanwhile does not wait.
            let _ = self.service.cancel(*context);
        }
    }
}

impl Client {
    fn reader_state(&self, reader: &ReaderName) -> Result<Option<ReaderState>, Code> {
        let mut states = [service::ReaderState::unaware(reader.as_c_str())];
        match self.service.get_status_change(self.context, Some(Duration::ZERO), &mut states) {
            Ok(()) | Err(Code::TIMEOUT) => Ok(known_state(&states[0])),
            Err(Code::UNKNOWN_READER | Code::READER_UNAVAILABLE) => Ok(None),
            Err(code) => Err(code),
        }
    }

    /// Waits until something is not as `known`.
    fn wait(&self, known: &[(ReaderName, ReaderState)], timeout: Duration) -> Result<(), Code> {
        let mut states: Vec<_> =
            known.iter().map(|(reader, _)| service::ReaderState::unaware(reader.as_c_str())).collect();
        self.service.get_status_change(self.context, Some(Duration::ZERO), &mut states)?;
        if states.iter().zip(known).any(|(now, (_, then))| known_state(now) != Some(*then)) {
            return Ok(());
        }
        states.iter_mut().for_each(|reader| reader.current = reader.event);
        states.push(service::ReaderState::unaware(PNP_NOTIFICATION));
        self.service.get_status_change(self.context, Some(timeout), &mut states)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A service that has died meanwhile has released it already.
        let _ = self.service.release_context(self.context);
    }
}

impl ServiceConnection {
    fn service(&self) -> &Service {
        &self.client.service
    }

    fn renew(&self) -> Result<(), TransportError> {
        let renewed = self.service().reconnect(self.card, ShareMode::Shared, PROTOCOLS, Disposition::Leave);
        renewed.map(drop).map_err(transport_error)
    }

    fn has_left(&self) -> bool {
        let known = self.client.reader_state(&self.reader);
        !matches!(known, Ok(Some(ReaderState { card_present: true, .. })))
            || self.service().status(self.card) == Err(Code::REMOVED_CARD)
    }
}

impl Connection for ServiceConnection {
    fn begin(&mut self) -> Result<(Box<dyn Transaction + '_>, Continuity), TransportError> {
        let was_stale = self.stale.take();
        if was_stale {
            self.renew()?;
        }
        let continuity = match self.service().begin_transaction(self.card) {
            Ok(()) if was_stale => Continuity::WasReset,
            Ok(()) => Continuity::Undisturbed,
            Err(Code::RESET_CARD) => {
                self.renew()?;
                self.service().begin_transaction(self.card).map_err(transport_error)?;
                Continuity::WasReset
            }
            Err(code) => return Err(transport_error(code)),
        };
        Ok((Box::new(ServiceTransaction { connection: self, open: true }), continuity))
    }
}

impl Drop for ServiceConnection {
    fn drop(&mut self) {
        // A service that has died meanwhile has ended it already.
        let _ = self.service().disconnect(self.card, Disposition::Leave);
    }
}

impl ServiceTransaction<'_> {
    fn close(&mut self, leave: Leave) -> Result<(), TransportError> {
        if !self.open {
            return Ok(());
        }
        self.open = false;
        let disposition = match leave {
            Leave::AsIs => Disposition::Leave,
            Leave::Unpowered => Disposition::Unpower,
        };
        let (service, card) = (self.connection.service(), self.connection.card);
        service.end_transaction(card, disposition).map_err(|code| {
            // As the real transport does: the card may hold a login.
            let last = if code == Code::RESET_CARD {
                let _ = service.reconnect(card, ShareMode::Shared, PROTOCOLS, disposition);
                Disposition::Leave
            } else {
                Disposition::Unpower
            };
            let _ = service.end_transaction(card, last);
            transport_error(code)
        })
    }
}

impl Transaction for ServiceTransaction<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TransportError> {
        let connection = self.connection;
        match connection.service().transmit(connection.card, protocol::T1, command, MAX_ANSWER) {
            Ok(sent) if sent.reported == u64::try_from(sent.answer.len()).unwrap() => Ok(sent.answer),
            Ok(_) => Err(TransportError::BadLength),
            Err(Code::PROTO_MISMATCH) => {
                connection.stale.set(true);
                Err(TransportError::NotSent)
            }
            Err(code) => Err(match transport_error(code) {
                TransportError::Failed(_) if connection.has_left() => TransportError::Removed,
                other => other,
            }),
        }
    }

    fn end(mut self: Box<Self>, leave: Leave) -> Result<(), TransportError> {
        self.close(leave)
    }
}

impl Drop for ServiceTransaction<'_> {
    fn drop(&mut self) {
        // A caller that does not end it gets no answer either.
        let _ = self.close(Leave::Unpowered);
    }
}

/// The crate's view of a reader; `None` for one that is not there.
fn known_state(reader: &service::ReaderState) -> Option<ReaderState> {
    let gone = reader.event & (state::UNKNOWN | state::UNAVAILABLE) != 0;
    (!gone)
        .then(|| ReaderState { card_present: reader.event & state::PRESENT != 0, changes: reader.events() })
}

/// PC/SC's codes, told apart as the real transport does.
fn transport_error(code: Code) -> TransportError {
    match code {
        Code::REMOVED_CARD | Code::NO_SMARTCARD | Code::READER_UNAVAILABLE | Code::UNKNOWN_READER => {
            TransportError::Removed
        }
        Code::NO_SERVICE | Code::SERVICE_STOPPED | Code::COMM_ERROR | Code::INVALID_HANDLE => {
            TransportError::NoService
        }
        Code::RESET_CARD | Code::UNPOWERED_CARD => TransportError::Reset,
        Code::SHARING_VIOLATION => TransportError::Busy,
        Code::SECURITY_VIOLATION => TransportError::AccessDenied,
        Code::INSUFFICIENT_BUFFER => TransportError::BadLength,
        other => TransportError::Failed(other.raw()),
    }
}
