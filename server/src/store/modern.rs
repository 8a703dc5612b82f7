//! What version 3 keeps: the [`ModernStore`] trait, beside the classic [`Store`](super::Store) and apart from it. Neither
//! ever shows what belongs to the other.
//!
//! Every implementation passes the battery in `tests/modern_battery.rs`.
//!
//! Nothing that is kept tells who sent what. Who has sent how much is counted by tags that are keyed by a secret which is
//! in memory alone, and which a restart replaces. Times are kept in whole minutes, but for registrations, which go soon.

pub(in crate::store) mod quota;

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use messageu_wire::envelope::EnvelopeKind;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{
    DhPublicKey, EnvelopeId, FileId, Fingerprint, OneTimeId, RsaPublicKey, Signature, UnixSeconds,
};
use messageu_wire::fields::{ClientId, Name};
use thiserror::Error;

use super::{QueueLimits, QueuePolicy, Sequence, StoreError, to_unix};

/// One-time keys that are kept of one account.
pub const ONE_TIME_KEYS: usize = 100;

/// One-time keys of one account that another one may use up in a day.
pub const ONE_TIME_KEYS_A_DAY: u8 = 5;

/// How long it is remembered at least that a message was sent, once it is gone: a retry that comes within this time
/// stores nothing. Of all that are gone, [`REMEMBERED_MAX`] are remembered.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// See [`REMEMBERED`].
pub const REMEMBERED_MAX: usize = 750_000;

/// How long an account that gave way to another can still fetch its mail.
pub const OLD_ACCOUNT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Accounts before the present one of which it is remembered that they gave way.
pub const PREDECESSORS: usize = 16;

/// How long the owner of a phone number has to object when somebody else claims it.
pub const CLAIM_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a claim can be completed after that.
pub const CLAIM_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Most chunks of a file: 64 GiB of content.
pub const FILE_CHUNKS_MAX: u32 = 1 << 20;

/// Bytes of an envelope or a chunk that a store takes: more is misuse, as the wire lets none pass.
pub const CONTENT_MAX: usize = messageu_wire::envelope::ENVELOPE_MAX;

/// Bytes that a chunk counts for at least.
pub const CHUNK_COST: usize = 4_096;

/// A phone number, to the store: its HMAC under a secret that is not in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PhoneTag(pub [u8; 32]);

/// A code with its registration, to the store: their HMAC under a secret that is not in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CodeTag(pub [u8; 32]);

/// Which registration waits for a code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RegistrationId(pub [u8; 16]);

/// An account to be registered. The caller has verified its signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccount {
    /// The fingerprint of the identity in the bundle; the client id follows from it.
    pub fingerprint: Fingerprint,
    /// Unique among the accounts of version 3, where upper and lower case differ.
    pub name: Name,
    /// Unique among the accounts of version 3.
    pub phone: Option<PhoneTag>,
    /// What the account can be written to with.
    pub bundle: Bundle,
}

impl NewAccount {
    /// The id of the account.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.fingerprint.client_id()
    }
}

/// An account, as far as authentication needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The fingerprint of its identity.
    pub fingerprint: Fingerprint,
    /// Its identity.
    pub identity: RsaPublicKey,
    /// Whom it gave way to, and until when it can fetch its mail.
    pub moved: Option<Moved>,
}

/// That an account gave way to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The account that has its name now.
    pub to: ClientId,
    /// When the old one goes.
    pub until: SystemTime,
}

/// That an identity follows another. The caller has verified all signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Succession {
    /// The identity that goes.
    pub old_identity: RsaPublicKey,
    /// The fingerprint of the identity that comes.
    pub new_fingerprint: Fingerprint,
    /// The first bundle of the identity that comes.
    pub new_bundle: Bundle,
    /// When it was signed.
    pub issued: UnixSeconds,
    /// By the identity that goes.
    pub rotation: Signature,
    /// By the identity that comes.
    pub succession: Signature,
}

/// The keys to begin a session with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedKeys {
    /// The newest bundle.
    pub bundle: Bundle,
    /// A key that nobody else is given.
    pub one_time: Option<(OneTimeId, DhPublicKey)>,
}

/// An envelope to be enqueued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEnvelope {
    /// The recipient.
    pub to: ClientId,
    /// The sender. It is not kept.
    pub from: ClientId,
    /// The sender's number for it: 128 random bits. It is not kept.
    pub message_id: EnvelopeId,
    /// What kind of envelope.
    pub kind: EnvelopeKind,
    /// All of it, at most [`CONTENT_MAX`] bytes.
    pub envelope: Bytes,
}

