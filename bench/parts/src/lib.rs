//! What the benches of the small parts work on: for every operation of the table a request and a response, always the
//! same ones. A crate of its own, so that they build without what the load generator needs.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a bench that goes wrong should stop")]

use arbitrary::{Arbitrary, Unstructured};
use messageu_envelope::legacy::{LegacyKey, LegacyPrivateKey, legacy_wrap_key};
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operation::pull_messages::{EntryHead, Message};
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations;
use messageu_wire::operations::{Operation, Request, Response};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Who asks.
pub const ASKER: ClientId = ClientId([9; 16]);

/// Bytes of a message's content, and of a large one's pieces.
pub const CONTENT: usize = 300;
/// See [`CONTENT`].
pub const PIECE: usize = 64 * 1024;

/// Entries of a list of clients, and messages of a pull.
const CLIENTS: usize = 50;
const MESSAGES: usize = 50;

/// A value of a type that the wire can make out of bytes, always the same one.
fn value<T: for<'a> Arbitrary<'a>>() -> T {
    let bytes: Vec<u8> = (0..512_u32).map(|at| u8::try_from((at * 37 + 1) % 251).unwrap()).collect();
    T::arbitrary(&mut Unstructured::new(&bytes)).unwrap()
}

macro_rules! rows {
    (
        classic { $($operation:ident $module:ident $a:tt $b:tt $c:tt $d:tt $e:tt $meaning:literal;)* }
        modern $modern:tt
    ) => {
        /// A request of an operation.
        pub fn request(operation: Operation) -> Request {
            match operation {
                $(Operation::$operation => value::<$module::Request>().into(),)*
            }
        }

        fn short_response(operation: Operation) -> Response {
            match operation {
                $(Operation::$operation => value::<$module::Response>().into(),)*
            }
        }
    };
}

operations!(rows);

/// A response of an operation; lists have as many entries as are common.
pub fn response(operation: Operation) -> Response {
    match operation {
        Operation::ListClients => {
            list_clients::Response { clients: vec![value::<list_clients::Entry>(); CLIENTS] }.into()
        }
        Operation::PullMessages => {
            let EntryHead { from, message_id, kind, .. } = value();
            let message = Message { from, message_id, kind, content: vec![7; CONTENT] };
            pull_messages::Response { messages: vec![message; MESSAGES] }.into()
        }
        other => short_response(other),
    }
}

/// The payload of a request of an operation.
pub fn request_payload(operation: Operation) -> Vec<u8> {
    let mut bytes = Vec::new();
    request(operation).encode(dialect(operation).profile, &mut bytes);
    bytes
}

/// The payload of a response of an operation.
pub fn response_payload(operation: Operation) -> Vec<u8> {
    let mut bytes = Vec::new();
    response(operation).encode(dialect(operation).profile, ASKER, &mut bytes);
    bytes
}

/// The plain dialect of the newest family that has an operation.
pub fn dialect(operation: Operation) -> Dialect {
    let family = Family::ALL.into_iter().rev().find(|family| operation.codes(*family).is_some());
    Dialect::classic(family.unwrap())
}

/// A send as it comes in, with its content.
pub fn send() -> Vec<u8> {
    let request = send_message::Request {
        to: ClientId([7; 16]),
        kind: MessageType::TEXT,
        size: CONTENT.try_into().unwrap(),
    };
    let mut bytes = dialect(Operation::SendMessage).encode_request(2, ASKER, &request.into()).unwrap();
    bytes.resize(bytes.len() + CONTENT, 7);
    bytes
}

/// Randomness that is none, so that each run does the same.
pub fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// A symmetric key.
pub fn key() -> LegacyKey {
    LegacyKey::from_bytes(&[7; 16])
}

/// A key pair, and a symmetric key that is wrapped to it.
pub fn wrapped() -> (LegacyPrivateKey, Vec<u8>) {
    let private = LegacyPrivateKey::generate(&mut rng()).unwrap();
    let wrapped = legacy_wrap_key(&private.public_key(), &key(), &mut rng()).unwrap();
    (private, wrapped.to_vec())
}
