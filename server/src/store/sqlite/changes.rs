//! What the writer can change, within a transaction that others share.
//!
//! Each change looks first and acts then: one that is refused has changed nothing.

use bytes::Bytes;
use messageu_wire::fields::ClientId;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::counters::{Counters, Queue};
use super::modern::{self, Modern};
use super::tail::{Changed, Place, Tail};
use super::{chunk_id, reader};
use crate::store::modern::ModernError;
use crate::store::{
    Amount, CHUNK_SIZE, Client, Content, ImportRow, Imported, Movement, NewMessage, QueueLimits, Sequence,
    StoreError, UploadId, chunk_size,
};

/// Content up to this many bytes is in its message's row; more is in chunks, so that deleting many messages is quick.
const IN_ROW_MAX: usize = 4_096;

/// Chunks that are erased in one transaction.
pub(super) const SWEPT_AT_ONCE: usize = 16;

/// Why a change was not made.
pub(super) enum Failure<E = StoreError> {
    /// It cannot be, as things are; the transaction goes on.
    Refused(E),
    /// The storage failed; the transaction is lost.
    Failed(rusqlite::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<ModernError> for Failure<ModernError> {
    fn from(error: ModernError) -> Self {
        Self::Refused(error)
    }
}

impl<E> From<rusqlite::Error> for Failure<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl ImportRow {
    /// Bytes that it holds in memory.
    pub(super) fn cost(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Client { .. } => 0,
                Self::Message { message, .. } => message.content.bytes_in_memory(),
            }
    }
}

/// A transaction in the course of being made.
pub(super) struct Changes<'a> {
    pub(super) connection: &'a Connection,
    counters: &'a mut Counters,
    tail: &'a Tail<ClientId>,
    /// What becomes of the tail when the transaction is committed.
    changed: Changed<ClientId>,
    pub(super) sweeping: &'a mut bool,
    /// What this transaction moves.
    pub(super) movement: Movement,
    /// What it changes of version 3.
    pub(super) modern: Modern<'a>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        (counters, tail): (&'a mut Counters, &'a Tail<ClientId>),
        sweeping: &'a mut bool,
        modern: Modern<'a>,
    ) -> Self {
        let (changed, movement) = (Changed::default(), Movement::default());
        Self { connection, counters, tail, changed, sweeping, movement, modern }
    }

    /// What is to be done to the tail, once the transaction is committed, what the transaction moves, and the same of
    /// version 3.
    pub(super) fn finish(self) -> (Changed<ClientId>, Movement, modern::Changed) {
        (self.changed, self.movement, self.modern.changed)
    }

    /// Changes something, and changes it back, so that there is something to commit.
    pub(super) fn probe(&mut self) -> Result<(), Failure> {
        self.reserve_upload_number()?;
        Ok(())
    }

    pub(super) fn register(&mut self, client: &Client, last_seen: Option<i64>) -> Result<(), Failure> {
        if self.exists("SELECT EXISTS (SELECT 1 FROM clients WHERE UserName = ?1)", [client.name.as_str()])? {
            return Err(StoreError::NameTaken.into());
        }
        let (prefix, _) = client.id.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let (first, last) = reader::ids_with_prefix(*prefix);
        if self
            .exists("SELECT EXISTS (SELECT 1 FROM clients WHERE ID BETWEEN ?1 AND ?2)", (first.0, last.0))?
        {
            return Err(StoreError::IdTaken.into());
        }
        self.prepare(
            "INSERT INTO clients (ID, UserName, PublicKey, LastSeen, Profile)
             VALUES (?1, ?2, ?3, datetime(?4, 'unixepoch'), ?5)",
        )?
        .execute((
            client.id.0,
            client.name.as_str(),
            client.public_key.0,
            last_seen,
            &client.profile,
        ))?;
        Ok(())
    }

    pub(super) fn remember_profile(&mut self, id: ClientId, profile: &str) -> Result<(), Failure> {
        self.prepare("UPDATE clients SET Profile = ?2 WHERE ID = ?1")?.execute((id.0, profile))?;
        Ok(())
    }

    pub(super) fn delete_client(&mut self, id: ClientId) -> Result<(), Failure> {
        if self.prepare("DELETE FROM clients WHERE ID = ?1")?.execute([id.0])? == 0 {
            return Err(StoreError::UnknownClient(id).into());
        }
        for place in self.changed.places(self.tail, id) {
            let dropped = self.delete_message(id, Sequence(place.id))?;
            dropped.into_iter().for_each(|size| self.movement.dropped.count(size));
        }
        let dropped: Amount = self
            .prepare("SELECT count(*), coalesce(sum(Size), 0) FROM queue WHERE ToClient = ?1")?
            .query_one([id.0], |row| Ok(Amount { messages: row.get(0)?, bytes: row.get(1)? }))?;
        self.movement.dropped.messages += dropped.messages;
        self.movement.dropped.bytes += dropped.bytes;
        self.prepare(
            "INSERT INTO uploads (ID, Announced, Size, Doomed)
             SELECT Upload, messages.Size, messages.Size, TRUE FROM queue JOIN messages USING (ID)
             WHERE queue.ToClient = ?1 AND Upload IS NOT NULL",
        )?
        .execute([id.0])?;
        self.prepare("DELETE FROM messages WHERE ID IN (SELECT ID FROM queue WHERE ToClient = ?1)")?
            .execute([id.0])?;
        self.prepare("DELETE FROM queue WHERE ToClient = ?1")?.execute([id.0])?;
        self.counters.deleted(id);
        *self.sweeping = true;
        Ok(())
    }

    pub(super) fn touch(&mut self, id: ClientId, seconds: i64) -> rusqlite::Result<()> {
        self.prepare("UPDATE clients SET LastSeen = datetime(?2, 'unixepoch') WHERE ID = ?1")?
            .execute((id.0, seconds))?;
        Ok(())
    }

    pub(super) fn begin_upload(&mut self, to: ClientId, size: u32) -> Result<UploadId, Failure> {
        self.known(to)?;
        self.prepare("INSERT INTO uploads (Announced, Size) VALUES (?1, 0)")?.execute([size])?;
        Ok(UploadId(self.connection.last_insert_rowid()))
    }

    pub(super) fn append_chunk(&mut self, upload: UploadId, chunk: &Bytes) -> Result<(), Failure> {
        let Progress { announced, size } = self.progress(upload)?;
        let index = size / u32::try_from(CHUNK_SIZE).unwrap_or(u32::MAX);
        if size == announced || chunk.len() != chunk_size(announced, index) {
            return Err(StoreError::Misuse("a chunk of a wrong size").into());
        }
        self.prepare("INSERT INTO chunks (ID, Bytes) VALUES (?1, ?2)")?
            .execute((chunk_id(upload.0, index), chunk.as_ref()))?;
        self.prepare("UPDATE uploads SET Size = Size + ?2 WHERE ID = ?1")?
            .execute((upload.0, chunk.len()))?;
        Ok(())
    }

    pub(super) fn abandon_upload(&mut self, upload: UploadId) -> Result<(), Failure> {
        self.prepare("UPDATE uploads SET Doomed = TRUE WHERE ID = ?1")?.execute([upload.0])?;
        *self.sweeping = true;
        Ok(())
    }

    pub(super) fn enqueue(
        &mut self,
        message: &NewMessage,
        limits: &QueueLimits,
    ) -> Result<Sequence, Failure> {
        self.known(message.to)?;
        self.known(message.from)?;
        self.room_in_tail()?;
        let size = self.content_size(&message.content)?;
        for sequence in self.make_room((message.to, message.from), size, limits)? {
            let dropped = self.delete_message(message.to, sequence)?;
            dropped.into_iter().for_each(|size| self.movement.dropped.count(size));
        }
        Ok(self.insert_message(message, size)?)
    }

    pub(super) fn acknowledge(&mut self, to: ClientId, sequences: &[Sequence]) -> Result<u64, Failure> {
        let mut deleted = 0;
        for sequence in sequences {
            if let Some(size) = self.delete_message(to, *sequence)? {
                self.movement.acknowledged.count(size);
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// Takes a row over. An error of the storage is one of them all.
    pub(super) fn import(&mut self, row: &ImportRow) -> Result<Result<Imported, StoreError>, Failure> {
        let imported = match row {
            ImportRow::Client { client, last_seen } => self.import_client(client, *last_seen),
            ImportRow::Message { message, digest } => self.import_message(message, digest),
        };
        match imported {
            Ok(imported) => Ok(Ok(imported)),
            Err(Failure::Refused(error)) => Ok(Err(error)),
            Err(failed) => Err(failed),
        }
    }

    /// Erases some of the chunks that nobody will read any more. Returns whether there may be more.
    pub(super) fn sweep(&mut self) -> rusqlite::Result<bool> {
        let more = self.sweep_uploads()?;
        Ok(self.sweep_modern()? || more)
    }

    fn sweep_uploads(&mut self) -> rusqlite::Result<bool> {
        let doomed =
            self.prepare("SELECT ID FROM uploads WHERE Doomed LIMIT 1")?.query_one([], |row| row.get(0));
        let Some(upload): Option<i64> = doomed.optional()? else { return Ok(false) };
        let swept = self
            .prepare(
                "DELETE FROM chunks WHERE ID IN (SELECT ID FROM chunks WHERE ID BETWEEN ?1 AND ?2 LIMIT ?3)",
            )?
            .execute((chunk_id(upload, 0), chunk_id(upload, u16::MAX.into()), SWEPT_AT_ONCE))?;
        if swept < SWEPT_AT_ONCE {
            self.prepare("DELETE FROM uploads WHERE ID = ?1")?.execute([upload])?;
        }
        Ok(true)
    }

    fn import_client(&mut self, client: &Client, last_seen: Option<i64>) -> Result<Imported, Failure> {
        let same = "SELECT EXISTS (SELECT 1 FROM clients WHERE ID = ?1 AND UserName = ?2 AND PublicKey = ?3)";
        if self.exists(same, (client.id.0, client.name.as_str(), client.public_key.0))? {
            return Ok(Imported::Before);
        }
        self.register(client, last_seen)?;
        Ok(Imported::Now)
    }

    /// Unlike a message that is sent, it meets no limits, and its sender may be gone.
    fn import_message(&mut self, message: &NewMessage, digest: &[u8; 32]) -> Result<Imported, Failure> {
        if self.exists("SELECT EXISTS (SELECT 1 FROM imports WHERE Digest = ?1)", [digest])? {
            return Ok(Imported::Before);
        }
        self.known(message.to)?;
        self.room_in_tail()?;
        let size = self.content_size(&message.content)?;
        self.insert_message(message, size)?;
        self.prepare("INSERT INTO imports (Digest) VALUES (?1)")?.execute([digest])?;
        Ok(Imported::Now)
    }

    fn known(&mut self, id: ClientId) -> Result<(), Failure> {
        if self.counters.is_client(self.connection, id)? {
            Ok(())
        } else {
            Err(StoreError::UnknownClient(id).into())
        }
    }

    /// Refuses messages whose places could not be written down later, as that has failed for long.
    fn room_in_tail(&self) -> Result<(), Failure> {
        if self.changed.fills(self.tail) {
            return Err(StoreError::Storage("the queue could not be written down".to_owned()).into());
        }
        Ok(())
    }

    fn progress(&self, upload: UploadId) -> Result<Progress, Failure> {
        let mut select = self.prepare("SELECT Announced, Size FROM uploads WHERE ID = ?1 AND NOT Doomed")?;
        let progress = select
            .query_one([upload.0], |row| Ok(Progress { announced: row.get(0)?, size: row.get(1)? }))
            .optional()?;
        Ok(progress.ok_or(StoreError::NoSuchContent)?)
    }

    fn content_size(&self, content: &Content) -> Result<u32, Failure> {
        match content {
            Content::Inline(content) => match u32::try_from(content.len()) {
                Ok(size) if content.len() <= CHUNK_SIZE => Ok(size),
                _ => Err(StoreError::Misuse("too much content for one piece").into()),
            },
            Content::Uploaded(upload) => {
                let Progress { announced, size } = self.progress(*upload)?;
                if size < announced {
                    return Err(StoreError::Misuse("an incomplete upload").into());
                }
                Ok(size)
            }
        }
    }

    /// Whether a message from one to another would be taken now.
    pub(super) fn check_room(
        &mut self,
        (to, from): (ClientId, ClientId),
        size: u32,
        limits: &QueueLimits,
    ) -> Result<(), Failure> {
        self.make_room((to, from), size, limits).map(|_| ())
    }

    /// The messages that must go for one more from one to another.
    fn make_room(
        &mut self,
        (to, from): (ClientId, ClientId),
        size: u32,
        limits: &QueueLimits,
    ) -> Result<Vec<Sequence>, Failure> {
        let (mut waiting, mut pair) = match self.counters.queues.waiting(to, from) {
            Some(counted) => counted,
            None => {
                let queue = self.count(to)?;
                self.counters.queues.counted(to, queue);
                self.counters.queues.waiting(to, from).unwrap_or_default()
            }
        };
        let surplus = limits.surplus(pair.messages)?;
        let mut going = Vec::new();
        if surplus > 0 {
            let oldest = self.oldest_of_pair((to, from), pair.behind, surplus)?;
            if let Some((Sequence(first), _)) = oldest.first() {
                // So that the next search does not begin again with all that others have sent before.
                self.counters.queues.begins_behind((to, from), first - 1);
            }
            for (sequence, size) in oldest {
                going.push(sequence);
                let bytes = u64::from(size);
                waiting.messages = waiting.messages.saturating_sub(1);
                waiting.bytes = waiting.bytes.saturating_sub(bytes);
                pair.bytes = pair.bytes.saturating_sub(bytes);
            }
        }
        let size = u64::from(size);
        limits.allow_pair(pair.bytes.saturating_add(size))?;
        limits.allow(waiting.messages.saturating_add(1), waiting.bytes.saturating_add(size))?;
        Ok(going)
    }

    /// What waits for a recipient, counted.
    fn count(&self, to: ClientId) -> rusqlite::Result<Queue<ClientId>> {
        let mut queue = Queue::default();
        let mut select = self.prepare(
            "SELECT FromClient, count(*), sum(Size) FROM queue WHERE ToClient = ?1 GROUP BY FromClient",
        )?;
        let mut rows = select.query([to.0])?;
        while let Some(row) = rows.next()? {
            queue.add(ClientId(row.get(0)?), row.get(1)?, row.get(2)?);
        }
        for place in self.changed.places(self.tail, to) {
            queue.add(place.from, 1, place.size.into());
        }
        Ok(queue)
    }

    /// The oldest messages of one sender for a recipient, of which none is before `behind`, and their sizes.
    fn oldest_of_pair(
        &self,
        (to, from): (ClientId, ClientId),
        behind: i64,
        limit: u64,
    ) -> rusqlite::Result<Vec<(Sequence, u32)>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut select = self.prepare(
            "SELECT ID, Size FROM queue WHERE ToClient = ?1 AND ID > ?2 AND FromClient = ?3 ORDER BY ID LIMIT ?4",
        )?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            select.query_map((to.0, behind, from.0, most), |row| Ok((Sequence(row.get(0)?), row.get(1)?)))?;
        let mut oldest = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let places = self.changed.oldest_of_pair(self.tail, (to, from), behind, limit - oldest.len());
        oldest.extend(places.into_iter().map(|place| (Sequence(place.id), place.size)));
        Ok(oldest)
    }

    /// Writes places down in the queue on disk; `end`, if with these it has all up to that message.
    pub(super) fn write_down(
        &mut self,
        places: &[Place<ClientId>],
        end: Option<i64>,
    ) -> rusqlite::Result<()> {
        let mut insert = self.prepare(
            "INSERT OR REPLACE INTO queue (ToClient, ID, FromClient, Size) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for place in places {
            insert.execute((place.to.0, place.id, place.from.0, place.size))?;
        }
        if let Some(end) = end {
            self.prepare("UPDATE queue_end SET ID = ?1")?.execute([end])?;
        }
        Ok(())
    }

    fn insert_message(&mut self, message: &NewMessage, size: u32) -> rusqlite::Result<Sequence> {
        let (upload, in_row) = match &message.content {
            Content::Inline(content) if content.len() <= IN_ROW_MAX => (None, content.as_ref()),
            Content::Inline(content) => (Some(self.store_chunk(content)?), [].as_slice()),
            Content::Uploaded(upload) => {
                self.prepare("DELETE FROM uploads WHERE ID = ?1")?.execute([upload.0])?;
                (Some(upload.0), [].as_slice())
            }
        };
        self.prepare(
            "INSERT INTO messages (ToClient, FromClient, Type, Size, Upload, Content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((message.to.0, message.from.0, message.kind.0, size, upload, in_row))?;
        let id = self.connection.last_insert_rowid();
        self.counters.queues.added(message.to, message.from, size);
        self.changed.add(Place { to: message.to, id, from: message.from, size });
        self.movement.accepted.count(size);
        Ok(Sequence(id))
    }

    /// Stores a content of one chunk. Returns the number of its upload.
    fn store_chunk(&self, content: &[u8]) -> rusqlite::Result<i64> {
        let upload = self.reserve_upload_number()?;
        self.prepare("INSERT INTO chunks (ID, Bytes) VALUES (?1, ?2)")?
            .execute((chunk_id(upload, 0), content))?;
        Ok(upload)
    }

    /// A number that no other upload will have.
    fn reserve_upload_number(&self) -> rusqlite::Result<i64> {
        self.prepare("INSERT INTO uploads (Announced, Size) VALUES (0, 0)")?.execute([])?;
        let upload = self.connection.last_insert_rowid();
        self.prepare("DELETE FROM uploads WHERE ID = ?1")?.execute([upload])?;
        Ok(upload)
    }

    /// Returns the size of what is gone.
    pub(super) fn delete_message(
        &mut self,
        to: ClientId,
        sequence: Sequence,
    ) -> rusqlite::Result<Option<u32>> {
        let deleted = self
            .prepare(
                "DELETE FROM messages WHERE ID = ?1 AND ToClient = ?2 RETURNING FromClient, Size, Upload",
            )?
            .query_one((sequence.0, to.0), |row| Ok((ClientId(row.get(0)?), row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((from, size, upload)) = deleted else {
            // Somebody else may have deleted the message alone.
            self.delete_from_queue(to, sequence)?;
            return Ok(None);
        };
        if let Some(upload) = upload {
            let upload: i64 = upload;
            self.prepare("INSERT INTO uploads (ID, Announced, Size, Doomed) VALUES (?1, ?2, ?2, TRUE)")?
                .execute((upload, size))?;
            *self.sweeping = true;
        }
        if !self.changed.remove(self.tail, to, sequence.0) {
            self.delete_from_queue(to, sequence)?;
        }
        self.counters.queues.removed(to, from, size);
        Ok(Some(size))
    }

    fn delete_from_queue(&self, to: ClientId, sequence: Sequence) -> rusqlite::Result<()> {
        self.prepare("DELETE FROM queue WHERE ToClient = ?1 AND ID = ?2")?.execute((to.0, sequence.0))?;
        Ok(())
    }

    pub(super) fn exists(&self, select: &str, values: impl rusqlite::Params) -> rusqlite::Result<bool> {
        self.prepare(select)?.query_one(values, |row| row.get(0))
    }

    pub(super) fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
        self.connection.prepare_cached(sql)
    }
}

/// How far an upload is, in bytes.
struct Progress {
    announced: u32,
    size: u32,
}
