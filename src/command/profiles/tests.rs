use std::os::unix::fs::symlink;
use std::process::id;

use super::*;

/// A home of its own, which is removed at the end.
struct Home {
    folders: Folders,
}

impl Home {
    fn new(name: &str) -> Self {
        let home = env::temp_dir().join(format!("jpki-pkcs11-home-{}-{name}", id()));
        fs::create_dir_all(&home).unwrap();
        let (config, data) = (home.join(".config"), home.join(".local/share"));
        let autostart = vec![config.join("autostart"), home.join("etc/xdg/autostart")];
        Self { folders: Folders { home, config, data, autostart } }
    }

    fn folder(&self, path: &str) -> PathBuf {
        let folder = self.folders.home.join(path);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn file(&self, path: &str, text: &str) {
        self.folder(Path::new(path).parent().unwrap().to_str().unwrap());
        fs::write(self.folders.home.join(path), text).unwrap();
    }

    /// The profiles of a program, without the home in front.
    fn found(&self, program: Program) -> Vec<(String, Option<Sandbox>)> {
        let name = |directory: &Path| {
            let short = directory.strip_prefix(&self.folders.home).unwrap_or(directory);
            short.to_str().unwrap().to_owned()
        };
        let mut unreadable = Vec::new();
        let found = profiles(program, &self.folders, &mut unreadable);
        assert_eq!(unreadable, []);
        found.iter().map(|profile| (name(&profile.directory), profile.sandbox)).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folders.home);
    }
}

#[test]
fn profiles_are_those_that_the_list_names_and_that_are_there() {
    let home = Home::new("listed");
    home.folder(".mozilla/firefox/abc.default");
    home.folder(".mozilla/firefox/a b/プロ.x");
    home.folder(".mozilla/firefox/not.listed");
    let elsewhere = home.folder("elsewhere/work");
    home.file(
        ".mozilla/firefox/profiles.ini",
        &format!(
            "[Install4F96D1932A9F858E]\nDefault=abc.default\nPath=not.listed\n\n# a comment\n\
             [Profile1]\r\nName=default\r\nIsRelative=1\r\nPath=abc.default\r\nDefault=1\r\n\n\
             [Profile0]\nName=work\nIsRelative=0\nPath={}\n\n\
             [Profile2]\nName=x\n; Path=y\nIsRelative=1\nPath=a b/プロ.x\n\n\
             [Profile3]\nName=gone\nIsRelative=1\nPath=gone\n\n\
             [Profile4]\nName=empty\n\n[General]\nVersion=2\n",
            elsewhere.display()
        ),
    );
    let expected = [".mozilla/firefox/abc.default", "elsewhere/work", ".mozilla/firefox/a b/プロ.x"];
    assert_eq!(home.found(Program::Firefox), expected.map(|path| (path.to_owned(), None)));
    assert_eq!(home.found(Program::Thunderbird), []);
}

#[test]
fn old_new_snap_and_flatpak_places_are_found_and_a_link_is_no_second_profile() {
    let home = Home::new("places");
    for root in [
        ".mozilla/firefox",
        ".config/mozilla/firefox",
        "snap/firefox/common/.mozilla/firefox",
        ".var/app/org.mozilla.firefox/config/mozilla/firefox",
        ".thunderbird",
    ] {
        home.folder(&format!("{root}/p"));
        home.file(&format!("{root}/profiles.ini"), "[Profile0]\nPath=p\nIsRelative=1\n");
    }
    symlink(home.folders.home.join(".thunderbird"), home.folders.home.join(".icedove")).unwrap();
    let found = home.found(Program::Firefox);
    let expected = [
        (".mozilla/firefox/p", None),
        (".config/mozilla/firefox/p", None),
        ("snap/firefox/common/.mozilla/firefox/p", Some(Sandbox::Snap)),
        (".var/app/org.mozilla.firefox/config/mozilla/firefox/p", Some(Sandbox::Flatpak)),
    ];
    assert_eq!(found, expected.map(|(path, sandbox)| (path.to_owned(), sandbox)));
    assert_eq!(home.found(Program::Thunderbird), [(".thunderbird/p".to_owned(), None)]);
}

