//! Any template of attributes, any search and any mechanism, on a card that behaves.

#![no_main]

use std::cell::RefCell;

use cryptoki_sys as ck;
use jpki_pkcs11::config::Config;
use jpki_pkcs11::handle::ObjectHandle;
use jpki_pkcs11::token::attribute::{AttributeAnswer, AttributeQuery};
use jpki_pkcs11::token::mechanism::{MechanismRequest, Parameter};
use jpki_pkcs11::token::output::BufferSize;
use jpki_pkcs11::token::template::TemplateEntry;
use jpki_pkcs11_fuzz::by_handle::ByHandle;
use jpki_pkcs11_fuzz::card::Reader;
use jpki_pkcs11_fuzz::input::Input;
use jpki_pkcs11_fuzz::program::number;
use jpki_pkcs11_fuzz::user::{ATTRIBUTES, MECHANISMS, User, check_room};
use libfuzzer_sys::fuzz_target;

const MAX_ENTRIES: usize = 32;

thread_local! {
    /// Logged in to both slots, once: nothing here asks the card for much.
    static USER: RefCell<User> = RefCell::new(logged_in());
}

fuzz_target!(|bytes: &[u8]| {
    USER.with_borrow_mut(|user| {
        let mut input = Input::new(bytes);
        while step(&mut input, user).is_some() {}
    });
});

fn logged_in() -> User {
    let mut user = User::new(&Reader::new(0), Config::default());
    user.login(0, b"1234");
    user.login(1, b"ABC123");
    user
}

fn step(input: &mut Input<'_>, user: &mut User) -> Option<()> {
    let kind = input.byte()?;
    let slot = usize::from(kind >> 7);
    match kind & 0x03 {
        0 | 1 => query(input, user, slot),
        2 => search(input, user, slot),
        _ => mechanism(input, user, slot),
    }
}

fn query(input: &mut Input<'_>, user: &mut User, slot: usize) -> Option<()> {
    let session = user.session(slot);
    let object = ObjectHandle::new(u64::from(input.byte()?));
    let mut queries = Vec::new();
    for _ in 0..usize::from(input.byte()?) % MAX_ENTRIES {
        let room = if input.byte()? & 1 == 0 {
            BufferSize::Query
        } else {
            BufferSize::Bytes(usize::from(input.number()?))
        };
        queries.push(AttributeQuery { kind: number(input, &ATTRIBUTES)?, buffer: room });
    }
    let Ok(result) = user.module.attributes(session, object, &queries) else { return Some(()) };
    assert_eq!(result.answers.len(), queries.len());
    let refused = result.answers.contains(&AttributeAnswer::Unavailable);
    assert_eq!(refused, result.result.is_err(), "{result:?}");
    for (query, answer) in queries.iter().zip(&result.answers) {
        check_room(query.buffer, answer);
    }
    Some(())
}

fn search(input: &mut Input<'_>, user: &mut User, slot: usize) -> Option<()> {
    let session = user.session(slot);
    let mut template = Vec::new();
    for _ in 0..usize::from(input.byte()?) % MAX_ENTRIES {
        template.push(TemplateEntry { kind: number(input, &ATTRIBUTES)?, value: input.bytes()? });
    }
    user.module.find_objects_init(session, &template).expect("a search");
    let found = user.module.find_objects(session, 64).expect("a search");
    user.module.find_objects_final(session).expect("a search");
    for object in found {
        for entry in &template {
            let query = AttributeQuery { kind: entry.kind, buffer: BufferSize::Bytes(65_536) };
            let result = user.module.attributes(session, object, &[query]).expect("an object that was found");
            assert_eq!(result.answers, [AttributeAnswer::Value(entry.value.to_vec().into())]);
        }
    }
    Some(())
}

fn mechanism(input: &mut Input<'_>, user: &mut User, slot: usize) -> Option<()> {
    let session = user.session(slot);
    let kind = number(input, &MECHANISMS)?;
    let parameter = match input.byte()? & 3 {
        0 => Parameter::None,
        1 => Parameter::Unreadable,
        _ => Parameter::Bytes(input.bytes()?),
    };
    let request = MechanismRequest { kind, parameter };
    let object = ObjectHandle::new(u64::from(input.byte()?));
    if user.module.sign_init(session, Some(request), object).is_ok() {
        user.module.sign_update(session, b"data").expect("short enough");
        user.module.session_cancel(session, ck::CKF_SIGN).expect("a session");
    }
    if user.module.verify_init(session, Some(request), object).is_ok() {
        let signature = input.bytes()?;
        assert!(user.module.verify(session, b"data", signature).is_err());
    }
    if user.module.digest_init(session, Some(request)).is_ok() {
        user.module.digest(session, b"data", BufferSize::Bytes(64)).expect("a hash");
    }
    Some(())
}
