//! What a client makes of answers at the edges of what is right.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use messageu_wire::dialect::{Dialect, Family, Profile};
use messageu_wire::error::WireError;
use messageu_wire::fields::{ClientId, MessageId, NameField};
use messageu_wire::message::MessageType;
use messageu_wire::operation::list_clients::{self, Entry};
use messageu_wire::operation::pull_messages::{self, EntryHead, Message};
use messageu_wire::operations::{Operation, REFUSAL_CODE, Response};
use messageu_wire::response::{Event, PAYLOAD_LIMIT, REFUSAL_TEXT_LIMIT, ResponseReader};

const FAMILY_A: Dialect = Dialect { family: Family::A, profile: &Profile::SIZE_BEFORE_TYPE };

/// The answer to a pull that declares `declared` bytes, with contents of these sizes.
fn pull(dialect: Dialect, declared: u32, contents: &[u32]) -> ResponseReader {
    let mut bytes = dialect.response_start(Operation::PullMessages, declared, ClientId::NOBODY).unwrap();
    for size in contents {
        let (from, kind) = (ClientId([1; 16]), MessageType::TEXT);
        EntryHead { from, message_id: None, kind, size: *size }.encode(dialect.profile, &mut bytes);
        // Of the largest, no more than its beginning has come.
        bytes.resize(bytes.len() + usize::try_from(*size).unwrap().min(100), 7);
    }
    let mut reader = ResponseReader::new(dialect, Operation::PullMessages);
    reader.push(&bytes);
    reader
}

/// How many messages a pull has until its end; `None` if the end has not come.
fn messages(mut reader: ResponseReader) -> Result<Option<usize>, WireError> {
    let mut count = 0;
    loop {
        match reader.poll()? {
            Event::More => return Ok(None),
            Event::EndOfContent => count += 1,
            Event::End => {
                assert!(reader.is_over());
                return Ok(Some(count));
            }
            Event::Entry(_) | Event::Content(_) => assert!(!reader.is_over()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_pull_may_count_its_heads_in_three_ways() {
    let dialect = Dialect::classic(Family::D);
    for counted in [25, 21, 0] {
        for contents in [&[10][..], &[10, 20], &[10, 0, 20], &[3, 4, 5, 6]] {
            let entries = u32::try_from(contents.len()).unwrap();
            let declared = counted * entries + contents.iter().sum::<u32>();
            let found = messages(pull(dialect, declared, contents));
            assert_eq!(found, Ok(Some(contents.len())), "{counted} an entry, {contents:?}");
        }
    }
}

#[test]
fn a_pull_that_counts_in_no_known_way_is_not_over() {
    for declared in [34, 36, 61, 70] {
        assert_eq!(messages(pull(Dialect::classic(Family::D), declared, &[10, 20])), Ok(None), "{declared}");
    }
}

#[test]
fn a_pull_ends_no_sooner_than_its_profile_says() {
    // By another way of counting, the first entry alone would make 31 bytes.
    assert_eq!(messages(pull(FAMILY_A, 31, &[10, 21])), Ok(Some(2)));
}

#[test]
fn a_pull_is_given_up_when_its_contents_exceed_what_it_declares() {
    let max = u32::MAX;
    for (declared, contents, found) in [(9, &[10][..], 10), (29, &[10, 20], 30), (16, &[max], max.into())] {
        let answer = messages(pull(Dialect::classic(Family::D), declared, contents));
        assert_eq!(answer, Err(WireError::PullSize { declared, found }));
    }
}

/// The beginning of an answer of this code that declares `declared` bytes, in family D.
fn beginning(code: u16, declared: u32) -> Vec<u8> {
    let mut bytes = vec![2];
    bytes.extend(code.to_le_bytes());
    bytes.extend(declared.to_le_bytes());
    bytes
}

fn reader(operation: Operation, bytes: &[u8]) -> ResponseReader {
    let mut reader = ResponseReader::new(Dialect::classic(Family::D), operation);
    reader.push(bytes);
    reader
}

#[test]
fn only_pulls_and_refusals_may_declare_more_than_the_limit() {
    let poll = |operation: Operation, code, declared| reader(operation, &beginning(code, declared)).poll();
    let claimed = PAYLOAD_LIMIT + 1;
    let refused = Err(WireError::PayloadTooLarge { claimed, limit: PAYLOAD_LIMIT });
    assert_eq!(poll(Operation::ListClients, 2101, claimed), refused);
    assert_eq!(poll(Operation::ListClients, 2101, PAYLOAD_LIMIT), Ok(Event::More));
    assert_eq!(poll(Operation::PullMessages, 2104, claimed), Ok(Event::More));
    assert_eq!(poll(Operation::ListClients, REFUSAL_CODE, claimed), Ok(Event::More));
}

#[test]
fn of_a_refusals_text_the_beginning_is_kept_without_control_characters() {
    let text = |text: &[u8]| {
        let declared = u32::try_from(text.len()).unwrap();
        reader(Operation::Register, &[beginning(REFUSAL_CODE, declared).as_slice(), text].concat()).poll()
    };
    assert_eq!(text(b""), Ok(Event::Refused(String::new())));
    assert_eq!(text(b"no \x1b[2Jsuch\0 name\n"), Ok(Event::Refused("no [2Jsuch name".into())));
    let limit = usize::try_from(REFUSAL_TEXT_LIMIT).unwrap();
    assert_eq!(text(&vec![b'x'; limit + 100]), Ok(Event::Refused("x".repeat(limit))));
}

#[test]
fn a_list_longer_than_a_refusal_may_be_is_whole() {
    let clients = vec![Entry { client_id: ClientId([1; 16]), name: NameField([b'n'; 255]) }; 8];
    let response = Response::from(list_clients::Response { clients });
    let bytes = Dialect::classic(Family::D).encode_response(&response, ClientId::NOBODY).unwrap();
    assert!(bytes.len() > usize::try_from(REFUSAL_TEXT_LIMIT).unwrap());
    assert_eq!(reader(Operation::ListClients, &bytes).poll(), Ok(Event::Response(response)));
}

#[test]
fn an_answer_to_something_else_is_none() {
    let answer = reader(Operation::Register, &beginning(2101, 0)).poll();
    assert!(matches!(answer, Err(WireError::UnexpectedCode { .. })), "{answer:?}");
}

#[test]
fn the_payload_of_a_pull_reads_back_and_no_part_of_it_does() {
    let message = |content: &[u8]| Message {
        from: ClientId([1; 16]),
        message_id: Some(MessageId(7)),
        kind: MessageType::TEXT,
        content: content.to_vec(),
    };
    let response = Response::from(pull_messages::Response { messages: vec![message(b"one"), message(b"")] });
    let mut payload = Vec::new();
    response.encode(&Profile::CLASSIC, ClientId::NOBODY, &mut payload);
    let decode = |bytes: &[u8]| Response::decode(Operation::PullMessages, bytes, &Profile::CLASSIC);
    assert_eq!(decode(&payload), Ok(response));
    for cut in (1..payload.len()).filter(|cut| *cut != 28) {
        assert!(matches!(decode(&payload[..cut]), Err(WireError::Truncated { .. })), "{cut}");
    }
}
