//! The project's own server, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use messageu_server::limits::Limits;
use messageu_server::store::memory::MemoryStore;
use messageu_server::{Listener, Relay};
use messageu_wire::dialect::{Dialect, Profile, RecognisedBy};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A server with its store in memory; it ends when this does.
pub(crate) struct Server {
    /// Where it serves all dialects that bytes tell apart.
    pub(crate) address: SocketAddr,
    /// Where it serves each of the others.
    pub(crate) pinned: Vec<(Dialect, SocketAddr)>,
    shutdown: CancellationToken,
    _runtime: Runtime,
}

impl Server {
    pub(crate) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let shutdown = CancellationToken::new();
        let pins = Profile::ALL.iter().filter(|profile| profile.recognised_by == RecognisedBy::Pin);
        let pinned: Vec<Dialect> = pins.map(|profile| profile.name.parse().unwrap()).collect();
        let places = std::iter::once("127.0.0.1:0,only=classic".to_owned())
            .chain(pinned.iter().map(|dialect| format!("127.0.0.1:0,profile={}", dialect.profile)));
        let guard = runtime.enter();
        let listeners: Vec<Listener> =
            places.map(|place| Listener::bind(place.parse().unwrap()).unwrap()).collect();
        drop(guard);
        let mut addresses = listeners.iter().map(|listener| listener.local_address().unwrap());
        let address = addresses.next().unwrap();
        let pinned = pinned.into_iter().zip(addresses).collect();
        let relay = Arc::new(Relay::new(Arc::new(MemoryStore::new()), Limits::default(), None));
        runtime.spawn(messageu_server::run(listeners, relay, shutdown.clone()));
        Self { address, pinned, shutdown, _runtime: runtime }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
