//! What all connections share: the store, the limits, the counters, and who is just pulling.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use messageu_wire::dialect::Profile;
use messageu_wire::fields::ClientId;
use tokio::sync::{OwnedMutexGuard, Semaphore};

use crate::limits::{CHUNKS_IN_FLIGHT, Limits, MOST_FREE_DISK};
use crate::metrics::Metrics;
use crate::store::{Client, Store, StoreError};

/// What all connections share.
pub struct Relay {
    /// Clients and waiting messages.
    pub store: Arc<dyn Store>,
    /// What peers are granted.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
    pub(crate) chunks_in_flight: Semaphore,
    pulls: Mutex<HashMap<ClientId, Arc<tokio::sync::Mutex<()>>>>,
    disk: Option<PathBuf>,
    disk_had_room: AtomicBool,
}

impl Relay {
    /// A relay over a store; `disk` is the directory whose disk must not fill up, if the store has one.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, limits: Limits, disk: Option<PathBuf>) -> Self {
        Self {
            store,
            limits,
            metrics: Metrics::default(),
            chunks_in_flight: Semaphore::new(CHUNKS_IN_FLIGHT),
            pulls: Mutex::default(),
            disk,
            disk_had_room: AtomicBool::new(true),
        }
    }

    /// The client that an id on the wire names, in a profile.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn resolve(&self, id: ClientId, profile: &Profile) -> Result<Option<Client>, StoreError> {
        if id == ClientId::NOBODY {
            return Ok(None);
        }
        let found = self.store.client(id).await?;
        match id.printable_prefix().filter(|_| found.is_none() && profile.printable_ids) {
            Some(prefix) => self.store.client_by_prefix(prefix).await,
            None => Ok(found),
        }
    }

    /// Notes that a client was here.
    pub fn touch(&self, id: ClientId) {
        self.store.touch(id, SystemTime::now());
    }

    /// Waits until no other pull of this client awaits its verdict, at most twice the grace period, within which a
    /// silent one has its verdict and the store has deleted. When it does not come to that, both go on: a message may
    /// be delivered twice, but none is lost, and nobody who takes mail slowly keeps its owner from it.
    pub(crate) async fn begin_pull(self: &Arc<Self>, client: ClientId) -> PullTurn {
        let gate = Arc::clone(self.gates().entry(client).or_default());
        let guard = tokio::time::timeout(2 * self.limits.pull_grace, gate.lock_owned()).await.ok();
        PullTurn { relay: Arc::clone(self), client, guard }
    }

    fn gates(&self) -> std::sync::MutexGuard<'_, HashMap<ClientId, Arc<tokio::sync::Mutex<()>>>> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk has room for so many bytes more than what is there.
    ///
    /// A disk that cannot be asked counts as having room: the store will say if it has not.
    #[must_use]
    pub fn disk_has_room(&self, bytes: u64) -> bool {
        let Some(disk) = self.disk.as_ref().and_then(|disk| rustix::fs::statvfs(disk).ok()) else {
            return true;
        };
        let percent = disk.f_blocks.saturating_mul(disk.f_frsize) / 100;
        let reserve = percent.saturating_mul(self.limits.free_disk_percent.into()).min(MOST_FREE_DISK);
        let free = disk.f_bavail.saturating_mul(disk.f_frsize).saturating_add(self.store.reusable_bytes());
        let has_room = free >= reserve.saturating_add(bytes);
        if self.disk_had_room.swap(has_room, Ordering::Relaxed) && !has_room {
            tracing::error!(
                percent = self.limits.free_disk_percent,
                "the disk is almost full: messages are refused until there is room (--min-free-disk)"
            );
        }
        has_room
    }
}

/// The right to pull, until it is dropped.
pub(crate) struct PullTurn {
    relay: Arc<Relay>,
    client: ClientId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for PullTurn {
    fn drop(&mut self) {
        self.guard = None;
        let mut gates = self.relay.gates();
        // Nobody else holds or awaits the gate when the map has the only reference.
        if gates.get(&self.client).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.client);
        }
    }
}
