//! README's numbers of commands, and the client scripts that count them. The scripts compare the
//! numbers when they run; that each number has such a check is seen here.

use std::fs;

use crate::sources::root;

fn read(path: &str) -> String {
    let path = root(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The last cells of README's table of programs.
fn cells(readme: &str) -> Vec<&str> {
    let section = readme.split("\n## Programs\n").nth(1).expect("a section");
    let lines = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = lines.take_while(|line| line.starts_with("| "));
    rows.map(|row| row.trim_end_matches(" |").rsplit(" | ").next().expect("a cell")).collect()
}

/// The script of a cell, and what it counts there. `None` if the cell has another form than
/// `[NAME.sh](tests/clients/NAME.sh): LABEL NUMBER; LABEL NUMBER`.
fn figures(cell: &str) -> Option<(&str, Vec<String>)> {
    let (link, items) = cell.split_once("): ")?;
    let (name, path) = link.strip_prefix('[')?.split_once("](")?;
    let label = |item: &str| {
        let (label, number) = item.rsplit_once(' ')?;
        number.parse::<usize>().ok().map(|_| label.replace('`', ""))
    };
    let labels = items.split("; ").map(label).collect::<Option<Vec<String>>>()?;
    (path == format!("tests/clients/{name}")).then_some((path, labels))
}

/// Whether a script compares a number with what it counts.
fn checks(script: &str, label: &str) -> bool {
    ["check_figure ", "near_figure_since \"$mark\" ", "$(figure "].into_iter().any(|check| {
        let words = [format!("{check}{label} "), format!("{check}'{label}' "), format!("{check}'{label}')")];
        words.iter().any(|words| script.contains(words))
    })
}

#[test]
fn every_number_of_commands_in_readme_is_counted_by_its_script() {
    let readme = read("README.md");
    let cells = cells(&readme);
    assert!(cells.len() > 10, "the table was found");
    for cell in cells {
        let (path, labels) = figures(cell).unwrap_or_else(|| panic!("no script and numbers: {cell}"));
        let script = read(path);
        for label in labels {
            assert!(checks(&script, &label), "{path} does not count: {label}");
        }
    }
}

#[test]
fn a_number_without_its_check_is_found() {
    let cell = "[a.sh](tests/clients/a.sh): `dgst` 21; the next mail 6";
    let (path, labels) = figures(cell).unwrap();
    assert_eq!(
        (path, &labels[..]),
        ("tests/clients/a.sh", &["dgst".to_owned(), "the next mail".to_owned()][..])
    );
    for other in ["21", "[a.sh](tests/clients/b.sh): dgst 21", "[a.sh](tests/clients/a.sh): dgst"] {
        assert!(figures(other).is_none(), "{other}");
    }
    assert!(checks("    check_figure dgst \"a name\" work", "dgst"));
    assert!(checks("check_figure 'the next mail' \"a name\" work", "the next mail"));
    assert!(!checks("check_figure 'the next mail' \"a name\" work", "the next"));
    assert!(!checks("check_within 21 \"dgst\" work", "dgst"));
}
