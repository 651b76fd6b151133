//! The bare commands: what a signature needs if no other program may use the login after it, and
//! if a stored PIN is sent only to a card that has all its tries.

use std::time::Instant;

use pcsc::{Card, Context, Disposition, MAX_BUFFER_SIZE, Protocols, Scope, ShareMode, Transaction};

use crate::client::{is_told, print_time};

const SELECT_JPKI: &[u8] = &[0x00, 0xa4, 0x04, 0x0c, 10, 0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0, 0, 0, 0x01];
const SELECT_PIN: &[u8] = &[0x00, 0xa4, 0x02, 0x0c, 2, 0x00, 0x18];
const COUNT: &[u8] = &[0x00, 0x20, 0x00, 0x80];
const VERIFY: &[u8] = &[0x00, 0x20, 0x00, 0x80, 4, b'1', b'2', b'3', b'4'];
const SELECT_NEUTRAL: &[u8] = &[0x00, 0xa4, 0x04, 0x0c, 7, 0xa0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00];

/// Before a SHA-256 hash in a signature of PKCS #1 v1.5.
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 0x05, 0x00, 0x04, 0x20];

const DONE: u16 = 0x9000;
const THREE_TRIES: u16 = 0x63c3;

/// A signature at each line, all by one connection; prints how long each took.
pub(crate) fn sign() {
    let context = Context::establish(Scope::User).expect("a PC/SC service");
    let reader = context.list_readers_owned().expect("readers").first().expect("a reader").clone();
    let mut card = context.connect(&reader, ShareMode::Shared, Protocols::ANY).expect("a card");
    while is_told() {
        let start = Instant::now();
        sign_once(&mut card);
        print_time("sign", start);
    }
    // Dropped, it would be reset.
    assert!(card.disconnect(Disposition::LeaveCard).is_ok());
}

fn sign_once(card: &mut Card) {
    // The key by its short file id; the hash is any.
    let sign = [&[0x80, 0x2a, 0x00, 0x97, 51][..], &DIGEST_INFO, &[0x5a; 32], &[0x00]].concat();
    let transaction = card.transaction().expect("a transaction");
    let steps = [SELECT_JPKI, SELECT_PIN, COUNT, VERIFY, &sign, SELECT_NEUTRAL];
    for (step, status) in steps.into_iter().zip([DONE, DONE, THREE_TRIES, DONE, DONE, DONE]) {
        assert_eq!(transmit(&transaction, step), status, "{:02x?}", &step[..4]);
    }
    assert!(transaction.end(Disposition::LeaveCard).is_ok());
}

fn transmit(transaction: &Transaction<'_>, command: &[u8]) -> u16 {
    let mut answer = [0; MAX_BUFFER_SIZE];
    let answer = transaction.transmit(command, &mut answer).expect("an answer");
    u16::from_be_bytes(*answer.last_chunk().expect("a status word"))
}
