//! The five test programs.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the tests, and its text.
fn test_sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("tests")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 50, "the sources were found");
    files
}

/// The name of this test stands in the output of every `cargo test`: it says what that run leaves
/// out.
#[test]
fn cargo_test_leaves_out_the_tests_with_a_pcscd_and_with_real_clients_which_pkcs11_tests_sh_runs() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(manifest.contains("required-features = [\"process-tests\"]"));
    assert!(!manifest.contains("default = ["), "no feature is on by default");
    assert!(root().join("pkcs11-tests.sh").exists());
    assert!(root().join("tests/clients").is_dir());
}

#[test]
fn files_stay_short() {
    for (path, text) in test_sources() {
        let lines = text.lines().count();
        assert!(lines <= 400, "{}: {lines} lines", path.display());
    }
}

#[test]
fn there_are_five_test_programs() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert_eq!(manifest.matches("[[test]]").count(), 5);
    let programs = fs::read_dir(root().join("tests")).expect("a folder");
    let paths = programs.map(|entry| entry.expect("an entry").path());
    let stray: Vec<_> = paths.filter(|path| path.extension().is_some_and(|name| name == "rs")).collect();
    assert!(stray.is_empty(), "Cargo makes a program of each of these: {stray:?}");
}

#[test]
fn no_test_hides_a_helper_that_nothing_uses() {
    for (path, text) in test_sources() {
        // The virtual card has test programs of its own, which share a part.
        if path.starts_with(root().join("tests/virtual-card")) {
            continue;
        }
        let hides = text.lines().any(|line| line.trim_start().starts_with("#") && line.contains("dead_code"));
        assert!(!hides, "{}", path.display());
    }
}
