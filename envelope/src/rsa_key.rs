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
/// All before the modulus: SEQUENCE, rsaEncryption, BIT STRING, SEQUENCE, and the modulus' INTEGER header and sign byte.
const PREFIX: [u8; 33] = [
    0x30, 0x82, 0x01, 0xa2, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00, 0x03, 0x82, 0x01, 0x8f, 0x00, 0x30, 0x82, 0x01, 0x8a, 0x02, 0x82, 0x01, 0x81, 0x00,
];
/// All behind it: the exponent as an INTEGER.
const SUFFIX: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];
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
        let der = [PREFIX.as_slice(), &rsa.n_bytes(), &SUFFIX].concat();
        let public = PublicKeyField(der.try_into().ok()?);
        // A modulus of fewer bits or an even one cannot be read again; another exponent is not what `SUFFIX` says.
        (decode_public_key(&public)? == rsa.to_public_key()).then_some(Self { rsa, public })
    }
}

/// Reads a public key as it travels. There is one way to write it in 422 bytes: our template.
pub(crate) fn decode_public_key(key: &PublicKeyField) -> Option<RsaPublicKey> {
    let (modulus, suffix) = key.0.strip_prefix(&PREFIX)?.split_first_chunk::<RSA_BLOCK_SIZE>()?;
    let [first, ..] = *modulus;
    if suffix != SUFFIX || first & 0x80 == 0 {
        return None;
    }
    // The library refuses an even modulus.
    RsaPublicKey::new(BoxedUint::from_be_slice_vartime(modulus), BoxedUint::from(EXPONENT)).ok()
}
