//! Single frames and structures, good and faulty, and what a reader has to make of each: the files in `codec/`.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{RequestFields, ResponseFields};
use crate::{Hex, read_folder};

/// The vectors of one dialect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodecFile {
    /// The dialect, in the words of spec.md: `d`, `d/big-endian`, or `3`.
    pub dialect: String,
    /// The vectors; what a patch is put on stands before it.
    pub vectors: Vec<CodecVector>,
}

/// Some bytes, and what a reader has to make of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodecVector {
    /// Its name: unique among all files.
    pub id: String,
    /// What is tried.
    pub what: String,
    /// The rules of spec.md that decide.
    pub requirements: Vec<String>,
    /// As what the bytes are read.
    pub read: Reading,
    /// The bytes.
    pub bytes: Source,
    /// What the reader has to make of them.
    pub expect: Expectation,
}

/// As what bytes are read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reading {
    /// By a server that speaks this dialect alone, as requests; this operation is asked for, or meant to be.
    Request(String),
    /// By a client that asked for an operation.
    Response {
        /// What it asked for.
        operation: String,
        /// Its id, in the classic dialects.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asker: Option<Hex>,
    },
    /// By whoever opens it, as a format of `generated/wire.json`.
    Format(String),
}

/// Bytes: whole, or another vector's with a patch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Source {
    /// The bytes.
    Whole(Hex),
    /// Those of another vector, changed.
    Patched(Patched),
}

/// Another vector's bytes, changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patched {
    /// The id of the other vector, which is accepted.
    pub base: String,
    /// What is changed, from the front to the back; places are those in the other vector.
    pub patch: Vec<Edit>,
}

/// A change of some bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Where.
    pub at: usize,
    /// How many bytes are taken out there.
    pub remove: usize,
    /// What is put there instead.
    pub insert: Hex,
}

/// What a reader has to make of bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case", deny_unknown_fields)]
pub enum Expectation {
    /// They are what they should be.
    Accept {
        /// What they mean.
        fields: Fields,
    },
    /// They are not.
    Reject {
        /// Which of the reader's checks finds that.
        stage: Stage,
        /// What is wrong, by the name that `generated/` has for it.
        rule: String,
        /// What the peer gets, where a server reads a request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
    },
    /// More bytes have to come: nothing is said, and if nothing more comes, nothing has happened.
    Wait,
}

/// What bytes mean.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Fields {
    /// Of a classic request.
    Request(Box<RequestFields>),
    /// Of a classic response.
    Response(Box<ResponseFields>),
    /// Of a classic refusal.
    Refusal(Refused),
    /// Of version 3, by the names of `generated/wire.json`: `client_id` and `tag` of the header, and `payload` or `refusal`;
    /// or the fields of a format. Bytes and texts are in hexadecimal digits.
    Modern(BTreeMap<String, serde_json::Value>),
}

/// A classic refusal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The text in it, mostly empty.
    pub refused: String,
}

/// Which check finds a fault, in the order in which they are made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Where a classic request begins: codes, sizes and layouts of a dialect (spec.md 9.1, check 2).
    Recognition,
    /// Version, code and size in a header.
    Header,
    /// The size of a content (spec.md 9.1, check 3).
    Content,
    /// The payload, or a format.
    Payload,
    /// What the operation asks of its fields (spec.md 9.1, check 4).
    Operation,
}

/// What a peer gets whose request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The code of the response.
    pub code: u16,
    /// The error in it, in version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<u16>,
    /// What becomes of the connection.
    pub connection: Connection,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// The next request is read.
    Kept,
    /// It is closed behind the answer.
    Closed,
}

/// All files, by their dialects.
///
/// # Panics
/// When a file is not as README.md describes it.
#[must_use]
pub fn codec_files() -> Vec<CodecFile> {
    let mut files: Vec<CodecFile> = read_folder("codec");
    files.sort_by(|one, other| one.dialect.cmp(&other.dialect));
    files
}

impl CodecFile {
    /// Each vector with its bytes.
    ///
    /// # Panics
    /// When a patch is on no vector before it, or beyond its bytes.
    #[must_use]
    pub fn with_bytes(&self) -> Vec<(&CodecVector, Vec<u8>)> {
        let mut whole: HashMap<&str, Vec<u8>> = HashMap::new();
        let mut all = Vec::new();
        for vector in &self.vectors {
            let bytes = match &vector.bytes {
                Source::Whole(bytes) => bytes.to_vec(),
                Source::Patched(patched) => patched.apply(&whole[patched.base.as_str()]),
            };
            whole.insert(&vector.id, bytes.clone());
            all.push((vector, bytes));
        }
        all
    }
}

impl Patched {
    /// The changed bytes.
    ///
    /// # Panics
    /// When an edit is beyond the bytes, or before the one before it.
    #[must_use]
    pub fn apply(&self, base: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut done = 0;
        for Edit { at, remove, insert } in &self.patch {
            bytes.extend_from_slice(&base[done..*at]);
            bytes.extend_from_slice(insert);
            done = at + remove;
        }
        bytes.extend_from_slice(&base[done..]);
        bytes
    }
}
