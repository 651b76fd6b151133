//! What can be typed: the texts of `--help`, of the manual pages and of the completions.

use super::{Language, say};

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
        "署名用電子証明書の暗証番号の入力を求め、その有効期限も表示します",
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
    language.choose("Which program; all of them if not given", "対象のプログラム(省略時はすべて)")
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

pub(crate) fn ca_certificate(language: Language) -> &'static str {
    language.choose(
        "Print the certificate of the CA (PEM), for programs that check signatures; it needs no PIN",
        "署名を検証するプログラムのために認証局の証明書を PEM で出力します(暗証番号は不要)",
    )
}

pub(crate) fn certificate(language: Language) -> &'static str {
    language.choose(
        "Whose CA: that of the user authentication or that of the digital signature certificate",
        "authentication は利用者証明用電子証明書の認証局、signature は署名用電子証明書の認証局",
    )
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

pub(crate) fn usage(language: Language) -> &'static str {
    language.choose("jpki-pkcs11 [COMMAND] [OPTION]...", "jpki-pkcs11 [コマンド] [オプション]...")
}

/// After arguments that cannot be understood; `error` is what the parser says in English, with the
/// values that there are.
pub(crate) fn usage_error(
    language: Language,
    error: &str,
    word: Option<String>,
    values: &[String],
) -> String {
    let error = error.trim_end();
    let word = word.map_or_else(String::new, |word| format!(": {word}"));
    let values = japanese_values(values);
    say!(
        language,
        "{error}",
        "引数が正しくありません{word}{values}\n詳しくは jpki-pkcs11 --help をご覧ください"
    )
}

/// The same where an argument may be a PIN: none is shown, since a screen has onlookers.
pub(crate) fn hidden_usage_error(language: Language, values: &[String]) -> String {
    let english = match values {
        [] => String::new(),
        values => format!("\n  [possible values: {}]", values.join(", ")),
    };
    let japanese = japanese_values(values);
    say!(
        language,
        "error: wrong arguments; they are not shown, since one may be a PIN{english}\n\n\
         A PIN is asked for at the terminal, and is no argument: the shell's history keeps those.\n\
         For more information, try '--help'.",
        "引数が正しくありません(暗証番号かもしれないため表示しません){japanese}\n\
         暗証番号は引数にせず、端末で入力してください。引数はシェルの履歴に残ります\n\
         詳しくは jpki-pkcs11 --help をご覧ください",
    )
}

fn japanese_values(values: &[String]) -> String {
    if values.is_empty() { String::new() } else { format!("\n指定できる値: {}", values.join("、")) }
}

pub(crate) fn name_heading(language: Language) -> &'static str {
    language.choose("NAME", "名前")
}

pub(crate) fn synopsis_heading(language: Language) -> &'static str {
    language.choose("SYNOPSIS", "書式")
}

pub(crate) fn description_heading(language: Language) -> &'static str {
    language.choose("DESCRIPTION", "説明")
}

pub(crate) fn description(language: Language) -> &'static str {
    language.choose(
        "Without a command it says how things stand: the PC/SC service, the readers, the card, its certificates and \
         PINs, and the configuration. That needs no PIN and costs no try. A line with ! says what to do, a line with ? \
         says what is not known. A PIN is asked for at the terminal only, and is not shown.",
        "コマンドを省略すると、PC/SC サービス、カードリーダー、カード、電子証明書、暗証番号、設定の状態を表示します。\
         暗証番号は不要で、残りの回数も減りません。! の行は対応が必要なこと、? の行は確認できないことを示します。\
         暗証番号は端末からのみ入力でき、画面には表示されません。",
    )
}

pub(crate) fn exit_heading(language: Language) -> &'static str {
    language.choose("EXIT STATUS", "終了ステータス")
}

pub(crate) fn exit_statuses(language: Language) -> [(&'static str, &'static str); 3] {
    [
        ("0", language.choose("All is well, or it was done.", "問題ありません。または、実行しました。")),
        (
            "1",
            language.choose(
                "There is something for you to do: a line with !, or what was asked for was refused.",
                "対応が必要です(! の行)。または、拒否されました。",
            ),
        ),
        (
            "2",
            language.choose(
                "It is not known (a line with ?), it failed, the arguments are wrong, or the result cannot be written.",
                "確認できません(? の行)。または、失敗した、引数が正しくない、結果を出力できない、のどれかです。",
            ),
        ),
    ]
}

pub(crate) fn environment_heading(language: Language) -> &'static str {
    language.choose("ENVIRONMENT", "環境変数")
}

pub(crate) fn environment(language: Language) -> [(&'static str, &'static str); 5] {
    [
        (
            "LC_ALL, LC_MESSAGES, LANG",
            language.choose(
                "Messages are in Japanese where these say ja.",
                "ja で始まる値なら、メッセージは日本語になります。",
            ),
        ),
        (
            "JPKI_PKCS11_CONF",
            language.choose(
                "The user's configuration, in place of the file below. This and the next two hold for the module, too.",
                "ユーザーの設定ファイル。下のファイルの代わりに使います。これと次の二つは、モジュールと共通です。",
            ),
        ),
        (
            "JPKI_PKCS11_LOG",
            language.choose(
                "How much is logged: off, error, warn, info, debug or trace.",
                "ログの詳しさ: off、error、warn、info、debug、trace のどれか。",
            ),
        ),
        (
            "JPKI_PKCS11_LOG_FILE",
            language.choose(
                "Where the log goes, in place of the standard error stream.",
                "ログを書くファイル。なければ標準エラーに出力します。",
            ),
        ),
        (
            "XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_CONFIG_DIRS",
            language.choose(
                "Where the configuration, profiles and autostart entries are, if not in ~/.config, ~/.local/share \
                 and /etc/xdg.",
                "設定、プロファイル、自動起動のファイルの場所(~/.config、~/.local/share、/etc/xdg でない場合)。",
            ),
        ),
    ]
}

pub(crate) fn files_heading(language: Language) -> &'static str {
    language.choose("FILES", "ファイル")
}

pub(crate) fn files(language: Language) -> [(&'static str, &'static str); 4] {
    [
        (
            "~/.config/jpki-pkcs11.toml",
            language.choose(
                "The user's configuration. It must belong to the user or to root, and no other user may be able to \
                 write it.",
                "ユーザーの設定です。所有者はユーザーか root で、ほかのユーザーが書き込めないファイルに限ります。",
            ),
        ),
        (
            "/etc/jpki-pkcs11.toml",
            language.choose(
                "The system's configuration, which must belong to root. It counts beside the user's: of two values \
                 of reserve_tries, always_authenticate, slots or readers the stricter one holds, otherwise the \
                 user's does.",
                "システム全体の設定です。所有者は root に限ります。ユーザーの設定と合わせて有効です。reserve_tries、\
                 always_authenticate、slots、readers の値が二つあれば厳しいほう、それ以外はユーザーの値を使います。",
            ),
        ),
        (
            "/usr/share/doc/jpki-pkcs11/examples/jpki-pkcs11.toml",
            language.choose("An example that explains every key.", "設定例です。すべての項目の説明があります。"),
        ),
        (
            "~/.config/autostart/pkcs11-register.desktop",
            language.choose(
                "By this file register --remove-opensc ends OpenSC's autostart.",
                "register --remove-opensc が、OpenSC の自動登録を止めるために書きます。",
            ),
        ),
    ]
}
