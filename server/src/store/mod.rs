//! Where clients and waiting messages are kept: the [`Store`] trait, which belongs to no dialect.
//!
//! Every implementation passes the battery in `tests/store_battery.rs`.

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use thiserror::Error;

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
    /// Appended chunk by chunk before; the upload is used up.
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
    /// Messages for one recipient, from all senders; more is refused.
    pub per_recipient: u64,
    /// Bytes of content for one recipient; more is refused.
    pub bytes_per_recipient: u64,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { per_pair: 10_000, policy: QueuePolicy::Reject, per_recipient: 10_000, bytes_per_recipient: 8 << 30 }
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
    /// The storage itself failed: disk full, locked, damaged.
    #[error("the storage failed: {0}")]
    Storage(String),
}

/// Where clients and waiting messages are kept.
///
/// When a method that changes something returns `Ok`, the change is durable, except where it says otherwise.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Adds a client.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`]; [`StoreError::IdTaken`] also when another id has the same first 8 bytes.
    async fn register(&self, client: Client, now: SystemTime) -> Result<(), StoreError>;

    /// The client with this id.
    async fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError>;

    /// The one client whose id begins with these bytes.
    async fn client_by_prefix(&self, prefix: [u8; 8]) -> Result<Option<Client>, StoreError>;

    /// Removes a client with all that waits for it. What it sent stays.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`].
    async fn delete_client(&self, id: ClientId) -> Result<(), StoreError>;

    /// Notes that a client was here. Durable within seconds, not at once; an unknown id is ignored.
    fn touch(&self, id: ClientId, now: SystemTime);

    /// When a client was last here, as far as is known.
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

    /// Begins a content that is too large for one piece.
    ///
    /// `size` is what is announced; it is checked against the recipient's limits at once, and nothing is reserved.
    async fn begin_upload(&self, to: ClientId, size: u32) -> Result<UploadId, StoreError>;

    /// Appends a chunk: exactly [`CHUNK_SIZE`] bytes, but for the last. Need not be durable before the enqueue is.
    async fn append_chunk(&self, upload: UploadId, chunk: Bytes) -> Result<(), StoreError>;

    /// Gives an upload up. Its chunks are erased soon; never fails, as nobody could do better.
    fn abandon_upload(&self, upload: UploadId);

    /// Puts a message at the end of its recipient's queue.
    ///
    /// # Errors
    /// [`StoreError::UnknownClient`] for an unknown sender or recipient, [`StoreError::QueueFull`].
    async fn enqueue(&self, message: NewMessage, limits: QueueLimits) -> Result<Sequence, StoreError>;

    /// What waits for a client behind `after`: at most `limit` messages, oldest first. Deletes nothing.
    ///
    /// Contents up to [`CHUNK_SIZE`] come along, until they add up to `inline_budget` bytes.
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
    /// Returns how many it deleted.
    async fn acknowledge(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, StoreError>;

    /// Writes down what is not yet durable, and stops.
    async fn close(&self);
}
