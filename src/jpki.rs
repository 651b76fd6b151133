//! The JPKI application of a card: facts, commands, recognition, PIN forms, certificates and keys.
//!
//! Sources: OpenSC `card-jpki.c` and `pkcs15-jpki.c`, `jpki/myna`, the crate `myna-card`. No
//! specification is public. A fact that only one of them knows is a hint: what follows from it is
//! undone by what the card does.

pub mod applet;
pub mod capability;
pub mod certificate;
pub mod credential;
pub mod identity;
pub mod key;
pub mod pin;
pub mod recognition;
pub mod remembered_pin;
pub mod renewal;
