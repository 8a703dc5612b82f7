//! Taking over a classic server's database.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use messageu_server::import::{Counts, ImportError, ImportFailure, ImportReport, import_classic};
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::sqlite::SqliteStore;
use messageu_server::store::{Sequence, Store};
use messageu_wire::fields::{ClientId, PUBLIC_KEY_SIZE};
use messageu_wire::message::MessageType;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::rarely::rarely;
use crate::unstructured::choose;

/// Bytes that SQLite may have at once, all connections together.
const SQLITE_MEMORY: i64 = 64 << 20;

/// Of all databases, one in so many is taken over twice.
const TWICE_ONE_IN: u32 = 4;

/// Of those, one in so many into the store on disk, which takes ten times as long.
const ON_DISK_ONE_IN: u32 = 4;

/// Reasons that a report gives.
const REASONS_MAX: usize = 100;

/// A classic database as a fuzzer's bytes say it: any bytes, a true one with some bytes changed, or rows in the ways of all
/// programs.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_import(bytes: &mut Unstructured<'_>) -> Result<()> {
    let effort = Effort::for_input(bytes.peek_bytes(bytes.len()).unwrap_or_default());
    match bytes.arbitrary::<u8>()? {
        0..48 => check_import(bytes.bytes(bytes.len())?, effort),
        48..144 => {
            let mut file = true_database().to_vec();
            while !bytes.is_empty() {
                let (at, byte) = bytes.arbitrary::<(u16, u8)>()?;
                let at = usize::from(at) % file.len();
                file[at] = byte;
            }
            check_import(&file, effort);
        }
        _ => check_rows(&any_rows(bytes)?, effort),
    }
    Ok(())
}

/// What is done with a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effort {
    Once,
    Twice,
    TwiceOnDisk,
}

impl Effort {
    fn for_input(bytes: &[u8]) -> Self {
        match (rarely(bytes, TWICE_ONE_IN), rarely(bytes, TWICE_ONE_IN * ON_DISK_ONE_IN)) {
            (_, true) => Self::TwiceOnDisk,
            (true, false) => Self::Twice,
            (false, false) => Self::Once,
        }
    }
}

/// Any bytes as a database: it is taken over as far as the report says, or refused by name; if anything was taken, a second
/// run finds all of it there; and the source is what it was.
fn check_import(file: &[u8], effort: Effort) {
    with_bench(|bench| {
        fs::write(bench.source(), file).expect("a file in memory");
        bench.import(effort);
        assert!(fs::read(bench.source()).is_ok_and(|after| after == file), "the source was changed");
    });
}

/// Rows of a database in which all that can be understood is taken, in order, and nothing else.
fn check_rows(rows: &Rows, effort: Effort) {
    with_bench(|bench| {
        bench.write(rows);
        let (report, error, held) = bench.import(effort);
        assert!(error.is_none(), "{rows:?}: {error:?}");
        let expected = rows.expected();
        assert_eq!((report.clients, report.messages), (expected.clients, expected.messages), "{rows:?}");
        assert_eq!(held, expected.held, "{rows:?}");
    });
}

/// Who is there, in order, and what waits for each: sender, type and content.
type Held = Vec<(ClientId, String, Vec<(ClientId, MessageType, Vec<u8>)>)>;

/// Where databases are taken over: a store in memory for each, or the one on disk, emptied between them, since to make one
/// takes longest.
struct Bench {
    // Dropped in this order.
    store: SqliteStore,
    /// Whether an input has left something in it.
    is_used: Cell<bool>,
    emptier: Connection,
    runtime: Runtime,
    directory: TempDir,
}

