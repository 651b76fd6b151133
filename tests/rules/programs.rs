//! The five test programs.

use std::fs;
use std::path::Path;

use crate::sources::{root, sources};

/// The name of this test stands in the output of every `cargo test`: it says what that run leaves
/// out.
#[test]
fn cargo_test_leaves_out_the_command_the_virtual_card_real_processes_and_real_clients_which_pkcs11_tests_sh_runs()
 {
    let manifest = fs::read_to_string(root("Cargo.toml")).expect("the manifest");
    for (program, feature) in [("command", "command"), ("process", "process-tests")] {
        let target = format!("path = \"tests/{program}/main.rs\"\nrequired-features = [\"{feature}\"]\n");
        assert!(manifest.contains(&target), "{program}");
    }
    assert!(!manifest.contains("default = ["), "no feature is on by default");
    assert!(!manifest.contains("default-members"), "the tests of the virtual card are another package's");
    assert!(root("pkcs11-tests.sh").exists());
    assert!(root("tests/clients").is_dir());
}

/// Whether cargo makes a test program of this entry of a folder `tests`.
fn is_program(path: &Path) -> bool {
    path.extension().is_some_and(|name| name == "rs") || path.join("main.rs").exists()
}

#[test]
fn there_are_five_test_programs() {
    let manifest = fs::read_to_string(root("Cargo.toml")).expect("the manifest");
    assert_eq!(manifest.matches("[[test]]").count(), 5);
    let entries = fs::read_dir(root("tests")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let stray: Vec<_> = paths.filter(|path| path.extension().is_some_and(|name| name == "rs")).collect();
    assert!(stray.is_empty(), "Cargo makes a program of each of these: {stray:?}");
}

#[test]
fn a_crate_of_the_tests_has_one_test_program_at_most() {
    let crates = fs::read_dir(root("tests")).expect("a folder");
    let folders = crates.map(|entry| entry.expect("an entry").path().join("tests"));
    let folders: Vec<_> = folders.filter(|folder| folder.is_dir()).collect();
    assert!(folders.contains(&root("tests/virtual-card/tests")), "the folders were found");
    for folder in folders {
        let entries = fs::read_dir(&folder).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let programs: Vec<_> = paths.filter(|path| is_program(path)).collect();
        assert!(programs.len() <= 1, "{programs:?}");
    }
}

#[test]
fn no_test_hides_a_helper_that_nothing_uses() {
    for (path, text) in sources("tests") {
        let hides = text.lines().any(|line| line.trim_start().starts_with("#") && line.contains("dead_code"));
        assert!(!hides, "{}", path.display());
    }
}
