//! The plaintext of a MSG: a frame, and zeros up to one of five sizes, so that sizes tell little.

use std::fmt;

use binrw::binrw;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::field::{EnvelopeId, UnixMillis};
use super::sealed::Sealed;
use super::{decode, encode, expect};
use crate::error::WireError;

/// The sizes that a MSG's ciphertext may have. Its plaintext has one byte less, in which the cipher's padding stands.
pub const LADDER: [usize; 5] = [256, 1024, 4 * 1024, 16 * 1024, 64 * 1024];
/// Bytes before a body.
pub const FRAME_HEADER_SIZE: usize = 30;
/// Most bytes of a frame's body.
pub const BODY_MAX: usize = 64 * 1024 - 1 - FRAME_HEADER_SIZE;

/// What a frame's body is. Unknown numbers are values, which a client shows as such.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyType(pub u8);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl BodyType {
    /// 0: nothing; it is there to be sent.
    pub const DUMMY: Self = Self(0);
    /// 2: the answer to an OFFER: its offer id, u32.
    pub const KEY_ANSWER: Self = Self(2);
    /// 3: a text in UTF-8.
    pub const TEXT: Self = Self(3);
    /// 4: a file's [`Manifest`](super::file::Manifest).
    pub const FILE: Self = Self(4);
    /// 5: a receipt: the ids of the messages that have come, 16 bytes each.
    pub const RECEIPT: Self = Self(5);
    /// 6: what programs tell each other.
    pub const CONTROL: Self = Self(6);
}

impl fmt::Display for BodyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DUMMY => f.write_str("dummy"),
            Self::KEY_ANSWER => f.write_str("key answer"),
            Self::TEXT => f.write_str("text"),
            Self::FILE => f.write_str("file"),
            Self::RECEIPT => f.write_str("receipt"),
            Self::CONTROL => f.write_str("control"),
            Self(other) => write!(f, "unknown type {other}"),
        }
    }
}

impl fmt::Debug for BodyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyType({}: {self})", self.0)
    }
}

/// ```text
/// 0 type 1 ‖ 1 flags 1 = 0 ‖ 2 sent u64 ‖ 10 message id 16 ‖ 26 size u32 ‖ 30 body ‖ zeros
/// ```
/// The zeros fill the smallest plaintext of the [`LADDER`] that has room. The body is erased when the frame is dropped.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Frame {
    /// 0: what the body is.
    #[zeroize(skip)]
    pub body_type: BodyType,
    /// 2: when it was sent, by the sender's clock.
    #[zeroize(skip)]
    pub sent: UnixMillis,
    /// 10: the sender's number for it.
    #[zeroize(skip)]
    pub message_id: EnvelopeId,
    /// 30: what is sent.
    pub body: Vec<u8>,
}

/// What stands before a body.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct FrameHeader {
    /// 0: what the body is.
    body_type: BodyType,
    /// 1: reserved, 0.
    flags: u8,
    /// 2: when it was sent, by the sender's clock.
    sent: UnixMillis,
    /// 10: the sender's number for it.
    message_id: EnvelopeId,
    /// 26: bytes of the body.
    size: u32,
}

