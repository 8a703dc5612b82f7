//! Version 3: the server proves itself, and we prove ourselves to it. No terminal here.

mod authentication;
mod connection;
mod server;
mod tls;

pub use connection::{Connection, Patience};
pub use server::{CallError, Server};
