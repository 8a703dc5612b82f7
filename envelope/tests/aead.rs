//! A256CBC-HS512 against RFC 7518's own example, and against whoever changes anything.

mod common;

use common::primitives::hmac;
use common::{hex, rng, unhex};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::error::OpenError;
use messageu_wire::envelope::field::Iv;
use messageu_wire::envelope::sealed::Sealed;
use proptest::collection::vec;
use proptest::prelude::*;

fn key(seed: u8) -> AeadKey {
    AeadKey::generate(&mut rng(seed))
}

#[test]
fn the_example_of_rfc_7518_appendix_b_3() {
    let bytes: Vec<u8> = (0..64).collect();
    let key = AeadKey::from_bytes(&bytes.try_into().unwrap());
    let plaintext = b"A cipher system must not be required to be secret, and it must be able to fall into \
                      the hands of the enemy without inconvenience";
    let aad = b"The second principle of Auguste Kerckhoffs";
    let iv = Iv(unhex("1af38c2dc2b96ffdd86694092341bc04").try_into().unwrap());
    let sealed = key.seal_with(iv, aad, plaintext);
    assert_eq!(
        hex(&sealed.ciphertext),
        "4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd\
         822c301dd67c373bccb584ad3e9279c2e6d12a1374b77f077553df829410446b\
         36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3\
         a3b75e662a2594410ae496b2e2e6609e31e6e02cc837f053d21f37ff4f51950b\
         be2638d09dd7a4930930806d0703b1f6"
    );
    assert_eq!(hex(&sealed.tag.0), "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5");
    assert_eq!(**key.open(aad, &sealed).unwrap(), *plaintext);
}

#[test]
fn a_padding_that_does_not_hold_behind_a_tag_that_does_is_the_same_error() {
    let bytes: [u8; 64] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let key = AeadKey::from_bytes(&bytes);
    // One block that is all padding; what changes in the IV changes in it.
    let sealed = key.seal_with(Iv([7; 16]), b"aad", b"");
    let with_padding = |padding: u8| {
        let mut changed = sealed.clone();
        changed.iv.0[15] ^= 16 ^ padding;
        let bits = 24_u64.to_be_bytes();
        let covered = [&b"aad"[..], &changed.iv.0, &changed.ciphertext, &bits].concat();
        changed.tag.0 = *hmac(&bytes[..32], &covered).first_chunk().unwrap();
        key.open(b"aad", &changed).map(|opened| opened.len())
    };
    assert_eq!((with_padding(16), with_padding(1)), (Ok(0), Ok(15)));
    for padding in [0, 2, 15, 17, 255] {
        assert_eq!(with_padding(padding), Err(OpenError), "{padding}");
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_with_the_same_aad_alone(
        aad in vec(any::<u8>(), 0..80), plaintext in vec(any::<u8>(), 0..200), other in vec(any::<u8>(), 0..80),
    ) {
        let sealed = key(1).seal(&aad, &plaintext, &mut rng(2));
        prop_assert_eq!(sealed.ciphertext.len(), Sealed::ciphertext_size(plaintext.len()));
        prop_assert_eq!(&**key(1).open(&aad, &sealed).unwrap(), &plaintext[..]);
        prop_assert_eq!(key(2).open(&aad, &sealed), Err(OpenError));
        if other != aad {
            prop_assert_eq!(key(1).open(&other, &sealed), Err(OpenError));
        }
    }

    #[test]
    fn any_bit_that_changes_is_refused(plaintext in vec(any::<u8>(), 0..40)) {
        let bytes = key(1).seal(b"aad", &plaintext, &mut rng(2)).encode();
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = Sealed::decode("content", &changed, 1024).unwrap();
            prop_assert_eq!(key(1).open(b"aad", &changed), Err(OpenError));
        }
    }

    /// The boundary between additional data and IV is in the tag: bytes cannot move over it.
    #[test]
    fn bytes_cannot_move_between_the_parts(plaintext in vec(any::<u8>(), 16..64)) {
        let sealed = key(1).seal(b"sixteen byte aad", &plaintext, &mut rng(2));
        let mut ciphertext = sealed.ciphertext.clone();
        let first: Vec<u8> = ciphertext.drain(..16).collect();
        let moved = Sealed { iv: Iv(first.try_into().unwrap()), ciphertext, tag: sealed.tag };
        let aad = [b"sixteen byte aad".as_slice(), &sealed.iv.0].concat();
        prop_assert_eq!(key(1).open(&aad, &moved), Err(OpenError));
    }
}

#[test]
fn the_halves_of_a_key_are_the_mac_key_and_the_cipher_key_in_this_order() {
    let bytes = *key(3).to_bytes();
    let sealed = key(3).seal(b"", b"content", &mut rng(4));
    let mut mac_only = bytes;
    mac_only[32..].fill(0);
    // With the right MAC key the tag holds; only the padding can then say that the cipher key is another.
    let opened = AeadKey::from_bytes(&mac_only).open(b"", &sealed);
    assert!(opened.is_err() || **opened.unwrap() != *b"content");
    let mut cipher_only = bytes;
    cipher_only[..32].fill(0);
    assert_eq!(AeadKey::from_bytes(&cipher_only).open(b"", &sealed), Err(OpenError));
}

#[test]
fn no_key_is_shown() {
    assert_eq!(format!("{:?}", key(1)), "AeadKey(…)");
}
