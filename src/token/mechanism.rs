//! Mechanisms: what is offered, with which parameters, and the hash functions behind them.

use cryptoki_sys as ck;
use rsa::Pkcs1v15Sign;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::error::Error;
use crate::jpki::key::{KEY_BITS, PSS_SHA256_LENGTH, Scheme};

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

/// A mechanism of the token.
#[derive(Debug)]
pub struct Mechanism {
    /// Its number.
    pub kind: ck::CK_MECHANISM_TYPE,
    /// What it does.
    pub function: Function,
    /// The parameter it takes.
    parameter: ParameterRule,
}

/// What a mechanism does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Signs on the card by a scheme, and verifies in software. With a hash, the data is hashed
    /// here; without, it is the scheme's input.
    Sign(Scheme, Option<Hash>),
    /// Hashes in software.
    Digest(Hash),
}

/// Which parameter a mechanism takes.
#[derive(Debug)]
enum ParameterRule {
    /// None.
    Empty,
    /// `CK_RSA_PKCS_PSS_PARAMS` with these values alone: hash, mask generation function, bytes of
    /// salt.
    Pss(ck::CK_MECHANISM_TYPE, ck::CK_RSA_PKCS_MGF_TYPE, usize),
}

/// A hash that is being computed.
pub(super) struct Hasher(Box<dyn DynDigest + Send>);

/// Every mechanism, in the order in which they are listed.
static MECHANISMS: [Mechanism; 13] = [
    pkcs1(ck::CKM_RSA_PKCS, None),
    pkcs1(ck::CKM_SHA1_RSA_PKCS, Some(Hash::Sha1)),
    pkcs1(ck::CKM_SHA224_RSA_PKCS, Some(Hash::Sha224)),
    pkcs1(ck::CKM_SHA256_RSA_PKCS, Some(Hash::Sha256)),
    pkcs1(ck::CKM_SHA384_RSA_PKCS, Some(Hash::Sha384)),
    pkcs1(ck::CKM_SHA512_RSA_PKCS, Some(Hash::Sha512)),
    pss_sha256(ck::CKM_RSA_PKCS_PSS, None),
    pss_sha256(ck::CKM_SHA256_RSA_PKCS_PSS, Some(Hash::Sha256)),
    digest(ck::CKM_SHA_1, Hash::Sha1),
    digest(ck::CKM_SHA224, Hash::Sha224),
    digest(ck::CKM_SHA256, Hash::Sha256),
    digest(ck::CKM_SHA384, Hash::Sha384),
    digest(ck::CKM_SHA512, Hash::Sha512),
];

const fn pkcs1(kind: ck::CK_MECHANISM_TYPE, hash: Option<Hash>) -> Mechanism {
    Mechanism { kind, function: Function::Sign(Scheme::Pkcs1, hash), parameter: ParameterRule::Empty }
}

const fn pss_sha256(kind: ck::CK_MECHANISM_TYPE, hash: Option<Hash>) -> Mechanism {
    let parameter = ParameterRule::Pss(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, PSS_SHA256_LENGTH);
    Mechanism { kind, function: Function::Sign(Scheme::PssSha256, hash), parameter }
}

const fn digest(kind: ck::CK_MECHANISM_TYPE, hash: Hash) -> Mechanism {
    Mechanism { kind, function: Function::Digest(hash), parameter: ParameterRule::Empty }
}

/// The mechanisms whose scheme is offered. One that is listed and cannot be done hangs Firefox.
pub(super) fn offered(offers: impl Fn(Scheme) -> bool) -> impl Iterator<Item = &'static Mechanism> {
    MECHANISMS.iter().filter(move |mechanism| match mechanism.function {
        Function::Sign(scheme, _) => offers(scheme),
        Function::Digest(_) => true,
    })
}

