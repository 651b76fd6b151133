//! `status`: how service, readers, card, certificates and configuration stand.

use clap::ArgMatches;

use crate::output::{Exit, Output};

/// Says how things stand.
pub(crate) fn run(_matches: &ArgMatches, _output: &mut Output) -> Exit {
    Exit::CannotTell
}
