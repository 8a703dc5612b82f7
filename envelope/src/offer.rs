//! OFFER: asks somebody to begin a session, with a key for it. What the older dialects' key request became.

use messageu_wire::envelope::field::{EnvelopeId, OfferId, OneTimeId, UnixMillis, UnixSeconds};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::offer::{OFFER_ID_MAX, Offer, OfferContent};
use messageu_wire::envelope::statement::Context;
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::fields::ClientId;
use rand::CryptoRng;

use crate::bundle::{PeerBundle, PeerOneTimeKey};
use crate::dh::DhSecret;
use crate::error::{KeyError, OfferError, SealError};
use crate::identity::{Identity, IdentityKey};
use crate::init::seal_init_to;
use crate::session::Session;

/// Seconds that an offer may be answered.
pub const OFFER_LIFE: u64 = 30 * DAY;
/// Seconds that the asker's clock may be ahead of ours. Who remembers what it has answered for this long beyond
/// [`OFFER_LIFE`] answers no offer twice.
pub const OFFER_AHEAD: u64 = DAY;

const DAY: u64 = 24 * 60 * 60;

/// An offer of ours that is not answered yet.
#[derive(Clone, Debug)]
pub struct OwnOffer {
    id: OfferId,
    to: ClientId,
    secret: DhSecret,
}

impl OwnOffer {
    /// Makes an offer to somebody, with a new key. `id` is different from that of any offer that is not answered.
    #[must_use]
    pub fn new(id: OfferId, to: ClientId, secret: DhSecret) -> Self {
        // The bit above is not the offer's: it tells its key from a one-time prekey.
        Self { id: OfferId(id.0 & OFFER_ID_MAX.0), to, secret }
    }

    /// Signs the offer, to be sent.
    ///
    /// # Errors
    /// [`KeyError::Signing`] should the RSA library fail.
    pub fn seal(
        &self,
        us: &IdentityKey,
        issued: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, KeyError> {
        let content = OfferContent {
            prefix: Prefix::new(EnvelopeKind::OFFER),
            from: us.identity().client_id(),
            to: self.to,
            offer_id: self.id,
            key: self.secret.public_key(),
            issued,
            identity: *us.identity().public_key(),
        };
        let signature = us.sign(Context::OFFER, &content.encode(), rng)?;
        Ok(Offer { content, signature }.encode())
    }

    /// Which offer.
    #[must_use]
    pub fn id(&self) -> OfferId {
        self.id
    }

    /// Whom it is to.
    #[must_use]
    pub fn to(&self) -> ClientId {
        self.to
    }

    /// The private half of its key, to be stored.
    #[must_use]
    pub fn secret(&self) -> &DhSecret {
        &self.secret
    }

    /// Whether this is what an answer to it says.
    pub(crate) fn is_answered_by(&self, frame: &Frame) -> bool {
        frame.body_type == BodyType::KEY_ANSWER && frame.body == self.id.0.to_le_bytes()
    }
}

/// A peer's offer that was checked. Whether it is answered is for pins and the user to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerOffer {
    from: Identity,
    id: OfferId,
    key: PeerOneTimeKey,
}

impl PeerOffer {
    /// Checks an offer as it came.
    ///
    /// # Errors
    /// [`OfferError`], which says what does not hold.
    pub fn check(envelope: &[u8], us: ClientId, now: UnixSeconds) -> Result<Self, OfferError> {
        let Offer { content, signature } = Offer::decode(envelope)?;
        let from = Identity::new(&content.identity)
            .map_err(|error| OfferError::Key { what: "identity key", error })?;
        if from.client_id() != content.from {
            return Err(OfferError::Sender { claimed: content.from, found: from.client_id() });
        }
        if content.to != us {
            return Err(OfferError::Recipient { found: content.to });
        }
        from.verify(Context::OFFER, &content.encode(), &signature)?;
        if content.issued.0.saturating_add(OFFER_LIFE) <= now.0 {
            return Err(OfferError::Expired { issued: content.issued });
        }
        if content.issued.0 > now.0.saturating_add(OFFER_AHEAD) {
            return Err(OfferError::Early { issued: content.issued });
        }
        let key = PeerOneTimeKey::check(OneTimeId::of_offer(content.offer_id), content.key)
            .map_err(|error| OfferError::Key { what: "key", error })?;
        Ok(Self { from, id: content.offer_id, key })
    }

    /// Which offer of its maker: what it is remembered by, so that it is answered once.
    #[must_use]
    pub fn id(&self) -> OfferId {
        self.id
    }

    /// Who made it, proved.
    #[must_use]
    pub fn from(&self) -> &Identity {
        &self.from
    }

    /// Answers the offer: begins a session with its key, in place of a one-time prekey.
    ///
    /// # Errors
    /// [`SealError::OtherUser`] with a bundle of somebody else, and whatever [`seal_init`](crate::init::seal_init) refuses.
    pub fn answer(
        &self,
        us: &IdentityKey,
        to: &PeerBundle,
        sent: UnixMillis,
        message_id: EnvelopeId,
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Session), SealError> {
        if *to.owner() != self.from {
            return Err(SealError::OtherUser);
        }
        let body = self.id.0.to_le_bytes().to_vec();
        let frame = Frame { body_type: BodyType::KEY_ANSWER, sent, message_id, body };
        seal_init_to(us, to, Some(&self.key), &frame, rng)
    }
}