fn with_bench(work: impl FnOnce(&Bench)) {
    thread_local! {
        static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
    }
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(Bench::new);
        bench.empty();
        work(bench);
    });
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.db");
        let store = SqliteStore::open(&path).expect("a store");
        let emptier = Connection::open(&path).expect("a connection");
        emptier.execute_batch("PRAGMA synchronous = OFF").expect("a setting");
        emptier.pragma_update(None, "hard_heap_limit", SQLITE_MEMORY).expect("a limit");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { store, is_used: Cell::new(false), emptier, runtime, directory }
    }

    fn source(&self) -> PathBuf {
        self.directory.path().join("defensive.db")
    }

    /// Leaves nothing of the input before.
    fn empty(&self) {
        if self.is_used.replace(false) {
            for (id, _, _) in self.held(&self.store) {
                self.runtime.block_on(self.store.delete_client(id)).expect("a store");
            }
            // The store itself never forgets what it has taken over.
            self.emptier.execute_batch("DELETE FROM imports").expect("an empty store");
        }
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut file = self.source().into_os_string();
            file.push(suffix);
            if let Err(error) = fs::remove_file(file) {
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
        }
    }

    fn write(&self, rows: &Rows) {
        write_database(&self.source(), rows).expect("a database");
    }

    /// Takes the source over, and perhaps again if something was there to take: what was taken, what was in the way of the
    /// rest, and what the store holds now.
    fn import(&self, effort: Effort) -> (ImportReport, Option<ImportError>, Held) {
        if effort != Effort::TwiceOnDisk {
            return self.import_into(&MemoryStore::new(), effort);
        }
        self.is_used.set(true);
        let done = self.import_into(&self.store, effort);
        self.is_used.set(!done.2.is_empty());
        done
    }

    fn import_into(&self, store: &impl Store, effort: Effort) -> (ImportReport, Option<ImportError>, Held) {
        let (report, error) = self.import_once(store);
        assert_report(&report);
        let held = self.held(store);
        let waiting: usize = held.iter().map(|(_, _, waiting)| waiting.len()).sum();
        assert_eq!((report.clients.taken, report.messages.taken), (held.len() as u64, waiting as u64));
        if let Some(error) = &error {
            named(error);
        }
        if held.is_empty() || effort == Effort::Once {
            return (report, error, held);
        }

        let (again, same_error) = self.import_once(store);
        assert_eq!(error.as_ref().map(named), same_error.as_ref().map(named));
        for (counts, before) in [(again.clients, report.clients), (again.messages, report.messages)] {
            let already_there = before.taken + before.already_there;
            assert_eq!(counts, Counts { taken: 0, already_there, left_out: before.left_out });
        }
        // A row that met its name first may later meet its id first.
        let places = |report: &ImportReport| report.left_out.iter().map(|row| row.place).collect::<Vec<_>>();
        assert_eq!(places(&again), places(&report));
        assert_eq!(self.held(store), held, "a second run changed what the first had taken");
        (report, error, held)
    }

    fn import_once(&self, store: &impl Store) -> (ImportReport, Option<ImportError>) {
        match self.runtime.block_on(import_classic(&self.source(), store)) {
            Ok(report) => (report, None),
            Err(ImportFailure { report, error }) => (report, Some(error)),
        }
    }

    fn held(&self, store: &impl Store) -> Held {
        self.runtime.block_on(async {
            let extent = store.roster(ClientId::NOBODY).await.expect("a store");
            let mut held = Vec::new();
            if extent.count == 0 {
                return held;
            }
            let listed = store.roster_page(ClientId::NOBODY, 0, extent.last, usize::MAX / 2);
            for entry in listed.await.expect("a store") {
                let mut waiting = Vec::new();
                let pending = store.pending(entry.id, Sequence::default(), usize::MAX / 2, usize::MAX / 2);
                for message in pending.await.expect("a store") {
                    let mut content = message.content.clone().map(Vec::from).unwrap_or_default();
                    while content.len() < message.size as usize {
                        let index = (content.len() / messageu_server::store::CHUNK_SIZE) as u32;
                        let chunk = store.read_content(message.sequence, index).await;
                        content.extend_from_slice(&chunk.expect("all chunks"));
                    }
                    waiting.push((message.from, message.kind, content));
                }
                held.push((entry.id, entry.name.to_string(), waiting));
            }
            held
        })
    }
}

/// A report adds up, and says why.
fn assert_report(report: &ImportReport) {
    let left_out = report.clients.left_out + report.messages.left_out;
    assert_eq!(report.left_out.len() as u64, left_out.min(REASONS_MAX as u64));
    assert!(report.left_out.iter().all(|row| !row.reason.is_empty()));
    assert!(report.to_string().lines().count() >= 2);
}