/// What became of something that was to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It was stored.
    Now,
    /// It had been stored before; nothing has changed.
    Before,
}

/// An envelope that waits for its recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingEnvelope {
    /// Its place in the queue.
    pub sequence: Sequence,
    /// When it came, in minutes since 1970.
    pub minute: u32,
    /// All of it.
    pub envelope: Bytes,
}

/// A chunk of a file to be kept for its recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewChunk {
    /// The recipient.
    pub to: ClientId,
    /// The sender. It is not kept.
    pub from: ClientId,
    /// Which file: 128 random bits that the sender chose.
    pub file: FileId,
    /// How many chunks the file has, 1 to [`FILE_CHUNKS_MAX`].
    pub chunks: u32,
    /// Which of them, counted from 0.
    pub index: u32,
    /// All of it, at most [`CONTENT_MAX`] bytes.
    pub bytes: Bytes,
}

/// A registration that waits for its code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingRegistration {
    /// Which.
    pub id: RegistrationId,
    /// What is registered, with the phone number that the code was sent to.
    pub account: NewAccount,
    /// The code, under a secret.
    pub code: CodeTag,
    /// From when on it is void.
    pub expires: SystemTime,
}

/// How often a phone number is sent a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeRules {
    /// Codes within 24 hours.
    pub a_day: u32,
    /// Time between two of them.
    pub apart: Duration,
}

impl Default for CodeRules {
    fn default() -> Self {
        Self { a_day: 3, apart: Duration::from_secs(60) }
    }
}

/// What became of a registration whose code was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Completed {
    /// There is an account now.
    Registered,
    /// Somebody else has the name, or the identity has another one or has given way.
    NameTaken,
    /// Somebody else has the phone number, and until then can object. Then it takes another code to have it.
    PhoneWaits {
        /// Until when.
        until: SystemTime,
    },
}

/// How much may be kept for whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailLimits {
    /// Messages for one recipient, from all senders; more is refused.
    pub per_recipient: u64,
    /// Bytes of envelopes for one recipient; more is refused.
    pub bytes_per_recipient: u64,
    /// Messages from one sender to one recipient.
    pub per_pair: u64,
    /// What happens to a message beyond `per_pair`.
    pub policy: QueuePolicy,
    /// Bytes of envelopes from one sender to one recipient; more is refused.
    pub bytes_per_pair: u64,
    /// Bytes of envelopes from one sender in an hour; more is refused.
    pub bytes_per_hour: u64,
    /// Bytes of files for one recipient; more is refused. A small chunk counts as [`CHUNK_COST`].
    pub file_bytes_per_recipient: u64,
    /// Bytes of files from one sender to one recipient; more is refused.
    pub file_bytes_per_pair: u64,
    /// Bytes of files from one sender in an hour; more is refused.
    pub file_bytes_per_hour: u64,
}

impl MailLimits {
    /// What holds for what waits.
    pub(in crate::store) fn queue(&self) -> QueueLimits {
        QueueLimits {
            per_pair: self.per_pair,
            policy: self.policy,
            bytes_per_pair: self.bytes_per_pair,
            per_recipient: self.per_recipient,
            bytes_per_recipient: self.bytes_per_recipient,
        }
    }

    /// Whether so many bytes of files may be kept for a recipient, and of one sender for it.
    pub(in crate::store) fn allow_files(&self, all: u64, pair: u64) -> Result<(), ModernError> {
        if pair > self.file_bytes_per_pair {
            return Err(ModernError::QueueFull("bytes of files from this sender to this recipient"));
        }
        if all > self.file_bytes_per_recipient {
            return Err(ModernError::QueueFull("bytes of files for this recipient"));
        }
        Ok(())
    }
}

/// One sender may fill a quarter of what a recipient has.
impl Default for MailLimits {
    fn default() -> Self {
        Self {
            per_recipient: 10_000,
            bytes_per_recipient: 256 << 20,
            per_pair: 2_500,
            policy: QueuePolicy::Reject,
            bytes_per_pair: 64 << 20,
            bytes_per_hour: 64 << 20,
            file_bytes_per_recipient: 16 << 30,
            file_bytes_per_pair: 4 << 30,
            file_bytes_per_hour: 4 << 30,
        }
    }
}

/// How long what is kept may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailLifetime {
    /// Envelopes.
    pub envelopes: Duration,
    /// Files, from their first chunk on.
    pub files: Duration,
}

impl Default for MailLifetime {
    fn default() -> Self {
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        Self { envelopes: month, files: month }
    }
}

