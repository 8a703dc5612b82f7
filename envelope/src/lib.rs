//! MessageU's end-to-end cryptography: seal and open, and the formats of the key files.
//!
//! One file a suite. [`legacy`] is the suite of the classic dialects; whatever is weak carries `Legacy` or `legacy`
//! in its name. No I/O and no clock: bytes, time and randomness are arguments.
#![forbid(unsafe_code)]

pub mod error;
pub mod identity_file;
pub mod legacy;
