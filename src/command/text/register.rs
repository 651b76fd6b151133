//! What `register` and `unregister` say.

use std::path::{Path, PathBuf};

use super::{Language, say};
use crate::profiles::{InUse, Module, Profile, Program, Sandbox};
use crate::register::Plan;

pub(crate) fn no_home(language: Language) -> &'static str {
    language.choose(
        "HOME names no folder, so that the profiles cannot be found.",
        "環境変数 HOME がフォルダーを指していないため、プロファイルを探せません。",
    )
}

pub(crate) fn no_modutil(language: Language) -> &'static str {
    language.choose(
        "modutil is missing; it changes the profiles. Nothing was changed. Install it, then run this again:\n  \
         Debian, Ubuntu: sudo apt install libnss3-tools\n  Fedora: sudo dnf install nss-tools",
        "プロファイルを変更する modutil がありません。何も変更していません。次のようにインストールしてから、\
         もう一度実行してください。\n  Debian, Ubuntu: sudo apt install libnss3-tools\n  \
         Fedora: sudo dnf install nss-tools",
    )
}

pub(crate) fn no_library(language: Language, name: &str, folders: &[PathBuf]) -> String {
    let found = say!(
        language,
        "{} was not found. Nothing was changed. Say where it is: --library-dir DIR",
        "{} が見つかりません。何も変更していません。--library-dir DIR で場所を指定してください。",
        name
    );
    folders.iter().fold(found, |text, folder| {
        let searched = language.choose("searched", "探した場所");
        format!("{text}\n  {searched}: {}", folder.display())
    })
}

pub(crate) fn no_profile(language: Language, program: Program) -> String {
    let name = program.name();
    say!(
        language,
        "{}: no profile found. If you use {}, start it once, then run this again.",
        "{}: プロファイルがありません。{} を使う場合は、一度起動してから、もう一度実行してください。",
        name,
        name
    )
}

pub(crate) fn nothing_to_unregister(language: Language, program: Program) -> String {
    say!(language, "{}: no profile found.", "{}: プロファイルがありません。", program.name())
}

/// A program that can load no module of the system.
pub(crate) fn cannot_load(language: Language, profile: &Profile, sandbox: Sandbox) -> String {
    let kind = match sandbox {
        Sandbox::Snap => "snap",
        Sandbox::Flatpak => "Flatpak",
    };
    say!(
        language,
        "this {} comes as a {} and cannot load a module of this system.",
        "この {} は {} のため、システムのモジュールを読み込めません。",
        profile.program.name(),
        kind
    )
}

/// What to do about it.
pub(crate) fn instead(language: Language, profile: &Profile) -> String {
    say!(
        language,
        "Install {} as a package of the system (.deb, .rpm) instead.",
        "代わりに、システムのパッケージ(.deb、.rpm)の {} をインストールしてください。",
        profile.program.name()
    )
}

pub(crate) fn sandboxed(language: Language, profile: &Profile, sandbox: Sandbox) -> String {
    let (cannot, instead) = (cannot_load(language, profile, sandbox), instead(language, profile));
    let unchanged = nothing_changed(language);
    let space = language.choose(" ", "");
    format!("{}\n  {cannot}{space}{unchanged}\n  {instead}", title(profile))
}

/// Of such a program nothing has to be taken out.
pub(crate) fn sandboxed_anyway(language: Language, profile: &Profile, sandbox: Sandbox) -> String {
    let cannot = cannot_load(language, profile, sandbox);
    let nothing = language.choose("There is nothing to take out.", "外すものはありません。");
    let space = language.choose(" ", "");
    format!("{}\n  {cannot}{space}{nothing}", title(profile))
}

fn nothing_changed(language: Language) -> &'static str {
    language.choose("Nothing was changed here.", "何も変更していません。")
}

pub(crate) fn of_another_user(language: Language, profile: &Profile) -> String {
    let text = language.choose(
        "belongs to another user. Nothing was changed here. Run this as that user, without sudo.",
        "別のユーザーのものです。何も変更していません。sudo を使わずに、そのユーザーで実行してください。",
    );
    format!("{}\n  {text}", title(profile))
}