/// What was in the way. Never the target, never memory.
fn named(error: &ImportError) -> String {
    match error {
        ImportError::Store(_) | ImportError::Interrupted => panic!("{error}: {error:?}"),
        ImportError::Source(source) => {
            assert_ne!(source.sqlite_error_code(), Some(ErrorCode::OutOfMemory), "{error}");
        }
        _ => {}
    }
    let text = error.to_string();
    assert!(!text.is_empty());
    text
}

/// The rows of a classic database, in some program's way.
#[derive(Clone, Debug, Default)]
struct Rows {
    spelling: usize,
    clients: Vec<ClientRow>,
    messages: Vec<MessageRow>,
}

/// A value in a row, and what it means; `None` if nothing does.
#[derive(Clone, Debug)]
struct Datum<T> {
    value: Value,
    means: Option<T>,
}

#[derive(Clone, Debug)]
struct ClientRow {
    id: Datum<ClientId>,
    name: Datum<String>,
    key: Datum<[u8; PUBLIC_KEY_SIZE]>,
    seen: Value,
}

#[derive(Clone, Debug)]
struct MessageRow {
    to: Datum<ClientId>,
    from: Datum<ClientId>,
    kind: Datum<MessageType>,
    content: Datum<Vec<u8>>,
}

/// What is taken of rows.
#[derive(Default)]
struct Expected {
    clients: Counts,
    messages: Counts,
    held: Held,
}

/// How programs call the tables' columns: of `clients`, and of `messages`.
const SPELLINGS: [(&str, &str); 4] = [
    ("ID, UserName, PublicKey, LastSeen", "ID INTEGER PRIMARY KEY, ToClient, FromClient, Type, Content"),
    ("id, name, public_key, last_seen", "ID INTEGER PRIMARY KEY, to_client, from_client, type, content"),
    ("Client_ID, username, pubkey, x", "\"to\", \"from\", message_type, message_content"),
    ("ID PRIMARY KEY, UserName UNIQUE, PublicKey, LastSeen", "ToClient, FromClient, Type, Content BLOB"),
];

fn write_database(path: &Path, Rows { spelling, clients, messages }: &Rows) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    let (of_clients, of_messages) = SPELLINGS[*spelling];
    connection.execute_batch(&format!(
        "PRAGMA page_size = 512; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;
         CREATE TABLE clients ({of_clients}); CREATE TABLE messages ({of_messages});",
    ))?;
    for ClientRow { id, name, key, seen } in clients {
        connection.prepare_cached("INSERT INTO clients VALUES (?, ?, ?, ?)")?.execute((
            &id.value,
            &name.value,
            &key.value,
            seen,
        ))?;
    }
    let number = if of_messages.starts_with("ID") { "NULL, " } else { "" };
    let insert = format!("INSERT INTO messages VALUES ({number}?, ?, ?, ?)");
    for MessageRow { to, from, kind, content } in messages {
        connection.prepare_cached(&insert)?.execute((&to.value, &from.value, &kind.value, &content.value))?;
    }
    connection.execute_batch("COMMIT")
}

/// A small database of the commonest kind.
#[must_use]
pub fn true_database() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        // What these bytes say is two clients and two messages, all of which are taken.
        let client = |id: u8| ClientRow {
            id: written_id(ClientId([id; 16]), 0),
            name: Datum { value: Value::Text(format!("user {id}")), means: None },
            key: Datum { value: Value::Blob(vec![id; PUBLIC_KEY_SIZE]), means: None },
            seen: Value::Text("2023-11-14 22:13:20".to_owned()),
        };
        let message = |to: u8, from: u8, content: &[u8]| MessageRow {
            to: written_id(ClientId([to; 16]), 0),
            from: written_id(ClientId([from; 16]), 0),
            kind: Datum { value: Value::Integer(3), means: None },
            content: Datum { value: Value::Blob(content.to_vec()), means: None },
        };
        let rows = Rows {
            spelling: 0,
            clients: vec![client(0xa1), client(0xb2)],
            messages: vec![message(0xa1, 0xb2, b"sealed"), message(0xb2, 0xa1, &[7; 700])],
        };
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("true.db");
        write_database(&path, &rows).expect("a database");
        fs::read(path).expect("a file")
    })
}

