//! What the wire makes of bytes, in the words of the vectors.

use std::collections::BTreeMap;
use std::fmt::Debug;

use messageu_wire::dialect::{Dialect, Pin};
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::control::Control;
use messageu_wire::envelope::file::{Manifest, decode_chunk};
use messageu_wire::envelope::frame::Frame;
use messageu_wire::envelope::init::{Init, SenderBlock};
use messageu_wire::envelope::msg::Msg;
use messageu_wire::envelope::offer::Offer;
use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::message::CONTENT_MAX;
use messageu_wire::modern::{self, ErrorCode};
use messageu_wire::operation::pull_messages;
use messageu_wire::operations::{Operation, REFUSAL_CODE, Request};
use messageu_wire::response::{self, ResponseReader};
use messageu_wire::spec::{Value, WireSpec};
use serde_json::json;

use crate::Hex;
use crate::codec::{Answer, Connection, Expectation, Fields, Reading, Refused, Stage};
use crate::fields::{RequestFields, ResponseFields};

impl Reading {
    /// What the wire makes of bytes that are read so, in a dialect of spec.md.
    ///
    /// # Panics
    /// When there is no such dialect, operation or format.
    #[must_use]
    pub fn of(&self, dialect: &str, bytes: &[u8]) -> Expectation {
        match (self, dialect) {
            (Self::Request(_), "3") => modern_request(bytes),
            (Self::Response { operation, .. }, "3") => modern_response(operation, bytes),
            (Self::Format(name), "3") => format(name, bytes),
            (Self::Request(_), dialect) => classic_request(dialect.parse().unwrap(), bytes),
            (Self::Response { operation, asker }, dialect) => {
                let asker = asker.as_ref().map_or(ClientId::NOBODY, Hex::client_id);
                classic_response(dialect.parse().unwrap(), operation, asker, bytes)
            }
            (Self::Format(name), dialect) => panic!("{dialect} has no format {name}"),
        }
    }
}

/// The name that a fault has in `generated/`.
fn rule(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).find(|word| !word.is_empty()).unwrap().to_owned()
}

fn reject(stage: Stage, error: &impl Debug) -> Expectation {
    Expectation::Reject { stage, rule: rule(error), answer: None }
}

fn refuse(stage: Stage, error: &impl Debug, connection: Connection) -> Expectation {
    let answer = Answer { code: REFUSAL_CODE, error: None, connection };
    Expectation::Reject { stage, rule: rule(error), answer: Some(answer) }
}

/// As a server does that is pinned to the dialect, and to which the asker and the recipient are known.
fn classic_request(dialect: Dialect, bytes: &[u8]) -> Expectation {
    let pin = Pin { family: Some(dialect.family), profile: Some(dialect.profile) };
    let mut reader = RequestReader::new(pin, CONTENT_MAX);
    reader.push(bytes);
    let mut received: Option<Received> = None;
    let mut content = Vec::new();
    let mut is_whole = false;
    loop {
        match reader.poll(None, true) {
            Ok(Event::More | Event::Undecided) => break,
            Ok(Event::Request(request)) => {
                is_whole = !matches!(request.request, Request::SendMessage(_));
                assert!(received.replace(*request).is_none(), "one request only");
            }
            Ok(Event::Content(piece)) => content.extend_from_slice(&piece),
            Ok(Event::EndOfContent) => is_whole = true,
            Err(rejection) => {
                let stage = match rejection.error {
                    WireError::ContentTooLarge { .. } => Stage::Content,
                    _ => Stage::Recognition,
                };
                return refuse(stage, &rejection.error, Connection::Closed);
            }
        }
    }
    let Some(received) = received.filter(|_| is_whole) else { return Expectation::Wait };
    assert_eq!(received.dialect, dialect);
    let connection = if dialect.profile.closes { Connection::Closed } else { Connection::Kept };
    match &received.request {
        Request::Register(request) => {
            if let Err(error) = request.name.name() {
                return refuse(Stage::Operation, &WireError::Field(error), connection);
            }
        }
        Request::SendMessage(request) if !(1..=4).contains(&request.kind.0) => {
            return refuse(Stage::Operation, &"MessageType", connection);
        }
        _ => {}
    }
    let fields = RequestFields::of(&received, &content, bytes);
    Expectation::Accept { fields: Fields::Request(Box::new(fields)) }
}

fn classic_response(dialect: Dialect, operation: &str, asker: ClientId, bytes: &[u8]) -> Expectation {
    let operation = *Operation::ALL.iter().find(|known| known.name() == operation).unwrap();
    let mut reader = ResponseReader::new(dialect, operation);
    reader.push(bytes);
    let mut messages: Vec<pull_messages::Message> = Vec::new();
    let response = loop {
        match reader.poll() {
            Ok(response::Event::More) => return Expectation::Wait,
            Ok(response::Event::Refused(refused)) => {
                return Expectation::Accept { fields: Fields::Refusal(Refused { refused }) };
            }
            Ok(response::Event::Response(response)) => break response,
            Ok(response::Event::End) => break pull_messages::Response { messages }.into(),
            Ok(response::Event::Entry(pull_messages::EntryHead { from, message_id, kind, .. })) => {
                messages.push(pull_messages::Message { from, message_id, kind, content: Vec::new() });
            }
            Ok(response::Event::Content(piece)) => {
                messages.last_mut().unwrap().content.extend_from_slice(&piece);
            }
            Ok(response::Event::EndOfContent) => {}
            Err(error @ (WireError::UnexpectedCode { .. } | WireError::PayloadTooLarge { .. })) => {
                return reject(Stage::Header, &error);
            }
            Err(error) => return reject(Stage::Payload, &error),
        }
    };
    let fields = ResponseFields::of(dialect, &response, asker, bytes);
    Expectation::Accept { fields: Fields::Response(Box::new(fields)) }
}