/// Why a store of version 3 did not do as it was asked.
#[derive(Debug, Error)]
pub enum ModernError {
    /// Somebody else has this name.
    #[error("the name is taken")]
    NameTaken,
    /// Somebody else has this phone number.
    #[error("the phone number is taken")]
    PhoneTaken,
    /// No account has this id.
    #[error("no account has the id {0}")]
    UnknownClient(ClientId),
    /// The account gave way to another.
    #[error("the account {0} has moved")]
    Moved(ClientId),
    /// A bundle that is older than the one that is kept, or another one of the same epoch.
    #[error("the bundle is not newer than the one that is kept")]
    StaleKeys,
    /// Something else is there under the same number.
    #[error("something else is there already: {0}")]
    Conflict(&'static str),
    /// There is no room (which limit).
    #[error("there is no room: {0}")]
    QueueFull(&'static str),
    /// Not so often.
    #[error("too soon; again in {} s", retry_after.as_secs())]
    TooSoon {
        /// When it can be tried again.
        retry_after: Duration,
    },
    /// No such registration (any more).
    #[error("no such registration")]
    NoSuchRegistration,
    /// The caller did not keep to the contract: an error of this program, not of a peer.
    #[error("the store was misused: {0}")]
    Misuse(&'static str),
    /// The storage itself failed: disk full, locked, damaged, closed. Never tells of contents or keys.
    #[error("the storage failed: {0}")]
    Storage(String),
}

impl From<StoreError> for ModernError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken => Self::NameTaken,
            StoreError::UnknownClient(id) => Self::UnknownClient(id),
            StoreError::QueueFull(limit) => Self::QueueFull(limit),
            StoreError::IdTaken => Self::Conflict("the id"),
            StoreError::NoSuchContent => Self::Misuse("no such content"),
            StoreError::Misuse(what) => Self::Misuse(what),
            StoreError::Storage(what) => Self::Storage(what),
        }
    }
}

/// Whole minutes since 1970 began: how times are kept.
pub(in crate::store) fn to_minutes(time: SystemTime) -> u32 {
    u32::try_from(to_unix(time).max(0) / 60).unwrap_or(u32::MAX)
}

/// When an account that gave way in this minute goes, in seconds since 1970.
pub(in crate::store) fn goes_at(moved: u32) -> i64 {
    i64::from(moved) * 60 + seconds(OLD_ACCOUNT)
}

/// Whole seconds.
pub(in crate::store) fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Whether a bundle follows on another one, or is the same.
pub(in crate::store) fn is_newer(bundle: &Bundle, than: &Bundle) -> Result<bool, ModernError> {
    match bundle.content.epoch.cmp(&than.content.epoch) {
        Ordering::Greater => Ok(true),
        Ordering::Equal if bundle == than => Ok(false),
        _ => Err(ModernError::StaleKeys),
    }
}

/// Puts one-time keys in order, and refuses such as can be none.
pub(in crate::store) fn in_order(
    mut keys: Vec<(OneTimeId, DhPublicKey)>,
) -> Result<Vec<(OneTimeId, DhPublicKey)>, ModernError> {
    if keys.iter().any(|(id, _)| *id == OneTimeId::NONE || id.offer().is_some()) {
        return Err(ModernError::Misuse("no id of a one-time key"));
    }
    keys.sort_unstable();
    keys.dedup();
    if keys.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other)) {
        return Err(ModernError::Conflict("two one-time keys with the same id"));
    }
    Ok(keys)
}

/// Whether a chunk can be one of its file.
pub(in crate::store) fn check_chunk(chunk: &NewChunk) -> Result<(), ModernError> {
    if chunk.index >= chunk.chunks || chunk.chunks > FILE_CHUNKS_MAX {
        return Err(ModernError::Misuse("no chunk of this file"));
    }
    check_content(&chunk.bytes)
}

pub(in crate::store) fn check_content(content: &Bytes) -> Result<(), ModernError> {
    if content.len() > CONTENT_MAX { Err(ModernError::Misuse("too much content")) } else { Ok(()) }
}

/// Bytes that a chunk counts for.
pub(in crate::store) fn chunk_cost(size: usize) -> u32 {
    u32::try_from(size.max(CHUNK_COST)).unwrap_or(u32::MAX)
}

