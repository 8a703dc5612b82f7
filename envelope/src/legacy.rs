//! The suite of the classic dialects: a key wrapped with RSA-1024-OAEP-SHA-1, content under AES-128-CBC.
//!
//! It keeps content from those who only listen. It promises no more: nothing is authenticated, the IV is zero, so
//! equal beginnings show, and the server may hand out any public key it likes. [`LEGACY_BANNER`] says so to the user.
//!
//! ```text
//! public key   X.509 SubjectPublicKeyInfo, 160 bytes: prefix 29 ‖ n 128 ‖ 02 01 e
//! wrapped key  RSAES-OAEP(SHA-1, MGF1-SHA-1, empty label), 128 bytes, of an AES-128 key 16
//! content      AES-128-CBC, PKCS#7, zero IV; or IV 16 ‖ AES-128-CBC ([`LegacyIv`])
//! ```

use std::fmt;

use aes::Aes128;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InOutBuf, KeyIvInit};
use messageu_wire::fields::{PUBLIC_KEY_SIZE, PublicKey};
use rand::CryptoRng;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Oaep, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{LegacyKeyError, OpenError};

/// What the user is told about every conversation in this suite.
pub const LEGACY_BANNER: &str = "unauthenticated, unverified";
/// Bytes of a symmetric key.
pub const LEGACY_KEY_SIZE: usize = 16;
/// Bytes of a wrapped symmetric key.
pub const LEGACY_WRAPPED_KEY_SIZE: usize = MODULUS_SIZE;

/// Bytes of an AES block, which is an IV's size too.
const BLOCK: usize = 16;
/// Bits of an RSA modulus: all that fits the field of 160 bytes.
const MODULUS_BITS: usize = 1024;
/// Bytes of an RSA modulus.
const MODULUS_SIZE: usize = MODULUS_BITS / 8;
/// The public exponent that Crypto++ chooses, and so do we: 65537 would need two more bytes than the field has.
const EXPONENT: u8 = 17;
/// The exponents that take one byte of DER.
const EXPONENTS: std::ops::Range<u8> = 3..0x80;
/// All before the modulus: SEQUENCE, rsaEncryption, BIT STRING, SEQUENCE, and the modulus' INTEGER header and sign byte.
const PUBLIC_KEY_PREFIX: [u8; 29] = [
    0x30, 0x81, 0x9d, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
    0x00, 0x03, 0x81, 0x8b, 0x00, 0x30, 0x81, 0x87, 0x02, 0x81, 0x81, 0x00,
];
/// Between modulus and exponent: the header of an INTEGER of one byte.
const EXPONENT_HEADER: [u8; 2] = [0x02, 0x01];
/// Most bytes of a private key's DER: RSA-1024 takes about 635, and whatever takes more is not worth parsing.
const PRIVATE_KEY_MAX: usize = 1024;

/// A user's RSA-1024 key pair.
pub struct LegacyPrivateKey {
    rsa: RsaPrivateKey,
    public: PublicKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl LegacyPrivateKey {
    /// Generates a key pair with e = 17.
    ///
    /// # Errors
    /// [`LegacyKeyError::Generation`] should the RSA library fail, which it does for no randomness.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<Self, LegacyKeyError> {
        let rsa = RsaPrivateKey::new_with_exp(rng, MODULUS_BITS, BoxedUint::from(EXPONENT))
            .map_err(|_| LegacyKeyError::Generation)?;
        Self::from_rsa(rsa).ok_or(LegacyKeyError::Generation)
    }

    /// Reads PKCS#8 DER, as Crypto++'s `RSA::PrivateKey::Save` and [`LegacyPrivateKey::to_pkcs8_der`] write it. Zeros
    /// may follow, since some programs save their whole buffer.
    ///
    /// # Errors
    /// [`LegacyKeyError::Private`] if this is no consistent RSA-1024 key whose public half fits the classic field.
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, LegacyKeyError> {
        let der = without_trailing_zeros(bytes).ok_or(LegacyKeyError::Private)?;
        let rsa = RsaPrivateKey::from_pkcs8_der(der).map_err(|_| LegacyKeyError::Private)?;
        Self::from_rsa(rsa).ok_or(LegacyKeyError::Private)
    }

