//! What a reader of requests says of its stream between requests, and at the edges of recognition.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use messageu_wire::dialect::{Dialect, Family, Pin, Profile};
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{list_clients, send_message};
use messageu_wire::operations::Request;

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
