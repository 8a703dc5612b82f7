//! SendEnvelope: an envelope for somebody's queue. The same again changes nothing.

use binrw::binrw;

use super::Payload;
use crate::envelope::EnvelopeKind;
use crate::envelope::field::EnvelopeId;
use crate::error::WireError;
use crate::fields::ClientId;
use crate::modern::field::{Envelope, StoreStatus};
use crate::modern::limits::ENVELOPE_MAX;

/// ```text
/// 0 to 16 ‖ 16 message id 16 ‖ 32 kind 1 ‖ 33 size u32 ‖ 37 envelope
/// ```
/// The kind is that in the envelope's prefix, so that nothing behind 37 has to be looked at.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: the recipient.
    pub to: ClientId,
    /// 16: the sender's number for it: who sends something again names the same.
    pub message_id: EnvelopeId,
    /// 32: the kind in the envelope's prefix.
    #[br(temp)]
    #[bw(calc = envelope.kind())]
    kind: EnvelopeKind,
    /// 33: the envelope.
    #[br(assert(envelope.kind() == kind, WireError::FieldValue {
        field: "kind",
        at: 32,
        found: kind.0.into(),
        expected: envelope.kind().0.into(),
    }))]
    pub envelope: Envelope,
}

/// ```text
/// 0 to 16 ‖ 16 message id 16 ‖ 32 status 1
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: the recipient.
    pub to: ClientId,
    /// 16: the sender's number.
    pub message_id: EnvelopeId,
    /// 32: whether it is new. In both cases, it is on disk.
    pub status: StoreStatus,
}

impl Payload for Request {
    const WHAT: &'static str = "request to send envelope";
    const MAX_SIZE: usize = 37 + ENVELOPE_MAX;
}

impl Payload for Response {
    const WHAT: &'static str = "response to send envelope";
    const MAX_SIZE: usize = 33;
}
