//! Hello: what a connection begins with. Each Hello gives a new nonce, and the one before is void.

use binrw::binrw;

use super::Payload;
use crate::envelope::field::{ServerNonce, UnixSeconds};
use crate::modern::field::ServerFlags;

/// Nothing.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request;

/// ```text
/// 0 nonce 32 ‖ 32 time u64 ‖ 40 flags u16
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: what the next Authenticate or Register on this connection signs. Good once, and for 30 seconds.
    pub nonce: ServerNonce,
    /// 32: the server's clock.
    pub time: UnixSeconds,
    /// 40: what the server says of itself.
    pub flags: ServerFlags,
}

impl Payload for Request {
    const WHAT: &'static str = "hello request";
    const MAX_SIZE: usize = 0;
}

impl Payload for Response {
    const WHAT: &'static str = "hello response";
    const MAX_SIZE: usize = 42;
}
