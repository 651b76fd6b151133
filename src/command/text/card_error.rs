//! What the card or the reader did instead, in Japanese. English users get the library's own words.

use jpki_pkcs11::error::{CardError, Error, TransportError};

/// Why something failed. What no person should meet is given by its PKCS#11 code.
pub(crate) fn japanese(error: Error) -> String {
    match error {
        Error::Card(error) => of_card(error),
        Error::TokenNotPresent => "カードがありません".to_owned(),
        Error::HostMemory => "メモリーが足りません".to_owned(),
        other => by_code(other),
    }
}

fn of_card(error: CardError) -> String {
    let text = match error {
        CardError::NoCard => "カードがありません",
        CardError::Removed | CardError::ChangeLost { removed: true } => "カードが抜かれました",
        CardError::NotJpki => "マイナンバーカードではありません",
        CardError::Juki => "住民基本台帳カードです。電子証明書はすべて有効期限が切れています",
        CardError::Unusable => {
            "カードが応答しません。カードの向きと裏表を確かめて、もう一度差し込んでください"
        }
        CardError::Held => "ほかのプログラムがカードを占有しているか、アクセスが拒否されました",
        CardError::SecretMemory => "暗証番号のためのメモリーを確保できません(ulimit -l)",
        CardError::NoCount => "残りの回数をカードが答えません",
        CardError::NoCertificate => "証明書を読み取れません",
        CardError::LeftVerified => "ほかのプログラムがカードを認証済みのままにしています",
        CardError::ChangeLost { removed: false } => "変更の結果を確認できませんでした",
        CardError::Malformed(_) => "カードから正しい応答がありません",
        CardError::Interrupted => of_transport_text(TransportError::Reset),
        CardError::Refused { status, .. } => return format!("カードが処理を拒否しました(応答 {status})"),
        CardError::Transport(error) | CardError::Unanswered(error) => return of_transport(error),
        CardError::PinMalformed
        | CardError::PinRepeated
        | CardError::PinIncorrect
        | CardError::PinBlocked
        | CardError::PinReserved
        | CardError::NewPinLength
        | CardError::NewPinCharacters
        | CardError::AlreadyLoggedIn
        | CardError::NotLoggedIn
        | CardError::PinStale
        | CardError::WrongSignature
        | CardError::ShuttingDown => return by_code(Error::Card(error)),
    };
    text.to_owned()
}

fn of_transport(error: TransportError) -> String {
    let text = of_transport_text(error);
    match error {
        TransportError::Failed(code) => format!("{text}(PC/SC {code:#010x})"),
        _ => text.to_owned(),
    }
}

fn of_transport_text(error: TransportError) -> &'static str {
    match error {
        TransportError::Removed => "カードが抜かれました",
        TransportError::Reset | TransportError::NotSent => {
            "ほかのプログラムがカードをリセットしました。もう一度実行してください"
        }
        TransportError::Busy => "ほかのプログラムがカードを占有しています",
        TransportError::Unpowered => {
            "カードに電源が入りません。カードの向きと裏表を確かめて、もう一度差し込んでください"
        }
        TransportError::NotReady => {
            "リーダーの準備ができていません。少し待ってから、もう一度実行してください"
        }
        TransportError::NoService => "PC/SC サービスが応答しません",
        TransportError::AccessDenied => "PC/SC サービスにアクセスを拒否されました",
        TransportError::BadLength => "カードから正しい応答がありません",
        TransportError::Failed(_) => "カードリーダーのエラーです",
    }
}

fn by_code(error: Error) -> String {
    format!("エラーコード {:#010x}", error.return_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of Rust's errors are English.
    #[test]
    fn no_english_sentence_stands_in_a_japanese_one() {
        for (error, text) in [
            (Error::Card(CardError::Held), "占有"),
            (Error::Card(CardError::Removed), "カードが抜かれました"),
            (Error::Card(CardError::Interrupted), "リセット"),
            (Error::Card(CardError::Transport(TransportError::Busy)), "占有"),
            (Error::Card(CardError::Unanswered(TransportError::Failed(0x8010_002f))), "(PC/SC 0x8010002f)"),
            (Error::TokenNotPresent, "カードがありません"),
            (Error::SessionCount, "エラーコード 0x000000b1"),
            (Error::Card(CardError::PinStale), "エラーコード 0x00000101"),
        ] {
            let said = japanese(error);
            assert!(said.contains(text), "{said}");
            assert!(!said.contains(&error.to_string()), "{said}");
        }
    }
}
