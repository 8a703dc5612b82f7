//! A256CBC-HS512, exactly as RFC 7518 §5.2.5 has it: AES-256-CBC, then HMAC-SHA-512 over all of it.
//!
//! ```text
//! key = mac key 32 ‖ encryption key 32
//! ciphertext = AES-256-CBC(encryption key, IV, plaintext, PKCS#7)
//! tag = HMAC-SHA-512(mac key, aad ‖ IV ‖ ciphertext ‖ bits of aad u64 big-endian)[..32]
//! ```
//! One tag opens under one key (it commits to it), and nothing is decrypted before the tag holds.

use aes::Aes256;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InOutBuf, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use messageu_wire::envelope::field::{Iv, Tag};
use messageu_wire::envelope::sealed::{BLOCK_SIZE, Sealed};
use rand::CryptoRng;
use sha2::Sha512;
use std::fmt;
use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::OpenError;

/// Bytes of a key.
pub const AEAD_KEY_SIZE: usize = 64;
/// Bytes of each half of a key.
const HALF: usize = AEAD_KEY_SIZE / 2;

/// A key: for the MAC and for the cipher. Erased when dropped, and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AeadKey {
    mac: [u8; HALF],
    encryption: [u8; HALF],
}

impl AeadKey {
    /// Takes derived or stored bytes as a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; AEAD_KEY_SIZE]) -> Self {
        let mut key = Self { mac: [0; HALF], encryption: [0; HALF] };
        let (mac, encryption) = bytes.split_at(HALF);
        key.mac.copy_from_slice(mac);
        key.encryption.copy_from_slice(encryption);
        key
    }

    /// Generates a key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; AEAD_KEY_SIZE]);
        rng.fill_bytes(&mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// The secret bytes, to be stored.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; AEAD_KEY_SIZE]> {
        let mut bytes = Zeroizing::new([0; AEAD_KEY_SIZE]);
        let (mac, encryption) = bytes.split_at_mut(HALF);
        mac.copy_from_slice(&self.mac);
        encryption.copy_from_slice(&self.encryption);
        bytes
    }

    /// Seals a plaintext under a random IV.
    #[must_use]
    pub fn seal(&self, aad: &[u8], plaintext: &[u8], rng: &mut impl CryptoRng) -> Sealed {
        let mut iv = Iv([0; BLOCK_SIZE]);
        rng.fill_bytes(&mut iv.0);
        self.seal_with(iv, aad, plaintext)
    }

    /// Opens what was sealed under this key with the same `aad`.
    ///
    /// # Errors
    /// [`OpenError`] for anything else, whatever is different about it.
    pub fn open(&self, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let expected = self.tag(aad, &sealed.iv, &sealed.ciphertext);
        if !bool::from(expected.0.ct_eq(&sealed.tag.0)) {
            return Err(OpenError);
        }
        let mut plaintext = Zeroizing::new(sealed.ciphertext.clone());
        let mut cipher = cbc::Decryptor::<Aes256>::new((&self.encryption).into(), (&sealed.iv.0).into());
        let (blocks, rest) = InOutBuf::from(plaintext.as_mut_slice()).into_chunks();
        if !rest.is_empty() {
            return Err(OpenError);
        }
        cipher.decrypt_blocks_inout(blocks);
        let size = size_without_padding(&plaintext).ok_or(OpenError)?;
        plaintext.truncate(size);
        Ok(plaintext)
    }

    /// Seals a plaintext under an IV that nobody could foresee and that no other plaintext under this key has: one that
    /// follows from a secret and the plaintext, or that a test vector names.
    #[must_use]
    pub fn seal_with(&self, iv: Iv, aad: &[u8], plaintext: &[u8]) -> Sealed {
        let size = Sealed::ciphertext_size(plaintext.len());
        // Reserved whole: growing would leave copies of the plaintext behind.
        let mut ciphertext = Vec::with_capacity(size);
        ciphertext.extend_from_slice(plaintext);
        // PKCS#7: as many bytes as the last block lacks, one at least, each saying how many.
        ciphertext.resize(size, u8::try_from(size - plaintext.len()).unwrap_or_default());
        let mut cipher = cbc::Encryptor::<Aes256>::new((&self.encryption).into(), (&iv.0).into());
        let (blocks, _) = InOutBuf::from(ciphertext.as_mut_slice()).into_chunks();
        cipher.encrypt_blocks_inout(blocks);
        let tag = self.tag(aad, &iv, &ciphertext);
        Sealed { iv, ciphertext, tag }
    }

    fn tag(&self, aad: &[u8], iv: &Iv, ciphertext: &[u8]) -> Tag {
        let aad_bits = u64::try_from(aad.len()).unwrap_or(u64::MAX).saturating_mul(8);
        let full = hmac(&self.mac, &[aad, &iv.0, ciphertext, &aad_bits.to_be_bytes()]);
        let mut tag = Tag([0; HALF]);
        tag.0.iter_mut().zip(full.iter()).for_each(|(to, from)| *to = *from);
        tag
    }
}

impl PartialEq for AeadKey {
    /// Compares in constant time.
    fn eq(&self, other: &Self) -> bool {
        (self.mac.ct_eq(&other.mac) & self.encryption.ct_eq(&other.encryption)).into()
    }
}

impl Eq for AeadKey {}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(…)")
    }
}

/// HMAC-SHA-512 over parts that are joined.
pub(crate) fn hmac(key: &[u8; HALF], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    // A key of 32 bytes fills the half of a block, of which `new` takes the whole.
    let mut block = Zeroizing::new([0; 128]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha512> as KeyInit>::new((&*block).into());
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Bytes before PKCS#7's padding: 1 to 16 bytes that all say how many they are. The time taken does not depend on where
/// a wrong byte is.
fn size_without_padding(plaintext: &[u8]) -> Option<usize> {
    let (_, block) = plaintext.split_last_chunk::<BLOCK_SIZE>()?;
    let [.., count] = *block;
    let mut valid = !count.ct_eq(&0) & !count.ct_gt(&16);
    for (behind, byte) in (0_u8..).zip(block.iter().rev()) {
        let is_content: Choice = !count.ct_gt(&behind);
        valid &= is_content | byte.ct_eq(&count);
    }
    bool::from(valid).then_some(plaintext.len().checked_sub(usize::from(count))?)
}
