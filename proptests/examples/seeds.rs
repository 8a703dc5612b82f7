//! Writes what the fuzz targets begin with: corpora out of the recorded conversations and a true key, dictionaries out of
//! the table and of the formats' own words.
//!
//! `cargo run -p messageu-proptests --example seeds`, from anywhere in the workspace.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool for developers, that should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::Unstructured;
use messageu_envelope::identity_file::IdentityFile;
use messageu_envelope::legacy::LegacyPrivateKey;
use messageu_proptests::answer::{Answer, hear_answer};
use messageu_proptests::everything;
use messageu_proptests::hearing::Listener;
use messageu_proptests::modern;
use messageu_proptests::property::{
    key_pair_der, stored_session, true_account_export, true_bundle, true_database, true_inits, true_key_file,
    true_manifest, true_msgs, true_offer,
};
use messageu_wire::dialect::{Dialect, Family, Pin, RecognisedBy};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern as modern_wire;
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::{encode_request, encode_response};
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
    write_chosen(&fuzz.join("corpus/parse_request"), &requests);
    write_chosen(&fuzz.join("corpus/parse_response"), &responses);
    write(&fuzz.join("corpus/open_envelope"), &envelopes(&root.join("vectors/recorded")));
    write(&fuzz.join("corpus/key_files"), &key_files());
    write(&fuzz.join("corpus/frame_reader"), &BTreeMap::from([("nothing".to_owned(), vec![0; 24])]));
    write(&fuzz.join("corpus/classic_import"), &databases());
    write(&fuzz.join("corpus/server_session"), &sessions());
    write(&fuzz.join("corpus/modern_store"), &modern_sessions());
    write(&fuzz.join("corpus/modern_connection"), &modern_connections());
    write(&fuzz.join("corpus/sealed_key_file"), &sealed_key_files());
    write(&fuzz.join("corpus/account_export"), &account_exports());
    let codes = |of: fn(Operation, Family) -> Option<u16>| {
        let codes = Family::ALL.into_iter().flat_map(move |family| {
            Operation::ALL.iter().filter_map(move |operation| of(*operation, family))
        });
        codes.collect::<BTreeSet<u16>>()
    };
    let mut answers = codes(|operation, family| Some(operation.codes(family)?.response));
    answers.insert(REFUSAL_CODE);
    let asked = codes(|operation, family| Some(operation.codes(family)?.request));
    let dictionary = |target: &str, words: BTreeSet<Vec<u8>>| {
        write_dictionary(&fuzz.join("dict").join(target).with_extension("dict"), &words);
    };
    dictionary("parse_request", numbers(&asked, &[0, 16, 21, 24, 415, 1024, 10_000]));
    dictionary("parse_response", numbers(&answers, &[0, 16, 20, 25, 160, 176, 271, 542]));
    dictionary("frame_reader", numbers(&asked, &[0, 16, 21, 24, 415, 1024, 10_000]));
    dictionary("open_envelope", words(ENVELOPE_WORDS));
    dictionary("key_files", words(KEY_FILE_WORDS));
    dictionary("classic_import", words(DATABASE_WORDS));
    write(
        &fuzz.join("corpus/parse_modern_request"),
        &modern_frames(|operation, bytes| {
            let request = modern::request_from(operation, bytes).unwrap();
            encode_request(ClientId([9; 16]), Tag(1), &request)
        }),
    );
    write(
        &fuzz.join("corpus/parse_modern_response"),
        &modern_frames(|operation, bytes| {
            encode_response(Tag(1), &Ok(modern::response_from(operation, bytes).unwrap()))
        }),
    );
    for (target, seeds) in end_to_end() {
        write(&fuzz.join("corpus").join(target), &seeds);
        dictionary(target, words(END_TO_END_WORDS));
    }
    let modern_words = |code: fn(&modern_wire::Operation) -> u16| {
        let mut codes: BTreeSet<u16> = modern_wire::Operation::ALL.iter().map(code).collect();
        codes.insert(REFUSAL_CODE);
        let words = codes.into_iter().map(|code| [&[3], &code.to_le_bytes()[..]].concat());
        words.chain([b"MU3\x01\x01\x03\0\0".to_vec(), vec![1, 3], vec![0; 4]]).collect()
    };
    dictionary("parse_modern_request", modern_words(|operation| operation.codes().request));
    dictionary("parse_modern_response", modern_words(|operation| operation.codes().response));
    dictionary("modern_connection", (0..32).map(|what| vec![what, 0, 1, 4]).collect());
    dictionary("sealed_key_file", words(SEALED_KEY_FILE_WORDS));
    dictionary("account_export", words(SEALED_KEY_FILE_WORDS));
    dictionary("server_session", (0..20).map(|what| vec![what, 0, 1, 4]).collect());
    dictionary("modern_store", (0..20).map(|what| vec![what, 0, 1, 4]).collect());
}

