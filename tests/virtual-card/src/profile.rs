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

use std::collections::BTreeMap;

use crate::behaviour::{EndOfFile, ExtendedLength, FileAnswer, LongRead, TriesQuery};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialProfile {
    /// The PIN that is right.
    pub pin: String,
    /// Wrong tries in a row that block it.
    pub tries: u8,
    /// Tries left when the card is made; 0 is blocked.
    pub tries_left: u8,
    /// The person's own certificate.
    pub certificate: CertificateFile,
    /// The certificate of the CA.
    pub ca_certificate: CertificateFile,
    /// The days that certificate is good for.
    pub validity: Validity,
    /// Whether reading that certificate takes the PIN.
    pub certificate_needs_pin: bool,
    /// A card without a PIN: what VERIFY answers, with data or without. The key cannot be used.
    pub no_pin: Option<u16>,
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
            no_pin: None,
        }
    }
}

/// A kind of card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What the profile is called on the command line.
    pub name: String,
    /// `false`: a card without the application, which answers `foreign_status` to everything.
    pub has_application: bool,
    /// What a card without the application says.
    pub foreign_status: u16,
    /// Applications that SELECT refuses, each with its status word; see [`aid`](crate::aid).
    pub refused_applications: BTreeMap<&'static [u8], u16>,
    /// The label in EF 0006.
    pub label: String,
    /// The serial number in EF 0006.
    pub serial: String,
    /// EF 0008; `None` leaves the file out.
    pub availability: Option<Vec<u8>>,
    /// Files that do not simply answer their content, by their ids.
    pub file_answers: BTreeMap<u16, FileAnswer>,
    /// The authentication key pair; `None` leaves out its files, key and PIN.
    pub authentication: Option<CredentialProfile>,
    /// The signature key pair; `None` leaves out its files, key and PIN.
    pub signature: Option<CredentialProfile>,
    /// Whether P1 or P2 may name a file by its short id: `false` refuses it to every command with
    /// 6A86.
    pub short_file_ids: bool,
    /// How READ BINARY refuses a short id; `None` takes it.
    pub short_read_refusal: Option<u16>,
    /// Whether READ BINARY by short id makes the file the current one.
    pub short_read_selects: bool,
    /// How the sign command refuses a short id; `None` takes it.
    pub short_sign_refusal: Option<u16>,
    /// How VERIFY refuses a short id; `None` takes it.
    pub short_verify_refusal: Option<u16>,
    /// The P1 values the sign command takes.
    pub sign_schemes: Vec<u8>,
    /// How the sign command refuses any other P1.
    pub scheme_refusal: u16,
    /// Whether the sign command looks at the key and its PIN before P1.
    pub pin_before_scheme: bool,
    /// Whether the sign command takes any P1 for 00.
    pub ignores_scheme: bool,
    /// The answer to sign input of a wrong length: 6700 or 6985.
    pub wrong_input_status: u16,
    /// Whether the sign command answers 6100 and no data, so that the signature comes by GET
    /// RESPONSE.
    pub signature_waits: bool,
    /// What extended-length commands meet.
    pub extended_length: ExtendedLength,
    /// What long reads in short commands meet.
    pub long_read: LongRead,
    /// How the end of a file is told.
    pub end_of_file: EndOfFile,
    /// The answer to a blocked PIN after its last try: 6984, or 6983 or 63C0 on some cards.
    pub blocked_status: u16,
    /// What the question for the tries answers when the PIN is blocked.
    pub blocked_query_status: u16,
    /// What the question for the tries answers otherwise.
    pub tries_query: TriesQuery,
    /// How that question is refused when it has a fifth byte; `None` answers it all the same.
    pub fifth_byte_refusal: Option<u16>,
    /// Whether the verified state outlives a warm reset.
    pub warm_reset_keeps_verified: bool,
    /// Whether the first command after power-up answers 6F00.
    pub first_command_fails: bool,
    /// Whether another program left both PINs verified, until the power goes.
    pub left_verified: bool,
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
            foreign_status: 0x6a82,
            refused_applications: BTreeMap::new(),
            label: "JPKIAPICCTOKEN2".into(),
            serial: "0000000020500003".into(),
            availability: Some(vec![0x8f, 0x8f, 0x00]),
            file_answers: BTreeMap::new(),
            authentication: Some(CredentialProfile::of(Credential::Authentication)),
            signature: Some(CredentialProfile::of(Credential::Signature)),
            short_file_ids: true,
            short_read_refusal: None,
            short_read_selects: true,
            short_sign_refusal: None,
            short_verify_refusal: None,
            sign_schemes: vec![0, 1, 2, 3, 4, 5],
            scheme_refusal: 0x6a86,
            pin_before_scheme: false,
            ignores_scheme: false,
            wrong_input_status: 0x6700,
            signature_waits: false,
            extended_length: ExtendedLength::Works,
            long_read: LongRead::Works,
            end_of_file: EndOfFile::Refusal,
            blocked_status: 0x6984,
            blocked_query_status: 0x63c0,
            tries_query: TriesQuery::Always,
            fifth_byte_refusal: Some(0x6700),
            warm_reset_keeps_verified: true,
            first_command_fails: false,
            left_verified: false,
            insists_on_exact_length: false,
            longest_piece: None,
            atr: vec![0x3b, 0xe0, 0x00, 0xff, 0x81, 0x31, 0xfe, 0x45, 0x14],
        }
    }

    /// A card that knows only what every project has seen: no short file ids, P1 00, short
    /// commands.
    pub fn conservative() -> Self {
        Self {
            name: "conservative".into(),
            short_file_ids: false,
            sign_schemes: vec![0],
            extended_length: ExtendedLength::Refused(0x6700),
            ..Self::full()
        }
    }

    /// A person under 15: no signature certificate file.
    pub fn under_15() -> Self {
        Self::under_15_with("under-15", CertificateFile::Absent)
    }

    /// A person under 15 whose signature certificate file exists but holds filler.
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

    /// Both certificates end tomorrow.
    pub fn one_day_left() -> Self {
        Self::full().valid("one-day-left", Validity::OneDayLeft)
    }

    /// Both certificates end today.
    pub fn last_day() -> Self {
        Self::full().valid("last-day", Validity::LastDay)
    }

    /// Both certificates are valid for ten years, and end after the next one.
    pub fn ten_years_early() -> Self {
        Self::full().valid("ten-years-early", Validity::TenYearsEarly)
    }

    /// Both certificates are valid for ten years, and end within the last of them.
    pub fn ten_years() -> Self {
        Self::full().valid("ten-years", Validity::TenYears)
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

    /// An iPhone: the files and commands of a card, and PINs of its own.
    pub fn iphone() -> Self {
        Self { name: "iphone".into(), label: "JPKIAPIOSTOKEN".into(), ..Self::full() }
            .with_pins("9753", "PHONE42")
    }

    /// A card made without a PIN (顔認証マイナンバーカード): no signature certificate, and an
    /// authentication key that no PIN opens.
    pub fn without_pin() -> Self {
        let mut profile = Self { name: "without-pin".into(), ..Self::under_15() };
        profile.credential_mut(Credential::Authentication).no_pin = Some(0x6984);
        profile
    }

    /// Some other card: 6A82 for everything.
    pub fn not_jpki() -> Self {
        Self { name: "not-jpki".into(), ..Self::foreign(0x6a82) }
    }

    /// A card of another kind, which answers this status word to everything.
    pub fn foreign(status: u16) -> Self {
        let name = format!("foreign-{status:04X}");
        Self { name, has_application: false, foreign_status: status, ..Self::full() }
    }

    /// Every kind of card that has a name.
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
            Self::iphone(),
            Self::without_pin(),
            Self::ten_years(),
        ]
    }

    /// Named profiles that differ from others of [`Profile::all`] in their dates alone.
    pub(crate) fn of_other_dates() -> [Self; 3] {
        [Self::one_day_left(), Self::last_day(), Self::ten_years_early()]
    }

    /// The profile called `name`, with traits after it if need be: see [`Profile::described_by`].
    pub fn by_name(name: &str) -> Option<Self> {
        Self::described_by(name).ok()
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

    /// The same card with these PINs, as far as it has the key pairs.
    pub fn with_pins(mut self, authentication: &str, signature: &str) -> Self {
        let parts = [(&mut self.authentication, authentication), (&mut self.signature, signature)];
        for (part, pin) in parts {
            if let Some(part) = part {
                part.pin = pin.into();
            }
        }
        self
    }

    fn valid(mut self, name: &str, validity: Validity) -> Self {
        self.name = name.into();
        for part in [&mut self.authentication, &mut self.signature].into_iter().flatten() {
            part.validity = validity;
        }
        self
    }
}
