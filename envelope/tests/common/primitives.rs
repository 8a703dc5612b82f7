//! The derivations of version 3 from primitives alone, without this crate.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;

/// HKDF-SHA-512.
pub fn hkdf<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; N] {
    let mut derived = [0; N];
    Hkdf::<Sha512>::new(Some(salt), secret).expand(info, &mut derived).unwrap();
    derived
}

/// HMAC-SHA-512.
pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 64] {
    let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The ratchet's root step: the next root key, and the chain key.
pub fn root_step(root: &[u8; 32], agreed: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    let derived = hkdf::<64>(root, agreed, b"MU3-RK");
    (*derived.first_chunk().unwrap(), *derived.last_chunk().unwrap())
}

/// The key of the message at the head of a chain, and the next chain key.
pub fn chain_step(chain: &[u8; 32]) -> ([u8; 64], [u8; 32]) {
    (hmac(chain, &[1]), *hmac(chain, &[2]).first_chunk().unwrap())
}
