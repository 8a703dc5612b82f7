//! The hashes at the top of spec.md: which data belongs to this text.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

const BEGIN: &str = "<!-- generated: hashes -->\n";
const END: &str = "<!-- end -->\n";

/// spec.md with the hashes of this form of the wire and of the vectors that are there.
///
/// # Errors
/// When a file cannot be read, or spec.md has no place for the hashes.
pub(crate) fn update(root: &Path, form: &str) -> Result<String> {
    let spec = fs::read_to_string(root.join("spec.md")).context("cannot read spec.md")?;
    let vectors = vectors(root)?;
    let rows = format!(
        "| what | SHA-256 |\n|---|---|\n| `generated/wire.json` | `{}` |\n| the {} files of `vectors/` | `{}` |\n",
        hash(form.as_bytes()),
        vectors.lines().count(),
        hash(vectors.as_bytes()),
    );
    replaced(&spec, &rows)
}

/// A text with something else between the marks.
fn replaced(text: &str, rows: &str) -> Result<String> {
    let (before, behind) = text.split_once(BEGIN).context("spec.md has no place for the hashes")?;
    let (_, after) = behind.split_once(END).context("in spec.md, the place for the hashes has no end")?;
    Ok(format!("{before}{BEGIN}{rows}{END}{after}"))
}

/// What `sha256sum */*.json` says in the folder of the vectors: a line each, in the order of the paths.
fn vectors(root: &Path) -> Result<String> {
    let vectors = root.join("vectors");
    let mut files = Vec::new();
    for folder in entries(&vectors)?.into_iter().filter(|path| path.is_dir()) {
        files.extend(
            entries(&folder)?.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "json")),
        );
    }
    files.sort();
    let lines = files.iter().map(|path| {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let place = path.strip_prefix(&vectors).unwrap_or(path).to_string_lossy().replace('\\', "/");
        Ok(format!("{}  {place}\n", hash(&content)))
    });
    lines.collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test should stop")]

    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let text = |rows: &str| format!("before\n{BEGIN}{rows}{END}behind\n");
        assert_eq!(replaced(&text("old\n"), "new\n").unwrap(), text("new\n"));
        assert!(replaced("before\nbehind\n", "new\n").is_err());
        assert!(replaced(&format!("before\n{BEGIN}old\n"), "new\n").is_err());
    }

    #[test]
    fn a_hash_is_what_sha256sum_says() {
        assert_eq!(hash(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