fn any_rows(bytes: &mut Unstructured<'_>) -> Result<Rows> {
    let spelling = bytes.int_in_range(0..=SPELLINGS.len() - 1)?;
    let mut rows = Rows { spelling, ..Rows::default() };
    for _ in 0..bytes.int_in_range(0..=4)? {
        let (id, name) = (any_id(bytes)?, any_name(bytes)?);
        // SQLite itself refuses the second of two in a column that says it is unique.
        let is_second = rows.clients.iter().any(|other| {
            SPELLINGS[spelling].0.contains("UNIQUE")
                && (other.id.value == id.value || other.name.value == name.value)
        });
        if !is_second {
            rows.clients.push(ClientRow { id, name, key: any_key(bytes)?, seen: any_time(bytes)? });
        }
    }
    for _ in 0..bytes.int_in_range(0..=4)? {
        let (to, from) = (any_id(bytes)?, any_id(bytes)?);
        rows.messages.push(MessageRow { to, from, kind: any_kind(bytes)?, content: any_content(bytes)? });
    }
    Ok(rows)
}

/// One of a few ids, so that they meet, in any writing.
fn any_id(bytes: &mut Unstructured<'_>) -> Result<Datum<ClientId>> {
    let [id, style] = bytes.arbitrary::<[u8; 2]>()?;
    Ok(match style % 8 {
        6 => Datum { value: Value::Integer(id.into()), means: None },
        7 => Datum { value: Value::Blob(vec![id; usize::from(style / 8)]), means: None }.unless_id(),
        style => written_id(ClientId([1 + id % 6; 16]), style),
    })
}

impl Datum<ClientId> {
    /// A text or blob of some size that happens to be an id means it.
    fn unless_id(mut self) -> Self {
        if let Value::Blob(blob) = &self.value
            && let Some((id, rest)) = blob.split_first_chunk()
            && rest.iter().all(|byte| *byte == 0)
        {
            self.means = Some(ClientId(*id));
        }
        self
    }
}

fn written_id(id: ClientId, style: u8) -> Datum<ClientId> {
    let text = id.to_string();
    let value = match style {
        0 => Value::Blob(id.0.to_vec()),
        1 => Value::Text(text),
        2 => Value::Blob(text.to_uppercase().into_bytes()),
        3 => Value::Text(format!("{}-{}-{}", &text[..8], &text[8..12], &text[12..])),
        4 => Value::Blob([&id.0[..], &[0; 3]].concat()),
        _ => Value::Text(format!("{text}\0")),
    };
    Datum { value, means: Some(id) }
}

fn any_name(bytes: &mut Unstructured<'_>) -> Result<Datum<String>> {
    let [name, style] = bytes.arbitrary::<[u8; 2]>()?;
    let text = format!("user {}", name % 6);
    let (value, means) = match style % 8 {
        0 | 1 => (Value::Text(text.clone()), Some(text)),
        2 => (Value::Blob(text.clone().into_bytes()), Some(text)),
        3 => (Value::Blob([text.as_bytes(), b"\0anything \xff"].concat()), Some(text)),
        4 => (Value::Text("x".repeat(usize::from(name))), Some("x".repeat(usize::from(name)))),
        5 => (Value::Text(format!("{text}\u{e9}")), None),
        6 => (Value::Real(name.into()), None),
        _ => (Value::Null, None),
    };
    let is_name = |text: &String| (1..=254).contains(&text.len());
    Ok(Datum { value, means: means.filter(is_name) })
}

