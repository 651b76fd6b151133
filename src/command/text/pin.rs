//! What is said where PINs are asked for.

use jpki_pkcs11::error::{CardError, Error};
use jpki_pkcs11::jpki::credential::Credential;

use super::card::locked;
use super::card_error::japanese;
use super::{Language, say};
use crate::pin::NoPin;
use crate::status::report::{Card, Pin, Unlocking};

/// What a PIN is called.
pub(crate) fn name(language: Language, credential: Credential) -> &'static str {
    match credential {
        Credential::UserAuthentication => {
            language.choose("PIN for user authentication", "利用者証明用電子証明書の暗証番号")
        }
        Credential::DigitalSignature => {
            language.choose("PIN for digital signatures", "署名用電子証明書の暗証番号")
        }
    }
}

/// The form of a PIN.
pub(crate) fn rules(language: Language, credential: Credential) -> &'static str {
    match credential {
        Credential::UserAuthentication => language.choose("It has 4 digits.", "数字4桁です。"),
        Credential::DigitalSignature => language.choose(
            "It has 6 to 16 letters A to Z and digits, at least one of each. Small letters are taken as capitals.",
            "英字(A〜Z)と数字をどちらも含む6〜16文字です。小文字は大文字とみなします。",
        ),
    }
}

/// At which card a PIN is about to be asked for, and its tries: there may be several cards.
pub(crate) fn asked_for(language: Language, reader: &str, of: &Card, pin: Option<Pin>) -> String {
    let card = super::card::card(language, of);
    let tries = pin.map(|pin| super::card::tries(language, pin)).unwrap_or_default();
    format!("{reader}\n  {card}\n  {tries}")
}

pub(crate) fn prompt(language: Language, credential: Credential) -> String {
    let name = name(language, credential);
    say!(language, "{name}: ", "{name}: ")
}

pub(crate) fn current(language: Language) -> &'static str {
    language.choose("Current PIN: ", "現在の暗証番号: ")
}

pub(crate) fn new(language: Language) -> &'static str {
    language.choose("New PIN: ", "新しい暗証番号: ")
}

pub(crate) fn new_again(language: Language) -> &'static str {
    language.choose("New PIN, again: ", "新しい暗証番号(確認): ")
}

pub(crate) fn differ(language: Language) -> &'static str {
    language.choose(
        "The two new PINs differ. Nothing was changed.",
        "新しい暗証番号が一致しません。変更していません。",
    )
}

pub(crate) fn changed(language: Language) -> &'static str {
    language.choose("The PIN was changed.", "暗証番号を変更しました。")
}

pub(crate) fn no_card(language: Language) -> &'static str {
    language.choose(
        "No card that can be used: see jpki-pkcs11 status",
        "使えるカードがありません。jpki-pkcs11 status で確かめてください",
    )
}

pub(crate) fn several_cards(language: Language) -> &'static str {
    language
        .choose("More than one card: leave one of them in", "カードが2枚以上あります。1枚だけにしてください")
}

pub(crate) fn not_there(language: Language, credential: Credential) -> &'static str {
    match credential {
        Credential::UserAuthentication => language.choose(
            "The card has no certificate for user authentication",
            "このカードには利用者証明用電子証明書がありません",
        ),
        Credential::DigitalSignature => language.choose(
            "The card has no certificate for digital signatures",
            "このカードには署名用電子証明書がありません",
        ),
    }
}

pub(crate) fn no_pin(language: Language, why: NoPin) -> &'static str {
    match why {
        NoPin::Cancelled => language.choose(
            "Cancelled. Nothing was sent to the card.",
            "中止しました。カードには何も送っていません。",
        ),
        NoPin::NoTerminal => {
            language.choose("A PIN is asked for at a terminal only", "暗証番号は端末からのみ入力できます")
        }
        NoPin::NoMemory => language
            .choose("No memory for a PIN (ulimit -l)", "暗証番号のためのメモリーを確保できません(ulimit -l)"),
    }
}

/// Why a login or a change failed.
pub(crate) fn failure(
    language: Language,
    credential: Credential,
    unlocking: Unlocking,
    error: Error,
) -> String {
    let japanese = japanese(error);
    let Error::Card(error) = error else {
        return say!(language, "It failed: {error}", "失敗しました: {japanese}");
    };
    match error {
        CardError::PinIncorrect => say!(language, "Wrong PIN.", "暗証番号が違います。"),
        CardError::PinMalformed => {
            let rules = rules(language, credential);
            say!(
                language,
                "This cannot be the PIN; no try was lost. {rules}",
                "暗証番号の形式に合いません(回数は減っていません)。{rules}",
            )
        }
        CardError::PinRepeated => say!(
            language,
            "This PIN was refused before; no try was lost.",
            "この暗証番号は前に拒否されました(回数は減っていません)。",
        ),
        CardError::PinBlocked if unlocking == Unlocking::OfficeIfThereIsOne => {
            locked(language, credential, unlocking)
        }
        CardError::PinBlocked => {
            let advice = locked(language, credential, unlocking);
            say!(language, "The PIN is locked. {advice}", "暗証番号はロックされています。{advice}")
        }
        CardError::PinReserved => say!(
            language,
            "Nothing was sent: the configuration keeps the last tries of this PIN (reserve_tries).",
            "設定(reserve_tries)により最後の回数は使わないため、送っていません。",
        ),
        CardError::NewPinLength | CardError::NewPinCharacters => {
            let rules = rules(language, credential);
            say!(
                language,
                "This cannot be the new PIN. {rules} Nothing was changed.",
                "新しい暗証番号に使えません。{rules}変更していません。",
            )
        }
        CardError::NoCount => say!(
            language,
            "The card does not tell the tries left any more: nothing was sent. Take it out and put it in again.",
            "残りの回数をカードが答えないため、送っていません。カードを抜いて、もう一度差し込んでください。",
        ),
        CardError::Removed | CardError::NoCard | CardError::ChangeLost { removed: true } => {
            say!(language, "The card was removed.", "カードが抜かれました。")
        }
        other => say!(language, "The card did not do it: {other}", "カードの処理に失敗しました: {japanese}"),
    }
}

/// After a change of which the answer was lost.
pub(crate) fn try_new_first(language: Language) -> &'static str {
    language.choose(
        "It is not known whether the PIN was changed: try the new one first.",
        "変更されたかどうか分かりません。まず新しい暗証番号を試してください。",
    )
}

/// How many tries are left.
pub(crate) fn tries(language: Language, credential: Credential, tries: Option<u8>) -> String {
    let most = credential.facts().max_tries.count();
    match tries {
        None => say!(language, "The card does not tell the tries left.", "残りの回数をカードが答えません。"),
        Some(0) => say!(language, "It is locked.", "ロックされています。"),
        Some(1) => say!(
            language,
            "1 of {most} tries left.",
            "残り1回です({most}回中。次に間違えるとロックされます)。"
        ),
        Some(left) if left < most => say!(
            language,
            "{left} of {most} tries left.",
            "残り{left}回です({most}回中。あと{left}回連続で間違えるとロックされます)。",
        ),
        Some(left) => say!(
            language,
            "{left} of {most} tries left.",
            "残り{left}回です({most}回連続で間違えるとロックされます)。",
        ),
    }
}
