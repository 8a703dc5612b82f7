//! Every frame with any one byte changed, with more behind it, and in any two pieces.

use messageu_proptests::everything;
use messageu_proptests::property::{
    check_request_changes, check_request_cut_in_two, check_request_extension, check_response_changes,
    check_response_cut_in_two, check_response_extension,
};
use messageu_proptests::run::check;
use messageu_proptests::strategy::{client_id, response, speech};
use proptest::collection::vec;
use proptest::prelude::*;

/// What may stand behind a frame: one byte, anything, nothing but zeros.
fn extension() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 1),
        vec(any::<u8>(), 1..600),
        (1..1100_usize).prop_map(|zeros| vec![0; zeros]),
    ]
}

#[test]
fn a_request_with_one_byte_changed_is_none_or_canonical() {
    for (dialect, operation) in everything() {
        check(1, speech(dialect, operation), |speech| check_request_changes(&speech));
    }
}

#[test]
fn a_response_with_one_byte_changed_is_none_or_canonical() {
    for (dialect, operation) in everything() {
        check(1, (client_id(), response(operation)), |(asker, response)| {
            check_response_changes(dialect, asker, &response);
        });
    }
}

#[test]
fn what_stands_behind_a_request_is_not_part_of_it() {
    for (dialect, operation) in everything() {
        check(64, (speech(dialect, operation), extension()), |(speech, extension)| {
            check_request_extension(&speech, &extension);
        });
    }
}

#[test]
fn what_stands_behind_a_response_is_not_part_of_it() {
    for (dialect, operation) in everything() {
        check(64, (client_id(), response(operation), extension()), |(asker, response, extension)| {
            check_response_extension(dialect, asker, &response, &extension);
        });
    }
}

#[test]
fn a_request_cut_in_two_anywhere_is_the_same() {
    for (dialect, operation) in everything() {
        check(2, speech(dialect, operation), |speech| check_request_cut_in_two(&speech));
    }
}

#[test]
fn a_response_cut_in_two_anywhere_is_the_same() {
    for (dialect, operation) in everything() {
        check(2, (client_id(), response(operation)), |(asker, response)| {
            check_response_cut_in_two(dialect, asker, &response);
        });
    }
}
