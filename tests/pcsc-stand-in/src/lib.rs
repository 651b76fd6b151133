//! A PC/SC service that exists only inside a test: readers, cards, clients, transactions and
//! everything that goes wrong with them.
//!
//! It follows pcsc-lite 1.9.9, the service and its client library, as its sources describe it;
//! where that service differs from the PC/SC workgroup's text, the service wins.
//!
//! - [`service`]: the service as a Rust value. Many can live in one process.
//! - [`icc`]: what a reader asks of a card.
//! - [`c_api`]: the functions of `libpcsclite.so.1` over one service of the process. The shared
//!   library carries that name inside itself, so that a module that is linked to `libpcsclite.so.1`
//!   runs on it.
//! - [`command`]: a text channel into that one service, for the program that loaded the library.
//! - [`client`]: the other end of the channel, for test programs.
//!
//! # One service for each process
//!
//! The dynamic linker loads `libpcsclite.so.1` once. A test of the shared library therefore runs in
//! a process of its own: see [`client::isolated`] and the macro of that name. Tests stay parallel,
//! since each is a process.
//!
//! A test program that links this crate may find the stand-in's functions under its own PC/SC
//! calls. That is meant: no test program of the project reaches a real reader by accident.

pub mod c_api;
pub mod client;
pub mod command;
pub mod icc;
pub mod service;
