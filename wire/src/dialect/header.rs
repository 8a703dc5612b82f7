//! The headers of requests and responses, in each layout.

use binrw::binrw;

use super::{Dialect, Family, Profile};
use crate::error::WireError;
use crate::fields::ClientId;
use crate::operation::{decode_exactly, encode_to};
#[cfg(feature = "spec")]
use crate::spec::{Declarations, Type, WireSpec};

/// Where the fields of headers stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderLayout {
    /// Without gaps; the family's code width counts.
    Packed,
    /// As a C compiler aligns the structure; only seen with codes of one byte.
    Aligned,
}

impl HeaderLayout {
    /// Bytes of a request's header.
    #[must_use]
    pub const fn request_size(self, family: Family) -> usize {
        match self {
            Self::Packed => 21 + family.code_width(),
            Self::Aligned => 24,
        }
    }

    /// Bytes of a response's header.
    #[must_use]
    pub const fn response_size(self) -> usize {
        match self {
            Self::Packed => 7,
            Self::Aligned => 8,
        }
    }
}

/// The header of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// Who asks.
    pub client_id: ClientId,
    /// The version byte, as it is on the wire.
    pub version: u8,
    /// The request code.
    pub code: u16,
    /// The declared size of the payload, which some programs get wrong.
    pub size: u32,
}

/// `client id 16 ‖ version 1 ‖ code 1 ‖ size u32`: family A.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct NarrowRequest {
    /// 0: who asks.
    client_id: ClientId,
    /// 16: the version of the client.
    version: u8,
    /// 17: the request code.
    code: u8,
    /// 18: bytes of payload and content that follow.
    size: u32,
}

/// `client id 16 ‖ version 1 ‖ code u16 ‖ size u32`: the other families.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct WideRequest {
    /// 0: who asks.
    client_id: ClientId,
    /// 16: the version of the client.
    version: u8,
    /// 17: the request code.
    code: u16,
    /// 19: bytes of payload and content that follow.
    size: u32,
}

/// `client id 16 ‖ version 1 ‖ code 1 ‖ padding 2 ‖ size u32`: `aligned`.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct AlignedRequest {
    /// 0: who asks.
    client_id: ClientId,
    /// 16: the version of the client.
    version: u8,
    /// 17: the request code.
    #[brw(pad_after = 2)]
    code: u8,
    /// 20: bytes of payload and content that follow.
    size: u32,
}

impl RequestHeader {
    /// Reads a header of exactly the dialect's size.
    pub(crate) fn decode(bytes: &[u8], dialect: Dialect) -> Result<Self, WireError> {
        const WHAT: &str = "request header";
        let order = dialect.profile.byte_order;
        Ok(match (dialect.profile.header, dialect.family) {
            (HeaderLayout::Packed, Family::A) => {
                let NarrowRequest { client_id, version, code, size } = decode_exactly(WHAT, bytes, order)?;
                Self { client_id, version, code: code.into(), size }
            }
            (HeaderLayout::Packed, _) => {
                let WideRequest { client_id, version, code, size } = decode_exactly(WHAT, bytes, order)?;
                Self { client_id, version, code, size }
            }
            (HeaderLayout::Aligned, _) => {
                let AlignedRequest { client_id, version, code, size } = decode_exactly(WHAT, bytes, order)?;
                Self { client_id, version, code: code.into(), size }
            }
        })
    }

    pub(super) fn encode(self, dialect: Dialect, out: &mut Vec<u8>) {
        let Self { client_id, version, code, size } = self;
        let order = dialect.profile.byte_order;
        // Codes of the narrow layouts are below 256: they come from the table's column A.
        let narrow = u8::try_from(code).unwrap_or(u8::MAX);
        match (dialect.profile.header, dialect.family) {
            (HeaderLayout::Packed, Family::A) => {
                encode_to(&NarrowRequest { client_id, version, code: narrow, size }, order, out);
            }
            (HeaderLayout::Packed, _) => {
                encode_to(&WideRequest { client_id, version, code, size }, order, out)
            }
            (HeaderLayout::Aligned, _) => {
                encode_to(&AlignedRequest { client_id, version, code: narrow, size }, order, out);
            }
        }
    }
}

/// The header of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHeader {
    /// The version byte, as it is on the wire.
    pub version: u8,
    /// The response code.
    pub code: u16,
    /// The declared size of the payload.
    pub size: u32,
}

/// `version 1 ‖ code u16 ‖ size u32`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct PackedResponse {
    /// 0: the version of the server.
    version: u8,
    /// 1: the response code.
    code: u16,
    /// 3: bytes of payload that follow.
    size: u32,
}

/// `version 1 ‖ padding 1 ‖ code u16 ‖ size u32`: `aligned`.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
struct AlignedResponse {
    /// 0: the version of the server.
    #[brw(pad_after = 1)]
    version: u8,
    /// 2: the response code.
    code: u16,
    /// 4: bytes of payload that follow.
    size: u32,
}

impl ResponseHeader {
    /// Reads a header of exactly the profile's size.
    ///
    /// # Errors
    /// When `bytes` are more or fewer.
    pub fn decode(bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
        const WHAT: &str = "response header";
        Ok(match profile.header {
            HeaderLayout::Packed => {
                let PackedResponse { version, code, size } = decode_exactly(WHAT, bytes, profile.byte_order)?;
                Self { version, code, size }
            }
            HeaderLayout::Aligned => {
                let AlignedResponse { version, code, size } =
                    decode_exactly(WHAT, bytes, profile.byte_order)?;
                Self { version, code, size }
            }
        })
    }

    pub(super) fn encode(self, profile: &Profile, out: &mut Vec<u8>) {
        let Self { version, code, size } = self;
        match profile.header {
            HeaderLayout::Packed => {
                encode_to(&PackedResponse { version, code, size }, profile.byte_order, out)
            }
            HeaderLayout::Aligned => {
                encode_to(&AlignedResponse { version, code, size }, profile.byte_order, out)
            }
        }
    }
}

#[cfg(feature = "spec")]
impl HeaderLayout {
    /// The layout of requests' headers, in a family.
    pub(crate) fn of_requests(self, family: Family, declarations: &mut Declarations) -> Type {
        match (self, family) {
            (Self::Packed, Family::A) => NarrowRequest::refer(declarations),
            (Self::Packed, _) => WideRequest::refer(declarations),
            (Self::Aligned, _) => AlignedRequest::refer(declarations),
        }
    }

    /// The layout of responses' headers.
    pub(crate) fn of_responses(self, declarations: &mut Declarations) -> Type {
        match self {
            Self::Packed => PackedResponse::refer(declarations),
            Self::Aligned => AlignedResponse::refer(declarations),
        }
    }
}
