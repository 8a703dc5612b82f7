//! What can go wrong. What comes of a secret says nothing about why; what comes of a file or a key's form says all.

use messageu_wire::envelope::bundle::MIN_DIALECT;
use messageu_wire::envelope::field::{Epoch, UnixSeconds};
use messageu_wire::error::{FieldError, WireError};
use messageu_wire::fields::ClientId;
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

/// An RSA key that is not one of version 3's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeyError {
    /// A peer's public key is not usable.
    #[error("a public key of version 3 is 422 bytes of X.509 DER: RSA-3072 with the exponent 65537")]
    Public,
    /// A private key is not usable.
    #[error("a private key of version 3 is PKCS#8 DER of RSA-3072 with the exponent 65537")]
    Private,
    /// A peer's X25519 key agrees with everybody on the same.
    #[error("an X25519 key that agrees on nothing, for it is of low order")]
    LowOrder,
    /// The RSA library refused to generate a key; never seen.
    #[error("no RSA key could be generated")]
    Generation,
    /// The RSA library refused to sign; never seen.
    #[error("nothing could be signed")]
    Signing,
}

/// A signature that is not the identity's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("this signature is of another key, or of something else")]
pub struct SignatureError;

/// A key bundle that is not to be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BundleError {
    /// It is no bundle of suite 1.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// One of its keys is not usable.
    #[error("the {what}: {error}")]
    Key {
        /// Which key.
        what: &'static str,
        /// What it should be.
        #[source]
        error: KeyError,
    },
    /// It is somebody else's.
    #[error("the bundle is of {found}, not of {expected}")]
    Owner {
        /// Whose it is.
        found: ClientId,
        /// Whose it should be.
        expected: ClientId,
    },
    /// The identity is not the pinned one.
    #[error("the identity is not the one that is pinned")]
    Identity,
    /// The identity did not sign it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A later one was seen.
    #[error("the bundle has the epoch {found}, but {seen} was seen")]
    Epoch {
        /// The bundle's epoch.
        found: Epoch,
        /// The highest that was seen.
        seen: Epoch,
    },
    /// It is too old.
    #[error("the bundle expired at {expired}; it is {now}")]
    Expired {
        /// When, in seconds since 1970.
        expired: UnixSeconds,
        /// The time now.
        now: UnixSeconds,
    },
    /// It asks for a dialect that is not spoken here, or that may not be asked for.
    #[error("the bundle asks for dialect {found} at least, but it has to be {}", MIN_DIALECT.0)]
    MinDialect {
        /// What it asks for.
        found: u8,
    },
}

/// An OFFER that is not to be answered.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum OfferError {
    /// It is no OFFER.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// One of its keys is not usable.
    #[error("the {what}: {error}")]
    Key {
        /// Which key.
        what: &'static str,
        /// What it should be.
        #[source]
        error: KeyError,
    },
    /// Its sender's id does not follow from the identity key.
    #[error("the offer says it is from {claimed}, but its key is that of {found}")]
    Sender {
        /// Who it says sent it.
        claimed: ClientId,
        /// Whose key is in it.
        found: ClientId,
    },
    /// It is to somebody else.
    #[error("the offer is to {found}")]
    Recipient {
        /// Whom it is to.
        found: ClientId,
    },
    /// Its sender did not sign it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is too old.
    #[error("the offer was made at {issued}, more than 30 days ago")]
    Expired {
        /// When, in seconds since 1970.
        issued: UnixSeconds,
    },
    /// It is of a time to come.
    #[error("the offer was made at {issued}, more than a day from now; is the clock right?")]
    Early {
        /// When, in seconds since 1970.
        issued: UnixSeconds,
    },
}

/// Something that cannot be sealed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SealError {
    /// What is to be sealed has no layout.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A peer's agreement key is of low order.
    #[error("the peer's key is one that agrees on nothing")]
    Agreement,
    /// It would be sealed to ourselves.
    #[error("a session is between two different users")]
    Oneself,
    /// An offer and a bundle are not of the same user.
    #[error("the offer is of another user than the bundle")]
    OtherUser,
    /// A one-time prekey has the id of an offer's key: the server made it up.
    #[error("the server gave a one-time key with the number of something else")]
    OneTimeId,
    /// A key answer that is not made of an offer.
    #[error("a key answer is made of an offer, and of nothing else")]
    KeyAnswer,
    /// The session's numbers are used up.
    #[error("the session has no numbers left: begin another")]
    Exhausted,
}

/// A text that is not what our QR codes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum QrError {
    /// It has another form.
    #[error("a code is mu3:, 32 hexadecimal digits, a colon, and 64 hexadecimal digits")]
    Form,
    /// The client id in it does not follow from the fingerprint.
    #[error("the code's client id is not that of its fingerprint")]
    Mismatch,
}

/// Stored bytes that are not a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("these bytes are not a session's state as it was stored, from byte {at} on")]
pub struct StateError {
    /// Where it stops to be one.
    pub at: usize,
}

/// A sealed key file that is not to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AtRestError {
    /// It is another kind of file, or cut short.
    #[error(
        "this is no sealed key file: it begins with MU3-KEYS, and has {} bytes at least",
        crate::at_rest::KEY_FILE_OVERHEAD
    )]
    Form,
    /// It asks for more than is given here.
    #[error("the {what} is {found}, which is not in 1 to {limit}")]
    Cost {
        /// Of what.
        what: &'static str,
        /// How much.
        found: u32,
        /// The most that is given.
        limit: u32,
    },
    /// Its lanes need more memory than it asks for.
    #[error("the memory is {found} KiB, and its lanes need {least} at least")]
    Memory {
        /// How much, in KiB.
        found: u32,
        /// The least that the lanes need, in KiB.
        least: u32,
    },
    /// It would be larger than any that is opened.
    #[error(
        "{size} bytes are too many for a key file, which holds {} at most",
        crate::at_rest::KEY_FILE_CONTENT_MAX
    )]
    Content {
        /// Bytes of the content.
        size: usize,
    },
    /// It does not open.
    #[error("the passphrase is another one, or the file is damaged")]
    Open,
}
