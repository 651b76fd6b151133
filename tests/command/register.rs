//! What `register` and `unregister` do beside NSS's lists, where no list has to change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::{ENGLISH, JAPANESE, Machine, Run};

const ENTRY: &str = "[Desktop Entry]\nType=Application\nExec=/bin/sh -c true\n";

/// A home whose Chromium has the library of this folder already.
struct Home {
    machine: Machine,
    libraries: PathBuf,
    entry: PathBuf,
}

impl Home {
    fn new() -> Self {
        let machine = Machine::new("");
        let libraries = machine.home().join("lib");
        let profile = machine.home().join(".pki/nssdb");
        let entry = machine.home().join(".config/autostart/pkcs11-register.desktop");
        for folder in [&libraries, &profile, &entry.parent().unwrap().to_owned()] {
            fs::create_dir_all(folder).unwrap();
        }
        for library in ["jpki-pkcs11-auth.so", "jpki-pkcs11-sign.so"] {
            fs::write(libraries.join(library), "").unwrap();
        }
        let home = Self { machine, libraries, entry };
        home.list(&format!(
            "library={}\nname=JPKI\n\n",
            home.libraries.join("jpki-pkcs11-auth.so").display()
        ));
        home
    }

    /// Writes Chromium's list.
    fn list(&self, text: &str) {
        fs::write(self.machine.home().join(".pki/nssdb/pkcs11.txt"), text).unwrap();
    }

    fn register(&self, locale: &str, arguments: &[&str]) -> Run {
        let folder = ["--library-dir", self.libraries.to_str().unwrap()];
        self.machine.run(locale, &[&["register"], arguments, &folder].concat())
    }

    fn unregister(&self, locale: &str, arguments: &[&str]) -> Run {
        self.list("");
        self.machine.run(locale, &[&["unregister"], arguments].concat())
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.entry).unwrap()
    }
}

#[test]
fn an_autostart_entry_of_the_person_comes_back() {
    for (locale, replaced, back) in
        [(ENGLISH, "Yours is kept as ", "put back "), (JAPANESE, "元のファイルは ", "を元に戻しました")]
    {
        let home = Home::new();
        fs::write(&home.entry, ENTRY).unwrap();
        let dry = home.register(locale, &["chromium", "--remove-opensc", "--dry-run"]);
        dry.assert_says("dry run", &["pkcs11-register.desktop.before-jpki-pkcs11"]);
        assert_eq!(home.text(), ENTRY);
        let run = home.register(locale, &["chromium", "--remove-opensc"]);
        run.assert_says("register", &[replaced]);
        assert_eq!(run.exit, 0, "{}", run.text);
        assert!(home.text().ends_with("\nHidden=true\n"));
        home.unregister(locale, &["--dry-run"]);
        assert!(home.text().ends_with("\nHidden=true\n"));
        home.unregister(locale, &[]).assert_says("unregister", &[back]);
        assert_eq!(home.text(), ENTRY);
        assert_eq!(fs::read_dir(home.entry.parent().unwrap()).unwrap().count(), 1);
    }
}

/// People keep such files elsewhere, and link to them.
#[test]
fn nothing_is_written_through_a_link() {
    for text in [Some(ENTRY), None] {
        let home = Home::new();
        let target = home.machine.home().join("mine.desktop");
        if let Some(text) = text {
            fs::write(&target, text).unwrap();
        }
        symlink(&target, &home.entry).unwrap();
        // The system's entry counts where the link leads nowhere.
        let system = home.machine.home().join("xdg/autostart");
        fs::create_dir_all(&system).unwrap();
        fs::write(system.join("pkcs11-register.desktop"), ENTRY).unwrap();
        home.register(ENGLISH, &["chromium", "--remove-opensc"]);
        assert_eq!(fs::read_to_string(&target).ok().as_deref(), text);
        assert!(home.entry.symlink_metadata().unwrap().is_file());
        home.unregister(ENGLISH, &[]).assert_says("unregister", &["put back "]);
        assert_eq!(fs::read_link(&home.entry).unwrap(), target);
    }
}

#[test]
fn an_entry_that_was_kept_before_is_not_lost() {
    let home = Home::new();
    let kept = home.entry.with_extension("desktop.before-jpki-pkcs11");
    fs::write(&home.entry, ENTRY).unwrap();
    fs::write(&kept, "first").unwrap();
    let run = home.register(ENGLISH, &["chromium", "--remove-opensc"]);
    run.assert_says("register", &["OpenSC will register itself again at login"]);
    assert_eq!(
        (run.exit, home.text(), fs::read_to_string(&kept).unwrap()),
        (2, ENTRY.into(), "first".into())
    );
}

#[test]
fn a_program_of_a_sandbox_is_not_said_to_be_missing() {
    let home = Home::new();
    let root = home.machine.home().join("snap/firefox/common/.mozilla/firefox");
    fs::create_dir_all(root.join("p")).unwrap();
    fs::write(root.join("profiles.ini"), "[Profile0]\nPath=p\nIsRelative=1\n").unwrap();
    for (locale, said, missing) in [
        (ENGLISH, "comes as a snap and cannot load", "Firefox: no profile found"),
        (JAPANESE, "snap のため", "Firefox: プロファイルがありません"),
    ] {
        let run = home.register(locale, &["firefox"]);
        run.assert_says("snap", &[said]);
        assert!(run.exit == 1 && !run.text.contains(missing), "{}", run.text);
    }
}
