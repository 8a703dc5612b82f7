//! One connection, as the handlers know it: who is at its other end, and how that was proved.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use messageu_wire::envelope::field::{ServerNonce, UnixSeconds};
use messageu_wire::envelope::statement::{Authentication, BindingType, Context};
use messageu_wire::fields::ClientId;
use messageu_wire::modern::operation::authenticate::Proof;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Modern;
use super::identity::Identity;
use super::presence::Attendance;
use super::reason::Reason;
use crate::limits::{NONCE_LIFE, PULLS_IN_FLIGHT};
use crate::relay::Relay;
use crate::tls::Channel;

/// One connection.
pub(super) struct Session {
    pub(super) relay: Arc<Relay>,
    pub(super) modern: Arc<Modern>,
    /// Where the peer is, as far as limits are counted by it.
    pub(super) site: IpAddr,
    /// When this is cancelled, nothing is waited for any more.
    pub(super) ending: CancellationToken,
    /// Pulls of this connection that there may be at once.
    pub(super) pulls: Semaphore,
    channel: Channel,
    nonce: Mutex<Option<(ServerNonce, Instant)>>,
    attendance: OnceLock<Attendance>,
}

impl Session {
    pub(super) fn new(
        relay: Arc<Relay>,
        modern: Arc<Modern>,
        channel: Channel,
        site: IpAddr,
        ending: CancellationToken,
    ) -> Self {
        Self {
            relay,
            modern,
            site,
            ending,
            pulls: Semaphore::new(PULLS_IN_FLIGHT),
            channel,
            nonce: Mutex::default(),
            attendance: OnceLock::new(),
        }
    }

    /// Who is at the other end, if that has been proved.
    pub(super) fn attendance(&self) -> Option<&Attendance> {
        self.attendance.get()
    }

    /// A new nonce; the one before is void.
    pub(super) fn new_nonce(&self) -> ServerNonce {
        let nonce = ServerNonce(rand::random());
        *self.nonce() = Some((nonce, Instant::now()));
        nonce
    }

    /// The connection is this client's from here on, unless it is somebody's already.
    pub(super) fn admit(&self, client: ClientId) -> Result<(), Reason> {
        let attendance = self.modern.presences.enter(client);
        self.attendance.set(attendance).map_err(|_| Reason::NotAuthenticated)
    }

    /// What has to be signed to prove on this connection that one is a client. The nonce is used up, whatever comes of it;
    /// without one, or with another binding than this connection's, nothing that is signed will do.
    pub(super) fn challenge(&self, client: ClientId, proof: &Proof) -> Challenge {
        let nonce = self.nonce().take().filter(|(_, given)| given.elapsed() <= NONCE_LIFE);
        let binding = match proof.binding_type {
            BindingType::TLS_EXPORTER => Some(self.channel.exporter.0),
            BindingType::SERVER_KEY => Some(self.channel.server_key_hash.0),
            _ => None,
        };
        let is_good = nonce.is_some() && binding == Some(proof.binding.0);
        let nonce = nonce.map_or(ServerNonce([0; 32]), |(nonce, _)| nonce);
        Challenge { fields: proof.authentication(self.channel.server_key_hash, nonce, client), is_good }
    }

    fn nonce(&self) -> MutexGuard<'_, Option<(ServerNonce, Instant)>> {
        self.nonce.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has to be signed.
pub(super) struct Challenge {
    fields: Authentication,
    is_good: bool,
}

impl Challenge {
    /// Whether an identity has met it, with more fields behind those of the authentication. Takes the same time whatever is
    /// wrong.
    pub(super) fn is_met(&self, identity: &Identity, context: Context, more: &[u8], proof: &Proof) -> bool {
        let mut fields = self.fields.encode();
        fields.extend_from_slice(more);
        let is_signed = identity.has_signed(context, &fields, &proof.signature);
        is_signed & self.is_good
    }
}

/// Who asks, and on which connection.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) session: Arc<Session>,
    /// As the header says it.
    pub(super) client_id: ClientId,
}

impl Asker {
    /// Who asks, if that has been proved.
    pub(super) fn proven(&self) -> Result<&Attendance, Reason> {
        let attendance = self.session.attendance().filter(|client| client.client() == self.client_id);
        attendance.ok_or(Reason::NotAuthenticated)
    }

    /// Refuses what takes room on a disk that has none.
    pub(super) fn need_room(&self, bytes: usize) -> Result<(), Reason> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.session.relay.disk_has_room(bytes) { Ok(()) } else { Err(Reason::DiskFull) }
    }
}

/// The time, as bundles and Hello have it.
pub(super) fn unix_seconds(now: SystemTime) -> UnixSeconds {
    UnixSeconds(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use messageu_wire::envelope::field::{Binding, ClientNonce, ServerKeyHash, Signature};
    use messageu_wire::envelope::statement::BindingType;
    use messageu_wire::fields::ClientId;
    use messageu_wire::modern::operation::authenticate::Proof;
    use tokio_util::sync::CancellationToken;

    use super::Session;
    use crate::Relay;
    use crate::limits::{Limits, NONCE_LIFE};
    use crate::modern::Modern;
    use crate::modern::registration::Registration;
    use crate::store::memory::MemoryStore;
    use crate::tls::{Certificate, CertificateSource, Channel, Tls};

    fn session() -> Session {
        let store = Arc::new(MemoryStore::new());
        let certificate = Certificate::load(&CertificateSource::Memory).unwrap();
        let modern = Modern::new(Tls::new(certificate), store.clone(), Registration::Open);
        let relay = Relay::new(store, Limits::default(), None);
        let channel = Channel { server_key_hash: ServerKeyHash([1; 32]), exporter: Binding([2; 32]) };
        let site = "127.0.0.1".parse().unwrap();
        Session::new(Arc::new(relay), Arc::new(modern), channel, site, CancellationToken::new())
    }

    fn proof(binding_type: u8, binding: u8) -> Proof {
        Proof {
            binding_type: BindingType(binding_type),
            binding: Binding([binding; 32]),
            client_nonce: ClientNonce([3; 16]),
            signature: Signature([0; 384]),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_nonce_is_good_for_half_a_minute_and_once() {
        let session = session();
        let is_good = || session.challenge(ClientId::NOBODY, &proof(1, 2)).is_good;
        assert!(!is_good());
        session.new_nonce();
        tokio::time::advance(NONCE_LIFE).await;
        assert!(is_good());
        assert!(!is_good());
        session.new_nonce();
        tokio::time::advance(NONCE_LIFE + Duration::from_millis(1)).await;
        assert!(!is_good());
    }

    #[tokio::test]
    async fn a_proof_is_bound_to_the_connection_or_to_the_server() {
        let session = session();
        for (binding_type, binding, expected) in
            [(1, 2, true), (2, 1, true), (1, 1, false), (2, 2, false), (0, 2, false), (3, 1, false)]
        {
            session.new_nonce();
            let challenge = session.challenge(ClientId::NOBODY, &proof(binding_type, binding));
            assert_eq!(challenge.is_good, expected, "{binding_type} {binding}");
        }
    }
}
