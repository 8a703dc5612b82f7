//! FetchSuccession: who follows a client that has moved, with the proof: so a contact that missed the notice can check it
//! against what it has pinned.

use binrw::binrw;

use super::Payload;
use super::rotate_identity::{SUCCESSION_SIZE, Succession};
use crate::envelope::field::{RSA_PUBLIC_KEY_SIZE, RsaPublicKey};
use crate::fields::{CLIENT_ID_SIZE, ClientId};

/// `client id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: who has moved.
    pub client_id: ClientId,
}

/// ```text
/// 0 old identity SPKI 422 ‖ 422 succession 2070
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: the identity that went.
    pub old_identity: RsaPublicKey,
    /// 422: the one that came, signed by both.
    pub succession: Succession,
}

impl Payload for Request {
    const WHAT: &'static str = "request to fetch succession";
    const MAX_SIZE: usize = CLIENT_ID_SIZE;
}

impl Payload for Response {
    const WHAT: &'static str = "response to fetch succession";
    const MAX_SIZE: usize = RSA_PUBLIC_KEY_SIZE + SUCCESSION_SIZE;
}
