//! Key bundles: what a user publishes to be written to, and what a peer checks before it is used.

use messageu_wire::envelope::Suite;
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    DhPublicKey, Digest as DigestField, Epoch, Fingerprint, OneTimeId, PrekeyId, UnixSeconds, WrapId,
};
use messageu_wire::envelope::statement::Context;
use messageu_wire::fields::ClientId;
use rand::CryptoRng;
use sha2::{Digest, Sha256};

use crate::dh::DhSecret;
use crate::error::{BundleError, KeyError};
use crate::identity::{Identity, IdentityKey};
use crate::wrapping::{PeerWrappingKey, WrappingKey};

/// Seconds after which a bundle is replaced by another with other keys.
pub const BUNDLE_ROTATION: u64 = 7 * DAY;
/// Seconds that a bundle may be used, if its owner does not come to replace it.
pub const BUNDLE_LIFE: u64 = 30 * DAY;
/// Seconds after which the private halves of a bundle that was replaced are erased.
pub const PRIVATE_KEY_LIFE: u64 = 30 * DAY;
/// One-time prekeys that are published at a time.
pub const ONE_TIME_KEYS: u32 = 100;

const DAY: u64 = 24 * 60 * 60;

/// What names a bundle and its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BundleTerms {
    /// Higher than that of any bundle of this identity before.
    pub epoch: Epoch,
    /// The time now.
    pub issued: UnixSeconds,
    /// Different from that of any bundle of this identity before, so that it names the bundle.
    pub prekey_id: PrekeyId,
    /// Different from that of any other wrapping key of this identity.
    pub wrap_id: WrapId,
}

/// A bundle of ours, with the private halves of its keys.
#[derive(Debug)]
pub struct OwnBundle {
    identity: Identity,
    bundle: Bundle,
    hash: DigestField,
    prekey: DhSecret,
    wrapping: WrappingKey,
}

impl OwnBundle {
    /// Makes a bundle of two new keys, and signs it.
    ///
    /// # Errors
    /// [`KeyError::Signing`] should the RSA library fail.
    pub fn make(
        owner: &IdentityKey,
        terms: BundleTerms,
        prekey: DhSecret,
        wrapping: WrappingKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyError> {
        let content = BundleContent {
            suite: Suite::ONE,
            min_dialect: MIN_DIALECT,
            epoch: terms.epoch,
            issued: terms.issued,
            expires: UnixSeconds(terms.issued.0.saturating_add(BUNDLE_LIFE)),
            prekey_id: terms.prekey_id,
            prekey: prekey.public_key(),
            wrap_id: terms.wrap_id,
            wrap_key: *wrapping.public_key(),
            identity: *owner.identity().public_key(),
        };
        let signature = owner.sign(Context::BUNDLE, &content.encode(), rng)?;
        let bundle = Bundle { content, signature };
        Ok(Self { identity: owner.identity().clone(), hash: hash(&bundle), bundle, prekey, wrapping })
    }

    /// Joins a stored bundle with its stored private halves.
    ///
    /// # Errors
    /// [`KeyError::Private`] if they are not its, [`KeyError::Public`] if its identity is no key.
    pub fn restore(bundle: Bundle, prekey: DhSecret, wrapping: WrappingKey) -> Result<Self, KeyError> {
        let content = &bundle.content;
        if content.prekey != prekey.public_key() || content.wrap_key != *wrapping.public_key() {
            return Err(KeyError::Private);
        }
        let identity = Identity::new(&content.identity)?;
        Ok(Self { identity, hash: hash(&bundle), bundle, prekey, wrapping })
    }

    /// The public half, to be published.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The prekey's private half, to be stored.
    #[must_use]
    pub fn prekey(&self) -> &DhSecret {
        &self.prekey
    }

    /// The wrapping key, to be stored.
    #[must_use]
    pub fn wrapping(&self) -> &WrappingKey {
        &self.wrapping
    }

    /// Whose bundle it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// SHA-256 of the bundle.
    pub(crate) fn hash(&self) -> &DigestField {
        &self.hash
    }
}

/// What is known of a peer before a bundle is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Whose bundle was asked for.
    pub owner: ClientId,
    /// The owner's fingerprint, if it is pinned.
    pub pinned: Option<Fingerprint>,
    /// The highest epoch of the owner's bundles that was seen, if any was.
    pub epoch: Option<Epoch>,
}

