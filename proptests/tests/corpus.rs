//! The fuzz targets' corpora, without a fuzzer: seeds, what fuzzing kept, and what it found and was fixed.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed test should stop")]

#[path = "../../fuzz/src/heap.rs"]
mod heap;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use messageu_proptests::target::{
    ACCOUNT_EXPORT, ALL, BUNDLE, CLASSIC_IMPORT, FILE_STREAM, FRAME_READER, KEY_FILES, MODERN_CONNECTION,
    MODERN_STORE, OPEN_ENVELOPE, OPEN_INIT, OPEN_MSG, OPEN_OFFER, PARSE_MODERN_REQUEST,
    PARSE_MODERN_RESPONSE, PARSE_REQUEST, PARSE_RESPONSE, RATCHET, SEALED_KEY_FILE, SERVER_SESSION, Target,
};

/// One target at a time, since the allocator counts for all threads together.
static TURN: Mutex<()> = Mutex::new(());

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |entry: fs::DirEntry| entry.path().file_stem().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

fn try_all(target: &Target) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = fuzz().join("corpus").join(target.name);
    let mut tried = 0;
    for entry in folder.read_dir().expect("a corpus") {
        let file = entry.expect("an entry").path();
        println!("{}", file.display());
        let input = fs::read(&file).expect("a seed");
        target.assert_memory(&input, heap::peak_of(|| (target.property)(&input)));
        tried += 1;
    }
    assert!(tried > 0, "the corpus is empty");
}

#[test]
fn parse_request() {
    try_all(&PARSE_REQUEST);
}

#[test]
fn parse_response() {
    try_all(&PARSE_RESPONSE);
}

#[test]
fn frame_reader() {
    try_all(&FRAME_READER);
}

#[test]
fn open_envelope() {
    try_all(&OPEN_ENVELOPE);
}

#[test]
fn key_files() {
    try_all(&KEY_FILES);
}

#[test]
fn classic_import() {
    try_all(&CLASSIC_IMPORT);
}

#[test]
fn server_session() {
    try_all(&SERVER_SESSION);
}

#[test]
fn parse_modern_request() {
    try_all(&PARSE_MODERN_REQUEST);
}

#[test]
fn parse_modern_response() {
    try_all(&PARSE_MODERN_RESPONSE);
}

#[test]
fn modern_store() {
    try_all(&MODERN_STORE);
}

#[test]
fn bundle() {
    try_all(&BUNDLE);
}

#[test]
fn open_init() {
    try_all(&OPEN_INIT);
}

#[test]
fn open_msg() {
    try_all(&OPEN_MSG);
}

#[test]
fn open_offer() {
    try_all(&OPEN_OFFER);
}

#[test]
fn ratchet() {
    try_all(&RATCHET);
}

#[test]
fn file_stream() {
    try_all(&FILE_STREAM);
}

#[test]
fn modern_connection() {
    try_all(&MODERN_CONNECTION);
}

#[test]
fn sealed_key_file() {
    try_all(&SEALED_KEY_FILE);
}

#[test]
fn account_export() {
    try_all(&ACCOUNT_EXPORT);
}

#[test]
fn every_target_has_a_program_a_corpus_and_a_dictionary() {
    let mut targets: Vec<&str> = ALL.iter().map(|target| target.name).collect();
    targets.sort_unstable();
    for folder in ["fuzz_targets", "corpus", "dict"] {
        assert_eq!(names(fuzz().join(folder)), targets, "fuzz/{folder}");
    }
}
