//! What every store does for version 3, one behaviour a test; and behind that, what the SQLite store promises beyond it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "what a test cannot go on without"
)]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::modern::{
    CHUNK_COST, CLAIM_LIFE, CLAIM_WAIT, CONTENT_MAX, CodeRules, CodeTag, Completed, Kept, MailLifetime,
    MailLimits, ModernError, ModernStore, NewAccount, NewChunk, NewEnvelope, OLD_ACCOUNT, ONE_TIME_KEYS,
    PREDECESSORS, PendingEnvelope, PendingRegistration, PhoneTag, REMEMBERED, RegistrationId, Succession,
};
use messageu_server::store::sqlite::{Options, SqliteStore, backup};
use messageu_server::store::{
    Amount, Client, Content, NewMessage, QueueLimits, QueuePolicy, Sequence, Store,
};
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    DhPublicKey, EnvelopeId, Epoch, FileId, Fingerprint, OneTimeId, PrekeyId, RsaPublicKey, Signature,
    UnixSeconds, WrapId,
};
use messageu_wire::envelope::{EnvelopeKind, Suite};
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use tempfile::TempDir;

/// Runs a test for each store.
macro_rules! each_store {
    ($behaviour:ident) => {
        mod $behaviour {
            #[tokio::test]
            async fn memory() {
                super::$behaviour(&super::MemoryStore::new()).await;
            }

            #[tokio::test]
            async fn sqlite() {
                let directory = tempfile::tempdir().unwrap();
                let store = super::SqliteStore::open(&super::database(&directory)).unwrap();
                super::$behaviour(&store).await;
                super::sound(&store, &directory).await;
            }

            // Writes the queue down message by message, while others come.
            #[tokio::test]
            async fn sqlite_with_a_short_tail() {
                let directory = tempfile::tempdir().unwrap();
                let options = super::Options { written_down_from: Some(0), ..Default::default() };
                let store = super::SqliteStore::open_with(&super::database(&directory), options).unwrap();
                super::$behaviour(&store).await;
                super::sound(&store, &directory).await;
            }
        }
    };
}

/// A store that is both: the classic one and that of version 3.
trait Both: Store + ModernStore {}

impl<S: Store + ModernStore> Both for S {}

// Accounts.

each_store!(a_registered_account_is_found_by_its_id_and_name);
async fn a_registered_account_is_found_by_its_id_and_name(store: &impl Both) {
    let anna = register(store, 1, "Anna").await;
    let account = store.account(anna, time(0)).await.unwrap().unwrap();
    assert_eq!((account.fingerprint, account.identity), (fingerprint(1), identity(1)));
    assert_eq!(account.moved, None);
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(anna));
}

each_store!(an_unknown_account_is_not_found);
async fn an_unknown_account_is_not_found(store: &impl Both) {
    register(store, 1, "Anna").await;
    assert_eq!(store.account(id(2), time(0)).await.unwrap(), None);
    assert_eq!(store.account_named(&name("anna")).await.unwrap(), None);
}

each_store!(a_name_is_taken_once);
async fn a_name_is_taken_once(store: &impl Both) {
    register(store, 1, "Anna").await;
    let taken = store.register_account(account(2, "Anna"), time(0)).await;
    assert!(matches!(taken, Err(ModernError::NameTaken)), "{taken:?}");
    assert_eq!(store.account(id(2), time(0)).await.unwrap(), None);
}

each_store!(a_phone_number_is_taken_once);
async fn a_phone_number_is_taken_once(store: &impl Both) {
    store.register_account(with_phone(account(1, "Anna"), 7), time(0)).await.unwrap();
    let taken = store.register_account(with_phone(account(2, "Bela"), 7), time(0)).await;
    assert!(matches!(taken, Err(ModernError::PhoneTaken)), "{taken:?}");
    store.register_account(with_phone(account(2, "Bela"), 8), time(0)).await.unwrap();
}

each_store!(registering_again_changes_nothing_but_an_older_bundle);
async fn registering_again_changes_nothing_but_an_older_bundle(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let newer = NewAccount { bundle: bundle(1, 5), ..account(1, "Anna") };
    store.register_account(newer, time(1)).await.unwrap();
    store.register_account(account(1, "Anna"), time(2)).await.unwrap();
    assert_eq!(store.fetch_keys(anna, bela, time(3)).await.unwrap().bundle, bundle(1, 5));
    let other_name = store.register_account(account(1, "Annabel"), time(3)).await;
    assert!(matches!(other_name, Err(ModernError::NameTaken)), "{other_name:?}");
}

each_store!(nothing_of_version_3_shows_in_the_classic_store_or_the_other_way_round);
async fn nothing_of_version_3_shows_in_the_classic_store_or_the_other_way_round(store: &impl Both) {
    let anna = register(store, 1, "Anna").await;
    send(store, anna, anna, 1, b"mail").await;
    // The same name, once here and once there.
    let classic = Client {
        id: ClientId([0x44; 16]),
        name: name("Anna"),
        public_key: PublicKey([1; 160]),
        profile: String::new(),
    };
    store.register(classic.clone(), time(0)).await.unwrap();
    assert_eq!(store.client(anna).await.unwrap(), None);
    assert_eq!(store.client_by_prefix(*anna.0.first_chunk().unwrap()).await.unwrap(), None);
    assert_eq!(store.roster(ClientId::NOBODY).await.unwrap().count, 1);
    assert!(store.delete_client(anna).await.is_err());
    assert_eq!(store.pending(anna, Sequence(0), 10, 1_000).await.unwrap(), []);
    assert_eq!(Store::acknowledge(store, anna, &[Sequence(1)]).await.unwrap(), 0);
    assert!(store.read_content(Sequence(1), 0).await.is_err());
    assert_eq!(store.account(classic.id, time(0)).await.unwrap(), None);
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(anna));
    assert_eq!(contents(store, anna).await, [Bytes::from_static(b"mail")]);
}

// Succession.

each_store!(an_account_that_gives_way_leaves_its_name_and_number_to_the_new_one);
async fn an_account_that_gives_way_leaves_its_name_and_number_to_the_new_one(store: &impl Both) {
    store.register_account(with_phone(account(1, "Anna"), 7), time(0)).await.unwrap();
    store.rotate_identity(id(1), succession(1, 2), time(0)).await.unwrap();
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(id(2)));
    let phone = store.register_account(with_phone(account(3, "Carla"), 7), time(0)).await;
    assert!(matches!(phone, Err(ModernError::PhoneTaken)), "{phone:?}");
    assert_eq!(store.succession(id(1)).await.unwrap(), Some(succession(1, 2)));
    assert_eq!(store.succession(id(2)).await.unwrap(), None);
}

each_store!(an_account_that_gave_way_fetches_its_mail_and_does_nothing_else_until_its_time_is_over);
async fn an_account_that_gave_way_fetches_its_mail_and_does_nothing_else_until_its_time_is_over(
    store: &impl Both,
) {
    let (anna, bela) = anna_and_bela(store).await;
    let before = send(store, bela, anna, 1, b"before").await;
    // Known to all who keep what they have looked up.
    store.account(anna, time(0)).await.unwrap();
    store.rotate_identity(anna, succession(1, 3), time(60)).await.unwrap();
    let moved = |outcome: Result<(), ModernError>, who: ClientId| {
        assert!(matches!(outcome, Err(ModernError::Moved(id)) if id == who), "{outcome:?}");
    };
    let limits = MailLimits::default();
    moved(store.enqueue_envelope(envelope(bela, anna, 2, b"x"), limits, time(60)).await.map(drop), anna);
    moved(store.enqueue_envelope(envelope(anna, bela, 3, b"x"), limits, time(60)).await.map(drop), anna);
    moved(store.put_chunk(chunk(bela, anna, 1, 0, b"x"), limits, time(60)).await.map(drop), anna);
    moved(store.fetch_keys(anna, bela, time(60)).await.map(drop), anna);
    moved(store.fetch_keys(bela, anna, time(60)).await.map(drop), anna);
    moved(store.publish_keys(anna, bundle(1, 9), Vec::new()).await.map(drop), anna);
    moved(store.register_account(account(1, "Anna again"), time(60)).await, anna);
    moved(store.rotate_identity(anna, succession(1, 4), time(60)).await, anna);
    // A retry of what was stored is known.
    let retry = store.enqueue_envelope(envelope(bela, anna, 1, b"before"), limits, time(60)).await.unwrap();
    assert_eq!(retry, Kept::Before);
    let until = time(60) + OLD_ACCOUNT;
    let account = store.account(anna, until - Duration::from_secs(1)).await.unwrap().unwrap();
    assert_eq!(account.moved.map(|moved| (moved.to, moved.until)), Some((id(3), until)));
    assert_eq!(contents(store, anna).await, [Bytes::from_static(b"before")]);
    assert_eq!(store.acknowledge_envelopes(anna, &[before]).await.unwrap(), 1);
    assert_eq!(store.account(anna, until).await.unwrap(), None);
    drop_expired(store, MailLifetime::default(), until).await;
    assert_eq!(store.account(anna, time(60)).await.unwrap(), None);
    // That it gave way is known for longer.
    assert_eq!(store.succession(anna).await.unwrap(), Some(succession(1, 3)));
    moved(store.register_account(self::account(1, "Anna again"), until).await, anna);
}

