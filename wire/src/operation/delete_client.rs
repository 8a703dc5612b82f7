//! DeleteClient: the asker's account ends, with all that waits for it.

use super::{RequestPayload, ResponsePayload, decode_exactly};
use crate::dialect::Profile;
use crate::error::WireError;
use crate::fields::ClientId;
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Type, WireSpec};

/// Empty: the header says who.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request;

/// Empty: it is done.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response;

impl RequestPayload for Request {
    fn head_size(_: &Profile) -> usize {
        0
    }

    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly::<()>("delete client request", bytes, profile.byte_order).map(|()| Self)
    }

    fn encode(&self, _: &Profile, _: &mut Vec<u8>) {}

    #[cfg(feature = "spec")]
    fn layout(_: &Profile, declarations: &mut Declarations) -> Type {
        Self::refer(declarations)
    }
}

impl ResponsePayload for Response {
    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly::<()>("delete client response", bytes, profile.byte_order).map(|()| Self)
    }

    fn encode(&self, _: &Profile, _: ClientId, _: &mut Vec<u8>) {}

    fn declared_size(&self, _: &Profile) -> Option<u32> {
        Some(0)
    }

    #[cfg(feature = "spec")]
    fn layout(_: &Profile, declarations: &mut Declarations) -> Type {
        Self::refer(declarations)
    }
}
