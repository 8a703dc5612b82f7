//! FetchChunk: a chunk of a file that was put for the asker.

use binrw::binrw;

use super::Payload;
use crate::envelope::field::FileId;
use crate::modern::field::ChunkBytes;
use crate::modern::limits::SEALED_CHUNK_MAX;

/// ```text
/// 0 file id 16 ‖ 16 index u32
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: which file.
    pub file_id: FileId,
    /// 16: which of its chunks.
    pub index: u32,
}

/// ```text
/// 0 size u32 ‖ 4 sealed chunk
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: the chunk, as its sender put it.
    pub chunk: ChunkBytes,
}

impl Payload for Request {
    const WHAT: &'static str = "request to fetch chunk";
    const MAX_SIZE: usize = 20;
}

impl Payload for Response {
    const WHAT: &'static str = "response to fetch chunk";
    const MAX_SIZE: usize = 4 + SEALED_CHUNK_MAX;
}
