//! An attack on what a process remembers of a PIN: a hash with a random key helps nothing where the
//! key lies beside it, since there are ten thousand PINs of four digits.
//!
//! The hash is that of Rust's standard library, SipHash-1-3 (Aumasson and Bernstein).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::thread;

/// One number in two hundred looks like text by chance, and the attack passes it over.
const KEYS: usize = 8;

/// Hashes a PIN with random keys, and keeps keys and hashes for as long as the process lives.
pub fn remember(pin: &str) {
    for _ in 0..KEYS {
        // Two keys of one thread have a half in common.
        let key = thread::spawn(RandomState::new).join().expect("no panic");
        let hash = key.hash_one((1_u8, pin.as_bytes()));
        // Or the compiler leaves out what is never read.
        black_box(Box::leak(Box::new((key, hash))));
    }
}

/// Whether some 16 bytes of a memory are a key, and some 8 bytes a hash of the PIN with that key.
pub fn leads_to(memory: &[u8], pin: &[u8]) -> bool {
    let words: Vec<u64> =
        memory.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    let known: HashSet<u64> = words.iter().copied().filter(|word| is_random(*word)).collect();
    let messages = messages(pin);
    let keys: HashSet<[u64; 2]> = words
        .windows(2)
        .filter(|pair| pair.iter().all(|word| is_random(*word)))
        .map(|pair| [pair[0], pair[1]])
        .collect();
    keys.into_iter().any(|key| messages.iter().any(|message| known.contains(&siphash(key, message))))
}

/// Neither a number, nor an address, nor text.
fn is_random(word: u64) -> bool {
    let bytes = word.to_le_bytes();
    word >> 48 != 0 && word >> 48 != 0xffff && bytes.iter().filter(|byte| byte.is_ascii_graphic()).count() < 7
}

/// How a PIN may be hashed: as bytes with their length, or not, behind a number that tells its
/// form.
fn messages(pin: &[u8]) -> Vec<Vec<u8>> {
    let length = pin.len().to_le_bytes();
    let forms: [&[u8]; 4] = [&[], &[0], &[1], &[2]];
    let with_length = forms.iter().map(|form| [*form, &length, pin].concat());
    let without = forms.iter().map(|form| [*form, pin].concat());
    let text = forms.iter().map(|form| [*form, pin, &[0xff]].concat());
    with_length.chain(without).chain(text).collect()
}

/// SipHash with one round for each word and three at the end.
fn siphash([k0, k1]: [u64; 2], message: &[u8]) -> u64 {
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut last = [0; 8];
    let chunks = message.chunks_exact(8);
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[7] = u8::try_from(message.len() % 256).unwrap();
    for word in
        chunks.map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())).chain([u64::from_le_bytes(last)])
    {
        state[3] ^= word;
        round(&mut state);
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    (0..3).for_each(|_| round(&mut state));
    state.into_iter().fold(0, |all, word| all ^ word)
}

fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}
