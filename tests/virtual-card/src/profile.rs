//! What kind of card it is: every point where cards differ, or where sources disagree, as a field.
//!
//! Take a named profile and change what a test is about:
//!
//! ```
//! use virtual_card::{Identity, Profile, VirtualCard};
//!
//! let profile = Profile { blocked_status: 0x6983, ..Profile::full() };
//! let card = VirtualCard::new(profile, Identity::shared());
//! ```

use crate::{Credential, Validity};

/// What a certificate file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFile {
    /// The identity's certificate, then filler.
    Present,
    /// There is no such file.
    Absent,
    /// Nothing but filler.
    Filler,
    /// These bytes, then filler.
    Bytes(Vec<u8>),
}

/// One of the two key pairs and what belongs to it.
#[derive(Clone, Debug)]
pub struct CredentialProfile {
    /// The PIN that is right.
    pub pin: String,
    /// Wrong tries in a row that block it.
    pub tries: u8,
    /// Tries left when the card is made; 0 is blocked.
    pub tries_left: u8,
    /// The holder's certificate.
    pub certificate: CertificateFile,
    /// The certificate of the CA.
    pub ca_certificate: CertificateFile,
    /// The days the holder's certificate is good for.
    pub validity: Validity,
    /// Whether reading the holder's certificate takes the PIN.
    pub certificate_needs_pin: bool,
}

impl CredentialProfile {
    fn of(credential: Credential) -> Self {
        let (pin, tries) = match credential {
            Credential::Authentication => ("1234", 3),
            Credential::Signature => ("ABC123", 5),
        };
        Self {
            pin: pin.into(),
            tries,
            tries_left: tries,
            certificate: CertificateFile::Present,
            ca_certificate: CertificateFile::Present,
            validity: Validity::Current,
            certificate_needs_pin: credential == Credential::Signature,
        }
    }
}

/// A kind of card.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What the profile is called on the command line.
    pub name: String,
    /// `false`: a card without the application, which answers 6A82 to everything.
    pub has_application: bool,
    /// The label in EF 0006.
    pub label: String,
    /// The serial number in EF 0006.
    pub serial: String,
    /// EF 0008; `None` leaves the file out.
    pub availability: Option<Vec<u8>>,
    /// The authentication key pair; `None` leaves out its files, key and PIN.
    pub authentication: Option<CredentialProfile>,
    /// The signature key pair; `None` leaves out its files, key and PIN.
    pub signature: Option<CredentialProfile>,
    /// Whether P1 or P2 may name a file by its short id.
    pub short_file_ids: bool,
    /// The P1 values the sign command takes.
    pub sign_schemes: Vec<u8>,
    /// Whether extended-length commands are understood.
    pub extended_length: bool,
    /// The answer to a blocked PIN after its last try: 6984, or 6983 on some cards.
    pub blocked_status: u16,
    /// The answer to sign input of a wrong length: 6700 or 6985.
    pub wrong_input_status: u16,
    /// Whether the verified state outlives a warm reset.
    pub warm_reset_keeps_verified: bool,
    /// Whether the first command after power-up answers 6F00.
    pub first_command_fails: bool,
    /// Whether READ BINARY and the sign command answer 6Cxx when Le is more than there is.
    pub insists_on_exact_length: bool,
    /// Longest answer in one piece; the rest is announced by 61xx and fetched with GET RESPONSE.
    pub longest_piece: Option<usize>,
    /// The answer to reset.
    pub atr: Vec<u8>,
}

impl Profile {
    /// A My Number card with everything.
    pub fn full() -> Self {
        Self {
            name: "full".into(),
            has_application: true,
            label: "JPKIAPICCTOKEN2".into(),
            serial: "0000000020500003".into(),
            availability: Some(vec![0x8f, 0x8f, 0x00]),
            authentication: Some(CredentialProfile::of(Credential::Authentication)),
            signature: Some(CredentialProfile::of(Credential::Signature)),
            short_file_ids: true,
            sign_schemes: vec![0, 1, 2, 3, 4, 5],
            extended_length: true,
            blocked_status: 0x6984,
            wrong_input_status: 0x6700,
            warm_reset_keeps_verified: true,
            first_command_fails: false,
            insists_on_exact_length: false,
            longest_piece: None,
            atr: vec![0x3b, 0xe0, 0x00, 0xff, 0x81, 0x31, 0xfe, 0x45, 0x14],
        }
    }

