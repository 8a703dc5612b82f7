//! Key files and copies of accounts of version 3: the properties of the fuzz targets, with what chance thinks up.

use arbitrary::Unstructured;
use messageu_proptests::property::{check_any_account_export, check_any_sealed_key_file};
use messageu_proptests::run::check;
use proptest::collection::vec;
use proptest::prelude::any;

#[test]
fn a_key_file_opens_to_what_was_sealed_or_is_refused_by_name() {
    check(4_000, vec(any::<u8>(), 0..120), |bytes| {
        // What the bytes do not suffice to say is not tried.
        let _ = check_any_sealed_key_file(&mut Unstructured::new(&bytes));
    });
}

#[test]
fn a_copy_of_an_account_is_taken_whole_or_leaves_nothing() {
    check(1_000, vec(any::<u8>(), 0..80), |bytes| {
        let _ = check_any_account_export(&mut Unstructured::new(&bytes));
    });
}
