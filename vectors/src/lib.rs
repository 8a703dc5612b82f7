//! The vectors as values, for the tests that replay and read them: what README.md beside this crate describes.
//!
//! The files are data for anybody; this crate reads them strictly, and translates their fields to the wire's values
//! and back.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a vector that cannot be read should stop the test that reads it"
)]

pub mod codec;
pub mod fields;
mod hex;
mod reading;
mod translate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use messageu_wire::dialect::{Dialect, Pin, Profile};
use messageu_wire::operations::Operation;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fields::{RequestFields, ResponseFields};
pub use crate::hex::Hex;

/// The conversation of one program with its own server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The program's name.
    pub program: String,
    /// The dialect it speaks, in the words of spec.md: `d`, or `d/big-endian`.
    pub dialect: String,
    /// The profile that a listener has to be pinned to, where bytes alone do not tell; else null.
    pub pin: Option<String>,
    /// What is unusual in this recording: names, and what each stands for.
    pub quirks: BTreeMap<String, String>,
    /// Requests and their responses, in the order of the requests.
    pub exchanges: Vec<Exchange>,
}

/// A request and its response.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What the user did.
    pub step: String,
    /// Which connection of the conversation it came on.
    pub connection: u32,
    /// The operation's name in spec.md.
    pub operation: String,
    /// The names of the recording's quirks that show in this exchange.
    pub quirks: Vec<String>,
    /// The request's bytes as they crossed.
    pub request: Hex,
    /// What they mean.
    pub request_fields: RequestFields,
    /// The response's bytes as they crossed.
    pub response: Hex,
    /// What they mean.
    pub response_fields: ResponseFields,
}

/// All recordings, by the names of the programs.
///
/// # Panics
/// When a file is not as README.md describes it.
#[must_use]
pub fn recordings() -> Vec<Recording> {
    let mut recordings: Vec<Recording> = read_folder("recorded");
    recordings.sort_by(|a, b| a.program.cmp(&b.program));
    recordings
}

/// What all files of a folder have, which are one at least.
fn read_folder<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let read = |path: PathBuf| {
        let text = std::fs::read(&path).unwrap();
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let files: Vec<T> = std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect();
    assert!(!files.is_empty());
    files
}

impl Recording {
    /// The dialect, as the wire knows it.
    ///
    /// # Panics
    /// When the wire knows no such dialect.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect.parse().unwrap()
    }

    /// What a listener that serves this program has to be pinned to.
    ///
    /// # Panics
    /// When the wire knows no such profile.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin { family: None, profile: self.pin.as_deref().map(|name| Profile::named(name).unwrap()) }
    }
}

impl Exchange {
    /// The operation, as the wire knows it.
    ///
    /// # Panics
    /// When the wire knows no such operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        *Operation::ALL.iter().find(|operation| operation.name() == self.operation).unwrap()
    }

    /// Whether a quirk of this name shows in this exchange.
    #[must_use]
    pub fn shows(&self, quirk: &str) -> bool {
        self.quirks.iter().any(|name| name == quirk)
    }
}
