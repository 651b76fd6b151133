//! A place for a card in a reader of vsmartcard's vpcd driver.
//!
//! The driver listens on a port per slot and we connect when there is a card. A message is a 16-bit
//! big-endian length and that many bytes; one byte alone is a control: power off (0), power on (1),
//! reset (2), ATR wanted (4). The driver asks for the ATR several times a second to see whether a
//! card is there; a closed connection means there is none. (It can also be told to connect to us,
//! but the version in Debian 12 aborts then when there is no card.)

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::{Reply, VirtualCard};

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// How long the daemon leaves between looks, and a little more.
const LOOK_PERIOD: Duration = Duration::from_millis(450);
/// From the driver's noticing that a card is gone to the daemon's telling so, with room to spare.
const AFTER_A_LOOK: Duration = Duration::from_millis(10);
/// How often a driver that is not there yet is tried, and a card that went is asked whether it came
/// back.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);
/// Anything near this means that something is broken. It takes a second; a busy machine needs more.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A port that stays ours on which no program listens until the driver does.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _socket: Socket,
}

impl Port {
    /// Two ports in a row, as the driver's two slots want them.
    pub(crate) fn pair() -> io::Result<[Self; 2]> {
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let first = Self::bind(0)?;
            let Some(next) = first.number.checked_add(1) else { continue };
            if let Ok(second) = Self::bind(next) {
                return Ok([first, second]);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no two free ports in a row"))
    }

    /// The driver sets SO_REUSEADDR as well, and Linux lets two such sockets share a port while
    /// neither listens.
    fn bind(number: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, number)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { number: address.port(), _socket: socket })
    }
}

/// One slot of a driver. Keeps its port as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    shared: Arc<Shared>,
    port: Port,
    worker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    card: Option<VirtualCard>,
    /// The card that was taken out last.
    taken: Option<VirtualCard>,
    /// How far the daemon has come with the card since the last change.
    notice: Notice,
    connection: Option<TcpStream>,
    stopping: bool,
}

/// How far the daemon has come with a card.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// The driver may have looked at it, more than once when the daemon starts.
    #[default]
    None,
    /// The daemon has given it power, and is about to tell its clients.
    Powered,
    /// The driver has looked at it again: the daemon has told its clients.
    Told,
}

impl Slot {
    /// A slot on this port, with a card or without.
    pub(crate) fn new(port: Port, card: Option<VirtualCard>) -> io::Result<Self> {
        let state = State { card, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let worker = std::thread::Builder::new().name(format!("vpcd slot {}", port.number)).spawn({
            let (shared, port) = (Arc::clone(&shared), port.number);
            move || shared.run(port)
        })?;
        Ok(Self { shared, port, worker: Some(worker) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    pub(crate) fn card(&self) -> Option<VirtualCard> {
        self.shared.state().card.clone()
    }

    /// The card that was taken out last, if any was.
    pub(crate) fn taken(&self) -> Option<VirtualCard> {
        self.shared.state().taken.clone()
    }

    /// Puts a card into the empty slot.
    pub(crate) fn put(&self, card: VirtualCard) {
        card.insert();
        let mut state = self.shared.state();
        state.card = Some(card);
        state.notice = Notice::None;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Takes out what is in the slot.
    pub(crate) fn take(&self) {
        let mut state = self.shared.state();
        if let Some(card) = state.card.take() {
            card.remove();
            state.taken = Some(card);
        }
        if let Some(connection) = &state.connection {
            let _ = connection.shutdown(Shutdown::Write);
        }
    }

    /// Waits until driver and daemon have noticed what the slot holds, as long as `hopeful`.
    pub(crate) fn wait_until_seen(&self, hopeful: impl Fn() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        let mut state = self.shared.state();
        while !state.is_seen() {
            if Instant::now() > deadline || !hopeful() {
                let message = "the reader driver does not look at its slot";
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            state = self.shared.wait(state, BETWEEN_ATTEMPTS);
        }
        Ok(())
    }

    /// A new daemon knows nothing of what an earlier one has seen.
    pub(crate) fn unsee(&self) {
        self.shared.state().notice = Notice::None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.stopping = true;
        if let Some(connection) = &state.connection {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

impl State {
    fn is_seen(&self) -> bool {
        match &self.card {
            Some(_) => self.notice == Notice::Told,
            None => self.connection.is_none(),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The daemon has come from one point to the next.
    fn advance(&self, from: Notice, to: Notice) {
        let mut state = self.state();
        if state.notice == from {
            state.notice = to;
            self.changed.notify_all();
        }
    }

    fn run(&self, port: u16) {
        loop {
            let mut state = self.state();
            if state.stopping {
                return;
            }
            if let Some(card) = state.card.as_ref().filter(|card| card.returns_in() == Some(Duration::ZERO)) {
                card.insert();
                state.notice = Notice::None;
            }
            let card = state.card.clone().filter(VirtualCard::is_present);
            let connection = card.as_ref().and_then(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
            let (Some(card), Some(mut connection)) = (card, connection) else {
                drop(self.wait(state, BETWEEN_ATTEMPTS));
                continue;
            };
            state.connection = connection.try_clone().ok();
            drop(state);
            // The driver going away and coming back is part of life here.
            let _ = self.serve(&card, &mut connection);
            self.state().connection = None;
            self.changed.notify_all();
        }
    }

    fn serve(&self, card: &VirtualCard, connection: &mut TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut powering = false;
        loop {
            let message = receive(connection)?;
            match message[..] {
                [POWER_OFF] => card.power_off(),
                [POWER_ON] => {
                    card.power_on();
                    self.advance(Notice::None, Notice::Powered);
                }
                [RESET] => card.warm_reset(),
                [GET_ATR] if card.is_present() => {
                    send(connection, &card.atr())?;
                    // An ATR read right after power-on or reset is part of those, and no look.
                    if !powering {
                        self.advance(Notice::Powered, Notice::Told);
                    }
                }
                [GET_ATR] => return leave(connection, AFTER_A_LOOK),
                _ => match card.transmit(&message) {
                    Reply::Answer(answer) => send(connection, &answer)?,
                    Reply::Removed => return leave(connection, LOOK_PERIOD),
                    // To the driver every failure is the loss of its connection. As we come back
                    // before the next look, the daemon notices no removal. A mute card still
                    // answers with its ATR.
                    Reply::Mute | Reply::Reset | Reply::TransportError(_) => return Ok(()),
                },
            }
            powering = matches!(message[..], [POWER_ON | RESET]);
        }
    }
}

/// Ends our half of the connection and waits until the driver has closed its own, and the daemon
/// knows.
fn leave(connection: &mut TcpStream, until_known: Duration) -> io::Result<()> {
    connection.shutdown(Shutdown::Write)?;
    let ended = io::copy(connection, &mut io::sink());
    std::thread::sleep(until_known);
    ended.map(|_| ())
}

fn receive(connection: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    acknowledge_at_once(connection)?;
    connection.read_exact(&mut length)?;
    // The kernel leaves the mode by itself, so it is asked for before every read: without it the
    // body, which the driver sends in a second write, waits 40 ms for the first one's
    // acknowledgement.
    acknowledge_at_once(connection)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    connection.read_exact(&mut message)?;
    Ok(message)
}

fn send(connection: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "an answer has at most 65535 bytes");
    let length = u16::try_from(bytes.len()).map_err(too_long)?;
    connection.write_all(&[&length.to_be_bytes(), bytes].concat())
}

fn acknowledge_at_once(connection: &TcpStream) -> io::Result<()> {
    SockRef::from(connection).set_tcp_quickack(true)
}
