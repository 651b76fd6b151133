//! What `ca-certificate` says.

use super::Language;

pub(crate) fn none(language: Language) -> &'static str {
    language.choose(
        "The card gives no CA certificate that can be read",
        "カードから認証局の証明書を読み取れません",
    )
}
