//! The payloads and frames of version 3, byte for byte, and what is refused of them.
//!
//! `aa*16` is the byte aa 16 times.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

use std::collections::BTreeSet;

use messageu_wire::dialect::Family;
use messageu_wire::envelope::EnvelopeKind;
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    Binding, ClientNonce, DhPublicKey, EnvelopeId, Epoch, FileId, Fingerprint, OneTimeId, PrekeyId,
    RsaPublicKey, ServerKeyHash, ServerNonce, Signature, UnixSeconds, WrapId,
};
use messageu_wire::envelope::statement::{BindingType, Rotation};
use messageu_wire::envelope::{ENVELOPE_MAX, Suite};
use messageu_wire::error::{FieldError, WireError};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::field::{
    AtMost, ChunkBytes, ChunkPlace, Envelope, EnvelopeBytes, OneTimeKey, PhoneNumber, RegistrationCode,
    RegistrationId, RegistrationState, Sequence, ServerFlags, StoreStatus, Tag, UnixMinutes,
};
use messageu_wire::modern::frame::{
    RequestFrame, RequestReader, ResponseFrame, ResponseReader, encode_request, encode_response,
};
use messageu_wire::modern::limits::{ACKNOWLEDGED_MAX, ONE_TIME_KEYS_MAX, PULL_MAX, SEALED_CHUNK_MAX};
use messageu_wire::modern::operation::authenticate::Proof;
use messageu_wire::modern::operation::rotate_identity::Succession;
use messageu_wire::modern::operation::{
    Call, Payload, acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys,
    fetch_succession, hello, look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity,
    send_envelope, verify_registration,
};
use messageu_wire::modern::{ErrorCode, Operation, Refusal, Request, Response};
use messageu_wire::operations::REFUSAL_CODE;

const BUNDLE: &str = "01 03 0700000000000000 0800000000000000 0900000000000000 0a000000 0b*32 0c000000 0d*422 \
    0e*422 0f*384";
const PROOF: &str = "01 21*32 22*16 23*384";
const ENVELOPE: &str = "4d553301 01 03 0000 ee";

/// Bytes in the notation of this file.
fn bytes(notation: &str) -> Vec<u8> {
    let byte = |digits: &str| u8::from_str_radix(digits, 16).unwrap();
    let mut bytes = Vec::new();
    for word in notation.split_whitespace() {
        match word.split_once('*') {
            Some((one, count)) => bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), byte(one)),
            None => bytes.extend((0..word.len()).step_by(2).map(|at| byte(&word[at..at + 2]))),
        }
    }
    bytes
}

fn bundle() -> Bundle {
    Bundle {
        content: BundleContent {
            suite: Suite::ONE,
            min_dialect: MIN_DIALECT,
            epoch: Epoch(7),
            issued: UnixSeconds(8),
            expires: UnixSeconds(9),
            prekey_id: PrekeyId(10),
            prekey: DhPublicKey([11; 32]),
            wrap_id: WrapId(12),
            wrap_key: RsaPublicKey([13; 422]),
            identity: RsaPublicKey([14; 422]),
        },
        signature: Signature([15; 384]),
    }
}

fn proof() -> Proof {
    Proof {
        binding_type: BindingType::TLS_EXPORTER,
        binding: Binding([0x21; 32]),
        client_nonce: ClientNonce([0x22; 16]),
        signature: Signature([0x23; 384]),
    }
}

fn registration() -> register::Content {
    register::Content { name: Name::new("alice").unwrap(), phone: None, bundle: bundle() }
}

fn succession() -> Succession {
    Succession {
        bundle: bundle(),
        issued: UnixSeconds(0x0102),
        by_old: Signature([0x24; 384]),
        by_new: Signature([0x25; 384]),
    }
}

fn one_time_key() -> OneTimeKey {
    OneTimeKey::new(OneTimeId(0x0304), DhPublicKey([0x26; 32])).unwrap()
}

