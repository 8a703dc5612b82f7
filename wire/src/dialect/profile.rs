//! The profiles: what a program needs beyond its family's codes, a row a profile.

use std::fmt;
use std::str::FromStr;

use super::{Family, HeaderLayout};
use crate::error::WireError;
use crate::fields::ClientId;
use crate::message::MessageType;
use crate::operation::fetch_key::KeyLayout;
use crate::operation::pull_messages::EntryLayout;
use crate::operation::send_message::{ReceiptLayout, SendLayout};
use crate::operations::REFUSAL_CODE;

/// Frames of the padded profiles are zero-padded to a multiple of this many bytes.
pub const PADDING_BLOCK: u32 = 1024;

/// Bytes of every send of the profile `aligned`, whatever it carries.
pub const ALIGNED_SEND_SIZE: u32 = 10_048;

/// The order of the bytes of every integer of a dialect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl From<ByteOrder> for binrw::Endian {
    fn from(order: ByteOrder) -> Self {
        match order {
            ByteOrder::Little => Self::Little,
            ByteOrder::Big => Self::Big,
        }
    }
}

/// How a message type is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypeCoding {
    /// As its number, 1 to 4.
    Number,
    /// One less than its number: 0 to 3.
    FromZero,
    /// As the ASCII digit of its number.
    Digit,
}

impl TypeCoding {
    const fn offset(self) -> u8 {
        match self {
            Self::Number => 0,
            Self::FromZero => u8::MAX,
            Self::Digit => b'0',
        }
    }

    /// What stands on the wire for a type.
    #[must_use]
    pub const fn to_wire(self, kind: MessageType) -> MessageType {
        MessageType(kind.0.wrapping_add(self.offset()))
    }

    /// The type for what stands on the wire.
    #[must_use]
    pub const fn to_type(self, wire: MessageType) -> MessageType {
        MessageType(wire.0.wrapping_sub(self.offset()))
    }
}

/// How the version byte of a request is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionCoding {
    /// As the number 1 or 2.
    Number,
    /// As the ASCII digit 1 or 2.
    Digit,
}

/// How a server comes to know that a client speaks a profile, the plain one first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RecognisedBy {
    /// It is the family without quirks: what is left when nothing else fits.
    Default,
    /// From the bytes of its requests.
    Bytes,
    /// Not at all: a listener has to be pinned to it.
    Pin,
}

/// What a program needs beyond its family's codes.
#[derive(Debug)]
pub struct Profile {
    /// Its name, for flags, logs and the specification.
    pub name: &'static str,
    /// The families it was seen in.
    pub families: &'static [Family],
    /// How a server comes to know it.
    pub recognised_by: RecognisedBy,
    /// The order of the bytes of integers, in requests and responses.
    pub byte_order: ByteOrder,
    /// Where the fields of headers stand.
    pub header: HeaderLayout,
    /// How requests write their version.
    pub request_versions: VersionCoding,
    /// The version byte of responses.
    pub answer_version: u8,
    /// Whether frames both ways are zero-padded to a multiple of [`PADDING_BLOCK`], uncounted.
    pub padded: bool,
    /// Zero bytes behind each request, uncounted.
    pub stray: usize,
    /// The size of every send, if it is always the same.
    pub fixed_send: Option<u32>,
    /// How sends write the type of a message.
    pub sent_types: TypeCoding,
    /// How pulls write the type of a message.
    pub pulled_types: TypeCoding,
    /// What stands before a content that is sent.
    pub send: SendLayout,
    /// How a receipt is written.
    pub receipt: ReceiptLayout,
    /// What stands before a public key.
    pub key: KeyLayout,
    /// What stands before a content that is pulled.
    pub entry: EntryLayout,
    /// How many bytes of an entry's head the declared size of a pull counts.
    pub entry_counted: u32,
    /// Whether ids are shown as 16 printable characters.
    pub printable_ids: bool,
    /// Response codes behind whose header the asker's id stands, uncounted.
    pub echoes: &'static [u16],
    /// Whether the server closes the connection after each answer.
    pub closes: bool,
    /// Bytes that an empty key request has in a pull: its content means nothing, but a profile that counts nothing else
    /// would not see it.
    pub key_request_filler: u32,
    /// Whether its clients may delete their account. Nothing proves who asks, so nobody else is exposed to it.
    pub deletable: bool,
}

impl Profile {
    /// The family as most programs speak it.
    pub const CLASSIC: Self = Self {
        name: "classic",
        families: &Family::ALL,
        recognised_by: RecognisedBy::Default,
        byte_order: ByteOrder::Little,
        header: HeaderLayout::Packed,
        request_versions: VersionCoding::Number,
        answer_version: 2,
        padded: false,
        stray: 0,
        fixed_send: None,
        sent_types: TypeCoding::Number,
        pulled_types: TypeCoding::Number,
        send: SendLayout::Packed,
        receipt: ReceiptLayout::Number,
        key: KeyLayout::OwnersId,
        entry: EntryLayout::Packed,
        entry_counted: 25,
        printable_ids: false,
        echoes: &[],
        closes: false,
        key_request_filler: 0,
        deletable: false,
    };

    /// Reads a response until the connection closes. What unpadded requests of family B with version 2 get.
    pub const READ_TO_END: Self = Self {
        name: "read-to-end",
        families: &[Family::B],
        recognised_by: RecognisedBy::Bytes,
        closes: true,
        ..Self::CLASSIC
    };

