//! The JPKI application on the card: its files and keys, the rules of its PINs, its commands, and what of its
//! certificates PKCS#11 needs.
//!
//! Which card, which reader and who is logged in is the business of [`crate::manager`].

pub mod applet;
pub mod certificate;
pub mod layout;
pub mod pin;
pub mod public_key;
