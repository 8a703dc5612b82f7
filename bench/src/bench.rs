//! What every scenario needs: where servers come from, and where their data goes.

use anyhow::Result;

use crate::place::Place;
use crate::server::{Origin, Server, Store};

/// What every scenario needs.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Where servers come from.
    pub origin: Origin,
    /// Where data goes.
    pub place: Place,
}

impl Bench {
    /// A server for one measurement.
    ///
    /// # Errors
    /// When it does not start.
    pub fn server(&self, store: Store) -> Result<Server> {
        Server::start(&self.origin, &self.place, store, &[])
    }
}