/// When a phone number may be sent a code again, given when it was sent one within the last day, oldest first.
pub(in crate::store) fn check_codes(sent: &[i64], rules: CodeRules, now: i64) -> Result<(), ModernError> {
    let most = usize::try_from(rules.a_day).unwrap_or(usize::MAX);
    let after_a_day = sent.len().checked_sub(most).and_then(|over| sent.get(over)).map(|first| first + DAY);
    let after_the_last = sent.last().map(|last| last + seconds(rules.apart));
    let again = after_a_day.max(after_the_last).unwrap_or(now);
    if most > 0 && again <= now {
        return Ok(());
    }
    let retry_after = if most == 0 { DAY } else { again - now };
    Err(ModernError::TooSoon { retry_after: Duration::from_secs(retry_after.clamp(1, DAY).unsigned_abs()) })
}

/// Until when the owner of a phone number can object to a claim that was made at this time.
pub(in crate::store) fn can_object_until(since: i64) -> i64 {
    since + seconds(CLAIM_WAIT)
}

/// What becomes of a claim, made at this time, when the same identity has proved itself again.
pub(in crate::store) fn claim_state(since: i64, now: i64) -> Claim {
    let ripe = can_object_until(since);
    if now < ripe {
        Claim::Waits { until: ripe }
    } else if now < ripe + seconds(CLAIM_LIFE) {
        Claim::Ripe
    } else {
        Claim::Void
    }
}

/// See [`claim_state`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Claim {
    /// The owner can object until then.
    Waits { until: i64 },
    /// The number can be had.
    Ripe,
    /// It was not completed in time.
    Void,
}

/// Seconds of a day.
pub(in crate::store) const DAY: i64 = 24 * 60 * 60;