impl Mechanism {
    /// The rows with this number: one for each parameter that it can have.
    pub(super) fn rows(kind: ck::CK_MECHANISM_TYPE) -> impl Iterator<Item = &'static Self> {
        MECHANISMS.iter().filter(move |mechanism| mechanism.kind == kind)
    }

    /// Whether it signs, rather than hashes.
    pub(super) fn signs(&self) -> bool {
        matches!(self.function, Function::Sign(..))
    }

    /// Whether it takes this parameter.
    fn takes(&self, parameter: Parameter<'_>) -> bool {
        match (&self.parameter, parameter) {
            (ParameterRule::Empty, Parameter::None | Parameter::Bytes([])) => true,
            (ParameterRule::Pss(hash, mask, salt), Parameter::Bytes(bytes)) => {
                let salt = ck::CK_ULONG::try_from(*salt).unwrap_or(ck::CK_UNAVAILABLE_INFORMATION);
                bytes == [*hash, *mask, salt].map(ck::CK_ULONG::to_ne_bytes).concat()
            }
            _ => false,
        }
    }

    /// What `C_GetMechanismInfo` says of it.
    pub(super) fn info(&self) -> ck::CK_MECHANISM_INFO {
        match self.function {
            Function::Digest(_) => {
                ck::CK_MECHANISM_INFO { ulMinKeySize: 0, ulMaxKeySize: 0, flags: ck::CKF_DIGEST }
            }
            Function::Sign(..) => {
                let bits = ck::CK_ULONG::try_from(KEY_BITS).unwrap_or_default();
                let flags = ck::CKF_HW | ck::CKF_SIGN | ck::CKF_VERIFY;
                ck::CK_MECHANISM_INFO { ulMinKeySize: bits, ulMaxKeySize: bits, flags }
            }
        }
    }
}

impl MechanismRequest<'_> {
    /// Reads a request to sign or to verify.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`], or [`Error::MechanismParamInvalid`] for a parameter that the
    /// card cannot do.
    pub fn signature(self) -> Result<(Scheme, Option<Hash>), Error> {
        self.find(|function| match function {
            Function::Sign(scheme, hash) => Some((scheme, hash)),
            Function::Digest(_) => None,
        })
    }

    /// Reads a request to hash.
    ///
    /// # Errors
    /// [`Error::MechanismInvalid`] or [`Error::MechanismParamInvalid`].
    pub fn digest(self) -> Result<Hash, Error> {
        self.find(|function| match function {
            Function::Digest(hash) => Some(hash),
            Function::Sign(..) => None,
        })
    }

    /// What the row with this number and this parameter does, if that is wanted.
    fn find<T>(self, wanted: impl Fn(Function) -> Option<T>) -> Result<T, Error> {
        let mut error = Error::MechanismInvalid;
        for row in Mechanism::rows(self.kind) {
            match wanted(row.function) {
                Some(found) if row.takes(self.parameter) => return Ok(found),
                Some(_) => error = Error::MechanismParamInvalid,
                None => {}
            }
        }
        Err(error)
    }
}

impl Hash {
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

    /// Bytes of the hash.
    pub(super) fn length(&self) -> usize {
        self.0.output_size()
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

    fn parse(kind: ck::CK_MECHANISM_TYPE, parameter: Parameter<'_>) -> Result<(Scheme, Option<Hash>), Error> {
        MechanismRequest { kind, parameter }.signature()
    }

    #[test]
    fn pss_is_taken_with_the_values_of_the_card_only() {
        let right = pss(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 32);
        assert_eq!(parse(ck::CKM_RSA_PKCS_PSS, Parameter::Bytes(&right)), Ok((Scheme::PssSha256, None)));
        let wrong = [
            pss(ck::CKM_SHA384, ck::CKG_MGF1_SHA256, 32),
            pss(ck::CKM_SHA256, ck::CKG_MGF1_SHA1, 32),
            pss(ck::CKM_SHA256, ck::CKG_MGF1_SHA256, 20),
            right[..right.len() - 1].to_vec(),
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
            assert!(offered(|_| true).all(|mechanism| mechanism.kind != kind));
        }
    }

    #[test]
    fn a_mechanism_that_hashes_does_not_sign_and_the_other_way_round() {
        // Whatever the parameter.
        for parameter in [Parameter::None, Parameter::Bytes(&[0; 24]), Parameter::Unreadable] {
            assert_eq!(parse(ck::CKM_SHA256, parameter), Err(Error::MechanismInvalid));
        }
        let request = MechanismRequest { kind: ck::CKM_RSA_PKCS, parameter: Parameter::None };
        assert_eq!(request.digest(), Err(Error::MechanismInvalid));
    }

    #[test]
    fn without_pss_no_mechanism_needs_it() {
        let kinds: Vec<_> =
            offered(|scheme| scheme == Scheme::Pkcs1).map(|mechanism| mechanism.kind).collect();
        assert_eq!(kinds.len(), MECHANISMS.len() - 2);
    }
}
