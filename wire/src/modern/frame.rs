//! Frames: a header and a payload; and requests and responses from streams of bytes, in any split, without I/O.
//!
//! A reader holds what has come and reserves nothing for what is only claimed: a frame that announces more than its
//! operation has is refused as soon as its header is there.

use binrw::binrw;
use bytes::{Bytes, BytesMut};

use super::field::Tag;
use super::limits::UNKNOWN_REQUEST_MAX;
use super::operation::Payload;
use super::{Operation, Refusal, Request, Response, VERSION};
use crate::dialect::ByteOrder;
use crate::error::WireError;
use crate::fields::ClientId;
use crate::operation::{decode_exactly, encode_to};
use crate::operations::REFUSAL_CODE;

/// Bytes of [`RequestHeader`].
pub const REQUEST_HEADER_SIZE: usize = 27;
/// Bytes of [`ResponseHeader`].
pub const RESPONSE_HEADER_SIZE: usize = 11;

/// ```text
/// 0 client id 16 ‖ 16 version 1 = 3 ‖ 17 code u16 ‖ 19 size u32 ‖ 23 tag u32
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// 0: who asks.
    pub client_id: ClientId,
    /// 16: [`VERSION`].
    pub version: u8,
    /// 17: which operation.
    pub code: u16,
    /// 19: bytes of payload that follow.
    pub size: u32,
    /// 23: what the response is to carry too.
    pub tag: Tag,
}

/// ```text
/// 0 version 1 = 3 ‖ 1 code u16 ‖ 3 size u32 ‖ 7 tag u32
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHeader {
    /// 0: [`VERSION`].
    pub version: u8,
    /// 1: what was asked for, or 9000.
    pub code: u16,
    /// 3: bytes of payload that follow.
    pub size: u32,
    /// 7: the request's tag.
    pub tag: Tag,
}

/// A whole request.
#[must_use]
pub fn encode_request(client_id: ClientId, tag: Tag, request: &Request) -> Vec<u8> {
    let mut payload = Vec::new();
    request.encode(&mut payload);
    let header = RequestHeader {
        client_id,
        version: VERSION,
        code: request.operation().codes().request,
        size: size_of_payload(&payload),
        tag,
    };
    with_header(&header, REQUEST_HEADER_SIZE, &payload)
}

/// A whole response, or a refusal.
#[must_use]
pub fn encode_response(tag: Tag, answer: &Result<Response, Refusal>) -> Vec<u8> {
    let mut payload = Vec::new();
    let code = match answer {
        Ok(response) => {
            response.encode(&mut payload);
            response.operation().codes().response
        }
        Err(refusal) => {
            refusal.encode(&mut payload);
            REFUSAL_CODE
        }
    };
    let header = ResponseHeader { version: VERSION, code, size: size_of_payload(&payload), tag };
    with_header(&header, RESPONSE_HEADER_SIZE, &payload)
}

/// No payload has more bytes than a u32 counts.
fn size_of_payload(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}

fn with_header<H>(header: &H, header_size: usize, payload: &[u8]) -> Vec<u8>
where
    H: for<'a> binrw::BinWrite<Args<'a> = ()>,
{
    let mut frame = Vec::with_capacity(header_size + payload.len());
    encode_to(header, ByteOrder::Little, &mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// A request as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestFrame {
    /// Who asks, as the header says it.
    pub client_id: ClientId,
    /// What the response is to carry.
    pub tag: Tag,
    /// What is asked; an error if the code is unknown or the payload is not what its operation lays down. The next request
    /// can be read all the same.
    pub request: Result<Request, WireError>,
}

/// A header behind which nothing can be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Rejection {
    /// What is wrong.
    pub error: WireError,
    /// What a refusal is to carry.
    pub tag: Tag,
}

/// Reads requests from one stream.
#[derive(Default, Debug)]
pub struct RequestReader {
    buffer: BytesMut,
}

