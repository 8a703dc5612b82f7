//! The reading side of version 3.

use bytes::Bytes;
use messageu_wire::envelope::field::{FileId, Fingerprint};
use messageu_wire::fields::{ClientId, Name};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::accounts::{SUCCESSION, read_succession};
use super::state::Origin;
use super::{Known, chunk_id, parse_bundle};
use crate::store::modern::{Account, PendingEnvelope, Succession, can_object_until};
use crate::store::sqlite::damaged;
use crate::store::sqlite::tail::Tail;
use crate::store::{Sequence, StoreError};

pub(super) fn account(connection: &Connection, id: ClientId) -> Result<Option<Known>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT Fingerprint, Bundle, New, Moved FROM modern_accounts LEFT JOIN modern_successions ON Old = ID
         WHERE ID = ?1",
    )?;
    let known = select.query_one([id.0], |row| {
        let bundle = parse_bundle(row.get_ref(1)?.as_blob()?)?;
        let fingerprint = Fingerprint(row.get(0)?);
        let moved = match row.get(2)? {
            Some(to) => Some((ClientId(to), row.get(3)?)),
            None => None,
        };
        let account = Account { fingerprint, identity: bundle.content.identity, moved: None };
        Ok(Known { account, moved })
    });
    Ok(known.optional()?)
}

pub(super) fn account_named(connection: &Connection, name: &Name) -> Result<Option<ClientId>, StoreError> {
    let mut select = connection.prepare_cached("SELECT ID FROM modern_accounts WHERE Name = ?1")?;
    Ok(select.query_one([name.as_str()], |row| row.get(0).map(ClientId)).optional()?)
}

pub(super) fn succession(connection: &Connection, old: ClientId) -> Result<Option<Succession>, StoreError> {
    Ok(connection.prepare_cached(SUCCESSION)?.query_one([old.0], read_succession).optional()?)
}

/// Until when the owner of a claimed number can object, in seconds since 1970.
pub(super) fn claim_on(connection: &Connection, id: ClientId) -> Result<Option<i64>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT Since FROM modern_claims JOIN modern_accounts USING (Phone) WHERE ID = ?1")?;
    Ok(select.query_one([id.0], |row| row.get(0).map(can_object_until)).optional()?)
}

pub(super) fn fetch_chunk(
    connection: &Connection,
    to: ClientId,
    file: FileId,
    index: u32,
) -> Result<Option<Bytes>, StoreError> {
    // In one transaction, so that the file is not swept in between.
    let snapshot = connection.unchecked_transaction()?;
    let mut select =
        snapshot.prepare_cached("SELECT ID, Chunks FROM modern_files WHERE ToAccount = ?1 AND File = ?2")?;
    let file = select.query_one((to.0, file.0), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((file, chunks)) = file else { return Ok(None) };
    let chunks: u32 = chunks;
    if index >= chunks {
        return Ok(None);
    }
    let mut select = snapshot.prepare_cached("SELECT Bytes FROM modern_chunks WHERE ID = ?1")?;
    let bytes = select.query_one([chunk_id(file, index)], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    Ok(bytes.map(Bytes::from))
}

pub(super) fn pending(
    connection: &Connection,
    tail: &Tail<Origin>,
    (to, after): (ClientId, Sequence),
    max_bytes: usize,
    limit: usize,
) -> Result<Vec<PendingEnvelope>, StoreError> {
    if tail.is_damaged() {
        return Err(damaged("the queue of version 3"));
    }
    // Looked at first: what is written down meanwhile shows in the queue on disk, and a place is in one or the other.
    let newest = tail.behind(to, after.0, limit);
    let mut page = Page { max_bytes, limit, bytes: 0, envelopes: Vec::new() };
    let mut select = connection.prepare_cached(
        "SELECT modern_messages.ID, Minute, modern_messages.Size, Content, Envelope
         FROM modern_queue CROSS JOIN modern_messages USING (ID)
         WHERE modern_queue.ToAccount = ?1 AND modern_queue.ID > ?2 ORDER BY modern_queue.ID",
    )?;
    let mut rows = select.query((to.0, after.0))?;
    while let Some(row) = rows.next()? {
        if !page.take(connection, row)? {
            return Ok(page.envelopes);
        }
    }
    let written_down = page.envelopes.last().map_or(after, |envelope| envelope.sequence);
    let mut select = connection.prepare_cached(
        "SELECT ID, Minute, Size, Content, Envelope FROM modern_messages WHERE ID = ?1 AND ToAccount = ?2",
    )?;
    for id in newest.into_iter().filter(|id| *id > written_down.0) {
        let mut rows = select.query((id, to.0))?;
        // It may have been taken meanwhile.
        if let Some(row) = rows.next()?
            && !page.take(connection, row)?
        {
            break;
        }
    }
    Ok(page.envelopes)
}

/// What one answer has room for.
struct Page {
    max_bytes: usize,
    limit: usize,
    bytes: usize,
    envelopes: Vec<PendingEnvelope>,
}

impl Page {
    /// Takes the envelope in a row of ID, Minute, Size, Content and Envelope, if there is room. While the row is being
    /// looked at, so is its snapshot: a large envelope is still there.
    fn take(&mut self, connection: &Connection, row: &Row<'_>) -> Result<bool, StoreError> {
        let size: usize = row.get(2)?;
        self.bytes = self.bytes.saturating_add(size);
        let is_first = self.envelopes.is_empty();
        if self.envelopes.len() >= self.limit || (self.bytes > self.max_bytes && !is_first) {
            return Ok(false);
        }
        let content: Option<i64> = row.get(3)?;
        let envelope: Vec<u8> = match content {
            None => row.get(4)?,
            Some(content) => connection
                .prepare_cached("SELECT Bytes FROM modern_contents WHERE ID = ?1")?
                .query_one([content], |row| row.get(0))
                .optional()?
                .ok_or_else(|| damaged("an envelope"))?,
        };
        if envelope.len() != size {
            return Err(damaged("an envelope"));
        }
        let sequence = Sequence(row.get(0)?);
        self.envelopes.push(PendingEnvelope { sequence, minute: row.get(1)?, envelope: envelope.into() });
        Ok(true)
    }
}