each_store!(giving_way_again_in_the_same_way_changes_nothing);
async fn giving_way_again_in_the_same_way_changes_nothing(store: &impl Both) {
    register(store, 1, "Anna").await;
    store.rotate_identity(id(1), succession(1, 2), time(0)).await.unwrap();
    store.publish_keys(id(2), bundle(2, 8), Vec::new()).await.unwrap();
    store.rotate_identity(id(1), succession(1, 2), time(60)).await.unwrap();
    assert_eq!(store.fetch_keys(id(2), id(2), time(60)).await.unwrap().bundle, bundle(2, 8));
}

each_store!(nobody_gives_way_to_an_account_that_is_there);
async fn nobody_gives_way_to_an_account_that_is_there(store: &impl Both) {
    let (anna, _) = anna_and_bela(store).await;
    for new in [1, 2] {
        let conflict = store.rotate_identity(anna, succession(1, new), time(0)).await;
        assert!(matches!(conflict, Err(ModernError::Conflict(_))), "{conflict:?}");
    }
    let unknown = store.rotate_identity(id(9), succession(9, 3), time(0)).await;
    assert!(matches!(unknown, Err(ModernError::UnknownClient(_))), "{unknown:?}");
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(anna));
}

each_store!(of_those_who_gave_way_the_last_few_are_remembered);
async fn of_those_who_gave_way_the_last_few_are_remembered(store: &impl Both) {
    register(store, 1, "Anna").await;
    let last = u8::try_from(PREDECESSORS).unwrap() + 2;
    for old in 1..last {
        store.rotate_identity(id(old), succession(old, old + 1), time(0)).await.unwrap();
    }
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(id(last)));
    assert_eq!(store.succession(id(1)).await.unwrap(), None);
    assert_eq!(store.account(id(1), time(0)).await.unwrap(), None);
    for old in 2..last {
        assert_eq!(store.succession(id(old)).await.unwrap(), Some(succession(old, old + 1)));
    }
}

// Erasure.

each_store!(an_erased_account_is_gone_with_all_that_is_its_own);
async fn an_erased_account_is_gone_with_all_that_is_its_own(store: &impl Both) {
    store.register_account(with_phone(account(1, "Anna"), 7), time(0)).await.unwrap();
    let (anna, bela) = (id(1), register(store, 2, "Bela").await);
    store.publish_keys(anna, bundle(1, 1), one_time(1..=3)).await.unwrap();
    send(store, bela, anna, 1, b"small").await;
    send(store, bela, anna, 2, &[7; 100_000]).await;
    send(store, anna, bela, 3, b"from Anna").await;
    put(store, chunk(bela, anna, 1, 0, b"chunk")).await.unwrap();
    store.account(anna, time(0)).await.unwrap();
    store.erase_account(anna).await.unwrap();
    assert_eq!(store.account(anna, time(0)).await.unwrap(), None);
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), None);
    assert_eq!(contents(store, anna).await, <[Bytes; 0]>::default());
    assert_eq!(store.fetch_chunk(anna, FileId([1; 16]), 0).await.unwrap(), None);
    let unknown = store.erase_account(anna).await;
    assert!(matches!(unknown, Err(ModernError::UnknownClient(_))), "{unknown:?}");
    let unknown = store.fetch_keys(anna, bela, time(0)).await;
    assert!(matches!(unknown, Err(ModernError::UnknownClient(_))), "{unknown:?}");
    // What it sent stays; its name and number are free.
    assert_eq!(contents(store, bela).await, [Bytes::from_static(b"from Anna")]);
    store.register_account(with_phone(account(3, "Anna"), 7), time(0)).await.unwrap();
    // The same identity begins anew.
    store.register_account(account(1, "Anna the first"), time(0)).await.unwrap();
    assert_eq!(contents(store, anna).await, <[Bytes; 0]>::default());
    assert_eq!(store.fetch_keys(anna, bela, time(0)).await.unwrap().one_time, None);
    assert_eq!(send_kept(store, bela, anna, 1, b"small").await, Kept::Now);
}

each_store!(an_erased_account_takes_those_that_gave_way_to_it_along);
async fn an_erased_account_takes_those_that_gave_way_to_it_along(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    send(store, bela, anna, 1, b"old mail").await;
    store.rotate_identity(anna, succession(1, 3), time(0)).await.unwrap();
    store.rotate_identity(id(3), succession(3, 4), time(0)).await.unwrap();
    store.erase_account(id(4)).await.unwrap();
    for gone in [1, 3, 4] {
        assert_eq!(store.account(id(gone), time(0)).await.unwrap(), None);
        assert_eq!(store.succession(id(gone)).await.unwrap(), None);
    }
    assert_eq!(contents(store, anna).await, <[Bytes; 0]>::default());
    register(store, 1, "Anna").await;
}

each_store!(an_account_that_gave_way_erases_itself_alone);
async fn an_account_that_gave_way_erases_itself_alone(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    send(store, bela, anna, 1, b"old mail").await;
    store.rotate_identity(anna, succession(1, 3), time(0)).await.unwrap();
    send(store, bela, id(3), 2, b"new mail").await;
    store.erase_account(anna).await.unwrap();
    assert_eq!(store.account(anna, time(0)).await.unwrap(), None);
    assert_eq!(contents(store, anna).await, <[Bytes; 0]>::default());
    assert_eq!(store.succession(anna).await.unwrap(), Some(succession(1, 3)));
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(id(3)));
    assert_eq!(contents(store, id(3)).await, [Bytes::from_static(b"new mail")]);
}

// Keys.

each_store!(a_bundle_gives_way_to_one_of_a_higher_epoch_alone);
async fn a_bundle_gives_way_to_one_of_a_higher_epoch_alone(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    store.publish_keys(anna, bundle(1, 5), Vec::new()).await.unwrap();
    let same_epoch = Bundle { signature: Signature([0xee; 384]), ..bundle(1, 5) };
    for stale in [bundle(1, 4), same_epoch] {
        let stale = store.publish_keys(anna, stale, one_time(1..=2)).await;
        assert!(matches!(stale, Err(ModernError::StaleKeys)), "{stale:?}");
    }
    assert_eq!(store.publish_keys(anna, bundle(1, 5), Vec::new()).await.unwrap(), 0);
    let highest = bundle(1, u64::MAX);
    store.publish_keys(anna, highest.clone(), Vec::new()).await.unwrap();
    assert_eq!(store.fetch_keys(anna, bela, time(0)).await.unwrap().bundle, highest);
    let stale = store.publish_keys(anna, bundle(1, 6), Vec::new()).await;
    assert!(matches!(stale, Err(ModernError::StaleKeys)), "{stale:?}");
}

each_store!(an_account_has_no_bundle_of_another_identity);
async fn an_account_has_no_bundle_of_another_identity(store: &impl Both) {
    let (anna, _) = anna_and_bela(store).await;
    let misuse = store.publish_keys(anna, bundle(2, 9), Vec::new()).await;
    assert!(matches!(misuse, Err(ModernError::Misuse(_))), "{misuse:?}");
}

each_store!(a_one_time_key_is_given_away_once);
async fn a_one_time_key_is_given_away_once(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    assert_eq!(store.publish_keys(anna, bundle(1, 1), one_time(1..=2)).await.unwrap(), 2);
    assert_eq!(fetch_one_time(store, anna, bela).await, Some(one_time_key(1)));
    // Published again, as when the answer was lost: the one that was given away does not come back.
    assert_eq!(store.publish_keys(anna, bundle(1, 1), one_time(1..=3)).await.unwrap(), 2);
    assert_eq!(fetch_one_time(store, anna, bela).await, Some(one_time_key(2)));
    assert_eq!(fetch_one_time(store, anna, bela).await, Some(one_time_key(3)));
    assert_eq!(fetch_one_time(store, anna, bela).await, None);
    assert_eq!(store.publish_keys(anna, bundle(1, 1), one_time(1..=3)).await.unwrap(), 0);
}

