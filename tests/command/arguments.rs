use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::in_front::with_chromium;
use crate::support::{ENGLISH, JAPANESE, Machine};

/// The names of an object's fields, each with the words that may stand there.
type Fields = Vec<(String, BTreeSet<String>)>;

/// The subcommands that people know.
const SUBCOMMANDS: [&str; 6] =
    ["status", "register", "unregister", "ssh-key", "ca-certificate", "change-pin"];

fn output_of(locale: &str, arguments: &[&str]) -> String {
    let run = Machine::new("").run(locale, arguments);
    assert_eq!((run.exit, &*run.remarks), (0, ""), "{arguments:?}");
    run.text
}

#[test]
fn help_and_manual_describe_every_subcommand_in_both_languages() {
    for arguments in [["--help"], ["manual"]] {
        let (english, japanese) = (output_of(ENGLISH, &arguments), output_of(JAPANESE, &arguments));
        for name in SUBCOMMANDS {
            assert!(english.contains(name) && japanese.contains(name), "{name}: {english}");
        }
        assert!(english.contains("until when its certificate is valid"), "{english}");
        assert!(
            japanese.contains("暗証番号を変更します") && !japanese.contains("Change a PIN"),
            "{japanese}"
        );
    }
}

#[test]
fn the_manual_tells_what_the_exit_status_means() {
    assert!(output_of(ENGLISH, &["manual"]).contains("EXIT STATUS"));
    assert!(output_of(JAPANESE, &["manual"]).contains("終了ステータス"));
}

/// Of its title, number, date, version and book only the date is left out.
#[test]
fn the_manual_has_a_title_of_five_parts() {
    let version = env!("CARGO_PKG_VERSION");
    for (locale, book) in [(ENGLISH, "\"User commands\""), (JAPANESE, "ユーザーコマンド")] {
        let page = output_of(locale, &["manual"]);
        let title = page.lines().find(|line| line.starts_with(".TH ")).expect("a title");
        assert_eq!(title, format!(".TH jpki-pkcs11 1 \"\" \"jpki-pkcs11 {version}\" {book}"));
    }
}

#[test]
fn the_manual_has_the_headings_of_its_language() {
    let headings = |locale| {
        let page = output_of(locale, &["manual"]);
        let headings =
            page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.trim_matches('"'));
        headings.map(str::to_owned).collect::<Vec<_>>()
    };
    let (english, japanese) = (headings(ENGLISH), headings(JAPANESE));
    assert_eq!(english[..3], ["NAME", "SYNOPSIS", "DESCRIPTION"]);
    assert_eq!(japanese[..3], ["名前", "書式", "説明"]);
    assert!(japanese.iter().all(|name| !name.is_ascii()) && japanese.len() == english.len(), "{japanese:?}");
}

#[test]
fn the_manual_says_which_options_take_a_value() {
    let page = output_of(ENGLISH, &["manual"]).replace('\\', "");
    assert!(page.contains("--library-dir DIR"), "{page}");
    assert!(page.contains("jpki-pkcs11 change-pin authentication|signature"), "{page}");
    assert!(page.contains("jpki-pkcs11 register [firefox|thunderbird|chromium|all]"), "{page}");
}

/// The objects of `--json` that the manual page describes: where they stand, and their fields.
fn objects_of(page: &str) -> Vec<(Vec<String>, Fields)> {
    let page = page.replace("\\-", "-");
    let section =
        page.split("\n.SH ").find(|section| section.starts_with("JSON") || section.starts_with("\"JSON"));
    let mut objects = vec![(vec![String::new()], Fields::new())];
    let mut lines = section.expect("a section").lines();
    while let Some(line) = lines.next() {
        let term = |line: Option<&str>| {
            let term = line.and_then(|line| line.strip_prefix("\\fB")?.split_once("\\fR"));
            term.expect("a term in bold letters").0.to_owned()
        };
        let (_, fields) = objects.last_mut().expect("the whole is the first");
        if let Some(places) = line.strip_prefix(".SS ") {
            let places = places.trim_matches('"').split(", ").map(str::to_owned).collect();
            objects.push((places, Fields::new()));
        } else if line == ".TP" {
            fields.push((term(lines.next()), BTreeSet::new()));
            lines.next();
        } else if line == ".br" {
            fields.last_mut().expect("a field").1.insert(term(lines.next()));
        }
    }
    objects
}

/// The fields of each object in a report.
fn fields_of(value: &Value, place: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(fields) => {
            found.entry(place.to_owned()).or_default().extend(fields.keys().cloned());
            for (name, value) in fields {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                fields_of(value, &place, found);
            }
        }
        Value::Array(values) => {
            values.iter().for_each(|value| fields_of(value, &format!("{place}[]"), found));
        }
        _ => {}
    }
}

#[test]
fn the_manual_has_the_fields_of_the_report() {
    let proxy = "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so";
    let machine = with_chromium(&[("JPKI", "/nowhere/jpki-pkcs11-auth.so"), ("p11-kit", proxy)]);
    let machine = machine.configured("[readers]\nignore = [\"other\"]\n");
    let (report, _) = machine.json(&["--json", "--login"]);
    let mut found = BTreeMap::new();
    fields_of(&report, "", &mut found);
    let nested = ["readers[].card.signature.pin", "configuration.readers[]"];
    let listed = ["logins[]", "registered[]", "through_p11_kit[]", "in_front[]"];
    for place in nested.into_iter().chain(listed) {
        assert!(found.contains_key(place), "{place}: {report:#}");
    }
    for locale in [ENGLISH, JAPANESE] {
        let mut described = objects_of(&output_of(locale, &["manual"]));
        for (place, fields) in &found {
            let object = described.iter().find(|(places, _)| places.contains(place));
            let (_, names) = object.unwrap_or_else(|| panic!("{locale}: nothing of {place}"));
            let names: BTreeSet<_> = names.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(&names, fields, "{locale}: {place}");
        }
        described.retain(|(places, _)| !places.iter().any(|place| found.contains_key(place)));
        assert!(described.is_empty(), "{locale}: no report has {described:?}");
    }
}