/// Holds a payload to its bytes, both ways.
fn is_laid_out<P: Payload + PartialEq + std::fmt::Debug>(payload: &P, notation: &str) {
    let expected = bytes(notation);
    let mut written = Vec::new();
    payload.encode(&mut written);
    assert_eq!(written, expected, "{}", P::WHAT);
    assert_eq!(&P::decode(&expected).unwrap(), payload);
    let longer = [&expected[..], &[0]].concat();
    assert!(P::decode(&longer).is_err(), "{}: a byte more", P::WHAT);
    assert!(
        expected.is_empty() || P::decode(&expected[..expected.len() - 1]).is_err(),
        "{}: a byte less",
        P::WHAT
    );
}

#[test]
fn hello() {
    is_laid_out(&hello::Request, "");
    let response = hello::Response {
        nonce: ServerNonce([0x31; 32]),
        time: UnixSeconds(0x6543_2100),
        flags: ServerFlags::CODE,
    };
    is_laid_out(&response, "31*32 0021436500000000 0100");
    assert!(response.flags.contains(ServerFlags::CODE) && !ServerFlags(2).contains(ServerFlags::CODE));
}

#[test]
fn authenticate() {
    is_laid_out(&authenticate::Request { proof: proof() }, PROOF);
    is_laid_out(&authenticate::Response, "");
    let signed = proof().authentication(ServerKeyHash([1; 32]), ServerNonce([2; 32]), ClientId([3; 16]));
    assert_eq!(signed.encode(), bytes("01*32 02*32 01 21*32 03*16 22*16"));
}

#[test]
fn register() {
    let content = registration();
    assert_eq!(content.encode(), bytes(&format!("05 616c696365 00 {BUNDLE}")));
    is_laid_out(
        &register::Request { content: content.clone(), proof: proof() },
        &format!("05 616c696365 00 {BUNDLE} {PROOF}"),
    );
    let content = register::Content { phone: Some(PhoneNumber::new("+972501").unwrap()), ..content };
    is_laid_out(
        &register::Request { content, proof: proof() },
        &format!("05 616c696365 07 2b393732353031 {BUNDLE} {PROOF}"),
    );
    let registration_id = RegistrationId([0x32; 16]);
    let response =
        register::Response { registration_id, ttl_s: 600, state: RegistrationState::CODE_EXPECTED };
    is_laid_out(&response, "32*16 58020000 01");
}

#[test]
fn verify_registration() {
    let code = RegistrationCode::new(b"012345").unwrap();
    let request = verify_registration::Request { registration_id: RegistrationId([0x32; 16]), code };
    is_laid_out(&request, "32*16 303132333435");
    is_laid_out(&verify_registration::Response { client_id: ClientId([0x33; 16]) }, "33*16");
}

#[test]
fn publish_keys() {
    let one_time_keys = AtMost::new(vec![one_time_key(); 2]).unwrap();
    let key = "04030000 26*32";
    is_laid_out(
        &publish_keys::Request { bundle: bundle(), one_time_keys },
        &format!("{BUNDLE} 0200 {key} {key}"),
    );
    is_laid_out(&publish_keys::Response { remaining: 102 }, "6600");
}

#[test]
fn fetch_keys() {
    is_laid_out(&fetch_keys::Request { client_id: ClientId([0x33; 16]) }, "33*16");
    let response = fetch_keys::Response { bundle: bundle(), one_time_key: Some(one_time_key()) };
    is_laid_out(&response, &format!("{BUNDLE} 04030000 26*32"));
    is_laid_out(&fetch_keys::Response { one_time_key: None, ..response }, &format!("{BUNDLE} 00*36"));
}

#[test]
fn send_envelope() {
    let request = send_envelope::Request {
        to: ClientId([0x33; 16]),
        message_id: EnvelopeId([0x34; 16]),
        envelope: Envelope::new(bytes(ENVELOPE)).unwrap(),
    };
    is_laid_out(&request, &format!("33*16 34*16 03 09000000 {ENVELOPE}"));
    assert_eq!(request.envelope.kind(), EnvelopeKind::MSG);
    let response = send_envelope::Response {
        to: ClientId([0x33; 16]),
        message_id: EnvelopeId([0x34; 16]),
        status: StoreStatus::STORED_ALREADY,
    };
    is_laid_out(&response, "33*16 34*16 01");
}

