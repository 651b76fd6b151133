//! A pcscd of one's own: private socket, private configuration, gone when its stack is.
//!
//! The daemon takes its socket by systemd's socket activation (LISTEN_FDS, descriptor 3), its
//! readers from a directory given with `--config`, and its clients find it through
//! PCSCLITE_CSOCK_NAME.
//!
//! There is no setting for /run/pcscd. The daemon makes it, or ends where it may not. It also
//! writes over another daemon's pid file there. So a copy of the daemon is started, which has a
//! directory of ours in its place (see [`START`]). It needs no rights. It would find real readers
//! on the USB by itself: their names keep them from it (see [`READER_NAME`]).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Where systemd's protocol puts the first socket.
const FIRST_DESCRIPTOR: libc::c_int = 3;

/// Where the daemon finds the directory that it has in place of /run/pcscd. [`START`] names it.
const RUN_DESCRIPTOR: libc::c_int = 10;

/// The shell's words for starting the daemon $0 as the copy $1, with the options that follow.
///
/// "/dev/fd/10" is as long as "/run/pcscd". The copy is not written by this process: a child that
/// another thread forks meanwhile would hold it open for writing, and then it cannot be executed.
///
/// Daemons since 2.0 may ask polkit whether a client is welcome. It knows nothing of ours.
///
/// The daemon takes LISTEN_PID only if it is its own, which is known only after the fork.
const START: &str = r#"
copy=$1
shift
LC_ALL=C sed 's|/run/pcscd|/dev/fd/10|g' "$0" >"$copy" && chmod 700 "$copy" || exit
case $("$copy" --help) in
*--disable-polkit*) set -- --disable-polkit "$@" ;;
esac
export LISTEN_PID=$$
exec "$copy" "$@"
"#;

/// What the name of a virtual reader begins with, and the only letters in it.
///
/// pcscd skips readers whose name contains an entry of PCSCLITE_FILTER_IGNORE_READER_NAMES, before
/// it opens them. With every other letter as an entry no real reader passes.
pub(crate) const READER_NAME: &str = "Virtual JPKI";

fn ignored_names() -> String {
    let letters = ('A'..='Z').chain('a'..='z').filter(|letter| !READER_NAME.contains(*letter));
    letters.map(String::from).collect::<Vec<_>>().join(":")
}

/// Where the daemon and the reader driver are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// pcscd.
    pub pcscd: PathBuf,
    /// libifdvpcd.so.
    pub driver: PathBuf,
}

impl Programs {
    /// From JPKI_TEST_PCSCD and JPKI_TEST_VPCD, else from the Debian packages unpacked in `pcsc`
    /// below the target directory, else pcscd from the system. The driver is never taken from the
    /// system: installed there it would add readers to the system's own pcscd.
    ///
    /// # Errors
    ///
    /// Says what is missing and where it was looked for.
    pub fn find() -> io::Result<Self> {
        let unpacked = unpacked_packages();
        let pcscd = [unpacked.join("sbin/pcscd"), PathBuf::from("/usr/sbin/pcscd")];
        let driver = [unpacked.join("lib/pcsc/drivers/serial/libifdvpcd.so")];
        Ok(Self { pcscd: choose("JPKI_TEST_PCSCD", &pcscd)?, driver: choose("JPKI_TEST_VPCD", &driver)? })
    }
}

fn choose(variable: &str, defaults: &[PathBuf]) -> io::Result<PathBuf> {
    let candidates = match std::env::var_os(variable) {
        Some(path) => vec![PathBuf::from(path)],
        None => defaults.to_vec(),
    };
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| {
        let message = format!("not found: {candidates:?}; unpack the Debian packages or set {variable}");
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}

/// `pcsc/usr` in the target directory this program was built into, told from where it runs.
fn unpacked_packages() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let candidates = program.ancestors().skip(1).map(|directory| directory.join("pcsc/usr"));
    candidates.into_iter().find(|path| path.is_dir()).unwrap_or_else(|| PathBuf::from("target/pcsc/usr"))
}

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Pcscd {
    pid: libc::pid_t,
    keeper: Option<JoinHandle<io::Result<ExitStatus>>>,
}

impl Pcscd {
    /// Starts the daemon on `socket`, with the reader files in `configuration`, its output in
    /// `log`, and what else it writes in `run`, a directory of its own.
    pub(crate) fn start(
        program: &Path,
        socket: &Path,
        configuration: &Path,
        log: &Path,
        run: &Path,
    ) -> io::Result<Self> {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(run)?;
        // Our copy is closed when this function ends: with the daemon dead, clients are to be
        // refused, not queued.
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666))?;
        let output = File::options().create(true).append(true).open(log)?;

        let mut command = Command::new("/bin/sh");
        command.args(["-c", START]).arg(program).arg(run.join("pcscd"));
        command.args(["--foreground", "--config"]).arg(configuration);
        command.env("LISTEN_FDS", "1").env("PCSCLITE_FILTER_IGNORE_READER_NAMES", ignored_names());
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let (listener, run) = (out_of_the_way(&listener)?, out_of_the_way(&File::open(run)?)?);
        // SAFETY: the hook makes system calls only, which is all that is allowed between fork and
        // exec.
        unsafe {
            command.pre_exec(move || prepare_child(&listener, &run));
        }
        Self::spawn(command)
    }

    /// Linux sends the death signal when the *thread* that forked ends, so one is kept for as long
    /// as the daemon.
    fn spawn(mut command: Command) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let keeper = std::thread::Builder::new().name("pcscd keeper".into()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return Err(io::ErrorKind::NotFound.into());
                }
            };
            drop(command);
            let _ = sender.send(Ok(child.id()));
            Child::wait(&mut child)
        })?;
        let pid = receiver.recv().map_err(io::Error::other)??;
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        Ok(Self { pid, keeper: Some(keeper) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| !keeper.is_finished())
    }

    /// Kills the daemon without warning and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        if !keeper.is_finished() {
            // SAFETY: the keeper has not reaped the child, so the id is still the child's.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
        if let Ok(Ok(status)) = keeper.join() {
            debug_assert!(status.signal().is_some() || status.code().is_some());
        }
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A copy of a descriptor with another number than those that the daemon's get.
fn out_of_the_way(descriptor: &impl AsFd) -> io::Result<OwnedFd> {
    let descriptor = descriptor.as_fd().as_raw_fd();
    // SAFETY: a plain system call on integers.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, RUN_DESCRIPTOR + 1) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn prepare_child(listener: &OwnedFd, run: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain system calls on integers.
    let done = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
            && libc::dup2(listener.as_raw_fd(), FIRST_DESCRIPTOR) == FIRST_DESCRIPTOR
            && libc::dup2(run.as_raw_fd(), RUN_DESCRIPTOR) == RUN_DESCRIPTOR
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
