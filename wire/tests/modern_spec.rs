//! spec.md, sections 20 to 37: its tables are what the wire of version 3 is compiled from, and what tests there are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::control::{Control, SuccessionNotice};
use messageu_wire::envelope::field::{
    Binding, ClientNonce, DhPublicKey, Digest, EnvelopeId, Epoch, FileId, Fingerprint, OfferId, OneTimeId,
    PrekeyId, RsaPublicKey, ServerKeyHash, ServerNonce, SessionId, Signature, UnixMillis, UnixSeconds,
    WrapId, WrappedSecret,
};
use messageu_wire::envelope::file::{FileKey, FileName, FileSize, Manifest};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::init::{InitHeader, SenderBlock};
use messageu_wire::envelope::msg::MsgHeader;
use messageu_wire::envelope::offer::{Offer, OfferContent};
use messageu_wire::envelope::statement::{Authentication, BindingType, Context, InitStatement, Rotation};
use messageu_wire::envelope::{EnvelopeKind, Prefix, Suite};
use messageu_wire::fields::ClientId;
use messageu_wire::modern::field::{StoreStatus, Tag};
use messageu_wire::modern::frame::{encode_request, encode_response};
use messageu_wire::modern::operation::authenticate::{self, Proof};
use messageu_wire::modern::operation::put_chunk;
use messageu_wire::modern::{ErrorCode, Operation, Request, Response};

const SPEC: &str = include_str!("../../spec.md");

/// The rows of the table behind a marker, without the head; each a list of cells.
fn table(marker: &str) -> Vec<Vec<&'static str>> {
    let (_, behind) =
        SPEC.split_once(&format!("<!-- {marker} -->\n")).unwrap_or_else(|| panic!("no {marker}"));
    let rows = behind.lines().take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// A structure's bytes, and its fields in their order.
