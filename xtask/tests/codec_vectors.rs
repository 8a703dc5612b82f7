//! `vectors/codec/` is what the tables and the form make: of every operation in every dialect, and of every envelope, good
//! bytes and such with one fault each. `MESSAGEU_WRITE_VECTORS=1 cargo test -p xtask --test codec_vectors` writes it anew.
//!
//! What a vector expects is what the wire says, and the form has to agree in version 3; `vectors/tests/codec.rs` holds the
//! wire to what is committed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod interpreter;
mod random;

use std::collections::BTreeSet;
use std::fs;

use arbitrary::{Arbitrary, Unstructured};
use interpreter::{Interpreter, Mark, Marked};
use messageu_vectors::Hex;
use messageu_vectors::codec::{CodecFile, CodecVector, Edit, Expectation, Patched, Reading, Source};
use messageu_wire::dialect::Dialect;
use messageu_wire::fields::{ClientId, MessageId, Name, NameField, PublicKey};
use messageu_wire::message::{CONTENT_MAX, MessageType};
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::{
    REQUEST_HEADER_SIZE, RESPONSE_HEADER_SIZE, encode_request, encode_response,
};
use messageu_wire::modern::operation::{
    acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession, hello,
    look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
    verify_registration,
};
use messageu_wire::modern::{self, Refusal};
use messageu_wire::operation as classic;
use messageu_wire::operations::{Operation, Request, Response};
use random::Random;

const ALICE: ClientId = ClientId(*b"\xa1\xc3\xe5\xf7\x1b\x2d\x4f\x6a\x8c\x9e\xb0\xd2\xf4\xa6\x81\x17");
const BOB: ClientId = ClientId(*b"\xb0\xb1\xc2\xd3\xe4\xf5\x46\x37\x98\xa9\xba\xcb\xdc\xed\xfe\x0f");

/// A file that is being written.
struct Book {
    file: CodecFile,
    ids: BTreeSet<String>,
}

/// A good vector, on which patches are put.
struct Base {
    id: String,
    read: Reading,
    bytes: Vec<u8>,
    requirements: Vec<&'static str>,
}

impl Book {
    fn new(dialect: &str) -> Self {
        Self { file: CodecFile { dialect: dialect.to_owned(), vectors: Vec::new() }, ids: BTreeSet::new() }
    }

    fn add(
        &mut self,
        name: &str,
        what: &str,
        requirements: &[&str],
        read: &Reading,
        bytes: Source,
        whole: &[u8],
    ) {
        let expect = read.of(&self.file.dialect, whole);
        let id = format!("{}/{name}", self.file.dialect);
        assert!(self.ids.insert(id.clone()), "{id} is there twice");
        let requirements = requirements.iter().map(|id| (*id).to_owned()).collect();
        let (what, read) = (what.to_owned(), read.clone());
        self.file.vectors.push(CodecVector { id, what, requirements, read, bytes, expect });
    }

