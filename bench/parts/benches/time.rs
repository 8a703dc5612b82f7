//! How long the small parts take, and how often they allocate: `cargo bench -p messageu-bench-parts --features time`.
#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    missing_docs,
    reason = "a bench that goes wrong should stop"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use messageu_bench_parts::{self as cases, ASKER, CONTENT, PIECE};
use messageu_envelope::legacy::{LegacyIv, legacy_open, legacy_seal, legacy_wrap_key};
use messageu_wire::dialect::Pin;
use messageu_wire::frame::{Event, RequestReader};
use messageu_wire::message::CONTENT_MAX;
use messageu_wire::operations::{Operation, Request, Response};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    ALLOCATIONS.with(|all| all.set((all.get().0 + 1, all.get().1 + bytes as u64)));
}

// SAFETY: every call is handed to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Says how often the work allocates, and measures how long it takes.
fn measure<T>(criterion: &mut Criterion, name: &str, mut work: impl FnMut() -> T) {
    let before = ALLOCATIONS.with(Cell::get);
    let made = black_box(work());
    let after = ALLOCATIONS.with(Cell::get);
    drop(made);
    println!("{name}: {} allocations, {} bytes", after.0 - before.0, after.1 - before.1);
    criterion.bench_function(name, |bencher| bencher.iter(&mut work));
}

fn wire(criterion: &mut Criterion) {
    for operation in Operation::ALL.iter().copied() {
        let dialect = cases::dialect(operation);
        let (request, response) = (cases::request(operation), cases::response(operation));
        let (asked, answered) = (cases::request_payload(operation), cases::response_payload(operation));
        measure(criterion, &format!("encode request {operation}"), || {
            dialect.encode_request(2, ASKER, &request)
        });
        measure(criterion, &format!("decode request {operation}"), || {
            Request::decode(operation, &asked, dialect.profile).unwrap()
        });
        measure(criterion, &format!("encode response {operation}"), || {
            dialect.encode_response(&response, ASKER)
        });
        measure(criterion, &format!("decode response {operation}"), || {
            Response::decode(operation, &answered, dialect.profile).unwrap()
        });
    }
    let send = cases::send();
    measure(criterion, "read a send", || {
        let mut reader = RequestReader::new(Pin::default(), CONTENT_MAX);
        reader.push(&send);
        let mut events = 0;
        while !matches!(reader.poll(None, false).unwrap(), Event::More) {
            events += 1;
        }
        events
    });
}

fn envelope(criterion: &mut Criterion) {
    let (key, mut rng) = (cases::key(), cases::rng());
    for iv in [LegacyIv::Zero, LegacyIv::Prefixed] {
        for size in [CONTENT, PIECE] {
            let content = vec![7; size];
            let sealed = legacy_seal(&key, iv, &content, &mut rng);
            measure(criterion, &format!("seal legacy {iv:?} {size}"), || {
                legacy_seal(&key, iv, &content, &mut rng)
            });
            measure(criterion, &format!("open legacy {iv:?} {size}"), || {
                legacy_open(&key, iv, &sealed).unwrap()
            });
        }
    }
    let (private, wrapped) = cases::wrapped();
    let public = private.public_key();
    measure(criterion, "wrap legacy", || legacy_wrap_key(&public, &key, &mut rng).unwrap());
    measure(criterion, "unwrap legacy", || private.unwrap_key(&wrapped, &mut rng).unwrap());
}

criterion_group!(all, wire, envelope);
criterion_main!(all);
