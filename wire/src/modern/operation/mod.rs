//! The payloads of requests and responses of version 3, one file an operation.

pub mod acknowledge;
pub mod authenticate;
pub mod drop_file;
pub mod erase_account;
pub mod fetch_chunk;
pub mod fetch_keys;
pub mod fetch_succession;
pub mod hello;
pub mod look_up;
pub mod publish_keys;
pub mod pull_envelopes;
pub mod put_chunk;
pub mod register;
pub mod rotate_identity;
pub mod send_envelope;
pub mod verify_registration;

use binrw::{BinRead, BinWrite};

use super::{Request, Response};
use crate::dialect::ByteOrder;
use crate::error::WireError;
use crate::operation::{decode_exactly, encode_to};

/// The payload of a request, a response or a refusal.
pub trait Payload: for<'a> BinRead<Args<'a> = ()> + for<'a> BinWrite<Args<'a> = ()> {
    /// What it is called in errors.
    const WHAT: &'static str;

    /// Most bytes that any value of it takes.
    const MAX_SIZE: usize;

    /// Reads a whole payload.
    ///
    /// # Errors
    /// When `bytes` are not exactly what is laid down.
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode_exactly(Self::WHAT, bytes, ByteOrder::Little)
    }

    /// Appends the payload.
    fn encode(&self, out: &mut Vec<u8>) {
        encode_to(self, ByteOrder::Little, out);
    }
}

/// A request whose response is known by its type.
pub trait Call: Payload + Into<Request> {
    /// What answers it.
    type Response: Payload;

    /// The response to this operation; `None` if this is one to another.
    fn response(response: Response) -> Option<Self::Response>;
}