each_store!(an_asker_is_given_few_one_time_keys_of_one_account_a_day);
async fn an_asker_is_given_few_one_time_keys_of_one_account_a_day(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let carla = register(store, 3, "Carla").await;
    store.publish_keys(anna, bundle(1, 1), one_time(1..=20)).await.unwrap();
    store.publish_keys(carla, bundle(3, 1), one_time(1..=20)).await.unwrap();
    for _ in 0..5 {
        assert!(fetch_one_time(store, anna, bela).await.is_some());
    }
    let sixth = store.fetch_keys(anna, bela, time(0)).await.unwrap();
    assert_eq!((sixth.bundle, sixth.one_time), (bundle(1, 1), None));
    // Others are given some, and this one of others.
    assert!(fetch_one_time(store, anna, carla).await.is_some());
    assert!(fetch_one_time(store, carla, bela).await.is_some());
    let day = Duration::from_secs(24 * 60 * 60);
    let almost = store.fetch_keys(anna, bela, time(0) + day - Duration::from_secs(60)).await.unwrap();
    assert_eq!(almost.one_time, None);
    assert!(store.fetch_keys(anna, bela, time(0) + day).await.unwrap().one_time.is_some());
}

each_store!(whoever_asks_for_their_own_keys_uses_none_up);
async fn whoever_asks_for_their_own_keys_uses_none_up(store: &impl Both) {
    let (anna, _) = anna_and_bela(store).await;
    store.publish_keys(anna, bundle(1, 1), one_time(1..=1)).await.unwrap();
    assert_eq!(fetch_one_time(store, anna, anna).await, None);
    assert_eq!(store.publish_keys(anna, bundle(1, 1), Vec::new()).await.unwrap(), 1);
}

each_store!(of_too_many_one_time_keys_the_newest_are_kept);
async fn of_too_many_one_time_keys_the_newest_are_kept(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let most = u16::try_from(ONE_TIME_KEYS).unwrap();
    assert_eq!(store.publish_keys(anna, bundle(1, 1), one_time(1..=60)).await.unwrap(), 60);
    assert_eq!(store.publish_keys(anna, bundle(1, 1), one_time(61..=110)).await.unwrap(), most);
    assert_eq!(fetch_one_time(store, anna, bela).await, Some(one_time_key(11)));
}

each_store!(a_one_time_key_keeps_its_id);
async fn a_one_time_key_keeps_its_id(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    store.publish_keys(anna, bundle(1, 1), one_time(1..=2)).await.unwrap();
    let other = vec![(OneTimeId(2), DhPublicKey([0xee; 32])), one_time_key(3)];
    let conflict = store.publish_keys(anna, bundle(1, 2), other.clone()).await;
    assert!(matches!(conflict, Err(ModernError::Conflict(_))), "{conflict:?}");
    let twice = vec![one_time_key(4), (OneTimeId(4), DhPublicKey([0xee; 32]))];
    let conflict = store.publish_keys(anna, bundle(1, 2), twice).await;
    assert!(matches!(conflict, Err(ModernError::Conflict(_))), "{conflict:?}");
    for no_id in [OneTimeId::NONE, OneTimeId(0x8000_0001)] {
        let misuse = store.publish_keys(anna, bundle(1, 2), vec![(no_id, DhPublicKey([1; 32]))]).await;
        assert!(matches!(misuse, Err(ModernError::Misuse(_))), "{misuse:?}");
    }
    // None of it has changed anything.
    let kept = store.fetch_keys(anna, bela, time(0)).await.unwrap();
    assert_eq!((kept.bundle, kept.one_time), (bundle(1, 1), Some(one_time_key(1))));
    assert_eq!(store.publish_keys(anna, bundle(1, 2), Vec::new()).await.unwrap(), 1);
}

// Mail.

