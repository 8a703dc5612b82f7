//! What every store does, one behaviour a test; and behind that, what the SQLite store promises beyond it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::sqlite::{OpenError, OpenProblem, Options, SqliteStore};
use messageu_server::store::{
    Amount, CHUNK_SIZE, Client, Content, ImportRow, Imported, NewMessage, Pending, QueueLimits, QueuePolicy,
    Sequence, Store, StoreError, UploadId,
};
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
            }

            // Writes the queue down message by message, while others come.
            #[tokio::test]
            async fn sqlite_with_a_short_tail() {
                let directory = tempfile::tempdir().unwrap();
                let options = super::Options { written_down_from: Some(0), ..Default::default() };
                let store = super::SqliteStore::open_with(&super::database(&directory), options).unwrap();
                super::$behaviour(&store).await;
            }
        }
    };
}

// Clients.

each_store!(a_registered_client_is_found_by_its_id);
async fn a_registered_client_is_found_by_its_id(store: &impl Store) {
    let alice = register(store, 1, "Alice").await;
    assert_eq!(store.client(alice.id).await.unwrap(), Some(alice));
}

each_store!(an_unknown_client_is_not_found);
async fn an_unknown_client_is_not_found(store: &impl Store) {
    register(store, 1, "Alice").await;
    assert_eq!(store.client(id(2)).await.unwrap(), None);
    assert_eq!(store.client_by_prefix([2; 8]).await.unwrap(), None);
}

each_store!(a_client_is_found_by_the_first_half_of_its_id);
async fn a_client_is_found_by_the_first_half_of_its_id(store: &impl Store) {
    for number in [0, 1, 2, 255] {
        register(store, number, &format!("Client {number}")).await;
    }
    for number in [0, 1, 2, 255] {
        assert_eq!(store.client_by_prefix([number; 8]).await.unwrap().unwrap().id, id(number));
    }
}

each_store!(a_name_is_taken_once);
async fn a_name_is_taken_once(store: &impl Store) {
    register(store, 1, "Alice").await;
    let taken = store.register(client(2, "Alice"), time(0)).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)));
    assert_eq!(store.client(id(2)).await.unwrap(), None);
}

each_store!(names_that_differ_in_case_are_different);
async fn names_that_differ_in_case_are_different(store: &impl Store) {
    register(store, 1, "Alice").await;
    register(store, 2, "alice").await;
}

each_store!(an_id_is_taken_by_its_first_half);
async fn an_id_is_taken_by_its_first_half(store: &impl Store) {
    register(store, 1, "Alice").await;
    let mut near = id(1);
    near.0[15] = 99;
    let taken = store.register(Client { id: near, ..client(2, "Bob") }, time(0)).await;
    assert!(matches!(taken, Err(StoreError::IdTaken)));
    let mut far = id(1);
    far.0[7] = 99;
    store.register(Client { id: far, ..client(3, "Carol") }, time(0)).await.unwrap();
}

each_store!(a_deleted_client_is_gone_with_what_waits_for_it);
async fn a_deleted_client_is_gone_with_what_waits_for_it(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let small = send(store, alice, bob, b"small").await;
    let large = send_large(store, alice, bob, 2 * CHUNK_SIZE).await;
    store.delete_client(alice).await.unwrap();
    assert_eq!(store.client(alice).await.unwrap(), None);
    assert_eq!(waiting(store, alice).await, []);
    for sequence in [small, large] {
        assert!(matches!(store.read_content(sequence, 0).await, Err(StoreError::NoSuchContent)));
    }
}

each_store!(a_deleted_client_leaves_its_name_and_id);
async fn a_deleted_client_leaves_its_name_and_id(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    send(store, alice, bob, b"before").await;
    store.delete_client(alice).await.unwrap();
    register(store, 1, "Alice").await;
    assert_eq!(waiting(store, alice).await, []);
}

each_store!(what_a_deleted_client_sent_stays);
async fn what_a_deleted_client_sent_stays(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let sequence = send(store, alice, bob, b"bye").await;
    store.delete_client(bob).await.unwrap();
    assert_eq!(waiting(store, alice).await, [sequence]);
}

each_store!(an_unknown_client_cannot_be_deleted);
async fn an_unknown_client_cannot_be_deleted(store: &impl Store) {
    let refused = store.delete_client(id(1)).await;
    assert!(matches!(refused, Err(StoreError::UnknownClient(unknown)) if unknown == id(1)));
}

each_store!(a_client_was_last_seen_at_its_registration);
async fn a_client_was_last_seen_at_its_registration(store: &impl Store) {
    store.register(client(1, "Alice"), time(1_600_000_000)).await.unwrap();
    assert_eq!(store.last_seen(id(1)).await.unwrap(), Some(time(1_600_000_000)));
}

each_store!(a_visit_is_seen_at_once);
async fn a_visit_is_seen_at_once(store: &impl Store) {
    register(store, 1, "Alice").await;
    store.touch(id(1), time(1_700_000_000) + Duration::from_millis(900));
    assert_eq!(store.last_seen(id(1)).await.unwrap(), Some(time(1_700_000_000)));
}

each_store!(a_visit_of_an_unknown_client_is_ignored);
async fn a_visit_of_an_unknown_client_is_ignored(store: &impl Store) {
    store.touch(id(1), time(1_700_000_000));
    assert_eq!(store.last_seen(id(1)).await.unwrap(), None);
}

each_store!(a_visit_before_the_registration_is_ignored);
async fn a_visit_before_the_registration_is_ignored(store: &impl Store) {
    store.touch(id(1), time(1_700_000_000));
    register(store, 1, "Alice").await;
    assert_eq!(store.last_seen(id(1)).await.unwrap(), Some(time(1_600_000_000)));
    store.touch(id(1), time(1_800_000_000));
    store.delete_client(id(1)).await.unwrap();
    register(store, 1, "Alice").await;
    assert_eq!(store.last_seen(id(1)).await.unwrap(), Some(time(1_600_000_000)));
}

// The roster.

each_store!(the_roster_counts_all_but_the_asker);
async fn the_roster_counts_all_but_the_asker(store: &impl Store) {
    for number in 1..=4 {
        register(store, number, &format!("Client {number}")).await;
    }
    assert_eq!(store.roster(id(4)).await.unwrap().count, 3);
    assert_eq!(store.roster(id(9)).await.unwrap().count, 4);
    let extent = store.roster(id(4)).await.unwrap();
    let page = store.roster_page(id(4), 0, extent.last, 100).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(1), id(2), id(3)]);
    assert_eq!(page[2].position, extent.last);
}

