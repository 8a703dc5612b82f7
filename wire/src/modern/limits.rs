//! Every size that the wire of version 3 has a limit for. Limits of a server's memory, disk and patience are its own.

pub use crate::envelope::ENVELOPE_MAX;
pub use crate::envelope::file::SEALED_CHUNK_MAX;

/// Most one-time keys that are published at once.
pub const ONE_TIME_KEYS_MAX: usize = 100;

/// Most envelopes that are acknowledged at once.
pub const ACKNOWLEDGED_MAX: usize = 1000;

/// Most bytes of the payload of a pull's response.
pub const PULL_MAX: usize = 1024 * 1024;

/// Most bytes of the payload of a request whose code is unknown: such a request is read, refused and passed over.
pub const UNKNOWN_REQUEST_MAX: usize = ENVELOPE_MAX;

/// Fewest and most digits of a phone number, behind its `+`.
pub const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

/// Digits of the code that a registration is finished with.
pub const CODE_DIGITS: usize = 6;
