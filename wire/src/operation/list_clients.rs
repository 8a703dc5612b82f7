//! ListClients: everybody but the asker.

use binrw::binrw;

use super::{RequestPayload, ResponsePayload, decode_exactly, encode_to};
use crate::dialect::Profile;
use crate::error::WireError;
use crate::fields::{CLIENT_ID_SIZE, ClientId, NAME_FIELD_SIZE, NameField};
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Field, Kind, Role, Type, WireSpec};

/// Empty: the header says who asks.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request;

/// `client id 16 ‖ name 255`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The client's id.
    pub client_id: ClientId,
    /// The client's name.
    pub name: NameField,
}

/// `n × entry 271`
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The clients, in no order that means anything.
    pub clients: Vec<Entry>,
}

/// Bytes of an entry, in every profile.
pub const ENTRY_SIZE: usize = CLIENT_ID_SIZE + NAME_FIELD_SIZE;

impl Entry {
    /// Reads an entry of [`ENTRY_SIZE`] bytes.
    ///
    /// # Errors
    /// When there are more or fewer bytes.
    pub fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly("client list entry", bytes, profile.byte_order)
    }

    /// Appends the entry as the profile shows it.
    pub fn encode(&self, profile: &Profile, out: &mut Vec<u8>) {
        let shown = Self { client_id: profile.show_id(self.client_id), name: self.name };
        encode_to(&shown, profile.byte_order, out);
    }
}

/// The declared size of a list of `count` clients; `None` beyond a u32.
#[must_use]
pub fn declared_size(count: u64) -> Option<u32> {
    count.checked_mul(u64::try_from(ENTRY_SIZE).ok()?)?.try_into().ok()
}

impl RequestPayload for Request {
    fn head_size(_: &Profile) -> usize {
        0
    }

    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly::<()>("client list request", bytes, profile.byte_order).map(|()| Self)
    }

    fn encode(&self, _: &Profile, _: &mut Vec<u8>) {}

    #[cfg(feature = "spec")]
    fn layout(_: &Profile, declarations: &mut Declarations) -> Type {
        Self::refer(declarations)
    }
}

impl ResponsePayload for Response {
    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        let entries = bytes.chunks(ENTRY_SIZE).map(|entry| Entry::decode(entry, profile));
        Ok(Self { clients: entries.collect::<Result<_, _>>()? })
    }

    fn encode(&self, profile: &Profile, _: ClientId, out: &mut Vec<u8>) {
        self.clients.iter().for_each(|entry| entry.encode(profile, out));
    }

    fn declared_size(&self, _: &Profile) -> Option<u32> {
        declared_size(self.clients.len().try_into().ok()?)
    }

    #[cfg(feature = "spec")]
    fn layout(_: &Profile, declarations: &mut Declarations) -> Type {
        let doc = "Everybody but the asker.";
        declarations.declare(concat!(module_path!(), "::Response"), None, doc, |declarations| {
            let clients = Type::Repeated(Box::new(Entry::refer(declarations)));
            let doc = "0: in no order that means anything.";
            Kind::structure(
                Vec::new(),
                vec![Field::new("clients", doc, clients, Role::Value, Vec::new())],
                Vec::new(),
            )
        })
    }
}
