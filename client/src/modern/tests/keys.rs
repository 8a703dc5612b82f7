//! Our own keys: when they come and go, and whether the server gives others the same.

use messageu_wire::envelope::bundle::Bundle;

use super::super::state::records::{BundleKeys, OneTimeKey, Own};
use super::*;
use crate::error::ErrorKind;
use crate::modern::state::StateFiles;

fn bundles(user: &User) -> usize {
    user.account().store.read(|tx| tx.count::<BundleKeys>()).unwrap()
}

fn one_time_keys(user: &User) -> usize {
    user.account().store.read(|tx| tx.count::<OneTimeKey>()).unwrap()
}

fn published(world: &World, user: &User) -> (Bundle, usize) {
    let accounts = world.hub.accounts.borrow();
    let held = accounts.get(&user.id()).unwrap();
    (held.bundle.clone(), held.one_time.len())
}

#[tokio::test]
async fn an_account_that_has_registered_has_published_a_hundred_one_time_keys() {
    let world = World::new();
    let alice = world.user("alice").await;
    assert_eq!(published(&world, &alice).1, 100);
    assert_eq!(one_time_keys(&alice), 100);
}

#[tokio::test]
async fn a_bundle_is_replaced_after_a_week_and_its_private_halves_erased_thirty_days_later() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    let first = published(&world, &bob).0;
    world.pass(7 * DAY - 1);
    bob.receive().await.unwrap();
    assert_eq!(published(&world, &bob).0, first);
    // Sealed to the first bundle, received when there is another.
    alice.send("bob", "before").await.unwrap();
    world.pass(1);
    bob.account().refresh_keys(&bob.link).await.unwrap();
    let second = published(&world, &bob).0;
    assert!(second.content.epoch > first.content.epoch);
    assert_ne!(
        (second.content.prekey_id, second.content.prekey, second.content.wrap_id, second.content.wrap_key.0),
        (first.content.prekey_id, first.content.prekey, first.content.wrap_id, first.content.wrap_key.0)
    );
    assert_eq!(bundles(&bob), 2);
    assert_eq!(bob.receives().await, ["alice: new", "alice: before"]);
    world.pass(30 * DAY);
    bob.account().refresh_keys(&bob.link).await.unwrap();
    let prekey = first.content.prekey_id.0.to_le_bytes();
    assert!(bob.account().store.read(|tx| tx.find::<BundleKeys>(&prekey)).unwrap().is_none());
}

#[tokio::test]
async fn a_one_time_key_is_erased_with_the_init_that_used_it_and_replenished() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    bob.receives().await;
    assert_eq!(one_time_keys(&bob), 99);
    // Others take keys, and never write.
    world.hub.accounts.borrow_mut().get_mut(&bob.id()).unwrap().one_time.truncate(10);
    world.pass(DAY);
    bob.receive().await.unwrap();
    assert_eq!(published(&world, &bob).1, 100);
}

#[tokio::test]
async fn keys_whose_publication_was_not_answered_are_published_again() {
    let world = World::new();
    let mut bob = world.user("bob").await;
    for fate in [hub::Fate::LostBefore, hub::Fate::LostAfter] {
        world.hub.accounts.borrow_mut().get_mut(&bob.id()).unwrap().one_time.clear();
        world.pass(DAY);
        for after in 0..2 {
            bob.link.fail(after, fate);
            assert_eq!(bob.account().refresh_keys(&bob.link).await.unwrap_err().kind(), ErrorKind::NoAnswer);
            bob.restart();
            bob.link.heal();
        }
        bob.account().refresh_keys(&bob.link).await.unwrap();
        assert!(published(&world, &bob).1 >= 100, "{fate:?}");
    }
}

#[tokio::test]
async fn keys_that_the_server_gives_others_in_place_of_ours_are_noticed() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    let nobody = Link::new(&world.hub, ClientId::NOBODY);
    assert!(!alice.account().is_check_due().unwrap());
    world.pass(DAY);
    assert!(alice.account().is_check_due().unwrap());
    alice.account().check_own_keys(&nobody).await.unwrap();
    assert!(!alice.account().is_check_due().unwrap());
    assert_eq!(alice.shown(), [""; 0]);

    let bobs = published(&world, &bob).0;
    let give = |bundle| world.hub.accounts.borrow_mut().get_mut(&alice.id()).unwrap().bundle = bundle;
    let alices = published(&world, &alice).0;
    give(bobs);
    alice.account().check_own_keys(&nobody).await.unwrap();
    assert_eq!(alice.shown(), ["?: other keys"]);

    give(alices.clone());
    world.pass(7 * DAY);
    alice.account().refresh_keys(&alice.link).await.unwrap();
    assert_ne!(published(&world, &alice).0, alices);
    // The one before is still on its way out; an hour later, who gives it away keeps the new one back.
    give(alices);
    alice.account().check_own_keys(&nobody).await.unwrap();
    assert_eq!(alice.shown(), [""; 0]);
    world.pass(60 * 60);
    alice.account().check_own_keys(&nobody).await.unwrap();
    assert_eq!(alice.shown(), ["?: other keys"]);

    world.hub.accounts.borrow_mut().remove(&alice.id());
    alice.account().check_own_keys(&nobody).await.unwrap();
    assert_eq!(alice.shown(), ["?: other keys"]);
}

