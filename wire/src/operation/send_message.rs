//! SendMessage: a message for somebody's queue. Its content follows the payload and streams.

use binrw::binrw;

use super::{RequestPayload, ResponsePayload, decode_exactly, encode_to};
use crate::dialect::{ByteOrder, Profile};
use crate::error::WireError;
use crate::fields::{CLIENT_ID_SIZE, ClientId, MessageId};
use crate::message::MessageType;
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Type, WireSpec};

/// `to 16 ‖ type 1 ‖ size u32`, before the content: all but two profiles.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The recipient.
    pub to: ClientId,
    /// The type of the message.
    pub kind: MessageType,
    /// Bytes of content that follow.
    pub size: u32,
}

/// `to 16 ‖ size u32 ‖ type 1`: `size-before-type`.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct SizeBeforeType {
    /// 0: the recipient.
    to: ClientId,
    /// 16: bytes of content that follow.
    size: u32,
    /// 20: the type of the message.
    kind: MessageType,
}

/// `to 16 ‖ type 1 ‖ padding 3 ‖ size u32`: `aligned`, a C structure as the compiler lays it out.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct Aligned {
    /// 0: the recipient.
    to: ClientId,
    /// 16: the type of the message.
    #[brw(pad_after = 3)]
    kind: MessageType,
    /// 20: bytes of content that follow.
    size: u32,
}

/// How a profile orders what stands before a content that is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendLayout {
    /// [`Request`].
    Packed,
    /// `to 16 ‖ size u32 ‖ type 1`.
    SizeBeforeType,
    /// `to 16 ‖ type 1 ‖ padding 3 ‖ size u32`.
    Aligned,
}

impl SendLayout {
    /// Bytes before the content.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Packed | Self::SizeBeforeType => 21,
            Self::Aligned => 24,
        }
    }

    /// Reads what stands before a content, with the type as it is on the wire.
    pub(crate) fn decode(self, bytes: &[u8], order: ByteOrder) -> Result<Request, WireError> {
        const WHAT: &str = "send request";
        match self {
            Self::Packed => decode_exactly(WHAT, bytes, order),
            Self::SizeBeforeType => {
                let SizeBeforeType { to, size, kind } = decode_exactly(WHAT, bytes, order)?;
                Ok(Request { to, kind, size })
            }
            Self::Aligned => {
                let Aligned { to, kind, size } = decode_exactly(WHAT, bytes, order)?;
                Ok(Request { to, kind, size })
            }
        }
    }

    fn encode(self, &Request { to, kind, size }: &Request, order: ByteOrder, out: &mut Vec<u8>) {
        match self {
            Self::Packed => encode_to(&Request { to, kind, size }, order, out),
            Self::SizeBeforeType => encode_to(&SizeBeforeType { to, size, kind }, order, out),
            Self::Aligned => encode_to(&Aligned { to, kind, size }, order, out),
        }
    }
}

impl RequestPayload for Request {
    fn head_size(profile: &Profile) -> usize {
        profile.send.size()
    }

    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        let request = profile.send.decode(bytes, profile.byte_order)?;
        Ok(Self { kind: profile.sent_types.to_type(request.kind), ..request })
    }

    fn encode(&self, profile: &Profile, out: &mut Vec<u8>) {
        let coded = Self { kind: profile.sent_types.to_wire(self.kind), ..*self };
        profile.send.encode(&coded, profile.byte_order, out);
    }

    fn content_size(&self) -> u32 {
        self.size
    }

    #[cfg(feature = "spec")]
    const CONTENT_SIZE: Option<&'static str> = Some("size");

    #[cfg(feature = "spec")]
    fn layout(profile: &Profile, declarations: &mut Declarations) -> Type {
        match profile.send {
            SendLayout::Packed => Self::refer(declarations),
            SendLayout::SizeBeforeType => SizeBeforeType::refer(declarations),
            SendLayout::Aligned => Aligned::refer(declarations),
        }
    }
}

/// The receipt of a stored message.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The recipient; `None` where the receipt is empty.
    pub to: Option<ClientId>,
    /// The server's number for the message; `None` where the receipt has none.
    pub message_id: Option<MessageId>,
}

/// How a profile writes a receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceiptLayout {
    /// `to 16 ‖ message id u32`: all but two profiles.
    Number,
    /// `to 16 ‖ message id as decimal digits`: `ascii`.
    Digits,
    /// Nothing: `no-message-id`.
    Empty,
}

/// `to 16 ‖ message id u32`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct Receipt {
    /// 0: the recipient.
    to: ClientId,
    /// 16: the server's number for the message.
    message_id: MessageId,
}

