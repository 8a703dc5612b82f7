//! Which dialect a request is in, from its bytes, from what is remembered of its sender, and from what a listener is
//! pinned to.
//!
//! Two steps. The *front* of a request (header and what stands before any content) gives the family by its code, and
//! the layout by the only thing that the layouts can be told apart by: which of them makes the declared size right.
//! The *tail* (what follows the frame) tells padded programs and those with a stray zero from the others.

use std::fmt;

use super::profile::padding;
use super::{Dialect, Family, Profile, RecognisedBy, RequestHeader, VersionCoding};
use crate::error::WireError;
use crate::fields::ClientId;
use crate::message::MessageType;
use crate::operations::{Operation, Request};

/// What a listener is pinned to, for what cannot be told from the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pin {
    /// Only this family.
    pub family: Option<Family>,
    /// Only this profile.
    pub profile: Option<&'static Profile>,
}

impl Pin {
    /// The dialects that are spoken under this pin.
    pub fn dialects(self) -> impl Iterator<Item = Dialect> {
        Dialect::all().filter(move |dialect| self.permits(*dialect))
    }

    /// The dialect to refuse in while nothing tells which one the peer speaks.
    #[must_use]
    pub fn refusal_dialect(self) -> Dialect {
        let pinned = self.dialects().next().filter(|_| self.profile.is_some());
        pinned.unwrap_or(Dialect::classic(Family::E))
    }

    fn permits(self, dialect: Dialect) -> bool {
        self.family.is_none_or(|family| family == dialect.family)
            && match self.profile {
                Some(profile) => profile == dialect.profile,
                None => dialect.profile.recognised_by != RecognisedBy::Pin,
            }
    }
}

/// A wrong declared size that some program is known to send, and that is served all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Deviation {
    /// A public key request declares 0 bytes; 16 follow.
    KeyRequestDeclaresNothing,
    /// A send declares three bytes more than it has.
    SendDeclaresThreeMore,
    /// A send of a key request (type 1) without content declares whatever its memory held.
    EmptySendDeclaresGarbage,
}

impl Deviation {
    /// All of them.
    pub const ALL: [Self; 3] =
        [Self::KeyRequestDeclaresNothing, Self::SendDeclaresThreeMore, Self::EmptySendDeclaresGarbage];

