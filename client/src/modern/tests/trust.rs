//! Whom to believe: pins, verification, identities that change with and without a signature.

use messageu_envelope::safety_number::QrCode;

use super::*;
use crate::error::ErrorKind;

#[tokio::test]
async fn both_see_the_same_safety_number_and_verify_each_other_by_code() {
    let (alice, bob) = World::new().pair().await;
    alice.send("bob", "hi").await.unwrap();
    bob.receives().await;
    let number = alice.account().safety_number(&alice.contact("bob"));
    assert_eq!(number, bob.account().safety_number(&bob.contact("alice")));
    assert_eq!(number.as_str().len(), 60);
    let code: QrCode = bob.account().code().to_string().parse().unwrap();
    let verified = alice.account().verify(&who("bob"), Some(&code)).unwrap();
    assert_eq!(verified.status, Status::Verified);
    assert_eq!(bob.account().verify(&who("alice"), None).unwrap().status, Status::Verified);
}

#[tokio::test]
async fn a_code_of_somebody_else_verifies_nobody() {
    let (alice, bob) = World::new().pair().await;
    alice.send("bob", "hi").await.unwrap();
    let error = alice.account().verify(&who("bob"), Some(&alice.account().code())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert_eq!(alice.contact("bob").status, Status::Unverified);
    assert_eq!(bob.account().verify(&who("alice"), None).unwrap_err().kind(), ErrorKind::Peer);
}

#[tokio::test]
async fn whoever_is_met_by_a_code_is_verified_from_the_beginning() {
    let (alice, bob) = World::new().pair().await;
    let code = bob.account().code().to_string();
    alice.send(&code, "hi").await.unwrap();
    assert_eq!(alice.account().contact(&who(&code)).unwrap().status, Status::Verified);
    assert_eq!(bob.receives().await, ["alice: new", "alice: hi"]);
}

#[tokio::test]
async fn keys_that_the_server_swaps_under_a_known_id_are_refused() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    let carol = world.user("carol").await;
    let bundle = world.hub.accounts.borrow().get(&carol.id()).unwrap().bundle.clone();
    world.hub.accounts.borrow_mut().get_mut(&bob.id()).unwrap().bundle = bundle;
    let error = alice.send("bob", "hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.hint_text().unwrap().contains("do not trust this server"), "{error:?}");
}

#[tokio::test]
async fn an_older_bundle_than_one_that_was_seen_is_refused() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    let old = world.hub.accounts.borrow().get(&bob.id()).unwrap().bundle.clone();
    world.pass(7 * DAY);
    bob.account().refresh_keys(&bob.link).await.unwrap();
    alice.send("bob", "hi").await.unwrap();
    world.hub.accounts.borrow_mut().get_mut(&bob.id()).unwrap().bundle = old;
    alice.account().store.write(export::forget_sessions).unwrap();
    assert_eq!(alice.send("bob", "again").await.unwrap_err().kind(), ErrorKind::Data);
}

#[tokio::test]
async fn nothing_goes_to_who_is_blocked_and_what_they_send_is_dropped_unseen() {
    let (alice, bob) = World::new().pair().await;
    alice.send("bob", "hi").await.unwrap();
    bob.receives().await;
    assert_eq!(bob.account().block(&who("alice")).unwrap().status, Status::Blocked);
    alice.send("bob", "unwanted").await.unwrap();
    assert_eq!(bob.receives().await, [""; 0]);
    let error = bob.send("alice", "no").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert!(error.hint_text().unwrap().contains("messageu approve alice"), "{error:?}");
    bob.account().approve(&bob.link, &who("alice")).await.unwrap();
    alice.send("bob", "welcome").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: welcome"]);
    assert_eq!(bob.history("alice"), ["< hi", "< welcome"]);
}

#[tokio::test]
async fn a_name_that_has_another_identity_blocks_until_the_user_decides() {
    let world = World::new();
    let (alice, mut bob) = world.pair().await;
    alice.send("bob", "to the first").await.unwrap();
    alice.account().verify(&who("bob"), None).unwrap();
    bob.account.take().unwrap().erase(&bob.link).await.unwrap();
    let second = world.user_with("bob", "carol").await;
    let flushed = alice.send("bob", "to whom?").await.unwrap();
    assert_eq!((flushed.sent, flushed.failed.len()), (0, 0));
    assert_eq!(alice.contact("bob").status, Status::Changed { to: second.id() });
    assert_eq!(alice.shown(), ["bob: changed"]);
    let error = alice.send("bob", "hello?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert!(error.hint_text().unwrap().contains("messageu approve bob"), "{error:?}");
    assert_eq!(second.receives().await, [""; 0]);
    let approved = alice.account().approve(&alice.link, &who("bob")).await.unwrap();
    assert_eq!((approved.id, approved.status), (second.id(), Status::Unverified));
    alice.account().flush(&alice.link).await.unwrap();
    assert_eq!(second.receives().await, ["alice: new", "alice: to whom?"]);
    assert_eq!(alice.history("bob"), ["> to the first", "> to whom?"]);
}

#[tokio::test]
async fn somebody_who_writes_under_the_name_of_a_contact_is_not_taken_for_them() {
    let world = World::new();
    let (alice, mut bob) = world.pair().await;
    alice.send("bob", "hi").await.unwrap();
    bob.account.take().unwrap().erase(&bob.link).await.unwrap();
    let second = world.user_with("bob", "carol").await;
    second.send("alice", "it is me").await.unwrap();
    let id = second.id();
    assert_eq!(
        alice.receives().await,
        [format!("{id}: new"), format!("{id}: it is me"), "bob: changed".to_owned()]
    );
    assert_eq!(alice.contact("bob").status, Status::Changed { to: id });
}

#[tokio::test]
async fn who_says_a_name_that_is_not_theirs_is_called_by_the_id() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    world.hub.names.borrow_mut().insert("alice".to_owned(), bob.id());
    alice.send("bob", "hi").await.unwrap();
    let id = alice.id();
    assert_eq!(bob.receives().await, [format!("{id}: new"), format!("{id}: hi")]);
}