    /// A card that knows only what every project has seen: no short file ids, P1 00, short commands.
    pub fn conservative() -> Self {
        Self {
            name: "conservative".into(),
            short_file_ids: false,
            sign_schemes: vec![0],
            extended_length: false,
            ..Self::full()
        }
    }

    /// A holder under 15: no signature certificate file.
    pub fn under_15() -> Self {
        Self::under_15_with("under-15", CertificateFile::Absent)
    }

    /// A holder under 15 whose signature certificate file exists but holds filler.
    pub fn under_15_filler() -> Self {
        Self::under_15_with("under-15-filler", CertificateFile::Filler)
    }

    fn under_15_with(name: &str, certificate: CertificateFile) -> Self {
        let signature = CredentialProfile { certificate, ..CredentialProfile::of(Credential::Signature) };
        Self {
            name: name.into(),
            availability: Some(vec![0x00, 0x8f, 0x00]),
            signature: Some(signature),
            ..Self::full()
        }
    }

    /// The authentication PIN is blocked.
    pub fn blocked_authentication() -> Self {
        let mut profile = Self { name: "blocked-auth".into(), ..Self::full() };
        profile.credential_mut(Credential::Authentication).tries_left = 0;
        profile
    }

    /// The signature PIN is blocked.
    pub fn blocked_signature() -> Self {
        let mut profile = Self { name: "blocked-sign".into(), ..Self::full() };
        profile.credential_mut(Credential::Signature).tries_left = 0;
        profile
    }

    /// Both certificates have expired.
    pub fn expired() -> Self {
        Self::full().valid("expired", Validity::Expired)
    }

    /// Both certificates end within three months.
    pub fn expiring() -> Self {
        Self::full().valid("expiring", Validity::Expiring)
    }

    /// The old 住民基本台帳カード: only a signature certificate, expired.
    pub fn juki() -> Self {
        Self {
            label: "JPKIAPICCTOKEN".into(),
            availability: Some(vec![0x8f, 0x00, 0x00]),
            authentication: None,
            ..Self::full()
        }
        .valid("juki", Validity::Expired)
    }

    /// An Android phone: the authentication certificate needs its PIN.
    pub fn android() -> Self {
        let mut profile = Self { name: "android".into(), label: "JPKIAPGPSETOKEN".into(), ..Self::full() };
        profile.credential_mut(Credential::Authentication).certificate_needs_pin = true;
        profile
    }

    /// Some other card: 6A82 for everything.
    pub fn not_jpki() -> Self {
        Self { name: "not-jpki".into(), has_application: false, ..Self::full() }
    }

    /// Every named profile.
    pub fn all() -> Vec<Self> {
        vec![
            Self::full(),
            Self::conservative(),
            Self::under_15(),
            Self::under_15_filler(),
            Self::blocked_authentication(),
            Self::blocked_signature(),
            Self::expired(),
            Self::expiring(),
            Self::juki(),
            Self::android(),
            Self::not_jpki(),
        ]
    }

    /// The profile called `name`.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|profile| profile.name == name)
    }

    /// The key pair's part of the profile.
    pub fn credential(&self, credential: Credential) -> Option<&CredentialProfile> {
        match credential {
            Credential::Authentication => self.authentication.as_ref(),
            Credential::Signature => self.signature.as_ref(),
        }
    }

    /// The key pair's part of the profile, to be changed.
    ///
    /// # Panics
    ///
    /// When the profile leaves that key pair out.
    pub fn credential_mut(&mut self, credential: Credential) -> &mut CredentialProfile {
        let part = match credential {
            Credential::Authentication => self.authentication.as_mut(),
            Credential::Signature => self.signature.as_mut(),
        };
        part.expect("the profile has this credential")
    }

    fn valid(mut self, name: &str, validity: Validity) -> Self {
        self.name = name.into();
        for part in [&mut self.authentication, &mut self.signature].into_iter().flatten() {
            part.validity = validity;
        }
        self
    }
}