    /// The name that logs and metrics have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyRequestDeclaresNothing => "key-request-declares-nothing",
            Self::SendDeclaresThreeMore => "send-declares-three-more",
            Self::EmptySendDeclaresGarbage => "empty-send-declares-garbage",
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The front of a request, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Front {
    /// The dialect, as far as the front tells.
    pub(crate) dialect: Dialect,
    /// The header.
    pub(crate) header: RequestHeader,
    /// What is asked.
    pub(crate) request: Request,
    /// Bytes of header and payload before any content.
    pub(crate) size: usize,
    /// What is wrong with the declared size, if it is a known wrong.
    pub(crate) deviation: Option<Deviation>,
}

/// What was made of the front under one dialect.
enum Reading {
    /// More bytes are needed to tell.
    More,
    /// The declared size is right.
    Right(Front),
    /// The declared size is wrong; the bytes are there all the same, if they are `Some`.
    Wrong { declared: u32, expected: u64, front: Option<Front> },
}

/// Bytes after which a request's family shows.
pub(crate) const FAMILY_SHOWS: usize = 19;

/// Understands the front of the request that `bytes` begin with; `None` while there are too few.
pub(crate) fn recognise_front(
    bytes: &[u8],
    hint: Option<&'static Profile>,
    pin: Pin,
) -> Result<Option<Front>, WireError> {
    let Some(&[version, first, second]) = bytes.get(16..FAMILY_SHOWS) else { return Ok(None) };
    let mut deviating = None;
    let mut wrong = None;
    for dialect in candidates(hint, pin).filter(|dialect| front_tells(*dialect, hint, pin)) {
        let Some(operation) = operation_of(dialect, version, first, second) else { continue };
        match read_front(bytes, dialect, operation, pin)? {
            // What is known to deviate is whole, and no other reading of it can be right.
            Reading::More if deviating.is_some() => break,
            Reading::More => return Ok(None),
            Reading::Right(front) => return Ok(Some(front)),
            Reading::Wrong { declared, expected, front } => {
                if let Some(deviation) = front.as_ref().and_then(deviation) {
                    deviating =
                        deviating.or(front.map(|front| Front { deviation: Some(deviation), ..front }));
                }
                wrong.get_or_insert(WireError::DeclaredSize {
                    operation,
                    family: dialect.family,
                    declared,
                    expected,
                });
            }
        }
    }
    match deviating {
        Some(front) => Ok(Some(front)),
        None => Err(wrong.unwrap_or(WireError::Unrecognised { found: [version, first, second] })),
    }
}

/// The dialects that a request may be in, in the order in which they are tried: what is remembered of the sender goes
/// first; then the plain layout, then the others.
fn candidates(hint: Option<&'static Profile>, pin: Pin) -> impl Iterator<Item = Dialect> {
    let remembered = move |dialect: &Dialect| Some(dialect.profile) == hint;
    let others =
        [RecognisedBy::Default, RecognisedBy::Bytes, RecognisedBy::Pin].into_iter().flat_map(move |by| {
            pin.dialects().filter(move |dialect| !remembered(dialect) && dialect.profile.recognised_by == by)
        });
    pin.dialects().filter(remembered).chain(others)
}

/// Whether bytes begin with the header of a client that has no id: 16 zeros, a known version and a code.
pub(crate) fn is_from_nobody(bytes: &[u8], pin: Pin) -> bool {
    let Some(&[version, first, second]) = bytes.get(16..FAMILY_SHOWS) else { return false };
    bytes.starts_with(&ClientId::NOBODY.0)
        && matches!(version, 1 | 2 | b'1' | b'2')
        && pin.dialects().any(|dialect| operation_of(dialect, version, first, second).is_some())
}

/// Whether bytes begin with a header whose size is that of its operation, which is not a send; `None` while there are too
/// few of them to tell.
pub(crate) fn has_sized_header(bytes: &[u8], pin: Pin) -> Option<bool> {
    let Some(&[version, first, second]) = bytes.get(16..FAMILY_SHOWS) else { return None };
    let mut is_cut = false;
    let is_sized = pin.dialects().any(|dialect| {
        let operation = operation_of(dialect, version, first, second);
        let Some(operation) = operation.filter(|operation| *operation != Operation::SendMessage) else {
            return false;
        };
        let Some(header) = bytes.get(..dialect.request_header_size()) else {
            is_cut = true;
            return false;
        };
        let size = Request::head_size(operation, dialect.profile);
        RequestHeader::decode(header, dialect).is_ok_and(|header| usize::try_from(header.size) == Ok(size))
    });
    if is_cut && !is_sized { None } else { Some(is_sized) }
}

/// The operation that the bytes behind the client id ask for, if they are of this dialect.
fn operation_of(dialect: Dialect, version: u8, first: u8, second: u8) -> Option<Operation> {
    let digit = matches!(version, b'1' | b'2');
    if (dialect.profile.request_versions == VersionCoding::Digit) != digit && dialect.family == Family::A {
        return None;
    }
    let code = match (dialect.family.code_width(), dialect.profile.byte_order) {
        (1, _) => u16::from(first),
        (_, super::ByteOrder::Little) => u16::from_le_bytes([first, second]),
        (_, super::ByteOrder::Big) => u16::from_be_bytes([first, second]),
    };
    Operation::of_request(dialect.family, code)
}

/// Whether the front can tell that a request is in this dialect; the others show in the tail.
fn front_tells(dialect: Dialect, hint: Option<&'static Profile>, pin: Pin) -> bool {
    let classic = &Profile::CLASSIC;
    let profile = dialect.profile;
    let own_layout = profile.header != classic.header
        || profile.send != classic.send
        || profile.byte_order != classic.byte_order
        || profile == classic;
    own_layout || pin.profile == Some(profile) || hint == Some(profile)
}

fn read_front(bytes: &[u8], dialect: Dialect, operation: Operation, pin: Pin) -> Result<Reading, WireError> {
    let profile = dialect.profile;
    let header_size = dialect.request_header_size();
    let Some((header, rest)) = bytes.split_at_checked(header_size) else { return Ok(Reading::More) };
    let header = RequestHeader::decode(header, dialect)?;
    let declared = header.size;
    let payload_size = Request::head_size(operation, profile);
    let least = u64::try_from(payload_size).unwrap_or(u64::MAX);
    let size_is_fixed = operation != Operation::SendMessage;
    let known_wrong = operation == Operation::FetchKey && declared == 0;
    if size_is_fixed && u64::from(declared) != least && !known_wrong {
        return Ok(Reading::Wrong { declared, expected: least, front: None });
    }
    let Some(payload) = rest.get(..payload_size) else { return Ok(Reading::More) };
    let request = Request::decode(operation, payload, profile)?;
    let expected = least + u64::from(request.content_size());
    let size = header_size + payload_size;
    let right = match (&request, profile.fixed_send) {
        // The header's size is garbage in these; the fields have to do.
        (Request::SendMessage(send), Some(fixed)) => {
            send.kind.is_known()
                && expected + u64::try_from(header_size).unwrap_or(u64::MAX) <= u64::from(fixed)
        }
        _ => u64::from(declared) == expected,
    };
    let front =
        Front { dialect: settle(dialect, &header, &request, pin), header, request, size, deviation: None };
    Ok(if right { Reading::Right(front) } else { Reading::Wrong { declared, expected, front: Some(front) } })
}

/// The program of the profile `size-before-type` shows at registration: its header's id is the beginning of its name.
fn settle(dialect: Dialect, header: &RequestHeader, request: &Request, pin: Pin) -> Dialect {
    let shown = Dialect { profile: &Profile::SIZE_BEFORE_TYPE, ..dialect };
    match request {
        Request::Register(register)
            if dialect == Dialect::classic(Family::A)
                && pin.permits(shown)
                && header.client_id != ClientId::NOBODY
                && register.name.0.starts_with(&header.client_id.0) =>
        {
            shown
        }
        _ => dialect,
    }
}

/// The known wrong that this front shows, if it does.
pub(crate) fn deviation(front: &Front) -> Option<Deviation> {
    let declared = u64::from(front.header.size);
    match &front.request {
        Request::FetchKey(_) if declared == 0 => Some(Deviation::KeyRequestDeclaresNothing),
        Request::SendMessage(_) if front.dialect.profile.fixed_send.is_some() => None,
        Request::SendMessage(send) if declared == 24 + u64::from(send.size) => {
            Some(Deviation::SendDeclaresThreeMore)
        }
        Request::SendMessage(send) if send.kind == MessageType::KEY_REQUEST && send.size == 0 => {
            Some(Deviation::EmptySendDeclaresGarbage)
        }
        _ => None,
    }
}

/// What the bytes behind a frame say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tail {
    /// The dialect, settled.
    Settled(Dialect),
    /// Padding may still be on its way.
    Undecided,
}

