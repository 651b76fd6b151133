//! `change-pin`: one PIN after another, asked for at the terminal.

use clap::ArgMatches;

use crate::output::{Exit, Output};

/// Changes the PIN that `matches` names.
pub(crate) fn run(_matches: &ArgMatches, _output: &mut Output) -> Exit {
    Exit::CannotTell
}
