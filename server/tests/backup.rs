//! Backups of a server that runs, that are checked, and that are put back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]
#![allow(dead_code, reason = "not every test file uses all of the support")]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use support::disk::SmallDisk;
use support::{Answer, Peer, Server, cannot_run_here};

/// Content that is in chunks.
const LARGE: usize = 300_000;

/// Runs the program over a data directory.
fn program(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messageu-server"));
    command.args(arguments).arg("--data").arg(data).stdin(Stdio::null()).output().unwrap()
}

/// What it says when all goes well.
fn ok(data: &Path, arguments: &[&str]) -> String {
    let output = program(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it complains of.
fn complaint(data: &Path, arguments: &[&str]) -> String {
    let output = program(data, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert_eq!(output.stdout, b"");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server with small and large mail, and whose it is.
fn with_mail(data: &Path) -> (Server, Peer) {
    let server = Server::start(data, &["127.0.0.1:0"], &[]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    for content in mail() {
        assert!(matches!(peer.send(peer.id, MessageType::FILE, &content), Answer::Response(_)));
    }
    (server, peer)
}

fn mail() -> [Vec<u8>; 3] {
    [vec![1; 100], vec![2; 10_000], vec![3; LARGE]]
}

/// A directory for backups, and a backup of [`with_mail`] in it.
fn backed_up() -> (tempfile::TempDir, PathBuf, Peer) {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_server, peer) = with_mail(data.path());
    let path = place.path().join("backup.db");
    ok(data.path(), &["backup", text(&path)]);
    (place, path, peer)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_backup_of_a_running_server_has_everybody_and_all_mail_and_is_for_its_owner_alone() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, peer) = with_mail(data.path());
    let path = place.path().join("backup.db");
    let said = ok(data.path(), &["backup", text(&path)]);
    assert!(said.contains("1 clients, 3 messages with 310100 bytes"), "{said}");
    assert_eq!(names(place.path()), ["backup.db"]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // The server goes on, and what it does from now on is not in the backup.
    assert_eq!(peer.pull().len(), 3);
    drop(server);

    let elsewhere = tempfile::tempdir().unwrap();
    let said = ok(elsewhere.path(), &["restore", text(&path)]);
    assert!(said.contains("1 clients, 3 messages with 310100 bytes"), "{said}");
    assert_eq!(names(elsewhere.path()), ["messageu.db", "messageu.db.lock"]);
    let server = Server::start(elsewhere.path(), &["127.0.0.1:0"], &[]);
    let peer = Peer { address: server.addresses[0], ..peer };
    let contents: Vec<Vec<u8>> = peer.pull().into_iter().map(|(_, content)| content).collect();
    assert!(contents == mail());
}

#[test]
fn a_backup_under_load_is_one_moment_of_it_and_ends() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(
        data.path(),
        &["127.0.0.1:0"],
        &["--queue-limit", "1000000", "--recipient-messages", "1000000"],
    );
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let over = AtomicBool::new(false);
    let (acknowledged, backups) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent: u64 = 0;
            while !over.load(Ordering::Relaxed) {
                assert!(matches!(
                    peer.send(peer.id, MessageType::TEXT, &sent.to_be_bytes()),
                    Answer::Response(_)
                ));
                sent += 1;
            }
            sent
        });
        let backups: Vec<PathBuf> = (0..5).map(|number| place.path().join(format!("{number}.db"))).collect();
        for path in &backups {
            ok(data.path(), &["backup", text(path)]);
        }
        over.store(true, Ordering::Relaxed);
        (sender.join().unwrap(), backups)
    });
    let mut before = 0;
    for path in backups {
        ok(data.path(), &["verify-backup", text(&path)]);
        let database = rusqlite::Connection::open(&path).unwrap();
        let numbers: Vec<Vec<u8>> = database
            .prepare("SELECT Content FROM messages ORDER BY ID")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        // All that were sent until then, in order, without a gap.
        assert!(numbers.iter().zip(0_u64..).all(|(content, number)| *content == number.to_be_bytes()));
        assert!((before..=acknowledged).contains(&(numbers.len() as u64)));
        before = numbers.len() as u64;
    }
    assert!(before > 0);
}

