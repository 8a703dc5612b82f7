//! Writes the schema of the recordings: `cargo run -p messageu-vectors --example schema`.
#![allow(clippy::unwrap_used, reason = "a tool for developers, that should stop")]

use std::path::Path;

use messageu_vectors::Recording;

fn main() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Recording)).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/recording.json");
    std::fs::write(file, schema + "\n").unwrap();
}
