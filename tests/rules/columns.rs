//! Lines of comments are no longer than CONTRIBUTING says.

use std::fs;

use crate::sources::{files, root, sources};

/// The most columns of a comment in Rust.
const RUST: usize = 100;

/// The most columns of a comment in a script.
const SCRIPT: usize = 120;

/// Whether a line is a comment that is too long. A row of a table and an address cannot be broken.
fn is_too_long(line: &str, mark: &str, most: usize) -> bool {
    let Some(comment) = line.trim_start().strip_prefix(mark) else { return false };
    let is_row = comment.trim_start_matches(['/', '!', ' ']).starts_with('|');
    line.chars().count() > most && !is_row && !comment.contains("://")
}

/// The numbers of the lines that are too long.
fn long_lines(text: &str, mark: &str, most: usize) -> Vec<usize> {
    let lines = text.lines().zip(1..);
    lines.filter(|(line, _)| is_too_long(line, mark, most)).map(|(_, number)| number).collect()
}

#[test]
fn comments_in_rust_keep_to_their_columns() {
    for folder in ["src", "tests"] {
        for (path, text) in sources(folder) {
            assert_eq!(long_lines(&text, "//", RUST), [], "{folder}/{}", path.display());
        }
    }
}

#[test]
fn comments_in_scripts_keep_to_their_columns() {
    let mut scripts = files("tests", "sh");
    assert!(scripts.len() > 30, "the scripts were found");
    for path in [".ci/run", "pkcs11-tests.sh"] {
        scripts.push((path.into(), fs::read_to_string(root(path)).expect("a script")));
    }
    for (path, text) in scripts {
        assert_eq!(long_lines(&text, "#", SCRIPT), [], "{}", path.display());
    }
}

#[test]
fn a_long_comment_is_found_and_a_row_of_a_table_is_none() {
    let words = "word ".repeat(20);
    assert!(is_too_long(&format!("    /// {words}"), "//", RUST));
    assert!(is_too_long(&format!("//! {words}"), "//", RUST));
    assert!(!is_too_long(&format!("//! | {words}"), "//", RUST));
    assert!(!is_too_long(&format!("//! https://{words}"), "//", RUST));
    assert!(!is_too_long(&format!("let text = \"{words}\";"), "//", RUST));
    assert!(!is_too_long(&format!("# {words}"), "#", SCRIPT));
    assert_eq!(long_lines(&format!("# {words}\n# {words}{words}"), "#", SCRIPT), [2]);
}
