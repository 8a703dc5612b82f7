//! The store in a SQLite database: one thread writes, in groups that share a commit; others read beside it.

pub mod backup;
mod changes;
mod counters;
mod directory;
mod expiry;
mod modern;
mod reader;
pub(crate) mod schema;
mod tail;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use messageu_wire::fields::ClientId;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

use self::directory::Directory;
use self::modern::ModernShared;
use self::reader::Readers;
use self::tail::{Place, Source, Tail};
use self::writer::Writer;
use super::modern::ModernStore;
use super::{
    Client, Content, DiskUse, ImportRow, Imported, NewMessage, Pending, QueueLimits, RosterEntry,
    RosterExtent, Sequence, Store, StoreError, StoreMetrics, UploadId, from_unix, to_unix,
};

/// Messages that are acknowledged in one transaction, and into how many parts it is divided if it fails: deleting takes
/// room in the log first, and on a disk that is almost full there may be room for a few at a time.
const ACKNOWLEDGED_AT_ONCE: usize = 1_000;
const DIVIDED_BY: usize = 10;

/// How long a connection waits for another one's lock before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 64;

/// Clients and messages in a SQLite database.
pub struct SqliteStore {
    // Dropped in this order: the last connection to close should be the one that can tidy the log up.
    readers: Readers,
    writer: Writer,
    directory: Directory<Client>,
    tail: Arc<Tail<ClientId>>,
    modern: ModernShared,
    path: PathBuf,
}

/// Where the places of the classic queue are.
const TAIL: Source<ClientId> = Source {
    newest: "SELECT ToClient, ID, FromClient, Size FROM messages
             WHERE ID > (SELECT coalesce(max(ID), 0) FROM queue_end)
               AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.ToClient = messages.ToClient AND queue.ID = messages.ID)
             ORDER BY ID",
    place: |row| {
        let (to, from) = (ClientId(row.get(0)?), ClientId(row.get(2)?));
        Ok(Place { to, id: row.get(1)?, from, size: row.get(3)? })
    },
    on_disk: "SELECT count(*), coalesce(sum(Size), 0) FROM queue",
};

/// How to open a database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Most pages (of 4,096 bytes) that the database may have; more fails like a full disk.
    pub max_pages: Option<u32>,
    /// How many messages have their places in the queues in memory alone, before these are written down: for tests, which
    /// cannot have as many as there are otherwise.
    pub written_down_from: Option<usize>,
    /// How many messages of version 3 are remembered once they are gone, as many as are not yet written down among them: for
    /// tests likewise.
    pub remembered_max: Option<usize>,
}

/// A database that cannot be opened, and what to do about it.
#[derive(Debug, Error)]
#[error("the database {} cannot be opened", path.display())]
pub struct OpenError {
    /// The database.
    pub path: PathBuf,
    /// What is in the way.
    #[source]
    pub problem: OpenProblem,
}

/// Why a database cannot be opened.
#[derive(Debug, Error)]
pub enum OpenProblem {
    /// Two servers must not share a queue.
    #[error("another server has it open; stop that one, or choose another file for this one")]
    Locked,
    /// Tables of the classic layout, not made by this program.
    #[error(
        "this is a classic server's database; choose another file for this server, and take the old one over with \
         `messageu-server import PATH`"
    )]
    Classic,
    /// A SQLite database with something else in it.
    #[error("this is the database of some other program; choose another file")]
    Foreign,
    /// Not SQLite, or damaged at its very beginning.
    #[error(
        "this is not a SQLite database, or it is damaged; choose another file, or restore it from a backup"
    )]
    NotADatabase,
    /// Written by a later version of this program.
    #[error(
        "its layout is version {found} and this program knows {known}; use the newer program that wrote it"
    )]
    Newer {
        /// The file's version.
        found: usize,
        /// The latest version that this program knows.
        known: usize,
    },
    /// The file, its directory, or the lock beside it.
    #[error("its directory must exist, and both must be writable for the user that the server runs as")]
    File(#[from] io::Error),
    /// Anything else that SQLite says.
    #[error("{0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenProblem {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::NotADatabase,
            _ => Self::Sqlite(error),
        }
    }
}

