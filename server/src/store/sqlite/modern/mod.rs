//! Version 3 in the SQLite database: tables of its own, the same writing thread, the same readers.
//!
//! A send adds a row at the end of one table, as a classic one does. What the writer keeps of it in memory is in
//! [`ModernState`], what readers look at in [`ModernShared`].

mod accounts;
mod expiry;
mod files;
mod fresh;
mod keys;
mod mail;
mod reader;
mod registrations;
mod service;
mod state;

use std::sync::Arc;

use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::fields::ClientId;
use rusqlite::Connection;
use rusqlite::types::FromSqlError;

use self::fresh::Fresh;
pub(super) use self::state::{Changed, Modern, ModernState, Origin};
use super::Options;
use super::directory::Directory;
use super::tail::{Place, Source, Tail};
use crate::store::modern::quota::{PairTag, Secret, SentTag};
use crate::store::modern::{Account, FILE_CHUNKS_MAX};

/// What readers and the writer have in common.
pub(super) struct ModernShared {
    tail: Arc<Tail<Origin>>,
    fresh: Arc<Fresh>,
    directory: Arc<Directory<Known>>,
    secret: Secret,
}

impl ModernShared {
    /// Answers nothing from memory any more, as the store is closed.
    pub(super) fn close(&self) {
        self.directory.clear();
        self.fresh.close();
    }
}

/// An account as it is remembered, and the minute in which it gave way to another one.
#[derive(Clone)]
struct Known {
    account: Account,
    moved: Option<(ClientId, u32)>,
}

/// Where the places of the queue are.
const TAIL: Source<Origin> = Source {
    newest: "SELECT ToAccount, ID, Sender, Tag, Size FROM modern_messages
             WHERE ID > (SELECT coalesce(max(ID), 0) FROM modern_queue_end) AND NOT EXISTS
               (SELECT 1 FROM modern_queue
                WHERE modern_queue.ToAccount = modern_messages.ToAccount AND modern_queue.ID = modern_messages.ID)
             ORDER BY ID",
    place: |row| {
        let from = Origin { sender: PairTag(row.get(2)?), tag: SentTag(row.get(3)?) };
        Ok(Place { to: ClientId(row.get(0)?), id: row.get(1)?, from, size: row.get(4)? })
    },
    on_disk: "SELECT count(*), coalesce(sum(Size), 0) FROM modern_queue",
};

/// Reads what is kept in memory.
pub(super) fn read(
    connection: &Connection,
    options: &Options,
) -> rusqlite::Result<(ModernShared, ModernState)> {
    let tail = Arc::new(Tail::read(connection, &TAIL, options.written_down_from)?);
    let newest: Option<i64> =
        connection.query_one("SELECT max(ID) FROM modern_messages", [], |row| row.get(0))?;
    let fresh = Arc::new(Fresh::new(newest.unwrap_or(0)));
    let directory = Arc::new(Directory::default());
    let shared = (Arc::clone(&tail), Arc::clone(&fresh), Arc::clone(&directory));
    let state = ModernState::read(connection, shared, options.remembered_max)?;
    Ok((ModernShared { tail, fresh, directory, secret: Secret::new() }, state))
}

/// Where a chunk is.
fn chunk_id(file: i64, index: u32) -> i64 {
    file * i64::from(FILE_CHUNKS_MAX) + i64::from(index)
}

/// The bundle in a column.
fn parse_bundle(bytes: &[u8]) -> rusqlite::Result<Bundle> {
    // Its text tells of the place of what is wrong, not of the bytes.
    Bundle::decode(bytes).map_err(|error| FromSqlError::other(error).into())
}
