//! Where things are in the JPKI application, and the facts of its two credentials.
//!
//! Sources: OpenSC `card-jpki.c` and `pkcs15-jpki.c`, `jpki/myna`, the crate `myna-card`. They
//! agree where nothing else is said below.

use std::ops::RangeInclusive;

use crate::iso7816::status::TriesLeft;

/// An application identifier (ISO/IEC 7816-4, 12.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aid(&'static [u8]);

/// The identifier of an elementary file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(u16);

/// The JPKI application.
pub const JPKI: Aid = Aid(&[0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01]);

/// Other applications: selecting one makes the card forget a verified PIN. The first one that a
/// card selects will do.
///
/// GlobalPlatform's issuer security domain is known to be selectable from one source (myna-card),
/// with seven bytes; others name it by eight. 券面入力補助 and 共通カード were seen selected on
/// real cards by several projects.
pub const NEUTRAL_APPLICATIONS: [Aid; 4] = [
    Aid(&[0xa0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00]),
    Aid(&[0xa0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00]),
    Aid(&[0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x04, 0x08]),
    Aid(&[0xd3, 0x92, 0x10, 0x00, 0x31, 0x00, 0x01, 0x01, 0x01, 0x00]),
];

/// The token information: a `CK_TOKEN_INFO` of 160 bytes, whose label tells the kinds of cards
/// apart.
pub const TOKEN_INFO: FileId = FileId(0x0006);

/// How many bytes [`TOKEN_INFO`] has.
pub const TOKEN_INFO_LENGTH: u16 = 160;

/// Where its serial number ends: label, manufacturer and model come before that.
pub const TOKEN_INFO_SERIAL_END: usize = 96;

/// Which certificates are on the card: one byte for the signature certificate, one for
/// authentication (myna-card alone).
pub const CERTIFICATES_PRESENT: FileId = FileId(0x0008);

/// One of the two certificates, with its key and its PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// 利用者証明用電子証明書: proves that its owner is there.
    UserAuthentication,
    /// 署名用電子証明書: signs documents.
    DigitalSignature,
}

/// What is known of a credential.
#[derive(Debug)]
pub struct CredentialFacts {
    /// What OpenSC calls it; labels of objects begin with it.
    pub name: &'static str,
    /// In one word, as slots and objects say it.
    pub short_name: &'static str,
    /// The number of its key and certificate as OpenSC has it (CKA_ID).
    pub object_id: u8,
    /// That of the CA certificate.
    pub ca_object_id: u8,
    /// What the offices call it.
    pub japanese_name: &'static str,
    /// The file of the certificate.
    pub certificate: FileId,
    /// Whether only the PIN opens that file. On an Android phone it also does for authentication.
    pub certificate_is_private: bool,
    /// The file of the certificate of the CA that issued it.
    pub ca_certificate: FileId,
    /// The file of the key.
    pub key_file: FileId,
    /// The file of the PIN.
    pub pin_file: FileId,
    /// How many wrong PINs in a row lock the key.
    pub max_tries: TriesLeft,
    /// Which PINs there are.
    pub pin_form: PinForm,
}

/// Which texts can be a PIN.
#[derive(Debug)]
pub struct PinForm {
    /// How many characters.
    pub length: RangeInclusive<usize>,
    /// Which.
    pub alphabet: PinAlphabet,
}

/// The characters of a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinAlphabet {
    /// 0 to 9.
    Digits,
    /// A to Z and 0 to 9. The office registers capitals, and the card compares bytes. A new one has
    /// both kinds.
    CapitalsAndDigits,
}

static USER_AUTHENTICATION: CredentialFacts = CredentialFacts {
    name: "User Authentication",
    short_name: "Authentication",
    object_id: 0x01,
    ca_object_id: 0x03,
    japanese_name: "利用者証明用",
    certificate: FileId(0x000a),
    certificate_is_private: false,
    ca_certificate: FileId(0x000b),
    key_file: FileId(0x0017),
    pin_file: FileId(0x0018),
    max_tries: TriesLeft::new(3),
    pin_form: PinForm { length: 4..=4, alphabet: PinAlphabet::Digits },
};

static DIGITAL_SIGNATURE: CredentialFacts = CredentialFacts {
    name: "Digital Signature",
    short_name: "Signature",
    object_id: 0x02,
    ca_object_id: 0x04,
    japanese_name: "署名用",
    certificate: FileId(0x0001),
    certificate_is_private: true,
    ca_certificate: FileId(0x0002),
    key_file: FileId(0x001a),
    pin_file: FileId(0x001b),
    max_tries: TriesLeft::new(5),
    pin_form: PinForm { length: 6..=16, alphabet: PinAlphabet::CapitalsAndDigits },
};

/// A value for each of the two credentials.
#[derive(Debug, Default)]
pub struct PerCredential<T> {
    authentication: T,
    signature: T,
}

/// Whose certificate one of a credential's two certificates is (RFC 5280, 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRole {
    /// The card's owner's.
    EndEntity,
    /// The one of the CA that issued the owner's.
    Ca,
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

    /// The short identifier: the low five bits (myna-card; not confirmed for every generation of
    /// chips).
    #[must_use]
    pub fn short(self) -> u8 {
        let [_, low] = self.bytes();
        low & 0x1f
    }
}

impl Credential {
    /// Both, in the order in which they become slots.
    pub const ALL: [Self; 2] = [Self::UserAuthentication, Self::DigitalSignature];

    /// What is known of it.
    #[must_use]
    pub fn facts(self) -> &'static CredentialFacts {
        match self {
            Self::UserAuthentication => &USER_AUTHENTICATION,
            Self::DigitalSignature => &DIGITAL_SIGNATURE,
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::UserAuthentication => Self::DigitalSignature,
            Self::DigitalSignature => Self::UserAuthentication,
        }
    }
}

impl CertificateRole {
    /// The file of the certificate.
    #[must_use]
    pub fn file(self, credential: Credential) -> FileId {
        match self {
            Self::EndEntity => credential.facts().certificate,
            Self::Ca => credential.facts().ca_certificate,
        }
    }
}

impl<T> PerCredential<T> {
    /// A value for each.
    pub fn new(mut make: impl FnMut(Credential) -> T) -> Self {
        Self {
            authentication: make(Credential::UserAuthentication),
            signature: make(Credential::DigitalSignature),
        }
    }

    /// The value for one of them.
    pub fn of(&self, credential: Credential) -> &T {
        match credential {
            Credential::UserAuthentication => &self.authentication,
            Credential::DigitalSignature => &self.signature,
        }
    }

    /// The value for one of them, to change.
    pub fn of_mut(&mut self, credential: Credential) -> &mut T {
        match credential {
            Credential::UserAuthentication => &mut self.authentication,
            Credential::DigitalSignature => &mut self.signature,
        }
    }
}
