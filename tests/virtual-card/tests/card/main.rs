//! The model of the card, its control, and the stack with a real pcscd.

/// The commands of the tests, byte by byte.
mod apdus;
/// The certificates against OpenSSL.
mod certificates;
/// Chips that differ from the one that is known best.
mod chips;
/// The program `virtual-card`.
mod command_line;
/// The ledger and the scripted faults.
mod faults;
/// Applications, files and reading them.
mod files;
/// Traits by name, and chips drawn at random.
mod lottery;
/// The model against an independent client.
mod myna_card;
/// The model against OpenSC's driver.
mod opensc;
/// The PINs and the verified state.
mod pins;
/// OpenSSL, and OpenSC's library.
mod programs;
/// The sign command.
mod signing;
/// What happens instead of an answer.
mod silences;
/// The private pcscd.
mod stack;
