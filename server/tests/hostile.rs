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
use support::{Answer, Peer, Server, peak_memory, rows, until};

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
fn a_refusal_arrives_although_more_was_sent_than_was_read() {
    let (_data, server, _) = server(&[]);
    let mut stream = connect(&server);
    stream.write_all(&vec![0xff; 1 << 20]).unwrap();
    let mut all = Vec::new();
    // A close with bytes unread would be a reset, and could take the refusal with it.
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, REFUSAL);
}

#[test]
fn a_content_that_no_pull_could_have_is_refused_before_it_is_known_who_asks() {
    let (_data, server, peer) = server(&[]);
    let nobody = Peer { id: ClientId([9; 16]), ..peer.clone() };
    let mut stream = connect(&server);
    stream.write_all(&nobody.request(&send_of(&peer, u32::MAX - 27), &[])).unwrap();
    assert_eq!(read_to_close(&mut stream), REFUSAL);
    // One byte less is a question of who asks: the content is awaited, and the connection stays.
    let mut stream = connect(&server);
    stream.write_all(&nobody.request(&send_of(&peer, u32::MAX - 28), &[])).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(stream.read(&mut [0]).is_err(), "an answer before the content");
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
    assert!(read_to_close(&mut slow).is_empty());
}

#[test]
fn a_silent_connection_is_closed_after_the_idle_time_but_a_known_client_may_be_silent() {
    let (_data, server, peer) = server(&["--idle-time", "1"]);
    let mut known = connect(&server);
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    assert!(matches!(peer.ask_on(&mut known, &list, &[]), Answer::Response(_)));
    let mut silent = connect(&server);
    assert!(read_to_close(&mut silent).is_empty());
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

#[test]
fn zeros_between_requests_change_nothing_whatever_the_id_has_for_bytes() {
    let (_data, server, _) = server(&[]);
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    for family in Family::ALL {
        // Many ids, so that their bytes are also those of codes.
        for at in 0..12 {
            let peer =
                Peer::register(server.addresses[0], Dialect::classic(family), &format!("{family}{at}"));
            let request = peer.request(&list, &[]);
            let mut stream = connect(&server);
            for zeros in [0, 1, 2, 15, 16, 17, 600] {
                stream.write_all(&vec![0; zeros]).unwrap();
                stream.write_all(&request).unwrap();
                let (answer, _) = support::read_answer(&mut stream, peer.dialect, list.operation());
                assert!(matches!(answer, Answer::Response(_)), "{family}: {zeros} zeros before {}", peer.id);
            }
        }
    }
}

#[test]
fn a_fast_start_buys_no_long_silence() {
    let (_data, server, peer) = server(&["--request-time", "1", "--min-rate", "65536"]);
    let send = send_message::Request { to: peer.id, kind: MessageType::FILE, size: 40 << 20 };
    let mut stream = connect(&server);
    stream.write_all(&peer.request(&Request::SendMessage(send), &[])).unwrap();
    stream.write_all(&vec![1; 20 << 20]).unwrap();
    assert!(read_to_close(&mut stream).is_empty());
}

#[test]
fn a_request_that_begins_behind_another_has_its_time_too() {
    let (_data, server, peer) = server(&["--request-time", "1"]);
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    let mut stream = connect(&server);
    stream.write_all(&[peer.request(&list, &[]), vec![7]].concat()).unwrap();
    assert_eq!(read_to_close(&mut stream).len(), 7);
}

#[test]
fn many_who_take_a_long_queue_slowly_cost_little_each() {
    let (_data, server, peer) = server(&[]);
    let send = |stream: &mut TcpStream| peer.ask_on(stream, &send_of(&peer, 100), &[7; 100]);
    let mut stream = connect(&server);
    for _ in 0..2_000 {
        assert!(matches!(send(&mut stream), Answer::Response(_)));
    }
    let before = peak_memory(server.id());
    let pull = peer.request(&Request::PullMessages(messageu_wire::operation::pull_messages::Request), &[]);
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(&pull).unwrap();
            stream
        })
        .collect();
    for mut stream in slow {
        stream.read_exact(&mut [0; 7]).unwrap();
    }
    let grown = peak_memory(server.id()) - before;
    assert!(grown < 32 * 1024, "{grown} kB");
}

fn send_of(peer: &Peer, size: u32) -> Request {
    Request::SendMessage(send_message::Request { to: peer.id, kind: MessageType::TEXT, size })
}

#[test]
fn a_crowd_of_contents_that_stop_on_their_way_holds_up_no_other() {
    let (data, _server, peer) = server(&["--request-time", "3600"]);
    let content = vec![1; 300_000];
    let beginning = [peer.request(&send_of(&peer, 300_000), &[]), vec![1; 100_000]].concat();
    let stopped: Vec<TcpStream> = (0..150)
        .map(|_| {
            let mut stream = peer.connect();
            stream.write_all(&beginning).unwrap();
            stream
        })
        .collect();
    until("an upload and a chunk of each", || rows(data.path()) >= 2 * 150);
    assert!(matches!(peer.send(peer.id, MessageType::FILE, &content), Answer::Response(_)));
    drop(stopped);
}

#[test]
fn one_sender_leaves_room_for_others_by_default() {
    let limits = messageu_server::store::QueueLimits::default();
    assert!(limits.per_pair * 4 <= limits.per_recipient);
    assert!(limits.bytes_per_pair * 4 <= limits.bytes_per_recipient);
    assert!(u64::from(CONTENT_MAX) <= limits.bytes_per_pair);
}

#[test]
fn a_content_for_which_there_is_no_room_is_not_taken_in_first() {
    let (data, _server, peer) = server(&["--recipient-bytes", "1000000"]);
    let content = vec![1; 30 << 20];
    assert_eq!(peer.send(peer.id, MessageType::FILE, &content), Answer::Refused);
    let used: u64 =
        std::fs::read_dir(data.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(used < 8 << 20, "{used} bytes");
}

#[test]
fn a_large_content_above_the_limit_is_refused_too_and_the_connection_goes_on() {
    let (_data, _server, peer) = server(&["--max-content", "1000000"]);
    let mut stream = peer.connect();
    let content = vec![1; 20 << 20];
    assert_eq!(peer.ask_on(&mut stream, &send_of(&peer, 20 << 20), &content), Answer::Refused);
    assert!(matches!(peer.ask_on(&mut stream, &send_of(&peer, 5), b"hello"), Answer::Response(_)));
}

#[test]
fn a_deleted_client_is_nobody_on_its_open_connection_too() {
    let (_data, server, _) = server(&[]);
    let peer = Peer::register(server.addresses[0], "d/big-endian".parse().unwrap(), "doomed");
    let list = Request::ListClients(messageu_wire::operation::list_clients::Request);
    let (mut one, mut other) = (peer.connect(), peer.connect());
    assert!(matches!(peer.ask_on(&mut other, &list, &[]), Answer::Response(_)));
    let delete = Request::DeleteClient(messageu_wire::operation::delete_client::Request);
    assert!(matches!(peer.ask_on(&mut one, &delete, &[]), Answer::Response(_)));
    for stream in [&mut one, &mut other] {
        assert_eq!(peer.ask_on(stream, &list, &[]), Answer::Refused);
    }
}

#[test]
fn a_refused_connection_is_refused_in_the_listeners_dialect() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0,profile=uid-echo"], &["--max-clients", "1"]);
    let seat = connect(&server);
    let refusal = [&REFUSAL[..], &[0; 16]].concat();
    assert_eq!(read_to_close(&mut connect(&server)), refusal);
    drop(seat);
}