    /// The key pair as PKCS#8 DER (RFC 5208), as Crypto++'s `RSA::PrivateKey::Load` reads it; about 635 bytes.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The public half, as it travels.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Unwraps a symmetric key that was wrapped to this key pair, with the RSA operation blinded.
    ///
    /// Some programs wrap a whole buffer: what is behind the first 16 bytes is dropped.
    ///
    /// # Errors
    /// [`OpenError`] if `ciphertext` is not 128 bytes that were made with our public key from 16 bytes or more.
    pub fn unwrap_key(&self, ciphertext: &[u8], rng: &mut impl CryptoRng) -> Result<LegacyKey, OpenError> {
        let unwrapped =
            self.rsa.decrypt_blinded(rng, Oaep::<Sha1>::new(), ciphertext).map_err(|_| OpenError)?;
        let unwrapped = Zeroizing::new(unwrapped);
        unwrapped.first_chunk().map(|key| LegacyKey(*key)).ok_or(OpenError)
    }

    /// Takes a key pair that the RSA library holds valid, unless it is of another size or has another kind of exponent.
    fn from_rsa(rsa: RsaPrivateKey) -> Option<Self> {
        let modulus = <[u8; MODULUS_SIZE]>::try_from(&*rsa.n_bytes()).ok()?;
        let [exponent] = <[u8; 1]>::try_from(&*rsa.e_bytes()).ok()?;
        let public = encode_public_key(&modulus, exponent)?;
        // A modulus of 1,017 bits fills 128 bytes as well; peers would not take it.
        decode_public_key(&public)?;
        let pkcs8 = Zeroizing::new(rsa.to_pkcs8_der().ok()?.as_bytes().to_vec());
        Some(Self { rsa, public, pkcs8 })
    }
}

impl fmt::Debug for LegacyPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyPrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The DER SEQUENCE at the beginning, if it is of a private key's size and nothing but zeros follows.
fn without_trailing_zeros(bytes: &[u8]) -> Option<&[u8]> {
    // A private key's size always takes the two bytes that 0x82 announces.
    let [0x30, 0x82, high, low, ..] = *bytes else { return None };
    let size = 4 + usize::from(u16::from_be_bytes([high, low]));
    let (der, rest) = bytes.split_at_checked(size)?;
    (size <= PRIVATE_KEY_MAX && rest.iter().all(|byte| *byte == 0)).then_some(der)
}

/// Writes a public key as it travels.
fn encode_public_key(modulus: &[u8; MODULUS_SIZE], exponent: u8) -> Option<PublicKey> {
    let der = [&PUBLIC_KEY_PREFIX, modulus.as_slice(), &EXPONENT_HEADER, &[exponent]].concat();
    <[u8; PUBLIC_KEY_SIZE]>::try_from(der).ok().map(PublicKey)
}

/// Reads a public key as it travels. In 160 bytes there is one way to write an RSA-1024 key in DER: our template.
fn decode_public_key(key: &PublicKey) -> Option<RsaPublicKey> {
    let (modulus, exponent) = key.0.strip_prefix(&PUBLIC_KEY_PREFIX)?.split_first_chunk::<MODULUS_SIZE>()?;
    let [exponent] = <[u8; 1]>::try_from(exponent.strip_prefix(&EXPONENT_HEADER)?).ok()?;
    if !EXPONENTS.contains(&exponent) {
        return None;
    }
    let modulus = BoxedUint::from_be_slice_vartime(modulus);
    RsaPublicKey::new(modulus, BoxedUint::from(exponent)).ok()
}

/// A symmetric key: AES-128. Erased when dropped, and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LegacyKey([u8; LEGACY_KEY_SIZE]);

impl LegacyKey {
    /// Generates a key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Self([0; LEGACY_KEY_SIZE]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// Takes bytes that were stored as a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LEGACY_KEY_SIZE]) -> Self {
        Self(*bytes)
    }

    /// The secret bytes, to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; LEGACY_KEY_SIZE] {
        &self.0
    }
}

impl PartialEq for LegacyKey {
    /// Compares in constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LegacyKey {}

impl fmt::Debug for LegacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyKey(…)")
    }
}

