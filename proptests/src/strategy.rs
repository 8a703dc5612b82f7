//! Strategies: values of the wire's own types, by the `Arbitrary` that they derive, for every row of the table.

use arbitrary::{Arbitrary, Unstructured};
use messageu_wire::dialect::Dialect;
use messageu_wire::fields::ClientId;
use messageu_wire::operation::pull_messages::{EntryHead, Message};
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations;
use messageu_wire::operations::{Operation, Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::speech::Speech;

/// More bytes than any value here is made of.
const ENTROPY: usize = 512;

/// Any value of a type that the wire can make out of bytes.
pub fn value<T: for<'a> Arbitrary<'a> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    vec(any::<u8>(), ENTROPY)
        .prop_map(|bytes| T::arbitrary(&mut Unstructured::new(&bytes)).expect("bytes enough"))
}

macro_rules! rows {
    (
        classic { $($operation:ident $module:ident $a:tt $b:tt $c:tt $d:tt $e:tt $meaning:literal;)* }
        modern $modern:tt
    ) => {
        /// Requests of an operation; the size that a send claims is anything.
        pub fn request(operation: Operation) -> BoxedStrategy<Request> {
            match operation {
                $(Operation::$operation => value::<$module::Request>().prop_map_into().boxed(),)*
            }
        }

        fn plain_response(operation: Operation) -> BoxedStrategy<Response> {
            match operation {
                $(Operation::$operation => value::<$module::Response>().prop_map_into().boxed(),)*
            }
        }
    };
}

operations!(rows);

/// Responses of an operation.
pub fn response(operation: Operation) -> BoxedStrategy<Response> {
    match operation {
        // Lists that are longer than the one or two entries that `Arbitrary` is content with.
        Operation::ListClients => vec(value::<list_clients::Entry>(), 0..4)
            .prop_map(|clients| list_clients::Response { clients }.into())
            .boxed(),
        Operation::PullMessages => {
            vec((value::<EntryHead>(), content()), 0..4)
                .prop_map(|entries| {
                    let messages =
                        entries.into_iter().map(|(EntryHead { from, message_id, kind, .. }, content)| {
                            Message { from, message_id, kind, content }
                        });
                    pull_messages::Response { messages: messages.collect() }.into()
                })
                .boxed()
        }
        _ => plain_response(operation),
    }
}

/// Contents: none, small ones, and some around the sizes at which a dialect shows.
pub fn content() -> BoxedStrategy<Vec<u8>> {
    let size = prop_oneof![
        2 => Just(0),
        8 => 0..100_usize,
        4 => 900..2200_usize,
        1 => 9_900..10_100_usize,
        1 => 65_300..66_600_usize,
    ];
    (size, any::<u8>())
        .prop_map(|(size, seed)| (0..size).map(|at| (at as u8).wrapping_mul(7) ^ seed).collect())
        .boxed()
}

/// Ids: any, nobody's, printable ones, and some that begin like padding.
pub fn client_id() -> BoxedStrategy<ClientId> {
    let printable = proptest::array::uniform16(0x20..0x7f_u8).prop_map(ClientId);
    let zeros_first = (value::<ClientId>(), 1..16_usize).prop_map(|(mut id, zeros)| {
        id.0[..zeros].fill(0);
        id
    });
    prop_oneof![4 => value::<ClientId>(), 2 => Just(ClientId::NOBODY), 1 => printable, 1 => zeros_first]
        .boxed()
}

/// Requests of an operation as a client sends them in a dialect.
pub fn speech(dialect: Dialect, operation: Operation) -> BoxedStrategy<Speech> {
    (1..=2_u8, client_id(), request(operation), content(), 0..8_u8)
        .prop_map(move |(version, mut client_id, request, content, odd)| {
            // One program puts the beginning of its user's name there.
            if let (Request::Register(register), 0) = (&request, odd) {
                client_id = ClientId(*register.name.0.first_chunk().expect("a name field is longer"));
            }
            Speech::new(dialect, version, client_id, request, content)
        })
        .boxed()
}

/// A few requests of any operation in one dialect, as a client sends them one behind the other.
pub fn conversation(dialect: Dialect) -> BoxedStrategy<Vec<Speech>> {
    let operations = Operation::ALL.iter().filter(|operation| operation.codes(dialect.family).is_some());
    let any_speech = proptest::strategy::Union::new(operations.map(|operation| speech(dialect, *operation)));
    vec(any_speech, 1..5).boxed()
}

/// Sizes of the pieces that a stream comes in; used in turn, and over again.
pub fn piece_sizes() -> BoxedStrategy<Vec<usize>> {
    vec(prop_oneof![3 => 1..30_usize, 1 => 30..2000_usize], 1..10).boxed()
}
