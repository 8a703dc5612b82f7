//! Version 3, as a server speaks it inside TLS.
//!
//! `connection.rs` reads requests and writes answers; `handler/` has what each operation does, one file an operation;
//! `identity.rs` checks whose keys and signatures are whose; `registration/` has who may register, and the codes for it.

mod connection;
mod handler;
mod identity;
mod presence;
mod reason;
pub mod registration;
mod session;

use std::sync::Arc;

use self::identity::Identity;
use self::presence::Presences;
use self::registration::Registration;
use crate::store::modern::ModernStore;
use crate::tls::Tls;

pub use self::connection::serve;

/// What all connections of version 3 share, beside what all connections share.
pub struct Modern {
    /// The server's certificate.
    pub tls: Tls,
    /// Accounts, keys, mail and files.
    pub store: Arc<dyn ModernStore>,
    registration: Registration,
    presences: Arc<Presences>,
    /// Whose signature is checked where there is nobody, so that this takes as long.
    decoy: Identity,
}

impl Modern {
    /// Serves from this store whoever knows this certificate.
    #[must_use]
    pub fn new(tls: Tls, store: Arc<dyn ModernStore>, registration: Registration) -> Self {
        Self { tls, store, registration, presences: Arc::default(), decoy: Identity::decoy() }
    }
}
