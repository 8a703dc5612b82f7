//! What opens is what was sealed, whole and in its place; whatever else comes does not open and does no harm.

use messageu_wire::envelope::field::{DhPublicKey, EnvelopeId, OfferId};
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::envelope::init::{INIT_HEADER_SIZE, INIT_OVERHEAD};
use messageu_wire::envelope::offer::{Offer, OfferContent};
use messageu_wire::envelope::statement::Context;
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::message::MessageType;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{Envelope, Tag};
use messageu_wire::modern::frame::{REQUEST_HEADER_SIZE, encode_request};
use messageu_wire::modern::operation::{fetch_keys, send_envelope};

use crate::harness::forgery::{Forgery, frame};
use crate::harness::person::identity_key;
use crate::harness::{Person, Stolen, World, designation, now};
use crate::modern::{Modern, User};

/// Two who have written to each other; the texts that went by do not come again.
async fn acquainted(world: &World) -> (Person, Person) {
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
    (alice, bob)
}

/// Puts these envelopes into Bob's queue: none of them opens, and what comes behind them does.
async fn none_opens(world: &World, (alice, bob): (&Person, &Person), envelopes: Vec<Vec<u8>>) {
    let count = envelopes.len();
    for envelope in envelopes {
        world.store.put(bob.id(), envelope).await;
    }
    assert_eq!(bob.receives_until_given_up().await, vec!["?: unreadable"; count]);
    assert_eq!(world.store.waiting(bob.id()).await, 0);
    alice.send("bob", "and now?").await.unwrap();
    assert_eq!(bob.receives().await.last().unwrap(), "alice: and now?");
}

