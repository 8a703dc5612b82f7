//! INIT and OFFER: who gets in, who does not, and what all who do not are told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use common::users::{NOW, ONE_TIME_ID, User, alice, bob, carol, init, make_bundle, open, rsa_key, text};
use common::{low_order, rng};
use messageu_envelope::bundle::{BundleTerms, OwnBundle, PeerOneTimeKey};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::error::{KeyError, OfferError, OpenError, SealError};
use messageu_envelope::init::{IncomingInit, OneTimeSecret, seal_init};
use messageu_envelope::offer::{OFFER_AHEAD, OFFER_LIFE, OwnOffer, PeerOffer};
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::field::{
    DhPublicKey, EnvelopeId, Epoch, OfferId, OneTimeId, PrekeyId, UnixMillis, UnixSeconds, WrapId,
};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::init::{INIT_HEADER_SIZE, INIT_OVERHEAD};
use messageu_wire::envelope::offer::Offer;
use messageu_wire::envelope::statement::Context;
use proptest::prelude::*;
use rand::RngExt;

fn try_open(envelope: &[u8], to: &User, one_time: OneTimeSecret<'_>) -> Result<Frame, OpenError> {
    let incoming = IncomingInit::decode(envelope).map_err(|_| OpenError)?;
    incoming.open(&to.bundle, one_time, NOW, &mut rng(9)).map(|opened| opened.frame)
}

// What an INIT does

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_init_says_who_sent_it_and_begins_the_same_session_on_both_sides(
        body in proptest::collection::vec(any::<u8>(), 0..3000), seed: u8, with_one_time: bool,
    ) {
        let mut rng = rng(seed);
        let frame = text(&body, &mut rng);
        let one_time = with_one_time.then(|| bob().peer_one_time());
        let (envelope, ours) =
            seal_init(&alice().key, &bob().peer_bundle(), one_time.as_ref(), &frame, &mut rng).unwrap();
        let incoming = IncomingInit::decode(&envelope).unwrap();
        let secret = if with_one_time { bob().one_time() } else { OneTimeSecret::None };
        let opened = incoming.open(&bob().bundle, secret, NOW, &mut rng).unwrap();
        prop_assert_eq!(&opened.peer, alice().identity());
        prop_assert_eq!(&opened.frame, &frame);
        prop_assert_eq!(opened.session.id(), ours.id());
        prop_assert_eq!((opened.session.us(), opened.session.peer()), (ours.peer(), ours.us()));

        let reply = text(b"reply", &mut rng);
        let (envelope, _) = opened.session.seal(&reply, &mut rng).unwrap();
        prop_assert!(!ours.is_confirmed());
        let answered = ours.open(&envelope, NOW).unwrap();
        prop_assert!(answered.session.is_confirmed());
        prop_assert_eq!(answered.frame, reply);
    }
}

#[test]
fn two_inits_to_the_same_keys_have_nothing_in_common() {
    let mut rng = rng(20);
    let [(a, one), (b, other)] = [(); 2].map(|()| init(alice(), bob(), &mut rng));
    assert_ne!(one.id(), other.id());
    let common = a[20..].chunks(16).filter(|chunk| b[20..].chunks(16).any(|other| other == *chunk));
    assert_eq!(common.count(), 0);
}

#[test]
fn an_init_hides_who_sent_it() {
    let (envelope, _) = init(alice(), bob(), &mut rng(21));
    let shows = |bytes: &[u8]| envelope.windows(bytes.len()).any(|window| window == bytes);
    assert!(!shows(&alice().id().0) && !shows(&alice().identity().public_key().0[40..60]));
}

// Damage

