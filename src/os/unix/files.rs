//! Files: where a configuration lies, which one is trusted, and how to write a log line that cannot
//! stop, kill or block the host.

use std::env;
use std::fs::{File, Metadata, OpenOptions, Permissions, read_to_string};
use std::io::{Error as IoError, Result as IoResult, stderr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use crate::os::{Distrust, system};

/// The user whose rights the process has.
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: the call has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// The folder of the system's configuration. Where the library lies does not matter here.
#[must_use]
pub fn system_configuration_folder(_library: Option<&Path>) -> Option<PathBuf> {
    Some(PathBuf::from(system::CONFIGURATION_FOLDER))
}

/// The folders where the user's configuration may lie. The first one that has one counts.
#[must_use]
pub fn user_configuration_folders() -> Vec<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("HOME");
    let chosen = set("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
    let first = chosen.or_else(|| Some(home.as_ref()?.join(".config")));
    let more = system::MORE_USER_FOLDERS.iter().filter_map(|folder| Some(home.as_ref()?.join(folder)));
    first.into_iter().chain(more).collect()
}

/// Opens a file to read it: a FIFO does not make the caller wait, and a terminal does not become
/// the host's controlling terminal.
///
/// # Errors
/// Why it cannot be opened.
pub fn open_configuration(path: &Path) -> IoResult<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Checks that only `user` or root can have written a file.
///
/// Many systems give each user a group of its own, and a umask that lets the group write. Such a
/// file is the user's alone as long as `/etc/group` lists no other member; it is read directly,
/// since a name service may ask the network.
///
/// # Errors
/// The reason.
pub fn is_trusted(file: &Metadata, user: u32) -> Result<(), Distrust> {
    if !file.is_file() {
        return Err(Distrust::NotAFile);
    }
    if file.uid() != user && file.uid() != 0 {
        return Err(Distrust::OtherOwner);
    }
    if file.mode() & 0o002 != 0 || (file.mode() & 0o020 != 0 && !is_private_group(file.gid(), file.uid())) {
        return Err(Distrust::WritableByOthers);
    }
    Ok(())
}

/// Whether a group has the number of its user, and no member besides.
fn is_private_group(group: u32, user: u32) -> bool {
    if !system::GROUPS_ARE_IN_FILES {
        return false;
    }
    let (Ok(groups), Ok(users)) = (read_to_string("/etc/group"), read_to_string("/etc/passwd")) else {
        return false;
    };
    group == user && is_alone(&groups, &users, group, user)
}

/// Whether these files (group(5), passwd(5)) give a group no member but the user.
fn is_alone(groups: &str, users: &str, group: u32, user: u32) -> bool {
    let number = |field: Option<&str>| field.and_then(|field| field.parse::<u32>().ok());
    let name = users.lines().find(|line| number(line.split(':').nth(2)) == Some(user));
    let name = name.and_then(|line| line.split(':').next());
    // A user whose primary group it is counts as a member too.
    let primary = users.lines().filter(|line| number(line.split(':').nth(3)) == Some(group));
    let only_user = primary.into_iter().all(|line| number(line.split(':').nth(2)) == Some(user));
    let lines = groups.lines().filter(|line| number(line.split(':').nth(2)) == Some(group));
    let mut members = lines.flat_map(|line| line.split(':').nth(3).unwrap_or_default().split(','));
    only_user && members.all(|member| member.trim().is_empty() || Some(member.trim()) == name)
}

/// A copy of standard error, if what is open there is standard error.
///
/// A host that closed its descriptor 2 gets that number again for the next file, connection or
/// device it opens; lines of text would damage it. So only these count: a terminal, systemd's
/// journal, and files and pipes that are open for writing alone or for appending. Of those, only
/// what cannot block is taken. The copy stays what it is when the host closes descriptor 2 later.
#[must_use]
pub fn stderr_for_logging() -> Option<File> {
    let file = File::from(stderr().as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    let is_written_only = only_written(&file);
    system::unblocking_stderr(file, &metadata, is_written_only)
}

/// Whether a file is open for writing alone or for appending.
fn only_written(file: &File) -> bool {
    // SAFETY: the descriptor is open, and the call changes nothing.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags != -1 && (flags & libc::O_ACCMODE == libc::O_WRONLY || flags & libc::O_APPEND != 0)
}

/// Opens a log file: not through a link, not another user's, and unreadable to others from now on.
///
/// # Errors
/// The reason, for a person to read.
pub fn open_log(path: &Path, user: u32) -> Result<File, String> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.uid() != user {
        return Err("not a file of this user".to_owned());
    }
    file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| error.to_string())?;
    Ok(file)
}

