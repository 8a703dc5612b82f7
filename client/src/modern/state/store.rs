//! The store: sealed records in SQLite.
//!
//! A record is JSON under the key file's key, with its kind and index as additional data, so that records cannot be
//! exchanged for each other. The index is a keyed hash of what the record is about, and a number where the order counts;
//! so the file shows how many records there are and when they change, and nothing else.
//!
//! The journal is one that is removed at each commit, and what is deleted is overwritten: what a ratchet has forgotten is
//! not to be found in the file. A commit is on disk for good before anything is sent that depends on it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use messageu_envelope::at_rest::{open_record, seal_record};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::key_file::StoreKeys;
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::profile::sync_parent;

/// How long to wait for another process that writes.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// How a commit waits for the disk: EXTRA makes sure that the journal is gone for good, so that no state comes back after
/// something was sent that depends on a later one. Unit tests end no power.
const SYNCHRONOUS: &str = if cfg!(test) { "OFF" } else { "EXTRA" };
/// Tells our files from other databases: "MU3S".
const APPLICATION_ID: i32 = 0x4d55_3353;
/// What makes each version of the tables of the one before. Never edited once released.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE records (
        kind   INTEGER NOT NULL,
        place  BLOB NOT NULL,
        sealed BLOB NOT NULL
    );
    CREATE UNIQUE INDEX records_by_place ON records (kind, place);
    CREATE TABLE numbers (next INTEGER NOT NULL);
    INSERT INTO numbers VALUES (1);
"];

/// What can be in the store.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// Tells the kinds apart, in the file for good.
    const KIND: u8;
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    sql: Connection,
    keys: StoreKeys,
}

/// A transaction: all of it is in the store, or nothing.
pub(crate) struct Tx<'a> {
    sql: Transaction<'a>,
    keys: &'a StoreKeys,
}

impl Store {
    /// Opens the store in this file, which is created if there is none.
    pub(super) fn open(path: &Path, keys: StoreKeys) -> Result<Self> {
        create_private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sql = Connection::open_with_flags(path, flags).map_err(failed)?;
        let store = Self { sql, keys };
        store.prepare(path)?;
        Ok(store)
    }

    fn prepare(&self, path: &Path) -> Result<()> {
        self.sql.busy_timeout(BUSY_WAIT).map_err(failed)?;
        let settings = "
            PRAGMA journal_mode = DELETE;
            PRAGMA secure_delete = ON;
            PRAGMA temp_store = MEMORY;
            PRAGMA trusted_schema = OFF;
            PRAGMA cell_size_check = ON;
        ";
        self.sql.execute_batch(settings).map_err(failed)?;
        self.sql.pragma_update(None, "synchronous", SYNCHRONOUS).map_err(failed)?;
        let tx = self.begin(TransactionBehavior::Immediate)?;
        let number = |name: &str| tx.sql.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, version) =
            (number("application_id").map_err(failed)?, number("user_version").map_err(failed)?);
        let done = usize::try_from(version).unwrap_or(usize::MAX);
        if application != i64::from(APPLICATION_ID) && (application, version) != (0, 0) {
            let what = format!("{} is not a database of messageu", path.display());
            return Err(Error::new(ErrorKind::Profile, what).hint("restore it from a copy"));
        }
        if done > MIGRATIONS.len() {
            let what = format!("{} was written by a newer messageu", path.display());
            return Err(Error::new(ErrorKind::Profile, what).hint("use that one"));
        }
        for migration in MIGRATIONS.iter().skip(done) {
            tx.sql.execute_batch(migration).map_err(failed)?;
        }
        tx.sql.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        let now_done = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        tx.sql.pragma_update(None, "user_version", now_done).map_err(failed)?;
        tx.sql.commit().map_err(failed)
    }

    /// Reads what belongs together.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        work(&self.begin(TransactionBehavior::Deferred)?)
    }

    /// Changes what belongs together: when this returns a value, all of it is on disk; when it returns an error, nothing is.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let tx = self.begin(TransactionBehavior::Immediate)?;
        let value = work(&tx)?;
        tx.sql.commit().map_err(failed)?;
        Ok(value)
    }

    /// Writes a copy of the database, as it is now, into an empty file.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        let path = path.to_str().ok_or_else(|| {
            Error::new(ErrorKind::Profile, "the profile's path is not UTF-8")
                .hint("move it to another directory")
        })?;
        self.sql.execute("VACUUM INTO ?1", [path]).map(drop).map_err(failed)
    }

    /// The keys of the store, as bytes.
    pub(crate) fn keys(&self) -> Zeroizing<Vec<u8>> {
        self.keys.to_bytes()
    }

    fn begin(&self, behavior: TransactionBehavior) -> Result<Tx<'_>> {
        let sql = Transaction::new_unchecked(&self.sql, behavior).map_err(failed)?;
        Ok(Tx { sql, keys: &self.keys })
    }
}

