//! What is secret is erased before its memory is given back: an allocator looks into every block that is freed.
//!
//! What a move leaves on the stack is not seen here, and is not promised.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};

use common::rng;
use common::users::{NOW, alice, bob, sessions, text};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::at_rest::{open_record, seal_record};
use messageu_envelope::file::{FileOpener, FileSealer};
use messageu_envelope::session::Session;
use messageu_wire::envelope::file::{FileKey, FileName, FileSize, Manifest};

/// Bytes of what is looked for.
const SIZE: usize = 32;

struct Watching;

thread_local! {
    static SECRET: RefCell<Option<[u8; SIZE]>> = const { RefCell::new(None) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator as it came; a block is read before it is freed, as far as it
// was allocated. It may not have been written to: the bytes are looked at one by one, whatever they are.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that all of it can be read.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
        let _ = SECRET.try_with(|secret| {
            let secret = secret.try_borrow().ok().and_then(|secret| *secret);
            if secret.is_some_and(|secret| bytes.windows(SIZE).any(|window| window == secret)) {
                FOUND.set(FOUND.get() + 1);
            }
        });
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// In how many of the blocks that some work frees a secret stands.
fn freed_with<T>(secret: [u8; SIZE], work: impl FnOnce() -> T) -> usize {
    SECRET.set(Some(secret));
    FOUND.set(0);
    let result = work();
    let found = FOUND.get();
    SECRET.set(None);
    drop(result);
    found
}

const SECRET_BYTES: [u8; SIZE] = *b"what nobody else is ever to see.";

#[test]
fn the_allocator_sees_what_is_not_erased() {
    assert_eq!(freed_with(SECRET_BYTES, || drop(SECRET_BYTES.to_vec())), 1);
}

#[test]
fn the_body_of_a_message_is_erased_on_both_sides() {
    let mut rng = rng(230);
    let (ours, theirs) = sessions(alice(), bob(), &mut rng);
    let found = freed_with(SECRET_BYTES, || {
        let (envelope, _) = ours.seal(&text(&SECRET_BYTES, &mut rng), &mut rng).unwrap();
        let opened = theirs.open(&envelope, NOW).unwrap();
        assert_eq!(opened.frame.body, SECRET_BYTES);
    });
    assert_eq!(found, 0);
}

#[test]
fn a_record_is_erased() {
    let mut rng = rng(231);
    let key = AeadKey::generate(&mut rng);
    let found = freed_with(SECRET_BYTES, || {
        let record = seal_record(&key, b"place", &SECRET_BYTES, &mut rng);
        assert_eq!(**open_record(&key, b"place", &record).unwrap(), SECRET_BYTES);
    });
    assert_eq!(found, 0);
}

#[test]
fn a_files_content_is_erased() {
    let mut sealer = FileSealer::new(FileSize::new(32).unwrap(), &mut rng(232));
    let found = freed_with(SECRET_BYTES, || {
        let (chunk, _) = sealer.seal(&SECRET_BYTES).unwrap();
        let mut opener = FileOpener::new(sealer.finish(FileName::new("x").unwrap()).unwrap());
        assert_eq!(**opener.open(&chunk).unwrap().0, SECRET_BYTES);
    });
    assert_eq!(found, 0);
}

#[test]
fn the_key_of_a_file_is_erased() {
    let mut sealer = FileSealer::new(FileSize::new(1).unwrap(), &mut rng(233));
    sealer.seal(&[0]).unwrap();
    let manifest = sealer.finish(FileName::new("x").unwrap()).unwrap();
    let FileKey(key) = manifest.file_key;
    let found = freed_with(*key.first_chunk().unwrap(), || {
        let body = manifest.encode();
        assert_eq!(Manifest::decode(&body).unwrap(), manifest);
    });
    assert_eq!(found, 0);
}

/// The message keys of two thousand skipped messages, the root key and the chain keys.
#[test]
fn the_keys_of_a_session_are_erased() {
    let mut rng = rng(234);
    let (mut ours, mut theirs) = sessions(alice(), bob(), &mut rng);
    for count in [1, 40] {
        let mut envelope = Vec::new();
        for _ in 0..=count {
            (envelope, ours) = ours.seal(&text(b"", &mut rng), &mut rng).unwrap();
        }
        theirs = theirs.open(&envelope, NOW).unwrap().session;
    }
    let stored = theirs.to_bytes().to_vec();
    let last: [u8; SIZE] = *stored.last_chunk().unwrap();
    let root: [u8; SIZE] = stored[81..113].try_into().unwrap();
    for _ in 0..40 {
        (_, ours) = ours.seal(&text(b"", &mut rng), &mut rng).unwrap();
    }
    let (envelope, _) = ours.seal(&text(b"", &mut rng), &mut rng).unwrap();
    for secret in [last, root] {
        let found = freed_with(secret, || {
            let read = Session::from_bytes(&theirs.to_bytes()).unwrap();
            let next = read.open(&envelope, NOW).unwrap().session;
            drop(read);
            next.seal(&text(b"", &mut rng), &mut rng).unwrap();
        });
        assert_eq!(found, 0);
    }
}
