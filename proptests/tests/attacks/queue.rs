//! What waits for somebody stays until they have it, whatever others do.

use std::time::Duration;

use messageu_server::limits::Limits;
use messageu_server::modern::registration::Registration;
use messageu_server::store::modern::MailLimits;
use messageu_server::store::{QueueLimits, QueuePolicy};
use messageu_wire::dialect::{Dialect, Family, Profile};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{AtMost, Sequence, StoreStatus};
use messageu_wire::modern::frame::REQUEST_HEADER_SIZE;
use messageu_wire::modern::operation::{acknowledge, erase_account, fetch_keys, hello};

use crate::harness::{Classic, World};
use crate::modern::{Modern, User, mail, pull, text_of};

fn texts(connection: &mut Modern) -> Vec<Vec<u8>> {
    connection.pull().iter().map(text_of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_anothers_mail() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "still here").await.unwrap();
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    // All numbers that there may be, in her own name and in his.
    let sequences = || AtMost::new((0..1000).map(Sequence).collect()).unwrap();
    assert_eq!(mallory.call(acknowledge::Request { sequences: sequences() }).unwrap().deleted, 0);
    mallory.id = bob.id();
    let refused = mallory.error(acknowledge::Request { sequences: sequences() });
    assert_eq!(refused, ErrorCode::NOT_AUTHENTICATED);
    assert_eq!(bob.receives().await, ["alice: new", "alice: still here"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_anothers_mail_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let classic = world.classic();
    let (alice, bob) = (classic.register("alice").await, classic.register("bob").await);
    classic.send(alice, bob, MessageType::TEXT, b"gone").await.unwrap();
    // Whoever pulls in his name and takes it has deleted it.
    assert_eq!(classic.pull(bob, true).await.unwrap().len(), 1);
    assert_eq!(classic.pull(bob, true).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulling_without_acknowledging() {
    let world = World::new().await;
    let (alice, bob) = (User::number(0), User::number(1));
    let mut from = Modern::new(world.place, &alice, "alice");
    let mut at = Modern::new(world.place, &bob, "bob");
    from.send(bob.id(), 1, b"still here").unwrap();
    // Somebody cuts Bob's connection each time that he has been told.
    for _ in 0..3 {
        assert_eq!(texts(&mut at), [b"still here"]);
        at = Modern::of(world.place, &bob);
    }
    assert_eq!(texts(&mut at), [b"still here"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_anothers_account() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    mallory.id = bob.id();
    assert_eq!(mallory.error(erase_account::Request), ErrorCode::NOT_AUTHENTICATED);
    alice.send("bob", "are you there?").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: are you there?"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_anothers_account_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let profile = Profile::ALL.iter().find(|profile| profile.deletable).unwrap();
    let classic = Classic::at(world.place, Dialect { family: Family::D, profile });
    let (alice, bob) = (classic.register("alice").await, classic.register("bob").await);
    // In Bob's name, by whoever knows his id.
    classic.0.delete_client(bob).await.unwrap();
    assert!(classic.send(alice, bob, MessageType::TEXT, b"are you there?").await.is_err());
}

/// A server at which one sender may fill two places of a queue.
async fn narrow() -> World {
    let mail = MailLimits { per_recipient: 8, per_pair: 2, ..MailLimits::default() };
    let queue = QueueLimits { per_pair: 2, policy: QueuePolicy::DropOldest, ..QueueLimits::default() };
    World::with(Limits { mail, queue, ..Limits::default() }, Registration::Open).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evicting_mail_by_a_flood() {
    let world = narrow().await;
    let [alice, bob, mallory] = [0, 1, 2].map(User::number);
    let mut from = Modern::new(world.place, &alice, "alice");
    let mut at = Modern::new(world.place, &bob, "bob");
    let mut flood = Modern::new(world.place, &mallory, "mallory");
    from.send(bob.id(), 1, b"before").unwrap();
    let answers: Vec<_> = (0..50).map(|number| flood.send(bob.id(), number, b"flood").is_ok()).collect();
    assert_eq!(answers.iter().filter(|ok| **ok).count(), 2, "one sender fills the queue");
    assert_eq!(flood.error(mail(bob.id(), 99, b"flood")), ErrorCode::QUEUE_FULL);
    from.send(bob.id(), 2, b"behind").unwrap();
    assert_eq!(texts(&mut at), [&b"before"[..], b"flood", b"flood", b"behind"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evicting_mail_by_a_flood_succeeds_against_the_classic_dialect() {
    let world = narrow().await;
    let classic = world.classic();
    let (alice, bob) = (classic.register("alice").await, classic.register("bob").await);
    classic.send(alice, bob, MessageType::TEXT, b"before").await.unwrap();
    // Each sender has places of their own, but anybody is any sender.
    for _ in 0..2 {
        classic.send(alice, bob, MessageType::TEXT, b"flood").await.unwrap();
    }
    let left = classic.pull(bob, true).await.unwrap();
    assert_eq!(left, [(alice, b"flood".to_vec()), (alice, b"flood".to_vec())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taking_the_number_of_anothers_message() {
    let world = World::new().await;
    let [alice, bob, mallory] = [0, 1, 2].map(User::number);
    let mut from = Modern::new(world.place, &alice, "alice");
    let mut at = Modern::new(world.place, &bob, "bob");
    let mut first = Modern::new(world.place, &mallory, "mallory");
    // If a server took the number alone for what it has already, hers would keep Alice's out.
    first.send(bob.id(), 7, b"first").unwrap();
    assert_eq!(from.send(bob.id(), 7, b"from alice").unwrap().status, StoreStatus::STORED);
    assert_eq!(texts(&mut at), [&b"first"[..], b"from alice"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn using_up_anothers_one_time_keys() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    let mut fetch = || mallory.call(fetch_keys::Request { client_id: bob.id() }).unwrap().one_time_key;
    let got = (0..200).filter(|_| fetch().is_some()).count();
    assert_eq!(got, 5);
    // Who is nobody sees what there is, and gets none.
    let mut stranger = Modern::connect(world.place);
    let fetched = stranger.call(fetch_keys::Request { client_id: bob.id() }).unwrap();
    assert_eq!(fetched.one_time_key, None);
    let keys = alice.server.call(fetch_keys::Request { client_id: bob.id() }).await.unwrap();
    assert!(keys.one_time_key.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_in_anothers_name() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    // A pull that waits in her own name is not woken by his mail; one in his is refused at once.
    let tag = mallory.begin(pull(0, Duration::from_secs(600)));
    mallory.id = bob.id();
    assert_eq!(mallory.error_beside(tag, pull(0, Duration::from_secs(600))), ErrorCode::NOT_AUTHENTICATED);
    alice.send("bob", "for bob alone").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: for bob alone"]);
    // What comes next on her connection is the answer to this, and not to the pull.
    mallory.id = User::number(0).id();
    let next = mallory.begin(hello::Request);
    assert_eq!(mallory.next().unwrap().tag, next);
}

trait Beside {
    fn error_beside(
        &mut self,
        waiting: messageu_wire::modern::field::Tag,
        request: impl Into<messageu_wire::modern::Request>,
    ) -> ErrorCode;
}

impl Beside for Modern {
    /// Asks for what is refused, while something else waits.
    fn error_beside(
        &mut self,
        waiting: messageu_wire::modern::field::Tag,
        request: impl Into<messageu_wire::modern::Request>,
    ) -> ErrorCode {
        let tag = self.begin(request);
        let frame = self.next().unwrap();
        assert_eq!(frame.tag, tag, "an answer to {waiting:?}");
        frame.answer.unwrap_err().error
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_never_says_who_it_is() {
    let world = World::new().await;
    let mut stranger = Modern::connect(world.place);
    let answers: Vec<_> = (0..9).map(|_| stranger.call(hello::Request).is_ok()).collect();
    assert_eq!(answers, [[true; 8].as_slice(), &[false]].concat());
    assert!(stranger.next().is_none(), "it may go on");
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_claims_to_be_endless() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    let mut header = vec![7; 16];
    header.push(3);
    header.extend_from_slice(&3020_u16.to_le_bytes());
    header.extend_from_slice(&u32::MAX.to_le_bytes());
    header.extend_from_slice(&9_u32.to_le_bytes());
    assert_eq!(header.len(), REQUEST_HEADER_SIZE);
    mallory.say(&header);
    let answer = mallory.next().unwrap();
    assert_eq!(answer.answer.unwrap_err().error, ErrorCode::MALFORMED);
    assert!(mallory.next().is_none());
    assert_eq!(bob.receives().await, [""; 0]);
    assert_ne!(bob.id(), ClientId::NOBODY);
}