    /// Zero-pads every frame, and needs responses padded.
    pub const PADDED: Self = Self {
        name: "padded-1024",
        families: &[Family::B, Family::D],
        recognised_by: RecognisedBy::Bytes,
        padded: true,
        ..Self::CLASSIC
    };

    /// Pads likewise, and counts message types from 0.
    pub const TYPE_SHIFT: Self = Self {
        name: "type-shift",
        families: &[Family::C],
        sent_types: TypeCoding::FromZero,
        pulled_types: TypeCoding::FromZero,
        ..Self::PADDED
    };

    /// Writes every integer with its most significant byte first.
    pub const BIG_ENDIAN: Self = Self {
        name: "big-endian",
        families: &[Family::D],
        recognised_by: RecognisedBy::Bytes,
        byte_order: ByteOrder::Big,
        deletable: true,
        ..Self::CLASSIC
    };

    /// Writes its version as an ASCII digit, and integers with the most significant byte first.
    pub const ASCII_VERSION: Self = Self {
        name: "ascii-version",
        families: &[Family::A],
        request_versions: VersionCoding::Digit,
        answer_version: b'2',
        deletable: false,
        ..Self::BIG_ENDIAN
    };

    /// Sends a zero byte behind each request, and reads ids and numbers as text.
    pub const ASCII: Self = Self {
        name: "ascii",
        families: &[Family::C],
        recognised_by: RecognisedBy::Bytes,
        answer_version: b'2',
        stray: 1,
        pulled_types: TypeCoding::Digit,
        receipt: ReceiptLayout::Digits,
        printable_ids: true,
        ..Self::CLASSIC
    };

    /// Puts the size of a sent content before its type, and counts only the contents of a pull.
    pub const SIZE_BEFORE_TYPE: Self = Self {
        name: "size-before-type",
        families: &[Family::A],
        recognised_by: RecognisedBy::Bytes,
        send: SendLayout::SizeBeforeType,
        entry_counted: 0,
        key_request_filler: 128,
        ..Self::CLASSIC
    };

    /// Sends C structures as the compiler lays them out, and sends of one size.
    pub const ALIGNED: Self = Self {
        name: "aligned",
        families: &[Family::A],
        recognised_by: RecognisedBy::Bytes,
        header: HeaderLayout::Aligned,
        fixed_send: Some(ALIGNED_SEND_SIZE),
        send: SendLayout::Aligned,
        entry: EntryLayout::Aligned,
        ..Self::CLASSIC
    };

    /// Needs the asker's id behind the headers of most responses.
    pub const UID_ECHO: Self = Self {
        name: "uid-echo",
        families: &[Family::B],
        recognised_by: RecognisedBy::Pin,
        key: KeyLayout::AskersId,
        entry_counted: 21,
        echoes: &[2001, 2003, 2004, REFUSAL_CODE],
        closes: true,
        ..Self::CLASSIC
    };

    /// Knows no message ids.
    pub const NO_MESSAGE_ID: Self = Self {
        name: "no-message-id",
        families: &[Family::D],
        recognised_by: RecognisedBy::Pin,
        receipt: ReceiptLayout::Empty,
        entry: EntryLayout::NoMessageId,
        entry_counted: 21,
        ..Self::CLASSIC
    };

    /// Gets a public key without the id of its owner.
    pub const NO_KEY_ID: Self = Self {
        name: "no-key-id",
        families: &[Family::D],
        recognised_by: RecognisedBy::Pin,
        key: KeyLayout::Bare,
        ..Self::CLASSIC
    };

    /// All profiles.
    pub const ALL: &'static [Self] = &[
        Self::CLASSIC,
        Self::READ_TO_END,
        Self::PADDED,
        Self::TYPE_SHIFT,
        Self::BIG_ENDIAN,
        Self::ASCII_VERSION,
        Self::ASCII,
        Self::SIZE_BEFORE_TYPE,
        Self::ALIGNED,
        Self::UID_ECHO,
        Self::NO_MESSAGE_ID,
        Self::NO_KEY_ID,
    ];

    /// The profile of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|profile| profile.name == name)
    }

    /// An id as clients of this profile see it.
    #[must_use]
    pub fn show_id(&self, id: ClientId) -> ClientId {
        if self.printable_ids { id.to_printable() } else { id }
    }

    /// The size of a content in a pull of this profile: its own, but for an empty key request.
    #[must_use]
    pub fn shown_size(&self, kind: MessageType, size: u32) -> u32 {
        if size == 0 && kind == MessageType::KEY_REQUEST { self.key_request_filler } else { size }
    }

    /// Whether the asker's id stands behind the header of responses with this code.
    #[must_use]
    pub fn echoes_asker(&self, code: u16) -> bool {
        self.echoes.contains(&code)
    }

    /// Zero bytes that pad a frame of `size` bytes.
    #[must_use]
    pub fn padding(&self, size: u64) -> usize {
        if self.padded { padding(size) } else { 0 }
    }
}

/// Zero bytes that pad a frame of `size` bytes to a multiple of [`PADDING_BLOCK`].
pub(super) fn padding(size: u64) -> usize {
    let block = u64::from(PADDING_BLOCK);
    usize::try_from((block - size % block) % block).unwrap_or(0)
}

/// Profiles are told apart by their names.
impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Profile {}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for &'static Profile {
    type Err = WireError;

    fn from_str(name: &str) -> Result<Self, WireError> {
        Profile::named(name).ok_or_else(|| WireError::UnknownName { what: "profile", name: name.into() })
    }
}
