//! Responses.

use messageu_wire::dialect::{ByteOrder, Dialect, HeaderLayout, Profile};
use messageu_wire::fields::{CLIENT_ID_SIZE, ClientId, PUBLIC_KEY_SIZE};
use messageu_wire::operation::fetch_key::KeyLayout;
use messageu_wire::operation::pull_messages::EntryLayout;
use messageu_wire::operation::send_message::ReceiptLayout;
use messageu_wire::operations::{Operation, REFUSAL_CODE, Response};

use crate::answer::{Answer, hear_answer};
use crate::pieces::cut_by_itself;
use crate::speech::{said, said_by_size};

/// Any bytes, as the answer to a request: what is accepted is written again byte for byte, what is rejected is so with a
/// named error, and it makes no difference in which pieces the bytes come.
pub fn check_response_bytes(dialect: Dialect, operation: Operation, bytes: &[u8]) {
    let whole = hear_answer(dialect, operation, [bytes]);
    let answer = hear_answer(dialect, operation, cut_by_itself(bytes));
    assert!(whole == answer, "{dialect} {operation}: {whole:?} at once, {answer:?} in pieces");
    match answer {
        Answer::Unfinished | Answer::Refused(_) => {}
        Answer::Wrong(error) => assert!(!error.to_string().is_empty()),
        Answer::Given(response) => assert_written_again(dialect, &response, bytes),
    }
}

/// Any bytes, as the payload of a response: what is accepted is written again byte for byte.
pub fn check_response_payload(profile: &Profile, operation: Operation, bytes: &[u8]) {
    match Response::decode(operation, bytes, profile) {
        Ok(response) => assert_payload_again(profile, ClientId::NOBODY, &response, bytes),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What a server answers is read as what it answered, as far as the dialect carries it.
pub fn check_response(
    dialect: Dialect,
    asker: ClientId,
    response: &Response,
    cut: impl Fn(&[u8]) -> Vec<&[u8]>,
) {
    let mut payload = Vec::new();
    response.encode(dialect.profile, asker, &mut payload);
    let decoded = Response::decode(response.operation(), &payload, dialect.profile);
    assert_eq!(decoded.as_ref(), Ok(&said(response, dialect.profile)), "{dialect}: {response:?}");

    let bytes = dialect.encode_response(response, asker).expect("no more than a u32 counts");
    let expected = Answer::Given(said_by_size(response, dialect.profile));
    for pieces in [vec![&bytes[..]], cut(&bytes)] {
        let answer = hear_answer(dialect, response.operation(), pieces);
        assert_eq!(answer, expected, "{dialect}: {response:?}");
    }
    let refusal = dialect.encode_refusal(asker);
    let answer = hear_answer(dialect, response.operation(), cut(&refusal));
    assert_eq!(answer, Answer::Refused(String::new()), "{dialect}");
}

/// A response that is cut short anywhere is not over.
pub fn check_response_cuts(dialect: Dialect, asker: ClientId, response: &Response) {
    let response = said_by_size(response, dialect.profile);
    let bytes = dialect.encode_response(&response, asker).expect("no more than a u32 counts");
    let mut payload = Vec::new();
    response.encode(dialect.profile, asker, &mut payload);
    let start = dialect.response_start(response.operation(), 0, asker).expect("a code");
    let size = start.len() + payload.len();
    let near = |at: &usize| *at < 512 || size - at < 64;
    for at in (0..size).filter(near) {
        let answer = hear_answer(dialect, response.operation(), [&bytes[..at]]);
        assert_eq!(answer, Answer::Unfinished, "{dialect}: {response:?} cut at {at}");
    }
}

/// The response is what the wire writes for it, but for the version byte, for gaps, and for a pull's size, which may be
/// counted in any of the known ways.
fn assert_written_again(dialect: Dialect, response: &Response, bytes: &[u8]) {
    let Dialect { family, profile } = dialect;
    let (header, rest) = bytes.split_at(profile.header.response_size());
    let code = response.operation().codes(family).expect("a code").response;
    assert_ne!(code, REFUSAL_CODE);
    let echo = if profile.echoes_asker(code) { CLIENT_ID_SIZE } else { 0 };
    let (echo, payload) = rest.split_at(echo);
    let asker = echo.try_into().map_or(ClientId::NOBODY, ClientId);
    // The sizes that the header may declare, the one first that there is.
    let sizes = match response {
        Response::PullMessages(pull) => {
            let counted = [profile.entry.size() as u32, profile.entry_counted, 21, 0];
            let contents: u32 = pull.messages.iter().map(|message| message.content.len() as u32).sum();
            counted.map(|count| pull.messages.len() as u32 * count + contents).to_vec()
        }
        _ => {
            let size = *header.last_chunk().expect("a size");
            vec![match profile.byte_order {
                ByteOrder::Little => u32::from_le_bytes(size),
                ByteOrder::Big => u32::from_be_bytes(size),
            }]
        }
    };
    assert_payload_again(profile, asker, response, &payload[..sizes[0] as usize]);

    let mut header = header.to_vec();
    header[0] = profile.answer_version;
    if profile.header == HeaderLayout::Aligned {
        header[1] = 0;
    }
    let with_size = |size: u32| {
        let again = dialect.response_start(response.operation(), size, asker).expect("a code");
        again[..header.len()] == header
    };
    assert!(sizes.into_iter().any(with_size), "{dialect}: {response:?} had the header {header:02x?}");
}

/// The payload is what the wire writes for it, but for gaps. Where a client is more liberal ([`is_liberal`]), it means
/// the same.
fn assert_payload_again(profile: &Profile, asker: ClientId, response: &Response, payload: &[u8]) {
    let asker = match (profile.key, response, payload.first_chunk()) {
        (KeyLayout::AskersId, Response::FetchKey(_), Some(id)) => ClientId(*id),
        _ => asker,
    };
    let mut again = Vec::new();
    response.encode(profile, asker, &mut again);
    if again == without_gaps(profile, response, payload) {
        return;
    }
    assert!(is_liberal(profile, response, payload), "{profile}: {response:?} is written {again:02x?}");
    let read_again = Response::decode(response.operation(), &again, profile);
    assert_eq!(read_again, Ok(said(response, profile)), "{profile}");
}

/// What clients take beyond their own profile: a bare key and short receipts, since servers of other profiles give
/// them; and ids that are not printable, which are then shown otherwise.
fn is_liberal(profile: &Profile, response: &Response, payload: &[u8]) -> bool {
    match response {
        Response::FetchKey(_) if payload.len() == PUBLIC_KEY_SIZE => profile.key != KeyLayout::Bare,
        Response::SendMessage(_) if profile.receipt == ReceiptLayout::Empty => true,
        _ => said(response, profile) != *response,
    }
}

/// A payload with zeros where a C compiler leaves gaps.
fn without_gaps(profile: &Profile, response: &Response, payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    if let (EntryLayout::Aligned, Response::PullMessages(pull)) = (profile.entry, response) {
        let mut at = 0;
        for message in &pull.messages {
            payload[at + 21..at + 24].fill(0);
            at += profile.entry.size() + message.content.len();
        }
    }
    payload
}
