//! The reading side: a few connections that never wait for the writer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use messageu_wire::fields::{CLIENT_ID_SIZE, ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, named_params};
use tokio::sync::Semaphore;

use super::tail::Tail;
use super::{chunk_id, closed, damaged};
use crate::store::{
    Client, Pending, RosterEntry, RosterExtent, Sequence, StoreError, chunk_size, goes_along,
};

/// Reads that go on at the same time.
const READERS: u32 = 4;

/// A pool of read-only connections. Each call is a read transaction of its own, so that the log can be checkpointed.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connections = (0..READERS).map(|_| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            super::configure(&connection)?;
            Ok(connection)
        });
        let idle = connections.collect::<rusqlite::Result<Vec<_>>>()?;
        let permits = Arc::new(Semaphore::new(idle.len()));
        Ok(Self { idle: Arc::new(Mutex::new(idle)), permits })
    }

    /// Does the work on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let reading = tokio::task::spawn_blocking(move || {
            let connection = lock(&idle).pop().ok_or_else(closed)?;
            let outcome = work(&connection);
            lock(&idle).push(connection);
            drop(permit);
            outcome
        });
        reading.await.map_err(|error| StoreError::Storage(error.to_string()))?
    }

    /// Waits for the reads that go on, refuses others, and closes the connections.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(READERS).await;
        self.permits.close();
        drop(all);
        lock(&self.idle).clear();
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn client(connection: &Connection, id: ClientId) -> Result<Option<Client>, StoreError> {
    client_between(connection, id, id)
}

pub(super) fn client_by_prefix(
    connection: &Connection,
    prefix: [u8; 8],
) -> Result<Option<Client>, StoreError> {
    let (first, last) = ids_with_prefix(prefix);
    client_between(connection, first, last)
}

/// The first and the last id that begin with these bytes.
pub(super) fn ids_with_prefix(prefix: [u8; 8]) -> (ClientId, ClientId) {
    let with_rest = |rest| {
        let mut id = [rest; CLIENT_ID_SIZE];
        id.iter_mut().zip(prefix).for_each(|(to, from)| *to = from);
        ClientId(id)
    };
    (with_rest(0), with_rest(u8::MAX))
}

fn client_between(
    connection: &Connection,
    first: ClientId,
    last: ClientId,
) -> Result<Option<Client>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT ID, UserName, PublicKey, Profile FROM clients WHERE ID BETWEEN ?1 AND ?2")?;
    let row = select.query_one((first.0, last.0), |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
    });
    let Some((id, name, key, profile)) = row.optional()? else { return Ok(None) };
    Ok(Some(Client { id: ClientId(id), name: parse_name(&name)?, public_key: PublicKey(key), profile }))
}

fn parse_name(text: &str) -> Result<Name, StoreError> {
    Name::new(text).map_err(|_| damaged("a client's name"))
}

/// Seconds since 1970.
pub(super) fn last_seen(connection: &Connection, id: ClientId) -> Result<Option<Option<i64>>, StoreError> {
    let mut select = connection.prepare_cached("SELECT unixepoch(LastSeen) FROM clients WHERE ID = ?1")?;
    Ok(select.query_one([id.0], |row| row.get(0)).optional()?)
}

pub(super) fn roster(connection: &Connection, asker: ClientId) -> Result<RosterExtent, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT (SELECT count(*) FROM clients) - EXISTS (SELECT 1 FROM clients WHERE ID = ?1),
                (SELECT coalesce(max(Position), 0) FROM clients WHERE ID <> ?1)",
    )?;
    Ok(select.query_one([asker.0], |row| Ok(RosterExtent { count: row.get(0)?, last: row.get(1)? }))?)
}

