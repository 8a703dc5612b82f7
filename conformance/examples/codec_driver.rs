//! A driver for `messageu-conformance codec`: the wire of this project, asked through the readers of the vectors.
//!
//! With an argument it has a fault, for the tests of the kit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "an example for tests: the kit says when it stops"
)]

use std::io::BufRead as _;

use messageu_vectors::Hex;
use messageu_vectors::fields::{RequestFields, ResponseFields};
use messageu_wire::dialect::{Dialect, Pin};
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, RequestReader};
use messageu_wire::operation::pull_messages;
use messageu_wire::operations::Operation;
use messageu_wire::response::{Event as Part, ResponseReader};
use serde_json::{Value, json};

fn main() {
    let fault = std::env::args().nth(1).unwrap_or_default();
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let mut answer = answer(&question, &fault).unwrap_or_else(|| json!({"rejected": true}));
        answer["id"] = question["id"].clone();
        println!("{answer}");
    }
}

fn answer(question: &Value, fault: &str) -> Option<Value> {
    let dialect: Dialect = question["dialect"].as_str()?.parse().ok()?;
    let named = |operation: &&Operation| question["operation"] == operation.name();
    let operation = *Operation::ALL.iter().find(named)?;
    let hex = |field: &Value| serde_json::from_value::<Hex>(field.clone()).ok();
    let payload = &question["fields"]["payload"];
    let bytes = hex(&question["bytes"]).unwrap_or_default();
    let asker = hex(&question["asker"]).map_or(ClientId::NOBODY, |id| id.client_id());
    match question["verb"].as_str()? {
        "encode_request" => {
            let fields = json!({
                "client_id": question["fields"]["client_id"],
                "version": question["fields"]["version"],
                "code": 0, "declared_size": 0, "behind": 0,
                "payload": payload,
            });
            let fields: RequestFields = serde_json::from_value(fields).unwrap();
            let (request, content) = fields.to_request(operation);
            let version = fields.version & 0x0f;
            let mut bytes = dialect.encode_request(version, fields.client_id.client_id(), &request)?;
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len() + dialect.request_tail(operation, bytes.len() as u64), 0);
            if fault == "forgets-padding" {
                bytes.truncate(bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count());
            }
            Some(json!({"bytes": Hex(bytes).to_string()}))
        }
        "decode_request" => decode_request(dialect, &bytes, fault),
        "encode_response" if operation == Operation::DeleteClient => Some(json!({"unsupported": true})),
        "encode_response" => {
            let fields = json!({
                "version": dialect.profile.answer_version, "code": 0, "declared_size": 0, "behind": 0,
                "payload": payload,
            });
            let fields: ResponseFields = serde_json::from_value(fields).unwrap();
            Some(json!({"bytes": Hex(fields.encode(dialect, operation, asker)).to_string()}))
        }
        "decode_response" => decode_response(dialect, operation, asker, &bytes),
        _ => Some(json!({"unsupported": true})),
    }
}

fn decode_request(dialect: Dialect, bytes: &[u8], fault: &str) -> Option<Value> {
    // The dialect is given: what bytes alone cannot tell is not asked here.
    let pin = Pin { family: Some(dialect.family), profile: Some(dialect.profile) };
    let mut reader = RequestReader::new(pin, u32::MAX);
    reader.push(bytes);
    let (mut request, mut content, mut whole) = (None, Vec::new(), true);
    loop {
        match reader.poll(Some(dialect.profile), true).ok()? {
            Event::Request(received) if request.is_some() || received.dialect != dialect => return None,
            Event::Request(received) => {
                whole = content_free(&received.request);
                request = Some(received);
            }
            Event::Content(piece) => content.extend_from_slice(&piece),
            Event::EndOfContent => whole = true,
            Event::More | Event::Undecided => break,
        }
    }
    let request = request.filter(|_| whole)?;
    // Zeros of the dialect's own may follow, and nothing else.
    if reader.buffer_mut().iter().any(|byte| *byte != 0) && fault != "takes-more" {
        return None;
    }
    let fields = RequestFields::of(&request, &content, bytes);
    let fields = json!({"client_id": fields.client_id, "version": fields.version, "payload": fields.payload});
    Some(json!({"fields": fields}))
}

fn content_free(request: &messageu_wire::operations::Request) -> bool {
    request.operation() != Operation::SendMessage
}

fn decode_response(dialect: Dialect, operation: Operation, asker: ClientId, bytes: &[u8]) -> Option<Value> {
    let mut reader = ResponseReader::new(dialect, operation);
    reader.push(bytes);
    let mut messages: Vec<pull_messages::Message> = Vec::new();
    let response = loop {
        match reader.poll().ok()? {
            Part::More => return None,
            Part::Refused(_) => return Some(json!({"refused": true})),
            Part::Response(response) => break response,
            Part::Entry(pull_messages::EntryHead { from, message_id, kind, .. }) => {
                messages.push(pull_messages::Message { from, message_id, kind, content: Vec::new() });
            }
            Part::Content(piece) => messages.last_mut()?.content.extend_from_slice(&piece),
            Part::EndOfContent => {}
            Part::End => break pull_messages::Response { messages }.into(),
        }
    };
    if dialect.encode_response(&response, asker)? != bytes {
        return None;
    }
    if operation == Operation::DeleteClient {
        return Some(json!({"fields": {"payload": {}}}));
    }
    let fields = ResponseFields::of(dialect, &response, asker, bytes);
    Some(json!({"fields": {"payload": fields.payload}}))
}
