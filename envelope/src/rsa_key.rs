//! RSA-3072 as version 3 has it: one size, one exponent, one spelling of each public key.

use messageu_wire::envelope::field::{RSA_BLOCK_SIZE, RsaPublicKey as PublicKeyField};
use rand::CryptoRng;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, RsaPrivateKey, RsaPublicKey};
use zeroize::Zeroizing;

use crate::error::KeyError;

/// Bits of a modulus; its highest bit is set.
const MODULUS_BITS: usize = 8 * RSA_BLOCK_SIZE;
/// The public exponent.
const EXPONENT: u32 = 65537;
/// Most bytes of a private key's DER: RSA-3072 takes about 1,800, and whatever takes more is not worth parsing.
const PRIVATE_KEY_MAX: usize = 2048;

/// A key pair with its public half as it travels.
pub(crate) struct KeyPair {
    pub(crate) rsa: RsaPrivateKey,
    pub(crate) public: PublicKeyField,
}

impl KeyPair {
    /// Generates a key pair, which takes about half a second.
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Result<Self, KeyError> {
        let rsa = RsaPrivateKey::new_with_exp(rng, MODULUS_BITS, BoxedUint::from(EXPONENT))
            .map_err(|_| KeyError::Generation)?;
        Self::from_rsa(rsa).ok_or(KeyError::Generation)
    }

    /// Reads PKCS#8 DER.
    pub(crate) fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > PRIVATE_KEY_MAX {
            return Err(KeyError::Private);
        }
        let rsa = RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KeyError::Private)?;
        Self::from_rsa(rsa).ok_or(KeyError::Private)
    }

    /// The key pair as PKCS#8 DER.
    pub(crate) fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.rsa.to_pkcs8_der().map(|der| der.to_bytes()).map_err(|_| KeyError::Private)
    }

    /// Takes a key pair that the RSA library holds valid, unless it is of another size or exponent.
    fn from_rsa(rsa: RsaPrivateKey) -> Option<Self> {
        let modulus = <[u8; RSA_BLOCK_SIZE]>::try_from(rsa.n_bytes().as_ref()).ok()?;
        let public = PublicKeyField::of_modulus(&modulus);
        // A modulus of fewer bits or an even one cannot be read again; another exponent is not what the field says.
        (decode_public_key(&public)? == rsa.to_public_key()).then_some(Self { rsa, public })
    }
}

/// Reads a public key as it travels. There is one way to write it in 422 bytes: our template.
pub(crate) fn decode_public_key(key: &PublicKeyField) -> Option<RsaPublicKey> {
    let modulus = key.modulus()?;
    RsaPublicKey::new(BoxedUint::from_be_slice_vartime(modulus), BoxedUint::from(EXPONENT)).ok()
}
