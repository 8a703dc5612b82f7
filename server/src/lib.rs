//! The MessageU server: it takes messages, keeps them until they have arrived, and cannot read them.
#![forbid(unsafe_code)]

pub mod import;
pub mod store;
