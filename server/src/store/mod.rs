//! Where clients and waiting messages are kept: the [`Store`] trait, which belongs to no dialect.
//!
//! Every implementation passes the battery in `tests/store_battery.rs`.

pub mod memory;
mod metrics;
pub mod modern;
pub mod sqlite;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use thiserror::Error;

use self::modern::ModernStore;

pub use self::metrics::{Amount, Flow, Histogram, Movement, StoreMetrics, Tally};

/// Largest content that is kept and handed out in one piece, and the size of the pieces of any larger one, in bytes.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// The order in which a store accepted messages: rises with every message, is never used twice, survives restarts.
/// Its low 32 bits are the message id of the classic dialects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Sequence(pub i64);

/// A registered client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Chosen by the server at registration.
    pub id: ClientId,
    /// Unique among all clients.
    pub name: Name,
    /// 160 bytes that the server does not look into.
    pub public_key: PublicKey,
    /// The profile that its registration was recognised as (a name from the wire's table of profiles): a hint for
    /// requests whose bytes alone do not tell.
    pub profile: String,
}

/// A row of the roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterEntry {
    /// The entry's place; the next page begins after it.
    pub position: i64,
    /// The client's id.
    pub id: ClientId,
    /// The client's name.
    pub name: Name,
}

/// The extent of the roster at one moment, so that pages read later add up to what was announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RosterExtent {
    /// Clients up to and including `last`, without the one who asked.
    pub count: u64,
    /// The place of the last of them.
    pub last: i64,
}

/// A content in the course of being uploaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UploadId(pub i64);

/// The content of a message to be enqueued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// All of it, at most [`CHUNK_SIZE`] bytes.
    Inline(Bytes),
    /// Appended chunk by chunk before, and complete. The upload is used up, unless the message is refused.
    Uploaded(UploadId),
}

/// A message to be enqueued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMessage {
    /// The recipient.
    pub to: ClientId,
    /// The sender.
    pub from: ClientId,
    /// What kind of message.
    pub kind: MessageType,
    /// Its content.
    pub content: Content,
}

/// A row of another server's database, to be taken over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImportRow {
    /// A client.
    Client {
        /// Who.
        client: Client,
        /// When it was last there, in whole seconds since 1970 began, if that is known.
        last_seen: Option<i64>,
    },
    /// A message.
    Message {
        /// What waits, and for whom. Its sender may be gone, and it meets no limits.
        message: NewMessage,
        /// Tells it from all others, for the next time.
        digest: [u8; 32],
    },
}

/// What became of a row that a store did not refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Imported {
    /// It was taken.
    Now,
    /// It had been taken before.
    Before,
}

/// A message that waits for its recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Its place in the queue.
    pub sequence: Sequence,
    /// The sender.
    pub from: ClientId,
    /// What kind of message.
    pub kind: MessageType,
    /// Bytes of content.
    pub size: u32,
    /// The content, where it was small and there was room; otherwise read it with [`Store::read_content`].
    pub content: Option<Bytes>,
}

/// How much may wait for one client, and what happens to more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimits {
    /// Messages from one sender to one recipient.
    pub per_pair: u64,
    /// What happens to a message beyond `per_pair`.
    pub policy: QueuePolicy,
    /// Bytes of content from one sender to one recipient; more is refused.
    pub bytes_per_pair: u64,
    /// Messages for one recipient, from all senders; more is refused.
    pub per_recipient: u64,
    /// Bytes of content for one recipient; more is refused.
    pub bytes_per_recipient: u64,
}

/// One sender may fill a quarter of a recipient's queue, so that none keeps the others out. A pair may have the largest
/// content there is.
impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            per_pair: 10_000,
            policy: QueuePolicy::Reject,
            bytes_per_pair: 4 << 30,
            per_recipient: 40_000,
            bytes_per_recipient: 16 << 30,
        }
    }
}

impl QueueLimits {
    /// How many of the oldest messages from a sender to a recipient have to go so that one can join the `waiting` ones.
    fn surplus(&self, waiting: u64) -> Result<u64, StoreError> {
        if waiting < self.per_pair {
            Ok(0)
        } else if self.policy == QueuePolicy::DropOldest && self.per_pair > 0 {
            Ok(waiting - self.per_pair + 1)
        } else {
            Err(StoreError::QueueFull("messages from this sender to this recipient"))
        }
    }