each_store!(the_roster_of_nobody_else_is_empty);
async fn the_roster_of_nobody_else_is_empty(store: &impl Store) {
    assert_eq!(store.roster(id(1)).await.unwrap().count, 0);
    register(store, 1, "Alice").await;
    let extent = store.roster(id(1)).await.unwrap();
    assert_eq!(extent.count, 0);
    assert_eq!(store.roster_page(id(1), 0, extent.last, 100).await.unwrap(), []);
}

each_store!(pages_of_the_roster_add_up_in_order_of_registration);
async fn pages_of_the_roster_add_up_in_order_of_registration(store: &impl Store) {
    let numbers = [9, 3, 7, 1, 5];
    for number in numbers {
        register(store, number, &format!("Client {number}")).await;
    }
    let extent = store.roster(id(7)).await.unwrap();
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = store.roster_page(id(7), after, extent.last, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        seen.extend(page.into_iter().map(|entry| (entry.id, entry.name.to_string())));
    }
    let expected = [9, 3, 1, 5].map(|number| (id(number), format!("Client {number}")));
    assert_eq!(seen, expected);
}

each_store!(a_client_that_registers_later_is_not_in_the_extent);
async fn a_client_that_registers_later_is_not_in_the_extent(store: &impl Store) {
    register(store, 1, "Alice").await;
    let extent = store.roster(id(9)).await.unwrap();
    register(store, 2, "Bob").await;
    assert_eq!(store.roster_page(id(9), 0, extent.last, 100).await.unwrap().len(), 1);
}

// Messages.

each_store!(messages_wait_in_the_order_they_came);
async fn messages_wait_in_the_order_they_came(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let mut sent = Vec::new();
    for text in ["one", "two", "three"] {
        sent.push(send(store, alice, bob, text.as_bytes()).await);
        send(store, bob, alice, b"in between").await;
    }
    assert!(sent.is_sorted());
    let pending = all_pending(store, alice).await;
    assert_eq!(pending.iter().map(|message| message.sequence).collect::<Vec<_>>(), sent);
    let texts: Vec<_> = pending.into_iter().map(|message| message.content.unwrap()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
}

each_store!(a_message_waits_as_it_was_sent);
async fn a_message_waits_as_it_was_sent(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let content = Bytes::from_static(b"a key\0");
    let message = NewMessage {
        to: alice,
        from: bob,
        kind: MessageType::KEY,
        content: Content::Inline(content.clone()),
    };
    let sequence = store.enqueue(message, QueueLimits::default()).await.unwrap();
    let expected = Pending { sequence, from: bob, kind: MessageType::KEY, size: 6, content: Some(content) };
    assert_eq!(all_pending(store, alice).await, [expected]);
}

each_store!(a_client_can_write_to_itself);
async fn a_client_can_write_to_itself(store: &impl Store) {
    let (alice, _) = alice_and_bob(store).await;
    let sequence = send(store, alice, alice, b"note").await;
    assert_eq!(waiting(store, alice).await, [sequence]);
}

each_store!(an_unknown_recipient_is_refused);
async fn an_unknown_recipient_is_refused(store: &impl Store) {
    let (alice, _) = alice_and_bob(store).await;
    let refused = store.enqueue(text(id(9), alice, b"hello"), QueueLimits::default()).await;
    assert!(matches!(refused, Err(StoreError::UnknownClient(unknown)) if unknown == id(9)));
}

each_store!(an_unknown_sender_is_refused);
async fn an_unknown_sender_is_refused(store: &impl Store) {
    let (alice, _) = alice_and_bob(store).await;
    let refused = store.enqueue(text(alice, id(9), b"hello"), QueueLimits::default()).await;
    assert!(matches!(refused, Err(StoreError::UnknownClient(unknown)) if unknown == id(9)));
    assert_eq!(waiting(store, alice).await, []);
}

each_store!(pending_begins_behind_what_was_seen_and_ends_at_the_limit);
async fn pending_begins_behind_what_was_seen_and_ends_at_the_limit(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(send(store, alice, bob, b"text").await);
    }
    let page = store.pending(alice, sent[1], 2, 0).await.unwrap();
    assert_eq!(page.iter().map(|message| message.sequence).collect::<Vec<_>>(), sent[2..4]);
}

each_store!(pending_deletes_nothing);
async fn pending_deletes_nothing(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    send(store, alice, bob, b"text").await;
    assert_eq!(all_pending(store, alice).await, all_pending(store, alice).await);
    assert_eq!(waiting(store, alice).await.len(), 1);
}

each_store!(contents_come_along_while_they_fit_the_budget);
async fn contents_come_along_while_they_fit_the_budget(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    for size in [60, 50, 40, 0] {
        send(store, alice, bob, &vec![1; size]).await;
    }
    let pending = store.pending(alice, Sequence::default(), 10, 100).await.unwrap();
    assert_eq!(pending.iter().map(|message| message.size).collect::<Vec<_>>(), [60, 50, 40, 0]);
    let along: Vec<_> = pending.iter().map(|message| message.content.as_ref().map(Bytes::len)).collect();
    assert_eq!(along, [Some(60), None, Some(40), Some(0)]);
}

each_store!(a_content_that_did_not_come_along_is_read);
async fn a_content_that_did_not_come_along_is_read(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    for size in [1, 4_096, 4_097, CHUNK_SIZE] {
        let content = pattern(size, size);
        let sequence = send(store, alice, bob, &content).await;
        assert_eq!(store.read_content(sequence, 0).await.unwrap(), content);
        assert!(matches!(store.read_content(sequence, 1).await, Err(StoreError::NoSuchContent)));
    }
}

each_store!(contents_of_one_piece_come_along_whatever_their_size);
async fn contents_of_one_piece_come_along_whatever_their_size(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    for size in [0, 1, 4_096, 4_097, CHUNK_SIZE] {
        let sequence = send(store, alice, bob, &pattern(size, size)).await;
        let pending = store.pending(alice, Sequence(sequence.0 - 1), 1, size).await.unwrap();
        assert_eq!(pending[0].content, Some(pattern(size, size)));
    }
}

each_store!(an_empty_content_has_no_chunk);
async fn an_empty_content_has_no_chunk(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let sequence = send(store, alice, bob, b"").await;
    assert!(matches!(store.read_content(sequence, 0).await, Err(StoreError::NoSuchContent)));
}

each_store!(too_much_for_one_piece_is_refused);
async fn too_much_for_one_piece_is_refused(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let refused = store.enqueue(text(alice, bob, &[0; CHUNK_SIZE + 1]), QueueLimits::default()).await;
    assert!(matches!(refused, Err(StoreError::Misuse(_))));
}

// Uploads.

