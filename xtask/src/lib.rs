//! What is generated from the declarations of the wire: `generated/`, a file a reading; and what holds spec.md together.
//!
//! `wire.json` is the intermediate form; everything else is made from it alone.
#![forbid(unsafe_code)]

pub mod emit;
pub mod matrix;
mod status;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use messageu_wire::spec::{Spec, spec};

/// A generated file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Where it is, from the root of the workspace.
    pub path: &'static str,
    /// What it has.
    pub content: String,
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Everything that is generated.
///
/// # Errors
/// When the form cannot be written as JSON, or says something that an emitter has no words for.
pub fn generated() -> Result<Vec<File>> {
    let form = json(&spec())?;
    let schema = json(&schemars::schema_for!(Spec))?;
    let spec = status::update(&root(), &form)?;
    // What follows sees what others see.
    let read: Spec = serde_json::from_str(&form).context("cannot read the form again")?;
    let mut files = vec![
        File { path: "generated/wire.json", content: form },
        File { path: "generated/wire.schema.json", content: schema },
    ];
    files.extend(emit::all(&read)?);
    files.push(File { path: "spec.md", content: spec });
    Ok(files)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).context("cannot write the form as JSON")?;
    text.push('\n');
    Ok(text)
}

/// The generated files that are not there as they should be, with the first line that differs.
///
/// # Errors
/// As [`generated`].
pub fn stale() -> Result<Vec<(&'static str, usize)>> {
    let differs = |file: File| {
        let found = fs::read_to_string(root().join(file.path)).unwrap_or_default();
        if found == file.content {
            return None;
        }
        let same = found.lines().zip(file.content.lines()).take_while(|(found, made)| found == made).count();
        Some((file.path, same + 1))
    };
    Ok(generated()?.into_iter().filter_map(differs).collect())
}
