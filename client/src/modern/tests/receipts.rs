//! Receipts: who is told what has come, once, and nobody else.

use messageu_wire::envelope::frame::BodyType;

use super::hub::Fate;
use super::*;
use crate::modern::contacts::known_peer;

/// How far each message of a history is.
fn deliveries(user: &User, with: &str) -> Vec<Delivery> {
    let history = user.account().history(&who(with), usize::MAX).unwrap();
    history.iter().filter(|message| message.is_ours).map(|message| message.delivery).collect()
}

/// Envelopes that were ever sent to somebody.
fn sent_to(world: &World, user: &User) -> usize {
    world.hub.log.borrow().iter().filter(|(to, _)| *to == user.id()).count()
}

/// Two who have written to each other, and know what has arrived.
async fn acquainted(world: &World) -> (User, User) {
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    bob.send("alice", "hello yourself").await.unwrap();
    alice.receives().await;
    bob.receives().await;
    (alice, bob)
}

#[tokio::test]
async fn a_contact_is_told_once_what_has_come_in_one_round() {
    let world = World::new();
    let (alice, bob) = acquainted(&world).await;
    let before = sent_to(&world, &alice);
    for text in ["one", "two", "three"] {
        alice.send("bob", text).await.unwrap();
    }
    assert_eq!(deliveries(&alice, "bob")[1..], [Delivery::Done; 3]);
    bob.receives().await;
    assert_eq!(sent_to(&world, &alice), before + 1);
    alice.receives().await;
    assert_eq!(deliveries(&alice, "bob")[1..], [Delivery::Arrived; 3]);
    // A receipt is no reason for another one.
    let before = [sent_to(&world, &alice), sent_to(&world, &bob)];
    for _ in 0..3 {
        assert_eq!((alice.receives().await.len(), bob.receives().await.len()), (0, 0));
    }
    assert_eq!([sent_to(&world, &alice), sent_to(&world, &bob)], before);
}

#[tokio::test]
async fn whom_the_user_has_not_answered_is_told_nothing() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    alice.send("bob", "is anybody there?").await.unwrap();
    bob.receives().await;
    assert_eq!(sent_to(&world, &alice), 0);
    alice.receives().await;
    assert_eq!(deliveries(&alice, "bob"), [Delivery::Done]);
    // Approved, they are told of what comes from then on.
    bob.account().approve(&bob.link, &who("alice")).await.unwrap();
    alice.send("bob", "hello?").await.unwrap();
    bob.receives().await;
    alice.receives().await;
    assert_eq!(deliveries(&alice, "bob"), [Delivery::Done, Delivery::Arrived]);
}

#[tokio::test]
async fn who_is_blocked_is_told_nothing() {
    let world = World::new();
    let (alice, bob) = acquainted(&world).await;
    // What is owed already is not sent any more either.
    alice.send("bob", "first").await.unwrap();
    let mut cursor = Cursor::default();
    assert!(bob.account().receive_next(&bob.link, &mut cursor, 0).await.unwrap());
    bob.account().block(&who("alice")).unwrap();
    let before = sent_to(&world, &alice);
    alice.send("bob", "second").await.unwrap();
    bob.receives().await;
    assert_eq!(sent_to(&world, &alice), before);
}

#[tokio::test]
async fn who_wants_to_tells_nobody() {
    let world = World::new();
    let (alice, mut bob) = acquainted(&world).await;
    bob.settings.sends_receipts = false;
    bob.restart();
    let before = sent_to(&world, &alice);
    alice.send("bob", "read?").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: read?"]);
    assert_eq!(sent_to(&world, &alice), before);
    bob.settings.sends_receipts = true;
    bob.restart();
    bob.receives().await;
    assert_eq!(sent_to(&world, &alice), before, "it was told later");
}

#[tokio::test]
async fn a_file_has_arrived_when_it_is_whole() {
    let world = World::new();
    let (alice, bob) = acquainted(&world).await;
    let path = alice.dir.path().join("file");
    std::fs::write(&path, [7; 100_000]).unwrap();
    alice.account().send_file(&alice.link, &who("bob"), &path, &mut |_, _| ()).await.unwrap();
    alice.account().flush(&alice.link).await.unwrap();
    bob.account().receive(&bob.link, 0).await.unwrap();
    alice.receives().await;
    assert_eq!(deliveries(&alice, "bob")[1..], [Delivery::Done]);
    bob.receives().await;
    alice.receives().await;
    assert_eq!(deliveries(&alice, "bob")[1..], [Delivery::Arrived]);
}

#[tokio::test]
async fn a_crash_at_any_call_neither_loses_a_receipt_nor_sends_a_second() {
    for fate in [Fate::LostBefore, Fate::LostAfter] {
        let mut was_cut_off = true;
        let mut at = 0;
        while was_cut_off {
            let world = World::new();
            let (alice, mut bob) = acquainted(&world).await;
            alice.send("bob", "one").await.unwrap();
            let before = sent_to(&world, &alice);
            bob.link.fail(at, fate);
            was_cut_off = bob.receive().await.is_err();
            if was_cut_off {
                bob.restart();
                bob.link.heal();
                bob.receive().await.unwrap();
            }
            alice.receives().await;
            assert_eq!(deliveries(&alice, "bob")[1..], [Delivery::Arrived], "{fate:?} {at}");
            assert_eq!(sent_to(&world, &alice), before + 1, "{fate:?} {at}");
            at += 1;
        }
        assert!(at > 2, "{at}");
    }
}

/// Puts any receipt into somebody's outbox.
fn say(from: &User, to: &str, body: &[u8]) {
    let account = from.account();
    let queued = account.store.write(|tx| {
        let mut peer = known_peer(tx, &who(to))?;
        account.queue(tx, &mut peer, BodyType::RECEIPT, body, None)
    });
    queued.unwrap();
}

#[tokio::test]
async fn a_receipt_tells_of_nothing_but_what_was_sent_to_who_it_is_from() {
    let world = World::new();
    let (alice, bob) = acquainted(&world).await;
    let carol = world.user("carol").await;
    carol.send("alice", "hello").await.unwrap();
    alice.receives().await;
    alice.send("bob", "for bob").await.unwrap();
    let id = alice.account().history(&who("bob"), 1).unwrap().remove(0).message_id.0;
    say(&carol, "alice", &id);
    // Of one that is not whole, nothing is taken.
    say(&bob, "alice", &[&id[..], &[1]].concat());
    for user in [&carol, &bob] {
        user.account().flush(&user.link).await.unwrap();
    }
    assert_eq!(alice.receives().await, [""; 0]);
    assert_eq!(deliveries(&alice, "bob").last(), Some(&Delivery::Done));
    say(&bob, "alice", &[[9; 16], id].concat());
    bob.account().flush(&bob.link).await.unwrap();
    assert_eq!(alice.receives().await, [""; 0]);
    assert_eq!(deliveries(&alice, "bob").last(), Some(&Delivery::Arrived));
}
