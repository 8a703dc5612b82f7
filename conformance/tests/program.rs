//! The program as people and scripts use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

#[allow(dead_code, reason = "one fault is enough here")]
mod faulty;

use std::net::TcpListener;
use std::process::Command;

use faulty::Fault;
use messageu_conformance::server::cases;

/// What the program exits with, prints, and complains of.
fn kit(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_messageu-conformance")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn that_nobody_listens_is_a_fault_and_no_verdict() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, shown, complaint) = kit(&["server", "--connect", &free]);
    assert_eq!((code, shown.as_str()), (Some(2), ""));
    assert!(complaint.contains("nobody can be reached at"), "{complaint}");
}

#[test]
fn a_case_or_a_dialect_that_there_is_not_is_told_of() {
    let (code, _, complaint) = kit(&["server", "--explain", "seg-nothing"]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("--list"), "{complaint}");
    let (code, _, complaint) = kit(&["server", "--connect", "127.0.0.1:1", "--dialect", "z"]);
    assert_eq!(code, Some(2));
    assert!(complaint.contains("d/big-endian"), "{complaint}");
}

#[test]
fn the_list_has_every_case() {
    let (code, shown, _) = kit(&["server", "--list"]);
    assert_eq!(code, Some(0));
    for case in cases::all() {
        assert!(shown.contains(case.id) && shown.contains(case.meaning), "{}", case.id);
    }
}

#[test]
fn an_explanation_has_the_requirements_text() {
    let (code, shown, _) = kit(&["server", "--explain", "seg-half-close"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("[REQ-FRAME-9] A peer that closes its sending side"), "{shown}");
}

#[test]
fn a_failure_is_explained_byte_by_byte_and_written_for_programs() {
    let address = faulty::start(Fault::AnswersVersionOne).to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (junit, pcap) = (path("junit.xml"), path("talk.pcap"));
    let connect = ["server", "--connect", &address];

    let (code, shown, _) = kit(&[&connect[..], &["--explain", "ver-answers"]].concat());
    assert_eq!(code, Some(1));
    assert!(shown.contains("version          - 02") && shown.contains("version          + 01"), "{shown}");

    let files = ["--only", "ver-answers", "--json", "--junit", &junit, "--pcap", &pcap];
    let (code, shown, _) = kit(&[&connect[..], &files].concat());
    assert_eq!(code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&report["failed"], &report["findings"][0]["verdict"]), (&1.into(), &"failed".into()));
    assert!(std::fs::read_to_string(junit).unwrap().contains("<failure message=\"the answer to register"));
    let capture = std::fs::read(pcap).unwrap();
    assert_eq!(capture[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let request = b"kit";
    assert!(capture.windows(3).any(|window| window == request), "the registration's name is in the capture");
}
