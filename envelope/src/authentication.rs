//! What a client proves to a server, and to its contacts when its identity changes.

use messageu_wire::envelope::field::{Signature, UnixSeconds};
use messageu_wire::envelope::statement::{Authentication, Context, Rotation};
use rand::CryptoRng;

use crate::error::{KeyError, SignatureError};
use crate::identity::{Identity, IdentityKey};

/// Signs that a connection is ours.
///
/// # Errors
/// [`KeyError::Signing`] should the RSA library fail.
pub fn sign_authentication(
    us: &IdentityKey,
    fields: &Authentication,
    rng: &mut impl CryptoRng,
) -> Result<Signature, KeyError> {
    us.sign(Context::AUTHENTICATION, &fields.encode(), rng)
}

/// Checks that a connection is a client's. The server checks the same with a library of its own.
///
/// # Errors
/// [`SignatureError`] if the fields are others, or name another client.
pub fn verify_authentication(
    client: &Identity,
    fields: &Authentication,
    signature: &Signature,
) -> Result<(), SignatureError> {
    if fields.client_id != client.client_id() {
        return Err(SignatureError);
    }
    client.verify(Context::AUTHENTICATION, &fields.encode(), signature)
}

/// Signs a registration: the fields of an authentication, and the request up to its signature.
///
/// # Errors
/// [`KeyError::Signing`] should the RSA library fail.
pub fn sign_registration(
    us: &IdentityKey,
    fields: &Authentication,
    body: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Signature, KeyError> {
    us.sign(Context::REGISTRATION, &[&fields.encode(), body].concat(), rng)
}

/// Checks a registration.
///
/// # Errors
/// [`SignatureError`] if the fields or the body are others, or name another client.
pub fn verify_registration(
    client: &Identity,
    fields: &Authentication,
    body: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    if fields.client_id != client.client_id() {
        return Err(SignatureError);
    }
    client.verify(Context::REGISTRATION, &[&fields.encode(), body].concat(), signature)
}

/// That an identity gives way to another, signed by both: the old one names its successor, and the new one agrees, so
/// that nobody can name somebody else's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedRotation {
    /// What is signed.
    pub rotation: Rotation,
    /// The signature of the identity that goes.
    pub by_old: Signature,
    /// The signature of the identity that comes.
    pub by_new: Signature,
}

impl SignedRotation {
    /// Signs that `old` gives way to `new`.
    ///
    /// # Errors
    /// [`KeyError::Signing`] should the RSA library fail.
    pub fn sign(
        old: &IdentityKey,
        new: &IdentityKey,
        issued: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyError> {
        let rotation =
            Rotation { from: old.identity().fingerprint(), to: new.identity().fingerprint(), issued };
        let by_old = old.sign(Context::ROTATION, &rotation.encode(), rng)?;
        let by_new = new.sign(Context::SUCCESSION, &rotation.encode(), rng)?;
        Ok(Self { rotation, by_old, by_new })
    }

    /// Checks that the identity `old`, which is known, gives way to `new`.
    ///
    /// # Errors
    /// [`SignatureError`] if it is about others, or one of them did not sign it.
    pub fn verify(&self, old: &Identity, new: &Identity) -> Result<(), SignatureError> {
        let Self { rotation, by_old, by_new } = self;
        if rotation.from != old.fingerprint() || rotation.to != new.fingerprint() {
            return Err(SignatureError);
        }
        old.verify(Context::ROTATION, &rotation.encode(), by_old)?;
        new.verify(Context::SUCCESSION, &rotation.encode(), by_new)
    }
}
