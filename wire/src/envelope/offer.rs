//! OFFER: asks somebody to begin a session, with a key of the asker for it. The older dialects' key request, signed.

use binrw::binrw;

use super::field::{DhPublicKey, OfferId, RsaPublicKey, Signature, UnixSeconds};
use super::{EnvelopeKind, Prefix, decode, encode};
use crate::error::WireError;
use crate::fields::ClientId;

/// Bytes of an OFFER.
pub const OFFER_SIZE: usize = 890;
/// Bytes of an OFFER before its signature, which covers them.
pub const OFFER_SIGNED_SIZE: usize = 506;

/// ```text
///  0 prefix 8          8 from 16           24 to 16      40 offer id u32   44 X25519 32
/// 76 issued u64       84 identity SPKI 422               506 signature 384
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// 0 to 506: what is signed.
    pub content: OfferContent,
    /// 506: the asker's signature of `"MU3-OFFER\0"` and all before.
    pub signature: Signature,
}

/// The part of an [`Offer`] that is signed.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfferContent {
    /// 0: of kind OFFER.
    pub prefix: Prefix,
    /// 8: who asks.
    pub from: ClientId,
    /// 24: who is asked.
    pub to: ClientId,
    /// 40: which offer, below 2^31.
    pub offer_id: OfferId,
    /// 44: the key to answer with, in the place of a one-time prekey.
    pub key: DhPublicKey,
    /// 76: when it was made.
    pub issued: UnixSeconds,
    /// 84: the asker's identity key.
    pub identity: RsaPublicKey,
}

impl Offer {
    /// Reads an OFFER.
    ///
    /// # Errors
    /// [`WireError::FieldValue`] for a prefix of something else, [`WireError::Truncated`] or [`WireError::Trailing`] for
    /// another size, [`WireError::FieldLimit`] for an offer id from 2^31 on.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        Prefix::expect(envelope, EnvelopeKind::OFFER)?;
        let offer: Self = decode("OFFER", envelope)?;
        let OfferId(id) = offer.content.offer_id;
        if id > OFFER_ID_MAX.0 {
            return Err(WireError::FieldLimit {
                field: "offer id",
                at: 40,
                found: id.into(),
                limit: OFFER_ID_MAX.0.into(),
            });
        }
        Ok(offer)
    }

    /// The OFFER as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// The largest offer id: the bit above tells an offer's key from a one-time prekey.
pub const OFFER_ID_MAX: OfferId = OfferId(0x7fff_ffff);

impl OfferContent {
    /// The bytes that are signed, behind the context.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}
