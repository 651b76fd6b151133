//! Signs a file with the first key of a token, and writes the token's first certificate beside the
//! signature.
//!
//! Arguments: the module, the token's label, the file, and the signature to make; `pss` as a fifth
//! one asks for RSASSA-PSS. The PIN stands in the variable PIN.

use std::error::Error;
use std::{env, fs};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (module, label, input, output, pss) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        [module, label, input, output] => (module, label, input, output, false),
        [module, label, input, output, "pss"] => (module, label, input, output, true),
        _ => return Err("usage: rust-client MODULE LABEL FILE SIGNATURE [pss]".into()),
    };
    let pkcs11 = Pkcs11::new(module)?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    {
        let session = pkcs11.open_ro_session(find_slot(&pkcs11, label)?)?;
        session.login(UserType::User, Some(&AuthPin::new(env::var("PIN")?.into())))?;
        fs::write(output, sign(&session, &fs::read(input)?, pss)?)?;
        fs::write(format!("{output}.der"), certificate(&session)?)?;
        session.logout()?;
    }
    pkcs11.finalize()?;
    Ok(())
}

fn find_slot(pkcs11: &Pkcs11, label: &str) -> Result<Slot, Box<dyn Error>> {
    for slot in pkcs11.get_slots_with_initialized_token()? {
        if pkcs11.get_token_info(slot)?.label() == label {
            return Ok(slot);
        }
    }
    Err("no such token".into())
}

fn sign(session: &Session, data: &[u8], pss: bool) -> Result<Vec<u8>, Box<dyn Error>> {
    let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])?;
    let key = *keys.first().ok_or("no key")?;
    let mechanism = if pss {
        Mechanism::Sha256RsaPkcsPss(PkcsPssParams {
            hash_alg: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            s_len: 32.into(),
        })
    } else {
        Mechanism::Sha256RsaPkcs
    };
    Ok(session.sign(&mechanism, key, data)?)
}

fn certificate(session: &Session) -> Result<Vec<u8>, Box<dyn Error>> {
    let found = session.find_objects(&[Attribute::Class(ObjectClass::CERTIFICATE)])?;
    let first = *found.first().ok_or("no certificate")?;
    match session.get_attributes(first, &[AttributeType::Value])?.pop() {
        Some(Attribute::Value(value)) => Ok(value),
        _ => Err("a certificate without its value".into()),
    }
}
