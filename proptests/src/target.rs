//! What the fuzz targets do with an input: its last byte chooses who is there, the bytes before it are what comes.
//!
//! What a byte chooses depends on the tables, so it changes when a profile or an operation is
//! added; `examples/seeds.rs` then writes the seeds anew.

use crate::everything;
use crate::hearing::Listener;
use crate::property::{check_request_bytes, check_response_bytes};

/// Any bytes, to a server; the last byte chooses what it is pinned to or remembers.
pub fn parse_request(input: &[u8]) {
    if let Some((choice, bytes)) = input.split_last() {
        check_request_bytes(choose(Listener::all(), *choice), bytes);
    }
}

/// Any bytes, to a client; the last byte chooses its dialect and what it asked for.
pub fn parse_response(input: &[u8]) {
    if let Some((choice, bytes)) = input.split_last() {
        let (dialect, operation) = choose(everything(), *choice);
        check_response_bytes(dialect, operation, bytes);
    }
}

/// One of these, as a byte chooses it; there are some, and no more than a byte can choose from.
fn choose<T>(from: impl IntoIterator<Item = T>, byte: u8) -> T {
    let mut all: Vec<T> = from.into_iter().collect();
    assert!(all.len() <= 256, "a byte cannot choose from {}", all.len());
    let at = usize::from(byte) % all.len();
    all.swap_remove(at)
}
