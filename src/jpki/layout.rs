//! Where things are in the JPKI application.
//!
//! Sources: OpenSC `card-jpki.c` and `pkcs15-jpki.c`, `jpki/myna`, the crate `myna-card`; they agree on all of it.

use crate::iso7816::status::TriesLeft;

/// An application identifier (ISO/IEC 7816-4, 12.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aid(&'static [u8]);

/// The identifier of an elementary file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(u16);

/// The JPKI application.
pub const JPKI: Aid = Aid(&[0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01]);

/// GlobalPlatform's issuer security domain: a neutral place. Selecting it makes the card forget a verified PIN
/// (myna-card).
pub const ISSUER_SECURITY_DOMAIN: Aid = Aid(&[0xa0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00]);

/// The token information: a `CK_TOKEN_INFO` of 160 bytes, whose label tells the kinds of cards apart.
pub const TOKEN_INFO: FileId = FileId(0x0006);

/// How many bytes [`TOKEN_INFO`] has.
pub const TOKEN_INFO_LENGTH: u16 = 160;

/// Which certificates are on the card: one byte for the signature certificate, one for authentication.
pub const CERTIFICATES_PRESENT: FileId = FileId(0x0008);

/// One of the two certificates, with its key and its PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// 利用者証明用電子証明書: proves that its owner is there. A PIN of four digits.
    UserAuthentication,
    /// 署名用電子証明書: signs documents. A password of 6 to 16 letters and digits.
    DigitalSignature,
}

impl Aid {
    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> &'static [u8] {
        self.0
    }
}

impl FileId {
    /// The two bytes that SELECT takes.
    #[must_use]
    pub fn bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// The short identifier: the low five bits (myna-card; not confirmed for every generation of chips).
    #[must_use]
    pub fn short(self) -> u8 {
        let [_, low] = self.bytes();
        low & 0x1f
    }
}

impl Credential {
    /// Both, in the order in which they become slots.
    pub const ALL: [Self; 2] = [Self::UserAuthentication, Self::DigitalSignature];

    /// The file of the certificate.
    #[must_use]
    pub fn certificate(self) -> FileId {
        match self {
            Self::UserAuthentication => FileId(0x000a),
            Self::DigitalSignature => FileId(0x0001),
        }
    }

    /// The file of the certificate of the CA that issued it.
    #[must_use]
    pub fn ca_certificate(self) -> FileId {
        match self {
            Self::UserAuthentication => FileId(0x000b),
            Self::DigitalSignature => FileId(0x0002),
        }
    }

    /// The key.
    #[must_use]
    pub fn key(self) -> FileId {
        match self {
            Self::UserAuthentication => FileId(0x0017),
            Self::DigitalSignature => FileId(0x001a),
        }
    }

    /// The PIN of the key.
    #[must_use]
    pub fn pin(self) -> FileId {
        match self {
            Self::UserAuthentication => FileId(0x0018),
            Self::DigitalSignature => FileId(0x001b),
        }
    }

    /// How many wrong PINs in a row lock the key.
    #[must_use]
    pub fn tries(self) -> TriesLeft {
        match self {
            Self::UserAuthentication => TriesLeft::new(3),
            Self::DigitalSignature => TriesLeft::new(5),
        }
    }
}
