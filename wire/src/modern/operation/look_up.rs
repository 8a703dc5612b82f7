//! LookUp: who has a name. Names are found whole: nobody can list them.

use binrw::binrw;

use super::Payload;
use crate::fields::{CLIENT_ID_SIZE, ClientId, NAME_MAX, Name};
use crate::modern::field::short_name;

/// `size u8 ‖ name`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The whole name.
    #[br(parse_with = short_name::read)]
    #[bw(write_with = short_name::write)]
    pub name: Name,
}

/// `client id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: who has it.
    pub client_id: ClientId,
}

impl Payload for Request {
    const WHAT: &'static str = "request to look up";
    const MAX_SIZE: usize = 1 + NAME_MAX;
}

impl Payload for Response {
    const WHAT: &'static str = "response to look up";
    const MAX_SIZE: usize = CLIENT_ID_SIZE;
}
