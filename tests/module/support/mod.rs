//! What these tests stand on: the module over a simulated PC/SC service with a virtual card.
//!
//! - [`simulated_pcsc`]: the calls of PC/SC, made to [`pcsc_stand_in::service::Service`];
//! - [`by_handle`]: the functions of a session, called by its handle;
//! - [`memory`]: secret pages that tests can look into;
//! - [`fixture`]: a service, a card and a module, and short helpers;
//! - [`calls`]: every call that talks to the card, ready to be disturbed;
//! - [`logged`]: what the module writes to its log;
//! - [`invariants`]: what holds at the end of every test, above all that no try is lost;
//! - [`signatures`]: checks of signatures that do not go through the module.
//!
//! ```ignore
//! use crate::support::fixture::Fixture;
//!
//! fn wrong_pin_leaves_two_tries() {
//!     let fixture = Fixture::new();
//!     let session = fixture.open(fixture.auth_slot());
//!     assert_eq!(fixture.login(session, b"0000"), Err(Error::Card(CardError::PinIncorrect)));
//!     assert_eq!(fixture.tries_left(Credential::Authentication), 2);
//! }
//! ```

pub mod by_handle;
pub mod calls;
pub mod fixture;
pub mod invariants;
pub mod logged;
pub mod memory;
pub mod signatures;
pub mod simulated_pcsc;