/// Wraps a symmetric key to a peer's public key.
///
/// # Errors
/// [`LegacyKeyError::Public`] if `to` is not an RSA-1024 key in the form that all classic programs use.
pub fn legacy_wrap_key(
    to: &PublicKey,
    key: &LegacyKey,
    rng: &mut impl CryptoRng,
) -> Result<[u8; LEGACY_WRAPPED_KEY_SIZE], LegacyKeyError> {
    let to = decode_public_key(to).ok_or(LegacyKeyError::Public)?;
    let wrapped = to.encrypt(rng, Oaep::<Sha1>::new(), &key.0).map_err(|_| LegacyKeyError::Public)?;
    wrapped.try_into().map_err(|_| LegacyKeyError::Public)
}

/// Where the IV of a content is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LegacyIv {
    /// Nowhere: it is zero. All programs but one.
    #[default]
    Zero,
    /// In front of the ciphertext: 16 random bytes. yehonatan's program.
    Prefixed,
}

/// Bytes that a content of `plaintext_size` bytes has once it is sealed, so that a size can be announced before the
/// content is read. Saturates near the largest `u64`, which no dialect can announce.
#[must_use]
pub fn legacy_sealed_size(plaintext_size: u64, iv: LegacyIv) -> u64 {
    const BLOCK: u64 = 16;
    let lead = match iv {
        LegacyIv::Zero => 0,
        LegacyIv::Prefixed => BLOCK,
    };
    (plaintext_size / BLOCK + 1).saturating_mul(BLOCK).saturating_add(lead)
}

/// Seals a whole content. `rng` is used for [`LegacyIv::Prefixed`] alone.
#[must_use]
pub fn legacy_seal(key: &LegacyKey, iv: LegacyIv, plaintext: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    // Room for an IV and for the padding.
    let mut sealed = Vec::with_capacity(plaintext.len() + 2 * BLOCK);
    let mut sealer = LegacySealer::new(key, iv, rng);
    sealer.update(plaintext, &mut sealed);
    sealer.finish(&mut sealed);
    sealed
}

/// Opens a whole content. That it opens proves nothing about who sealed it, nor that it is unchanged.
///
/// # Errors
/// [`OpenError`] if there are no whole blocks, or no padding at their end.
pub fn legacy_open(key: &LegacyKey, iv: LegacyIv, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut opened = Vec::with_capacity(sealed.len());
    let mut opener = LegacyOpener::new(key, iv);
    opener.update(sealed, &mut opened);
    opener.finish(&mut opened)?;
    Ok(opened)
}

/// Seals a content in pieces of any size; holds less than a block between them.
pub struct LegacySealer {
    cipher: cbc::Encryptor<Aes128>,
    /// What goes out ahead of all ciphertext: the IV, or nothing.
    lead: Vec<u8>,
    /// The end of the plaintext so far that does not fill a block.
    pending: Zeroizing<Vec<u8>>,
}

impl LegacySealer {
    /// Begins a content. `rng` is used for [`LegacyIv::Prefixed`] alone.
    #[must_use]
    pub fn new(key: &LegacyKey, iv: LegacyIv, rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; BLOCK];
        let mut lead = Vec::new();
        if iv == LegacyIv::Prefixed {
            rng.fill_bytes(&mut bytes);
            lead.extend_from_slice(&bytes);
        }
        let cipher = cbc::Encryptor::new((&key.0).into(), (&bytes).into());
        Self { cipher, lead, pending: Zeroizing::new(Vec::with_capacity(BLOCK)) }
    }

    /// Takes the next piece of plaintext and appends to `out` as much ciphertext as there is.
    pub fn update(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.append(&mut self.lead);
        let start = out.len();
        let size = self.pending.len() + input.len();
        // One allocation at most, before any plaintext is in it that growing would leave behind.
        out.reserve(size);
        out.append(&mut self.pending);
        out.extend_from_slice(input);
        hold_back(out, start + size / BLOCK * BLOCK, &mut self.pending);
        let (blocks, _) = InOutBuf::from(out.get_mut(start..).unwrap_or_default()).into_chunks();
        self.cipher.encrypt_blocks_inout(blocks);
    }

    /// Appends the last block, which holds the padding, to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        // PKCS#7: as many bytes as the block lacks, one at least, each saying how many.
        let missing = BLOCK - self.pending.len();
        let padding = vec![u8::try_from(missing).unwrap_or_default(); missing];
        self.update(&padding, out);
    }
}

