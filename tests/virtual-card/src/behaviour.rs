//! Answers in which one chip or reader differs from another, each as a small type for a field of
//! [`Profile`](crate::Profile).

use std::time::Duration;

/// How a transparent file answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileAnswer {
    /// SELECT and READ BINARY work.
    #[default]
    Content,
    /// SELECT of the file and READ BINARY by its short id answer this status word.
    Refused(u16),
    /// SELECT works and every READ BINARY answers this status word.
    ReadRefused(u16),
    /// Every READ BINARY answers data together with 6282.
    Warning,
}

/// What an extended-length command meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtendedLength {
    /// It works.
    #[default]
    Works,
    /// The chip answers this status word: 6700, 6D00, 6883.
    Refused(u16),
    /// The chip carries the command out and at most 256 bytes of the answer come, with 9000.
    Cut,
    /// The reader fails ([`Reply::TransportError`](crate::Reply)) and the card never gets it.
    TransmitFails,
    /// The card never answers again until a reset or until its power was off.
    Mute,
    /// The card leaves the field and comes back after this time: see
    /// [`VirtualCard::returns_in`](crate::VirtualCard::returns_in).
    LeavesField(Duration),
}

/// What READ BINARY in a short command meets when it asks for many bytes.
///
/// A signature has 256 bytes and comes all the same: with a reader that fails there no program can
/// sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongRead {
    /// Up to 256 bytes come.
    #[default]
    Works,
    /// The reader fails at an answer of exactly 256 bytes, after the chip gave it.
    ReaderFails,
    /// The chip gives at most so many bytes: for more it answers 6Cxx with this length.
    AtMost(u8),
    /// The chip answers 6Cxx with the first length, and to a command with that one 6Cxx with the
    /// second.
    Stepwise(u8, u8),
}

/// How the end of a file is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOfFile {
    /// What is left comes with 9000; an offset at the end or past it is refused with 6B00.
    #[default]
    Refusal,
    /// What is left comes with 6282; from the end on 6282 comes alone.
    Warning,
    /// What is left comes with 9000; from the end on 9000 comes alone.
    Silence,
}

/// What VERIFY without data answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TriesQuery {
    /// 63Cx, the same whether verified or not.
    #[default]
    Always,
    /// 63Cx, and 9000 while that PIN is verified.
    UnlessVerified,
    /// Never a count; always this status word.
    Refused(u16),
}
