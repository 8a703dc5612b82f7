//! Who is connected: so that a pull that waits hears of new mail at once, and an account that is erased is gone everywhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use messageu_wire::fields::ClientId;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;

/// The clients of all connections that are authenticated.
#[derive(Default)]
pub(super) struct Presences(Mutex<HashMap<ClientId, Present>>);

/// A client that is connected at least once.
struct Present {
    events: Arc<Events>,
    connections: usize,
}

#[derive(Default)]
struct Events {
    mail: Notify,
    erased: CancellationToken,
}

impl Presences {
    /// A client is connected, until what this gives is dropped.
    pub(super) fn enter(self: &Arc<Self>, client: ClientId) -> Attendance {
        let mut present = self.lock();
        let entry =
            present.entry(client).or_insert_with(|| Present { events: Arc::default(), connections: 0 });
        entry.connections += 1;
        Attendance { presences: Arc::clone(self), client, events: Arc::clone(&entry.events) }
    }

    /// Mail has been stored for a client.
    pub(super) fn tell_of_mail(&self, client: ClientId) {
        if let Some(present) = self.lock().get(&client) {
            present.events.mail.notify_waiters();
        }
    }

    /// A client's account is gone. Whoever comes with the same id from now on has another account.
    pub(super) fn tell_of_erasure(&self, client: ClientId) {
        if let Some(present) = self.lock().remove(&client) {
            present.events.erased.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Present>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a client is connected.
pub(super) struct Attendance {
    presences: Arc<Presences>,
    client: ClientId,
    events: Arc<Events>,
}

impl Attendance {
    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    /// Waits for mail that is stored from now on, not from when it is first polled on.
    pub(super) fn mail(&self) -> Notified<'_> {
        self.events.mail.notified()
    }

    /// Cancelled when the account is gone.
    pub(super) fn erased(&self) -> &CancellationToken {
        &self.events.erased
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut present = self.presences.lock();
        let ours = present.get_mut(&self.client);
        if let Some(entry) = ours.filter(|entry| Arc::ptr_eq(&entry.events, &self.events)) {
            entry.connections -= 1;
            if entry.connections == 0 {
                present.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use messageu_wire::fields::ClientId;
    use tokio::time::{Duration, timeout};

    use super::Presences;

    const SOMEBODY: ClientId = ClientId([1; 16]);

    #[tokio::test]
    async fn all_connections_of_a_client_hear_of_its_mail_and_no_others_do() {
        let presences = Arc::new(Presences::default());
        let [one, two, other] = [SOMEBODY, SOMEBODY, ClientId([2; 16])].map(|client| presences.enter(client));
        let (first, second, others) = (one.mail(), two.mail(), other.mail());
        presences.tell_of_mail(SOMEBODY);
        first.await;
        second.await;
        assert!(timeout(Duration::from_millis(20), others).await.is_err());
    }

    #[test]
    fn whoever_is_gone_is_forgotten_and_who_is_left_is_not() {
        let presences = Arc::new(Presences::default());
        let (one, two) = (presences.enter(SOMEBODY), presences.enter(SOMEBODY));
        drop(one);
        assert!(!presences.lock().is_empty());
        drop(two);
        assert!(presences.lock().is_empty());
    }

    #[test]
    fn whoever_comes_after_an_erasure_is_not_erased_and_outlives_those_who_were() {
        let presences = Arc::new(Presences::default());
        let old = presences.enter(SOMEBODY);
        presences.tell_of_erasure(SOMEBODY);
        let new = presences.enter(SOMEBODY);
        assert!(old.erased().is_cancelled() && !new.erased().is_cancelled());
        drop(old);
        presences.tell_of_erasure(SOMEBODY);
        assert!(new.erased().is_cancelled());
    }
}
