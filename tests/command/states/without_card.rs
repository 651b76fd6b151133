//! What keeps a card from being used.

use serde_json::{Value, json};

use super::{STATE, State, with_card};

/// States in which no card can be used.
pub(super) fn without_card() -> Vec<State> {
    vec![
        with_card("no pcscd", "do=kill-service", 1)
            .says(
                &["PC/SC service: does not answer", "! Install and start pcscd"],
                &["PC/SC サービス: 応答しません", "! pcscd をインストールして起動してください"],
            )
            .tells("/service", "missing")
            .tells("/readers", json!([])),
        with_card(
            "polkit refuses the service",
            "reader=READER;card=full;do=inject EstablishContext 1 endless fail 0x8010006a",
            1,
        )
        .says(
            &["PC/SC service: refuses access", "! polkit lets only the user at the desktop use cards"],
            &["PC/SC サービス: アクセスを拒否しました", "! polkit の既定では"],
        )
        .tells("/service", "access_refused"),
        with_card(
            "polkit refuses the card",
            "reader=READER;card=full;do=inject Connect 1 endless fail 0x8010006a",
            1,
        )
        .says(
            &["the service refuses access to the card", "! polkit lets only"],
            &["カードへのアクセスが拒否されました", "! polkit の既定では"],
        )
        .tells("/service", "running")
        .tells(STATE, "access_refused"),
        with_card("no reader", "", 1)
            .says(
                &[
                    "Reader: none",
                    "! Plug a card reader in",
                    "its driver may be missing (Debian, Ubuntu: apt install libccid)",
                ],
                &[
                    "カードリーダー: ありません",
                    "! カードリーダーを接続してください",
                    "ドライバーが入っていない可能性があります",
                ],
            )
            .tells("/service", "running"),
        with_card("no card", "reader=READER", 1)
            .says(
                &["no card", "! Put the card in"],
                &["カードがありません", "! カードを置くか差し込んでください"],
            )
            .tells(STATE, "no_card")
            .tells("/readers/0/card", Value::Null),
        with_card(
            "a program that has the card for itself",
            "reader=READER;card=full;do=foreign READER gpg exclusive",
            1,
        )
        .says(
            &["another program has the card for itself", "! End that program", "gpgconf --kill scdaemon"],
            &["ほかのプログラムがカードを占有しています", "! そのプログラムを終了してください"],
        )
        .tells(STATE, "held_exclusively"),
        with_card(
            "a program that does not end its transaction",
            "reader=READER;card=full;do=foreign READER other transaction",
            2,
        )
        .says(
            &["another program is using the card now", "? Try again in a moment", "Not everything is known"],
            &[
                "ほかのプログラムがカードを使っている最中です",
                "? しばらくしてから",
                "確認できない項目があります",
            ],
        )
        .tells(STATE, "in_transaction"),
        with_card(
            "a card upside down",
            "reader=READER;card=full;do=inject Connect 1 endless fail 0x80100067",
            1,
        )
        .says(
            &["a card that does not start", "! Turn the card over"],
            &["カードが応答しません", "! カードの向きと裏表を確かめ"],
        )
        .tells(STATE, "unpowered"),
        with_card("a card that is mute", "reader=READER;card=full;do=card full1 fault always answer 6F", 1)
            .says(
                &["the card does not answer as it should", "! Take the card out and put it in again"],
                &["カードから正しい応答がありません", "! カードを抜いて"],
            )
            .tells(STATE, "no_answer"),
        with_card("a card of another kind", "reader=READER;card=other", 1)
            .says(
                &["a card without the JPKI application", "! Put a My Number card in"],
                &["マイナンバーカードではありません", "! マイナンバーカードを使ってください"],
            )
            .tells(STATE, "other_card"),
        with_card("a juki card", "reader=READER;card=juki", 1)
            .says(
                &["a juki card", "its certificates have all expired", "! Put a My Number card in"],
                &[
                    "住民基本台帳カードです",
                    "すべて有効期限が切れています",
                    "! マイナンバーカードを使ってください",
                ],
            )
            .tells(STATE, "juki_card"),
        with_card("a reader that the configuration leaves alone", "reader=READER;card=full", 1)
            .configured("readers = { ignore = \"*Virtual*\" }")
            .says(
                &[
                    "left alone, as the configuration says",
                    "! Change the configuration (readers), or use another reader",
                ],
                &["設定により使いません", "! 設定(readers)を変えるか、別のカードリーダーを使ってください"],
            )
            .tells(STATE, "ignored"),
    ]
}
