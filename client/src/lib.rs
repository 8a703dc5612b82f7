//! The MessageU client as a library: typed calls that never touch a terminal.
//!
//! [`Client`] makes single calls to a server; [`Session`] is a user with a profile, keys and an inbox:
//!
//! ```no_run
//! use messageu_client::{Options, Profile, Session};
//! use messageu_wire::fields::Name;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options { server: Some("127.0.0.1:1357".parse()?), ..Options::default() };
//! let mut alice = Session::register(&Profile::at("alice"), options, Name::new("alice")?).await?;
//! alice.request_key("bob", false).await?;
//! // Once bob has answered:
//! alice.receive(None, &mut |_, _| (), &mut |arrival| Ok(drop(arrival))).await?;
//! alice.send_text("bob", "hello").await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod address;
mod arrival;
mod client;
mod dialect_search;
mod disk;
mod download;
mod error;
mod exchange;
mod inbox;
mod keyring;

mod profile;
mod session;
mod upload;

pub mod action;
pub mod modern;
pub mod self_test;

pub use address::Address;
pub use arrival::{Arrival, Content, KeyOutcome, Locked, Show, Text};
pub use client::{Client, Progress, Pull, Pulled};
pub use dialect_search::UNSURE_HINT;
pub use download::Download;
pub use error::{Error, ErrorKind, Result};
pub use keyring::Contact;
pub use profile::{IDENTITY_FILES, Profile, SERVER_FILES, STATE_DIR};
pub use session::{Options, Sent, Session, TEXT_LIMIT, Waiting, WhyWaiting};
