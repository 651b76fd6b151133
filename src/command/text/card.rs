//! What `status` says of a card, its certificates and its PINs.

use super::{Language, say};
use crate::status::report::{
    Card, CardKind, Certificate, CertificateState, Pin, PinState, Unlocking, Validity, ValidityPhase,
};
use jpki_pkcs11::jpki::credential::Credential;

pub(crate) fn card(language: Language, card: &Card) -> String {
    let kind = match card.kind {
        CardKind::MyNumberCard => language.choose("My Number card", "マイナンバーカード"),
        CardKind::AndroidPhone => language.choose("Android phone", "Android スマートフォン"),
        CardKind::Iphone => language.choose("iPhone", "iPhone"),
        CardKind::Unknown => {
            language.choose("a card with the JPKI application", "公的個人認証サービスのカード")
        }
    };
    let number = &card.serial_number;
    say!(language, "Card: {kind} (number {number})", "カード: {kind}(識別番号 {number})")
}

/// What the offices call a certificate. Those of a phone have a name of their own.
pub(crate) fn certificate_name(language: Language, kind: CardKind, credential: Credential) -> &'static str {
    let is_phone = matches!(kind, CardKind::AndroidPhone | CardKind::Iphone);
    match (credential, is_phone) {
        (Credential::UserAuthentication, false) => language
            .choose("User authentication certificate (利用者証明用電子証明書)", "利用者証明用電子証明書"),
        (Credential::UserAuthentication, true) => language.choose(
            "User authentication certificate (スマホ用電子証明書, 利用者証明用)",
            "スマホ用電子証明書(利用者証明用)",
        ),
        (Credential::DigitalSignature, false) => {
            language.choose("Digital signature certificate (署名用電子証明書)", "署名用電子証明書")
        }
        (Credential::DigitalSignature, true) => language.choose(
            "Digital signature certificate (スマホ用電子証明書, 署名用)",
            "スマホ用電子証明書(署名用)",
        ),
    }
}

/// The state of a certificate that was not read.
pub(crate) fn not_read(
    language: Language,
    credential: Credential,
    certificate: &Certificate,
    on: &Card,
) -> Option<&'static str> {
    match certificate.state {
        CertificateState::Read => None,
        CertificateState::NeedsPin => Some(language.choose(
            "Valid until: only its PIN opens the certificate; see jpki-pkcs11 status --login",
            "有効期限: 暗証番号がないと読めません(jpki-pkcs11 status --login で表示します)",
        )),
        CertificateState::Absent => Some(match credential {
            Credential::UserAuthentication => language.choose("not on this card", "このカードにはありません"),
            Credential::DigitalSignature if on.may_have_no_pin() => language.choose(
                "not on this card (people under 15 get none, nor do those who declined it, nor cards without a PIN)",
                "このカードにはありません(15歳未満の方と希望しなかった方、暗証番号のないカードには発行されません)",
            ),
            Credential::DigitalSignature => language.choose(
                "not on this card (people under 15 get none, nor do those who declined it)",
                "このカードにはありません(15歳未満の方と、希望しなかった方には発行されません)",
            ),
        }),
        CertificateState::Unreadable => {
            Some(language.choose("the certificate cannot be read", "証明書を読み取れません"))
        }
    }
}

pub(crate) fn valid_until(language: Language, validity: &Validity) -> String {
    let (date, days) = (date(language, &validity.until), validity.days_left);
    match (validity.phase, days) {
        (ValidityPhase::Expired, _) => say!(language, "Expired on {date}", "有効期限: {date}(期限切れ)"),
        (_, 0) => say!(language, "Valid until {date}: today is the last day", "有効期限: {date}(今日まで)"),
        (_, 1) => say!(language, "Valid until {date} (1 day left)", "有効期限: {date}(あと1日)"),
        _ => say!(language, "Valid until {date} ({days} days left)", "有効期限: {date}(あと{days}日)"),
    }
}