pub(crate) fn too_old(language: Language, profile: &Profile) -> String {
    let text = say!(
        language,
        "was made by an old version. Nothing was changed here. Start {} once, then run this again.",
        "古いバージョンの形式です。何も変更していません。{} を一度起動してから、もう一度実行してください。",
        profile.program.name()
    );
    format!("{}\n  {text}", title(profile))
}

pub(crate) fn in_use(language: Language, profile: &Profile, found: &InUse) -> String {
    let name = profile.program.name();
    let text = match found.process {
        Some(process) => say!(
            language,
            "is in use (process {}). Nothing was changed here. Close {}, then run this again.",
            "使用中です(プロセス {})。何も変更していません。{} を終了してから、もう一度実行してください。",
            process,
            name
        ),
        None => say!(
            language,
            "is in use, perhaps on another machine. Nothing was changed here. Close {}, then run this again. \
             If it does not run, remove {}",
            "使用中です(別のコンピューターの可能性があります)。何も変更していません。{} を終了してから、\
             もう一度実行してください。動いていない場合は、次のファイルを削除してください: {}",
            name,
            found.lock.display()
        ),
    };
    format!("{}\n  {text}", title(profile))
}

pub(crate) fn failed(language: Language, profile: &Profile, why: &str) -> String {
    let text = say!(language, "failed: {}", "失敗しました: {}", why);
    format!("{}\n  {text}", title(profile))
}

pub(crate) fn nothing_to_do(language: Language, profile: &Profile, plan: &Plan) -> String {
    let text = match &plan.kept {
        Some(module) => {
            say!(language, "already registered: {}", "登録済みです: {}", module.library.display())
        }
        None => language.choose("not registered here.", "登録されていません。").to_owned(),
    };
    format!("{}\n  {text}", title(profile))
}

/// What was done to a profile.
pub(crate) fn changed(language: Language, profile: &Profile, taken_out: &[&Module], plan: &Plan) -> String {
    let mut text = title(profile);
    for module in taken_out {
        text.push_str("\n  ");
        text.push_str(&say!(language, "taken out: {}", "登録を外しました: {}", module_line(module)));
    }
    if let Some(module) = &plan.add {
        text.push_str("\n  ");
        text.push_str(&say!(language, "registered: {}", "登録しました: {}", module_line(module)));
    }
    text
}

pub(crate) fn thunderbird_needs_ca(language: Language) -> &'static str {
    language.choose(
        "Next: have Thunderbird trust the certificate's CA (README, Thunderbird).",
        "次に、電子証明書の認証局を Thunderbird に登録してください(README の Thunderbird の項)。",
    )
}

/// What would be done to a profile.
pub(crate) fn would_change(
    language: Language,
    profile: &Profile,
    taken_out: &[&Module],
    plan: &Plan,
) -> String {
    let mut text = title(profile);
    for module in taken_out {
        text.push_str("\n  ");
        text.push_str(&say!(language, "would be taken out: {}", "登録を外す対象: {}", module_line(module)));
    }
    if let Some(module) = &plan.add {
        text.push_str("\n  ");
        text.push_str(&say!(language, "would be registered: {}", "登録する対象: {}", module_line(module)));
    }
    text
}

pub(crate) fn dry_run(language: Language) -> &'static str {
    language.choose("Dry run: nothing was changed.", "確認のみのため、何も変更していません。")
}

pub(crate) fn opensc_in_front(language: Language, profiles: &[&Profile], autostart: Option<&Path>) -> String {
    let finding = language.choose(
        "OpenSC's module serves this card too. Its PIN dialog may come first; a PIN in a wrong form costs a try there.",
        "OpenSC のモジュールもこのカードを扱います。その暗証番号の入力画面が先に出ることがあり、\
         形式の違う暗証番号を入れても 1 回の間違いと数えられます。",
    );
    let mut text = finding.to_owned();
    for profile in profiles {
        text.push_str("\n  ");
        text.push_str(&say!(language, "it is registered in: {}", "登録されている場所: {}", title(profile)));
    }
    if let Some(entry) = autostart {
        text.push_str("\n  ");
        text.push_str(&say!(
            language,
            "it is registered at each login by: {}",
            "ログインのたびに登録するもの: {}",
            entry.display()
        ));
    }
    text
}

