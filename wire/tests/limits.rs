//! What a hostile peer claims costs nothing until it is there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use messageu_wire::dialect::{Dialect, Family, Pin};
use messageu_wire::envelope::ENVELOPE_MAX;
use messageu_wire::envelope::frame::Frame;
use messageu_wire::envelope::init::Init;
use messageu_wire::envelope::msg::Msg;
use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, RequestReader};
use messageu_wire::message::MessageType;
use messageu_wire::operation::send_message;
use messageu_wire::operations::{Operation, REFUSAL_CODE, Request};
use messageu_wire::response::{self, ResponseReader};

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|total| total.set(total.get() + layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.with(|total| total.set(total.get() + size));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocated_by(work: impl FnOnce()) -> usize {
    let before = ALLOCATED.with(Cell::get);
    work();
    ALLOCATED.with(Cell::get) - before
}

fn huge_send(dialect: Dialect) -> Vec<u8> {
    let send = send_message::Request { to: ClientId([7; 16]), kind: MessageType::FILE, size: u32::MAX - 24 };
    dialect.encode_request(2, ClientId([9; 16]), &Request::SendMessage(send)).unwrap()
}

#[test]
fn a_request_that_claims_4_gib_allocates_under_4_kib() {
    for dialect in Dialect::all().filter(|dialect| dialect.profile.fixed_send.is_none()) {
        let frame = huge_send(dialect);
        let bytes = allocated_by(|| {
            let mut reader =
                RequestReader::new(Pin { family: None, profile: Some(dialect.profile) }, u32::MAX);
            reader.push(&frame);
            let Event::Request(request) = reader.poll(None, false).unwrap() else { panic!("{dialect}") };
            assert_eq!(request.request.content_size(), u32::MAX - 24);
            assert_eq!(reader.poll(None, false).unwrap(), Event::More);
        });
        assert!(bytes < 4096, "{dialect}: {bytes} bytes");
    }
}

#[test]
fn a_response_that_claims_4_gib_allocates_under_4_kib() {
    for dialect in Dialect::all() {
        for operation in Operation::ALL.iter().filter(|operation| operation.codes(dialect.family).is_some()) {
            let frame = dialect.response_start(*operation, u32::MAX, ClientId([9; 16])).unwrap();
            let bytes = allocated_by(|| {
                let mut reader = ResponseReader::new(dialect, *operation);
                reader.push(&frame);
                match reader.poll() {
                    Ok(event) => assert_eq!(event, response::Event::More),
                    Err(error) => {
                        assert!(matches!(error, WireError::PayloadTooLarge { claimed: u32::MAX, .. }))
                    }
                }
            });
            assert!(bytes < 4096, "{dialect} {operation}: {bytes} bytes");
        }
    }
}

#[test]
fn a_content_above_the_limit_is_rejected_and_the_error_names_both() {
    let mut reader = RequestReader::new(Pin::default(), 1000);
    reader.push(&huge_send(Dialect::classic(Family::E)));
    let rejection = reader.poll(None, false).unwrap_err();
    assert_eq!(rejection.error, WireError::ContentTooLarge { claimed: u32::MAX - 24, limit: 1000 });
    assert_eq!(rejection.dialect, Dialect::classic(Family::E));
}

#[test]
fn zeros_between_requests_are_passed_over_up_to_a_block_less_one() {
    let request = Dialect::classic(Family::E)
        .encode_request(
            2,
            ClientId([9; 16]),
            &Request::ListClients(messageu_wire::operation::list_clients::Request),
        )
        .unwrap();
    for (zeros, fits) in [(0, true), (1, true), (1023, true), (1024, false)] {
        let mut reader = RequestReader::new(Pin::default(), 0);
        reader.push(&request);
        assert!(matches!(reader.poll(None, true), Ok(Event::Request(_))));
        reader.push(&vec![0; zeros]);
        reader.push(&request);
        assert_eq!(matches!(reader.poll(None, true), Ok(Event::Request(_))), fits, "{zeros}");
    }
}

#[test]
fn every_request_code_selects_one_family_and_byte_order() {
    let mut seen = Vec::new();
    for family in Family::ALL {
        for code in Operation::ALL.iter().filter_map(|operation| operation.codes(family)) {
            assert_ne!(code.request, REFUSAL_CODE);
            let [low, high] = code.request.to_le_bytes();
            match family.code_width() {
                1 => seen.extend((0..=u8::MAX).map(|any| ([low, any], family, "any"))),
                _ => seen.extend([([low, high], family, "little"), ([high, low], family, "big")]),
            }
        }
    }
    for (at, (bytes, family, order)) in seen.iter().enumerate() {
        for (other, other_family, other_order) in &seen[at + 1..] {
            assert!(bytes != other, "{bytes:02x?}: {family} {order} and {other_family} {other_order}");
        }
    }
}

#[test]
fn bytes_of_no_dialect_are_refused_with_what_was_found() {
    let mut reader = RequestReader::new(Pin::default(), 0);
    reader.push(&[1; 40]);
    let rejection = reader.poll(None, false).unwrap_err();
    assert_eq!(rejection.error, WireError::Unrecognised { found: [1, 1, 1] });
    assert_eq!(
        rejection.to_string(),
        "bytes 16 to 18 of the request (01 01 01) are those of no dialect served here"
    );
}

#[test]
fn an_envelope_that_is_too_large_or_claims_too_much_allocates_nothing() {
    let mut large = vec![0; ENVELOPE_MAX + 1];
    large[..6].copy_from_slice(b"MU3\x01\x01\x03");
    assert_eq!(allocated_by(|| assert!(Msg::decode(&large).is_err())), 0);
    large[5] = 2;
    assert_eq!(allocated_by(|| assert!(Init::decode(&large).is_err())), 0);
    let mut plaintext = vec![0; 255];
    plaintext[26..30].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(allocated_by(|| assert!(Frame::decode(&plaintext).is_err())), 0);
}
