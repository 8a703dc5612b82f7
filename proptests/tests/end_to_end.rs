//! What users of version 3 send each other: the properties of the fuzz targets, with what chance thinks up.
//!
//! RSA is done rarely by chance too, so that a run costs seconds; the fuzzers come there often.

use arbitrary::{Result, Unstructured};
use messageu_proptests::property::{
    check_any_bundle, check_any_file, check_any_init, check_any_msg, check_any_offer, check_any_ratchet,
};
use messageu_proptests::run::check;
use proptest::collection::vec;
use proptest::prelude::any;

#[track_caller]
fn try_any(cases: u32, size: usize, property: fn(&mut Unstructured<'_>) -> Result<()>) {
    check(cases, vec(any::<u8>(), 0..size), |bytes| {
        // What the bytes do not suffice to say is not tried.
        let _ = property(&mut Unstructured::new(&bytes));
    });
}

#[test]
fn a_bundle_is_taken_if_all_holds() {
    try_any(2000, 64, check_any_bundle);
}

#[test]
fn an_init_opens_if_its_sender_made_it() {
    try_any(4000, 128, check_any_init);
}

#[test]
fn a_msg_opens_if_it_is_a_frame_that_is_to_come() {
    try_any(2000, 300, check_any_msg);
}

#[test]
fn an_offer_is_taken_if_all_holds() {
    try_any(2000, 64, check_any_offer);
}

#[test]
fn a_session_does_what_its_model_does_and_a_thief_reads_no_more_than_that() {
    try_any(120, 190, check_any_ratchet);
}

#[test]
fn a_file_opens_chunk_after_chunk_and_whole() {
    try_any(400, 64, check_any_file);
}
