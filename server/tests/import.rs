//! Taking over classic servers' databases, in the ways in which they are written.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use messageu_server::import::{Counts, ImportError, ImportReport, Table, import_classic};
use messageu_server::store::sqlite::SqliteStore;
use messageu_server::store::{CHUNK_SIZE, Pending, Sequence, Store as _};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};
use tempfile::TempDir;

/// A classic database, and a store to take it over.
struct Bench {
    directory: TempDir,
    source: Connection,
    store: SqliteStore,
}

impl Bench {
    fn new(schema: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = Connection::open(directory.path().join("defensive.db")).unwrap();
        source.execute_batch(schema).unwrap();
        let store = SqliteStore::open(&directory.path().join("server.db")).unwrap();
        Self { directory, source, store }
    }

    /// A database with the columns of most programs, and Alice and Bob.
    fn usual() -> Self {
        let bench = Self::new(USUAL);
        bench.client(ALICE, "Alice");
        bench.client(BOB, "Bob");
        bench
    }

    fn client(&self, id: impl ToSql, name: impl ToSql) {
        self.client_with(id, name, [5; 160], "2023-11-14 22:13:20");
    }

    fn client_with(&self, id: impl ToSql, name: impl ToSql, key: impl ToSql, seen: impl ToSql) {
        self.source.execute("INSERT INTO clients VALUES (?, ?, ?, ?)", (id, name, key, seen)).unwrap();
    }

    fn message(&self, to: impl ToSql, from: impl ToSql, kind: impl ToSql, content: impl ToSql) {
        let insert = "INSERT INTO messages (ToClient, FromClient, Type, Content) VALUES (?, ?, ?, ?)";
        self.source.execute(insert, (to, from, kind, content)).unwrap();
    }

    fn source_path(&self) -> PathBuf {
        self.directory.path().join("defensive.db")
    }

    async fn import(&self) -> ImportReport {
        import_classic(&self.source_path(), &self.store).await.unwrap()
    }

    async fn error(&self) -> ImportError {
        import_classic(&self.source_path(), &self.store).await.unwrap_err().error
    }

    async fn name(&self, id: [u8; 16]) -> Option<String> {
        self.store.client(ClientId(id)).await.unwrap().map(|client| client.name.to_string())
    }

    async fn last_seen(&self, id: [u8; 16]) -> Option<SystemTime> {
        self.store.last_seen(ClientId(id)).await.unwrap()
    }

    async fn pending(&self, id: [u8; 16]) -> Vec<Pending> {
        self.store.pending(ClientId(id), Sequence::default(), usize::MAX, usize::MAX).await.unwrap()
    }
}

const USUAL: &str = "CREATE TABLE clients (ID, UserName, PublicKey, LastSeen);
     CREATE TABLE messages (ID INTEGER PRIMARY KEY, ToClient, FromClient, Type, Content)";
const ALICE: [u8; 16] = *b"\x00alice\x0a\xff\x80\x16\x03 id A";
const BOB: [u8; 16] = [0xb0; 16];

fn counts(taken: u64, already_there: u64, left_out: u64) -> Counts {
    Counts { taken, already_there, left_out }
}

fn reasons(report: &ImportReport) -> Vec<&str> {
    report.left_out.iter().map(|row| row.reason.as_str()).collect()
}

