//! Cards, their certificates, and their PINs.

use serde_json::{Value, json};

use super::{CARD, STATE, State, with_card};

/// States of a card that can be used.
pub(super) fn with_card_states() -> Vec<State> {
    vec![
        with_card("all well", "reader=READER;card=full", 0)
            .says(
                &[
                    "PC/SC service: running\nReader: Virtual Reader 00 00\n  Card: My Number card (number ",
                    "User authentication certificate",
                    " days left)",
                    "Renewal: from ",
                    "-10-01 (three months before the end), at the municipal office",
                    "PIN: 3 of 3 tries left",
                    "PIN: 5 of 5 tries left",
                    "only its PIN opens the certificate; see jpki-pkcs11 status --login",
                    "PKCS #1 v1.5 and PSS (TLS 1.3)",
                    "Configuration: no file",
                    "All is well.",
                ],
                &[
                    "カードリーダー: Virtual Reader 00 00\n  カード: マイナンバーカード(識別番号 ",
                    "利用者証明用電子証明書\n    有効期限: ",
                    "年1月1日(あと",
                    "年10月1日から市区町村の窓口でできます(有効期限の3か月前から)",
                    "暗証番号: 残り3回(3回連続で間違えるとロックされます)",
                    "暗証番号: 残り5回(5回連続で間違えるとロックされます)",
                    "署名用電子証明書\n    有効期限: 暗証番号がないと読めません",
                    "PSS(TLS 1.3 で使えます)",
                    "設定ファイルはありません",
                    "問題ありません。",
                ],
            )
            .tells("/service", "running")
            .tells(STATE, "ready")
            .tells(CARD, "my_number_card")
            .tells("/readers/0/card/authentication/state", "read")
            .tells("/readers/0/card/authentication/validity/phase", "valid")
            .tells("/readers/0/card/authentication/validity/renewal_months", 3)
            .tells(
                "/readers/0/card/authentication/pin",
                json!({"state": "full", "tries_left": 3, "max_tries": 3, "unlocked_by": null, "may_be_none": false}),
            )
            .tells("/readers/0/card/authentication/pss", true)
            .tells("/readers/0/card/signature/state", "needs_pin")
            .tells("/readers/0/card/signature/validity", Value::Null)
            .tells("/readers/0/card/signature/pin/tries_left", 5),
        with_card("expired", "reader=READER;card=expired", 1)
            .says(
                &["Expired on ", "! Get a new one, at the municipal office"],
                &["有効期限: ", "(期限切れ)", "! 市区町村の窓口で新しい電子証明書の発行を受けてください"],
            )
            .tells("/readers/0/card/authentication/validity/phase", "expired"),
        with_card("expiring", "reader=READER;card=expiring", 1)
            .says(
                &[
                    "(30 days left)",
                    "! Renew it now, at the municipal office",
                    "(three months before the end)",
                ],
                &[
                    "(あと30日)",
                    "! 今すぐ市区町村の窓口で更新してください",
                    "から更新できるようになっています(有効期限の3か月前から)",
                ],
            )
            .tells("/readers/0/card/authentication/validity/days_left", 30)
            .tells("/readers/0/card/authentication/validity/phase", "renewable"),
        with_card("the last day", "reader=READER;card=last-day", 1)
            .says(
                &[": today is the last day\n    ! Renew it now, at the municipal office"],
                &["(今日まで)\n    ! 今すぐ市区町村の窓口で更新してください"],
            )
            .tells("/readers/0/card/authentication/validity/days_left", 0)
            .tells("/readers/0/card/authentication/validity/phase", "renewable"),
        with_card("one day left", "reader=READER;card=one-day-left", 1)
            .says(&["(1 day left)\n    ! Renew it now"], &["(あと1日)\n    ! 今すぐ市区町村の窓口で"])
            .tells("/readers/0/card/authentication/validity/days_left", 1),
        with_card("ten years, not yet renewable", "reader=READER;card=ten-years-early", 0)
            .says(
                &["(500 days left)\n    Renewal: from ", " (one year before the end), at the municipal office\n"],
                &["(あと500日)\n    更新: ", "から市区町村の窓口でできます(有効期限の1年前から)"],
            )
            .tells("/readers/0/card/authentication/validity/phase", "valid")
            .tells("/readers/0/card/authentication/validity/renewal_months", 12),
        with_card("a certificate that cannot be read", "reader=READER;card=full;do=card full1 set-file 000A FFFFFFFF", 2)
            .says(
                &["User authentication certificate (利用者証明用電子証明書)\n    ? the certificate cannot be read\n"],
                &["利用者証明用電子証明書\n    ? 証明書を読み取れません\n"],
            )
            .tells("/readers/0/card/authentication/state", "unreadable")
            .tells("/readers/0/card/authentication/validity", Value::Null),
        with_card("ten years", "reader=READER;card=ten-years", 1)
            .says(
                &["(200 days left)", "! Renew it now", "(one year before the end)"],
                &["(あと200日)", "! 今すぐ市区町村の窓口で更新してください", "(有効期限の1年前から)"],
            )
            .tells("/readers/0/card/authentication/validity/renewal_months", 12),
        with_card("under 15", "reader=READER;card=under-15", 0)
            .says(
                &["not on this card (people under 15 get none"],
                &["署名用電子証明書\n    このカードにはありません(15歳未満の方"],
            )
            .tells("/readers/0/card/signature/state", "absent")
            .tells("/readers/0/card/signature/pin", Value::Null),
        with_card("an Android phone", "reader=READER;card=android", 0)
            .says(
                &[
                    "Card: Android phone",
                    "User authentication certificate (スマホ用電子証明書, 利用者証明用)\n    \
                     Valid until: only its PIN opens the certificate",
                ],
                &[
                    "カード: Android スマートフォン",
                    "スマホ用電子証明書(利用者証明用)\n    有効期限: 暗証番号がないと読めません",
                ],
            )
            .tells(CARD, "android_phone")
            .tells("/readers/0/card/authentication/state", "needs_pin"),
        with_card("an iPhone", "reader=READER;card=iphone;do=card iphone1 set-tries authentication 0", 1)
            .says(
                &[
                    "Card: iPhone",
                    "(スマホ用電子証明書, 署名用)\n",
                    "! Set a new PIN in the phone's Mynaportal app",
                ],
                &[
                    "カード: iPhone",
                    "スマホ用電子証明書(署名用)\n",
                    "! スマートフォンのマイナポータルアプリで暗証番号を再設定してください",
                ],
            )
            .tells(CARD, "iphone")
            .tells("/readers/0/card/authentication/pin/unlocked_by", "phone"),
        with_card("a chip without PSS", "reader=READER;card=full+p1=0", 0)
            .says(&["PKCS #1 v1.5 only, no PSS: servers must offer TLS 1.2"], &["PKCS #1 v1.5 のみ(PSS なし"])
            .tells("/readers/0/card/authentication/pss", false)
            .tells("/readers/0/card/signature/pss", false),
        with_card(
            "two readers, one without a card",
            "reader=READER;card=full;reader=Another Reader 01 00",
            0,
        )
        .says(&["Reader: Another Reader 01 00\n  no card\nConf"], &["カードがありません\n設定"])
        .tells("/readers/1/state", "no_card"),
        // GnuPG's scdaemon does so with a YubiKey.
        with_card(
            "two readers, one held by a program",
            "reader=READER;card=full;reader=YubiKey;card=other;do=foreign YubiKey gpg exclusive",
            0,
        )
        .says(
            &["Reader: YubiKey\n  another program has the card for itself\nConf", "All is well."],
            &[
                "カードリーダー: YubiKey\n  ほかのプログラムがカードを占有しています\n設定",
                "問題ありません。",
            ],
        )
        .tells("/readers/1/state", "held_exclusively"),
        with_card(
            "two readers, one in a transaction",
            "reader=YubiKey;card=other;reader=READER;card=full;do=foreign YubiKey gpg transaction",
            0,
        )
        .says(
            &["Reader: YubiKey\n  another program is using the card now\nReader: Virtual"],
            &["ほかのプログラムがカードを使っている最中です\nカードリーダー: Virtual"],
        )
        .tells("/readers/0/state", "in_transaction"),
        with_card(
            "two readers, one with a card that is mute",
            "reader=READER;card=full;reader=Other;card=full;do=card full2 fault always answer 6F",
            0,
        )
        .says(
            &["Reader: Other\n  the card does not answer as it should\nConf"],
            &["カードから正しい応答がありません\n設定"],
        )
        .tells("/readers/1/state", "no_answer"),
        with_card(
            "two readers, one held and one empty",
            "reader=READER;reader=YubiKey;card=other;do=foreign YubiKey gpg exclusive",
            1,
        )
        .says(
            &["no card\n  ! Put the card in", "for itself\n  ! End that program"],
            &["! カードを置くか差し込んでください", "! そのプログラムを終了してください"],
        )
        .tells("/readers/1/state", "held_exclusively"),
    ]
}

