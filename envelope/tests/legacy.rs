//! The suite of the classic dialects against published vectors, the RSA library's own DER, and hostile bytes.

mod common;

use common::{alice, bob, hex, rng, unhex};
use messageu_envelope::error::{LegacyKeyError, OpenError};
use messageu_envelope::legacy::{
    LegacyIv, LegacyKey, LegacyOpener, LegacyPrivateKey, LegacySealer, legacy_open, legacy_seal,
    legacy_sealed_size, legacy_text, legacy_wrap_key,
};
use messageu_wire::fields::PublicKey;
use proptest::prelude::*;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Oaep, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;

const KEY: [u8; 16] = *b"sixteen byte key";

fn key() -> LegacyKey {
    LegacyKey::from_bytes(&KEY)
}

// Keys

#[test]
fn a_public_key_has_exactly_the_bytes_of_crypto_plus_plus() {
    let public = alice().public_key().0;
    assert_eq!(hex(&public[..29]), "30819d300d06092a864886f70d010101050003818b0030818702818100");
    assert_eq!(hex(&public[157..]), "020111");
    let parsed = RsaPublicKey::from_public_key_der(&public).unwrap();
    assert_eq!((parsed.n().bits(), parsed.e()), (1024, &BoxedUint::from(17_u8)));
    assert_eq!(parsed.to_public_key_der().unwrap().as_bytes(), public);
}

#[test]
fn a_private_key_is_read_back() {
    let read = LegacyPrivateKey::from_pkcs8_der(&alice().to_pkcs8_der()).unwrap();
    assert_eq!(read.public_key(), alice().public_key());
    assert_eq!(*read.to_pkcs8_der(), *alice().to_pkcs8_der());
}

#[test]
fn a_private_key_may_be_padded_with_zeros_and_nothing_else() {
    let mut padded = alice().to_pkcs8_der().to_vec();
    padded.resize(1000, 0);
    assert_eq!(LegacyPrivateKey::from_pkcs8_der(&padded).unwrap().public_key(), alice().public_key());
    padded[999] = 1;
    assert_eq!(LegacyPrivateKey::from_pkcs8_der(&padded).unwrap_err(), LegacyKeyError::Private);
}

#[test]
fn private_keys_of_other_kinds_are_refused() {
    let kinds: [(usize, u32); 3] = [(1024, 65537), (1024, 257), (2048, 17)];
    for (bits, exponent) in kinds {
        let rsa = RsaPrivateKey::new_with_exp(&mut rng(3), bits, BoxedUint::from(exponent)).unwrap();
        let der = rsa.to_pkcs8_der().unwrap();
        let read = LegacyPrivateKey::from_pkcs8_der(der.as_bytes());
        assert_eq!(read.unwrap_err(), LegacyKeyError::Private, "{bits} bits, e = {exponent}");
    }
}

#[test]
fn other_exponents_of_one_byte_are_accepted() {
    let rsa = RsaPrivateKey::new_with_exp(&mut rng(4), 1024, BoxedUint::from(3_u8)).unwrap();
    let carol = LegacyPrivateKey::from_pkcs8_der(rsa.to_pkcs8_der().unwrap().as_bytes()).unwrap();
    assert_eq!(carol.public_key().0[157..], [2, 1, 3]);
    let wrapped = legacy_wrap_key(&carol.public_key(), &key(), &mut rng(5)).unwrap();
    assert_eq!(carol.unwrap_key(&wrapped, &mut rng(5)).unwrap(), key());
}

#[test]
fn public_keys_that_are_none_are_refused() {
    let good = alice().public_key().0;
    let wrap = |key_bytes| legacy_wrap_key(&PublicKey(key_bytes), &key(), &mut rng(6));
    assert!(wrap(good).is_ok());
    assert_eq!(wrap([0; 160]), Err(LegacyKeyError::Public));
    // Each with one byte of the form changed: header, sign byte, modulus' top bit, an even modulus, exponents.
    for (at, byte) in
        [(0, 0x31), (28, 1), (29, good[29] & 0x7f), (156, good[156] ^ 1), (159, 1), (159, 16), (159, 0x81)]
    {
        let mut bad = good;
        bad[at] = byte;
        assert_eq!(wrap(bad), Err(LegacyKeyError::Public), "byte {at} = {byte}");
    }
}

#[test]
fn keys_are_equal_in_all_bytes_or_not_at_all() {
    assert_eq!(LegacyKey::from_bytes(&KEY), key());
    for at in 0..KEY.len() {
        let mut other = KEY;
        other[at] ^= 1;
        assert_ne!(LegacyKey::from_bytes(&other), key());
    }
}

