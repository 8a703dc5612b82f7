//! Sealed contents and wrapped keys of the classic suite.

use std::convert::Infallible;
use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use messageu_envelope::legacy::{
    LEGACY_KEY_SIZE, LEGACY_WRAPPED_KEY_SIZE, LegacyIv, LegacyKey, LegacyOpener, LegacyPrivateKey,
    LegacySealer, legacy_open, legacy_seal, legacy_sealed_size, legacy_text, legacy_wrap_key,
};
use rand::rngs::StdRng;
use rand::{SeedableRng as _, TryCryptoRng, TryRng};

use crate::pieces::cut_by_itself;
use crate::rarely::rarely;

/// A key, as good as any other.
const KEY: [u8; LEGACY_KEY_SIZE] = *b"a key for tests.";

/// Of the executions that could do an RSA operation, one in this many does: one takes as long as hundreds of others.
const RSA_ONE_IN: u32 = 512;

/// A ciphertext, a plaintext to be sealed, or a wrapped key, as a fuzzer's bytes say it.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_envelope(bytes: &mut Unstructured<'_>) -> Result<()> {
    let choice = bytes.arbitrary::<u8>()?;
    let iv = if choice.is_multiple_of(2) { LegacyIv::Zero } else { LegacyIv::Prefixed };
    match choice >> 1 {
        0..48 => check_opening(iv, bytes.bytes(bytes.len())?),
        48..120 => {
            let nonce = bytes.arbitrary()?;
            let (at, mask) = bytes.arbitrary::<(u16, u8)>()?;
            check_sealing(iv, nonce, bytes.bytes(bytes.len())?, at.into(), mask);
        }
        _ if rarely(bytes.peek_bytes(bytes.len()).unwrap_or_default(), RSA_ONE_IN) => {
            if choice.is_multiple_of(2) {
                let (at, mask) = bytes.arbitrary::<(u8, u8)>()?;
                check_wrapping(bytes.arbitrary()?, bytes.arbitrary()?, at.into(), mask);
            } else {
                check_unwrapping(bytes.bytes(bytes.len())?);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Any ciphertext: it makes no difference in which pieces it comes, and what opens is sealed to the same again, so that
/// nothing has two ciphertexts.
fn check_opening(iv: LegacyIv, sealed: &[u8]) {
    let key = LegacyKey::from_bytes(&KEY);
    let opened = legacy_open(&key, iv, sealed);
    let mut opener = LegacyOpener::new(&key, iv);
    let mut in_pieces = Vec::new();
    for piece in cut_by_itself(sealed) {
        opener.update(piece, &mut in_pieces);
    }
    let in_pieces = opener.finish(&mut in_pieces).map(|()| in_pieces);
    assert_eq!(opened, in_pieces);
    match opened {
        Ok(plaintext) => {
            let again = legacy_seal(&key, iv, &plaintext, &mut Replay(sealed));
            assert!(again == sealed, "{iv:?}: {sealed:02x?} opens to what is sealed to {again:02x?}");
            check_text(&plaintext);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Any plaintext: it is sealed to the size that was announced, in any pieces to the same, and opens to itself; with a
/// bit changed, to nothing or to something else.
fn check_sealing(iv: LegacyIv, nonce: [u8; 16], plaintext: &[u8], at: usize, mask: u8) {
    let key = LegacyKey::from_bytes(&KEY);
    let mut sealed = legacy_seal(&key, iv, plaintext, &mut Replay(&nonce));
    assert_eq!(sealed.len() as u64, legacy_sealed_size(plaintext.len() as u64, iv));
    let mut sealer = LegacySealer::new(&key, iv, &mut Replay(&nonce));
    let mut in_pieces = Vec::new();
    for piece in cut_by_itself(plaintext) {
        sealer.update(piece, &mut in_pieces);
    }
    sealer.finish(&mut in_pieces);
    assert!(sealed == in_pieces, "{iv:?}: {plaintext:02x?} is sealed otherwise in pieces");
    assert!(legacy_open(&key, iv, &sealed).as_deref() == Ok(plaintext), "{iv:?}: {plaintext:02x?}");
    check_text(plaintext);
    if mask != 0 {
        let at = at % sealed.len();
        sealed[at] ^= mask;
        let other = legacy_open(&key, iv, &sealed);
        assert!(other.as_deref() != Ok(plaintext), "{iv:?}: {plaintext:02x?} with byte {at} changed");
    }
}

/// Whatever was opened, what is shown of it is harmless to a terminal, and is shown the same again.
fn check_text(opened: &[u8]) {
    let text = legacy_text(opened);
    assert!(!text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')), "{opened:02x?}");
    assert_eq!(legacy_text(text.as_bytes()), text, "{opened:02x?}");
}

/// A key that is wrapped is unwrapped as what it was; with a bit changed, not at all.
fn check_wrapping(key: [u8; LEGACY_KEY_SIZE], seed: [u8; 32], at: usize, mask: u8) {
    let (pair, key) = (key_pair(), LegacyKey::from_bytes(&key));
    let mut rng = StdRng::from_seed(seed);
    let mut wrapped = legacy_wrap_key(&pair.public_key(), &key, &mut rng).expect("a key of ours");
    wrapped[at % LEGACY_WRAPPED_KEY_SIZE] ^= mask;
    let unwrapped = pair.unwrap_key(&wrapped, &mut rng);
    assert_eq!(unwrapped.ok(), Some(key).filter(|_| mask == 0));
}

/// Bytes that nobody wrapped to this key are not unwrapped.
fn check_unwrapping(wrapped: &[u8]) {
    let unwrapped = key_pair().unwrap_key(wrapped, &mut StdRng::from_seed([7; 32]));
    assert!(unwrapped.is_err_and(|error| !error.to_string().is_empty()), "{wrapped:02x?}");
}

/// A key pair for tests, once made by Crypto++.
pub(super) fn key_pair() -> &'static LegacyPrivateKey {
    static PAIR: OnceLock<LegacyPrivateKey> = OnceLock::new();
    PAIR.get_or_init(|| LegacyPrivateKey::from_pkcs8_der(key_pair_der()).expect("a key pair"))
}

/// The same in DER.
#[must_use]
pub fn key_pair_der() -> &'static [u8] {
    static DER: OnceLock<Vec<u8>> = OnceLock::new();
    DER.get_or_init(|| {
        let file = include_str!("../../../envelope/tests/data/cryptopp.txt");
        let digits = file.lines().find_map(|line| line.strip_prefix("private ")).expect("a private key");
        let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
        digits.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    })
}

/// Randomness that is given: these bytes, and zeros behind them.
struct Replay<'a>(&'a [u8]);

impl TryRng for Replay<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> std::result::Result<(), Infallible> {
        let (given, rest) = self.0.split_at(to.len().min(self.0.len()));
        to.fill(0);
        to[..given.len()].copy_from_slice(given);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Replay<'_> {}
