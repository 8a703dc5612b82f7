//! The fields that all operations share, each a type with its own bounds.

use std::fmt;
use std::str::FromStr;

use binrw::binrw;

use crate::error::FieldError;

/// Bytes of a client id.
pub const CLIENT_ID_SIZE: usize = 16;
/// Bytes of a name field on the wire: 254 characters at most, then a NUL.
pub const NAME_FIELD_SIZE: usize = 255;
/// Most characters of a name.
pub const NAME_MAX: usize = NAME_FIELD_SIZE - 1;
/// Bytes of a classic public key: X.509 DER of an RSA-1024 key with e = 17.
pub const PUBLIC_KEY_SIZE: usize = 160;

/// Who somebody is, to the server: 16 bytes that the server chose at registration.
///
/// Printed as 32 hexadecimal digits.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ClientId(pub [u8; CLIENT_ID_SIZE]);

impl ClientId {
    /// The id of nobody: what a client sends before it has one.
    pub const NOBODY: Self = Self([0; CLIENT_ID_SIZE]);

    /// Whether every byte is a printable ASCII character, as the `ascii` profile wants it.
    #[must_use]
    pub fn is_printable(&self) -> bool {
        self.0.iter().all(|byte| (0x20..0x7f).contains(byte))
    }

    /// The id as clients of the `ascii` profile see it: 16 printable characters.
    ///
    /// An id that is printable already stands for itself; any other is shown as the hexadecimal digits of its first
    /// half. The server keeps those halves distinct, so the way back is a look-up ([`ClientId::printable_prefix`]).
    #[must_use]
    pub fn to_printable(self) -> Self {
        if self.is_printable() {
            return self;
        }
        let mut digits = [0_u8; CLIENT_ID_SIZE];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 0x0f]) {
                *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            }
        }
        Self(digits)
    }

    /// The first half of the id that [`ClientId::to_printable`] made this one from, if it did.
    #[must_use]
    pub fn printable_prefix(&self) -> Option<[u8; 8]> {
        let digits = str::from_utf8(&self.0).ok()?;
        if digits.bytes().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().map(u64::to_be_bytes)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({self})")
    }
}

impl FromStr for ClientId {
    type Err = FieldError;

    /// Reads 32 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, FieldError> {
        if text.len() != 2 * CLIENT_ID_SIZE || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(FieldError::ClientIdText);
        }
        u128::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| FieldError::ClientIdText)
    }
}

/// A user's name: 1 to 254 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Takes a text as a name.
    ///
    /// # Errors
    /// [`FieldError::NameLength`] outside 1 to 254 characters, [`FieldError::NameCharacter`] for a character that is
    /// not printable ASCII (0x20 to 0x7e).
    pub fn new(text: &str) -> Result<Self, FieldError> {
        if let Some(at) = text.bytes().position(|byte| !(0x20..0x7f).contains(&byte)) {
            return Err(FieldError::NameCharacter { at });
        }
        if text.is_empty() || text.len() > NAME_MAX {
            return Err(FieldError::NameLength { length: text.len() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Name {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let size = u.int_in_range(1..=NAME_MAX)?;
        let letters = (0..size).map(|_| Ok(char::from(u.int_in_range(0x20..=0x7e_u8)?)));
        let text: String = letters.collect::<arbitrary::Result<_>>()?;
        Self::new(&text).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", self.0)
    }
}

/// A name as it stands on the wire: 255 bytes, of which those before the first NUL are the name.
///
/// Any bytes may follow the NUL (some programs send what their memory held), and any bytes may be in the name, since
/// what a peer's server lists is not ours to refuse; [`NameField::name`] checks.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameField(pub [u8; NAME_FIELD_SIZE]);

impl NameField {
    /// The name in this field.
    ///
    /// # Errors
    /// [`FieldError::NameUnterminated`] without a NUL, and whatever [`Name::new`] refuses.
    pub fn name(&self) -> Result<Name, FieldError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(FieldError::NameUnterminated)?;
        let bytes = self.0.get(..end).unwrap_or_default();
        match str::from_utf8(bytes) {
            Ok(text) => Name::new(text),
            Err(error) => Err(FieldError::NameCharacter { at: error.valid_up_to() }),
        }
    }

    /// The name as somebody can read it, whatever bytes are in it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let bytes = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        // Nothing that moves a terminal's cursor or turns the order of what is shown.
        let unfit =
            |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        String::from_utf8_lossy(bytes).replace(unfit, "\u{fffd}")
    }
}

impl From<&Name> for NameField {
    fn from(name: &Name) -> Self {
        let mut field = [0; NAME_FIELD_SIZE];
        for (to, from) in field.iter_mut().zip(name.as_str().bytes()) {
            *to = from;
        }
        Self(field)
    }
}

impl fmt::Debug for NameField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameField({:?})", self.to_text())
    }
}

/// A classic public key as it travels: 160 bytes that the server does not look into.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; PUBLIC_KEY_SIZE]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.0.iter().rev().take(8).rev().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// The server's number for a stored message.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct MessageId(pub u32);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "spec")]
mod described {
    use super::{NAME_MAX, Name};
    use crate::spec::{Declarations, Kind, Run, Type, Value, WireSpec, size};

    impl WireSpec for Name {
        fn refer(declarations: &mut Declarations) -> Type {
            let doc = "A user's name: 1 to 254 printable ASCII characters.";
            declarations.declare("fields::Name", None, doc, |_| {
                Kind::ascii(vec![Run { from: 0x20, to: 0x7e, min: 1, max: size(NAME_MAX) }])
            })
        }

        fn value(&self) -> Value {
            Value::Bytes(self.as_str().into())
        }
    }
}
