//! A sealed content: what A256CBC-HS512 (RFC 7518 §5.2.5) makes of a plaintext.

use std::fmt;

use binrw::binrw;

use super::field::{Iv, Tag};
use super::{ORDER, encode};
use crate::error::WireError;
use crate::operation::decode_exactly_with;

/// Bytes of a block: a ciphertext is whole blocks, one at least.
pub const BLOCK_SIZE: usize = 16;
/// Bytes that are not ciphertext: IV and tag.
pub const SEALED_OVERHEAD: usize = 48;

/// ```text
/// 0 IV 16 ‖ 16 ciphertext n ‖ 16+n tag 32
/// ```
/// How large n is stands nowhere: it follows from where the content is.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[br(import { ciphertext_size: usize })]
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// 0: the IV.
    pub iv: Iv,
    /// 16: whole blocks.
    #[br(count = ciphertext_size)]
    pub ciphertext: Vec<u8>,
    /// The tag.
    pub tag: Tag,
}

impl Sealed {
    /// Bytes of the ciphertext of a plaintext: the next multiple of 16 above its size.
    #[must_use]
    pub const fn ciphertext_size(plaintext_size: usize) -> usize {
        (plaintext_size / BLOCK_SIZE + 1).saturating_mul(BLOCK_SIZE)
    }

    /// Reads a sealed content that takes all of `bytes` and has at most `limit` bytes of ciphertext.
    ///
    /// # Errors
    /// [`WireError::Truncated`] below the size of one block, IV and tag, or if the last block is not whole;
    /// [`WireError::EnvelopeSize`] above `limit`.
    pub fn decode(what: &'static str, bytes: &[u8], limit: usize) -> Result<Self, WireError> {
        let size = bytes.len().saturating_sub(SEALED_OVERHEAD);
        if size > limit {
            return Err(WireError::EnvelopeSize { what, size: bytes.len(), limit: limit + SEALED_OVERHEAD });
        }
        if size == 0 || !size.is_multiple_of(BLOCK_SIZE) {
            return Err(WireError::Truncated { what, got: bytes.len() });
        }
        decode_exactly_with(what, bytes, ORDER, SealedBinReadArgs { ciphertext_size: size })
    }

    /// The content as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes of ciphertext, {:?})", self.ciphertext.len(), self.tag)
    }
}
