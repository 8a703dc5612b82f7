//! Hostile peers are bounded in time and memory, and get refusals; everybody else is served meanwhile.

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
use std::time::Duration;

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::{ClientId, NAME_FIELD_SIZE, NameField, PublicKey};
use messageu_wire::message::{CONTENT_MAX, MessageType};
use messageu_wire::operation::{register, send_message};
use messageu_wire::operations::Request;
use support::{Answer, Peer, Server, peak_memory};

/// The refusal that a peer of the plain dialects sees: version 2, code 9000, size 0.
const REFUSAL: [u8; 7] = [2, 0x28, 0x23, 0, 0, 0, 0];

fn server(more: &[&str]) -> (tempfile::TempDir, Server, Peer) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], more);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    (data, server, peer)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.addresses[0]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// All that the server still says before it closes.
fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset ends a connection as well as a close.
    let _ = stream.read_to_end(&mut all);
    all
}

#[test]
fn bytes_of_no_dialect_are_refused_and_the_connection_closed() {
    let (_data, server, peer) = server(&[]);
    for bytes in [&[0xff; 40][..], b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", &[1; 19]] {
        let mut stream = connect(&server);
        stream.write_all(bytes).unwrap();
        assert_eq!(read_to_close(&mut stream), REFUSAL);
    }
    assert_eq!(peer.pull(), []);
}

#[test]
fn a_size_that_contradicts_its_operation_is_refused_and_the_connection_closed() {
    let (_data, server, peer) = server(&[]);
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    let mut request = peer.request(&list, &[]);
    request[19] = 5;
    let mut stream = connect(&server);
    stream.write_all(&request).unwrap();
    assert_eq!(read_to_close(&mut stream), REFUSAL);
}

#[test]
fn names_that_are_none_and_names_that_are_taken_are_refused() {
    let (_data, _server, peer) = server(&[]);
    let mut with_newline = [b'a'; NAME_FIELD_SIZE];
    with_newline[3..].fill(0);
    with_newline[1] = b'\n';
    let mut hebrew = [0; NAME_FIELD_SIZE];
    hebrew[..4].copy_from_slice("שם".as_bytes());
    let mut taken = [0; NAME_FIELD_SIZE];
    taken[..5].copy_from_slice(b"alice");
    for field in [[0; NAME_FIELD_SIZE], [b'a'; NAME_FIELD_SIZE], with_newline, hebrew, taken] {
        let register = register::Request { name: NameField(field), public_key: PublicKey([1; 160]) };
        assert_eq!(peer.ask(&Request::Register(register), &[]), Answer::Refused);
    }
    let mut longest = [b'a'; NAME_FIELD_SIZE];
    longest[NAME_FIELD_SIZE - 1] = 0;
    let register = register::Request { name: NameField(longest), public_key: PublicKey([1; 160]) };
    assert!(matches!(peer.ask(&Request::Register(register), &[]), Answer::Response(_)));
}

#[test]
fn garbage_behind_the_nul_of_a_name_is_not_passed_on() {
    let (_data, _server, peer) = server(&[]);
    let mut field = [0xcc; NAME_FIELD_SIZE];
    field[..4].copy_from_slice(b"bob\0");
    let register = register::Request { name: NameField(field), public_key: PublicKey([1; 160]) };
    assert!(matches!(peer.ask(&Request::Register(register), &[]), Answer::Response(_)));
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    let mut stream = peer.connect();
    stream.write_all(&peer.request(&list, &[])).unwrap();
    let mut answer = [0; 7 + 271];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[23..27], b"bob\0");
    assert!(answer[27..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_request_that_trickles_is_cut_off_and_others_are_served_meanwhile() {
    let (_data, server, peer) = server(&["--request-time", "1"]);
    let mut slow = connect(&server);
    slow.write_all(&[7; 5]).unwrap();
    assert_eq!(peer.pull(), []);
    assert_eq!(read_to_close(&mut slow), []);
}

#[test]
fn a_silent_connection_is_closed_after_the_idle_time_but_a_known_client_may_be_silent() {
    let (_data, server, peer) = server(&["--idle-time", "1"]);
    let mut known = connect(&server);
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    assert!(matches!(peer.ask_on(&mut known, &list, &[]), Answer::Response(_)));
    let mut silent = connect(&server);
    assert_eq!(read_to_close(&mut silent), []);
    assert!(matches!(peer.ask_on(&mut known, &list, &[]), Answer::Response(_)));
}

#[test]
fn one_connection_too_many_gets_a_refusal_and_nothing_else() {
    let (_data, server, _peer) = server(&["--max-clients", "3"]);
    let mut seats = Vec::new();
    // The connection that registered may take a moment to be gone.
    while seats.len() < 3 {
        let mut stream = connect(&server);
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        if stream.read(&mut [0; 7]).is_err() {
            seats.push(stream);
        }
    }
    assert_eq!(read_to_close(&mut connect(&server)), REFUSAL);
}

#[test]
fn claims_of_4_gib_by_many_connections_at_once_cost_next_to_nothing() {
    let (_data, server, peer) = server(&[]);
    let before = peak_memory(server.id());
    let send = send_message::Request { to: peer.id, kind: MessageType::FILE, size: CONTENT_MAX };
    let claim = peer.request(&Request::SendMessage(send), &[]);
    let claims: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(&claim).unwrap();
            stream
        })
        .collect();
    assert_eq!(peer.pull(), []);
    let grown = peak_memory(server.id()) - before;
    assert!(grown < 16 * 1024, "{grown} kB for {} claims", claims.len());
}

#[test]
fn a_send_beyond_the_queues_limit_is_refused_or_drops_the_oldest_of_its_sender() {
    for (policy, left) in [("reject", [b"1", b"2"]), ("drop-oldest", [b"2", b"3"])] {
        let (_data, server, alice) = server(&["--queue-limit", "2", "--queue-policy", policy]);
        let bob = Peer::register(server.addresses[0], alice.dialect, "bob");
        let from_bob = bob.send(alice.id, MessageType::TEXT, b"bob's");
        assert!(matches!(from_bob, Answer::Response(_)));
        let answers = [b"1", b"2", b"3"].map(|content| alice.send(alice.id, MessageType::TEXT, content));
        assert_eq!(answers[2] == Answer::Refused, policy == "reject");
        let mail: Vec<Vec<u8>> = alice.pull().into_iter().map(|(_, content)| content).collect();
        assert_eq!(mail, [&b"bob's"[..], left[0], left[1]]);
    }
}

#[test]
fn a_content_above_the_limit_is_refused() {
    let (_data, _server, peer) = server(&["--max-content", "1000"]);
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, &[1; 1000]), Answer::Response(_)));
    assert_eq!(peer.send(peer.id, MessageType::TEXT, &[1; 1001]), Answer::Refused);
}

#[test]
fn whoever_asks_as_nobody_gets_nothing() {
    let (_data, _server, peer) = server(&[]);
    let nobody = Peer { id: ClientId::NOBODY, ..peer.clone() };
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    assert_eq!(nobody.ask(&list, &[]), Answer::Refused);
    assert_eq!(nobody.send(peer.id, MessageType::TEXT, b"x"), Answer::Refused);
}