    /// Whether this much may wait of one sender for one recipient.
    fn allow_pair(&self, bytes: u64) -> Result<(), StoreError> {
        if bytes > self.bytes_per_pair {
            return Err(StoreError::QueueFull("bytes from this sender to this recipient"));
        }
        Ok(())
    }

    /// Whether this much may wait for one recipient.
    fn allow(&self, messages: u64, bytes: u64) -> Result<(), StoreError> {
        if messages > self.per_recipient {
            return Err(StoreError::QueueFull("messages for this recipient"));
        }
        if bytes > self.bytes_per_recipient {
            return Err(StoreError::QueueFull("bytes for this recipient"));
        }
        Ok(())
    }
}

/// What happens to a message beyond the limit of its sender and recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueuePolicy {
    /// The new message is refused.
    Reject,
    /// The oldest message of this sender to this recipient makes room.
    DropOldest,
}

/// Why a store did not do as it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else has this name.
    #[error("the name is taken")]
    NameTaken,
    /// Somebody else has this id, or one with the same first half; choose another.
    #[error("the id is taken")]
    IdTaken,
    /// No client has this id.
    #[error("no client has the id {0}")]
    UnknownClient(ClientId),
    /// The recipient's queue has no room (which limit).
    #[error("the queue is full: {0}")]
    QueueFull(&'static str),
    /// No such message or upload (any more).
    #[error("no such content")]
    NoSuchContent,
    /// The caller did not keep to the contract: an error of this program, not of a peer.
    #[error("the store was misused: {0}")]
    Misuse(&'static str),
    /// The storage itself failed: disk full, locked, damaged, closed. Never tells of contents or keys.
    #[error("the storage failed: {0}")]
    Storage(String),
}

/// Where clients and waiting messages are kept.
///
/// When a method that changes something returns `Ok`, the change is durable, except where it says otherwise; when it
/// returns an error, nothing has changed. Every method can fail with [`StoreError::Storage`], and a later call may find
/// the storage working again. A call that was begun and then dropped may or may not have taken effect.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Adds a client.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], where upper and lower case differ; [`StoreError::IdTaken`] also when another id has
    /// the same first 8 bytes.
    async fn register(&self, client: Client, now: SystemTime) -> Result<(), StoreError>;

    /// The client with this id.
    async fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError>;

    /// The one client whose id begins with these bytes.
    async fn client_by_prefix(&self, prefix: [u8; 8]) -> Result<Option<Client>, StoreError>;

    /// Remembers the profile of a client that had none.
    async fn remember_profile(&self, id: ClientId, profile: &str) -> Result<(), StoreError>;

    /// Removes a client with all that waits for it. What it sent stays.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`].
    async fn delete_client(&self, id: ClientId) -> Result<(), StoreError>;

    /// Notes that a client was here. Durable within seconds, not at once; an unknown id is ignored.
    fn touch(&self, id: ClientId, now: SystemTime);

    /// When a client was last here, to the second, as far as is known.
    async fn last_seen(&self, id: ClientId) -> Result<Option<SystemTime>, StoreError>;

    /// How many clients there are besides `asker`.
    async fn roster(&self, asker: ClientId) -> Result<RosterExtent, StoreError>;

    /// At most `limit` clients besides `asker`, of those behind `after` and up to `last`, in order of registration.
    async fn roster_page(
        &self,
        asker: ClientId,
        after: i64,
        last: i64,
        limit: usize,
    ) -> Result<Vec<RosterEntry>, StoreError>;

    /// Begins a content of `size` bytes that is too large for one piece.
    ///
    /// Nothing is reserved, and limits are checked when the message is enqueued. An upload does not survive a restart.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`] for an unknown recipient.
    async fn begin_upload(&self, to: ClientId, size: u32) -> Result<UploadId, StoreError>;

    /// Whether a message with a content of `size` bytes would be taken now, before its content is.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`].
    async fn check_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: u32,
        limits: QueueLimits,
    ) -> Result<(), StoreError>;

    /// Appends a chunk: exactly [`CHUNK_SIZE`] bytes, but for the last. Need not be durable before the enqueue is. Of calls
    /// that go on at the same time, the one that was polled first comes first.
    ///
    /// # Errors
    /// [`StoreError::NoSuchContent`], [`StoreError::Misuse`] for a chunk of another size.
    async fn append_chunk(&self, upload: UploadId, chunk: Bytes) -> Result<(), StoreError>;

    /// Gives an upload up. Its chunks are erased soon; never fails, as nobody could do better.
    fn abandon_upload(&self, upload: UploadId);

    /// Puts a message at the end of its recipient's queue. Of calls that go on at the same time, the one that was polled
    /// first takes its place first.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`] for an unknown sender or recipient; [`StoreError::QueueFull`];
    /// [`StoreError::NoSuchContent`] for an unknown upload; [`StoreError::Misuse`] for an incomplete one, or more than
    /// [`CHUNK_SIZE`] bytes inline.
    async fn enqueue(&self, message: NewMessage, limits: QueueLimits) -> Result<Sequence, StoreError>;

    /// What waits for a client behind `after`: at most `limit` messages, oldest first. Deletes nothing.
    ///
    /// Contents up to [`CHUNK_SIZE`] come along, each that still fits into what is left of `inline_budget` bytes.
    async fn pending(
        &self,
        to: ClientId,
        after: Sequence,
        limit: usize,
        inline_budget: usize,
    ) -> Result<Vec<Pending>, StoreError>;

    /// Chunk number `index` (counted from 0) of a waiting message's content: [`CHUNK_SIZE`] bytes, but for the last.
    ///
    /// # Errors
    /// [`StoreError::NoSuchContent`] when the message is gone or has no such chunk.
    async fn read_content(&self, sequence: Sequence, index: u32) -> Result<Bytes, StoreError>;

    /// Deletes messages that have arrived; those of others, and those already gone, are left out.
    ///
    /// Returns how many it deleted. After an error, some may be deleted.
    async fn acknowledge(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, StoreError>;

    /// Takes rows over from another database, together. Each is taken, found to have been taken before, or refused.
    ///
    /// # Errors
    /// For a row: those of [`register`](Store::register), or of [`enqueue`](Store::enqueue) but for its limits and its
    /// sender.
    async fn import(&self, rows: Vec<ImportRow>) -> Result<Vec<Result<Imported, StoreError>>, StoreError>;

    /// Notes that all messages that there have been were there at this time, or at the latest one noted if that is later,
    /// and returns it.
    async fn mark_time(&self, now: SystemTime) -> Result<SystemTime, StoreError>;

    /// Drops messages that are known by [`Store::mark_time`] to have been there before this time, oldest first, at most
    /// `limit`. Returns how many; 0 means that none is left.
    async fn expire(&self, before: SystemTime, limit: usize) -> Result<u64, StoreError>;

    /// At most `limit` clients that are written down as last seen before this time, but not before `earliest`. Those of
    /// whom it is not known are not among them.
    async fn clients_last_seen_between(
        &self,
        earliest: SystemTime,
        before: SystemTime,
        limit: usize,
    ) -> Result<Vec<ClientId>, StoreError>;

    /// What it keeps of version 3, if it does.
    fn modern(&self) -> Option<&dyn ModernStore> {
        None
    }

    /// What came and went, and what waits.
    fn metrics(&self) -> &StoreMetrics;

    /// Bytes that the store takes on disk.
    fn disk_use(&self) -> DiskUse {
        DiskUse::default()
    }

    /// Tries whether changes can be made: makes one, durably, that leaves everything as it is.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Bytes that the store has on disk and can use again, beside what is free there: deleting does not give them back.
    fn reusable_bytes(&self) -> u64 {
        0
    }

    /// Writes down what is not yet durable, and stops: later calls fail.
    async fn close(&self);
}

/// Bytes that a store takes on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskUse {
    /// Of the database.
    pub database: u64,
    /// Of the log of changes that are not yet in it.
    pub log: u64,
}

/// Bytes of a content's chunk; 0 behind its end.
fn chunk_size(content_size: u32, index: u32) -> usize {
    let size = usize::try_from(content_size).unwrap_or(usize::MAX);
    let start = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(CHUNK_SIZE);
    size.saturating_sub(start).min(CHUNK_SIZE)
}

/// Whether a content goes along with its message; if so, it is taken off the budget.
fn goes_along(content_size: u32, budget: &mut usize) -> bool {
    let rest = usize::try_from(content_size)
        .ok()
        .filter(|size| *size <= CHUNK_SIZE)
        .and_then(|size| budget.checked_sub(size));
    *budget = rest.unwrap_or(*budget);
    rest.is_some()
}

/// Whole seconds since 1970 began: how times are kept.
fn to_unix(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

/// The time that [`to_unix`] gave; [`UNIX_EPOCH`] for what no [`SystemTime`] can be.
fn from_unix(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}
