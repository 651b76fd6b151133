//! Readers with virtual cards behind a private pcscd, so that real PC/SC clients can be tested.
//!
//! Needs the Debian packages pcscd and vsmartcard-vpcd, the latter unpacked and not installed (see
//! [`Programs::find`]). Touches no other pcscd, no real reader and nothing outside its own
//! temporary directory; several stacks may run side by side, as root or as any user.
//!
//! The driver has two slots to a reader, so an odd number of readers brings one more that stays
//! empty.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use tempfile::TempDir;

pub use crate::pcscd::Programs;
use crate::pcscd::{Pcscd, READER_NAME};
use crate::vpcd::{Port, Slot};
use crate::{Identity, Profile, VirtualCard};

const SLOTS_PER_READER_FILE: usize = 2;

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// One entry per reader: the card in it, or none.
    pub readers: Vec<Option<VirtualCard>>,
    /// Where the programs are; `None` looks for them.
    pub programs: Option<Programs>,
    /// Where the socket and the rest go; `None` makes a temporary directory that goes with the
    /// stack.
    pub directory: Option<PathBuf>,
}

impl Options {
    /// These readers, everything else as usual.
    pub fn readers(readers: Vec<Option<VirtualCard>>) -> Self {
        Self { readers, programs: None, directory: None }
    }

    /// One reader with this card.
    pub fn card(card: VirtualCard) -> Self {
        Self::readers(vec![Some(card)])
    }

    /// One reader with a full card.
    pub fn full() -> Self {
        Self::card(VirtualCard::new(Profile::full(), Identity::shared()))
    }
}

/// A running stack. Dropping it ends everything and removes its directory.
#[derive(Debug)]
pub struct Stack {
    pcscd: Option<Pcscd>,
    slots: Vec<Slot>,
    readers: usize,
    programs: Programs,
    directory: PathBuf,
    _temporary: Option<TempDir>,
}

impl Stack {
    /// Starts a stack and waits until its daemon has seen every reader.
    ///
    /// # Errors
    ///
    /// When a program is missing, or the daemon does not come up.
    pub fn start(options: Options) -> io::Result<Self> {
        let programs = options.programs.map_or_else(Programs::find, Ok)?;
        let (directory, temporary) = match options.directory {
            Some(directory) => (directory, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("virtual-card-").tempdir()?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        let readers = options.readers.len();
        let slots = slots(options.readers)?;
        let mut stack = Self { pcscd: None, slots, readers, programs, directory, _temporary: temporary };
        stack.write_configuration()?;
        stack.restart_pcscd()?;
        Ok(stack)
    }

    /// One reader with a full card.
    ///
    /// # Errors
    ///
    /// As [`Stack::start`].
    pub fn full() -> io::Result<Self> {
        Self::start(Options::full())
    }

    /// What PCSCLITE_CSOCK_NAME must say in a client's environment.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("pcscd.comm")
    }

    /// Where socket, configuration and the daemon's log are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A client, to be run against this stack.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PCSCLITE_CSOCK_NAME", self.socket());
        command
    }

    /// How many readers were asked for.
    pub fn readers(&self) -> usize {
        self.readers
    }

    /// The name PC/SC clients see for a reader.
    pub fn reader_name(&self, reader: usize) -> String {
        let (file, slot) = (reader / SLOTS_PER_READER_FILE, reader % SLOTS_PER_READER_FILE);
        format!("{} 00 {slot:02X}", friendly_name(file))
    }

