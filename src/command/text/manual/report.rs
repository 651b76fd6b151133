//! The fields of `--json`: the whole, the configuration and the programs. See
//! `status/report.rs`; a test compares.

use super::Language;
use super::card;

/// An object of the report.
pub(crate) struct Object {
    /// Where it stands, as jq writes it; two places of one kind have a comma between them. Empty
    /// for the whole.
    pub(crate) places: &'static str,
    pub(crate) fields: Vec<Field>,
}

/// A field of an object.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// What JSON calls it.
    pub(crate) kind: &'static str,
    pub(crate) meaning: &'static str,
    /// The values, if they are words, each with what it means.
    pub(crate) values: Vec<(&'static str, &'static str)>,
}

impl Field {
    pub(super) fn new(name: &'static str, kind: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, meaning, values: Vec::new() }
    }

    pub(super) fn value(mut self, value: &'static str, meaning: &'static str) -> Self {
        self.values.push((value, meaning));
        self
    }
}

/// All objects, from the whole to its parts.
pub(crate) fn objects(language: Language) -> Vec<Object> {
    let mut objects = vec![whole(language)];
    objects.extend(card::objects(language));
    objects.extend([configuration(language), reader_filter(language), registered(language)]);
    objects.push(in_front(language));
    objects
}

fn whole(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("version", "string", say("The version of this command.", "このコマンドのバージョン。")),
        Field::new("result", "string", say("What comes of everything.", "全体の結果。"))
            .value("well", say("exit status 0", "終了ステータス 0"))
            .value("to_do", say("exit status 1", "終了ステータス 1"))
            .value("cannot_tell", say("exit status 2", "終了ステータス 2")),
        Field::new("service", "string", say("The PC/SC service.", "PC/SC サービス。"))
            .value("running", say("it answers", "動作している"))
            .value("missing", say("it does not answer", "応答しない"))
            .value("access_refused", say("it refuses this user", "このユーザーを拒否した"))
            .value("failed", say("it fails", "エラーになった")),
        Field::new("readers", "array", say("The readers.", "カードリーダー。")),
        Field::new("configuration", "object", say("What is in force.", "有効な設定。")),
        Field::new(
            "registered",
            "array",
            say(
                "Browsers and mail programs with the module.",
                "モジュールを登録したブラウザーやメールソフト。",
            ),
        ),
        Field::new(
            "in_front",
            "array",
            say("What stands in the module's way there.", "そこでモジュールの妨げになるもの。"),
        ),
    ];
    Object { places: "", fields }
}

fn configuration(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("files", "array", say("The files that were read.", "読み込んだファイル。")),
        Field::new("mistakes", "array", say("What is wrong in them, in English.", "その間違い。英語です。")),
        Field::new("slots", "string", say("Which slots are shown.", "見えるスロット。"))
            .value("both", say("both", "両方"))
            .value("authentication", say("that of user authentication", "利用者証明用だけ"))
            .value("signature", say("that of digital signatures", "署名用だけ")),
        Field::new("reserve_tries", "number", say("How many last tries are kept.", "使わずに残す回数。")),
        Field::new(
            "always_authenticate",
            "boolean",
            say(
                "Whether each digital signature asks for the PIN.",
                "署名のたびに署名用の暗証番号を求めるかどうか。",
            ),
        ),
        Field::new("pss", "string", say("RSASSA-PSS signatures.", "RSASSA-PSS の署名。"))
            .value("auto", say("as the card says", "カードに従う"))
            .value("on", say("always", "常に使う"))
            .value("off", say("never", "使わない")),
        Field::new("ca_certificates", "string", say("The certificates of the CAs.", "認証局の証明書。"))
            .value(
                "auto",
                say("that of the signature CA, after login", "署名用の認証局のものを、ログイン後に見せる"),
            )
            .value("true", say("shown", "見せる"))
            .value("false", say("not shown", "見せない")),
        Field::new(
            "readers",
            "array",
            say(
                "Which readers are used: those that each of these lets pass.",
                "使うリーダー。このすべてに合うものを使います。",
            ),
        ),
        Field::new(
            "extended_length",
            "boolean",
            say("Whether commands of extended length may be tried.", "拡張長コマンドを試すかどうか。"),
        ),
        Field::new("log_level", "string", say("How much is logged.", "ログの詳しさ。"))
            .value("off", say("nothing", "記録しない"))
            .value("error", say("mistakes of the module", "モジュールの誤り"))
            .value("warn", say("what a user notices", "ユーザーが気付くこと"))
            .value("info", say("readers, cards and wrong PINs", "リーダー、カード、間違った暗証番号"))
            .value("debug", say("each call and its result", "すべての呼び出しとその結果"))
            .value("trace", say("the commands to the card, too", "カードへのコマンドも")),
        Field::new(
            "log_file",
            "string|null",
            say(
                "Where the log goes; null for the standard error stream.",
                "ログのファイル。標準エラーなら null です。",
            ),
        ),
    ];
    Object { places: "configuration", fields }
}

fn reader_filter(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let used = say(
        "Names of the readers that are used, with * and ?; all, if empty.",
        "使うリーダーの名前。* と ? を使えます。空ならすべてです。",
    );
    let ignored = say("Names of those that are left alone.", "使わないリーダーの名前。");
    let fields = vec![Field::new("use", "array", used), Field::new("ignore", "array", ignored)];
    Object { places: "configuration.readers[]", fields }
}

/// The programs that have profiles.
fn program(language: Language, kind: &'static str, meaning: &'static str) -> Field {
    let chromium =
        language.choose("Chromium, or a browser made from it", "Chromium、またはそれをもとにしたブラウザー");
    Field::new("program", kind, meaning)
        .value("firefox", "Firefox")
        .value("thunderbird", "Thunderbird")
        .value("chromium", chromium)
}

fn registered(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        program(language, "string", say("The program.", "プログラム。")),
        Field::new("profile", "string", say("The folder of its profile.", "プロファイルのフォルダー。")),
        Field::new(
            "library",
            "string",
            say("The library that stands there.", "登録されているライブラリー。"),
        ),
    ];
    Object { places: "registered[]", fields }
}

fn in_front(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("kind", "string", say("What it is.", "種類。"))
            .value(
                "opensc_module",
                say(
                    "OpenSC's module stands in the same profile",
                    "同じプロファイルに OpenSC のモジュールがある",
                ),
            )
            .value(
                "opensc_autostart",
                say("OpenSC registers itself at each login", "OpenSC がログインのたびに登録される"),
            )
            .value(
                "several_libraries",
                say("several libraries of this project stand there", "jpki-pkcs11 のライブラリーが複数ある"),
            )
            .value(
                "missing_library",
                say("the library that stands there is missing", "登録されているライブラリーがない"),
            ),
        program(
            language,
            "string|null",
            say(
                "The program; null for what is in no profile.",
                "プログラム。プロファイルにないものは null です。",
            ),
        ),
        Field::new(
            "place",
            "string",
            say("The folder of the profile, or the file.", "プロファイルのフォルダー、またはファイル。"),
        ),
    ];
    Object { places: "in_front[]", fields }
}
