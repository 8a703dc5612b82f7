//! Identities, bundles, what is compared between people, and what is proved to servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use std::collections::BTreeSet;

use common::users::{NOW, alice, bob, carol, make_bundle, rsa_key};
use common::{hex, low_order, rng};
use messageu_envelope::authentication::{
    SignedRotation, sign_authentication, sign_registration, verify_authentication, verify_registration,
};
use messageu_envelope::bundle::{BUNDLE_LIFE, BundleTerms, Expected, OwnBundle, PeerBundle, PeerOneTimeKey};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::error::{BundleError, KeyError, QrError, SignatureError};
use messageu_envelope::identity::{Identity, IdentityKey};
use messageu_envelope::safety_number::{QrCode, SafetyNumber};
use messageu_envelope::wrapping::{Wrapped, WrappingKey};
use messageu_wire::envelope::bundle::{Bundle, Dialect};
use messageu_wire::envelope::field::{
    Binding, ClientNonce, Epoch, Fingerprint, OneTimeId, PrekeyId, ServerKeyHash, ServerNonce, Signature,
    UnixSeconds, WrapId,
};
use messageu_wire::envelope::statement::{Authentication, BindingType, Context};
use proptest::collection::vec;
use proptest::prelude::*;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};

// Keys

#[test]
fn a_public_key_is_what_the_library_writes_in_der() {
    for key in [alice().identity().public_key(), bob().bundle.wrapping().public_key()] {
        let parsed = RsaPublicKey::from_public_key_der(&key.0).unwrap();
        assert_eq!((parsed.n().bits(), parsed.e()), (3072, &BoxedUint::from(65_537_u32)));
        assert_eq!(parsed.to_public_key_der().unwrap().as_bytes(), key.0);
    }
}

#[test]
fn private_keys_are_read_back() {
    let again = IdentityKey::from_pkcs8_der(&alice().key.to_pkcs8_der().unwrap()).unwrap();
    assert_eq!(again.identity(), alice().identity());
    let wrapping = bob().bundle.wrapping();
    let again = WrappingKey::from_pkcs8_der(&wrapping.to_pkcs8_der().unwrap()).unwrap();
    assert_eq!(again.public_key(), wrapping.public_key());
}

#[test]
fn a_generated_key_signs_and_unwraps() {
    let mut rng = rng(110);
    let identity = IdentityKey::generate(&mut rng).unwrap();
    let signature = identity.sign(Context::OFFER, b"fields", &mut rng).unwrap();
    assert_eq!(identity.identity().verify(Context::OFFER, b"fields", &signature), Ok(()));
    let wrapping = WrappingKey::generate(&mut rng).unwrap();
    let secret = Wrapped::generate(&mut rng);
    let peer = messageu_envelope::wrapping::PeerWrappingKey::new(wrapping.public_key()).unwrap();
    let wrapped = peer.wrap(&secret, &mut rng).unwrap();
    assert_eq!(wrapping.unwrap(&wrapped, &mut rng).as_bytes(), secret.as_bytes());
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let mut rng = rng(111);
    for (bits, exponent) in [(2048, 65_537_u32), (3072, 3)] {
        let rsa = RsaPrivateKey::new_with_exp(&mut rng, bits, BoxedUint::from(exponent)).unwrap();
        let der = rsa.to_pkcs8_der().unwrap();
        assert_eq!(IdentityKey::from_pkcs8_der(der.as_bytes()).unwrap_err(), KeyError::Private);
    }
    let der = rsa_key("alice", "identity");
    assert_eq!(IdentityKey::from_pkcs8_der(&der[..der.len() - 1]).unwrap_err(), KeyError::Private);
    assert_eq!(IdentityKey::from_pkcs8_der(&[0; 4096]).unwrap_err(), KeyError::Private);
}

#[test]
fn a_public_key_has_one_spelling() {
    let key = *alice().identity().public_key();
    // All but the modulus is a template; its first bit and its last are set.
    for bit in (0..33 * 8).chain([33 * 8, 417 * 8 - 8]).chain(417 * 8..422 * 8) {
        let mut other = key;
        other.0[bit / 8] ^= if bit == 33 * 8 { 0x80 } else { 1 << (bit % 8) };
        assert_eq!(Identity::new(&other), Err(KeyError::Public), "bit {bit}");
    }
}

#[test]
fn the_fingerprint_is_the_hash_of_the_public_key_and_the_id_its_beginning() {
    let public = alice().identity().public_key();
    let hash = Sha256::digest([b"MU3-ID\0".as_slice(), &public.0].concat());
    assert_eq!(alice().identity().fingerprint().0, *hash);
    let id = alice().id().to_string();
    assert_eq!(id[..12], hex(&hash)[..12]);
    assert_eq!((&id[12..13], ["8", "9", "a", "b"].contains(&&id[16..17])), ("8", true));
}

