//! The MessageU wire: bytes to values and back, and nothing else.
//!
//! No I/O, clock, randomness, cryptography or async: what is here is pure and builds for any target.
#![forbid(unsafe_code)]

pub mod error;
pub mod fields;
pub mod message;
