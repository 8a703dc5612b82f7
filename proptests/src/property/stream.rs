//! Streams of requests, and responses, made of the wire's own values.

use arbitrary::{Result, Unstructured};
use messageu_wire::dialect::{Dialect, RecognisedBy};
use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, RequestReader};

use super::request::{assert_canonical, assert_heard, assert_same, expected};
use super::response::{check_response, check_response_bytes};
use crate::everything;
use crate::hearing::{Heard, Hearing, Listener};
use crate::pieces::cut_front;
use crate::speech::Speech;
use crate::unstructured::{change, choose, client_id, piece_sizes, response, speech};

/// A stream of requests or a response, as a fuzzer's bytes say it.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_stream(bytes: &mut Unstructured<'_>) -> Result<()> {
    if bytes.ratio(1, 4)? { any_response(bytes) } else { any_requests(bytes) }
}

fn any_requests(bytes: &mut Unstructured<'_>) -> Result<()> {
    let dialect = choose(Dialect::all, bytes.arbitrary()?);
    let choice = bytes.arbitrary::<u8>()?;
    let listener = match choice % 4 {
        0 | 1 => Listener::pinned(dialect),
        // What is pinned for a reason cannot be remembered.
        2 if dialect.profile.recognised_by == RecognisedBy::Bytes => Listener::remembering(dialect.profile),
        _ => choose(Listener::all, choice / 4),
    };
    let limit = content_limit(bytes.arbitrary()?);
    let sizes = piece_sizes(bytes)?;
    let speeches =
        (0..bytes.int_in_range(1..=4)?).map(|_| speech(dialect, bytes)).collect::<Result<Vec<Speech>>>()?;
    let mut stream = Vec::new();
    speeches.iter().for_each(|speech| stream.extend_from_slice(&speech.bytes()));
    let is_changed = change(&mut stream, bytes)?;

    let whole = listener.hear([&stream[..]]);
    assert_canonical(listener, &whole, &stream);
    // Behind another request, the zeros that an id begins with may be padding, unless all of it is zeros.
    let begins_with_zero =
        |speech: &Speech| speech.client_id.0[0] == 0 && speech.client_id != ClientId::NOBODY;
    let may_be_padding = speeches.iter().skip(1).any(begins_with_zero);
    let knows = listener == Listener::pinned(dialect) || listener == Listener::remembering(dialect.profile);
    if knows && !is_changed && !may_be_padding {
        assert_all_heard(listener, &speeches, &whole, &stream);
    }
    let pieces = cut_front(&stream, &sizes);
    assert_same(listener, &stream, &whole, &listener.hear(pieces.iter().copied()));
    assert_canonical(listener, &listener.hear_slowly(pieces), &stream);
    assert_limited(listener, limit, &whole, &stream);
    Ok(())
}

fn any_response(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (dialect, operation) = choose(everything, bytes.arbitrary()?);
    let asker = client_id(bytes)?;
    let sizes = piece_sizes(bytes)?;
    let response = response(operation, bytes)?;
    let mut stream = dialect.encode_response(&response, asker).expect("no more than a u32 counts");
    if change(&mut stream, bytes)? {
        check_response_bytes(dialect, operation, &stream);
    } else {
        check_response(dialect, asker, &response, |bytes| cut_front(bytes, &sizes));
    }
    Ok(())
}

/// Limits of contents: none for most, and such as the contents are around.
fn content_limit(byte: u8) -> u32 {
    match byte {
        0..=99 => u32::from(byte),
        100..=149 => 40 * u32::from(byte),
        _ => u32::MAX,
    }
}

/// Who knows the dialect hears all that was said.
fn assert_all_heard(listener: Listener, speeches: &[Speech], whole: &Hearing, stream: &[u8]) {
    assert_eq!(whole.rejection, None, "{listener:?}: {speeches:?}");
    assert_eq!(whole.requests.len(), speeches.len(), "{listener:?}: {speeches:?}");
    assert_eq!(whole.read, stream.len(), "{listener:?}: {speeches:?}");
    for (speech, heard) in speeches.iter().zip(&whole.requests) {
        assert_heard(speech, std::slice::from_ref(heard), expected(speech, listener));
    }
}

/// Under a limit, the same is heard up to the first content above it, which is rejected by name.
fn assert_limited(listener: Listener, limit: u32, whole: &Hearing, stream: &[u8]) {
    let too_large = |heard: &Heard| heard.received.request.content_size() > limit;
    let heard_before = whole.requests.iter().position(too_large);
    let mut reader = RequestReader::new(listener.pin, limit);
    reader.push(stream);
    let mut heard = whole.requests.iter();
    let rejection = loop {
        match reader.poll(listener.hint, true) {
            Ok(Event::Request(received)) => {
                assert_eq!(heard.next().map(|heard| &heard.received), Some(&*received), "{listener:?}");
            }
            Ok(Event::Content(_) | Event::EndOfContent) => {}
            Ok(Event::More | Event::Undecided) => break None,
            Err(rejection) => break Some(rejection),
        }
    };
    let is_named = rejection.as_ref().is_some_and(|rejection| match rejection.error {
        WireError::ContentTooLarge { claimed, limit: named } => named == limit && claimed > limit,
        _ => false,
    });
    let count = whole.requests.len() - heard.len();
    match heard_before {
        Some(before) => {
            assert!(is_named && count == before, "{listener:?}, {limit}: {rejection:?}, {whole:?}")
        }
        // What still waits for its end may be rejected before that.
        None => {
            let same = is_named || rejection == whole.rejection;
            assert!(same && count == whole.requests.len(), "{listener:?}, {limit}: {rejection:?}, {whole:?}");
        }
    }
}
