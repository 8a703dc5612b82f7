//! A server answers on connections of version 3 what the model answers, whoever says what, in whatever pieces.

use arbitrary::Unstructured;
use messageu_proptests::property::check_any_connections;
use messageu_proptests::run::check;
use proptest::collection::vec;
use proptest::prelude::any;

#[test]
fn connections_of_version_3_are_answered_as_their_model_is() {
    check(400, vec(any::<u8>(), 0..600), |bytes| {
        check_any_connections(&mut Unstructured::new(&bytes)).expect("any bytes say a story");
    });
}
