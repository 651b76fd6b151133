//! Mechanisms: what is offered, with which parameters, and the hash functions behind them.

use cryptoki_sys as ck;
use rsa::Pkcs1v15Sign;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::error::Error;
use crate::jpki::public_key::PSS_HASH_LENGTH;

/// What a caller asks for in `C_SignInit` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MechanismRequest<'a> {
    /// The mechanism.
    pub kind: ck::CK_MECHANISM_TYPE,
    /// Its parameter.
    pub parameter: Parameter<'a>,
}

/// The parameter of a mechanism as the caller gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// None.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// A pointer or a length that cannot be.
    Unreadable,
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, for verifying and for what still asks for it.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A mechanism that signs, and that verifies in software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureMechanism {
    /// `CKM_RSA_PKCS`: padding around the data as given.
    Pkcs1,
    /// `CKM_SHA*_RSA_PKCS`.
    Pkcs1Hashed(Hash),
    /// `CKM_RSA_PKCS_PSS`: the data is a SHA-256 hash.
    Pss,
    /// `CKM_SHA256_RSA_PKCS_PSS`.
    PssHashed,
}

/// A hash that is being computed.
pub(super) struct Hasher(Box<dyn DynDigest + Send>);

/// Bits of every key (there is no other size on the cards of today).
const KEY_BITS: ck::CK_ULONG = 2048;

/// The hash functions with their two mechanisms.
const HASHES: [(Hash, ck::CK_MECHANISM_TYPE, ck::CK_MECHANISM_TYPE); 5] = [
    (Hash::Sha1, ck::CKM_SHA_1, ck::CKM_SHA1_RSA_PKCS),
    (Hash::Sha224, ck::CKM_SHA224, ck::CKM_SHA224_RSA_PKCS),
    (Hash::Sha256, ck::CKM_SHA256, ck::CKM_SHA256_RSA_PKCS),
    (Hash::Sha384, ck::CKM_SHA384, ck::CKM_SHA384_RSA_PKCS),
    (Hash::Sha512, ck::CKM_SHA512, ck::CKM_SHA512_RSA_PKCS),
];

/// Every mechanism that signs. PSS only where the card does it: a token that lists what it cannot do hangs Firefox.
pub(super) fn signing(with_pss: bool) -> Vec<ck::CK_MECHANISM_TYPE> {
    let hashed = HASHES.iter().map(|(_, _, signing)| *signing);
    let pss = [ck::CKM_RSA_PKCS_PSS, ck::CKM_SHA256_RSA_PKCS_PSS];
    let pss = pss.into_iter().filter(|_| with_pss);
    [ck::CKM_RSA_PKCS].into_iter().chain(hashed).chain(pss).collect()
}

/// Every mechanism that hashes, in software.
pub(super) fn hashing() -> impl Iterator<Item = ck::CK_MECHANISM_TYPE> {
    HASHES.iter().map(|(_, hashing, _)| *hashing)
}

/// Whether it is one of the mechanisms that need PSS on the card.
pub(super) fn needs_pss(kind: ck::CK_MECHANISM_TYPE) -> bool {
    matches!(kind, ck::CKM_RSA_PKCS_PSS | ck::CKM_SHA256_RSA_PKCS_PSS)
}

/// What `C_GetMechanismInfo` says of a mechanism that is offered.
pub(super) fn info(kind: ck::CK_MECHANISM_TYPE) -> ck::CK_MECHANISM_INFO {
    if hashing().any(|hashing| hashing == kind) {
        ck::CK_MECHANISM_INFO { ulMinKeySize: 0, ulMaxKeySize: 0, flags: ck::CKF_DIGEST }
    } else {
        let flags = ck::CKF_HW | ck::CKF_SIGN | ck::CKF_VERIFY;
        ck::CK_MECHANISM_INFO { ulMinKeySize: KEY_BITS, ulMaxKeySize: KEY_BITS, flags }
    }
}

impl SignatureMechanism {
    /// Reads a request to sign or to verify.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`], or [`Error::MechanismParamInvalid`] for a parameter that the card cannot do.
    pub fn parse(request: MechanismRequest<'_>) -> Result<Self, Error> {
        let mechanism = match request.kind {
            ck::CKM_RSA_PKCS => Self::Pkcs1,
            ck::CKM_RSA_PKCS_PSS => Self::Pss,
            ck::CKM_SHA256_RSA_PKCS_PSS => Self::PssHashed,
            other => HASHES
                .iter()
                .find(|(_, _, signing)| *signing == other)
                .map(|(hash, _, _)| Self::Pkcs1Hashed(*hash))
                .ok_or(Error::MechanismInvalid)?,
        };
        match mechanism {
            Self::Pkcs1 | Self::Pkcs1Hashed(_) => request.parameter.must_be_empty()?,
            Self::Pss | Self::PssHashed => request.parameter.must_be_pss_sha256()?,
        }
        Ok(mechanism)
    }