each_store!(a_large_content_is_read_in_chunks);
async fn a_large_content_is_read_in_chunks(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let size = 2 * CHUNK_SIZE + 77;
    let sequence = send_large(store, alice, bob, size).await;
    let pending = store.pending(alice, Sequence::default(), 10, usize::MAX).await.unwrap();
    assert_eq!((pending[0].size, &pending[0].content), (u32::try_from(size).unwrap(), &None));
    for (index, size) in [(0, CHUNK_SIZE), (1, CHUNK_SIZE), (2, 77)] {
        let chunk = store.read_content(sequence, index).await.unwrap();
        assert_eq!(chunk, pattern(size, usize::try_from(index).unwrap()));
    }
    for index in [3, u32::MAX] {
        assert!(matches!(store.read_content(sequence, index).await, Err(StoreError::NoSuchContent)));
    }
}

each_store!(an_upload_may_be_small_or_empty);
async fn an_upload_may_be_small_or_empty(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    for size in [0, 5, CHUNK_SIZE] {
        let sequence = send_large(store, alice, bob, size).await;
        let pending = store.pending(alice, Sequence(sequence.0 - 1), 1, usize::MAX).await.unwrap();
        assert_eq!(pending[0].content, Some(pattern(size, 0)));
    }
}

each_store!(an_upload_that_is_not_yet_enqueued_does_not_wait);
async fn an_upload_that_is_not_yet_enqueued_does_not_wait(store: &impl Store) {
    let (alice, _) = alice_and_bob(store).await;
    upload(store, alice, CHUNK_SIZE).await;
    assert_eq!(waiting(store, alice).await, []);
}

each_store!(uploads_grow_side_by_side);
async fn uploads_grow_side_by_side(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let size = u32::try_from(2 * CHUNK_SIZE).unwrap();
    let uploads =
        [store.begin_upload(alice, size).await.unwrap(), store.begin_upload(alice, size).await.unwrap()];
    for round in 0..2 {
        for (number, upload) in uploads.into_iter().enumerate() {
            store.append_chunk(upload, pattern(CHUNK_SIZE, 10 * number + round)).await.unwrap();
        }
    }
    for (number, upload) in uploads.into_iter().enumerate() {
        let message = NewMessage { content: Content::Uploaded(upload), ..text(alice, bob, b"") };
        let sequence = store.enqueue(message, QueueLimits::default()).await.unwrap();
        assert_eq!(store.read_content(sequence, 1).await.unwrap(), pattern(CHUNK_SIZE, 10 * number + 1));
    }
}

each_store!(an_upload_to_an_unknown_client_is_refused);
async fn an_upload_to_an_unknown_client_is_refused(store: &impl Store) {
    let refused = store.begin_upload(id(1), 100_000).await;
    assert!(matches!(refused, Err(StoreError::UnknownClient(unknown)) if unknown == id(1)));
}

each_store!(a_chunk_of_a_wrong_size_is_refused);
async fn a_chunk_of_a_wrong_size_is_refused(store: &impl Store) {
    let (alice, _) = alice_and_bob(store).await;
    let upload = store.begin_upload(alice, u32::try_from(CHUNK_SIZE + 10).unwrap()).await.unwrap();
    let append = |size| store.append_chunk(upload, pattern(size, 0));
    for wrong in [0, 10, CHUNK_SIZE - 1, CHUNK_SIZE + 1] {
        assert!(matches!(append(wrong).await, Err(StoreError::Misuse(_))), "{wrong}");
    }
    append(CHUNK_SIZE).await.unwrap();
    for wrong in [0, 9, 11, CHUNK_SIZE] {
        assert!(matches!(append(wrong).await, Err(StoreError::Misuse(_))), "{wrong}");
    }
    append(10).await.unwrap();
    for wrong in [0, 10] {
        assert!(matches!(append(wrong).await, Err(StoreError::Misuse(_))), "{wrong}");
    }
}

each_store!(an_incomplete_upload_is_not_enqueued);
async fn an_incomplete_upload_is_not_enqueued(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let upload = store.begin_upload(alice, u32::try_from(CHUNK_SIZE + 10).unwrap()).await.unwrap();
    store.append_chunk(upload, pattern(CHUNK_SIZE, 0)).await.unwrap();
    let message = NewMessage { content: Content::Uploaded(upload), ..text(alice, bob, b"") };
    let refused = store.enqueue(message.clone(), QueueLimits::default()).await;
    assert!(matches!(refused, Err(StoreError::Misuse(_))));
    store.append_chunk(upload, pattern(10, 1)).await.unwrap();
    store.enqueue(message, QueueLimits::default()).await.unwrap();
}

each_store!(an_upload_is_used_up_by_its_message);
async fn an_upload_is_used_up_by_its_message(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let upload = upload(store, alice, CHUNK_SIZE + 1).await;
    let message = NewMessage { content: Content::Uploaded(upload), ..text(alice, bob, b"") };
    let sequence = store.enqueue(message.clone(), QueueLimits::default()).await.unwrap();
    let again = store.enqueue(message, QueueLimits::default()).await;
    assert!(matches!(again, Err(StoreError::NoSuchContent)));
    store.abandon_upload(upload);
    assert_eq!(store.read_content(sequence, 1).await.unwrap(), pattern(1, 1));
}

each_store!(an_upload_outlives_the_refusal_of_its_message);
async fn an_upload_outlives_the_refusal_of_its_message(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let upload = upload(store, alice, CHUNK_SIZE + 1).await;
    let message = NewMessage { content: Content::Uploaded(upload), ..text(alice, bob, b"") };
    let limits = QueueLimits { bytes_per_recipient: 10, ..QueueLimits::default() };
    assert!(matches!(store.enqueue(message.clone(), limits).await, Err(StoreError::QueueFull(_))));
    store.enqueue(message, QueueLimits::default()).await.unwrap();
}

each_store!(an_abandoned_upload_is_gone);
async fn an_abandoned_upload_is_gone(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let upload = upload(store, alice, CHUNK_SIZE).await;
    store.abandon_upload(upload);
    let message = NewMessage { content: Content::Uploaded(upload), ..text(alice, bob, b"") };
    assert!(matches!(store.enqueue(message, QueueLimits::default()).await, Err(StoreError::NoSuchContent)));
    let appended = store.append_chunk(upload, pattern(1, 0)).await;
    assert!(matches!(appended, Err(StoreError::NoSuchContent)));
}

each_store!(an_unknown_upload_takes_nothing);
async fn an_unknown_upload_takes_nothing(store: &impl Store) {
    let appended = store.append_chunk(UploadId(7), pattern(CHUNK_SIZE, 0)).await;
    assert!(matches!(appended, Err(StoreError::NoSuchContent)));
    store.abandon_upload(UploadId(7));
}

// Acknowledging.

