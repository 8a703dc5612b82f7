//! Names and ids.
#![allow(clippy::indexing_slicing, reason = "a failed property should stop")]

use messageu_proptests::property::{check_client_id, check_id_text, check_name, check_name_field};
use messageu_proptests::run::check;
use messageu_proptests::strategy::{client_id, value};
use messageu_wire::fields::NameField;
use proptest::prelude::*;

#[test]
fn names() {
    let texts = prop_oneof!["[ -~]{0,260}", "[ -~]{0,20}.[ -~]{0,20}", "\\PC{0,260}"];
    check(1024, texts, |text| check_name(&text));
}

#[test]
fn name_fields() {
    let terminated =
        (value::<NameField>(), 0..255_usize, any::<bool>()).prop_map(|(mut field, end, ascii)| {
            field.0[end] = 0;
            field.0[..end].iter_mut().filter(|_| ascii).for_each(|byte| *byte = b' ' + *byte % 95);
            field
        });
    check(512, terminated, check_name_field);
    check(512, value::<NameField>(), check_name_field);
}

#[test]
fn client_ids() {
    check(1024, client_id(), check_client_id);
}

#[test]
fn texts_of_ids() {
    let texts = prop_oneof!["[0-9a-fA-F]{30,34}", "[0-9a-fA-F]{15}.[0-9a-fA-F]{16}", ".{0,40}"];
    check(512, texts, |text| check_id_text(&text));
}
