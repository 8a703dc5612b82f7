//! Acknowledge: what the asker has stored for good is deleted here.

use binrw::binrw;

use super::Payload;
use crate::modern::field::{AtMost, Sequence};
use crate::modern::limits::ACKNOWLEDGED_MAX;

/// Bytes of a [`Sequence`].
const SEQUENCE_SIZE: usize = 8;

/// ```text
/// 0 count u16 ‖ 2 count × sequence u64
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: which of the asker's envelopes. Others' and those that are gone do not matter.
    pub sequences: AtMost<Sequence, ACKNOWLEDGED_MAX>,
}

/// `deleted u16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: how many were there, and are gone now.
    pub deleted: u16,
}

impl Payload for Request {
    const WHAT: &'static str = "request to acknowledge";
    const MAX_SIZE: usize = 2 + ACKNOWLEDGED_MAX * SEQUENCE_SIZE;
}

impl Payload for Response {
    const WHAT: &'static str = "response to acknowledge";
    const MAX_SIZE: usize = 2;
}