impl Tx<'_> {
    /// The record about a thing.
    pub(crate) fn find<R: Record>(&self, about: &[u8]) -> Result<Option<R>> {
        self.find_at_place(&self.keys.index(R::KIND, about))
    }

    /// Puts a record about a thing in place of the one there is.
    pub(crate) fn put<R: Record>(&self, about: &[u8], record: &R) -> Result<()> {
        self.put_at_place(&self.keys.index(R::KIND, about), record)
    }

    /// Erases the record about a thing, and says whether there was one.
    pub(crate) fn erase<R: Record>(&self, about: &[u8]) -> Result<bool> {
        self.erase_at_place::<R>(&self.keys.index(R::KIND, about))
    }

    /// Adds a record to the end of a list, and gives its number: higher than that of any record before.
    pub(crate) fn append<R: Record>(&self, list: &[u8], record: &R) -> Result<u64> {
        let next = "UPDATE numbers SET next = next + 1 RETURNING next - 1";
        let number: i64 = self.sql.query_row(next, [], |row| row.get(0)).map_err(failed)?;
        let number = u64::try_from(number).map_err(|_| damaged())?;
        self.put_number(list, number, record)?;
        Ok(number)
    }

    /// A record of a list.
    pub(crate) fn find_number<R: Record>(&self, list: &[u8], number: u64) -> Result<Option<R>> {
        self.find_at_place(&self.place::<R>(list, number))
    }

    /// Puts a record of a list in place of the one that has the number.
    pub(crate) fn put_number<R: Record>(&self, list: &[u8], number: u64, record: &R) -> Result<()> {
        self.put_at_place(&self.place::<R>(list, number), record)
    }

    /// Erases a record of a list, and says whether there was one.
    pub(crate) fn erase_number<R: Record>(&self, list: &[u8], number: u64) -> Result<bool> {
        self.erase_at_place::<R>(&self.place::<R>(list, number))
    }

    /// The records of a list in their order, each with its number; the last ones, if there are more than `most`.
    pub(crate) fn list<R: Record>(&self, list: &[u8], most: usize) -> Result<Vec<(u64, R)>> {
        let mut numbered = self.rows::<R>(
            "SELECT place, sealed FROM records WHERE kind = ?1 AND place > ?2 AND place <= ?3 \
             ORDER BY place DESC LIMIT ?4",
            params![
                R::KIND,
                self.keys.index(R::KIND, list),
                self.place::<R>(list, u64::MAX),
                i64::try_from(most).unwrap_or(i64::MAX)
            ],
        )?;
        numbered.reverse();
        let number = |place: &[u8]| place.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let numbered = numbered.into_iter().map(|(place, record)| Some((number(&place)?, record)));
        numbered.collect::<Option<_>>().ok_or_else(damaged)
    }

    /// All records of a kind, in no order.
    pub(crate) fn all<R: Record>(&self) -> Result<Vec<R>> {
        let rows = self.rows("SELECT place, sealed FROM records WHERE kind = ?1", params![R::KIND])?;
        Ok(rows.into_iter().map(|(_, record)| record).collect())
    }

    /// How many records there are of a kind.
    pub(crate) fn count<R: Record>(&self) -> Result<usize> {
        let count = "SELECT count(*) FROM records WHERE kind = ?1";
        let count: i64 = self.sql.query_row(count, [R::KIND], |row| row.get(0)).map_err(failed)?;
        usize::try_from(count).map_err(|_| damaged())
    }

    fn place<R: Record>(&self, list: &[u8], number: u64) -> Vec<u8> {
        [self.keys.index(R::KIND, list).as_slice(), &number.to_be_bytes()].concat()
    }

    fn rows<R: Record>(&self, query: &str, bound: impl rusqlite::Params) -> Result<Vec<(Vec<u8>, R)>> {
        let mut query = self.sql.prepare_cached(query).map_err(failed)?;
        let rows = query.query_map(bound, |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)));
        rows.map_err(failed)?
            .map(|row| {
                let (place, sealed) = row.map_err(failed)?;
                let record = self.open(&place, &sealed)?;
                Ok((place, record))
            })
            .collect()
    }

    fn find_at_place<R: Record>(&self, place: &[u8]) -> Result<Option<R>> {
        let query = "SELECT sealed FROM records WHERE kind = ?1 AND place = ?2";
        let mut query = self.sql.prepare_cached(query).map_err(failed)?;
        let sealed = query.query_row(params![R::KIND, place], |row| row.get::<_, Vec<u8>>(0)).optional();
        sealed.map_err(failed)?.map(|sealed| self.open(place, &sealed)).transpose()
    }

    fn put_at_place<R: Record>(&self, place: &[u8], record: &R) -> Result<()> {
        let json = to_json(record)?;
        let sealed = seal_record(&self.keys.seal, &aad::<R>(place), &json, &mut rand::rng());
        let statement = "INSERT INTO records (kind, place, sealed) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (kind, place) DO UPDATE SET sealed = excluded.sealed";
        let mut statement = self.sql.prepare_cached(statement).map_err(failed)?;
        statement.execute(params![R::KIND, place, sealed]).map(drop).map_err(failed)
    }

    fn erase_at_place<R: Record>(&self, place: &[u8]) -> Result<bool> {
        let statement = "DELETE FROM records WHERE kind = ?1 AND place = ?2";
        let mut statement = self.sql.prepare_cached(statement).map_err(failed)?;
        statement.execute(params![R::KIND, place]).map(|erased| erased > 0).map_err(failed)
    }

    fn open<R: Record>(&self, place: &[u8], sealed: &[u8]) -> Result<R> {
        let json = open_record(&self.keys.seal, &aad::<R>(place), sealed).map_err(|_| damaged())?;
        // Serde's messages may quote the record.
        serde_json::from_slice(&json).map_err(|_| damaged())
    }
}

