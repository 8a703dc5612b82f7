//! The fuzz targets: what each does with an input, and what memory that may take.
//!
//! What a byte chooses depends on the tables, so it changes when a profile or an operation is added;
//! `examples/seeds.rs` then writes the seeds anew.

use arbitrary::Unstructured;
use messageu_wire::modern::frame::{RequestReader, ResponseReader};

use crate::everything;
use crate::hearing::Listener;
use crate::property::{
    End, check_any_account_export, check_any_bundle, check_any_connections, check_any_envelope,
    check_any_file, check_any_frames, check_any_import, check_any_init, check_any_key_file,
    check_any_modern_session, check_any_msg, check_any_offer, check_any_ratchet, check_any_sealed_key_file,
    check_any_session, check_any_stream, check_frame_bytes, check_request_bytes, check_response_bytes,
};
use crate::unstructured::choose;

/// A property that is tried with bytes that a fuzzer thinks up.
#[derive(Debug)]
pub struct Target {
    /// Its name: that of the fuzz target and of its corpus.
    pub name: &'static str,
    /// What is asserted of any input; panics where it does not hold.
    pub property: fn(&[u8]),
    /// Bytes that the property may have on the heap at once, whatever the input: its own copies, and what is tried.
    pub memory: usize,
    /// Bytes that it may have beside them for each byte of the input.
    pub memory_a_byte: usize,
}

impl Target {
    /// Holds what an input took against what it may take.
    ///
    /// # Panics
    /// When it took more.
    pub fn assert_memory(&self, input: &[u8], taken: usize) {
        let most = self.memory + self.memory_a_byte * input.len();
        let size = input.len();
        assert!(taken <= most, "{}: {size} bytes took {taken} bytes of memory, not {most}", self.name);
    }
}

/// All of them.
pub const ALL: &[Target] = &[
    PARSE_REQUEST,
    PARSE_RESPONSE,
    FRAME_READER,
    OPEN_ENVELOPE,
    KEY_FILES,
    CLASSIC_IMPORT,
    SERVER_SESSION,
    PARSE_MODERN_REQUEST,
    PARSE_MODERN_RESPONSE,
    MODERN_STORE,
    MODERN_CONNECTION,
    BUNDLE,
    OPEN_INIT,
    OPEN_MSG,
    OPEN_OFFER,
    RATCHET,
    FILE_STREAM,
    SEALED_KEY_FILE,
    ACCOUNT_EXPORT,
];

/// Any bytes, to a server; the last byte chooses what it is pinned to or remembers.
///
/// Most memory goes into what was heard: some 600 bytes for a request of 22, twice heard, in vectors that double.
pub const PARSE_REQUEST: Target = Target {
    name: "parse_request",
    property: |input| {
        if let Some((choice, bytes)) = input.split_last() {
            check_request_bytes(choose(Listener::all, *choice), bytes);
        }
    },
    memory: 16 << 10,
    memory_a_byte: 128,
};

/// Any bytes, to a client; the last byte chooses its dialect and what it asked for.
pub const PARSE_RESPONSE: Target = Target {
    name: "parse_response",
    property: |input| {
        if let Some((choice, bytes)) = input.split_last() {
            let (dialect, operation) = choose(everything, *choice);
            check_response_bytes(dialect, operation, bytes);
        }
    },
    memory: 16 << 10,
    memory_a_byte: 32,
};

/// Requests or responses made of the wire's own values, some of their bytes changed, in pieces of any sizes.
///
/// A few bytes of input may stand for a content of 64 KiB.
pub const FRAME_READER: Target = Target {
    name: "frame_reader",
    property: |input| whole(check_any_stream(&mut Unstructured::new(input))),
    memory: 8 << 20,
    memory_a_byte: 128,
};

/// Ciphertexts: any bytes, and what any plaintext is sealed to; now and then wrapped keys.
pub const OPEN_ENVELOPE: Target = Target {
    name: "open_envelope",
    property: |input| whole(check_any_envelope(&mut Unstructured::new(input))),
    memory: 256 << 10,
    memory_a_byte: 16,
};

/// Identity files, private and public keys: any bytes, and true ones changed.
pub const KEY_FILES: Target = Target {
    name: "key_files",
    property: |input| whole(check_any_key_file(&mut Unstructured::new(input))),
    memory: 256 << 10,
    memory_a_byte: 16,
};

/// Classic databases: any bytes, a true one changed, and rows in the ways of all programs.
///
/// The store's buffers and what travels between its threads are ours; what SQLite itself takes is bounded within the
/// property, where it is one limit for all connections.
pub const CLASSIC_IMPORT: Target = Target {
    name: "classic_import",
    property: |input| whole(check_any_import(&mut Unstructured::new(input))),
    memory: 8 << 20,
    memory_a_byte: 32,
};

