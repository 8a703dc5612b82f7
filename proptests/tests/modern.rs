//! Every operation of version 3, as requests and as responses.

use messageu_proptests::modern::{operation, request, request_frame, response, response_frame};
use messageu_proptests::pieces::cut;
use messageu_proptests::property::{
    REFUSAL, REQUEST, RESPONSE, check_frame_bytes, check_frame_changes, check_frame_cuts, check_frames,
    check_modern_payload, check_payload_ends,
};
use messageu_proptests::run::check;
use messageu_proptests::strategy::piece_sizes;
use messageu_wire::modern::Operation;
use messageu_wire::modern::frame::{RequestReader, ResponseReader};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn requests_that_are_sent_are_read_in_any_pieces() {
    for operation in Operation::ALL {
        check(64, (vec(request_frame(*operation), 1..3), piece_sizes()), |(frames, sizes)| {
            check_frames::<RequestReader>(&frames, |bytes| cut(bytes, &sizes));
        });
    }
}

#[test]
fn responses_and_refusals_that_are_sent_are_read_in_any_pieces() {
    for operation in Operation::ALL {
        check(64, (vec(response_frame(*operation), 1..3), piece_sizes()), |(frames, sizes)| {
            check_frames::<ResponseReader>(&frames, |bytes| cut(bytes, &sizes));
        });
    }
}

#[test]
fn requests_of_different_operations_follow_each_other() {
    let frames = vec(operation().prop_flat_map(request_frame), 1..6);
    check(256, (frames, piece_sizes()), |(frames, sizes)| {
        check_frames::<RequestReader>(&frames, |bytes| cut(bytes, &sizes));
    });
}

#[test]
fn responses_of_different_operations_follow_each_other() {
    let frames = vec(operation().prop_flat_map(response_frame), 1..6);
    check(256, (frames, piece_sizes()), |(frames, sizes)| {
        check_frames::<ResponseReader>(&frames, |bytes| cut(bytes, &sizes));
    });
}

#[test]
fn a_frame_cut_in_two_anywhere_is_the_same() {
    for operation in Operation::ALL {
        check(2, request_frame(*operation), |frame| check_frame_cuts::<RequestReader>(&frame));
        check(2, response_frame(*operation), |frame| check_frame_cuts::<ResponseReader>(&frame));
    }
}

#[test]
fn a_frame_with_one_byte_changed_is_refused_or_another_one() {
    for operation in Operation::ALL {
        check(1, request_frame(*operation), |frame| check_frame_changes::<RequestReader>(&frame));
        check(1, response_frame(*operation), |frame| check_frame_changes::<ResponseReader>(&frame));
    }
}

#[test]
fn a_payload_that_is_cut_or_has_more_behind_it_is_refused() {
    let extension = || vec(any::<u8>(), 1..40);
    for operation in Operation::ALL {
        check(8, (request(*operation), extension()), |(request, extension)| {
            let mut payload = Vec::new();
            request.encode(&mut payload);
            check_payload_ends(REQUEST, *operation, &payload, &extension);
        });
        check(8, (response(*operation), extension()), |(response, extension)| {
            let mut payload = Vec::new();
            response.encode(&mut payload);
            check_payload_ends(RESPONSE, *operation, &payload, &extension);
        });
    }
}

#[test]
fn any_payload_is_refused_or_canonical() {
    check(1024, vec(any::<u8>(), 0..2500), |payload| {
        for operation in Operation::ALL {
            for recode in [REQUEST, RESPONSE, REFUSAL] {
                check_modern_payload(recode, *operation, &payload);
            }
        }
    });
}

#[test]
fn any_bytes_are_frames_or_refused() {
    check(2048, vec(any::<u8>(), 0..600), |mut bytes| {
        check_frame_bytes::<ResponseReader>(&bytes);
        check_frame_bytes::<RequestReader>(&bytes);
        // Behind a version that is right there is more to be found.
        for at in [0, 16] {
            bytes.get_mut(at).into_iter().for_each(|version| *version = 3);
        }
        check_frame_bytes::<ResponseReader>(&bytes);
        check_frame_bytes::<RequestReader>(&bytes);
    });
}