each_store!(mail_waits_in_the_order_in_which_it_came);
async fn mail_waits_in_the_order_in_which_it_came(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    // In the message's row, and in one of its own.
    let sizes = [1, 4_608, 4_609, 0, CONTENT_MAX];
    for (number, size) in (0..).zip(sizes) {
        let seconds = 90 + 60 * u64::from(number);
        let kept = store
            .enqueue_envelope(
                envelope(bela, anna, number, &vec![number; size]),
                MailLimits::default(),
                time(seconds),
            )
            .await;
        assert_eq!(kept.unwrap(), Kept::Now);
        send(store, anna, bela, number, b"to somebody else").await;
    }
    let waiting = pending(store, anna, Sequence(0)).await;
    let found: Vec<_> = waiting.iter().map(|one| one.envelope.len()).collect();
    assert_eq!(found, sizes);
    assert!(waiting.iter().zip(0_u8..).all(|(one, number)| one.envelope.iter().all(|byte| *byte == number)));
    assert!(waiting.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    // Whole minutes, rounded down.
    let minutes: Vec<_> = waiting.iter().map(|one| one.minute).collect();
    let first = u32::try_from(START / 60 + 1).unwrap();
    assert_eq!(minutes, (first..first + 5).collect::<Vec<_>>());
    assert_eq!(pending(store, anna, waiting[2].sequence).await, waiting[3..]);
    // A pull has deleted nothing.
    assert_eq!(pending(store, anna, Sequence(0)).await, waiting);
}

each_store!(a_pull_has_what_there_is_room_for_but_one_at_least);
async fn a_pull_has_what_there_is_room_for_but_one_at_least(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    for number in 0..5 {
        send(store, bela, anna, number, &[number; 100]).await;
    }
    let pull = async |max_bytes, limit| {
        store.pending_envelopes(anna, Sequence(0), max_bytes, limit).await.unwrap().len()
    };
    assert_eq!(pull(0, 10).await, 1);
    assert_eq!(pull(199, 10).await, 1);
    assert_eq!(pull(200, 10).await, 2);
    assert_eq!(pull(1_000, 3).await, 3);
    assert_eq!(pull(1_000, 0).await, 0);
    assert_eq!(pull(usize::MAX, usize::MAX).await, 5);
}

each_store!(what_arrived_is_deleted_and_nothing_else);
async fn what_arrived_is_deleted_and_nothing_else(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let first = send(store, bela, anna, 1, b"first").await;
    let second = send(store, bela, anna, 2, b"second").await;
    let others = send(store, anna, bela, 3, b"for Bela").await;
    let unknown = Sequence(others.0 + 1_000);
    let acknowledged =
        store.acknowledge_envelopes(anna, &[first, first, others, unknown, Sequence(-1)]).await;
    assert_eq!(acknowledged.unwrap(), 1);
    assert_eq!(store.acknowledge_envelopes(anna, &[first]).await.unwrap(), 0);
    assert_eq!(pending(store, anna, Sequence(0)).await[0].sequence, second);
    assert_eq!(contents(store, bela).await, [Bytes::from_static(b"for Bela")]);
}

each_store!(a_sequence_never_comes_back);
async fn a_sequence_never_comes_back(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let mut last = Sequence(0);
    for number in 0..5 {
        let sequence = send(store, bela, anna, number, b"mail").await;
        assert!(sequence > last);
        store.acknowledge_envelopes(anna, &[sequence]).await.unwrap();
        last = sequence;
    }
}

each_store!(a_retry_stores_nothing_even_when_the_message_has_been_taken);
async fn a_retry_stores_nothing_even_when_the_message_has_been_taken(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let sequence = send(store, bela, anna, 1, b"mail").await;
    assert_eq!(send_kept(store, bela, anna, 1, b"mail").await, Kept::Before);
    assert_eq!(contents(store, anna).await.len(), 1);
    store.acknowledge_envelopes(anna, &[sequence]).await.unwrap();
    assert_eq!(send_kept(store, bela, anna, 1, b"mail").await, Kept::Before);
    assert_eq!(contents(store, anna).await.len(), 0);
    // The number is one of this sender to this recipient.
    assert_eq!(send_kept(store, anna, anna, 1, b"mail").await, Kept::Now);
    assert_eq!(send_kept(store, bela, bela, 1, b"mail").await, Kept::Now);
}

each_store!(that_a_message_was_sent_is_remembered_for_a_day_after_it_is_gone);
async fn that_a_message_was_sent_is_remembered_for_a_day_after_it_is_gone(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let (lifetime, week) = (MailLifetime::default(), Duration::from_secs(7 * 24 * 60 * 60));
    let sequence = send(store, bela, anna, 1, b"mail").await;
    drop_expired(store, lifetime, time(0) + week).await;
    store.acknowledge_envelopes(anna, &[sequence]).await.unwrap();
    let gone = time(0) + week + Duration::from_secs(1);
    drop_expired(store, lifetime, gone).await;
    drop_expired(store, lifetime, gone + REMEMBERED).await;
    assert_eq!(send_kept(store, bela, anna, 1, b"mail").await, Kept::Before);
    drop_expired(store, lifetime, gone + REMEMBERED + Duration::from_secs(1)).await;
    assert_eq!(send_kept(store, bela, anna, 1, b"mail").await, Kept::Now);
}

each_store!(mail_needs_a_sender_and_a_recipient);
async fn mail_needs_a_sender_and_a_recipient(store: &impl Both) {
    let (anna, _) = anna_and_bela(store).await;
    for (from, to) in [(anna, id(9)), (id(9), anna)] {
        let unknown =
            store.enqueue_envelope(envelope(from, to, 1, b"x"), MailLimits::default(), time(0)).await;
        assert!(matches!(unknown, Err(ModernError::UnknownClient(who)) if who == id(9)), "{unknown:?}");
    }
    let large = envelope(anna, anna, 1, &vec![0; CONTENT_MAX + 1]);
    let misuse = store.enqueue_envelope(large, MailLimits::default(), time(0)).await;
    assert!(matches!(misuse, Err(ModernError::Misuse(_))), "{misuse:?}");
}

each_store!(a_recipients_queue_has_its_limits);
async fn a_recipients_queue_has_its_limits(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let limits = MailLimits { per_recipient: 3, bytes_per_recipient: 250, ..MailLimits::default() };
    let first = store.enqueue_envelope(envelope(bela, anna, 1, &[1; 100]), limits, time(0)).await;
    assert_eq!(first.unwrap(), Kept::Now);
    let sequence = pending(store, anna, Sequence(0)).await[0].sequence;
    store.enqueue_envelope(envelope(anna, anna, 2, &[1; 100]), limits, time(0)).await.unwrap();
    let bytes = store.enqueue_envelope(envelope(bela, anna, 3, &[1; 51]), limits, time(0)).await;
    assert!(matches!(bytes, Err(ModernError::QueueFull(_))), "{bytes:?}");
    store.enqueue_envelope(envelope(bela, anna, 3, &[1; 50]), limits, time(0)).await.unwrap();
    let messages = store.enqueue_envelope(envelope(bela, anna, 4, b""), limits, time(0)).await;
    assert!(matches!(messages, Err(ModernError::QueueFull(_))), "{messages:?}");
    // A retry needs no room, and another recipient has some.
    assert_eq!(
        store.enqueue_envelope(envelope(bela, anna, 3, &[1; 50]), limits, time(0)).await.unwrap(),
        Kept::Before
    );
    store.enqueue_envelope(envelope(anna, bela, 5, b""), limits, time(0)).await.unwrap();
    store.acknowledge_envelopes(anna, &[sequence]).await.unwrap();
    store.enqueue_envelope(envelope(bela, anna, 4, b""), limits, time(0)).await.unwrap();
}

each_store!(one_sender_keeps_no_other_out);
async fn one_sender_keeps_no_other_out(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let carla = register(store, 3, "Carla").await;
    let limits = MailLimits { per_pair: 2, bytes_per_pair: 100, ..MailLimits::default() };
    store.enqueue_envelope(envelope(bela, anna, 1, &[1; 60]), limits, time(0)).await.unwrap();
    let bytes = store.enqueue_envelope(envelope(bela, anna, 2, &[1; 41]), limits, time(0)).await;
    assert!(matches!(bytes, Err(ModernError::QueueFull(_))), "{bytes:?}");
    store.enqueue_envelope(envelope(bela, anna, 2, &[1; 40]), limits, time(0)).await.unwrap();
    let messages = store.enqueue_envelope(envelope(bela, anna, 3, b""), limits, time(0)).await;
    assert!(matches!(messages, Err(ModernError::QueueFull(_))), "{messages:?}");
    store.enqueue_envelope(envelope(carla, anna, 3, &[1; 100]), limits, time(0)).await.unwrap();
    store.enqueue_envelope(envelope(bela, carla, 3, &[1; 100]), limits, time(0)).await.unwrap();
}

each_store!(the_oldest_of_the_same_sender_makes_room_where_that_is_the_policy);
async fn the_oldest_of_the_same_sender_makes_room_where_that_is_the_policy(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let limits = MailLimits { per_pair: 2, policy: QueuePolicy::DropOldest, ..MailLimits::default() };
    send(store, anna, anna, 9, b"of another").await;
    for number in 1..=4 {
        store.enqueue_envelope(envelope(bela, anna, number, &[number]), limits, time(0)).await.unwrap();
    }
    let kept = contents(store, anna).await;
    assert_eq!(kept, [&b"of another"[..], &[3], &[4]]);
    // What made room is not stored again by a late retry.
    let retry = store.enqueue_envelope(envelope(bela, anna, 1, &[1]), limits, time(0)).await.unwrap();
    assert_eq!(retry, Kept::Before);
}

each_store!(a_sender_may_send_so_much_in_an_hour);
async fn a_sender_may_send_so_much_in_an_hour(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let limits = MailLimits { bytes_per_hour: 100, ..MailLimits::default() };
    store.enqueue_envelope(envelope(bela, anna, 1, &[1; 60]), limits, time(0)).await.unwrap();
    // A retry counts for nothing.
    store.enqueue_envelope(envelope(bela, anna, 1, &[1; 60]), limits, time(0)).await.unwrap();
    let later = time(10 * 60);
    let soon = store.enqueue_envelope(envelope(bela, bela, 2, &[1; 41]), limits, later).await;
    let Err(ModernError::TooSoon { retry_after }) = soon else { panic!("{soon:?}") };
    assert_eq!(retry_after, Duration::from_secs(50 * 60));
    store.enqueue_envelope(envelope(bela, bela, 2, &[1; 40]), limits, later).await.unwrap();
    store.enqueue_envelope(envelope(anna, bela, 3, &[1; 100]), limits, later).await.unwrap();
    store.enqueue_envelope(envelope(bela, bela, 4, &[1; 41]), limits, later + retry_after).await.unwrap();
}

each_store!(mail_that_nobody_takes_goes_after_its_time);
async fn mail_that_nobody_takes_goes_after_its_time(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let hour = Duration::from_secs(60 * 60);
    let lifetime = MailLifetime { envelopes: 3 * hour, files: 5 * hour };
    for number in 0..3 {
        send(store, bela, anna, number, &vec![number; 2_500 * usize::from(number)]).await;
        put(store, chunk(bela, anna, number, 0, b"x")).await.unwrap();
        drop_expired(store, lifetime, time(0) + hour * u32::from(number)).await;
    }
    drop_expired(store, lifetime, time(0) + 3 * hour).await;
    assert_eq!(contents(store, anna).await.len(), 3);
    drop_expired(store, lifetime, time(0) + 4 * hour + Duration::from_secs(1)).await;
    assert_eq!(contents(store, anna).await, [vec![2; 5_000]]);
    assert!(fetch(store, anna, 0, 0).await.is_some());
    drop_expired(store, lifetime, time(0) + 6 * hour + Duration::from_secs(1)).await;
    assert_eq!(contents(store, anna).await.len(), 0);
    assert_eq!(fetch(store, anna, 0, 0).await, None);
    assert_eq!(fetch(store, anna, 1, 0).await, None);
    assert!(fetch(store, anna, 2, 0).await.is_some());
    // A retry of what has expired is known.
    assert_eq!(send_kept(store, bela, anna, 2, &[2; 5_000]).await, Kept::Before);
    let metrics = store.metrics();
    assert_eq!(metrics.envelopes.expired.read(), Amount { messages: 3, bytes: 7_500 });
    assert_eq!(metrics.chunks.expired.read().messages, 2);
}

each_store!(a_clock_that_is_set_back_makes_nothing_older);
async fn a_clock_that_is_set_back_makes_nothing_older(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let hour = Duration::from_secs(60 * 60);
    let lifetime = MailLifetime { envelopes: 3 * hour, files: 3 * hour };
    drop_expired(store, lifetime, time(0) + 100 * hour).await;
    send(store, bela, anna, 1, b"mail").await;
    drop_expired(store, lifetime, time(0)).await;
    drop_expired(store, lifetime, time(0) + 4 * hour).await;
    assert_eq!(contents(store, anna).await.len(), 1);
}

each_store!(a_clock_that_was_once_far_ahead_ends_nothing_that_began_after_it);
async fn a_clock_that_was_once_far_ahead_ends_nothing_that_began_after_it(store: &impl Both) {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    drop_expired(store, MailLifetime::default(), time(0) + 10 * year).await;

    let (anna, bela) = anna_and_bela(store).await;
    send(store, bela, anna, 1, b"mail").await;
    store.rotate_identity(anna, succession(1, 3), time(0)).await.unwrap();
    store.register_account(with_phone(account(4, "Dora"), 7), time(0)).await.unwrap();
    begin(store, 5, 7, 1, 0).await.unwrap();
    complete(store, 1, 0).await.unwrap();
    begin(store, 5, 7, 2, 60).await.unwrap();
    drop_expired(store, MailLifetime::default(), time(90)).await;

    assert_eq!(
        store.account(anna, time(90)).await.unwrap().unwrap().moved.map(|moved| moved.to),
        Some(id(3))
    );
    assert_eq!(contents(store, anna).await, [Bytes::from_static(b"mail")]);
    assert_eq!(store.claim_on(id(4)).await.unwrap(), Some(time(0) + CLAIM_WAIT));
    assert!(attempt(store, 2, 90).await.is_some(), "the code was forgotten");
    let soon = begin(store, 5, 7, 3, 90).await;
    assert!(matches!(soon, Err(ModernError::TooSoon { .. })), "the codes are not counted any more: {soon:?}");
}

// Files.

each_store!(chunks_wait_for_their_recipient);
async fn chunks_wait_for_their_recipient(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    for index in [2, 0] {
        let bytes = [u8::try_from(index).unwrap(); 70_000];
        assert_eq!(put(store, chunk(bela, anna, 1, index, &bytes)).await.unwrap(), Kept::Now);
    }
    assert_eq!(fetch(store, anna, 1, 0).await.unwrap(), [0; 70_000][..]);
    assert_eq!(fetch(store, anna, 1, 2).await.unwrap(), [2; 70_000][..]);
    for (who, file, index) in [(anna, 1, 1), (anna, 1, 3), (anna, 2, 0), (bela, 1, 0)] {
        assert_eq!(fetch(store, who, file, index).await, None);
    }
    // A fetch deletes nothing.
    assert!(fetch(store, anna, 1, 0).await.is_some());
}

each_store!(a_chunk_is_stored_once_and_stays_what_it_is);
async fn a_chunk_is_stored_once_and_stays_what_it_is(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    put(store, chunk(bela, anna, 1, 0, b"chunk")).await.unwrap();
    assert_eq!(put(store, chunk(bela, anna, 1, 0, b"chunk")).await.unwrap(), Kept::Before);
    let other_bytes = chunk(bela, anna, 1, 0, b"chunks");
    let other_count = NewChunk { chunks: 4, ..chunk(bela, anna, 1, 1, b"chunk") };
    for conflict in [other_bytes, other_count] {
        let conflict = put(store, conflict).await;
        assert!(matches!(conflict, Err(ModernError::Conflict(_))), "{conflict:?}");
    }
    for misuse in [
        chunk(bela, anna, 1, 3, b"behind the end"),
        NewChunk { chunks: 0, ..chunk(bela, anna, 2, 0, b"") },
        NewChunk { chunks: u32::MAX, ..chunk(bela, anna, 2, 0, b"") },
        chunk(bela, anna, 2, 0, &vec![0; CONTENT_MAX + 1]),
    ] {
        let misuse = put(store, misuse).await;
        assert!(matches!(misuse, Err(ModernError::Misuse(_))), "{misuse:?}");
    }
    assert_eq!(fetch(store, anna, 1, 0).await.unwrap(), b"chunk"[..]);
    // Under the same number somebody else has another file.
    assert_eq!(put(store, chunk(anna, bela, 1, 0, b"chunks")).await.unwrap(), Kept::Now);
}

each_store!(a_dropped_file_is_gone);
async fn a_dropped_file_is_gone(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    for index in 0..3 {
        put(store, chunk(bela, anna, 1, index, b"chunk")).await.unwrap();
    }
    put(store, chunk(bela, anna, 2, 0, b"another")).await.unwrap();
    assert_eq!(store.drop_file(bela, FileId([1; 16])).await.unwrap(), 0);
    assert_eq!(store.drop_file(anna, FileId([1; 16])).await.unwrap(), 3);
    assert_eq!(store.drop_file(anna, FileId([1; 16])).await.unwrap(), 0);
    assert_eq!(fetch(store, anna, 1, 0).await, None);
    assert_eq!(fetch(store, anna, 2, 0).await.unwrap(), b"another"[..]);
    assert_eq!(put(store, chunk(bela, anna, 1, 0, b"begun again")).await.unwrap(), Kept::Now);
    assert_eq!(fetch(store, anna, 1, 1).await, None);
}

each_store!(files_have_their_limits);
async fn files_have_their_limits(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let carla = register(store, 3, "Carla").await;
    let cost = CHUNK_COST as u64;
    let limits = MailLimits {
        file_bytes_per_recipient: 3 * cost,
        file_bytes_per_pair: 2 * cost,
        file_bytes_per_hour: 5 * cost,
        ..MailLimits::default()
    };
    let put = async |chunk| store.put_chunk(chunk, limits, time(0)).await;
    // A small chunk counts as more than it is.
    put(chunk(bela, anna, 1, 0, b"x")).await.unwrap();
    put(chunk(bela, anna, 1, 1, &[7; CHUNK_COST])).await.unwrap();
    let of_pair = put(chunk(bela, anna, 2, 0, b"x")).await;
    assert!(matches!(of_pair, Err(ModernError::QueueFull(_))), "{of_pair:?}");
    put(chunk(carla, anna, 3, 0, b"x")).await.unwrap();
    let of_recipient = put(chunk(carla, anna, 3, 1, b"x")).await;
    assert!(matches!(of_recipient, Err(ModernError::QueueFull(_))), "{of_recipient:?}");
    store.drop_file(anna, FileId([1; 16])).await.unwrap();
    put(chunk(carla, anna, 3, 1, b"x")).await.unwrap();
    put(chunk(bela, anna, 4, 0, b"x")).await.unwrap();
    put(chunk(bela, carla, 5, 0, b"x")).await.unwrap();
    put(chunk(bela, carla, 5, 1, b"x")).await.unwrap();
    let in_an_hour = put(chunk(bela, bela, 6, 0, b"x")).await;
    assert!(matches!(in_an_hour, Err(ModernError::TooSoon { .. })), "{in_an_hour:?}");
}

// Registrations.

each_store!(a_registration_waits_for_its_code_and_is_used_up);
async fn a_registration_waits_for_its_code_and_is_used_up(store: &impl Both) {
    begin(store, 1, 7, 1, 0).await.unwrap();
    assert_eq!(store.account(id(1), time(0)).await.unwrap(), None);
    assert_eq!(attempt(store, 1, 1).await, Some(registration(1, 7, 1, 0)));
    assert_eq!(complete(store, 1, 2).await.unwrap(), Completed::Registered);
    assert_eq!(store.account_named(&name("Number 1")).await.unwrap(), Some(id(1)));
    assert_eq!(attempt(store, 1, 3).await, None);
    let used_up = complete(store, 1, 3).await;
    assert!(matches!(used_up, Err(ModernError::NoSuchRegistration)), "{used_up:?}");
}

each_store!(a_registration_has_so_many_attempts_and_so_much_time);
async fn a_registration_has_so_many_attempts_and_so_much_time(store: &impl Both) {
    begin(store, 1, 7, 1, 0).await.unwrap();
    for _ in 0..5 {
        assert!(attempt(store, 1, 1).await.is_some());
    }
    assert_eq!(attempt(store, 1, 1).await, None);
    let used_up = complete(store, 1, 1).await;
    assert!(matches!(used_up, Err(ModernError::NoSuchRegistration)), "{used_up:?}");
    begin(store, 2, 8, 2, 0).await.unwrap();
    assert!(attempt(store, 2, 599).await.is_some());
    let late = complete(store, 2, 600).await;
    assert!(matches!(late, Err(ModernError::NoSuchRegistration)), "{late:?}");
    assert_eq!(attempt(store, 2, 600).await, None);
}

each_store!(attempts_side_by_side_are_counted_one_by_one);
async fn attempts_side_by_side_are_counted_one_by_one(store: &impl Both) {
    begin(store, 1, 7, 1, 0).await.unwrap();
    let (a, b, c, d, e, f, g, h) = tokio::join!(
        attempt(store, 1, 1),
        attempt(store, 1, 1),
        attempt(store, 1, 1),
        attempt(store, 1, 1),
        attempt(store, 1, 1),
        attempt(store, 1, 1),
        attempt(store, 1, 1),
        attempt(store, 1, 1),
    );
    assert_eq!([a, b, c, d, e, f, g, h].iter().flatten().count(), 5);
}

each_store!(a_new_code_makes_the_one_before_void);
async fn a_new_code_makes_the_one_before_void(store: &impl Both) {
    begin(store, 1, 7, 1, 0).await.unwrap();
    begin(store, 1, 7, 2, 60).await.unwrap();
    assert_eq!(attempt(store, 1, 61).await, None);
    assert!(attempt(store, 2, 61).await.is_some());
}

each_store!(a_number_is_sent_few_codes_a_day_and_not_at_once);
async fn a_number_is_sent_few_codes_a_day_and_not_at_once(store: &impl Both) {
    let soon = async |identity, number, seconds| match begin(store, identity, 7, number, seconds).await {
        Ok(()) => None,
        Err(ModernError::TooSoon { retry_after }) => Some(retry_after.as_secs()),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(soon(1, 1, 0).await, None);
    // Whoever it is that asks for it.
    assert_eq!(soon(2, 2, 59).await, Some(1));
    assert_eq!(soon(2, 2, 60).await, None);
    assert_eq!(soon(3, 3, 120).await, None);
    let day = 24 * 60 * 60;
    assert_eq!(soon(4, 4, 1_000).await, Some(day - 1_000));
    drop_expired(store, MailLifetime::default(), time(day - 1)).await;
    assert_eq!(soon(4, 4, day - 1).await, Some(1));
    assert_eq!(soon(4, 4, day).await, None);
    assert_eq!(soon(5, 5, day + 59).await, Some(1));
    // Another number has its own.
    begin(store, 6, 8, 6, 0).await.unwrap();
}

each_store!(a_taken_name_is_refused_before_a_code_and_after_it);
async fn a_taken_name_is_refused_before_a_code_and_after_it(store: &impl Both) {
    begin(store, 1, 7, 1, 0).await.unwrap();
    register(store, 2, "Number 1").await;
    let taken = begin(store, 1, 7, 2, 60).await;
    assert!(matches!(taken, Err(ModernError::NameTaken)), "{taken:?}");
    assert_eq!(complete(store, 1, 60).await.unwrap(), Completed::NameTaken);
    let used_up = complete(store, 1, 60).await;
    assert!(matches!(used_up, Err(ModernError::NoSuchRegistration)), "{used_up:?}");
}

each_store!(a_taken_number_waits_for_its_owner);
async fn a_taken_number_waits_for_its_owner(store: &impl Both) {
    store.register_account(with_phone(account(1, "Anna"), 7), time(0)).await.unwrap();
    let until = time(0) + CLAIM_WAIT;
    begin(store, 2, 7, 1, 0).await.unwrap();
    assert_eq!(complete(store, 1, 0).await.unwrap(), Completed::PhoneWaits { until });
    assert_eq!(store.account(id(2), time(0)).await.unwrap(), None);
    assert_eq!(store.claim_on(id(1)).await.unwrap(), Some(until));
    // Proved once more, it waits no longer than before.
    begin(store, 2, 7, 2, 60).await.unwrap();
    assert_eq!(complete(store, 2, 60).await.unwrap(), Completed::PhoneWaits { until });
    let ripe = CLAIM_WAIT.as_secs();
    begin(store, 2, 7, 3, ripe).await.unwrap();
    assert_eq!(complete(store, 3, ripe).await.unwrap(), Completed::Registered);
    assert_eq!(store.claim_on(id(1)).await.unwrap(), None);
    assert_eq!(store.claim_on(id(2)).await.unwrap(), None);
    // The one before is there without a number, and may have another.
    assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(id(1)));
    let taken = store.register_account(with_phone(account(3, "Carla"), 7), time(0)).await;
    assert!(matches!(taken, Err(ModernError::PhoneTaken)), "{taken:?}");
}

each_store!(an_owner_who_objects_keeps_the_number);
async fn an_owner_who_objects_keeps_the_number(store: &impl Both) {
    store.register_account(with_phone(account(1, "Anna"), 7), time(0)).await.unwrap();
    assert!(!store.object(id(1)).await.unwrap());
    begin(store, 2, 7, 1, 0).await.unwrap();
    complete(store, 1, 0).await.unwrap();
    assert!(store.object(id(1)).await.unwrap());
    assert_eq!(store.claim_on(id(1)).await.unwrap(), None);
    let ripe = CLAIM_WAIT.as_secs();
    begin(store, 2, 7, 2, ripe).await.unwrap();
    let until = time(ripe) + CLAIM_WAIT;
    assert_eq!(complete(store, 2, ripe).await.unwrap(), Completed::PhoneWaits { until });
}

each_store!(a_claim_is_one_identitys_and_ends_with_its_time);
async fn a_claim_is_one_identitys_and_ends_with_its_time(store: &impl Both) {
    store.register_account(with_phone(account(1, "Anna"), 7), time(0)).await.unwrap();
    begin(store, 2, 7, 1, 0).await.unwrap();
    complete(store, 1, 0).await.unwrap();
    // Another identity does not inherit the wait.
    let ripe = CLAIM_WAIT.as_secs();
    begin(store, 3, 7, 2, ripe).await.unwrap();
    let until = time(ripe) + CLAIM_WAIT;
    assert_eq!(complete(store, 2, ripe).await.unwrap(), Completed::PhoneWaits { until });
    let over = ripe + CLAIM_WAIT.as_secs() + CLAIM_LIFE.as_secs();
    begin(store, 3, 7, 3, over).await.unwrap();
    let until = time(over) + CLAIM_WAIT;
    assert_eq!(complete(store, 3, over).await.unwrap(), Completed::PhoneWaits { until });
    drop_expired(store, MailLifetime::default(), until + CLAIM_LIFE).await;
    assert_eq!(store.claim_on(id(1)).await.unwrap(), None);
}

each_store!(an_account_that_proves_another_number_has_that);
async fn an_account_that_proves_another_number_has_that(store: &impl Both) {
    begin(store, 1, 7, 1, 0).await.unwrap();
    complete(store, 1, 0).await.unwrap();
    begin(store, 1, 8, 2, 0).await.unwrap();
    assert_eq!(complete(store, 2, 0).await.unwrap(), Completed::Registered);
    store.register_account(with_phone(account(2, "Bela"), 7), time(0)).await.unwrap();
}

// Measures.

each_store!(what_comes_and_goes_is_counted);
async fn what_comes_and_goes_is_counted(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    let (metrics, cost) = (store.metrics(), CHUNK_COST as u64);
    let first = send(store, bela, anna, 1, b"1").await;
    send(store, bela, anna, 2, b"22").await;
    send(store, anna, bela, 3, b"333").await;
    put(store, chunk(bela, anna, 1, 0, b"x")).await.unwrap();
    put(store, chunk(anna, bela, 1, 0, &[1; 5_000])).await.unwrap();
    store.acknowledge_envelopes(anna, &[first]).await.unwrap();
    store.drop_file(bela, FileId([1; 16])).await.unwrap();
    let amount = |messages, bytes| Amount { messages, bytes };
    assert_eq!(metrics.envelopes.accepted.read(), amount(3, 6));
    assert_eq!(metrics.envelopes.acknowledged.read(), amount(1, 1));
    assert_eq!(metrics.envelopes.waiting.read(), amount(2, 5));
    assert_eq!(metrics.chunks.accepted.read(), amount(2, cost + 5_000));
    assert_eq!(metrics.chunks.waiting.read(), amount(1, cost));
    assert_eq!(metrics.accounts.load(std::sync::atomic::Ordering::Relaxed), 2);
    store.erase_account(anna).await.unwrap();
    assert_eq!(metrics.envelopes.dropped.read(), amount(1, 2));
    assert_eq!(metrics.chunks.dropped.read(), amount(1, cost));
    assert_eq!(metrics.chunks.waiting.read(), amount(0, 0));
    assert_eq!(metrics.accounts.load(std::sync::atomic::Ordering::Relaxed), 1);
    // None of it is classic.
    assert_eq!(metrics.messages.accepted.read(), Amount::default());
}

each_store!(a_closed_store_does_nothing);
async fn a_closed_store_does_nothing(store: &impl Both) {
    let (anna, bela) = anna_and_bela(store).await;
    send(store, bela, anna, 1, b"mail").await;
    store.account(anna, time(0)).await.unwrap();
    store.close().await;
    let failed = |outcome: Result<(), ModernError>| {
        assert!(matches!(outcome, Err(ModernError::Storage(_))), "{outcome:?}");
    };
    failed(store.account(anna, time(0)).await.map(drop));
    failed(store.pending_envelopes(anna, Sequence(0), 1_000, 10).await.map(drop));
    failed(store.pending_envelopes(bela, Sequence(0), 1_000, 10).await.map(drop));
    failed(store.pending_envelopes(bela, Sequence(9), 1_000, 10).await.map(drop));
    let sent = store.enqueue_envelope(envelope(bela, anna, 2, b"x"), MailLimits::default(), time(0)).await;
    failed(sent.map(drop));
}

// What the SQLite store promises beyond that.

#[tokio::test]
async fn sqlite_has_everything_after_a_restart() {
    for options in [Options::default(), Options { written_down_from: Some(0), ..Options::default() }] {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_with(&database(&directory), options).unwrap();
        store.register_account(with_phone(account(1, "Anna"), 7), time(0)).await.unwrap();
        let (anna, bela) = (id(1), register(&store, 2, "Bela").await);
        store.publish_keys(anna, bundle(1, 3), one_time(1..=5)).await.unwrap();
        assert!(fetch_one_time(&store, anna, bela).await.is_some());
        let taken = send(&store, bela, anna, 1, b"taken").await;
        send(&store, bela, anna, 2, b"small").await;
        let last = send(&store, bela, anna, 3, &[7; 100_000]).await;
        store.acknowledge_envelopes(anna, &[taken, last]).await.unwrap();
        put(&store, chunk(bela, anna, 1, 0, b"chunk")).await.unwrap();
        store.rotate_identity(bela, succession(2, 3), time(0)).await.unwrap();
        let bela = id(3);
        begin(&store, 4, 8, 1, 0).await.unwrap();
        attempt(&store, 1, 1).await.unwrap();
        store.close().await;
        drop(store);

        let store = SqliteStore::open_with(&database(&directory), options).unwrap();
        assert_eq!(store.account_named(&name("Anna")).await.unwrap(), Some(anna));
        assert_eq!(store.succession(id(2)).await.unwrap(), Some(succession(2, 3)));
        let keys = store.fetch_keys(anna, bela, time(0)).await.unwrap();
        assert_eq!((keys.bundle, keys.one_time), (bundle(1, 3), Some(one_time_key(2))));
        assert_eq!(contents(&store, anna).await, [Bytes::from_static(b"small")]);
        assert_eq!(fetch(&store, anna, 1, 0).await.unwrap(), b"chunk"[..]);
        // Sequences go on, attempts and codes count on.
        assert!(send(&store, bela, anna, 4, b"new").await > last);
        for _ in 0..4 {
            assert!(attempt(&store, 1, 1).await.is_some());
        }
        assert_eq!(attempt(&store, 1, 1).await, None);
        let soon = begin(&store, 4, 8, 2, 30).await;
        assert!(matches!(soon, Err(ModernError::TooSoon { .. })), "{soon:?}");
        sound(&store, &directory).await;
    }
}

#[tokio::test]
async fn sqlite_knows_a_retry_after_a_restart() {
    for written_down_from in [None, Some(0), Some(1)] {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { written_down_from, ..Options::default() };
        let store = SqliteStore::open_with(&database(&directory), options).unwrap();
        let (anna, bela) = anna_and_bela(&store).await;
        let taken = send(&store, bela, anna, 1, b"taken").await;
        send(&store, bela, anna, 2, b"waiting").await;
        send(&store, bela, anna, 3, b"waiting").await;
        store.acknowledge_envelopes(anna, &[taken]).await.unwrap();
        drop(store);
        let store = SqliteStore::open_with(&database(&directory), options).unwrap();
        for number in [1, 2, 3] {
            assert_eq!(send_kept(&store, bela, anna, number, b"x").await, Kept::Before);
        }
        assert_eq!(send_kept(&store, bela, anna, 4, b"x").await, Kept::Now);
    }
}

#[tokio::test]
async fn sqlite_remembers_so_many_messages_that_are_gone_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { remembered_max: Some(3), ..Options::default() };
    let store = SqliteStore::open_with(&database(&directory), options).unwrap();
    let (anna, bela) = anna_and_bela(&store).await;
    for number in 1..=5 {
        let sequence = send(&store, bela, anna, number, b"mail").await;
        store.acknowledge_envelopes(anna, &[sequence]).await.unwrap();
    }
    // The one that goes counts while it does.
    for number in 4..=5 {
        assert_eq!(send_kept(&store, bela, anna, number, b"mail").await, Kept::Before);
    }
    assert_eq!(send_kept(&store, bela, anna, 1, b"mail").await, Kept::Now);
    store.close().await;
    let database = rusqlite::Connection::open(database(&directory)).unwrap();
    let kept: i64 = database.query_one("SELECT count(*) FROM modern_taken", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn sqlite_writes_for_a_send_of_version_3_what_it_writes_for_a_classic_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&database(&directory)).unwrap();
    let (anna, bela) = anna_and_bela(&store).await;
    let classic = [1, 2].map(|number| ClientId([number; 16]));
    for id in classic {
        let name = name(&id.to_string());
        let client = Client { id, name, public_key: PublicKey([1; 160]), profile: String::new() };
        store.register(client, time(0)).await.unwrap();
    }
    let log = || std::fs::metadata(directory.path().join("messageu.db-wal")).unwrap().len();
    let content = Bytes::from(vec![7; 300]);
    let before = log();
    for _ in 0..100 {
        let content = Content::Inline(content.clone());
        let message = NewMessage { to: classic[0], from: classic[1], kind: MessageType::TEXT, content };
        store.enqueue(message, QueueLimits::default()).await.unwrap();
    }
    let of_classic = log() - before;
    for number in 0..100 {
        assert_eq!(send_kept(&store, bela, anna, number, &content).await, Kept::Now);
    }
    let of_modern = log() - before - of_classic;
    // Rows that are a little longer fill a page a little sooner.
    assert!(of_modern <= of_classic + of_classic / 20, "{of_modern} bytes, not {of_classic}");
}

