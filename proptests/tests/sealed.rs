//! The suite in both its forms: what is sealed opens, and what every flipped bit comes to.
#![allow(clippy::expect_used, reason = "a failed property should stop")]

use std::sync::LazyLock;

use messageu_envelope::legacy::{LegacyIv, LegacyKey, LegacyPrivateKey};
use messageu_proptests::property::{check_bit_flips, check_seal, check_sealed_bytes, check_wrapped_flips};
use messageu_proptests::run::check;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

static KEY_PAIRS: LazyLock<[LegacyPrivateKey; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| LegacyPrivateKey::generate(&mut StdRng::seed_from_u64(seed)).expect("a key pair"))
});

/// A key, where the IV is, and a seed.
fn sealing() -> impl Strategy<Value = (LegacyKey, LegacyIv, u64)> {
    let iv = prop_oneof![Just(LegacyIv::Zero), Just(LegacyIv::Prefixed)];
    (any::<[u8; 16]>().prop_map(|bytes| LegacyKey::from_bytes(&bytes)), iv, any::<u64>())
}

#[test]
fn what_is_sealed_opens_to_what_it_was() {
    check(512, (sealing(), vec(any::<u8>(), 0..2000)), |((key, iv, seed), plaintext)| {
        check_seal(&key, iv, &plaintext, seed);
    });
}

#[test]
fn any_bytes_open_to_what_cbc_makes_of_them_or_not_at_all() {
    let blocks = (0..8_usize).prop_flat_map(|blocks| vec(any::<u8>(), 16 * blocks));
    let bytes = prop_oneof![4 => blocks, 1 => vec(any::<u8>(), 0..100)];
    check(2048, (sealing(), bytes), |((key, iv, _), bytes)| check_sealed_bytes(&key, iv, &bytes));
}

#[test]
fn a_flipped_bit_does_what_cbc_says_and_nothing_else() {
    check(64, (sealing(), vec(any::<u8>(), 0..70)), |((key, iv, seed), plaintext)| {
        check_bit_flips(&key, iv, &plaintext, seed);
    });
}

#[test]
fn a_wrapped_key_opens_for_its_owner_alone_and_with_no_bit_flipped() {
    let [owner, other] = &*KEY_PAIRS;
    check(1, sealing(), |(key, _, seed)| check_wrapped_flips(owner, other, &key, seed));
}
