//! EraseAccount: the asker's account is deleted, with its keys, its queue and the files that were put for it.

use binrw::binrw;

use super::Payload;

/// Nothing.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request;

/// Nothing.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response;

impl Payload for Request {
    const WHAT: &'static str = "request to erase account";
    const MAX_SIZE: usize = 0;
}

impl Payload for Response {
    const WHAT: &'static str = "response to erase account";
    const MAX_SIZE: usize = 0;
}