pub(super) fn roster_page(
    connection: &Connection,
    asker: ClientId,
    after: i64,
    last: i64,
    limit: usize,
) -> Result<Vec<RosterEntry>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT Position, ID, UserName FROM clients
         WHERE Position > :after AND Position <= :last AND ID <> :asker ORDER BY Position LIMIT :limit",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows =
        select.query(named_params! { ":after": after, ":last": last, ":asker": asker.0, ":limit": limit })?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        let name = parse_name(row.get_ref(2)?.as_str().map_err(|_| damaged("a client's name"))?)?;
        page.push(RosterEntry { position: row.get(0)?, id: ClientId(row.get(1)?), name });
    }
    Ok(page)
}

pub(super) fn pending(
    connection: &Connection,
    tail: &Tail<ClientId>,
    (to, after): (ClientId, Sequence),
    limit: usize,
    mut inline_budget: usize,
) -> Result<Vec<Pending>, StoreError> {
    if tail.is_damaged() {
        return Err(damaged("the queue"));
    }
    // Looked at first: what is written down meanwhile shows in the queue on disk, and a place is in one or the other.
    let newest = tail.behind(to, after.0, limit);
    let mut waiting = Vec::new();
    let mut select = connection.prepare_cached(
        "SELECT messages.ID, messages.FromClient, Type, messages.Size, Upload, Content
         FROM queue CROSS JOIN messages USING (ID)
         WHERE queue.ToClient = ?1 AND queue.ID > ?2 ORDER BY queue.ID LIMIT ?3",
    )?;
    let mut rows = select.query((to.0, after.0, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    while let Some(row) = rows.next()? {
        waiting.push(waiting_message(connection, row, &mut inline_budget)?);
    }
    let written_down = waiting.last().map_or(after, |message| message.sequence);
    let mut select = connection.prepare_cached(
        "SELECT ID, FromClient, Type, Size, Upload, Content FROM messages WHERE ID = ?1 AND ToClient = ?2",
    )?;
    let room = limit - waiting.len();
    for id in newest.into_iter().filter(|id| *id > written_down.0).take(room) {
        let mut rows = select.query((id, to.0))?;
        // It may have been taken meanwhile.
        if let Some(row) = rows.next()? {
            waiting.push(waiting_message(connection, row, &mut inline_budget)?);
        }
    }
    Ok(waiting)
}

/// The message in a row of ID, FromClient, Type, Size, Upload and Content; its content if it goes along.
fn waiting_message(
    connection: &Connection,
    row: &Row<'_>,
    inline_budget: &mut usize,
) -> Result<Pending, StoreError> {
    let size = row.get(3)?;
    Ok(Pending {
        sequence: Sequence(row.get(0)?),
        from: ClientId(row.get(1)?),
        kind: MessageType(row.get(2)?),
        size,
        content: match goes_along(size, inline_budget) {
            false => None,
            true if size == 0 => Some(Bytes::new()),
            true => Some(chunk(connection, row, 0)?),
        },
    })
}

pub(super) fn read_content(
    connection: &Connection,
    sequence: Sequence,
    index: u32,
) -> Result<Bytes, StoreError> {
    let mut select = connection.prepare_cached("SELECT Size, Upload, Content FROM messages WHERE ID = ?1")?;
    let mut rows = select.query([sequence.0])?;
    let row = rows.next()?.ok_or(StoreError::NoSuchContent)?;
    chunk(connection, row, index)
}

/// A chunk of the message in this row. While the row is being looked at, so is its snapshot: the chunk is still there.
fn chunk(connection: &Connection, message: &Row<'_>, index: u32) -> Result<Bytes, StoreError> {
    let expected = chunk_size(message.get("Size")?, index);
    if expected == 0 {
        return Err(StoreError::NoSuchContent);
    }
    let upload: Option<i64> = message.get("Upload")?;
    let bytes = match upload {
        None => Some(message.get("Content")?),
        Some(upload) => {
            let mut select = connection.prepare_cached("SELECT Bytes FROM chunks WHERE ID = ?1")?;
            select.query_one([chunk_id(upload, index)], |row| row.get::<_, Vec<u8>>(0)).optional()?
        }
    };
    bytes
        .filter(|bytes| bytes.len() == expected)
        .map(Bytes::from)
        .ok_or_else(|| damaged("a message's content"))
}