#[tokio::test]
async fn sqlite_erases_what_was_erased_from_database_and_log() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&database(&directory)).unwrap();
    let anna = register(&store, 1, "Anna Unmistakable").await;
    let bela = register(&store, 2, "Bela").await;
    let (small, large) = (marked(0x5a, 300), marked(0xa5, 100_000));
    send(&store, bela, anna, 1, &small).await;
    send(&store, bela, anna, 2, &large).await;
    put(&store, chunk(bela, anna, 1, 0, &marked(0x77, 60_000))).await.unwrap();
    let secrets: [&[u8]; 4] = [b"Anna Unmistakable", &[0x5a; 64], &[0xa5; 64], &[0x77; 64]];
    let found = || secrets.map(|secret| occurs(&directory, secret));
    assert_eq!(found(), [true; 4]);
    store.erase_account(anna).await.unwrap();
    // The sweep, and the log's new beginning, follow on their own.
    for _ in 0..600 {
        if found() == [false; 4] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still there: {:?}", found());
}

#[tokio::test]
async fn sqlite_keeps_no_sender_of_an_envelope_or_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&database(&directory)).unwrap();
    let (anna, bela) = anna_and_bela(&store).await;
    send(&store, bela, anna, 1, b"mail").await;
    put(&store, chunk(bela, anna, 1, 0, b"chunk")).await.unwrap();
    store.close().await;
    let database = rusqlite::Connection::open(database(&directory)).unwrap();
    let mut looked_at = 0;
    for table in ["modern_messages", "modern_queue", "modern_contents", "modern_files", "modern_taken"] {
        let mut select = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = select.column_count();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                if let rusqlite::types::ValueRef::Blob(bytes) = row.get_ref(column).unwrap() {
                    assert_ne!(bytes, bela.0, "{table}");
                    looked_at += 1;
                }
            }
        }
    }
    assert!(looked_at > 4);
}