#[test]
fn pull_envelopes() {
    let request =
        pull_envelopes::Request { after: Sequence(0x0506), max_bytes: 0x0001_0000, wait_ms: 30_000 };
    is_laid_out(&request, "0605000000000000 00000100 30750000");
    let delivery = |sequence, envelope: &[u8]| pull_envelopes::Delivery {
        sequence: Sequence(sequence),
        time: UnixMinutes(0x01c0_0000),
        envelope: EnvelopeBytes::new(envelope.to_vec()).unwrap(),
    };
    let deliveries = vec![delivery(1, b""), delivery(2, &bytes(ENVELOPE))];
    is_laid_out(
        &pull_envelopes::Response::new(deliveries).unwrap(),
        &format!("0100000000000000 0000c001 00000000 0200000000000000 0000c001 09000000 {ENVELOPE}"),
    );
    is_laid_out(&pull_envelopes::Response::default(), "");
}

#[test]
fn acknowledge() {
    let sequences = AtMost::new(vec![Sequence(1), Sequence(0x0700)]).unwrap();
    is_laid_out(&acknowledge::Request { sequences }, "0200 0100000000000000 0007000000000000");
    is_laid_out(&acknowledge::Response { deleted: 2 }, "0200");
}

#[test]
fn put_chunk() {
    let request = put_chunk::Request {
        to: ClientId([0x33; 16]),
        file_id: FileId([0x35; 16]),
        place: ChunkPlace::new(2, 3).unwrap(),
        chunk: ChunkBytes::new(vec![0x36; 5]).unwrap(),
    };
    is_laid_out(&request, "33*16 35*16 03000000 02000000 05000000 36*5");
    let response = put_chunk::Response { file_id: FileId([0x35; 16]), index: 2, status: StoreStatus::STORED };
    is_laid_out(&response, "35*16 02000000 00");
}

#[test]
fn fetch_chunk() {
    is_laid_out(&fetch_chunk::Request { file_id: FileId([0x35; 16]), index: 2 }, "35*16 02000000");
    let chunk = ChunkBytes::new(vec![0x36; 5]).unwrap();
    is_laid_out(&fetch_chunk::Response { chunk }, "05000000 36*5");
}

#[test]
fn drop_file() {
    is_laid_out(&drop_file::Request { file_id: FileId([0x35; 16]) }, "35*16");
    is_laid_out(&drop_file::Response { chunks: 3 }, "03000000");
}

#[test]
fn look_up() {
    is_laid_out(&look_up::Request { name: Name::new("bob").unwrap() }, "03 626f62");
    is_laid_out(&look_up::Response { client_id: ClientId([0x33; 16]) }, "33*16");
}

#[test]
fn rotate_identity() {
    let notation = format!("{BUNDLE} 0201000000000000 24*384 25*384");
    is_laid_out(&rotate_identity::Request { succession: succession() }, &notation);
    is_laid_out(&rotate_identity::Response { client_id: ClientId([0x33; 16]) }, "33*16");
    let (from, to) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
    assert_eq!(succession().rotation(from, to), Rotation { from, to, issued: UnixSeconds(0x0102) });
}

#[test]
fn erase_account() {
    is_laid_out(&erase_account::Request, "");
    is_laid_out(&erase_account::Response, "");
}

#[test]
fn fetch_succession() {
    is_laid_out(&fetch_succession::Request { client_id: ClientId([0x33; 16]) }, "33*16");
    let response =
        fetch_succession::Response { old_identity: RsaPublicKey([0x37; 422]), succession: succession() };
    is_laid_out(&response, &format!("37*422 {BUNDLE} 0201000000000000 24*384 25*384"));
}

