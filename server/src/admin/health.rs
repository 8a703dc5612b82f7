//! Whether the server can do what it is there for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::Relay;

/// How long an answer of the store is good for: whoever asks more often costs the disk nothing more.
const FRESH: Duration = Duration::from_secs(1);

/// How long the store may take to commit. Longer than SQLite waits for a lock.
const PATIENCE: Duration = Duration::from_secs(8);

/// Looks after what must hold for the server to be ready.
pub(super) struct Health {
    relay: Arc<Relay>,
    listeners: u64,
    shutdown: CancellationToken,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Health {
    pub(super) fn new(relay: Arc<Relay>, listeners: usize, shutdown: CancellationToken) -> Self {
        let listeners = u64::try_from(listeners).unwrap_or(u64::MAX);
        Self { relay, listeners, shutdown, last: Mutex::default() }
    }

    /// Whether messages can be taken and handed out now, or what is in the way.
    pub(super) async fn readiness(&self) -> Result<(), String> {
        if self.shutdown.is_cancelled() {
            return Err("the server is stopping".to_owned());
        }
        let listening = self.relay.metrics.listening.load(Ordering::Relaxed);
        if listening < self.listeners {
            return Err(format!("{listening} of {} listeners accept connections", self.listeners));
        }
        if !self.relay.disk_has_room(0) {
            return Err("the disk is almost full (--min-free-disk)".to_owned());
        }
        self.store_commits().await
    }

    /// Asks the store, one at a time.
    async fn store_commits(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some((asked, outcome)) = &*last
            && asked.elapsed() < FRESH
        {
            return outcome.clone();
        }
        let outcome = match timeout(PATIENCE, self.relay.store.probe()).await {
            Ok(probed) => probed.map_err(|error| error.to_string()),
            Err(_) => Err("the store does not answer".to_owned()),
        };
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }
}
