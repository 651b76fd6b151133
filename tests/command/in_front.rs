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