each_store!(an_acknowledged_message_is_gone);
async fn an_acknowledged_message_is_gone(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let first = send(store, alice, bob, b"one").await;
    let second = send_large(store, alice, bob, 2 * CHUNK_SIZE).await;
    let third = send(store, alice, bob, b"three").await;
    assert_eq!(store.acknowledge(alice, &[first, second]).await.unwrap(), 2);
    assert_eq!(waiting(store, alice).await, [third]);
    assert!(matches!(store.read_content(second, 0).await, Err(StoreError::NoSuchContent)));
}

each_store!(nobody_acknowledges_the_messages_of_others);
async fn nobody_acknowledges_the_messages_of_others(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let sequence = send(store, alice, bob, b"text").await;
    assert_eq!(store.acknowledge(bob, &[sequence]).await.unwrap(), 0);
    assert_eq!(waiting(store, alice).await, [sequence]);
}

each_store!(acknowledging_again_does_nothing);
async fn acknowledging_again_does_nothing(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let sequence = send(store, alice, bob, b"text").await;
    assert_eq!(store.acknowledge(alice, &[sequence, sequence, Sequence(99)]).await.unwrap(), 1);
    assert_eq!(store.acknowledge(alice, &[sequence]).await.unwrap(), 0);
    assert_eq!(store.acknowledge(alice, &[]).await.unwrap(), 0);
}

each_store!(a_sequence_is_not_used_again);
async fn a_sequence_is_not_used_again(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let first = send(store, alice, bob, b"one").await;
    store.acknowledge(alice, &[first]).await.unwrap();
    assert!(send(store, alice, bob, b"two").await > first);
}

each_store!(thousands_are_acknowledged_at_once);
async fn thousands_are_acknowledged_at_once(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits = QueueLimits::default();
    let sending = (0..2_500).map(|_| store.enqueue(text(alice, bob, b"text"), limits));
    let mut sent = Vec::new();
    for sequence in join_all(sending).await {
        sent.push(sequence.unwrap());
    }
    assert_eq!(store.acknowledge(alice, &sent).await.unwrap(), 2_500);
    assert_eq!(waiting(store, alice).await, []);
}

each_store!(messages_handed_over_at_once_keep_their_order);
async fn messages_handed_over_at_once_keep_their_order(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    // Some take as much room on their way to the disk as a hundred others.
    let content = |number: u16| number.to_be_bytes().repeat(if number % 100 == 7 { 20_000 } else { 1 });
    let sending =
        (0..3_000).map(|number| store.enqueue(text(alice, bob, &content(number)), QueueLimits::default()));
    for sequence in join_all(sending).await {
        sequence.unwrap();
    }
    let first_bytes = |message: Pending| message.content.unwrap()[..2].to_vec();
    let arrived: Vec<_> = all_pending(store, alice).await.into_iter().map(first_bytes).collect();
    assert!(arrived == (0..3_000_u16).map(|number| number.to_be_bytes().to_vec()).collect::<Vec<_>>());
}

// Rows of another server's database.

each_store!(rows_are_taken_over_once);
async fn rows_are_taken_over_once(store: &impl Store) {
    let rows = || vec![client_row(1, "Alice"), message_row(text(id(1), id(9), b"from somebody who left"), 1)];
    let twice = [store.import(rows()).await.unwrap(), store.import(rows()).await.unwrap()];
    assert!(twice[0].iter().all(|row| matches!(row, Ok(Imported::Now))), "{twice:?}");
    assert!(twice[1].iter().all(|row| matches!(row, Ok(Imported::Before))), "{twice:?}");
    assert_eq!(store.client(id(1)).await.unwrap(), Some(client(1, "Alice")));
    assert_eq!(all_pending(store, id(1)).await.len(), 1);
}

each_store!(a_message_taken_over_stays_so_when_it_has_been_delivered);
async fn a_message_taken_over_stays_so_when_it_has_been_delivered(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let row = || vec![message_row(text(alice, bob, b"once"), 1)];
    store.import(row()).await.unwrap();
    let sequences = waiting(store, alice).await;
    store.acknowledge(alice, &sequences).await.unwrap();
    assert!(matches!(store.import(row()).await.unwrap()[..], [Ok(Imported::Before)]));
    assert_eq!(waiting(store, alice).await, []);
}

each_store!(a_row_that_cannot_be_taken_leaves_the_others);
async fn a_row_that_cannot_be_taken_leaves_the_others(store: &impl Store) {
    register(store, 1, "Alice").await;
    let mut near = client(1, "Near");
    near.id.0[15] = 99;
    let rows = vec![
        client_row(2, "Alice"),
        ImportRow::Client { client: near, last_seen: None },
        message_row(text(id(3), id(1), b"to nobody"), 1),
        message_row(text(id(1), id(1), b"to herself"), 2),
    ];
    let taken = store.import(rows).await.unwrap();
    assert!(
        matches!(
            taken[..],
            [
                Err(StoreError::NameTaken),
                Err(StoreError::IdTaken),
                Err(StoreError::UnknownClient(_)),
                Ok(Imported::Now)
            ]
        ),
        "{taken:?}"
    );
}

each_store!(a_client_taken_over_was_last_seen_then_if_ever);
async fn a_client_taken_over_was_last_seen_then_if_ever(store: &impl Store) {
    let unseen = ImportRow::Client { client: client(2, "Bob"), last_seen: None };
    store.import(vec![client_row(1, "Alice"), unseen]).await.unwrap();
    assert_eq!(store.last_seen(id(1)).await.unwrap(), Some(time(1_700_000_000)));
    assert_eq!(store.last_seen(id(2)).await.unwrap(), None);
}

// Limits.

each_store!(a_sender_has_so_many_messages_for_a_recipient);
async fn a_sender_has_so_many_messages_for_a_recipient(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let carol = register(store, 3, "Carol").await.id;
    let limits = QueueLimits { per_pair: 2, ..QueueLimits::default() };
    let send = |to, from| store.enqueue(text(to, from, b"text"), limits);
    send(alice, bob).await.unwrap();
    send(alice, bob).await.unwrap();
    assert!(matches!(send(alice, bob).await, Err(StoreError::QueueFull(_))));
    send(alice, carol).await.unwrap();
    send(carol, bob).await.unwrap();
}

each_store!(a_recipient_has_so_many_messages);
async fn a_recipient_has_so_many_messages(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits = QueueLimits { per_recipient: 2, policy: QueuePolicy::DropOldest, ..QueueLimits::default() };
    let send = |to, from| store.enqueue(text(to, from, b"text"), limits);
    send(alice, bob).await.unwrap();
    send(alice, alice).await.unwrap();
    assert!(matches!(send(alice, bob).await, Err(StoreError::QueueFull(_))));
    send(bob, bob).await.unwrap();
}

