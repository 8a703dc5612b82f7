//! Which messages are how old, and dropping those that are too old.

use messageu_wire::fields::ClientId;
use rusqlite::{Connection, OptionalExtension as _};

use super::changes::{Changes, Failure};
use crate::store::Sequence;

impl Changes<'_> {
    /// Notes that all messages that there have been were there at this time, or at the latest one noted if that is later,
    /// and returns it.
    pub(super) fn mark_time(&mut self, now: i64) -> Result<i64, Failure> {
        let latest: Option<i64> =
            self.prepare("SELECT max(Reached) FROM times")?.query_one([], |row| row.get(0))?;
        let now = latest.map_or(now, |latest| latest.max(now));
        // Where none has come since the last time, that one tells more.
        self.prepare(
            "INSERT OR IGNORE INTO times (Sequence, Reached)
             SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0), ?1",
        )?
        .execute([now])?;
        self.forget_times()?;
        Ok(now)
    }

    /// Drops messages that were there before this time, oldest first, at most so many. Returns how many.
    pub(super) fn expire(&mut self, before: i64, limit: usize) -> Result<u64, Failure> {
        let last: Option<i64> = self
            .prepare("SELECT max(Sequence) FROM times WHERE Reached < ?1")?
            .query_one([before], |row| row.get(0))?;
        let Some(last) = last else { return Ok(0) };
        let old: Vec<(Sequence, ClientId)> = self
            .prepare("SELECT ID, ToClient FROM messages WHERE ID <= ?1 ORDER BY ID LIMIT ?2")?
            .query_map((last, limit), |row| Ok((Sequence(row.get(0)?), ClientId(row.get(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        let mut expired = 0;
        for (sequence, to) in old {
            if let Some(size) = self.delete_message(to, sequence)? {
                self.movement.expired.count(size);
                expired += 1;
            }
        }
        Ok(expired)
    }

    /// Forgets times that no message needs any more, but not the latest.
    fn forget_times(&mut self) -> rusqlite::Result<()> {
        let oldest =
            self.prepare("SELECT min(ID) FROM messages")?.query_one([], |row| row.get(0)).optional()?;
        let oldest: i64 = oldest.flatten().unwrap_or(i64::MAX);
        self.prepare(
            "DELETE FROM times WHERE Sequence < ?1 AND Sequence < (SELECT max(Sequence) FROM times)",
        )?
        .execute([oldest])?;
        Ok(())
    }
}

/// Clients that were last seen before this time, but not before `earliest`, at most so many.
pub(super) fn clients_last_seen_between(
    connection: &Connection,
    earliest: i64,
    before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<ClientId>> {
    let mut select = connection.prepare_cached(
        "SELECT ID FROM clients WHERE LastSeen >= datetime(?1, 'unixepoch') AND LastSeen < datetime(?2, 'unixepoch')
         ORDER BY Position LIMIT ?3",
    )?;
    let found = select.query_map((earliest, before, limit), |row| Ok(ClientId(row.get(0)?)))?;
    found.collect()
}
