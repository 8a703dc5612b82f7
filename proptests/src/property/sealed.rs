//! Contents and wrapped keys: what opens to what, and what a change of the bytes that travel comes to.
//!
//! The suite authenticates nothing, so that changed contents may open. To what is no accident: see [`check_bit_flips`].

use std::ops::Range;

use messageu_envelope::legacy::{
    LegacyIv, LegacyKey, LegacyOpener, LegacyPrivateKey, LegacySealer, legacy_open, legacy_seal,
    legacy_sealed_size, legacy_wrap_key,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::pieces::cut_by_itself;

/// Bytes of a block.
const BLOCK: usize = 16;

/// What is sealed opens to what it was, has the size announced, and is the same when it is sealed in pieces.
pub fn check_seal(key: &LegacyKey, iv: LegacyIv, plaintext: &[u8], seed: u64) {
    let sealed = legacy_seal(key, iv, plaintext, &mut rng(seed));
    assert_eq!(sealed.len() as u64, legacy_sealed_size(plaintext.len() as u64, iv));
    assert_eq!(legacy_open(key, iv, &sealed).as_deref(), Ok(plaintext));
    assert_eq!(opened(key, iv, &sealed).as_deref(), Some(plaintext));
    let mut in_pieces = Vec::new();
    let mut sealer = LegacySealer::new(key, iv, &mut rng(seed));
    cut_by_itself(plaintext).for_each(|piece| sealer.update(piece, &mut in_pieces));
    sealer.finish(&mut in_pieces);
    assert!(in_pieces == sealed, "in pieces it is sealed otherwise");
}

/// Any bytes open to what CBC and PKCS#7 make of them, in any pieces, or not at all.
pub fn check_sealed_bytes(key: &LegacyKey, iv: LegacyIv, bytes: &[u8]) {
    let expected = opened(key, iv, bytes);
    assert_eq!(legacy_open(key, iv, bytes).ok(), expected);
    let (mut out, mut opener) = (Vec::new(), LegacyOpener::new(key, iv));
    cut_by_itself(bytes).for_each(|piece| opener.update(piece, &mut out));
    assert_eq!(opener.finish(&mut out).ok().map(|()| out), expected);
}

/// Any bit of a sealed content that is flipped does just this to the plaintext and the padding behind it:
///
/// - in block *i* of the ciphertext: block *i* becomes another, block *i* + 1 has the same bit flipped;
/// - in the IV: block 0 has the same bit flipped;
/// - everything else stays.
///
/// The content opens if what then stands at the end is a padding. So it always opens when neither of the last two
/// blocks is hit, and then has its size; when the last but one is hit, the padding is known; when the last is, it may be
/// any, and takes nothing but from that block.
pub fn check_bit_flips(key: &LegacyKey, iv: LegacyIv, plaintext: &[u8], seed: u64) {
    let sealed = legacy_seal(key, iv, plaintext, &mut rng(seed));
    let padding = BLOCK - plaintext.len() % BLOCK;
    let padded = [plaintext, &vec![padding as u8; padding]].concat();
    let lead = sealed.len() - padded.len();
    for (at, bit) in (0..sealed.len()).flat_map(|at| (0..8).map(move |bit| (at, 1_u8 << bit))) {
        let mut flipped = sealed.clone();
        flipped[at] ^= bit;
        check_sealed_bytes(key, iv, &flipped);

        let destroyed: Range<usize> = match at.checked_sub(lead) {
            Some(at) => at / BLOCK * BLOCK..at / BLOCK * BLOCK + BLOCK,
            None => 0..0,
        };
        let mut expected = padded.clone();
        if let Some(byte) = expected.get_mut(at + BLOCK - lead) {
            *byte ^= bit;
        }
        let what = || format!("{} bytes, byte {at} of {}", plaintext.len(), sealed.len());
        let outcome = legacy_open(key, iv, &flipped);
        if destroyed.end == padded.len() {
            let Ok(opened) = outcome else { continue };
            assert!((destroyed.start..destroyed.end).contains(&opened.len()), "{}", what());
            assert_eq!(opened[..destroyed.start], expected[..destroyed.start], "{}", what());
            continue;
        }
        let Some(content) = without_padding(&expected) else {
            assert!(outcome.is_err(), "{}", what());
            continue;
        };
        let opened = outcome.unwrap_or_else(|error| panic!("{}: {error}", what()));
        assert_eq!(opened.len(), content.len(), "{}", what());
        assert_eq!(opened[..destroyed.start], content[..destroyed.start], "{}", what());
        assert_eq!(opened[destroyed.end..], content[destroyed.end..], "{}", what());
        assert!(destroyed.is_empty() || opened[destroyed.clone()] != padded[destroyed], "{}", what());
    }
}

/// A wrapped key opens to itself for its owner alone; with any bit flipped, for nobody.
pub fn check_wrapped_flips(owner: &LegacyPrivateKey, other: &LegacyPrivateKey, key: &LegacyKey, seed: u64) {
    let wrapped = legacy_wrap_key(&owner.public_key(), key, &mut rng(seed)).expect("a key of ours");
    assert!(owner.unwrap_key(&wrapped, &mut rng(seed)).as_ref() == Ok(key));
    assert!(other.unwrap_key(&wrapped, &mut rng(seed)).is_err());
    for (at, bit) in (0..wrapped.len()).flat_map(|at| (0..8).map(move |bit| (at, 1_u8 << bit))) {
        let mut flipped = wrapped;
        flipped[at] ^= bit;
        assert!(owner.unwrap_key(&flipped, &mut rng(seed)).is_err(), "byte {at}, bit {bit:02x}");
    }
}

/// What bytes open to by the definitions of CBC and PKCS#7, over the cipher's single blocks.
fn opened(key: &LegacyKey, iv: LegacyIv, sealed: &[u8]) -> Option<Vec<u8>> {
    let (mut before, blocks) = match iv {
        LegacyIv::Zero => (&[0; BLOCK], sealed),
        LegacyIv::Prefixed => sealed.split_first_chunk()?,
    };
    let (blocks, rest) = blocks.as_chunks::<BLOCK>();
    let mut plaintext = Vec::new();
    for block in blocks {
        plaintext.extend(decrypted(key, block).iter().zip(before).map(|(byte, before)| byte ^ before));
        before = block;
    }
    without_padding(&plaintext).filter(|_| rest.is_empty()).map(<[u8]>::to_vec)
}

/// What AES alone makes of a block: the first of two opens so under a zero IV.
fn decrypted(key: &LegacyKey, block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut out = Vec::new();
    LegacyOpener::new(key, LegacyIv::Zero).update(&[&block[..], &[0]].concat(), &mut out);
    out.try_into().expect("one block")
}

/// Bytes without a padding at their end: 1 to 16 bytes that all say how many they are.
fn without_padding(bytes: &[u8]) -> Option<&[u8]> {
    let count = *bytes.last().filter(|count| (1..=16).contains(*count))?;
    let (content, padding) = bytes.split_at(bytes.len() - usize::from(count));
    padding.iter().all(|byte| *byte == count).then_some(content)
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
