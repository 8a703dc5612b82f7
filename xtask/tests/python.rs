//! The generated Python module, and what Kaitai makes of its description, run by `python3`: they agree with the wire on
//! generated and mutated payloads and on the vectors, and the module writes what it read to the same bytes.
//! `.ci/readings` runs this.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod random;

use std::io::Write as _;
use std::process::{Command, Stdio};

use arbitrary::{Arbitrary, Unstructured};
use messageu_vectors::codec::{Expectation, Reading, Stage, codec_files};
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::file::{Manifest, decode_chunk};
use messageu_wire::envelope::init::{Init, SenderBlock};
use messageu_wire::envelope::msg::Msg;
use messageu_wire::envelope::offer::Offer;
use messageu_wire::modern::frame::{REQUEST_HEADER_SIZE, RESPONSE_HEADER_SIZE};
use messageu_wire::modern::operation::{
    Payload, acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession,
    hello, look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
    verify_registration,
};
use messageu_wire::modern::{Operation, Refusal};
use messageu_wire::spec::{Value, WireSpec, spec};
use random::{Random, mutated};
use serde_json::json;

/// What one case is: a line of JSON.
#[derive(Default)]
struct Cases {
    lines: Vec<u8>,
    refused: usize,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Integer(number) => json!(number),
        Value::Bytes(bytes) => json!(hex(bytes)),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Structure(fields) => serde_json::Value::Object(
            fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        ),
    }
}

impl Cases {
    fn add<E>(&mut self, what: &str, name: &str, bytes: &[u8], value: Result<Value, E>) {
        let value = value.ok();
        self.refused += usize::from(value.is_none());
        let line = json!({ what: name, "bytes": hex(bytes), "value": value.as_ref().map(plain) });
        writeln!(self.lines, "{line}").unwrap();
    }

    fn payloads<T: Payload + WireSpec + for<'a> Arbitrary<'a>>(&mut self, name: &str) {
        let mut random = Random::new(name);
        for _ in 0..60 {
            let seed = random.bytes(6_000);
            let mut bytes = Vec::new();
            T::arbitrary(&mut Unstructured::new(&seed)).unwrap().encode(&mut bytes);
            for bytes in std::iter::once(bytes.clone()).chain(mutated(&bytes, 5, &mut random)) {
                self.add("type", name, &bytes, T::decode(&bytes).map(|value| value.value()));
            }
        }
    }

    fn format<T: WireSpec, E>(
        &mut self,
        name: &str,
        file: &str,
        place: &str,
        decode: impl Fn(&[u8]) -> Result<T, E>,
    ) {
        let path = xtask::root().join("vectors/modern").join(file);
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let digits = file.pointer(place).unwrap().as_str().unwrap().as_bytes().chunks(2);
        let base: Vec<u8> =
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
        let mut random = Random::new(name);
        for bytes in std::iter::once(base.clone()).chain(mutated(&base, 500, &mut random)) {
            self.add("format", name, &bytes, decode(&bytes).map(|value| value.value()));
        }
    }
}

impl Cases {
    /// Single frames and formats with one fault each, as far as a payload's reader sees them.
    fn vectors(&mut self) {
        let spec = spec();
        let row = |name: &str| spec.modern.operations.iter().find(|row| row.name == name).unwrap();
        let files = codec_files();
        let file = files.iter().find(|file| file.dialect == "3").unwrap();
        for (vector, bytes) in file.with_bytes() {
            let fields = match &vector.expect {
                Expectation::Accept { fields } => Some(serde_json::to_value(fields).unwrap()),
                Expectation::Reject { stage: Stage::Payload, .. } => None,
                _ => continue,
            };
            self.refused += usize::from(fields.is_none());
            let line = match &vector.read {
                Reading::Format(name) => json!({ "format": name, "bytes": hex(&bytes), "value": fields }),
                Reading::Request(name) => json!({
                    "type": row(name).request.r#type,
                    "bytes": hex(&bytes[REQUEST_HEADER_SIZE..]),
                    "value": fields.map(|fields| fields["payload"].clone()),
                }),
                Reading::Response { operation, .. } => {
                    let is_refusal = vector.id.starts_with("3/refusal/");
                    let payload = if is_refusal { &spec.modern.refusal } else { &row(operation).response };
                    json!({
                        "type": payload.r#type,
                        "bytes": hex(&bytes[RESPONSE_HEADER_SIZE..]),
                        "value": fields.map(|fields| fields[if is_refusal { "refusal" } else { "payload" }].clone()),
                    })
                }
            };
            writeln!(self.lines, "{line}").unwrap();
        }
    }
}

