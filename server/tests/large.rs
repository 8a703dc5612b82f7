//! Large contents stream through in bounded memory, both ways.

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

use std::io::{Read, Write};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{pull_messages, send_message};
use messageu_wire::operations::{Operation, Request};
use support::{Answer, Peer, Server, peak_memory, read_answer};

/// Bytes of the content: 2 GiB, or what MESSAGEU_TEST_CONTENT_MIB says.
fn size() -> u64 {
    std::env::var("MESSAGEU_TEST_CONTENT_MIB").map_or(2048, |mib| mib.parse::<u64>().unwrap()) << 20
}

#[test]
fn a_content_of_2_gib_passes_both_ways_in_under_32_mib_of_memory() {
    let data = tempfile::tempdir().unwrap();
    // The last pull waits until the server knows that the one before it has arrived, however long that took.
    let options = ["--min-free-disk", "0", "--pull-grace", "600000"];
    let server = Server::start(data.path(), &["127.0.0.1:0"], &options);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, b"warm"), Answer::Response(_)));
    assert_eq!(peer.pull().len(), 1);
    let before = peak_memory(server.id());

    let size = size();
    // Every piece differs, so that one swapped for another shows.
    let piece = |index: u64| -> Vec<u8> {
        let mut piece = vec![u8::try_from(index % 251).unwrap(); 1 << 20];
        piece[..8].copy_from_slice(&index.to_be_bytes());
        piece
    };
    let send = send_message::Request { to: peer.id, kind: MessageType::FILE, size: size.try_into().unwrap() };
    let mut stream = peer.connect();
    stream.set_read_timeout(None).unwrap();
    stream.write_all(&peer.request(&Request::SendMessage(send), &[])).unwrap();
    for index in 0..size >> 20 {
        stream.write_all(&piece(index)).unwrap();
    }
    let (answer, _) = read_answer(&mut stream, peer.dialect, Operation::SendMessage);
    assert!(matches!(answer, Answer::Response(_)));
    let after_upload = peak_memory(server.id()) - before;

    stream.write_all(&peer.request(&Request::PullMessages(pull_messages::Request), &[])).unwrap();
    let mut head = [0; 7 + 25];
    stream.read_exact(&mut head).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for index in 0..size >> 20 {
        stream.read_exact(&mut buffer).unwrap();
        assert!(buffer == piece(index), "piece {index}");
    }
    let grown = peak_memory(server.id()) - before;
    println!(
        "figure: a content of {} MiB: {after_upload} kB more after the upload, {grown} kB after both",
        size >> 20
    );
    assert!(grown < 32 * 1024, "{grown} kB");
    drop(stream);
    assert_eq!(peer.pull(), []);
}
