//! Bundles: who takes what.

use arbitrary::{Arbitrary, Result, Unstructured};
use messageu_envelope::bundle::PeerBundle;
use messageu_envelope::error::BundleError;
use messageu_wire::envelope::Suite;
use messageu_wire::envelope::bundle::{Bundle, BundleContent, Dialect, MIN_DIALECT};
use messageu_wire::envelope::field::{DhPublicKey, Epoch, RsaPublicKey, UnixSeconds};
use messageu_wire::envelope::statement::Context;

use super::users::{NOW, alice, bob, carol, rng};
use crate::rarely::rarely;
use crate::unstructured::change;

/// Of the bundles that come, the signature of one in so many is checked.
const VERIFY_ONE_IN: u32 = 8;
/// Of those that are to be signed, one in so many is.
const SIGN_ONE_IN: u32 = 256;

/// Any bytes, a true bundle that was changed, or any content that its owner signs.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_bundle(bytes: &mut Unstructured<'_>) -> Result<()> {
    let all = bytes.peek_bytes(bytes.len()).unwrap_or_default();
    match bytes.arbitrary::<u8>()? {
        0..64 => {
            let came = bytes.bytes(bytes.len())?;
            check_form(came);
            assert!(came == true_bundle() || !rarely(came, VERIFY_ONE_IN) || !is_taken(came));
        }
        64..160 => {
            let mut came = true_bundle();
            change(&mut came, bytes)?;
            check_form(&came);
            if rarely(all, VERIFY_ONE_IN) {
                assert_eq!(is_taken(&came), came == true_bundle(), "{came:02x?}");
            }
        }
        _ if rarely(all, SIGN_ONE_IN) => check_signed(&content(bytes)?),
        _ => {}
    }
    Ok(())
}

/// A bundle of Bob's: a seed.
#[must_use]
pub fn true_bundle() -> Vec<u8> {
    bob().bundle.bundle().encode()
}

/// What is read is written again byte for byte, and what is not is so for a reason.
fn check_form(came: &[u8]) {
    match Bundle::decode(came) {
        Ok(bundle) => assert!(bundle.encode() == came),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn is_taken(came: &[u8]) -> bool {
    match PeerBundle::check(came, &bob().expected(), NOW) {
        Ok(bundle) => bundle.owner() == bob().identity(),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Any X25519 key, or one near to those that agree on nothing.
pub(super) fn any_prekey(bytes: &mut Unstructured<'_>) -> Result<DhPublicKey> {
    let [first, between, last] = bytes.arbitrary::<[u8; 3]>()?;
    let mut key = [if between & 1 == 0 { 0 } else { 0xff }; 32];
    (key[0], key[31]) = (first, last);
    if between & 2 == 0 { Ok(DhPublicKey(key)) } else { DhPublicKey::arbitrary(bytes) }
}

/// A content near to Bob's: the owner may be Carol, times and numbers are any, keys may be none.
fn content(bytes: &mut Unstructured<'_>) -> Result<BundleContent> {
    let mut content = bob().bundle.bundle().content.clone();
    let choices = bytes.arbitrary::<u8>()?;
    let is = |bit: u8| choices & 1 << bit != 0;
    if is(0) {
        content.suite = Suite(bytes.arbitrary()?);
    }
    if is(1) {
        content.min_dialect = Dialect(bytes.int_in_range(0..=5)?);
    }
    if is(2) {
        content.epoch = Epoch(bytes.int_in_range(3..=7)?);
    }
    if is(3) {
        content.expires = UnixSeconds(NOW.0 - 2 + bytes.int_in_range(0..=4)?);
    }
    if is(4) {
        content.wrap_key = RsaPublicKey::arbitrary(bytes)?;
    } else if is(5) {
        change(&mut content.wrap_key.0, bytes)?;
    }
    if is(6) {
        content.identity = *carol().identity().public_key();
    }
    if is(7) {
        content.prekey = any_prekey(bytes)?;
    }
    Ok(content)
}

/// A signed content is taken if all holds, and refused for the first thing that does not.
fn check_signed(content: &BundleContent) {
    let signer = if content.identity == *bob().identity().public_key() { bob() } else { carol() };
    let signature =
        signer.key.sign(Context::BUNDLE, &content.encode(), &mut rng(7)).expect("a key that signs");
    let came = Bundle { content: content.clone(), signature }.encode();
    let verdict = PeerBundle::check(&came, &bob().expected(), NOW);
    let as_expected = if content.suite != Suite::ONE {
        matches!(verdict, Err(BundleError::Wire(_)))
    } else if signer.id() != bob().id() {
        matches!(verdict, Err(BundleError::Owner { .. }))
    } else if content.min_dialect != MIN_DIALECT {
        matches!(verdict, Err(BundleError::MinDialect { .. }))
    } else if content.epoch < Epoch(5) {
        matches!(verdict, Err(BundleError::Epoch { .. }))
    } else if content.expires <= NOW {
        matches!(verdict, Err(BundleError::Expired { .. }))
    } else {
        let wrap_key = content.wrap_key.0;
        let true_key = bob().bundle.bundle().content.wrap_key.0;
        let in_form = wrap_key[..33] == true_key[..33]
            && wrap_key[417..] == true_key[417..]
            && wrap_key[33] & 0x80 != 0
            && wrap_key[416] & 1 != 0;
        // A key that two strangers agree with on the same is nobody's.
        let agrees = alice().one_time.agree(&content.prekey).is_ok();
        let what = if in_form { "prekey" } else { "wrapping key" };
        match &verdict {
            Ok(_) => in_form && agrees,
            Err(BundleError::Key { what: found, .. }) => !(in_form && agrees) && *found == what,
            Err(_) => false,
        }
    };
    assert!(as_expected, "{content:?}: {verdict:?}");
}
