//! Backups: a database in one file, made while its server runs, checked, and put back.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, ffi};
use tempfile::{NamedTempFile, TempPath};
use thiserror::Error;

use super::schema::{self, APPLICATION_ID};
use super::{OpenError, OpenProblem, beside, configure, lock_beside};

/// Pages that are copied between two reports of how far it is.
const PAGES_AT_ONCE: i32 = 1_024;

/// Problems of each kind that are told of.
const PROBLEMS_MAX: usize = 10;

/// The layout that has tables for version 3 first.
const MODERN_SINCE: usize = 4;

/// What a database has in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inventory {
    /// The version of its layout.
    pub layout: usize,
    /// Registered clients.
    pub clients: u64,
    /// Waiting messages.
    pub messages: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Accounts of version 3.
    pub accounts: u64,
    /// Waiting envelopes of version 3.
    pub envelopes: u64,
    /// Chunks of files of version 3.
    pub chunks: u64,
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, clients, messages, bytes, accounts, envelopes, chunks } = self;
        write!(f, "{clients} clients, {messages} messages with {bytes} bytes")?;
        write!(
            f,
            "; of version 3 {accounts} accounts, {envelopes} envelopes, {chunks} chunks; layout {layout}"
        )
    }
}

/// Why there is no backup, or nothing was restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// Nothing is there to be read.
    #[error("there is no database {}", .0.display())]
    Missing(PathBuf),
    /// Something is there where something new should be.
    #[error("{} is there already; choose another name, or replace it with --overwrite", .0.display())]
    InTheWay(PathBuf),
    /// It cannot be opened, or is not for this program.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It can be opened, and is not sound.
    #[error("{} is damaged: {}", path.display(), problems.join("; "))]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong, of each kind the first few.
        problems: Vec<String>,
    },
    /// A file cannot be written, or put in its place.
    #[error("{} cannot be written", path.display())]
    File {
        /// The file, or its directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Reading one, or writing the other, failed on the way.
    #[error("{} cannot be copied to its end", path.display())]
    Copy {
        /// The database that was being read.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        error: rusqlite::Error,
    },
}

/// Pages that are copied, and all pages.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Copies a database, which a server may have open, as it is at this moment into a file of its own, for its owner alone.
///
/// The file is there when it is whole, sound and on disk, or not at all. While it is being copied, the server's log grows
/// instead of beginning again.
///
/// # Errors
/// A database that cannot be read or is damaged, a file that is in the way, or a disk that is full.
pub fn back_up(
    database: &Path,
    target: &Path,
    overwrite: bool,
    progress: Progress<'_>,
) -> Result<Inventory, BackupError> {
    if !overwrite && target.exists() {
        return Err(BackupError::InTheWay(target.to_owned()));
    }
    let copy = copy_beside(target, database, progress)?;
    let inventory = verify(&copy)?;
    put_in_place(copy, target, overwrite)?;
    Ok(inventory)
}

/// Puts a backup where a server will look for its database, unless a server has that open. What is there is replaced only
/// with `overwrite`.
///
/// # Errors
/// A backup that is damaged or not one, a server that has the database open, a file that is in the way, or a full disk:
/// then everything is as it was.
pub fn restore(
    backup: &Path,
    database: &Path,
    overwrite: bool,
    progress: Progress<'_>,
) -> Result<Inventory, BackupError> {
    let own_name = std::fs::canonicalize(database);
    let database = own_name.as_deref().unwrap_or(database);
    // Held until all is in place.
    let _lock = lock_beside(database).map_err(|problem| OpenError { path: database.to_owned(), problem })?;
    if !overwrite && database.exists() {
        return Err(BackupError::InTheWay(database.to_owned()));
    }
    let inventory = verify(backup)?;
    let copy = copy_beside(database, backup, progress)?;
    for path in [copy.to_path_buf(), beside(database, ".lock")] {
        leave_to_owner(&path).map_err(|error| BackupError::File { path, error })?;
    }
    take_log_in(database);
    // The log of what was there must not be taken for that of what comes. It goes last, in case that there is a reason to
    // keep what was there.
    for suffix in ["-shm", "-journal", "-wal"] {
        let path = beside(database, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::File { path, error });
            }
            _ => {}
        }
    }
    sync_directory(database)?;
    put_in_place(copy, database, overwrite)?;
    Ok(inventory)
}