    /// The hash function that the module computes before signing.
    #[must_use]
    pub fn hash(self) -> Option<Hash> {
        match self {
            Self::Pkcs1 | Self::Pss => None,
            Self::Pkcs1Hashed(hash) => Some(hash),
            Self::PssHashed => Some(Hash::Sha256),
        }
    }
}

impl Parameter<'_> {
    fn must_be_empty(self) -> Result<(), Error> {
        match self {
            Self::None | Self::Bytes([]) => Ok(()),
            Self::Bytes(_) | Self::Unreadable => Err(Error::MechanismParamInvalid),
        }
    }

    /// A `CK_RSA_PKCS_PSS_PARAMS` with the one set of values that the card has.
    fn must_be_pss_sha256(self) -> Result<(), Error> {
        let salt_length = ck::CK_ULONG::try_from(PSS_HASH_LENGTH).map_err(|_| Error::Internal)?;
        let wanted =
            [ck::CKM_SHA256, ck::CKG_MGF1_SHA256, salt_length].map(ck::CK_ULONG::to_ne_bytes).concat();
        match self {
            Self::Bytes(bytes) if bytes == wanted => Ok(()),
            Self::Bytes(_) | Self::None | Self::Unreadable => Err(Error::MechanismParamInvalid),
        }
    }
}

impl Hash {
    /// Reads a request to hash.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] or [`Error::MechanismParamInvalid`].
    pub fn parse(request: MechanismRequest<'_>) -> Result<Self, Error> {
        let known = HASHES.iter().find(|(_, hashing, _)| *hashing == request.kind);
        let (hash, _, _) = known.ok_or(Error::MechanismInvalid)?;
        request.parameter.must_be_empty()?;
        Ok(*hash)
    }

    /// Begins to hash.
    pub(super) fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Sha1 => Box::new(Sha1::new()),
            Self::Sha224 => Box::new(Sha224::new()),
            Self::Sha256 => Box::new(Sha256::new()),
            Self::Sha384 => Box::new(Sha384::new()),
            Self::Sha512 => Box::new(Sha512::new()),
        })
    }

    /// Bytes of a hash.
    pub(super) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// A hash as PKCS #1 v1.5 signs it: with the DigestInfo before it (RFC 8017, 9.2).
    pub(super) fn digest_info(self, hash: &[u8]) -> Vec<u8> {
        let scheme = match self {
            Self::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
            Self::Sha224 => Pkcs1v15Sign::new::<Sha224>(),
            Self::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
            Self::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
            Self::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
        };
        [&*scheme.prefix, hash].concat()
    }
}

impl Hasher {
    /// Hashes more data.
    pub(super) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all data.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0.finalize().into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pss(hash: ck::CK_ULONG, mask: ck::CK_ULONG, salt: ck::CK_ULONG) -> Vec<u8> {
        [hash, mask, salt].map(ck::CK_ULONG::to_ne_bytes).concat()
    }

    fn parse(kind: ck::CK_MECHANISM_TYPE, parameter: Parameter<'_>) -> Result<SignatureMechanism, Error> {
        SignatureMechanism::parse(MechanismRequest { kind, parameter })
    }

    #[test]
    fn pss_is_taken_with_the_values_of_the_card_only() {
        let right = pss(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 32);
        assert_eq!(parse(ck::CKM_RSA_PKCS_PSS, Parameter::Bytes(&right)), Ok(SignatureMechanism::Pss));
        let wrong = [
            pss(ck::CKM_SHA384, ck::CKG_MGF1_SHA256, 32),
            pss(ck::CKM_SHA256, ck::CKG_MGF1_SHA1, 32),
            pss(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 20),
            right[..23].to_vec(),
            Vec::new(),
        ];
        for parameter in &wrong {
            let answer = parse(ck::CKM_SHA256_RSA_PKCS_PSS, Parameter::Bytes(parameter));
            assert_eq!(answer, Err(Error::MechanismParamInvalid), "{parameter:?}");
        }
        assert_eq!(parse(ck::CKM_RSA_PKCS_PSS, Parameter::None), Err(Error::MechanismParamInvalid));
    }

    #[test]
    fn other_mechanisms_take_no_parameter() {
        assert!(parse(ck::CKM_SHA256_RSA_PKCS, Parameter::Bytes(&[])).is_ok());
        assert_eq!(parse(ck::CKM_RSA_PKCS, Parameter::Bytes(&[0])), Err(Error::MechanismParamInvalid));
        assert_eq!(parse(ck::CKM_RSA_PKCS, Parameter::Unreadable), Err(Error::MechanismParamInvalid));
    }

    #[test]
    fn what_decrypts_or_pads_otherwise_is_not_offered() {
        for kind in [ck::CKM_RSA_X_509, ck::CKM_RSA_PKCS_OAEP, ck::CKM_SHA384_RSA_PKCS_PSS, ck::CKM_ECDSA] {
            assert_eq!(parse(kind, Parameter::None), Err(Error::MechanismInvalid));
            assert!(!signing(true).contains(&kind));
        }
    }

    #[test]
    fn a_hash_has_its_length() {
        for (hash, ..) in HASHES {
            assert_eq!(hash.hasher().finish().len(), hash.length());
        }
    }
}
