//! Version 3: an account whose promises are kept by cryptography, on disk and on the wire. No terminal here.
//!
//! [`Account`] is a user with all that is theirs on disk, in transactions; whatever needs the server takes a [`Server`], on
//! a connection that is authenticated as the account. Each method may be cut off at any point, and made again.

mod account;
mod arrival;
mod authentication;
mod connection;
mod contacts;
mod export;
mod files;
mod inbox;
mod outbox;
mod receipts;
pub mod self_test;
mod server;
mod sessions;
mod state;
mod succession;
mod tls;
mod waiting;

#[cfg(test)]
mod tests;

pub use account::{Account, Clock, NewKeys, Registrant, Settings};
pub use arrival::{Arrival, Event, Message};
pub use connection::{Connection, Patience};
pub use contacts::{Contact, Designation, Status};
pub use files::Unfetched;
pub use inbox::Cursor;
pub use outbox::{Flushed, Queued, Why};
pub use server::{CallError, Server};
pub use state::Passphrase;
pub use state::records::{Delivery, Trust};
pub use waiting::WaitingFile;
