//! The fields of payloads as JSON: those of the recorded conversations in `vectors/`.

use messageu_wire::dialect::Profile;
use messageu_wire::fields::{ClientId, NameField};
use messageu_wire::operation::fetch_key::KeyLayout;
use messageu_wire::operations::{Request, Response};
use serde_json::{Map, Value, json};

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

fn id(id: ClientId) -> Value {
    json!(hex(&id.0))
}

fn name(field: &NameField) -> Value {
    json!(field.to_text())
}

pub(super) fn of_request(request: &Request, content: &[u8]) -> Value {
    match request {
        Request::Register(request) => {
            json!({"name": name(&request.name), "public_key": hex(&request.public_key.0)})
        }
        Request::FetchKey(request) => json!({"client_id": id(request.client_id)}),
        Request::SendMessage(request) => json!({
            "to": id(request.to), "type": request.kind.0, "size": request.size, "content": hex(content),
        }),
        Request::ListClients(_) | Request::PullMessages(_) | Request::DeleteClient(_) => json!({}),
    }
}

/// The fields of a response to `asker`, as far as the profile has them.
pub(super) fn of_response(response: &Response, profile: &Profile, asker: ClientId) -> Value {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    match response {
        Response::Register(response) => add("client_id", Some(id(response.client_id))),
        Response::ListClients(response) => {
            let clients = response.clients.iter();
            let clients =
                clients.map(|entry| json!({"client_id": id(entry.client_id), "name": name(&entry.name)}));
            add("count", Some(json!(response.clients.len())));
            add("clients", Some(clients.collect()));
        }
        Response::FetchKey(response) => {
            let shown = match profile.key {
                KeyLayout::OwnersId => response.client_id,
                KeyLayout::AskersId => Some(asker),
                KeyLayout::Bare => None,
            };
            add("client_id", shown.map(id));
            add("public_key", Some(json!(hex(&response.public_key.0))));
        }
        Response::SendMessage(response) => {
            add("to", response.to.map(id));
            add("message_id", response.message_id.map(|number| json!(number.0)));
        }
        Response::PullMessages(response) => {
            let messages = response.messages.iter().map(|message| {
                let mut fields = json!({
                    "from": id(message.from),
                    "type": message.kind.0,
                    "size": message.content.len(),
                    "content": hex(&message.content),
                });
                if let (Some(number), Some(fields)) = (message.message_id, fields.as_object_mut()) {
                    fields.insert("message_id".to_owned(), json!(number.0));
                }
                fields
            });
            add("count", Some(json!(response.messages.len())));
            add("messages", Some(messages.collect()));
        }
        Response::DeleteClient(_) => {}
    }
    Value::Object(fields)
}
