//! Frames to which something was done: one byte is another, something stands behind them, they come in two pieces.
//!
//! What becomes of them is rejected or canonical: [`check_request_bytes`] and [`check_response_bytes`] say what that is.

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::ClientId;
use messageu_wire::operations::Response;

use super::request::{
    assert_heard, check_request_bytes, check_request_payload, check_request_split, expected,
};
use super::response::{check_response_bytes, check_response_payload};
use crate::answer::{Answer, hear_answer};
use crate::hearing::Listener;
use crate::pieces::cut_by_itself;
use crate::speech::Speech;

/// Bytes at the beginning of a frame that may have any meaning: two headers of fixed fields.
const DENSE: usize = 48;
/// Bytes behind which a frame holds nothing but a content, or further entries of a list.
const REACH: usize = 480;
/// Bytes of a content of which more would only take time: they are all alike.
const SHORT: usize = 40;

/// A byte of a request that is changed makes it no request, or another one.
pub fn check_request_changes(speech: &Speech) {
    let Speech { dialect, version, client_id, request, mut content } = speech.clone();
    content.truncate(SHORT);
    let speech = &Speech::new(dialect, version, client_id, request, content);
    let front = speech.front().len();
    each_change(&speech.bytes(), front + 1, |bytes| {
        for listener in listeners(speech) {
            check_request_bytes(listener, bytes);
        }
    });
    let header = dialect.request_header_size();
    each_change(&speech.front()[header..], front, |payload| {
        check_request_payload(dialect.profile, speech.request.operation(), payload);
    });
}

/// A byte of a response that is changed makes it no response, or another one.
pub fn check_response_changes(dialect: Dialect, asker: ClientId, response: &Response) {
    let mut response = response.clone();
    if let Response::PullMessages(pull) = &mut response {
        pull.messages.iter_mut().for_each(|message| message.content.truncate(SHORT));
    }
    let (frame, payload) = written(dialect, asker, &response);
    each_change(&frame, REACH, |bytes| check_response_bytes(dialect, response.operation(), bytes));
    each_change(&payload, REACH, |bytes| {
        check_response_payload(dialect.profile, response.operation(), bytes)
    });
}

/// What stands behind a request is not part of it: the request is the same, and behind it comes another one, or none.
pub fn check_request_extension(speech: &Speech, extension: &[u8]) {
    let bytes = [&speech.bytes()[..], extension].concat();
    for listener in listeners(speech) {
        check_request_bytes(listener, &bytes);
    }
    let pinned = Listener::pinned(speech.dialect);
    let heard = pinned.hear([&bytes[..]]).requests;
    assert_heard(speech, &heard[..1], expected(speech, pinned));

    let header = speech.dialect.request_header_size();
    let payload = [&speech.front()[header..], extension].concat();
    check_request_payload(speech.dialect.profile, speech.request.operation(), &payload);
}

/// What stands behind a response makes no difference to it; in its payload, it would.
pub fn check_response_extension(dialect: Dialect, asker: ClientId, response: &Response, extension: &[u8]) {
    let operation = response.operation();
    let (frame, payload) = written(dialect, asker, response);
    let answer = hear_answer(dialect, operation, [&frame[..]]);
    let bytes = [&frame[..], extension].concat();
    for pieces in [vec![&bytes[..]], vec![&frame[..], extension], cut_by_itself(&bytes).collect()] {
        assert_eq!(hear_answer(dialect, operation, pieces), answer, "{dialect}: {response:?}");
    }
    check_response_payload(dialect.profile, operation, &[&payload[..], extension].concat());
}

/// Wherever a request is cut in two, it is the same.
pub fn check_request_cut_in_two(speech: &Speech) {
    let bytes = speech.bytes();
    for at in ends(bytes.len()) {
        let (first, second) = bytes.split_at(at);
        for listener in listeners(speech) {
            check_request_split(listener, &bytes, &[first, second]);
        }
    }
}

/// Wherever a response is cut in two, it is the same.
pub fn check_response_cut_in_two(dialect: Dialect, asker: ClientId, response: &Response) {
    let operation = response.operation();
    let (bytes, _) = written(dialect, asker, response);
    let whole = hear_answer(dialect, operation, [&bytes[..]]);
    assert!(matches!(whole, Answer::Given(_)), "{dialect}: {response:?} is heard as {whole:?}");
    for at in ends(bytes.len()) {
        let (first, second) = bytes.split_at(at);
        assert_eq!(hear_answer(dialect, operation, [first, second]), whole, "{dialect}: cut at {at}");
    }
}

/// Those who hear a request: pinned to its dialect, remembering it, knowing nothing.
fn listeners(speech: &Speech) -> [Listener; 3] {
    let dialect = speech.dialect;
    [Listener::pinned(dialect), Listener::remembering(dialect.profile), Listener::default()]
}

/// The bytes of a response, and of its payload.
fn written(dialect: Dialect, asker: ClientId, response: &Response) -> (Vec<u8>, Vec<u8>) {
    let mut payload = Vec::new();
    response.encode(dialect.profile, asker, &mut payload);
    let frame = dialect.encode_response(response, asker).expect("no more than a u32 counts");
    (frame, payload)
}

/// Every place where bytes can be cut, but for the middle of long ones.
fn ends(size: usize) -> impl Iterator<Item = usize> {
    (1..size).filter(move |at| *at < REACH || size - at < 64)
}

/// Changes each of the first bytes: at the beginning to every other value, further on in every bit and to the extremes.
pub(super) fn each_change(bytes: &[u8], reach: usize, check: impl Fn(&[u8])) {
    let mut bytes = bytes.to_vec();
    for at in 0..reach.min(bytes.len()) {
        let before = bytes[at];
        let values: Vec<u8> = if at < DENSE {
            (0..=u8::MAX).collect()
        } else {
            (0..8).map(|bit| before ^ 1 << bit).chain([0, u8::MAX]).collect()
        };
        for value in values.into_iter().filter(|value| *value != before) {
            bytes[at] = value;
            check(&bytes);
        }
        bytes[at] = before;
    }
}