fn any_key(bytes: &mut Unstructured<'_>) -> Result<Datum<[u8; PUBLIC_KEY_SIZE]>> {
    let [byte, style] = bytes.arbitrary::<[u8; 2]>()?;
    let key = [byte % 4; PUBLIC_KEY_SIZE];
    let (value, is_key) = match style % 8 {
        0..=2 => (Value::Blob(key.to_vec()), true),
        3 => (Value::Blob([&key[..], &[0; 9]].concat()), true),
        4 => (Value::Text(format!("{:02x}\n", byte % 4).repeat(PUBLIC_KEY_SIZE)), true),
        5 => (Value::Text(BASE64_STANDARD.encode(key)), true),
        6 => (Value::Blob(key[..PUBLIC_KEY_SIZE - 1].to_vec()), false),
        _ => (Value::Integer(byte.into()), false),
    };
    Ok(Datum { value, means: is_key.then_some(key) })
}

/// Times, which may be anything.
fn any_time(bytes: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match bytes.arbitrary::<u8>()? % 8 {
        0 => Value::Null,
        1 => Value::Text("2023-11-14 22:13:20".to_owned()),
        2 => Value::Integer(bytes.arbitrary()?),
        3 => Value::Real(bytes.arbitrary()?),
        4 => Value::Text(bytes.arbitrary::<i64>()?.to_string()),
        5 => Value::Blob(bytes.arbitrary::<[u8; 8]>()?.to_vec()),
        _ => Value::Text(String::from_utf8_lossy(&bytes.arbitrary::<[u8; 12]>()?).into_owned()),
    })
}

fn any_kind(bytes: &mut Unstructured<'_>) -> Result<Datum<MessageType>> {
    let [kind, style] = bytes.arbitrary::<[u8; 2]>()?;
    let kind = kind % 6;
    let value = match style % 4 {
        0 => Value::Integer(kind.into()),
        1 => Value::Text(kind.to_string()),
        2 => Value::Blob(vec![kind]),
        _ => Value::Blob(vec![b'0' + kind, 0]),
    };
    Ok(Datum { value, means: Some(MessageType(kind)).filter(|kind| kind.is_known()) })
}

fn any_content(bytes: &mut Unstructured<'_>) -> Result<Datum<Vec<u8>>> {
    let [size, more, seed] = bytes.arbitrary::<[u8; 3]>()?;
    let size = choose(
        || {
            let (size, more) = (usize::from(size), usize::from(more));
            [0, size, size, size, size, 16 * size, 4_000 + more, 65_500 + more].into_iter()
        },
        size,
    );
    let content = vec![seed % 0x80; size];
    Ok(match seed >> 5 {
        0..=3 => Datum { value: Value::Blob(content.clone()), means: Some(content) },
        4 | 5 => {
            let text = String::from_utf8(content.clone()).expect("ASCII");
            Datum { value: Value::Text(text), means: Some(content) }
        }
        6 => Datum { value: Value::Null, means: Some(Vec::new()) },
        _ => Datum { value: Value::Integer(seed.into()), means: None },
    })
}

impl Rows {
    /// The rule: rows in order; a client whose name and id are free, a message whose recipient is there.
    fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        let mut keys = BTreeMap::new();
        for ClientRow { id, name, key, .. } in &self.clients {
            let counts = &mut expected.clients;
            // Nobody may have sent something, but cannot be there.
            let id = id.means.filter(|id| *id != ClientId::NOBODY);
            let (Some(id), Some(name), Some(key)) = (id, name.means.clone(), key.means) else {
                counts.left_out += 1;
                continue;
            };
            if keys.get(&(id, name.clone())) == Some(&key) {
                counts.already_there += 1;
            } else if expected.held.iter().any(|other| other.1 == name || other.0.0[..8] == id.0[..8]) {
                counts.left_out += 1;
            } else {
                counts.taken += 1;
                keys.insert((id, name.clone()), key);
                expected.held.push((id, name, Vec::new()));
            }
        }
        for MessageRow { to, from, kind, content } in &self.messages {
            let understood = (to.means, from.means, kind.means, content.means.clone());
            if let (Some(to), Some(from), Some(kind), Some(content)) = understood
                && let Some((_, _, waiting)) = expected.held.iter_mut().find(|(id, _, _)| *id == to)
            {
                waiting.push((from, kind, content));
                expected.messages.taken += 1;
            } else {
                expected.messages.left_out += 1;
            }
        }
        expected
    }
}
