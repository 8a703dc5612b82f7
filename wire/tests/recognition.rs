//! The edges of recognition: what one byte more or less makes of a request, for a listener that remembers nobody.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use messageu_wire::dialect::{ALIGNED_SEND_SIZE, Deviation, Dialect, Family, Pin, Profile};
use messageu_wire::error::WireError;
use messageu_wire::fields::{ClientId, Name, NameField, PublicKey};
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{fetch_key, list_clients, register, send_message};
use messageu_wire::operations::Request;

const SOMEBODY: ClientId = ClientId([0xaa; 16]);
const TARGET: ClientId = ClientId([0xbb; 16]);
const ALIGNED: Dialect = Dialect { family: Family::A, profile: &Profile::ALIGNED };
const SIZE_BEFORE_TYPE: Dialect = Dialect { family: Family::A, profile: &Profile::SIZE_BEFORE_TYPE };

fn classic(family: Family) -> Dialect {
    Dialect::classic(family)
}

fn encode(dialect: Dialect, version: u8, request: impl Into<Request>) -> Vec<u8> {
    dialect.encode_request(version, SOMEBODY, &request.into()).unwrap()
}

/// A send up to its content.
fn send_head(dialect: Dialect, kind: u8, size: u32) -> Vec<u8> {
    encode(dialect, 1, send_message::Request { to: TARGET, kind: MessageType(kind), size })
}

/// Puts another size into a header, which ends with it.
fn declare(dialect: Dialect, size: u32, mut bytes: Vec<u8>) -> Vec<u8> {
    let end = dialect.request_header_size();
    bytes[end - 4..end].copy_from_slice(&size.to_le_bytes());
    bytes
}

/// What the bytes make at once, and if nothing follows.
fn hear(pin: Pin, bytes: &[u8]) -> [Result<Event, WireError>; 2] {
    [false, true].map(|quiet| {
        let mut reader = RequestReader::new(pin, u32::MAX);
        reader.push(bytes);
        reader.poll(None, quiet).map_err(|rejection| rejection.error)
    })
}

fn heard_when_quiet(bytes: &[u8]) -> Received {
    match hear(Pin::default(), bytes) {
        [_, Ok(Event::Request(received))] => *received,
        [_, other] => panic!("{other:?}"),
    }
}

fn is_refused(bytes: &[u8]) -> bool {
    hear(Pin::default(), bytes).iter().all(Result::is_err)
}

#[test]
fn a_listener_pinned_to_a_family_hears_no_other() {
    for pinned in Family::ALL {
        let pin = Pin { family: Some(pinned), profile: None };
        for family in Family::ALL {
            let [_, heard] = hear(pin, &encode(classic(family), 1, list_clients::Request));
            assert_eq!(heard.is_ok(), family == pinned, "{family} at a listener for {pinned}: {heard:?}");
        }
    }
}

#[test]
fn digits_as_version_tell_dialects_apart_in_family_a_alone() {
    let mut bytes = encode(classic(Family::D), 2, list_clients::Request);
    bytes[16] = b'2';
    assert_eq!(heard_when_quiet(&bytes).dialect, classic(Family::D));
    // In family A they mean that integers are big-endian, which this size is not.
    let key = fetch_key::Request { client_id: TARGET };
    let mut bytes = encode(classic(Family::A), 2, key);
    bytes[16] = b'2';
    assert!(is_refused(&bytes));
}

#[test]
fn a_wrong_size_is_refused_before_the_payload_has_come() {
    let key = encode(classic(Family::D), 2, fetch_key::Request { client_id: TARGET });
    let header = classic(Family::D).request_header_size();
    for declared in [5, 15, 17] {
        assert!(is_refused(&declare(classic(Family::D), declared, key.clone())[..header]), "{declared}");
    }
    let register = register::Request { name: NameField([b'n'; 255]), public_key: PublicKey([0x30; 160]) };
    let register = encode(classic(Family::D), 2, register);
    assert!(is_refused(&declare(classic(Family::D), 0, register)[..header]));
}

#[test]
fn what_deviates_needs_no_bytes_that_only_a_longer_layout_would_have() {
    let bytes = [declare(classic(Family::A), 26, send_head(classic(Family::A), 3, 2)), vec![7; 2]].concat();
    assert!(bytes.len() < ALIGNED.request_header_size() + 24);
    let received = heard_when_quiet(&bytes);
    assert_eq!(
        (received.dialect, received.deviation),
        (classic(Family::A), Some(Deviation::SendDeclaresThreeMore))
    );
}

#[test]
fn only_an_empty_key_request_may_declare_anything() {
    let dialect = classic(Family::D);
    let garbage = |kind, size| declare(dialect, 0x0dd_ba11, send_head(dialect, kind, size));
    assert_eq!(heard_when_quiet(&garbage(1, 0)).deviation, Some(Deviation::EmptySendDeclaresGarbage));
    assert!(is_refused(&garbage(1, 5)));
    assert!(is_refused(&garbage(3, 0)));
}

