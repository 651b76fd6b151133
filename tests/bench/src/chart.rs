//! The chart for README: bars, drawn as SVG, readable on a light and on a dark page.

use std::fmt::Write as _;

use crate::measure::{Figure, Program, Results, Task};
use crate::report::name;

const WIDTH: f64 = 760.0;
/// Where the bars begin.
const LEFT: f64 = 150.0;
/// What the longest bar may take; the rest is for its label.
const LONGEST: f64 = 445.0;
const BAR: f64 = 13.0;
const BETWEEN_TASKS: f64 = 7.0;
const TITLE: f64 = 26.0;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}\
.title{font-weight:600}.module{fill:#0969da}.opensc{fill:#9a6700}.bare{fill:#6e7781}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.module{fill:#58a6ff}.opensc{fill:#d29922}.bare{fill:#8b949e}}";

/// The whole picture.
pub(crate) fn draw(results: &[Results]) -> String {
    let figures = results.iter().flat_map(|result| &result.figures);
    let most = figures.map(|figure| figure.milliseconds).fold(1.0, f64::max);
    let (mut body, mut top) = (String::new(), 8.0);
    legend(&mut body, &mut top);
    for result in results {
        top += TITLE;
        text(&mut body, "title", 8.0, top - 8.0, &format!("The card takes {}", result.condition.name));
        for task in Task::ALL {
            text(&mut body, "", 8.0, top + BAR - 2.0, name(task));
            for figure in Program::ALL.into_iter().filter_map(|program| result.of(task, program)) {
                bar(&mut body, top, most, figure);
                top += BAR;
            }
            top += BETWEEN_TASKS;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\" \
         role=\"img\" aria-label=\"Time of a list, a first and a further signature\">\n<style>{STYLE}</style>\n\
         {body}</svg>\n"
    )
}

fn legend(body: &mut String, top: &mut f64) {
    let mut left = 8.0;
    for program in Program::ALL {
        let (class, label) = words(program);
        let _ =
            writeln!(body, "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"12\" height=\"12\"/>");
        text(body, "", left + 17.0, *top + 11.0, label);
        left += 40.0 + 7.0 * label.len() as f64;
    }
    *top += 20.0;
}

fn bar(body: &mut String, top: f64, most: f64, figure: Figure) {
    let (class, _) = words(figure.program);
    let width = figure.milliseconds / most * LONGEST;
    let height = BAR - 1.0;
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{width:.0}\" height=\"{height}\"/>"
    );
    let label = format!("{:.0} ms, {} commands", figure.milliseconds, figure.commands);
    text(body, "", LEFT + width + 5.0, top + BAR - 2.0, &label);
}

fn text(body: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(body, "<text{class} x=\"{x:.0}\" y=\"{y:.0}\">{words}</text>");
}

/// The class and the label of a program.
fn words(program: Program) -> (&'static str, &'static str) {
    match program {
        Program::Module => ("module", "this module"),
        Program::OpenSc => ("opensc", "OpenSC (leaves the card open)"),
        Program::Bare => ("bare", "the bare commands that close the card"),
    }
}
