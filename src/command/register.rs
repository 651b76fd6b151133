//! `register` and `unregister`: the module in the NSS profiles of this user.

use clap::ArgMatches;

use crate::output::{Exit, Output};

/// Puts the module into the profiles of the program that `matches` names.
pub(crate) fn register(_matches: &ArgMatches, _output: &mut Output) -> Exit {
    Exit::CannotTell
}

/// Takes it out again.
pub(crate) fn unregister(_matches: &ArgMatches, _output: &mut Output) -> Exit {
    Exit::CannotTell
}
