//! A pull deletes only what has demonstrably arrived; what is acknowledged survives.

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
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use messageu_wire::operation::pull_messages;
use messageu_wire::operations::Request;
use support::{Answer, PULL, Peer, Server, until};

fn with_mail(data: &std::path::Path, more: &[&str]) -> (Server, Peer) {
    let server = Server::start(data, &["127.0.0.1:0"], more);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    for content in [&b"one"[..], &[2; 40], &[3; 500]] {
        assert!(matches!(peer.send(peer.id, MessageType::TEXT, content), Answer::Response(_)));
    }
    (server, peer)
}

fn pull_and_read(peer: &Peer, bytes: usize, half_close: bool) -> (TcpStream, Vec<u8>) {
    let mut stream = peer.connect();
    stream.write_all(&peer.request(&PULL, &[])).unwrap();
    if half_close {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).unwrap();
    (stream, read)
}

#[test]
fn a_pull_cut_at_any_byte_loses_nothing_and_comes_again_byte_for_byte() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &[]);
    let whole = 7 + 3 * 25 + 3 + 40 + 500;
    let (stream, first) = pull_and_read(&peer, whole - 1, false);
    drop(stream);
    for cut in (0..whole).rev() {
        let (stream, read) = pull_and_read(&peer, cut, false);
        assert!(read == first[..cut], "cut at {cut}");
        drop(stream);
    }
    assert_eq!(peer.pull().len(), 3);
    assert_eq!(peer.pull(), []);
}

#[test]
fn a_client_that_closes_its_side_first_and_then_breaks_off_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &[]);
    for cut in [0, 6, 7, 31, 32, 617, 624] {
        drop(pull_and_read(&peer, cut, true));
    }
    assert_eq!(peer.pull().len(), 3);
}

#[test]
fn a_client_that_closes_its_side_first_and_reads_to_the_end_gets_its_mail_once() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &[]);
    let (mut stream, _) = pull_and_read(&peer, 0, true);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 625);
    drop(stream);
    assert_eq!(peer.pull(), []);
}

#[test]
fn a_following_request_on_the_same_connection_proves_arrival_at_once() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &["--pull-grace", "60000"]);
    let mut stream = peer.connect();
    assert!(matches!(peer.ask_on(&mut stream, &PULL, &[]), Answer::Response(_)));
    let again = peer.ask_on(&mut stream, &PULL, &[]);
    let empty = pull_messages::Response { messages: Vec::new() };
    assert_eq!(again, Answer::Response(empty.into()));
}

#[test]
fn a_second_pull_at_once_on_another_connection_sees_nothing_again() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &[]);
    assert_eq!(peer.pull().len(), 3);
    assert_eq!(peer.pull(), []);
}

#[test]
fn a_client_that_stays_connected_and_silent_has_its_mail_after_the_grace_period() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &["--pull-grace", "100"]);
    let mut stream = peer.connect();
    assert!(matches!(peer.ask_on(&mut stream, &PULL, &[]), Answer::Response(_)));
    assert_eq!(peer.pull(), []);
    drop(stream);
}

#[test]
fn whoever_takes_mail_slowly_does_not_keep_its_owner_from_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--pull-grace", "100"]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    // More than the kernel's buffers hold, so that it is not written while nobody reads.
    let content = vec![1; 24 << 20];
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &content), Answer::Response(_)));
    let (slow, _) = pull_and_read(&peer, 1, false);
    let mail = peer.pull();
    assert_eq!(mail.len(), 1);
    assert!(mail[0].1 == content);
    drop(slow);
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let (server, peer) = with_mail(data.path(), &[]);
    server.signal("-KILL");
    server.wait();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let peer = Peer { address: server.addresses[0], ..peer };
    assert_eq!(peer.pull().iter().map(|(_, content)| content.len()).collect::<Vec<_>>(), [3, 40, 500]);
}

#[test]
fn a_request_that_was_sent_before_the_answer_proves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &[]);
    let list = peer.request(&Request::ListClients(messageu_wire::operation::list_clients::Request), &[]);
    let pull = peer.request(&PULL, &[]);
    for pipelined in [[&pull[..], &list].concat(), [&pull[..], &pull].concat()] {
        for cut in [0, 7, 100, 624] {
            let mut stream = peer.connect();
            stream.write_all(&pipelined).unwrap();
            stream.read_exact(&mut vec![0; cut]).unwrap();
            drop(stream);
        }
    }
    assert_eq!(peer.pull().len(), 3);
}

#[test]
fn zeros_behind_a_pull_prove_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &[]);
    for (cut, zeros) in [(7, 1), (7, 16), (100, 600), (624, 1023)] {
        let (mut stream, _) = pull_and_read(&peer, cut, false);
        stream.write_all(&vec![0; zeros]).unwrap();
        drop(stream);
    }
    assert_eq!(peer.pull().len(), 3);
}

#[test]
fn of_two_pulls_at_once_on_one_connection_the_second_is_empty() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peer) = with_mail(data.path(), &["--pull-grace", "200"]);
    let pull = peer.request(&PULL, &[]);
    let mut stream = peer.connect();
    stream.write_all(&[&pull[..], &pull].concat()).unwrap();
    let mut answers = vec![0; 625 + 7];
    stream.read_exact(&mut answers).unwrap();
    assert_eq!(answers[625..], [2, 0x38, 0x08, 0, 0, 0, 0]);
}

#[test]
fn whoever_does_not_take_its_mail_at_all_is_reset_and_finds_it_later() {
    let data = tempfile::tempdir().unwrap();
    let limits = ["--pull-grace", "100", "--request-time", "1", "--min-rate", "100000000"];
    let server = Server::start(data.path(), &["127.0.0.1:0"], &limits);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let content = vec![1; 3 << 20];
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &content), Answer::Response(_)));
    let (mut stuck, _) = pull_and_read(&peer, 1, false);
    until("the reset", || stuck.take_error().unwrap().is_some());
    let mut rest = Vec::new();
    assert!(stuck.read_to_end(&mut rest).is_ok_and(|read| read < content.len()));
    assert_eq!(peer.pull().len(), 1);
}

#[test]
fn a_client_that_closes_its_side_first_may_read_slowly() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--pull-grace", "50"]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let content = vec![1; 3 << 20];
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &content), Answer::Response(_)));
    let (mut slow, _) = pull_and_read(&peer, 1, true);
    let mut rest = 7 + 25 + content.len() - 1;
    let mut buffer = vec![0; 64 * 1024];
    while rest > 0 {
        let piece = rest.min(buffer.len());
        slow.read_exact(&mut buffer[..piece]).unwrap();
        rest -= piece;
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(slow);
    until("the verdict", || peer.pull().is_empty());
}

#[test]
fn whoever_takes_mail_slowly_keeps_its_owner_waiting_once_at_most() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--pull-grace", "500"]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    // More than the kernel's buffers hold, so that nobody can take it for arrived.
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &vec![1; 24 << 20]), Answer::Response(_)));
    let (slow, _) = pull_and_read(&peer, 1, false);
    assert_eq!(peer.pull().len(), 1);
    // From here on nothing is waited for, or this would take a hundred times twice the grace period.
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(peer.pull(), []);
    }
    assert!(began.elapsed() < Duration::from_secs(50));
    drop(slow);
}
