//! INIT: begins a session with somebody who may be offline, and carries its first message.

use binrw::binrw;

use super::field::{DhPublicKey, OneTimeId, PrekeyId, RsaPublicKey, Signature, WrapId, WrappedSecret};
use super::msg::Msg;
use super::sealed::{BLOCK_SIZE, Sealed};
use super::{EnvelopeKind, ORDER, Prefix, decode, encode};
use crate::error::WireError;
use crate::fields::ClientId;
use crate::operation::decode_exactly_with;

/// Bytes of [`InitHeader`].
pub const INIT_HEADER_SIZE: usize = 436;
/// Bytes of an INIT before its first message.
pub const INIT_OVERHEAD: usize = 1316;
/// Bytes of [`SenderBlock`].
pub const SENDER_BLOCK_SIZE: usize = 822;
/// Bytes of [`SenderBlock`], sealed, without IV and tag.
const SENDER_CIPHERTEXT_SIZE: usize = (SENDER_BLOCK_SIZE / BLOCK_SIZE + 1) * BLOCK_SIZE;

/// ```text
///    0 header 436 (InitHeader)
///  436 sealed sender block: IV 16 ‖ ciphertext 832 ‖ tag 32 (SenderBlock)
/// 1316 a whole MSG
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[br(import { first_ciphertext_size: usize })]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Init {
    /// 0: which keys of the recipient, and what they make the secret of.
    pub header: InitHeader,
    /// 436: who sends, sealed.
    #[br(args { ciphertext_size: SENDER_CIPHERTEXT_SIZE })]
    pub sender: Sealed,
    /// 1316: the session's first message.
    #[br(args { ciphertext_size: first_ciphertext_size })]
    pub first: Msg,
}

/// ```text
///  0 prefix 8          8 prekey id u32     12 one-time id u32   16 wrapping id u32
/// 20 ephemeral X25519 32                   52 wrapped secret 384
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitHeader {
    /// 0: of kind INIT.
    pub prefix: Prefix,
    /// 8: which prekey of the recipient.
    pub prekey_id: PrekeyId,
    /// 12: which one-time prekey of the recipient, if any.
    pub one_time_id: OneTimeId,
    /// 16: which wrapping key of the recipient.
    pub wrap_id: WrapId,
    /// 20: the sender's key for this session's secret alone.
    pub ephemeral: DhPublicKey,
    /// 52: 32 random bytes, wrapped to the recipient's wrapping key.
    pub wrapped: WrappedSecret,
}

/// What is sealed in an INIT: who sends it, and the proof of that.
/// ```text
/// 0 client id 16 ‖ 16 identity SPKI 422 ‖ 438 signature 384
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SenderBlock {
    /// 0: the sender.
    pub client_id: ClientId,
    /// 16: the sender's identity key.
    pub identity: RsaPublicKey,
    /// 438: the signature of an [`InitStatement`](super::statement::InitStatement).
    pub signature: Signature,
}

impl Init {
    /// Reads an INIT.
    ///
    /// # Errors
    /// [`WireError::FieldValue`] for a prefix of something else, [`WireError::EnvelopeSize`] or
    /// [`WireError::LadderSize`] for a size that no INIT has.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "INIT";
        Prefix::expect(envelope, EnvelopeKind::INIT)?;
        let (_, first) = envelope
            .split_at_checked(INIT_OVERHEAD)
            .ok_or(WireError::Truncated { what: WHAT, got: envelope.len() })?;
        let args = InitBinReadArgs { first_ciphertext_size: Msg::checked_ciphertext_size(first)? };
        decode_exactly_with(WHAT, envelope, ORDER, args)
    }

    /// The INIT as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl InitHeader {
    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl SenderBlock {
    /// Reads an opened sender block.
    ///
    /// # Errors
    /// [`WireError::Truncated`] or [`WireError::Trailing`] for another size.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode("sender block", bytes)
    }

    /// The block as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}
