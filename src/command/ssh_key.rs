//! `ssh-key`: the authentication key as OpenSSH writes it.

use crate::output::{Exit, Output};

/// Prints the line for `authorized_keys`.
pub(crate) fn run(_output: &mut Output) -> Exit {
    Exit::CannotTell
}
