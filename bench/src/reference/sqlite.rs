//! Raw SQLite with the server's durability: rows of a message's shape, so many in a transaction.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use rusqlite::Connection;

use crate::place::Place;
use crate::record::Record;

/// Pages of log after which it is copied into the database: the server's own choice on a large disk.
const CHECKPOINT_PAGES: u32 = 4_096;

/// Recipients that the rows are for, in turn.
const RECIPIENTS: u64 = 50;

/// The table that rows go into.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Table {
    /// The columns of a message and no index beside the row id: the least that a durable queue could do.
    Bare,
    /// The same with an index by recipient, as a queue needs that has no other way to find what waits for somebody.
    Indexed,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Indexed => "indexed",
        }
    }

    const fn schema(self) -> &'static str {
        match self {
            Self::Bare => {
                "CREATE TABLE messages (ID INTEGER PRIMARY KEY, ToClient BLOB NOT NULL, FromClient BLOB NOT NULL,
                 Type INTEGER NOT NULL, Size INTEGER NOT NULL, Content BLOB NOT NULL)"
            }
            Self::Indexed => {
                "CREATE TABLE messages (ID INTEGER PRIMARY KEY, ToClient BLOB NOT NULL, FromClient BLOB NOT NULL,
                 Type INTEGER NOT NULL, Size INTEGER NOT NULL, Content BLOB NOT NULL);
                 CREATE INDEX by_recipient ON messages (ToClient, ID)"
            }
        }
    }
}

/// The name of the record of [`commits`].
#[must_use]
pub fn name(table: Table, group: usize) -> String {
    format!("sqlite {} x{group}", table.name())
}

/// Commits of so many rows each, with contents of so many bytes.
///
/// # Errors
/// Those of the database.
pub fn commits(place: &Place, table: Table, group: usize, size: usize, length: Duration) -> Result<Record> {
    let directory = place.directory()?;
    let mut connection = Connection::open(directory.path().join("raw.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.execute_batch(table.schema())?;
    let content = vec![0x5a_u8; size];
    let mut rows = 0_u64;
    let began = Instant::now();
    while began.elapsed() < length {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO messages (ToClient, FromClient, Type, Size, Content) VALUES (?1, ?2, 3, ?3, ?4)",
            )?;
            for _ in 0..group {
                let [to, from] = [rows % RECIPIENTS, (rows + 1) % RECIPIENTS].map(id);
                insert.execute((to, from, size, content.as_slice()))?;
                rows += 1;
            }
        }
        transaction.commit()?;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Record::new(name(table, group))
        .with("a second", rows as f64 / seconds)
        .with("commits a second", rows as f64 / group as f64 / seconds))
}

/// An id of 16 bytes that shares its beginning with no other.
fn id(number: u64) -> [u8; 16] {
    let spread = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (spread << 64 | u128::from(number)).to_be_bytes()
}
