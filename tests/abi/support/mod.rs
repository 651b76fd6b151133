//! What these tests share.
//!
//! - [`functions`]: every function of every table, to be called with plain numbers;
//! - [`guarded`]: memory with nothing readable behind it;
//! - [`host`]: a reader, a card and an initialized module;
//! - [`rows`], [`prepared`]: the supported functions with good arguments, for tests that spoil one
//!   of them;
//! - [`process`]: children of a fork, and what the kernel knows of this process.

pub mod functions;
pub mod guarded;
pub mod host;
pub mod prepared;
pub mod process;
pub mod rows;