/// Copies the log of a database into it, so that it is whole without: should the machine stop before another one is in
/// its place, nothing of it is lost. One that is damaged, or is none, is left as it is.
fn take_log_in(database: &Path) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let taken_in = Connection::open_with_flags(database, flags)
        .and_then(|connection| connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    if let Err(error) = taken_in {
        tracing::debug!(%error, "the log of what was there could not be copied into it");
    }
}

/// Gives a file to whom its directory belongs, where only root writes: the server may run as somebody else.
fn leave_to_owner(path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(directory_of(path))?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

/// Checks whether a database is sound: its pages, its tables, and what they say of each other. Nothing in it is changed.
///
/// # Errors
/// What is wrong with it.
pub fn verify(path: &Path) -> Result<Inventory, BackupError> {
    let connection = open(path)?;
    let copy_error = |error| BackupError::Copy { path: path.to_owned(), error };
    let snapshot = connection.unchecked_transaction().map_err(copy_error)?;
    let problems = problems(&snapshot);
    if !problems.is_empty() {
        return Err(BackupError::Damaged { path: path.to_owned(), problems });
    }
    inventory(&snapshot).map_err(copy_error)
}

/// Opens a database of this program to read it.
fn open(path: &Path) -> Result<Connection, BackupError> {
    if !path.exists() {
        return Err(BackupError::Missing(path.to_owned()));
    }
    try_open(path).map_err(|problem| OpenError { path: path.to_owned(), problem }.into())
}

fn try_open(path: &Path) -> Result<Connection, OpenProblem> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    schema::check_owner(&connection)?;
    // An empty file may become a database of this program, but is none.
    if schema::pragma::<i32>(&connection, "application_id")? != APPLICATION_ID {
        return Err(OpenProblem::Foreign);
    }
    Ok(connection)
}

/// Copies a database into a file without a name that lasts, where `target` will be.
fn copy_beside(target: &Path, source: &Path, progress: Progress<'_>) -> Result<TempPath, BackupError> {
    let connection = open(source)?;
    let file_error = |error| BackupError::File { path: target.to_owned(), error };
    let copy = new_file_beside(target).map_err(file_error)?;
    copy_all(&connection, &copy, progress)
        .map_err(|error| BackupError::Copy { path: source.to_owned(), error })?;
    File::open(&copy).and_then(|file| file.sync_all()).map_err(file_error)?;
    Ok(copy)
}

/// A file for its owner alone; gone when it is dropped.
fn new_file_beside(target: &Path) -> io::Result<TempPath> {
    let mut builder = tempfile::Builder::new();
    let file = builder.prefix(".messageu-").suffix(".part");
    file.tempfile_in(directory_of(target)).map(NamedTempFile::into_temp_path)
}

fn copy_all(source: &Connection, copy: &Path, progress: Progress<'_>) -> rusqlite::Result<()> {
    // All of it as it is now: otherwise the copy would begin again whenever somebody writes.
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_one("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut target = Connection::open(copy)?;
    // Nobody sees it before it is whole and on disk.
    target.pragma_update(None, "journal_mode", "OFF")?;
    target.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(&snapshot, &mut target)?;
    loop {
        let step = backup.step(PAGES_AT_ONCE)?;
        let pages = |count: i32| u64::try_from(count).unwrap_or(0);
        let (all, left) = (pages(backup.progress().pagecount), pages(backup.progress().remaining));
        progress(all.saturating_sub(left), all);
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            // Nobody can be in the way of a snapshot, or knows of the copy.
            _ => return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)),
        }
    }
    drop(backup);
    drop(target);
    // One file is all of it: no log beside.
    let target = Connection::open(copy)?;
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, error)| error)
}

