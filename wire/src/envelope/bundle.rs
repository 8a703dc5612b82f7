//! The key bundle: the public keys that a user can be written to with, signed by their identity.

use binrw::binrw;

use super::field::{DhPublicKey, Epoch, PrekeyId, RsaPublicKey, Signature, UnixSeconds, WrapId};
use super::{Suite, decode, encode};
use crate::error::WireError;

/// Bytes of a bundle.
pub const BUNDLE_SIZE: usize = 1294;
/// Bytes of a bundle before its signature, which covers them.
pub const BUNDLE_SIGNED_SIZE: usize = 910;
/// The dialect that the bundles of suite 1 ask for at least.
pub const MIN_DIALECT: Dialect = Dialect(3);

/// A dialect's version, as a bundle names it.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Dialect(pub u8);

/// ```text
///    0 suite 1 = 1     1 minimum dialect 1   2 epoch u64         10 issued u64   18 expires u64
///   26 prekey id u32   30 prekey X25519 32   62 wrapping id u32  66 wrapping key SPKI 422
///  488 identity SPKI 422                    910 signature 384
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    /// 0 to 910: what is signed.
    pub content: BundleContent,
    /// 910: the identity's signature of `"MU3-BUNDLE\0"` and all before.
    pub signature: Signature,
}

/// The part of a [`Bundle`] that is signed.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BundleContent {
    /// 0: the suite of the keys: 1, since another's would have another layout.
    #[br(assert(suite == Suite::ONE, WireError::FieldValue {
        field: "suite",
        at: 0,
        found: suite.0.into(),
        expected: Suite::ONE.0.into(),
    }))]
    #[cfg_attr(feature = "arbitrary", arbitrary(value = Suite::ONE))]
    pub suite: Suite,
    /// 1: the oldest dialect that the owner is to be spoken to in.
    pub min_dialect: Dialect,
    /// 2: grows with each of the owner's bundles.
    pub epoch: Epoch,
    /// 10: when the bundle was made.
    pub issued: UnixSeconds,
    /// 18: from when on nobody may use it.
    pub expires: UnixSeconds,
    /// 26: which prekey.
    pub prekey_id: PrekeyId,
    /// 30: the prekey.
    pub prekey: DhPublicKey,
    /// 62: which wrapping key.
    pub wrap_id: WrapId,
    /// 66: the wrapping key.
    pub wrap_key: RsaPublicKey,
    /// 488: the owner's identity key.
    pub identity: RsaPublicKey,
}

impl Bundle {
    /// Reads a bundle of suite 1, whatever minimum dialect it names.
    ///
    /// # Errors
    /// [`WireError::FieldValue`] for another suite, [`WireError::Truncated`] or [`WireError::Trailing`] for another size.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode("key bundle", bytes)
    }

    /// The bundle as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl BundleContent {
    /// The bytes that are signed, behind the context.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}
