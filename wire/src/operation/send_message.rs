//! SendMessage: a message for somebody's queue. Its content follows the payload and streams.

use binrw::binrw;

use super::{RequestPayload, ResponsePayload, decode_exactly, encode_to};
use crate::dialect::{ByteOrder, Profile};
use crate::error::WireError;
use crate::fields::{CLIENT_ID_SIZE, ClientId, MessageId};
use crate::message::MessageType;

/// `to 16 ‖ type 1 ‖ size u32`, before the content: all but two profiles.
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
#[binrw]
struct SizeBeforeType {
    to: ClientId,
    size: u32,
    kind: MessageType,
}

/// `to 16 ‖ type 1 ‖ padding 3 ‖ size u32`: `aligned`, a C structure as the compiler lays it out.
#[binrw]
struct Aligned {
    to: ClientId,
    #[brw(pad_after = 3)]
    kind: MessageType,
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
#[binrw]
struct Receipt {
    to: ClientId,
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
}