type Layout = (Vec<u8>, Vec<(&'static str, Vec<u8>)>);

const FROM: ClientId = ClientId([0x66; 16]);
const TO: ClientId = ClientId([0x77; 16]);

fn prefix(kind: u8) -> Vec<u8> {
    vec![b'M', b'U', b'3', 1, 1, kind, 0, 0]
}

fn keys() -> (RsaPublicKey, Signature, DhPublicKey) {
    (RsaPublicKey([0x81; 422]), Signature([0x82; 384]), DhPublicKey([0x83; 32]))
}

fn layouts() -> BTreeMap<&'static str, Layout> {
    statements().into_iter().chain(envelopes()).chain(contents()).chain(requests()).collect()
}

fn statements() -> [(&'static str, Layout); 4] {
    let (one, other) = (Fingerprint([0x11; 32]), Fingerprint([0x12; 32]));
    let rotation = Rotation { from: one, to: other, issued: UnixSeconds(0x0102) };
    let statement = InitStatement { transcript: Digest([0x13; 32]), from: FROM, to: TO };
    let authentication = Authentication {
        server_key_hash: ServerKeyHash([0x14; 32]),
        nonce: ServerNonce([0x15; 32]),
        binding_type: BindingType::TLS_EXPORTER,
        binding: Binding([0x16; 32]),
        client_id: FROM,
        client_nonce: ClientNonce([0x17; 16]),
    };
    let (prefix, modulus, suffix) = template();
    let spki = [prefix.as_slice(), &modulus, &suffix].concat();
    [
        (
            "rotation",
            (
                rotation.encode(),
                vec![
                    ("from", one.0.to_vec()),
                    ("to", other.0.to_vec()),
                    ("issued", vec![2, 1, 0, 0, 0, 0, 0, 0]),
                ],
            ),
        ),
        (
            "init-statement",
            (
                statement.encode(),
                vec![("transcript", vec![0x13; 32]), ("from", vec![0x66; 16]), ("to", vec![0x77; 16])],
            ),
        ),
        (
            "authentication",
            (
                authentication.encode(),
                vec![
                    ("server key hash", vec![0x14; 32]),
                    ("nonce", vec![0x15; 32]),
                    ("binding type", vec![1]),
                    ("binding", vec![0x16; 32]),
                    ("client id", vec![0x66; 16]),
                    ("client nonce", vec![0x17; 16]),
                ],
            ),
        ),
        ("rsa-public-key", (spki, vec![("prefix", prefix), ("modulus", modulus), ("suffix", suffix)])),
    ]
}

/// An identity key of the vectors: what its table says stands around the modulus is what is there.
fn template() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let identities = include_str!("../../vectors/modern/identities.json");
    let (_, behind) = identities.split_once("\"public_key\": \"").unwrap();
    let digits = behind.split('"').next().unwrap();
    let key = unhex(digits);
    let rows = table("layout: rsa-public-key");
    let said = |at: usize| unhex(rows[at][4].trim_matches('`'));
    assert_eq!((said(0), said(2)), (key[..33].to_vec(), key[417..].to_vec()));
    (key[..33].to_vec(), key[33..417].to_vec(), key[417..].to_vec())
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn envelopes() -> [(&'static str, Layout); 6] {
    let (rsa, signature, dh) = keys();
    let (rsa_bytes, signature_bytes, dh_bytes) = (rsa.0.to_vec(), signature.0.to_vec(), dh.0.to_vec());
    let header = InitHeader {
        prefix: Prefix::new(EnvelopeKind::INIT),
        prekey_id: PrekeyId(0x21),
        one_time_id: OneTimeId(0x22),
        wrap_id: WrapId(0x23),
        ephemeral: dh,
        wrapped: WrappedSecret([0x24; 384]),
    };
    let block = SenderBlock { client_id: FROM, identity: rsa, signature };
    let content = OfferContent {
        prefix: Prefix::new(EnvelopeKind::OFFER),
        from: FROM,
        to: TO,
        offer_id: OfferId(0x25),
        key: dh,
        issued: UnixSeconds(0x26),
        identity: rsa,
    };
    let msg = MsgHeader {
        prefix: Prefix::new(EnvelopeKind::MSG),
        session_id: SessionId([0x27; 16]),
        ratchet: dh,
        previous_count: 0x28,
        number: 0x29,
    };
    let bundle = BundleContent {
        suite: Suite::ONE,
        min_dialect: MIN_DIALECT,
        epoch: Epoch(0x31),
        issued: UnixSeconds(0x32),
        expires: UnixSeconds(0x33),
        prekey_id: PrekeyId(0x34),
        prekey: dh,
        wrap_id: WrapId(0x35),
        wrap_key: RsaPublicKey([0x36; 422]),
        identity: rsa,
    };
    let u32s = |number: u8| vec![number, 0, 0, 0];
    let u64s = |number: u8| vec![number, 0, 0, 0, 0, 0, 0, 0];
    [
        (
            "prefix",
            (
                prefix(3),
                vec![
                    ("magic", b"MU3\x01".to_vec()),
                    ("suite", vec![1]),
                    ("kind", vec![3]),
                    ("flags", vec![0; 2]),
                ],
            ),
        ),
        (
            "init-header",
            (
                header.encode(),
                vec![
                    ("prefix", prefix(2)),
                    ("prekey id", u32s(0x21)),
                    ("one-time id", u32s(0x22)),
                    ("wrapping id", u32s(0x23)),
                    ("ephemeral", dh_bytes.clone()),
                    ("wrapped", vec![0x24; 384]),
                ],
            ),
        ),
        (
            "sender-block",
            (
                block.encode(),
                vec![
                    ("client id", vec![0x66; 16]),
                    ("identity", rsa_bytes.clone()),
                    ("signature", signature_bytes.clone()),
                ],
            ),
        ),
        (
            "offer",
            (
                Offer { content, signature }.encode(),
                vec![
                    ("prefix", prefix(1)),
                    ("from", vec![0x66; 16]),
                    ("to", vec![0x77; 16]),
                    ("offer id", u32s(0x25)),
                    ("key", dh_bytes.clone()),
                    ("issued", u64s(0x26)),
                    ("identity", rsa_bytes.clone()),
                    ("signature", signature_bytes.clone()),
                ],
            ),
        ),
        (
            "msg-header",
            (
                msg.encode(),
                vec![
                    ("prefix", prefix(3)),
                    ("session id", vec![0x27; 16]),
                    ("ratchet", dh_bytes.clone()),
                    ("previous count", u32s(0x28)),
                    ("number", u32s(0x29)),
                ],
            ),
        ),
        (
            "bundle",
            (
                Bundle { content: bundle, signature }.encode(),
                vec![
                    ("suite", vec![1]),
                    ("minimum dialect", vec![3]),
                    ("epoch", u64s(0x31)),
                    ("issued", u64s(0x32)),
                    ("expires", u64s(0x33)),
                    ("prekey id", u32s(0x34)),
                    ("prekey", dh_bytes),
                    ("wrapping id", u32s(0x35)),
                    ("wrapping key", vec![0x36; 422]),
                    ("identity", rsa_bytes),
                    ("signature", signature_bytes),
                ],
            ),
        ),
    ]
}

fn contents() -> [(&'static str, Layout); 3] {
    let frame = Frame {
        body_type: BodyType::TEXT,
        sent: UnixMillis(0x41),
        message_id: EnvelopeId([0x42; 16]),
        body: b"Hello, Bob!".to_vec(),
    };
    let manifest = Manifest {
        file_id: FileId([0x43; 16]),
        file_key: FileKey([0x44; 64]),
        size: FileSize::new(0x0001_0001).unwrap(),
        tags: Digest([0x45; 32]),
        name: FileName::new("note.txt").unwrap(),
    };
    let (identity, by_old, _) = keys();
    let by_new = Signature([0x46; 384]);
    let notice = SuccessionNotice { issued: UnixSeconds(0x47), identity, by_old, by_new };
    let said = Control::Succession(Box::new(notice)).encode();
    assert_eq!(said[0], 2, "the kind, in front");
    [
        (
            "succession-notice",
            (
                said[1..].to_vec(),
                vec![
                    ("issued", vec![0x47, 0, 0, 0, 0, 0, 0, 0]),
                    ("identity", vec![0x81; 422]),
                    ("by old", vec![0x82; 384]),
                    ("by new", vec![0x46; 384]),
                ],
            ),
        ),
        (
            "frame",
            (
                frame.encode().unwrap().to_vec(),
                vec![
                    ("type", vec![3]),
                    ("flags", vec![0]),
                    ("sent", vec![0x41, 0, 0, 0, 0, 0, 0, 0]),
                    ("message id", vec![0x42; 16]),
                    ("size", vec![11, 0, 0, 0]),
                    ("body", b"Hello, Bob!".to_vec()),
                    ("zeros", vec![0; 214]),
                ],
            ),
        ),
        (
            "manifest",
            (
                manifest.encode().to_vec(),
                vec![
                    ("file id", vec![0x43; 16]),
                    ("file key", vec![0x44; 64]),
                    ("size", vec![1, 0, 1, 0, 0, 0, 0, 0]),
                    ("chunks", vec![2, 0, 0, 0]),
                    ("tags", vec![0x45; 32]),
                    ("name", b"note.txt".to_vec()),
                ],
            ),
        ),
    ]
}

fn requests() -> [(&'static str, Layout); 3] {
    let proof = Proof {
        binding_type: BindingType::SERVER_KEY,
        binding: Binding([0x51; 32]),
        client_nonce: ClientNonce([0x52; 16]),
        signature: Signature([0x53; 384]),
    };
    let request = encode_request(FROM, Tag(0x54), &Request::from(authenticate::Request { proof }));
    let stored = put_chunk::Response { file_id: FileId([0x55; 16]), index: 0, status: StoreStatus::STORED };
    let response = encode_response(Tag(0x54), &Ok(Response::from(stored)));
    [
        (
            "request-header",
            (
                request[..27].to_vec(),
                vec![
                    ("client id", vec![0x66; 16]),
                    ("version", vec![3]),
                    ("code", 3001_u16.to_le_bytes().to_vec()),
                    ("size", 433_u32.to_le_bytes().to_vec()),
                    ("tag", vec![0x54, 0, 0, 0]),
                ],
            ),
        ),
        (
            "response-header",
            (
                response[..11].to_vec(),
                vec![
                    ("version", vec![3]),
                    ("code", 4030_u16.to_le_bytes().to_vec()),
                    ("size", 21_u32.to_le_bytes().to_vec()),
                    ("tag", vec![0x54, 0, 0, 0]),
                ],
            ),
        ),
        (
            "proof",
            (
                request[27..].to_vec(),
                vec![
                    ("binding type", vec![2]),
                    ("binding", vec![0x51; 32]),
                    ("client nonce", vec![0x52; 16]),
                    ("signature", vec![0x53; 384]),
                ],
            ),
        ),
    ]
}

#[test]
fn every_field_of_every_layout_stands_where_its_table_says() {
    let layouts = layouts();
    let tables = SPEC.split("<!-- layout: ").skip(1).map(|behind| behind.split(" -->").next().unwrap());
    assert_eq!(tables.collect::<BTreeSet<_>>(), layouts.keys().copied().collect());
    for (name, (bytes, fields)) in layouts {
        let rows = table(&format!("layout: {name}"));
        assert_eq!(rows.len(), fields.len(), "{name}");
        let mut end = 0;
        for (row, (field, expected)) in rows.iter().zip(fields) {
            let what = format!("{name}, {field}");
            let size = expected.len();
            assert_eq!(row[..2], [end.to_string(), size.to_string()], "{what}");
            assert_eq!(row[3], field, "{what}");
            let width = match row[2] {
                "u8" => 1,
                "u16" => 2,
                "u32" => 4,
                "u64" => 8,
                "bytes" => size,
                other => panic!("{what}: no type {other}"),
            };
            assert_eq!(size, width, "{what}: type");
            assert_eq!(bytes[end..end + size], expected, "{what}: bytes");
            end += size;
        }
        assert_eq!(end, bytes.len(), "{name}: the table ends before the structure");
    }
}

#[test]
fn the_table_of_operations_is_the_operations_table() {
    let rows = table("table: modern-operations");
    assert_eq!(rows.len(), Operation::ALL.len());
    for (row, operation) in rows.iter().zip(Operation::ALL) {
        let codes = operation.codes();
        assert_eq!(codes.response, codes.request + 1000);
        let who = if operation.is_for_clients() { "client" } else { "anybody" };
        assert_eq!(row[..3], [codes.request.to_string().as_str(), operation.name(), who]);
        let most = [row[4], row[6]].map(|most| most.parse::<usize>().unwrap());
        assert_eq!(most, [operation.request_max(), operation.response_max()], "{}", operation.name());
        assert_eq!(row[7], operation.meaning());
    }
}

#[test]
fn the_tables_of_errors_contexts_and_body_types_are_complete() {
    let errors = ErrorCode::ALL.iter().map(|code| {
        vec![code.0.to_string(), format!("`{}`", code.name().unwrap()), code.meaning().unwrap().to_owned()]
    });
    assert_eq!(table("table: modern-errors"), errors.collect::<Vec<_>>());
    let contexts = Context::ALL.map(|context| {
        let text = std::str::from_utf8(context.as_bytes()).unwrap().trim_end_matches('\0');
        format!("`{text}`")
    });
    let said: Vec<_> = table("table: contexts").iter().map(|row| row[0]).collect();
    assert_eq!(said, contexts);
    for row in table("table: body-types") {
        assert_eq!(BodyType(row[0].parse().unwrap()).to_string(), row[1]);
    }
}

/// Every test that the security considerations name is there.
#[test]
fn what_is_said_to_be_held_is_held_by_tests() {
    let folders = ["../envelope/tests", "../proptests/tests"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let files =
        folders.iter().flat_map(|folder| folder.read_dir().unwrap()).map(|entry| entry.unwrap().path());
    let sources: String =
        files.filter(|file| file.is_file()).map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let rows = table("table: held-by");
    assert!(!rows.is_empty());
    for row in rows {
        for name in row[1].split(", ").map(|name| name.trim_matches('`')) {
            assert!(sources.contains(&format!("fn {name}(")), "{}: no test {name}", row[0]);
        }
    }
}