/// The question. It ends with a blank, and the answer follows it.
pub(crate) fn ask_to_remove_opensc(language: Language, is_there: bool) -> &'static str {
    if is_there {
        language.choose(
            "Take it out and keep it out? Other cards that need OpenSC stop working in these programs. [y/N] ",
            "これを外し、再登録も止めますか? OpenSC を使う他のカードは、これらのプログラムで使えなくなります。[y/N] ",
        )
    } else {
        language.choose(
            "Keep it out? Other cards that need OpenSC do not work in browsers and mail programs then. [y/N] ",
            "この登録を止めますか? OpenSC を使う他のカードは、ブラウザーやメールソフトで使えなくなります。[y/N] ",
        )
    }
}

pub(crate) fn opensc_stays(language: Language, is_there: bool) -> &'static str {
    if is_there {
        language.choose(
            "OpenSC's module stays. To take it out and keep it out: jpki-pkcs11 register --remove-opensc",
            "OpenSC のモジュールはそのままです。外して再登録も止めるには: jpki-pkcs11 register --remove-opensc",
        )
    } else {
        language.choose(
            "To keep OpenSC's module out: jpki-pkcs11 register --remove-opensc",
            "OpenSC のモジュールの登録を止めるには: jpki-pkcs11 register --remove-opensc",
        )
    }
}

pub(crate) fn autostart_ended(language: Language, entry: &Path, own: &Path) -> String {
    say!(
        language,
        "OpenSC no longer registers itself at login: {} hides {}",
        "OpenSC はログイン時に再登録されなくなりました: {} が {} を無効にします",
        own.display(),
        entry.display()
    )
}

pub(crate) fn would_end_autostart(language: Language, entry: &Path, own: &Path) -> String {
    say!(
        language,
        "would be written: {}, which hides {}",
        "書き込む対象: {} ({} を無効にします)",
        own.display(),
        entry.display()
    )
}

pub(crate) fn entry_replaced(language: Language, own: &Path, kept: &Path) -> String {
    say!(
        language,
        "OpenSC no longer registers itself at login: {} ends that. Yours is kept as {}; unregister puts it back.",
        "OpenSC はログイン時に再登録されなくなりました: {} で止めます。元のファイルは {} に残し、unregister で元に戻します。",
        own.display(),
        kept.display()
    )
}

pub(crate) fn would_replace_entry(language: Language, own: &Path, kept: &Path) -> String {
    say!(
        language,
        "would be replaced: {}; yours would be kept as {}",
        "置き換える対象: {} (元のファイルは {} に残します)",
        own.display(),
        kept.display()
    )
}

pub(crate) fn entry_put_back(language: Language, own: &Path) -> String {
    say!(
        language,
        "put back {}: it counts again at the next login.",
        "{} を元に戻しました。次のログインから有効になります。",
        own.display()
    )
}

pub(crate) fn would_put_entry_back(language: Language, own: &Path) -> String {
    say!(language, "would be put back: {}", "元に戻す対象: {}", own.display())
}

pub(crate) fn autostart_stays(language: Language, own: &Path, why: &str) -> String {
    say!(
        language,
        "OpenSC will register itself again at login, since {} cannot be written: {}",
        "{} に書き込めないため、OpenSC はログイン時に再登録されます: {}",
        own.display(),
        why
    )
}

pub(crate) fn entry_removed(language: Language, own: &Path) -> String {
    say!(
        language,
        "removed {}: OpenSC registers itself again at the next login.",
        "{} を削除しました。OpenSC は次のログイン時に再登録されます。",
        own.display()
    )
}

pub(crate) fn would_remove_entry(language: Language, own: &Path) -> String {
    say!(language, "would be removed: {}", "削除する対象: {}", own.display())
}

/// A profile, as the first line of what is said about it.
pub(crate) fn title(profile: &Profile) -> String {
    format!("{}, {}", profile.program.name(), profile.directory.display())
}

/// A module, with the name that it has in the profile.
fn module_line(module: &Module) -> String {
    format!("{} ({})", module.library.display(), module.name)
}