#[test]
fn a_wrapped_key_opens_for_its_owner_alone() {
    let wrapped = legacy_wrap_key(&alice().public_key(), &key(), &mut rng(7)).unwrap();
    assert_eq!(alice().unwrap_key(&wrapped, &mut rng(8)).unwrap(), key());
    assert_eq!(bob().unwrap_key(&wrapped, &mut rng(8)), Err(OpenError));
    let again = legacy_wrap_key(&alice().public_key(), &key(), &mut rng(8)).unwrap();
    assert_ne!(wrapped, again, "OAEP is randomised");
}

#[test]
fn a_longer_wrapped_key_is_cut_and_a_shorter_refused() {
    let public = RsaPublicKey::from_public_key_der(&alice().public_key().0).unwrap();
    let wrap = |bytes: &[u8]| public.encrypt(&mut rng(9), Oaep::<Sha1>::new(), bytes).unwrap();
    let mut long = KEY.to_vec();
    long.extend([7; 16]);
    assert_eq!(alice().unwrap_key(&wrap(&long), &mut rng(9)).unwrap(), key());
    assert_eq!(alice().unwrap_key(&wrap(&KEY[..15]), &mut rng(9)), Err(OpenError));
    assert_eq!(alice().unwrap_key(&wrap(&[]), &mut rng(9)), Err(OpenError));
}

#[test]
fn wrapped_keys_of_wrong_sizes_or_values_are_refused() {
    for wrong in [vec![], vec![0; 127], vec![0; 128], vec![0xff; 128], vec![1; 129], vec![1; 4096]] {
        assert_eq!(alice().unwrap_key(&wrong, &mut rng(10)), Err(OpenError), "{} bytes", wrong.len());
    }
}

#[test]
fn nothing_secret_is_in_debug() {
    let secrets = [format!("{:?}", key()), format!("{:?}", alice())];
    let sealer = format!("{:?}", LegacySealer::new(&key(), LegacyIv::Prefixed, &mut rng(11)));
    let opener = format!("{:?}", LegacyOpener::new(&key(), LegacyIv::Zero));
    assert_eq!(secrets[0], "LegacyKey(…)");
    assert_eq!(secrets[1], format!("LegacyPrivateKey {{ public: {:?}, .. }}", alice().public_key()));
    assert_eq!((sealer.as_str(), opener.as_str()), ("LegacySealer(…)", "LegacyOpener(…)"));
}

// Content

