//! The files of the JPKI application: which there are, what is in them, who may read them.

use std::collections::BTreeMap;

use crate::profile::{CertificateFile, CredentialProfile, Profile};
use crate::{Credential, Identity};

const SIGNATURE_CERTIFICATE: u16 = 0x0001;
const SIGNATURE_CA: u16 = 0x0002;
const TOKEN_INFO: u16 = 0x0006;
const AVAILABILITY: u16 = 0x0008;
const AUTHENTICATION_CERTIFICATE: u16 = 0x000a;
const AUTHENTICATION_CA: u16 = 0x000b;
const AUTHENTICATION_KEY: u16 = 0x0017;
const AUTHENTICATION_PIN: u16 = 0x0018;
const SIGNATURE_KEY: u16 = 0x001a;
const SIGNATURE_PIN: u16 = 0x001b;

/// Bytes allocated to a certificate file, the rest of which is filler.
const CERTIFICATE_SIZE: usize = 3808;
const FILLER: u8 = 0xff;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Free,
    Pin(Credential),
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) enum File {
    Transparent { content: Vec<u8>, access: Access },
    Key(Credential),
    Pin(Credential),
}

/// The files of one card.
#[derive(Clone, Debug)]
pub(crate) struct Files(BTreeMap<u16, File>);

impl Files {
    pub(crate) fn new(profile: &Profile, identity: &Identity) -> Self {
        let mut files = Self(BTreeMap::new());
        files.free(TOKEN_INFO, token_info(profile));
        if let Some(availability) = &profile.availability {
            files.free(AVAILABILITY, availability.clone());
        }
        for credential in Credential::ALL {
            if let Some(part) = profile.credential(credential) {
                files.add(credential, part, identity);
            }
        }
        files
    }

    pub(crate) fn find(&self, id: u16) -> Option<&File> {
        self.0.get(&id)
    }

    /// Sets a file's content, keeping who may read it; `None` removes the file.
    pub(crate) fn set(&mut self, id: u16, content: Option<Vec<u8>>) {
        let Some(content) = content else {
            self.0.remove(&id);
            return;
        };
        let access = match self.0.get(&id) {
            Some(File::Transparent { access, .. }) => *access,
            _ => Access::Free,
        };
        self.0.insert(id, File::Transparent { content, access });
    }

    fn free(&mut self, id: u16, content: Vec<u8>) {
        self.0.insert(id, File::Transparent { content, access: Access::Free });
    }

    fn add(&mut self, credential: Credential, part: &CredentialProfile, identity: &Identity) {
        let (certificate, ca, key, pin) = match credential {
            Credential::Authentication => {
                (AUTHENTICATION_CERTIFICATE, AUTHENTICATION_CA, AUTHENTICATION_KEY, AUTHENTICATION_PIN)
            }
            Credential::Signature => (SIGNATURE_CERTIFICATE, SIGNATURE_CA, SIGNATURE_KEY, SIGNATURE_PIN),
        };
        self.0.insert(key, File::Key(credential));
        self.0.insert(pin, File::Pin(credential));
        let own = || identity.certificate(credential, part.validity);
        if let Some(content) = certificate_file(&part.certificate, own) {
            let access = if part.certificate_needs_pin { Access::Pin(credential) } else { Access::Free };
            self.0.insert(certificate, File::Transparent { content, access });
        }
        if let Some(content) = certificate_file(&part.ca_certificate, || Identity::ca_certificate(credential))
        {
            self.free(ca, content);
        }
    }
}

fn certificate_file(file: &CertificateFile, der: impl Fn() -> Vec<u8>) -> Option<Vec<u8>> {
    let mut content = match file {
        CertificateFile::Present => der(),
        CertificateFile::Absent => return None,
        CertificateFile::Filler => Vec::new(),
        CertificateFile::Bytes(bytes) => bytes.clone(),
    };
    content.resize(content.len().max(CERTIFICATE_SIZE), FILLER);
    Some(content)
}

/// EF 0006: a CK_TOKEN_INFO of 160 bytes with big-endian 32-bit numbers.
fn token_info(profile: &Profile) -> Vec<u8> {
    const RNG_LOGIN_PIN_TOKEN_INITIALIZED: u32 = 0x0000_040d;
    const UNAVAILABLE: u32 = 0xffff_ffff;
    let mut record = Vec::with_capacity(160);
    record.extend(padded(&profile.label, 32));
    record.extend(padded("00000000000000000000000000000001", 32));
    record.extend(padded("TEST CARD", 16));
    record.extend(padded(&profile.serial, 16));
    record.extend(RNG_LOGIN_PIN_TOKEN_INITIALIZED.to_be_bytes());
    let sessions_and_pin_lengths = [1, 0, 1, 0, 16, 6];
    for number in sessions_and_pin_lengths.into_iter().chain([UNAVAILABLE; 4]) {
        record.extend(number.to_be_bytes());
    }
    record.extend(b"0301");
    record.extend([b'9'; 16]);
    record
}

fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut field = text.as_bytes().to_vec();
    field.resize(length, b' ');
    field
}
