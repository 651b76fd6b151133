//! The independent programs that several tests ask: OpenSSL, and OpenSC's PKCS#11 library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a command that must succeed says, on both outputs.
pub fn checked(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {text}");
    text
}

/// What `openssl` says in this directory.
pub fn openssl(directory: &Path, arguments: &[&str]) -> String {
    checked(Command::new("openssl").args(arguments).current_dir(directory))
}

/// OpenSC's library. Debian has it in a folder that is named after the processor.
pub fn opensc_module() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder");
    let mut libraries = folders.map(|entry| entry.expect("an entry").path().join("opensc-pkcs11.so"));
    libraries.find(|library| library.exists()).expect("opensc is installed")
}