#[test]
fn chromium_has_the_database_that_is_there_and_else_the_old_place() {
    let home = Home::new("chromium");
    assert_eq!(home.found(Program::Chromium), [(".pki/nssdb".to_owned(), None)]);
    home.folder(".local/share/pki/nssdb");
    assert_eq!(home.found(Program::Chromium), [(".local/share/pki/nssdb".to_owned(), None)]);
    home.folder(".pki/nssdb");
    home.folder("snap/chromium");
    let expected =
        [(".pki/nssdb", None), (".local/share/pki/nssdb", None), ("snap/chromium", Some(Sandbox::Snap))];
    assert_eq!(home.found(Program::Chromium), expected.map(|(path, sandbox)| (path.to_owned(), sandbox)));
}

/// OpenSC's autostart, and a file of ours that is there.
fn with_autostart(home: &Home) -> PathBuf {
    home.file("etc/xdg/autostart/pkcs11-register.desktop", "[Desktop Entry]\nExec=/bin/sh\n");
    home.file("jpki-pkcs11-auth.so", "");
    home.folders.home.join("jpki-pkcs11-auth.so")
}

fn module(name: &str, library: &str) -> Module {
    Module { name: name.to_owned(), library: PathBuf::from(library) }
}

#[test]
fn what_is_in_the_way_is_found() {
    let home = Home::new("problems");
    let there = with_autostart(&home);
    let there = there.to_str().unwrap();
    home.file(
        ".pki/nssdb/pkcs11.txt",
        &format!(
            "library=/usr/lib/onepin-opensc-pkcs11.so\nname=OpenSC\n\nlibrary=/nowhere/jpki-pkcs11.so\nname=Old\n\n\
             library={there}\nname=JPKI\n\n",
        ),
    );
    let profile = profiles(Program::Chromium, &home.folders, &mut Vec::new()).remove(0);
    let (old, new) = (module("Old", "/nowhere/jpki-pkcs11.so"), module("JPKI", there));
    let opensc = module("OpenSC", "/usr/lib/onepin-opensc-pkcs11.so");
    let entry = home.folders.home.join("etc/xdg/autostart/pkcs11-register.desktop");
    let found = look(Some(&home.folders));
    assert_eq!(found.registered, [(profile.clone(), old.clone()), (profile.clone(), new.clone())]);
    assert_eq!(
        found.problems,
        [
            Problem::OpenSc { profile: profile.clone(), module: opensc },
            Problem::MissingFile { profile: profile.clone(), module: old.clone() },
            Problem::SeveralOfOurs { profile, modules: vec![old, new] },
            Problem::Autostart { file: entry },
        ]
    );
    // The user's own entry of that name counts instead of the system's.
    home.file(".config/autostart/pkcs11-register.desktop", "[Desktop Entry]\nHidden=true\n");
    assert_eq!(autostart(&home.folders), None);
}

/// A folder in the place of a file: root reads what has no permission.
#[test]
fn what_cannot_be_read_is_not_taken_for_nothing() {
    let home = Home::new("unreadable");
    home.folder(".thunderbird/profiles.ini");
    home.folder(".pki/nssdb/pkcs11.txt");
    let found = look(Some(&home.folders));
    let unreadable = |program, path: &str| {
        let file = home.folders.home.join(path);
        Problem::Unreadable(Unreadable { program, file, error: Some(21) })
    };
    let expected = [
        unreadable(Program::Thunderbird, ".thunderbird/profiles.ini"),
        unreadable(Program::Chromium, ".pki/nssdb/pkcs11.txt"),
    ];
    assert!(found.is_incomplete());
    assert_eq!((found.registered, found.problems), (vec![], expected.to_vec()));
    assert_eq!(look(None).problems, [Problem::NoHome]);
}

#[test]
fn opensc_is_in_the_way_only_where_ours_is() {
    let home = Home::new("opensc");
    with_autostart(&home);
    home.file(".pki/nssdb/pkcs11.txt", "library=/usr/lib/opensc-pkcs11.so\nname=OpenSC\n\n");
    let found = look(Some(&home.folders));
    assert_eq!((found.registered, found.problems), (Vec::new(), Vec::new()));
}
