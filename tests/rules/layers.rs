//! The house rules that a program can see: imports point down; `pcsc`, `unsafe` and what depends on
//! the system stay where they belong.

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

/// What paths of a line begin with after `crate::`. It is empty for a group of imports.
fn names_after_crate(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|each: char| !each.is_alphanumeric() && each != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn imports_point_down() {
    for (path, text) in sources("src").into_iter().filter(|(path, _)| !is_of_the_command(path)) {
        let Some(own) = row(&module_of(&path)) else { continue };
        for line in code(&text) {
            for used in names_after_crate(line) {
                // `use crate::{a, b}` would hide what it names, and `use crate::*` does.
                let used = row(used).unwrap_or_else(|| panic!("{}: which layer? {line}", path.display()));
                assert!(own <= used, "{}: {line}", path.display());
            }
        }
    }
}

/// The first line with a path that climbs to the root of the crate by `super::`: from there it
/// reaches every layer.
fn climbs_to_the_root<'a>(path: &Path, text: &'a str) -> Option<&'a str> {
    // The indentation of each module that is open, besides the file's own ones.
    let mut open = Vec::new();
    text.lines().find(|line| {
        let code = line.trim_start();
        let indentation = line.len() - code.len();
        if code.starts_with("//") {
            return false;
        }
        if code == "}" && open.last() == Some(&indentation) {
            open.pop();
        } else if code.split(' ').any(|word| word == "mod") && code.ends_with('{') {
            open.push(indentation);
        }
        let steps = "super::".repeat(path.components().count() + open.len());
        // A group that begins with `super::` goes on from where it stands.
        code.replace("super::{", "super::").contains(&steps)
    })
}

#[test]
fn no_path_goes_round_the_layers_by_way_of_the_root() {
    for (path, text) in sources("src").into_iter().filter(|(path, _)| path != Path::new("lib.rs")) {
        assert_eq!(climbs_to_the_root(&path, &text), None, "{}", path.display());
    }
}

#[test]
fn a_path_that_goes_round_the_layers_is_found() {
    let climbs = |path: &str, text: &str| climbs_to_the_root(Path::new(path), text).is_some();
    assert!(climbs("manager.rs", "use super::module::Module;\n"));
    assert!(climbs("manager/pins.rs", "fn f() {\n    super::super::ffi::f();\n}\n"));
    assert!(climbs("manager/pins.rs", "use super::{super::ffi, Pin};\n"));
    assert!(!climbs("manager/pins.rs", "use super::{Pin, pin_state};\n// super::super::ffi\n"));
    let tests = "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
    assert!(!climbs("manager.rs", tests));
    assert!(climbs("manager.rs", &format!("{tests}use super::*;\n")), "the module is closed");
    assert!(climbs("manager.rs", "mod tests {\n    use super::super::ffi;\n}\n"));
    assert!(names_after_crate("use crate::{ffi, os};").eq([""]));
    assert!(names_after_crate("crate::a::b(crate::c_d)").eq(["a", "c_d"]));
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

/// Lines outside `os` that depend on the system.
const OF_A_SYSTEM: &[(&str, &str)] = &[
    // The crate `pcsc` does not serve Windows: see Cargo.toml.
    ("transport.rs", "#[cfg(not(windows))]"),
    ("transport.rs", "#[cfg(windows)]"),
    // Ways of a PC/SC service, which is no part of the system that it runs on.
    ("transport/pcsc.rs", "!cfg!(target_os = \"macos\")"),
    ("transport/reader_features.rs", "const GET_FEATURE_REQUEST: u32 = if cfg!(windows) {"),
];

/// Whether a line is built for some systems only, or names what only some have.
fn depends_on_the_system(line: &str) -> bool {
    let words = || line.split(|each: char| !each.is_alphanumeric() && each != '_');
    let is_condition = words().any(|word| word.starts_with("cfg"));
    words().any(|word| match word {
        "libc" | "target_env" | "target_family" | "target_os" | "target_vendor" | "windows_sys" => true,
        "unix" | "windows" => is_condition,
        _ => false,
    })
}

#[test]
fn the_system_is_named_in_os_alone() {
    let mut found = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| module_of(path) != "os") {
        for line in code(&text).filter(|line| depends_on_the_system(line)) {
            let known =
                OF_A_SYSTEM.iter().find(|(file, start)| path == Path::new(file) && line.starts_with(start));
            found.push(known.unwrap_or_else(|| panic!("{}: {line}", path.display())));
        }
    }
    for known in OF_A_SYSTEM {
        assert!(found.contains(&known), "there is no such line any more: {known:?}");
    }
}

#[test]
fn a_line_that_depends_on_the_system_is_found() {
    for line in [
        "#[cfg(all(test, windows))]",
        "if cfg!(unix) {",
        "#[cfg_attr(target_os = \"linux\", path = \"a.rs\")]",
        "let page = unsafe { libc::mmap() };",
        "use libc::{c_int, c_void};",
    ] {
        assert!(depends_on_the_system(line), "{line}");
    }
    for line in ["#[cfg(test)]", "use std::os::unix::fs::symlink;", "\"apt install libccid\""] {
        assert!(!depends_on_the_system(line), "{line}");
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
