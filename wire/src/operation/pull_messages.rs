//! PullMessages: what waits for the asker. The server deletes it once it has arrived.

use binrw::binrw;

use super::{RequestPayload, ResponsePayload, decode_exactly, encode_to};
use crate::dialect::{ByteOrder, Profile};
use crate::error::WireError;
use crate::fields::{ClientId, MessageId};
use crate::message::MessageType;
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Type, WireSpec};

/// Empty: the header says who asks.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
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
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct Packed {
    /// 0: the sender.
    from: ClientId,
    /// 16: the server's number for the message.
    message_id: MessageId,
    /// 20: the type of the message.
    kind: MessageType,
    /// 21: bytes of content that follow.
    size: u32,
}

/// `from 16 ‖ message id u32 ‖ type 1 ‖ padding 3 ‖ size u32`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct Aligned {
    /// 0: the sender.
    from: ClientId,
    /// 16: the server's number for the message.
    message_id: MessageId,
    /// 20: the type of the message.
    #[brw(pad_after = 3)]
    kind: MessageType,
    /// 24: bytes of content that follow.
    size: u32,
}

/// `from 16 ‖ type 1 ‖ size u32`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct NoMessageId {
    /// 0: the sender.
    from: ClientId,
    /// 16: the type of the message.
    kind: MessageType,
    /// 17: bytes of content that follow.
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

    #[cfg(feature = "spec")]
    fn layout(_: &Profile, declarations: &mut Declarations) -> Type {
        Self::refer(declarations)
    }
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

    #[cfg(feature = "spec")]
    fn layout(profile: &Profile, declarations: &mut Declarations) -> Type {
        let (head, kind) = match profile.entry {
            EntryLayout::Packed => (Packed::refer(declarations), ""),
            EntryLayout::Aligned => (Aligned::refer(declarations), "Aligned"),
            EntryLayout::NoMessageId => (NoMessageId::refer(declarations), "WithoutId"),
        };
        described::response(&head, kind, declarations)
    }
}

#[cfg(feature = "spec")]
mod described {
    use crate::spec::{Declarations, Field, Kind, Role, Size, Type};

    /// Messages, each with this head.
    pub(super) fn response(head: &Type, kind: &str, declarations: &mut Declarations) -> Type {
        let path = |name: &str| format!("operation::pull_messages::{name}{kind}");
        let doc = "What waits for the asker.";
        declarations.declare(&path("Messages"), None, doc, |declarations| {
            let doc = "A message with its content.";
            let message = declarations.declare(&path("Message"), None, doc, |declarations| {
                let mut fields = declarations.fields_of(head);
                for field in &mut fields {
                    if field.name == "size" {
                        field.role = Role::Calculated;
                    }
                }
                let content = Type::Bytes(Size::Field("size".into()));
                fields.push(Field::new("content", "its content.", content, Role::Value, Vec::new()));
                Kind::structure(Vec::new(), fields, Vec::new())
            });
            let messages = Type::Repeated(Box::new(message));
            let doc = "0: oldest first.";
            Kind::structure(
                Vec::new(),
                vec![Field::new("messages", doc, messages, Role::Value, Vec::new())],
                Vec::new(),
            )
        })
    }
}
