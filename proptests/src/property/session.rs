//! Sessions: whatever a store is asked, in whatever order and however it is stopped in between, it does as the model does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::{
    CHUNK_SIZE, Client, Content, NewMessage, QueueLimits, QueuePolicy, RosterEntry, Sequence, Store, UploadId,
};
use messageu_wire::fields::{ClientId, Name, PUBLIC_KEY_SIZE, PublicKey};
use messageu_wire::message::MessageType;

use crate::disk::{Disk, End, with_disk};
use crate::model::{Model, Refusal};
use crate::rarely::rarely;

/// Of all sessions, one in so many is held with the store on disk too: threads and a disk take a hundred times as long.
const ON_DISK_ONE_IN: u32 = 32;

/// Of those on disk, one in so many lets the store end and begin again, which takes a hundred times as long once more.
const ENDING_ONE_IN: u32 = 16;

/// Most steps of a session.
const STEPS_MAX: usize = 64;

/// A session as a fuzzer's bytes say it, four a step, with the store in memory, and perhaps with the one on disk.
///
/// # Errors
/// Never: any bytes say a session.
pub fn check_any_session(bytes: &mut Unstructured<'_>) -> Result<()> {
    let all = bytes.peek_bytes(bytes.len()).unwrap_or_default();
    let (on_disk, ends) = (rarely(all, ON_DISK_ONE_IN), rarely(all, ON_DISK_ONE_IN * ENDING_ONE_IN));
    let (steps, _) = bytes.bytes(bytes.len())?.as_chunks::<4>();
    check_session(&steps[..steps.len().min(STEPS_MAX)], on_disk, ends);
    Ok(())
}

/// A session with the store in memory, and with the one on disk, which may also end in between.
fn check_session(steps: &[[u8; 4]], on_disk: bool, ends: bool) {
    with_disk(|disk| {
        disk.runtime.block_on(async {
            let store = MemoryStore::new();
            let mut session = Session::default();
            for step in steps {
                session.take(&store, *step).await;
            }
            session.compare(&store).await;
        });
        if on_disk {
            hold(disk, steps, ends);
        }
    });
}

/// A session with the store on disk, which is left empty.
fn hold(disk: &mut Disk, steps: &[[u8; 4]], ends: bool) {
    let mut session = Session::default();
    for step in steps {
        match End::of(*step) {
            Some(end) if ends => {
                disk.end(end);
                session.begin_again(end);
            }
            _ => disk.ask(async |store| session.take(store, *step).await),
        }
    }
    disk.ask(async |store| {
        session.compare(store).await;
        session.leave(store).await;
    });
}

/// What is asked of one store, and of the model.
#[derive(Default)]
struct Session {
    model: Model,
    /// Numbers that the store gave, for whatever became of them.
    sequences: Vec<Sequence>,
    uploads: Vec<UploadId>,
    /// Whether notes of visits may have been lost.
    forgot_visits: bool,
}

