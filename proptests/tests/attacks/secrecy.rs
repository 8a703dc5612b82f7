//! What is written is for its recipient alone.

use std::time::Duration;

use messageu_client::modern::Status;
use messageu_wire::envelope::msg::MSG_HEADER_SIZE;
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::message::MessageType;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::operation::{drop_file, fetch_chunk, look_up};

use crate::harness::{ClassicUser, Person, Stolen, Tap, World, contains, content, designation};
use crate::modern::{Modern, User, pull};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_anothers_queue() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "for bob alone").await.unwrap();
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    assert_eq!(mallory.pull(), [], "her own queue shows what is in another");
    mallory.id = bob.id();
    assert_eq!(mallory.error(pull(0, Duration::ZERO)), ErrorCode::NOT_AUTHENTICATED);
    assert_eq!(bob.receives().await, ["alice: new", "alice: for bob alone"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_anothers_queue_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let classic = world.classic();
    let (alice, bob) = (classic.register("alice").await, classic.register("bob").await);
    let mallory = classic.register("mallory").await;
    classic.send(alice, bob, MessageType::TEXT, b"for bob alone").await.unwrap();
    // All that Mallory knows of Bob is in the list that everybody gets.
    let everybody = classic.0.list_clients(mallory).await.unwrap();
    let bobs = everybody.iter().find(|entry| entry.name.to_text() == "bob").unwrap().client_id;
    assert_eq!(classic.pull(bobs, false).await.unwrap(), [(alice, b"for bob alone".to_vec())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listening_to_the_network() {
    let world = World::new().await;
    let tap = Tap::on(world.place);
    let way = world.address_by(tap.place);
    let alice = Person::join(&world, &way, "alice", "alice", None, false).await;
    let bob = Person::join(&world, &way, "bob", "bob", None, false).await;
    alice.send("bob", "for bob alone").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: for bob alone"]);
    let heard = tap.heard();
    assert!(heard.len() > 10_000, "nothing went by");
    let envelope = world.store.last_to(bob.id());
    for secret in [&b"for bob alone"[..], b"alice", b"bob", &alice.id().0, &bob.id().0, &envelope[..64]] {
        assert!(!contains(&heard, secret), "{secret:02x?} went by");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listening_to_the_network_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let tap = Tap::on(world.place);
    let mut alice = ClassicUser::join(tap.place, "alice").await;
    let mut bob = ClassicUser::join(tap.place, "bob").await;
    alice.share_key(&mut bob).await;
    alice.session.send_text("bob", "for bob alone").await.unwrap();
    let heard = tap.heard();
    // Who writes to whom, when, by which name and id; only the text itself is sealed.
    for secret in [&b"alice"[..], b"bob", &alice.id().0, &bob.id().0] {
        assert!(contains(&heard, secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recognising_a_text_that_was_sent_before() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let text = "the same sixteen bytes again and again: ".repeat(4);
    for _ in 0..2 {
        alice.send("bob", &text).await.unwrap();
    }
    let sent = world.store.sent_to(bob.id());
    let [.., first, second] = &sent[..] else { panic!("{} envelopes", sent.len()) };
    assert_eq!(first.len(), second.len());
    let blocks = |envelope: &[u8]| -> Vec<Vec<u8>> {
        envelope[MSG_HEADER_SIZE..].windows(16).map(<[u8]>::to_vec).collect()
    };
    let (first, second) = (blocks(first), blocks(second));
    assert!(first.iter().all(|block| !second.contains(block)), "two envelopes share a block");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recognising_a_text_that_was_sent_before_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, bob) = world.classic_pair().await;
    for text in ["attack at dawn, from the left", "attack at dawn, from the right"] {
        alice.session.send_text("bob", text).await.unwrap();
    }
    let pulled = world.classic().pull(bob.id(), false).await.unwrap();
    let [(_, first), (_, second)] = &pulled[..] else { panic!("{pulled:?}") };
    assert_eq!(first[..16], second[..16], "what begins alike looks alike");
    assert_ne!(first, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telling_a_text_by_its_size() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    for text in ["", "no", "yes, at ten o'clock in the usual place", &"a".repeat(200)] {
        alice.send("bob", text).await.unwrap();
    }
    let sent = world.store.sent_to(bob.id());
    let sizes: Vec<_> = sent.iter().skip(1).map(Vec::len).collect();
    assert_eq!(sizes, [368; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telling_a_text_by_its_size_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, bob) = world.classic_pair().await;
    for text in ["no", "yes, at ten o'clock in the usual place"] {
        alice.session.send_text("bob", text).await.unwrap();
    }
    let pulled = world.classic().pull(bob.id(), false).await.unwrap();
    assert_eq!(pulled.iter().map(|(_, text)| text.len()).collect::<Vec<_>>(), [16, 48]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_everybody() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    let mut look_up = |name: &str| {
        let answer = mallory.call(look_up::Request { name: Name::new(name).unwrap() });
        answer.map(|found| found.client_id).map_err(|refusal| refusal.error)
    };
    // Who is not named whole is not found; there is no operation that gives more than one name.
    for part in ["b", "bo", "Bob", "bob ", "*", "%", "bo_"] {
        assert_eq!(look_up(part), Err(ErrorCode::UNKNOWN_CLIENT), "{part}");
    }
    assert_eq!(look_up("bob"), Ok(bob.id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_everybody_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let classic = world.classic();
    let bob = classic.register("bob").await;
    let everybody = classic.0.list_clients(classic.register("mallory").await).await.unwrap();
    let everybody: Vec<_> = everybody.iter().map(|entry| (entry.name.to_text(), entry.client_id)).collect();
    assert_eq!(everybody, [("bob".to_owned(), bob)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetching_anothers_file() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send_file("bob", "plan", &content(100_000)).await.unwrap();
    bob.account.receive(&bob.server, 0).await.unwrap();
    let file_id = file_of(&bob);
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    let fetch = fetch_chunk::Request { file_id, index: 0 };
    assert_eq!(mallory.error(fetch), ErrorCode::UNKNOWN_FILE);
    assert_eq!(mallory.call(drop_file::Request { file_id }).unwrap().chunks, 0);
    mallory.id = bob.id();
    assert_eq!(mallory.error(fetch), ErrorCode::NOT_AUTHENTICATED);
    assert_eq!(bob.receives().await, ["alice: new", "alice: file plan of 100000"]);
    assert!(bob.download("plan") == content(100_000));
}

/// The server's number for the file that somebody is about to fetch, which its keeper knows as well.
fn file_of(person: &Person) -> messageu_wire::envelope::field::FileId {
    let manifests = Stolen::of(person).manifests();
    manifests.first().unwrap().file_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_a_key_that_is_there() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    alice.send("bob", "for bob alone").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: for bob alone"]);
    // Carol asks Bob for a session; nothing is answered to somebody whom he has not approved.
    carol.account.meet(&carol.server, &designation("bob")).await.unwrap();
    carol.account.queue_offer(&designation("bob")).unwrap();
    carol.account.flush(&carol.server).await.unwrap();
    assert_eq!(bob.receives().await, ["?: offer"]);
    assert_eq!(world.store.sent_to(carol.id()), [[0; 0]; 0]);
    // Whom he approves is answered with a session that has nothing of the one with Alice.
    let sent_before = world.store.sent_to(bob.id());
    bob.account.approve(&bob.server, &designation(&carol.id().to_string())).await.unwrap();
    bob.account.follow_up(&bob.server).await.unwrap();
    assert_eq!(carol.receives().await, ["bob: answered"]);
    let users = [&alice, &bob].map(|user| user.account.identity_key().identity().clone());
    let to_bob: Vec<_> = sent_before.into_iter().filter(|one| kind(one) != EnvelopeKind::OFFER).collect();
    let reads = Stolen::of(&carol).reads(&to_bob, users.each_ref());
    assert_eq!(reads, vec![false; to_bob.len()]);
    assert_eq!(bob.contact("alice").status, Status::Unverified);
}

fn kind(envelope: &[u8]) -> EnvelopeKind {
    Prefix::peek(envelope).unwrap().kind
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_an_id() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    // An id tells whom to ask about, and opens nothing: near misses are nobody, the id itself is refused like all others.
    for bit in [0, 7, 64, 127] {
        let mut near = bob.id();
        near.0[bit / 8] ^= 1 << (bit % 8);
        mallory.id = near;
        assert_eq!(mallory.error(pull(0, Duration::ZERO)), ErrorCode::NOT_AUTHENTICATED);
    }
    for id in [bob.id(), ClientId::NOBODY] {
        mallory.id = id;
        assert_eq!(mallory.error(pull(0, Duration::ZERO)), ErrorCode::NOT_AUTHENTICATED);
    }
}
