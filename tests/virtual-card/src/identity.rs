//! Who a card belongs to: two keys, two certificates and the CAs above them.
//!
//! Made from a seed: the same seed gives the same keys in every process, another seed another
//! person under the same CAs. Certificates differ between processes only when the calendar year
//! does.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{fmt, fs, io};

use rsa::{RsaPrivateKey, RsaPublicKey};

use crate::Credential;
use crate::calendar::Day;
use crate::certificate::{self, Period};
use crate::keys::{self, Purpose};

/// Every seed has its CAs from this one.
const CA_SEED: u64 = 0;

/// Which days a person's certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validity {
    /// From the beginning of last year to four years from now.
    Current,
    /// Ended with the year before last.
    Expired,
    /// Ends in thirty days, so that renewal is open.
    Expiring,
    /// Ends in one day.
    OneDayLeft,
    /// Ends today.
    LastDay,
    /// One of ten years that ends in five hundred days, so that renewal is not open.
    TenYearsEarly,
    /// One of ten years, as the next generation of cards is planned with, that ends in two hundred
    /// days.
    TenYears,
}

impl Validity {
    fn period(self) -> Period {
        let today = Day::today();
        match self {
            Self::Current => Period { first: today.new_year(-1), last: today.new_year(4) },
            Self::Expired => Period { first: today.new_year(-6), last: today.new_year(-1).plus(-1) },
            Self::Expiring => Period { first: today.plus(30 - 5 * 365), last: today.plus(30) },
            Self::OneDayLeft => Period { first: today.plus(1 - 5 * 365), last: today.plus(1) },
            Self::LastDay => Period { first: today.plus(-5 * 365), last: today },
            Self::TenYearsEarly => Period { first: today.plus(500 - 10 * 365), last: today.plus(500) },
            Self::TenYears => Period { first: today.plus(200 - 10 * 365), last: today.plus(200) },
        }
    }
}

/// The keys and certificates of one person. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    seed: u64,
    authentication: RsaPrivateKey,
    signature: RsaPrivateKey,
    certificates: Mutex<HashMap<(Credential, Validity), Vec<u8>>>,
}

impl Identity {
    /// The one of seed 0, made once per process.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Identity> = OnceLock::new();
        SHARED.get_or_init(|| Self::from_seed(0)).clone()
    }

    /// Another seed is another person. Seeds 0 to 7 come without a search for primes.
    pub fn from_seed(seed: u64) -> Self {
        Self::build(seed, None).expect("without a directory nothing can fail")
    }

    /// As [`Identity::from_seed`], remembering in `directory` where the primes were. Several
    /// processes may share it.
    pub fn cached_in(directory: &Path, seed: u64) -> io::Result<Self> {
        Self::build(seed, Some(directory))
    }

    fn build(seed: u64, cache: Option<&Path>) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            seed,
            authentication: keys::derive(seed, Purpose::Authentication, cache)?,
            signature: keys::derive(seed, Purpose::Signature, cache)?,
            certificates: Mutex::default(),
        })))
    }

    /// The seed this identity was made from.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// The person's own certificate, DER.
    pub fn certificate(&self, credential: Credential, validity: Validity) -> Vec<u8> {
        let mut certificates = self.0.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let key = self.public_key(credential);
            certificate::end_entity(credential, self.0.seed, &key, ca_key(credential), validity.period())
        };
        certificates.entry((credential, validity)).or_insert_with(make).clone()
    }

    /// The certificate of the CA above, DER; made once per process.
    pub fn ca_certificate(credential: Credential) -> Vec<u8> {
        static AUTHENTICATION: OnceLock<Vec<u8>> = OnceLock::new();
        static SIGNATURE: OnceLock<Vec<u8>> = OnceLock::new();
        let made = match credential {
            Credential::Authentication => &AUTHENTICATION,
            Credential::Signature => &SIGNATURE,
        };
        let make = || {
            let today = Day::today();
            let period = Period { first: today.new_year(-7), last: today.new_year(8) };
            certificate::ca(credential, ca_key(credential), period)
        };
        made.get_or_init(make).clone()
    }

    /// The private half of the person's key.
    pub fn private_key(&self, credential: Credential) -> &RsaPrivateKey {
        match credential {
            Credential::Authentication => &self.0.authentication,
            Credential::Signature => &self.0.signature,
        }
    }

    /// The public half of the person's key.
    pub fn public_key(&self, credential: Credential) -> RsaPublicKey {
        self.private_key(credential).to_public_key()
    }

    /// Writes `authentication.pem`, `authentication-ca.pem`, `signature.pem` and `signature-ca.pem`
    /// and the same four as `.der` into `directory`.
    pub fn write_certificates(&self, directory: &Path, validity: Validity) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        for credential in Credential::ALL {
            let name = credential.name();
            let own = self.certificate(credential, validity);
            let ca = Self::ca_certificate(credential);
            for (file, der) in [(name.to_owned(), own), (format!("{name}-ca"), ca)] {
                fs::write(directory.join(format!("{file}.pem")), pem(&der))?;
                fs::write(directory.join(format!("{file}.der")), &der)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.0.seed)
    }
}

fn ca_key(credential: Credential) -> &'static RsaPrivateKey {
    static AUTHENTICATION: OnceLock<RsaPrivateKey> = OnceLock::new();
    static SIGNATURE: OnceLock<RsaPrivateKey> = OnceLock::new();
    let (key, purpose) = match credential {
        Credential::Authentication => (&AUTHENTICATION, Purpose::AuthenticationCa),
        Credential::Signature => (&SIGNATURE, Purpose::SignatureCa),
    };
    key.get_or_init(|| keys::derive(CA_SEED, purpose, None).expect("without a directory nothing can fail"))
}

fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("-----BEGIN CERTIFICATE-----");
    for (index, group) in der.chunks(3).enumerate() {
        if index % 16 == 0 {
            out.push('\n');
        }
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let sextet = usize::try_from(bits >> (18 - 6 * position) & 0x3f).expect("six bits");
            out.push(if position > group.len() { '=' } else { char::from(ALPHABET[sextet]) });
        }
    }
    out.push_str("\n-----END CERTIFICATE-----\n");
    out
}
