//! What every subcommand says when its result cannot be written.

use std::io;

use super::{Language, say};

pub(crate) fn not_written(language: Language, error: &io::Error) -> String {
    say!(language, "The result cannot be written: {error}", "結果を出力できません: {error}")
}