// Signatures

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_signature_holds_for_its_key_context_and_fields_alone(
        fields in vec(any::<u8>(), 0..100), context in 0_usize..7, bit in 0_usize..384 * 8, seed: u8,
    ) {
        let made = Context::ALL[context];
        let signature = alice().key.sign(made, &fields, &mut rng(seed)).unwrap();
        for context in Context::ALL {
            let expected = if context == made { Ok(()) } else { Err(SignatureError) };
            prop_assert_eq!(alice().identity().verify(context, &fields, &signature), expected);
        }
        prop_assert_eq!(bob().identity().verify(made, &fields, &signature), Err(SignatureError));
        let longer = [fields.as_slice(), &[0]].concat();
        prop_assert_eq!(alice().identity().verify(made, &longer, &signature), Err(SignatureError));
        let mut changed = signature;
        changed.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(alice().identity().verify(made, &fields, &changed), Err(SignatureError));
    }
}

fn authentication() -> Authentication {
    Authentication {
        server_key_hash: ServerKeyHash([1; 32]),
        nonce: ServerNonce([2; 32]),
        binding_type: BindingType::TLS_EXPORTER,
        binding: Binding([3; 32]),
        client_id: alice().id(),
        client_nonce: ClientNonce([4; 16]),
    }
}

#[test]
fn a_signature_has_a_salt_of_32_bytes_and_a_number_below_the_modulus() {
    let key = RsaPrivateKey::from_pkcs8_der(&rsa_key("alice", "identity")).unwrap();
    let hash = Sha256::new_with_prefix(b"MU3-BUNDLE\0fields").finalize();
    let verify = |signature: [u8; 384]| {
        alice().identity().verify(Context::BUNDLE, b"fields", &Signature(signature)).is_ok()
    };
    let sign = |salt: usize, seed: u8| {
        let pss = rsa::Pss::<Sha256>::new_blinded_with_salt(salt);
        <[u8; 384]>::try_from(key.sign_with_rng(&mut rng(seed), pss, &hash).unwrap()).unwrap()
    };
    for salt in [0, 20, 31, 32, 33, 64] {
        assert_eq!(verify(sign(salt, 1)), salt == 32, "{salt}");
    }
    // The same number modulo the modulus, where 384 bytes have room for it.
    let modulus: [u8; 384] = alice().identity().public_key().0[33..417].try_into().unwrap();
    let larger = (0..100).find_map(|seed| {
        let (mut sum, mut carry) = (sign(32, seed), 0);
        for (byte, other) in sum.iter_mut().zip(modulus).rev() {
            let added = u16::from(*byte) + u16::from(other) + carry;
            (*byte, carry) = (added.to_le_bytes()[0], added >> 8);
        }
        (carry == 0).then_some(sum)
    });
    assert!(!verify(larger.unwrap()));
}

#[test]
fn an_authentication_holds_for_one_server_nonce_connection_and_client() {
    let fields = authentication();
    let signature = sign_authentication(&alice().key, &fields, &mut rng(112)).unwrap();
    assert_eq!(verify_authentication(alice().identity(), &fields, &signature), Ok(()));
    let others = [
        Authentication { server_key_hash: ServerKeyHash([9; 32]), ..fields.clone() },
        Authentication { nonce: ServerNonce([9; 32]), ..fields.clone() },
        Authentication { binding_type: BindingType::SERVER_KEY, ..fields.clone() },
        Authentication { binding: Binding([9; 32]), ..fields.clone() },
        Authentication { client_id: bob().id(), ..fields.clone() },
        Authentication { client_nonce: ClientNonce([9; 16]), ..fields.clone() },
    ];
    for other in others {
        assert_eq!(verify_authentication(alice().identity(), &other, &signature), Err(SignatureError));
    }
    // Somebody's own signature in the name of another is none, even where the name fits the fields.
    let in_bobs_name = Authentication { client_id: bob().id(), ..fields };
    let signature = sign_authentication(&alice().key, &in_bobs_name, &mut rng(113)).unwrap();
    assert_eq!(verify_authentication(alice().identity(), &in_bobs_name, &signature), Err(SignatureError));
}

#[test]
fn a_registration_covers_its_body_and_is_no_authentication() {
    let fields = authentication();
    let signature = sign_registration(&alice().key, &fields, b"body", &mut rng(114)).unwrap();
    assert_eq!(verify_registration(alice().identity(), &fields, b"body", &signature), Ok(()));
    assert_eq!(verify_registration(alice().identity(), &fields, b"", &signature), Err(SignatureError));
    assert_eq!(verify_authentication(alice().identity(), &fields, &signature), Err(SignatureError));
    let empty = sign_registration(&alice().key, &fields, b"", &mut rng(115)).unwrap();
    assert_eq!(verify_authentication(alice().identity(), &fields, &empty), Err(SignatureError));
}

