//! Writes what the fuzz targets begin with: corpora out of the recorded conversations, dictionaries out of the table.
//!
//! `cargo run -p messageu-proptests --example seeds`, from anywhere in the workspace.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool for developers, that should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use messageu_proptests::answer::{Answer, hear_answer};
use messageu_proptests::everything;
use messageu_proptests::hearing::Listener;
use messageu_wire::dialect::{ByteOrder, Dialect, Family, Pin, RecognisedBy};
use messageu_wire::operations::{Operation, REFUSAL_CODE};

/// Longer seeds would slow the fuzzer down more than they would show it; what is cut off is filler.
const LONGEST: usize = 2500;

#[derive(serde::Deserialize)]
struct Recording {
    dialect: String,
    exchanges: Vec<Exchange>,
}

#[derive(serde::Deserialize)]
struct Exchange {
    operation: String,
    request: String,
    response: String,
}

/// Seeds by their names: bytes, and what the byte behind them chooses.
type Seeds = BTreeMap<String, (Vec<u8>, usize)>;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fuzz = root.join("fuzz");
    let shortest = shortest_exchanges(&root.join("vectors/recorded"));
    let (mut requests, mut responses) = (Seeds::new(), Seeds::new());
    for ((name, operation), (request, response)) in &shortest {
        let dialect: Dialect = name.parse().unwrap();
        let operation = operation_named(operation);
        let seed_name = |what: &str| format!("{}-{what}", name.replace('/', "-"));
        let plain = dialect == Dialect::classic(dialect.family);
        // The plain dialects an operation a seed, the others a conversation a seed.
        let what = if plain { operation.name() } else { "conversation" };
        let seed = requests.entry(seed_name(what)).or_insert((Vec::new(), listener_of(dialect)));
        seed.0.extend_from_slice(request);
        if plain || shows_in_response(dialect, operation, response) {
            let choice = everything().position(|other| other == (dialect, operation)).unwrap();
            responses.insert(seed_name(operation.name()), (response.clone(), choice));
        }
    }
    write(&fuzz.join("corpus/parse_request"), &requests);
    write(&fuzz.join("corpus/parse_response"), &responses);
    let codes = |of: fn(Operation, Family) -> Option<u16>| {
        let codes = Family::ALL.into_iter().flat_map(move |family| {
            Operation::ALL.iter().filter_map(move |operation| of(*operation, family))
        });
        codes.collect::<BTreeSet<u16>>()
    };
    let mut answers = codes(|operation, family| Some(operation.codes(family)?.response));
    answers.insert(REFUSAL_CODE);
    let asked = codes(|operation, family| Some(operation.codes(family)?.request));
    write_dictionary(&fuzz.join("dict/parse_request.dict"), &asked, &[0, 16, 21, 24, 415, 1024, 10_000]);
    write_dictionary(&fuzz.join("dict/parse_response.dict"), &answers, &[0, 16, 20, 25, 160, 176, 271, 542]);
}

fn operation_named(name: &str) -> Operation {
    *Operation::ALL.iter().find(|operation| operation.name() == name).unwrap()
}

/// The shortest request of each dialect and operation, and its response.
fn shortest_exchanges(folder: &Path) -> BTreeMap<(String, String), (Vec<u8>, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut shortest = BTreeMap::new();
    for file in files {
        let recording: Recording = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        for Exchange { operation, request, response } in recording.exchanges {
            let exchange = (unhex(&request), unhex(&response));
            let kept =
                shortest.entry((recording.dialect.clone(), operation)).or_insert_with(|| exchange.clone());
            // A pull is worth more with something in it.
            let longer = |(request, response): &(Vec<u8>, Vec<u8>)| (request.len(), response.len() < 10);
            if longer(&exchange) < longer(kept) {
                *kept = exchange;
            }
        }
    }
    shortest
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Whether a client of the family's plain dialect would not understand this response.
fn shows_in_response(dialect: Dialect, operation: Operation, bytes: &[u8]) -> bool {
    let answer = hear_answer(Dialect::classic(dialect.family), operation, [bytes]);
    !matches!(answer, Answer::Given(_))
}

/// Which of all listeners hears this dialect for sure.
fn listener_of(dialect: Dialect) -> usize {
    let wanted = match dialect.profile.recognised_by {
        RecognisedBy::Default => Listener::default(),
        RecognisedBy::Bytes => Listener::remembering(dialect.profile),
        RecognisedBy::Pin => {
            Listener { pin: Pin { family: None, profile: Some(dialect.profile) }, hint: None }
        }
    };
    Listener::all().position(|listener| listener == wanted).unwrap()
}

fn write(folder: &Path, seeds: &Seeds) {
    fs::create_dir_all(folder).unwrap();
    for (name, (bytes, choice)) in seeds {
        let mut seed = bytes[..bytes.len().min(LONGEST)].to_vec();
        seed.push(u8::try_from(*choice).unwrap());
        fs::write(folder.join(name), seed).unwrap();
    }
    println!("{} seeds in {}", seeds.len(), folder.display());
}

/// Codes and sizes, in each byte order.
fn write_dictionary(file: &Path, codes: &BTreeSet<u16>, sizes: &[u32]) {
    let mut words = BTreeSet::new();
    for code in codes {
        words.extend([ByteOrder::Little, ByteOrder::Big].map(|order| match order {
            ByteOrder::Little => code.to_le_bytes().to_vec(),
            ByteOrder::Big => code.to_be_bytes().to_vec(),
        }));
    }
    for size in sizes {
        words.extend([size.to_le_bytes().to_vec(), size.to_be_bytes().to_vec()]);
    }
    let mut text =
        "# Written by `cargo run -p messageu-proptests --example seeds`: codes and sizes.\n".to_owned();
    for word in words {
        let word: String = word.iter().fold(String::new(), |mut word, byte| {
            write!(word, "\\x{byte:02x}").unwrap();
            word
        });
        writeln!(text, "\"{word}\"").unwrap();
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}
