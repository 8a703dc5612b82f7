//! Responses as a client hears them: bytes in pieces go in, the answer comes out.

use messageu_wire::dialect::Dialect;
use messageu_wire::error::WireError;
use messageu_wire::operation::pull_messages::{Message, Response as Pull};
use messageu_wire::operations::{Operation, Response};
use messageu_wire::response::{Event, ResponseReader};

/// What the bytes turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Not over yet.
    Unfinished,
    /// A refusal, with its text.
    Refused(String),
    /// What was asked for.
    Given(Response),
    /// Nothing that answers this request.
    Wrong(WireError),
}

/// Hears the answer to a request of this operation.
///
/// # Panics
/// When the reader stands still, or contradicts itself.
#[must_use]
pub fn hear_answer<'a>(
    dialect: Dialect,
    operation: Operation,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Answer {
    let mut reader = ResponseReader::new(dialect, operation);
    let mut messages: Vec<Message> = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            let answer = match reader.poll() {
                Ok(Event::More) => break,
                Ok(Event::Refused(text)) => Answer::Refused(text),
                Ok(Event::Response(response)) => Answer::Given(response),
                Ok(Event::End) => Answer::Given(Pull { messages }.into()),
                Err(error) => return Answer::Wrong(error),
                Ok(Event::Entry(head)) => {
                    messages.push(Message {
                        from: head.from,
                        message_id: head.message_id,
                        kind: head.kind,
                        content: Vec::new(),
                    });
                    continue;
                }
                Ok(Event::Content(piece)) => {
                    assert!(!piece.is_empty(), "an empty piece of content");
                    messages
                        .last_mut()
                        .expect("an entry before its content")
                        .content
                        .extend_from_slice(&piece);
                    continue;
                }
                Ok(Event::EndOfContent) => continue,
            };
            assert!(reader.is_over(), "an answer that is not over");
            assert_eq!(reader.poll(), Ok(Event::More), "something after the end");
            return answer;
        }
    }
    assert!(!reader.is_over(), "over without an answer");
    Answer::Unfinished
}
