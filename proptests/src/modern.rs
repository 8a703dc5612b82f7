//! Values of version 3: out of a fuzzer's bytes, and strategies for them, for every row of the table.

use arbitrary::{Arbitrary, Result, Unstructured};
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::{RequestFrame, ResponseFrame};
use messageu_wire::modern::operation::{
    acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession, hello,
    look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
    verify_registration,
};
use messageu_wire::modern::{Operation, Refusal, Request, Response};
use messageu_wire::operations;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategy::{client_id, value};

/// More bytes than any value here is made of.
const ENTROPY: usize = 4096;

/// How many of them are thought up: they come over and over, at no distance that two fields have.
const PERIOD: usize = 251;

macro_rules! rows {
    (
        classic $classic:tt
        modern { $($operation:ident $module:ident $codes:tt $who:ident $meaning:literal;)* }
    ) => {
        /// A request of an operation, as bytes say it.
        pub fn request_from(operation: Operation, bytes: &mut Unstructured<'_>) -> Result<Request> {
            match operation {
                $(Operation::$operation => $module::Request::arbitrary(bytes).map(Request::from),)*
            }
        }

        /// A response of an operation, as bytes say it.
        pub fn response_from(operation: Operation, bytes: &mut Unstructured<'_>) -> Result<Response> {
            match operation {
                $(Operation::$operation => $module::Response::arbitrary(bytes).map(Response::from),)*
            }
        }
    };
}

operations!(rows);

/// A request of any operation with its header, as bytes say it.
pub fn request_frame_from(bytes: &mut Unstructured<'_>) -> Result<RequestFrame> {
    let (client_id, tag, operation) = bytes.arbitrary()?;
    Ok(RequestFrame { client_id, tag, request: Ok(request_from(operation, bytes)?) })
}

/// A response of any operation with its header, or a refusal, as bytes say it.
pub fn response_frame_from(bytes: &mut Unstructured<'_>) -> Result<ResponseFrame> {
    let (tag, operation) = bytes.arbitrary()?;
    let answer =
        if bytes.ratio(1, 8)? { Err(bytes.arbitrary()?) } else { Ok(response_from(operation, bytes)?) };
    Ok(ResponseFrame { tag, answer })
}

/// Requests of an operation.
pub fn request(operation: Operation) -> BoxedStrategy<Request> {
    made_by(move |bytes| request_from(operation, bytes))
}

/// Responses of an operation.
pub fn response(operation: Operation) -> BoxedStrategy<Response> {
    made_by(move |bytes| response_from(operation, bytes))
}

/// Requests of an operation with their headers.
pub fn request_frame(operation: Operation) -> BoxedStrategy<RequestFrame> {
    (client_id(), any::<u32>(), request(operation))
        .prop_map(|(client_id, tag, request)| RequestFrame { client_id, tag: Tag(tag), request: Ok(request) })
        .boxed()
}

/// Responses of an operation with their headers, and refusals.
pub fn response_frame(operation: Operation) -> BoxedStrategy<ResponseFrame> {
    let answer = prop_oneof![7 => response(operation).prop_map(Ok), 1 => value::<Refusal>().prop_map(Err)];
    (any::<u32>(), answer).prop_map(|(tag, answer)| ResponseFrame { tag: Tag(tag), answer }).boxed()
}

/// Any of all operations.
pub fn operation() -> impl Strategy<Value = Operation> {
    proptest::sample::select(Operation::ALL)
}

fn made_by<T: std::fmt::Debug + 'static>(
    make: impl Fn(&mut Unstructured<'_>) -> Result<T> + 'static,
) -> BoxedStrategy<T> {
    vec(any::<u8>(), PERIOD)
        .prop_map(move |bytes| {
            let bytes: Vec<u8> = bytes.into_iter().cycle().take(ENTROPY).collect();
            make(&mut Unstructured::new(&bytes)).expect("bytes enough")
        })
        .boxed()
}
