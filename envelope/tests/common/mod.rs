//! What the tests share: fixed randomness, one key pair for all, and hexadecimal.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails the test that calls it"
)]

pub mod primitives;
pub mod thief;
pub mod users;

use std::sync::OnceLock;

use messageu_envelope::legacy::LegacyPrivateKey;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Randomness that is the same in every run.
pub fn rng(seed: u8) -> StdRng {
    StdRng::from_seed([seed; 32])
}

/// The key pair of tests that need any.
pub fn alice() -> &'static LegacyPrivateKey {
    static KEY: OnceLock<LegacyPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| LegacyPrivateKey::generate(&mut rng(1)).unwrap())
}

/// Another one.
pub fn bob() -> &'static LegacyPrivateKey {
    static KEY: OnceLock<LegacyPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| LegacyPrivateKey::generate(&mut rng(2)).unwrap())
}

/// Bytes as lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digits as bytes.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}