each_store!(a_recipient_has_so_many_bytes);
async fn a_recipient_has_so_many_bytes(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits = QueueLimits { bytes_per_recipient: 10, ..QueueLimits::default() };
    let send = |size| store.enqueue(text(alice, bob, &vec![0; size]), limits);
    send(6).await.unwrap();
    assert!(matches!(send(5).await, Err(StoreError::QueueFull(_))));
    send(4).await.unwrap();
    send(0).await.unwrap();
}

each_store!(acknowledging_makes_room);
async fn acknowledging_makes_room(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits =
        QueueLimits { per_pair: 1, per_recipient: 1, bytes_per_recipient: 4, ..QueueLimits::default() };
    for _ in 0..3 {
        let sequence = store.enqueue(text(alice, bob, b"text"), limits).await.unwrap();
        assert!(store.enqueue(text(alice, bob, b""), limits).await.is_err());
        store.acknowledge(alice, &[sequence]).await.unwrap();
    }
}

each_store!(the_oldest_of_the_pair_makes_room);
async fn the_oldest_of_the_pair_makes_room(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits = QueueLimits { per_pair: 2, policy: QueuePolicy::DropOldest, ..QueueLimits::default() };
    let own = send(store, alice, alice, b"not of the pair").await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(store.enqueue(text(alice, bob, b"text"), limits).await.unwrap());
    }
    assert_eq!(waiting(store, alice).await, [own, sent[3], sent[4]]);
}

each_store!(a_lowered_limit_drops_the_surplus);
async fn a_lowered_limit_drops_the_surplus(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    for _ in 0..4 {
        send(store, alice, bob, b"text").await;
    }
    let limits = QueueLimits { per_pair: 2, policy: QueuePolicy::DropOldest, ..QueueLimits::default() };
    store.enqueue(text(alice, bob, b"last"), limits).await.unwrap();
    assert_eq!(waiting(store, alice).await.len(), 2);
}

each_store!(nothing_is_dropped_for_a_message_that_is_refused);
async fn nothing_is_dropped_for_a_message_that_is_refused(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits = QueueLimits {
        per_pair: 1,
        policy: QueuePolicy::DropOldest,
        bytes_per_recipient: 10,
        ..QueueLimits::default()
    };
    let first = store.enqueue(text(alice, bob, b"eight ..."), limits).await.unwrap();
    let refused = store.enqueue(text(alice, bob, b"more than ten"), limits).await;
    assert!(matches!(refused, Err(StoreError::QueueFull(_))));
    assert_eq!(waiting(store, alice).await, [first]);
    store.enqueue(text(alice, bob, b"ten bytes."), limits).await.unwrap();
}

each_store!(where_no_message_may_wait_none_is_dropped);
async fn where_no_message_may_wait_none_is_dropped(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits = QueueLimits { per_pair: 0, policy: QueuePolicy::DropOldest, ..QueueLimits::default() };
    assert!(matches!(store.enqueue(text(alice, bob, b"text"), limits).await, Err(StoreError::QueueFull(_))));
}

// What is too old.

each_store!(messages_that_were_there_before_a_time_expire_oldest_first);
async fn messages_that_were_there_before_a_time_expire_oldest_first(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    send(store, alice, bob, b"first").await;
    send_large(store, bob, alice, 2 * CHUNK_SIZE).await;
    let third = send(store, alice, bob, b"third").await;
    assert_eq!(store.mark_time(time(1_000)).await.unwrap(), time(1_000));
    let fourth = send(store, alice, bob, b"fourth").await;
    assert_eq!(store.mark_time(time(2_000)).await.unwrap(), time(2_000));
    let fifth = send(store, alice, bob, b"fifth").await;

    assert_eq!(store.expire(time(1_000), 10).await.unwrap(), 0);
    assert_eq!(store.expire(time(1_001), 2).await.unwrap(), 2);
    assert_eq!(waiting(store, alice).await, [third, fourth, fifth]);
    assert_eq!(waiting(store, bob).await, []);
    assert_eq!(store.expire(time(1_001), 10).await.unwrap(), 1);
    assert_eq!(store.expire(time(1_001), 10).await.unwrap(), 0);
    assert_eq!(waiting(store, alice).await, [fourth, fifth]);
    // Nobody has noted that the fifth was there.
    assert_eq!(store.expire(time(9_000), 10).await.unwrap(), 1);
    assert_eq!(waiting(store, alice).await, [fifth]);
}

each_store!(what_has_expired_makes_room_and_is_counted_apart);
async fn what_has_expired_makes_room_and_is_counted_apart(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let limits = QueueLimits { per_recipient: 1, ..QueueLimits::default() };
    store.enqueue(text(alice, bob, b"four"), limits).await.unwrap();
    assert!(store.enqueue(text(alice, bob, b"more"), limits).await.is_err());
    store.mark_time(time(1_000)).await.unwrap();
    store.expire(time(2_000), 10).await.unwrap();
    store.enqueue(text(alice, bob, b"three"), limits).await.unwrap();
    let metrics = store.metrics();
    assert_eq!(metrics.messages.expired.read(), Amount { messages: 1, bytes: 4 });
    assert_eq!(metrics.messages.waiting.read(), Amount { messages: 1, bytes: 5 });
    assert_eq!(metrics.messages.acknowledged.read(), Amount::default());
}

each_store!(a_time_that_is_noted_never_goes_back);
async fn a_time_that_is_noted_never_goes_back(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    store.mark_time(time(2_000)).await.unwrap();
    send(store, alice, bob, b"later").await;
    assert_eq!(store.mark_time(time(1_000)).await.unwrap(), time(2_000));
    assert_eq!(store.expire(time(2_000), 10).await.unwrap(), 0);
    assert_eq!(store.expire(time(2_001), 10).await.unwrap(), 1);
}

each_store!(an_age_counts_from_the_first_time_that_is_noted);
async fn an_age_counts_from_the_first_time_that_is_noted(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    send(store, alice, bob, b"once").await;
    for seconds in [1_000, 2_000, 3_000] {
        store.mark_time(time(seconds)).await.unwrap();
    }
    assert_eq!(store.expire(time(1_001), 10).await.unwrap(), 1);
}

each_store!(clients_are_found_by_when_they_were_last_seen);
async fn clients_are_found_by_when_they_were_last_seen(store: &impl Store) {
    for (number, seconds) in [(1, 1_000), (2, 2_000), (3, 3_000)] {
        store.register(client(number, &format!("Client {number}")), time(seconds)).await.unwrap();
    }
    let unseen = ImportRow::Client { client: client(4, "Unseen"), last_seen: None };
    store.import(vec![unseen]).await.unwrap();
    let found =
        |earliest, before, limit| store.clients_last_seen_between(time(earliest), time(before), limit);
    assert_eq!(found(0, 3_000, 10).await.unwrap(), [id(1), id(2)]);
    assert_eq!(found(1_001, 3_001, 10).await.unwrap(), [id(2), id(3)]);
    assert_eq!(found(0, 3_000, 1).await.unwrap().len(), 1);
}