/// Whether requests in this dialect may turn out, by their tail, to be in another.
pub(crate) fn tail_matters(dialect: Dialect, pin: Pin) -> bool {
    let plain = dialect.profile == &Profile::CLASSIC || dialect.profile == &Profile::READ_TO_END;
    plain && tail_dialects(dialect, pin).next().is_some()
}

fn tail_dialects(dialect: Dialect, pin: Pin) -> impl Iterator<Item = Dialect> {
    pin.dialects().filter(move |other| {
        other.family == dialect.family && (other.profile.padded || other.profile.stray > 0)
    })
}

/// The dialect of a request that is whole, from what follows its `frame` bytes.
///
/// `quiet` says that nothing more has come for a while.
pub(crate) fn recognise_tail(
    front: &Front,
    hint: Option<&'static Profile>,
    pin: Pin,
    frame: u64,
    tail: &[u8],
    quiet: bool,
) -> Tail {
    let dialect = front.dialect;
    if !tail_matters(dialect, pin) {
        return Tail::Settled(dialect);
    }
    let missing = padding(frame);
    let zeros = tail.iter().take_while(|byte| **byte == 0).count();
    let padded = tail_dialects(dialect, pin).find(|other| other.profile.padded);
    // A short run of zeros could begin the client id of a registration that follows at once.
    if let Some(padded) = padded.filter(|_| missing > 0 && zeros >= missing)
        && (missing > 16 || tail.len() == missing)
    {
        return Tail::Settled(padded);
    }
    let more_may_come = zeros == tail.len() && zeros < missing.max(1);
    if hint.is_none() && more_may_come && !quiet {
        return Tail::Undecided;
    }
    let stray = tail_dialects(dialect, pin).find(|other| {
        other.profile.stray > 0
            && tail.len() == other.profile.stray
            && zeros == tail.len()
            && front.header.version == 1
    });
    Tail::Settled(stray.filter(|_| hint.is_none()).unwrap_or_else(|| without_tail(front, pin)))
}

/// The dialect of a request whose tail says nothing.
pub(crate) fn without_tail(front: &Front, pin: Pin) -> Dialect {
    let closing = Dialect { profile: &Profile::READ_TO_END, ..front.dialect };
    let plain = front.dialect.profile == &Profile::CLASSIC || front.dialect.profile == &Profile::READ_TO_END;
    if !plain || pin.profile.is_some() || front.dialect.family != Family::B {
        return front.dialect;
    }
    if front.header.version == 2 { closing } else { Dialect::classic(Family::B) }
}
