//! The wrapping key: RSA-3072 with OAEP, SHA-256, MGF1-SHA-256 and a label of its own. It wraps 32 random bytes.

use std::fmt;

use messageu_wire::envelope::field::{RSA_BLOCK_SIZE, RsaPublicKey as PublicKeyField, WrappedSecret};
use rand::CryptoRng;
use rsa::{Oaep, RsaPublicKey};
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::KeyError;
use crate::rsa_key::{KeyPair, decode_public_key};

/// Bytes of what is wrapped.
pub const WRAPPED_SIZE: usize = 32;
/// OAEP's label.
const LABEL: &[u8] = b"MU3-KEM";

/// The random bytes that are wrapped. Erased when dropped, and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Wrapped(pub(crate) [u8; WRAPPED_SIZE]);

impl Wrapped {
    /// Draws random bytes.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Self([0; WRAPPED_SIZE]);
        rng.fill_bytes(&mut bytes.0);
        bytes
    }

    /// The secret bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; WRAPPED_SIZE] {
        &self.0
    }
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapped(…)")
    }
}

/// Our key pair that others wrap to.
pub struct WrappingKey(KeyPair);

impl WrappingKey {
    /// Generates a key pair, which takes about half a second.
    ///
    /// # Errors
    /// [`KeyError::Generation`] should the RSA library fail, which it does for no randomness.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<Self, KeyError> {
        KeyPair::generate(rng).map(Self)
    }

    /// Reads PKCS#8 DER, as [`WrappingKey::to_pkcs8_der`] writes it.
    ///
    /// # Errors
    /// [`KeyError::Private`] if this is no consistent RSA-3072 key with e = 65537.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        KeyPair::from_pkcs8_der(der).map(Self)
    }

    /// The key pair as PKCS#8 DER (RFC 5208), to be stored.
    ///
    /// # Errors
    /// [`KeyError::Private`] should the RSA library fail to write what it has read.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.0.to_pkcs8_der()
    }

    /// The public half, as it travels.
    #[must_use]
    pub fn public_key(&self) -> &PublicKeyField {
        &self.0.public
    }

    /// Unwraps, with the RSA operation blinded. What was not wrapped to us unwraps to random bytes, so that it is
    /// refused where a wrong key is, and not here.
    #[must_use]
    pub fn unwrap(&self, wrapped: &WrappedSecret, rng: &mut impl CryptoRng) -> Wrapped {
        let mut secret = Wrapped::generate(rng);
        let opened = self.0.rsa.decrypt_blinded(rng, oaep(), &wrapped.0);
        let opened = Zeroizing::new(opened.unwrap_or_default());
        let opens = Choice::from(u8::from(opened.len() == WRAPPED_SIZE));
        let mut bytes = Zeroizing::new([0; WRAPPED_SIZE]);
        bytes.iter_mut().zip(opened.iter()).for_each(|(to, from)| *to = *from);
        secret.0.iter_mut().zip(bytes.iter()).for_each(|(to, from)| to.conditional_assign(from, opens));
        secret
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappingKey").field("public", &self.0.public).finish_non_exhaustive()
    }
}

/// A peer's key that we wrap to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerWrappingKey(RsaPublicKey);

impl PeerWrappingKey {
    /// Takes a public key to wrap to.
    ///
    /// # Errors
    /// [`KeyError::Public`] unless it is an RSA-3072 key with e = 65537 in its one spelling.
    pub fn new(key: &PublicKeyField) -> Result<Self, KeyError> {
        decode_public_key(key).map(Self).ok_or(KeyError::Public)
    }

    /// Wraps random bytes.
    ///
    /// # Errors
    /// [`KeyError::Public`] should the RSA library fail, which it does for no key that it has taken.
    pub fn wrap(&self, secret: &Wrapped, rng: &mut impl CryptoRng) -> Result<WrappedSecret, KeyError> {
        let wrapped = self.0.encrypt(rng, oaep(), &secret.0).map_err(|_| KeyError::Public)?;
        <[u8; RSA_BLOCK_SIZE]>::try_from(wrapped).map(WrappedSecret).map_err(|_| KeyError::Public)
    }
}

fn oaep() -> Oaep<Sha256> {
    Oaep::new_with_label(LABEL)
}
