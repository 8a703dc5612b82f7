//! Requests and streams of them.

use std::ops::Range;

use messageu_wire::dialect::{
    ByteOrder, Deviation, Dialect, HeaderLayout, PADDING_BLOCK, Pin, Profile, RecognisedBy,
};
use messageu_wire::error::WireError;
use messageu_wire::fields::{CLIENT_ID_SIZE, ClientId};
use messageu_wire::frame::{Received, TAIL_WINDOW};
use messageu_wire::message::MessageType;
use messageu_wire::operation::send_message::SendLayout;
use messageu_wire::operations::{Operation, Request};

use crate::hearing::{Heard, Hearing, Listener};
use crate::pieces::cut_by_itself;
use crate::speech::Speech;

/// Bytes of the longest header and payload that there are before a content.
const LONGEST_FRONT: usize = 24 + 415;

/// Any bytes: what is accepted is written again byte for byte, what is rejected is so with a named error, and it makes
/// no difference in which pieces the bytes come.
pub fn check_request_bytes(listener: Listener, bytes: &[u8]) {
    let whole = listener.hear([bytes]);
    assert_canonical(listener, &whole, bytes);
    assert_same(listener, bytes, &whole, &listener.hear(cut_by_itself(bytes)));
}

/// Any bytes, as the payload of a request without a content: what is accepted is written again byte for byte.
pub fn check_request_payload(profile: &Profile, operation: Operation, bytes: &[u8]) {
    match Request::decode(operation, bytes, profile) {
        Ok(request) => {
            let (mut again, mut bytes) = (Vec::new(), bytes.to_vec());
            request.encode(profile, &mut again);
            if profile.send == SendLayout::Aligned && operation == Operation::SendMessage {
                bytes[CLIENT_ID_SIZE + 1..CLIENT_ID_SIZE + 4].fill(0);
            }
            assert!(again == bytes, "{profile}: {request:?} is written {again:02x?}, but was {bytes:02x?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A stream that comes in these pieces makes the same requests as one that comes at once.
pub fn check_request_split(listener: Listener, bytes: &[u8], pieces: &[&[u8]]) {
    assert_same(listener, bytes, &listener.hear([bytes]), &listener.hear(pieces.iter().copied()));
}

/// Exempt are streams whose dialect shows in nothing but the time at which zeros come ([`time_tells`]).
pub(super) fn assert_same(listener: Listener, bytes: &[u8], whole: &Hearing, split: &Hearing) {
    let exempt =
        || whole.requests.iter().chain(&split.requests).any(|heard| time_tells(listener, heard, bytes));
    assert!(whole == split || exempt(), "{listener:?}: {whole:?} at once, {split:?} in pieces");
}

/// What a client sends is read as what it sent, by a listener that is pinned to its dialect.
pub fn check_request(speech: &Speech) {
    let hearing = Listener::pinned(speech.dialect).hear([&speech.bytes()[..]]);
    assert_eq!(hearing.rejection, None, "{speech:?}");
    assert_heard(speech, &hearing.requests, expected(speech, Listener::pinned(speech.dialect)));
    assert_canonical(Listener::pinned(speech.dialect), &hearing, &speech.bytes());
}

/// Requests one behind the other are all read, however the stream is cut, by who is pinned to the dialect and by who
/// remembers it.
pub fn check_conversation(speeches: &[Speech], cut: impl Fn(&[u8]) -> Vec<&[u8]>) {
    let bytes: Vec<u8> = speeches.iter().flat_map(Speech::bytes).collect();
    let dialect = speeches[0].dialect;
    let mut listeners = vec![Listener::pinned(dialect)];
    // What is pinned for a reason cannot be remembered.
    if dialect.profile.recognised_by == RecognisedBy::Bytes {
        listeners.push(Listener::remembering(dialect.profile));
    }
    for listener in listeners {
        for pieces in [cut(&bytes), vec![&bytes[..]]] {
            let hearing = listener.hear(pieces);
            assert_eq!(hearing.rejection, None, "{listener:?}: {speeches:?}");
            assert_eq!(hearing.requests.len(), speeches.len(), "{listener:?}: {speeches:?}");
            assert_eq!(hearing.read, bytes.len(), "{listener:?}: {speeches:?}");
            for (speech, heard) in speeches.iter().zip(hearing.requests) {
                assert_heard(speech, &[heard], expected(speech, listener));
            }
        }
        check_request_split(listener, &bytes, &cut(&bytes));
    }
}

/// A wrong declared size is a known deviation, and then the request is read all the same, or it is rejected.
///
/// Exempt are sends of a fixed size, which declare anything.
pub fn check_declared_size(speech: &Speech, anything: u32) {
    let Speech { dialect, request, content, .. } = speech;
    if is_fixed_send(dialect, request) {
        return;
    }
    let header = dialect.request_header_size();
    let honest = (speech.frame().len() - header) as u32;
    for declared in [honest, 0, honest + 1, honest + 3, anything] {
        let deviation = match request {
            _ if declared == honest => None,
            Request::FetchKey(_) if declared == 0 => Some(Deviation::KeyRequestDeclaresNothing),
            Request::SendMessage(_) if declared == honest + 3 => Some(Deviation::SendDeclaresThreeMore),
            Request::SendMessage(send) if (send.kind, send.size) == (MessageType::KEY_REQUEST, 0) => {
                Some(Deviation::EmptySendDeclaresGarbage)
            }
            _ => None,
        };
        let mut bytes = speech.bytes();
        bytes[header - 4..header].copy_from_slice(&match dialect.profile.byte_order {
            ByteOrder::Little => declared.to_le_bytes(),
            ByteOrder::Big => declared.to_be_bytes(),
        });
        let hearing = Listener::pinned(*dialect).hear([&bytes[..]]);
        match (&hearing.requests[..], &hearing.rejection) {
            ([heard], None) if declared == honest || deviation.is_some() => {
                assert_eq!(heard.received.deviation, deviation, "{speech:?} declares {declared}");
                assert!(heard.complete && heard.content == *content, "{speech:?} declares {declared}");
            }
            ([], Some(rejection)) if declared != honest && deviation.is_none() => {
                let named = matches!(rejection.error, WireError::DeclaredSize { declared: named, .. } if named == declared);
                assert!(named, "{speech:?} declares {declared}: {rejection}");
            }
            _ => panic!("{speech:?} declares {declared}: {hearing:?}"),
        }
    }
}

/// Zeros that no dialect puts between two requests are passed over, as long as they are less than a block.
pub fn check_zeros_between(before: &Speech, zeros: usize, after: &Speech) {
    let mut bytes = before.bytes();
    bytes.resize(bytes.len() + zeros, 0);
    bytes.extend(after.bytes());
    let hearing = Listener::pinned(before.dialect).hear([&bytes[..]]);
    if zeros < PADDING_BLOCK as usize {
        assert_eq!(hearing.rejection, None, "{before:?}, {zeros} zeros, {after:?}");
        assert_heard(before, &hearing.requests[..1], expected(before, Listener::pinned(before.dialect)));
        assert_heard(after, &hearing.requests[1..], expected(after, Listener::pinned(after.dialect)));
    } else {
        let error = hearing.rejection.map(|rejection| rejection.error);
        assert_eq!(error, Some(WireError::TooManyZeros), "{before:?}, {zeros} zeros, {after:?}");
    }
}

/// A request that is cut short anywhere is no request; one that is cut inside its content is never said to be whole.
pub fn check_request_cuts(speech: &Speech) {
    let (front, frame) = (speech.front().len(), speech.frame());
    // In the middle of long contents there is nothing to find.
    let near = |at: &usize| *at < front + 64 || frame.len() - at < 64;
    for listener in [Listener::pinned(speech.dialect), Listener::default()] {
        // Two bytes less of these are another dialect's request: nothing but the header's size tells them apart.
        if listener == Listener::default()
            && speech.dialect.profile.header == HeaderLayout::Aligned
            && matches!(speech.request.operation(), Operation::ListClients | Operation::PullMessages)
        {
            continue;
        }
        for at in (0..frame.len()).filter(near) {
            let Hearing { requests, rejection, .. } = listener.hear([&frame[..at]]);
            assert_eq!(rejection, None, "{listener:?}: {speech:?} cut at {at}");
            match &requests[..] {
                [] => {}
                [heard] => {
                    assert!(front <= at && !heard.complete, "{listener:?}: {speech:?} cut at {at}");
                    assert!(speech.content.starts_with(&heard.content), "{speech:?} cut at {at}");
                }
                _ => panic!("{listener:?}: {speech:?} cut at {at} makes {requests:?}"),
            }
        }
    }
}

/// A request is recognised as what it is, by its bytes or with what is remembered of its client; where bytes cannot
/// tell, it is its family's plain dialect, and says the same.
pub fn check_recognition(speech: &Speech) {
    for listener in [Listener::default(), Listener::remembering(speech.dialect.profile)] {
        let hearing = listener.hear([&speech.bytes()[..]]);
        assert_eq!(hearing.rejection, None, "{listener:?}: {speech:?}");
        assert_heard(speech, &hearing.requests, expected(speech, listener));
    }
}

/// The dialect that a listener takes a request for which comes alone and whole.
pub(super) fn expected(speech: &Speech, listener: Listener) -> Dialect {
    let Speech { dialect, version, client_id, request, .. } = speech;
    let Dialect { family, profile } = *dialect;
    let begins_like_name = match request {
        Request::Register(register) => {
            *client_id != ClientId::NOBODY && register.name.0.starts_with(&client_id.0)
        }
        _ => false,
    };
    let plain = match (dialect, version) {
        _ if begins_like_name && *dialect == named("a") => named("a/size-before-type"),
        _ if family == named("b").family && *version == 2 => named("b/read-to-end"),
        _ => Dialect::classic(family),
    };
    if listener.pin.profile.is_some() {
        return *dialect;
    }
    if profile.recognised_by != RecognisedBy::Bytes || *profile == Profile::READ_TO_END {
        return plain;
    }
    let size = speech.frame().len() as u64;
    let missing = padding(size);
    let tells = match listener.hint {
        Some(_) => true,
        // Of a long request the tail says nothing.
        None if (profile.padded || profile.stray > 0) && size > TAIL_WINDOW => false,
        None if profile.padded => missing > 0,
        // One zero behind a request that is one byte short of a block is padding.
        None if profile.stray > 0 && missing == 1 => return named("c/type-shift"),
        None if profile.stray > 0 => *version == 1,
        None => match (profile.send, request) {
            (SendLayout::Packed, _) | (_, Request::SendMessage(_)) => !reads_packed(speech),
            (SendLayout::SizeBeforeType, _) => begins_like_name,
            (SendLayout::Aligned, request) => Request::head_size(request.operation(), profile) > 0,
        },
    };
    if tells { *dialect } else { plain }
}

/// Whether a send of `size-before-type` is as good a send of the plain dialect: its size and type are five equal bytes.
fn reads_packed(speech: &Speech) -> bool {
    match &speech.request {
        Request::SendMessage(send) if speech.dialect.profile.send == SendLayout::SizeBeforeType => {
            send.size == u32::from_le_bytes([send.kind.0; 4])
        }
        _ => false,
    }
}

fn named(dialect: &str) -> Dialect {
    dialect.parse().expect("a dialect there is")
}

/// The one request heard is what was said, and was taken for this dialect.
pub(super) fn assert_heard(speech: &Speech, requests: &[Heard], dialect: Dialect) {
    let [Heard { received, content, complete, .. }] = requests else {
        panic!("{speech:?} was heard as {requests:?}");
    };
    assert_eq!(received.dialect, dialect, "{speech:?}");
    assert_eq!(received.version, speech.dialect.request_version(speech.version));
    assert_eq!((received.client_id, received.deviation), (speech.client_id, None));
    assert!(*complete && *content == speech.content, "{speech:?} was heard with {content:?}");
    // Profiles that are mistaken for one another may count types otherwise, but mean the same bytes.
    let payload = |request: &Request, profile: &Profile| {
        let mut bytes = Vec::new();
        request.encode(profile, &mut bytes);
        bytes
    };
    if dialect == speech.dialect || speech.dialect.profile.sent_types == dialect.profile.sent_types {
        assert_eq!(received.request, speech.request);
    } else {
        assert_eq!(
            payload(&received.request, dialect.profile),
            payload(&speech.request, speech.dialect.profile)
        );
    }
}

/// What holds for every stream: all of it is requests that are written again byte for byte, zeros between them, and at
/// the end less than a request, or what is rejected.
pub(super) fn assert_canonical(listener: Listener, hearing: &Hearing, bytes: &[u8]) {
    let mut read = 0;
    for heard in &hearing.requests {
        assert!(bytes[heard.front.clone()].len() == heard.front.len() && read <= heard.front.start);
        assert!(spoken_under(listener.pin, heard.received.dialect), "{listener:?}: {heard:?}");
        assert_eq!(heard.content, bytes[heard.front.end..heard.end()]);
        assert_eq!(heard.complete, heard.content.len() as u64 == heard.size() - heard.front.len() as u64);
        assert_written_again(heard, bytes);
        read = heard.end();
    }
    let ends = hearing.requests.iter().map(|heard| (heard.end(), Some(heard)));
    let starts = hearing.requests.iter().map(|heard| heard.front.start);
    for ((end, before), start) in [(0, None)].into_iter().chain(ends).zip(starts.chain([hearing.read])) {
        assert_meaningless(before, &bytes[end..start]);
    }
    match &hearing.rejection {
        Some(rejection) => {
            assert!(!rejection.to_string().is_empty());
            assert!(spoken_under(listener.pin, rejection.dialect), "{listener:?}: {rejection:?}");
        }
        None => {
            let waits_for_tail = listener.pin.profile.is_none();
            let window = if waits_for_tail { TAIL_WINDOW as usize } else { LONGEST_FRONT };
            let held = bytes.len() - hearing.read;
            assert!(held < window, "{listener:?} holds {held} bytes");
        }
    }
}

/// Whether a dialect is one of the pin's.
fn spoken_under(pin: Pin, dialect: Dialect) -> bool {
    pin.dialects().any(|spoken| spoken == dialect)
}

/// What stands between requests is zeros, less than a block of them beside those that the dialect puts there; behind a
/// send of fixed size it may be anything, up to that size.
fn assert_meaningless(before: Option<&Heard>, gap: &[u8]) {
    let tail = before.map_or(0, |heard| {
        heard.received.dialect.request_tail(heard.received.request.operation(), heard.size())
    });
    let filler =
        before.filter(|heard| heard.received.dialect.profile.fixed_send.is_some()).map_or(0, |_| tail);
    let zeros = &gap[filler.min(gap.len())..];
    assert!(zeros.iter().all(|byte| *byte == 0), "{zeros:?} was passed over");
    assert!(zeros.len() <= tail + PADDING_BLOCK as usize, "{} zeros were passed over", zeros.len());
}

/// Header and payload are what the wire writes for the request, but for what means nothing in its dialect.
fn assert_written_again(heard: &Heard, bytes: &[u8]) {
    let Received { dialect, version, client_id, request, deviation } = &heard.received;
    let version = version - dialect.request_version(0);
    let mut again =
        dialect.encode_request(version, *client_id, request).expect("what was read can be written");
    let mut front = bytes[heard.front.clone()].to_vec();
    let size_field = dialect.request_header_size() - 4..dialect.request_header_size();
    let honest = number(&again[size_field.clone()], dialect.profile.byte_order);
    let declared = number(&front[size_field.clone()], dialect.profile.byte_order);
    match (deviation, request) {
        (None, _) => {}
        (Some(Deviation::KeyRequestDeclaresNothing), Request::FetchKey(_)) => assert_eq!(declared, 0),
        (Some(Deviation::SendDeclaresThreeMore), Request::SendMessage(_)) => assert_eq!(declared, honest + 3),
        (Some(Deviation::EmptySendDeclaresGarbage), Request::SendMessage(send)) => {
            assert_eq!((send.kind, send.size), (MessageType::KEY_REQUEST, 0));
        }
        _ => panic!("{heard:?} does not deviate so"),
    }
    assert!(deviation.is_none() || declared != honest, "{heard:?} does not deviate");
    let size_is_free = deviation.is_some() || is_fixed_send(dialect, request);
    for range in gaps(*dialect, request).into_iter().chain(size_is_free.then_some(size_field)) {
        front[range.clone()].fill(0);
        again[range].fill(0);
    }
    assert!(front == again, "{heard:?} is written as {again:02x?}, but was {front:02x?}");
}

fn is_fixed_send(dialect: &Dialect, request: &Request) -> bool {
    dialect.profile.fixed_send.is_some() && request.operation() == Operation::SendMessage
}

/// Where a C compiler leaves gaps in header and payload.
fn gaps(dialect: Dialect, request: &Request) -> Vec<Range<usize>> {
    let header = dialect.request_header_size();
    let mut gaps = Vec::new();
    if dialect.profile.header == HeaderLayout::Aligned {
        gaps.push(CLIENT_ID_SIZE + 2..CLIENT_ID_SIZE + 4);
    }
    if dialect.profile.send == SendLayout::Aligned && request.operation() == Operation::SendMessage {
        gaps.push(header + CLIENT_ID_SIZE + 1..header + CLIENT_ID_SIZE + 4);
    }
    gaps
}

fn number(bytes: &[u8], order: ByteOrder) -> u32 {
    let bytes = bytes.try_into().expect("four bytes");
    match order {
        ByteOrder::Little => u32::from_le_bytes(bytes),
        ByteOrder::Big => u32::from_be_bytes(bytes),
    }
}

/// Whether the zero behind this request is padding, a stray byte or the next request's first, which only the time at
/// which it comes can tell: where so few zeros are missing that they may belong to the next request, where the request
/// is too long to be held back until its tail shows, and where the tail contradicts what is remembered.
fn time_tells(listener: Listener, heard: &Heard, bytes: &[u8]) -> bool {
    let dialect = heard.received.dialect;
    let tail_tells =
        |other: Dialect| other.family == dialect.family && (other.profile.padded || other.profile.stray > 0);
    listener.pin.profile.is_none()
        && listener.pin.dialects().any(tail_tells)
        && bytes.get(heard.end()) == Some(&0)
        && match listener.hint.filter(|hint| hint.families.contains(&dialect.family)) {
            Some(hint) => hint != dialect.profile,
            None => padding(heard.size()) <= CLIENT_ID_SIZE as u64,
        }
}

/// Bytes that are missing to a multiple of [`PADDING_BLOCK`].
fn padding(size: u64) -> u64 {
    size.next_multiple_of(PADDING_BLOCK.into()) - size
}
