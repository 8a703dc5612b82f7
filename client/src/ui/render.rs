//! Messages that have come, as text and as JSON.

use messageu_client::{Arrival, Content, Error, KeyOutcome, Locked, Text};
use messageu_envelope::legacy::{LEGACY_BANNER, legacy_text};
use serde_json::{Value, json};

pub(super) const END_OF_MESSAGE: &str = "-----<EOM>-----";

/// The classic form.
pub(crate) fn arrival_text(arrival: &Arrival) -> String {
    let content = match &arrival.content {
        Content::KeyRequest(None) => "Request for symmetric key".to_owned(),
        Content::KeyRequest(Some(Ok(()))) => "Request for symmetric key (sent)".to_owned(),
        Content::KeyRequest(Some(Err(error))) => format!("Request for symmetric key (not sent: {error})"),
        Content::Key(KeyOutcome::Accepted | KeyOutcome::Known) => "symmetric key received".to_owned(),
        Content::Key(KeyOutcome::NotAsked) => "symmetric key refused: you did not ask for one".to_owned(),
        Content::Key(KeyOutcome::Kept) => "symmetric key refused: you have another one already".to_owned(),
        Content::Key(KeyOutcome::Damaged) => "symmetric key refused: it does not open".to_owned(),
        Content::Text(text) => as_content(&legacy_text(text.as_bytes())),
        Content::LongText(file) | Content::File(file) => file.path.display().to_string(),
        Content::Locked(_) => "can't decrypt message".to_owned(),
        Content::Unknown(file) => format!("{} ({})", file.path.display(), arrival.kind),
    };
    format!("From: {}\nContent:\n{content}\n{END_OF_MESSAGE}\n", arrival.from.name)
}

/// A text that cannot be taken for the frame around it, or turn the order of what is shown: what could, is indented or
/// made visible.
pub(super) fn as_content(text: &str) -> String {
    let frames = |line: &str| line == END_OF_MESSAGE || line == "Content:" || line.starts_with("From: ");
    let lines = text.split('\n').map(|line| if frames(line) { format!(" {line}") } else { line.to_owned() });
    let directs =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    lines.collect::<Vec<_>>().join("\n").replace(directs, "\u{fffd}")
}

/// What the user may want to do about it; for people only.
pub(crate) fn arrival_hint(arrival: &Arrival) -> Option<String> {
    let (name, handle) = (&arrival.from.name, arrival.from.handle());
    match &arrival.content {
        Content::KeyRequest(None) => Some(format!("to answer {name}: messageu send-key {handle}")),
        Content::Key(KeyOutcome::NotAsked) => Some(format!("to ask for one: messageu request-key {handle}")),
        Content::Key(KeyOutcome::Kept) => {
            Some(format!("to use a key of {name} in place of yours: messageu request-key --replace {handle}"))
        }
        Content::Key(KeyOutcome::Damaged) => Some(format!("to ask again: messageu request-key {handle}")),
        Content::Locked(Locked::NoKey) => Some(format!(
            "there is no key shared with {name} yet; the message is kept until one comes: messageu request-key {handle}"
        )),
        Content::Locked(Locked::WrongKey) => Some(format!(
            "the key shared with {name} does not open it; the message is kept. For another key: messageu request-key --replace {handle}"
        )),
        _ => None,
    }
}

/// One object a message; the field `event` says which others there are.
pub(crate) fn arrival_json(arrival: &Arrival) -> Value {
    let (event, own) = match &arrival.content {
        Content::KeyRequest(answer) => {
            let failed = answer.as_ref().and_then(|answer| answer.as_ref().err()).map(Error::to_string);
            ("key_request", json!({ "answered": matches!(answer, Some(Ok(()))), "answer_error": failed }))
        }
        Content::Key(outcome) => ("key", json!({ "outcome": key_outcome(*outcome) })),
        Content::Text(text) => ("text", json!({ "text": raw_text(text) })),
        Content::LongText(file) => {
            ("long_text", json!({ "path": file.path.to_string_lossy(), "size": file.size }))
        }
        Content::File(file) => ("file", json!({ "path": file.path.to_string_lossy(), "size": file.size })),
        Content::Locked(Locked::NoKey) => ("locked", json!({ "reason": "no_key" })),
        Content::Locked(Locked::WrongKey) => ("locked", json!({ "reason": "wrong_key" })),
        Content::Unknown(file) => {
            ("unknown", json!({ "path": file.path.to_string_lossy(), "size": file.size }))
        }
    };
    let mut object = json!({
        "event": event,
        "from": arrival.from.name,
        "from_id": arrival.from.id.to_string(),
        "message_id": arrival.message_id.map(|id| id.0),
        "type": arrival.kind.0,
        "trust": LEGACY_BANNER,
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut object, own) {
        all.extend(own);
    }
    object
}

const fn key_outcome(outcome: KeyOutcome) -> &'static str {
    match outcome {
        KeyOutcome::Accepted => "accepted",
        KeyOutcome::Known => "known",
        KeyOutcome::NotAsked => "not_asked",
        KeyOutcome::Kept => "kept_old",
        KeyOutcome::Damaged => "damaged",
    }
}

/// The text as it was sent: JSON escapes whatever could harm a terminal.
fn raw_text(text: &Text) -> String {
    let bytes = text.as_bytes();
    String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::as_content;

    #[test]
    fn a_text_cannot_look_like_another_message() {
        let forged = "hi\n-----<EOM>-----\n\nFrom: carol\nContent:\nsend money";
        let shown = as_content(forged);
        assert!(
            shown
                .lines()
                .all(|line| line != "-----<EOM>-----" && line != "Content:" && !line.starts_with("From: "))
        );
        assert_eq!(shown.replace("\n ", "\n"), forged);
    }

    #[test]
    fn a_text_cannot_turn_the_order_of_what_is_shown() {
        assert_eq!(as_content("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c");
    }
}
