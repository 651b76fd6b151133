//! A table of the states that people meet.

use std::thread;

use serde_json::{Value, json};

use crate::support::{ENGLISH, JAPANESE, Machine};

/// One state.
struct State {
    name: &'static str,
    service: &'static str,
    configuration: Option<&'static str>,
    exit: i32,
    english: &'static [&'static str],
    japanese: &'static [&'static str],
    /// JSON pointers and what stands there.
    json: Vec<(&'static str, Value)>,
}

const CARD: &str = "/readers/0/card/kind";
const STATE: &str = "/readers/0/state";
const RESULT: &str = "/result";
const AUTHENTICATION: &str = "/readers/0/card/authentication";
const SIGNATURE: &str = "/readers/0/card/signature";

/// The state of a card in the reader.
fn with_card(name: &'static str, service: &'static str, exit: i32) -> State {
    State { name, service, configuration: None, exit, english: &[], japanese: &[], json: Vec::new() }
}

impl State {
    fn says(self, english: &'static [&'static str], japanese: &'static [&'static str]) -> Self {
        Self { english, japanese, ..self }
    }

    fn tells(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.json.push((pointer, value.into()));
        self
    }

    fn configured(self, text: &'static str) -> Self {
        Self { configuration: Some(text), ..self }
    }

    fn check(&self) {
        let mut machine = Machine::new(self.service);
        if let Some(text) = self.configuration {
            machine = machine.configured(text);
        }
        // Side by side: a run that waits for another program takes seconds.
        let (runs, (report, exit)) = thread::scope(|scope| {
            let runs = [(ENGLISH, self.english), (JAPANESE, self.japanese)].map(|(locale, texts)| {
                (
                    texts,
                    scope.spawn({
                        let machine = &machine;
                        move || machine.run(locale, &[])
                    }),
                )
            });
            let json = machine.json(&["status", "--json"]);
            (runs.map(|(texts, run)| (texts, run.join().unwrap())), json)
        });
        for (texts, run) in runs {
            assert!(!texts.is_empty(), "{}: nothing is asserted", self.name);
            run.assert_says(self.name, texts);
            assert_eq!((run.exit, &*run.remarks), (self.exit, ""), "{}: {}", self.name, run.text);
            let marked = run.text.lines().any(|line| line.trim_start().starts_with(['!', '?']));
            assert_eq!(marked, self.exit != 0, "{}: {}", self.name, run.text);
        }
        assert_eq!(exit, self.exit, "{}: {report}", self.name);
        let verdict = ["well", "to_do", "cannot_tell"][usize::try_from(exit).unwrap()];
        for (pointer, value) in self.json.iter().chain([&(RESULT, json!(verdict))]) {
            assert_eq!(report.pointer(pointer), Some(value), "{}: {pointer} in {report:#}", self.name);
        }
    }
}

