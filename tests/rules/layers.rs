//! The house rules that a program can see: imports point down, `pcsc` and `unsafe` stay where they
//! belong.

use std::path::{Path, PathBuf};

use crate::sources::sources;

/// The layers from top to bottom. Modules of one row may use each other.
const LAYERS: [&[&str]; 9] = [
    // A program of its own over the library: nothing of the library can name it.
    &["command"],
    &["ffi"],
    &["module"],
    &["token", "error"],
    &["manager"],
    &["jpki"],
    &["transport"],
    &["iso7816"],
    &["os"],
];

/// Beside the layers: what each may be used by is decided here, by the row it counts as.
const BESIDE: [(&str, usize); 3] = [("logging", 1), ("config", 2), ("handle", 7)];

fn row(module: &str) -> Option<usize> {
    let beside = BESIDE.iter().find(|(name, _)| *name == module).map(|(_, row)| *row);
    beside.or_else(|| LAYERS.iter().position(|layer| layer.contains(&module)))
}

fn module_of(path: &Path) -> String {
    let first = path.components().next().expect("a file has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Lines of code: no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn imports_point_down() {
    for (path, text) in sources("src").into_iter().filter(|(path, _)| !is_of_the_command(path)) {
        let Some(own) = row(&module_of(&path)) else { continue };
        for line in code(&text) {
            for (at, _) in line.match_indices("crate::") {
                let used: String =
                    line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if let Some(used_row) = row(&used) {
                    assert!(own <= used_row, "{}: {line}", path.display());
                }
            }
        }
    }
}

/// What the command may name of the library: the module as every client uses it, and plain data
/// that comes with it.
const FOR_THE_COMMAND: [&str; 7] = ["config", "error", "handle", "jpki", "logging", "module", "os"];

/// The root of the command is `command/main.rs`: `crate` is the command there.
fn is_of_the_command(path: &Path) -> bool {
    path.starts_with("command")
}

#[test]
fn the_command_reaches_the_card_by_the_module_alone() {
    let mut files = 0;
    for (path, text) in sources("src").into_iter().filter(|(path, _)| is_of_the_command(path)) {
        files += 1;
        for line in code(&text) {
            assert!(!line.contains("pcsc::") && !line.contains("unsafe "), "{}: {line}", path.display());
            for (at, name) in line.match_indices("jpki_pkcs11::") {
                let used: String =
                    line[at + name.len()..].chars().take_while(|c| c.is_alphanumeric()).collect();
                assert!(FOR_THE_COMMAND.contains(&used.as_str()), "{}: {line}", path.display());
            }
        }
    }
    assert!(files > 5, "the command was found");
}

/// Whether a line names the crate, and not our module of that name.
fn names_pcsc(line: &str) -> bool {
    let after = |path: &str| line.match_indices("pcsc").any(|(at, _)| line[..at].ends_with(path));
    let ours = ["crate::transport::", "self::", "super::", "mod "];
    (line.contains("use pcsc") || line.contains("pcsc::")) && !ours.iter().any(|path| after(path))
}

#[test]
fn only_the_transport_names_pcsc() {
    for (path, text) in sources("src") {
        if path != Path::new("transport/pcsc.rs") {
            let offending = code(&text).find(|line| names_pcsc(line));
            assert_eq!(offending, None, "{}", path.display());
        }
    }
}

#[test]
fn only_the_upper_layers_name_cryptoki() {
    for (path, text) in sources("src") {
        if !["command", "ffi", "module", "token", "error"].contains(&module_of(&path).as_str()) {
            assert!(!code(&text).any(|line| line.contains("cryptoki_sys")), "{}", path.display());
        }
    }
}

#[test]
fn unsafe_stays_in_ffi_and_os() {
    for (path, text) in sources("src") {
        if !["ffi", "os"].contains(&module_of(&path).as_str()) {
            let offending = code(&text).find(|line| line.contains("unsafe") && !line.contains("unsafe_code"));
            assert_eq!(offending, None, "{}", path.display());
        }
    }
}

#[test]
fn every_file_belongs_to_the_crate() {
    let sources = sources("src");
    let roots = ["lib.rs", "command/main.rs"].map(Path::new);
    for (path, _) in sources.iter().filter(|(path, _)| !roots.contains(&path.as_path())) {
        let parent = path.parent().expect("below src");
        let parent = match parent.to_str() {
            Some("") => PathBuf::from("lib.rs"),
            Some("command") => PathBuf::from("command/main.rs"),
            _ => parent.with_extension("rs"),
        };
        let declaration = format!("mod {};", module_of(Path::new(path.file_name().expect("a name"))));
        let declares = |text: &str| code(text).any(|line| line.ends_with(&declaration));
        let declared = sources.iter().any(|(file, text)| *file == parent && declares(text));
        assert!(declared, "{}: no module declares it", path.display());
    }
}

#[test]
fn the_crate_says_which_test_checks_its_layers() {
    let sources = sources("src");
    let (_, text) = sources.iter().find(|(path, _)| path == Path::new("lib.rs")).expect("lib.rs");
    assert!(text.contains(&format!("`{}`", file!())));
}
