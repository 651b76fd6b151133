//! The manual page, from the definition of the arguments: one page with all subcommands.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::NAME;
use crate::text::manual::report::Field;
use crate::text::{Language, help, manual};

/// Writes the page.
pub(super) fn write(definition: Command, language: Language, page: &mut Vec<u8>) -> io::Result<()> {
    // An empty word would be lost, and what follows would stand at its place in the footer.
    let title = Man::new(definition.clone()).date("\"\"").manual(manual::title(language));
    title.render_title(page)?;
    let mut roff = Roff::new();
    // The sections of clap_mangen have English headings.
    roff.control("SH", [help::name_heading(language)]);
    roff.text([roman(format!("{NAME} - {}", help::about(language)))]);
    roff.control("SH", [help::synopsis_heading(language)]);
    roff.text([bold(NAME), roman(help::usage(language).trim_start_matches(NAME))]);
    roff.control("SH", [help::description_heading(language)]);
    roff.text([roman(help::description(language))]);
    roff.control("SH", [help::commands_heading(language)]);
    for subcommand in definition.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        describe(subcommand, language, &mut roff);
    }
    roff.control("SH", [help::options_heading(language)]);
    list(definition.get_arguments(), &mut roff);
    roff.control("SH", [manual::pins_heading(language)]);
    for (which, form) in manual::pins(language) {
        entry(bold(which), form, &mut roff);
    }
    paragraphs(&manual::pin_rules(language), &mut roff);
    roff.control("SH", [help::exit_heading(language)]);
    for (status, meaning) in help::exit_statuses(language) {
        entry(bold(status), meaning, &mut roff);
    }
    roff.control("SH", [manual::json_heading(language)]);
    roff.text([roman(manual::json(language))]);
    for object in manual::report::objects(language) {
        if !object.places.is_empty() {
            roff.control("SS", [object.places]);
        }
        for field in object.fields {
            describe_field(&field, &mut roff);
        }
    }
    roff.control("SH", [help::environment_heading(language)]);
    for (variables, meaning) in help::environment(language) {
        entry(bold(variables), meaning, &mut roff);
    }
    roff.control("SH", [help::files_heading(language)]);
    for (file, meaning) in help::files(language) {
        entry(italic(file), meaning, &mut roff);
    }
    roff.control("SH", [manual::examples_heading(language)]);
    for (command, meaning) in manual::examples(language) {
        entry(bold(command), meaning, &mut roff);
    }
    roff.to_writer(page)
}

/// A term with what is said of it.
fn entry(term: Inline, meaning: &str, roff: &mut Roff) {
    roff.control("TP", []);
    roff.text([term]);
    roff.text([roman(meaning)]);
}

fn paragraphs(texts: &[&str], roff: &mut Roff) {
    for text in texts {
        roff.control("PP", []);
        roff.text([roman(*text)]);
    }
}

/// A field of `--json`, with its values.
fn describe_field(field: &Field, roff: &mut Roff) {
    roff.control("TP", []);
    roff.text([bold(field.name), roman(format!(" ({})", field.kind))]);
    roff.text([roman(field.meaning)]);
    for (value, meaning) in &field.values {
        roff.control("br", []);
        roff.text([bold(*value), roman(format!(": {meaning}"))]);
    }
}

/// One subcommand, with what it takes.
fn describe(subcommand: &Command, language: Language, roff: &mut Roff) {
    let values = subcommand.get_positionals().filter_map(values);
    let usage: Vec<_> =
        [NAME.to_owned(), subcommand.get_name().to_owned()].into_iter().chain(values).collect();
    roff.control("SS", [usage.join(" ").as_str()]);
    let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
    roff.text([roman(about)]);
    paragraphs(&manual::details(language, subcommand.get_name()), roff);
    list(subcommand.get_arguments().filter(|arg| arg.get_id() != "help"), roff);
}

/// Arguments, each with its help.
fn list<'a>(arguments: impl Iterator<Item = &'a Arg>, roff: &mut Roff) {
    for arg in arguments {
        let short = arg.get_short().map(|short| format!("-{short}"));
        let long = arg.get_long().map(|long| format!("--{long}"));
        let names = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
        let words: Vec<_> =
            Some(names).into_iter().chain(values(arg)).filter(|word| !word.is_empty()).collect();
        entry(bold(words.join(" ")), &arg.get_help().map(ToString::to_string).unwrap_or_default(), roff);
    }
}

/// The values that an argument takes.
fn values(arg: &Arg) -> Option<String> {
    let names = arg.get_value_names()?.join(" ");
    let can_be_left_out = arg.is_positional() && !arg.is_required_set();
    Some(if can_be_left_out { format!("[{names}]") } else { names })
}
