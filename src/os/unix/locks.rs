//! Record locks (fcntl(2)), with which Firefox and Thunderbird mark a profile that they use.

use std::fs::File;
use std::io::{Error as IoError, Result as IoResult};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// The process that holds a lock which keeps this one from writing to a file, if there is one.
///
/// # Errors
/// The file system has no such locks.
pub fn lock_holder(file: &File) -> IoResult<Option<u32>> {
    let mut lock = whole_file()?;
    // SAFETY: the descriptor is open, and `lock` may be read and written.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    if result == -1 {
        return Err(IoError::last_os_error());
    }
    if i64::from(lock.l_type) == i64::from(libc::F_UNLCK) {
        return Ok(None);
    }
    // A lock of another machine has no process here, and the kernel says 0 or less.
    Ok(Some(u32::try_from(lock.l_pid).unwrap_or(0)))
}

/// Locks a file that is open for writing, until it is closed. `false` when another process has it.
///
/// # Errors
/// The file system has no such locks.
pub fn lock_for_writing(file: &File) -> IoResult<bool> {
    let lock = whole_file()?;
    // SAFETY: the descriptor is open, and `lock` may be read.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
    if result != -1 {
        return Ok(true);
    }
    let error = IoError::last_os_error();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EAGAIN) => Ok(false),
        _ => Err(error),
    }
}

/// A write lock from the start of a file to its end.
fn whole_file() -> IoResult<libc::flock> {
    // SAFETY: numbers, of which zeros are valid values; systems have different ones.
    let mut lock = unsafe { MaybeUninit::<libc::flock>::zeroed().assume_init() };
    // The fields are shorter than the constants.
    lock.l_type = libc::c_short::try_from(libc::F_WRLCK).map_err(IoError::other)?;
    lock.l_whence = libc::c_short::try_from(libc::SEEK_SET).map_err(IoError::other)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use std::process::id;

    use super::*;

    // A process does not stand in its own way; tests/clients/register.sh has another one hold a
    // lock.
    #[test]
    fn a_file_without_a_lock_can_be_locked() {
        let path = std::env::temp_dir().join(format!("jpki-pkcs11-lock-{}", id()));
        let file = File::create(&path).unwrap();
        assert_eq!(lock_holder(&file).unwrap(), None);
        assert!(lock_for_writing(&file).unwrap());
        std::fs::remove_file(path).unwrap();
    }
}
