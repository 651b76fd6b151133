//! What can be typed: the texts of `--help`, of the manual pages and of the completions.

use super::Language;

pub(crate) fn about(language: Language) -> &'static str {
    language.choose(
        "Use the certificates of the My Number card (JPKI): how they stand, and programs that use them",
        "マイナンバーカードの電子証明書(公的個人認証サービス)の状態を調べ、プログラムで使えるようにします",
    )
}

pub(crate) fn status(language: Language) -> &'static str {
    language.choose(
        "Say how service, readers, card, certificates and configuration stand (the default)",
        "サービス、リーダー、カード、電子証明書、設定の状態を表示します(省略時の動作)",
    )
}

pub(crate) fn json(language: Language) -> &'static str {
    language.choose("Print JSON, for scripts", "スクリプト用に JSON で出力します")
}

pub(crate) fn login(language: Language) -> &'static str {
    language.choose(
        "Ask for the PIN of the digital signature, and say until when its certificate is valid",
        "署名用電子証明書の暗証番号を尋ね、その有効期限も表示します",
    )
}

pub(crate) fn register(language: Language) -> &'static str {
    language.choose(
        "Put the module into this user's browsers and mail programs",
        "このユーザーのブラウザーやメールソフトにモジュールを登録します",
    )
}

pub(crate) fn unregister(language: Language) -> &'static str {
    language.choose(
        "Take the module out of this user's browsers and mail programs",
        "このユーザーのブラウザーやメールソフトからモジュールの登録を外します",
    )
}

pub(crate) fn program(language: Language) -> &'static str {
    language.choose("Which program", "対象のプログラム")
}

pub(crate) fn dry_run(language: Language) -> &'static str {
    language.choose("Say what would be done, and do nothing", "実行せず、行う内容だけを表示します")
}

pub(crate) fn library_dir(language: Language) -> &'static str {
    language.choose(
        "Where the three libraries are, if not beside this command",
        "3 つのライブラリーの場所(このコマンドと同じ場所にない場合)",
    )
}

pub(crate) fn remove_opensc(language: Language) -> &'static str {
    language.choose(
        "Take OpenSC's module out, and keep it from registering itself at login, without a question",
        "OpenSC のモジュールを確認なしで外し、ログイン時の再登録も止めます",
    )
}

pub(crate) fn ssh_key(language: Language) -> &'static str {
    language
        .choose("Print the line for ~/.ssh/authorized_keys", "~/.ssh/authorized_keys に書く 1 行を出力します")
}

pub(crate) fn change_pin(language: Language) -> &'static str {
    language.choose("Change a PIN, at the terminal", "暗証番号を変更します(端末で入力)")
}

pub(crate) fn credential(language: Language) -> &'static str {
    language.choose(
        "Which PIN: that of user authentication or that of the digital signature",
        "authentication は利用者証明用電子証明書の暗証番号、signature は署名用電子証明書の暗証番号",
    )
}

pub(crate) fn help(language: Language) -> &'static str {
    language.choose("Print help", "使い方を表示します")
}

pub(crate) fn version(language: Language) -> &'static str {
    language.choose("Print the version", "バージョンを表示します")
}

pub(crate) fn usage_heading(language: Language) -> &'static str {
    language.choose("Usage:", "使い方:")
}

pub(crate) fn commands_heading(language: Language) -> &'static str {
    language.choose("Commands", "コマンド")
}

pub(crate) fn options_heading(language: Language) -> &'static str {
    language.choose("Options", "オプション")
}

pub(crate) fn arguments_heading(language: Language) -> &'static str {
    language.choose("Arguments", "引数")
}