impl SqliteStore {
    /// Opens the database at `path`, and makes it if it is not there.
    ///
    /// # Errors
    /// A file that this server cannot have, or should not; it is left as it is.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, Options::default())
    }

    /// Opens the database at `path` with options, and makes it if it is not there.
    ///
    /// # Errors
    /// A file that this server cannot have, or should not; it is left as it is.
    pub fn open_with(path: &Path, options: Options) -> Result<Self, OpenError> {
        Self::try_open(path, options).map_err(|problem| OpenError { path: path.to_owned(), problem })
    }

    fn try_open(path: &Path, options: Options) -> Result<Self, OpenProblem> {
        // A link names the same database: its lock has to be the same too.
        let own_name = std::fs::canonicalize(path);
        let path = own_name.as_deref().unwrap_or(path);
        let lock = lock_beside(path)?;
        // SQLite itself would make a file that all can read. It gives those beside it the same mode.
        drop(private_file(path)?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        configure(&connection)?;
        schema::check_owner(&connection)?;
        let log_size = writer::log_size(path);
        writer::configure(&connection, log_size, options)?;
        schema::migrate(&mut connection)?;
        // Whoever uploaded these is gone.
        connection.execute("UPDATE uploads SET Doomed = TRUE", [])?;
        let readers = Readers::open(path)?;
        let tail = Arc::new(Tail::read(&connection, &TAIL, options.written_down_from)?);
        let (modern, modern_state) = modern::read(&connection, &options)?;
        let log = (beside(path, "-wal"), log_size);
        let writer = Writer::start(connection, Arc::clone(&tail), modern_state, log, lock)?;
        let path = path.to_owned();
        Ok(Self { readers, writer, directory: Directory::default(), tail, modern, path })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn register(&self, client: Client, now: SystemTime) -> Result<(), StoreError> {
        if self.client(client.id).await?.is_none() {
            // A visit that was noted before was nobody's, or that of somebody who was deleted.
            self.writer.touched().erase(client.id);
        }
        let now = Some(to_unix(now));
        self.writer.durably(0, move |changes| changes.register(&client, now)).await
    }

    async fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        let before = match self.directory.look_up(id) {
            Ok(client) => return Ok(Some(client)),
            Err(before) => before,
        };
        let found = self.readers.read(move |connection| reader::client(connection, id)).await?;
        if let Some(client) = &found {
            self.directory.keep(id, client, before);
        }
        Ok(found)
    }

    async fn client_by_prefix(&self, prefix: [u8; 8]) -> Result<Option<Client>, StoreError> {
        self.readers.read(move |connection| reader::client_by_prefix(connection, prefix)).await
    }

    async fn remember_profile(&self, id: ClientId, profile: &str) -> Result<(), StoreError> {
        let profile = profile.to_owned();
        let remembered = self.writer.soon(0, move |changes| changes.remember_profile(id, &profile)).await;
        self.directory.forget(id);
        remembered
    }

    async fn delete_client(&self, id: ClientId) -> Result<(), StoreError> {
        let deleted = self.writer.durably(0, move |changes| changes.delete_client(id)).await;
        self.directory.forget(id);
        deleted
    }

    fn touch(&self, id: ClientId, now: SystemTime) {
        self.writer.touched().note(id, to_unix(now));
    }

    async fn last_seen(&self, id: ClientId) -> Result<Option<SystemTime>, StoreError> {
        // Looked up first: a note is removed only after it was written down, so that it is in one place or the other.
        let touched = self.writer.touched().of(id);
        let written = self.readers.read(move |connection| reader::last_seen(connection, id)).await?;
        Ok(written.and_then(|written| touched.or(written)).map(from_unix))
    }

    async fn roster(&self, asker: ClientId) -> Result<RosterExtent, StoreError> {
        self.readers.read(move |connection| reader::roster(connection, asker)).await
    }

    async fn roster_page(
        &self,
        asker: ClientId,
        after: i64,
        last: i64,
        limit: usize,
    ) -> Result<Vec<RosterEntry>, StoreError> {
        self.readers.read(move |connection| reader::roster_page(connection, asker, after, last, limit)).await
    }

    async fn begin_upload(&self, to: ClientId, size: u32) -> Result<UploadId, StoreError> {
        self.writer.soon(0, move |changes| changes.begin_upload(to, size)).await
    }

    async fn check_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: u32,
        limits: QueueLimits,
    ) -> Result<(), StoreError> {
        self.writer.soon(0, move |changes| changes.check_room((to, from), size, &limits)).await
    }

    async fn append_chunk(&self, upload: UploadId, chunk: Bytes) -> Result<(), StoreError> {
        self.writer.soon(chunk.len(), move |changes| changes.append_chunk(upload, &chunk)).await
    }

    fn abandon_upload(&self, upload: UploadId) {
        // If this fails, the next start finds the upload without a message, and sweeps it.
        self.writer.send(move |changes| changes.abandon_upload(upload));
    }

    async fn enqueue(&self, message: NewMessage, limits: QueueLimits) -> Result<Sequence, StoreError> {
        let cost = message.content.bytes_in_memory();
        self.writer.durably(cost, move |changes| changes.enqueue(&message, &limits)).await
    }

    async fn pending(
        &self,
        to: ClientId,
        after: Sequence,
        limit: usize,
        inline_budget: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        let tail = Arc::clone(&self.tail);
        self.readers
            .read(move |connection| reader::pending(connection, &tail, (to, after), limit, inline_budget))
            .await
    }

    async fn read_content(&self, sequence: Sequence, index: u32) -> Result<Bytes, StoreError> {
        self.readers.read(move |connection| reader::read_content(connection, sequence, index)).await
    }

    async fn acknowledge(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, StoreError> {
        let (mut deleted, mut left, mut at_once) = (0, sequences, ACKNOWLEDGED_AT_ONCE);
        while !left.is_empty() {
            let (part, rest) = left.split_at(at_once.min(left.len()));
            let (sequences, cost) = (part.to_vec(), size_of_val(part));
            match self.writer.durably(cost, move |changes| changes.acknowledge(to, &sequences)).await {
                Ok(more) => {
                    deleted += more;
                    left = rest;
                }
                Err(StoreError::Storage(_)) if part.len() > 1 => at_once = part.len().div_ceil(DIVIDED_BY),
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }

    async fn import(&self, rows: Vec<ImportRow>) -> Result<Vec<Result<Imported, StoreError>>, StoreError> {
        let cost = rows.iter().map(ImportRow::cost).sum();
        self.writer.durably(cost, move |changes| rows.iter().map(|row| changes.import(row)).collect()).await
    }

    async fn mark_time(&self, now: SystemTime) -> Result<SystemTime, StoreError> {
        let now = to_unix(now);
        self.writer.durably(0, move |changes| changes.mark_time(now)).await.map(from_unix)
    }

    async fn expire(&self, before: SystemTime, limit: usize) -> Result<u64, StoreError> {
        let before = to_unix(before);
        self.writer.durably(0, move |changes| changes.expire(before, limit)).await
    }

    async fn clients_last_seen_between(
        &self,
        earliest: SystemTime,
        before: SystemTime,
        limit: usize,
    ) -> Result<Vec<ClientId>, StoreError> {
        let (earliest, before) = (to_unix(earliest), to_unix(before));
        let find = move |connection: &Connection| {
            Ok(expiry::clients_last_seen_between(connection, earliest, before, limit)?)
        };
        self.readers.read(find).await
    }

    fn modern(&self) -> Option<&dyn ModernStore> {
        Some(self)
    }

    fn metrics(&self) -> &StoreMetrics {
        self.writer.metrics()
    }

    fn disk_use(&self) -> DiskUse {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        DiskUse { database: size(&self.path), log: size(&beside(&self.path, "-wal")) }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer.durably(0, |changes| changes.probe()).await
    }

    fn reusable_bytes(&self) -> u64 {
        self.writer.reusable_bytes()
    }

    async fn close(&self) {
        self.readers.close().await;
        self.directory.clear();
        self.modern.close();
        self.writer.close().await;
    }
}

/// Takes the lock that keeps a second server away, until it is dropped.
fn lock_beside(path: &Path) -> Result<File, OpenProblem> {
    let lock = private_file(&beside(path, ".lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenProblem::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a file for writing, and makes it for its owner alone if it is not there.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// What holds for every connection.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -4_096)?; // KiB
    connection.pragma_update(None, "trusted_schema", false)
}

/// Where a chunk is: an upload has at most 65,536, as its size is a `u32`.
fn chunk_id(upload: i64, index: u32) -> i64 {
    (upload << 16) | i64::from(index)
}

fn closed() -> StoreError {
    StoreError::Storage("the store is closed".to_owned())
}

fn damaged(what: &str) -> StoreError {
    StoreError::Storage(format!("{what} is damaged"))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // Its text names tables and columns, never values.
        Self::Storage(error.to_string())
    }
}

impl Content {
    fn bytes_in_memory(&self) -> usize {
        match self {
            Self::Inline(content) => content.len(),
            Self::Uploaded(_) => 0,
        }
    }
}
