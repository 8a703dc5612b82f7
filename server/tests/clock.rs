//! The wall clock jumps, forwards and back: it is noted beside clients, and nothing depends on it.

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

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use messageu_wire::operation::send_message;
use messageu_wire::operations::{Request, Response};
use support::{Answer, PULL, Peer, Server, cannot_run_here};

/// By how much the clock is wrong, one after the other; before 1970 and far beyond 2038 among them.
const JUMPS: [&str; 6] = ["+0", "+50y", "-40y", "-70y", "+1y", "+7000y"];

/// The library that a process believes to be its clock (of the package faketime).
fn false_clock() -> Option<PathBuf> {
    let roots = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(Path::new);
    let inside = roots.into_iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
    let places = inside.map(|entry| entry.path()).chain(roots.map(Path::to_owned));
    places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

#[test]
fn jumps_of_the_wall_clock_change_neither_mail_nor_its_order_nor_who_is_connected() {
    let Some(library) = false_clock() else {
        return cannot_run_here("the package faketime is not installed");
    };
    let data = tempfile::tempdir().unwrap();
    let clock = data.path().join("clock");
    std::fs::write(&clock, JUMPS[0]).unwrap();
    let environment = [
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.as_os_str()),
        ("FAKETIME_NO_CACHE", OsStr::new("1")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", OsStr::new("1")),
    ];
    let server = Server::start_with(data.path(), &["127.0.0.1:0"], &["--log", "error"], &environment);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let mut session = peer.connect();
    let send = |session: &mut std::net::TcpStream, content: &[u8]| {
        let size = content.len() as u32;
        let send = send_message::Request { to: peer.id, kind: MessageType::TEXT, size };
        assert!(matches!(peer.ask_on(session, &Request::SendMessage(send), content), Answer::Response(_)));
    };
    for (number, jump) in JUMPS.iter().enumerate() {
        send(&mut session, format!("before {jump}").as_bytes());
        std::fs::write(&clock, jump).unwrap();
        send(&mut session, format!("after {jump}").as_bytes());
        let newcomer = Peer::register(server.addresses[0], peer.dialect, &format!("newcomer {number}"));
        assert_eq!(newcomer.pull(), []);
    }
    assert_eq!(years(data.path()), JUMPS.len(), "the server did not see the clock jump");
    let Answer::Response(Response::PullMessages(mail)) = peer.ask_on(&mut session, &PULL, &[]) else {
        panic!("the pull was refused");
    };
    let expected: Vec<String> =
        JUMPS.iter().flat_map(|jump| [format!("before {jump}"), format!("after {jump}")]).collect();
    let found: Vec<String> =
        mail.messages.into_iter().map(|message| String::from_utf8(message.content).unwrap()).collect();
    assert_eq!(found, expected);
    drop(session);
    assert_eq!(peer.pull(), []);
    server.signal("-TERM");
    assert!(server.wait().success());
}

/// How many years clients were last seen in.
fn years(data: &Path) -> usize {
    let database = rusqlite::Connection::open(data.join("messageu.db")).unwrap();
    let count = "SELECT count(DISTINCT substr(LastSeen, 1, 4)) FROM clients";
    database.query_one(count, [], |row| row.get(0)).unwrap()
}
