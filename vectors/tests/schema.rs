//! The schemas are those of the types that the files are read with.
#![allow(clippy::unwrap_used, reason = "a failed test should stop")]

use messageu_vectors::codec::{CodecFile, codec_files};
use messageu_vectors::{Recording, recordings};
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

/// Holds a schema to the file that `cargo run -p messageu-vectors --example schema` writes.
fn is_committed(schema: Schema, committed: &str) {
    let committed: Value = serde_json::from_str(committed).unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    assert_eq!(schema, committed, "run `cargo run -p messageu-vectors --example schema`");
}

#[test]
fn the_schemas_are_those_of_the_types() {
    is_committed(schema_for!(Recording), include_str!("../schema/recording.json"));
    is_committed(schema_for!(CodecFile), include_str!("../schema/codec.json"));
}

#[test]
fn what_the_schema_of_single_frames_does_not_name_is_refused() {
    let file = codec_files().swap_remove(0);
    let good = serde_json::to_value(&file).unwrap();
    for place in ["", "/vectors/0", "/vectors/0/expect"] {
        let mut bad = good.clone();
        bad.pointer_mut(place).unwrap().as_object_mut().unwrap().insert("more".into(), json!(1));
        assert!(serde_json::from_value::<CodecFile>(bad).is_err(), "{place}");
    }
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
