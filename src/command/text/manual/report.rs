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
    objects.push(login(language));
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
        Field::new(
            "logins",
            "array",
            say("What came of each login of --login.", "--login によるログインの結果。"),
        ),
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
            "through_p11_kit",
            "array",
            say(
                "Those with p11-kit's proxy, which may bring the module.",
                "p11-kit のプロキシーを登録したもの。モジュールが使えることがあります。",
            ),
        ),
        Field::new(
            "in_front",
            "array",
            say(
                "What stands in the module's way there, and what is not known.",
                "そこでモジュールの妨げになるものと、分からないもの。",
            ),
        ),
    ];
    Object { places: "", fields }
}

fn login(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("reader", "string", say("The reader's name.", "カードリーダーの名前。")),
        Field::new("certificate", "string", say("Whose PIN it was.", "どの証明書の暗証番号か。"))
            .value("authentication", say("user authentication", "利用者証明用"))
            .value("signature", say("digital signatures", "署名用")),
        Field::new("result", "string", say("What came of it.", "結果。"))
            .value("done", say("the PIN was right", "正しい暗証番号だった"))
            .value("wrong_pin", say("the card refused it", "カードが拒否した"))
            .value(
                "malformed_pin",
                say("it cannot be the PIN; nothing was sent", "暗証番号の形ではないので送らなかった"),
            )
            .value(
                "repeated_pin",
                say("it was refused before; nothing was sent", "一度拒否されているので送らなかった"),
            )
            .value("locked", say("the PIN is locked", "暗証番号がロックされている"))
            .value(
                "reserved",
                say(
                    "reserve_tries keeps the tries that are left; nothing was sent",
                    "reserve_tries により送らなかった",
                ),
            )
            .value("cancelled", say("nothing was typed", "何も入力されなかった"))
            .value("no_terminal", say("there is no terminal to ask at", "入力する端末がない"))
            .value("failed", say("it failed", "失敗した")),
    ];
    Object { places: "logins[]", fields }
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
    Object { places: "registered[], through_p11_kit[]", fields }
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
            )
            .value(
                "sandboxed",
                say(
                    "the program is a snap or a Flatpak, and can load no module",
                    "snap または Flatpak で、モジュールを読み込めない",
                ),
            )
            .value(
                "unreadable_list",
                say("a list of profiles or modules cannot be read", "プロファイルなどの一覧を読み取れない"),
            )
            .value(
                "no_home",
                say("it is not known where the profiles are", "プロファイルの場所が分からない"),
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
            say(
                "The folder of the profile, the file, or the variable.",
                "プロファイルのフォルダー、ファイル、または環境変数。",
            ),
        ),
        Field::new(
            "module",
            "string|null",
            say("The module that it is about, as it is called there.", "そのモジュールの、そこでの名前。"),
        ),
        Field::new("library", "string|null", say("Its file.", "そのファイル。")),
    ];
    Object { places: "in_front[]", fields }
}
