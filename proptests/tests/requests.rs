//! Every request in every dialect.

use messageu_proptests::everything;
use messageu_proptests::hearing::Listener;
use messageu_proptests::pieces::cut;
use messageu_proptests::property::{
    check_conversation, check_declared_size, check_recognition, check_request, check_request_cuts,
    check_request_split, check_zeros_between,
};
use messageu_proptests::run::check;
use messageu_proptests::speech::Speech;
use messageu_proptests::strategy::{conversation, piece_sizes, speech};
use messageu_wire::dialect::Dialect;
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operations::Request;
use proptest::prelude::*;

#[test]
fn what_is_sent_is_what_is_read() {
    for (dialect, operation) in everything() {
        check(256, speech(dialect, operation), |speech| check_request(&speech));
    }
}

#[test]
fn a_request_is_recognised_or_plain() {
    for (dialect, operation) in everything() {
        check(256, speech(dialect, operation), |speech| check_recognition(&speech));
    }
}

#[test]
fn a_request_cut_short_is_none() {
    for (dialect, operation) in everything() {
        check(12, speech(dialect, operation), |speech| check_request_cuts(&speech));
    }
}

#[test]
fn requests_one_behind_the_other_are_all_read_in_any_pieces() {
    for dialect in Dialect::all() {
        check(128, (conversation(dialect), piece_sizes()), |(speeches, sizes)| {
            check_conversation(&speeches, |bytes| cut(bytes, &sizes));
        });
    }
}

#[test]
fn a_wrong_declared_size_is_a_known_one_or_refused() {
    for (dialect, operation) in everything() {
        check(
            128,
            (speech(dialect, operation), any::<u32>(), any::<bool>()),
            |(mut speech, anything, empty)| {
                if let (Request::SendMessage(send), true) = (&mut speech.request, empty) {
                    (send.kind, send.size) = (MessageType::KEY_REQUEST, 0);
                    speech.content.clear();
                }
                check_declared_size(&speech, anything);
            },
        );
    }
}

#[test]
fn zeros_between_requests_are_passed_over() {
    for (dialect, operation) in everything() {
        // Of any ids, some would with zeros before them begin another request.
        let plain_id = |speech: Speech| Speech { client_id: ClientId([9; 16]), ..speech };
        let speech = speech(dialect, operation).prop_map(plain_id).boxed();
        let zeros = prop_oneof![0..32_usize, 1000..1040_usize];
        check(128, (speech.clone(), zeros, speech), |(before, zeros, after)| {
            check_zeros_between(&before, zeros, &after);
        });
    }
}

#[test]
fn who_knows_nothing_hears_the_same_in_any_pieces() {
    for dialect in Dialect::all() {
        check(128, (conversation(dialect), piece_sizes()), |(speeches, sizes)| {
            let bytes: Vec<u8> = speeches.iter().flat_map(Speech::bytes).collect();
            check_request_split(Listener::default(), &bytes, &cut(&bytes, &sizes));
        });
    }
}