#[test]
fn refusal() {
    is_laid_out(&Refusal { error: ErrorCode::TOO_MANY_REQUESTS, retry_after_s: 60 }, "0900 3c000000");
}

#[test]
fn a_request_is_a_header_of_27_bytes_and_a_payload() {
    let frame = encode_request(ClientId([0x33; 16]), Tag(0x0102_0304), &fetch_keys_of(0x38));
    assert_eq!(frame, bytes("33*16 03 c30b 10000000 04030201 38*16"));
    let mut reader = RequestReader::new();
    reader.push(&frame);
    let request = Ok(fetch_keys_of(0x38));
    let expected = RequestFrame { client_id: ClientId([0x33; 16]), tag: Tag(0x0102_0304), request };
    assert_eq!(reader.poll(), Ok(Some(expected)));
    assert_eq!(reader.poll(), Ok(None));
}

#[test]
fn a_response_is_a_header_of_11_bytes_and_a_payload() {
    let response = Response::Acknowledge(acknowledge::Response { deleted: 2 });
    let refusal = Refusal { error: ErrorCode::QUEUE_FULL, retry_after_s: 0 };
    for (answer, notation) in [
        (Ok(response), "03 b60f 02000000 09000000 0200"),
        (Err(refusal), "03 2823 06000000 09000000 0800 00000000"),
    ] {
        let frame = encode_response(Tag(9), &answer);
        assert_eq!(frame, bytes(notation));
        let mut reader = ResponseReader::new();
        reader.push(&frame);
        assert_eq!(reader.poll(), Ok(Some(ResponseFrame { tag: Tag(9), answer })));
        assert_eq!(reader.poll(), Ok(None));
    }
}

fn fetch_keys_of(byte: u8) -> Request {
    fetch_keys::Request { client_id: ClientId([byte; 16]) }.into()
}

#[test]
fn a_code_or_a_payload_that_is_refused_does_not_end_the_stream() {
    let good = bytes("33*16 03 c30b 10000000 04000000 38*16");
    let cut = bytes("33*16 03 c30b 0f000000 05000000 38*15");
    let unknown = bytes("33*16 03 160c 03000000 06000000 aabbcc");
    let mut reader = RequestReader::new();
    reader.push(&[cut, unknown, good].concat());
    let mut next = || reader.poll().unwrap().unwrap();
    let (what, got) = ("request to fetch keys", 15);
    let first = next();
    assert_eq!((first.tag, first.request), (Tag(5), Err(WireError::Truncated { what, got })));
    let second = next();
    assert_eq!((second.tag, second.request), (Tag(6), Err(WireError::UnknownCode { code: 3094 })));
    assert_eq!(next().request, Ok(fetch_keys_of(0x38)));
}

#[test]
fn a_version_or_a_size_that_is_refused_ends_the_stream_and_the_error_has_the_tag() {
    let version = bytes("33*16 02 c30b 10000000 04000000");
    let size = bytes("33*16 03 c30b 11000000 04000000");
    let unknown = bytes("33*16 03 160c 01000200 04000000");
    for (header, error) in [
        (version, "the version at byte 16 is 2, expected 3"),
        (size, "a payload of 17 bytes is announced, at most 16 are accepted"),
        (unknown, "a payload of 131073 bytes is announced, at most 131072 are accepted"),
    ] {
        let mut reader = RequestReader::new();
        reader.push(&header);
        let rejection = reader.poll().unwrap_err();
        assert_eq!((rejection.to_string().as_str(), rejection.tag), (error, Tag(4)));
        reader.push(&[0; 100]);
        assert_eq!(reader.poll(), Err(rejection));
    }
}