impl RequestReader {
    /// A reader for a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where bytes that come can be put without a copy in between.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether the stream is inside a request.
    #[must_use]
    pub fn is_inside_request(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next request, as soon as it is whole.
    ///
    /// # Errors
    /// A [`Rejection`] for another version ([`WireError::FieldValue`]) and for a size that the operation does not have
    /// ([`WireError::PayloadTooLarge`]); every further call gives the same.
    pub fn poll(&mut self) -> Result<Option<RequestFrame>, Rejection> {
        let Some(header) = self.buffer.get(..REQUEST_HEADER_SIZE) else { return Ok(None) };
        let reject = |error, tag| Rejection { error, tag };
        let RequestHeader { client_id, version, code, size, tag } =
            decode_exactly("request header", header, ByteOrder::Little)
                .map_err(|error| reject(error, Tag::default()))?;
        let operation = Operation::of_request(code);
        let limit = operation.map_or(UNKNOWN_REQUEST_MAX, Operation::request_max);
        check_version(16, version)
            .and_then(|()| check_size(size, limit))
            .map_err(|error| reject(error, tag))?;
        let Some(payload) = take_payload(&mut self.buffer, REQUEST_HEADER_SIZE, size) else {
            return Ok(None);
        };
        let request = match operation {
            Some(operation) => Request::decode(operation, &payload),
            None => Err(WireError::UnknownCode { code }),
        };
        Ok(Some(RequestFrame { client_id, tag, request }))
    }
}

/// A response as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResponseFrame {
    /// Which request it answers.
    pub tag: Tag,
    /// The answer.
    pub answer: Result<Response, Refusal>,
}

/// Reads responses from one stream.
#[derive(Default, Debug)]
pub struct ResponseReader {
    buffer: BytesMut,
}

impl ResponseReader {
    /// A reader for a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where bytes that come can be put without a copy in between.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next response, as soon as it is whole.
    ///
    /// # Errors
    /// For another version, a code of no operation, a size that the operation does not have, and a payload that is not
    /// what it lays down. Nothing behind it is read.
    pub fn poll(&mut self) -> Result<Option<ResponseFrame>, WireError> {
        let Some(header) = self.buffer.get(..RESPONSE_HEADER_SIZE) else { return Ok(None) };
        let ResponseHeader { version, code, size, tag } =
            decode_exactly("response header", header, ByteOrder::Little)?;
        check_version(0, version)?;
        let operation = match (code, Operation::of_response(code)) {
            (REFUSAL_CODE, _) => None,
            (_, Some(operation)) => Some(operation),
            (code, None) => return Err(WireError::UnknownCode { code }),
        };
        check_size(size, operation.map_or(Refusal::MAX_SIZE, Operation::response_max))?;
        let Some(payload) = take_payload(&mut self.buffer, RESPONSE_HEADER_SIZE, size) else {
            return Ok(None);
        };
        let answer = match operation {
            Some(operation) => Ok(Response::decode(operation, &payload)?),
            None => Err(Refusal::decode(&payload)?),
        };
        Ok(Some(ResponseFrame { tag, answer }))
    }
}

fn check_version(at: usize, version: u8) -> Result<(), WireError> {
    crate::envelope::expect("version", at, version, VERSION)
}

fn check_size(claimed: u32, limit: usize) -> Result<(), WireError> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    if claimed <= limit { Ok(()) } else { Err(WireError::PayloadTooLarge { claimed, limit }) }
}

/// Takes a frame off the buffer once it is whole, and gives its payload.
fn take_payload(buffer: &mut BytesMut, header_size: usize, size: u32) -> Option<Bytes> {
    let end = header_size.checked_add(usize::try_from(size).ok()?)?;
    if buffer.len() < end {
        return None;
    }
    let mut frame = buffer.split_to(end);
    // Between frames, a connection holds no memory of the last one.
    if buffer.is_empty() {
        *buffer = BytesMut::new();
    }
    Some(frame.split_off(header_size).freeze())
}
