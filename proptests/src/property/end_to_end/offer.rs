//! OFFER: which is to be answered.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::error::OfferError;
use messageu_envelope::offer::{OFFER_AHEAD, OFFER_LIFE, OwnOffer, PeerOffer};
use messageu_wire::envelope::field::{OfferId, UnixSeconds};
use messageu_wire::envelope::offer::{OFFER_ID_MAX, Offer, OfferContent};
use messageu_wire::envelope::statement::Context;
use messageu_wire::fields::ClientId;

use super::bundle::any_prekey;
use super::users::{NOW, alice, bob, carol, rng};
use crate::rarely::rarely;
use crate::unstructured::change;

/// Of the OFFERs that come, the signature of one in so many is checked.
const VERIFY_ONE_IN: u32 = 8;
/// Of those that are to be signed, one in so many is.
const SIGN_ONE_IN: u32 = 256;

/// Any bytes, a true OFFER that was changed, or any content that its sender signs.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_offer(bytes: &mut Unstructured<'_>) -> Result<()> {
    let all = bytes.peek_bytes(bytes.len()).unwrap_or_default();
    match bytes.arbitrary::<u8>()? {
        0..64 => {
            let came = bytes.bytes(bytes.len())?;
            check_form(came);
            assert!(came == true_offer() || !rarely(came, VERIFY_ONE_IN) || !is_taken(came));
        }
        64..160 => {
            let mut came = true_offer().to_vec();
            change(&mut came, bytes)?;
            check_form(&came);
            if rarely(all, VERIFY_ONE_IN) {
                assert_eq!(is_taken(&came), came == true_offer(), "{came:02x?}");
            }
        }
        _ if rarely(all, SIGN_ONE_IN) => check_signed(&content(bytes)?),
        _ => {}
    }
    Ok(())
}

/// An OFFER of Alice's to Bob: a seed.
#[must_use]
pub fn true_offer() -> &'static [u8] {
    static OFFER: OnceLock<Vec<u8>> = OnceLock::new();
    OFFER.get_or_init(|| {
        let mut rng = rng(121);
        let offer = OwnOffer::new(OfferId(0x0102_0304), bob().id(), DhSecret::generate(&mut rng));
        offer.seal(&alice().key, NOW, &mut rng).expect("an OFFER")
    })
}

fn check_form(came: &[u8]) {
    match Offer::decode(came) {
        Ok(offer) => assert!(offer.encode() == came),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn is_taken(came: &[u8]) -> bool {
    match PeerOffer::check(came, bob().id(), NOW) {
        Ok(offer) => offer.from() == alice().identity(),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A content near to that of the true OFFER.
fn content(bytes: &mut Unstructured<'_>) -> Result<OfferContent> {
    let mut content = Offer::decode(true_offer()).expect("an OFFER").content;
    let choices = bytes.arbitrary::<u8>()?;
    let is = |bit: u8| choices & 1 << bit != 0;
    if is(0) {
        content.from = ClientId::arbitrary(bytes)?;
    }
    if is(1) {
        content.to = carol().id();
    }
    if is(2) {
        content.offer_id = OfferId(bytes.arbitrary()?);
    }
    if is(3) {
        let near = [0, NOW.0 - OFFER_LIFE, NOW.0, NOW.0 + OFFER_AHEAD, u64::MAX - 2];
        content.issued = UnixSeconds(bytes.choose(&near)?.saturating_add(bytes.int_in_range(0..=2)?));
    }
    if is(4) {
        content.identity = *carol().identity().public_key();
    }
    if is(6) {
        content.key = any_prekey(bytes)?;
    }
    if is(5) {
        content.prefix.flags = bytes.arbitrary()?;
    }
    Ok(content)
}

/// A signed content is taken if all holds, and refused for the first thing that does not.
fn check_signed(content: &OfferContent) {
    let signer = if content.identity == *alice().identity().public_key() { alice() } else { carol() };
    let signature =
        signer.key.sign(Context::OFFER, &content.encode(), &mut rng(7)).expect("a key that signs");
    let came = Offer { content: content.clone(), signature }.encode();
    let verdict = PeerOffer::check(&came, bob().id(), NOW);
    let issued = content.issued.0;
    let as_expected = if content.prefix.flags != 0 || content.offer_id > OFFER_ID_MAX {
        matches!(verdict, Err(OfferError::Wire(_)))
    } else if content.from != signer.id() {
        matches!(verdict, Err(OfferError::Sender { .. }))
    } else if content.to != bob().id() {
        matches!(verdict, Err(OfferError::Recipient { .. }))
    } else if issued.saturating_add(OFFER_LIFE) <= NOW.0 {
        matches!(verdict, Err(OfferError::Expired { .. }))
    } else if issued > NOW.0 + OFFER_AHEAD {
        matches!(verdict, Err(OfferError::Early { .. }))
    } else if carol().one_time.agree(&content.key).is_err() {
        matches!(verdict, Err(OfferError::Key { what: "key", .. }))
    } else {
        verdict
            .as_ref()
            .is_ok_and(|offer| offer.from() == signer.identity() && offer.id() == content.offer_id)
    };
    assert!(as_expected, "{content:?}: {verdict:?}");
}
