//! What two users see of each other.

use messageu_wire::envelope::frame::BODY_MAX;

use super::*;
use crate::error::ErrorKind;

#[tokio::test]
async fn a_first_text_arrives_with_the_senders_name_and_pins_both_identities() {
    let (alice, bob) = World::new().pair().await;
    assert_eq!(alice.send("bob", "hello").await.unwrap().sent, 2);
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
    assert_eq!(alice.contact("bob").fingerprint, bob.account().identity_key().identity().fingerprint());
    assert_eq!(bob.contact("alice").fingerprint, alice.account().identity_key().identity().fingerprint());
    assert_eq!(bob.contact("alice").status, Status::Unverified);
    bob.send("alice", "and back").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: and back"]);
}

#[tokio::test]
async fn both_have_the_same_history_after_a_restart() {
    let (mut alice, mut bob) = World::new().pair().await;
    for round in 0..3 {
        alice.send("bob", &format!("a{round}")).await.unwrap();
        bob.receive().await.unwrap();
        bob.send("alice", &format!("b{round}")).await.unwrap();
        alice.receive().await.unwrap();
        alice.restart();
        bob.restart();
    }
    assert_eq!(alice.history("bob"), ["> a0", "< b0", "> a1", "< b1", "> a2", "< b2"]);
    assert_eq!(bob.history("alice"), ["< a0", "> b0", "< a1", "> b1", "< a2", "> b2"]);
    let said = alice.account().history(&who("bob"), 2).unwrap();
    let deliveries: Vec<_> = said.iter().map(|said| said.delivery).collect();
    assert_eq!(deliveries, [Delivery::Arrived, Delivery::Done]);
}

#[tokio::test]
async fn what_is_shown_is_shown_once_and_what_is_not_taken_again() {
    let (alice, bob) = World::new().pair().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receive().await.unwrap();
    let refused = bob.account().show(9, &mut |_| Err(crate::Error::new(ErrorKind::Closed, "nobody reads")));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(bob.shown(), ["alice: new", "alice: hello"]);
    assert_eq!(bob.shown(), [""; 0]);
}

#[tokio::test]
async fn an_ephemeral_message_is_shown_and_not_kept() {
    let (mut alice, mut bob) = World::new().pair().await;
    for user in [&mut alice, &mut bob] {
        user.settings.is_ephemeral = true;
        user.restart();
    }
    alice.send("bob", "off the record").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: off the record"]);
    assert_eq!((alice.history("bob"), bob.history("alice")), (vec![], vec![]));
}

#[tokio::test]
async fn a_text_waits_in_the_outbox_while_the_server_is_away() {
    let (mut alice, bob) = World::new().pair().await;
    alice.send("bob", "one").await.unwrap();
    alice.link.fail(0, hub::Fate::LostBefore);
    assert_eq!(alice.send("bob", "two").await.unwrap_err().kind(), ErrorKind::NoAnswer);
    alice.restart();
    alice.link.heal();
    assert_eq!(alice.account().queued().unwrap(), 1);
    assert_eq!(alice.account().flush(&alice.link).await.unwrap().sent, 1);
    assert_eq!(bob.receives().await, ["alice: new", "alice: one", "alice: two"]);
}

#[tokio::test]
async fn without_a_session_a_text_that_cannot_begin_one_is_refused_with_a_hint() {
    let (alice, _bob) = World::new().pair().await;
    alice.account().meet(&alice.link, &who("bob")).await.unwrap();
    let error = alice.account().queue_text(&who("bob"), "hi").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert!(error.hint_text().is_some());
}

#[tokio::test]
async fn a_text_of_any_size_up_to_the_largest_arrives_and_a_larger_one_is_refused() {
    let (alice, bob) = World::new().pair().await;
    for size in [0, 1, 225, 226, 1000, BODY_MAX] {
        alice.send("bob", &"x".repeat(size)).await.unwrap();
        let shown = bob.receives().await;
        assert_eq!(shown.last().unwrap(), &format!("alice: {}", "x".repeat(size)));
    }
    let error = alice.send("bob", &"x".repeat(BODY_MAX + 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.hint_text().unwrap().contains("send-file"));
}

#[tokio::test]
async fn sessions_that_both_begin_at_once_carry_everything_both_ways() {
    let (alice, bob) = World::new().pair().await;
    alice.send("bob", "a1").await.unwrap();
    bob.send("alice", "b1").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: b1"]);
    assert_eq!(bob.receives().await, ["alice: a1"]);
    for round in 2..6 {
        alice.send("bob", &format!("a{round}")).await.unwrap();
        bob.send("alice", &format!("b{round}")).await.unwrap();
        assert_eq!(alice.receives().await, [format!("bob: b{round}")]);
        assert_eq!(bob.receives().await, [format!("alice: a{round}")]);
    }
}

#[tokio::test]
async fn there_is_nobody_of_a_name_that_the_server_does_not_know() {
    let world = World::new();
    let alice = world.user("alice").await;
    let error = alice.send("nobody", "hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert!(error.to_string().contains("nobody"));
    let error = alice.send("alice", "hi").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Usage, "that is you"));
}

#[tokio::test]
async fn a_session_that_was_lost_is_asked_for_and_begun_anew() {
    let (alice, mut bob) = World::new().pair().await;
    alice.send("bob", "one").await.unwrap();
    bob.receives().await;
    bob.send("alice", "two").await.unwrap();
    alice.receives().await;
    // Bob goes on from an older copy, which has no sessions that serve.
    bob.account().store.write(super::super::export::forget_sessions).unwrap();
    bob.restart();
    bob.account().queue_offer(&who("alice")).unwrap();
    bob.account().flush(&bob.link).await.unwrap();
    // Alice's program answers; her session stays until Bob has written in the new one.
    assert_eq!(alice.receives().await, [""; 0]);
    assert_eq!(bob.receives().await, ["alice: answered"]);
    bob.send("alice", "three").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: three"]);
    alice.send("bob", "four").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: four"]);
}

#[tokio::test]
async fn a_stranger_who_asks_for_a_session_is_answered_when_approved() {
    let (alice, bob) = World::new().pair().await;
    alice.account().meet(&alice.link, &who("bob")).await.unwrap();
    alice.account().queue_offer(&who("bob")).unwrap();
    alice.account().flush(&alice.link).await.unwrap();
    assert_eq!(bob.receives().await, ["?: offer"]);
    assert_eq!(alice.receives().await, [""; 0]);
    bob.account().approve(&bob.link, &who(&alice.id().to_string())).await.unwrap();
    bob.account().follow_up(&bob.link).await.unwrap();
    assert_eq!(alice.receives().await, ["bob: answered"]);
    alice.send("bob", "thanks").await.unwrap();
    assert!(bob.receives().await.last().unwrap().ends_with(": thanks"));
}

#[tokio::test]
async fn who_asked_for_a_session_and_is_gone_holds_up_nobody_elses_mail() {
    let world = World::new();
    let (alice, mut bob) = world.pair().await;
    let carol = world.user("carol").await;
    alice.send("bob", "hi").await.unwrap();
    alice.send("carol", "hi").await.unwrap();
    carol.receives().await;
    bob.receives().await;
    bob.account().queue_offer(&who("alice")).unwrap();
    bob.account().flush(&bob.link).await.unwrap();
    bob.account.take().unwrap().erase(&bob.link).await.unwrap();
    alice.account().queue_text(&who("carol"), "still here").unwrap();
    alice.receives().await;
    assert_eq!(carol.receives().await, ["alice: still here"]);
}
