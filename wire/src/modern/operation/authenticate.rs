//! Authenticate: the connection is the client's that the header names, from here on.

use binrw::binrw;

use super::Payload;
use crate::envelope::field::{Binding, ClientNonce, ServerKeyHash, ServerNonce, Signature};
use crate::envelope::statement::{Authentication, BindingType};
use crate::fields::ClientId;

/// A client's signature, and what of the signed fields the server does not know.
/// ```text
/// 0 binding type 1 ‖ 1 binding 32 ‖ 33 client nonce 16 ‖ 49 signature 384
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// 0: what the connection is known by.
    pub binding_type: BindingType,
    /// 1: by which the connection is known.
    pub binding: Binding,
    /// 33: chosen by the client.
    pub client_nonce: ClientNonce,
    /// 49: the signature: of an [`Authentication`], or of that and more.
    pub signature: Signature,
}

/// Bytes of [`Proof`].
pub const PROOF_SIZE: usize = 433;

impl Proof {
    /// The fields that are signed, to a server that is known by `server_key_hash` and gave `nonce`, for the client that
    /// the request's header names.
    #[must_use]
    pub fn authentication(
        &self,
        server_key_hash: ServerKeyHash,
        nonce: ServerNonce,
        client_id: ClientId,
    ) -> Authentication {
        Authentication {
            server_key_hash,
            nonce,
            binding_type: self.binding_type,
            binding: self.binding,
            client_id,
            client_nonce: self.client_nonce,
        }
    }
}

/// `proof 433`: signed under `"MU3-AUTH\0"`.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: that the asker is who the header says.
    pub proof: Proof,
}

/// Nothing.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response;

impl Payload for Request {
    const WHAT: &'static str = "request to authenticate";
    const MAX_SIZE: usize = PROOF_SIZE;
}

impl Payload for Response {
    const WHAT: &'static str = "response to authenticate";
    const MAX_SIZE: usize = 0;
}
