//! Hostile peers of version 3: what is no frame, what is too large, too slow, or too much.

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

use std::io::Write as _;
use std::time::{Duration, Instant};

use messageu_wire::fields::ClientId;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::{REQUEST_HEADER_SIZE, encode_request};
use messageu_wire::modern::operation::hello;
use support::modern::{Modern, User, mail, pull};
use support::tls::{TlsClient, stays_open};
use support::{Server, peak_memory};

fn server(more: &[&str]) -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], more);
    (data, server)
}

/// A header, whatever it says.
fn header(version: u8, code: u16, size: u32, tag: u32) -> Vec<u8> {
    let mut bytes = vec![7; 16];
    bytes.push(version);
    bytes.extend_from_slice(&code.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&tag.to_le_bytes());
    assert_eq!(bytes.len(), REQUEST_HEADER_SIZE);
    bytes
}

#[test]
fn another_version_and_a_size_that_an_operation_does_not_have_are_refused_and_the_connection_closed() {
    let (_data, server) = server(&[]);
    for bytes in [
        header(2, 3000, 0, 5),
        header(4, 3000, 0, 5),
        header(3, 3000, 1, 5),
        header(3, 3020, u32::MAX, 5),
        header(3, 1, 200_000, 5),
    ] {
        let mut modern = Modern::connect(server.addresses[0]);
        modern.say(&bytes);
        let frame = modern.next().unwrap();
        assert_eq!((frame.tag, frame.answer.unwrap_err().error), (Tag(5), ErrorCode::MALFORMED));
        assert!(modern.next().is_none());
    }
}

#[test]
fn a_payload_that_is_none_and_a_code_of_nothing_are_refused_and_the_connection_goes_on() {
    let (_data, server) = server(&[]);
    let mut modern = Modern::connect(server.addresses[0]);
    let short_authentication = [header(3, 3001, 3, 1), vec![1, 2, 3]].concat();
    let unknown_code = [header(3, 3099, 3, 2), vec![1, 2, 3]].concat();
    for (bytes, error) in
        [(short_authentication, ErrorCode::MALFORMED), (unknown_code, ErrorCode::UNSUPPORTED)]
    {
        modern.say(&bytes);
        assert_eq!(modern.next().unwrap().answer.unwrap_err().error, error);
    }
    modern.hello();
}

#[test]
fn requests_come_in_any_split_and_many_at_once() {
    let (_data, server) = server(&[]);
    let mut modern = Modern::new(server.addresses[0], &User::number(0), "alice");
    let requests: Vec<u8> =
        (0..20).flat_map(|tag| encode_request(modern.id, Tag(1000 + tag), &hello::Request.into())).collect();
    for piece in requests.chunks(17) {
        modern.say(piece);
    }
    modern.say(&requests);
    for _ in 0..40 {
        assert!(modern.next().unwrap().answer.is_ok());
    }
}

#[test]
fn a_request_that_trickles_and_a_stranger_that_is_silent_are_cut_off_and_clients_are_not() {
    let (_data, server) = server(&["--request-time", "1", "--idle-time", "1"]);
    let address = server.addresses[0];
    let mut client = Modern::new(address, &User::number(0), "alice");
    let waiting = client.begin(pull(0, Duration::from_secs(60)));
    let began = Instant::now();
    let mut slow = Modern::connect(address);
    slow.say(&header(3, 3001, 433, 1)[..20]);
    let mut silent = Modern::connect(address);
    assert!(slow.next().is_none());
    assert!(silent.next().is_none());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    // Longer than any of these times, while the client waits for its mail and then says nothing.
    let id = client.id;
    client.send_while(waiting, id);
    assert!(stays_open(&mut client.stream, Duration::from_millis(1500)));
}

trait SendWhile {
    fn send_while(&mut self, waiting: Tag, to: ClientId);
}

impl SendWhile for Modern {
    /// Sends something to itself while it waits, and takes both answers in whatever order.
    fn send_while(&mut self, waiting: Tag, to: ClientId) {
        let sent = self.begin(mail(to, 1, b"hello"));
        let mut tags = [self.next().unwrap().tag, self.next().unwrap().tag];
        tags.sort();
        assert_eq!(tags, [waiting, sent]);
    }
}

#[test]
fn a_peer_that_takes_no_answers_is_cut_off_and_costs_little() {
    let (_data, server) = server(&["--request-time", "1", "--min-rate", "65536"]);
    let address = server.addresses[0];
    let alice = User::number(0);
    let mut modern = Modern::new(address, &alice, "alice");
    for number in 0..8 {
        modern.send(alice.id(), number, &vec![number; 100_000]).unwrap();
    }
    let before = peak_memory(server.id());
    let request = encode_request(modern.id, Tag(9), &pull(0, Duration::ZERO).into());
    modern.stream.sock.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    // Until the server takes no more, and then closes.
    let mut asked = 0;
    while modern.stream.write_all(&request).and_then(|()| modern.stream.flush()).is_ok() {
        asked += 1;
        assert!(asked < 2_000_000, "the server reads on for ever");
    }
    let more = peak_memory(server.id()) - before;
    assert!(more < 24 * 1024, "{more} KiB for a peer that takes nothing");
    assert_eq!(Modern::of(address, &alice).pull().len(), 8);
}

#[test]
fn bytes_at_random_end_nothing_but_their_connection() {
    let (_data, server) = server(&[]);
    let address = server.addresses[0];
    for seed in 0..40_u64 {
        let mut state = seed;
        let bytes: Vec<u8> = (0..300)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let mut modern = Modern::connect(address);
        modern.say(&bytes);
        let _ = modern.next();
    }
    // Plain bytes where TLS records belong.
    let (mut stream, _) = TlsClient::new().connect(address).unwrap();
    stream.sock.write_all(&[0x17, 3, 3, 0, 40]).unwrap();
    stream.sock.write_all(&[9; 40]).unwrap();
    assert!(Modern::over((stream, [0; 32])).next().is_none());
    Modern::new(address, &User::number(0), "alice");
}
