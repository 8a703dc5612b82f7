//! What the properties found, each in its smallest form, so that it does not come back.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed property should stop")]

use messageu_proptests::hearing::Listener;
use messageu_wire::dialect::{Dialect, Pin, Profile};
use messageu_wire::fields::{ClientId, NameField, PublicKey};
use messageu_wire::frame::{Event, RequestReader};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{list_clients, register, send_message};
use messageu_wire::operations::{Operation, Request, Response};

fn dialect(name: &str) -> Dialect {
    name.parse().expect("a dialect there is")
}

fn encode(dialect: Dialect, version: u8, id: ClientId, request: impl Into<Request>) -> Vec<u8> {
    dialect.encode_request(version, id, &request.into()).expect("an operation of the family")
}

#[test]
fn a_pin_to_classic_holds_for_a_registration_whose_header_begins_like_its_name() {
    let request = register::Request { name: NameField([b'a'; 255]), public_key: PublicKey([0; 160]) };
    let bytes = encode(dialect("a"), 1, ClientId([b'a'; 16]), request);
    let hearing = Listener::pinned(dialect("a")).hear([&bytes[..]]);
    assert_eq!(hearing.requests[0].received.dialect, dialect("a"));
}

#[test]
fn one_late_zero_between_two_requests_of_family_d_is_passed_over() {
    let list = encode(dialect("d"), 2, ClientId([9; 16]), list_clients::Request);
    let register = register::Request { name: NameField([0; 255]), public_key: PublicKey([0; 160]) };
    let register = encode(dialect("d"), 2, ClientId([9; 16]), register);
    for next in [list.clone(), register] {
        let hearing = Listener::default().hear([&list[..], &[0], &next]);
        assert_eq!(hearing.rejection, None);
        assert_eq!(hearing.requests.len(), 2);
    }
}

#[test]
fn a_long_padded_request_is_in_the_same_dialect_whole_and_in_pieces() {
    let size = 70_000;
    let send = send_message::Request { to: ClientId([7; 16]), kind: MessageType::TEXT, size };
    let mut bytes = encode(dialect("b/padded-1024"), 1, ClientId([9; 16]), send);
    bytes.resize(70 * 1024, 0);
    let heard =
        |pieces: &[&[u8]]| Listener::default().hear(pieces.iter().copied()).requests[0].received.dialect;
    assert_eq!(heard(&[&bytes]), heard(&[&bytes[..60_000], &bytes[60_000..]]));
}

#[test]
fn a_pin_to_read_to_end_decides_at_once() {
    let bytes = encode(dialect("b"), 2, ClientId([9; 16]), list_clients::Request);
    let pin = Pin { family: None, profile: Some(&Profile::READ_TO_END) };
    let mut reader = RequestReader::new(pin, 0);
    reader.push(&bytes);
    assert!(matches!(reader.poll(None, false), Ok(Event::Request(_))));
}

#[test]
fn a_message_id_in_digits_has_one_spelling() {
    let payload = [&[b'i'; 16][..], b"007"].concat();
    let profile = dialect("c/ascii").profile;
    assert!(Response::decode(Operation::SendMessage, &payload, profile).is_err());
}

#[test]
fn where_zeros_stand_before_two_possible_requests_it_makes_no_difference_in_which_pieces_they_come() {
    let list = encode(dialect("b"), 1, ClientId([9; 16]), list_clients::Request);
    // From the zeros on, a pull of family D; six bytes on, a list of family B.
    let mut either = [[0; 6], [0x5c, 2, 0, 0, 0, 0]].concat();
    either.extend([0, 0, 0, 0, 0x00, 0x5c, 2, 0, 0, 0, 0, 0xe9, 3, 0, 0, 0, 0]);
    let stream = [&list[..], &either].concat();
    let whole = Listener::default().hear([&stream[..]]);
    for at in 0..stream.len() {
        let (before, behind) = stream.split_at(at);
        assert_eq!(Listener::default().hear([before, behind]), whole, "cut at {at}");
    }
}
