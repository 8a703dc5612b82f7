//! What version 3 has to tell, as text and as JSON.

use messageu_client::modern::{Arrival, Contact, Delivery, Event, Message, Status, WaitingFile};
use messageu_client::{Error, ErrorKind, Result};
use messageu_envelope::legacy::legacy_text;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::{Value, json};

use crate::ui::render::{END_OF_MESSAGE, as_content};

/// Digits of a safety number in a line, with the spaces between them.
const NUMBER_COLUMNS: usize = 24;

/// In the form that the classic programs have.
pub(super) fn arrival_text(arrival: &Arrival) -> String {
    let from = arrival.from.as_ref().map_or_else(|| "(unknown)".to_owned(), shown);
    format!("From: {from}\nContent:\n{}\n{END_OF_MESSAGE}\n", event_text(&arrival.event))
}

/// What the user may want to do about it; for people only.
pub(super) fn arrival_hint(arrival: &Arrival) -> Option<String> {
    let handle = arrival.from.as_ref().map(Contact::handle).unwrap_or_default();
    match &arrival.event {
        Event::NewContact => Some(format!("to be sure who that is: messageu verify {handle}; to hear nothing of them: messageu block {handle}")),
        Event::Offer(id) => Some(format!("to begin a session with them: messageu approve {id}")),
        Event::Rotated { .. } => Some(format!("verify them again: messageu verify {handle}")),
        Event::Changed { .. } => Some(format!(
            "nothing is sent to them before you decide. Ask them another way whether they have registered anew; if so: messageu approve {handle}"
        )),
        Event::OtherKeys => Some(
            "somebody may be in the way of what others write to you. Who has verified you is not deceived, and their messages \
             do not come. Ask whoever runs the server"
                .to_owned(),
        ),
        Event::Unreadable => {
            Some("if you know who it was from, ask them to send it again; for a new session with them: messageu request-key NAME".to_owned())
        }
        _ => None,
    }
}

pub(super) fn arrival_json(arrival: &Arrival) -> Value {
    let (event, own) = event_json(&arrival.event);
    let mut object = match &arrival.from {
        Some(from) => contact_json(event, from),
        None => json!({ "event": event }),
    };
    extend(
        &mut object,
        json!({
            "from": arrival.from.as_ref().map(ToString::to_string),
            "from_id": arrival.from.as_ref().map(|from| from.id.to_string()),
            "message_id": arrival.message_id.map(|id| id.to_string()),
            "sent_ms": arrival.sent.map(|sent| sent.0),
        }),
    );
    extend(&mut object, own);
    object
}

pub(super) fn message_text(contact: &Contact, message: &Message) -> String {
    let who = if message.is_ours { "you".to_owned() } else { contact.to_string() };
    let state = match message.delivery {
        Delivery::Queued => " (not sent yet)",
        Delivery::Failed => " (not taken)",
        Delivery::Arrived => " (arrived)",
        Delivery::Done => "",
    };
    format!("{who}{state}: {}", event_text(&message.event))
}

pub(super) fn message_json(contact: &Contact, message: &Message) -> Value {
    let (kind, own) = event_json(&message.event);
    let delivery = match message.delivery {
        Delivery::Queued => "queued",
        Delivery::Failed => "failed",
        Delivery::Done => "done",
        Delivery::Arrived => "arrived",
    };
    let mut object = contact_json("message", contact);
    extend(
        &mut object,
        json!({
            "kind": kind, "ours": message.is_ours, "delivery": delivery, "sent_ms": message.sent.0,
            "message_id": message.message_id.to_string(),
        }),
    );
    extend(&mut object, own);
    object
}

/// A file that stays with the server.
pub(super) fn waiting_text(file: &WaitingFile) -> String {
    let from = file.from.as_ref().map_or_else(|| file.from_id.to_string(), ToString::to_string);
    let why = if file.has_room { "" } else { ": no room for it here" };
    let WaitingFile { name, size, fetched, .. } = file;
    format!("{from}  {name}, {size} bytes, {fetched} of them here, the rest with the server{why}")
}