// What is counted.

each_store!(what_waits_is_counted_whatever_becomes_of_it);
async fn what_waits_is_counted_whatever_becomes_of_it(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let first = send(store, alice, bob, b"1").await;
    send(store, alice, bob, b"22").await;
    send(store, bob, alice, b"333").await;
    send_large(store, bob, alice, 2 * CHUNK_SIZE).await;
    let large = u64::try_from(2 * CHUNK_SIZE).unwrap();
    let metrics = store.metrics();
    assert_eq!(metrics.messages.waiting.read(), Amount { messages: 4, bytes: 6 + large });
    store.acknowledge(alice, &[first, first]).await.unwrap();
    assert_eq!(metrics.messages.acknowledged.read(), Amount { messages: 1, bytes: 1 });
    let policy = QueuePolicy::DropOldest;
    let one = QueueLimits { per_pair: 1, policy, ..QueueLimits::default() };
    store.enqueue(text(alice, bob, b"4444"), one).await.unwrap();
    assert_eq!(metrics.messages.dropped.read(), Amount { messages: 1, bytes: 2 });
    store.delete_client(bob).await.unwrap();
    assert_eq!(metrics.messages.dropped.read(), Amount { messages: 3, bytes: 5 + large });
    store.import(vec![message_row(text(alice, bob, b"55555"), 1)]).await.unwrap();
    assert_eq!(metrics.messages.accepted.read(), Amount { messages: 6, bytes: 15 + large });
    assert_eq!(metrics.messages.waiting.read(), Amount { messages: 2, bytes: 9 });
}

each_store!(a_probe_changes_nothing_and_fails_when_changes_do);
async fn a_probe_changes_nothing_and_fails_when_changes_do(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let sequence = send(store, alice, bob, b"there").await;
    store.probe().await.unwrap();
    assert_eq!(waiting(store, alice).await, [sequence]);
    store.close().await;
    assert!(matches!(store.probe().await, Err(StoreError::Storage(_))));
}

// All at once, and the end.

each_store!(a_refusal_does_not_harm_those_beside_it);
async fn a_refusal_does_not_harm_those_beside_it(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    let sending = (0..60).map(|number| {
        let to = if number % 3 == 0 { id(9) } else { alice };
        store.enqueue(text(to, bob, b"text"), QueueLimits::default())
    });
    let outcomes = join_all(sending).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_ok(), number % 3 != 0);
    }
    assert_eq!(waiting(store, alice).await.len(), 40);
}

each_store!(one_of_many_gets_the_name);
async fn one_of_many_gets_the_name(store: &impl Store) {
    let registering = (1..=20).map(|number| store.register(client(number, "Alice"), time(0)));
    let outcomes = join_all(registering).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

each_store!(a_closed_store_fails);
async fn a_closed_store_fails(store: &impl Store) {
    let (alice, bob) = alice_and_bob(store).await;
    store.close().await;
    store.close().await;
    let sent = store.enqueue(text(alice, bob, b"late"), QueueLimits::default()).await;
    assert!(matches!(sent, Err(StoreError::Storage(_))));
    assert!(matches!(store.client(alice).await, Err(StoreError::Storage(_))));
    store.touch(alice, time(0));
    store.abandon_upload(UploadId(1));
}

// SQLite: what is answered is on disk.

#[tokio::test]
async fn sqlite_keeps_everything_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    let small = send(&store, alice, bob, b"small").await;
    let gone = send(&store, alice, bob, b"gone").await;
    let large = send_large(&store, alice, bob, CHUNK_SIZE + 1).await;
    store.acknowledge(alice, &[gone]).await.unwrap();
    store.touch(alice, time(1_700_000_000));
    store.close().await;
    drop(store);

    let store = open(&directory);
    assert_eq!(store.client(alice).await.unwrap(), Some(client(1, "Alice")));
    assert_eq!(store.last_seen(alice).await.unwrap(), Some(time(1_700_000_000)));
    assert_eq!(waiting(&store, alice).await, [small, large]);
    assert_eq!(store.read_content(large, 1).await.unwrap(), pattern(1, 1));
}

#[tokio::test]
async fn sqlite_keeps_everything_when_it_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    let sequence = send(&store, alice, bob, b"text").await;
    store.touch(alice, time(1_700_000_000));
    drop(store);
    let store = open(&directory);
    assert_eq!(waiting(&store, alice).await, [sequence]);
    assert_eq!(store.last_seen(alice).await.unwrap(), Some(time(1_700_000_000)));
}

#[tokio::test]
async fn sqlite_has_what_it_acknowledged_in_its_files_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    let sequence = send_large(&store, alice, bob, CHUNK_SIZE + 1).await;
    // The files of a server that was killed.
    let copy = tempfile::tempdir().unwrap();
    for name in ["server.db", "server.db-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let found = open(&copy);
    assert_eq!(waiting(&found, alice).await, [sequence]);
    assert_eq!(found.read_content(sequence, 1).await.unwrap(), pattern(1, 1));
}

#[tokio::test]
async fn sqlite_writes_visits_down_within_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    register(&store, 1, "Alice").await;
    store.touch(id(1), time(1_700_000_000));
    eventually(&directory, "SELECT LastSeen = '2023-11-14 22:13:20' FROM clients").await;
    assert_eq!(store.last_seen(id(1)).await.unwrap(), Some(time(1_700_000_000)));
}

#[tokio::test]
async fn sqlite_does_not_use_a_sequence_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    let first = send(&store, alice, bob, b"one").await;
    store.acknowledge(alice, &[first]).await.unwrap();
    drop(store);
    assert!(send(&open(&directory), alice, bob, b"two").await > first);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_orders_the_messages_of_many_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(&directory));
    let (alice, bob) = alice_and_bob(&*store).await;
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let store = std::sync::Arc::clone(&store);
        senders.spawn(async move {
            let mut sent = Vec::new();
            for _ in 0..50 {
                sent.push(send(&*store, alice, bob, b"text").await);
            }
            sent
        });
    }
    let mut all = Vec::new();
    while let Some(sent) = senders.join_next().await {
        let sent = sent.unwrap();
        assert!(sent.is_sorted_by(|earlier, later| earlier < later));
        all.extend(sent);
    }
    drop(store);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 64 * 50);
    assert_eq!(waiting(&open(&directory), alice).await, all);
}

#[tokio::test]
async fn sqlite_counts_what_waits_in_the_tail_and_behind_it_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { written_down_from: Some(4), ..Options::default() };
    let store = SqliteStore::open_with(&database(&directory), options).unwrap();
    let (alice, bob) = alice_and_bob(&store).await;
    for _ in 0..8 {
        send(&store, alice, bob, b"seven77").await;
    }
    eventually(&directory, "SELECT count(*) BETWEEN 1 AND 7 FROM queue").await;
    store.close().await;
    let store = open(&directory);
    assert_eq!(store.metrics().messages.waiting.read(), Amount { messages: 8, bytes: 56 });
}

