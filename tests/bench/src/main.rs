//! `bench`: how long a person waits with this module, with OpenSC's driver, and with the bare
//! commands that a signature needs if the card is to forget the PIN after it. All of them use the
//! same virtual card behind a private pcscd, in turn. `./pkcs11-tests.sh bench` runs it.
//!
//! Times depend on the machine, so targets are ratios.

mod bare;
mod chart;
mod client;
mod measure;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use measure::Bench;

const USAGE: &str = "\
bench run MODULE OPENSC CHART   measure, print a table, write the chart (SVG)
bench client LIBRARY            sign through a PKCS#11 library at each line of input, and print times
bench bare                      sign with bare commands at each line of input, and print times";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", module, opensc, chart] => return run([module, opensc].map(PathBuf::from), Path::new(chart)),
        ["client", library] => client::sign(Path::new(library)),
        ["bare"] => bare::sign(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Measures everything. Fails when a target does not hold.
fn run(libraries: [PathBuf; 2], chart: &Path) -> ExitCode {
    let bench = Bench::start(libraries);
    let calls_are_fast = report::print_calls(&bench);
    let results: Vec<_> = measure::CONDITIONS.iter().map(|condition| bench.measure(condition)).collect();
    fs::write(chart, chart::draw(&results)).expect("the chart can be written");
    report::print_table(&results);
    if report::print_targets(&results) && calls_are_fast { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
