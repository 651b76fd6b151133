use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::terminal::{AtTerminal, new_session};
use crate::support::{ENGLISH, JAPANESE, Machine, READER};

/// What `change-pin` and `status --login` ask, in English and in Japanese.
const CURRENT: [&str; 2] = ["Current PIN: ", "現在の暗証番号: "];
const NEW: [&str; 2] = ["New PIN: ", "新しい暗証番号: "];
const AGAIN: [&str; 2] = ["New PIN, again: ", "新しい暗証番号(確認): "];
const SIGNATURE: [&str; 2] = ["PIN for digital signatures: ", "署名用電子証明書の暗証番号: "];

const LOCALES: [&str; 2] = [ENGLISH, JAPANESE];

fn change_pin(machine: &Machine, language: usize, which: &str, entries: [&str; 3]) -> (String, i32) {
    let mut at = AtTerminal::start(machine.command(LOCALES[language], &["change-pin", which]));
    for (prompt, entry) in [CURRENT, NEW, AGAIN].iter().zip(entries) {
        at.answer(prompt[language], entry);
    }
    at.finish()
}

#[test]
fn a_pin_is_changed_with_its_rules_before_and_its_tries_after() {
    let rows = [
        ("authentication", ["1234", "4321", "4321"], ["It has 4 digits.", "数字4桁です。"]),
        ("signature", ["abc123", "New0Pin", "New0Pin"], ["6 to 16 letters", "6〜16文字"]),
    ];
    for (which, entries, rules) in rows {
        for language in [0, 1] {
            let (seen, exit) = change_pin(&Machine::with_card("full"), language, which, entries);
            assert_eq!(exit, 0, "{seen}");
            let changed = ["The PIN was changed.", "暗証番号を変更しました。"][language];
            let (before, after) = seen.split_once(changed).unwrap_or_else(|| panic!("{seen}"));
            let tries = if which == "signature" { 5 } else { 3 };
            let tries =
                [format!("{tries} of {tries} tries left."), format!("残り{tries}回です({tries}回連続で")];
            assert!(before.contains(rules[language]) && before.contains(&tries[language]), "{seen}");
            assert!(after.contains(&tries[language]), "{seen}");
            assert!(
                !entries.iter().any(|entry| seen.contains(entry)),
                "nothing that was typed is shown: {seen}"
            );
        }
    }
}

#[test]
fn nothing_is_changed_where_the_entries_do_not_fit() {
    let rows = [
        ("authentication", ["1234", "4321", "4322"], ["The two new PINs differ.", "一致しません"], 3),
        (
            "authentication",
            ["1234", "432", "432"],
            ["This cannot be the new PIN.", "新しい暗証番号に使えません"],
            3,
        ),
        ("signature", ["ABC123", "ABCDEF", "ABCDEF"], ["This cannot be the new PIN.", "使えません"], 5),
        ("authentication", ["12a4", "4321", "4321"], ["no try was lost", "回数は減っていません"], 3),
    ];
    for (which, entries, said, tries) in rows {
        for language in [0, 1] {
            let (seen, exit) = change_pin(&Machine::with_card("full"), language, which, entries);
            assert_eq!(exit, 1, "{seen}");
            assert!(seen.contains(said[language]), "{seen}");
            assert!(!seen.contains(["The PIN was changed.", "変更しました"][language]), "{seen}");
            // The tries are said after every answer of the card, and none is missing.
            let full = [
                format!("{tries} of {tries} tries left."),
                format!("残り{tries}回です({tries}回連続で間違えると"),
            ];
            assert!(seen.contains(&full[language]), "{seen}");
        }
    }
}

/// Rust's own words for errors are English.
#[test]
fn what_the_card_or_the_reader_did_is_said_in_the_language_of_the_user() {
    for (fault, said) in [
        ("answer 6F00", ["it is not known whether the PIN was changed", "変更の結果を確認できませんでした"]),
        ("remove", ["The card was removed.", "カードが抜かれました。"]),
        ("transport-error 0x8010002f", ["The card did not do it: ", "変更の結果を確認できませんでした"]),
    ] {
        for language in [0, 1] {
            let machine =
                Machine::new(&format!("reader=READER;card=full;do=card full1 fault ins 24 {fault}"));
            let (seen, exit) = change_pin(&machine, language, "authentication", ["1234", "4321", "4321"]);
            assert!(exit == 1 && seen.contains(said[language]), "{fault}: {seen}");
            let english = ["was answered", "not known", "removed", "failed", "did not"];
            let is_english = english.iter().any(|word| seen.contains(word));
            assert_eq!(is_english, language == 0, "{fault}: {seen}");
        }
    }
}