#[tokio::test]
async fn clients_are_taken_as_they_are() {
    let bench = Bench::usual();
    let report = bench.import().await;
    assert_eq!(report.clients, counts(2, 0, 0));
    let alice = bench.store.client(ClientId(ALICE)).await.unwrap().unwrap();
    assert_eq!((alice.name.as_str(), alice.public_key.0, alice.profile.as_str()), ("Alice", [5; 160], ""));
    assert_eq!(bench.last_seen(ALICE).await, Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
}

#[tokio::test]
async fn messages_are_taken_in_their_order() {
    let bench = Bench::usual();
    for number in 0..600_u32 {
        bench.message(ALICE, BOB, 3, number.to_string().into_bytes());
    }
    let report = bench.import().await;
    assert_eq!(report.messages, counts(600, 0, 0));
    for (number, message) in bench.pending(ALICE).await.into_iter().enumerate() {
        assert_eq!((message.from, message.kind), (ClientId(BOB), MessageType::TEXT));
        assert_eq!(message.content.unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn large_contents_are_taken_in_their_place() {
    let bench = Bench::usual();
    let content: Vec<u8> =
        (0..3 * CHUNK_SIZE + 5).map(|at| u8::try_from(at / 1_000 % 251).unwrap()).collect();
    bench.message(ALICE, BOB, 3, b"before");
    bench.message(ALICE, BOB, 4, content.clone());
    bench.message(ALICE, BOB, 3, b"after");
    assert_eq!(bench.import().await.messages, counts(3, 0, 0));
    let pending = bench.pending(ALICE).await;
    let sizes: Vec<_> = pending.iter().map(|message| usize::try_from(message.size).unwrap()).collect();
    assert_eq!(sizes, [6, content.len(), 5]);
    for (index, chunk) in (0..).zip(content.chunks(CHUNK_SIZE)) {
        assert_eq!(bench.store.read_content(pending[1].sequence, index).await.unwrap(), chunk);
    }
}

#[tokio::test]
async fn a_second_run_takes_only_what_is_new() {
    let bench = Bench::usual();
    bench.message(ALICE, BOB, 3, b"one");
    bench.message(ALICE, BOB, 4, vec![1; 2 * CHUNK_SIZE]);
    bench.import().await;
    let arrived: Vec<_> = bench.pending(ALICE).await.iter().map(|message| message.sequence).collect();
    bench.store.acknowledge(ClientId(ALICE), &arrived).await.unwrap();

    bench.client([0xca; 16], "Carol");
    bench.message(ALICE, BOB, 3, b"one");
    let report = bench.import().await;
    assert_eq!((report.clients, report.messages), (counts(1, 2, 0), counts(1, 2, 0)));
    assert_eq!(bench.pending(ALICE).await.len(), 1);
}

#[tokio::test]
async fn a_new_message_in_the_row_of_an_old_one_is_taken() {
    let bench = Bench::usual();
    bench.message(ALICE, BOB, 3, b"old");
    bench.import().await;
    bench.source.execute("DELETE FROM messages", []).unwrap();
    bench.message(ALICE, BOB, 3, b"new");
    assert_eq!(bench.import().await.messages, counts(1, 0, 0));
}

#[tokio::test]
async fn a_moved_database_is_the_same() {
    let bench = Bench::usual();
    bench.message(ALICE, BOB, 3, b"text");
    bench.import().await;
    let moved = bench.directory.path().join("moved.db");
    std::fs::copy(bench.source_path(), &moved).unwrap();
    assert_eq!(import_classic(&moved, &bench.store).await.unwrap().messages, counts(0, 1, 0));
}

#[tokio::test]
async fn nothing_in_the_source_is_changed() {
    let bench = Bench::usual();
    bench.message(ALICE, BOB, 3, b"text");
    let before = std::fs::read(bench.source_path()).unwrap();
    bench.import().await;
    assert_eq!(std::fs::read(bench.source_path()).unwrap(), before);
}

#[tokio::test]
async fn ids_are_understood_in_every_writing() {
    let bench = Bench::new(USUAL);
    bench.client("000102030405060708090a0B0C0D0E0F", "Hex");
    bench.client("10010203-0405-0607-0809-0a0b0c0d0e0f", "Dashes");
    bench.client("sixteen letters!", "Characters");
    bench.client(b"20010203 0405 0607 0809 0a0b0c0d0e0f\0", "Hex in a blob");
    bench.client([&[0x77; 16][..], &[0; 4]].concat(), "Padded");
    assert_eq!(bench.import().await.clients, counts(5, 0, 0));
    let mut id = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    for (first, name) in [(0, "Hex"), (0x10, "Dashes"), (0x20, "Hex in a blob")] {
        id[0] = first;
        assert_eq!(bench.name(id).await.as_deref(), Some(name));
    }
    assert_eq!(bench.name(*b"sixteen letters!").await.as_deref(), Some("Characters"));
    assert_eq!(bench.name([0x77; 16]).await.as_deref(), Some("Padded"));
}

#[tokio::test]
async fn messages_are_matched_to_clients_whatever_the_writing() {
    let bench = Bench::usual();
    let alice: String = ALICE.iter().map(|byte| format!("{byte:02X}")).collect();
    bench.message(alice, BOB, 3, b"text");
    assert_eq!(bench.import().await.messages, counts(1, 0, 0));
    assert_eq!(bench.pending(ALICE).await.len(), 1);
}

#[tokio::test]
async fn a_name_ends_at_its_first_nul() {
    let bench = Bench::new(USUAL);
    bench.client([1; 16], b"Alice\0\0\0");
    bench.client([2; 16], b"Bob\0garbage\xff\xfe");
    bench.client([3; 16], "Carol\0".to_owned());
    assert_eq!(bench.import().await.clients, counts(3, 0, 0));
    for (number, name) in [(1, "Alice"), (2, "Bob"), (3, "Carol")] {
        assert_eq!(bench.name([number; 16]).await.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn keys_are_understood_in_every_writing() {
    let bench = Bench::new(USUAL);
    let key: Vec<u8> = (0..160).collect();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7\n\
                  PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3\n\
                  eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2enw==\n";
    bench.client_with([1; 16], "Bytes", key.clone(), Value::Null);
    bench.client_with([2; 16], "Hex", hex, Value::Null);
    bench.client_with([3; 16], "Base64", base64.to_owned(), Value::Null);
    let report = bench.import().await;
    assert_eq!(report.clients, counts(3, 0, 0), "{report}");
    for number in 1..=3 {
        let client = bench.store.client(ClientId([number; 16])).await.unwrap().unwrap();
        assert_eq!(client.public_key.0.as_slice(), key);
    }
}

#[tokio::test]
async fn times_are_understood_in_every_writing() {
    let bench = Bench::new(USUAL);
    let writings: [Value; 7] = [
        "2023-11-14 22:13:20".to_owned().into(),
        "2023-11-14 22:13:20.123456".to_owned().into(),
        "2023-11-14T22:13:20Z".to_owned().into(),
        b"2023-11-14T22:13:20.5".to_vec().into(),
        1_700_000_000.into(),
        1_700_000_000.25.into(),
        "1700000000.75".to_owned().into(),
    ];
    for (number, writing) in (1..).zip(writings) {
        bench.client_with([number; 16], format!("Client {number}"), [5; 160], writing);
    }
    bench.import().await;
    for number in 1..=7 {
        let seen = bench.last_seen([number; 16]).await;
        assert_eq!(seen, Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)), "{number}");
    }
}

#[tokio::test]
async fn a_time_that_is_not_understood_becomes_unknown() {
    let bench = Bench::new(USUAL);
    let writings =
        [Value::Null, "".to_owned().into(), "last Tuesday".to_owned().into(), vec![0xff; 4].into()];
    for (number, writing) in (1..).zip(writings) {
        bench.client_with([number; 16], format!("Client {number}"), [5; 160], writing);
    }
    assert_eq!(bench.import().await.clients, counts(4, 0, 0));
    for number in 1..=4 {
        assert_eq!(bench.last_seen([number; 16]).await, None);
    }
}

#[tokio::test]
async fn types_are_understood_in_every_writing() {
    let bench = Bench::usual();
    for kind in
        [Value::Integer(2), Value::Blob(vec![2]), Value::Blob(b"2".to_vec()), Value::Text("2".to_owned())]
    {
        bench.message(ALICE, BOB, kind, Value::Null);
    }
    assert_eq!(bench.import().await.messages, counts(4, 0, 0));
    assert!(bench.pending(ALICE).await.iter().all(|message| message.kind == MessageType::KEY));
}

#[tokio::test]
async fn contents_are_bytes_characters_or_nothing() {
    let bench = Bench::usual();
    for content in [Value::Blob(b"bytes".to_vec()), Value::Text("characters".to_owned()), Value::Null] {
        bench.message(ALICE, BOB, 3, content);
    }
    bench.import().await;
    let contents: Vec<_> =
        bench.pending(ALICE).await.into_iter().map(|message| message.content.unwrap()).collect();
    assert_eq!(contents, ["bytes", "characters", ""]);
}

#[tokio::test]
async fn tables_and_columns_are_found_in_any_case() {
    let bench = Bench::new(
        "CREATE TABLE CLIENTS (last_seen, public_key, \"NAME\", id);
         CREATE TABLE Messages (content, TYPE, from_client, to_client, id BLOB)",
    );
    let row = (5, [5; 160], "Alice", ALICE);
    bench.source.execute("INSERT INTO clients VALUES (?, ?, ?, ?)", row).unwrap();
    let row = ("text", 3, BOB, ALICE, b"\x01\x00\x00\x00");
    bench.source.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", row).unwrap();
    let report = bench.import().await;
    assert_eq!((report.clients, report.messages), (counts(1, 0, 0), counts(1, 0, 0)));
    assert_eq!(bench.pending(ALICE).await[0].content.as_ref().unwrap(), "text");
}

#[tokio::test]
async fn a_message_of_a_sender_who_is_gone_is_taken() {
    let bench = Bench::usual();
    bench.message(ALICE, [0xdd; 16], 3, b"text");
    assert_eq!(bench.import().await.messages, counts(1, 0, 0));
}

#[tokio::test]
async fn a_full_queue_is_taken_whole() {
    let bench = Bench::usual();
    bench.source.execute_batch("BEGIN").unwrap();
    for _ in 0..10_500 {
        bench.message(ALICE, BOB, 1, Value::Null);
    }
    bench.source.execute_batch("COMMIT").unwrap();
    assert_eq!(bench.import().await.messages, counts(10_500, 0, 0));
}

#[tokio::test]
async fn clients_that_cannot_be_taken_are_left_out_with_a_reason() {
    let bench = Bench::usual();
    bench.client([1; 15], "Short");
    bench.client([2; 16], "");
    bench.client([3; 16], "\u{e9}mile");
    bench.client([4; 16], "Alice");
    bench.client(ALICE, "Not Alice");
    bench.client_with([5; 16], "Keyless", [5; 159], Value::Null);
    bench.client_with([6; 16], "Hexless", "zz".repeat(160), Value::Null);
    let report = bench.import().await;
    assert_eq!(report.clients, counts(2, 0, 7));
    let rows: Vec<_> = report.left_out.iter().map(|row| row.place.row).collect();
    assert_eq!(rows, [3, 4, 5, 8, 9, 6, 7]);
    for expected in
        ["its ID is neither", "1 to 254", "printable ASCII", "has its name", "has its ID", "its PublicKey"]
    {
        assert!(reasons(&report).iter().any(|reason| reason.contains(expected)), "{expected}: {report}");
    }
    assert!(report.to_string().contains("clients: 2 taken, 0 already there, 7 left out\n"), "{report}");
    assert!(report.to_string().contains("  clients, row 3: its ID is neither"), "{report}");
}

#[tokio::test]
async fn messages_that_cannot_be_taken_are_left_out_with_a_reason() {
    let bench = Bench::usual();
    bench.message([9; 16], BOB, 3, b"text");
    bench.message([9; 16], BOB, 4, vec![1; 2 * CHUNK_SIZE]);
    bench.message(ALICE, BOB, 7, b"text");
    bench.message(ALICE, BOB, 3, 12);
    bench.message("Alice", BOB, 3, b"text");
    bench.message(ALICE, BOB, 3, b"good");
    let report = bench.import().await;
    assert_eq!(report.messages, counts(1, 0, 5));
    assert!(report.left_out.iter().all(|row| row.place.table == Table::Messages));
    for expected in ["its recipient 0909", "its Type", "its Content is a number", "its ToClient"] {
        assert!(reasons(&report).iter().any(|reason| reason.starts_with(expected)), "{expected}: {report}");
    }
}

#[tokio::test]
async fn a_report_has_an_end() {
    let bench = Bench::usual();
    for _ in 0..130 {
        bench.message(ALICE, BOB, 9, Value::Null);
    }
    let report = bench.import().await;
    assert_eq!((report.messages.left_out, report.left_out.len()), (130, 100));
    assert!(report.to_string().ends_with("  and 30 more\n"), "{report}");
}

#[tokio::test]
async fn a_database_without_messages_is_taken() {
    let bench = Bench::new("CREATE TABLE clients (ID, Name, PublicKey, LastSeen)");
    bench.client(ALICE, "Alice");
    assert_eq!(bench.import().await.clients, counts(1, 0, 0));
}

#[tokio::test]
async fn what_is_no_classic_database_is_refused() {
    let bench = Bench::new("CREATE TABLE recipes (title)");
    assert!(matches!(bench.error().await, ImportError::NotClassic));
    let bench = Bench::new("CREATE TABLE clients (ID, Name)");
    assert_eq!(bench.error().await.to_string(), "the source's table `clients` has no column `PublicKey`");
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let bench = Bench::new("");
    std::fs::write(bench.source_path(), "not a database at all ".repeat(100)).unwrap();
    assert!(matches!(bench.error().await, ImportError::NotADatabase));
    std::fs::remove_file(bench.source_path()).unwrap();
    assert!(matches!(bench.error().await, ImportError::Source(_)));
    assert!(!bench.source_path().exists());
}

#[tokio::test]
async fn a_database_of_our_own_is_refused() {
    let bench = Bench::new("");
    let own = bench.directory.path().join("server.db");
    assert!(matches!(import_classic(&own, &bench.store).await.unwrap_err().error, ImportError::Ours));
}