/// An envelope of Alice's that Bob does not get to see.
async fn unseen(world: &World, alice: &Person, bob: &Person) -> Vec<u8> {
    alice.send("bob", "unseen").await.unwrap();
    let envelope = world.store.last_to(bob.id());
    world.store.hide(envelope.clone());
    envelope
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_single_bit_flipped() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    let envelope = unseen(&world, &alice, &bob).await;
    let flipped = |bit: usize| {
        let mut flipped = envelope.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    };
    let flipped: Vec<_> = (0..8 * envelope.len()).map(flipped).collect();
    let count = flipped.len();
    assert_eq!(count, 2944);
    for envelope in flipped {
        world.store.put(bob.id(), envelope).await;
    }
    assert_eq!(bob.receives().await, [""; 0]);
    assert_eq!(world.store.waiting(bob.id()).await, count, "one was taken for something");
    // The one that was not changed opens still.
    let original = world.store.last_to(bob.id());
    world.store.repent();
    world.store.change_mail(move |mut pending| {
        pending.retain(|one| one.envelope[..] == original[..]);
        pending
    });
    assert_eq!(bob.receives().await, ["alice: unseen"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_single_bit_flipped_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.classic_pair().await;
    alice.session.send_text("bob", "dear Bob, please give Carol 1 coin").await.unwrap();
    let mut sealed = world.classic().pull(bob.id(), true).await.unwrap().remove(0).1;
    // A bit of one block is the same bit of the text of the next.
    sealed[28 - 16] ^= b'1' ^ b'9';
    world.classic().send(alice.id(), bob.id(), MessageType::TEXT, &sealed).await.unwrap();
    let shown = bob.receives().await.remove(0);
    assert!(shown.starts_with("alice: ") && shown.ends_with("Carol 9 coin"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_flipped_in_an_init() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.account.begin_session(&alice.server, &designation("bob")).await.unwrap();
    alice.account.flush(&alice.server).await.unwrap();
    let init = world.store.first_to(bob.id(), EnvelopeKind::INIT);
    world.store.hide(init.clone());
    let places = [0, 4, 5, 6, 8, 12, 16, 20, 52, INIT_HEADER_SIZE, INIT_HEADER_SIZE + 16, INIT_OVERHEAD - 1];
    let places =
        places.into_iter().chain([INIT_OVERHEAD, INIT_OVERHEAD + 8, INIT_OVERHEAD + 24, init.len() - 1]);
    let mut count = 0;
    for place in places {
        let mut flipped = init.clone();
        flipped[place] ^= 1;
        world.store.put(bob.id(), flipped).await;
        count += 1;
    }
    assert_eq!(bob.receives_until_given_up().await, vec!["?: unreadable"; count]);
    assert_eq!(bob.account.contacts().unwrap(), []);
    world.store.repent();
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spliced_envelopes() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    let one = unseen(&world, &alice, &bob).await;
    let other = unseen(&world, &alice, &bob).await;
    let cuts = [8, 24, 56, 60, 64, 80, 96, one.len() - 32];
    let spliced = cuts
        .iter()
        .flat_map(|cut| [[&one[..*cut], &other[*cut..]].concat(), [&other[..*cut], &one[*cut..]].concat()]);
    // Where the cut is in what both have alike, the pieces make one of the two again.
    let spliced: Vec<_> = spliced.filter(|spliced| *spliced != one && *spliced != other).collect();
    assert_eq!(spliced.len(), 8);
    none_opens(&world, (&alice, &bob), spliced).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_envelopes() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    let envelope = unseen(&world, &alice, &bob).await;
    let sizes = [8, 63, 64, 80, 111, 112, 128, 336, envelope.len() - 16, envelope.len() - 1];
    none_opens(&world, (&alice, &bob), sizes.iter().map(|size| envelope[..*size].to_vec()).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_envelopes_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.classic_pair().await;
    alice.session.send_text("bob", "do not do this: it is a trap -- stay where you are").await.unwrap();
    let sealed = world.classic().pull(bob.id(), true).await.unwrap().remove(0).1;
    // Without its first block the rest opens, all but a block of it as it was.
    world.classic().send(alice.id(), bob.id(), MessageType::TEXT, &sealed[16..]).await.unwrap();
    let shown = bob.receives().await.remove(0);
    assert!(shown.ends_with("stay where you are") && !shown.contains("do not"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extended_envelopes() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    let envelope = unseen(&world, &alice, &bob).await;
    let body = envelope.len() - 32;
    none_opens(
        &world,
        (&alice, &bob),
        vec![
            [&envelope[..], &[0]].concat(),
            [&envelope[..], &[0; 16]].concat(),
            [&envelope[..], &envelope].concat(),
            [&envelope[..body], &[7; 16], &envelope[body..]].concat(),
            // As large as the next size that there is.
            [&envelope[..body], &[7; 768], &envelope[body..]].concat(),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn type_confusion() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    let msg = unseen(&world, &alice, &bob).await;
    let init = world.store.first_to(bob.id(), EnvelopeKind::INIT);
    let called = |envelope: &[u8], kind: u8| {
        let mut other = envelope.to_vec();
        other[5] = kind;
        other
    };
    let mut confused: Vec<_> = [0, 1, 2, 4, 255].map(|kind| called(&msg, kind)).into();
    confused.extend([1, 3, 9].map(|kind| called(&init, kind)));
    // What is inside an INIT is a MSG, which was taken with it.
    confused.push(init[INIT_OVERHEAD..].to_vec());
    none_opens(&world, (&alice, &bob), confused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_sent_as_one_of_another_kind() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    let envelope = Envelope::new([&b"MU3\x01\x01\x03\0\0"[..], &[7; 360]].concat()).unwrap();
    let request = send_envelope::Request { to: bob.id(), message_id: EnvelopeId([1; 16]), envelope };
    let mut bytes = encode_request(mallory.id, Tag(77), &request.into());
    // The kind beside the envelope says INIT, the envelope itself MSG.
    bytes[REQUEST_HEADER_SIZE + 32] = 2;
    mallory.say(&bytes);
    let answer = mallory.next().unwrap();
    assert_eq!((answer.tag, answer.answer.unwrap_err().error), (Tag(77), ErrorCode::MALFORMED));
    assert_eq!(world.store.waiting(bob.id()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_all_zero_share_in_an_init() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    let carols = identity_key("carol");
    let bundle = alice.server.call(fetch_keys::Request { client_id: bob.id() }).await.unwrap().bundle;
    let sign = |statement: &[u8]| carols.sign(Context::INIT, statement, &mut rand::rng()).unwrap();
    let forge = |is_zero| {
        let from = carols.identity();
        Forgery { from, to: &bundle, one_time: None, sign: &sign, is_zero }.seal("known to all")
    };
    none_opens(&world, (&alice, &bob), vec![forge(true)]).await;
    // With shares that are none of that, the same is taken.
    world.store.put(bob.id(), forge(false)).await;
    assert!(bob.receives().await[1].ends_with(": known to all"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_all_zero_share_in_a_msg() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    bob.send("alice", "hello").await.unwrap();
    alice.receives().await;
    let mut envelope = unseen(&world, &alice, &bob).await;
    envelope[24..56].fill(0);
    none_opens(&world, (&alice, &bob), vec![envelope]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_all_zero_share_in_an_offer() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    // Alice's program asks for a session with a key that agrees on nothing, and Bob's would answer by itself.
    let content = OfferContent {
        prefix: Prefix::new(EnvelopeKind::OFFER),
        from: alice.id(),
        to: bob.id(),
        offer_id: OfferId(1),
        key: DhPublicKey([0; 32]),
        issued: now(),
        identity: *alice.account.identity_key().identity().public_key(),
    };
    let signature = alice.account.identity_key().sign(Context::OFFER, &content.encode(), &mut rand::rng());
    let offer = Offer { content, signature: signature.unwrap() };
    let before = world.store.sent_to(alice.id()).len();
    world.store.put(bob.id(), offer.encode()).await;
    assert_eq!(bob.receives().await, [""; 0]);
    assert_eq!(world.store.sent_to(alice.id()).len(), before, "it was answered");
    // Bob's program goes on, and answers what can be answered.
    alice.account.queue_offer(&designation("bob")).unwrap();
    alice.account.flush(&alice.server).await.unwrap();
    assert_eq!(bob.receives().await, [""; 0]);
    assert_eq!(alice.receives().await, ["bob: answered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_none_behind_a_good_tag() {
    let world = World::new().await;
    let (alice, bob) = acquainted(&world).await;
    // A contact with a program of their own says what no program says.
    let mut session = Stolen::of(&alice).sessions().remove(0);
    for (body_type, body, shown) in [
        (BodyType::FILE, &[7; 20][..], &["alice: unknown 4"][..]),
        (BodyType::CONTROL, b"\xff\xff\xff", &[]),
        (BodyType(77), b"from the future", &["alice: unknown 77"]),
        (BodyType::CONTROL, b"", &[]),
    ] {
        let (envelope, next) = session.seal(&frame(body_type, body), &mut rand::rng()).unwrap();
        session = next;
        world.store.put(bob.id(), envelope).await;
        assert_eq!(bob.receives().await, shown);
    }
    assert_eq!(bob.downloads(), [""; 0]);
    bob.send("alice", "what?").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: what?"]);
}
