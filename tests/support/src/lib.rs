//! What more than one test program needs, once.
//!
//! - [`library`]: the loader of the built module, and the files that Cargo has built beside a test;
//! - [`client`]: a PKCS#11 client over the module's C functions;
//! - [`rv`]: return values, with the names of the standard;
//! - [`rng`]: random numbers whose seed is printed and can be given again;
//! - [`time`]: how long something takes on a machine that does other things too.
//!
//! The crate knows the module only as a file, and it knows no PC/SC. So it can be used beside the
//! stand-in for the PC/SC library and beside the real one.

#![expect(clippy::macro_metavars_in_unsafe, reason = "a test of bad pointers reads as C does")]

pub mod client;
pub mod library;
pub mod rng;
pub mod rv;
pub mod time;

pub use self::rv::Rv;