#[test]
fn a_rotation_needs_the_consent_of_both_identities() {
    let mut rng = rng(116);
    let rotation = SignedRotation::sign(&alice().key, &bob().key, NOW, &mut rng).unwrap();
    let (old, new, other) = (alice().identity(), bob().identity(), carol().identity());
    assert_eq!(rotation.verify(old, new), Ok(()));
    for (from, to) in [(new, old), (old, other), (other, new), (old, old)] {
        assert_eq!(rotation.verify(from, to), Err(SignatureError));
    }
    // Carol names Bob's key as her next one, without Bob.
    let mut forged = SignedRotation::sign(&carol().key, &carol().key, NOW, &mut rng).unwrap();
    forged.rotation.to = new.fingerprint();
    forged.by_old = carol().key.sign(Context::ROTATION, &forged.rotation.encode(), &mut rng).unwrap();
    forged.by_new = carol().key.sign(Context::SUCCESSION, &forged.rotation.encode(), &mut rng).unwrap();
    assert_eq!(forged.verify(other, new), Err(SignatureError));
    let swapped = SignedRotation { by_old: rotation.by_new, by_new: rotation.by_old, ..rotation };
    assert_eq!(swapped.verify(old, new), Err(SignatureError));
}

// Bundles

fn check(bundle: &Bundle, expected: &Expected, now: UnixSeconds) -> Result<PeerBundle, BundleError> {
    PeerBundle::check(&bundle.encode(), expected, now)
}

#[test]
fn a_bundle_is_taken_if_all_holds() {
    let expected =
        Expected { owner: bob().id(), pinned: Some(bob().identity().fingerprint()), epoch: Some(Epoch(5)) };
    let checked = check(bob().bundle.bundle(), &expected, NOW).unwrap();
    assert_eq!((checked.owner(), checked.epoch()), (bob().identity(), Epoch(5)));
}

#[test]
fn a_bundle_of_somebody_else_is_refused() {
    assert_eq!(
        check(carol().bundle.bundle(), &bob().expected(), NOW),
        Err(BundleError::Owner { found: carol().id(), expected: bob().id() })
    );
}

/// An id has 122 bits of the fingerprint: who finds another key for it still has not the pinned one.
#[test]
fn a_bundle_of_another_identity_than_the_pinned_one_is_refused() {
    let expected = Expected { pinned: Some(Fingerprint([1; 32])), ..bob().expected() };
    assert_eq!(check(bob().bundle.bundle(), &expected, NOW), Err(BundleError::Identity));
}

#[test]
fn a_bundle_older_than_one_that_was_seen_is_refused() {
    let expected = Expected { epoch: Some(Epoch(6)), ..bob().expected() };
    assert_eq!(
        check(bob().bundle.bundle(), &expected, NOW),
        Err(BundleError::Epoch { found: Epoch(5), seen: Epoch(6) })
    );
}

#[test]
fn a_bundle_expires_after_thirty_days() {
    let end = UnixSeconds(NOW.0 + BUNDLE_LIFE);
    assert!(check(bob().bundle.bundle(), &bob().expected(), UnixSeconds(end.0 - 1)).is_ok());
    assert_eq!(
        check(bob().bundle.bundle(), &bob().expected(), end),
        Err(BundleError::Expired { expired: end, now: end })
    );
}

#[test]
fn a_bundle_that_asks_for_another_dialect_is_refused_even_if_it_is_signed() {
    for dialect in [0, 2, 4, 255] {
        let mut bundle = bob().bundle.bundle().clone();
        bundle.content.min_dialect = Dialect(dialect);
        assert_eq!(check(&bundle, &bob().expected(), NOW), Err(BundleError::Signature(SignatureError)));
        bundle.signature = bob().key.sign(Context::BUNDLE, &bundle.content.encode(), &mut rng(117)).unwrap();
        assert_eq!(check(&bundle, &bob().expected(), NOW), Err(BundleError::MinDialect { found: dialect }));
    }
}

#[test]
fn a_signed_wrapping_key_that_is_none_is_refused() {
    let mut bundle = bob().bundle.bundle().clone();
    bundle.content.wrap_key.0[0] ^= 1;
    bundle.signature = bob().key.sign(Context::BUNDLE, &bundle.content.encode(), &mut rng(118)).unwrap();
    assert_eq!(
        check(&bundle, &bob().expected(), NOW),
        Err(BundleError::Key { what: "wrapping key", error: KeyError::Public })
    );
}

