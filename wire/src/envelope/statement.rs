//! What is signed. A signature is RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes, by an identity key,
//! over a context and the fields behind it: the message's SHA-256 is that of `context ‖ fields`.
//!
//! Contexts are different from each other and end with the only NUL in them, so that no statement can pass for another.

use binrw::binrw;

use super::encode;
use super::field::{Binding, ClientNonce, Digest, Fingerprint, ServerKeyHash, ServerNonce, UnixSeconds};
use crate::fields::ClientId;

/// What a statement is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Context(&'static [u8]);

impl Context {
    /// That a connection is its client's: [`Authentication`].
    pub const AUTHENTICATION: Self = Self(b"MU3-AUTH\0");
    /// That a client registers: [`Authentication`], then the request's name, phone number and bundle.
    pub const REGISTRATION: Self = Self(b"MU3-REG\0");
    /// That an identity gives way to another: [`Rotation`], signed by the one that goes.
    pub const ROTATION: Self = Self(b"MU3-ROTATE\0");
    /// That an identity follows another: [`Rotation`], signed by the one that comes.
    pub const SUCCESSION: Self = Self(b"MU3-SUCCEED\0");
    /// That keys are an identity's: [`BundleContent`](super::bundle::BundleContent).
    pub const BUNDLE: Self = Self(b"MU3-BUNDLE\0");
    /// That an [INIT](super::init::Init) is its sender's: [`InitStatement`].
    pub const INIT: Self = Self(b"MU3-INIT\0");
    /// That an OFFER is its sender's: [`OfferContent`](super::offer::OfferContent).
    pub const OFFER: Self = Self(b"MU3-OFFER\0");

    /// All contexts.
    pub const ALL: [Self; 7] = [
        Self::AUTHENTICATION,
        Self::REGISTRATION,
        Self::ROTATION,
        Self::SUCCESSION,
        Self::BUNDLE,
        Self::INIT,
        Self::OFFER,
    ];

    /// The bytes before the fields.
    #[must_use]
    pub fn as_bytes(self) -> &'static [u8] {
        self.0
    }
}

/// What an authentication is bound to.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BindingType(pub u8);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl BindingType {
    /// 1: the TLS exporter of RFC 9266.
    pub const TLS_EXPORTER: Self = Self(1);
    /// 2: the SHA-256 of the server's public key, once more.
    pub const SERVER_KEY: Self = Self(2);
}

/// ```text
/// 0 server key hash 32 ‖ 32 nonce 32 ‖ 64 binding type 1 ‖ 65 binding 32 ‖ 97 client id 16 ‖ 113 client nonce 16
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authentication {
    /// 0: the server that the client means.
    pub server_key_hash: ServerKeyHash,
    /// 32: what that server gave to be signed.
    pub nonce: ServerNonce,
    /// 64: what the connection is known by.
    pub binding_type: BindingType,
    /// 65: by which the connection is known.
    pub binding: Binding,
    /// 97: the client.
    pub client_id: ClientId,
    /// 113: chosen by the client.
    pub client_nonce: ClientNonce,
}

impl Authentication {
    /// The bytes that are signed, behind the context.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// ```text
/// 0 from fingerprint 32 ‖ 32 to fingerprint 32 ‖ 64 issued u64
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// 0: the identity that goes.
    pub from: Fingerprint,
    /// 32: the identity that comes.
    pub to: Fingerprint,
    /// 64: when.
    pub issued: UnixSeconds,
}

impl Rotation {
    /// The bytes that are signed, behind the context.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// ```text
/// 0 transcript 32 ‖ 32 from 16 ‖ 48 to 16
/// ```
/// The transcript is `SHA-256(header of the INIT 436 ‖ fingerprint of the recipient 32 ‖ SHA-256(bundle) 32)`.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitStatement {
    /// 0: the transcript.
    pub transcript: Digest,
    /// 32: the sender.
    pub from: ClientId,
    /// 48: the recipient.
    pub to: ClientId,
}

impl InitStatement {
    /// The bytes that are signed, behind the context.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}