#[tokio::test]
async fn sqlite_forgets_times_that_tell_of_no_message() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    for seconds in 0..10 {
        let sequence = send(&store, alice, bob, b"soon gone").await;
        store.acknowledge(alice, &[sequence]).await.unwrap();
        store.mark_time(time(seconds)).await.unwrap();
    }
    assert_eq!(count(&directory, "times"), 1);
}

// SQLite: nobody's contents stay.

#[tokio::test]
async fn sqlite_sweeps_abandoned_uploads() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, _) = alice_and_bob(&store).await;
    let upload = upload(&store, alice, 40 * CHUNK_SIZE).await;
    assert_eq!(count(&directory, "chunks"), 40);
    store.abandon_upload(upload);
    eventually(&directory, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM uploads) = 0").await;
}

#[tokio::test]
async fn sqlite_sweeps_uploads_of_before_a_restart_but_no_messages() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    upload(&store, alice, 20 * CHUNK_SIZE).await;
    let sequence = send_large(&store, alice, bob, 2 * CHUNK_SIZE).await;
    drop(store);
    let store = open(&directory);
    eventually(&directory, "SELECT (SELECT count(*) FROM chunks) = 2 AND (SELECT count(*) FROM uploads) = 0")
        .await;
    assert_eq!(store.read_content(sequence, 1).await.unwrap(), pattern(CHUNK_SIZE, 1));
}

#[tokio::test]
async fn sqlite_erases_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    let small = send(&store, alice, bob, b"a very particular text").await;
    let large = send(&store, alice, bob, &b"another particular text".repeat(1_000)).await;
    store.acknowledge(alice, &[small, large]).await.unwrap();
    eventually(&directory, "SELECT count(*) = 0 FROM chunks").await;
    store.close().await;
    let file = std::fs::read(database(&directory)).unwrap();
    assert!(!file.windows(15).any(|window| window == b"particular text"));
}

#[tokio::test]
async fn sqlite_does_not_let_its_log_grow() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    let sequence = send_large(&store, alice, bob, 800 * CHUNK_SIZE).await;
    let log = std::fs::metadata(directory.path().join("server.db-wal")).unwrap().len();
    assert!(log < 25 << 20, "{log} bytes");
    assert_eq!(store.read_content(sequence, 799).await.unwrap(), pattern(CHUNK_SIZE, 799));
}

// SQLite: the storage fails.

#[tokio::test]
async fn sqlite_says_so_when_it_is_full_and_works_again_when_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { max_pages: Some(200), ..Options::default() };
    let store = SqliteStore::open_with(&database(&directory), options).unwrap();
    let (alice, bob) = alice_and_bob(&store).await;
    let full = async || {
        let sending = (0..60).map(|_| store.enqueue(text(alice, bob, &[7; 30_000]), QueueLimits::default()));
        let (sent, failed): (Vec<_>, Vec<_>) = join_all(sending).await.into_iter().partition(Result::is_ok);
        assert!(failed.iter().all(|outcome| matches!(outcome, Err(StoreError::Storage(_)))));
        assert!(!sent.is_empty() && !failed.is_empty(), "{} sent, {} failed", sent.len(), failed.len());
        sent.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let sent = full().await;
    assert_eq!(waiting(&store, alice).await, sent);
    assert_eq!(store.acknowledge(alice, &sent).await.unwrap(), u64::try_from(sent.len()).unwrap());
    eventually(&directory, "SELECT count(*) = 0 FROM chunks").await;
    let sent = full().await;
    drop(store);
    assert_eq!(waiting(&open(&directory), alice).await, sent);
}

#[tokio::test]
async fn sqlite_says_so_when_another_program_holds_the_lock_and_goes_on_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    let other = rusqlite::Connection::open(database(&directory)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sending = (0..3).map(|_| store.enqueue(text(alice, bob, b"text"), QueueLimits::default()));
    for outcome in join_all(sending).await {
        assert!(matches!(outcome, Err(StoreError::Storage(_))));
    }
    assert_eq!(waiting(&store, alice).await, []);
    other.execute_batch("ROLLBACK").unwrap();
    send(&store, alice, bob, b"text").await;
}

#[tokio::test]
async fn sqlite_survives_a_damaged_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    for _ in 0..50 {
        send(&store, alice, bob, &[1; 3_000]).await;
    }
    store.close().await;
    drop(store);
    let mut file = std::fs::read(database(&directory)).unwrap();
    // Behind the first pages of all tables.
    file[50 * 4_096..].fill(0xa5);
    std::fs::write(database(&directory), file).unwrap();
    let store = open(&directory);
    let read = store.pending(alice, Sequence::default(), 100, usize::MAX).await;
    assert!(matches!(read, Err(StoreError::Storage(_))));
    assert_eq!(store.client(bob).await.unwrap().unwrap().id, bob);
}

// SQLite: the file.

#[tokio::test]
async fn sqlite_makes_the_tables_that_classic_tools_expect() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.register(client(1, "Alice"), time(1_600_000_000)).await.unwrap();
    send(&store, id(1), id(1), b"text").await;
    eventually(
        &directory,
        "SELECT ID = x'01010101010101010101010101010101' AND UserName = 'Alice'
         AND length(PublicKey) = 160 AND LastSeen = '2020-09-13 12:26:40' FROM clients",
    )
    .await;
    eventually(
        &directory,
        "SELECT ID = 1 AND ToClient = FromClient AND length(ToClient) = 16 AND Type = 3 AND Content = x'74657874'
         FROM messages",
    )
    .await;
}

#[tokio::test]
async fn sqlite_writes_places_down_as_fast_as_messages_come() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { written_down_from: Some(100), ..Options::default() };
    let store = SqliteStore::open_with(&database(&directory), options).unwrap();
    let (alice, bob) = alice_and_bob(&store).await;
    for transaction in 0..6_u16 {
        let row = |number: u16| {
            let (mut digest, message) = ([0; 32], text(alice, bob, b"text"));
            digest[..4].copy_from_slice(&[transaction.to_be_bytes(), number.to_be_bytes()].concat());
            ImportRow::Message { message, digest }
        };
        let taken = store.import((0..5_000).map(row).collect()).await.unwrap();
        assert!(taken.iter().all(Result::is_ok), "{transaction}: {:?}", taken.last());
    }
    assert_eq!(waiting(&store, alice).await.len(), 30_000);
}

