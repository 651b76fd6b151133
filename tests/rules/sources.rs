//! The Rust files of the source tree.

use std::fs;
use std::path::{Path, PathBuf};

/// A path from the root of the source tree on.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every Rust file below a folder of the root: its path from that folder on, and its text.
pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let files = files(folder, "rs");
    assert!(files.len() > 30, "the sources were found");
    files
}

/// As [`sources`], the files whose names end so.
pub fn files(folder: &str, wanted: &str) -> Vec<(PathBuf, String)> {
    let top = root(folder);
    let mut folders = vec![top.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == wanted) {
                let text = fs::read_to_string(&path).expect("sources are text");
                files.push((path.strip_prefix(&top).expect("below the folder").to_owned(), text));
            }
        }
    }
    files
}

#[test]
fn files_stay_short() {
    for folder in ["src", "tests"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 400, "{folder}/{}: {lines} lines", path.display());
        }
    }
}
