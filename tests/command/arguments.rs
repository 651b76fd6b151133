use crate::support::{ENGLISH, JAPANESE, Machine};

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
