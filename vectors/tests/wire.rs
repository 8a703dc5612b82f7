//! Bytes and fields of every exchange, checked with the wire in both directions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use std::collections::HashMap;

use messageu_vectors::fields::{RequestFields, ResponseFields};
use messageu_vectors::{Exchange, Recording, recordings};
use messageu_wire::dialect::{Dialect, Profile};
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::operation::pull_messages;
use messageu_wire::operations::Response;
use messageu_wire::response::{self, ResponseReader};

/// What servers remember: the profiles in which clients registered.
type Remembered = HashMap<ClientId, &'static Profile>;

/// Every exchange of every recording, with its name, and what a server remembers of the clients before it.
fn for_each_exchange(mut check: impl FnMut(&str, &Recording, &Exchange, &Remembered)) {
    for recording in recordings() {
        let mut remembered = Remembered::new();
        for exchange in &recording.exchanges {
            let name = format!("{}: {}: {}", recording.program, exchange.step, exchange.operation);
            check(&name, &recording, exchange, &remembered);
            let dialect = recording.dialect();
            let response = exchange.response_fields.to_response(exchange.operation(), dialect.profile);
            if let Response::Register(registered) = response {
                remembered.insert(registered.client_id, dialect.profile);
            }
        }
    }
}

/// Reads one request, in pieces of `step` bytes, as a server would.
fn read_request(
    recording: &Recording,
    bytes: &[u8],
    remembered: &Remembered,
    step: usize,
) -> (Received, Vec<u8>) {
    let mut reader = RequestReader::new(recording.pin(), u32::MAX);
    let mut received = None;
    let mut content = Vec::new();
    let mut pieces = bytes.chunks(step);
    let mut quiet = false;
    loop {
        let hint = reader.next_client_id().and_then(|id| remembered.get(&id).copied());
        match reader.poll(hint, quiet).unwrap() {
            Event::More | Event::Undecided => match pieces.next() {
                Some(piece) => reader.push(piece),
                None if quiet => break,
                None => quiet = true,
            },
            Event::Request(request) => assert!(received.replace(*request).is_none(), "one request only"),
            Event::Content(piece) => content.extend_from_slice(&piece),
            Event::EndOfContent => {}
        }
    }
    (received.unwrap(), content)
}

fn read_response(dialect: Dialect, exchange: &Exchange) -> Response {
    let mut reader = ResponseReader::new(dialect, exchange.operation());
    let mut messages: Vec<pull_messages::Message> = Vec::new();
    for byte in exchange.response.iter() {
        reader.push(&[*byte]);
        loop {
            match reader.poll().unwrap() {
                response::Event::More => break,
                response::Event::Refused(text) => panic!("refused: {text}"),
                response::Event::Response(response) => return response,
                response::Event::Entry(pull_messages::EntryHead { from, message_id, kind, .. }) => {
                    messages.push(pull_messages::Message { from, message_id, kind, content: Vec::new() });
                }
                response::Event::Content(piece) => {
                    messages.last_mut().unwrap().content.extend_from_slice(&piece);
                }
                response::Event::EndOfContent => {}
                response::Event::End => return pull_messages::Response { messages }.into(),
            }
        }
    }
    panic!("the response is not over")
}

/// The request with zeros where its bytes mean nothing.
fn cleaned(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = exchange.request.to_vec();
    for span in &exchange.request_fields.meaningless {
        bytes[span.at..span.at + span.size].fill(0);
    }
    bytes
}

/// Panics with the fields that the bytes have, ready to be put into the file.
fn assert_fields<T: PartialEq + serde::Serialize>(name: &str, found: &T, recorded: &T) {
    let json = || serde_json::to_string_pretty(found).unwrap();
    assert!(found == recorded, "{name}: the bytes mean\n{}", json());
}

#[test]
fn every_request_is_recognised_and_means_its_fields() {
    for_each_exchange(|name, recording, exchange, remembered| {
        let (received, content) = read_request(recording, &exchange.request, remembered, usize::MAX);
        assert_eq!(received.dialect, recording.dialect(), "{name}");
        assert_eq!(received.request.operation(), exchange.operation(), "{name}");
        let mut fields = RequestFields::of(&received, &content, &exchange.request);
        fields.meaningless.clone_from(&exchange.request_fields.meaningless);
        assert_fields(name, &fields, &exchange.request_fields);
    });
}

#[test]
fn requests_that_arrive_byte_by_byte_read_the_same() {
    for_each_exchange(|name, recording, exchange, remembered| {
        let read = |step| read_request(recording, &exchange.request, remembered, step);
        assert!(read(1) == read(usize::MAX), "{name}");
    });
}

#[test]
fn bytes_said_to_mean_nothing_do() {
    let mut spans = 0;
    for_each_exchange(|name, recording, exchange, remembered| {
        let read = |bytes: &[u8]| {
            let (received, content) = read_request(recording, bytes, remembered, usize::MAX);
            RequestFields::of(&received, &content, bytes)
        };
        assert!(read(&exchange.request) == read(&cleaned(exchange)), "{name}");
        for span in &exchange.request_fields.meaningless {
            let bytes = &exchange.request[span.at..span.at + span.size];
            assert!(bytes.iter().any(|byte| *byte != 0), "{name}: zeros need no word");
            spans += 1;
        }
    });
    assert!(spans > 0);
}

#[test]
fn the_fields_of_every_request_make_its_bytes() {
    let mut exact = 0;
    let mut all = 0;
    for_each_exchange(|name, recording, exchange, _| {
        let bytes = exchange.request_fields.encode(recording.dialect(), exchange.operation());
        assert!(bytes == cleaned(exchange), "{name}");
        exact += usize::from(bytes == *exchange.request);
        all += 1;
    });
    println!(
        "figure: {all} recorded requests made from their fields, {exact} of them byte for byte and the others but for bytes that mean nothing"
    );
    assert!(exact < all);
}

#[test]
fn what_a_dialect_puts_behind_a_request_is_there() {
    for_each_exchange(|name, recording, exchange, _| {
        let fields = &exchange.request_fields;
        let behind = usize::try_from(fields.behind).unwrap();
        let written = u64::try_from(exchange.request.len() - behind).unwrap();
        assert_eq!(behind, recording.dialect().request_tail(exchange.operation(), written), "{name}");
    });
}

#[test]
fn every_response_means_its_fields() {
    for_each_exchange(|name, recording, exchange, _| {
        let dialect = recording.dialect();
        let response = read_response(dialect, exchange);
        let asker = exchange.request_fields.client_id.client_id();
        let fields = ResponseFields::of(dialect, &response, asker, &exchange.response);
        assert_fields(name, &fields, &exchange.response_fields);
        assert!(response == fields.to_response(exchange.operation(), dialect.profile), "{name}");
    });
}

#[test]
fn the_fields_of_every_response_make_its_bytes() {
    for_each_exchange(|name, recording, exchange, _| {
        let asker = exchange.request_fields.client_id.client_id();
        let fields = &exchange.response_fields;
        let bytes = fields.encode(recording.dialect(), exchange.operation(), asker);
        assert!(bytes == *exchange.response, "{name}");
    });
}