/// One bit of every byte, or every bit if `MESSAGEU_TEST_EVERY_BIT` is set: each costs an RSA operation.
#[test]
fn any_bit_of_an_init_that_changes_is_refused() {
    let (envelope, _) = init(alice(), bob(), &mut rng(22));
    assert!(open(&envelope, bob()).is_some());
    let all = std::env::var_os("MESSAGEU_TEST_EVERY_BIT").is_some();
    for at in 0..envelope.len() {
        for bit in (0..8).filter(|bit| all || *bit == at % 8) {
            let mut changed = envelope.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(try_open(&changed, bob(), bob().one_time()), Err(OpenError), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn an_init_of_any_other_length_is_refused() {
    let (envelope, _) = init(alice(), bob(), &mut rng(23));
    for size in (0..envelope.len()).step_by(7) {
        assert!(IncomingInit::decode(&envelope[..size]).is_err(), "{size}");
    }
    for more in 1..64 {
        let longer = [envelope.as_slice(), &vec![0; more]].concat();
        assert!(IncomingInit::decode(&longer).is_err(), "{more}");
    }
}

#[test]
fn parts_of_two_inits_do_not_make_a_third() {
    let mut rng = rng(24);
    let [(a, _), (b, _)] = [(); 2].map(|()| init(alice(), bob(), &mut rng));
    let cuts = [8, 20, 52, INIT_HEADER_SIZE, INIT_OVERHEAD, INIT_OVERHEAD + 64, a.len() - 32];
    for cut in cuts {
        let spliced = [&a[..cut], &b[cut..]].concat();
        let same = spliced == a || spliced == b;
        assert_eq!(try_open(&spliced, bob(), bob().one_time()).is_ok(), same, "at {cut}");
    }
}

// The wrong recipient

#[test]
fn an_init_that_is_sent_to_somebody_else_does_not_open() {
    let (envelope, _) = init(alice(), bob(), &mut rng(25));
    assert_eq!(try_open(&envelope, carol(), carol().one_time()), Err(OpenError));
    assert_eq!(try_open(&envelope, alice(), alice().one_time()), Err(OpenError));
}

/// Bob passes what Alice sent him on to Carol: he has all secrets in it, and cannot make it say that it is for her.
#[test]
fn a_recipient_cannot_pass_an_init_on_as_its_senders() {
    // Carol's bundle with Bob's very keys, so that Bob's INIT is sealed to the same secrets.
    let terms = BundleTerms { epoch: Epoch(5), issued: NOW, prekey_id: PrekeyId(11), wrap_id: WrapId(12) };
    let prekey = DhSecret::from_bytes(bob().bundle.prekey().as_bytes());
    let wrapping = WrappingKey::from_pkcs8_der(&rsa_key("bob", "wrapping")).unwrap();
    let bundle = OwnBundle::make(&carol().key, terms, prekey, wrapping, &mut rng(26)).unwrap();
    let (envelope, _) = init(alice(), bob(), &mut rng(27));
    let incoming = IncomingInit::decode(&envelope).unwrap();
    assert_eq!(incoming.open(&bundle, bob().one_time(), NOW, &mut rng(9)).unwrap_err(), OpenError);
}

#[test]
fn an_init_to_a_bundle_that_was_replaced_opens_with_that_bundle_alone() {
    let terms = BundleTerms { epoch: Epoch(6), issued: NOW, prekey_id: PrekeyId(13), wrap_id: WrapId(14) };
    let newer = make_bundle("bob", &bob().key, terms, &mut rng(28));
    let (envelope, _) = init(alice(), bob(), &mut rng(29));
    let incoming = IncomingInit::decode(&envelope).unwrap();
    assert_eq!(incoming.prekey_id(), PrekeyId(11));
    assert!(incoming.open(&newer, bob().one_time(), NOW, &mut rng(9)).is_err());
    // The same keys signed again are another bundle: what the sender saw is part of the secret.
    let terms = BundleTerms { epoch: Epoch(7), issued: NOW, prekey_id: PrekeyId(11), wrap_id: WrapId(12) };
    let prekey = DhSecret::from_bytes(bob().bundle.prekey().as_bytes());
    let wrapping = WrappingKey::from_pkcs8_der(&rsa_key("bob", "wrapping")).unwrap();
    let again = OwnBundle::make(&bob().key, terms, prekey, wrapping, &mut rng(30)).unwrap();
    assert!(incoming.open(&again, bob().one_time(), NOW, &mut rng(9)).is_err());
    assert!(incoming.open(&bob().bundle, bob().one_time(), NOW, &mut rng(9)).is_ok());
}

#[test]
fn nobody_begins_a_session_with_themselves() {
    let frame = text(b"", &mut rng(31));
    let sealed = seal_init(&bob().key, &bob().peer_bundle(), None, &frame, &mut rng(31));
    assert_eq!(sealed.unwrap_err(), SealError::Oneself);
}

// The wrong sender

/// Carol has stolen all of Bob's private keys but his identity's. She still cannot write to Bob as Alice.
#[test]
fn stolen_prekeys_do_not_make_anybody_else_of_the_thief() {
    let mut rng = rng(32);
    // What she makes is from Carol, however she makes it: the sender block has to be signed for this very INIT.
    let (hers, _) = init(carol(), bob(), &mut rng);
    assert_eq!(open(&hers, bob()).unwrap().peer, *carol().identity());
    // A sender block that Alice did sign, for another INIT to Bob, does not fit hers.
    let (real, _) = init(alice(), bob(), &mut rng);
    let forged = [&hers[..INIT_HEADER_SIZE], &real[INIT_HEADER_SIZE..]].concat();
    assert_eq!(try_open(&forged, bob(), bob().one_time()), Err(OpenError));
}

/// With every secret of an INIT of Alice's in hand, and so with the key of its sender block, nothing else can be put in.
#[test]
fn a_sender_block_is_of_one_init() {
    use messageu_envelope::aead::AeadKey;
    use messageu_wire::envelope::init::{Init, SenderBlock};
    use messageu_wire::fields::ClientId;
    let (stolen, _) = init(alice(), bob(), &mut rng(33));
    let (own, _) = init(carol(), bob(), &mut rng(34));
    let (alices, carols) = (sender_key(&stolen), sender_key(&own));
    let block = |envelope: &[u8], key: &(AeadKey, [u8; 32])| {
        let init = Init::decode(envelope).unwrap();
        SenderBlock::decode(&key.0.open(&key.1, &init.sender).unwrap()).unwrap()
    };
    let (alice_block, carol_block) = (block(&stolen, &alices), block(&own, &carols));
    let with = |block: &SenderBlock| {
        let mut init = Init::decode(&own).unwrap();
        init.sender = carols.0.seal(&carols.1, &block.encode(), &mut rng(35));
        try_open(&init.encode(), bob(), bob().one_time())
    };
    assert!(with(&carol_block).is_ok());
    assert_eq!(with(&alice_block), Err(OpenError));
    assert_eq!(with(&SenderBlock { client_id: alice().id(), ..carol_block.clone() }), Err(OpenError));
    assert_eq!(with(&SenderBlock { client_id: ClientId([1; 16]), ..alice_block }), Err(OpenError));
    let identity = *bob().identity().public_key();
    assert_eq!(with(&SenderBlock { client_id: bob().id(), identity, ..carol_block }), Err(OpenError));
}

/// A whole INIT made of primitives: somebody says that they are `from`, and signs with `signer`.
struct Forgery<'a> {
    from: &'a User,
    signer: &'a User,
    to: &'a User,
    one_time: PeerOneTimeKey,
    number: u32,
    frame: Frame,
}

impl<'a> Forgery<'a> {
    /// What an honest sender makes.
    fn new(from: &'a User, to: &'a User) -> Self {
        let frame = text(b"forged", &mut rng(46));
        Self { from, signer: from, to, one_time: to.peer_one_time(), number: 0, frame }
    }

    fn seal(&self) -> Vec<u8> {
        use common::primitives::{chain_step, hkdf, root_step};
        use messageu_envelope::aead::AeadKey;
        use messageu_envelope::wrapping::{PeerWrappingKey, Wrapped};
        use messageu_wire::envelope::field::SessionId;
        use messageu_wire::envelope::init::{Init, InitHeader, SenderBlock};
        use messageu_wire::envelope::msg::{Msg, MsgHeader};
        use messageu_wire::envelope::statement::Context;
        use messageu_wire::envelope::{EnvelopeKind, Prefix};
        use sha2::{Digest, Sha256};
        let Self { from, signer, to, one_time, number, ref frame } = *self;
        let mut rng = rng(46);
        let bundle = to.bundle.bundle();
        let (ephemeral, ratchet) = (DhSecret::generate(&mut rng), DhSecret::generate(&mut rng));
        let random = Wrapped::generate(&mut rng);
        let header = InitHeader {
            prefix: Prefix::new(EnvelopeKind::INIT),
            prekey_id: bundle.content.prekey_id,
            one_time_id: one_time.id,
            wrap_id: bundle.content.wrap_id,
            ephemeral: ephemeral.public_key(),
            wrapped: PeerWrappingKey::new(&bundle.content.wrap_key).unwrap().wrap(&random, &mut rng).unwrap(),
        };
        let recipient = to.identity().fingerprint().0;
        let transcript = Sha256::digest(
            [header.encode().as_slice(), &recipient, &Sha256::digest(bundle.encode())].concat(),
        );
        let agreed = [&bundle.content.prekey, &one_time.key].map(|key| *ephemeral.agree(key).unwrap());
        let secret = [random.as_bytes().as_slice(), agreed.as_flattened()].concat();
        let derived = hkdf::<96>(&transcript, &secret, b"MU3-INIT");
        let (sender_key, pre) = derived.split_first_chunk().unwrap();

        let signed = [transcript.as_slice(), &from.id().0, &to.id().0].concat();
        let block = SenderBlock {
            client_id: from.id(),
            identity: *from.identity().public_key(),
            signature: signer.key.sign(Context::INIT, &signed, &mut rng).unwrap(),
        };
        let sender = AeadKey::from_bytes(sender_key).seal(&transcript, &block.encode(), &mut rng);

        let fingerprints = [from.identity().fingerprint().0, recipient];
        let info = [b"MU3-SK".as_slice(), fingerprints.as_flattened()].concat();
        let session = hkdf::<48>(&transcript, pre, &info);
        let agreed = ratchet.agree(&bundle.content.prekey).unwrap();
        let (_, mut chain) = root_step(session.first_chunk().unwrap(), &agreed);
        for _ in 0..number {
            chain = chain_step(&chain).1;
        }
        let msg = MsgHeader {
            prefix: Prefix::new(EnvelopeKind::MSG),
            session_id: SessionId(*session.last_chunk().unwrap()),
            ratchet: ratchet.public_key(),
            previous_count: 0,
            number,
        };
        let ids = [from.id().0, to.id().0];
        let aad = [b"MU3-MSG\0", ids.as_flattened(), fingerprints.as_flattened(), &msg.encode()].concat();
        let plaintext = frame.encode().unwrap();
        let sealed = AeadKey::from_bytes(&chain_step(&chain).0).seal(&aad, &plaintext, &mut rng);
        Init { header, sender, first: Msg { header: msg, sealed } }.encode()
    }
}

#[test]
fn only_who_signs_as_somebody_can_begin_a_session_as_them() {
    let opens = |from, signer| {
        let envelope = Forgery { signer, ..Forgery::new(from, bob()) }.seal();
        open(&envelope, bob()).map(|opened| opened.peer)
    };
    assert_eq!(opens(alice(), alice()).as_ref(), Some(alice().identity()));
    assert_eq!(opens(alice(), carol()), None);
    assert_eq!(opens(carol(), alice()), None);
}

#[test]
fn an_init_from_oneself_is_refused_even_if_it_is_signed() {
    assert!(open(&Forgery::new(bob(), bob()).seal(), bob()).is_none());
}

#[test]
fn the_message_in_an_init_is_the_first_of_its_session() {
    assert!(open(&Forgery::new(alice(), bob()).seal(), bob()).is_some());
    assert!(open(&Forgery { number: 1, ..Forgery::new(alice(), bob()) }.seal(), bob()).is_none());
}

/// K0 and T of an INIT to Bob, as spec.md derives them, from primitives alone.
fn sender_key(envelope: &[u8]) -> (messageu_envelope::aead::AeadKey, [u8; 32]) {
    use messageu_envelope::aead::AeadKey;
    use messageu_wire::envelope::init::Init;
    use sha2::{Digest, Sha256};
    let header = Init::decode(envelope).unwrap().header;
    let bundle = Sha256::digest(bob().bundle.bundle().encode());
    let transcript: [u8; 32] =
        Sha256::digest([&envelope[..INIT_HEADER_SIZE], &bob().identity().fingerprint().0, &bundle].concat())
            .into();
    let random = bob().bundle.wrapping().unwrap(&header.wrapped, &mut rng(9));
    let agreed = bob().bundle.prekey().agree(&header.ephemeral).unwrap();
    let agreed_once = bob().one_time.agree(&header.ephemeral).unwrap();
    let secret = [random.as_bytes().as_slice(), &*agreed, &*agreed_once].concat();
    let derived = common::primitives::hkdf::<96>(&transcript, &secret, b"MU3-INIT");
    (AeadKey::from_bytes(derived.first_chunk().unwrap()), transcript)
}

#[test]
fn neither_rsa_alone_nor_x25519_alone_opens_an_init() {
    let (envelope, _) = init(alice(), bob(), &mut rng(36));
    let content = &bob().bundle.bundle().content;
    let other_prekey = DhSecret::generate(&mut rng(37));
    // Bundles with one of Bob's private halves and another in place of the other.
    let wrapping = |name| WrappingKey::from_pkcs8_der(&rsa_key(name, "wrapping")).unwrap();
    let terms = BundleTerms {
        epoch: content.epoch,
        issued: content.issued,
        prekey_id: content.prekey_id,
        wrap_id: content.wrap_id,
    };
    let rsa_alone = OwnBundle::make(&bob().key, terms, other_prekey, wrapping("bob"), &mut rng(38)).unwrap();
    let prekey = DhSecret::from_bytes(bob().bundle.prekey().as_bytes());
    let dh_alone = OwnBundle::make(&bob().key, terms, prekey, wrapping("carol"), &mut rng(38)).unwrap();
    for bundle in [&rsa_alone, &dh_alone] {
        let incoming = IncomingInit::decode(&envelope).unwrap();
        assert!(incoming.open(bundle, bob().one_time(), NOW, &mut rng(9)).is_err());
    }
}

#[test]
fn a_secret_that_was_not_wrapped_to_us_is_refused_where_a_wrong_key_is() {
    let wrapped = messageu_wire::envelope::field::WrappedSecret([0x11; 384]);
    let unwrap = |seed| *bob().bundle.wrapping().unwrap(&wrapped, &mut rng(seed)).as_bytes();
    assert_ne!(unwrap(1), unwrap(2));
    assert_ne!(unwrap(1), [0; 32]);
}

// Points of low order

/// What is refused by its bytes is just what agrees on nothing.
#[test]
fn keys_of_low_order_are_those_that_agree_on_nothing() {
    let is_one = |key: DhPublicKey| {
        let agrees = bob().one_time.agree(&key).is_ok();
        assert_eq!(key.is_of_low_order(), !agrees, "{key}");
        !agrees
    };
    assert!(low_order().into_iter().all(is_one));
    for key in low_order() {
        for bit in 0..255 {
            let mut near = key;
            near.0[bit / 8] ^= 1 << (bit % 8);
            is_one(near);
        }
    }
}

#[test]
fn an_agreement_on_nothing_is_refused_on_both_sides() {
    let (envelope, _) = init(alice(), bob(), &mut rng(39));
    let frame = text(b"", &mut rng(39));
    for point in low_order() {
        assert_eq!(bob().one_time.agree(&point), Err(OpenError));
        let mut changed = envelope.clone();
        changed[20..52].copy_from_slice(&point.0);
        assert_eq!(try_open(&changed, bob(), bob().one_time()), Err(OpenError));
        let one_time = PeerOneTimeKey { id: OneTimeId(1), key: point };
        let sealed = seal_init(&alice().key, &bob().peer_bundle(), Some(&one_time), &frame, &mut rng(40));
        assert_eq!(sealed.unwrap_err(), SealError::Agreement);
    }
}

// Replays

#[test]
fn a_replayed_init_has_the_replay_key_of_the_first() {
    let mut rng = rng(41);
    let frame = text(b"", &mut rng);
    let mut seal = || seal_init(&alice().key, &bob().peer_bundle(), None, &frame, &mut rng).unwrap().0;
    let (a, b) = (seal(), seal());
    let key = |envelope: &[u8]| IncomingInit::decode(envelope).unwrap().replay_key();
    assert_ne!(key(&a), key(&b));
    // Whatever is behind the header may differ: the key does not, and the header cannot without a refusal.
    let mut changed = a.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(key(&a), key(&changed));
}

#[test]
fn an_init_that_calls_for_a_one_time_key_opens_with_that_key_alone() {
    let (envelope, _) = init(alice(), bob(), &mut rng(42));
    let other = DhSecret::generate(&mut rng(43));
    let offer = OwnOffer::new(OfferId(7), alice().id(), bob().one_time.clone());
    let wrong = [
        OneTimeSecret::None,
        OneTimeSecret::Prekey(ONE_TIME_ID, &other),
        OneTimeSecret::Prekey(OneTimeId(8), &bob().one_time),
        OneTimeSecret::Prekey(OneTimeId::NONE, &bob().one_time),
        OneTimeSecret::Offer(&offer),
    ];
    for secret in wrong {
        assert_eq!(try_open(&envelope, bob(), secret), Err(OpenError), "{secret:?}");
    }
}

#[test]
fn an_init_that_calls_for_no_one_time_key_opens_without_one_alone() {
    let mut rng = rng(44);
    let frame = text(b"", &mut rng);
    let (envelope, _) = seal_init(&alice().key, &bob().peer_bundle(), None, &frame, &mut rng).unwrap();
    assert_eq!(try_open(&envelope, bob(), OneTimeSecret::None), Ok(frame));
    let none = OneTimeSecret::Prekey(OneTimeId::NONE, &bob().one_time);
    assert_eq!(try_open(&envelope, bob(), none), Err(OpenError));
}

#[test]
fn a_one_time_key_without_an_id_is_none() {
    let mut rng = rng(45);
    let frame = text(b"", &mut rng);
    let none = PeerOneTimeKey { id: OneTimeId::NONE, ..bob().peer_one_time() };
    let (envelope, _) = seal_init(&alice().key, &bob().peer_bundle(), Some(&none), &frame, &mut rng).unwrap();
    assert_eq!(try_open(&envelope, bob(), OneTimeSecret::None), Ok(frame));
}

// Offers

const OFFER_ID: OfferId = OfferId(0x0102_0304);

fn offer(rng: &mut rand::rngs::StdRng) -> (OwnOffer, Vec<u8>) {
    let offer = OwnOffer::new(OFFER_ID, bob().id(), DhSecret::generate(rng));
    let envelope = offer.seal(&alice().key, NOW, rng).unwrap();
    (offer, envelope)
}

#[test]
fn an_offer_is_answered_with_an_init_to_its_key() {
    let mut rng = rng(50);
    let (own, envelope) = offer(&mut rng);
    let peers = PeerOffer::check(&envelope, bob().id(), NOW).unwrap();
    assert_eq!(peers.from(), alice().identity());
    let (sent, id) = (UnixMillis(5), EnvelopeId(rng.random()));
    let (answer, _) = peers.answer(&bob().key, &alice().peer_bundle(), sent, id, &mut rng).unwrap();
    let incoming = IncomingInit::decode(&answer).unwrap();
    assert_eq!(incoming.one_time_id().offer(), Some(OFFER_ID));
    let opened = incoming.open(&alice().bundle, OneTimeSecret::Offer(&own), NOW, &mut rng).unwrap();
    assert_eq!(opened.peer, *bob().identity());
    assert_eq!(
        (opened.frame.body_type, opened.frame.body.as_slice()),
        (BodyType::KEY_ANSWER, &[4, 3, 2, 1][..])
    );
}

#[test]
fn any_bit_of_an_offer_that_changes_is_refused() {
    let (_, envelope) = offer(&mut rng(51));
    assert!(PeerOffer::check(&envelope, bob().id(), NOW).is_ok());
    for bit in 0..8 * envelope.len() {
        let mut changed = envelope.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(PeerOffer::check(&changed, bob().id(), NOW).is_err(), "bit {bit}");
    }
    for size in 0..envelope.len() {
        assert!(PeerOffer::check(&envelope[..size], bob().id(), NOW).is_err(), "{size}");
    }
}

#[test]
fn an_offer_to_somebody_else_or_of_long_ago_is_refused() {
    let (_, envelope) = offer(&mut rng(52));
    assert_eq!(
        PeerOffer::check(&envelope, carol().id(), NOW),
        Err(OfferError::Recipient { found: bob().id() })
    );
    let late = UnixSeconds(NOW.0 + OFFER_LIFE);
    assert_eq!(PeerOffer::check(&envelope, bob().id(), late), Err(OfferError::Expired { issued: NOW }));
    assert!(PeerOffer::check(&envelope, bob().id(), UnixSeconds(late.0 - 1)).is_ok());
}

/// Else one that its maker dated far ahead would have to be remembered as long.
#[test]
fn an_offer_of_a_time_to_come_is_refused() {
    let (own, envelope) = offer(&mut rng(52));
    assert_eq!(PeerOffer::check(&envelope, bob().id(), NOW).unwrap().id(), own.id());
    let before = UnixSeconds(NOW.0 - OFFER_AHEAD);
    assert!(PeerOffer::check(&envelope, bob().id(), before).is_ok());
    let earlier = UnixSeconds(before.0 - 1);
    assert_eq!(PeerOffer::check(&envelope, bob().id(), earlier), Err(OfferError::Early { issued: NOW }));
}

#[test]
fn an_offer_of_a_key_that_agrees_on_nothing_is_refused() {
    let (_, envelope) = offer(&mut rng(54));
    for point in low_order() {
        let mut content = Offer::decode(&envelope).unwrap().content;
        content.key = point;
        let signature = alice().key.sign(Context::OFFER, &content.encode(), &mut rng(55)).unwrap();
        assert_eq!(
            PeerOffer::check(&Offer { content, signature }.encode(), bob().id(), NOW),
            Err(OfferError::Key { what: "key", error: KeyError::LowOrder })
        );
    }
}

#[test]
fn an_offer_in_the_name_of_somebody_else_is_refused() {
    let (_, mut envelope) = offer(&mut rng(53));
    envelope[8..24].copy_from_slice(&carol().id().0);
    assert_eq!(
        PeerOffer::check(&envelope, bob().id(), NOW),
        Err(OfferError::Sender { claimed: carol().id(), found: alice().id() })
    );
}

/// The frame that answers the offer.
fn key_answer() -> Frame {
    let mut frame = text(&OFFER_ID.0.to_le_bytes(), &mut rng(54));
    frame.body_type = BodyType::KEY_ANSWER;
    frame
}

#[test]
fn an_offer_is_answered_by_nobody_but_whom_it_was_made_to() {
    let (own, _) = offer(&mut rng(54));
    // Carol has seen the offer's key, and answers in the form of an answer.
    let one_time = PeerOneTimeKey { id: OneTimeId::of_offer(OFFER_ID), key: own.secret().public_key() };
    let answer = |from, frame: &Frame| {
        let envelope = Forgery { one_time, frame: frame.clone(), ..Forgery::new(from, alice()) }.seal();
        try_open(&envelope, alice(), OneTimeSecret::Offer(&own))
    };
    let frame = key_answer();
    assert_eq!(answer(bob(), &frame), Ok(frame.clone()));
    assert_eq!(answer(carol(), &frame), Err(OpenError));
    // Nor with anything but an answer to it.
    let mut other = frame.clone();
    other.body[0] ^= 1;
    assert_eq!(answer(bob(), &other), Err(OpenError));
    let mut other = frame.clone();
    other.body_type = BodyType::TEXT;
    assert_eq!(answer(bob(), &other), Err(OpenError));
}

#[test]
fn a_key_answer_that_nobody_asked_for_is_refused() {
    let envelope = Forgery { frame: key_answer(), ..Forgery::new(alice(), bob()) }.seal();
    assert_eq!(try_open(&envelope, bob(), bob().one_time()), Err(OpenError));
    let sealed = seal_init(&alice().key, &bob().peer_bundle(), None, &key_answer(), &mut rng(55));
    assert_eq!(sealed.unwrap_err(), SealError::KeyAnswer);
}

/// A server that has seen Bob's offer hands its key out as Bob's one-time prekey: Bob would refuse what is sealed to it.
#[test]
fn a_one_time_key_with_the_id_of_an_offers_is_not_sealed_to() {
    let one_time = PeerOneTimeKey { id: OneTimeId::of_offer(OFFER_ID), ..bob().peer_one_time() };
    let frame = text(b"", &mut rng(59));
    let sealed = seal_init(&alice().key, &bob().peer_bundle(), Some(&one_time), &frame, &mut rng(59));
    assert_eq!(sealed.unwrap_err(), SealError::OneTimeId);
}

#[test]
fn an_offer_is_answered_to_its_own_senders_bundle_alone() {
    let mut rng = rng(56);
    let (_, envelope) = offer(&mut rng);
    let peers = PeerOffer::check(&envelope, bob().id(), NOW).unwrap();
    let answer =
        peers.answer(&bob().key, &carol().peer_bundle(), UnixMillis(0), EnvelopeId([0; 16]), &mut rng);
    assert_eq!(answer.unwrap_err(), SealError::OtherUser);
}

#[test]
fn no_secret_is_shown() {
    let (own, _) = offer(&mut rng(57));
    let (_, session) = init(alice(), bob(), &mut rng(58));
    let shown = format!("{own:?} {session:?} {:?} {:?}", alice().key, bob().bundle);
    let digits = |bytes: &[u8]| common::hex(&bytes[..8]);
    assert!(!shown.contains(&digits(own.secret().as_bytes())));
    assert!(!shown.contains(&digits(bob().bundle.prekey().as_bytes())));
    let state = session.to_bytes();
    assert!(!shown.contains(&digits(&state[81..113])));
}
