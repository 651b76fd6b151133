//! What `ssh-key` says.

use super::Language;
use crate::ssh_key::NoKey;

pub(crate) fn no_key(language: Language, why: NoKey) -> &'static str {
    match why {
        NoKey::NotShown => language.choose(
            "The configuration shows the signature certificate only (slots)",
            "設定(slots)により、利用者証明用電子証明書は使えません",
        ),
        NoKey::Absent => language.choose(
            "The card has no certificate for user authentication",
            "このカードには利用者証明用電子証明書がありません",
        ),
        NoKey::NeedsPin => language.choose(
            "This card gives its key only after the PIN, so that ssh cannot find it",
            "このカードは暗証番号を入力するまで鍵を示さないため、ssh では使えません",
        ),
        NoKey::Unreadable => language.choose(
            "The certificate cannot be read, or has no RSA key",
            "証明書を読み取れないか、RSA の鍵ではありません",
        ),
    }
}
