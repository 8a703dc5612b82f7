//! Key files and records: the passphrase and the place open them, and nothing else does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use common::{hex, rng};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::at_rest::{
    Cost, KEY_FILE_CONTENT_MAX, KEY_FILE_MAX, KEY_FILE_OVERHEAD, open_key_file, open_record, seal_key_file,
    seal_record,
};
use messageu_envelope::error::{AtRestError, OpenError};
use proptest::collection::vec;
use proptest::prelude::*;

/// Cheap: what it costs is tried once, with the default.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

#[test]
fn the_default_costs_64_mib_and_its_file_opens_with_its_passphrase_alone() {
    let file = seal_key_file(b"passphrase", Cost::DEFAULT, b"keys", &mut rng(150)).unwrap();
    assert_eq!(hex(&file[..21]), format!("{}01{}", hex(b"MU3-KEYS"), "000001000300000004000000"));
    assert_eq!(**open_key_file(b"passphrase", &file).unwrap(), *b"keys");
    assert_eq!(open_key_file(b"Passphrase", &file).unwrap_err(), AtRestError::Open);
}

/// The file can be opened with Argon2id and the AEAD alone.
#[test]
fn the_key_is_that_of_argon2id_version_0x13() {
    use argon2::{Algorithm, Argon2, Params, Version};
    use messageu_wire::envelope::sealed::Sealed;
    let file = seal_key_file(b"passphrase", CHEAP, b"keys", &mut rng(151)).unwrap();
    let mut key = [0; 64];
    let params = Params::new(8, 1, 1, Some(64)).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(b"passphrase", &file[21..37], &mut key).unwrap();
    let sealed = Sealed::decode("key file", &file[37..], 1024).unwrap();
    assert_eq!(**AeadKey::from_bytes(&key).open(&file[..37], &sealed).unwrap(), *b"keys");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_key_file_is_read_back(passphrase in vec(any::<u8>(), 0..40), content in vec(any::<u8>(), 0..500), seed: u8) {
        let file = seal_key_file(&passphrase, CHEAP, &content, &mut rng(seed)).unwrap();
        prop_assert_eq!(&**open_key_file(&passphrase, &file).unwrap(), &content[..]);
        prop_assert!(file.len() >= KEY_FILE_OVERHEAD);
        let again = seal_key_file(&passphrase, CHEAP, &content, &mut rng(seed.wrapping_add(1))).unwrap();
        prop_assert_ne!(&again[37..53], &file[37..53]);
    }

    #[test]
    fn any_bytes_are_no_key_file(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(open_key_file(b"", &bytes).unwrap_err(), AtRestError::Form);
    }

    #[test]
    fn a_record_opens_at_its_place_alone(place in vec(any::<u8>(), 0..20), other in vec(any::<u8>(), 0..20), content in vec(any::<u8>(), 0..100)) {
        let key = AeadKey::generate(&mut rng(152));
        let record = seal_record(&key, &place, &content, &mut rng(153));
        prop_assert_eq!(&**open_record(&key, &place, &record).unwrap(), &content[..]);
        if other != place {
            prop_assert_eq!(open_record(&key, &other, &record).unwrap_err(), OpenError);
        }
        prop_assert!(open_record(&key, &place, &record[..record.len() - 1]).is_err());
    }
}

#[test]
fn any_bit_of_a_key_file_that_changes_is_refused() {
    let file = seal_key_file(b"passphrase", CHEAP, b"keys", &mut rng(154)).unwrap();
    for bit in 0..8 * file.len() {
        // The high bits of the costs may make it as expensive as is given: those are tried below.
        if (11 * 8..13 * 8).contains(&bit) {
            continue;
        }
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open_key_file(b"passphrase", &changed).is_err(), "bit {bit}");
    }
    for size in 0..file.len() {
        assert!(open_key_file(b"passphrase", &file[..size]).is_err(), "{size}");
    }
}

#[test]
fn a_planted_file_cannot_ask_for_more_than_is_given() {
    let file = seal_key_file(b"passphrase", CHEAP, b"keys", &mut rng(155)).unwrap();
    for (at, what, limit) in
        [(9, "memory in KiB", 1 << 20), (13, "number of passes", 16), (17, "number of lanes", 16)]
    {
        for found in [0, limit + 1, u32::MAX] {
            let mut planted = file.clone();
            planted[at..at + 4].copy_from_slice(&found.to_le_bytes());
            assert_eq!(
                open_key_file(b"passphrase", &planted).unwrap_err(),
                AtRestError::Cost { what, found, limit }
            );
        }
    }
    assert_eq!(open_key_file(b"", &vec![0; KEY_FILE_MAX + 1]).unwrap_err(), AtRestError::Form);
}

#[test]
fn lanes_need_eight_kib_of_memory_each() {
    let cost = Cost { memory_kib: 16, passes: 1, lanes: 2 };
    assert!(seal_key_file(b"", cost, b"", &mut rng(156)).is_ok());
    let refused = seal_key_file(b"", Cost { memory_kib: 15, ..cost }, b"", &mut rng(156));
    assert_eq!(refused.unwrap_err(), AtRestError::Memory { found: 15, least: 16 });
}

#[test]
fn what_would_be_too_large_to_be_opened_is_not_sealed() {
    let largest = vec![7; KEY_FILE_CONTENT_MAX];
    let file = seal_key_file(b"passphrase", CHEAP, &largest, &mut rng(157)).unwrap();
    assert_eq!(**open_key_file(b"passphrase", &file).unwrap(), largest);
    let size = largest.len() + 1;
    assert_eq!(
        seal_key_file(b"passphrase", CHEAP, &vec![7; size], &mut rng(157)).unwrap_err(),
        AtRestError::Content { size }
    );
}