/// States in which no card can be used.
fn without_card() -> Vec<State> {
    vec![
        with_card("no pcscd", "do=kill-service", 1)
            .says(
                &["PC/SC service: does not answer", "! Install and start pcscd"],
                &["PC/SC サービス: 応答しません", "! pcscd をインストールして起動してください"],
            )
            .tells("/service", "missing")
            .tells("/readers", json!([])),
        with_card(
            "polkit refuses the service",
            "reader=READER;card=full;do=inject EstablishContext 1 endless fail 0x8010006a",
            1,
        )
        .says(
            &["PC/SC service: refuses access", "! polkit lets only the user at the desktop use cards"],
            &["PC/SC サービス: アクセスを拒否しました", "! polkit の既定では"],
        )
        .tells("/service", "access_refused"),
        with_card(
            "polkit refuses the card",
            "reader=READER;card=full;do=inject Connect 1 endless fail 0x8010006a",
            1,
        )
        .says(
            &["the service refuses access to the card", "! polkit lets only"],
            &["カードへのアクセスが拒否されました", "! polkit の既定では"],
        )
        .tells("/service", "running")
        .tells(STATE, "access_refused"),
        with_card("no reader", "", 1)
            .says(
                &["Reader: none", "! Plug a card reader in", "apt install libccid"],
                &["カードリーダー: ありません", "! カードリーダーを接続してください"],
            )
            .tells("/service", "running"),
        with_card("no card", "reader=READER", 1)
            .says(
                &["no card", "! Put the card in"],
                &["カードがありません", "! カードを置くか差し込んでください"],
            )
            .tells(STATE, "no_card")
            .tells("/readers/0/card", Value::Null),
        with_card(
            "a program that has the card for itself",
            "reader=READER;card=full;do=foreign READER gpg exclusive",
            1,
        )
        .says(
            &["another program has the card for itself", "! End that program", "gpgconf --kill scdaemon"],
            &["ほかのプログラムがカードを占有しています", "! そのプログラムを終了してください"],
        )
        .tells(STATE, "held_exclusively"),
        with_card(
            "a program that does not end its transaction",
            "reader=READER;card=full;do=foreign READER other transaction",
            2,
        )
        .says(
            &[
                "another program is using the card now",
                "? Try again in a moment",
                "Not everything can be told",
            ],
            &[
                "ほかのプログラムがカードを使っている最中です",
                "? しばらくしてから",
                "確認できない項目があります",
            ],
        )
        .tells(STATE, "in_transaction"),
        with_card(
            "a card upside down",
            "reader=READER;card=full;do=inject Connect 1 endless fail 0x80100067",
            1,
        )
        .says(
            &["a card that does not start", "! Turn the card over"],
            &["カードが応答しません", "! カードの向きと裏表を確かめ"],
        )
        .tells(STATE, "unpowered"),
        with_card("a card that is mute", "reader=READER;card=full;do=card full1 fault always answer 6F", 1)
            .says(
                &["the card does not answer as it should", "! Take the card out and put it in again"],
                &["カードから正しい応答がありません", "! カードを抜いて"],
            )
            .tells(STATE, "no_answer"),
        with_card("a card of another kind", "reader=READER;card=other", 1)
            .says(
                &["a card without the JPKI application", "! Put a My Number card in"],
                &["マイナンバーカードではありません", "! マイナンバーカードを使ってください"],
            )
            .tells(STATE, "other_card"),
        with_card("a juki card", "reader=READER;card=juki", 1)
            .says(
                &["a juki card", "its certificates have all expired", "! Put a My Number card in"],
                &[
                    "住民基本台帳カードです",
                    "すべて有効期限が切れています",
                    "! マイナンバーカードを使ってください",
                ],
            )
            .tells(STATE, "juki_card"),
        with_card("a reader that the configuration leaves alone", "reader=READER;card=full", 1)
            .configured("readers = { ignore = \"*Virtual*\" }")
            .says(
                &[
                    "left alone, as the configuration says",
                    "! Change the configuration (readers), or use another reader",
                ],
                &["設定により使いません", "! 設定(readers)を変えるか、別のカードリーダーを使ってください"],
            )
            .tells(STATE, "ignored"),
    ]
}