#[test]
fn a_reader_that_stays_does_not_hold_the_senders_up() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    // What a backup of a large database does for minutes.
    let reader = rusqlite::Connection::open(data.path().join("messageu.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM messages;").unwrap();
    // As much as the log may have before it should begin again.
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &vec![7; 160 << 20]), Answer::Response(_)));
    let log = std::fs::metadata(data.path().join("messageu.db-wal")).unwrap().len();
    assert!(log > 128 << 20, "the log has only {log} bytes");
    let began = Instant::now();
    for _ in 0..20 {
        assert!(matches!(peer.send(peer.id, MessageType::TEXT, b"through"), Answer::Response(_)));
    }
    // Each of them would wait for the reader as long as SQLite waits for a lock: five seconds.
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    drop(reader);
}

#[test]
fn nothing_is_overwritten_unless_that_is_said() {
    let (place, path, _) = backed_up();
    let data = tempfile::tempdir().unwrap();
    ok(data.path(), &["restore", text(&path)]);
    let other = place.path().join("other.db");
    std::fs::write(&other, "precious").unwrap();
    assert!(complaint(data.path(), &["backup", text(&other)]).contains("--overwrite"));
    assert_eq!(std::fs::read(&other).unwrap(), b"precious");
    assert!(complaint(data.path(), &["restore", text(&path)]).contains("--overwrite"));
    assert_eq!(names(place.path()), ["backup.db", "other.db"]);
    ok(data.path(), &["backup", "--overwrite", text(&other)]);
    ok(data.path(), &["verify-backup", text(&other)]);
}

#[test]
fn a_restore_replaces_what_is_there_with_its_log_when_that_is_said() {
    let (_place, path, peer) = backed_up();
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    for name in ["bob", "carol"] {
        Peer::register(server.addresses[0], Dialect::classic(Family::E), name);
    }
    // Its last changes are in the log alone.
    server.kill();
    assert!(std::fs::metadata(data.path().join("messageu.db-wal")).unwrap().len() > 0);
    ok(data.path(), &["restore", "--overwrite", text(&path)]);
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let peer = Peer { address: server.addresses[0], ..peer };
    assert_eq!(peer.roster(), []);
    assert_eq!(peer.pull().len(), 3);
}

#[test]
fn a_restore_that_fails_on_its_way_leaves_what_was_there_with_its_log() {
    let (_place, path, _) = backed_up();
    let data = tempfile::tempdir().unwrap();
    let (server, peer) = with_mail(data.path());
    server.kill();
    // It cannot be removed as the files of a database are.
    let in_the_way = data.path().join("messageu.db-shm");
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    complaint(data.path(), &["restore", "--overwrite", text(&path)]);
    std::fs::remove_dir(in_the_way).unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    assert_eq!(Peer { address: server.addresses[0], ..peer }.pull().len(), 3);
}

#[test]
fn what_root_restores_belongs_to_whom_the_directory_belongs() {
    if !rustix::process::geteuid().is_root() {
        return cannot_run_here("only root gives files away");
    }
    let (_place, path, _) = backed_up();
    let data = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(data.path(), Some(12_345), Some(54_321)).unwrap();
    ok(data.path(), &["restore", text(&path)]);
    for name in names(data.path()) {
        let file = std::fs::metadata(data.path().join(&name)).unwrap();
        assert_eq!((file.uid(), file.gid()), (12_345, 54_321), "{name}");
    }
}

#[test]
fn nothing_is_restored_over_a_server_that_runs() {
    let (_place, path, peer) = backed_up();
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let complaint = complaint(data.path(), &["restore", "--overwrite", text(&path)]);
    assert!(complaint.contains("another server has it open"), "{complaint}");
    let peer = Peer { address: server.addresses[0], ..peer };
    assert_eq!(peer.send(peer.id, MessageType::TEXT, b""), Answer::Refused, "it was restored");
}

