//! How many instructions the small parts take, which no other work on the machine changes. `.ci/instructions` compares
//! them with what was recorded.
#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    missing_docs,
    reason = "a bench that goes wrong should stop"
)]

use std::hint::black_box;

use gungraun::prelude::*;
use messageu_bench_parts::{self as cases, ASKER, CONTENT, PIECE};
use messageu_envelope::legacy::{LegacyIv, LegacyPrivateKey, legacy_open, legacy_seal, legacy_wrap_key};
use messageu_wire::dialect::Pin;
use messageu_wire::frame::{Event, RequestReader};
use messageu_wire::message::CONTENT_MAX;
use messageu_wire::operations;
use messageu_wire::operations::{Operation, Request, Response};

macro_rules! rows {
    (
        classic { $($operation:ident $module:ident $a:tt $b:tt $c:tt $d:tt $e:tt $meaning:literal;)* }
        modern $modern:tt
    ) => {
        #[library_benchmark]
        $(#[bench::$module(cases::request(Operation::$operation))])*
        fn encode_request(request: Request) -> Option<Vec<u8>> {
            black_box(cases::dialect(request.operation()).encode_request(2, ASKER, &request))
        }

        #[library_benchmark]
        $(#[bench::$module(Operation::$operation, cases::request_payload(Operation::$operation))])*
        fn decode_request(operation: Operation, bytes: Vec<u8>) -> Request {
            black_box(Request::decode(operation, &bytes, cases::dialect(operation).profile).unwrap())
        }

        #[library_benchmark]
        $(#[bench::$module(cases::response(Operation::$operation))])*
        fn encode_response(response: Response) -> Option<Vec<u8>> {
            black_box(cases::dialect(response.operation()).encode_response(&response, ASKER))
        }

        #[library_benchmark]
        $(#[bench::$module(Operation::$operation, cases::response_payload(Operation::$operation))])*
        fn decode_response(operation: Operation, bytes: Vec<u8>) -> Response {
            black_box(Response::decode(operation, &bytes, cases::dialect(operation).profile).unwrap())
        }
    };
}

operations!(rows);

#[library_benchmark]
#[bench::send(cases::send())]
fn read_request(bytes: Vec<u8>) -> u32 {
    let mut reader = RequestReader::new(Pin::default(), CONTENT_MAX);
    reader.push(&bytes);
    let mut events = 0;
    while !matches!(reader.poll(None, false).unwrap(), Event::More) {
        events += 1;
    }
    black_box(events)
}

#[library_benchmark]
#[bench::message(vec![7; CONTENT])]
#[bench::piece(vec![7; PIECE])]
fn seal_legacy(content: Vec<u8>) -> Vec<u8> {
    black_box(legacy_seal(&cases::key(), LegacyIv::Zero, &content, &mut cases::rng()))
}

fn sealed(size: usize) -> Vec<u8> {
    legacy_seal(&cases::key(), LegacyIv::Zero, &vec![7; size], &mut cases::rng())
}

#[library_benchmark]
#[bench::message(sealed(CONTENT))]
#[bench::piece(sealed(PIECE))]
fn open_legacy(sealed: Vec<u8>) -> Vec<u8> {
    black_box(legacy_open(&cases::key(), LegacyIv::Zero, &sealed).unwrap())
}

#[library_benchmark]
#[bench::key(cases::wrapped())]
fn wrap_legacy((private, _): (LegacyPrivateKey, Vec<u8>)) -> usize {
    black_box(legacy_wrap_key(&private.public_key(), &cases::key(), &mut cases::rng()).unwrap().len())
}

#[library_benchmark]
#[bench::key(cases::wrapped())]
fn unwrap_legacy((private, wrapped): (LegacyPrivateKey, Vec<u8>)) -> bool {
    black_box(private.unwrap_key(&wrapped, &mut cases::rng()).is_ok())
}

library_benchmark_group!(
    name = wire;
    benchmarks = encode_request, decode_request, encode_response, decode_response, read_request
);
library_benchmark_group!(
    name = envelope;
    benchmarks = seal_legacy, open_legacy, wrap_legacy, unwrap_legacy
);

main!(library_benchmark_groups = wire, envelope);
