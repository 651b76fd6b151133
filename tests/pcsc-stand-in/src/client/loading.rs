//! Finding and loading the library.

use std::ffi::{CString, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use test_support::library::beside;

use super::StandIn;

/// What clients ask the dynamic linker for.
const SONAME: &str = "libpcsclite.so.1";

/// `pcsc_stand_in_command`.
pub(super) type Command = unsafe extern "C" fn(*const u8, usize, *mut u8, usize) -> isize;

/// The stand-in's library.
#[must_use]
pub fn library() -> PathBuf {
    beside("libpcsc_stand_in.so")
}

/// A directory for LD_LIBRARY_PATH, where the library has the name `libpcsclite.so.1`: for real
/// clients, which find their service in the variable [`ENVIRONMENT`](crate::command::ENVIRONMENT).
///
/// # Panics
/// When the directory cannot be made.
#[must_use]
pub fn library_directory() -> PathBuf {
    let library = library();
    let directory = library.with_file_name("pcsc-stand-in");
    fs::create_dir_all(&directory).expect("the build directory is writable");
    let link = directory.join(SONAME);
    if fs::read_link(&link).ok().as_deref() != Some(&*library) {
        // Made aside and moved, so that tests that run at the same time see a whole one.
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let aside = directory.join(format!("{SONAME}.{}.{number}", process::id()));
        let _ = fs::remove_file(&aside);
        symlink(&library, &aside).expect("the build directory is writable");
        fs::rename(&aside, &link).expect("the build directory is writable");
    }
    directory
}

impl StandIn {
    /// Loads the library, unless it is loaded, so that whatever is loaded later and asks for
    /// `libpcsclite.so.1` gets it.
    ///
    /// # Panics When the real one is loaded already: the program must not link anything that asks
    /// for it. A test under [`isolated`](super::isolated) has no such trouble.
    #[must_use]
    pub fn load() -> Self {
        let handle = open(SONAME.as_ref(), libc::RTLD_NOLOAD)
            .or_else(|| open(&library(), 0))
            .unwrap_or_else(|| panic!("{} cannot be loaded", library().display()));
        // SAFETY: the handle is of a loaded library, and the name is a string.
        let symbol = unsafe { libc::dlsym(handle, c"pcsc_stand_in_command".as_ptr()) };
        assert!(!symbol.is_null(), "the real {SONAME} is loaded in this process");
        // SAFETY: the library defines the symbol with this signature.
        let command = unsafe { std::mem::transmute::<*mut c_void, Command>(symbol) };
        Self { command }
    }

    /// Sends words, with TABs between them.
    ///
    /// # Errors
    /// What the service has to say against it.
    pub fn request(self, words: &[&[u8]]) -> Result<Vec<u8>, String> {
        let request = words.join(&b'\t');
        let mut reply = vec![0; 1 << 20];
        // SAFETY: both buffers have the lengths that are given.
        let length =
            unsafe { (self.command)(request.as_ptr(), request.len(), reply.as_mut_ptr(), reply.len()) };
        reply.truncate(usize::try_from(length).expect("a reply"));
        match reply.split_first() {
            Some((b'+', answer)) => Ok(answer.to_vec()),
            Some((_, reason)) => Err(String::from_utf8_lossy(reason).into_owned()),
            None => Err("no reply".to_owned()),
        }
    }
}

fn open(path: &Path, flags: libc::c_int) -> Option<*mut c_void> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path has no NUL");
    // SAFETY: the path is a string; the library's initialisers are the Rust runtime's.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL | flags) };
    (!handle.is_null()).then_some(handle)
}
