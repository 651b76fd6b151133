//! Chips drawn over all that is known or possible of them: each must work in full.
//!
//! They are a fixed row, so that every run has the same ones. `JPKI_LOTTERY` sets how many; the
//! full size is 10,000. A failure names the traits of its chip: with them in
//! [`inputs_that_once_failed_work_in_full`] that chip runs alone.

use std::env;

use cryptoki_sys as ck;
use jpki_pkcs11::error::Error;
use jpki_pkcs11::handle::SessionHandle;
use jpki_pkcs11::manager::error::CardError;
use jpki_pkcs11::token::template::TemplateEntry;
use rsa::Pss;
use sha2::{Digest, Sha256};
use virtual_card::{Credential, FileAnswer, Profile, lottery};

use crate::support::fixture::Fixture;
use crate::support::signatures::assert_sha256_signature;

/// How many chips there are unless `JPKI_LOTTERY` says otherwise.
const CHIPS: u64 = 30;

/// Goes through all that a program does with one chip.
fn assert_works_in_full(profile: &Profile) {
    let chip = format!("{} ({profile})", profile.name);
    let fixture = Fixture::with(profile.clone());
    let expected = if profile.has_signature_token() { 2 } else { 1 };
    assert_eq!(fixture.module().count_slots(true), Ok(expected), "{chip}: tokens");
    let mut signatures = 0;
    for &credential in Credential::ALL.iter().take(expected) {
        let mut made = token_works(&fixture, profile, credential, &chip);
        if may_lose_its_identity(profile) && made == Err(Error::Card(CardError::Removed)) {
            made = token_works(&fixture, profile, credential, &chip);
        }
        signatures += made.unwrap_or_else(|error| panic!("{chip}: {error}"));
    }
    let ledger = fixture.card().ledger();
    for credential in Credential::ALL {
        assert_eq!(ledger.tries_lost(credential), 0, "{chip}: tries\n{ledger}");
    }
    assert_eq!(ledger.unwanted_signatures(signatures), 0, "{chip}: signatures\n{ledger}");
    if profile.another_application_is_selectable() {
        assert!(ledger.power_offs() <= 1, "{chip}: {} power-offs\n{ledger}", ledger.power_offs());
    }
    fixture.check_card();
}

/// One token: certificate, login, signatures. Returns how many were asked for.
fn token_works(
    fixture: &Fixture,
    profile: &Profile,
    credential: Credential,
    chip: &str,
) -> Result<usize, Error> {
    let slot = fixture.slot_of(credential);
    let info = fixture.module().token_info(slot)?;
    assert_eq!(info.flags & ck::CKF_USER_PIN_LOCKED, 0, "{chip}");
    let session = fixture.open(slot);
    let pin = profile.pin(credential).expect("the credential has a PIN");
    fixture.login(session, pin.as_bytes())?;
    let class = ck::CKO_CERTIFICATE.to_ne_bytes();
    let certificates = fixture.find_by(session, &[TemplateEntry { kind: ck::CKA_CLASS, value: &class }])?;
    let own = *certificates.first().unwrap_or_else(|| panic!("{chip}: no certificate"));
    assert!(fixture.attribute(session, own, ck::CKA_VALUE)?.len() > 1000, "{chip}: the certificate");
    for _ in 0..2 {
        let signature = fixture.sign(session, ck::CKM_SHA256_RSA_PKCS, b"data")?;
        assert_sha256_signature(fixture.card(), credential, b"data", &signature);
    }
    Ok(2 + assert_pss_is_honest(fixture, profile, session, credential, chip))
}

/// Whether a card may count as another one, once. A PIN goes to no card whose identity cannot be
/// read again. That happens to two kinds: a card that another program left verified, which hides
/// its certificate later; and a card without certificate and token information, after the reader
/// failed.
fn may_lose_its_identity(profile: &Profile) -> bool {
    let certificate = profile.credential(Credential::Authentication);
    let hides = certificate.is_some_and(|authentication| authentication.certificate_needs_pin);
    let answer = profile.file_answers.get(&0x0006);
    let no_token_info = matches!(answer, Some(FileAnswer::Refused(_) | FileAnswer::ReadRefused(_)));
    hides && (profile.left_verified || no_token_info)
}

/// A chip that makes PSS signatures offers them; one that does not loses the offer after one
/// failure. Returns how many the card was asked for.
fn assert_pss_is_honest(
    fixture: &Fixture,
    profile: &Profile,
    session: SessionHandle,
    credential: Credential,
    chip: &str,
) -> usize {
    let offered = || {
        let mechanisms = fixture.module().mechanism_list(fixture.slot_of(credential)).expect(chip);
        mechanisms.contains(&ck::CKM_RSA_PKCS_PSS)
    };
    if profile.can_pss() {
        assert!(offered(), "{chip}: PSS is not offered");
        let signature = fixture.sign_pss(session).unwrap_or_else(|error| panic!("{chip}: PSS: {error}"));
        let key = fixture.card().identity().public_key(credential);
        key.verify(Pss::new::<Sha256>(), &Sha256::digest(b"data"), &signature).expect(chip);
        return 1;
    }
    let before = fixture.card().ledger().signatures();
    if offered() {
        let code = fixture.sign_pss(session).map_err(|error| error.return_value());
        assert_eq!(code, Err(ck::CKR_DEVICE_ERROR), "{chip}: a false PSS signature");
        assert!(!offered(), "{chip}: PSS is still offered");
    }
    fixture.card().ledger().signatures() - before
}

#[test]
fn the_chips_of_a_fixed_row_work_in_full() {
    let count = env::var("JPKI_LOTTERY").ok().and_then(|count| count.parse().ok()).unwrap_or(CHIPS);
    let mut failures = Vec::new();
    for profile in lottery::sample(count) {
        if std::panic::catch_unwind(|| assert_works_in_full(&profile)).is_err() {
            failures.push(profile.to_string());
        }
    }
    assert!(failures.is_empty(), "{} of {count} chips fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn inputs_that_once_failed_work_in_full() {
    for traits in [
        "ef-0008-content=010100",
        "ef-0008=6A86",
        "isd=6A82",
        "extended-length=leaves-700",
        "long-read=6CFF",
        "long-read=6C20",
        "long-read=6C20+isd=6A82+long-isd=6A82+surface-input=6A82+common=6A82",
        "long-read=6CC8-6C64",
        "short-sign=6A80",
        "ef-0008-content=8F8F+ef-0008=warning",
        "authentication-certificate=pin+ef-0006=6A82",
        "p1=ignored+left-verified=yes",
    ] {
        let profile = Profile::described_by(&format!("full+{traits}")).expect(traits);
        assert_works_in_full(&profile);
    }
}
