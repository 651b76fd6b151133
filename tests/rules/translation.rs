//! README.ja.md says what README.md says. What can be compared without knowing either language is
//! compared, so that a change of one file without the other is seen.

use std::collections::BTreeSet;
use std::fs;

use crate::sources::root;

/// What both files must have, one after the other.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Heading { level: usize },
    Row { cells: usize },
    Item,
    Code(Vec<String>),
}

/// A heading and what stands below it, code blocks left out.
struct Section {
    heading: String,
    prose: String,
}

struct Readme {
    parts: Vec<Part>,
    sections: Vec<Section>,
    rows: Vec<String>,
}

fn readme(name: &str) -> Readme {
    let path = root(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    parse(&text)
}

fn parse(text: &str) -> Readme {
    let mut readme = Readme { parts: Vec::new(), sections: Vec::new(), rows: Vec::new() };
    let mut code: Option<Vec<String>> = None;
    for line in text.lines().map(str::trim_start) {
        let fence = line.starts_with("```");
        match (code.take(), fence) {
            (Some(lines), true) => readme.parts.push(Part::Code(lines)),
            (None, true) => code = Some(Vec::new()),
            (Some(mut lines), false) => {
                lines.push(without_comment(line));
                code = Some(lines);
            }
            (None, false) => readme.take(line),
        }
    }
    assert_eq!(code, None, "every code block ends");
    readme
}

/// A line of a code block without its comment.
fn without_comment(line: &str) -> String {
    let code = if line.starts_with("# ") { "" } else { line.split(" # ").next().unwrap_or(line) };
    code.trim_end().to_owned()
}

impl Readme {
    /// Takes a line that stands in no code block.
    fn take(&mut self, line: &str) {
        let heading = line.trim_start_matches('#');
        let number = line.trim_start_matches(|each: char| each.is_ascii_digit());
        if heading.len() < line.len() {
            self.parts.push(Part::Heading { level: line.len() - heading.len() });
            self.sections.push(Section { heading: heading.trim().to_owned(), prose: String::new() });
        } else if line.starts_with('|') {
            self.parts.push(Part::Row { cells: line.matches('|').count() - 1 });
            self.rows.push(line.to_owned());
        } else if line.starts_with("- ") || number.len() < line.len() && number.starts_with(". ") {
            self.parts.push(Part::Item);
        }
        if let Some(section) = self.sections.last_mut() {
            section.prose.push_str(line);
            section.prose.push(' ');
        }
    }

    /// Where the links lead to.
    fn targets(&self) -> BTreeSet<&str> {
        let links = self.sections.iter().flat_map(|section| section.prose.split("](").skip(1));
        links.map(|rest| rest.split(')').next().unwrap_or(rest)).collect()
    }

    /// The links' names of the headings: punctuation is dropped, and spaces become hyphens.
    fn anchors(&self) -> BTreeSet<String> {
        let kept = |each: &char| each.is_alphanumeric() || " -_".contains(*each);
        let lower = self.sections.iter().map(|section| section.heading.to_lowercase());
        lower.map(|name| name.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
    }
}

/// What stands between backquotes.
fn quoted(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

fn is_there(target: &str) -> bool {
    target.starts_with("https://") || root(target).exists()
}

fn numbers(row: &str) -> BTreeSet<&str> {
    row.split(|each: char| !each.is_ascii_digit()).filter(|number| !number.is_empty()).collect()
}

#[test]
fn the_japanese_readme_has_the_parts_of_the_english_one() {
    let (english, japanese) = (readme("README.md"), readme("README.ja.md"));
    assert!(english.parts.len() > 100, "the parts were found");
    for (place, pair) in english.parts.iter().zip(&japanese.parts).enumerate() {
        let before = &english.parts[place.saturating_sub(3)..place];
        assert_eq!(pair.0, pair.1, "README.md (left) and README.ja.md differ after {before:?}");
    }
    assert_eq!(english.parts.len(), japanese.parts.len());
    for (one, other) in english.rows.iter().zip(&japanese.rows) {
        assert!(numbers(one).is_subset(&numbers(other)), "a number is missing:\n{one}\n{other}");
    }
    for (one, other) in english.sections.iter().zip(&japanese.sections) {
        for words in quoted(&one.prose) {
            assert!(other.prose.contains(words), "`{words}` is missing: {}", other.heading);
        }
    }
}

#[test]
fn the_links_of_both_readmes_lead_to_the_same_files_and_to_headings() {
    let (english, japanese) = (readme("README.md"), readme("README.ja.md"));
    let files = |readme: &Readme, other: &str| -> BTreeSet<String> {
        let targets = readme.targets();
        assert!(targets.contains(other), "each leads to the other: {other}");
        let kept = targets.into_iter().filter(|target| !target.starts_with('#') && *target != other);
        let kept = kept.inspect(|target| assert!(is_there(target), "{target} is not there"));
        // A picture of Japanese text has a name of its own.
        kept.map(|target| target.replace("-ja.svg", ".svg")).collect()
    };
    assert_eq!(files(&english, "README.ja.md"), files(&japanese, "README.md"));
    for readme in [&english, &japanese] {
        let anchors = readme.anchors();
        for name in readme.targets().into_iter().filter_map(|target| target.strip_prefix('#')) {
            assert!(anchors.contains(name), "no heading for #{name}: {anchors:?}");
        }
    }
}

#[test]
fn a_difference_between_two_texts_is_found() {
    let one = parse("# A b: c\n| 1 | `d` |\n```sh\n# why\nrun x  # what\n```\n- [e](f)\n12. g\n");
    let other = parse("# あ（い）\n| 1 | う |\n```sh\n# え\nrun x # お\n```\n- か\n1. き\n");
    assert_eq!(one.parts, other.parts);
    assert_eq!(one.parts.len(), 5);
    assert_eq!(one.anchors().into_iter().collect::<Vec<_>>(), ["a-b-c"]);
    assert_eq!(one.targets().into_iter().collect::<Vec<_>>(), ["f"]);
    assert_eq!(quoted(&one.sections[0].prose).collect::<Vec<_>>(), ["d"]);
    assert_eq!(numbers("| 1,5 | 2 |").into_iter().collect::<Vec<_>>(), ["1", "2", "5"]);
    for changed in ["# A\n| 1 |\n", "## A\n", "# A\n```\nrun y\n```\n"] {
        assert!(!one.parts.starts_with(&parse(changed).parts), "{changed}");
    }
}
