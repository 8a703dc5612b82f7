//! X25519 (RFC 7748), which refuses to agree on nothing.

use std::fmt;

use messageu_wire::envelope::field::DhPublicKey;
use rand::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::error::OpenError;

/// Bytes of a secret, a public key and what they agree on.
pub const DH_SIZE: usize = 32;

/// A private key. Erased when dropped, and never shown.
#[derive(Clone)]
pub struct DhSecret {
    secret: StaticSecret,
    public: DhPublicKey,
}

impl DhSecret {
    /// Generates a key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; DH_SIZE]);
        rng.fill_bytes(&mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// Takes stored bytes as a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; DH_SIZE]) -> Self {
        let secret = StaticSecret::from(*bytes);
        let public = DhPublicKey(PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// The secret bytes, to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DH_SIZE] {
        self.secret.as_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> DhPublicKey {
        self.public
    }

    /// What the owner of `peer`'s private half agrees on with us.
    ///
    /// # Errors
    /// [`OpenError`] if that is all zeros: `peer` is a point of low order, whose owner has no part in what comes of it.
    pub fn agree(&self, peer: &DhPublicKey) -> Result<Zeroizing<[u8; DH_SIZE]>, OpenError> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer.0));
        if shared.was_contributory() { Ok(Zeroizing::new(shared.to_bytes())) } else { Err(OpenError) }
    }
}

impl fmt::Debug for DhSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DhSecret({:?}, …)", self.public)
    }
}