#[test]
fn a_response_that_answers_nothing_is_refused() {
    for (frame, error) in [
        ("02 b60f 02000000 09000000", "the version at byte 0 is 2, expected 3"),
        ("03 ff0f 02000000 09000000", "the code 4095 is that of no operation of version 3"),
        ("03 2823 07000000 09000000", "a payload of 7 bytes is announced, at most 6 are accepted"),
        ("03 b60f 01000000 09000000 02", "a response to acknowledge is cut short after 1 bytes"),
    ] {
        let mut reader = ResponseReader::new();
        reader.push(&bytes(frame));
        assert_eq!(reader.poll().unwrap_err().to_string(), error);
    }
}

#[test]
fn a_stream_is_inside_a_request_from_its_first_byte_to_its_last() {
    let frame = encode_request(ClientId([0x33; 16]), Tag(1), &fetch_keys_of(1));
    let mut reader = RequestReader::new();
    for byte in &frame {
        assert_eq!(reader.poll(), Ok(None));
        reader.buffer_mut().extend_from_slice(&[*byte]);
        assert!(reader.is_inside_request());
    }
    assert!(matches!(reader.poll(), Ok(Some(_))));
    assert!(!reader.is_inside_request());
}

#[test]
fn no_code_has_two_meanings_in_any_dialect() {
    let mut seen = BTreeSet::from([REFUSAL_CODE]);
    for operation in Operation::ALL {
        let codes = operation.codes();
        assert_eq!(codes.response, codes.request + 1000, "{operation}");
        assert!((3000..3100).contains(&codes.request), "{operation}");
        assert!(seen.insert(codes.request) && seen.insert(codes.response), "{operation}");
        assert_eq!(Operation::of_request(codes.request), Some(*operation));
        assert_eq!(Operation::of_response(codes.response), Some(*operation));
    }
    for family in Family::ALL {
        for codes in messageu_wire::operations::Operation::ALL.iter().filter_map(|other| other.codes(family))
        {
            assert!(!seen.contains(&codes.request) && !seen.contains(&codes.response), "{codes:?}");
        }
    }
}

#[test]
fn five_operations_are_open_to_anybody() {
    let open: Vec<&str> =
        Operation::ALL.iter().filter(|operation| !operation.is_for_clients()).map(|one| one.name()).collect();
    assert_eq!(open, ["hello", "authenticate", "register", "verify_registration", "fetch_keys"]);
}

#[test]
fn error_codes_have_distinct_numbers_and_names_and_others_are_values_that_print() {
    let numbers: BTreeSet<u16> = ErrorCode::ALL.iter().map(|code| code.0).collect();
    let names: BTreeSet<_> = ErrorCode::ALL.iter().filter_map(|code| code.name()).collect();
    assert_eq!((numbers.len(), names.len()), (ErrorCode::ALL.len(), ErrorCode::ALL.len()));
    assert!(!numbers.contains(&0) && ErrorCode::ALL.iter().all(|code| code.meaning().is_some()));
    let unknown = Refusal { error: ErrorCode(999), retry_after_s: 5 };
    assert_eq!(unknown.to_string(), "unknown error 999, try again in 5 s");
    assert_eq!(Refusal::new(ErrorCode::MOVED).to_string(), "moved");
}

