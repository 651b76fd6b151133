//! What `status` says of the configuration.

use jpki_pkcs11::config::complaint::{Complaint, Mistake, Reason, Wanted};
use jpki_pkcs11::os::Distrust;

use super::{Language, say};
use crate::status::report::Configuration;

/// Which files there are.
pub(crate) fn files(language: Language, configuration: &Configuration) -> String {
    if configuration.files.is_empty() {
        return say!(
            language,
            "Configuration: no file, the defaults hold",
            "設定: 設定ファイルはありません(既定値を使います)"
        );
    }
    let files = configuration.files.join(", ");
    say!(language, "Configuration: {files}", "設定: {files}")
}

/// What differs from the defaults, as a file would have it.
pub(crate) fn settings(language: Language, configuration: &Configuration) -> Option<String> {
    let quoted = |value: &str| format!("{value:?}");
    let mut rows = vec![
        ("slots", quoted(configuration.slots), configuration.slots != "both"),
        ("reserve_tries", configuration.reserve_tries.to_string(), configuration.reserve_tries != 0),
        ("always_authenticate", "true".to_owned(), configuration.always_authenticate),
        ("pss", quoted(configuration.pss), configuration.pss != "auto"),
        (
            "ca_certificates",
            configuration.ca_certificates.to_owned(),
            configuration.ca_certificates != "auto",
        ),
    ];
    // The system's file and the user's each have their own, and both count.
    for filter in &configuration.readers {
        rows.push(("readers.use", format!("{:?}", filter.used), !filter.used.is_empty()));
        rows.push(("readers.ignore", format!("{:?}", filter.ignore), !filter.ignore.is_empty()));
    }
    rows.push(("readers.extended_length", "false".to_owned(), !configuration.extended_length));
    rows.push(("log.level", quoted(&configuration.log_level), configuration.log_level != "off"));
    let file = configuration.log_file.as_deref();
    rows.push(("log.file", quoted(file.unwrap_or_default()), file.is_some()));
    let set = rows.into_iter().filter(|(.., differs)| *differs);
    let set: Vec<_> = set.map(|(key, value, _)| format!("{key} = {value}")).collect();
    let list = set.join(", ");
    (!set.is_empty()).then(|| say!(language, "In force: {list}", "有効な設定: {list}"))
}

/// One mistake in it.
pub(crate) fn mistake(language: Language, complaint: &Complaint) -> String {
    let source = match &complaint.file {
        Some(file) => file.display().to_string(),
        None => language.choose("the environment", "環境変数").to_owned(),
    };
    match &complaint.mistake {
        Mistake::LeftOut(reason) => {
            let reason = left_out(language, reason);
            say!(
                language,
                "{source}: {reason}; the whole file is ignored, and one try of each PIN is kept in reserve",
                "{source}: {reason}。このファイル全体を無視し、各暗証番号の最後の1回は使いません",
            )
        }
        Mistake::Value { key, wanted } => {
            let wanted = value(language, *wanted);
            say!(
                language,
                "{source}: wrong value of {key}: {wanted}",
                "{source}: {key} の値が正しくありません({wanted})"
            )
        }
        Mistake::UnknownKey(Some(key)) => {
            say!(language, "{source}: no key {key}", "{source}: {key} というキーはありません")
        }
        Mistake::UnknownKey(None) => {
            say!(language, "{source}: a key that there is not", "{source}: 存在しないキーがあります")
        }
        Mistake::Misplaced(key) => {
            say!(
                language,
                "{source}: {key} is at a wrong place, or misspelt; it is in force",
                "{source}: {key} の場所またはつづりが正しくありませんが、有効です"
            )
        }
    }
}

fn left_out(language: Language, reason: &Reason) -> String {
    match reason {
        Reason::Syntax { line } => {
            say!(language, "a syntax error in line {line}", "{line} 行目に文法の誤りがあります")
        }
        Reason::Absent => say!(language, "there is no such file", "ファイルがありません"),
        Reason::TooDeep => say!(language, "its tables are nested too deeply", "テーブルの入れ子が深すぎます"),
        Reason::TooLong => say!(language, "it is too long", "長すぎます"),
        Reason::NotUtf8 => say!(language, "it is not UTF-8", "UTF-8 ではありません"),
        Reason::NoWay => say!(language, "you may not read it", "読み取る権限がありません"),
        Reason::Distrusted(Distrust::NotAFile) => {
            say!(language, "it is no regular file", "通常のファイルではありません")
        }
        Reason::Distrusted(Distrust::OtherOwner) => {
            say!(language, "another user owns it", "ほかのユーザーが所有しています")
        }
        Reason::Distrusted(Distrust::WritableByOthers) => {
            say!(language, "other users may write to it", "ほかのユーザーが書き込めます")
        }
        Reason::Unreadable(error) => say!(language, "it cannot be read: {error}", "読み取れません({error})"),
    }
}

fn value(language: Language, wanted: Wanted) -> String {
    match wanted {
        Wanted::OneOf(values) => {
            let values = values.join(language.choose(" | ", "、"));
            say!(language, "it must be one of {values}", "{values}のどれかにしてください")
        }
        Wanted::Taken(value) => say!(language, "{value} is taken", "{value} とみなします"),
        Wanted::Patterns => {
            say!(
                language,
                "it must be a pattern or a list of patterns",
                "パターン、またはパターンの配列にしてください"
            )
        }
        Wanted::AbsolutePath => say!(language, "it must be an absolute path", "絶対パスにしてください"),
        Wanted::Table => say!(language, "it must be a table", "テーブルにしてください"),
    }
}
