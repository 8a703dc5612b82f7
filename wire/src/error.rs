//! What can be wrong with bytes and fields. Each error says what, where, and which limit.

use thiserror::Error;

use crate::fields::{NAME_FIELD_SIZE, NAME_MAX};

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
    /// A name field without a NUL.
    #[error("a name ends with a NUL within {NAME_FIELD_SIZE} bytes, this one does not")]
    NameUnterminated,
}
