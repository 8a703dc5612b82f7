//! DropFile: a file that was put for the asker is deleted, all of its chunks.

use binrw::binrw;

use super::Payload;
use crate::envelope::field::FileId;

/// `file id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: which file.
    pub file_id: FileId,
}

/// `chunks u32`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: how many chunks of it were there, and are gone now.
    pub chunks: u32,
}

impl Payload for Request {
    const WHAT: &'static str = "request to drop file";
    const MAX_SIZE: usize = 16;
}

impl Payload for Response {
    const WHAT: &'static str = "response to drop file";
    const MAX_SIZE: usize = 4;
}
