//! Windows 10 and newer. Under Wine its calls are tried; which of its protections hold there and
//! which on Windows alone is in README.

mod memory;
pub mod smart_card;
mod unloading;

use std::env;
use std::ffi::{OsString, c_void};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Result as IoResult, Write, stderr};
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use log::debug;
use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::Security::Cryptography::{BCRYPT_USE_SYSTEM_PREFERRED_RNG, BCryptGenRandom};
use windows_sys::Win32::Security::{
    GetTokenInformation, TOKEN_ELEVATION_TYPE, TOKEN_QUERY, TokenElevationType, TokenElevationTypeFull,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_TYPE_DISK, GetFileType, GetLongPathNameW,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN,
    GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW, GetModuleHandleExW,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

pub use self::memory::LockedMemory;
use crate::os::{Distrust, Ending};

/// A symbol that lies in this library, and so tells where the library was loaded from.
static SYMBOL_IN_LIBRARY: u8 = 0;

/// The longest path, in units of UTF-16.
const LONGEST_PATH: u32 = 32_768;

/// Whether the program runs with rights that the user's other programs do not have ("run as
/// administrator"): then the environment, which those can change, is the attacker's. Where that
/// cannot be asked, it is too.
#[must_use]
pub fn secure_execution() -> bool {
    // SAFETY: the call has no preconditions; what it gives needs no closing.
    let process = unsafe { GetCurrentProcess() };
    let mut token: HANDLE = null_mut();
    // SAFETY: `token` may be written.
    if unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) } == 0 {
        return true;
    }
    let mut kind: TOKEN_ELEVATION_TYPE = 0;
    let size = u32::try_from(size_of::<TOKEN_ELEVATION_TYPE>()).unwrap_or_default();
    let mut filled = 0;
    let place = (&raw mut kind).cast::<c_void>();
    // SAFETY: this question has an answer of this type, which may be written.
    let answered =
        unsafe { GetTokenInformation(token, TokenElevationType, place, size, &raw mut filled) } != 0;
    // SAFETY: it was opened above, and nothing else has it.
    unsafe { CloseHandle(token) };
    !answered || kind == TokenElevationTypeFull
}

/// Fills `bytes` with random numbers. `false` when the system has none.
#[must_use]
pub fn fill_random(bytes: &mut [u8]) -> bool {
    let Ok(length) = u32::try_from(bytes.len()) else { return false };
    let way = BCRYPT_USE_SYSTEM_PREFERRED_RNG;
    // SAFETY: so many bytes may be written; this way of asking needs no algorithm.
    unsafe { BCryptGenRandom(null_mut(), bytes.as_mut_ptr(), length, way) == 0 }
}

/// Users have no number here.
#[must_use]
pub fn effective_user() -> u32 {
    0
}

/// The file that this library was loaded from, by its long name: that of `JPKI-P~2.DLL` says which
/// slots a program may see.
pub(super) fn library_path() -> Option<PathBuf> {
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    let mut library = null_mut();
    // SAFETY: any address may be asked for, and `library` may be written.
    if unsafe { GetModuleHandleExW(flags, (&raw const SYMBOL_IN_LIBRARY).cast(), &raw mut library) } == 0 {
        return None;
    }
    let path = path_from(|place, room| {
        // SAFETY: so many units may be written, and the library stays while its code runs.
        unsafe { GetModuleFileNameW(library, place, room) }
    })?;
    Some(long_path(&path).unwrap_or(path))
}

/// A path without the short names that old programs know its parts by. Links stay what they are:
/// their names count. `None` where the path leads nowhere.
fn long_path(path: &Path) -> Option<PathBuf> {
    let units: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    path_from(|place, room| {
        // SAFETY: the path ends with a zero, and so many units may be written.
        unsafe { GetLongPathNameW(units.as_ptr(), place, room) }
    })
}

/// The path that a call writes to a place with this room. The call returns its length, 0 for none.
fn path_from(write: impl FnOnce(*mut u16, u32) -> u32) -> Option<PathBuf> {
    let mut path = vec![0; usize::try_from(LONGEST_PATH).ok()?];
    let length = write(path.as_mut_ptr(), LONGEST_PATH);
    let path = path.get(..usize::try_from(length).ok()?).filter(|path| !path.is_empty())?;
    Some(PathBuf::from(OsString::from_wide(path)))
}

