//! The fuzz targets' corpora, without a fuzzer: seeds, and what was found and fixed.
#![allow(clippy::expect_used, reason = "a failed test should stop")]

use std::path::Path;

use messageu_proptests::target;

fn try_all(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut tried = 0;
    for entry in folder.read_dir().expect("a corpus") {
        let file = entry.expect("an entry").path();
        println!("{}", file.display());
        target(&std::fs::read(file).expect("a seed"));
        tried += 1;
    }
    assert!(tried > 0, "the corpus is empty");
}

#[test]
fn parse_request() {
    try_all("parse_request", target::parse_request);
}

#[test]
fn parse_response() {
    try_all("parse_response", target::parse_response);
}
