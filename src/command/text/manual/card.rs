//! The fields of `--json`: readers, cards, certificates and PINs.

use super::Language;
use super::report::{Field, Object};

pub(super) fn objects(language: Language) -> Vec<Object> {
    vec![reader(language), card(language), certificate(language), validity(language), pin(language)]
}

fn reader(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("name", "string", say("The reader's name.", "カードリーダーの名前。")),
        Field::new("state", "string", say("How its card stands.", "カードの状態。"))
            .value("ready", say("it can be used", "使える"))
            .value("ignored", say("the configuration leaves the reader alone", "設定により使わない"))
            .value("no_card", say("there is none", "カードがない"))
            .value("other_card", say("it is no My Number card", "マイナンバーカードではない"))
            .value(
                "juki_card",
                say(
                    "it is a juki card, whose certificates have expired",
                    "住民基本台帳カードで、期限が切れている",
                ),
            )
            .value("unpowered", say("it does not start", "電源が入らない"))
            .value(
                "held_exclusively",
                say("another program has it for itself", "ほかのプログラムが占有している"),
            )
            .value("in_transaction", say("another program is using it", "ほかのプログラムが使っている最中"))
            .value(
                "access_refused",
                say("the service refuses it to this user", "サービスがこのユーザーを拒否した"),
            )
            .value("no_answer", say("it does not answer as it should", "正しい応答がない")),
        Field::new(
            "card",
            "object|null",
            say(
                "The card that can be used; null in every other state.",
                "使えるカード。ほかの状態では null です。",
            ),
        ),
    ];
    Object { places: "readers[]", fields }
}

fn card(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("kind", "string", say("What it is.", "種類。"))
            .value("my_number_card", say("a My Number card", "マイナンバーカード"))
            .value("android_phone", say("an Android phone", "Android スマートフォン"))
            .value("iphone", say("an iPhone", "iPhone"))
            .value("unknown", say("a card with the JPKI application", "公的個人認証サービスのカード")),
        Field::new(
            "serial_number",
            "string",
            say("What serial= of a PKCS#11 URI chooses by.", "PKCS#11 URI の serial= で選ぶときの値。"),
        ),
        Field::new(
            "authentication",
            "object|null",
            say(
                "The certificate for user authentication; null if the configuration does not show it.",
                "利用者証明用電子証明書。設定により見えなければ null です。",
            ),
        ),
        Field::new(
            "signature",
            "object|null",
            say("The same for digital signatures.", "署名用電子証明書。同じく null のことがあります。"),
        ),
    ];
    Object { places: "readers[].card", fields }
}

fn certificate(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("state", "string", say("Whether it was read.", "読み取れたかどうか。"))
            .value("read", say("it was", "読み取った"))
            .value(
                "needs_pin",
                say("only its PIN opens it: see --login", "暗証番号がないと読めない(--login を参照)"),
            )
            .value("absent", say("the card has none", "カードにない"))
            .value("unreadable", say("it cannot be read", "読み取れない")),
        Field::new(
            "validity",
            "object|null",
            say("Its dates; null unless it was read.", "期限。読み取れなければ null です。"),
        ),
        Field::new(
            "pin",
            "object|null",
            say(
                "Its PIN; null if the card has no such certificate.",
                "暗証番号。証明書がカードになければ null です。",
            ),
        ),
        Field::new(
            "pss",
            "boolean|null",
            say(
                "Whether its key makes RSASSA-PSS signatures, which TLS 1.3 wants; null if the card does not say.",
                "TLS 1.3 に必要な RSASSA-PSS の署名ができるかどうか。カードから分からなければ null です。",
            ),
        ),
    ];
    Object { places: "readers[].card.authentication, readers[].card.signature", fields }
}

fn validity(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("from", "string", say("The first day, YYYY-MM-DD.", "最初の日(YYYY-MM-DD)。")),
        Field::new("until", "string", say("The last day, YYYY-MM-DD.", "最後の日(YYYY-MM-DD)。")),
        Field::new(
            "days_left",
            "number",
            say(
                "How many days are left; negative after the last one.",
                "残りの日数。期限が切れると負の数になります。",
            ),
        ),
        Field::new(
            "renewable_from",
            "string",
            say("From when it can be renewed, YYYY-MM-DD.", "更新できるようになる日(YYYY-MM-DD)。"),
        ),
        Field::new(
            "renewal_months",
            "number",
            say("How many months before the end that is.", "それが期限の何か月前か。"),
        ),
        Field::new("phase", "string", say("What that means today.", "今日の状態。"))
            .value("valid", say("it is valid", "有効"))
            .value("renewable", say("it is valid, and can be renewed", "有効で、更新できる"))
            .value("expired", say("it has expired", "期限切れ")),
    ];
    Object { places: "readers[].card.authentication.validity, readers[].card.signature.validity", fields }
}

fn pin(language: Language) -> Object {
    let say = |english, japanese| language.choose(english, japanese);
    let fields = vec![
        Field::new("state", "string", say("How it stands.", "状態。"))
            .value("full", say("no try is missing", "残りの回数は減っていない"))
            .value("tries_missing", say("tries are missing", "残りの回数が減っている"))
            .value("last_try", say("one try is left", "残り 1 回"))
            .value(
                "reserved",
                say("reserve_tries keeps the tries that are left", "reserve_tries により使わない"),
            )
            .value("locked", say("no try is left", "ロックされている"))
            .value("unknown", say("the card does not tell", "カードが答えない")),
        Field::new(
            "tries_left",
            "number|null",
            say(
                "The tries left; null if the card does not tell.",
                "残りの回数。カードが答えなければ null です。",
            ),
        ),
        Field::new("max_tries", "number", say("The most there can be.", "最大の回数。")),
        Field::new(
            "unlocked_by",
            "string|null",
            say("Who sets a new PIN, if it is locked.", "ロックされているとき、再設定できるところ。"),
        )
        .value("office", say("the municipal office", "市区町村の窓口"))
        .value(
            "office_or_kiosk",
            say(
                "the office, or a kiosk that asks for the other PIN",
                "窓口、またはもう一方の暗証番号を求めるキオスク端末",
            ),
        )
        .value("phone", say("the phone's Mynaportal app", "スマートフォンのマイナポータルアプリ")),
        Field::new(
            "may_be_none",
            "boolean",
            say("Whether the card may have no PIN at all.", "暗証番号のないカードかもしれないかどうか。"),
        ),
    ];
    Object { places: "readers[].card.authentication.pin, readers[].card.signature.pin", fields }
}