/// A value of the wire as JSON has it: numbers, lists, and bytes in hexadecimal digits.
#[must_use]
fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Integer(number) => json!(number),
        Value::Bytes(bytes) => json!(Hex(bytes.clone())),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Structure(fields) => serde_json::Value::Object(
            fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        ),
    }
}

fn modern(fields: &[(&str, Value)]) -> Expectation {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), plain(value)));
    Expectation::Accept { fields: Fields::Modern(fields.collect()) }
}

macro_rules! payloads {
    (
        classic $classic:tt
        modern { $($operation:ident $module:ident $codes:tt $who:ident $meaning:literal;)* }
    ) => {
        fn request_value(request: &modern::Request) -> Value {
            match request {
                $(modern::Request::$operation(payload) => payload.value(),)*
            }
        }

        fn response_value(response: &modern::Response) -> Value {
            match response {
                $(modern::Response::$operation(payload) => payload.value(),)*
            }
        }
    };
}

messageu_wire::operations!(payloads);

fn modern_request(bytes: &[u8]) -> Expectation {
    let refuse = |stage, error: &WireError, code: ErrorCode, connection| Expectation::Reject {
        stage,
        rule: rule(error),
        answer: Some(Answer { code: REFUSAL_CODE, error: Some(code.0), connection }),
    };
    let mut reader = modern::frame::RequestReader::new();
    reader.push(bytes);
    let frame = match reader.poll() {
        Ok(Some(frame)) => frame,
        Ok(None) => return Expectation::Wait,
        Err(rejection) => {
            return refuse(Stage::Header, &rejection.error, ErrorCode::MALFORMED, Connection::Closed);
        }
    };
    assert!(!reader.is_inside_request(), "one request only");
    match frame.request {
        Ok(request) => modern(&[
            ("client_id", frame.client_id.value()),
            ("tag", frame.tag.value()),
            ("payload", request_value(&request)),
        ]),
        Err(error @ WireError::UnknownCode { .. }) => {
            refuse(Stage::Header, &error, ErrorCode::UNSUPPORTED, Connection::Kept)
        }
        Err(error) => refuse(Stage::Payload, &error, ErrorCode::MALFORMED, Connection::Kept),
    }
}

fn modern_response(operation: &str, bytes: &[u8]) -> Expectation {
    let mut reader = modern::frame::ResponseReader::new();
    reader.push(bytes);
    match reader.poll() {
        Ok(None) => Expectation::Wait,
        Ok(Some(frame)) => {
            assert!(reader.buffer_mut().is_empty(), "one response only");
            let tag = ("tag", frame.tag.value());
            match &frame.answer {
                Ok(response) => {
                    assert_eq!(response.operation().name(), operation);
                    modern(&[tag, ("payload", response_value(response))])
                }
                Err(refusal) => modern(&[tag, ("refusal", refusal.value())]),
            }
        }
        Err(
            error @ (WireError::UnknownCode { .. }
            | WireError::PayloadTooLarge { .. }
            | WireError::FieldValue { field: "version", at: 0, .. }),
        ) => reject(Stage::Header, &error),
        Err(error) => reject(Stage::Payload, &error),
    }
}

fn format(name: &str, bytes: &[u8]) -> Expectation {
    fn value<T: WireSpec>(read: Result<T, WireError>) -> Result<Value, WireError> {
        read.map(|read| read.value())
    }
    let read = match name {
        "bundle" => value(Bundle::decode(bytes)),
        "init" => value(Init::decode(bytes)),
        "sender_block" => value(SenderBlock::decode(bytes)),
        "msg" => value(Msg::decode(bytes)),
        "offer" => value(Offer::decode(bytes)),
        "plaintext" => value(Frame::decode(bytes)),
        "manifest" => value(Manifest::decode(bytes)),
        "chunk" => value(decode_chunk(bytes)),
        "introduction" => match Control::decode(bytes) {
            Ok(Control::Introduction(name)) => Ok(Control::Introduction(name).known_value().unwrap()),
            Ok(_) => return reject(Stage::Payload, &"OtherKind"),
            Err(error) => Err(error),
        },
        other => panic!("there is no format {other}"),
    };
    match read {
        Ok(Value::Structure(fields)) => {
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
            Expectation::Accept { fields: Fields::Modern(fields) }
        }
        Ok(other) => panic!("{name} is no structure but {other:?}"),
        Err(error) => reject(Stage::Payload, &error),
    }
}
