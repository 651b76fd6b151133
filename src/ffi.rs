//! The C boundary: pointers, the function tables and the static of the module.
//!
//! This layer knows nothing about cards. An exported function makes views of the caller's pointers
//! (`ptr`), calls [`Module`](crate::module::Module) once with plain data and writes plain data
//! back; `boundary` keeps panics in. `unsafe` of the crate is below this module and in
//! [`crate::os`].
//!
//! # The caller's duty
//!
//! `// SAFETY: the caller's duty` in the exported functions refers to what PKCS #11 demands of an
//! application (PKCS #11, "Function return values" and each function's description). A pointer that
//! is not NULL leads to as much memory as its length argument says, or to one value of its type.
//! During the call no other thread writes to what the function reads, nor touches what it writes.
//! Alignment, NULL, the size of lengths, and input that overlaps output are *not* left to
//! the caller: `ptr` takes care of them.

#![allow(unsafe_code)]
#![allow(non_snake_case, reason = "a function is found by the name it has in the standard")]

mod boundary;
mod digest;
mod general;
mod global;
mod object;
mod ptr;
mod random;
mod session;
mod sign;
mod slot_token;
mod table;
mod unsupported;
mod verify;
mod versions;