/// NIST SP 800-38A, F.2.1 and F.2.2: CBC-AES128.
#[test]
fn content_agrees_with_nist() {
    let key = LegacyKey::from_bytes(&unhex("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap());
    let iv = unhex("000102030405060708090a0b0c0d0e0f");
    let plaintext = unhex(
        "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
         30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
    );
    let ciphertext = unhex(
        "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
         73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
    );
    // The vectors have no padding: the opener gives up their last block once it has seen one byte more.
    let mut opened = Vec::new();
    let mut opener = LegacyOpener::new(&key, LegacyIv::Prefixed);
    opener.update(&[iv.as_slice(), &ciphertext, &[0]].concat(), &mut opened);
    assert_eq!(hex(&opened), hex(&plaintext));
    // Under the zero IV, the first block takes the vectors' IV upon itself.
    let mut input = plaintext;
    input.iter_mut().zip(&iv).for_each(|(byte, iv)| *byte ^= iv);
    assert_eq!(hex(&legacy_seal(&key, LegacyIv::Zero, &input, &mut rng(12))[..64]), hex(&ciphertext));
}

#[test]
fn a_prefixed_iv_is_random_and_in_front() {
    let [first, second] =
        [13, 14].map(|seed| legacy_seal(&key(), LegacyIv::Prefixed, b"hello", &mut rng(seed)));
    assert_eq!(first.len(), 32);
    assert_ne!(first[..16], second[..16]);
    assert_ne!(first[16..], second[16..]);
    let equal = [13, 14].map(|seed| legacy_seal(&key(), LegacyIv::Zero, b"hello", &mut rng(seed)));
    assert_eq!(equal[0], equal[1], "the zero IV's weakness, which the dialects demand");
}

#[test]
fn every_padding_but_the_right_ones_is_refused() {
    // Under a zero IV, a lone block sealed without padding is what the middle of a longer content begins with.
    let raw = |block: [u8; 16]| legacy_seal(&key(), LegacyIv::Zero, &block, &mut rng(15))[..16].to_vec();
    for count in 0..=255_u8 {
        let mut block = [0xaa; 16];
        block.iter_mut().rev().take(usize::from(count).max(1)).for_each(|byte| *byte = count);
        let opened = legacy_open(&key(), LegacyIv::Zero, &raw(block));
        match count {
            1..=16 => assert_eq!(opened.unwrap(), vec![0xaa; 16 - usize::from(count)]),
            _ => assert_eq!(opened, Err(OpenError), "{count}"),
        }
        for wrong in 1..usize::from(count).min(16) {
            let mut block = block;
            block[15 - wrong] ^= 0x80;
            assert_eq!(legacy_open(&key(), LegacyIv::Zero, &raw(block)), Err(OpenError), "{count}, {wrong}");
        }
    }
}

#[test]
fn a_content_may_end_like_its_padding() {
    for byte in 0..=17_u8 {
        for size in 0..40 {
            let plain = vec![byte; size];
            let sealed = legacy_seal(&key(), LegacyIv::Zero, &plain, &mut rng(15));
            assert_eq!(legacy_open(&key(), LegacyIv::Zero, &sealed), Ok(plain));
        }
    }
}

#[test]
fn sizes_are_announced_right() {
    for (plain, zero) in [(0, 16), (1, 16), (15, 16), (16, 32), (17, 32), (u64::from(u32::MAX), 1 << 32)] {
        assert_eq!(legacy_sealed_size(plain, LegacyIv::Zero), zero);
        assert_eq!(legacy_sealed_size(plain, LegacyIv::Prefixed), zero + 16);
    }
    assert_eq!(legacy_sealed_size(u64::MAX, LegacyIv::Prefixed), u64::MAX);
}

#[test]
fn streams_hold_a_block_and_no_more() {
    let mut sealer = LegacySealer::new(&key(), LegacyIv::Zero, &mut rng(16));
    let mut opener = LegacyOpener::new(&key(), LegacyIv::Zero);
    let (mut opened, mut taken) = (0, 0);
    for piece in [[5_u8; 1000]; 100] {
        let (mut sealed, mut plain) = (Vec::new(), Vec::new());
        sealer.update(&piece, &mut sealed);
        opener.update(&sealed, &mut plain);
        taken += piece.len();
        opened += plain.len();
        assert!(taken - opened <= 31, "{taken} in, {opened} out");
    }
}

#[test]
fn texts_are_shown_harmless() {
    let shown = |bytes: &[u8]| legacy_text(bytes);
    assert_eq!(shown(b"hello\0"), "hello");
    assert_eq!(shown(b"hello\0\0"), "hello\u{fffd}");
    assert_eq!(shown(b""), "");
    assert_eq!(shown(b"\0"), "");
    assert_eq!(shown(b"a\tb\r\nc\nd\re"), "a\tb\nc\nd\u{fffd}e");
    assert_eq!(shown(b"\x1b[2J\x07\x7f"), "\u{fffd}[2J\u{fffd}\u{fffd}");
    assert_eq!(shown("\u{9b}2J שלום".as_bytes()), "\u{fffd}2J שלום");
    assert_eq!(shown(&[0xff, b'x']), "\u{fffd}x");
}

// Properties

fn iv() -> impl Strategy<Value = LegacyIv> {
    prop_oneof![Just(LegacyIv::Zero), Just(LegacyIv::Prefixed)]
}

/// Bytes, cut into pieces of any sizes, empty ones too.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..12)
}

proptest! {
    #[test]
    fn what_is_sealed_opens(iv in iv(), key in any::<[u8; 16]>(), seed: u8, plain: Vec<u8>) {
        let key = LegacyKey::from_bytes(&key);
        let sealed = legacy_seal(&key, iv, &plain, &mut rng(seed));
        let size = legacy_sealed_size(u64::try_from(plain.len())?, iv);
        prop_assert_eq!(u64::try_from(sealed.len())?, size);
        prop_assert_eq!(legacy_open(&key, iv, &sealed), Ok(plain));
    }

    #[test]
    fn sealing_in_pieces_is_sealing_at_once(iv in iv(), pieces in pieces(), seed: u8) {
        let mut sealed = b"kept".to_vec();
        let mut sealer = LegacySealer::new(&key(), iv, &mut rng(seed));
        pieces.iter().for_each(|piece| sealer.update(piece, &mut sealed));
        sealer.finish(&mut sealed);
        let whole = legacy_seal(&key(), iv, &pieces.concat(), &mut rng(seed));
        prop_assert_eq!(sealed, [b"kept", whole.as_slice()].concat());
    }

    #[test]
    fn opening_in_pieces_is_opening_at_once(iv in iv(), pieces in pieces()) {
        let mut opened = b"kept".to_vec();
        let mut opener = LegacyOpener::new(&key(), iv);
        pieces.iter().for_each(|piece| opener.update(piece, &mut opened));
        let finished = opener.finish(&mut opened);
        let whole = legacy_open(&key(), iv, &pieces.concat());
        prop_assert_eq!(finished.is_ok(), whole.is_ok());
        if let Ok(whole) = whole {
            prop_assert_eq!(opened, [b"kept", whole.as_slice()].concat());
        }
    }

    #[test]
    fn a_cut_content_opens_to_an_error_or_to_something_shorter(iv in iv(), plain: Vec<u8>, keep: prop::sample::Index) {
        let sealed = legacy_seal(&key(), iv, &plain, &mut rng(17));
        let keep = keep.index(sealed.len());
        match legacy_open(&key(), iv, &sealed[..keep]) {
            Err(OpenError) => {}
            Ok(opened) => {
                prop_assert_eq!(keep % 16, 0);
                prop_assert!(opened.len() < plain.len() && plain.starts_with(&opened));
            }
        }
    }

    #[test]
    fn a_flipped_bit_damages_or_fails(iv in iv(), plain: Vec<u8>, at: prop::sample::Index, bit in 0..8_u32) {
        let mut sealed = legacy_seal(&key(), iv, &plain, &mut rng(18));
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert_ne!(legacy_open(&key(), iv, &sealed), Ok(plain));
    }

    #[test]
    fn any_bytes_are_shown_without_control_characters(bytes: Vec<u8>) {
        prop_assert!(!legacy_text(&bytes).chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_wrapped_key_does_not_open(at in 0..128_usize, bit in 0..8_u32) {
        let mut wrapped = legacy_wrap_key(&alice().public_key(), &key(), &mut rng(19)).unwrap();
        wrapped[at] ^= 1 << bit;
        prop_assert_eq!(alice().unwrap_key(&wrapped, &mut rng(20)), Err(OpenError));
    }

    #[test]
    fn any_public_key_wraps_or_is_refused(modulus in prop::collection::vec(any::<u8>(), 128), exponent: u8) {
        let mut public = alice().public_key().0;
        public[29..157].copy_from_slice(&modulus);
        public[159] = exponent;
        let usable = modulus[0] >= 0x80 && modulus[127] % 2 == 1 && exponent % 2 == 1 && (3..0x80).contains(&exponent);
        prop_assert_eq!(legacy_wrap_key(&PublicKey(public), &key(), &mut rng(21)).is_ok(), usable);
    }

    #[test]
    fn a_damaged_private_key_is_refused_or_the_same(at: prop::sample::Index, byte: u8) {
        let mut der = alice().to_pkcs8_der().to_vec();
        let at = at.index(der.len());
        der[at] = byte;
        if let Ok(read) = LegacyPrivateKey::from_pkcs8_der(&der) {
            prop_assert_eq!(read.public_key(), alice().public_key());
        }
    }

    #[test]
    fn any_bytes_as_private_key_are_refused(bytes: Vec<u8>, size: u16) {
        let mut der = vec![0x30, 0x82];
        der.extend(size.to_be_bytes());
        der.extend(bytes);
        prop_assert!(LegacyPrivateKey::from_pkcs8_der(&der).is_err());
    }
}

/// Keys in which single numbers of the structure are replaced, which random damage seldom makes.
#[test]
fn private_keys_with_strange_numbers_do_not_panic() {
    let der = alice().to_pkcs8_der();
    let good = RsaPrivateKey::from_pkcs8_der(&der).unwrap();
    let strange =
        [vec![], vec![0], vec![1], vec![2], vec![16], vec![0xff; 64], vec![0xff; 128], vec![0x55; 200]];
    for field in 0..8 {
        for number in &strange {
            let inner = pkcs1_with(&good, field, number);
            let oid = unhex("020100300d06092a864886f70d0101010500");
            let info = tlv(0x30, &[oid, tlv(0x04, &inner)].concat());
            if let Ok(read) = LegacyPrivateKey::from_pkcs8_der(&info) {
                // The numbers that follow from the others are not used, but computed anew.
                assert!(field >= 5, "field {field} = {}", hex(number));
                assert_eq!(read.public_key(), alice().public_key());
            }
        }
    }
}

/// PKCS#1 DER of a key, of which one number is another.
fn pkcs1_with(key: &RsaPrivateKey, field: usize, number: &[u8]) -> Vec<u8> {
    use rsa::traits::PrivateKeyParts;
    let numbers =
        [key.n().as_ref(), key.e(), key.d()].into_iter().chain(key.primes().iter().map(AsRef::as_ref));
    let mut numbers: Vec<_> = numbers.map(|number| number.to_be_bytes_trimmed_vartime().to_vec()).collect();
    numbers.resize(8, vec![3]);
    let numbers =
        numbers.iter().enumerate().map(|(at, good)| if at == field { number } else { good.as_slice() });
    let integers = numbers.map(|number| {
        let sign: &[u8] = if number.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
        tlv(0x02, &[sign, number].concat())
    });
    tlv(0x30, &std::iter::once(vec![2, 1, 0]).chain(integers).collect::<Vec<_>>().concat())
}

/// One DER value, with the shortest header.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let [.., high, low] = value.len().to_be_bytes();
    let header = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header, value.to_vec()].concat()
}
