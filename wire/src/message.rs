//! What users store and forward: the types of messages.

use std::fmt;

use binrw::binrw;

/// Largest content of a message, in bytes: with the longest head that any profile puts before it (28 bytes), the size
/// of a pull still fits the u32 that declares it.
pub const CONTENT_MAX: u32 = u32::MAX - 28;

/// The type of a message. Unknown numbers are values; the server refuses them, a client shows them.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(pub u8);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl MessageType {
    /// 1: "send me a symmetric key". The content is empty, or bytes that mean nothing.
    pub const KEY_REQUEST: Self = Self(1);
    /// 2: a symmetric key, encrypted to the recipient's public key.
    pub const KEY: Self = Self(2);
    /// 3: a text, encrypted with the symmetric key.
    pub const TEXT: Self = Self(3);
    /// 4: a file's bytes, encrypted with the symmetric key.
    pub const FILE: Self = Self(4);

    /// Whether the classic dialects know this type.
    #[must_use]
    pub fn is_known(self) -> bool {
        (Self::KEY_REQUEST..=Self::FILE).contains(&self)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::KEY_REQUEST => f.write_str("key request"),
            Self::KEY => f.write_str("key"),
            Self::TEXT => f.write_str("text"),
            Self::FILE => f.write_str("file"),
            Self(other) => write!(f, "unknown type {other}"),
        }
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageType({}: {self})", self.0)
    }
}
