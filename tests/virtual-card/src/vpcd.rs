//! A place for a card in a reader of vsmartcard's vpcd driver.
//!
//! The driver connects to us (its mode with a host name): we listen, so that a port is ours before anybody is told
//! of it. A message is a 16-bit big-endian length and that many bytes; one byte alone is a control: power off (0),
//! power on (1), reset (2), ATR wanted (4). The driver asks for the ATR several times a second to see whether a card
//! is there; a closed connection means there is none.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Reply, VirtualCard};

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// The second look at a card proves that what followed the first is over: the daemon has told its clients.
const LOOKS: u64 = 2;

/// One slot of a driver. Keeps its port as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    shared: Arc<Shared>,
    port: u16,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    looked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    card: Option<VirtualCard>,
    /// How often the driver has looked for a card since the last change.
    looks: u64,
    connection: Option<TcpStream>,
    stopping: bool,
}

impl Slot {
    /// A slot on `listener`'s port, with a card or without.
    pub(crate) fn new(listener: TcpListener, card: Option<VirtualCard>) -> io::Result<Self> {
        let port = listener.local_addr()?.port();
        let state = State { card, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), looked: Condvar::new() });
        let acceptor = std::thread::Builder::new().name(format!("vpcd slot {port}")).spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept_all(&listener)
        })?;
        Ok(Self { shared, port, acceptor: Some(acceptor) })
    }

    /// Listeners on two ports in a row, as the driver's two slots want them.
    pub(crate) fn listen_on_pair() -> io::Result<[TcpListener; 2]> {
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let Some(next) = first.local_addr()?.port().checked_add(1) else { continue };
            if let Ok(second) = TcpListener::bind((Ipv4Addr::LOCALHOST, next)) {
                return Ok([first, second]);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no two free ports in a row"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn card(&self) -> Option<VirtualCard> {
        self.shared.state().card.clone()
    }

    /// Puts a card in, or takes it out with `None`, and ends what was there before.
    pub(crate) fn set_card(&self, card: Option<VirtualCard>) {
        let mut state = self.shared.state();
        if let Some(old) = state.card.take() {
            old.remove();
        }
        if let Some(new) = &card {
            new.insert();
        }
        state.card = card;
        state.forget_connection();
    }

    /// Waits until the driver has seen what is in the slot and its daemon has acted on it.
    pub(crate) fn wait_until_seen(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.state();
        while state.looks < LOOKS {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the reader driver does not look at its slot",
                ));
            }
            state = self.shared.looked.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Makes [`Slot::wait_until_seen`] wait for the next looks: a new daemon knows nothing of earlier ones.
    pub(crate) fn unsee(&self) {
        self.shared.state().looks = 0;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.stopping = true;
            state.forget_connection();
        }
        // Wakes the acceptor, which then sees `stopping`.
        let woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ = acceptor.join();
        }
    }
}

impl State {
    fn forget_connection(&mut self) {
        self.looks = 0;
        if let Some(connection) = self.connection.take() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept_all(&self, listener: &TcpListener) {
        for connection in listener.incoming() {
            if self.state().stopping {
                return;
            }
            if let Ok(connection) = connection {
                // The driver going away and coming back is part of life here.
                let _ = self.serve(connection);
            }
        }
    }

    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        let card = {
            let mut state = self.state();
            let Some(card) = state.card.clone().filter(VirtualCard::is_present) else {
                drop(state);
                self.note_look();
                return Ok(());
            };
            state.connection = Some(connection.try_clone()?);
            card
        };
        connection.set_nodelay(true)?;
        let mut powering = false;
        loop {
            let message = receive(&mut connection)?;
            match message[..] {
                [POWER_OFF] => card.power_off(),
                [POWER_ON] => card.power_on(),
                [RESET] => card.warm_reset(),
                [GET_ATR] => {
                    if !card.is_present() {
                        self.note_look();
                        return Ok(());
                    }
                    send(&mut connection, &card.atr())?;
                    // An ATR read right after power-on or reset is part of those, and no look.
                    if !powering {
                        self.note_look();
                    }
                }
                _ => match card.transmit(&message) {
                    Reply::Answer(answer) => send(&mut connection, &answer)?,
                    // The driver knows no other way to fail than losing its card.
                    Reply::Removed | Reply::Mute | Reply::Reset | Reply::TransportError(_) => return Ok(()),
                },
            }
            powering = matches!(message[..], [POWER_ON | RESET]);
        }
    }

    fn note_look(&self) {
        self.state().looks += 1;
        self.looked.notify_all();
    }
}

fn receive(connection: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    acknowledge_at_once(connection)?;
    connection.read_exact(&mut length)?;
    // The kernel leaves the mode by itself, so it is asked for again before every read: without it, the body that
    // some drivers send in a second write waits 40 ms for the first one's acknowledgement.
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
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for the call and `on` is a c_int of the length given.
    let result = unsafe {
        libc::setsockopt(
            connection.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_QUICKACK,
            (&raw const on).cast(),
            size_of_val(&on).try_into().expect("four bytes"),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
