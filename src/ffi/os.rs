//! What only system calls without a safe wrapper tell or give: how the process was started, where the library lies,
//! whether standard error is one, and memory for secrets.

use std::env;
use std::ffi::{CStr, OsStr, c_void};
use std::fs::{File, Metadata};
use std::io::{Error as IoError, IsTerminal, stderr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::ptr::{NonNull, null_mut};

use log::{debug, warn};
use zeroize::Zeroize;

use super::ptr;
use crate::config::Environment;
use crate::jpki::pin::{SecretMemory, SecretPage};

/// Lies in this library, and so tells where it was loaded from.
static LANDMARK: u8 = 0;

/// What configuration and log need to know of this process.
pub(super) fn environment() -> Environment {
    Environment {
        secure_execution: secure_execution(),
        library: library_path(),
        stderr: stderr_for_logging(),
        user: effective_user(),
    }
}

/// Whether the program runs with more rights than its user has (setuid, setgid, capabilities): then the environment
/// is the attacker's (getauxval(3), `AT_SECURE`).
fn secure_execution() -> bool {
    // SAFETY: the call reads what the kernel handed over at the start of the process; it has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The user whose rights the process has.
fn effective_user() -> u32 {
    // SAFETY: the call has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// The file that this library was loaded from, as the loader was given it.
fn library_path() -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `info` is one that may be written, and any address may be asked for.
    let found = unsafe { libc::dladdr((&raw const LANDMARK).cast::<c_void>(), info.as_mut_ptr()) };
    // SAFETY: all zeros is a valid value of this structure too.
    let info = unsafe { info.assume_init() };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr found the object, so this is the loader's own text, which lives as long as the library.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

/// A copy of standard error, if what is open there is standard error.
///
/// A host that closed its descriptor 2 gets that number again for the next file, connection or device it opens;
/// lines of text would damage it. So only a terminal counts, systemd's journal, and files and pipes that are open
/// for writing alone or for appending. The copy stays what it is when the host closes descriptor 2 later.
fn stderr_for_logging() -> Option<File> {
    let file = File::from(stderr().as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    let usable = if metadata.file_type().is_socket() {
        is_journal(&metadata)
    } else {
        file.is_terminal() || only_written(&file)
    };
    usable.then_some(file)
}

/// Whether a socket is the one that systemd connected to the journal: it names it by device and inode
/// (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal(socket: &Metadata) -> bool {
    env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", socket.dev(), socket.ino()))
}

/// Whether a file is open for writing alone or for appending.
fn only_written(file: &File) -> bool {
    // SAFETY: the descriptor is open, and the call changes nothing.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags != -1 && (flags & libc::O_ACCMODE == libc::O_WRONLY || flags & libc::O_APPEND != 0)
}

/// Gives out pages for secrets: not swapped, not in core dumps, zero in a forked child.
#[derive(Debug)]
pub(super) struct LockedMemory;

/// One page; wiped and given back on drop.
struct Page {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a page belongs to its owner alone, like a `Box<[u8]>`.
unsafe impl Send for Page {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Page {}

impl SecretMemory for LockedMemory {
    fn page(&self) -> Option<Box<dyn SecretPage>> {
        let page = Page::map()?;
        page.protect();
        Some(Box::new(page))
    }
}

impl SecretPage for Page {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable, that long, and lives until the drop.
        unsafe { ptr::own_memory(self.start, self.length) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable too, and `&mut self` keeps others away.
        unsafe { ptr::own_memory_mut(self.start, self.length) }
    }
}

impl Page {
    fn map() -> Option<Self> {
        // SAFETY: the call has no preconditions.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let length = usize::try_from(size).ok().filter(|size| *size != 0)?;
        // SAFETY: a new anonymous mapping where the kernel likes; no memory in use is touched.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            warn!("no memory for a PIN: {}", IoError::last_os_error());
            return None;
        }
        Some(Self { start: NonNull::new(start.cast())?, length })
    }

    /// Keeps the page out of swap, core dumps and children. Each is a bonus: a limit on locked memory of 0, which
    /// containers set, is no reason to refuse the card.
    fn protect(&self) {
        let start = self.start.as_ptr().cast::<c_void>();
        // SAFETY: the mapping is this page's own.
        tell_failure("mlock", unsafe { libc::mlock(start, self.length) });
        // SAFETY: as above; the advice does not change what is in the page.
        tell_failure("MADV_DONTDUMP", unsafe { libc::madvise(start, self.length, libc::MADV_DONTDUMP) });
        // SAFETY: as above; a child finds zeros, and every bit pattern is a valid `u8`.
        tell_failure("MADV_WIPEONFORK", unsafe { libc::madvise(start, self.length, libc::MADV_WIPEONFORK) });
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the mapping is this page's own, and no reference into it outlives the page.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Logs that a protection is missing.
fn tell_failure(what: &str, result: libc::c_int) {
    if result != 0 {
        debug!("{what} on the PIN page: {}", IoError::last_os_error());
    }
}
