//! Clients that were looked up lately, kept beside the database: every request asks for one or two of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use messageu_wire::fields::ClientId;

use crate::store::Client;

/// Clients that are kept, some 400 bytes each; with more, all are forgotten and looked up again as they are needed.
const KEPT_MAX: usize = 16_384;

/// What is known of clients without asking the database. Whoever changes a client in the database tells of it behind the
/// commit.
#[derive(Default)]
pub(super) struct Directory(Mutex<State>);

#[derive(Default)]
struct State {
    clients: HashMap<ClientId, Client>,
    /// How many changes there have been: what was read before one may be wrong.
    changes: u64,
}

/// The moment before a look into the database.
#[derive(Clone, Copy)]
pub(super) struct Before(u64);

impl Directory {
    /// The client, if it is kept; otherwise what [`keep`](Self::keep) wants to know.
    pub(super) fn look_up(&self, id: ClientId) -> Result<Client, Before> {
        let state = self.state();
        state.clients.get(&id).cloned().ok_or(Before(state.changes))
    }

    /// Keeps a client that was read from the database, unless one was changed meanwhile.
    pub(super) fn keep(&self, client: &Client, before: Before) {
        let mut state = self.state();
        if state.changes == before.0 {
            if state.clients.len() >= KEPT_MAX {
                state.clients.clear();
            }
            state.clients.insert(client.id, client.clone());
        }
    }

    /// Forgets a client that was changed or deleted.
    pub(super) fn forget(&self, id: ClientId) {
        let mut state = self.state();
        state.changes += 1;
        state.clients.remove(&id);
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.changes += 1;
        state.clients.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