/// What envelopes, bundles and manifests have where a decision is made.
const END_TO_END_WORDS: &[&[u8]] = &[
    b"MU3\x01\x01\x01\0\0",
    b"MU3\x01\x01\x02\0\0",
    b"MU3\x01\x01\x03\0\0",
    b"\x01\x03",
    b"\0\0\0\x80",
    b"\xe8\x03\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x30\x82\x01\xa2\x30\x0d",
    b"\x02\x03\x01\0\x01",
    b"..",
    b"/",
    b"\xe2\x80\xae",
    &[0; 32],
];

/// What users of version 3 send each other, behind the byte that has the target take it for that; and bytes that make
/// what a target makes.
fn end_to_end() -> [(&'static str, BTreeMap<String, Vec<u8>>); 6] {
    let any: Vec<u8> = (0..=250).cycle().take(300).collect();
    let behind = |choices: &[u8], bytes: &[u8]| [choices, bytes].concat();
    let seeds = |true_ones: Vec<Vec<u8>>, choices: &[&[u8]]| {
        let came = true_ones.iter().enumerate();
        let came = came.map(|(at, bytes)| (format!("true-{at}"), behind(&[0], bytes)));
        let made = choices.iter().map(|choice| (format!("made-{}", choice[0]), behind(choice, &any)));
        came.chain(made).collect::<BTreeMap<_, _>>()
    };
    // What everybody says in a few rounds; what is late, lost, repeated and stolen; much at once.
    let rounds = [[0, 0], [11, 0], [1, 0], [10, 0]].repeat(6).concat();
    let late =
        [[0, 2], [0, 2], [19, 0], [17, 90], [29, 1], [1, 1], [10, 0], [0, 1], [11, 0], [23, 9], [20, 128]];
    let burst = [[8, 3], [19, 0], [8, 2], [19, 0], [13, 0], [26, 35], [29, 200], [31, 0]];
    let talks = [("rounds", rounds), ("late", late.concat()), ("burst", burst.concat())];
    let talks = talks.map(|(name, steps)| (name.to_owned(), behind(&[0], &steps)));
    let stored = ("stored".to_owned(), behind(&[0xf0], &stored_session()));
    let transfer: Vec<u8> =
        [[0, 0, 0, 0], [3, 5, 9, 0], [6, 0, 0, 0], [1, 1, 0, 0], [5, 2, 0, 0], [2, 2, 0, 0]].concat();
    let mut files = seeds(vec![true_manifest()], &[&[96], &[97, 1]]);
    files.insert("transfer".to_owned(), behind(&[224], &transfer));
    files.insert(
        "transfer-of-something-else".to_owned(),
        behind(&[224], &[[4, 0, 1, 0], [0, 1, 0, 0]].concat()),
    );
    [
        ("bundle", seeds(vec![true_bundle()], &[&[64], &[160]])),
        ("open_init", seeds(true_inits().map(<[u8]>::to_vec).collect(), &[&[64], &[128], &[192]])),
        ("open_msg", seeds(true_msgs().to_vec(), &[&[64], &[128, 0], &[129, 100], &[248, 0], &[252]])),
        ("open_offer", seeds(vec![true_offer().to_vec()], &[&[64], &[160]])),
        ("ratchet", talks.into_iter().chain([stored]).collect()),
        ("file_stream", files),
    ]
}

/// A frame of each operation of version 3, as it stands and as bytes that make it.
fn modern_frames(
    frame: impl Fn(modern_wire::Operation, &mut Unstructured<'_>) -> Vec<u8>,
) -> BTreeMap<String, Vec<u8>> {
    let bytes: Vec<u8> = (0..=250).cycle().take(4096).collect();
    let plain = modern_wire::Operation::ALL.iter().map(|operation| {
        let mut seed = frame(*operation, &mut Unstructured::new(&bytes));
        seed.push(0);
        (operation.name().to_owned(), seed)
    });
    plain.chain([("made".to_owned(), bytes[..300].iter().copied().chain([1]).collect())]).collect()
}

/// What a text or its padding may hold.
const ENVELOPE_WORDS: &[&[u8]] = &[
    b"\x01",
    b"\x0f\x0f",
    &[16; 16],
    &[0; 16],
    b"\0",
    b"\r\n",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"\xc2\x9b",
    b"\xff\xfe",
];

/// What shapes an identity file and the DER in it.
const KEY_FILE_WORDS: &[&[u8]] = &[
    b"\x30\x82",
    b"\x30\x81\x9d",
    b"\x30\x81\x87",
    b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
    b"\x02\x01\x00",
    b"\x02\x01\x11",
    b"\x02\x03\x01\x00\x01",
    b"\x02\x81\x81\x00",
    b"\x02\x81\x80",
    b"\x02\x41\x00",
    b"\x02\x40",
    b"\x03\x81\x8b\x00",
    b"\x04\x82",
    b"\xa0\x00",
    b"\n",
    b"\r\n",
    b"=",
    b"==",
    b"\0",
    b" ",
    b"MII",
    b"00112233445566778899aabbccddeeff",
];

/// What a SQLite file and its schema are made of.
const DATABASE_WORDS: &[&[u8]] = &[
    b"SQLite format 3\0",
    b"clients",
    b"messages",
    b"CREATE TABLE ",
    b"CREATE VIEW ",
    b"CREATE INDEX ",
    b" WITHOUT ROWID",
    b" GENERATED ALWAYS AS (",
    b" AS SELECT ",
    b"table",
    b"MsgU",
    b"\x0d\0\0",
    b"\x05\0\0",
    b"\x0a\0\0",
    b"\x02\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
];

fn words(words: &[&[u8]]) -> BTreeSet<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// The contents that were sent, each behind the byte that has the target open it; the first of each size.
fn envelopes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::new();
    for recording in recordings(folder) {
        let dialect: Dialect = recording.dialect.parse().unwrap();
        for exchange in recording.exchanges.iter().filter(|exchange| exchange.operation == "send_message") {
            let request = unhex(&exchange.request);
            let hearing = Listener::pinned(dialect).hear([&request[..]]);
            let content = hearing.requests.first().map(|heard| heard.content.clone()).unwrap_or_default();
            if content.len() <= LONGEST {
                let seed = [&[0], &content[..]].concat();
                seeds.entry(format!("recorded-{}", content.len())).or_insert(seed);
            }
        }
    }
    seeds
}

/// A true key in each form, behind the byte that has the target take it for that.
fn key_files() -> BTreeMap<String, Vec<u8>> {
    let der = key_pair_der();
    let key = LegacyPrivateKey::from_pkcs8_der(der).unwrap();
    let public = key.public_key();
    let file = IdentityFile { name: Name::new("alice").unwrap(), client_id: ClientId([0xa1; 16]), key };
    let hex: String = der.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let other = format!("alice\r\n{hex}\r\noaGhoaGhoaGhoaGhoaGhoQ==");
    [
        ("identity", [&[0], &file.write()[..]].concat()),
        ("identity-of-danielsarne", [&[0], other.as_bytes()].concat()),
        ("identity-without-key", [&[0], &b"alice\n00112233445566778899aabbccddeeff\nMIICdQ=="[..]].concat()),
        ("identity-made", [&[64, 0, 71, 5], &b"alice"[..], &[0xa1; 16]].concat()),
        ("private-key", [&[160], der].concat()),
        ("private-key-made", vec![192, 200]),
        ("public-key-made", [&[240], &public.0[..4]].concat()),
    ]
    .map(|(name, seed)| (name.to_owned(), seed))
    .into()
}

fn operation_named(name: &str) -> Operation {
    *Operation::ALL.iter().find(|operation| operation.name() == name).unwrap()
}

fn recordings(folder: &Path) -> impl Iterator<Item = Recording> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
}