fn put_in_place(copy: TempPath, target: &Path, overwrite: bool) -> Result<(), BackupError> {
    let put = if overwrite { copy.persist(target) } else { copy.persist_noclobber(target) };
    put.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::InTheWay(target.to_owned()),
        _ => BackupError::File { path: target.to_owned(), error: error.error },
    })?;
    sync_directory(target)
}

/// Makes names last.
fn sync_directory(path: &Path) -> Result<(), BackupError> {
    let directory = directory_of(path);
    let synced = File::open(&directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| BackupError::File { path: directory, error })
}

fn directory_of(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, |parent| Path::new(".").join(parent))
}

fn inventory(connection: &Connection) -> rusqlite::Result<Inventory> {
    let layout = schema::pragma(connection, "user_version")?;
    let select = "SELECT (SELECT count(*) FROM clients), (SELECT count(*) FROM messages),
        (SELECT coalesce(sum(Size), 0) FROM messages)";
    let classic = connection.query_one(select, [], |row| {
        let (clients, messages, bytes) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Inventory { layout, clients, messages, bytes, accounts: 0, envelopes: 0, chunks: 0 })
    })?;
    if layout < MODERN_SINCE {
        return Ok(classic);
    }
    let select = "SELECT (SELECT count(*) FROM modern_accounts), (SELECT count(*) FROM modern_messages),
        (SELECT count(*) FROM modern_chunks)";
    connection.query_one(select, [], |row| {
        let (accounts, envelopes, chunks) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Inventory { accounts, envelopes, chunks, ..classic })
    })
}

