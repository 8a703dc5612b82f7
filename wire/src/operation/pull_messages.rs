//! PullMessages: what waits for the asker. The server deletes it once it has arrived.

use binrw::binrw;

use super::{RequestPayload, ResponsePayload, decode_exactly, encode_to};
use crate::dialect::{ByteOrder, Profile};
use crate::error::WireError;
use crate::fields::{ClientId, MessageId};
use crate::message::MessageType;

/// Empty: the header says who asks.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request;

/// What stands before each content.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryHead {
    /// The sender.
    pub from: ClientId,
    /// The server's number for the message; `None` where the profile has none.
    pub message_id: Option<MessageId>,
    /// The type of the message.
    pub kind: MessageType,
    /// Bytes of content that follow.
    pub size: u32,
}

/// A message with its content.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The sender.
    pub from: ClientId,
    /// The server's number for the message; `None` where the profile has none.
    pub message_id: Option<MessageId>,
    /// The type of the message.
    pub kind: MessageType,
    /// The content.
    pub content: Vec<u8>,
}

/// `n × (entry head ‖ content)`
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

/// How a profile lays out what stands before each content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryLayout {
    /// `from 16 ‖ message id u32 ‖ type 1 ‖ size u32`: all but two profiles.
    Packed,
    /// `from 16 ‖ message id u32 ‖ type 1 ‖ padding 3 ‖ size u32`: a C structure as the compiler lays it out.
    Aligned,
    /// `from 16 ‖ type 1 ‖ size u32`.
    NoMessageId,
}

/// `from 16 ‖ message id u32 ‖ type 1 ‖ size u32`
#[binrw]
struct Packed {
    from: ClientId,
    message_id: MessageId,
    kind: MessageType,
    size: u32,
}

/// `from 16 ‖ message id u32 ‖ type 1 ‖ padding 3 ‖ size u32`
#[binrw]
struct Aligned {
    from: ClientId,
    message_id: MessageId,
    #[brw(pad_after = 3)]
    kind: MessageType,
    size: u32,
}

/// `from 16 ‖ type 1 ‖ size u32`
#[binrw]
struct NoMessageId {
    from: ClientId,
    kind: MessageType,
    size: u32,
}

impl EntryLayout {
    /// Bytes before each content.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Packed => 25,
            Self::Aligned => 28,
            Self::NoMessageId => 21,
        }
    }

    fn decode(self, bytes: &[u8], order: ByteOrder) -> Result<EntryHead, WireError> {
        const WHAT: &str = "pull response entry";
        Ok(match self {
            Self::Packed => {
                let Packed { from, message_id, kind, size } = decode_exactly(WHAT, bytes, order)?;
                EntryHead { from, message_id: Some(message_id), kind, size }
            }
            Self::Aligned => {
                let Aligned { from, message_id, kind, size } = decode_exactly(WHAT, bytes, order)?;
                EntryHead { from, message_id: Some(message_id), kind, size }
            }
            Self::NoMessageId => {
                let NoMessageId { from, kind, size } = decode_exactly(WHAT, bytes, order)?;
                EntryHead { from, message_id: None, kind, size }
            }
        })
    }

    fn encode(self, head: &EntryHead, order: ByteOrder, out: &mut Vec<u8>) {
        let &EntryHead { from, message_id, kind, size } = head;
        let message_id = message_id.unwrap_or_default();
        match self {
            Self::Packed => encode_to(&Packed { from, message_id, kind, size }, order, out),
            Self::Aligned => encode_to(&Aligned { from, message_id, kind, size }, order, out),
            Self::NoMessageId => encode_to(&NoMessageId { from, kind, size }, order, out),
        }
    }
}

impl EntryHead {
    /// Reads what stands before a content.
    ///
    /// # Errors
    /// When `bytes` are not exactly as many as the profile's layout has.
    pub fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        let head = profile.entry.decode(bytes, profile.byte_order)?;
        Ok(Self { kind: profile.pulled_types.to_type(head.kind), ..head })
    }

    /// Appends the head as the profile shows it.
    pub fn encode(&self, profile: &Profile, out: &mut Vec<u8>) {
        let shown = Self {
            from: profile.show_id(self.from),
            kind: profile.pulled_types.to_wire(self.kind),
            ..self.clone()
        };
        profile.entry.encode(&shown, profile.byte_order, out);
    }
}

/// The declared size of a pull with contents of these sizes; `None` beyond a u32.
#[must_use]
pub fn declared_size(profile: &Profile, sizes: impl IntoIterator<Item = u32>) -> Option<u32> {
    sizes
        .into_iter()
        .try_fold(0_u32, |total, size| total.checked_add(profile.entry_counted)?.checked_add(size))
}

impl RequestPayload for Request {
    fn head_size(_: &Profile) -> usize {
        0
    }

    fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        decode_exactly::<()>("pull request", bytes, profile.byte_order).map(|()| Self)
    }

    fn encode(&self, _: &Profile, _: &mut Vec<u8>) {}
}

impl ResponsePayload for Response {
    fn decode(mut bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let cut = WireError::Truncated { what: "pull response entry", got: bytes.len() };
            let (head, rest) = bytes.split_at_checked(profile.entry.size()).ok_or(cut.clone())?;
            let EntryHead { from, message_id, kind, size } = EntryHead::decode(head, profile)?;
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let (content, rest) = rest.split_at_checked(size).ok_or(cut)?;
            messages.push(Message { from, message_id, kind, content: content.to_vec() });
            bytes = rest;
        }
        Ok(Self { messages })
    }

    fn encode(&self, profile: &Profile, _: ClientId, out: &mut Vec<u8>) {
        for Message { from, message_id, kind, content } in &self.messages {
            let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
            EntryHead { from: *from, message_id: *message_id, kind: *kind, size }.encode(profile, out);
            out.extend_from_slice(content);
        }
    }

    fn declared_size(&self, profile: &Profile) -> Option<u32> {
        let sizes = self.messages.iter().map(|message| u32::try_from(message.content.len()).ok());
        declared_size(profile, sizes.collect::<Option<Vec<_>>>()?)
    }
}