async fn rotated(mut user: User) -> User {
    let before = user.account.take().unwrap();
    let after = before.rotate_identity(&user.link, || Ok(made_keys("carol"))).await.unwrap();
    user.link.me.set(after.id());
    user.account = Some(after);
    user.account().follow_up(&user.link).await.unwrap();
    user
}

#[tokio::test]
async fn an_identity_that_the_old_one_has_signed_is_accepted_and_verified_anew() {
    let (alice, bob) = World::new().pair().await;
    alice.send("bob", "one").await.unwrap();
    alice.account().verify(&who("bob"), None).unwrap();
    bob.receives().await;
    bob.send("alice", "two").await.unwrap();
    alice.receives().await;
    let old = bob.id();
    let bob = rotated(bob).await;
    assert_ne!(bob.id(), old);
    assert_eq!(alice.receives().await, ["bob: rotated"]);
    assert_eq!((alice.contact("bob").id, alice.contact("bob").status), (bob.id(), Status::Unverified));
    alice.send("bob", "three").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: three"]);
    bob.send("alice", "four").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: four"]);
    assert_eq!(alice.history("bob"), ["> one", "< two", "> three", "< four"]);
    assert_eq!(bob.history("alice"), ["< one", "> two", "< three", "> four"]);
}

#[tokio::test]
async fn who_missed_the_notice_learns_of_the_new_identity_when_sending() {
    let (alice, bob) = World::new().pair().await;
    alice.send("bob", "one").await.unwrap();
    let bob = rotated(bob).await;
    let flushed = alice.send("bob", "two").await.unwrap();
    assert_eq!((flushed.failed, flushed.waiting), (vec![], vec![]));
    assert_eq!(alice.shown(), ["bob: rotated"]);
    assert_eq!(bob.receives().await, ["alice: new", "alice: one", "alice: two"]);
}

#[tokio::test]
async fn a_new_identity_without_good_keys_holds_up_nobody_elses_mail() {
    let world = World::new();
    let (alice, mut bob) = world.pair().await;
    let carol = world.user("carol").await;
    alice.send("bob", "one").await.unwrap();
    let before = bob.account.take().unwrap();
    let after = before.rotate_identity(&bob.link, NewKeys::generate).await.unwrap();
    bob.link.me.set(after.id());
    bob.account = Some(after);
    world.hub.accounts.borrow_mut().get_mut(&bob.id()).unwrap().bundle.content.epoch.0 += 1;

    let flushed = alice.send("bob", "two").await.unwrap();
    let waiting: Vec<_> = flushed.waiting.iter().map(|(to, why)| (to.id, why)).collect();
    let [(to, outbox::Why::Keys(why))] = waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((to, why.kind()), (bob.id(), ErrorKind::Data));
    let flushed = alice.send("carol", "hello").await.unwrap();
    assert!(flushed.failed.is_empty(), "{flushed:?}");
    assert_eq!(carol.receives().await, ["alice: new", "alice: hello"]);

    world.hub.accounts.borrow_mut().get_mut(&bob.id()).unwrap().bundle.content.epoch.0 -= 1;
    alice.receive().await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: one", "alice: two"]);
}

#[tokio::test]
async fn a_succession_that_the_old_identity_has_not_signed_is_a_change() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    // The server makes somebody else the successor, with what that one has signed for itself.
    let (old, bob) = (bob.id(), rotated(bob).await);
    world.hub.forge_succession(old);
    let flushed = alice.send("bob", "two").await.unwrap();
    assert_eq!(flushed.sent, 0);
    assert_eq!(alice.contact("bob").status, Status::Changed { to: bob.id() });
}

#[tokio::test]
async fn a_rotation_that_is_cut_off_at_any_call_is_finished_and_loses_no_mail() {
    for fate in [hub::Fate::LostBefore, hub::Fate::LostAfter] {
        for at in 0..10 {
            let (alice, mut bob) = World::new().pair().await;
            alice.send("bob", "one").await.unwrap();
            let old = bob.id();
            bob.link.fail(at, fate);
            let mut account = bob.account.take().unwrap();
            loop {
                match account.rotate_identity(&bob.link, || Ok(made_keys("carol"))).await {
                    Ok(after) => break bob.account = Some(after),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NoAnswer),
                }
                bob.restart();
                bob.link.heal();
                account = bob.account.take().unwrap();
                assert_eq!(account.id(), old);
            }
            bob.link.heal();
            bob.link.me.set(bob.id());
            bob.account().follow_up(&bob.link).await.unwrap();
            alice.send("bob", "two").await.unwrap();
            assert_eq!(bob.receives().await, ["alice: new", "alice: one", "alice: two"], "{fate:?} {at}");
        }
    }
}

#[tokio::test]
async fn at_most_five_sessions_are_kept_beside_the_active_one() {
    let (alice, bob) = World::new().pair().await;
    for round in 0..8 {
        alice.account().store.write(export::forget_sessions).unwrap();
        alice.send("bob", &format!("{round}")).await.unwrap();
        assert_eq!(bob.receives().await.last().unwrap(), &format!("alice: {round}"));
    }
    for user in [&alice, &bob] {
        let sessions = user.account().store.read(|tx| tx.count::<state::records::SessionState>()).unwrap();
        assert_eq!(sessions, 6);
    }
}
