//! Exactly once: whatever the network, the server and the power do.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::hub::Fate;
use super::*;
use crate::error::ErrorKind;

/// One by one, each call of a conversation is the last that its process makes.
#[tokio::test]
async fn a_crash_at_any_call_loses_nothing_and_repeats_nothing() {
    for fate in [Fate::LostBefore, Fate::LostAfter] {
        let mut at = 0;
        while converse_cut_off_at(at, fate).await {
            at += 1;
        }
        assert!(at > 10, "{at}");
    }
}

/// Says whether there was such a call.
async fn converse_cut_off_at(at: usize, fate: Fate) -> bool {
    let (mut alice, mut bob) = World::new().pair().await;
    let (mut calls, mut was_cut_off) = (0, false);
    for (by_alice, other, text) in [(true, "bob", "one"), (false, "alice", "two"), (true, "bob", "three")] {
        let user = if by_alice { &mut alice } else { &mut bob };
        let before = user.link.calls.get();
        if !was_cut_off && at >= calls {
            user.link.fail(at - calls, fate);
        }
        while !says(user, other, text).await {
            was_cut_off = true;
            user.restart();
            user.link.heal();
        }
        user.link.heal();
        calls += user.link.calls.get() - before;
    }
    bob.receive().await.unwrap();
    assert_eq!(alice.history("bob"), ["> one", "< two", "> three"], "{fate:?} {at}");
    assert_eq!(bob.history("alice"), ["< one", "> two", "< three"], "{fate:?} {at}");
    assert_eq!(bob.shown(), ["alice: new", "alice: one", "alice: three"], "{fate:?} {at}");
    was_cut_off
}

/// Receives, and says something unless that has been said; whether all of it was done.
async fn says(user: &User, to: &str, text: &str) -> bool {
    if user.receive().await.is_err() {
        return false;
    }
    let said = user.account().history(&who(to), 99).unwrap_or_default();
    if said.iter().any(|said| said.is_ours && told(&said.event) == text) {
        return user.account().flush(&user.link).await.is_ok();
    }
    user.send(to, text).await.is_ok()
}

/// What happens in a conversation.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send {
        by_alice: bool,
    },
    Receive {
        by_alice: bool,
    },
    /// One of the next calls fails, and with it the process.
    Fail {
        by_alice: bool,
        after: usize,
        after_effect: bool,
    },
    /// The server delivers everything in another order, or twice, or what was delivered long ago.
    Reverse {
        to_alice: bool,
    },
    Duplicate {
        to_alice: bool,
    },
    Replay {
        to_alice: bool,
    },
    Days(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<bool>().prop_map(|by_alice| Step::Send { by_alice }),
        6 => any::<bool>().prop_map(|by_alice| Step::Receive { by_alice }),
        3 => (any::<bool>(), 0..6_usize, any::<bool>())
            .prop_map(|(by_alice, after, after_effect)| Step::Fail { by_alice, after, after_effect }),
        2 => any::<bool>().prop_map(|to_alice| Step::Reverse { to_alice }),
        2 => any::<bool>().prop_map(|to_alice| Step::Duplicate { to_alice }),
        2 => any::<bool>().prop_map(|to_alice| Step::Replay { to_alice }),
        1 => (0..3_u64).prop_map(Step::Days),
    ]
}

#[test]
fn every_text_arrives_exactly_once_whatever_is_lost_repeated_reordered_or_killed() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16);
    let mut runner =
        TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runner
        .run(&proptest::collection::vec(step(), 1..40), |steps| runtime.block_on(converse(&steps)))
        .unwrap();
}

async fn converse(steps: &[Step]) -> std::result::Result<(), TestCaseError> {
    let world = World::new();
    let (mut alice, mut bob) = world.pair().await;
    let mut sent = [Vec::new(), Vec::new()];
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Send { by_alice } => {
                let (user, to) = if by_alice { (&mut alice, "bob") } else { (&mut bob, "alice") };
                let text = format!("{number}");
                let begun = user.account().begin_session(&user.link, &who(to)).await;
                // From here on the text is in the outbox, whatever becomes of it.
                if begun.is_ok() && user.account().queue_text(&who(to), &text).is_ok() {
                    sent[usize::from(by_alice)].push(text);
                }
                if begun.is_err() || user.account().flush(&user.link).await.is_err() {
                    user.restart();
                    user.link.heal();
                }
            }
            Step::Receive { by_alice } => {
                let user = if by_alice { &mut alice } else { &mut bob };
                if user.receive().await.is_err() {
                    user.restart();
                    user.link.heal();
                }
            }
            Step::Fail { by_alice, after, after_effect } => {
                let user = if by_alice { &alice } else { &bob };
                user.link.fail(after, if after_effect { Fate::LostAfter } else { Fate::LostBefore });
            }
            Step::Reverse { to_alice } => world.hub.with_queue(id(&alice, &bob, to_alice), |queue| {
                let mut envelopes: Vec<_> = queue.iter().map(|(_, envelope)| envelope.clone()).collect();
                envelopes.reverse();
                queue.iter_mut().zip(envelopes).for_each(|((_, to), envelope)| *to = envelope);
            }),
            Step::Duplicate { to_alice } => {
                let to = id(&alice, &bob, to_alice);
                for (_, envelope) in world.hub.with_queue(to, |queue| queue.clone()) {
                    world.hub.put(to, envelope);
                }
            }
            Step::Replay { to_alice } => {
                let to = id(&alice, &bob, to_alice);
                let all: Vec<_> =
                    world.hub.log.borrow().iter().filter(|(of, _)| *of == to).cloned().collect();
                all.into_iter().for_each(|(to, envelope)| world.hub.put(to, envelope));
            }
            Step::Days(days) => world.pass(days * DAY),
        }
    }
    for user in [&mut alice, &mut bob] {
        user.link.heal();
        user.restart();
        user.account().flush(&user.link).await.unwrap();
    }
    for _ in 0..2 {
        alice.receive().await.unwrap();
        bob.receive().await.unwrap();
    }
    for (user, other, mut wanted) in [(&alice, "bob", sent[0].clone()), (&bob, "alice", sent[1].clone())] {
        let mut came: Vec<_> = match user.account().history(&who(other), usize::MAX) {
            Ok(said) => said.iter().filter(|said| !said.is_ours).map(|said| told(&said.event)).collect(),
            Err(_) => Vec::new(),
        };
        let shown = user.shown();
        let mut texts: Vec<_> = shown
            .iter()
            .filter_map(|shown| shown.rsplit(": ").next())
            .filter(|text| text.parse::<usize>().is_ok())
            .map(str::to_owned)
            .collect();
        came.sort();
        texts.sort();
        wanted.sort();
        prop_assert_eq!(&came, &wanted);
        prop_assert_eq!(&texts, &wanted);
        prop_assert!(!shown.iter().any(|shown| shown.ends_with("unreadable")), "{:?}", shown);
        prop_assert_eq!(user.account().queued().unwrap(), 0);
    }
    Ok(())
}