/// States of PINs.
pub(super) fn pins() -> Vec<State> {
    vec![
        with_card("a try is missing", "reader=READER;card=full;do=card full1 set-tries signature 4", 1)
            .says(
                &["PIN: 4 of 5 tries left", "! A wrong PIN was entered. The right one gives all tries back"],
                &["残り4回(5回中。あと4回連続で間違えるとロックされます)", "! 間違った暗証番号が入力されました"],
            )
            .tells("/readers/0/card/signature/pin/state", "tries_missing"),
        with_card("one try left", "reader=READER;card=full;do=card full1 set-tries authentication 1", 1)
            .says(
                &["PIN: 1 of 3 tries left", "! One more wrong PIN locks it"],
                &["暗証番号: 残り1回(3回中)\n", "! 次に間違えるとロックされます"],
            )
            .tells("/readers/0/card/authentication/pin/state", "last_try"),
        with_card("one try left, in reserve", "reader=READER;card=full;do=card full1 set-tries authentication 1", 1)
            .configured("reserve_tries = 1")
            .says(
                &["! No PIN is sent: the configuration keeps these tries", "In force: reserve_tries = 1"],
                &["! 設定(reserve_tries)により残りの回数を使わない", "有効な設定: reserve_tries = 1"],
            )
            .tells("/readers/0/card/authentication/pin/state", "reserved")
            .tells("/configuration/reserve_tries", 1),
        with_card("authentication locked", "reader=READER;card=blocked-auth", 1)
            .says(
                &[
                    "PIN: locked",
                    "! The municipal office sets a new PIN. Or, if you know the PIN of the digital signature certificate: \
                     first the phone app JPKI暗証番号リセット, then, within 24 hours, the kiosk of a store that resets this \
                     PIN (公的個人認証サービスポータルサイト lists the stores)\n",
                ],
                &[
                    "暗証番号: ロックされています",
                    "! 市区町村の窓口で再設定を受けてください。署名用電子証明書の暗証番号が分かる場合は、スマートフォンの\
                     「JPKI暗証番号リセット」アプリ",
                    "24時間以内に、対応するコンビニなどのキオスク端末(マルチコピー機)でも再設定できます",
                    "(対応店舗は公的個人認証サービスポータルサイトでご確認ください)\n",
                ],
            )
            .tells("/readers/0/card/authentication/pin/state", "locked")
            .tells("/readers/0/card/authentication/pin/tries_left", 0)
            .tells("/readers/0/card/authentication/pin/unlocked_by", "office_or_kiosk")
            .tells("/readers/0/card/signature/pin/state", "full"),
        with_card("signature locked", "reader=READER;card=blocked-sign", 1)
            .says(
                &["PIN: locked", "if you know the PIN of the user authentication certificate"],
                &["暗証番号: ロックされています", "利用者証明用電子証明書の暗証番号が分かる場合は"],
            )
            .tells("/readers/0/card/signature/pin/state", "locked"),
        with_card(
            "both locked",
            "reader=READER;card=blocked-sign;do=card blocked-sign1 set-tries authentication 0",
            1,
        )
        .says(
            &["! The municipal office sets a new PIN\n"],
            &["! 市区町村の窓口で再設定を受けてください\n"],
        )
        .tells("/readers/0/card/authentication/pin/state", "locked")
        .tells("/readers/0/card/authentication/pin/unlocked_by", "office")
        .tells("/readers/0/card/signature/pin/unlocked_by", "office"),
        // The kiosk wants both certificates to be valid.
        with_card(
            "signature locked, authentication expired",
            "reader=READER;card=expired;do=card expired1 set-tries signature 0",
            1,
        )
        .says(
            &["! The municipal office sets a new PIN\n"],
            &["! 市区町村の窓口で再設定を受けてください\n"],
        )
        .tells("/readers/0/card/signature/pin/state", "locked"),
        // What such a card answers is not known. The virtual one says locked, and others may not.
        with_card("a card without a PIN", "reader=READER;card=without-pin", 1)
            .says(
                &[
                    "PIN: locked, or none\n    ! A card that was made without a PIN \
                     (顔認証マイナンバーカード) can be used for no login",
                    "If yours has one, it is locked: the municipal office sets a new PIN\n",
                    "nor do those who declined it, nor cards without a PIN)",
                ],
                &[
                    "暗証番号: ロックされているか、設定されていません\n    ! 暗証番号のない顔認証マイナンバーカードでは、",
                    "ロックされています。市区町村の窓口で再設定を受けてください\n",
                    "暗証番号のないカードには発行されません",
                ],
            )
            .tells("/readers/0/card/authentication/pin/may_be_none", true)
            .tells("/readers/0/card/authentication/pin/unlocked_by", "office")
            .tells("/readers/0/card/signature/state", "absent"),
        with_card(
            "a card that may be without a PIN, and tells no count",
            "reader=READER;card=under-15+tries-query=6A88",
            2,
        )
        .says(
            &["PIN: none, or the card does not tell the tries left\n", "? A card that was made without a PIN", "If yours has one, nothing protects"],
            &["暗証番号: 設定されていないか、", "? 暗証番号のない顔認証マイナンバーカードでは", "よく確かめて入力してください"],
        )
        .tells("/readers/0/card/authentication/pin/state", "unknown")
        .tells("/readers/0/card/authentication/pin/may_be_none", true),
        with_card("a child's card", "reader=READER;card=under-15", 0)
            .says(&["PIN: 3 of 3 tries left"], &["暗証番号: 残り3回(3回連続で間違えるとロックされます)"])
            .tells("/readers/0/card/authentication/pin/may_be_none", false),
        with_card("a card that tells no count", "reader=READER;card=full+tries-query=6700", 2)
            .says(
                &["PIN: the card does not tell the tries left", "? Nothing protects from a wrong PIN"],
                &["残りの回数をカードが答えません", "? 残りの回数が分からないため、間違いを防ぐ確認ができません"],
            )
            .tells("/readers/0/card/signature/pin/state", "unknown"),
    ]
}
