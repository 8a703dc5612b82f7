//! Every response in every dialect.

use messageu_proptests::everything;
use messageu_proptests::pieces::cut;
use messageu_proptests::property::{check_response, check_response_cuts};
use messageu_proptests::run::check;
use messageu_proptests::strategy::{client_id, piece_sizes, response};

#[test]
fn what_is_answered_is_what_is_read() {
    for (dialect, operation) in everything() {
        check(256, (client_id(), response(operation), piece_sizes()), |(asker, response, sizes)| {
            check_response(dialect, asker, &response, |bytes| cut(bytes, &sizes));
        });
    }
}

#[test]
fn a_response_cut_short_is_not_over() {
    for (dialect, operation) in everything() {
        check(12, (client_id(), response(operation)), |(asker, response)| {
            check_response_cuts(dialect, asker, &response);
        });
    }
}
