//! Any bytes as a certificate, as token information or as the list of certificates, read by
//! themselves and on a card.

#![no_main]

use jpki_pkcs11::config::Config;
use jpki_pkcs11::iso7816::der;
use jpki_pkcs11::jpki::certificate::Certificate;
use jpki_pkcs11::jpki::key::{Scheme, ToBeSigned};
use jpki_pkcs11::token::mechanism::Parameter;
use jpki_pkcs11_fuzz::card::Reader;
use jpki_pkcs11_fuzz::input::Input;
use jpki_pkcs11_fuzz::user::User;
use libfuzzer_sys::fuzz_target;

const FILES: [u16; 6] = [0x0001, 0x0002, 0x0006, 0x0008, 0x000a, 0x000b];

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let Some(choice) = input.byte() else { return };
    let file = FILES[usize::from(choice & 0x7f) % FILES.len()];
    let content = input.rest();
    // Most bytes are no certificate, and the walk through a card takes a thousand times as long as
    // to find that out.
    let walk = choice & 0x80 != 0 || matches!(file, 0x0006 | 0x0008);
    if !parse(content) && !walk {
        return;
    }
    let reader = Reader::new(0);
    reader.card().set_file(file, Some(content.to_vec()));
    let mut user = User::new(&reader, Config::default());
    user.list();
    for (slot, pin) in [b"1234".as_slice(), b"ABC123"].into_iter().enumerate() {
        user.look(slot);
        user.login(slot, pin);
        user.look(slot);
        user.sign(slot, cryptoki_sys::CKM_SHA256_RSA_PKCS, Parameter::None);
    }
    user.finish();
});

/// Whether it is a certificate.
fn parse(content: &[u8]) -> bool {
    if let Some(length) = der::sequence_length(content) {
        assert!(length >= 2);
    }
    let Some(certificate) = Certificate::parse(content.to_vec().into()) else { return false };
    assert_eq!(certificate.der(), content);
    for part in [certificate.subject(), certificate.issuer(), certificate.public_key_info()] {
        assert!(content.windows(part.len().max(1)).any(|window| window == part));
    }
    if let Some(key) = certificate.public_key() {
        let message = |scheme, input| ToBeSigned { scheme, input };
        assert!(!key.verifies(message(Scheme::Pkcs1, b"data"), &[0; 256]));
        assert!(!key.verifies(message(Scheme::PssSha256, &[7; 32]), content));
    }
    true
}
