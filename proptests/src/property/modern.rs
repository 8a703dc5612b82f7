//! Frames and payloads of version 3, of both directions: what is accepted is canonical, what is not is refused by name,
//! and pieces make no difference.

use std::fmt::Debug;

use arbitrary::{Result, Unstructured};
use messageu_wire::error::WireError;
use messageu_wire::modern::frame::{
    REQUEST_HEADER_SIZE, RESPONSE_HEADER_SIZE, Rejection, RequestFrame, RequestReader, ResponseFrame,
    ResponseReader, encode_request, encode_response,
};
use messageu_wire::modern::operation::Payload;
use messageu_wire::modern::{Operation, Refusal, Request, Response};

use super::damage::each_change;
use crate::modern::{request_frame_from, response_frame_from};
use crate::pieces::cut_by_itself;
use crate::unstructured::change;

/// Bytes at which every value has shown itself: two bundles' worth, and behind them further entries of a list.
const REACH: usize = 3000;

/// One end of a connection: what it hears, and how the other says it.
pub trait End: Default {
    /// A request or a response.
    type Frame: PartialEq + Debug;
    /// Why nothing can be heard any more.
    type Broken: PartialEq + Debug;
    /// Bytes of its frames' headers.
    const HEADER_SIZE: usize;

    /// Hears bytes.
    fn push(&mut self, bytes: &[u8]);
    /// What they make.
    fn poll(&mut self) -> std::result::Result<Option<Self::Frame>, Self::Broken>;
    /// The frame as it was said; `None` for one whose payload was refused.
    fn said(frame: &Self::Frame) -> Option<Vec<u8>>;
    /// Any frame, as bytes say it.
    fn any(bytes: &mut Unstructured<'_>) -> Result<Self::Frame>;
}

impl End for RequestReader {
    type Frame = RequestFrame;
    type Broken = Rejection;
    const HEADER_SIZE: usize = REQUEST_HEADER_SIZE;

    fn push(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }

    fn poll(&mut self) -> std::result::Result<Option<RequestFrame>, Rejection> {
        self.poll()
    }

    fn said(frame: &RequestFrame) -> Option<Vec<u8>> {
        let request = frame.request.as_ref().ok()?;
        Some(encode_request(frame.client_id, frame.tag, request))
    }

    fn any(bytes: &mut Unstructured<'_>) -> Result<RequestFrame> {
        request_frame_from(bytes)
    }
}

impl End for ResponseReader {
    type Frame = ResponseFrame;
    type Broken = WireError;
    const HEADER_SIZE: usize = RESPONSE_HEADER_SIZE;

    fn push(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }

    fn poll(&mut self) -> std::result::Result<Option<ResponseFrame>, WireError> {
        self.poll()
    }

    fn said(frame: &ResponseFrame) -> Option<Vec<u8>> {
        Some(encode_response(frame.tag, &frame.answer))
    }

    fn any(bytes: &mut Unstructured<'_>) -> Result<ResponseFrame> {
        response_frame_from(bytes)
    }
}

/// What was heard of a stream: frames, and why there are no more of them.
#[derive(PartialEq, Debug)]
struct Heard<E: End> {
    frames: Vec<E::Frame>,
    broken: Option<E::Broken>,
}

fn hear<'a, E: End>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard<E> {
    let mut end = E::default();
    let mut frames = Vec::new();
    for piece in pieces {
        end.push(piece);
        loop {
            match end.poll() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(broken) => return Heard { frames, broken: Some(broken) },
            }
        }
    }
    Heard { frames, broken: None }
}

fn said<E: End>(frame: &E::Frame) -> Vec<u8> {
    E::said(frame).expect("a frame with a payload")
}

/// What is said is what is heard, in these pieces as at once.
pub fn check_frames<E: End>(frames: &[E::Frame], cut: impl Fn(&[u8]) -> Vec<&[u8]>) {
    let stream: Vec<u8> = frames.iter().flat_map(said::<E>).collect();
    for pieces in [vec![&stream[..]], cut(&stream)] {
        let heard = hear::<E>(pieces);
        assert_eq!(heard.frames, frames);
        assert_eq!(heard.broken, None);
    }
}

