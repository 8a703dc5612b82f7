//! The identity key, which signs: RSA-3072 with PSS and SHA-256; and what a user is known by: its fingerprint.

use std::fmt;

use messageu_wire::envelope::field::{
    Fingerprint, RSA_BLOCK_SIZE, RsaPublicKey as PublicKeyField, Signature,
};
use messageu_wire::envelope::statement::Context;
use messageu_wire::fields::ClientId;
use rand::CryptoRng;
use rsa::{Pss, RsaPublicKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{KeyError, SignatureError};
use crate::rsa_key::{KeyPair, decode_public_key};

/// Our identity: a key pair that signs, and nothing else.
pub struct IdentityKey {
    pair: KeyPair,
    public: Identity,
}

impl IdentityKey {
    /// Generates an identity, which takes about half a second.
    ///
    /// # Errors
    /// [`KeyError::Generation`] should the RSA library fail, which it does for no randomness.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<Self, KeyError> {
        KeyPair::generate(rng).and_then(|pair| Self::from_pair(pair, KeyError::Generation))
    }

    /// Reads PKCS#8 DER, as [`IdentityKey::to_pkcs8_der`] writes it.
    ///
    /// # Errors
    /// [`KeyError::Private`] if this is no consistent RSA-3072 key with e = 65537.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        KeyPair::from_pkcs8_der(der).and_then(|pair| Self::from_pair(pair, KeyError::Private))
    }

    /// The key pair as PKCS#8 DER (RFC 5208), to be stored.
    ///
    /// # Errors
    /// [`KeyError::Private`] should the RSA library fail to write what it has read.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.pair.to_pkcs8_der()
    }

    /// Who this key makes us.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.public
    }

    /// Signs `context ‖ fields`.
    ///
    /// # Errors
    /// [`KeyError::Signing`] should the RSA library fail, which checks what it makes against faults.
    pub fn sign(
        &self,
        context: Context,
        fields: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Signature, KeyError> {
        let hash = statement_hash(context, fields);
        let signature = self.pair.rsa.sign_with_rng(rng, Pss::<Sha256>::new_blinded(), &hash);
        let signature = signature.ok().and_then(|bytes| <[u8; RSA_BLOCK_SIZE]>::try_from(bytes).ok());
        signature.map(Signature).ok_or(KeyError::Signing)
    }

    fn from_pair(pair: KeyPair, error: KeyError) -> Result<Self, KeyError> {
        let public = Identity::new(&pair.public).map_err(|_| error)?;
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Somebody's identity: the public key and what follows from it.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    key: RsaPublicKey,
    field: PublicKeyField,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Takes a public key as an identity.
    ///
    /// # Errors
    /// [`KeyError::Public`] unless it is an RSA-3072 key with e = 65537 in its one spelling.
    pub fn new(key: &PublicKeyField) -> Result<Self, KeyError> {
        let decoded = decode_public_key(key).ok_or(KeyError::Public)?;
        let hash = Sha256::new_with_prefix(Fingerprint::CONTEXT).chain_update(key.0).finalize();
        Ok(Self { key: decoded, field: *key, fingerprint: Fingerprint(hash.into()) })
    }

    /// The public key as it travels.
    #[must_use]
    pub fn public_key(&self) -> &PublicKeyField {
        &self.field
    }

    /// `SHA-256("MU3-ID\0" ‖ SubjectPublicKeyInfo)`.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The id that this identity has at every server: it commits to the key.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        self.fingerprint.client_id()
    }

    /// Checks a signature of `context ‖ fields`.
    ///
    /// # Errors
    /// [`SignatureError`] if this identity did not make it.
    pub fn verify(
        &self,
        context: Context,
        fields: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let hash = statement_hash(context, fields);
        self.key.verify(Pss::<Sha256>::new(), &hash, &signature.0).map_err(|_| SignatureError)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}

/// The hash that PSS signs: that of the joined bytes, once.
fn statement_hash(context: Context, fields: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(context.as_bytes()).chain_update(fields).finalize().into()
}