/// The largest value of every payload that has a size of its own.
fn largest() -> (Vec<Request>, Vec<Response>) {
    let longest = Name::new(&"n".repeat(254)).unwrap();
    let phone = Some(PhoneNumber::new("+123456789012345").unwrap());
    let content = register::Content { name: longest.clone(), phone, bundle: bundle() };
    let mut envelope = bytes(ENVELOPE);
    envelope.resize(ENVELOPE_MAX, 0);
    let delivery = |size| pull_envelopes::Delivery {
        sequence: Sequence(1),
        time: UnixMinutes(1),
        envelope: EnvelopeBytes::new(vec![0; size]).unwrap(),
    };
    let mut deliveries = vec![delivery(ENVELOPE_MAX); 7];
    let left = PULL_MAX - deliveries.iter().map(pull_envelopes::Delivery::size).sum::<usize>();
    deliveries.push(delivery(left - pull_envelopes::DELIVERY_HEADER_SIZE));
    let chunk = ChunkBytes::new(vec![0; SEALED_CHUNK_MAX]).unwrap();
    let place = ChunkPlace::new(0, 1).unwrap();
    let one_time_keys = AtMost::new(vec![one_time_key(); ONE_TIME_KEYS_MAX]).unwrap();
    let (to, client_id, file_id) = (ClientId([1; 16]), ClientId([1; 16]), FileId([1; 16]));
    let requests = vec![
        register::Request { content, proof: proof() }.into(),
        authenticate::Request { proof: proof() }.into(),
        publish_keys::Request { bundle: bundle(), one_time_keys }.into(),
        send_envelope::Request {
            to,
            message_id: EnvelopeId([2; 16]),
            envelope: Envelope::new(envelope).unwrap(),
        }
        .into(),
        acknowledge::Request { sequences: AtMost::new(vec![Sequence(1); ACKNOWLEDGED_MAX]).unwrap() }.into(),
        put_chunk::Request { to, file_id, place, chunk: chunk.clone() }.into(),
        look_up::Request { name: longest }.into(),
        rotate_identity::Request { succession: succession() }.into(),
    ];
    let responses = vec![
        fetch_keys::Response { bundle: bundle(), one_time_key: None }.into(),
        pull_envelopes::Response::new(deliveries).unwrap().into(),
        fetch_chunk::Response { chunk }.into(),
        fetch_succession::Response { old_identity: RsaPublicKey([1; 422]), succession: succession() }.into(),
        look_up::Response { client_id }.into(),
    ];
    (requests, responses)
}

#[test]
fn the_largest_value_of_an_operation_has_the_size_that_readers_take() {
    let (requests, responses) = largest();
    for request in requests {
        let mut payload = Vec::new();
        request.encode(&mut payload);
        assert_eq!(payload.len(), request.operation().request_max(), "{}", request.operation());
        assert_eq!(Request::decode(request.operation(), &payload), Ok(request));
    }
    for response in responses {
        let mut payload = Vec::new();
        response.encode(&mut payload);
        assert_eq!(payload.len(), response.operation().response_max(), "{}", response.operation());
        assert_eq!(Response::decode(response.operation(), &payload), Ok(response));
    }
}

#[test]
fn more_than_a_limit_is_no_value() {
    let error = AtMost::<Sequence, ACKNOWLEDGED_MAX>::new(vec![Sequence(1); 1001]).unwrap_err();
    assert_eq!(error.to_string(), "1001 are announced where at most 1000 may be");
    assert!(ChunkBytes::new(vec![0; SEALED_CHUNK_MAX + 1]).is_err());
    let delivery = pull_envelopes::Delivery {
        sequence: Sequence(1),
        time: UnixMinutes(1),
        envelope: EnvelopeBytes::new(vec![0; ENVELOPE_MAX]).unwrap(),
    };
    assert!(pull_envelopes::Response::new(vec![delivery; 8]).is_err());
    assert!(Envelope::new(b"MU3\x01\x01\x03\x00".to_vec()).is_err());
    assert!(Envelope::new(b"HTTP/1.1".to_vec()).is_err());
}

#[test]
fn a_bundle_of_another_suite_is_refused_wherever_it_stands() {
    let mut payload = bytes(&format!("{BUNDLE} 0000"));
    payload[0] = 2;
    let error = publish_keys::Request::decode(&payload).unwrap_err();
    assert_eq!(error.to_string(), "the suite at byte 0 is 2, expected 1");
}

#[test]
fn an_envelope_of_another_kind_than_its_request_says_is_refused() {
    let payload = bytes(&format!("33*16 34*16 02 09000000 {ENVELOPE}"));
    let error = send_envelope::Request::decode(&payload).unwrap_err();
    assert_eq!(error.to_string(), "the kind at byte 32 is 2, expected 3");
}

#[test]
fn what_is_no_envelope_is_not_sent() {
    let payload = bytes("33*16 34*16 03 09000000 4d553302 01 03 0000 ee");
    assert!(matches!(send_envelope::Request::decode(&payload), Err(WireError::NotAnEnvelope { .. })));
}

