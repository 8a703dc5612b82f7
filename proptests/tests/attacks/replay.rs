//! What is sent arrives once, and what a server withholds, repeats or turns round is noticed or makes no difference.

use messageu_client::ErrorKind;
use messageu_envelope::bundle::{Expected, PeerBundle};
use messageu_envelope::init::seal_init;
use messageu_server::store::modern::FetchedKeys;
use messageu_wire::envelope::EnvelopeKind;
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::envelope::msg::Msg;
use messageu_wire::message::MessageType;
use messageu_wire::modern::field::StoreStatus;
use messageu_wire::modern::operation::fetch_keys;

use crate::harness::forgery::frame;
use crate::harness::person::identity_key;
use crate::harness::{World, designation, now};
use crate::modern::{Modern, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_init() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
    let init = world.store.first_to(bob.id(), EnvelopeKind::INIT);
    for _ in 0..3 {
        world.store.put(bob.id(), init.clone()).await;
        assert_eq!(bob.receives().await, [""; 0]);
    }
    assert_eq!(world.store.waiting(bob.id()).await, 0, "it is taken for what is known");
    bob.send("alice", "welcome").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: welcome"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_init_without_a_one_time_key() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    world.store.change_keys(|fetched| FetchedKeys { one_time: None, ..fetched });
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
    let init = world.store.first_to(bob.id(), EnvelopeKind::INIT);
    // As it was, and with something else behind what it is remembered by: both are known.
    let mut varied = init.clone();
    *varied.last_mut().unwrap() ^= 1;
    for envelope in [init, varied] {
        world.store.put(bob.id(), envelope).await;
    }
    assert_eq!(bob.receives().await, [""; 0]);
    assert_eq!(world.store.waiting(bob.id()).await, 0);
    alice.send("bob", "again").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: again"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_msg() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "pay carol a coin").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: pay carol a coin"]);
    for _ in 0..3 {
        world.store.put(bob.id(), world.store.last_to(bob.id())).await;
        assert_eq!(bob.receives().await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_msg_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.classic_pair().await;
    alice.session.send_text("bob", "pay carol a coin").await.unwrap();
    let sent = world.classic().pull(bob.id(), false).await.unwrap().remove(0).1;
    assert_eq!(bob.receives().await, ["alice: pay carol a coin"]);
    for _ in 0..3 {
        world.classic().send(alice.id(), bob.id(), MessageType::TEXT, &sent).await.unwrap();
        assert_eq!(bob.receives().await, ["alice: pay carol a coin"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_msg_behind_many_others() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    for round in 0..6 {
        alice.send("bob", &format!("a{round}")).await.unwrap();
        bob.receives().await;
        bob.send("alice", &format!("b{round}")).await.unwrap();
        alice.receives().await;
    }
    for envelope in world.store.sent_to(bob.id()) {
        world.store.put(bob.id(), envelope).await;
    }
    assert_eq!(bob.receives().await, [""; 0]);
    alice.send("bob", "at last").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: at last"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_delivers_everything_twice() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    world.store.change_mail(|pending| {
        let mut twice: Vec<_> = pending.iter().flat_map(|one| [one.clone(), one.clone()]).collect();
        for (at, one) in twice.iter_mut().enumerate() {
            one.sequence.0 = one.sequence.0 * 2 + at as i64 % 2;
        }
        twice
    });
    for text in ["one", "two", "three"] {
        alice.send("bob", text).await.unwrap();
    }
    let shown = bob.receives().await;
    assert_eq!(shown, ["alice: new", "alice: one", "alice: two", "alice: three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turns_the_order_round() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    bob.receives().await;
    world.store.change_mail(|mut pending| {
        let sequences: Vec<_> = pending.iter().map(|one| one.sequence).collect();
        pending.reverse();
        pending.iter_mut().zip(sequences).for_each(|(one, sequence)| one.sequence = sequence);
        pending
    });
    for text in ["two", "three", "four"] {
        alice.send("bob", text).await.unwrap();
    }
    // The user sees that there were others before, and sees each once.
    assert_eq!(bob.receives().await, ["alice: 2 missing", "alice: four", "alice: three", "alice: two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turns_the_order_round_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.classic_pair().await;
    for text in ["yes", "no"] {
        alice.session.send_text("bob", text).await.unwrap();
    }
    let classic = world.classic();
    for (_, sealed) in classic.pull(bob.id(), true).await.unwrap().into_iter().rev() {
        classic.send(alice.id(), bob.id(), MessageType::TEXT, &sealed).await.unwrap();
    }
    assert_eq!(bob.receives().await, ["alice: no", "alice: yes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_withholds_a_message() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    bob.receives().await;
    alice.send("bob", "do not").await.unwrap();
    world.store.hide(world.store.last_to(bob.id()));
    alice.send("bob", "go there").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: 1 missing", "alice: go there"]);
    world.store.repent();
    assert_eq!(bob.receives().await, ["alice: do not"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_withholds_a_message_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.classic_pair().await;
    alice.session.send_text("bob", "do not").await.unwrap();
    // Whoever takes it, the server or anybody else: nothing shows that there was something.
    assert_eq!(world.classic().pull(bob.id(), true).await.unwrap().len(), 1);
    alice.session.send_text("bob", "go there").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: go there"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_numbers_do_not_rise() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    for text in ["one", "two"] {
        alice.send("bob", text).await.unwrap();
    }
    world.store.change_mail(|mut pending| {
        pending.iter_mut().for_each(|one| one.sequence.0 = 7);
        pending
    });
    let error = bob.account.receive(&bob.server, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(bob.shown(), [""; 0]);
    world.store.repent();
    assert_eq!(bob.receives().await, ["alice: new", "alice: one", "alice: two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_again() {
    let world = World::new().await;
    let (alice, bob) = (User::number(0), User::number(1));
    let mut from = Modern::new(world.place, &alice, "alice");
    let mut at = Modern::new(world.place, &bob, "bob");
    assert_eq!(from.send(bob.id(), 1, b"once").unwrap().status, StoreStatus::STORED);
    let deliveries = at.pull();
    at.acknowledge(&deliveries);
    for _ in 0..3 {
        // With other content, too: the number is what counts.
        assert_eq!(from.send(bob.id(), 1, b"twice").unwrap().status, StoreStatus::STORED_ALREADY);
    }
    assert_eq!(at.pull(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_offer() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    alice.account.queue_offer(&designation("bob")).unwrap();
    alice.account.flush(&alice.server).await.unwrap();
    let offer = world.store.last_to(bob.id());
    bob.receives().await;
    let answers = || world.store.sent_to(alice.id()).len();
    let answered = answers();
    assert_eq!(answered, 1);
    for _ in 0..3 {
        world.store.put(bob.id(), offer.clone()).await;
        assert_eq!(bob.receives().await, [""; 0]);
    }
    assert_eq!(answers(), answered);
    assert_eq!(alice.receives().await, ["bob: answered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_session_in_place_of_a_live_one() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    bob.send("alice", "one").await.unwrap();
    let live = session_of(&world.store.last_to(alice.id()));
    // Somebody with Alice's identity key, and nothing else of hers, begins a session with Bob.
    let keys = alice.server.call(fetch_keys::Request { client_id: bob.id() }).await.unwrap();
    let expected = Expected { owner: bob.id(), pinned: None, epoch: None };
    let bundle = PeerBundle::check(&keys.bundle.encode(), &expected, now()).unwrap();
    let text = frame(BodyType::TEXT, b"from a thief");
    let (init, _) = seal_init(&identity_key("alice"), &bundle, None, &text, &mut rand::rng()).unwrap();
    world.store.put(bob.id(), init).await;
    bob.receives().await;
    bob.send("alice", "two").await.unwrap();
    assert_eq!(session_of(&world.store.last_to(alice.id())), live);
    assert_eq!(alice.receives().await, ["bob: one", "bob: two"]);
}

fn session_of(envelope: &[u8]) -> messageu_wire::envelope::field::SessionId {
    Msg::decode(envelope).unwrap().header.session_id
}
