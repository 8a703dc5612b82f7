//! What can go wrong. What comes of a secret says nothing about why; what comes of a file or a key's form says all.

use messageu_wire::error::FieldError;
use thiserror::Error;

/// A wrapped key or sealed content that does not open: a wrong key, or bytes that are not what the sender sealed.
///
/// Nothing tells the causes apart: whoever can send us ciphertexts could learn the plaintext from the difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("this does not open: the key is another one, or the content is damaged")]
pub struct OpenError;

/// An RSA key that is not one of the classic dialects'.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum LegacyKeyError {
    /// A peer's public key is not usable.
    #[error(
        "a classic public key is 160 bytes of X.509 DER: RSA-1024 with an odd exponent from 3 to 127 (mostly 17)"
    )]
    Public,
    /// A private key is not usable.
    #[error("a classic private key is PKCS#8 DER of RSA-1024 with an odd exponent from 3 to 127 (mostly 17)")]
    Private,
    /// The RSA library refused to generate a key; never seen.
    #[error("no RSA key could be generated")]
    Generation,
}

/// An identity file that cannot be read. Never quotes the file, which holds a private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FileError {
    /// The file is too large to be an identity file.
    #[error("an identity file has at most {limit} bytes, this one has {size}")]
    Size {
        /// Bytes of the file.
        size: usize,
        /// Most bytes that are read.
        limit: usize,
    },
    /// Line 1 is not a user's name.
    #[error("line 1: expected the user's name: {0}")]
    Name(#[source] FieldError),
    /// A line is missing, or is something else.
    #[error("line {line}: expected {expected}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// The key's text was read, but is no key of ours.
    #[error("line {line} and on: {error}")]
    Key {
        /// The number of the key's first line, from 1.
        line: usize,
        /// What the key should be.
        #[source]
        error: LegacyKeyError,
    },
}