#[test]
fn what_is_no_backup_is_neither_verified_nor_restored() {
    let (place, path, _) = backed_up();
    let data = tempfile::tempdir().unwrap();
    let of = |name: &str| place.path().join(name);
    std::fs::write(of("text"), "this is no database, but it is a file of some length").unwrap();
    std::fs::write(of("empty"), "").unwrap();
    rusqlite::Connection::open(of("classic")).unwrap().execute_batch("CREATE TABLE clients (ID)").unwrap();
    std::fs::copy(&path, of("newer")).unwrap();
    rusqlite::Connection::open(of("newer")).unwrap().pragma_update(None, "user_version", 999).unwrap();
    for (name, says) in [
        ("none", "there is no database"),
        ("text", "not a SQLite database"),
        ("empty", "some other program"),
        ("classic", "a classic server's database"),
        ("newer", "version 999"),
    ] {
        for command in ["verify-backup", "restore"] {
            let complaint = complaint(data.path(), &[command, text(&of(name))]);
            assert!(complaint.contains(says), "{command} {name}: {complaint}");
        }
    }
    assert_eq!(names(data.path()), ["messageu.db.lock"]);
}

#[test]
fn damage_is_found_and_not_restored() {
    let (place, path, _) = backed_up();
    let data = tempfile::tempdir().unwrap();
    let damaged = place.path().join("damaged.db");
    let change = |sql: &str| {
        std::fs::copy(&path, &damaged).unwrap();
        let database = rusqlite::Connection::open(&damaged).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
    };
    for (sql, says) in [
        ("DELETE FROM clients", "3 messages for clients that are not there"),
        ("UPDATE clients SET PublicKey = x'00'", "1 clients whose id or key has a wrong size"),
        (
            "DELETE FROM chunks WHERE ID = (SELECT max(ID) FROM chunks)",
            "1 messages whose chunks are not all there",
        ),
        (
            "UPDATE messages SET Content = x'0102' WHERE Upload IS NULL",
            "1 messages whose content is not all there",
        ),
        ("DELETE FROM messages WHERE Upload IS NOT NULL", "chunks that belong to nothing"),
        ("UPDATE queue_end SET ID = 1000", "3 messages that are in nobody's queue"),
    ] {
        change(sql);
        for command in ["verify-backup", "restore"] {
            let complaint = complaint(data.path(), &[command, text(&damaged)]);
            assert!(complaint.contains("is damaged") && complaint.contains(says), "{sql}: {complaint}");
        }
    }
    assert_eq!(names(data.path()), ["messageu.db.lock"]);
}

#[test]
fn a_byte_that_is_changed_anywhere_is_found_or_changes_only_what_users_have_written() {
    let (place, path, _) = backed_up();
    let original = std::fs::read(&path).unwrap();
    let damaged = place.path().join("damaged.db");
    let page = 4_096;
    let mut found = 0;
    // The header and the head of each page: what SQLite itself has written.
    for at in (0..original.len()).step_by(page).flat_map(|start| [start, start + 3, start + 8]) {
        let mut bytes = original.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&damaged, bytes).unwrap();
        let output = program(place.path(), &["verify-backup", text(&damaged)]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "at {at}: {:?}", output.status);
        found += usize::from(output.status.code() == Some(1));
    }
    assert!(found > 10, "{found}");
}

#[test]
fn a_backup_that_has_no_room_leaves_nothing_and_what_was_there() {
    let Some(disk) = SmallDisk::mount(4) else { return cannot_run_here("no small disk can be mounted") };
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path());
    let path = disk.path().join("backup.db");
    ok(data.path(), &["backup", text(&path)]);
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &vec![7; 8 << 20]), Answer::Response(_)));
    let complaint = complaint(data.path(), &["backup", "--overwrite", text(&path)]);
    assert!(complaint.contains("full"), "{complaint}");
    assert_eq!(names(disk.path()), ["backup.db"]);
    assert!(std::fs::read(&path).unwrap() == before);
}

#[test]
fn a_terminal_is_told_how_far_it_is_and_a_file_is_not() {
    let (data, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _server = with_mail(data.path());
    let output = program(data.path(), &["backup", text(&place.path().join("quiet.db"))]);
    assert_eq!(output.stderr, b"");
    let program = env!("CARGO_BIN_EXE_messageu-server");
    let command = format!("{program} backup {}/shown.db --data {}", text(place.path()), text(data.path()));
    let Ok(output) =
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output()
    else {
        return cannot_run_here("the program script is not installed");
    };
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("100 %\r"), "{shown:?}");
}
