//! Files, chunk by chunk.

use messageu_wire::envelope::field::FileId;
use messageu_wire::fields::ClientId;
use rusqlite::OptionalExtension as _;

use super::chunk_id;
use super::state::Standing;
use crate::store::modern::quota::{PairTag, PeerTag};
use crate::store::modern::{FILE_CHUNKS_MAX, Kept, MailLimits, ModernError, NewChunk, chunk_cost};
use crate::store::sqlite::changes::{Changes, Failure, SWEPT_AT_ONCE};
use crate::store::sqlite::counters::Queue;
use crate::store::{Amount, Movement};

/// A chunk on its way, with the tags of its sender.
pub(super) struct Uploading {
    pub(super) chunk: NewChunk,
    pub(super) pair: PairTag,
    pub(super) sender: PeerTag,
    pub(super) minute: u32,
}

/// A file of which there is a chunk.
struct Begun {
    id: i64,
    /// Who began it.
    sender: PairTag,
    chunks: u32,
}

impl Changes<'_> {
    pub(super) fn put_chunk(
        &mut self,
        uploading: &Uploading,
        limits: &MailLimits,
    ) -> Result<Kept, Failure<ModernError>> {
        let Uploading { chunk, pair, sender, minute } = uploading;
        self.active(chunk.from)?;
        let standing = self.standing(chunk.to)?;
        let file = self.file(chunk.to, chunk.file)?;
        if let Some(Begun { id, chunks, .. }) = file {
            if chunks != chunk.chunks {
                return Err(ModernError::Conflict("a file with another number of chunks").into());
            }
            let mut select = self.prepare("SELECT Bytes = ?2 FROM modern_chunks WHERE ID = ?1")?;
            let values = (chunk_id(id, chunk.index), chunk.bytes.as_ref());
            match select.query_one(values, |row| row.get(0)).optional()? {
                Some(true) => return Ok(Kept::Before),
                Some(false) => return Err(ModernError::Conflict("another chunk").into()),
                None => {}
            }
        }
        if standing == Standing::Moved {
            return Err(ModernError::Moved(chunk.to).into());
        }
        let cost = chunk_cost(chunk.bytes.len());
        let amount = (cost.into(), self.modern.about_to_send(*sender));
        self.modern.rates().may_send(*sender, *minute, amount, limits.file_bytes_per_hour)?;
        let counted_for = file.as_ref().map_or(*pair, |file| file.sender);
        let (all, of_pair) = self.count_files(chunk.to, counted_for)?;
        limits.allow_files(all + u64::from(cost), of_pair + u64::from(cost))?;
        self.insert_chunk(uploading, file, cost)?;
        Ok(Kept::Now)
    }

    pub(super) fn drop_file(&mut self, to: ClientId, file: FileId) -> Result<u32, Failure<ModernError>> {
        let Some(Begun { id, .. }) = self.file(to, file)? else { return Ok(0) };
        let (chunks, bytes) = self.doom_file(to, id)?;
        let movement = Movement { acknowledged: amount(chunks, bytes), ..Movement::default() };
        add(&mut self.modern.change().chunks, &movement);
        Ok(chunks)
    }

    /// Drops all files of a recipient.
    pub(super) fn delete_files(&mut self, to: ClientId) -> rusqlite::Result<()> {
        let files: Vec<i64> = self
            .prepare("SELECT ID FROM modern_files WHERE ToAccount = ?1")?
            .query_map([to.0], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in files {
            let (chunks, bytes) = self.doom_file(to, id)?;
            let movement = Movement { dropped: amount(chunks, bytes), ..Movement::default() };
            add(&mut self.modern.change().chunks, &movement);
        }
        Ok(())
    }

    /// Drops a file that nobody came for.
    pub(super) fn expire_file(&mut self, to: ClientId, id: i64) -> rusqlite::Result<()> {
        let (chunks, bytes) = self.doom_file(to, id)?;
        let movement = Movement { expired: amount(chunks, bytes), ..Movement::default() };
        add(&mut self.modern.change().chunks, &movement);
        Ok(())
    }

    /// Erases some chunks of files that are gone. Returns whether there may be more.
    pub(super) fn sweep_files(&mut self) -> rusqlite::Result<bool> {
        let doomed = self
            .prepare("SELECT ID FROM modern_files WHERE ToAccount IS NULL LIMIT 1")?
            .query_one([], |row| row.get(0))
            .optional()?;
        let Some(file): Option<i64> = doomed else { return Ok(false) };
        let swept = self
            .prepare(
                "DELETE FROM modern_chunks WHERE ID IN
                 (SELECT ID FROM modern_chunks WHERE ID BETWEEN ?1 AND ?2 LIMIT ?3)",
            )?
            .execute((chunk_id(file, 0), chunk_id(file, FILE_CHUNKS_MAX - 1), SWEPT_AT_ONCE))?;
        if swept < SWEPT_AT_ONCE {
            self.prepare("DELETE FROM modern_files WHERE ID = ?1")?.execute([file])?;
        }
        Ok(true)
    }

    fn file(&self, to: ClientId, file: FileId) -> rusqlite::Result<Option<Begun>> {
        let mut select =
            self.prepare("SELECT ID, Sender, Chunks FROM modern_files WHERE ToAccount = ?1 AND File = ?2")?;
        select
            .query_one((to.0, file.0), |row| {
                Ok(Begun { id: row.get(0)?, sender: PairTag(row.get(1)?), chunks: row.get(2)? })
            })
            .optional()
    }

    /// Bytes of files that are kept for a recipient, in all and of one sender.
    fn count_files(&mut self, to: ClientId, pair: PairTag) -> rusqlite::Result<(u64, u64)> {
        if self.modern.counters().files.waiting(to, pair).is_none() {
            let mut queue = Queue::default();
            {
                let mut select = self.prepare(
                    "SELECT Sender, sum(Held), sum(Bytes) FROM modern_files WHERE ToAccount = ?1 GROUP BY Sender",
                )?;
                let mut rows = select.query([to.0])?;
                while let Some(row) = rows.next()? {
                    queue.add(PairTag(row.get(0)?), row.get(1)?, row.get(2)?);
                }
            }
            self.modern.counters().files.counted(to, queue);
        }
        let (all, of_pair) = self.modern.counters().files.waiting(to, pair).unwrap_or_default();
        Ok((all.bytes, of_pair.bytes))
    }

    fn insert_chunk(
        &mut self,
        uploading: &Uploading,
        file: Option<Begun>,
        cost: u32,
    ) -> rusqlite::Result<()> {
        let Uploading { chunk, pair, sender, minute } = uploading;
        let (id, counted_for) = match file {
            Some(file) => (file.id, file.sender),
            None => {
                self.prepare(
                    "INSERT INTO modern_files (ToAccount, File, Sender, Chunks, Held, Bytes)
                     VALUES (?1, ?2, ?3, ?4, 0, 0)",
                )?
                .execute((chunk.to.0, chunk.file.0, pair.0, chunk.chunks))?;
                (self.connection.last_insert_rowid(), *pair)
            }
        };
        self.prepare("INSERT INTO modern_chunks (ID, Bytes) VALUES (?1, ?2)")?
            .execute((chunk_id(id, chunk.index), chunk.bytes.as_ref()))?;
        self.prepare("UPDATE modern_files SET Held = Held + 1, Bytes = Bytes + ?2 WHERE ID = ?1")?
            .execute((id, cost))?;
        self.modern.counters().files.added(chunk.to, counted_for, cost);
        let changed = self.modern.change();
        changed.minute = *minute;
        *changed.sent.entry(*sender).or_default() += u64::from(cost);
        changed.chunks.accepted.count(cost);
        Ok(())
    }

    /// Takes a file from its recipient, so that it is swept. Returns its chunks, and the bytes that they count for.
    fn doom_file(&mut self, to: ClientId, id: i64) -> rusqlite::Result<(u32, u64)> {
        let (chunks, bytes) = self
            .prepare(
                "UPDATE modern_files SET ToAccount = NULL, File = NULL WHERE ID = ?1 RETURNING Held, Bytes",
            )?
            .query_one([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // Counted again when that is needed: it is rare that a file goes.
        self.modern.counters().files.forget(to);
        *self.sweeping = true;
        Ok((chunks, bytes))
    }
}

fn amount(chunks: u32, bytes: u64) -> Amount {
    Amount { messages: chunks.into(), bytes }
}

fn add(sum: &mut Movement, more: &Movement) {
    let pairs = [
        (&mut sum.acknowledged, more.acknowledged),
        (&mut sum.dropped, more.dropped),
        (&mut sum.expired, more.expired),
    ];
    for (sum, more) in pairs {
        sum.messages += more.messages;
        sum.bytes += more.bytes;
    }
}
