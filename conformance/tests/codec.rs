//! The examiner of codecs, with a codec that is right and with some that are not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test should stop"
)]

use std::path::PathBuf;
use std::process::Command;

/// The driver of `examples/`, which is built beside the tests.
fn driver() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let driver = tests.parent().unwrap().parent().unwrap().join("examples/codec_driver");
    assert!(
        driver.exists(),
        "{} is built with all tests: cargo test -p messageu-conformance",
        driver.display()
    );
    driver
}

/// What the kit prints and exits with.
fn examine(dialect: &str, arguments: &[&str]) -> (Option<i32>, serde_json::Value) {
    let driver = driver();
    let mut kit = Command::new(env!("CARGO_BIN_EXE_messageu-conformance"));
    kit.args(["codec", "--json", "--patience", "60", "--dialect", dialect, "--driver"])
        .arg(driver)
        .args(arguments);
    let output = kit.output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn a_right_codec_passes_in_every_dialect() {
    let (code, report) = examine("every", &[]);
    assert_eq!(code, Some(0), "{report:#}");
    assert!(report["total"]["passed"].as_u64().unwrap() > 1_000, "{report:#}");
}

#[test]
fn what_a_codec_does_not_support_is_counted() {
    let (_, report) = examine("d/big-endian", &[]);
    assert!(report["verbs"]["encode_response"]["unsupported"].as_u64().unwrap() > 0, "{report:#}");
}

#[test]
fn a_codec_that_forgets_the_padding_fails() {
    let (code, report) = examine("b/padded-1024", &["--argument", "forgets-padding"]);
    assert_eq!(code, Some(1), "{report:#}");
}

#[test]
fn a_codec_that_takes_more_than_a_frame_fails() {
    let (code, report) = examine("e", &["--argument", "takes-more"]);
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["verbs"]["decode_request"]["failed"].as_u64().unwrap() > 0, "{report:#}");
}

#[test]
fn a_driver_that_does_not_start_is_a_fault_and_no_verdict() {
    let mut kit = Command::new(env!("CARGO_BIN_EXE_messageu-conformance"));
    let output = kit.args(["codec", "--driver", "/nowhere/driver"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be started"));
}
