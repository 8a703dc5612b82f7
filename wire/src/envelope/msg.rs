//! MSG: one message of a session.

use binrw::binrw;

use super::field::{DhPublicKey, SessionId};
use super::frame::LADDER;
use super::sealed::{SEALED_OVERHEAD, Sealed};
use super::{EnvelopeKind, ORDER, Prefix, encode};
use crate::error::WireError;
use crate::operation::decode_exactly_with;

/// Bytes of [`MsgHeader`].
pub const MSG_HEADER_SIZE: usize = 64;
/// Bytes of a MSG that are not ciphertext.
pub const MSG_OVERHEAD: usize = MSG_HEADER_SIZE + SEALED_OVERHEAD;

/// ```text
/// 0 header 64 (MsgHeader) ‖ 64 IV 16 ‖ 80 ciphertext n ‖ 80+n tag 32
/// ```
/// n is one of the sizes of [`LADDER`].
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[br(import { ciphertext_size: usize })]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Msg {
    /// 0: which message of which session.
    pub header: MsgHeader,
    /// 64: a [`Frame`](super::frame::Frame), sealed.
    #[br(args { ciphertext_size: ciphertext_size })]
    pub sealed: Sealed,
}

/// ```text
/// 0 prefix 8 ‖ 8 session id 16 ‖ 24 ratchet X25519 32 ‖ 56 previous count u32 ‖ 60 number u32
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsgHeader {
    /// 0: of kind MSG.
    pub prefix: Prefix,
    /// 8: which session.
    pub session_id: SessionId,
    /// 24: the sender's ratchet key.
    pub ratchet: DhPublicKey,
    /// 56: how many messages the sender sent under its ratchet key before this one.
    pub previous_count: u32,
    /// 60: how many messages the sender sent under this ratchet key before this message.
    pub number: u32,
}

impl Msg {
    /// Reads a MSG.
    ///
    /// # Errors
    /// [`WireError::FieldValue`] for a prefix of something else, [`WireError::LadderSize`] for a size that no MSG has.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        let ciphertext_size = Self::checked_ciphertext_size(envelope)?;
        decode_exactly_with("MSG", envelope, ORDER, MsgBinReadArgs { ciphertext_size })
    }

    /// The MSG as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Checks all that has to hold before memory is taken for a MSG.
    pub(super) fn checked_ciphertext_size(envelope: &[u8]) -> Result<usize, WireError> {
        Prefix::expect(envelope, EnvelopeKind::MSG)?;
        let ciphertext_size = envelope.len().saturating_sub(MSG_OVERHEAD);
        if LADDER.contains(&ciphertext_size) {
            Ok(ciphertext_size)
        } else {
            Err(WireError::LadderSize { what: "MSG", size: envelope.len(), overhead: MSG_OVERHEAD })
        }
    }
}

impl MsgHeader {
    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}