#[tokio::test]
async fn a_registration_that_came_to_no_end_goes_on_with_the_same_identity() {
    let dir = tempfile::tempdir().unwrap();
    let profile = Profile::at(dir.path());
    let settings = Settings::new(dir.path());
    let prepare = |name: &str, keys: &'static str| {
        let who = Registrant { name: Name::new(name).unwrap(), phone: None };
        Account::prepare(&profile, None, who, settings.clone(), || Ok(made_keys(keys)))
    };
    let first = prepare("taken", "alice").await.unwrap().registration().unwrap();
    let account = prepare("free", "bob").await.unwrap();
    let second = account.registration().unwrap();
    assert_eq!(first.bundle, second.bundle);
    assert_eq!(second.name.as_str(), "free");
    account.registered().unwrap();
    let error = prepare("another", "carol").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Profile);
    assert!(error.to_string().contains("free"), "{error}");
}

#[tokio::test]
async fn an_exported_account_goes_on_elsewhere_without_using_anything_twice() {
    let world = World::new();
    let (alice, mut bob) = world.pair().await;
    alice.send("bob", "one").await.unwrap();
    bob.receives().await;
    let passphrase = Passphrase::new("for the copy".to_owned());
    let copy = bob.dir.path().join("copy");
    bob.account().export(&copy, &passphrase).unwrap();
    assert_eq!(bob.account().export(&copy, &passphrase).unwrap_err().kind(), ErrorKind::File);
    // What happens behind the copy's back.
    bob.send("alice", "two").await.unwrap();
    alice.receives().await;
    world.pass(8 * DAY);
    bob.account().refresh_keys(&bob.link).await.unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let profile = Profile::at(elsewhere.path());
    let wrong = Passphrase::new("another".to_owned());
    assert_eq!(Account::import(&profile, &copy, &wrong).unwrap_err().kind(), ErrorKind::File);
    Account::import(&profile, &copy, &passphrase).unwrap();
    assert_eq!(Account::import(&profile, &copy, &passphrase).unwrap_err().kind(), ErrorKind::Profile);
    assert!(Account::open(&profile, None, bob.settings.clone()).is_err());
    bob.account = Some(Account::open(&profile, Some(&passphrase), bob.settings.clone()).unwrap());
    assert_eq!(bob.history("alice"), ["< one"]);
    bob.account().refresh_keys(&bob.link).await.unwrap();
    bob.send("alice", "three").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: three"]);
    alice.send("bob", "four").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: four"]);
}

#[tokio::test]
async fn a_copy_that_is_damaged_or_cut_is_refused_and_leaves_nothing() {
    let world = World::new();
    let bob = world.user("bob").await;
    let passphrase = Passphrase::new("for the copy".to_owned());
    let copy = bob.dir.path().join("copy");
    bob.account().export(&copy, &passphrase).unwrap();
    let whole = std::fs::read(&copy).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let longer = [whole.as_slice(), &[0]].concat();
    for damaged in
        [flipped(whole.len() - 1), flipped(600), whole[..whole.len() - 1].to_vec(), longer, vec![0; 3]]
    {
        std::fs::write(&copy, damaged).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let profile = Profile::at(elsewhere.path());
        assert_eq!(Account::import(&profile, &copy, &passphrase).unwrap_err().kind(), ErrorKind::File);
        assert!(!Account::is_in(&profile));
    }
}

#[tokio::test]
async fn an_erased_account_leaves_neither_keys_here_nor_anything_there() {
    let world = World::new();
    let mut bob = world.user("bob").await;
    let id = bob.id();
    bob.account.take().unwrap().erase(&bob.link).await.unwrap();
    assert!(!world.hub.accounts.borrow().contains_key(&id));
    let profile = Profile::at(bob.dir.path());
    assert!(!Account::is_in(&profile) && !StateFiles::of(&profile).dir().exists());
}

#[tokio::test]
async fn numbers_of_keys_are_not_used_twice() {
    let world = World::new();
    let bob = world.user("bob").await;
    let next = |user: &User| user.account().store.read(|tx| tx.find::<Own>(b"")).unwrap().unwrap().next;
    let before = next(&bob);
    world.pass(7 * DAY);
    bob.account().refresh_keys(&bob.link).await.unwrap();
    let after = next(&bob);
    assert!(after.epoch > before.epoch && after.prekey > before.prekey && after.wrap > before.wrap);
}
