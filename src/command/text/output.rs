//! What every subcommand says when its result cannot be written.

use std::io;

use super::{Language, os_error, say};

pub(crate) fn not_written(language: Language, error: &io::Error) -> String {
    let error = os_error(language, error.raw_os_error());
    say!(language, "The result cannot be written: {error}", "結果を出力できません: {error}")
}