/// States of a card that can be used.
fn with_card_states() -> Vec<State> {
    vec![
        with_card("all well", "reader=READER;card=full", 0)
            .says(
                &[
                    "PC/SC service: running\nReader: Virtual Reader 00 00\n  Card: My Number card (number ",
                    "User authentication certificate",
                    " days left)",
                    "Renewal: from ",
                    "-10-01 (three months before the end), at the municipal office",
                    "PIN: 3 of 3 tries left",
                    "PIN: 5 of 5 tries left",
                    "only its PIN opens the certificate; see jpki-pkcs11 status --login",
                    "PKCS #1 v1.5 and PSS (TLS 1.3)",
                    "Configuration: no file",
                    "All is well.",
                ],
                &[
                    "カードリーダー: Virtual Reader 00 00\n  カード: マイナンバーカード(識別番号 ",
                    "利用者証明用電子証明書\n    有効期限: ",
                    "年1月1日(あと",
                    "年10月1日から(3か月前から)市区町村の窓口で",
                    "暗証番号: あと3回間違えるとロックされます(3回中)",
                    "暗証番号: あと5回間違えるとロックされます(5回中)",
                    "署名用電子証明書\n    有効期限: 暗証番号がないと読めません",
                    "PSS(TLS 1.3 で使えます)",
                    "設定ファイルはありません",
                    "問題ありません。",
                ],
            )
            .tells("/service", "running")
            .tells(STATE, "ready")
            .tells(CARD, "my_number_card")
            .tells("/readers/0/card/authentication/state", "read")
            .tells("/readers/0/card/authentication/validity/phase", "valid")
            .tells("/readers/0/card/authentication/validity/renewal_months", 3)
            .tells(
                "/readers/0/card/authentication/pin",
                json!({"state": "full", "tries_left": 3, "max_tries": 3}),
            )
            .tells("/readers/0/card/authentication/pss", true)
            .tells("/readers/0/card/signature/state", "needs_pin")
            .tells("/readers/0/card/signature/validity", Value::Null)
            .tells("/readers/0/card/signature/pin/tries_left", 5),
        with_card("expired", "reader=READER;card=expired", 1)
            .says(
                &["Expired on ", "! Get a new one, at the municipal office"],
                &["に切れました", "! 市区町村の窓口で新しい電子証明書の発行を受けてください"],
            )
            .tells("/readers/0/card/authentication/validity/phase", "expired"),
        with_card("expiring", "reader=READER;card=expiring", 1)
            .says(
                &[
                    "(30 days left)",
                    "! Renew it now, at the municipal office",
                    "(three months before the end)",
                ],
                &["(あと30日)", "! 今すぐ市区町村の窓口で更新してください", "(3か月前から)"],
            )
            .tells("/readers/0/card/authentication/validity/days_left", 30)
            .tells("/readers/0/card/authentication/validity/phase", "renewable"),
        with_card("ten years", "reader=READER;card=ten-years", 1)
            .says(
                &["(200 days left)", "! Renew it now", "(one year before the end)"],
                &["(あと200日)", "! 今すぐ市区町村の窓口で更新してください", "(1年前から)"],
            )
            .tells("/readers/0/card/authentication/validity/renewal_months", 12),
        with_card("under 15", "reader=READER;card=under-15", 0)
            .says(
                &["not on this card (people under 15 get none"],
                &["署名用電子証明書\n    このカードにはありません(15歳未満の方"],
            )
            .tells("/readers/0/card/signature/state", "absent")
            .tells("/readers/0/card/signature/pin", Value::Null),
        with_card("an Android phone", "reader=READER;card=android", 0)
            .says(
                &["Card: Android phone", "Valid until: only its PIN opens the certificate"],
                &["カード: Android スマートフォン", "有効期限: 暗証番号がないと読めません"],
            )
            .tells(CARD, "android_phone")
            .tells("/readers/0/card/authentication/state", "needs_pin"),
        with_card("an iPhone", "reader=READER;card=iphone;do=card iphone1 set-tries authentication 0", 1)
            .says(
                &["Card: iPhone", "! Set a new PIN in the phone's Mynaportal app"],
                &["カード: iPhone", "! スマートフォンのマイナポータルアプリで暗証番号を再設定してください"],
            )
            .tells(CARD, "iphone"),
        with_card("a chip without PSS", "reader=READER;card=full+p1=0", 0)
            .says(&["PKCS #1 v1.5 only, no PSS: servers must offer TLS 1.2"], &["PKCS #1 v1.5 のみ(PSS なし"])
            .tells("/readers/0/card/authentication/pss", false)
            .tells("/readers/0/card/signature/pss", false),
        with_card(
            "two readers, one without a card",
            "reader=READER;card=full;reader=Another Reader 01 00",
            0,
        )
        .says(&["Reader: Another Reader 01 00\n  no card\nConf"], &["カードがありません\n設定"])
        .tells("/readers/1/state", "no_card"),
    ]
}

/// States of PINs.
fn pins() -> Vec<State> {
    vec![
        with_card("a try is missing", "reader=READER;card=full;do=card full1 set-tries signature 4", 1)
            .says(
                &["PIN: 4 of 5 tries left", "! A wrong PIN was entered. The right one gives all tries back"],
                &["あと4回間違えるとロックされます(5回中)", "! 間違った暗証番号が入力されました"],
            )
            .tells("/readers/0/card/signature/pin/state", "tries_missing"),
        with_card("one try left", "reader=READER;card=full;do=card full1 set-tries authentication 1", 1)
            .says(
                &["PIN: 1 of 3 tries left", "! One more wrong PIN locks it"],
                &["あと1回間違えるとロックされます(3回中)", "! 次に間違えるとロックされます"],
            )
            .tells("/readers/0/card/authentication/pin/state", "last_try"),
        with_card("one try left, in reserve", "reader=READER;card=full;do=card full1 set-tries authentication 1", 1)
            .configured("reserve_tries = 1")
            .says(
                &["! No PIN is sent: the configuration keeps these tries", "In force: reserve_tries = 1"],
                &["! 設定(reserve_tries)により残りの回数を使わない", "有効な設定: reserve_tries = 1"],
            )
            .tells("/readers/0/card/authentication/pin/state", "reserved")
            .tells("/configuration/reserve_tries", 1),
        with_card("authentication locked", "reader=READER;card=blocked-auth", 1)
            .says(
                &[
                    "PIN: locked",
                    "! The municipal office sets a new PIN. Or, if you know the PIN of the digital signature certificate: \
                     first the phone app JPKI暗証番号リセット, then, within 24 hours, the kiosk",
                ],
                &[
                    "暗証番号: ロックされています",
                    "! 市区町村の窓口で再設定を受けてください。署名用電子証明書の暗証番号が分かる場合は、スマートフォンの\
                     「JPKI暗証番号リセット」アプリ",
                    "24時間以内にコンビニのキオスク端末でも",
                ],
            )
            .tells("/readers/0/card/authentication/pin/state", "locked")
            .tells("/readers/0/card/authentication/pin/tries_left", 0)
            .tells("/readers/0/card/signature/pin/state", "full"),
        with_card("signature locked", "reader=READER;card=blocked-sign", 1)
            .says(
                &["PIN: locked", "if you know the PIN of the user authentication certificate"],
                &["暗証番号: ロックされています", "利用者証明用電子証明書の暗証番号が分かる場合は"],
            )
            .tells("/readers/0/card/signature/pin/state", "locked"),
        with_card(
            "both locked",
            "reader=READER;card=blocked-sign;do=card blocked-sign1 set-tries authentication 0",
            1,
        )
        .says(
            &["! The municipal office sets a new PIN\n"],
            &["! 市区町村の窓口で再設定を受けてください\n"],
        )
        .tells("/readers/0/card/authentication/pin/state", "locked"),
        with_card("a card that tells no count", "reader=READER;card=full+tries-query=6700", 2)
            .says(
                &["PIN: the card does not tell the tries left", "? Nothing protects from a wrong PIN"],
                &["残りの回数をカードが答えません", "? このカードでは入力間違いを防げません"],
            )
            .tells("/readers/0/card/signature/pin/state", "unknown"),
    ]
}

