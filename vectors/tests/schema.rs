//! The schema is that of the types that the files are read with.
#![allow(clippy::unwrap_used, reason = "a failed test should stop")]

use messageu_vectors::{Recording, recordings};
use serde_json::{Value, json};

/// The file as `cargo run -p messageu-vectors --example schema` writes it.
fn committed() -> Value {
    serde_json::from_str(include_str!("../schema/recording.json")).unwrap()
}

#[test]
fn the_schema_is_the_one_of_the_types() {
    let schema = serde_json::to_value(schemars::schema_for!(Recording)).unwrap();
    assert_eq!(schema, committed(), "run `cargo run -p messageu-vectors --example schema`");
}

#[test]
fn what_the_schema_does_not_name_is_refused() {
    let recording = recordings().swap_remove(0);
    let good = serde_json::to_value(&recording).unwrap();
    assert_eq!(serde_json::from_value::<Recording>(good.clone()).unwrap(), recording);
    let places = ["", "/exchanges/0", "/exchanges/0/request_fields", "/exchanges/0/request_fields/payload"];
    for place in places {
        let mut bad = good.clone();
        bad.pointer_mut(place).unwrap().as_object_mut().unwrap().insert("more".into(), json!(1));
        assert!(serde_json::from_value::<Recording>(bad).is_err(), "{place}");
    }
    let mut bad = good;
    *bad.pointer_mut("/exchanges/0/request").unwrap() = json!("0G");
    assert!(serde_json::from_value::<Recording>(bad).is_err());
}
