//! The store on disk that sessions are held with: one for all inputs of a thread, since to make one takes longest. Whoever
//! asks it something leaves it as empty as it was.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use messageu_server::store::Store as _;
use messageu_server::store::sqlite::{Options, SqliteStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The time at which sessions begin, in seconds since 1970.
pub(crate) const START: u64 = 1_800_000_000;

/// The time by which a store is given up: it keeps minutes in 32 bits.
const END: u64 = START + (100 * 365 * 24 * 60 * 60);

/// How a store ends before it begins again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It is told to.
    Closed,
    /// It just goes out of use.
    Dropped,
    /// Its files are what they were at this moment.
    Killed,
}

impl End {
    /// The end that a step of a session says, if it says one: one step in twenty does.
    pub(crate) fn of([what, how, ..]: [u8; 4]) -> Option<Self> {
        (what % 20 == 19).then(|| [Self::Closed, Self::Dropped, Self::Killed][usize::from(how % 3)])
    }
}

pub(crate) struct Disk {
    // Dropped in this order.
    store: Option<SqliteStore>,
    pub(crate) runtime: Runtime,
    directory: TempDir,
    /// How far the sessions have come that have a time: a store takes none back.
    pub(crate) clock: u64,
}

/// Does something with the store of this thread.
pub(crate) fn with_disk(work: impl FnOnce(&mut Disk)) {
    thread_local! {
        static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
    }
    // One that something has failed with is not used again.
    let mut disk = DISK.take().filter(|disk| disk.clock <= END).unwrap_or_else(Disk::new);
    work(&mut disk);
    DISK.set(Some(disk));
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { store: None, runtime, directory, clock: START }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("server.db")
    }

    /// Asks the store something.
    pub(crate) fn ask(&mut self, work: impl AsyncFnOnce(&SqliteStore)) {
        let path = self.path();
        let store = self.store.get_or_insert_with(|| {
            // The queue is written down all the while.
            let options = Options { written_down_from: Some(3), ..Options::default() };
            SqliteStore::open_with(&path, options).expect("a store")
        });
        self.runtime.block_on(work(store));
    }

    /// Lets the store end. It begins again when it is asked something.
    pub(crate) fn end(&mut self, end: End) {
        let Some(store) = self.store.take() else { return };
        let twice = SqliteStore::open(&self.path());
        assert!(twice.is_err_and(|error| !error.to_string().is_empty()), "two stores share a file");
        let log = self.directory.path().join("server.db-wal");
        match end {
            End::Closed => self.runtime.block_on(store.close()),
            End::Dropped => drop(store),
            End::Killed => {
                // While somebody reads, SQLite keeps in its log all that they may still need, so that the copies fit together.
                let reader = rusqlite::Connection::open(self.path()).expect("a database");
                reader.execute_batch("BEGIN; SELECT count(*) FROM clients").expect("a table");
                let [database, log_then] =
                    [self.path(), log.clone()].map(|file| fs::read(file).expect("a file"));
                drop((reader, store));
                fs::write(self.path(), database).expect("a file");
                fs::write(log, log_then).expect("a file");
            }
        }
    }
}
