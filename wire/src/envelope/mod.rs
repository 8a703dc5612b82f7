//! What users of version 3 send each other, as a third party parses it: key bundles, envelopes, what is in them, files.
//!
//! Layouts alone: what is opaque here (`Sealed`, `WrappedSecret`, `Signature`) is made and checked by who has the keys.
//! Every integer is little-endian. Every value has one spelling: what decodes encodes to the same bytes.
//!
//! Every envelope begins with the same eight bytes ([`Prefix`]):
//! ```text
//! 0 "MU3\x01" ‖ 4 suite 1 ‖ 5 kind 1 ‖ 6 flags 2 = 0
//! ```

pub mod bundle;
pub mod control;
pub mod field;
pub mod file;
pub mod frame;
pub mod init;
pub mod msg;
pub mod offer;
pub mod sealed;
pub mod statement;

use std::fmt;

use binrw::{BinRead, BinWrite, binrw};

use crate::dialect::ByteOrder;
use crate::error::WireError;
use crate::operation::{decode_exactly_with, encode_to};

/// The byte order of everything in here.
const ORDER: ByteOrder = ByteOrder::Little;

/// Most bytes of an envelope that is sent or accepted.
pub const ENVELOPE_MAX: usize = 128 * 1024;
/// Bytes of [`Prefix`].
pub const PREFIX_SIZE: usize = 8;
/// What every envelope begins with.
pub const MAGIC: [u8; 4] = *b"MU3\x01";

/// Which cryptography is used.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Suite(pub u8);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl Suite {
    /// 1: RSA-3072 with PSS and OAEP, X25519, A256CBC-HS512, HKDF-SHA-512.
    pub const ONE: Self = Self(1);
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ONE => f.write_str("suite 1"),
            Self(other) => write!(f, "unknown suite {other}"),
        }
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Suite({}: {self})", self.0)
    }
}

/// The kind of an envelope.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvelopeKind(pub u8);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl EnvelopeKind {
    /// 1: an [`offer::Offer`], which asks for a session.
    pub const OFFER: Self = Self(1);
    /// 2: an [`init::Init`], which begins a session.
    pub const INIT: Self = Self(2);
    /// 3: a [`msg::Msg`] of a session.
    pub const MSG: Self = Self(3);
}

impl fmt::Display for EnvelopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OFFER => f.write_str("OFFER"),
            Self::INIT => f.write_str("INIT"),
            Self::MSG => f.write_str("MSG"),
            Self(other) => write!(f, "unknown kind {other}"),
        }
    }
}

impl fmt::Debug for EnvelopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvelopeKind({}: {self})", self.0)
    }
}

/// `"MU3\x01" ‖ suite 1 ‖ kind 1 ‖ flags 2`: what every envelope begins with.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// 0: [`MAGIC`].
    pub magic: [u8; 4],
    /// 4: the suite.
    pub suite: Suite,
    /// 5: the kind.
    pub kind: EnvelopeKind,
    /// 6: reserved, 0.
    pub flags: u16,
}

impl Prefix {
    /// What an envelope of suite 1 begins with.
    #[must_use]
    pub const fn new(kind: EnvelopeKind) -> Self {
        Self { magic: MAGIC, suite: Suite::ONE, kind, flags: 0 }
    }

    /// Reads what an envelope begins with, whatever suite, kind and flags it has.
    ///
    /// # Errors
    /// [`WireError::Truncated`] below 8 bytes, [`WireError::NotAnEnvelope`] without the magic, and
    /// [`WireError::EnvelopeSize`] for more bytes than any envelope has.
    pub fn peek(envelope: &[u8]) -> Result<Self, WireError> {
        if envelope.len() > ENVELOPE_MAX {
            return Err(WireError::EnvelopeSize {
                what: "envelope",
                size: envelope.len(),
                limit: ENVELOPE_MAX,
            });
        }
        let start = envelope
            .get(..PREFIX_SIZE)
            .ok_or(WireError::Truncated { what: "envelope", got: envelope.len() })?;
        let prefix: Self = decode("envelope", start)?;
        if prefix.magic == MAGIC { Ok(prefix) } else { Err(WireError::NotAnEnvelope { found: prefix.magic }) }
    }

    /// Reads what an envelope of a kind begins with.
    pub(crate) fn expect(envelope: &[u8], kind: EnvelopeKind) -> Result<(), WireError> {
        let prefix = Self::peek(envelope)?;
        expect("suite", 4, prefix.suite.0, Suite::ONE.0)?;
        expect("kind", 5, prefix.kind.0, kind.0)?;
        expect("flags", 6, prefix.flags, 0)
    }
}

/// Reads one value that takes all of `bytes`.
pub(crate) fn decode<T>(what: &'static str, bytes: &[u8]) -> Result<T, WireError>
where
    T: for<'a> BinRead<Args<'a> = ()>,
{
    decode_exactly_with(what, bytes, ORDER, ())
}

/// Writes one value.
pub(crate) fn encode<T>(value: &T) -> Vec<u8>
where
    T: for<'a> BinWrite<Args<'a> = ()>,
{
    let mut out = Vec::new();
    encode_to(value, ORDER, &mut out);
    out
}

/// Holds a field to the only value that it may have.
pub(crate) fn expect<N: Into<u64>>(
    field: &'static str,
    at: usize,
    found: N,
    expected: N,
) -> Result<(), WireError> {
    let (found, expected) = (found.into(), expected.into());
    if found == expected { Ok(()) } else { Err(WireError::FieldValue { field, at, found, expected }) }
}