#[tokio::test]
async fn sqlite_counts_no_sender_after_a_restart_by_the_same_tag() {
    let directory = tempfile::tempdir().unwrap();
    for number in 1..=2 {
        let store = SqliteStore::open(&database(&directory)).unwrap();
        let (anna, bela) = anna_and_bela(&store).await;
        send(&store, bela, anna, number, b"mail").await;
        send(&store, bela, anna, number + 10, b"mail").await;
        store.close().await;
    }
    let database = rusqlite::Connection::open(database(&directory)).unwrap();
    let tags: i64 = database
        .query_one("SELECT count(DISTINCT Sender) FROM modern_messages", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tags, 2);
}

#[tokio::test]
async fn sqlite_finds_what_is_wrong_with_version_3_in_a_backup() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&database(&directory)).unwrap();
    let (anna, bela) = anna_and_bela(&store).await;
    store.publish_keys(anna, bundle(1, 1), one_time(1..=2)).await.unwrap();
    send(&store, bela, anna, 1, b"small").await;
    send(&store, bela, anna, 2, &[7; 100_000]).await;
    put(&store, chunk(bela, anna, 1, 0, b"chunk")).await.unwrap();
    store.rotate_identity(bela, succession(2, 3), time(0)).await.unwrap();
    store.close().await;
    let sound = std::fs::read(database(&directory)).unwrap();
    let broken = directory.path().join("broken.db");
    for (damage, complaint) in [
        ("UPDATE modern_accounts SET Bundle = x'00' WHERE Name = 'Anna'", "wrong size"),
        ("UPDATE modern_accounts SET Name = NULL", "no name"),
        (
            "INSERT INTO clients SELECT 1, ID, 'x', zeroblob(160), NULL, '' FROM modern_accounts LIMIT 1",
            "classic",
        ),
        (
            "DELETE FROM modern_accounts WHERE ID = (SELECT New FROM modern_successions)",
            "without being there",
        ),
        ("DELETE FROM modern_accounts WHERE Name = 'Anna'", "one-time keys of accounts that are not there"),
        ("DELETE FROM modern_accounts WHERE Name = 'Anna'", "envelopes for accounts"),
        ("DELETE FROM modern_accounts WHERE Name = 'Anna'", "files of accounts"),
        ("UPDATE modern_accounts SET LastOneTime = 1", "have not published"),
        ("UPDATE modern_messages SET Envelope = x'00' WHERE Content IS NULL", "not all there"),
        ("DELETE FROM modern_contents", "not all there"),
        ("UPDATE modern_queue_end SET ID = 2", "nobody's queue"),
        ("INSERT INTO modern_contents (Bytes) VALUES (x'00')", "belong to nothing"),
        ("DELETE FROM modern_chunks", "not as many chunks"),
        ("INSERT INTO modern_chunks VALUES (99 << 20, x'00')", "files that are not there"),
    ] {
        std::fs::write(&broken, &sound).unwrap();
        let connection = rusqlite::Connection::open(&broken).unwrap();
        connection.execute(damage, []).unwrap();
        connection.close().unwrap();
        let said = backup::verify(&broken).unwrap_err().to_string();
        assert!(said.contains(complaint), "{damage}: {said}");
    }
}

