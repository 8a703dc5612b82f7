//! The MessageU wire: bytes to values and back, and nothing else.
//!
//! No I/O, clock, randomness, cryptography or async: what is here is pure and builds for any target.
//!
//! Begin with [mod@operations]: the table of all operations in all dialects.
#![forbid(unsafe_code)]

// What is derived names this crate as others do.
#[cfg(feature = "spec")]
extern crate self as messageu_wire;

pub mod dialect;
pub mod envelope;
pub mod error;
pub mod fields;
pub mod frame;
pub mod message;
pub mod modern;
pub mod operation;
pub mod operations;
pub mod response;
#[cfg(feature = "spec")]
pub mod spec;
