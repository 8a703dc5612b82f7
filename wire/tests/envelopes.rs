//! The layouts of version 3: one spelling for each value, exact sizes, and errors that say what is wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

use messageu_wire::envelope::bundle::{BUNDLE_SIGNED_SIZE, BUNDLE_SIZE, Bundle};
use messageu_wire::envelope::field::{
    EnvelopeId, FileId, Fingerprint, OfferId, OneTimeId, RSA_PUBLIC_KEY_SIZE, UnixMillis,
};
use messageu_wire::envelope::file::{
    CHUNK_SIZE, FileKey, FileName, FileSize, MANIFEST_HEADER_SIZE, Manifest, SEALED_CHUNK_MAX, decode_chunk,
};
use messageu_wire::envelope::frame::{BODY_MAX, BodyType, FRAME_HEADER_SIZE, Frame, LADDER};
use messageu_wire::envelope::init::{INIT_HEADER_SIZE, INIT_OVERHEAD, Init, SENDER_BLOCK_SIZE, SenderBlock};
use messageu_wire::envelope::msg::{MSG_HEADER_SIZE, MSG_OVERHEAD, Msg};
use messageu_wire::envelope::offer::{OFFER_SIGNED_SIZE, OFFER_SIZE, Offer};
use messageu_wire::envelope::statement::Context;
use messageu_wire::envelope::{ENVELOPE_MAX, EnvelopeKind, Prefix};
use messageu_wire::error::WireError;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A way to read something and write it again.
type Recode = fn(&[u8]) -> Result<Vec<u8>, WireError>;

const BUNDLE: Recode = |bytes| Bundle::decode(bytes).map(|value| value.encode());
const OFFER: Recode = |bytes| Offer::decode(bytes).map(|value| value.encode());
const INIT: Recode = |bytes| Init::decode(bytes).map(|value| value.encode());
const MSG: Recode = |bytes| Msg::decode(bytes).map(|value| value.encode());
const SENDER: Recode = |bytes| SenderBlock::decode(bytes).map(|value| value.encode());
const CHUNK: Recode = |bytes| decode_chunk(bytes).map(|value| value.encode());

fn bytes(size: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), size)
}

/// Any bytes, behind the prefix of an envelope.
fn envelope(kind: EnvelopeKind, size: usize) -> impl Strategy<Value = Vec<u8>> {
    bytes(size).prop_map(move |mut bytes| {
        bytes[..8].copy_from_slice(&[b'M', b'U', b'3', 1, 1, kind.0, 0, 0]);
        bytes
    })
}

fn msg() -> impl Strategy<Value = Vec<u8>> {
    select(&LADDER[..3]).prop_flat_map(|rung| envelope(EnvelopeKind::MSG, MSG_OVERHEAD + rung))
}

