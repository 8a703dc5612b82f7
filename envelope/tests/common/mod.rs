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
use messageu_wire::envelope::field::DhPublicKey;
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

/// Every spelling of a point whose order divides 8, with and without the bit that counts for nothing.
pub fn low_order() -> Vec<DhPublicKey> {
    let points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let points = points.map(|point| <[u8; 32]>::try_from(unhex(point)).unwrap());
    let with_bit = points.map(|mut point| {
        point[31] |= 0x80;
        point
    });
    [points, with_bit].as_flattened().iter().copied().map(DhPublicKey).collect()
}
