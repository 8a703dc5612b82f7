//! A server as it is, in this process, over a store that a test can make malicious.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use messageu_client::Address;
use messageu_server::admin::Admin;
use messageu_server::limits::Limits;
use messageu_server::modern::Modern;
use messageu_server::modern::registration::Registration;
use messageu_server::store::Store;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::modern::ModernStore;
use messageu_server::tls::{Certificate, CertificateSource, Tls};
use messageu_server::{ListenAddress, Listener, Relay, Serves};
use messageu_wire::dialect::Pin;
use tokio_util::sync::CancellationToken;

use super::malicious::Malicious;

/// A server that ends when this does.
pub(crate) struct World {
    pub(crate) place: SocketAddr,
    /// What whoever runs the server may look at.
    pub(crate) admin: SocketAddr,
    /// Where it is, with its pin.
    pub(crate) address: Address,
    pub(crate) store: Arc<Malicious>,
    /// How many seconds it is later than it is.
    later: Arc<AtomicU64>,
    shutdown: CancellationToken,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default(), Registration::Open).await
    }

    pub(crate) async fn with(limits: Limits, registration: Registration) -> Self {
        Self::over(MemoryStore::new(), limits, registration).await
    }

    pub(crate) async fn over<S: Store + ModernStore>(
        store: S,
        limits: Limits,
        registration: Registration,
    ) -> Self {
        let (store, later) = (Arc::new(store), Arc::<AtomicU64>::default());
        let malicious = Arc::new(Malicious::new(store.clone(), Arc::clone(&later)));
        let tls = Tls::new(Certificate::load(&CertificateSource::Memory).unwrap());
        let pin = tls.pin();
        let mut relay = Relay::new(store, limits, None);
        relay.modern = Some(Arc::new(Modern::new(tls, malicious.clone(), registration)));
        let relay = Arc::new(relay);
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let listen = ListenAddress { address: anywhere, serves: Serves::All, pin: Pin::default() };
        let listener = Listener::bind(listen).unwrap();
        let place = listener.local_address().unwrap();
        let admin = Admin::bind(anywhere).await.unwrap();
        let admin_place = admin.local_address().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(admin.serve(Arc::clone(&relay), 1, shutdown.clone()));
        tokio::spawn(messageu_server::run(vec![listener], relay, shutdown.clone()));
        let address = format!("{place}#sha256={pin}").parse().unwrap();
        Self { place, admin: admin_place, address, store: malicious, later, shutdown }
    }

    /// The server's address as a client has it who goes another way to it.
    pub(crate) fn address_by(&self, way: SocketAddr) -> Address {
        let pin = self.address.pin().unwrap();
        format!("{way}#sha256={pin}").parse().unwrap()
    }

    /// Lets time go by, for the store and for those who have joined.
    pub(crate) fn pass(&self, seconds: u64) {
        self.later.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> messageu_client::modern::Clock {
        let later = Arc::clone(&self.later);
        Arc::new(move || super::malicious::time(&later))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