impl ResponsePayload for Response {
    /// Takes, whatever the profile, also the two forms that some servers give instead: `to` alone, and nothing.
    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        const WHAT: &str = "send response";
        if bytes.is_empty() {
            return Ok(Self { to: None, message_id: None });
        }
        if bytes.len() == CLIENT_ID_SIZE {
            let to = decode_exactly(WHAT, bytes, profile.byte_order)?;
            return Ok(Self { to: Some(to), message_id: None });
        }
        if profile.receipt != ReceiptLayout::Digits {
            let Receipt { to, message_id } = decode_exactly(WHAT, bytes, profile.byte_order)?;
            return Ok(Self { to: Some(to), message_id: Some(message_id) });
        }
        let (to, digits) = bytes
            .split_at_checked(CLIENT_ID_SIZE)
            .ok_or(WireError::Truncated { what: WHAT, got: bytes.len() })?;
        let to = decode_exactly(WHAT, to, profile.byte_order)?;
        let number = str::from_utf8(digits).ok().and_then(|text| text.parse::<u32>().ok());
        // One number has one spelling: no sign, no zeros in front.
        let canonical = number.filter(|number| number.to_string().as_bytes() == digits);
        let number = canonical.ok_or(WireError::MessageIdDigits)?;
        Ok(Self { to: Some(to), message_id: Some(MessageId(number)) })
    }

    fn encode(&self, profile: &Profile, _: ClientId, out: &mut Vec<u8>) {
        let Some(to) = self.to.map(|id| profile.show_id(id)) else { return };
        match (profile.receipt, self.message_id) {
            (ReceiptLayout::Empty, _) => {}
            (_, None) => encode_to(&to, profile.byte_order, out),
            (ReceiptLayout::Number, Some(message_id)) => {
                encode_to(&Receipt { to, message_id }, profile.byte_order, out);
            }
            (ReceiptLayout::Digits, Some(message_id)) => {
                encode_to(&to, profile.byte_order, out);
                out.extend_from_slice(message_id.to_string().as_bytes());
            }
        }
    }

    fn declared_size(&self, profile: &Profile) -> Option<u32> {
        let mut payload = Vec::new();
        self.encode(profile, ClientId::NOBODY, &mut payload);
        payload.len().try_into().ok()
    }

    #[cfg(feature = "spec")]
    fn layout(profile: &Profile, declarations: &mut Declarations) -> Type {
        match profile.receipt {
            ReceiptLayout::Number => Receipt::refer(declarations),
            ReceiptLayout::Digits => described::digits(declarations),
            ReceiptLayout::Empty => described::empty(declarations),
        }
    }

    #[cfg(feature = "spec")]
    fn instead(declarations: &mut Declarations) -> Vec<Type> {
        vec![described::empty(declarations), described::without_number(declarations)]
    }
}

#[cfg(feature = "spec")]
mod described {
    use crate::fields::ClientId;
    use crate::spec::{DecimalKind, Declarations, Field, Kind, Role, Type, WireSpec};

    fn to(declarations: &mut Declarations) -> Field {
        Field::new("to", "0: the recipient.", ClientId::refer(declarations), Role::Value, Vec::new())
    }

    pub(super) fn digits(declarations: &mut Declarations) -> Type {
        let doc = "A receipt with the number as text.";
        declarations.declare("operation::send_message::ReceiptInDigits", None, doc, |declarations| {
            let doc = "A number in decimal digits.";
            let kind = Kind::Decimal(DecimalKind { max: u32::MAX.into() });
            let decimal = "operation::send_message::MessageIdInDigits";
            let number = declarations.declare(decimal, None, doc, |_| kind);
            let doc = "16: the server's number for the message.";
            let number = Field::new("message_id", doc, number, Role::Value, Vec::new());
            Kind::structure(Vec::new(), vec![to(declarations), number], Vec::new())
        })
    }

    pub(super) fn empty(declarations: &mut Declarations) -> Type {
        let doc = "A receipt that says nothing.";
        declarations.declare("operation::send_message::EmptyReceipt", None, doc, |_| {
            Kind::structure(Vec::new(), Vec::new(), Vec::new())
        })
    }

    pub(super) fn without_number(declarations: &mut Declarations) -> Type {
        let doc = "A receipt without a number.";
        declarations.declare("operation::send_message::ReceiptWithoutNumber", None, doc, |declarations| {
            Kind::structure(Vec::new(), vec![to(declarations)], Vec::new())
        })
    }
}
