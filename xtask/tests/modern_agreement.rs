//! `generated/wire.json` is enough to read version 3: an interpreter that knows nothing else agrees with the wire on
//! generated payloads, frames and envelopes, and on mutated ones: in the verdict, and in every field.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod interpreter;
mod random;

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use interpreter::Interpreter;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::control::Control;
use messageu_wire::envelope::file::{FileKey, FileName, FileSize, Manifest, decode_chunk};
use messageu_wire::envelope::frame::Frame;
use messageu_wire::envelope::init::{Init, SenderBlock};
use messageu_wire::envelope::msg::Msg;
use messageu_wire::envelope::offer::Offer;
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::{RequestReader, ResponseReader, encode_request, encode_response};
use messageu_wire::modern::operation::{
    Payload, acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession,
    hello, look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
    verify_registration,
};
use messageu_wire::modern::{Operation, Refusal, Request, Response};
use messageu_wire::spec::{ByteOrder, Declarations, Type, Value, WireSpec};
use random::{Random, mutated};

/// How many values of each kind, and how many mutants of each.
const VALUES: u64 = 150;
const MUTANTS: usize = 6;

/// How often bytes were accepted and refused.
#[derive(Default, Debug)]
struct Count {
    accepted: usize,
    refused: usize,
}

impl Count {
    /// Holds the two readings of some bytes against each other.
    fn compare<E: Debug>(
        &mut self,
        what: &str,
        bytes: &[u8],
        read: Result<Value, String>,
        known: Result<Value, E>,
    ) {
        match (&read, &known) {
            (Ok(read), Ok(known)) => {
                assert_eq!(read, known, "{what}: the fields of {bytes:02x?}");
                self.accepted += 1;
            }
            (Err(_), Err(_)) => self.refused += 1,
            _ => panic!("{what}: the form says {read:?}, the wire says {known:?}, of {bytes:02x?}"),
        }
    }
}

/// Values of a payload, and mutants of their bytes.
fn payloads_agree<T: Payload + WireSpec + for<'a> Arbitrary<'a>>(
    interpreter: &Interpreter,
    name: &str,
) -> Count {
    let mut count = Count::default();
    let mut random = Random::new(name);
    for _ in 0..VALUES {
        let seed = random.bytes(6_000);
        let value = T::arbitrary(&mut Unstructured::new(&seed)).unwrap();
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        let read = interpreter.whole(name, &bytes, ByteOrder::Little);
        assert_eq!(read.unwrap(), value.value(), "{name}");
        for bytes in mutated(&bytes, MUTANTS, &mut random) {
            let read = interpreter.whole(name, &bytes, ByteOrder::Little);
            count.compare(name, &bytes, read, T::decode(&bytes).map(|value| value.value()));
        }
    }
    count
}