/// Writes a line in one call, or loses it. It does not wait for the program at the other end of a
/// pipe. It keeps three signals from the host: of a pipe that no program reads, of a file at its
/// limit, of a terminal that stops background processes (`stty tostop`).
pub fn write_line(file: &File, line: &[u8]) {
    let signals = [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGTTOU];
    let Some(blocked) = SignalBlock::new(&signals) else { return };
    // SAFETY: the descriptor is open, and so many bytes may be read. MSG_DONTWAIT is for sockets; a
    // file that is none says so.
    let sent = unsafe {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        libc::send(file.as_raw_fd(), line.as_ptr().cast(), line.len(), flags)
    };
    if sent == -1 && IoError::last_os_error().raw_os_error() == Some(libc::ENOTSOCK) {
        // SAFETY: as above.
        unsafe { libc::write(file.as_raw_fd(), line.as_ptr().cast(), line.len()) };
    }
    drop(blocked);
}

/// Signals that the calling thread does not get. Those that came meanwhile are taken away again:
/// they came from our write, which is sent to the writing thread (signal(7)).
struct SignalBlock {
    signals: libc::sigset_t,
    before: libc::sigset_t,
}

impl SignalBlock {
    /// `None` when the host waits for one of these signals itself at this moment, so that none may
    /// be taken away.
    fn new(signals: &[libc::c_int]) -> Option<Self> {
        let mut set = empty_set();
        for &signal in signals {
            // SAFETY: the set is initialised, and the signal exists.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        let mut pending = empty_set();
        // SAFETY: the set may be written.
        unsafe { libc::sigpending(&raw mut pending) };
        // SAFETY: the set is initialised, and the signal exists.
        let is_pending =
            |&signal: &libc::c_int| unsafe { libc::sigismember(&raw const pending, signal) == 1 };
        if signals.iter().any(is_pending) {
            return None;
        }
        let mut before = empty_set();
        // SAFETY: both sets are initialised, and `before` may be written.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) };
        (result == 0).then_some(Self { signals: set, before })
    }
}

impl Drop for SignalBlock {
    fn drop(&mut self) {
        system::discard_pending(&self.signals);
        // SAFETY: the mask is the one that the thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, null_mut()) };
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `set` may be written.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the call, and by zeros before it.
    unsafe { set.assume_init() }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    const USERS: &str =
        "root:x:0:0::/root:/bin/sh\nhanako:x:1000:1000::/home/hanako:/bin/sh\ntaro:x:1001:1001::/:/x\n";

    #[test]
    fn a_group_without_other_members_is_the_users_own() {
        for (groups, alone) in [
            ("hanako:x:1000:\n", true),
            ("hanako:x:1000:hanako\n", true),
            ("hanako:x:1000:hanako,taro\n", false),
            ("hanako:x:1000:\nshadow:x:1000:taro\n", false),
            ("", true),
        ] {
            assert_eq!(is_alone(groups, USERS, 1000, 1000), alone, "{groups:?}");
        }
        let users = format!("{USERS}guest:x:1002:1000::/:/x\n");
        assert!(!is_alone("hanako:x:1000:\n", &users, 1000, 1000));
    }

    #[test]
    fn a_stream_without_a_reader_costs_a_line_and_not_the_process() {
        let (reader, writer) = UnixStream::pair().unwrap();
        drop(reader);
        write_line(&File::from(OwnedFd::from(writer)), b"line\n");
    }
}
