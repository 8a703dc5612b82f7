//! Files: the manifest, which travels in a MSG, and the chunks, which are stored beside the messages.

use std::fmt;

use binrw::{BinRead, binrw};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::field::{Digest, FileId};
use super::sealed::{SEALED_OVERHEAD, Sealed};
use super::{decode, expect};
use crate::error::WireError;

/// Bytes of a file in each chunk but the last.
pub const CHUNK_SIZE: usize = 64 * 1024;
/// Most bytes of a sealed chunk.
pub const SEALED_CHUNK_MAX: usize = CHUNK_SIZE + 16 + SEALED_OVERHEAD;
/// Bytes of a manifest before the name.
pub const MANIFEST_HEADER_SIZE: usize = 124;
/// Most bytes of a file's name.
pub const FILE_NAME_MAX: usize = 255;

/// The secret that the keys of a file's chunks come from. Erased when dropped, and never shown.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct FileKey(pub [u8; 64]);

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(…)")
    }
}

/// The name of a file: 1 to 255 bytes of UTF-8 that name a file in any directory, and nothing outside of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FileName(String);

impl FileName {
    /// Takes a text as a file's name.
    ///
    /// # Errors
    /// [`WireError::FileName`] for what is empty, longer than 255 bytes, `.` or `..`, or has a slash, a backslash, a
    /// colon, or a control character or one that turns the order of what is shown.
    pub fn new(text: &str) -> Result<Self, WireError> {
        let unfit = |c: char| {
            c.is_control()
                || matches!(c, '/' | '\\' | ':' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let fits = (1..=FILE_NAME_MAX).contains(&text.len()) && !matches!(text, "." | "..");
        if fits && !text.contains(unfit) { Ok(Self(text.to_owned())) } else { Err(WireError::FileName) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a recipient needs to fetch, open and check a file.
/// ```text
/// 0 file id 16 ‖ 16 file key 64 ‖ 80 size u64 ‖ 88 chunks u32 ‖ 92 SHA-256 of all chunks' tags 32 ‖ 124 name
/// ```
/// The name takes the rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// 0: which file.
    pub file_id: FileId,
    /// 16: the secret of its chunks.
    pub file_key: FileKey,
    /// 80: its bytes; how many chunks they take follows.
    pub size: FileSize,
    /// 92: SHA-256 over the tags of all chunks in their order.
    pub tags: Digest,
    /// 124: its name.
    pub name: FileName,
}

/// Bytes of a file: what fits in a u32 of chunks.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FileSize {
    bytes: u64,
    chunks: u32,
}

impl FileSize {
    /// Takes a number of bytes as a file's size.
    ///
    /// # Errors
    /// [`WireError::FieldLimit`] above 2^32 - 1 chunks.
    pub fn new(bytes: u64) -> Result<Self, WireError> {
        const CHUNK: u64 = 64 * 1024;
        let chunks = bytes.div_ceil(CHUNK).max(1);
        match u32::try_from(chunks) {
            Ok(chunks) => Ok(Self { bytes, chunks }),
            Err(_) => Err(WireError::FieldLimit {
                field: "size",
                at: 80,
                found: bytes,
                limit: u64::from(u32::MAX) * CHUNK,
            }),
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// How many chunks the file has: an empty one has one, which is empty.
    #[must_use]
    pub fn chunks(self) -> u32 {
        self.chunks
    }

    /// Bytes of the file in a chunk; `None` if it has no such chunk.
    #[must_use]
    pub fn chunk_size(self, index: u32) -> Option<usize> {
        let last = self.chunks - 1;
        match index.cmp(&last) {
            std::cmp::Ordering::Less => Some(CHUNK_SIZE),
            std::cmp::Ordering::Equal => {
                let before = u64::from(last) * u64::try_from(CHUNK_SIZE).ok()?;
                usize::try_from(self.bytes - before).ok()
            }
            std::cmp::Ordering::Greater => None,
        }
    }
}

/// What stands before a name.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[derive(BinRead)]
struct ManifestHeader {
    /// 0: which file.
    file_id: FileId,
    /// 16: the secret of its chunks.
    file_key: FileKey,
    /// 80: its bytes.
    size: u64,
    /// 88: how many chunks they take: an empty file has one.
    chunks: u32,
    /// 92: SHA-256 over the tags of all chunks in their order.
    tags: Digest,
}

impl Manifest {
    /// Reads a manifest, which is the body of a frame.
    ///
    /// # Errors
    /// [`WireError::Truncated`] below 124 bytes, [`WireError::FieldValue`] for a number of chunks that the size does not
    /// make, [`WireError::FieldLimit`] for a size beyond all chunks, [`WireError::FileName`] for a name that is none.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "file manifest";
        let (header, name) = body
            .split_at_checked(MANIFEST_HEADER_SIZE)
            .ok_or(WireError::Truncated { what: WHAT, got: body.len() })?;
        let ManifestHeader { file_id, file_key, size, chunks, tags } = decode(WHAT, header)?;
        let size = FileSize::new(size)?;
        expect("chunks", 88, chunks, size.chunks)?;
        let name = FileName::new(str::from_utf8(name).map_err(|_| WireError::FileName)?)?;
        Ok(Self { file_id, file_key, size, tags, name })
    }

    /// The manifest as the body of a frame, in memory that is erased.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Reserved whole, and written field after field: growing would leave copies of the key behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MANIFEST_HEADER_SIZE + self.name.0.len()));
        body.extend_from_slice(&self.file_id.0);
        body.extend_from_slice(&self.file_key.0);
        body.extend_from_slice(&self.size.bytes.to_le_bytes());
        body.extend_from_slice(&self.size.chunks.to_le_bytes());
        body.extend_from_slice(&self.tags.0);
        body.extend_from_slice(self.name.0.as_bytes());
        body
    }
}

/// Reads a chunk: a [`Sealed`] of at most 64 KiB of a file.
///
/// # Errors
/// [`WireError::Truncated`] or [`WireError::EnvelopeSize`] for a size that no chunk has.
pub fn decode_chunk(bytes: &[u8]) -> Result<Sealed, WireError> {
    Sealed::decode("chunk", bytes, SEALED_CHUNK_MAX - SEALED_OVERHEAD)
}

#[cfg(feature = "spec")]
mod described {
    use super::{CHUNK_SIZE, FILE_NAME_MAX, FileName, Manifest, ManifestHeader};
    use crate::spec::{
        Check, Comparison, Declarations, Encoding, Field, Kind, Operand, Parts, Points, Role, TextKind, Type,
        Value, WireSpec, size,
    };

    impl WireSpec for FileName {
        fn refer(declarations: &mut Declarations) -> Type {
            let doc =
                "The name of a file: one that names a file in any directory, and nothing outside of it.";
            declarations.declare("envelope::file::FileName", None, doc, |_| {
                let points = [(0, 0x1f), (0x7f, 0x9f), (0x2f, 0x2f), (0x5c, 0x5c), (0x3a, 0x3a)];
                let turning = [(0x2028, 0x202e), (0x2066, 0x2069)];
                let forbidden = points.into_iter().chain(turning);
                Kind::Text(TextKind {
                    encoding: Encoding::Utf8,
                    min: 1,
                    max: size(FILE_NAME_MAX),
                    runs: Vec::new(),
                    forbidden: forbidden.map(|(from, to)| Points { from, to }).collect(),
                    except: vec![".".into(), "..".into()],
                })
            })
        }

        fn value(&self) -> Value {
            Value::Bytes(self.as_str().into())
        }
    }

    impl WireSpec for Manifest {
        fn refer(declarations: &mut Declarations) -> Type {
            let doc = "What a recipient needs to fetch, open and check a file.";
            declarations.declare("envelope::file::Manifest", None, doc, |declarations| {
                let header = ManifestHeader::refer(declarations);
                let mut fields = declarations.fields_of(&header);
                for field in &mut fields {
                    if field.name == "chunks" {
                        field.role = Role::Calculated;
                        let of = "size".into();
                        field.checks.push(Check {
                            left: Operand::Field("chunks".into()),
                            holds: Comparison::Equal,
                            right: Operand::Parts(Parts { of, size: size(CHUNK_SIZE), min: 1 }),
                            error: Some("FieldValue".into()),
                            only_if: None,
                        });
                    }
                }
                let name = FileName::refer(declarations);
                fields.push(Field::new("name", "124: its name, to the end.", name, Role::Value, Vec::new()));
                Kind::structure(Vec::new(), fields, Vec::new())
            })
        }

        fn value(&self) -> Value {
            Value::Structure(vec![
                ("file_id".into(), self.file_id.value()),
                ("file_key".into(), self.file_key.value()),
                ("size".into(), self.size.bytes.value()),
                ("tags".into(), self.tags.value()),
                ("name".into(), self.name.value()),
            ])
        }
    }
}