macro_rules! each_payload {
    (
        classic $classic:tt
        modern { $($operation:ident $module:ident $codes:tt $who:ident $meaning:literal;)* }
    ) => {
        fn payloads(cases: &mut Cases) {
            let spec = spec();
            $({
                let row = &spec.modern.operations[Operation::$operation as usize];
                cases.payloads::<$module::Request>(&row.request.r#type);
                cases.payloads::<$module::Response>(&row.response.r#type);
            })*
            cases.payloads::<Refusal>(&spec.modern.refusal.r#type);
        }
    };
}

messageu_wire::operations!(each_payload);

const HARNESS: &str = r#"
import json, sys
import messageu_wire as wire

def plain(value):
    if isinstance(value, bytes): return value.hex()
    if isinstance(value, list): return [plain(item) for item in value]
    if isinstance(value, dict): return {name: plain(item) for name, item in value.items()}
    return value

def same(found, known):
    if isinstance(known, dict): return all(same(found[name], known[name]) for name in known)
    if isinstance(known, list): return len(found) == len(known) and all(map(same, found, known))
    return found == known

count = 0
for line in sys.stdin:
    case = json.loads(line)
    data, known = bytes.fromhex(case["bytes"]), case["value"]
    try:
        value = wire.decode(case["type"], data) if "type" in case else wire.decode_format(case["format"], data)
    except wire.Malformed as error:
        assert known is None, (error, case)
    else:
        assert known is not None, ("accepted", case)
        assert same(plain(value), known), (value, case)
        name = case["type"] if "type" in case else wire.FORMATS[case["format"]][0]
        assert wire.encode(name, value) == data, ("written otherwise", case)
    count += 1
print(count)
"#;

const KAITAI: &str = r#"
import io, json, sys
from kaitaistruct import KaitaiStream, KaitaiStructError, KaitaiStruct
import messageu

def same(parent, name, known):
    found = getattr(parent, "from_" if name == "from" else name)
    if isinstance(known, str) and isinstance(found, KaitaiStruct): found = getattr(parent, "_raw_" + name)
    return equal(found, known)

def equal(found, known):
    if isinstance(known, dict): return all(same(found, name, known[name]) for name in known)
    if isinstance(known, list): return len(found) == len(known) and all(map(equal, found, known))
    return (found.hex() if isinstance(found, bytes) else found) == known

TYPES = json.loads(sys.argv[1])
count = 0
for line in sys.stdin:
    case = json.loads(line)
    # What a file may be called is beyond Kaitai's expressions.
    if case.get("format") == "manifest":
        count += 1
        continue
    name = case["type"] if "type" in case else TYPES[case["format"]]
    data, known = bytes.fromhex(case["bytes"]), case["value"]
    try:
        read = getattr(messageu.Messageu, "Whole" + name)(KaitaiStream(io.BytesIO(data)))
    except (EOFError, KaitaiStructError, ValueError) as error:
        assert known is None, (error, case)
    else:
        assert known is not None, ("accepted", case)
        assert not known or equal(read.body, known), case
    count += 1
print(count)
"#;

/// Payloads and envelopes, and mutants of them.
fn cases() -> Cases {
    let mut cases = Cases::default();
    payloads(&mut cases);
    cases.format("bundle", "bundles.json", "/bundles/0/bundle", Bundle::decode);
    cases.format("offer", "offer.json", "/envelope", Offer::decode);
    cases.format("init", "inits.json", "/inits/0/envelope", Init::decode);
    cases.format("sender_block", "inits.json", "/inits/0/steps/sender_block", SenderBlock::decode);
    cases.format("msg", "session.json", "/messages/0/envelope", Msg::decode);
    cases.format("manifest", "file.json", "/manifest", Manifest::decode);
    cases.format("chunk", "file.json", "/chunk", decode_chunk);
    cases.vectors();
    assert!(cases.refused > 3_000, "{}", cases.refused);
    cases
}

/// Gives cases to a program that fails at the first that it reads otherwise, and says how many there were.
fn run(cases: &Cases, program: &str, argument: &str) {
    let count = cases.lines.iter().filter(|byte| **byte == b'\n').count();
    let paths = [Some(xtask::root().join("generated")), std::env::var_os("MESSAGEU_KAITAI").map(Into::into)];
    let mut python = Command::new("python3")
        .args(["-B", "-c", program, argument])
        .env("PYTHONPATH", std::env::join_paths(paths.into_iter().flatten()).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(&cases.lines).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), count.to_string());
}

#[test]
#[ignore = "needs python3; .ci/readings runs it"]
fn the_module_reads_and_writes_as_the_wire_does() {
    run(&cases(), HARNESS, "");
}

#[test]
#[ignore = "needs what Kaitai's compiler makes of generated/messageu.ksy, in MESSAGEU_KAITAI; .ci/readings runs it"]
fn kaitai_reads_as_the_wire_does() {
    let types: serde_json::Map<_, _> =
        spec().formats.into_iter().map(|format| (format.name, format.r#type.into())).collect();
    run(&cases(), KAITAI, &serde_json::Value::Object(types).to_string());
}
