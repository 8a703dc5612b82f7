//! A server that is told to stop in the midst of large transfers: what is acknowledged is stored, what has arrived is
//! gone, and nothing is half stored.

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
use std::net::TcpStream;
use std::path::Path;

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use messageu_wire::operation::send_message;
use messageu_wire::operations::{Operation, Request};
use support::{Answer, PULL, Peer, Server, read_answer, rows, until};

/// More than the kernel's buffers hold, so that the server is known to be in the midst of it.
const LARGE: usize = 24 << 20;

/// Bytes of a pull's answer before the content of its first message.
const HEADS: usize = 7 + 25;

fn started(data: &Path, more: &[&str]) -> (Server, Peer) {
    let server = Server::start(data, &["127.0.0.1:0"], more);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    (server, peer)
}

/// Another server over the same data, and somebody at its address.
fn again(data: &Path, peer: Peer) -> (Server, Peer) {
    let server = Server::start(data, &["127.0.0.1:0"], &[]);
    let peer = Peer { address: server.addresses[0], ..peer };
    (server, peer)
}

/// A server whose large message is on its way, its first bytes read.
fn in_the_midst_of_a_pull(data: &Path, more: &[&str]) -> (Server, Peer, TcpStream) {
    let (server, peer) = started(data, more);
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &[3; LARGE]), Answer::Response(_)));
    let mut stream = peer.connect();
    stream.write_all(&peer.request(&PULL, &[])).unwrap();
    stream.read_exact(&mut [0; HEADS]).unwrap();
    (server, peer, stream)
}

#[test]
fn a_stop_lets_an_upload_in_flight_finish_and_acknowledges_it() {
    let data = tempfile::tempdir().unwrap();
    let (server, peer) = started(data.path(), &[]);
    let content = vec![9; 5 << 20];
    let send = send_message::Request {
        to: peer.id,
        kind: MessageType::FILE,
        size: content.len().try_into().unwrap(),
    };
    let request = peer.request(&Request::SendMessage(send), &content);
    let mut stream = peer.connect();
    let (begin, rest) = request.split_at(2 << 20);
    stream.write_all(begin).unwrap();
    server.signal("-TERM");
    until("the end of accepting", || TcpStream::connect(peer.address).is_err());
    stream.write_all(rest).unwrap();
    let (answer, _) = read_answer(&mut stream, peer.dialect, Operation::SendMessage);
    assert!(matches!(answer, Answer::Response(_)));
    drop(stream);
    assert!(server.wait().success());
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let peer = Peer { address: server.addresses[0], ..peer };
    assert!(peer.pull().last().unwrap().1 == content);
}

#[test]
fn a_second_signal_stops_at_once() {
    let data = tempfile::tempdir().unwrap();
    let (server, peer) = started(data.path(), &[]);
    let size = 64 << 20;
    let send = send_message::Request { to: peer.id, kind: MessageType::FILE, size };
    let mut stream = peer.connect();
    stream.write_all(&peer.request(&Request::SendMessage(send), &[])).unwrap();
    // More than the kernel's buffers hold, so that the server is known to be in the midst of it.
    stream.write_all(&vec![1; 32 << 20]).unwrap();
    server.signal("-INT");
    until("the end of accepting", || TcpStream::connect(peer.address).is_err());
    server.signal("-INT");
    assert!(!server.wait().success());
}

#[test]
fn a_stop_lets_a_pull_in_flight_arrive_and_be_deleted() {
    let data = tempfile::tempdir().unwrap();
    let (server, peer, mut stream) = in_the_midst_of_a_pull(data.path(), &[]);
    server.signal("-TERM");
    until("the end of accepting", || TcpStream::connect(peer.address).is_err());
    let mut content = vec![0; LARGE];
    stream.read_exact(&mut content).unwrap();
    assert!(content.iter().all(|byte| *byte == 3));
    drop(stream);
    assert!(server.wait().success());
    let (_server, peer) = again(data.path(), peer);
    assert_eq!(peer.pull(), []);
    until("the end of sweeping", || rows(data.path()) == 0);
}

#[test]
fn a_pull_that_does_not_end_within_the_time_for_stopping_is_there_after_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let (server, peer, stream) = in_the_midst_of_a_pull(data.path(), &["--shutdown-time", "1"]);
    server.signal("-TERM");
    assert!(server.wait().success());
    drop(stream);
    let (_server, peer) = again(data.path(), peer);
    assert!(matches!(&peer.pull()[..], [(_, content)] if *content == [3; LARGE]));
}

#[test]
fn an_upload_that_does_not_end_within_the_time_for_stopping_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let (server, peer) = started(data.path(), &["--shutdown-time", "1"]);
    let size = 2 * LARGE as u32;
    let send = send_message::Request { to: peer.id, kind: MessageType::FILE, size };
    let mut stream = peer.connect();
    stream.write_all(&peer.request(&Request::SendMessage(send), &[])).unwrap();
    stream.write_all(&[1; LARGE]).unwrap();
    server.signal("-TERM");
    assert!(server.wait().success());
    assert!(stream.read_exact(&mut [0]).is_err(), "an answer to half a message");
    let (_server, peer) = again(data.path(), peer);
    assert_eq!(peer.pull(), []);
    until("the end of sweeping", || rows(data.path()) == 0);
}