/// From when it can be renewed, and what to do where that is now.
pub(crate) fn renewal(language: Language, validity: &Validity, kind: CardKind) -> String {
    let date = date(language, &validity.renewable_from);
    let window = window(language, validity.renewal_months);
    let place = renewal_place(language, kind);
    match validity.phase {
        ValidityPhase::Valid => say!(
            language,
            "Renewal: from {date} ({window} before the end), {place}",
            "更新: {date}から{place}でできます(有効期限の{window}前から)",
        ),
        ValidityPhase::Renewable => say!(
            language,
            "Renew it now, {place}: it has been possible since {date} ({window} before the end)",
            "今すぐ{place}で更新してください。{date}から更新できるようになっています(有効期限の{window}前から)",
        ),
        ValidityPhase::Expired => {
            say!(language, "Get a new one, {place}", "{place}で新しい電子証明書の発行を受けてください",)
        }
    }
}

fn renewal_place(language: Language, kind: CardKind) -> &'static str {
    match kind {
        CardKind::MyNumberCard | CardKind::Unknown => {
            language.choose("at the municipal office", "市区町村の窓口")
        }
        CardKind::AndroidPhone | CardKind::Iphone => {
            language.choose("in the phone's Mynaportal app", "スマートフォンのマイナポータルアプリ")
        }
    }
}

/// A number of months in the words of the offices.
fn window(language: Language, months: u16) -> String {
    match (months / 12, months % 12) {
        (1, 0) => say!(language, "one year", "1年"),
        (years, 0) => say!(language, "{years} years", "{years}年"),
        (0, 3) => say!(language, "three months", "3か月"),
        _ => say!(language, "{months} months", "{months}か月"),
    }
}

/// A date, YYYY-MM-DD, as the language writes it.
fn date(language: Language, date: &str) -> String {
    match language {
        Language::English => date.to_owned(),
        Language::Japanese => {
            let mut parts = date.split('-').map(|part| part.trim_start_matches('0'));
            match (parts.next(), parts.next(), parts.next()) {
                (Some(year), Some(month), Some(day)) => format!("{year}年{month}月{day}日"),
                _ => date.to_owned(),
            }
        }
    }
}

/// That nothing here says whether a certificate was revoked.
pub(crate) fn revocation(language: Language) -> &'static str {
    language.choose(
        "It was revoked if name or address have changed since; this command cannot see that",
        "氏名や住所などが変わると失効します。失効したかどうかは、このコマンドでは分かりません",
    )
}

pub(crate) fn tries(language: Language, pin: Pin) -> String {
    let most = pin.max_tries;
    match pin.tries_left {
        None if pin.may_be_none => say!(
            language,
            "PIN: none, or the card does not tell the tries left",
            "暗証番号: 設定されていないか、残りの回数をカードが答えません"
        ),
        Some(0) if pin.may_be_none => {
            say!(language, "PIN: locked, or none", "暗証番号: ロックされているか、設定されていません")
        }
        None => say!(
            language,
            "PIN: the card does not tell the tries left",
            "暗証番号: 残りの回数をカードが答えません"
        ),
        Some(0) => say!(language, "PIN: locked", "暗証番号: ロックされています"),
        Some(1) => say!(language, "PIN: 1 of {most} tries left", "暗証番号: 残り1回({most}回中)",),
        Some(left) if left < most => say!(
            language,
            "PIN: {left} of {most} tries left",
            "暗証番号: 残り{left}回({most}回中。あと{left}回連続で間違えるとロックされます)",
        ),
        Some(left) => say!(
            language,
            "PIN: {left} of {most} tries left",
            "暗証番号: 残り{left}回({most}回連続で間違えるとロックされます)",
        ),
    }
}

