//! The arguments of calls.

use cryptoki_sys as ck;
use jpki_pkcs11::token::mechanism::{MechanismRequest, Parameter};
use virtual_card::Credential;

use crate::support::fixture::{AUTH_PIN, SIGN_PIN};

pub(super) fn pin(credential: Credential) -> &'static [u8] {
    match credential {
        Credential::Authentication => AUTH_PIN,
        Credential::Signature => SIGN_PIN,
    }
}

pub(super) fn new_pin(credential: Credential) -> &'static [u8] {
    match credential {
        Credential::Authentication => b"5678",
        Credential::Signature => b"XYZ789",
    }
}

/// CKM_SHA256_RSA_PKCS_PSS with the parameters that the card does.
pub(super) fn pss() -> MechanismRequest<'static> {
    static PARAMETER: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let bytes = PARAMETER.get_or_init(|| {
        [ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 32].into_iter().flat_map(ck::CK_ULONG::to_ne_bytes).collect()
    });
    MechanismRequest { kind: ck::CKM_SHA256_RSA_PKCS_PSS, parameter: Parameter::Bytes(bytes) }
}