// How the tests talk to a store.

/// A round time, in seconds since 1970.
const START: u64 = 1_800_000_000;

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START + seconds)
}

fn database(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("messageu.db")
}

/// The database behind a store is one that its backup would be found sound.
async fn sound(store: &SqliteStore, directory: &TempDir) {
    store.close().await;
    backup::verify(&database(directory)).unwrap();
}

fn fingerprint(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

fn id(number: u8) -> ClientId {
    fingerprint(number).client_id()
}

fn identity(number: u8) -> RsaPublicKey {
    RsaPublicKey([number; 422])
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn bundle(number: u8, epoch: u64) -> Bundle {
    let content = BundleContent {
        suite: Suite::ONE,
        min_dialect: MIN_DIALECT,
        epoch: Epoch(epoch),
        issued: UnixSeconds(START),
        expires: UnixSeconds(START + 1),
        prekey_id: PrekeyId(1),
        prekey: DhPublicKey([number; 32]),
        wrap_id: WrapId(1),
        wrap_key: identity(number),
        identity: identity(number),
    };
    Bundle { content, signature: Signature([number; 384]) }
}

fn account(number: u8, text: &str) -> NewAccount {
    NewAccount { fingerprint: fingerprint(number), name: name(text), phone: None, bundle: bundle(number, 1) }
}

fn with_phone(account: NewAccount, phone: u8) -> NewAccount {
    NewAccount { phone: Some(PhoneTag([phone; 32])), ..account }
}

fn succession(old: u8, new: u8) -> Succession {
    Succession {
        old_identity: identity(old),
        new_fingerprint: fingerprint(new),
        new_bundle: bundle(new, 1),
        issued: UnixSeconds(u64::MAX - u64::from(old)),
        rotation: Signature([old; 384]),
        succession: Signature([new; 384]),
    }
}

async fn register(store: &impl ModernStore, number: u8, name: &str) -> ClientId {
    store.register_account(account(number, name), time(0)).await.unwrap();
    id(number)
}

async fn anna_and_bela(store: &impl ModernStore) -> (ClientId, ClientId) {
    (register(store, 1, "Anna").await, register(store, 2, "Bela").await)
}

fn one_time_key(number: u32) -> (OneTimeId, DhPublicKey) {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    (OneTimeId(number), DhPublicKey(key))
}

fn one_time(numbers: std::ops::RangeInclusive<u32>) -> Vec<(OneTimeId, DhPublicKey)> {
    numbers.map(one_time_key).collect()
}

async fn fetch_one_time(
    store: &impl ModernStore,
    of: ClientId,
    by: ClientId,
) -> Option<(OneTimeId, DhPublicKey)> {
    store.fetch_keys(of, by, time(0)).await.unwrap().one_time
}

fn envelope(from: ClientId, to: ClientId, number: u8, bytes: &[u8]) -> NewEnvelope {
    let message_id = EnvelopeId([number; 16]);
    NewEnvelope { to, from, message_id, kind: EnvelopeKind::MSG, envelope: Bytes::copy_from_slice(bytes) }
}

async fn send_kept(store: &impl ModernStore, from: ClientId, to: ClientId, number: u8, bytes: &[u8]) -> Kept {
    let envelope = envelope(from, to, number, bytes);
    store.enqueue_envelope(envelope, MailLimits::default(), time(0)).await.unwrap()
}

/// Sends, and returns the sequence that the recipient sees.
async fn send(store: &impl ModernStore, from: ClientId, to: ClientId, number: u8, bytes: &[u8]) -> Sequence {
    assert_eq!(send_kept(store, from, to, number, bytes).await, Kept::Now);
    pending(store, to, Sequence(0)).await.last().unwrap().sequence
}

async fn pending(store: &impl ModernStore, to: ClientId, after: Sequence) -> Vec<PendingEnvelope> {
    store.pending_envelopes(to, after, usize::MAX, usize::MAX).await.unwrap()
}

async fn contents(store: &impl ModernStore, to: ClientId) -> Vec<Bytes> {
    pending(store, to, Sequence(0)).await.into_iter().map(|one| one.envelope).collect()
}

fn chunk(from: ClientId, to: ClientId, file: u8, index: u32, bytes: &[u8]) -> NewChunk {
    NewChunk { to, from, file: FileId([file; 16]), chunks: 3, index, bytes: Bytes::copy_from_slice(bytes) }
}

async fn put(store: &impl ModernStore, chunk: NewChunk) -> Result<Kept, ModernError> {
    store.put_chunk(chunk, MailLimits::default(), time(0)).await
}

async fn fetch(store: &impl ModernStore, to: ClientId, file: u8, index: u32) -> Option<Bytes> {
    store.fetch_chunk(to, FileId([file; 16]), index).await.unwrap()
}

fn registration(identity: u8, phone: u8, number: u8, seconds: u64) -> PendingRegistration {
    PendingRegistration {
        id: RegistrationId([number; 16]),
        account: with_phone(account(identity, &format!("Number {identity}")), phone),
        code: CodeTag([number; 32]),
        expires: time(seconds + 600),
    }
}

async fn begin(
    store: &impl ModernStore,
    identity: u8,
    phone: u8,
    number: u8,
    seconds: u64,
) -> Result<(), ModernError> {
    let registration = registration(identity, phone, number, seconds);
    store.begin_registration(registration, CodeRules::default(), time(seconds)).await
}

async fn attempt(store: &impl ModernStore, number: u8, seconds: u64) -> Option<PendingRegistration> {
    store.count_attempt(RegistrationId([number; 16]), 5, time(seconds)).await.unwrap()
}

async fn complete(store: &impl ModernStore, number: u8, seconds: u64) -> Result<Completed, ModernError> {
    store.complete_registration(RegistrationId([number; 16]), time(seconds)).await
}

/// Drops all that has had its time.
async fn drop_expired(store: &impl ModernStore, lifetime: MailLifetime, now: SystemTime) {
    while store.drop_expired(lifetime, now).await.unwrap() {}
}

fn marked(byte: u8, size: usize) -> Vec<u8> {
    vec![byte; size]
}

/// Whether bytes are in any file of a directory.
fn occurs(directory: &TempDir, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(directory.path()).unwrap();
    files.map(|file| file.unwrap().path()).any(|path: std::path::PathBuf| contains(&path, bytes))
}

fn contains(path: &Path, bytes: &[u8]) -> bool {
    let content = std::fs::read(path).unwrap_or_default();
    content.windows(bytes.len()).any(|window| window == bytes)
}