/// The folder of the system's configuration: that of the library. Only administrators write there
/// when it lies below Program Files; any user may make a file in ProgramData.
#[must_use]
pub fn system_configuration_folder(library: Option<&Path>) -> Option<PathBuf> {
    library?.parent().map(Path::to_owned)
}

/// The folder where the user's configuration may lie.
#[must_use]
pub fn user_configuration_folders() -> Vec<PathBuf> {
    let folder = env::var_os("APPDATA").map(PathBuf::from);
    folder.into_iter().filter(|folder| folder.is_absolute()).collect()
}

/// Opens a file to read it.
///
/// # Errors
/// Why it cannot be opened.
pub fn open_configuration(path: &Path) -> IoResult<File> {
    File::open(path)
}

/// Why a file cannot be trusted. Who may write it follows from its folder, which is trusted.
///
/// # Errors
/// The reason.
pub fn is_trusted(file: &Metadata, _user: u32) -> Result<(), Distrust> {
    if file.is_file() { Ok(()) } else { Err(Distrust::NotAFile) }
}

/// Opens a log file, not through a link. Who may read it follows from its folder.
///
/// # Errors
/// The reason, for a person to read.
pub fn open_log(path: &Path, _user: u32) -> Result<File, String> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)
        .map_err(|error| error.to_string())?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err("not a regular file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A copy of standard error, if that is a file. A pipe, and a console in which the user selects
/// text, make a program wait that writes to them. Of a pipe nothing more is asked than its type:
/// other questions wait for a thread that reads from it.
#[must_use]
pub fn stderr_for_logging() -> Option<File> {
    let stderr = stderr();
    // SAFETY: any handle may be asked about; a program without standard error has none.
    if unsafe { GetFileType(stderr.as_raw_handle()) } != FILE_TYPE_DISK {
        return None;
    }
    let file = File::from(stderr.as_handle().try_clone_to_owned().ok()?);
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

/// Writes a line in one call, or loses it.
pub fn write_line(mut file: &File, line: &[u8]) {
    let _ = file.write(line);
}

/// Tells a process from the children that it forks: a process of Windows has none.
#[derive(Debug, Default)]
pub struct ForkMarker;

impl ForkMarker {
    /// A marker.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// Whether this process is the one that asked first.
    pub fn is_ours(&self) -> bool {
        true
    }
}

/// Threads are not cancelled here: a host that ends one by force leaves whatever it had.
#[derive(Debug, Default)]
pub struct UncancellableThread;

impl UncancellableThread {
    /// Does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Drop for UncancellableThread {
    fn drop(&mut self) {}
}

/// Nothing runs at the end of a process: Windows has ended its other threads by then, wherever they
/// were, and takes the connections back itself. It resets a card with a transaction. When a host
/// unloads the library, the loader's lock is held, and no call to the service may be made:
/// `unloading` wipes the secrets, and no more.
pub fn on_exit(_work: fn(Ending)) {}

/// Has the library stay in the process, whatever the host unloads.
pub fn stay_loaded() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Relaxed) || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let mut library = null_mut();
    // SAFETY: any address may be asked for, and `library` may be written.
    if unsafe { GetModuleHandleExW(flags, (&raw const SYMBOL_IN_LIBRARY).cast(), &raw mut library) } == 0 {
        debug!("the library may be unloaded while a thread waits in it");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process;

    use windows_sys::Win32::Storage::FileSystem::GetShortPathNameW;

    use super::*;

    #[test]
    fn a_short_name_becomes_the_long_one() {
        let folder = env::temp_dir().join(format!("jpki-long-names-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("jpki-pkcs11-auth.dll");
        fs::write(&path, "").unwrap();
        let units: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
        // SAFETY: the path ends with a zero, and so many units may be written.
        let short = path_from(|place, room| unsafe { GetShortPathNameW(units.as_ptr(), place, room) });
        let long = long_path(&short.unwrap()).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(long.file_name().unwrap(), "jpki-pkcs11-auth.dll");
        assert_eq!(long_path(&path), None, "it is gone");
    }

    #[test]
    fn the_path_of_the_library_is_absolute_and_leads_to_a_file() {
        let path = library_path().unwrap();
        assert!(path.is_absolute() && path.is_file(), "{}", path.display());
    }
}
