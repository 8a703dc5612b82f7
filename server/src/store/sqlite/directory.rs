//! Clients that were looked up lately, kept beside the database: every request asks for one or two of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use messageu_wire::fields::ClientId;

/// Clients that are kept, some 400 bytes each; with more, all are forgotten and looked up again as they are needed.
const KEPT_MAX: usize = 16_384;

/// What is known of clients without asking the database. Whoever changes a client in the database tells of it behind the
/// commit.
pub(super) struct Directory<C>(Mutex<State<C>>);

struct State<C> {
    clients: HashMap<ClientId, C>,
    /// How many changes there have been: what was read before one may be wrong.
    changes: u64,
}

/// The moment before a look into the database.
#[derive(Clone, Copy)]
pub(super) struct Before(u64);

impl<C> Default for Directory<C> {
    fn default() -> Self {
        Self(Mutex::new(State { clients: HashMap::new(), changes: 0 }))
    }
}

impl<C: Clone> Directory<C> {
    /// The client, if it is kept; otherwise what [`keep`](Self::keep) wants to know.
    pub(super) fn look_up(&self, id: ClientId) -> Result<C, Before> {
        let state = self.state();
        state.clients.get(&id).cloned().ok_or(Before(state.changes))
    }

    /// Keeps a client that was read from the database, unless one was changed meanwhile.
    pub(super) fn keep(&self, id: ClientId, client: &C, before: Before) {
        let mut state = self.state();
        if state.changes == before.0 {
            if state.clients.len() >= KEPT_MAX {
                state.clients.clear();
            }
            state.clients.insert(id, client.clone());
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

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
