//! What can be wrong with bytes and fields. Each error says what, where, and which limit.

use thiserror::Error;

use crate::dialect::{Family, PADDING_BLOCK};
use crate::envelope::file::FILE_NAME_MAX;
use crate::fields::{NAME_FIELD_SIZE, NAME_MAX};
use crate::modern::limits::{CODE_DIGITS, PHONE_DIGITS};
use crate::operations::{Operation, ResponseCode};

/// A field whose bytes or text do not fit its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FieldError {
    /// A client id's text is not what it should be.
    #[error("a client id is written as 32 hexadecimal digits")]
    ClientIdText,
    /// A name is empty or too long.
    #[error("a name has 1 to {NAME_MAX} characters, this one has {length}")]
    NameLength {
        /// Characters of the refused name.
        length: usize,
    },
    /// A name has a character that names cannot have.
    #[error("a name is made of printable ASCII characters; the one at {at} is not")]
    NameCharacter {
        /// Position in bytes.
        at: usize,
    },
    /// A text that is no phone number.
    #[error("a phone number is written +COUNTRYNUMBER: a plus sign and {} to {} digits", PHONE_DIGITS.start(), PHONE_DIGITS.end())]
    PhoneNumber,
    /// What is no code of a registration.
    #[error("a registration's code has {CODE_DIGITS} digits")]
    RegistrationCode,
    /// A number that no one-time key has.
    #[error("a one-time key has a number from 1 to 2147483647")]
    OneTimeId,
    /// A chunk that a file does not have.
    #[error("a file of {chunks} chunks has no chunk {index}")]
    ChunkPlace {
        /// Which chunk was named.
        index: u32,
        /// How many there are.
        chunks: u32,
    },
    /// A name field without a NUL.
    #[error("a name ends with a NUL within {NAME_FIELD_SIZE} bytes, this one does not")]
    NameUnterminated,
}

/// Bytes that are not what a dialect lays down.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WireError {
    /// The bytes begin no request of any dialect that is served here.
    #[error("bytes 16 to 18 of the request ({:02x} {:02x} {:02x}) are those of no dialect served here", .found[0], .found[1], .found[2])]
    Unrecognised {
        /// The version byte and the two after it.
        found: [u8; 3],
    },
    /// The declared size contradicts the operation, in a way that no known program does.
    #[error(
        "a {operation} request of family {family} declares {declared} bytes of payload, but has {expected}"
    )]
    DeclaredSize {
        /// What was asked.
        operation: Operation,
        /// In which family.
        family: Family,
        /// What the header says.
        declared: u32,
        /// What the operation makes it.
        expected: u64,
    },
    /// A content is larger than is accepted here.
    #[error("a content of {claimed} bytes is announced, at most {limit} are accepted")]
    ContentTooLarge {
        /// What the request says.
        claimed: u32,
        /// What is accepted.
        limit: u32,
    },
    /// A payload is larger than is accepted here.
    #[error("a payload of {claimed} bytes is announced, at most {limit} are accepted")]
    PayloadTooLarge {
        /// What the header says.
        claimed: u32,
        /// What is accepted.
        limit: u32,
    },
    /// A structure ends too soon.
    #[error("a {what} is cut short after {got} bytes")]
    Truncated {
        /// The structure.
        what: &'static str,
        /// Bytes there are.
        got: usize,
    },
    /// Bytes follow a structure that has its size.
    #[error("a {what} takes {size} bytes, but there are {got}")]
    Trailing {
        /// The structure.
        what: &'static str,
        /// Bytes it takes.
        size: usize,
        /// Bytes there are.
        got: usize,
    },
    /// More zeros between two requests than any padding has.
    #[error("more than {} zero bytes stand between two requests, beside those of the dialect", PADDING_BLOCK - 1)]
    TooManyZeros,
    /// A message id that should be decimal digits is not.
    #[error("the message id of this send response should be decimal digits within a u32")]
    MessageIdDigits,
    /// The response's code is not the one that the request calls for.
    #[error("the response has the code {found}, the request calls for {expected}")]
    UnexpectedCode {
        /// What came.
        found: ResponseCode,
        /// What should have come.
        expected: ResponseCode,
    },
    /// The declared size of a pull fits no way of counting its entries.
    #[error("a pull response declares {declared} bytes, but its entries make it {found} or more")]
    PullSize {
        /// What the header says.
        declared: u32,
        /// What there is.
        found: u64,
    },
    /// The family has no such operation.
    #[error("family {family} has no operation {operation}")]
    NoSuchOperation {
        /// What was to be asked.
        operation: Operation,
        /// In which family.
        family: Family,
    },
    /// A name of a family, profile or dialect that there is not.
    #[error("there is no {what} named {name:?}")]
    UnknownName {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Bytes that begin no envelope.
    #[error("an envelope begins with 4d 55 33 01, not with {:02x} {:02x} {:02x} {:02x}", .found[0], .found[1], .found[2], .found[3])]
    NotAnEnvelope {
        /// What they begin with.
        found: [u8; 4],
    },
    /// A structure is larger than any of its kind.
    #[error("{what}: at most {limit} bytes, but there are {size}")]
    EnvelopeSize {
        /// The structure.
        what: &'static str,
        /// Bytes there are.
        size: usize,
        /// Most bytes that it has.
        limit: usize,
    },
    /// A size that is none of those that messages are padded to.
    #[error("{what}: {size} bytes, less {overhead}, is no size that this content is padded to")]
    LadderSize {
        /// The structure.
        what: &'static str,
        /// Bytes there are.
        size: usize,
        /// How many of them do not count.
        overhead: usize,
    },
    /// A field that may have one value only has another.
    #[error("the {field} at byte {at} is {found}, expected {expected}")]
    FieldValue {
        /// The field.
        field: &'static str,
        /// Where it is.
        at: usize,
        /// What it is.
        found: u64,
        /// What it has to be.
        expected: u64,
    },
    /// A field is beyond its limit.
    #[error("the {field} at byte {at} is {found}, which is above {limit}")]
    FieldLimit {
        /// The field.
        field: &'static str,
        /// Where it is.
        at: usize,
        /// What it is.
        found: u64,
        /// The most it may be.
        limit: u64,
    },
    /// Padding that is not zeros.
    #[error("the padding has a byte other than 0 at {at}")]
    NotPadding {
        /// Position of the first such byte.
        at: usize,
    },
    /// A code that no operation has.
    #[error("the code {code} is that of no operation of version 3")]
    UnknownCode {
        /// The code.
        code: u16,
    },
    /// More values or bytes than there may be of them.
    #[error("{count} are announced where at most {limit} may be")]
    TooMany {
        /// What is announced.
        count: usize,
        /// What may be.
        limit: usize,
    },
    /// A field that is none.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A text that is not a file's name.
    #[error(
        "a file's name has 1 to {FILE_NAME_MAX} bytes of UTF-8, no slash, backslash, colon or control character, and is not . or .."
    )]
    FileName,
}
