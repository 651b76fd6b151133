//! What is printed: the table that README has, and whether the targets hold.

use crate::measure::{Bench, Program, Results, Task};

/// The most that a first signature may take of OpenSC's time.
const FIRST_SIGNATURE: f64 = 0.47;

/// The most that a further signature may take of the bare commands' time.
const FURTHER_SIGNATURE: f64 = 1.02;

/// The longest that C_Finalize may take when nothing is under way, in milliseconds.
const FINALIZE: f64 = 5.0;

/// The calls without the card. `true` when the target holds.
pub(crate) fn print_calls(bench: &Bench) -> bool {
    for (name, program) in [("this module", Program::Module), ("OpenSC", Program::OpenSc)] {
        let calls = bench.calls(program).map(|(call, time)| format!("{call} {time:.2} ms"));
        println!("{name}: {}", calls.join(", "));
    }
    let [.., (_, finalize)] = bench.calls(Program::Module);
    println!("{}: C_Finalize takes at most {FINALIZE} ms\n", conclusion(finalize <= FINALIZE));
    finalize <= FINALIZE
}

/// One row for each task under each condition.
pub(crate) fn print_table(results: &[Results]) {
    println!("| the card takes | what | this module | OpenSC | bare commands | to OpenSC | to bare |");
    println!("|---|---|---|---|---|---|---|");
    for (result, task) in rows(results) {
        let figure = |program| match result.of(task, program) {
            Some(figure) => format!("{:.0} ms ({})", figure.milliseconds, figure.commands),
            None => "–".to_owned(),
        };
        let ratio = |to| result.ratio(task, to).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let figures = Program::ALL.map(figure).join(" | ");
        let ratios = [Program::OpenSc, Program::Bare].map(ratio).join(" | ");
        println!("| {} | {} | {figures} | {ratios} |", result.condition.name, name(task));
    }
    println!("\nMedians of five; in brackets the commands that the card got.\n");
}

/// Says of each target whether it holds. `true` when all do.
pub(crate) fn print_targets(results: &[Results]) -> bool {
    let mut all = true;
    for (result, task) in rows(results) {
        let (to, other, most) = match task {
            Task::List => (Program::OpenSc, "OpenSC's", result.condition.list_target),
            Task::FirstSignature => (Program::OpenSc, "OpenSC's", FIRST_SIGNATURE),
            Task::FurtherSignature => (Program::Bare, "the bare commands'", FURTHER_SIGNATURE),
        };
        let ratio = result.ratio(task, to).unwrap_or(f64::INFINITY);
        let holds = ratio <= most;
        all &= holds;
        println!(
            "{}: {}, {:.3} of {other} time, at most {most} ({})",
            conclusion(holds),
            name(task),
            ratio,
            result.condition.name
        );
    }
    all
}

fn rows(results: &[Results]) -> impl Iterator<Item = (&Results, Task)> {
    results.iter().flat_map(|result| Task::ALL.map(|task| (result, task)))
}

/// What a task is called in the table and in the chart.
pub(crate) fn name(task: Task) -> &'static str {
    match task {
        Task::List => "list",
        Task::FirstSignature => "first signature",
        Task::FurtherSignature => "further signature",
    }
}

fn conclusion(holds: bool) -> &'static str {
    if holds { "holds" } else { "DOES NOT HOLD" }
}
