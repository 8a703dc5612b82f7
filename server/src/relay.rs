//! What all connections share: the store, the limits, the counters, and who is just pulling.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use messageu_wire::dialect::{Profile, RecognisedBy};
use messageu_wire::fields::ClientId;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::Instant;

use crate::limits::{CHUNKS_IN_FLIGHT, Limits, MOST_FREE_DISK};
use crate::metrics::Metrics;
use crate::modern::Modern;
use crate::store::{Client, Store, StoreError};

/// What all connections share.
pub struct Relay {
    /// Clients and waiting messages.
    pub store: Arc<dyn Store>,
    /// What is counted.
    pub metrics: Metrics,
    /// Version 3, if it is served.
    pub modern: Option<Arc<Modern>>,
    pub(crate) chunks_in_flight: Arc<Semaphore>,
    limits: ArcSwap<Limits>,
    pulls: Mutex<HashMap<ClientId, Gate>>,
    disk: Option<PathBuf>,
    disk_had_room: AtomicBool,
    deletions: AtomicU64,
}

impl Relay {
    /// A relay over a store; `disk` is the directory whose disk must not fill up, if the store has one.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, limits: Limits, disk: Option<PathBuf>) -> Self {
        Self {
            store,
            metrics: Metrics::default(),
            modern: None,
            chunks_in_flight: Arc::new(Semaphore::new(CHUNKS_IN_FLIGHT)),
            limits: ArcSwap::from_pointee(limits),
            pulls: Mutex::default(),
            disk,
            disk_had_room: AtomicBool::new(true),
            deletions: AtomicU64::new(0),
        }
    }

    /// What peers are granted, as it is now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        **self.limits.load()
    }

    /// Grants something else from now on, to those who are connected too.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// The client that an id on the wire names. An id that nobody has, but that is 16 hexadecimal digits, may be the
    /// printable form of one, as some programs know it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn resolve(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        if id == ClientId::NOBODY {
            return Ok(None);
        }
        let found = self.store.client(id).await?;
        match id.printable_prefix().filter(|_| found.is_none()) {
            Some(prefix) => self.store.client_by_prefix(prefix).await,
            None => Ok(found),
        }
    }

    /// Takes up, for a client whose profile is not known or looked plain, what one of its requests has shown. Where
    /// nothing was known, as of an imported client, it is remembered for good.
    pub(crate) async fn learn_profile(&self, client: &mut Arc<Client>, shown: &'static Profile) {
        let known = Profile::named(&client.profile);
        let plain = known.is_none_or(|known| known.recognised_by == RecognisedBy::Default);
        // Whose account may be deleted is decided at registration alone.
        let tells = shown.recognised_by == RecognisedBy::Bytes && !shown.closes && !shown.deletable;
        if !plain || !tells {
            return;
        }
        shown.name.clone_into(&mut Arc::make_mut(client).profile);
        if known.is_none()
            && let Err(error) = self.store.remember_profile(client.id, shown.name).await
        {
            tracing::error!(client = %client.id, %error, "a profile could not be remembered");
        }
    }

    /// Removes a client with all that waits for it.
    pub(crate) async fn delete_client(&self, id: ClientId) -> Result<(), StoreError> {
        let deleted = self.store.delete_client(id).await;
        self.deletions.fetch_add(1, Ordering::Release);
        deleted
    }

    /// How many clients have been deleted: when it rises, what was looked up before may be wrong.
    pub(crate) fn deletions(&self) -> u64 {
        self.deletions.load(Ordering::Acquire)
    }

    /// Notes that a client was here.
    pub fn touch(&self, id: ClientId) {
        self.store.touch(id, SystemTime::now());
    }

    /// Waits until no other pull of this client awaits its verdict.
    ///
    /// At most until that one has had twice the grace period since it began, within which a silent one has its verdict
    /// and the store has deleted. Then it loses its turn, and both go on: a message may be delivered twice, but none is
    /// lost, and nobody who takes mail slowly keeps its owner from it.
    pub(crate) async fn begin_pull(self: &Arc<Self>, client: ClientId) -> PullTurn {
        let Gate { lock, since } = self.gates().entry(client).or_insert_with(Gate::new).clone();
        let until = since + 2 * self.limits().pull_grace;
        let entered = match Arc::clone(&lock).try_lock_owned() {
            Ok(guard) => Ok(guard),
            Err(_) => tokio::time::timeout_at(until, Arc::clone(&lock).lock_owned()).await,
        };
        let mut gates = self.gates();
        let gate = gates.entry(client).or_insert_with(Gate::new);
        let gate = match entered {
            Ok(guard) => {
                if Arc::ptr_eq(&gate.lock, &lock) {
                    gate.since = Instant::now();
                }
                Some((lock, guard))
            }
            // The first to lose patience takes the turn away; those with it do without.
            Err(_) => {
                if Arc::ptr_eq(&gate.lock, &lock) {
                    *gate = Gate::new();
                }
                let lock = Arc::clone(&gate.lock);
                Arc::clone(&lock).try_lock_owned().ok().map(|guard| (lock, guard))
            }
        };
        PullTurn { relay: Arc::clone(self), client, gate }
    }

    fn gates(&self) -> std::sync::MutexGuard<'_, HashMap<ClientId, Gate>> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk has room for so many bytes more than what is there.
    ///
    /// A disk that cannot be asked counts as having room: the store will say if it has not.
    #[must_use]
    pub fn disk_has_room(&self, bytes: u64) -> bool {
        let Some(Disk { free, reserve, .. }) = self.disk() else { return true };
        let free = free.saturating_add(self.store.reusable_bytes());
        let has_room = free >= reserve.saturating_add(bytes);
        if self.disk_had_room.swap(has_room, Ordering::Relaxed) && !has_room {
            tracing::error!(
                percent = self.limits().free_disk_percent,
                "the disk is almost full: messages are refused until there is room (--min-free-disk)"
            );
        }
        has_room
    }

    /// The disk that the store is on, if it is on one that can be asked.
    pub(crate) fn disk(&self) -> Option<Disk> {
        let disk = rustix::fs::statvfs(self.disk.as_ref()?).ok()?;
        // One that claims to have no blocks at all does not count them.
        let size = Some(disk.f_blocks.saturating_mul(disk.f_frsize)).filter(|size| *size > 0)?;
        let reserve = (size / 100).saturating_mul(self.limits().free_disk_percent.into()).min(MOST_FREE_DISK);
        Some(Disk { size, free: disk.f_bavail.saturating_mul(disk.f_frsize), reserve })
    }
}

