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
use messageu_wire::modern;
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

/// A header that claims, and the first bytes of a payload.
fn claim(header: &[u8], size_at: usize, size: u32) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes[size_at..size_at + 4].copy_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&[1; 100]);
    bytes
}

#[test]
fn a_frame_of_version_3_reserves_nothing_for_what_it_claims() {
    for operation in modern::Operation::ALL {
        let codes = operation.codes();
        let mut request = [0; 27];
        request[16] = 3;
        request[17..19].copy_from_slice(&codes.request.to_le_bytes());
        let mut response = [0; 11];
        response[0] = 3;
        response[1..3].copy_from_slice(&codes.response.to_le_bytes());
        let (request_max, response_max) = (operation.request_max() as u32, operation.response_max() as u32);
        for claimed in [request_max, request_max + 1, u32::MAX] {
            let frame = claim(&request, 19, claimed);
            let taken = allocated_by(|| {
                let mut reader = modern::frame::RequestReader::new();
                reader.push(&frame);
                match reader.poll() {
                    Ok(whole) => assert!(claimed == request_max && whole.is_some() == (claimed <= 100)),
                    Err(rejection) => {
                        let limit = request_max;
                        assert_eq!(rejection.error, WireError::PayloadTooLarge { claimed, limit });
                        assert!(claimed > limit);
                    }
                }
            });
            assert!(taken < 2048, "{operation} request of {claimed}: {taken} bytes");
        }
        for claimed in [response_max + 1, u32::MAX] {
            let frame = claim(&response, 3, claimed);
            let taken = allocated_by(|| {
                let mut reader = modern::frame::ResponseReader::new();
                reader.push(&frame);
                let limit = response_max;
                assert_eq!(reader.poll(), Err(WireError::PayloadTooLarge { claimed, limit }));
            });
            assert!(taken < 2048, "{operation} response of {claimed}: {taken} bytes");
        }
    }
}

#[test]
fn a_count_or_a_size_inside_a_payload_reserves_nothing_for_what_it_claims() {
    use modern::operation::{Payload, acknowledge, fetch_chunk, pull_envelopes, put_chunk, send_envelope};
    fn taken_by<P: Payload>(payload: &[u8]) -> usize {
        allocated_by(|| assert!(P::decode(payload).is_err()))
    }
    for claimed in [u32::MAX, 128 * 1024, 65_600] {
        let size = claimed.to_le_bytes();
        let at = |before: usize| [&vec![0; before][..], &size, &[0; 8]].concat();
        // The index is below the number of chunks.
        let mut chunk = at(40);
        chunk[32] = 1;
        for (what, taken) in [
            ("acknowledge", taken_by::<acknowledge::Request>(&[0xe8, 3, 0, 0])),
            ("acknowledge too many", taken_by::<acknowledge::Request>(&[0xff, 0xff, 0, 0])),
            ("fetch a chunk", taken_by::<fetch_chunk::Response>(&at(0))),
            ("put a chunk", taken_by::<put_chunk::Request>(&chunk)),
            ("pull", taken_by::<pull_envelopes::Response>(&at(12))),
            ("send", taken_by::<send_envelope::Request>(&at(33))),
        ] {
            assert!(taken < 4096, "{what}, which claims {claimed}: {taken} bytes");
        }
    }
}

#[test]
fn a_list_has_as_many_clients_as_its_size_can_say() {
    let size = messageu_wire::operation::list_clients::declared_size;
    assert_eq!((size(0), size(1), size(15_848_587)), (Some(0), Some(271), Some(4_294_967_077)));
    assert_eq!((size(15_848_588), size(u64::MAX)), (None, None));
}