impl fmt::Debug for LegacySealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacySealer(…)")
    }
}

/// Opens a content in pieces of any size; holds one block at most between them.
///
/// What [`LegacyOpener::update`] appends is not checked at all before [`LegacyOpener::finish`], and hardly then: throw
/// it away when that fails.
pub struct LegacyOpener {
    cipher: cbc::Decryptor<Aes128>,
    /// Whether the first block, the IV, is still to come.
    iv_ahead: bool,
    /// The end of the ciphertext so far: one block, or less. It may be the last, which is not content alone.
    pending: Vec<u8>,
}

impl LegacyOpener {
    /// Begins a content.
    #[must_use]
    pub fn new(key: &LegacyKey, iv: LegacyIv) -> Self {
        let cipher = cbc::Decryptor::new((&key.0).into(), (&[0; BLOCK]).into());
        Self { cipher, iv_ahead: iv == LegacyIv::Prefixed, pending: Vec::with_capacity(BLOCK) }
    }

    /// Takes the next piece of ciphertext and appends to `out` as much plaintext as there is.
    pub fn update(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let size = self.pending.len() + input.len();
        out.reserve(size);
        out.append(&mut self.pending);
        out.extend_from_slice(input);
        let opened = size.saturating_sub(1) / BLOCK * BLOCK;
        hold_back(out, start + opened, &mut self.pending);
        let (blocks, _) = InOutBuf::from(out.get_mut(start..).unwrap_or_default()).into_chunks();
        self.cipher.decrypt_blocks_inout(blocks);
        if self.iv_ahead && opened > 0 {
            // In CBC an IV acts as a block of ciphertext before the first; what it opens to itself means nothing.
            out.drain(start..start + BLOCK);
            self.iv_ahead = false;
        }
    }

    /// Takes the padding off the last block and appends what remains of it to `out`.
    ///
    /// # Errors
    /// [`OpenError`] if the ciphertext did not end with a whole block, or that block not with its padding.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), OpenError> {
        let mut block =
            Zeroizing::new(<[u8; BLOCK]>::try_from(self.pending.as_slice()).map_err(|_| OpenError)?);
        if self.iv_ahead {
            return Err(OpenError);
        }
        self.cipher.decrypt_block((&mut *block).into());
        out.extend_from_slice(without_padding(&block).ok_or(OpenError)?);
        Ok(())
    }
}

impl fmt::Debug for LegacyOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyOpener(…)")
    }
}

/// Moves what `out` has from `end` on to `pending`, and erases it there.
fn hold_back(out: &mut Vec<u8>, end: usize, pending: &mut Vec<u8>) {
    let rest = out.get_mut(end..).unwrap_or_default();
    pending.extend_from_slice(rest);
    rest.zeroize();
    out.truncate(end);
}

/// Takes PKCS#7's padding off the last block: 1 to 16 bytes that all say how many they are. The time taken does not
/// depend on where a wrong byte is.
fn without_padding(block: &[u8; BLOCK]) -> Option<&[u8]> {
    let [.., count] = *block;
    let mut valid = !count.ct_eq(&0) & !count.ct_gt(&16);
    for (behind, byte) in (0_u8..).zip(block.iter().rev()) {
        let is_content: Choice = !count.ct_gt(&behind);
        valid &= is_content | byte.ct_eq(&count);
    }
    let size = BLOCK.checked_sub(usize::from(count))?;
    bool::from(valid).then_some(block.get(..size)?)
}

/// An opened text as it may be shown: without the NUL that some programs seal with it, and harmless to a terminal.
///
/// Bytes that are not UTF-8, and control characters other than line feed and tab, become U+FFFD; CR LF becomes LF.
#[must_use]
pub fn legacy_text(opened: &[u8]) -> String {
    let text = String::from_utf8_lossy(opened.strip_suffix(&[0]).unwrap_or(opened)).replace("\r\n", "\n");
    let harmless = |c: char| matches!(c, '\n' | '\t') || !c.is_control();
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
