//! Register: a new account for a name and a public key.

use binrw::binrw;

use super::{RequestPayload, ResponsePayload, decode_exactly, encode_to};
use crate::dialect::Profile;
use crate::error::WireError;
use crate::fields::{CLIENT_ID_SIZE, ClientId, NAME_FIELD_SIZE, NameField, PUBLIC_KEY_SIZE, PublicKey};
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Type, WireSpec};

/// `name 255 ‖ public key 160`
///
/// The client id in the header of this request means nothing.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The name asked for.
    pub name: NameField,
    /// The key that others encrypt symmetric keys to.
    pub public_key: PublicKey,
}

/// `client id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The new client's id.
    pub client_id: ClientId,
}

/// Bytes of a registration's payload, in every profile.
pub const REQUEST_SIZE: usize = NAME_FIELD_SIZE + PUBLIC_KEY_SIZE;

impl RequestPayload for Request {
    fn head_size(_: &Profile) -> usize {
        REQUEST_SIZE
    }

    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly("register request", bytes, profile.byte_order)
    }

    fn encode(&self, profile: &Profile, out: &mut Vec<u8>) {
        encode_to(self, profile.byte_order, out);
    }

    #[cfg(feature = "spec")]
    fn layout(_: &Profile, declarations: &mut Declarations) -> Type {
        Self::refer(declarations)
    }
}

impl ResponsePayload for Response {
    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly("register response", bytes, profile.byte_order)
    }

    fn encode(&self, profile: &Profile, _: ClientId, out: &mut Vec<u8>) {
        encode_to(&Self { client_id: profile.show_id(self.client_id) }, profile.byte_order, out);
    }

    fn declared_size(&self, _: &Profile) -> Option<u32> {
        u32::try_from(CLIENT_ID_SIZE).ok()
    }

    #[cfg(feature = "spec")]
    fn layout(_: &Profile, declarations: &mut Declarations) -> Type {
        Self::refer(declarations)
    }
}