#[test]
fn a_one_time_key_has_a_number_that_no_offer_has() {
    for (id, fits) in [(0, false), (1, true), (0x7fff_ffff, true), (0x8000_0000, false)] {
        let notation = format!("{BUNDLE} 0100 {:08x} 26*32", u32::swap_bytes(id));
        let decoded = publish_keys::Request::decode(&bytes(&notation));
        assert_eq!(decoded.is_ok(), fits, "{id}");
        assert!(fits || decoded == Err(WireError::Field(FieldError::OneTimeId)));
    }
    let offered = format!("{BUNDLE} 05000080 26*32");
    assert_eq!(fetch_keys::Response::decode(&bytes(&offered)), Err(WireError::Field(FieldError::OneTimeId)));
}

#[test]
fn where_there_is_no_one_time_key_there_are_zeros() {
    let payload = bytes(&format!("{BUNDLE} 00*34 01 00"));
    assert_eq!(fetch_keys::Response::decode(&payload), Err(WireError::NotPadding { at: 1328 }));
}

#[test]
fn a_chunk_is_one_of_its_file() {
    for (index, chunks, fits) in [(0, 0, false), (0, 1, true), (1, 1, false), (u32::MAX, u32::MAX, false)] {
        assert_eq!(ChunkPlace::new(index, chunks).is_ok(), fits, "{index} of {chunks}");
    }
    let payload = bytes("33*16 35*16 03000000 03000000 00000000");
    let error = put_chunk::Request::decode(&payload).unwrap_err();
    assert_eq!(error.to_string(), "a file of 3 chunks has no chunk 3");
}

#[test]
fn a_phone_number_is_a_plus_sign_and_digits() {
    for text in ["", "+", "972501234", "+0501234", "+1234", "+1234567890123456", "+97250 123", "+9725٠1"] {
        assert_eq!(PhoneNumber::new(text), Err(FieldError::PhoneNumber), "{text:?}");
    }
    assert_eq!(PhoneNumber::new("+12345").unwrap().as_str(), "+12345");
    let payload = bytes(&format!("05 616c696365 02 2b31 {BUNDLE} {PROOF}"));
    let error = register::Request::decode(&payload).unwrap_err();
    assert_eq!(error.to_string(), "a phone number is written +COUNTRYNUMBER: a plus sign and 5 to 15 digits");
}

#[test]
fn a_code_is_six_digits() {
    for digits in [&b"12345"[..], b"1234567", b"12345a", b"12345 "] {
        assert_eq!(RegistrationCode::new(digits), Err(FieldError::RegistrationCode));
    }
    let payload = bytes("32*16 30313233343a");
    let error = verify_registration::Request::decode(&payload).unwrap_err();
    assert_eq!(error.to_string(), "a registration's code has 6 digits");
}

#[test]
fn a_name_is_printable_ascii_in_version_3_too() {
    for notation in ["00", "03 626f", "03 626fff", "03 620062"] {
        assert!(look_up::Request::decode(&bytes(notation)).is_err(), "{notation}");
    }
}

#[test]
fn a_response_is_taken_by_the_request_that_it_answers_alone() {
    let response = Response::Acknowledge(acknowledge::Response { deleted: 2 });
    assert_eq!(
        <acknowledge::Request as Call>::response(response.clone()),
        Some(acknowledge::Response { deleted: 2 })
    );
    assert_eq!(<hello::Request as Call>::response(response), None);
}

#[test]
fn no_number_code_or_content_is_shown() {
    let envelope = Envelope::new(bytes(ENVELOPE)).unwrap();
    let shown = format!(
        "{:?} {:?} {envelope:?}",
        PhoneNumber::new("+972501").unwrap(),
        RegistrationCode::new(b"012345").unwrap(),
    );
    assert_eq!(shown, "PhoneNumber(…) RegistrationCode(…) Envelope(MSG, 9 bytes)");
}