/// The words of an enumeration: those that the report has for a field.
fn words_of(enumeration: &str) -> BTreeSet<String> {
    let (body, _) = enumeration.split_once("\n}").expect("an end");
    let lines: Vec<_> = body.lines().map(str::trim).collect();
    // One with a name of its own stands for another word of the list.
    let plain = lines.windows(2).filter(|pair| !pair[0].starts_with("#[serde(rename ="));
    let names = plain.filter_map(|pair| pair[1].strip_suffix(','));
    names.filter(|name| name.chars().all(char::is_alphabetic)).map(snake_case).collect()
}

/// As `#[serde(rename_all = "snake_case")]` writes it.
fn snake_case(name: &str) -> String {
    let words = name.chars().enumerate().map(|(place, letter)| {
        let gap = if place > 0 && letter.is_ascii_uppercase() { "_" } else { "" };
        format!("{gap}{}", letter.to_ascii_lowercase())
    });
    words.collect()
}

#[test]
fn the_manual_has_the_values_of_the_report() {
    let source = include_str!("../../src/command/status/report.rs");
    let enumerations: Vec<_> = source.split("\npub(crate) enum ").skip(1).map(words_of).collect();
    assert!(enumerations.len() > 5 && enumerations.iter().all(|words| words.len() > 2), "{enumerations:?}");
    for locale in [ENGLISH, JAPANESE] {
        let described = objects_of(&output_of(locale, &["manual"]));
        let values: Vec<_> =
            described.iter().flat_map(|(_, fields)| fields).map(|(_, words)| words).collect();
        for words in &enumerations {
            assert!(values.contains(&words), "{locale}: {words:?} in {values:?}");
        }
    }
}

#[test]
fn the_manual_says_what_register_refuses_and_what_a_locked_pin_is() {
    let rows = [
        (
            ENGLISH,
            ["changes no profile that a program is using", "reserve_tries = 1", "A PIN is locked when"],
        ),
        (JAPANESE, ["使用中のプロファイル", "reserve_tries = 1", "暗証番号はロックされます"]),
    ];
    for (locale, texts) in rows {
        let page = output_of(locale, &["manual"]);
        for text in texts {
            assert!(page.contains(text), "{locale}: no {text:?} in {page}");
        }
    }
}

#[test]
fn completions_know_every_subcommand() {
    for shell in ["bash", "zsh", "fish"] {
        let script = output_of(ENGLISH, &["completions", shell]);
        assert!(SUBCOMMANDS.iter().all(|name| script.contains(name)), "{shell}");
    }
}

/// What cannot be typed ends with 2, and nothing is asked of the card.
#[test]
fn wrong_arguments_end_with_2() {
    for arguments in [
        &["statos"][..],
        &["--jsom"],
        &["change-pin"],
        &["change-pin", "both"],
        &["change-pin", "authentication", "1234"],
        &["register", "netscape"],
        &["ssh-key", "extra"],
        &["ca-certificate"],
        &["ca-certificate", "both"],
    ] {
        for (locale, word) in [(ENGLISH, "--help"), (JAPANESE, "正しくありません")] {
            let run = Machine::new("").run(locale, arguments);
            assert_eq!((run.exit, &*run.text), (2, ""), "{arguments:?}");
            assert!(run.remarks.contains(word), "{arguments:?}: {}", run.remarks);
        }
    }
}

#[test]
fn wrong_values_are_said_with_those_that_there_are() {
    for (arguments, values) in [
        (["ca-certificate", "both"], ["authentication", "signature"]),
        (["change-pin", "both"], ["authentication", "signature"]),
        (["register", "netscape"], ["firefox", "all"]),
    ] {
        for (locale, word) in [(ENGLISH, "[possible values: "), (JAPANESE, "\n指定できる値: ")] {
            let said = Machine::new("").run(locale, &arguments).remarks;
            let line = said.split_once(word).and_then(|(_, rest)| rest.lines().next());
            let line = line.unwrap_or_else(|| panic!("{arguments:?}: {said}"));
            assert!(values.iter().all(|value| line.contains(value)), "{arguments:?}: {said}");
        }
    }
}

/// People type a PIN where it does not belong, and others see their screen.
#[test]
fn an_argument_that_may_be_a_pin_is_not_shown_again() {
    for arguments in [
        &["change-pin", "authentication", "8642"][..],
        &["change-pin", "8642"],
        &["change-pin", "signature", "--pin", "8642"],
        &["change-pin", "signature", "--pin=8642"],
        &["change-pin", "signature", "-8642"],
        &["change-pin", "signature", "--8642"],
        &["status", "--login", "8642"],
        &["--login", "8642"],
        &["--login=8642"],
    ] {
        for (locale, why) in [(ENGLISH, "one may be a PIN"), (JAPANESE, "暗証番号かもしれない")] {
            let run = Machine::new("").run(locale, arguments);
            assert_eq!((run.exit, &*run.text), (2, ""), "{arguments:?}");
            assert!(
                run.remarks.contains(why) && !run.remarks.contains("8642"),
                "{arguments:?}: {}",
                run.remarks
            );
        }
    }
}
