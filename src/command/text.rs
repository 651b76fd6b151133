//! Every message of the command, in English and in Japanese next to each other. Below, a file for
//! each subject.
//!
//! A message is a function that takes the [`Language`] first. The Japanese terms are those of the
//! offices: 利用者証明用電子証明書, 署名用電子証明書, スマホ用電子証明書, 暗証番号, ロック, 失効,
//! 更新, 市区町村の窓口.

pub(crate) mod ca_certificate;
pub(crate) mod card;
pub(crate) mod card_error;
pub(crate) mod configuration;
pub(crate) mod help;
pub(crate) mod manual;
pub(crate) mod output;
pub(crate) mod pin;
pub(crate) mod profiles;
pub(crate) mod register;
pub(crate) mod ssh_key;
pub(crate) mod status;

use std::env;
use std::io::{self, ErrorKind};

/// The language that messages are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// English: everywhere but where the locale is Japanese.
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// The language of messages as the environment has it (POSIX, 8.2: the first of `LC_ALL`,
    /// `LC_MESSAGES` and `LANG` that is set and not empty).
    pub(crate) fn of_environment() -> Self {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let set = names.iter().filter_map(env::var_os).find(|value| !value.is_empty());
        set.map_or(Self::English, |locale| Self::of_locale(&locale.to_string_lossy()))
    }

    /// Of a text without variables the one in this language.
    pub(crate) fn choose(self, english: &'static str, japanese: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Japanese => japanese,
        }
    }

    fn of_locale(locale: &str) -> Self {
        let language = locale.split(['_', '.', '@', '-']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("ja") { Self::Japanese } else { Self::English }
    }
}

/// An error of the system by its number. Its own texts are English.
pub(crate) fn os_error(language: Language, error: Option<i32>) -> String {
    let error = error.map_or_else(|| io::Error::from(ErrorKind::Other), io::Error::from_raw_os_error);
    let japanese = match error.kind() {
        ErrorKind::PermissionDenied => "権限がありません",
        ErrorKind::NotFound => "見つかりません",
        ErrorKind::IsADirectory => "ファイルではなくフォルダーです",
        ErrorKind::NotADirectory => "フォルダーではありません",
        ErrorKind::AlreadyExists => "すでにあります",
        ErrorKind::ReadOnlyFilesystem => "読み取り専用のファイルシステムです",
        ErrorKind::StorageFull => "ディスクの空きがありません",
        _ => "システムのエラー",
    };
    let number = error.raw_os_error().map(|number| format!("(errno {number})")).unwrap_or_default();
    say!(language, "{error}", "{japanese}{number}")
}

/// One message with variables in both languages: `say!(language, "English {}", "日本語 {}", value)`.
/// Names in braces are those of variables in scope.
macro_rules! say {
    ($language:expr, $english:literal, $japanese:literal $(, $value:expr)* $(,)?) => {
        match $language {
            $crate::text::Language::English => format!($english $(, $value)*),
            $crate::text::Language::Japanese => format!($japanese $(, $value)*),
        }
    };
}
pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_the_language() {
        for locale in ["ja_JP.UTF-8", "ja", "ja_JP.eucJP", "ja-JP", "JA_jp"] {
            assert_eq!(Language::of_locale(locale), Language::Japanese, "{locale}");
        }
        for locale in ["C.UTF-8", "en_US.UTF-8", "jam_JM", "", "POSIX", "de_DE@ja"] {
            assert_eq!(Language::of_locale(locale), Language::English, "{locale}");
        }
    }
}
