//! The headers of requests and responses, in each layout.

use binrw::binrw;

use super::{Dialect, Family, Profile};
use crate::error::WireError;
use crate::fields::ClientId;
use crate::operation::{decode_exactly, encode_to};

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
#[binrw]
struct NarrowRequest {
    client_id: ClientId,
    version: u8,
    code: u8,
    size: u32,
}

/// `client id 16 ‖ version 1 ‖ code u16 ‖ size u32`: the other families.
#[binrw]
struct WideRequest {
    client_id: ClientId,
    version: u8,
    code: u16,
    size: u32,
}

/// `client id 16 ‖ version 1 ‖ code 1 ‖ padding 2 ‖ size u32`: `aligned`.
#[binrw]
struct AlignedRequest {
    client_id: ClientId,
    version: u8,
    #[brw(pad_after = 2)]
    code: u8,
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
#[binrw]
struct PackedResponse {
    version: u8,
    code: u16,
    size: u32,
}

/// `version 1 ‖ padding 1 ‖ code u16 ‖ size u32`: `aligned`.
#[binrw]
struct AlignedResponse {
    #[brw(pad_after = 1)]
    version: u8,
    code: u16,
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