macro_rules! each_payload {
    (
        classic $classic:tt
        modern { $($operation:ident $module:ident $codes:tt $who:ident $meaning:literal;)* }
    ) => {
        #[test]
        fn every_payload_of_the_table_is_read_alike() {
            let interpreter = Interpreter::committed();
            let mut refused = 0;
            $({
                let row = &interpreter.spec.modern.operations[Operation::$operation as usize];
                assert_eq!(row.name, Operation::$operation.name());
                let request = payloads_agree::<$module::Request>(&interpreter, &row.request.r#type);
                let response = payloads_agree::<$module::Response>(&interpreter, &row.response.r#type);
                refused += request.refused + response.refused;
            })*
            payloads_agree::<Refusal>(&interpreter, &interpreter.spec.modern.refusal.r#type);
            assert!(refused > 1_000, "mutants are worth nothing if all are accepted: {refused}");
        }

        fn request_value(request: &Request) -> Value {
            match request {
                $(Request::$operation(payload) => payload.value(),)*
            }
        }

        fn response_value(response: &Response) -> Value {
            match response {
                $(Response::$operation(payload) => payload.value(),)*
            }
        }
    };
}

messageu_wire::operations!(each_payload);

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let Value::Structure(fields) = value else { panic!("{value:?} has no fields") };
    &fields.iter().find(|(found, _)| found == name).unwrap().1
}

fn number(value: &Value, name: &str) -> u64 {
    let Value::Integer(number) = field(value, name) else { panic!("{name} is no number") };
    *number
}

/// A frame by the form: who asks (in requests), the tag, and the payload.
fn frame(interpreter: &Interpreter, bytes: &[u8], is_request: bool) -> Result<(Value, Value), String> {
    let modern = &interpreter.spec.modern;
    let header = if is_request { &modern.request_header } else { &modern.response_header };
    let size = interpreter.declaration(header).size.min as usize;
    let (head, payload) = bytes.split_at_checked(size).ok_or("too short")?;
    let head = interpreter.whole(header, head, ByteOrder::Little)?;
    if number(&head, "version") != u64::from(modern.version) {
        return Err("another version".into());
    }
    let code = number(&head, "code");
    let rows = modern.operations.iter();
    let mut payloads = rows.map(|row| if is_request { &row.request } else { &row.response });
    let known = payloads.find(|payload| u64::from(payload.code) == code);
    let refusal = Some(&modern.refusal).filter(|refusal| !is_request && u64::from(refusal.code) == code);
    let known = known.or(refusal).ok_or("an unknown code")?;
    let declared = number(&head, "size");
    if declared > known.max || declared != payload.len() as u64 {
        return Err("another size".into());
    }
    interpreter.whole(&known.r#type, payload, ByteOrder::Little).map(|payload| (head, payload))
}

fn request_by_the_wire(bytes: &[u8]) -> Result<(Value, Value), String> {
    let mut reader = RequestReader::new();
    reader.push(bytes);
    let frame = reader.poll().map_err(|error| error.to_string())?.ok_or("not whole")?;
    if reader.is_inside_request() {
        return Err("bytes behind it".into());
    }
    let request = frame.request.map_err(|error| error.to_string())?;
    let head = Value::Structure(vec![
        ("client_id".into(), frame.client_id.value()),
        ("tag".into(), frame.tag.value()),
    ]);
    Ok((head, request_value(&request)))
}

fn response_by_the_wire(bytes: &[u8]) -> Result<(Value, Value), String> {
    let mut reader = ResponseReader::new();
    reader.push(bytes);
    let frame = reader.poll().map_err(|error| error.to_string())?.ok_or("not whole")?;
    if !reader.buffer_mut().is_empty() {
        return Err("bytes behind it".into());
    }
    let payload = match &frame.answer {
        Ok(response) => response_value(response),
        Err(refusal) => refusal.value(),
    };
    Ok((Value::Structure(vec![("tag".into(), frame.tag.value())]), payload))
}

/// The same two, where both have the same fields of the header.
fn same(known: (Value, Value), read: Result<(Value, Value), String>) -> (Result<Value, String>, Value) {
    let (head, payload) = known;
    let Value::Structure(fields) = &head else { panic!("a header has fields") };
    let read = read.map(|(read, payload)| {
        let fields = fields.iter().map(|(name, _)| (name.clone(), field(&read, name).clone()));
        Value::List(vec![Value::Structure(fields.collect()), payload])
    });
    (read, Value::List(vec![head, payload]))
}

#[test]
fn frames_are_read_alike() {
    let interpreter = Interpreter::committed();
    let mut random = Random::new("frames");
    let mut count = Count::default();
    for _ in 0..4 * VALUES {
        let seed = random.bytes(6_000);
        let mut seed = Unstructured::new(&seed);
        let (id, tag) = (ClientId::arbitrary(&mut seed).unwrap(), Tag::arbitrary(&mut seed).unwrap());
        let is_request = bool::arbitrary(&mut seed).unwrap();
        let bytes = if is_request {
            encode_request(id, tag, &Request::arbitrary(&mut seed).unwrap())
        } else {
            let refused = seed.ratio(1, 8).unwrap();
            let response = Response::arbitrary(&mut seed).unwrap();
            encode_response(
                tag,
                &if refused { Err(Refusal::arbitrary(&mut seed).unwrap()) } else { Ok(response) },
            )
        };
        let both = |bytes: &[u8]| {
            let known = if is_request { request_by_the_wire(bytes) } else { response_by_the_wire(bytes) };
            (frame(&interpreter, bytes, is_request), known)
        };
        assert!(both(&bytes).1.is_ok(), "what is not mutated is accepted");
        for bytes in std::iter::once(bytes.clone()).chain(mutated(&bytes, MUTANTS, &mut random)) {
            let (read, known) = both(&bytes);
            match known {
                Ok(known) => {
                    let (read, known) = same(known, read);
                    count.compare("frame", &bytes, read, Ok::<_, String>(known));
                }
                Err(error) => {
                    let read = read.map(|(_, payload)| payload);
                    count.compare("frame", &bytes, read, Err(error));
                }
            }
        }
    }
    assert!(count.accepted > 500 && count.refused > 500, "{count:?}");
}

fn unhex(value: &serde_json::Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// What a file in `vectors/modern/` has at a place, of each item of a list.
fn vectors(file: &str, list: &str, place: &str) -> Vec<Vec<u8>> {
    let path = xtask::root().join("vectors/modern").join(file);
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let found = match list {
        "" => vec![unhex(file.pointer(place).unwrap())],
        list => {
            file[list].as_array().unwrap().iter().map(|item| unhex(item.pointer(place).unwrap())).collect()
        }
    };
    assert!(!found.is_empty());
    found
}

/// Bytes of a format, and mutants of them.
fn format_agrees<T: WireSpec, E: Debug>(
    name: &str,
    bases: Vec<Vec<u8>>,
    decode: impl Fn(&[u8]) -> Result<T, E>,
) {
    let interpreter = Interpreter::committed();
    let mut random = Random::new(name);
    let mut count = Count::default();
    let mutants = 3_000 / bases.len();
    for base in bases {
        let read = interpreter.format(name, &base).expect(name);
        assert_eq!(read, decode(&base).expect(name).value(), "{name}");
        for bytes in mutated(&base, mutants, &mut random) {
            let read = interpreter.format(name, &bytes);
            count.compare(name, &bytes, read, decode(&bytes).map(|value| value.value()));
        }
    }
    assert!(count.refused > 100, "{name}: {count:?}");
}

#[test]
fn bundles_are_read_alike() {
    format_agrees("bundle", vectors("bundles.json", "bundles", "/bundle"), Bundle::decode);
}

#[test]
fn offers_are_read_alike() {
    format_agrees("offer", vectors("offer.json", "", "/envelope"), Offer::decode);
}

#[test]
fn inits_are_read_alike() {
    format_agrees("init", vectors("inits.json", "inits", "/envelope"), Init::decode);
}

#[test]
fn sender_blocks_are_read_alike() {
    format_agrees("sender_block", vectors("inits.json", "inits", "/steps/sender_block"), SenderBlock::decode);
}

#[test]
fn messages_of_a_session_are_read_alike() {
    format_agrees("msg", vectors("session.json", "messages", "/envelope"), Msg::decode);
}

#[test]
fn chunks_are_read_alike() {
    format_agrees("chunk", vectors("file.json", "", "/chunk"), decode_chunk);
}

#[test]
fn plaintexts_are_read_alike() {
    let mut random = Random::new("frames of plaintext");
    let bases = (0..60).map(|_| {
        let seed = random.bytes(3_000);
        Frame::arbitrary(&mut Unstructured::new(&seed)).unwrap().encode().unwrap().to_vec()
    });
    format_agrees("plaintext", bases.collect(), Frame::decode);
}

/// A body of type 6, as the wire reads it if it is of this kind.
fn control(kind: u8) -> impl Fn(&[u8]) -> Result<Known, String> {
    move |bytes| {
        let control = Control::decode(bytes).map_err(|error| error.to_string())?;
        let value = control.known_value().filter(|_| bytes.first() == Some(&kind));
        value.map(Known).ok_or_else(|| "another kind".into())
    }
}

/// What was read already.
struct Known(Value);

impl WireSpec for Known {
    fn refer(_: &mut Declarations) -> Type {
        panic!("this is of no type")
    }

    fn value(&self) -> Value {
        self.0.clone()
    }
}

#[test]
fn bodies_of_type_control_are_read_alike() {
    let names = ["a", "alice", "~ ~", &"x".repeat(254)];
    let names = names.map(|name| Control::Introduction(Name::new(name).unwrap()).encode());
    format_agrees("introduction", names.to_vec(), control(1));
    let mut random = Random::new("notices");
    let seed = random.bytes(2_000);
    let notice = Unstructured::new(&seed).arbitrary().unwrap();
    let notice = Control::Succession(Box::new(notice)).encode();
    format_agrees("succession_notice", vec![notice], control(2));
}

#[test]
fn manifests_are_read_alike() {
    let mut random = Random::new("manifests");
    let sizes = [0, 1, 65_535, 65_536, 65_537, 1 << 40];
    let mut bases = vectors("file.json", "", "/manifest");
    bases.extend(sizes.map(|size| {
        let seed = random.bytes(500);
        let mut seed = Unstructured::new(&seed);
        let manifest = Manifest {
            file_id: seed.arbitrary().unwrap(),
            file_key: FileKey::arbitrary(&mut seed).unwrap(),
            size: FileSize::new(size).unwrap(),
            tags: seed.arbitrary().unwrap(),
            name: FileName::new("Über-größe.txt").unwrap(),
        };
        manifest.encode().to_vec()
    }));
    for name in [".", "..", "a/b", "a\\b", "a:b", "a\u{202e}b", "a\u{85}b", "", &"x".repeat(256)] {
        let mut bytes = bases[1][..124].to_vec();
        bytes.extend_from_slice(name.as_bytes());
        assert!(Manifest::decode(&bytes).is_err(), "{name:?}");
        assert!(Interpreter::committed().format("manifest", &bytes).is_err(), "{name:?}");
    }
    format_agrees("manifest", bases, Manifest::decode);
}
