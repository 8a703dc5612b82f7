//! PutChunk: a sealed chunk of a file, for its recipient. The same again changes nothing.

use binrw::binrw;

use super::Payload;
use crate::envelope::field::FileId;
use crate::fields::ClientId;
use crate::modern::field::{ChunkBytes, ChunkPlace, StoreStatus};
use crate::modern::limits::SEALED_CHUNK_MAX;

/// ```text
/// 0 to 16 ‖ 16 file id 16 ‖ 32 chunks u32 ‖ 36 index u32 ‖ 40 size u32 ‖ 44 sealed chunk
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: who may fetch it.
    pub to: ClientId,
    /// 16: the sender's number for the file.
    pub file_id: FileId,
    /// 32: which chunk. Each chunk of a file says the same number of chunks.
    pub place: ChunkPlace,
    /// 40: the chunk.
    pub chunk: ChunkBytes,
}

/// ```text
/// 0 file id 16 ‖ 16 index u32 ‖ 20 status 1
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: the sender's number for the file.
    pub file_id: FileId,
    /// 16: which chunk.
    pub index: u32,
    /// 20: whether it is new. In both cases, it is on disk.
    pub status: StoreStatus,
}

impl Payload for Request {
    const WHAT: &'static str = "request to put chunk";
    const MAX_SIZE: usize = 44 + SEALED_CHUNK_MAX;
}

impl Payload for Response {
    const WHAT: &'static str = "response to put chunk";
    const MAX_SIZE: usize = 21;
}