/// Bytes of each structure, and how it is read and written.
fn structure() -> impl Strategy<Value = (Vec<u8>, Recode)> {
    let bundle = bytes(BUNDLE_SIZE).prop_map(|mut bytes| {
        bytes[0] = 1;
        bytes
    });
    let offer = envelope(EnvelopeKind::OFFER, OFFER_SIZE).prop_map(|mut bytes| {
        bytes[43] &= 0x7f;
        bytes
    });
    let init =
        (envelope(EnvelopeKind::INIT, INIT_OVERHEAD), msg()).prop_map(|(init, msg)| [init, msg].concat());
    let chunk = (1_usize..20).prop_flat_map(|blocks| bytes(48 + 16 * blocks));
    prop_oneof![
        bundle.prop_map(|bytes| (bytes, BUNDLE)),
        offer.prop_map(|bytes| (bytes, OFFER)),
        init.prop_map(|bytes| (bytes, INIT)),
        msg().prop_map(|bytes| (bytes, MSG)),
        bytes(SENDER_BLOCK_SIZE).prop_map(|bytes| (bytes, SENDER)),
        chunk.prop_map(|bytes| (bytes, CHUNK)),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let size = prop_oneof![0_usize..600, 0..=BODY_MAX, select(&LADDER[..]).prop_map(|rung| rung - 31)];
    let body = size.prop_flat_map(bytes);
    (any::<u8>(), any::<u64>(), any::<[u8; 16]>(), body).prop_map(|(kind, sent, id, body)| Frame {
        body_type: BodyType(kind),
        sent: UnixMillis(sent),
        message_id: EnvelopeId(id),
        body,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_decodes_encodes_to_the_same_bytes((bytes, recode) in structure()) {
        prop_assert_eq!(recode(&bytes), Ok(bytes));
    }

    #[test]
    fn a_structure_that_is_cut_or_has_more_behind_it_is_refused(
        (bytes, recode) in structure(), at in any::<prop::sample::Index>(), more in 1_usize..16,
    ) {
        let cut = &bytes[..at.index(bytes.len())];
        // A chunk that is cut between two blocks is a chunk: only its tag can tell.
        let a_chunk_is_left = decode_chunk(&bytes).is_ok() && decode_chunk(cut).is_ok();
        prop_assert!(recode(cut).is_err() || a_chunk_is_left);
        let longer = [bytes.as_slice(), &vec![0; more]].concat();
        prop_assert!(recode(&longer).is_err());
    }

    #[test]
    fn an_envelope_with_any_other_prefix_is_refused(bytes in msg(), at in 0_usize..8, flip in 1_u8..) {
        let mut other = bytes;
        other[at] ^= flip;
        let error = Msg::decode(&other).unwrap_err();
        let named = matches!(error, WireError::NotAnEnvelope { .. } | WireError::FieldValue { .. });
        prop_assert!(named, "{}", error);
    }

    #[test]
    fn a_frame_is_padded_to_the_ladder_and_read_back(frame in frame()) {
        let plaintext = frame.encode().unwrap();
        prop_assert!(LADDER.contains(&(plaintext.len() + 1)));
        prop_assert_eq!(Frame::decode(&plaintext), Ok(frame));
    }

    #[test]
    fn frames_with_bodies_of_up_to_225_bytes_have_one_size(a in 0_usize..=225, b in 0_usize..=225) {
        let of = |size| Frame {
            body_type: BodyType::TEXT, sent: UnixMillis(0), message_id: EnvelopeId([0; 16]), body: vec![7; size],
        };
        prop_assert_eq!(of(a).encode().unwrap().len(), of(b).encode().unwrap().len());
    }

    #[test]
    fn padding_other_than_zeros_is_refused(frame in frame(), at in any::<prop::sample::Index>(), byte in 1_u8..) {
        let mut plaintext = frame.encode().unwrap();
        let start = FRAME_HEADER_SIZE + frame.body.len();
        prop_assume!(start < plaintext.len());
        let at = start + at.index(plaintext.len() - start);
        plaintext[at] = byte;
        prop_assert_eq!(Frame::decode(&plaintext), Err(WireError::NotPadding { at }));
    }

    #[test]
    fn a_manifest_is_read_back(id in any::<[u8; 16]>(), key in bytes(64), size in 0_u64..1 << 48, name in "[^/\\\\:\\p{C}\u{2028}-\u{202e}\u{2066}-\u{2069}]{1,60}") {
        prop_assume!(name != "." && name != "..");
        prop_assume!(FileSize::new(size).is_ok());
        let manifest = Manifest {
            file_id: FileId(id),
            file_key: FileKey(key.try_into().unwrap()),
            size: FileSize::new(size).unwrap(),
            tags: messageu_wire::envelope::field::Digest([3; 32]),
            name: FileName::new(&name).unwrap(),
        };
        let body = manifest.encode();
        prop_assert!(body.len() <= BODY_MAX);
        prop_assert_eq!(Manifest::decode(&body), Ok(manifest));
    }

    #[test]
    fn the_chunks_of_a_file_make_up_its_size(size in 0_u64..64 << 20) {
        let size = FileSize::new(size).unwrap();
        let chunks: Vec<_> = (0..size.chunks()).map(|index| size.chunk_size(index).unwrap()).collect();
        prop_assert_eq!(chunks.iter().sum::<usize>(), usize::try_from(size.bytes()).unwrap());
        let (last, full) = chunks.split_last().unwrap();
        prop_assert!(full.iter().all(|chunk| *chunk == CHUNK_SIZE));
        prop_assert!(*last <= CHUNK_SIZE && (*last > 0 || full.is_empty()));
        prop_assert_eq!(size.chunk_size(size.chunks()), None);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in vec(any::<u8>(), 0..2000), name in ".{0,300}") {
        for recode in [BUNDLE, OFFER, INIT, MSG, SENDER, CHUNK] {
            prop_assert!(recode(&bytes).is_err() || recode(&bytes) == Ok(bytes.clone()));
        }
        prop_assert!(Frame::decode(&bytes).is_err());
        prop_assert!(Manifest::decode(&bytes).is_err() || bytes.len() > MANIFEST_HEADER_SIZE);
        if let Ok(name) = FileName::new(&name) {
            prop_assert_eq!(std::path::Path::new(name.as_str()).file_name().unwrap(), name.as_str());
        }
    }
}

#[test]
fn the_sizes_are_those_of_the_specification() {
    assert_eq!((BUNDLE_SIZE, BUNDLE_SIGNED_SIZE + 384), (1294, 1294));
    assert_eq!((OFFER_SIZE, OFFER_SIGNED_SIZE + 384), (890, 890));
    assert_eq!(
        (INIT_HEADER_SIZE + 16 + 832 + 32, SENDER_BLOCK_SIZE),
        (INIT_OVERHEAD, 16 + RSA_PUBLIC_KEY_SIZE + 384)
    );
    assert_eq!((MSG_HEADER_SIZE, MSG_OVERHEAD), (64, 112));
    const { assert!(INIT_OVERHEAD + MSG_OVERHEAD + LADDER[4] <= ENVELOPE_MAX) };
    let longest = Frame {
        body_type: BodyType::TEXT,
        sent: UnixMillis(0),
        message_id: EnvelopeId([0; 16]),
        body: vec![0; BODY_MAX],
    };
    assert_eq!(longest.encode().unwrap().len(), 65_535);
    let mut longer = longest.clone();
    longer.body.push(0);
    let error = longer.encode().unwrap_err();
    assert_eq!(error.to_string(), "the size at byte 26 is 65506, which is above 65505");
}

#[test]
fn a_frame_larger_than_its_body_calls_for_is_refused() {
    let mut plaintext = vec![0; 1023];
    plaintext[0] = 3;
    assert_eq!(
        Frame::decode(&plaintext).unwrap_err().to_string(),
        "plaintext: 1023 bytes, less 0, is no size that this content is padded to"
    );
    plaintext.truncate(255);
    assert_eq!(Frame::decode(&plaintext).unwrap().body_type, BodyType::TEXT);
}

#[test]
fn a_body_larger_than_its_frame_is_refused_before_it_is_looked_for() {
    let mut plaintext = vec![0; 255];
    plaintext[26..30].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        Frame::decode(&plaintext).unwrap_err().to_string(),
        "the size at byte 26 is 4294967295, which is above 225"
    );
}

#[test]
fn a_manifest_whose_chunks_are_not_those_of_its_size_is_refused() {
    let mut body = vec![0; MANIFEST_HEADER_SIZE];
    body.extend_from_slice(b"name");
    body[88] = 2;
    assert_eq!(Manifest::decode(&body).unwrap_err().to_string(), "the chunks at byte 88 is 2, expected 1");
    body[80..88].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(Manifest::decode(&body), Err(WireError::FieldLimit { field: "size", .. })));
}

#[test]
fn names_that_lead_out_of_a_directory_are_none() {
    let long = "x".repeat(256);
    for name in
        ["", ".", "..", "a/b", "/etc/passwd", "..\\x", "C:x", "a\0b", "a\nb", "\u{202e}gpj.exe", &long]
    {
        assert_eq!(FileName::new(name), Err(WireError::FileName), "{name:?}");
    }
    assert_eq!(FileName::new("…photo.jpg").unwrap().as_str(), "…photo.jpg");
}

#[test]
fn a_chunk_has_at_most_64_kib_of_a_file() {
    assert!(decode_chunk(&vec![0; SEALED_CHUNK_MAX]).is_ok());
    let error = decode_chunk(&vec![0; SEALED_CHUNK_MAX + 16]).unwrap_err();
    assert_eq!(error.to_string(), "chunk: at most 65600 bytes, but there are 65616");
}

#[test]
fn kinds_suites_and_types_that_nobody_knows_are_values_that_print() {
    let prefix = Prefix::peek(b"MU3\x01\x02\x09\x01\x00").unwrap();
    assert_eq!(
        (prefix.suite.to_string(), prefix.kind.to_string(), prefix.flags),
        ("unknown suite 2".into(), "unknown kind 9".into(), 1)
    );
    assert_eq!(BodyType(200).to_string(), "unknown type 200");
    assert_eq!(EnvelopeKind::INIT.to_string(), "INIT");
    assert_eq!(
        Prefix::peek(b"HTTP/1.1").unwrap_err().to_string(),
        "an envelope begins with 4d 55 33 01, not with 48 54 54 50"
    );
    assert_eq!(
        Msg::decode(b"MU3\x01\x02\x03\x00\x00").unwrap_err().to_string(),
        "the suite at byte 4 is 2, expected 1"
    );
    let error = Prefix::peek(&vec![0; ENVELOPE_MAX + 1]).unwrap_err();
    assert_eq!(error.to_string(), "envelope: at most 131072 bytes, but there are 131073");
}

#[test]
fn an_offers_key_is_told_from_a_one_time_prekey_by_its_highest_bit() {
    assert_eq!(OneTimeId::of_offer(OfferId(5)), OneTimeId(0x8000_0005));
    assert_eq!(OneTimeId(0x8000_0005).offer(), Some(OfferId(5)));
    assert_eq!((OneTimeId(5).offer(), OneTimeId::NONE.offer()), (None, None));
    let shown = [OneTimeId::NONE, OneTimeId(5), OneTimeId(0x8000_0005)].map(|id| id.to_string());
    assert_eq!(shown, ["no one-time key", "one-time key 5", "the key of offer 5"]);
}

#[test]
fn a_client_id_of_a_fingerprint_is_a_uuid_of_version_8() {
    assert_eq!(Fingerprint([0xff; 32]).client_id().to_string(), "ffffffffffff8fffbfffffffffffffff");
    assert_eq!(Fingerprint([0; 32]).client_id().to_string(), "00000000000080008000000000000000");
}

#[test]
fn no_context_is_the_beginning_of_another() {
    for context in Context::ALL {
        let (end, text) = context.as_bytes().split_last().unwrap();
        assert!(*end == 0 && text.starts_with(b"MU3-") && !text.contains(&0));
        assert_eq!(Context::ALL.iter().filter(|other| other.as_bytes() == context.as_bytes()).count(), 1);
    }
}

#[test]
fn no_key_and_no_content_is_shown() {
    let frame = Frame {
        body_type: BodyType::TEXT,
        sent: UnixMillis(0),
        message_id: EnvelopeId([0; 16]),
        body: b"secret".to_vec(),
    };
    let shown = format!("{frame:?} {:?}", FileKey([0xab; 64]));
    assert_eq!(shown, "Frame(text, 6 bytes, EnvelopeId(00000000000000000000000000000000)) FileKey(…)");
}