/// A peer's bundle that was checked: the only kind that anything is sealed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerBundle {
    owner: Identity,
    content: BundleContent,
    wrapping: PeerWrappingKey,
    hash: DigestField,
}

impl PeerBundle {
    /// Checks a bundle as it came from a server.
    ///
    /// # Errors
    /// [`BundleError`], which says what does not hold.
    pub fn check(bytes: &[u8], expected: &Expected, now: UnixSeconds) -> Result<Self, BundleError> {
        let bundle = Bundle::decode(bytes)?;
        let content = &bundle.content;
        let owner = Identity::new(&content.identity)
            .map_err(|error| BundleError::Key { what: "identity key", error })?;
        if owner.client_id() != expected.owner {
            return Err(BundleError::Owner { found: owner.client_id(), expected: expected.owner });
        }
        if expected.pinned.is_some_and(|pinned| pinned != owner.fingerprint()) {
            return Err(BundleError::Identity);
        }
        owner.verify(Context::BUNDLE, &content.encode(), &bundle.signature)?;
        // Both ways: a lower one is a downgrade, and a higher one asks for what we do not speak.
        if content.min_dialect != MIN_DIALECT {
            return Err(BundleError::MinDialect { found: content.min_dialect.0 });
        }
        if let Some(seen) = expected.epoch.filter(|seen| content.epoch < *seen) {
            return Err(BundleError::Epoch { found: content.epoch, seen });
        }
        if content.expires <= now {
            return Err(BundleError::Expired { expired: content.expires, now });
        }
        let wrapping = PeerWrappingKey::new(&content.wrap_key)
            .map_err(|error| BundleError::Key { what: "wrapping key", error })?;
        check_agreement_key(&content.prekey).map_err(|error| BundleError::Key { what: "prekey", error })?;
        let hash = hash(&bundle);
        Ok(Self { owner, content: bundle.content, wrapping, hash })
    }

    /// Whose bundle it is.
    #[must_use]
    pub fn owner(&self) -> &Identity {
        &self.owner
    }

    /// Its epoch, to be remembered as seen.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.content.epoch
    }

    /// What it says.
    pub(crate) fn content(&self) -> &BundleContent {
        &self.content
    }

    /// The key to wrap to.
    pub(crate) fn wrapping(&self) -> &PeerWrappingKey {
        &self.wrapping
    }

    /// SHA-256 of the bundle.
    pub(crate) fn hash(&self) -> &DigestField {
        &self.hash
    }
}

/// Refuses an X25519 key that agrees on nothing.
pub(crate) fn check_agreement_key(key: &DhPublicKey) -> Result<(), KeyError> {
    if key.is_of_low_order() { Err(KeyError::LowOrder) } else { Ok(()) }
}

/// A one-time prekey of a peer, as the server hands it out. Nothing vouches for it: what it adds is forward secrecy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerOneTimeKey {
    /// Which.
    pub id: OneTimeId,
    /// The key.
    pub key: DhPublicKey,
}

impl PeerOneTimeKey {
    /// Checks a one-time prekey as it came from a server.
    ///
    /// # Errors
    /// [`KeyError::LowOrder`] if it agrees on nothing.
    pub fn check(id: OneTimeId, key: DhPublicKey) -> Result<Self, KeyError> {
        check_agreement_key(&key).map(|()| Self { id, key })
    }
}

fn hash(bundle: &Bundle) -> DigestField {
    DigestField(Sha256::digest(bundle.encode()).into())
}