pub(super) fn waiting_json(file: &WaitingFile) -> Value {
    let mut object = match &file.from {
        Some(from) => contact_json("waiting", from),
        None => json!({ "event": "waiting" }),
    };
    extend(
        &mut object,
        json!({
            "from": file.from.as_ref().map(ToString::to_string), "from_id": file.from_id.to_string(),
            "message_id": file.message_id.to_string(), "sent_ms": file.sent.0, "file_name": file.name,
            "size": file.size, "fetched": file.fetched, "why": if file.has_room { "new" } else { "no_room" },
        }),
    );
    object
}

/// What a contact is, as the fields `name`, `id`, `trust` and `fingerprint`.
pub(super) fn contact_json(event: &str, contact: &Contact) -> Value {
    json!({
        "event": event, "name": contact.name, "id": contact.id.to_string(), "trust": contact.status.word(),
        "fingerprint": contact.fingerprint.to_string(),
    })
}

/// Adds fields to an object.
pub(super) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// A code as a terminal shows it.
pub(super) fn qr(text: &str) -> Result<String> {
    let code = QrCode::new(text).map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
    // Light on dark, as most terminals are; scanners read both.
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// A safety number in lines.
pub(super) fn in_lines(number: &str) -> String {
    let mut lines = vec![String::new()];
    for group in number.split(' ') {
        if lines.last().is_some_and(|line| line.len() >= NUMBER_COLUMNS - 1) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(group);
        }
    }
    lines.join("\n")
}

fn shown(contact: &Contact) -> String {
    match contact.status {
        Status::Verified => contact.to_string(),
        status => format!("{contact} ({})", status.word()),
    }
}

fn event_text(event: &Event) -> String {
    match event {
        Event::Text(text) => as_content(&legacy_text(text.as_bytes())),
        Event::File { path, .. } => path.display().to_string(),
        Event::FileLost { name } => format!("the file {name} cannot be had any more"),
        Event::Missing(1) => "a message before the next has not come yet".to_owned(),
        Event::Missing(count) => format!("{count} messages before the next have not come yet"),
        Event::Unreadable => "something came that does not open".to_owned(),
        Event::Offer(id) => format!("{id} asks for a session"),
        Event::Answered => "the new session has begun".to_owned(),
        Event::OtherKeys => "the server gives others keys for you that are not yours".to_owned(),
        Event::NewContact => "a new contact, whose identity is remembered from now on".to_owned(),
        Event::Rotated { .. } => "a new identity, signed by the one before".to_owned(),
        Event::Changed { to } => format!(
            "the name belongs to another identity now ({to}), and the one you know has not signed that"
        ),
        Event::Unknown(body_type) => {
            format!("a message of a type that this program does not know: {}", body_type.0)
        }
    }
}

fn event_json(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Text(text) => ("text", json!({ "text": String::from_utf8_lossy(text.as_bytes()) })),
        Event::File { path, size } => ("file", json!({ "path": path.to_string_lossy(), "size": size })),
        Event::FileLost { name } => ("file_lost", json!({ "file_name": name })),
        Event::Missing(count) => ("missing", json!({ "messages": count })),
        Event::Unreadable => ("unreadable", json!({})),
        Event::Offer(id) => ("offer", json!({ "from_id": id.to_string() })),
        Event::Answered => ("answered", json!({})),
        Event::OtherKeys => ("other_keys", json!({})),
        Event::NewContact => ("new_contact", json!({})),
        Event::Rotated { from } => ("rotated", json!({ "before": from.to_string() })),
        Event::Changed { to } => ("changed", json!({ "to": to.to_string() })),
        Event::Unknown(body_type) => ("unknown", json!({ "type": body_type.0 })),
    }
}
