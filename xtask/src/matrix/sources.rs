//! The documents, sources and vectors of the workspace, and the tests in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Every document, source and vector of a workspace: its path from the root, and its text.
///
/// # Errors
/// When one cannot be read.
pub fn workspace(root: &Path) -> Result<BTreeMap<String, String>> {
    fn add(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // What is built, and what belongs to other tools.
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                add(root, &path, files)?;
            } else if is_read(&path) {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let place = path.strip_prefix(root).unwrap_or(&path);
                files.insert(place.to_string_lossy().replace('\\', "/"), text);
            }
        }
        Ok(())
    }
    fn is_read(path: &Path) -> bool {
        match path.extension().and_then(|end| end.to_str()) {
            Some("rs" | "md" | "py") => true,
            Some("json") => path.components().any(|part| part.as_os_str() == "vectors"),
            _ => false,
        }
    }
    let mut files = BTreeMap::new();
    add(root, root, &mut files)?;
    Ok(files)
}

/// The tests of a workspace.
///
/// A test is a function below `#[test]` or `#[tokio::test…]`, also inside a macro such as `proptest!`; a behaviour
/// that `each_store!(…)` makes tests of; or a function of `xtask/prose`, which `.ci/prose` runs, that is called there.
#[derive(Debug, Default)]
pub struct Tests {
    /// Each as `server/tests/hostile::name`.
    places: Vec<String>,
}

impl Tests {
    /// The tests of these files.
    #[must_use]
    pub fn of(files: &BTreeMap<String, String>) -> Self {
        let mut places = Vec::new();
        let is_prose = |path: &&String| path.starts_with("xtask/prose/");
        let prose: String =
            files.iter().filter(|(path, _)| is_prose(path)).map(|(_, text)| text.as_str()).collect();
        for (path, text) in files {
            let names = if is_prose(&path) { called(text, &prose) } else { functions(text) };
            let place = path.trim_end_matches(".py").trim_end_matches(".rs");
            places.extend(names.into_iter().map(|name| format!("{place}::{name}")));
        }
        Self { places }
    }

    /// Why `name` is not the name of exactly one test. It may say in which file, as `hostile::name`.
    #[must_use]
    pub fn why_not_one(&self, name: &str) -> Option<String> {
        let is_it = |place: &&String| {
            place.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with(['/', ':']))
        };
        match self.places.iter().filter(is_it).count() {
            0 => Some(format!("no test is called `{name}`")),
            1 => None,
            more => Some(format!("{more} tests are called `{name}`: say in which file, as `file::{name}`")),
        }
    }
}

/// The names of the tests in a Rust source.
fn functions(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(behind) = line.strip_prefix("each_store!(") {
            names.extend(behind.strip_suffix(");"));
        } else if let Some(behind) = line.trim_start_matches("async ").strip_prefix("fn ") {
            names.extend(behind.split(['(', '<']).next().filter(|_| is_test));
            is_test = false;
        }
    }
    names
}

/// The names of the functions of a program in Python that are named again in `all`.
fn called<'a>(text: &'a str, all: &str) -> Vec<&'a str> {
    let names = text.lines().filter_map(|line| line.strip_prefix("def ")?.split('(').next());
    names.filter(|name| all.matches(name).nth(1).is_some()).collect()
}