#[test]
fn a_signed_prekey_that_agrees_on_nothing_is_refused() {
    for point in low_order() {
        let mut bundle = bob().bundle.bundle().clone();
        bundle.content.prekey = point;
        bundle.signature = bob().key.sign(Context::BUNDLE, &bundle.content.encode(), &mut rng(118)).unwrap();
        assert_eq!(
            check(&bundle, &bob().expected(), NOW),
            Err(BundleError::Key { what: "prekey", error: KeyError::LowOrder })
        );
    }
}

#[test]
fn a_one_time_key_that_agrees_on_nothing_is_refused() {
    for point in low_order() {
        assert_eq!(PeerOneTimeKey::check(OneTimeId(1), point), Err(KeyError::LowOrder));
    }
    let key = bob().one_time.public_key();
    assert_eq!(PeerOneTimeKey::check(OneTimeId(1), key), Ok(PeerOneTimeKey { id: OneTimeId(1), key }));
}

#[test]
fn any_bit_of_a_bundle_that_changes_is_refused() {
    let bytes = bob().bundle.bundle().encode();
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(PeerBundle::check(&changed, &bob().expected(), NOW).is_err(), "bit {bit}");
    }
}

#[test]
fn a_bundle_is_restored_with_its_own_private_halves_alone() {
    let (bundle, prekey) = (bob().bundle.bundle(), bob().bundle.prekey());
    let wrapping = |name| WrappingKey::from_pkcs8_der(&rsa_key(name, "wrapping")).unwrap();
    let again = OwnBundle::restore(bundle.clone(), prekey.clone(), wrapping("bob")).unwrap();
    assert_eq!(again.bundle(), bundle);
    let other = DhSecret::generate(&mut rng(119));
    assert_eq!(OwnBundle::restore(bundle.clone(), other, wrapping("bob")).unwrap_err(), KeyError::Private);
    let other = OwnBundle::restore(bundle.clone(), prekey.clone(), wrapping("carol"));
    assert_eq!(other.unwrap_err(), KeyError::Private);
}

#[test]
fn a_bundle_that_would_last_beyond_all_time_lasts_to_its_end() {
    let issued = UnixSeconds(u64::MAX - 1);
    let terms = BundleTerms { epoch: Epoch(1), issued, prekey_id: PrekeyId(1), wrap_id: WrapId(1) };
    let bundle = make_bundle("bob", &bob().key, terms, &mut rng(120));
    assert_eq!(bundle.bundle().content.expires, UnixSeconds(u64::MAX));
}

// What people compare

#[test]
fn a_safety_number_is_sixty_digits_and_the_same_for_both() {
    let (a, b) = (alice().identity().fingerprint(), bob().identity().fingerprint());
    let number = SafetyNumber::new(&a, &b);
    assert_eq!(number, SafetyNumber::new(&b, &a));
    assert!(number.as_str().len() == 60 && number.as_str().bytes().all(|digit| digit.is_ascii_digit()));
    let groups: Vec<_> = number.to_string().split(' ').map(str::to_owned).collect();
    assert_eq!((groups.len(), groups.concat()), (12, number.as_str().to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn another_bit_of_a_fingerprint_is_another_safety_number(bits in proptest::collection::btree_set(0_usize..256, 8)) {
        let own = alice().identity().fingerprint();
        let numbers: BTreeSet<_> = bits.iter().map(|bit| {
            let mut other = bob().identity().fingerprint();
            other.0[bit / 8] ^= 1 << (bit % 8);
            SafetyNumber::new(&own, &other).as_str().to_owned()
        }).collect();
        prop_assert_eq!(numbers.len(), 8);
    }

    #[test]
    fn a_qr_code_is_read_back_and_nothing_else_is_read(text in "\\PC{0,140}", at: prop::sample::Index, flip in 1_u8..) {
        let code = QrCode::new(bob().identity().fingerprint());
        prop_assert_eq!(code.to_string().parse(), Ok(code));
        prop_assert_eq!(code.to_string().replace("mu3:", "").to_uppercase().split(':').count(), 2);
        prop_assert!(text.parse::<QrCode>().is_err());
        let mut changed = code.to_string().into_bytes();
        let at = at.index(changed.len());
        changed[at] = changed[at].wrapping_add(flip);
        if let Ok(text) = String::from_utf8(changed)
            && !text.eq_ignore_ascii_case(&code.to_string())
            && let Ok(other) = text.parse::<QrCode>()
        {
            // What is behind the first 16 bytes of a fingerprint does not show in the id.
            prop_assert!(other != code && at >= 4 + 32 + 1 + 32);
        }
    }
}

#[test]
fn a_qr_code_whose_id_is_not_its_fingerprints_is_refused() {
    let (id, fingerprint) = (alice().id(), bob().identity().fingerprint());
    assert_eq!(format!("mu3:{id}:{fingerprint}").parse::<QrCode>(), Err(QrError::Mismatch));
    assert_eq!(format!("mu4:{id}:{fingerprint}").parse::<QrCode>(), Err(QrError::Form));
}
