//! Who stands in front of the module in browsers.

use serde_json::json;

use crate::support::{ENGLISH, JAPANESE, Machine};

/// A module list as NSS writes it.
fn module_list(libraries: &[(&str, &str)]) -> String {
    let paragraph = |(name, library): &(&str, &str)| format!("library={library}\nname={name}\n\n");
    libraries.iter().map(paragraph).collect()
}

/// A machine whose Chromium has these modules.
pub(super) fn with_chromium(libraries: &[(&str, &str)]) -> Machine {
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
        // Which module it is, where it is one.
        let (module, library) = match kind {
            "opensc_module" => (json!("OpenSC"), json!(opensc)),
            "missing_library" => (json!("JPKI"), json!("/nowhere/jpki-pkcs11-auth.so")),
            _ => (json!(null), json!(null)),
        };
        assert_eq!(
            (&report["in_front"][0]["module"], &report["in_front"][0]["library"]),
            (&module, &library)
        );
    }
}

/// One thing of each list that cannot be read; a folder in the place of a file, since root reads
/// what has no permission.
#[test]
fn what_cannot_be_read_is_said_and_not_called_none() {
    for (path, program) in
        [(".pki/nssdb/pkcs11.txt", "chromium"), (".mozilla/firefox/profiles.ini", "firefox")]
    {
        let machine = Machine::with_card("full");
        std::fs::create_dir_all(machine.home().join(path)).unwrap();
        for (locale, known, said) in [
            (ENGLISH, "with the module: not known\n  ? ", " cannot be read: "),
            (
                JAPANESE,
                "メールソフト: 確認できません\n  ? ",
                " を読み取れません: ファイルではなくフォルダーです",
            ),
        ] {
            let run = machine.run(locale, &[]);
            run.assert_says(path, &[known, said, path]);
            assert_eq!(run.exit, 2, "{}", run.text);
            // Nor does the other subcommand take it for nothing.
            let run = machine.run(locale, &["unregister", program]);
            run.assert_says(path, &[said, path]);
            assert_eq!(run.exit, 2, "{}", run.text);
        }
        let (report, exit) = machine.json(&["--json"]);
        assert_eq!((exit, &report["result"]), (2, &json!("cannot_tell")), "{report}");
        let found = &report["in_front"][0];
        assert_eq!((&found["kind"], &found["program"]), (&json!("unreadable_list"), &json!(program)));
        assert_eq!(found["place"], json!(machine.home().join(path)));
    }
}

#[test]
fn without_a_home_the_profiles_are_not_known() {
    let machine = Machine::with_card("full");
    let run = |locale, arguments: &[&str]| {
        let output = machine.command(locale, arguments).env_remove("HOME").output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    for (locale, said) in [
        (ENGLISH, "with the module: not known\n  ? HOME names no folder"),
        (JAPANESE, "確認できません\n  ? 環境変数 HOME がフォルダーを指していない"),
    ] {
        let (text, exit) = run(locale, &["status"]);
        assert!(exit == Some(2) && text.contains(said), "{text}");
    }
    let (report, exit) = run(ENGLISH, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((exit, &report["in_front"][0]["kind"]), (Some(2), &json!("no_home")), "{report}");
}

/// Gives the machine a profile of Firefox below this folder of its home.
fn add_firefox(machine: &Machine, root: &str) {
    let root = machine.home().join(root);
    std::fs::create_dir_all(root.join("p")).unwrap();
    std::fs::write(root.join("profiles.ini"), "[Profile0]\nPath=p\nIsRelative=1\n").unwrap();
}

#[test]
fn a_program_that_can_load_no_module_is_said_with_what_to_do() {
    for (root, kind) in [
        ("snap/firefox/common/.mozilla/firefox", "snap"),
        (".var/app/org.mozilla.firefox/.mozilla/firefox", "Flatpak"),
    ] {
        let machine = Machine::with_card("full");
        add_firefox(&machine, root);
        for (locale, heading, cannot, instead, not_there) in [
            (
                ENGLISH,
                "with the module: none\n  ! Firefox, ",
                format!("this Firefox comes as a {kind} and cannot load a module of this system."),
                "Install Firefox as a package of the system (.deb, .rpm) instead.",
                "no profile found",
            ),
            (
                JAPANESE,
                "メールソフト: ありません\n  ! Firefox, ",
                format!("この Firefox は {kind} のため、システムのモジュールを読み込めません。"),
                "システムのパッケージ(.deb、.rpm)の Firefox をインストールしてください。",
                "プロファイルがありません",
            ),
        ] {
            let run = machine.run(locale, &[]);
            run.assert_says(root, &[heading, &cannot, instead]);
            assert!(run.exit == 1 && !run.text.contains("jpki-pkcs11 register"), "{}", run.text);
            let run = machine.run(locale, &["unregister", "firefox"]);
            run.assert_says(root, &[&cannot]);
            assert!(run.exit == 0 && !run.text.contains(not_there), "{}", run.text);
        }
        let (report, _) = machine.json(&["--json"]);
        let found = &report["in_front"][0];
        assert_eq!((&found["kind"], &found["program"]), (&json!("sandboxed"), &json!("firefox")));
        assert_eq!(found["place"], json!(machine.home().join(root).join("p")));
    }
}

/// A snap that is left beside a program that has the module keeps nothing from working.
#[test]
fn a_program_that_can_load_no_module_is_no_problem_beside_one_that_has_it() {
    let ours = test_support::library::Library::path();
    let machine = with_chromium(&[("JPKI", ours.to_str().unwrap())]);
    add_firefox(&machine, "snap/firefox/common/.mozilla/firefox");
    for (locale, said) in [(ENGLISH, "\n  Firefox, /"), (JAPANESE, "\n  Firefox, /")] {
        let run = machine.run(locale, &[]);
        run.assert_says("beside", &[said]);
        assert_eq!(run.exit, 0, "{}", run.text);
    }
    assert_eq!(machine.json(&["--json"]).0["result"], json!("well"));
}

#[test]
fn the_module_may_come_through_p11_kit() {
    let proxy = "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so";
    let machine = with_chromium(&[("p11-kit", proxy)]);
    for (locale, said, list) in [
        (
            ENGLISH,
            "with the module:\n  Chromium, ",
            "through p11-kit (/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so)",
        ),
        (
            JAPANESE,
            "メールソフト:\n  Chromium, ",
            "p11-kit(/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so)を経由します",
        ),
    ] {
        let run = machine.run(locale, &[]);
        run.assert_says("proxy", &[said, list, "p11-kit list-modules"]);
        assert_eq!(run.exit, 0, "{}", run.text);
    }
    let (report, _) = machine.json(&["--json"]);
    let through = &report["through_p11_kit"][0];
    assert_eq!((&through["program"], &through["library"]), (&json!("chromium"), &json!(proxy)));
    assert_eq!(report["registered"], json!([]));
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