/// Sessions of up to 64 steps with the stores beside their model. A step may bring a content of 128 KiB, which is in the
/// model and in the store.
pub const SERVER_SESSION: Target = Target {
    name: "server_session",
    property: |input| whole(check_any_session(&mut Unstructured::new(input))),
    memory: 48 << 20,
    memory_a_byte: 32,
};

/// Requests of version 3: any bytes, or frames made of the wire's own values and changed, as the last byte chooses.
///
/// A request takes some 2 KiB however small it is, since bundles are in it; twice heard, in vectors that double.
pub const PARSE_MODERN_REQUEST: Target = Target {
    name: "parse_modern_request",
    property: check_modern::<RequestReader>,
    memory: 64 << 10,
    memory_a_byte: 640,
};

/// Responses of version 3: likewise.
pub const PARSE_MODERN_RESPONSE: Target = Target {
    name: "parse_modern_response",
    property: check_modern::<ResponseReader>,
    memory: 64 << 10,
    memory_a_byte: 1536,
};

fn check_modern<E: End>(input: &[u8]) {
    match input.split_last() {
        Some((choice, bytes)) if choice % 2 == 0 => check_frame_bytes::<E>(bytes),
        Some((_, bytes)) => whole(check_any_frames::<E>(&mut Unstructured::new(bytes))),
        None => {}
    }
}

/// Sessions of up to 64 steps with the stores of version 3 beside their model. A step may bring an envelope of 128 KiB.
pub const MODERN_STORE: Target = Target {
    name: "modern_store",
    property: |input| whole(check_any_modern_session(&mut Unstructured::new(input))),
    memory: 64 << 20,
    memory_a_byte: 32,
};

/// Connections of version 3 at a server whose store is in memory: up to 48 steps of up to 4 requests, beside a model. What
/// is stored is in both.
pub const MODERN_CONNECTION: Target = Target {
    name: "modern_connection",
    property: |input| whole(check_any_connections(&mut Unstructured::new(input))),
    memory: 16 << 20,
    memory_a_byte: 32,
};

/// Key bundles: any bytes, a true one changed, and any content that its owner signs.
pub const BUNDLE: Target = Target {
    name: "bundle",
    property: |input| whole(check_any_bundle(&mut Unstructured::new(input))),
    memory: 256 << 10,
    memory_a_byte: 16,
};

/// INITs: any bytes, true ones changed, and such whose sender block or message was changed before it was sealed.
pub const OPEN_INIT: Target = Target {
    name: "open_init",
    property: |input| whole(check_any_init(&mut Unstructured::new(input))),
    memory: 512 << 10,
    memory_a_byte: 16,
};

/// MSGs of one session: any bytes, true ones changed, and any plaintext under the right key. A thousand keys may be
/// skipped for one.
pub const OPEN_MSG: Target = Target {
    name: "open_msg",
    property: |input| whole(check_any_msg(&mut Unstructured::new(input))),
    memory: 1 << 20,
    memory_a_byte: 32,
};

/// OFFERs: any bytes, a true one changed, and any content that its sender signs.
pub const OPEN_OFFER: Target = Target {
    name: "open_offer",
    property: |input| whole(check_any_offer(&mut Unstructured::new(input))),
    memory: 256 << 10,
    memory_a_byte: 16,
};

/// A session between two over a network that drops, reorders, repeats and damages, with a thief, beside a model. Its
/// messages, three thousand at most, are kept; so are two thousand keys a side and a thief.
pub const RATCHET: Target = Target {
    name: "ratchet",
    property: |input| whole(check_any_ratchet(&mut Unstructured::new(input))),
    memory: 8 << 20,
    memory_a_byte: 32,
};

/// Files: any manifest, small files changed, and transfers of three chunks.
pub const FILE_STREAM: Target = Target {
    name: "file_stream",
    property: |input| whole(check_any_file(&mut Unstructured::new(input))),
    memory: 4 << 20,
    memory_a_byte: 32,
};

/// Sealed key files: any bytes, a true one changed, any content under any passphrase. Whoever asks for more memory than is
/// given gets none; what is given here is 128 KiB at most.
pub const SEALED_KEY_FILE: Target = Target {
    name: "sealed_key_file",
    property: |input| whole(check_any_sealed_key_file(&mut Unstructured::new(input))),
    memory: 1 << 20,
    memory_a_byte: 16,
};

/// Copies of accounts: any bytes, a true one changed, and any content in its key file. What is taken over gets a key file of
/// its own, whose passphrase takes 64 MiB to try.
pub const ACCOUNT_EXPORT: Target = Target {
    name: "account_export",
    property: |input| whole(check_any_account_export(&mut Unstructured::new(input))),
    memory: 80 << 20,
    memory_a_byte: 32,
};

/// What the bytes do not suffice to say is not tried.
fn whole(_: arbitrary::Result<()>) {}
