//! Writes the schemas of the files: `cargo run -p messageu-vectors --example schema`.
#![allow(clippy::unwrap_used, reason = "a tool for developers, that should stop")]

use std::path::Path;

use messageu_vectors::Recording;
use messageu_vectors::codec::CodecFile;
use schemars::schema_for;

fn main() {
    for (name, schema) in [("recording", schema_for!(Recording)), ("codec", schema_for!(CodecFile))] {
        let text = serde_json::to_string_pretty(&schema).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{name}.json"));
        std::fs::write(file, text + "\n").unwrap();
    }
}