impl Frame {
    /// Reads a whole plaintext.
    ///
    /// # Errors
    /// [`WireError::LadderSize`] for a size that no plaintext has or that its body does not call for,
    /// [`WireError::FieldValue`] for flags, [`WireError::FieldLimit`] for a body that the plaintext has no room for,
    /// [`WireError::NotPadding`] if what follows the body is not zeros.
    pub fn decode(plaintext: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "plaintext";
        let ladder_error = WireError::LadderSize { what: WHAT, size: plaintext.len(), overhead: 0 };
        if !LADDER.contains(&(plaintext.len() + 1)) {
            return Err(ladder_error);
        }
        let (header, rest) = plaintext.split_at_checked(FRAME_HEADER_SIZE).ok_or(ladder_error.clone())?;
        let FrameHeader { body_type, flags, sent, message_id, size } = decode(WHAT, header)?;
        expect("flags", 1, flags, 0)?;
        let body_size = usize::try_from(size).unwrap_or(usize::MAX);
        let (body, padding) = rest.split_at_checked(body_size).ok_or(WireError::FieldLimit {
            field: "size",
            at: 26,
            found: size.into(),
            limit: rest.len().try_into().unwrap_or(u64::MAX),
        })?;
        if padded_size(body_size) != Some(plaintext.len()) {
            return Err(ladder_error);
        }
        if let Some(at) = padding.iter().position(|byte| *byte != 0) {
            return Err(WireError::NotPadding { at: FRAME_HEADER_SIZE + body_size + at });
        }
        Ok(Self { body_type, sent, message_id, body: body.to_vec() })
    }

    /// The plaintext, padded, in memory that is erased.
    ///
    /// # Errors
    /// [`WireError::FieldLimit`] for a body of more than [`BODY_MAX`] bytes.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, WireError> {
        let body_size = self.body.len();
        let too_large = WireError::FieldLimit {
            field: "size",
            at: 26,
            found: body_size.try_into().unwrap_or(u64::MAX),
            limit: BODY_MAX.try_into().unwrap_or(u64::MAX),
        };
        let (Some(padded), Ok(size)) = (padded_size(body_size), u32::try_from(body_size)) else {
            return Err(too_large);
        };
        let Self { body_type, sent, message_id, .. } = *self;
        // Reserved whole: growing would leave copies behind.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(padded));
        plaintext.extend_from_slice(&encode(&FrameHeader { body_type, flags: 0, sent, message_id, size }));
        plaintext.extend_from_slice(&self.body);
        plaintext.resize(padded, 0);
        Ok(plaintext)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}, {} bytes, {:?})", self.body_type, self.body.len(), self.message_id)
    }
}

/// Bytes of the plaintext of a body: the smallest of the ladder, less the byte that the cipher's padding takes.
fn padded_size(body_size: usize) -> Option<usize> {
    let size = FRAME_HEADER_SIZE.checked_add(body_size)?;
    LADDER.into_iter().find(|rung| Sealed::ciphertext_size(size) <= *rung).map(|rung| rung - 1)
}

#[cfg(feature = "spec")]
mod described {
    use super::{Frame, FrameHeader, LADDER};
    use crate::spec::{Check, Declarations, Field, Kind, Role, Size, Type, Value, WireSpec, size};

    impl WireSpec for Frame {
        fn refer(declarations: &mut Declarations) -> Type {
            let doc = "The plaintext of a MSG: a body, and zeros up to one of five sizes.";
            declarations.declare("envelope::frame::Frame", None, doc, |declarations| {
                let header = FrameHeader::refer(declarations);
                let mut fields = declarations.fields_of(&header);
                for field in &mut fields {
                    if matches!(field.name.as_str(), "flags" | "size") {
                        field.role = Role::Calculated;
                    }
                    if field.name == "flags" {
                        field.checks.push(Check::equal("flags", 0, "FieldValue"));
                    }
                }
                let body = Type::Bytes(Size::Field("size".into()));
                let padding = Type::Bytes(Size::UpTo(LADDER.map(|rung| size(rung - 1)).to_vec()));
                let doc = "up to the smallest size that has room.";
                fields.push(Field::new("body", "30: what is sent.", body, Role::Value, Vec::new()));
                fields.push(Field::new("padding", doc, padding, Role::Zeros, Vec::new()));
                Kind::structure(Vec::new(), fields, Vec::new())
            })
        }

        fn value(&self) -> Value {
            Value::Structure(vec![
                ("body_type".into(), self.body_type.value()),
                ("sent".into(), self.sent.value()),
                ("message_id".into(), self.message_id.value()),
                ("body".into(), self.body.value()),
            ])
        }
    }
}
