//! The MessageU client as a library: typed calls that never touch a terminal.
//!
//! [`Client`] makes single calls to a server; [`Session`] is a user with a profile, keys and an inbox.
#![forbid(unsafe_code)]

mod address;
mod client;
mod download;
mod error;
mod exchange;
mod inbox;
mod keyring;
mod profile;
mod session;

pub mod action;
pub mod self_test;

pub use address::Address;
pub use client::{Client, Progress, Pull, Pulled};
pub use download::Download;
pub use error::{Error, ErrorKind, Result};
pub use keyring::Contact;
pub use profile::{IDENTITY_FILES, Profile, SERVER_FILES, STATE_DIR};
pub use session::{Arrival, Content, KeyOutcome, Locked, Options, Sent, Session, Show, TEXT_LIMIT, Text};