/// Any bytes: what is accepted is what is said for it, byte for byte; and pieces make no difference.
pub fn check_frame_bytes<E: End>(stream: &[u8]) {
    let whole = hear::<E>([stream]);
    let mut left = stream;
    for frame in &whole.frames {
        let size = left[E::HEADER_SIZE - 8..].first_chunk().map(|size| u32::from_le_bytes(*size));
        let size = E::HEADER_SIZE + size.expect("a size before the tag") as usize;
        let (bytes, behind) = left.split_at(size);
        if let Some(again) = E::said(frame) {
            assert_eq!(again, bytes, "{frame:?}");
        }
        left = behind;
    }
    let pieces = hear::<E>(cut_by_itself(stream));
    assert_eq!(pieces.frames, whole.frames);
    assert_eq!(pieces.broken, whole.broken);
}

/// Wherever a frame is cut in two, it is the same; and before its last byte it is none.
pub fn check_frame_cuts<E: End>(frame: &E::Frame) {
    let bytes = said::<E>(frame);
    let whole = hear::<E>([&bytes[..]]);
    assert_eq!(whole.frames.len(), 1);
    for at in 0..bytes.len() {
        let (first, second) = bytes.split_at(at);
        let before = hear::<E>([first]);
        assert!(before.frames.is_empty() && before.broken.is_none(), "cut at {at}");
        assert_eq!(hear::<E>([first, second]).frames, whole.frames, "cut at {at}");
    }
}

/// A frame of which one byte is another is refused, or is another frame.
pub fn check_frame_changes<E: End>(frame: &E::Frame) {
    each_change(&said::<E>(frame), REACH, |bytes| check_frame_bytes::<E>(bytes));
}

/// A few frames, as a fuzzer's bytes say them, of which a few bytes are changed.
///
/// # Errors
/// When the bytes do not suffice to say them.
pub fn check_any_frames<E: End>(bytes: &mut Unstructured<'_>) -> Result<()> {
    let count = bytes.int_in_range(1..=3)?;
    let frames = (0..count).map(|_| E::any(bytes)).collect::<Result<Vec<E::Frame>>>()?;
    let mut stream: Vec<u8> = frames.iter().flat_map(said::<E>).collect();
    if change(&mut stream, bytes)? {
        check_frame_bytes::<E>(&stream);
    } else {
        check_frames::<E>(&frames, |stream| cut_by_itself(stream).collect());
    }
    Ok(())
}

/// A payload: how it is read and written again.
pub type Recode = fn(Operation, &[u8]) -> std::result::Result<Vec<u8>, WireError>;

/// A request's payload.
pub const REQUEST: Recode = |operation, bytes| {
    let mut again = Vec::new();
    Request::decode(operation, bytes).map(|request| request.encode(&mut again))?;
    Ok(again)
};

/// A response's payload.
pub const RESPONSE: Recode = |operation, bytes| {
    let mut again = Vec::new();
    Response::decode(operation, bytes).map(|response| response.encode(&mut again))?;
    Ok(again)
};

/// A refusal's payload, whatever was asked.
pub const REFUSAL: Recode = |_, bytes| {
    let mut again = Vec::new();
    Refusal::decode(bytes).map(|refusal| refusal.encode(&mut again))?;
    Ok(again)
};

/// Any payload is refused, or written again as the same; says which.
pub fn check_modern_payload(recode: Recode, operation: Operation, payload: &[u8]) -> bool {
    match recode(operation, payload) {
        Ok(again) => {
            assert_eq!(again, payload, "{operation}");
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// A payload that is cut anywhere, or has more behind it, is refused; but for a pull's, whose entries go on to its end,
/// and which is canonical then.
pub fn check_payload_ends(recode: Recode, operation: Operation, payload: &[u8], extension: &[u8]) {
    assert!(check_modern_payload(recode, operation, payload), "{operation}");
    let longer = [payload, extension].concat();
    let shorter = (0..payload.len()).map(|at| &payload[..at]);
    for other in shorter.chain([&longer[..]]) {
        let is_taken = check_modern_payload(recode, operation, other);
        assert!(!is_taken || operation == Operation::PullEnvelopes, "{operation}: {other:02x?}");
    }
}