#[test]
fn a_wrong_pin_costs_one_try_and_says_so() {
    for language in [0, 1] {
        let machine = Machine::with_card("full");
        let (seen, exit) = change_pin(&machine, language, "authentication", ["9999", "4321", "4321"]);
        assert_eq!(exit, 1, "{seen}");
        let said = [
            ["Wrong PIN.", "2 of 3 tries left."],
            ["暗証番号が違います。", "残り2回です(3回中。あと2回連続で間違えると"],
        ];
        assert!(said[language].iter().all(|text| seen.contains(text)), "{seen}");
    }
}

/// Nothing that is entered would be sent.
#[test]
fn a_pin_that_is_locked_or_kept_in_reserve_is_not_asked_for() {
    const LAST: &str = "reader=READER;card=full;do=card full1 set-tries signature 1;do=card full1 set-tries authentication 1";
    let office = ["The municipal office sets a new PIN", "市区町村の窓口で再設定"];
    let reserve =
        ["Nothing was sent: the configuration keeps", "設定(reserve_tries)により最後の回数は使わない"];
    let no_pin = ["can be used for no login", "顔認証マイナンバーカードでは、ログインも署名もできません"];
    let change_authentication = ["change-pin", "authentication"];
    let rows = [
        ("reader=READER;card=blocked-auth", "", &change_authentication, office),
        ("reader=READER;card=blocked-sign", "", &["change-pin", "signature"], office),
        ("reader=READER;card=blocked-sign", "", &["status", "--login"], office),
        ("reader=READER;card=without-pin", "", &change_authentication, no_pin),
        (LAST, "reserve_tries = 1\n", &change_authentication, reserve),
        (LAST, "reserve_tries = 1\n", &["status", "--login"], reserve),
    ];
    for (service, configuration, arguments, said) in rows {
        let machine = Machine::new(service).configured(configuration);
        for (language, said) in said.iter().enumerate() {
            let (seen, exit) = AtTerminal::start(machine.command(LOCALES[language], arguments)).finish();
            assert!(exit == 1 && seen.contains(said), "{arguments:?}: {seen}");
            assert!(!seen.contains(CURRENT[language]), "{arguments:?}: {seen}");
            if arguments[0] == "status" {
                // The line names the PIN, since no prompt does.
                let line = seen.lines().find(|line| line.starts_with("! ") && line.contains(said));
                let line = line.unwrap_or_else(|| panic!("{seen}"));
                assert!(
                    line.contains(SIGNATURE[language]) && seen.matches(SIGNATURE[language]).count() == 1,
                    "{seen}"
                );
            }
        }
    }
}

/// With two tries left one may be spent, and the prompt comes.
#[test]
fn a_pin_with_more_tries_than_are_kept_in_reserve_is_asked_for() {
    let machine = Machine::new("reader=READER;card=full;do=card full1 set-tries signature 2")
        .configured("reserve_tries = 1\n");
    let mut at = AtTerminal::start(machine.command(ENGLISH, &["status", "--login"]));
    at.answer(SIGNATURE[0], "ABC123");
    let (seen, exit) = at.finish();
    assert!(exit == 0 && seen.contains("PIN: 5 of 5 tries left"), "{seen}");
}

/// What came of each login, for scripts: the words that people get go to standard error.
#[test]
fn the_report_for_scripts_tells_what_came_of_a_login() {
    const LAST: &str = "reader=READER;card=full;do=card full1 set-tries signature 1";
    for (service, configuration, entry, result, status) in [
        ("reader=READER;card=full", "", Some("ABC123"), "done", 0),
        ("reader=READER;card=full", "", Some("zzz999"), "wrong_pin", 1),
        ("reader=READER;card=full", "", Some("12"), "malformed_pin", 1),
        ("reader=READER;card=full", "", Some(""), "cancelled", 2),
        (LAST, "", Some("zzz999"), "locked", 1),
        ("reader=READER;card=blocked-sign", "", None, "locked", 1),
        (LAST, "reserve_tries = 1\n", None, "reserved", 1),
    ] {
        let machine = Machine::new(service).configured(configuration);
        let file = machine.home().join("report");
        let inner = machine.command(ENGLISH, &[]);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "\"$0\" status --json --login >\"$1\""]);
        shell.arg(inner.get_program()).arg(&file);
        shell.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut at = AtTerminal::start(shell);
        if let Some(entry) = entry {
            at.answer(SIGNATURE[0], entry);
        }
        let (seen, exit) = at.finish();
        let text = fs::read_to_string(&file).unwrap();
        let report: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {seen}{text}"));
        let expected = json!([{"reader": READER, "certificate": "signature", "result": result}]);
        assert_eq!((exit, &report["logins"]), (status, &expected), "{seen}{text}");
        let signature = &report["readers"][0]["card"]["signature"];
        let days = signature["validity"]["days_left"].as_i64();
        let state = if result == "done" { "read" } else { "needs_pin" };
        assert_eq!((&signature["state"], days.is_some()), (&json!(state), result == "done"), "{text}");
        assert_eq!(report["result"], ["well", "to_do", "cannot_tell"][usize::try_from(status).unwrap()]);
    }
    assert_eq!(Machine::with_card("full").json(&["--json"]).0["logins"], json!([]));
}

