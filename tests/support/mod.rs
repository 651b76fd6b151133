//! The bench that the tests of the crate's Rust API stand on: the module over a simulated PC/SC world with a virtual
//! card, in one process and without a line of C.
//!
//! - [`transport`]: the crate's transport traits over [`pcsc_stand_in::world::World`];
//! - [`memory`]: secret pages that tests can look into;
//! - [`fixture`]: a world, a card and a module, and short helpers;
//! - [`calls`]: every call that talks to the card, ready to be disturbed;
//! - [`logged`]: what the module writes to its log;
//! - [`invariants`]: what holds at the end of every test, above all that no try is lost;
//! - [`signatures`]: checks of signatures that do not go through the module.
//!
//! ```ignore
//! mod support;
//! use support::fixture::Fixture;
//!
//! #[test]
//! fn wrong_pin_leaves_two_tries() {
//!     let fixture = Fixture::new();
//!     let session = fixture.open(fixture.auth_slot());
//!     assert_eq!(fixture.login(session, b"0000"), Err(Error::Card(CardError::PinIncorrect)));
//!     assert_eq!(fixture.tries_left(Credential::Authentication), 2);
//! }
//! ```

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail wherever it stands"
)]

pub mod calls;
pub mod fixture;
pub mod invariants;
pub mod logged;
pub mod memory;
pub mod signatures;
pub mod transport;