    /// Bytes that are accepted.
    fn good(
        &mut self,
        name: &str,
        what: &str,
        requirements: &[&'static str],
        read: Reading,
        bytes: Vec<u8>,
    ) -> Base {
        self.add(name, what, requirements, &read, Source::Whole(Hex(bytes.clone())), &bytes);
        let vector = self.file.vectors.last().unwrap();
        assert!(matches!(vector.expect, Expectation::Accept { .. }), "{vector:?}");
        Base { id: vector.id.clone(), read, bytes, requirements: requirements.to_vec() }
    }

    /// The same bytes with a change.
    fn changed(
        &mut self,
        base: &Base,
        name: &str,
        what: &str,
        requirements: &[&'static str],
        patch: Vec<Edit>,
    ) {
        let patched = Patched { base: base.id.clone(), patch };
        let bytes = patched.apply(&base.bytes);
        assert_ne!(bytes, base.bytes, "{} {name}", base.id);
        let (_, stem) = base.id.split_once(&format!("{}/", self.file.dialect)).unwrap();
        let requirements = if requirements.is_empty() { &base.requirements } else { requirements };
        let (name, source) = (format!("{stem}/{name}"), Source::Patched(patched));
        self.add(&name, what, requirements, &base.read.clone(), source, &bytes);
    }
}

fn put(at: usize, bytes: &[u8]) -> Edit {
    Edit { at, remove: bytes.len(), insert: Hex(bytes.to_vec()) }
}

fn little(number: u64, size: usize) -> Vec<u8> {
    number.to_le_bytes()[..size].to_vec()
}

// The classic dialects

/// Where the code stands in a request's header, whichever its size.
const CODE_AT: usize = 17;

fn key(seed: &str) -> PublicKey {
    PublicKey(Random::new(seed).bytes(160).try_into().unwrap())
}

fn name_field(name: &str) -> NameField {
    NameField::from(&Name::new(name).unwrap())
}

/// Where a dialect's fields stand.
struct Places {
    dialect: Dialect,
    header: usize,
}

impl Places {
    fn number(&self, number: u32) -> Vec<u8> {
        match self.dialect.profile.byte_order {
            messageu_wire::dialect::ByteOrder::Little => number.to_le_bytes().to_vec(),
            messageu_wire::dialect::ByteOrder::Big => number.to_be_bytes().to_vec(),
        }
    }

    fn declared(&self, number: u32) -> Edit {
        put(self.header - 4, &self.number(number))
    }
}

fn classic_request(
    book: &mut Book,
    dialect: Dialect,
    name: &str,
    what: &str,
    version: u8,
    request: impl Into<Request>,
    content: &[u8],
) -> Option<Base> {
    let request = request.into();
    let operation = request.operation();
    let mut bytes = dialect.encode_request(version, ALICE, &request)?;
    bytes.extend_from_slice(content);
    let tail = dialect.request_tail(operation, bytes.len() as u64);
    bytes.resize(bytes.len() + tail, 0);
    let requirements: &[_] = match operation {
        Operation::Register => &["REQ-FRAME-2", "REQ-HEAD-2", "REQ-REG-1"],
        Operation::SendMessage => &["REQ-FRAME-2", "REQ-HEAD-2", "REQ-REC-3", "REQ-SEND-3"],
        _ => &["REQ-FRAME-2", "REQ-HEAD-2", "REQ-REC-3"],
    };
    let read = Reading::Request(operation.name().to_owned());
    Some(book.good(&format!("{operation}/request/{name}"), what, requirements, read, bytes))
}

fn classic_requests(book: &mut Book, dialect: Dialect) {
    let header = dialect.request_header_size();
    let places = Places { dialect, header };
    let tail = |base: &Base, size: usize| base.bytes.len() - size;
    let registration = |name: NameField| classic::register::Request { name, public_key: key("alice") };

    let longest = "x".repeat(254);
    classic_request(
        book,
        dialect,
        "longest-name",
        "a name of 254 characters",
        2,
        registration(name_field(&longest)),
        &[],
    );
    classic_request(
        book,
        dialect,
        "shortest-name",
        "a name of one character",
        1,
        registration(name_field("~")),
        &[],
    );
    let base =
        classic_request(book, dialect, "plain", "alice", 2, registration(name_field("alice")), &[]).unwrap();
    let name_faults: [(&str, &str, Vec<u8>); 5] = [
        ("no-name", "the name field begins with its NUL", vec![0]),
        ("control-character", "the name has the character 1f", vec![0x1f]),
        ("delete-character", "the name has the character 7f", vec![0x7f]),
        ("high-character", "the name has the byte 80", vec![0x80]),
        ("endless-name", "the name field has no NUL", vec![b'x'; 255]),
    ];
    for (name, what, bytes) in name_faults {
        book.changed(&base, name, what, &["REQ-REG-2", "REQ-SRV-2", "REQ-PROF-3"], vec![put(header, &bytes)]);
    }
    sizes(book, &base, &places, 415);
    let start = put(CODE_AT, &[0xee]);
    book.changed(
        &base,
        "unknown-code",
        "the code is that of no operation",
        &["REQ-EXT-1", "REQ-REC-5"],
        vec![start],
    );
    let last = tail(&base, 1);
    let cut = vec![Edit { at: header + 414, remove: last - (header + 414) + 1, insert: Hex::default() }];
    book.changed(
        &base,
        "cut",
        "the last byte of the payload has not come",
        &["REQ-FRAME-4", "REQ-FRAME-16"],
        cut,
    );
    let cut = vec![Edit { at: header - 1, remove: last + 2 - header, insert: Hex::default() }];
    book.changed(
        &base,
        "cut-header",
        "the last byte of the header has not come",
        &["REQ-FRAME-4", "REQ-FRAME-16"],
        cut,
    );

    for (version, name) in [(1, "version-1"), (2, "version-2")] {
        let what = format!("version {version}");
        if let Some(base) =
            classic_request(book, dialect, name, &what, version, classic::list_clients::Request, &[])
        {
            sizes(book, &base, &places, 0);
        }
        if let Some(base) =
            classic_request(book, dialect, name, &what, version, classic::pull_messages::Request, &[])
        {
            sizes(book, &base, &places, 0);
        }
    }
    classic_request(book, dialect, "plain", "an account ends", 2, classic::delete_client::Request, &[]);

    let request = classic::fetch_key::Request { client_id: BOB };
    let base = classic_request(book, dialect, "plain", "bob's key", 2, request, &[]).unwrap();
    sizes(book, &base, &places, 16);
    book.changed(
        &base,
        "declares-nothing",
        "the header declares 0 bytes, and 16 follow",
        &["REQ-REC-4"],
        vec![places.declared(0)],
    );

    sends(book, &places);
}

fn sends(book: &mut Book, places: &Places) {
    let (dialect, header) = (places.dialect, places.header);
    let layout = dialect.profile.send.size();
    let contents = [
        (1, 0, "key request"),
        (2, 128, "key"),
        (3, 16, "text"),
        (4, 1000, "file"),
        (3, 1, "text of one byte"),
    ];
    for (kind, size, what) in contents {
        let request = classic::send_message::Request { to: BOB, kind: MessageType(kind), size };
        let content = Random::new(what).bytes(size as usize);
        let name = what.replace(' ', "-");
        let Some(base) = classic_request(book, dialect, &name, &format!("a {what}"), 2, request, &content)
        else {
            continue;
        };
        let declared = layout as u32 + size;
        if what == "key request" {
            let garbage = vec![places.declared(0x8130_008b)];
            book.changed(
                &base,
                "declares-garbage",
                "the header of an empty key request declares garbage",
                &["REQ-REC-4"],
                garbage,
            );
        }
        if what != "text" {
            continue;
        }
        sizes(book, &base, places, declared);
        let more = vec![places.declared(declared + 3)];
        book.changed(
            &base,
            "declares-three-more",
            "the header declares three bytes more than there are",
            &["REQ-REC-4"],
            more,
        );
        let (kind_at, size_at) = match dialect.profile.send {
            classic::send_message::SendLayout::Packed => (header + 16, header + 17),
            classic::send_message::SendLayout::SizeBeforeType => (header + 20, header + 16),
            classic::send_message::SendLayout::Aligned => (header + 16, header + 20),
        };
        for (kind, name, what) in
            [(0u8, "type-0", "the type below the first"), (5, "type-5", "the type above the last")]
        {
            let kind = dialect.profile.sent_types.to_wire(MessageType(kind));
            book.changed(&base, name, what, &["REQ-SEND-1", "REQ-SRV-2"], vec![put(kind_at, &[kind.0])]);
        }
        let end = header + layout + size as usize;
        let cut = vec![Edit { at: end - 1, remove: base.bytes.len() + 1 - end, insert: Hex::default() }];
        book.changed(
            &base,
            "cut",
            "the last byte of the content has not come",
            &["REQ-FRAME-4", "REQ-FRAME-16"],
            cut,
        );
        for (claimed, name, what) in [
            (
                CONTENT_MAX,
                "largest-content",
                "a content of the largest size is announced, and little of it has come",
            ),
            (CONTENT_MAX + 1, "too-large-content", "a content above the largest size is announced"),
            (0, "content-of-none", "a content of 0 bytes, behind which others stand"),
        ] {
            let total = claimed.wrapping_add(layout as u32);
            let edits = match claimed {
                0 => vec![
                    places.declared(total),
                    put(size_at, &places.number(0)),
                    Edit {
                        at: header + layout,
                        remove: base.bytes.len() - header - layout,
                        insert: Hex::default(),
                    },
                ],
                _ => vec![places.declared(total), put(size_at, &places.number(claimed))],
            };
            let what = if claimed == 0 { "a content of 0 bytes" } else { what };
            book.changed(&base, name, what, &["REQ-LIM-2", "REQ-FRAME-13"], edits);
        }
    }
}

/// Declared sizes around the right one.
fn sizes(book: &mut Book, base: &Base, places: &Places, right: u32) {
    let faults = [
        (right.checked_sub(1), "size-less-one", "the header declares a byte less than there is"),
        (Some(right + 1), "size-and-one", "the header declares a byte more than there is"),
        (Some(u32::MAX), "size-largest", "the header declares the largest size there is"),
        (Some(0).filter(|_| right > 16), "size-none", "the header declares nothing"),
    ];
    for (size, name, what) in faults {
        if let Some(size) = size {
            book.changed(base, name, what, &["REQ-HEAD-3", "REQ-REC-5"], vec![places.declared(size)]);
        }
    }
}

fn classic_response(
    book: &mut Book,
    dialect: Dialect,
    name: &str,
    what: &str,
    response: impl Into<Response>,
) {
    let response = response.into();
    let operation = response.operation();
    let Some(bytes) = dialect.encode_response(&response, ALICE) else { return };
    let read = Reading::Response { operation: operation.name().to_owned(), asker: Some(ALICE.into()) };
    let base =
        book.good(&format!("{operation}/response/{name}"), what, &["REQ-CODE-1", "REQ-PROF-1"], read, bytes);
    let header = dialect.profile.header.response_size();
    let places = Places { dialect, header };
    let echo =
        if dialect.profile.echoes_asker(operation.codes(dialect.family).unwrap().response) { 16 } else { 0 };
    let mut payload = Vec::new();
    response.encode(dialect.profile, ALICE, &mut payload);
    let end = header + echo + payload.len();
    if !payload.is_empty() {
        let cut = vec![Edit { at: end - 1, remove: base.bytes.len() + 1 - end, insert: Hex::default() }];
        book.changed(&base, "cut", "the last byte of the payload has not come", &["REQ-CLI-9"], cut);
    }
    if name != "plain" {
        return;
    }
    let code_at = header - 6;
    let other = operation.codes(dialect.family).unwrap().response ^ 0x40;
    let other = match dialect.profile.byte_order {
        messageu_wire::dialect::ByteOrder::Little => other.to_le_bytes(),
        messageu_wire::dialect::ByteOrder::Big => other.to_be_bytes(),
    };
    let code_at = if dialect.profile.header.response_size() == 8 { code_at } else { 1 };
    book.changed(
        &base,
        "other-code",
        "the code is not what was asked for",
        &["REQ-CLI-9", "REQ-CODE-2"],
        vec![put(code_at, &other)],
    );
    let declared = u32::try_from(payload.len()).unwrap();
    for (size, name, what) in [
        (declared + 1, "size-and-one", "a byte more is declared than comes"),
        (u32::MAX, "size-largest", "the largest size is declared"),
    ] {
        book.changed(&base, name, what, &["REQ-CLI-9"], vec![places.declared(size)]);
    }
}

fn classic_responses(book: &mut Book, dialect: Dialect) {
    classic_response(book, dialect, "plain", "bob's id", classic::register::Response { client_id: BOB });
    let client = |id: u8, name: &str| classic::list_clients::Entry {
        client_id: ClientId([id; 16]),
        name: name_field(name),
    };
    let clients = vec![client(0x21, "bob"), client(0x42, "carol"), client(0x63, &"y".repeat(254))];
    classic_response(
        book,
        dialect,
        "nobody",
        "there is nobody else",
        classic::list_clients::Response { clients: Vec::new() },
    );
    classic_response(
        book,
        dialect,
        "one",
        "one other user",
        classic::list_clients::Response { clients: clients[..1].to_vec() },
    );
    classic_response(
        book,
        dialect,
        "plain",
        "three other users",
        classic::list_clients::Response { clients },
    );
    let owner = (dialect.profile.key == classic::fetch_key::KeyLayout::OwnersId).then_some(BOB);
    classic_response(
        book,
        dialect,
        "plain",
        "bob's key",
        classic::fetch_key::Response { client_id: owner, public_key: key("bob") },
    );
    let receipts = [("plain", 7), ("first", 1), ("last", u32::MAX)];
    for (name, number) in receipts {
        // What a profile leaves out, its clients do not hear.
        let whole = classic::send_message::Response { to: Some(BOB), message_id: Some(MessageId(number)) };
        let mut bytes = Vec::new();
        Response::from(whole).encode(dialect.profile, ALICE, &mut bytes);
        if let Ok(said) = Response::decode(Operation::SendMessage, &bytes, dialect.profile) {
            classic_response(book, dialect, name, &format!("message {number} is accepted"), said);
        }
    }
    let message = |number: u32, kind: u8, size: usize| classic::pull_messages::Message {
        from: BOB,
        message_id: Some(MessageId(number)),
        kind: MessageType(kind),
        content: Random::new("content").bytes(size),
    };
    let pulls = [
        ("nothing", "nothing waits", Vec::new()),
        ("one", "a text", vec![message(3, 3, 16)]),
        (
            "plain",
            "a key, a text and a file",
            vec![message(1, 2, 128), message(2, 3, 48), message(9, 4, 300)],
        ),
    ];
    for (name, what, messages) in pulls {
        let whole = Response::from(classic::pull_messages::Response { messages });
        let mut bytes = Vec::new();
        whole.encode(dialect.profile, ALICE, &mut bytes);
        if let Ok(said) = Response::decode(Operation::PullMessages, &bytes, dialect.profile) {
            classic_response(book, dialect, name, what, said);
        }
    }
    classic_response(book, dialect, "plain", "the account has ended", classic::delete_client::Response);
    let read = Reading::Response { operation: "list_clients".into(), asker: Some(ALICE.into()) };
    book.good("refusal", "a refusal", &["REQ-SRV-2", "REQ-CODE-1"], read, dialect.encode_refusal(ALICE));
}

// Version 3

/// Values of a type that are the same in every run.
fn values<T: for<'a> Arbitrary<'a>>(name: &str, count: usize) -> Vec<T> {
    let mut random = Random::new(name);
    let one = |number| {
        let seed = random.bytes(if number == 0 { 40 } else { 1_500 });
        T::arbitrary(&mut Unstructured::new(&seed)).unwrap()
    };
    (0..count).map(one).collect()
}

fn modern_frame(book: &mut Book, name: &str, read: Reading, bytes: Vec<u8>, (r#type, max): (&str, u64)) {
    let is_request = matches!(read, Reading::Request(_));
    let header = if is_request { REQUEST_HEADER_SIZE } else { RESPONSE_HEADER_SIZE };
    let (size_at, version_at) = (header - 8, header - 11);
    let payload = bytes.len() - header;
    let interpreter = Interpreter::committed();
    let marks = interpreter.marks(r#type, &bytes[header..]);
    let base = book.good(name, "good", &["REQ-MGEN-1", "REQ-MTLS-4"], read, bytes);
    let declared = |size: u64| put(size_at, &little(size, 4));
    let is_plain = name.ends_with("/2");

    if is_plain {
        for version in [2, 4] {
            let what = format!("version {version}");
            book.changed(
                &base,
                &format!("version-{version}"),
                &what,
                &["REQ-MTLS-5"],
                vec![put(version_at, &[version])],
            );
        }
        book.changed(
            &base,
            "size-above-its-most",
            "the header declares more than the operation has",
            &["REQ-MTLS-5", "REQ-MGEN-2"],
            vec![declared(max + 1)],
        );
        book.changed(
            &base,
            "unknown-code",
            "the code is that of no operation",
            &["REQ-MOP-6", "REQ-MTLS-5"],
            vec![put(version_at + 1, &[0xff, 0xff])],
        );
        let cut = vec![Edit { at: header - 1, remove: payload + 1, insert: Hex::default() }];
        book.changed(&base, "cut-header", "the last byte of the header has not come", &["REQ-MGEN-1"], cut);
    }
    if payload > 0 {
        let last = header + payload - 1;
        let cut = Edit { at: last, remove: 1, insert: Hex::default() };
        book.changed(&base, "cut", "the last byte has not come", &["REQ-MGEN-1"], vec![cut.clone()]);
        book.changed(
            &base,
            "payload-less-one",
            "the payload lacks its last byte",
            &[],
            vec![declared(payload as u64 - 1), cut],
        );
    }
    if (payload as u64) < max {
        let more = Edit { at: header + payload, remove: 0, insert: Hex(vec![0]) };
        book.changed(
            &base,
            "payload-and-one",
            "a byte stands behind the payload",
            &[],
            vec![declared(payload as u64 + 1), more],
        );
    }
    if payload > 0 && max > payload as u64 {
        book.changed(
            &base,
            "more-to-come",
            "the header declares a byte more, which has not come",
            &["REQ-MGEN-1"],
            vec![declared(payload as u64 + 1)],
        );
    }
    faults(book, &base, header, &marks);
}

/// A fault in each field that may decide: every size and count at 0, 1, its most and above; numbers; zeros; texts.
fn faults(book: &mut Book, base: &Base, start: usize, marks: &[Mark]) {
    let mut done = BTreeSet::new();
    for Mark { at, size, field, of } in marks {
        let place = start + at;
        let here = &base.bytes[place..place + size];
        let fault = |book: &mut Book, name: &str, what: &str, bytes: &[u8]| {
            if bytes != here {
                book.changed(
                    base,
                    &format!("{field}/{name}"),
                    &format!("{field}: {what}"),
                    &[],
                    vec![put(place, bytes)],
                );
            }
        };
        // Of a list's items, the first.
        if !done.insert((field, format!("{of:?}"))) {
            continue;
        }
        match of {
            Marked::Count { min, max } => {
                let most = 1u128 << (8 * size);
                let counts = [
                    ("none", 0),
                    ("one", 1),
                    ("most", *max),
                    ("above", max + 1),
                    ("below", min.saturating_sub(1)),
                ];
                let mut tried = BTreeSet::new();
                for (name, count) in counts {
                    if u128::from(count) < most && tried.insert(count) {
                        fault(book, name, &format!("{count} are announced"), &little(count, *size));
                    }
                }
            }
            Marked::Number if *size <= 2 => {
                let mut flipped = here.to_vec();
                flipped[0] ^= 1;
                fault(book, "other", "another number", &flipped);
                fault(book, "largest", "the largest number", &vec![0xff; *size]);
            }
            Marked::Number => fault(book, "largest", "the largest number", &vec![0xff; *size]),
            Marked::Zeros if *size > 0 => {
                let mut bytes = here.to_vec();
                bytes[size - 1] = 1;
                fault(book, "not-zero", "a byte that has to be 0 is 1", &bytes);
            }
            Marked::Text if *size > 0 => {
                let mut bytes = here.to_vec();
                bytes[0] = 0x1f;
                fault(book, "control-character", "the text begins with the character 1f", &bytes);
                bytes[0] = 0xff;
                fault(book, "no-character", "the text begins with the byte ff", &bytes);
            }
            Marked::Zeros | Marked::Text => {}
        }
    }
}

macro_rules! modern_payloads {
    (
        classic $classic:tt
        modern { $($operation:ident $module:ident $codes:tt $who:ident $meaning:literal;)* }
    ) => {
        fn modern_frames(book: &mut Book) {
            let spec = Interpreter::committed().spec;
            $({
                let row = &spec.modern.operations[modern::Operation::$operation as usize];
                let name = row.name.as_str();
                let requests = values::<$module::Request>(&format!("{name} request"), 2);
                for (number, request) in requests.into_iter().enumerate() {
                    let bytes = encode_request(ALICE, Tag(0x0102_0304), &request.into());
                    let read = Reading::Request(name.to_owned());
                    let id = format!("{name}/request/{}", number + 1);
                    modern_frame(book, &id, read, bytes, (&row.request.r#type, row.request.max));
                }
                let responses = values::<$module::Response>(&format!("{name} response"), 2);
                for (number, response) in responses.into_iter().enumerate() {
                    let bytes = encode_response(Tag(0x0102_0304), &Ok(response.into()));
                    let read = Reading::Response { operation: name.to_owned(), asker: None };
                    let id = format!("{name}/response/{}", number + 1);
                    modern_frame(book, &id, read, bytes, (&row.response.r#type, row.response.max));
                }
            })*
            let refusal = &spec.modern.refusal;
            for error in 1..=15 {
                let answer = Refusal { error: modern::ErrorCode(error), retry_after_s: u32::from(error) - 1 };
                let bytes = encode_response(Tag(u32::from(error)), &Err(answer));
                let read = Reading::Response { operation: "look_up".to_owned(), asker: None };
                modern_frame(book, &format!("refusal/{error}"), read, bytes, (&refusal.r#type, refusal.max));
            }
        }
    };
}

messageu_wire::operations!(modern_payloads);

fn unhex(value: &serde_json::Value) -> Vec<u8> {
    serde_json::from_value::<Hex>(value.clone()).unwrap().to_vec()
}

/// Envelopes and what is in them: out of the vectors of version 3, with a fault each.
fn formats(book: &mut Book) {
    let folder = xtask::root().join("vectors/modern");
    let read = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
    };
    let places = [
        ("bundle", "bundles.json", "/bundles/0/bundle"),
        ("offer", "offer.json", "/envelope"),
        ("init", "inits.json", "/inits/0/envelope"),
        ("init", "inits.json", "/inits/1/envelope"),
        ("sender_block", "inits.json", "/inits/0/steps/sender_block"),
        ("msg", "session.json", "/messages/0/envelope"),
        ("manifest", "file.json", "/manifest"),
        ("chunk", "file.json", "/chunk"),
    ];
    let mut bases: Vec<(&str, Vec<u8>)> =
        places.iter().map(|(name, file, place)| (*name, unhex(read(file).pointer(place).unwrap()))).collect();
    for frame in values::<messageu_wire::envelope::frame::Frame>("plaintexts", 2) {
        bases.push(("plaintext", frame.encode().unwrap().to_vec()));
    }
    let introduction = messageu_wire::envelope::control::Control::Introduction(Name::new("alice").unwrap());
    bases.push(("introduction", introduction.encode().to_vec()));
    let interpreter = Interpreter::committed();
    for (number, (name, bytes)) in bases.into_iter().enumerate() {
        let marks = interpreter.marks_of_format(name, &bytes);
        let (id, size) = (format!("format/{name}/{}", number + 1), bytes.len());
        let base = book.good(&id, "good", &["REQ-MGEN-1"], Reading::Format(name.to_owned()), bytes);
        book.changed(
            &base,
            "cut",
            "its last byte is missing",
            &[],
            vec![Edit { at: size - 1, remove: 1, insert: Hex::default() }],
        );
        book.changed(
            &base,
            "empty",
            "all of it is missing",
            &[],
            vec![Edit { at: 0, remove: size, insert: Hex::default() }],
        );
        book.changed(
            &base,
            "longer",
            "a byte stands behind it",
            &[],
            vec![Edit { at: size, remove: 0, insert: Hex(vec![0]) }],
        );
        faults(book, &base, 0, &marks);
    }
}

/// All files, by their names.
fn made() -> Vec<(String, CodecFile)> {
    let mut books: Vec<Book> = Dialect::all()
        .map(|dialect| {
            let mut book = Book::new(&dialect.to_string());
            classic_requests(&mut book, dialect);
            classic_responses(&mut book, dialect);
            book
        })
        .collect();
    let mut book = Book::new("3");
    modern_frames(&mut book);
    formats(&mut book);
    books.push(book);
    books
        .into_iter()
        .map(|book| (format!("{}.json", book.file.dialect.replace('/', "-")), book.file))
        .collect()
}

#[test]
fn what_is_committed_is_what_the_tables_and_the_form_make() {
    let folder = xtask::root().join("vectors/codec");
    let made: Vec<(String, String)> = made()
        .into_iter()
        .map(|(name, file)| (name, serde_json::to_string_pretty(&file).unwrap() + "\n"))
        .collect();
    if std::env::var_os("MESSAGEU_WRITE_VECTORS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        made.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }
    let entries =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = entries.collect();
    assert_eq!(names, made.iter().map(|(name, _)| name.clone()).collect());
    for (name, text) in made {
        assert!(
            fs::read_to_string(folder.join(&name)).unwrap() == text,
            "{name} is stale: see the top of this test"
        );
    }
}

#[test]
fn the_form_agrees_with_every_format_and_payload() {
    let interpreter = Interpreter::committed();
    let modern = &interpreter.spec.modern;
    let (mut accepted, mut rejected) = (0, 0);
    let files = messageu_vectors::codec::codec_files();
    let file = files.iter().find(|file| file.dialect == "3").unwrap();
    for (vector, bytes) in file.with_bytes() {
        let order = messageu_wire::spec::ByteOrder::Little;
        let row = |operation: &str| modern.operations.iter().find(|row| row.name == operation).unwrap();
        let (header, r#type) = match &vector.read {
            Reading::Format(name) => {
                let read = interpreter.format(name, &bytes).is_ok();
                assert_eq!(read, matches!(vector.expect, Expectation::Accept { .. }), "{}", vector.id);
                (accepted, rejected) = (accepted + usize::from(read), rejected + usize::from(!read));
                continue;
            }
            Reading::Request(operation) => (REQUEST_HEADER_SIZE, &row(operation).request.r#type),
            Reading::Response { .. } if vector.id.starts_with("3/refusal") => {
                (RESPONSE_HEADER_SIZE, &modern.refusal.r#type)
            }
            Reading::Response { operation, .. } => (RESPONSE_HEADER_SIZE, &row(operation).response.r#type),
        };
        let expected = match &vector.expect {
            Expectation::Accept { .. } => true,
            Expectation::Reject { stage: messageu_vectors::codec::Stage::Payload, .. } => false,
            _ => continue,
        };
        let read = interpreter.whole(r#type, &bytes[header..], order).is_ok();
        assert_eq!(read, expected, "{}", vector.id);
        (accepted, rejected) = (accepted + usize::from(read), rejected + usize::from(!read));
    }
    assert!(accepted > 50 && rejected > 150, "{accepted} {rejected}");
}