fn id(alice: &User, bob: &User, alices: bool) -> ClientId {
    if alices { alice.id() } else { bob.id() }
}

#[tokio::test]
async fn what_does_not_open_holds_up_nothing_and_is_given_up_after_five_tries() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    let mut damaged = world.hub.log.borrow().last().unwrap().1.clone();
    *damaged.last_mut().unwrap() ^= 1;
    world.hub.put(bob.id(), damaged);
    world.hub.put(bob.id(), b"MU3\x01 nonsense of a server".to_vec());
    alice.send("bob", "two").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: one", "alice: two"]);
    for _ in 1..4 {
        assert_eq!(bob.receives().await, [""; 0]);
        assert_eq!(world.hub.with_queue(bob.id(), |queue| queue.len()), 2);
    }
    assert_eq!(bob.receives().await, ["?: unreadable", "?: unreadable"]);
    assert_eq!(world.hub.with_queue(bob.id(), |queue| queue.len()), 0);
    assert_eq!(bob.receives().await, [""; 0]);
}

#[tokio::test]
async fn a_message_that_the_server_holds_back_is_missed_and_shown_when_it_comes() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    bob.receives().await;
    alice.send("bob", "two").await.unwrap();
    let held_back = world.hub.with_queue(bob.id(), std::mem::take);
    alice.send("bob", "three").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: 1 missing", "alice: three"]);
    for (_, envelope) in held_back {
        world.hub.put(bob.id(), envelope);
    }
    assert_eq!(bob.receives().await, ["alice: two"]);
}

#[tokio::test]
async fn a_server_whose_numbers_do_not_rise_is_told_off() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    world.hub.with_queue(bob.id(), |queue| queue.iter_mut().for_each(|(number, _)| *number = 7));
    let error = bob.account().receive(&bob.link, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[tokio::test]
async fn an_init_without_a_one_time_key_opens_once() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    world.hub.accounts.borrow_mut().get_mut(&bob.id()).unwrap().one_time.clear();
    alice.send("bob", "one").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: one"]);
    let init = world.hub.log.borrow().iter().find(|(to, _)| *to == bob.id()).unwrap().1.clone();
    let sessions =
        |user: &User| user.account().store.read(|tx| tx.count::<state::records::SessionState>()).unwrap();
    let before = sessions(&bob);
    // Also when the envelope itself is not remembered any more.
    bob.account()
        .store
        .write(|tx| {
            for seen in tx.all::<state::records::Seen>()? {
                tx.erase::<state::records::Seen>(&seen.hash.0.0)?;
            }
            Ok(())
        })
        .unwrap();
    world.hub.put(bob.id(), init);
    assert_eq!(bob.receives().await, [""; 0]);
    assert_eq!(sessions(&bob), before);
}

#[tokio::test]
async fn what_nobody_takes_any_more_is_given_up_visibly_and_holds_up_nobody_else() {
    let world = World::new();
    let (alice, _bob) = world.pair().await;
    let carol = world.user("carol").await;
    alice.send("bob", "one").await.unwrap();
    // Bob's account goes, without anybody else having the name.
    world.hub.accounts.borrow_mut().remove(&alice.contact("bob").id);
    world.hub.names.borrow_mut().remove("bob");
    let flushed = alice.send("bob", "two").await.unwrap();
    assert_eq!((flushed.sent, flushed.failed.len()), (0, 1));
    let last = alice.account().history(&who("bob"), 1).unwrap().remove(0);
    assert_eq!(last.delivery, Delivery::Failed);
    assert_eq!(alice.send("carol", "three").await.unwrap().failed, []);
    assert_eq!(carol.receives().await, ["alice: new", "alice: three"]);
}