/// Bytes of the disk that the store is on.
pub(crate) struct Disk {
    /// All there are.
    pub(crate) size: u64,
    /// Those that nobody uses.
    pub(crate) free: u64,
    /// Those that have to stay free.
    pub(crate) reserve: u64,
}

/// Lets one pull of a client in at a time.
#[derive(Clone)]
struct Gate {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// When the last one was let in.
    since: Instant,
}

impl Gate {
    fn new() -> Self {
        Self { lock: Arc::default(), since: Instant::now() }
    }
}

/// The right to pull, until it is dropped, or taken away after its time.
pub(crate) struct PullTurn {
    relay: Arc<Relay>,
    client: ClientId,
    gate: Option<(Arc<tokio::sync::Mutex<()>>, OwnedMutexGuard<()>)>,
}

impl Drop for PullTurn {
    fn drop(&mut self) {
        let Some((lock, guard)) = self.gate.take() else { return };
        let mut gates = self.relay.gates();
        // Besides the map's reference there are this one and the guard's: nobody is waiting.
        let ours = gates.get(&self.client).is_some_and(|gate| Arc::ptr_eq(&gate.lock, &lock));
        if ours && Arc::strong_count(&lock) == 3 {
            gates.remove(&self.client);
        }
        drop(guard);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test should stop")]

    use std::time::UNIX_EPOCH;

    use messageu_wire::fields::{Name, PublicKey};

    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_client_of_unknown_profile_is_remembered_by_the_first_that_bytes_show() {
        let store = Arc::new(MemoryStore::new());
        let relay = Relay::new(store.clone(), Limits::default(), None);
        let id = ClientId([1; 16]);
        // As an import leaves it.
        let (name, public_key) = (Name::new("alice").unwrap(), PublicKey([1; 160]));
        let client = Client { id, name, public_key, profile: String::new() };
        store.register(client.clone(), UNIX_EPOCH).await.unwrap();
        let mut known = Arc::new(client);
        for (shown, remembered) in [
            // What is not seen in bytes, or decides who closes and who may be deleted, says nothing.
            ("classic", ""),
            ("uid-echo", ""),
            ("read-to-end", ""),
            ("big-endian", ""),
            ("padded-1024", "padded-1024"),
            ("aligned", "padded-1024"),
        ] {
            relay.learn_profile(&mut known, Profile::named(shown).unwrap()).await;
            assert_eq!(store.client(id).await.unwrap().unwrap().profile, remembered, "{shown}");
        }
    }
}