/// States of the configuration.
fn configurations() -> Vec<State> {
    vec![
        with_card("a configuration", "reader=READER;card=full", 0)
            .configured("slots = \"authentication\"\npss = \"off\"\n")
            .says(
                &["Configuration: /", ".config/jpki-pkcs11.toml", "In force: slots = \"authentication\", pss = \"off\""],
                &["設定: /", "有効な設定: slots = \"authentication\", pss = \"off\""],
            )
            .tells("/configuration/slots", "authentication")
            .tells("/configuration/pss", "off")
            .tells(SIGNATURE, Value::Null)
            .tells("/readers/0/card/authentication/pss", false),
        with_card("a configuration with mistakes", "reader=READER;card=full", 1)
            .configured("slots = \"all\"\ncolour = 1\nreserve_tries = \"x\"\n[log]\nfile = \"here\"\n")
            .says(
                &[
                    "! /",
                    ": wrong value of slots: it is one of \"both\" | \"authentication\" | \"signature\"",
                    ": no key colour",
                    ": wrong value of reserve_tries: 1 is taken",
                    ": wrong value of log.file: it is an absolute path",
                ],
                &[
                    ": slots の値が正しくありません(\"both\"、\"authentication\"、\"signature\"のどれかです)",
                    ": colour というキーはありません",
                    ": reserve_tries の値が正しくありません(1 とみなします)",
                    ": log.file の値が正しくありません(絶対パスです)",
                ],
            )
            .tells("/configuration/reserve_tries", 1),
        with_card("a configuration that is not TOML", "reader=READER;card=full", 1)
            .configured("slots = \"both\"\npin = 4649x\n")
            .says(
                &["a syntax error in line 2; the whole file is ignored, and one try of each PIN is kept in reserve"],
                &["2 行目に文法の誤りがあります。このファイル全体を無視し、各暗証番号の最後の1回は使いません"],
            )
            .tells("/configuration/reserve_tries", 1),
    ]
}

/// A module list as NSS writes it.
fn module_list(libraries: &[(&str, &str)]) -> String {
    let paragraph = |(name, library): &(&str, &str)| format!("library={library}\nname={name}\n\n");
    libraries.iter().map(paragraph).collect()
}

/// A machine whose Chromium has these modules.
fn with_chromium(libraries: &[(&str, &str)]) -> Machine {
    let machine = Machine::with_card("full");
    let profile = machine.home().join(".pki/nssdb");
    std::fs::create_dir_all(&profile).unwrap();
    std::fs::write(profile.join("pkcs11.txt"), module_list(libraries)).unwrap();
    machine
}

