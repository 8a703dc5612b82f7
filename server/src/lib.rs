//! The MessageU server: it takes messages, keeps them until they have arrived, and cannot read them.
#![forbid(unsafe_code)]

pub mod admin;
mod connection;
mod delivery;
mod handler;
pub mod import;
mod in_flight;
mod in_order;
pub mod limits;
mod listener;
pub mod metrics;
pub mod modern;
mod reception;
mod relay;
mod retention;
mod secret_file;
pub mod store;
pub mod tls;
mod transport;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use connection::serve;
pub use listener::{ListenAddress, ListenAddressError, Listener, Serves};
pub use relay::Relay;
pub use transport::Transport;

/// Serves these listeners until `shutdown`, then lets what is in flight finish, and closes the store.
///
/// What is in flight has the limits' time for shutting down; then the store is closed whatever is left.
pub async fn run(listeners: Vec<Listener>, relay: Arc<Relay>, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let seats = listener::Seats::new(Arc::clone(&relay));
    for listener in listeners {
        let accepting =
            listener.accept(Arc::clone(&relay), Arc::clone(&seats), shutdown.clone(), connections.clone());
        connections.spawn(accepting);
    }
    connections.spawn(retention::run(Arc::clone(&relay), shutdown.clone()));
    shutdown.cancelled().await;
    connections.close();
    if tokio::time::timeout(relay.limits().shutdown, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "stopping without waiting any longer for what is in flight"
        );
    }
    relay.store.close().await;
    relay.metrics.log();
}