/// What to do about a PIN.
pub(crate) fn pin_advice(language: Language, credential: Credential, pin: Pin) -> Option<String> {
    match pin.state {
        PinState::Full => None,
        PinState::TriesMissing => Some(say!(
            language,
            "A wrong PIN was entered. The right one gives all tries back; until then, programs that are logged in ask again",
            "間違った暗証番号が入力されました。正しい暗証番号を入力すると回数は元に戻ります。それまでは、ログイン中のプログラムも暗証番号の入力をもう一度求めます",
        )),
        PinState::LastTry => Some(say!(
            language,
            "One more wrong PIN locks it. Make sure of it before you enter it",
            "次に間違えるとロックされます。暗証番号を確かめてから入力してください",
        )),
        PinState::Reserved => Some(say!(
            language,
            "No PIN is sent: the configuration keeps these tries (reserve_tries)",
            "設定(reserve_tries)により残りの回数を使わないため、暗証番号はカードに送られません",
        )),
        PinState::Locked => pin.unlocked_by.map(|unlocking| locked(language, credential, unlocking)),
        PinState::Unknown if pin.may_be_none => {
            let without = without_pin(language);
            Some(say!(
                language,
                "{without}. If yours has one, nothing protects from a wrong PIN: enter it with care",
                "{without}。暗証番号がある場合は、入力間違いを防げないため、よく確かめて入力してください",
            ))
        }
        PinState::Unknown => Some(say!(
            language,
            "Nothing protects from a wrong PIN on such a card: enter it with care",
            "残りの回数が分からないため、間違いを防ぐ確認ができません。よく確かめて入力してください",
        )),
    }
}

/// What a card without a PIN is good for.
fn without_pin(language: Language) -> &'static str {
    language.choose(
        "A card that was made without a PIN (顔認証マイナンバーカード) can be used for no login and no signature",
        "暗証番号のない顔認証マイナンバーカードでは、ログインも署名もできません",
    )
}

/// Who unlocks a PIN.
pub(crate) fn locked(language: Language, credential: Credential, unlocking: Unlocking) -> String {
    let office =
        language.choose("The municipal office sets a new PIN", "市区町村の窓口で再設定を受けてください");
    let other = match credential {
        Credential::UserAuthentication => language.choose("digital signature", "署名用電子証明書"),
        Credential::DigitalSignature => language.choose("user authentication", "利用者証明用電子証明書"),
    };
    match unlocking {
        Unlocking::Office => office.to_owned(),
        Unlocking::OfficeIfThereIsOne => {
            let without = without_pin(language);
            say!(
                language,
                "{without}. If yours has one, it is locked: the municipal office sets a new PIN",
                "{without}。暗証番号がある場合はロックされています。{office}",
            )
        }
        Unlocking::OfficeOrKiosk => say!(
            language,
            "{office}. Or, if you know the PIN of the {other} certificate: first the phone app JPKI暗証番号リセット, \
             then, within 24 hours, the kiosk of a store that resets this PIN (公的個人認証サービスポータルサイト \
             lists the stores)",
            "{office}。{other}の暗証番号が分かる場合は、スマートフォンの「JPKI暗証番号リセット」アプリで手続きしたあと、\
             24時間以内に、対応するコンビニなどのキオスク端末(マルチコピー機)でも再設定できます\
             (対応店舗は公的個人認証サービスポータルサイトでご確認ください)",
        ),
        Unlocking::Phone => say!(
            language,
            "Set a new PIN in the phone's Mynaportal app",
            "スマートフォンのマイナポータルアプリで暗証番号を再設定してください",
        ),
    }
}

pub(crate) fn signatures(language: Language, pss: Option<bool>) -> &'static str {
    match pss {
        Some(true) => language.choose(
            "Signatures: PKCS #1 v1.5 and PSS (TLS 1.3)",
            "署名方式: PKCS #1 v1.5 と PSS(TLS 1.3 で使えます)",
        ),
        Some(false) => language.choose(
            "Signatures: PKCS #1 v1.5 only, no PSS: servers must offer TLS 1.2",
            "署名方式: PKCS #1 v1.5 のみ(PSS なし。サーバーが TLS 1.2 に対応している必要があります)",
        ),
        None => language.choose(
            "Signatures: PKCS #1 v1.5; the card does not say whether PSS too",
            "署名方式: PKCS #1 v1.5(PSS に対応しているかどうかは分かりません)",
        ),
    }
}
