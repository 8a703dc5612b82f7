//! MessageU's end-to-end cryptography: seal and open, and the formats of the key files.
//!
//! One file a thing. [`legacy`] is the suite of the classic dialects; whatever is weak carries `Legacy` or `legacy`
//! in its name. The rest is version 3: begin with [`init`] and [`session`]. No I/O and no clock: bytes, time and
//! randomness are arguments.
#![forbid(unsafe_code)]

pub mod aead;
pub mod at_rest;
pub mod authentication;
pub mod bundle;
pub mod dh;
pub mod error;
pub mod file;
pub mod identity;
pub mod identity_file;
pub mod init;
mod kdf;
pub mod legacy;
pub mod offer;
mod rsa_key;
pub mod safety_number;
pub mod session;
pub mod session_state;
pub mod wrapping;
