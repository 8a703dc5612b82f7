//! A server over a simulated network and store, and what can happen to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use messageu_server::limits::Limits;
use messageu_server::{Relay, serve};
use messageu_wire::dialect::Pin;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::network::{self, SimStream, Weather};
use super::storage::Storage;
use super::support::ledger::Ledger;

/// The limits that the server runs under: the usual ones, but that a silent session ends within minutes.
pub(crate) fn limits() -> Limits {
    Limits { session_idle: Duration::from_secs(300), shutdown: Duration::from_secs(10), ..Limits::default() }
}

/// Longest time for anything that must end: an answer, a connection that nobody uses. It is more than all partitions of
/// a link together with the limits above.
pub(crate) const BOUND: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) storage: Arc<Storage>,
    pub(crate) ledger: Mutex<Ledger>,
    process: Mutex<Process>,
    began: Instant,
    connections: AtomicU64,
    pulls: AtomicU64,
    /// What happened when, for comparing one run of a seed with another.
    events: Mutex<Vec<(u128, String)>>,
}

/// The server's process: all that a crash takes along.
struct Process {
    life: u32,
    running: Option<Running>,
}

struct Running {
    relay: Arc<Relay>,
    shutdown: CancellationToken,
    connections: JoinSet<()>,
}

/// A client's end of a connection.
pub(crate) struct Connection {
    pub(crate) stream: SimStream,
    pub(crate) number: u64,
    pub(crate) life: u32,
}

impl World {
    pub(crate) fn new(storage: Storage) -> Self {
        Self {
            storage: Arc::new(storage),
            ledger: Mutex::default(),
            process: Mutex::new(Process { life: 0, running: None }),
            began: Instant::now(),
            connections: AtomicU64::new(0),
            pulls: AtomicU64::new(0),
            events: Mutex::default(),
        }
    }

    pub(crate) fn start(&self) {
        let mut process = self.process();
        process.life += 1;
        process.running = Some(Running {
            relay: Arc::new(Relay::new(self.storage.clone(), limits(), None)),
            shutdown: CancellationToken::new(),
            connections: JoinSet::new(),
        });
        drop(process);
        self.note("the server starts".into());
    }

    /// The process is gone, in the midst of whatever it was doing.
    pub(crate) async fn kill(&self) {
        self.note("the server is killed".into());
        let running = self.process().running.take();
        if let Some(mut running) = running {
            running.connections.shutdown().await;
        }
    }

    /// The server stops as it does on a signal.
    pub(crate) async fn stop(&self) {
        self.note("the server is told to stop".into());
        let running = self.process().running.take();
        if let Some(Running { relay, shutdown, mut connections }) = running {
            shutdown.cancel();
            let _ =
                timeout(relay.limits().shutdown, async { while connections.join_next().await.is_some() {} })
                    .await;
            connections.shutdown().await;
        }
    }

    /// Waits until the server has ended each connection by itself.
    pub(crate) async fn outlast_connections(&self) {
        let running = self.process().running.take();
        if let Some(mut running) = running {
            let all = async {
                while let Some(ended) = running.connections.join_next().await {
                    ended.unwrap();
                }
            };
            let ended = timeout(BOUND, all).await;
            assert!(ended.is_ok(), "connections that nobody uses do not end");
        }
    }

    /// A connection to the server, if it is there.
    pub(crate) async fn connect(&self, weather: Weather, dice: &mut StdRng) -> Option<Connection> {
        sleep(Duration::from_millis(dice.random_range(0..=weather.slowness))).await;
        let mut process = self.process();
        let life = process.life;
        let running = process.running.as_mut()?;
        let (ours, theirs) = network::connect(weather, dice);
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let (relay, shutdown) = (Arc::clone(&running.relay), running.shutdown.clone());
        let peer = ([127, 0, 0, 1], 1).into();
        running.connections.spawn(serve(theirs, peer, Pin::default(), relay, shutdown));
        Some(Connection { stream: ours, number, life })
    }

    pub(crate) fn next_pull(&self) -> u64 {
        self.pulls.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub(crate) fn note(&self, event: String) {
        self.events.lock().unwrap().push((self.began.elapsed().as_millis(), event));
    }

    pub(crate) fn events(&self) -> Vec<(u128, String)> {
        self.events.lock().unwrap().clone()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap()
    }
}
