//! The kit, as people run it, against the project's own server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod support;

use std::net::SocketAddr;
use std::process::{Command, Output};

use support::Server;

fn kit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_messageu-conformance")).args(arguments).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn conforms(address: SocketAddr, dialect: &str) {
    let address = address.to_string();
    // A machine that is busy with other tests answers late.
    let late = ["--patience", "60", "--jobs", "48", "--strict"];
    let output = kit(&[&["server", "--connect", &address, "--dialect", dialect], &late[..]].concat());
    println!("{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn the_server_conforms_in_all_dialects_of_one_port() {
    let server = Server::start();
    conforms(server.address, "all");
}

#[test]
fn the_server_conforms_in_each_dialect_that_needs_a_pin() {
    let server = Server::start();
    for (dialect, address) in &server.pinned {
        conforms(*address, &dialect.to_string());
    }
}
