//! What a reader of requests says of its stream between requests, and at the edges of recognition.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use messageu_wire::dialect::{Dialect, Family, Pin, Profile};
use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{fetch_key, list_clients, send_message};
use messageu_wire::operations::{Operation, Request};

const D: Dialect = Dialect::classic(Family::D);
const SOMEBODY: ClientId = ClientId([0xaa; 16]);

fn reader() -> RequestReader {
    RequestReader::new(Pin::default(), u32::MAX)
}

fn list() -> Vec<u8> {
    D.encode_request(2, SOMEBODY, &list_clients::Request.into()).unwrap()
}

fn send(dialect: Dialect, from: ClientId, to: ClientId, content: &[u8]) -> Vec<u8> {
    let size = content.len().try_into().unwrap();
    let request = Request::from(send_message::Request { to, kind: MessageType::TEXT, size });
    let mut bytes = dialect.encode_request(2, from, &request).unwrap();
    bytes.extend_from_slice(content);
    let tail = dialect.request_tail(request.operation(), bytes.len().try_into().unwrap());
    bytes.resize(bytes.len() + tail, 0);
    bytes
}

/// The next request, whose tail is said to be over.
fn next(reader: &mut RequestReader) -> Received {
    match reader.poll(None, true).unwrap() {
        Event::Request(received) => *received,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_is_inside_a_request_from_its_first_byte_that_is_not_padding() {
    let mut reader = reader();
    assert!(!reader.is_inside_request());
    reader.push(&list());
    assert!(reader.is_inside_request());
    next(&mut reader);
    assert!(!reader.is_inside_request());
    reader.push(&[0; 5]);
    assert!(!reader.is_inside_request(), "zeros may be padding");
    reader.push(&[1]);
    assert!(reader.is_inside_request());
}

#[test]
fn a_stream_is_inside_a_request_until_its_content_is_whole() {
    let bytes = send(D, SOMEBODY, ClientId([9; 16]), &[7; 100]);
    let mut reader = reader();
    reader.push(&bytes[..bytes.len() - 1]);
    // Of a client whose profile is known, a request is given before its content is whole.
    assert!(matches!(reader.poll(Some(&Profile::CLASSIC), true), Ok(Event::Request(_))));
    assert!(matches!(reader.poll(None, true), Ok(Event::Content(_))));
    assert!(reader.is_inside_request());
    reader.push(&bytes[bytes.len() - 1..]);
    assert!(matches!(reader.poll(None, true), Ok(Event::Content(_))));
    assert_eq!(reader.poll(None, true), Ok(Event::EndOfContent));
    assert!(!reader.is_inside_request());
}

#[test]
fn a_stream_is_not_inside_a_request_in_what_fills_it_up() {
    let aligned = Dialect { family: Family::A, profile: &Profile::ALIGNED };
    let bytes = send(aligned, SOMEBODY, ClientId([9; 16]), b"content");
    let mut reader = RequestReader::new(Pin::default(), u32::MAX);
    reader.push(&bytes[..bytes.len() - 10]);
    assert_eq!(next(&mut reader).dialect, aligned);
    assert!(matches!(reader.poll(None, true), Ok(Event::Content(_))));
    assert_eq!(reader.poll(None, true), Ok(Event::EndOfContent));
    assert!(!reader.is_inside_request());
    assert_eq!(reader.poll(None, true), Ok(Event::More));
    assert!(!reader.is_inside_request());
}

/// A request that is right goes before one with a known wrong that begins in the zeros before it.
#[test]
fn zeros_between_requests_begin_no_request_that_deviates() {
    let (mut from, mut to) = ([0xaa; 16], [0xbb; 16]);
    // Eight bytes sooner, these are the code of a send, its type 1, and its size 0: an empty key request that declares
    // garbage.
    from[9..11].copy_from_slice(&[0x5b, 0x02]);
    to[8..13].copy_from_slice(&[1, 0, 0, 0, 0]);
    let bytes = [list(), vec![0; 8], send(D, ClientId(from), ClientId(to), b"text")].concat();
    let mut reader = reader();
    reader.push(&bytes);
    assert_eq!(next(&mut reader).client_id, SOMEBODY);
    let second = next(&mut reader);
    assert_eq!((second.client_id, second.deviation), (ClientId(from), None));
}

#[test]
fn bytes_may_be_put_into_the_readers_own_buffer() {
    let mut reader = reader();
    reader.buffer_mut().extend_from_slice(&list());
    assert_eq!(next(&mut reader).client_id, SOMEBODY);
}

#[test]
fn an_id_that_begins_with_zeros_is_taken_for_one_when_nothing_follows() {
    let imported = ClientId(*b"\0\0\0\0\0\0imported!!");
    let e = Dialect::classic(Family::E);
    let list = |from| e.encode_request(2, from, &list_clients::Request.into()).unwrap();
    let mut reader = reader();
    reader.push(&list(SOMEBODY));
    next(&mut reader);
    reader.push(&list(imported));
    assert_eq!(reader.poll(None, false), Ok(Event::Undecided));
    assert_eq!(next(&mut reader).client_id, imported);
}

#[test]
fn an_id_that_begins_with_zeros_is_kept_however_its_request_comes() {
    let imported = ClientId(*b"\0\0imported......");
    let e = Dialect::classic(Family::E);
    let bytes = e.encode_request(2, imported, &list_clients::Request.into()).unwrap();
    for cut in 0..=bytes.len() {
        let mut reader = reader();
        reader.push(&e.encode_request(2, SOMEBODY, &list_clients::Request.into()).unwrap());
        next(&mut reader);
        reader.push(&bytes[..cut]);
        if cut < bytes.len() {
            assert_eq!(reader.poll(None, false), Ok(Event::More), "{cut}");
        }
        reader.push(&bytes[cut..]);
        // What stands behind the zeros is no header, so nothing that could follow matters.
        let Ok(Event::Request(request)) = reader.poll(None, false) else { panic!("{cut}") };
        assert_eq!(request.client_id, imported, "{cut}");
    }
}

/// Of two readings of the same bytes, the one with the zeros before the request goes first where its size is right.
#[test]
fn zeros_are_padding_where_a_request_of_its_size_begins_behind_them() {
    let mut from = [0xaa; 16];
    // Eight bytes sooner, these are the version, the code and the size of a list request.
    from[8..15].copy_from_slice(&[2, 0x59, 0x02, 0, 0, 0, 0]);
    let mut reader = reader();
    reader.push(&list());
    next(&mut reader);
    reader.push(
        &[vec![0; 8], D.encode_request(2, ClientId(from), &list_clients::Request.into()).unwrap()].concat(),
    );
    assert_eq!(next(&mut reader).client_id, ClientId(from));
}

#[test]
fn a_header_that_is_cut_may_still_become_one_behind_zeros() {
    let aligned = Dialect { family: Family::A, profile: &Profile::ALIGNED };
    let encode = |from, request| aligned.encode_request(2, from, &request).unwrap();
    let imported = ClientId(*b"\0imported.......");
    let mut bytes = encode(imported, list_clients::Request.into());
    // Garbage in the gap, which is a code of the family to who begins one byte later.
    bytes[18] = 102;
    let first = encode(SOMEBODY, fetch_key::Request { client_id: ClientId([9; 16]) }.into());
    let mut reader = reader();
    reader.push(&[first, bytes].concat());
    assert_eq!(next(&mut reader).dialect, aligned);
    assert_eq!(reader.poll(None, false), Ok(Event::Undecided));
    assert_eq!(next(&mut reader).client_id, imported);
}

#[test]
fn no_zeros_stand_before_the_first_request() {
    let mut reader = reader();
    reader.push(&[vec![0; 30], list()].concat());
    let error = reader.poll(None, true).unwrap_err().error;
    assert_eq!(error, WireError::Unrecognised { found: [0; 3] });
}

#[test]
fn zeros_beyond_the_padding_are_counted_however_they_come() {
    let padded = Dialect { family: Family::D, profile: &Profile::PADDED };
    let padding = padded.request_tail(Operation::ListClients, list().len().try_into().unwrap());
    for (more, allowed) in [(1023, true), (1024, false)] {
        for first in [0, 1, 500, padding] {
            let mut reader = reader();
            reader.push(&list());
            assert!(matches!(reader.poll(Some(padded.profile), true), Ok(Event::Request(_))));
            reader.push(&vec![0; first]);
            assert_eq!(reader.poll(None, false), Ok(Event::More));
            reader.push(&[vec![0; padding - first + more], list()].concat());
            let heard = reader.poll(None, true).map_err(|rejection| rejection.error);
            assert_eq!(heard.is_ok(), allowed, "{first}, {more}: {heard:?}");
        }
    }
}

#[test]
fn what_fills_a_send_up_may_come_in_pieces() {
    let aligned = Dialect { family: Family::A, profile: &Profile::ALIGNED };
    let bytes = send(aligned, SOMEBODY, ClientId([9; 16]), b"content");
    let mut reader = reader();
    let (before, filler) = bytes.split_at(bytes.len() - 3000);
    reader.push(before);
    next(&mut reader);
    while reader.poll(None, true) != Ok(Event::EndOfContent) {}
    for piece in filler.chunks(1000) {
        assert_eq!(reader.poll(None, true), Ok(Event::More));
        reader.push(piece);
    }
    reader.push(&list());
    assert_eq!(next(&mut reader).request, list_clients::Request.into());
}
