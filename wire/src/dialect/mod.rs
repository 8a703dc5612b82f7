//! What distinguishes the dialects: a family gives the codes, a profile everything else, and both are data.

mod header;
mod profile;
mod recognise;

use std::fmt;
use std::str::FromStr;

pub use header::{HeaderLayout, RequestHeader, ResponseHeader};
pub use profile::{
    ALIGNED_SEND_SIZE, ByteOrder, PADDING_BLOCK, Profile, RecognisedBy, TypeCoding, VersionCoding,
};
pub use recognise::{Deviation, Pin};
pub(crate) use recognise::{
    Front, Tail, deviation, has_sized_header, is_from_nobody, recognise_front, recognise_tail, tail_matters,
    without_tail,
};

use crate::error::WireError;
use crate::fields::ClientId;
use crate::operations::{Operation, REFUSAL_CODE, Response};

/// A column of the operations table: the codes of one generation of programs.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Family {
    /// Request codes 100 to 104, one byte wide.
    A,
    /// Request codes 1000 to 1004.
    B,
    /// Request codes 1100 to 1104.
    C,
    /// Request codes 600 to 605.
    D,
    /// Request codes 700 to 704.
    E,
}

impl Family {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    /// Bytes of a request code in this family's headers.
    #[must_use]
    pub const fn code_width(self) -> usize {
        match self {
            Self::A => 1,
            Self::B | Self::C | Self::D | Self::E => 2,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Family {
    type Err = WireError;

    /// Reads one letter of either case.
    fn from_str(text: &str) -> Result<Self, WireError> {
        let named = |family: &Self| family.to_string().eq_ignore_ascii_case(text);
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| WireError::UnknownName { what: "family", name: text.into() })
    }
}

/// A family spoken with a profile: all that is needed to read a request and to answer in kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Gives the codes.
    pub family: Family,
    /// Gives everything else.
    pub profile: &'static Profile,
}

impl Dialect {
    /// Every dialect there is: each profile in each family that it was seen in.
    pub fn all() -> impl Iterator<Item = Self> {
        Profile::ALL
            .iter()
            .flat_map(|profile| profile.families.iter().map(move |family| Self { family: *family, profile }))
    }

    /// The dialect of a family without quirks.
    #[must_use]
    pub const fn classic(family: Family) -> Self {
        Self { family, profile: &Profile::CLASSIC }
    }

    /// The version byte of requests, for the classic versions 1 and 2.
    #[must_use]
    pub const fn request_version(self, version: u8) -> u8 {
        match self.profile.request_versions {
            VersionCoding::Number => version,
            VersionCoding::Digit => version.saturating_add(b'0'),
        }
    }

    /// Bytes of a request's header.
    #[must_use]
    pub const fn request_header_size(self) -> usize {
        self.profile.header.request_size(self.family)
    }

    /// Zero bytes that must follow `written` bytes of a request, so that the peer takes it.
    #[must_use]
    pub fn request_tail(self, operation: Operation, written: u64) -> usize {
        let fixed = match (operation, self.profile.fixed_send) {
            (Operation::SendMessage, Some(size)) => u64::from(size).saturating_sub(written),
            _ => 0,
        };
        usize::try_from(fixed).unwrap_or(0) + self.profile.padding(written) + self.profile.stray
    }

    /// Zero bytes that must follow `written` bytes of a response.
    #[must_use]
    pub fn response_tail(self, written: u64) -> usize {
        self.profile.padding(written)
    }

    /// The header of a response that declares `size` bytes, with what the profile puts behind it, uncounted.
    ///
    /// `None` if the family has no such operation.
    #[must_use]
    pub fn response_start(self, operation: Operation, size: u32, asker: ClientId) -> Option<Vec<u8>> {
        operation.codes(self.family).map(|codes| self.start(codes.response, size, asker))
    }

    /// A whole response.
    ///
    /// `None` if the family has no such operation, or the declared size would go beyond a u32.
    #[must_use]
    pub fn encode_response(self, response: &Response, asker: ClientId) -> Option<Vec<u8>> {
        let size = response.declared_size(self.profile)?;
        let mut bytes = self.response_start(response.operation(), size, asker)?;
        response.encode(self.profile, asker, &mut bytes);
        self.finish(&mut bytes);
        Some(bytes)
    }

    /// The answer to everything that cannot be done: code 9000 and an empty payload.
    #[must_use]
    pub fn encode_refusal(self, asker: ClientId) -> Vec<u8> {
        let mut bytes = self.start(REFUSAL_CODE, 0, asker);
        self.finish(&mut bytes);
        bytes
    }

    /// A request of `version` 1 or 2, up to where its content would begin.
    ///
    /// `None` if the family has no such operation, or the declared size would go beyond a u32.
    #[must_use]
    pub fn encode_request(
        self,
        version: u8,
        client_id: ClientId,
        request: &crate::operations::Request,
    ) -> Option<Vec<u8>> {
        let code = request.operation().codes(self.family)?.request;
        let mut payload = Vec::new();
        request.encode(self.profile, &mut payload);
        let size = u32::try_from(payload.len()).ok()?.checked_add(request.content_size())?;
        let version = self.request_version(version);
        let mut bytes = Vec::new();
        RequestHeader { client_id, version, code, size }.encode(self, &mut bytes);
        bytes.append(&mut payload);
        Some(bytes)
    }

    fn start(self, code: u16, size: u32, asker: ClientId) -> Vec<u8> {
        let mut bytes = Vec::new();
        ResponseHeader { version: self.profile.answer_version, code, size }.encode(self.profile, &mut bytes);
        if self.profile.echoes_asker(code) {
            bytes.extend_from_slice(&asker.0);
        }
        bytes
    }

    fn finish(self, bytes: &mut Vec<u8>) {
        let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        bytes.resize(bytes.len() + self.response_tail(written), 0);
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.family.to_string().to_lowercase();
        if *self.profile == Profile::CLASSIC {
            f.write_str(&family)
        } else {
            write!(f, "{family}/{}", self.profile.name)
        }
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialect({self})")
    }
}

impl FromStr for Dialect {
    type Err = WireError;

    /// Reads what [`Dialect`]'s `Display` writes, `d` or `d/big-endian`, and also a profile's name alone, where one
    /// family alone has it.
    fn from_str(text: &str) -> Result<Self, WireError> {
        let named = |dialect: &Self| dialect.to_string().eq_ignore_ascii_case(text);
        let by_profile = || {
            let profile = Profile::named(&text.to_ascii_lowercase())?;
            let [family] = *profile.families else { return None };
            Some(Self { family, profile })
        };
        Self::all()
            .find(named)
            .or_else(by_profile)
            .ok_or_else(|| WireError::UnknownName { what: "dialect", name: text.into() })
    }
}
