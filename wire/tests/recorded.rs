//! The recorded conversations of independent programs, read and written again with nothing but the wire.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

use std::collections::HashMap;
use std::path::Path;

use messageu_wire::dialect::{Dialect, Pin, Profile};
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::operations::{Request, Response};
use messageu_wire::response::{self, ResponseReader};

#[derive(serde::Deserialize)]
struct Recording {
    program: String,
    dialect: String,
    pin: Option<String>,
    exchanges: Vec<Exchange>,
}

#[derive(serde::Deserialize)]
struct Exchange {
    step: String,
    operation: String,
    request: String,
    response: String,
}

fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/recorded");
    let mut recordings: Vec<Recording> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    recordings.sort_by(|a, b| a.program.cmp(&b.program));
    assert_eq!(recordings.len(), 18);
    recordings
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

impl Recording {
    fn pin(&self) -> Pin {
        Pin { family: None, profile: self.pin.as_deref().map(|name| Profile::named(name).unwrap()) }
    }

    /// Reads every request as a server would that remembers profiles from registrations, pieces of `step` bytes each.
    fn read_requests(&self, step: usize) -> Vec<(Received, Vec<u8>)> {
        let mut remembered: HashMap<ClientId, &'static Profile> = HashMap::new();
        let mut all = Vec::new();
        for exchange in &self.exchanges {
            let mut reader = RequestReader::new(self.pin(), u32::MAX);
            let mut received = None;
            let mut content = Vec::new();
            let bytes = unhex(&exchange.request);
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
                    Event::Request(request) => {
                        assert!(received.replace(*request).is_none(), "one request only")
                    }
                    Event::Content(piece) => content.extend_from_slice(&piece),
                    Event::EndOfContent => {}
                }
            }
            let received: Received =
                received.unwrap_or_else(|| panic!("{}: {}", self.program, exchange.step));
            if let Request::Register(_) = received.request {
                let Response::Register(answer) = self.read_response(&received, exchange) else { panic!() };
                remembered.insert(answer.client_id, received.dialect.profile);
            }
            all.push((received, content));
        }
        all
    }

    fn read_response(&self, received: &Received, exchange: &Exchange) -> Response {
        use messageu_wire::operation::pull_messages::{Message, Response as Pull};
        let mut reader = ResponseReader::new(received.dialect, received.request.operation());
        let mut messages: Vec<Message> = Vec::new();
        for byte in unhex(&exchange.response) {
            reader.push(&[byte]);
            loop {
                match reader
                    .poll()
                    .unwrap_or_else(|error| panic!("{}: {}: {error}", self.program, exchange.step))
                {
                    response::Event::More => break,
                    response::Event::Refused(text) => panic!("refused: {text}"),
                    response::Event::Response(response) => return response,
                    response::Event::Entry(head) => messages.push(Message {
                        from: head.from,
                        message_id: head.message_id,
                        kind: head.kind,
                        content: Vec::new(),
                    }),
                    response::Event::Content(piece) => {
                        messages.last_mut().unwrap().content.extend_from_slice(&piece);
                    }
                    response::Event::EndOfContent => {}
                    response::Event::End => return Pull { messages }.into(),
                }
            }
        }
        panic!("{}: the response to {} is not over", self.program, exchange.step)
    }
}

#[test]
fn every_recorded_request_is_recognised_in_its_dialect_and_operation() {
    for recording in recordings() {
        for ((received, _), exchange) in recording.read_requests(usize::MAX).iter().zip(&recording.exchanges)
        {
            let name = format!("{}: {}", recording.program, exchange.step);
            assert_eq!(received.dialect.to_string(), recording.dialect, "{name}");
            assert_eq!(received.request.operation().name(), exchange.operation, "{name}");
        }
    }
}

#[test]
fn requests_that_arrive_byte_by_byte_read_the_same() {
    for recording in recordings() {
        let whole = recording.read_requests(usize::MAX);
        assert!(recording.read_requests(1) == whole, "{}", recording.program);
    }
}

#[test]
fn every_recorded_request_is_written_again_byte_for_byte_where_it_kept_to_its_dialect() {
    let mut same = 0;
    let mut all = 0;
    for recording in recordings() {
        for ((received, content), exchange) in
            recording.read_requests(usize::MAX).iter().zip(&recording.exchanges)
        {
            let dialect = received.dialect;
            let version = if received.version >= b'0' { received.version - b'0' } else { received.version };
            let mut bytes = dialect.encode_request(version, received.client_id, &received.request).unwrap();
            bytes.extend_from_slice(content);
            let tail = dialect.request_tail(received.request.operation(), bytes.len() as u64);
            bytes.resize(bytes.len() + tail, 0);
            all += 1;
            if bytes == unhex(&exchange.request) {
                same += 1;
            } else {
                // What these write otherwise is garbage in gaps, or a wrong size.
                let garbage = received.deviation.is_some() || recording.program == "batelbokobza";
                assert!(garbage, "{}: {}", recording.program, exchange.step);
            }
        }
    }
    println!("{same} of {all} requests are written again byte for byte; the others deviate as named");
}

#[test]
fn every_recorded_response_is_understood_and_written_again_byte_for_byte() {
    for recording in recordings() {
        for ((received, _), exchange) in recording.read_requests(usize::MAX).iter().zip(&recording.exchanges)
        {
            let response = recording.read_response(received, exchange);
            let bytes = received.dialect.encode_response(&response, received.client_id).unwrap();
            let mut recorded = unhex(&exchange.response);
            if recording.program == "jb22h" {
                assert_eq!(recorded[0], 1);
                recorded[0] = 2;
            }
            assert!(bytes == recorded, "{}: {}", recording.program, exchange.step);
        }
    }
}

#[test]
fn dialects_have_distinct_names_that_read_back() {
    let names: Vec<String> = Dialect::all().map(|dialect| dialect.to_string()).collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name));
        assert_eq!(name.parse::<Dialect>().unwrap().to_string(), *name);
    }
    for (short, name) in [("D", "d"), ("Big-Endian", "d/big-endian"), ("uid-echo", "b/uid-echo")] {
        assert_eq!(short.parse::<Dialect>().unwrap().to_string(), name);
    }
    for ambiguous in ["padded-1024", "classic", "f", ""] {
        assert!(ambiguous.parse::<Dialect>().is_err());
    }
}
