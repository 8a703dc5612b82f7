//! Any bytes: nothing panics, what is accepted is canonical, what is rejected says why.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed property should stop")]

use messageu_proptests::everything;
use messageu_proptests::hearing::Listener;
use messageu_proptests::property::{check_request_bytes, check_response_bytes, check_response_payload};
use messageu_proptests::run::check;
use messageu_proptests::speech::Speech;
use messageu_proptests::strategy::{client_id, conversation, response};
use messageu_wire::dialect::{Dialect, Profile};
use messageu_wire::operations::Operation;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A few bytes written over others; without them, what is valid stays so.
fn changes() -> impl Strategy<Value = Vec<(Index, u8)>> {
    vec((any::<Index>(), any::<u8>()), 0..4)
}

fn change(bytes: &mut [u8], reach: usize, changes: &[(Index, u8)]) {
    let reach = reach.min(bytes.len());
    for (at, byte) in changes.iter().filter(|_| reach > 0) {
        bytes[at.index(reach)] = *byte;
    }
}

fn check_for_all_listeners(bytes: &[u8]) {
    Listener::all().for_each(|listener| check_request_bytes(listener, bytes));
}

fn check_for_all_askers(bytes: &[u8]) {
    everything().for_each(|(dialect, operation)| check_response_bytes(dialect, operation, bytes));
}

#[test]
fn requests_of_any_bytes() {
    check(2048, vec(any::<u8>(), 0..600), |bytes| check_for_all_listeners(&bytes));
}

#[test]
fn requests_with_some_bytes_changed() {
    let dialects: Vec<Dialect> = Dialect::all().collect();
    let conversations = select(dialects).prop_flat_map(conversation);
    check(3072, (conversations, changes()), |(speeches, changes)| {
        let mut bytes: Vec<u8> = speeches.iter().flat_map(Speech::bytes).take(2500).collect();
        change(&mut bytes, 64, &changes);
        check_for_all_listeners(&bytes);
    });
}

#[test]
fn responses_of_any_bytes() {
    check(2048, vec(any::<u8>(), 0..600), |bytes| check_for_all_askers(&bytes));
}

#[test]
fn responses_with_some_bytes_changed() {
    let all: Vec<(Dialect, Operation)> = everything().collect();
    let responses =
        select(all).prop_flat_map(|(dialect, operation)| (Just(dialect), client_id(), response(operation)));
    check(4096, (responses, changes()), |((dialect, asker, response), changes)| {
        let mut bytes = dialect.encode_response(&response, asker).expect("no more than a u32 counts");
        bytes.truncate(2500);
        change(&mut bytes, 64, &changes);
        check_for_all_askers(&bytes);
    });
}

#[test]
fn payloads_with_some_bytes_changed() {
    for (dialect, operation) in everything() {
        check(128, (client_id(), response(operation), changes()), |(asker, response, changes)| {
            let mut bytes = Vec::new();
            response.encode(dialect.profile, asker, &mut bytes);
            change(&mut bytes, 64, &changes);
            Profile::ALL.iter().for_each(|profile| check_response_payload(profile, operation, &bytes));
        });
    }
}
