//! What `status` says of the service, the readers, and all together.

use super::{Language, say};
use crate::status::report::{Conclusion, Reader, ReaderState, Service};

pub(crate) fn service(language: Language, service: Service) -> &'static str {
    match service {
        Service::Running => language.choose("PC/SC service: running", "PC/SC サービス: 動作しています"),
        Service::Missing => language.choose("PC/SC service: does not answer", "PC/SC サービス: 応答しません"),
        Service::AccessRefused => {
            language.choose("PC/SC service: refuses access", "PC/SC サービス: アクセスを拒否しました")
        }
        Service::Failed => language.choose("PC/SC service: fails", "PC/SC サービス: エラーになりました"),
    }
}

pub(crate) fn service_advice(language: Language, service: Service) -> Option<&'static str> {
    match service {
        Service::Running => None,
        Service::Missing => Some(language.choose(
            "Install and start pcscd (Debian, Ubuntu: apt install pcscd; then systemctl enable --now pcscd.socket)",
            "pcscd をインストールして起動してください(Debian・Ubuntu: apt install pcscd のあと systemctl enable --now pcscd.socket)",
        )),
        Service::AccessRefused => Some(access_advice(language)),
        Service::Failed => Some(language.choose(
            "Restart it: systemctl restart pcscd",
            "再起動してください: systemctl restart pcscd",
        )),
    }
}

fn access_advice(language: Language) -> &'static str {
    language.choose(
        "polkit lets only the user at the desktop use cards, not ssh sessions and services: see README, polkit",
        "polkit の既定では、デスクトップにログイン中のユーザーだけがカードを使えます(ssh やサービスからは使えません)。README の polkit の項をご覧ください",
    )
}

pub(crate) fn no_reader(language: Language) -> &'static str {
    language.choose("Reader: none", "カードリーダー: ありません")
}

pub(crate) fn no_reader_advice(language: Language) -> &'static str {
    language.choose(
        "Plug a card reader in. If it is plugged in, its driver may be missing (Debian, Ubuntu: apt install libccid)",
        "カードリーダーを接続してください。接続済みの場合は、ドライバーが入っていない可能性があります(Debian・Ubuntu: apt install libccid)",
    )
}

pub(crate) fn reader(language: Language, reader: &Reader) -> String {
    // It comes from outside, and must not steer the terminal.
    let name = reader.name.replace(char::is_control, " ");
    say!(language, "Reader: {name}", "カードリーダー: {name}")
}

/// What is in a reader whose card cannot be used.
pub(crate) fn reader_state(language: Language, state: ReaderState) -> Option<&'static str> {
    Some(match state {
        ReaderState::Ready => return None,
        ReaderState::Ignored => {
            language.choose("left alone, as the configuration says", "設定により使いません")
        }
        ReaderState::NoCard => language.choose("no card", "カードがありません"),
        ReaderState::OtherCard => language.choose(
            "a card without the JPKI application: no My Number card",
            "マイナンバーカードではありません(公的個人認証サービスのアプリケーションがありません)",
        ),
        ReaderState::JukiCard => language.choose(
            "a juki card (住民基本台帳カード): its certificates have all expired",
            "住民基本台帳カードです。電子証明書はすべて有効期限が切れています",
        ),
        ReaderState::Unpowered => {
            language.choose("a card that does not start", "カードが応答しません(電源が入りません)")
        }
        ReaderState::HeldExclusively => language
            .choose("another program has the card for itself", "ほかのプログラムがカードを占有しています"),
        ReaderState::InTransaction => language
            .choose("another program is using the card now", "ほかのプログラムがカードを使っている最中です"),
        ReaderState::AccessRefused => {
            language.choose("the service refuses access to the card", "カードへのアクセスが拒否されました")
        }
        ReaderState::NoAnswer => {
            language.choose("the card does not answer as it should", "カードから正しい応答がありません")
        }
    })
}

/// What to do about it.
pub(crate) fn reader_advice(language: Language, state: ReaderState) -> Option<&'static str> {
    Some(match state {
        ReaderState::Ready => return None,
        ReaderState::Ignored => language.choose(
            "Change the configuration (readers), or use another reader",
            "設定(readers)を変えるか、別のカードリーダーを使ってください",
        ),
        ReaderState::NoCard => language.choose("Put the card in", "カードを置くか差し込んでください"),
        ReaderState::OtherCard | ReaderState::JukiCard => {
            language.choose("Put a My Number card in", "マイナンバーカードを使ってください")
        }
        ReaderState::Unpowered => language.choose(
            "Turn the card over, clean its contacts, and put it in again",
            "カードの向きと裏表を確かめ、金属端子を拭いてから、もう一度差し込んでください",
        ),
        ReaderState::HeldExclusively => language.choose(
            "End that program. GnuPG is often the one: gpgconf --kill scdaemon",
            "そのプログラムを終了してください。GnuPG であることが多く、その場合は gpgconf --kill scdaemon で終了します",
        ),
        ReaderState::InTransaction => {
            language.choose("Try again in a moment", "しばらくしてから、もう一度実行してください")
        }
        ReaderState::AccessRefused => access_advice(language),
        ReaderState::NoAnswer => {
            language.choose("Take the card out and put it in again", "カードを抜いて、もう一度差し込んでください")
        }
    })
}

/// The last line.
pub(crate) fn conclusion(language: Language, result: Conclusion) -> &'static str {
    match result {
        Conclusion::Well => language.choose("All is well.", "問題ありません。"),
        Conclusion::ToDo => language.choose(
            "There is something to do: see the lines with !",
            "対応が必要です。! の行をご覧ください。",
        ),
        Conclusion::CannotTell => language.choose(
            "Not everything is known: see the lines with ?",
            "確認できない項目があります。? の行をご覧ください。",
        ),
    }
}

pub(crate) fn no_json(language: Language) -> &'static str {
    language.choose("the report cannot be written", "結果を出力できません")
}