    /// The card in a reader.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn card(&self, reader: usize) -> VirtualCard {
        self.find_card(reader).expect("there is a card in the reader")
    }

    /// The card in a reader, if there is one.
    pub fn find_card(&self, reader: usize) -> Option<VirtualCard> {
        self.slots[reader].card()
    }

    /// The card that was taken out of a reader last, if any was.
    pub fn taken_card(&self, reader: usize) -> Option<VirtualCard> {
        self.slots[reader].taken()
    }

    /// Puts a card into a reader, in place of any other, and waits until the daemon has seen it.
    ///
    /// # Errors
    ///
    /// When the daemon does not notice in time.
    pub fn insert(&self, reader: usize, card: VirtualCard) -> io::Result<()> {
        self.remove(reader)?;
        self.slots[reader].put(card);
        self.wait_until_seen(reader)
    }

    /// Takes the card out of a reader and waits until the daemon has noticed.
    ///
    /// # Errors
    ///
    /// When the daemon does not notice in time.
    pub fn remove(&self, reader: usize) -> io::Result<()> {
        self.slots[reader].take();
        self.wait_until_seen(reader)
    }

    /// Kills the daemon without warning. Its socket file stays and refuses connections.
    pub fn kill_pcscd(&mut self) {
        self.pcscd = None;
    }

    /// Starts the daemon, anew if it still runs, and waits until it has seen every reader.
    ///
    /// # Errors
    ///
    /// As [`Stack::start`].
    pub fn restart_pcscd(&mut self) -> io::Result<()> {
        self.kill_pcscd();
        self.slots.iter().for_each(Slot::unsee);
        let (configuration, log) = (self.configuration(), self.directory.join("pcscd.log"));
        let (program, socket, run) = (&self.programs.pcscd, self.socket(), self.run());
        self.pcscd = Some(Pcscd::start(program, &socket, &configuration, &log, &run)?);
        let is_running = || self.pcscd_pid().is_some();
        let seen = self.slots.iter().try_for_each(|slot| slot.wait_until_seen(is_running));
        seen.map_err(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            io::Error::new(error.kind(), format!("{error}; the daemon says: {log}"))
        })
    }

    /// The daemon's process id, while it runs.
    pub fn pcscd_pid(&self) -> Option<u32> {
        self.pcscd.as_ref().filter(|pcscd| pcscd.is_running()).map(Pcscd::pid)
    }

    fn wait_until_seen(&self, reader: usize) -> io::Result<()> {
        let is_running = || self.pcscd_pid().is_some();
        if is_running() { self.slots[reader].wait_until_seen(is_running) } else { Ok(()) }
    }

    fn configuration(&self) -> PathBuf {
        self.directory.join("readers")
    }

    fn run(&self) -> PathBuf {
        self.directory.join("run")
    }

    fn driver(&self, index: usize) -> PathBuf {
        self.directory.join(format!("driver-{index}.so"))
    }

    fn write_configuration(&self) -> io::Result<()> {
        let directory = self.configuration();
        fs::create_dir_all(&directory)?;
        for (index, pair) in self.slots.chunks(SLOTS_PER_READER_FILE).enumerate() {
            // The driver keeps its slots in a global table: another reader needs another copy of
            // it.
            let driver = self.driver(index);
            fs::copy(&self.programs.driver, &driver)?;
            let (name, port, driver) = (friendly_name(index), pair[0].port(), driver.display());
            let text = format!(
                "FRIENDLYNAME \"{name}\"\nDEVICENAME /dev/null:{port}\nLIBPATH {driver}\nCHANNELID {port}\n"
            );
            fs::write(directory.join(format!("reader-{index}")), text)?;
        }
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Before the slots: they wait for their driver to hang up.
        self.kill_pcscd();
        // In a directory that the caller named only the daemon's log stays.
        let _ = fs::remove_file(self.socket());
        for index in 0..self.slots.len() {
            let _ = fs::remove_file(self.driver(index));
        }
        let _ = fs::remove_dir_all(self.configuration());
        let _ = fs::remove_dir_all(self.run());
    }
}

fn slots(readers: Vec<Option<VirtualCard>>) -> io::Result<Vec<Slot>> {
    let mut slots = Vec::with_capacity(readers.len() + 1);
    for pair in readers.chunks(SLOTS_PER_READER_FILE) {
        for (index, port) in Port::pair()?.into_iter().enumerate() {
            slots.push(Slot::new(port, pair.get(index).cloned().flatten())?);
        }
    }
    Ok(slots)
}

fn friendly_name(file: usize) -> String {
    format!("{READER_NAME} {file}")
}