#[test]
fn who_stands_in_front_of_the_module_is_said() {
    let module = test_support::library::Library::path();
    let ours = module.to_str().unwrap();
    let opensc = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so";
    let rows: [(&[_], i32, [&str; 2], &str); 4] = [
        (
            &[("JPKI", ours)],
            0,
            ["Browsers and mail programs with the module:\n  Chromium, ", "問題ありません。"],
            "",
        ),
        (
            &[("OpenSC", opensc), ("JPKI", ours)],
            1,
            ["! Chromium, ", "OpenSC のモジュール(OpenSC)もこのカードを扱います"],
            "opensc_module",
        ),
        (
            &[("JPKI", ours), ("JPKI 2", ours)],
            1,
            ["2 libraries of jpki-pkcs11 stand here", "2 個登録されていて"],
            "several_libraries",
        ),
        (
            &[("JPKI", "/nowhere/jpki-pkcs11-auth.so")],
            1,
            [
                "is registered here, and is not there",
                "登録されている /nowhere/jpki-pkcs11-auth.so がありません",
            ],
            "missing_library",
        ),
    ];
    for (libraries, exit, texts, kind) in rows {
        let machine = with_chromium(libraries);
        for (locale, text) in [ENGLISH, JAPANESE].into_iter().zip(texts) {
            let run = machine.run(locale, &[]);
            run.assert_says(kind, &[text]);
            assert_eq!(run.exit, exit, "{}", run.text);
        }
        let (report, _) = machine.json(&["--json"]);
        assert_eq!(report.pointer("/registered/0/program"), Some(&json!("chromium")), "{report}");
        let expected = (!kind.is_empty()).then(|| json!(kind));
        assert_eq!(report.pointer("/in_front/0/kind"), expected.as_ref(), "{report}");
    }
}

#[test]
fn opensc_s_autostart_is_said_where_the_module_is_registered() {
    let ours = test_support::library::Library::path();
    let machine = with_chromium(&[("JPKI", ours.to_str().unwrap())]);
    let folder = machine.home().join(".config/autostart");
    std::fs::create_dir_all(&folder).unwrap();
    let entry = "[Desktop Entry]\nType=Application\nExec=/bin/sh -c true\n";
    std::fs::write(folder.join("pkcs11-register.desktop"), entry).unwrap();
    for (locale, text) in
        [(ENGLISH, "puts OpenSC's module into browsers"), (JAPANESE, "ログインのたびに OpenSC")]
    {
        let run = machine.run(locale, &[]);
        run.assert_says("autostart", &["! ", text]);
        assert_eq!(run.exit, 1);
    }
    let (report, _) = machine.json(&["--json"]);
    assert_eq!(report.pointer("/in_front/0/kind"), Some(&json!("opensc_autostart")), "{report}");
}

/// Runs them side by side: each is a few processes that wait now and then.
fn check_all(states: &[State]) {
    thread::scope(|scope| {
        for state in states {
            scope.spawn(|| state.check());
        }
    });
}

#[test]
fn what_keeps_a_card_from_being_used_is_said_with_what_to_do() {
    check_all(&without_card());
}

#[test]
fn a_card_is_described_with_its_certificates() {
    check_all(&with_card_states());
}

#[test]
fn tries_and_locks_are_said_with_who_unlocks() {
    check_all(&pins());
}

#[test]
fn the_configuration_in_force_is_said_with_its_mistakes() {
    check_all(&configurations());
}

/// A report shows no name, no certificate and no key.
#[test]
fn nothing_of_the_owner_is_shown() {
    let machine = Machine::with_card("full");
    for arguments in [&["status"][..], &["status", "--json"]] {
        let text = machine.run(ENGLISH, arguments).text;
        assert!(!text.contains("TEST"), "{text}");
    }
}

/// It looks only: no PIN, no signature. The trace has each command's header.
#[test]
fn status_sends_no_pin_and_costs_no_try() {
    let machine = Machine::with_card("full");
    let log = machine.home().join("log");
    let mut command = machine.command(ENGLISH, &["status"]);
    command.env("JPKI_PKCS11_LOG", "trace").env("JPKI_PKCS11_LOG_FILE", &log);
    assert!(command.output().unwrap().status.success());
    let log = std::fs::read_to_string(&log).unwrap();
    let verifies: Vec<_> = log.lines().filter(|line| line.contains(" trace 00 20 ")).collect();
    assert_eq!(verifies.len(), 2, "both counts were asked for: {log}");
    // A command with data would show Lc, or that it is a secret one.
    assert!(verifies.iter().all(|line| line.contains(" -> Ok(0 bytes, 63c") && line.len() < 90), "{log}");
    let signatures = log.lines().filter(|line| line.contains(" trace 80 2a "));
    assert!(signatures.into_iter().all(|line| line.contains("Ok(0 bytes, 6")), "nothing was signed: {log}");
}

#[test]
fn the_pointers_of_this_file_lead_somewhere() {
    let (report, _) = Machine::with_card("full").json(&["--json"]);
    for pointer in [CARD, STATE, RESULT, AUTHENTICATION, SIGNATURE] {
        assert!(report.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer}");
    }
}