/// The shortest request of each dialect and operation, and its response.
fn shortest_exchanges(folder: &Path) -> BTreeMap<(String, String), (Vec<u8>, Vec<u8>)> {
    let mut shortest = BTreeMap::new();
    for recording in recordings(folder) {
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

/// A true database in each form, behind the byte that has the target take it for that.
fn databases() -> BTreeMap<String, Vec<u8>> {
    [
        ("true", [&[0], true_database()].concat()),
        ("true-made", vec![48]),
        ("rows-of-one-client", [&[200, 0, 1][..], &[0; 12]].concat()),
        ("rows", [&[200, 0, 4][..], &(0..64).collect::<Vec<u8>>()].concat()),
    ]
    .map(|(name, seed)| (name.to_owned(), seed))
    .into()
}

/// Short sessions: steps of four bytes, what and with whom.
fn sessions() -> BTreeMap<String, Vec<u8>> {
    let alice_and_bob: &[[u8; 4]] = &[[0, 0, 0, 1], [0, 3, 2, 1]];
    let texts: &[[u8; 4]] =
        &[[11, 0, 3, 40], [11, 0, 3, 41], [15, 0, 255, 7], [17, 0, 0, 1], [15, 0, 255, 7]];
    let upload: &[[u8; 4]] =
        &[[6, 0, 3, 2], [7, 0, 1, 0], [7, 0, 1, 0], [7, 0, 0, 2], [14, 0, 0, 4], [16, 0, 1, 0]];
    let ends: &[[u8; 4]] = &[[19, 0, 0, 0], [19, 1, 0, 0], [19, 2, 0, 0]];
    let gone: &[[u8; 4]] = &[[5, 0, 1, 0], [3, 3, 0, 0], [5, 0, 1, 0], [11, 0, 3, 40]];
    let session = |name: &str, parts: &[&[[u8; 4]]]| (name.to_owned(), parts.concat().concat());
    [
        session("texts", &[alice_and_bob, texts]),
        session("upload", &[alice_and_bob, upload]),
        session("ends", &[alice_and_bob, texts, ends, texts]),
        session("gone", &[alice_and_bob, texts, gone]),
    ]
    .into()
}

fn modern_sessions() -> BTreeMap<String, Vec<u8>> {
    let two: &[[u8; 4]] = &[[0, 0, 0, 1], [0, 1, 2, 2]];
    let mail: &[[u8; 4]] = &[
        [5, 48, 129, 40],
        [5, 48, 129, 40],
        [6, 17, 128, 41],
        [10, 0, 2, 255],
        [11, 0, 1, 2],
        [5, 48, 129, 40],
    ];
    let keys: &[[u8; 4]] = &[[3, 0, 1, 65], [4, 0, 1, 0], [4, 0, 1, 0], [3, 0, 1, 65], [3, 0, 2, 69]];
    let rotation: &[[u8; 4]] =
        &[[2, 0, 5, 0], [5, 48, 129, 42], [2, 0, 5, 0], [2, 5, 6, 1], [5, 53, 129, 43]];
    let files: &[[u8; 4]] = &[[12, 33, 128, 0], [12, 33, 128, 4], [13, 33, 128, 5], [14, 1, 0, 0]];
    let time: &[[u8; 4]] = &[[18, 69, 63, 0], [18, 69, 63, 0], [18, 71, 31, 0], [18, 71, 31, 0]];
    let codes: &[[u8; 4]] = &[[15, 2, 3, 1], [16, 0, 2, 0], [17, 0, 1, 0], [15, 11, 4, 129], [17, 1, 0, 0]];
    let ends: &[[u8; 4]] = &[[19, 0, 0, 0], [19, 1, 0, 0], [19, 2, 0, 0]];
    let gone: &[[u8; 4]] = &[[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]];
    let session = |name: &str, parts: &[&[[u8; 4]]]| (name.to_owned(), parts.concat().concat());
    [
        session("mail", &[two, mail, time, mail]),
        session("keys", &[two, keys, gone, keys]),
        session("rotation", &[two, mail, rotation, time, mail]),
        session("files", &[two, files, time, files]),
        session("codes", &[codes, time, codes, gone]),
        session("ends", &[two, mail, keys, files, ends, mail, keys, files]),
    ]
    .into()
}

/// Short stories: who says what on which of three connections.
fn modern_connections() -> BTreeMap<String, Vec<u8>> {
    // What is done, on which connection and by whom, in which pieces; behind it what is said, and to whom.
    // The connection is the byte modulo 3, and the person what 16 goes into it.
    let of = |at: u8, person: u8| (16 * person..).find(|byte| byte % 3 == at).unwrap();
    let log_in = |at: u8, person: u8| vec![16, of(at, person), 0xff];
    let say = |at: u8, piece: u8, frames: &[[u8; 4]]| {
        let count = u8::try_from(frames.len()).unwrap();
        [&[0x40 + count - 1, at, piece], frames.as_flattened()].concat()
    };
    let both = [log_in(0, 0), log_in(1, 1)].concat();
    let mail = [
        say(1, 0xff, &[[12, 0, 1, 0]]),
        say(0, 7, &[[7, 0, 1, 40], [7, 0, 1, 40], [8, 0, 1, 41]]),
        say(1, 0xff, &[[12, 0, 0, 0], [16, 0, 1, 2], [12, 0, 0, 0]]),
    ];
    let keys = [
        say(1, 0xff, &[[3, 0, 1, 0x21], [4, 0, 1, 0x22], [3, 0, 1, 3]]),
        say(0, 30, &[[5, 0, 1, 0], [5, 14, 1, 0], [6, 0, 1, 0]]),
    ];
    let files = [
        say(0, 0xff, &[[18, 0, 1, 0x40], [18, 0, 1, 0x41], [19, 0, 1, 0x40], [18, 0, 1, 0x51]]),
        say(1, 0xff, &[[20, 0, 0, 0], [20, 0, 0, 1], [21, 0, 0, 0], [20, 0, 0, 0]]),
    ];
    let names = [say(0, 0xff, &[[22, 0, 1, 0], [22, 0, 3, 0], [24, 0, 1, 0], [26, 0, 9, 5]])];
    let rotation = [say(0, 0xff, &[[23, 0, 2, 0], [7, 0, 1, 9], [24, 0, 0, 0]])];
    let end = [say(1, 0xff, &[[12, 0, 1, 0], [25, 0, 0, 0], [12, 0, 0, 0]]), log_in(1, 1)];
    let strangers = [
        say(2, 3, &[[7, 0, 1, 40], [12, 0, 0, 0], [1, 0, 0, 3], [2, 0, 0, 3]]),
        say(2, 0xff, &[[0, 0, 0, 0], [1, 0, 0, 3], [0, 15, 0, 0], [25, 13, 0, 0]]),
        vec![0, 2, 0],
        log_in(2, 2),
    ];
    let story = |parts: &[&[Vec<u8>]]| [&both[..], &parts.concat().concat()].concat();
    [
        ("mail", story(&[&mail])),
        ("keys", story(&[&keys])),
        ("files", story(&[&files])),
        ("rotation", story(&[&mail, &rotation, &names])),
        ("end", story(&[&mail, &end, &names])),
        ("strangers", story(&[&strangers, &mail])),
    ]
    .map(|(name, seed)| (name.to_owned(), seed))
    .into()
}

/// What a key file has where a decision is made.
const SEALED_KEY_FILE_WORDS: &[&[u8]] = &[
    b"MU3-KEYS\x01",
    &[8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
    &[0, 0, 16, 0],
    &[1, 0, 16, 0],
    &[0xff; 4],
    &[17, 0, 0, 0],
    &[0; 4],
    b"state.db",
];

fn sealed_key_files() -> BTreeMap<String, Vec<u8>> {
    let any: Vec<u8> = (0..=250).collect();
    [
        ("true", [&[0], true_key_file()].concat()),
        ("true-made", vec![64, 0]),
        ("made", [&[144], &any[..100]].concat()),
    ]
    .map(|(name, seed)| (name.to_owned(), seed))
    .into()
}

fn account_exports() -> BTreeMap<String, Vec<u8>> {
    let begin = true_account_export()[..LONGEST.min(600)].to_vec();
    [
        ("true-beginning", [&[0], &begin[..]].concat()),
        ("true-made", vec![48, 0, 0]),
        ("made", vec![160, 1, 5, 0, 9, 1]),
    ]
    .map(|(name, seed)| (name.to_owned(), seed))
    .into()
}

/// Writes seeds whose last byte chooses.
fn write_chosen(folder: &Path, seeds: &Seeds) {
    let with_choice = |(name, (bytes, choice)): (&String, &(Vec<u8>, usize))| {
        let mut seed = bytes[..bytes.len().min(LONGEST)].to_vec();
        seed.push(u8::try_from(*choice).unwrap());
        (name.clone(), seed)
    };
    write(folder, &seeds.iter().map(with_choice).collect());
}

fn write(folder: &Path, seeds: &BTreeMap<String, Vec<u8>>) {
    fs::create_dir_all(folder).unwrap();
    for (name, seed) in seeds {
        fs::write(folder.join(name), seed).unwrap();
    }
    println!("{} seeds in {}", seeds.len(), folder.display());
}

/// Codes and sizes, in each byte order.
fn numbers(codes: &BTreeSet<u16>, sizes: &[u32]) -> BTreeSet<Vec<u8>> {
    let mut words = BTreeSet::new();
    for code in codes {
        words.extend([code.to_le_bytes().to_vec(), code.to_be_bytes().to_vec()]);
    }
    for size in sizes {
        words.extend([size.to_le_bytes().to_vec(), size.to_be_bytes().to_vec()]);
    }
    words
}

fn write_dictionary(file: &Path, words: &BTreeSet<Vec<u8>>) {
    let mut text = "# Written by `cargo run -p messageu-proptests --example seeds`.\n".to_owned();
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