#[test]
fn two_cards_or_none_change_nothing() {
    for (service, said) in [
        ("reader=READER", "No card that can be used"),
        ("reader=READER;card=full;reader=Other 01 00;card=full@1", "More than one card"),
        ("reader=READER;card=under-15", "no certificate for digital signatures"),
    ] {
        let at = AtTerminal::start(Machine::new(service).command(ENGLISH, &["change-pin", "signature"]));
        let (seen, exit) = at.finish();
        assert!(exit == 1 && seen.contains(said) && !seen.contains(CURRENT[0]), "{service}: {seen}");
    }
}

#[test]
fn a_login_shows_until_when_the_signature_certificate_is_valid() {
    for language in [0, 1] {
        let machine = Machine::with_card("full");
        let mut at = AtTerminal::start(machine.command(LOCALES[language], &["status", "--login"]));
        at.wait_for(SIGNATURE[language]);
        assert!(!at.has_echo());
        // A wrong key, taken back.
        at.type_keys("abx\u{7f}c123\r");
        let (seen, exit) = at.finish();
        assert_eq!(exit, 0, "{seen}");
        let said = [
            ["Digital signature certificate", "It was revoked if"],
            ["署名用電子証明書", "失効したかどうかは"],
        ];
        assert!(said[language].iter().all(|text| seen.contains(text)), "{seen}");
        assert_eq!(seen.matches(["Valid until 20", "有効期限: 20"][language]).count(), 2, "{seen}");
        assert!(!seen.contains("abx") && !seen.contains("c123"), "{seen}");
    }
}

#[test]
fn a_login_shows_that_the_signature_certificate_can_be_renewed() {
    for (language, said) in
        ["! Renew it now, at the municipal", "! 今すぐ市区町村の窓口で更新"].iter().enumerate()
    {
        let machine = Machine::with_card("expiring");
        let mut at = AtTerminal::start(machine.command(LOCALES[language], &["status", "--login"]));
        at.answer(SIGNATURE[language], "ABC123");
        let (seen, exit) = at.finish();
        assert_eq!((exit, seen.matches(said).count()), (1, 2), "both certificates: {seen}");
    }
}

/// It was meant for another program, and would have cost a try.
#[test]
fn what_was_typed_before_the_prompt_is_no_pin() {
    let machine = Machine::with_card("full");
    let inner = machine.command(ENGLISH, &[]);
    let mut shell = Command::new("/bin/sh");
    let script = "echo ready; read -r line; exec \"$0\" status --login";
    shell.args(["-c", script, inner.get_program().to_str().unwrap()]);
    shell.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut at = AtTerminal::start(shell);
    at.wait_for("ready");
    at.type_keys("go\rzzz999\r");
    at.answer(SIGNATURE[0], "ABC123");
    let (seen, exit) = at.finish();
    assert_eq!((exit, seen.contains("Wrong PIN.")), (0, false), "{seen}");
}

/// On an Android phone the PIN opens the authentication certificate too.
#[test]
fn a_login_at_a_phone_asks_for_both_pins() {
    let machine = Machine::with_card("android");
    let mut at = AtTerminal::start(machine.command(ENGLISH, &["status", "--login"]));
    at.answer("PIN for user authentication: ", "1234");
    at.answer(SIGNATURE[0], "ABC123");
    let (seen, exit) = at.finish();
    assert_eq!((exit, seen.matches("Valid until 20").count()), (0, 2), "{seen}");
}

