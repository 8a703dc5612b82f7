//! The store as its promises: sealed, whole or not at all, without remains.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde::{Deserialize, Serialize};

use super::*;
use crate::error::ErrorKind;

#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Note(String);

impl Record for Note {
    const KIND: u8 = 200;
}

#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Other(String);

impl Record for Other {
    const KIND: u8 = 201;
}

fn files(dir: &tempfile::TempDir) -> StateFiles {
    StateFiles::of(&Profile::at(dir.path()))
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

fn note(text: &str) -> Note {
    Note(text.to_owned())
}

/// All bytes of all files of the store.
fn on_disk(files: &StateFiles) -> Vec<u8> {
    let mut paths: Vec<_> = fs::read_dir(files.dir()).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

fn shows(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn what_was_written_is_there_after_the_store_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = files(&dir).create(None).unwrap();
    store.write(|tx| tx.put(b"a", &note("one"))).unwrap();
    drop(store);
    let store = files(&dir).open(None).unwrap();
    assert_eq!(store.read(|tx| tx.find(b"a")).unwrap(), Some(note("one")));
    assert_eq!(store.read(|tx| tx.find::<Note>(b"b")).unwrap(), None);
}

#[test]
fn a_transaction_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = files(&dir).create(None).unwrap();
    let failed = store.write(|tx| {
        tx.put(b"a", &note("one"))?;
        tx.append(b"list", &note("two"))?;
        Err::<(), _>(Error::new(ErrorKind::Other, "stop"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "stop");
    assert_eq!(store.read(|tx| tx.all::<Note>()).unwrap(), []);
}

#[test]
fn a_list_keeps_its_order_and_no_number_is_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = files(&dir).create(None).unwrap();
    let append = |list: &[u8], text: &str| store.write(|tx| tx.append(list, &note(text))).unwrap();
    let first = append(b"a", "1");
    append(b"b", "other");
    let second = append(b"a", "2");
    store.write(|tx| tx.erase_number::<Note>(b"a", second)).unwrap();
    let third = append(b"a", "3");
    assert!(first < second && second < third);
    let listed = store.read(|tx| tx.list::<Note>(b"a", 10)).unwrap();
    assert_eq!(listed, [(first, note("1")), (third, note("3"))]);
    let last = store.read(|tx| tx.list::<Note>(b"a", 1)).unwrap();
    assert_eq!(last, [(third, note("3"))]);
}

#[test]
fn neither_content_nor_what_it_is_about_is_readable_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = files(&dir).create(None).unwrap();
    store.write(|tx| tx.put(b"canary of a place", &note("canary of a content"))).unwrap();
    drop(store);
    assert!(!shows(&on_disk(&files(&dir)), b"canary"));
}

#[test]
fn what_was_replaced_or_erased_leaves_no_remains_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = files(&dir).create(None).unwrap();
    let sealed = || -> Vec<Vec<u8>> {
        let path = files(&dir).dir().join(DATABASE);
        let sql = rusqlite::Connection::open(path).unwrap();
        let mut query = sql.prepare("SELECT sealed FROM records").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(|row| row.unwrap()).collect()
    };
    let mut old: Vec<Vec<u8>> = Vec::new();
    // Sizes that stay in a page, that overflow it, and that move from one to the other.
    for round in 0..30_usize {
        for place in 0..8_u8 {
            let text = "x".repeat((round * 37 + usize::from(place) * 1009) % 9000);
            store.write(|tx| tx.put(&[place], &note(&text))).unwrap();
        }
        if round % 7 == 3 {
            store.write(|tx| tx.erase::<Note>(&[2])).unwrap();
        }
        let now = sealed();
        let bytes = on_disk(&files(&dir));
        let there: HashSet<&[u8]> = bytes.windows(16).collect();
        for gone in old.iter().filter(|old| !now.contains(old)) {
            // Wherever it was cut into pages, most of these pieces were whole in one.
            let remains = gone.chunks_exact(16).filter(|piece| there.contains(piece)).count();
            assert_eq!(remains, 0, "round {round}: {remains} of {} pieces", gone.len() / 16);
        }
        assert!(now.iter().all(|now| there.contains(&now[..16])), "the pieces are not looked for rightly");
        old = now;
    }
}

#[test]
fn records_cannot_be_exchanged_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = files(&dir).create(None).unwrap();
    store.write(|tx| tx.put(b"a", &note("one")).and_then(|()| tx.put(b"b", &note("two")))).unwrap();
    let sql = rusqlite::Connection::open(files(&dir).dir().join(DATABASE)).unwrap();
    sql.execute_batch(
        "CREATE TEMP TABLE t AS SELECT rowid AS r, sealed AS s FROM records;
         UPDATE records SET sealed = (SELECT s FROM t WHERE r != records.rowid);",
    )
    .unwrap();
    assert_eq!(store.read(|tx| tx.find::<Note>(b"a")).unwrap_err().kind(), ErrorKind::Profile);
    sql.execute_batch(
        "UPDATE records SET sealed = (SELECT s FROM t WHERE r = records.rowid); UPDATE records SET kind = 201;",
    )
    .unwrap();
    assert_eq!(store.read(|tx| tx.all::<Other>()).unwrap_err().kind(), ErrorKind::Profile);
}

