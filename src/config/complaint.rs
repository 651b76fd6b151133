//! What can be wrong with the configuration. No line of a file is quoted: it may hold what does not
//! belong there.

use std::fmt;
use std::path::PathBuf;

use crate::os::Distrust;

/// Something that is wrong with the configuration. `Display` gives the line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The file; `None` for the environment.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub mistake: Mistake,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// The whole file is ignored, and one try of each PIN is reserved.
    LeftOut(Reason),
    /// A key has a value that it cannot have.
    Value {
        /// The key.
        key: String,
        /// What it can have, or what is taken in its place.
        wanted: Wanted,
    },
    /// There is no such key. `None` for one that is no word.
    UnknownKey(Option<String>),
    /// A key that protects stands at a wrong place, or in another spelling. It holds.
    Misplaced(&'static str),
}

/// Why a file is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is named, or a link leads to it, and it is not there.
    Absent,
    /// It is not TOML.
    Syntax {
        /// The line of the first error.
        line: usize,
    },
    /// Its tables lie too deep in each other.
    TooDeep,
    /// It has too many bytes.
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// A folder on the way to it may not be entered.
    NoWay,
    /// Another user may have written it.
    Distrusted(Distrust),
    /// It cannot be read; what the system says.
    Unreadable(String),
}

/// What a key can have as its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Another value: this one is taken in its place.
    Taken(&'static str),
    /// A pattern or a list of patterns.
    Patterns,
    /// An absolute path.
    AbsolutePath,
    /// A table.
    Table,
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(out, "{}: ", file.display())?;
        }
        match &self.mistake {
            Mistake::LeftOut(reason) => write!(out, "{reason}; ignored, and one try of each PIN is reserved"),
            Mistake::Value { key, wanted } => write!(out, "{key} has a value that it cannot have ({wanted})"),
            Mistake::UnknownKey(Some(key)) => write!(out, "unknown key {key}"),
            Mistake::UnknownKey(None) => out.write_str("an unknown key"),
            Mistake::Misplaced(key) => write!(out, "{key} is at a wrong place, or misspelt; it is taken"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => out.write_str("no such file"),
            Self::Syntax { line } => write!(out, "a syntax error in line {line}"),
            Self::TooDeep => out.write_str("nested too deeply"),
            Self::TooLong => out.write_str("too long"),
            Self::NotUtf8 => out.write_str("not UTF-8"),
            Self::NoWay => out.write_str("permission denied"),
            Self::Distrusted(distrust) => distrust.fmt(out),
            Self::Unreadable(error) => out.write_str(error),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(values) => match values.split_last() {
                Some((last, [])) => out.write_str(last),
                Some((last, others)) => write!(out, "{} or {last}", others.join(", ")),
                None => Ok(()),
            },
            Self::Taken(value) => write!(out, "{value} is taken"),
            Self::Patterns => out.write_str("a pattern or a list of patterns"),
            Self::AbsolutePath => out.write_str("an absolute path"),
            Self::Table => out.write_str("a table"),
        }
    }
}