/// What must be none, since which version of the layout, and how to count it.
const NEVER: [(&str, usize, &str); 21] = [
    (
        "clients whose id or key has a wrong size",
        1,
        "SELECT count(*) FROM clients WHERE length(ID) <> 16 OR length(PublicKey) <> 160",
    ),
    (
        "clients that share the first half of their ids",
        1,
        "SELECT count(*) FROM (SELECT 1 FROM clients GROUP BY substr(ID, 1, 8) HAVING count(*) > 1)",
    ),
    (
        "messages for clients that are not there",
        1,
        "SELECT count(*) FROM messages WHERE ToClient NOT IN (SELECT ID FROM clients)",
    ),
    (
        "messages whose content is not all there",
        1,
        "SELECT count(*) FROM messages WHERE Upload IS NULL AND length(Content) <> Size",
    ),
    (
        "messages whose chunks are not all there",
        1,
        "SELECT count(*) FROM messages WHERE Upload IS NOT NULL AND Size <> (SELECT coalesce(sum(length(Bytes)), 0)
         FROM chunks WHERE chunks.ID BETWEEN Upload << 16 AND (Upload << 16) + 65535)",
    ),
    (
        "contents that two messages share",
        1,
        "SELECT count(*) FROM (SELECT 1 FROM messages WHERE Upload IS NOT NULL GROUP BY Upload HAVING count(*) > 1)",
    ),
    (
        "chunks that belong to nothing",
        1,
        "SELECT count(*) FROM chunks WHERE ID >> 16 NOT IN
         (SELECT Upload FROM messages WHERE Upload IS NOT NULL UNION ALL SELECT ID FROM uploads)",
    ),
    (
        "messages that are in nobody's queue",
        2,
        "SELECT count(*) FROM messages WHERE ID <= (SELECT coalesce(max(ID), 0) FROM queue_end) AND NOT EXISTS
         (SELECT 1 FROM queue WHERE queue.ToClient = messages.ToClient AND queue.ID = messages.ID)",
    ),
    (
        "accounts of version 3 whose id, fingerprint or bundle has a wrong size",
        4,
        "SELECT count(*) FROM modern_accounts
         WHERE length(ID) <> 16 OR length(Fingerprint) <> 32 OR length(Bundle) <> 1294",
    ),
    (
        "accounts of version 3 that have no name and gave way to nobody, or have one and did",
        4,
        "SELECT count(*) FROM modern_accounts WHERE (Name IS NULL) <> (ID IN (SELECT Old FROM modern_successions))",
    ),
    (
        "classic clients that have the id of an account of version 3",
        4,
        "SELECT count(*) FROM clients WHERE ID IN (SELECT ID FROM modern_accounts)",
    ),
    (
        "accounts that one gave way to without being there, or without giving way in turn",
        4,
        "SELECT count(*) FROM modern_successions WHERE New NOT IN (SELECT ID FROM modern_accounts)
         AND New NOT IN (SELECT Old FROM modern_successions)",
    ),
    (
        "one-time keys of accounts that are not there",
        4,
        "SELECT count(*) FROM modern_one_time_keys WHERE Account NOT IN (SELECT ID FROM modern_accounts)",
    ),
    (
        "one-time keys with ids that their accounts have not published",
        4,
        "SELECT count(*) FROM modern_one_time_keys JOIN modern_accounts ON Account = modern_accounts.ID
         WHERE modern_one_time_keys.ID > LastOneTime",
    ),
    (
        "envelopes for accounts that are not there",
        4,
        "SELECT count(*) FROM modern_messages WHERE ToAccount NOT IN (SELECT ID FROM modern_accounts)",
    ),
    (
        "envelopes that are not all there",
        4,
        "SELECT count(*) FROM modern_messages LEFT JOIN modern_contents ON modern_contents.ID = Content
         WHERE coalesce(length(iif(Content IS NULL, Envelope, Bytes)), -1) <> Size",
    ),
    (
        "envelopes of version 3 that are in nobody's queue",
        4,
        "SELECT count(*) FROM modern_messages WHERE ID <= (SELECT coalesce(max(ID), 0) FROM modern_queue_end)
         AND NOT EXISTS (SELECT 1 FROM modern_queue
           WHERE modern_queue.ToAccount = modern_messages.ToAccount AND modern_queue.ID = modern_messages.ID)",
    ),
    (
        "large envelopes that belong to nothing",
        4,
        "SELECT count(*) FROM modern_contents WHERE ID NOT IN
         (SELECT Content FROM modern_messages WHERE Content IS NOT NULL UNION ALL SELECT ID FROM modern_doomed)",
    ),
    (
        "files of accounts that are not there",
        4,
        "SELECT count(*) FROM modern_files
         WHERE ToAccount IS NOT NULL AND ToAccount NOT IN (SELECT ID FROM modern_accounts)",
    ),
    (
        "files that have not as many chunks as they say",
        4,
        "SELECT count(*) FROM modern_files WHERE ToAccount IS NOT NULL AND Held <> (SELECT count(*) FROM modern_chunks
         WHERE modern_chunks.ID BETWEEN modern_files.ID << 20 AND (modern_files.ID << 20) + 1048575)",
    ),
    (
        "chunks of files that are not there",
        4,
        "SELECT count(*) FROM modern_chunks WHERE ID >> 20 NOT IN (SELECT ID FROM modern_files)",
    ),
];

fn problems(connection: &Connection) -> Vec<String> {
    let mut problems = match damaged_pages(connection) {
        Ok(problems) => problems,
        Err(error) => vec![error.to_string()],
    };
    let layout: usize = schema::pragma(connection, "user_version").unwrap_or_default();
    for (what, _, count) in NEVER.into_iter().filter(|(_, since, _)| *since <= layout) {
        match connection.query_one(count, [], |row| row.get::<_, u64>(0)) {
            Ok(0) => {}
            Ok(count) => problems.push(format!("{count} {what}")),
            Err(error) => problems.push(format!("{what} cannot be counted: {error}")),
        }
    }
    problems
}

fn damaged_pages(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})"))?;
    let said = check.query_map([], |row| row.get::<_, String>(0))?;
    said.filter(|line| line.as_ref().ok().is_none_or(|line| line != "ok")).collect()
}