impl Session {
    /// One step: what, and three bytes that say with whom and how much.
    async fn take(&mut self, store: &impl Store, [what, a, b, c]: [u8; 4]) {
        let model = &mut self.model;
        match what % 20 {
            0 | 1 => {
                let client = client(id(a), b, c);
                let registered = store.register(client.clone(), time(c)).await;
                assert_same(registered, model.register(client, time(c)));
            }
            // Promised for a client that had none.
            2 if model.client(id(a)).is_none_or(|client| client.profile.is_empty()) => {
                let profile = ["ascii", "padded-1024"][usize::from(b % 2)];
                store.remember_profile(id(a), profile).await.expect("a sound store");
                model.remember_profile(id(a), profile);
            }
            2 | 3 => assert_same(store.delete_client(id(a)).await, model.delete_client(id(a))),
            4 => {
                store.touch(id(a), time(b));
                model.touch(id(a), time(b));
            }
            5 => self.compare_roster(store, id(a), 1 + usize::from(b % 4)).await,
            6 => {
                let size = size(b, c) as u32;
                let begun = store.begin_upload(id(a), size).await;
                let given = begun.as_ref().ok().copied();
                self.uploads.extend(given);
                assert_same(begun.map(|_| ()), model.begin_upload(id(a), size, given));
            }
            7 | 8 => {
                let upload = nth(&self.uploads, a).unwrap_or(UploadId(0));
                let chunk = content(if b % 4 == 0 { size(c, b) } else { CHUNK_SIZE }, c);
                assert_same(
                    store.append_chunk(upload, chunk.clone()).await,
                    model.append_chunk(upload, &chunk),
                );
            }
            9 => {
                let upload = nth(&self.uploads, a).unwrap_or(UploadId(0));
                store.abandon_upload(upload);
                model.abandon_upload(upload);
            }
            10 => {
                let (size, limits) = (size(c, b) as u32, limits(c));
                let room = store.check_room(id(a), id(b), size, limits).await;
                assert_same(room, model.check_room(id(a), id(b), size, &limits));
            }
            11..=14 => {
                let uploaded = nth(&self.uploads, b / 8).filter(|_| what.is_multiple_of(7));
                let content = match uploaded {
                    Some(upload) => Content::Uploaded(upload),
                    None => Content::Inline(content(size(c, b), c)),
                };
                let kind = MessageType(c % 5);
                let message = NewMessage { to: id(a), from: id(b), kind, content };
                let limits = limits(a / 8);
                let accepted = store.enqueue(message.clone(), limits).await;
                let given = accepted.as_ref().ok().copied();
                self.sequences.extend(given);
                assert_same(accepted.map(|_| ()), model.enqueue(&message, &limits, given));
            }
            15 => {
                let after = nth(&self.sequences, b).unwrap_or_default();
                let (limit, budget) = (usize::from(c % 8), size(b, c));
                let pending = store.pending(id(a), after, limit, budget).await.expect("a sound store");
                assert_eq!(pending, model.pending(id(a), after, limit, budget));
            }
            16 => {
                let sequence = nth(&self.sequences, a).unwrap_or_default();
                let read = store.read_content(sequence, u32::from(b % 4)).await;
                assert_same(read, model.read_content(sequence, u32::from(b % 4)));
            }
            17 => {
                let some = [b, c].map(|at| nth(&self.sequences, at).unwrap_or_default());
                let deleted = store.acknowledge(id(a), &some).await.expect("a sound store");
                assert_eq!(deleted, model.acknowledge(id(a), &some));
            }
            // Somebody asks, and goes away.
            18 => tokio::select! {
                biased;
                _ = store.pending(id(a), Sequence::default(), usize::from(b), usize::from(c)) => {}
                () = std::future::ready(()) => {}
            },
            // Ends are not for every store, nor for every session.
            _ => {}
        }
    }

    /// The store has begun again. One that was killed may have lost when clients were there.
    fn begin_again(&mut self, end: End) {
        self.model.restart();
        self.forgot_visits |= matches!(end, End::Killed);
    }

    /// All that the store holds is what the model holds.
    async fn compare(&self, store: &impl Store) {
        self.compare_roster(store, ClientId::NOBODY, usize::MAX / 2).await;
        for id in (0..IDS).map(id) {
            let prefix = *id.0.first_chunk().expect("an id is longer");
            assert_eq!(store.client(id).await.expect("a sound store").as_ref(), self.model.client(id));
            assert_eq!(
                store.client_by_prefix(prefix).await.expect("a sound store").as_ref(),
                self.model.client_by_prefix(prefix)
            );
            if !self.forgot_visits {
                assert_eq!(store.last_seen(id).await.expect("a sound store"), self.model.last_seen(id));
            }
            let pending = store.pending(id, Sequence::default(), usize::MAX / 2, usize::MAX / 2);
            let pending = pending.await.expect("a sound store");
            let expected = self.model.pending(id, Sequence::default(), usize::MAX / 2, usize::MAX / 2);
            assert_eq!(pending, expected);
            for message in pending.iter().filter(|message| message.content.is_none()) {
                for index in 0..=message.size / CHUNK_SIZE as u32 + 1 {
                    assert_same(
                        store.read_content(message.sequence, index).await,
                        self.model.read_content(message.sequence, index),
                    );
                }
            }
        }
    }