/// Where accounts, keys, mail and files of version 3 are kept.
///
/// When a method that changes something returns `Ok`, the change is durable; when it returns an error, nothing has
/// changed. Every method can fail with [`ModernError::Storage`], and a later call may find the storage working again. A
/// call that was begun and then dropped may or may not have taken effect.
#[async_trait]
pub trait ModernStore: Send + Sync + 'static {
    /// Adds an account. The same id with the same name again changes nothing, but that a bundle of a higher epoch is taken.
    ///
    /// # Errors
    /// [`ModernError::NameTaken`], also for an id that has another name; [`ModernError::PhoneTaken`];
    /// [`ModernError::Moved`] for an id that has given way.
    async fn register_account(&self, account: NewAccount, now: SystemTime) -> Result<(), ModernError>;

    /// The account with this id; one that has moved counts until its time is over.
    async fn account(&self, id: ClientId, now: SystemTime) -> Result<Option<Account>, ModernError>;

    /// Who has exactly this name.
    async fn account_named(&self, name: &Name) -> Result<Option<ClientId>, ModernError>;

    /// Removes an account with everything of it: keys, mail, files, registrations, claims, and the accounts that gave way to
    /// it. An account that itself has given way takes only its own with it.
    ///
    /// # Errors
    /// [`ModernError::UnknownClient`].
    async fn erase_account(&self, id: ClientId) -> Result<(), ModernError>;

    /// Lets an account give way to a new one, which has its name and phone number from now on. The same again changes
    /// nothing.
    ///
    /// # Errors
    /// [`ModernError::UnknownClient`]; [`ModernError::Moved`] for one that has given way to another;
    /// [`ModernError::Conflict`] when the new identity has an account.
    async fn rotate_identity(
        &self,
        old: ClientId,
        succession: Succession,
        now: SystemTime,
    ) -> Result<(), ModernError>;

    /// Whom the account with this id gave way to, as it was signed.
    async fn succession(&self, old: ClientId) -> Result<Option<Succession>, ModernError>;

    /// Takes a bundle, unless the same is kept, and one-time keys.
    ///
    /// The ids of one-time keys rise: one that is not above all that the account has published before is left out, as it may
    /// have been given away. Of more than [`ONE_TIME_KEYS`] the oldest go. Returns how many are kept.
    ///
    /// # Errors
    /// [`ModernError::StaleKeys`]; [`ModernError::Conflict`] for another key under the id of one that is kept;
    /// [`ModernError::UnknownClient`]; [`ModernError::Moved`]; [`ModernError::Misuse`] for an id that is no one-time key's.
    async fn publish_keys(
        &self,
        id: ClientId,
        bundle: Bundle,
        one_time: Vec<(OneTimeId, DhPublicKey)>,
    ) -> Result<u16, ModernError>;

    /// The bundle of an account, and a one-time key, which nobody else is given; none where there is none, where `by` has had
    /// [`ONE_TIME_KEYS_A_DAY`] of it today, or asks for its own.
    ///
    /// # Errors
    /// [`ModernError::UnknownClient`] for either; [`ModernError::Moved`] for either.
    async fn fetch_keys(
        &self,
        of: ClientId,
        by: ClientId,
        now: SystemTime,
    ) -> Result<FetchedKeys, ModernError>;

    /// Puts an envelope at the end of its recipient's queue, once for a sender, recipient and message id. Of calls that go on
    /// at the same time, the one that was polled first takes its place first.
    ///
    /// # Errors
    /// [`ModernError::UnknownClient`] for an unknown sender or recipient; [`ModernError::Moved`] for either;
    /// [`ModernError::QueueFull`]; [`ModernError::TooSoon`] for a sender who has sent too much in this hour;
    /// [`ModernError::Misuse`] for more than [`CONTENT_MAX`] bytes.
    async fn enqueue_envelope(
        &self,
        envelope: NewEnvelope,
        limits: MailLimits,
        now: SystemTime,
    ) -> Result<Kept, ModernError>;

    /// What waits for an account behind `after`, oldest first: at most `limit` envelopes, as many as are not more than
    /// `max_bytes` together, but one if any waits. Deletes nothing.
    async fn pending_envelopes(
        &self,
        to: ClientId,
        after: Sequence,
        max_bytes: usize,
        limit: usize,
    ) -> Result<Vec<PendingEnvelope>, ModernError>;

    /// Deletes envelopes that have arrived; those of others, and those already gone, are left out. Returns how many it
    /// deleted. After an error, some may be deleted.
    async fn acknowledge_envelopes(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, ModernError>;

    /// Keeps a chunk of a file for its recipient.
    ///
    /// # Errors
    /// [`ModernError::Conflict`] for other bytes under the same index, or another number of chunks;
    /// [`ModernError::UnknownClient`] and [`ModernError::Moved`] for either; [`ModernError::QueueFull`];
    /// [`ModernError::Misuse`] for an index that the file does not have, or too many chunks or bytes.
    async fn put_chunk(
        &self,
        chunk: NewChunk,
        limits: MailLimits,
        now: SystemTime,
    ) -> Result<Kept, ModernError>;

    /// A chunk of a file that is kept for this recipient.
    async fn fetch_chunk(&self, to: ClientId, file: FileId, index: u32)
    -> Result<Option<Bytes>, ModernError>;

    /// Deletes a file that is kept for this recipient. Returns how many chunks of it there were.
    async fn drop_file(&self, to: ClientId, file: FileId) -> Result<u32, ModernError>;

    /// Keeps a registration until its code comes, and counts the code for its phone number. One that waits for the same
    /// identity becomes void.
    ///
    /// Registrations, the attempts at them and the codes that were sent outlive a restart: otherwise who restarts the server
    /// would take away a code that is on its way, and give back attempts.
    ///
    /// # Errors
    /// [`ModernError::TooSoon`]; [`ModernError::NameTaken`]; [`ModernError::Misuse`] without a phone number.
    async fn begin_registration(
        &self,
        registration: PendingRegistration,
        rules: CodeRules,
        now: SystemTime,
    ) -> Result<(), ModernError>;

    /// Counts an attempt at a code, and then tells what it has to be compared with; nothing when there is no such
    /// registration (any more), or there have been `most` attempts.
    async fn count_attempt(
        &self,
        id: RegistrationId,
        most: u32,
        now: SystemTime,
    ) -> Result<Option<PendingRegistration>, ModernError>;

    /// Registers whose code was right. The registration is used up, whatever comes of it.
    ///
    /// Where another account has the phone number, that becomes claimed, unless the same identity claims it already; once the
    /// claim is [`CLAIM_WAIT`] old, the number is taken from that account and is the new one's.
    ///
    /// # Errors
    /// [`ModernError::NoSuchRegistration`].
    async fn complete_registration(
        &self,
        id: RegistrationId,
        now: SystemTime,
    ) -> Result<Completed, ModernError>;

    /// Whether somebody claims the phone number of this account, and until when it can object.
    async fn claim_on(&self, id: ClientId) -> Result<Option<SystemTime>, ModernError>;

    /// Makes a claim to this account's phone number void. Returns whether there was one.
    async fn object(&self, id: ClientId) -> Result<bool, ModernError>;

    /// Drops a bounded part of what has had its time: envelopes, files, accounts that gave way, registrations, claims, what
    /// was remembered. Returns whether there may be more.
    ///
    /// Called every hour: how old a message or file is, is known as exactly as that, and their time is at least the latest
    /// that was told before. The others carry times of their own, to which this one is compared as it is.
    async fn drop_expired(&self, lifetime: MailLifetime, now: SystemTime) -> Result<bool, ModernError>;
}