#[test]
fn a_store_opens_with_its_passphrase_alone() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&dir);
    files.create(Some(&passphrase("right"))).unwrap();
    assert!(files.are_protected().unwrap());
    for wrong in [Some(passphrase("wrong")), Some(passphrase("")), None] {
        let error = files.open(wrong.as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Profile);
        assert!(error.hint_text().unwrap().contains("passphrase"), "{error:?}");
    }
    files.open(Some(&passphrase("right"))).unwrap();
}

#[test]
fn a_store_without_a_passphrase_does_not_mind_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&dir);
    files.create(None).unwrap();
    assert!(!files.are_protected().unwrap());
    files.open(Some(&passphrase("for another profile"))).unwrap();
}

#[test]
fn a_key_file_that_says_it_has_no_passphrase_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&dir);
    files.create(Some(&passphrase("right"))).unwrap();
    let mut file = fs::read(files.key_file()).unwrap();
    file[9..13].copy_from_slice(&8_u32.to_le_bytes());
    file[13..17].copy_from_slice(&1_u32.to_le_bytes());
    file[17..21].copy_from_slice(&1_u32.to_le_bytes());
    fs::write(files.key_file(), file).unwrap();
    assert!(!files.are_protected().unwrap());
    assert_eq!(files.open(None).unwrap_err().kind(), ErrorKind::Profile);
}

#[test]
fn only_the_owner_may_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&dir);
    let store = files.create(None).unwrap();
    store.write(|tx| tx.put(b"a", &note("one"))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(files.dir()), 0o700);
    for file in fs::read_dir(files.dir()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn two_processes_see_what_the_other_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&dir);
    let (one, two) = (files.create(None).unwrap(), files.open(None).unwrap());
    one.write(|tx| tx.put(b"a", &note("one"))).unwrap();
    assert_eq!(two.read(|tx| tx.find(b"a")).unwrap(), Some(note("one")));
    two.write(|tx| tx.put(b"a", &note("two"))).unwrap();
    assert_eq!(one.read(|tx| tx.find(b"a")).unwrap(), Some(note("two")));
}

#[test]
fn a_store_of_a_newer_program_or_of_none_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&dir);
    drop(files.create(None).unwrap());
    let sql = rusqlite::Connection::open(files.dir().join(DATABASE)).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    let error = files.open(None).unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
    sql.pragma_update(None, "application_id", 1).unwrap();
    let error = files.open(None).unwrap_err();
    assert!(error.to_string().contains("not a database of messageu"), "{error}");
}

#[test]
fn a_damaged_store_says_so_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(&dir);
    drop(files.create(None).unwrap());
    fs::write(files.dir().join(DATABASE), [b'x'; 8192]).unwrap();
    let error = files.open(None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Profile);
    assert!(error.hint_text().unwrap().contains("copy"), "{error:?}");
}