    /// The pages of the roster add up to the model's.
    async fn compare_roster(&self, store: &impl Store, asker: ClientId, page: usize) {
        let extent = store.roster(asker).await.expect("a sound store");
        let mut listed: Vec<RosterEntry> = Vec::new();
        loop {
            let after = listed.last().map_or(0, |entry| entry.position);
            let entries = store.roster_page(asker, after, extent.last, page).await.expect("a sound store");
            assert!(entries.len() <= page && entries.iter().all(|entry| entry.position > after));
            if entries.is_empty() {
                break;
            }
            listed.extend(entries);
        }
        assert_eq!(extent.count, listed.len() as u64);
        let expected = self.model.roster(asker);
        let same = |(entry, expected): (&RosterEntry, &crate::model::Listed)| {
            (entry.id, &entry.name) == (expected.id, &expected.name)
        };
        assert!(listed.len() == expected.len() && listed.iter().zip(&expected).all(same), "{listed:?}");
    }

    /// Leaves nothing behind, as far as the store is asked.
    async fn leave(mut self, store: &impl Store) {
        for upload in self.model.numbers().1 {
            store.abandon_upload(upload);
        }
        for id in (0..IDS).map(id) {
            assert_same(store.delete_client(id).await, self.model.delete_client(id));
        }
        self.compare(store).await;
    }
}

/// The store and the model have done the same.
#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(
    store: std::result::Result<T, messageu_server::store::StoreError>,
    model: std::result::Result<T, Refusal>,
) {
    assert_eq!(store.map_err(Refusal::from), model);
}

/// Clients that there may be.
const IDS: u8 = 6;

/// One of a few ids, two of which share their first half, and one of which is printable.
fn id(byte: u8) -> ClientId {
    match byte % IDS {
        0 => ClientId([0x11; 16]),
        1 => ClientId([0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 2, 2, 2, 2, 2, 2, 2, 2]),
        2 => ClientId(*b"a printable id  "),
        other => ClientId([0xf0 + other; 16]),
    }
}

fn client(id: ClientId, name: u8, more: u8) -> Client {
    let name = ["alice", "Alice", "bob", "carol", "dave"][usize::from(name % 5)];
    let profile = ["", "", "classic"][usize::from(more % 3)].to_owned();
    let name = Name::new(name).expect("a name");
    Client { id, name, public_key: PublicKey([more; PUBLIC_KEY_SIZE]), profile }
}

/// Times of whole seconds, also before 1970.
fn time(byte: u8) -> SystemTime {
    let seconds = Duration::from_secs(u64::from(byte) * 40_000_000);
    if byte.is_multiple_of(7) { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds }
}

/// Sizes of contents: mostly a few bytes, and those at which a store does something else.
fn size(byte: u8, more: u8) -> usize {
    match byte % 32 {
        0 => 0,
        1 => 4_095 + usize::from(more % 3),
        2 => CHUNK_SIZE - 1 + usize::from(more % 3),
        3 => 2 * CHUNK_SIZE - 1 + usize::from(more % 3),
        other => usize::from(other),
    }
}

fn content(size: usize, seed: u8) -> Bytes {
    vec![seed; size].into()
}

/// Limits of a queue: mostly none that are reached.
fn limits(byte: u8) -> QueueLimits {
    let default = QueueLimits::default();
    let policy = if byte.is_multiple_of(2) { QueuePolicy::Reject } else { QueuePolicy::DropOldest };
    match byte % 16 {
        0..4 => QueueLimits { per_pair: u64::from(byte % 16 / 2 + 1), policy, ..default },
        4 | 5 => QueueLimits { per_pair: 0, policy, ..default },
        6 => QueueLimits { bytes_per_pair: 40, ..default },
        7 => QueueLimits { per_recipient: 2, ..default },
        8 => QueueLimits { bytes_per_recipient: 70_000, ..default },
        _ => QueueLimits { policy, ..default },
    }
}

/// One of these, mostly one of the last; `None` for a few bytes, and where there is none.
fn nth<T: Copy>(all: &[T], byte: u8) -> Option<T> {
    all.iter().rev().cycle().take(if all.is_empty() { 0 } else { 250 }).nth(usize::from(byte)).copied()
}