#[tokio::test]
async fn sqlite_brings_a_database_of_the_first_layout_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    outside(&directory)
        .execute_batch(concat!(
            include_str!("../migrations/001_initial.sql"),
            "PRAGMA application_id = 1299408725; PRAGMA user_version = 1;
             INSERT INTO clients (ID, UserName, PublicKey)
             VALUES (x'01010101010101010101010101010101', 'Alice', zeroblob(160));
             INSERT INTO messages (ID, ToClient, FromClient, Type, Size, Content)
             VALUES (7, x'01010101010101010101010101010101', x'02020202020202020202020202020202', 3, 3, x'6f6c64');"
        ))
        .unwrap();
    let store = open(&directory);
    let new = send(&store, id(1), id(1), b"new").await;
    assert_eq!(waiting(&store, id(1)).await, [Sequence(7), new]);
    assert_eq!(store.acknowledge(id(1), &[Sequence(7)]).await.unwrap(), 1);
    assert_eq!(waiting(&store, id(1)).await, [new]);
}

#[tokio::test]
async fn sqlite_makes_a_table_that_went_missing() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory));
    outside(&directory).execute_batch("DROP TABLE messages; DROP TABLE chunks").unwrap();
    let store = open(&directory);
    let (alice, bob) = alice_and_bob(&store).await;
    send_large(&store, alice, bob, CHUNK_SIZE).await;
}

#[test]
fn sqlite_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let _store = open(&directory);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn sqlite_does_not_share_a_file_with_another_server() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(&directory);
    assert!(matches!(refusal(&database(&directory)), OpenProblem::Locked));
    drop(first);
    open(&directory);
}

#[test]
fn sqlite_leaves_a_classic_database_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    outside(&directory).execute_batch("CREATE TABLE Clients (ID, Name)").unwrap();
    let before = std::fs::read(database(&directory)).unwrap();
    let error = SqliteStore::open(&database(&directory)).err().unwrap();
    assert!(error.problem.to_string().contains("messageu-server import PATH"), "{error}");
    assert_eq!(std::fs::read(database(&directory)).unwrap(), before);
}

#[test]
fn sqlite_leaves_other_programs_databases_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    outside(&directory).execute_batch("CREATE TABLE recipes (title)").unwrap();
    assert!(matches!(refusal(&database(&directory)), OpenProblem::Foreign));
}

#[test]
fn sqlite_refuses_a_newer_layout() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory));
    outside(&directory).pragma_update(None, "user_version", 1_000).unwrap();
    assert!(matches!(refusal(&database(&directory)), OpenProblem::Newer { found: 1_000, .. }));
}

#[test]
fn sqlite_refuses_what_is_not_a_database() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(database(&directory), "a text, and not a short one either".repeat(100)).unwrap();
    assert!(matches!(refusal(&database(&directory)), OpenProblem::NotADatabase));
}

#[test]
fn sqlite_says_what_to_do_where_it_cannot_write() {
    let error = refusal(Path::new("/nonexistent/server.db"));
    assert!(matches!(error, OpenProblem::File(_)));
    assert!(error.to_string().contains("directory must exist"), "{error}");
}

// What the tests are made of.

fn database(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("server.db")
}

fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(&database(directory)).unwrap()
}

fn refusal(path: &Path) -> OpenProblem {
    let OpenError { problem, .. } = SqliteStore::open(path).err().unwrap();
    problem
}

/// The database as other programs see it.
fn outside(directory: &TempDir) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(database(directory)).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

fn count(directory: &TempDir, table: &str) -> i64 {
    outside(directory).query_one(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Waits until the query says so.
async fn eventually(directory: &TempDir, query: &str) {
    let connection = outside(directory);
    for _ in 0..1_000 {
        if connection.query_one(query, [], |row| row.get(0)).unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {query}");
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn id(number: u8) -> ClientId {
    ClientId([number; 16])
}

fn client(number: u8, name: &str) -> Client {
    Client {
        id: id(number),
        name: Name::new(name).unwrap(),
        public_key: PublicKey([number; 160]),
        profile: "padded-1024".to_owned(),
    }
}

fn client_row(number: u8, name: &str) -> ImportRow {
    ImportRow::Client { client: client(number, name), last_seen: Some(1_700_000_000) }
}

fn message_row(message: NewMessage, number: u8) -> ImportRow {
    ImportRow::Message { message, digest: [number; 32] }
}

async fn register(store: &impl Store, number: u8, name: &str) -> Client {
    let client = client(number, name);
    store.register(client.clone(), time(1_600_000_000)).await.unwrap();
    client
}

async fn alice_and_bob(store: &impl Store) -> (ClientId, ClientId) {
    (register(store, 1, "Alice").await.id, register(store, 2, "Bob").await.id)
}

fn text(to: ClientId, from: ClientId, content: &[u8]) -> NewMessage {
    let content = Content::Inline(Bytes::copy_from_slice(content));
    NewMessage { to, from, kind: MessageType::TEXT, content }
}

async fn send(store: &impl Store, to: ClientId, from: ClientId, content: &[u8]) -> Sequence {
    store.enqueue(text(to, from, content), QueueLimits::default()).await.unwrap()
}

/// Bytes that differ from those of another number.
fn pattern(size: usize, number: usize) -> Bytes {
    let bytes = u32::try_from(number).unwrap().to_le_bytes();
    bytes.into_iter().cycle().take(size).collect()
}

/// Uploads a content whose chunks are patterns of their numbers.
async fn upload(store: &impl Store, to: ClientId, size: usize) -> UploadId {
    let upload = store.begin_upload(to, u32::try_from(size).unwrap()).await.unwrap();
    for index in 0..size.div_ceil(CHUNK_SIZE) {
        let rest = size - index * CHUNK_SIZE;
        store.append_chunk(upload, pattern(rest.min(CHUNK_SIZE), index)).await.unwrap();
    }
    upload
}

async fn send_large(store: &impl Store, to: ClientId, from: ClientId, size: usize) -> Sequence {
    let content = Content::Uploaded(upload(store, to, size).await);
    let message = NewMessage { to, from, kind: MessageType::FILE, content };
    store.enqueue(message, QueueLimits::default()).await.unwrap()
}

async fn all_pending(store: &impl Store, to: ClientId) -> Vec<Pending> {
    store.pending(to, Sequence::default(), usize::MAX, usize::MAX).await.unwrap()
}

async fn waiting(store: &impl Store, to: ClientId) -> Vec<Sequence> {
    all_pending(store, to).await.into_iter().map(|message| message.sequence).collect()
}

/// Drives all at once. Returns their outcomes in order.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(move |context| {
        let mut ready = true;
        for (future, outcome) in &mut futures {
            if outcome.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *outcome = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if !ready {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(futures.iter_mut().map(|(_, outcome)| outcome.take().unwrap()).collect())
    })
    .await
}