#[test]
fn a_type_that_is_a_key_request_to_another_profile_is_none_to_somebody_unknown() {
    let dialect = classic(Family::C);
    assert!(is_refused(&declare(dialect, 0x0dd_ba11, send_head(dialect, 0, 0))));
}

#[test]
fn padding_says_nothing_where_the_padded_profile_would_make_a_passed_over_wrong_another_one() {
    let plain = classic(Family::C);
    let garbage = declare(plain, 0x0dd_ba11, send_head(plain, 1, 0));
    for zeros in [1024 - garbage.len(), 1027 - garbage.len()] {
        let received = heard_when_quiet(&[garbage.clone(), vec![0; zeros]].concat());
        assert_eq!(
            (received.dialect, received.deviation),
            (plain, Some(Deviation::EmptySendDeclaresGarbage)),
            "{zeros} zeros"
        );
    }
}

#[test]
fn a_layout_of_its_own_is_recognised_without_a_memory() {
    for (dialect, bytes) in [
        (SIZE_BEFORE_TYPE, send_head(SIZE_BEFORE_TYPE, 3, 0x0102)),
        (ALIGNED, send_head(ALIGNED, 3, 0x0102)),
        (ALIGNED, encode(ALIGNED, 2, fetch_key::Request { client_id: TARGET })),
    ] {
        let whole = [bytes, vec![7; 0x0102]].concat();
        assert_eq!(heard_when_quiet(&whole).dialect, dialect);
    }
}

#[test]
fn a_send_in_aligned_fits_its_fixed_size_and_has_a_known_type() {
    let most = ALIGNED_SEND_SIZE - 48;
    assert_eq!(heard_when_quiet(&send_head(ALIGNED, 3, most)).dialect, ALIGNED);
    assert!(is_refused(&send_head(ALIGNED, 3, most + 1)));
    assert!(is_refused(&send_head(ALIGNED, 9, 5)), "though its size is right");
}

#[test]
fn a_registration_is_that_of_size_before_type_if_its_id_begins_the_name() {
    let name = NameField::from(&Name::new("a name of more than sixteen").unwrap());
    let request = Request::from(register::Request { name, public_key: PublicKey([0x30; 160]) });
    let from = |id| classic(Family::A).encode_request(1, id, &request).unwrap();
    assert_eq!(heard_when_quiet(&from(ClientId(*b"a name of more t"))).dialect, SIZE_BEFORE_TYPE);
    for other in [ClientId(*b"a name of more x"), SOMEBODY, ClientId::NOBODY] {
        assert_eq!(heard_when_quiet(&from(other)).dialect, classic(Family::A));
    }
    let nameless = register::Request { name: NameField([0; 255]), public_key: PublicKey([0x30; 160]) };
    let nameless = classic(Family::A).encode_request(1, ClientId::NOBODY, &nameless.into()).unwrap();
    assert_eq!(heard_when_quiet(&nameless).dialect, classic(Family::A));
}

#[test]
fn where_no_dialect_of_the_family_pads_nothing_is_waited_for() {
    for family in [Family::A, Family::E] {
        let [at_once, _] =
            hear(Pin::default(), &encode(classic(family), 1, fetch_key::Request { client_id: TARGET }));
        assert!(matches!(at_once, Ok(Event::Request(_))), "{family}: {at_once:?}");
    }
    let [at_once, _] = hear(Pin::default(), &encode(classic(Family::D), 1, list_clients::Request));
    assert_eq!(at_once, Ok(Event::Undecided));
}

#[test]
fn another_request_right_behind_says_that_there_is_no_padding() {
    let list = encode(classic(Family::D), 1, list_clients::Request);
    let [at_once, _] = hear(Pin::default(), &[list.as_slice(), &SOMEBODY.0].concat());
    assert!(matches!(at_once, Ok(Event::Request(_))), "{at_once:?}");
}

#[test]
fn a_stray_zero_behind_a_whole_block_is_no_padding() {
    let head = send_head(classic(Family::C), 3, 0);
    let size = 1024 - u32::try_from(head.len()).unwrap();
    let mut bytes = send_head(classic(Family::C), 3, size);
    bytes.resize(1025, 0);
    bytes[1023] = 7;
    let [at_once, _] = hear(Pin::default(), &bytes);
    let Ok(Event::Request(received)) = at_once else { panic!("{at_once:?}") };
    assert_eq!(received.dialect.to_string(), "c/ascii");
}

#[test]
fn nobody_may_deviate_behind_another_request() {
    let dialect = classic(Family::D);
    let key = Request::from(fetch_key::Request { client_id: TARGET });
    let key = declare(dialect, 0, dialect.encode_request(2, ClientId::NOBODY, &key).unwrap());
    let mut reader = RequestReader::new(Pin::default(), u32::MAX);
    reader.push(&[encode(dialect, 2, list_clients::Request), key].concat());
    assert!(matches!(reader.poll(None, true), Ok(Event::Request(_))));
    let Ok(Event::Request(second)) = reader.poll(None, true) else { panic!("refused") };
    assert_eq!(second.client_id, ClientId::NOBODY);
    assert_eq!(second.deviation, Some(Deviation::KeyRequestDeclaresNothing));
}