#[test]
fn a_login_that_fails_or_is_given_up_still_shows_the_rest() {
    let rows = [
        ("zzz999", "Wrong PIN.", 1),
        ("12", "no try was lost", 1),
        ("", "Cancelled.", 2),
        ("\u{3}", "Cancelled.", 2),
    ];
    for (entry, said, status) in rows {
        let machine = Machine::with_card("full");
        let mut at = AtTerminal::start(machine.command(ENGLISH, &["status", "--login"]));
        at.answer(SIGNATURE[0], entry);
        at.wait_for("PC/SC service: running");
        let (seen, exit) = at.finish();
        assert!(
            exit == status && seen.contains(said) && seen.contains("Valid until 20"),
            "{entry:?}: {seen}"
        );
        // The last line fits the exit status, and refers to the line that says what failed.
        let (mark, last) = if status == 1 { ("!", "something to do") } else { ("?", "Not everything") };
        assert!(seen.contains(&format!("{mark} ")) && seen.contains(last), "{entry:?}: {seen}");
        assert!(!seen.contains("All is well."), "{entry:?}: {seen}");
        assert!(seen.lines().any(|line| line.starts_with(mark) && line.contains(said)), "{entry:?}: {seen}");
    }
}

/// A PIN comes from a terminal alone.
#[test]
fn without_a_terminal_no_pin_is_read() {
    let machine = Machine::with_card("full");
    for arguments in [&["status", "--login"][..], &["change-pin", "signature"]] {
        let mut command = machine.command(ENGLISH, arguments);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: the call may be made between fork and exec.
        unsafe { command.pre_exec(new_session) };
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // The command may have ended already.
        let _ = input.write_all(b"ABC123\nNEW123\nNEW123\n");
        drop(input);
        let output = child.wait_with_output().unwrap();
        let remarks = String::from_utf8_lossy(&output.stderr);
        assert!(remarks.contains("A PIN is asked for at a terminal only"), "{remarks}");
        assert_ne!(output.status.code(), Some(0));
    }
}

#[test]
fn the_terminal_shows_again_what_is_typed_after_the_end() {
    let machine = Machine::with_card("full");
    for keys in ["1234\r4321\r4321\r", "\u{3}"] {
        // A shell, so that the terminal is looked at while a program still has it.
        let mut shell = Command::new("/bin/sh");
        let inner = machine.command(ENGLISH, &[]);
        shell.args([
            "-c",
            "\"$0\" change-pin authentication; echo ended; read -r line",
            inner.get_program().to_str().unwrap(),
        ]);
        shell.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut at = AtTerminal::start(shell);
        at.wait_for(CURRENT[0]);
        assert!(!at.has_echo());
        at.type_keys(keys);
        at.wait_for("ended");
        assert!(at.has_echo());
        at.type_keys("\r");
        at.finish();
    }
}

/// At the last prompt the two PINs that were typed are in locked pages and nowhere else.
#[test]
fn pins_that_were_typed_are_in_locked_pages_only() {
    const PINS: [&str; 2] = ["QX7WZK3VJ9PH2M", "HT5ZQW8XKV2JG6"];
    let machine = Machine::with_card("full");
    let mut at = AtTerminal::start(machine.command(ENGLISH, &["change-pin", "signature"]));
    at.answer(CURRENT[0], PINS[0]);
    at.answer(NEW[0], PINS[1]);
    at.wait_for(AGAIN[0]);
    for pin in PINS {
        // Half of it counts: a copy may be overwritten in part.
        let places = [&pin[..7], &pin[7..]].map(|half| places_of(at.pid(), half.as_bytes()));
        assert!(
            places.iter().all(|places| places.iter().any(|flags| flags.contains("lo"))),
            "{pin}: {places:?}"
        );
        for flags in places.iter().flatten() {
            assert!(flags.contains(" lo ") && flags.contains(" dd "), "{pin}: {flags}");
        }
    }
    at.type_keys("\u{3}");
    let (seen, exit) = at.finish();
    assert!(exit == 1 && seen.contains("Nothing was sent"), "{seen}");
}

/// The flags of each mapping of a process in which these bytes are.
fn places_of(pid: u32, bytes: &[u8]) -> Vec<String> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("the process is there");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("the process may be read");
    let mut places = Vec::new();
    let mut range = None;
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let Some((start, end)) = range.take() else { continue };
            let mut content = vec![0; usize::try_from(end - start).unwrap()];
            // Some mappings of the kernel's cannot be read.
            if memory.read_exact_at(&mut content, start).is_ok()
                && content.windows(bytes.len()).any(|window| window == bytes)
            {
                places.push(format!("{flags} "));
            }
        } else if let Some((addresses, rest)) = line.split_once(' ') {
            let number = |text| u64::from_str_radix(text, 16).ok();
            let found =
                addresses.split_once('-').and_then(|(start, end)| Some((number(start)?, number(end)?)));
            range = found.filter(|_| rest.starts_with('r')).or(range);
        }
    }
    places
}