fn aad<R: Record>(place: &[u8]) -> Vec<u8> {
    [&[R::KIND], place].concat()
}

/// JSON in memory that is erased, reserved whole: growing would leave copies behind.
fn to_json(record: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let unwritable = |_| Error::new(ErrorKind::Other, "a record cannot be written");
    let mut count = Count(0);
    serde_json::to_writer(&mut count, record).map_err(unwritable)?;
    let mut json = Zeroizing::new(Vec::with_capacity(count.0));
    serde_json::to_writer(&mut *json, record).map_err(unwritable)?;
    Ok(json)
}

/// Creates the file for its owner alone; what SQLite puts beside it has the same permissions.
fn create_private(path: &Path) -> Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => sync_parent(path),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).at("create", path).map_err(Error::of_profile),
    }
}

fn failed(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(ErrorKind::Busy, "another messageu is writing to this profile")
                .hint("wait for it, and try again")
        }
        Some(ErrorCode::DiskFull) => Error::new(ErrorKind::File, "the disk with the profile is full")
            .hint("make room on that disk and try again"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(),
        _ => Error::new(ErrorKind::Profile, format!("the profile's database fails: {error}"))
            .hint("are its directory and files there, and yours?"),
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Profile, "the profile's database is damaged, or is not the one of its key file")
        .hint("restore the profile from a copy, or from what `messageu export` wrote")
}
