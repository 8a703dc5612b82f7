//! FetchKey: a client's public key.

use binrw::binrw;

use super::{RequestPayload, ResponsePayload, decode_exactly, encode_to};
use crate::dialect::Profile;
use crate::error::WireError;
use crate::fields::{CLIENT_ID_SIZE, ClientId, PUBLIC_KEY_SIZE, PublicKey};
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Type, WireSpec};

/// `client id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Whose key.
    pub client_id: ClientId,
}

/// A client's public key, and whose it is as far as the profile says it.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Whose key; `None` where the profile has no id there.
    pub client_id: Option<ClientId>,
    /// The key.
    pub public_key: PublicKey,
}

/// What stands before the key in a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyLayout {
    /// `client id 16 ‖ public key 160`, with the id of the key's owner: all but two profiles.
    OwnersId,
    /// The same with the id of the asker: `uid-echo`.
    AskersId,
    /// `public key 160`: `no-key-id`.
    Bare,
}

/// `client id 16 ‖ public key 160`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct WithId {
    /// 0: whose key, or who asks for it.
    client_id: ClientId,
    /// 16: the key.
    public_key: PublicKey,
}

/// `public key 160`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct Bare {
    /// 0: the key.
    public_key: PublicKey,
}

impl RequestPayload for Request {
    fn head_size(_: &Profile) -> usize {
        CLIENT_ID_SIZE
    }

    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly("public key request", bytes, profile.byte_order)
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
    /// Takes, whatever the profile, also the bare key that some servers give instead.
    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        const WHAT: &str = "public key response";
        let layout = if bytes.len() == PUBLIC_KEY_SIZE { KeyLayout::Bare } else { profile.key };
        Ok(match layout {
            KeyLayout::OwnersId => {
                let WithId { client_id, public_key } = decode_exactly(WHAT, bytes, profile.byte_order)?;
                Self { client_id: Some(client_id), public_key }
            }
            KeyLayout::AskersId => {
                let WithId { public_key, .. } = decode_exactly(WHAT, bytes, profile.byte_order)?;
                Self { client_id: None, public_key }
            }
            KeyLayout::Bare => {
                let Bare { public_key } = decode_exactly(WHAT, bytes, profile.byte_order)?;
                Self { client_id: None, public_key }
            }
        })
    }

    fn encode(&self, profile: &Profile, asker: ClientId, out: &mut Vec<u8>) {
        let public_key = self.public_key;
        let id = match profile.key {
            KeyLayout::OwnersId => self.client_id.unwrap_or_default(),
            KeyLayout::AskersId => asker,
            KeyLayout::Bare => return encode_to(&Bare { public_key }, profile.byte_order, out),
        };
        encode_to(&WithId { client_id: profile.show_id(id), public_key }, profile.byte_order, out);
    }

    fn declared_size(&self, profile: &Profile) -> Option<u32> {
        let id_size = if profile.key == KeyLayout::Bare { 0 } else { CLIENT_ID_SIZE };
        u32::try_from(id_size + PUBLIC_KEY_SIZE).ok()
    }

    #[cfg(feature = "spec")]
    fn layout(profile: &Profile, declarations: &mut Declarations) -> Type {
        match profile.key {
            KeyLayout::OwnersId | KeyLayout::AskersId => WithId::refer(declarations),
            KeyLayout::Bare => Bare::refer(declarations),
        }
    }

    #[cfg(feature = "spec")]
    fn instead(declarations: &mut Declarations) -> Vec<Type> {
        vec![Bare::refer(declarations)]
    }
}
