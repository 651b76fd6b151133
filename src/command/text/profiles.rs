//! What stands in this module's way in browsers and mail programs, and what to do.

use super::register::{cannot_load, instead, no_home, title};
use super::{Language, os_error, say};
use crate::profiles::{Found, Module, Problem, Profile, Unreadable};

/// Whether any program has the module. Lines on those that have it, and on what is in the way,
/// follow.
pub(crate) fn registered(language: Language, found: &Found) -> &'static str {
    if found.is_any_registered() {
        language.choose(
            "Browsers and mail programs with the module:",
            "モジュールを登録したブラウザーやメールソフト:",
        )
    } else if found.is_incomplete() {
        language.choose(
            "Browsers and mail programs with the module: not known",
            "モジュールを登録したブラウザーやメールソフト: 確認できません",
        )
    } else if found.is_only_sandboxed() {
        language.choose(
            "Browsers and mail programs with the module: none",
            "モジュールを登録したブラウザーやメールソフト: ありません",
        )
    } else {
        language.choose(
            "Browsers and mail programs with the module: none (jpki-pkcs11 register puts it in)",
            "モジュールを登録したブラウザーやメールソフト: ありません(登録するには: jpki-pkcs11 register)",
        )
    }
}

/// A profile with the module.
pub(crate) fn registered_in(profile: &Profile, module: &Module) -> String {
    format!("{}: {}", title(profile), module.library.display())
}

/// A profile with p11-kit's proxy.
pub(crate) fn through_p11_kit(language: Language, profile: &Profile, module: &Module) -> String {
    say!(
        language,
        "{}: through p11-kit ({}), with all its modules; p11-kit list-modules shows whether this one is among them",
        "{}: p11-kit({})を経由します。p11-kit list-modules で、このモジュールが含まれているか確かめられます",
        title(profile),
        module.library.display()
    )
}

/// A file that cannot be read, and why.
pub(crate) fn unreadable(language: Language, found: &Unreadable) -> String {
    say!(
        language,
        "{}: {} cannot be read: {}",
        "{}: {} を読み取れません: {}",
        found.program.name(),
        found.file.display(),
        os_error(language, found.error)
    )
}

/// One thing in the way, with the command that ends it.
pub(crate) fn problem(language: Language, problem: &Problem) -> String {
    match problem {
        Problem::OpenSc { profile, module } => say!(
            language,
            "{}: OpenSC's module ({}) serves this card too. Its PIN dialog may come first; a PIN in a wrong form \
             costs a try there. To take it out: jpki-pkcs11 register {} --remove-opensc",
            "{}: OpenSC のモジュール({})もこのカードを扱います。その暗証番号の入力画面が先に出ることがあり、\
             形式の違う暗証番号を入れても 1 回の間違いと数えられます。外すには: jpki-pkcs11 register {} --remove-opensc",
            title(profile),
            module.name,
            profile.program.word()
        ),
        Problem::Autostart { file } => say!(
            language,
            "{} puts OpenSC's module into browsers and mail programs at each login. \
             To end that: jpki-pkcs11 register --remove-opensc",
            "{} がログインのたびに OpenSC のモジュールをブラウザーやメールソフトに登録します。\
             止めるには: jpki-pkcs11 register --remove-opensc",
            file.display()
        ),
        Problem::SeveralOfOurs { profile, modules } => say!(
            language,
            "{}: {} libraries of jpki-pkcs11 stand here, and each asks for its PINs. \
             To keep the right one: jpki-pkcs11 register {}",
            "{}: jpki-pkcs11 のライブラリーが {} 個登録されていて、それぞれが暗証番号の入力を求めます。\
             正しいものだけを残すには: jpki-pkcs11 register {}",
            title(profile),
            modules.len(),
            profile.program.word()
        ),
        Problem::MissingFile { profile, module } => say!(
            language,
            "{}: {} is registered here, and is not there. To register the right one: jpki-pkcs11 register {}",
            "{}: 登録されている {} がありません。正しいものを登録するには: jpki-pkcs11 register {}",
            title(profile),
            module.library.display(),
            profile.program.word()
        ),
        Problem::Sandboxed { profile, sandbox } => {
            let cannot = cannot_load(language, profile, *sandbox);
            let instead = instead(language, profile);
            say!(language, "{}: {cannot} {instead}", "{}: {cannot}{instead}", title(profile))
        }
        Problem::Unreadable(found) => unreadable(language, found),
        Problem::NoHome => no_home(language).to_owned(),
    }
}
