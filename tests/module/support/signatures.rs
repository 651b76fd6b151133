//! Checks of signatures, with the keys of the virtual card's owner and not through the module.

use rsa::Pkcs1v15Sign;
use sha2::{Digest, Sha256};
use virtual_card::{Credential, VirtualCard};

/// Asserts that `signature` is CKM_SHA256_RSA_PKCS over `data` with the card's key.
pub fn assert_sha256_signature(card: &VirtualCard, credential: Credential, data: &[u8], signature: &[u8]) {
    let key = card.identity().public_key(credential);
    key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(data), signature)
        .expect("the card's signature");
}
