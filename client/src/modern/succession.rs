//! Identities that give way to others: ours, and those of contacts. What the old identity has signed is believed; anything
//! else that changes whose a name is has to be decided by the user.

use messageu_envelope::authentication::SignedRotation;
use messageu_envelope::identity::{Identity, IdentityKey};
use messageu_wire::envelope::control::{Control, SuccessionNotice};
use messageu_wire::envelope::field::Fingerprint;
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::operation::rotate_identity::Succession;
use messageu_wire::modern::operation::{fetch_succession, rotate_identity};

use super::account::{Account, NewKeys, add_bundle, crypto, current_bundle, known_own, put_own};
use super::arrival::UNSHOWN;
use super::contacts::{Designation, change, identity, known_peer, look_up, new_peer, put_peer};
use super::outbox::{redirect, require_sendable};
use super::server::Server;
use super::sessions;
use super::state::records::{OneTimeKey, Own, Peer, SessionState, StoredEvent, Trust, Unshown};
use super::state::{Secret, Stored, Tx};
use crate::error::{Error, ErrorKind, Result};

/// How often a contact's identity may turn out to have gone in one look.
const STEPS_MAX: usize = 8;

impl Account {
    /// Gives ourselves another identity, which the one that we have signs: name, contacts and history stay. `server` is
    /// authenticated as the identity that goes. Contacts are told in the sessions that there are; who has none asks the server.
    ///
    /// A process may end at any point of this: [`Account::finish_rotation`] goes on.
    ///
    /// # Errors
    /// See [`ErrorKind`]; the identity that we have stays until the server has taken the other.
    pub async fn rotate_identity(
        self,
        server: &impl Server,
        keys: impl FnOnce() -> Result<NewKeys> + Send + 'static,
    ) -> Result<Self> {
        // What waits is sealed to the keys that we have now.
        self.receive(server, 0).await?;
        let is_prepared = self.store.read(|tx| known_own(tx).map(|own| own.successor.is_some()))?;
        if !is_prepared {
            let keys = tokio::task::spawn_blocking(keys).await.map_err(crypto)??;
            let identity = Secret::of(&keys.identity.to_pkcs8_der().map_err(crypto)?);
            self.store.write(|tx| {
                let mut own = known_own(tx)?;
                own.successor = Some(identity);
                add_bundle(tx, &mut own, &keys.identity, keys.wrapping, self.now())?;
                put_own(tx, &own)
            })?;
        }
        self.finish_rotation(server).await
    }

    /// Whether a rotation was begun that is not finished: the server is to be asked again as the identity that we have.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn is_rotating(&self) -> Result<bool> {
        self.store.read(|tx| known_own(tx).map(|own| own.successor.is_some()))
    }

    /// Finishes a rotation that was begun.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn finish_rotation(self, server: &impl Server) -> Result<Self> {
        let (successor, bundle) = self.store.read(|tx| {
            let successor =
                known_own(tx)?.successor.ok_or_else(|| crypto("there is no rotation to finish"))?;
            Ok((successor, current_bundle(tx)?.1))
        })?;
        let new = IdentityKey::from_pkcs8_der(&successor.0).map_err(crypto)?;
        let signed = SignedRotation::sign(&self.key, &new, self.now(), &mut rand::rng()).map_err(crypto)?;
        let SignedRotation { rotation, by_old, by_new } = signed;
        let succession = Succession { bundle, issued: rotation.issued, by_old, by_new };
        match server.call(rotate_identity::Request { succession }).await {
            Ok(answer) if answer.client_id == new.identity().client_id() => {}
            Ok(_) => {
                return Err(Error::new(
                    ErrorKind::Data,
                    "the server answers with an id that is not that of the new identity",
                ));
            }
            // The answer to an earlier try was lost.
            Err(error) if error.code() == Some(ErrorCode::MOVED) => {}
            Err(error) => return Err(error.into()),
        }
        // The last mail to the old identity: from now on the server takes none.
        let mut cursor = super::inbox::Cursor::default();
        while self.receive_next(server, &mut cursor, 0).await? {}
        let notice = SuccessionNotice {
            issued: rotation.issued,
            identity: *new.identity().public_key(),
            by_old,
            by_new,
        };
        self.store.write(|tx| self.take_new_identity(tx, &notice))?;
        Self::assemble(self.files, self.store, self.settings)
    }

    /// Becomes the successor, and puts a notice into the outbox for everybody there is a session with.
    fn take_new_identity(&self, tx: &Tx<'_>, notice: &SuccessionNotice) -> Result<()> {
        let own = known_own(tx)?;
        let Some(successor) = own.successor else { return Ok(()) };
        let body = Control::Succession(Box::new(notice.clone())).encode();
        for mut peer in tx.all::<Peer>()? {
            if peer.active.is_some() && require_sendable(&peer).is_ok() {
                self.queue(tx, &mut peer, BodyType::CONTROL, &body, None)?;
            }
            // The sessions are those of the old identity: what comes in them is opened, and nothing more is sent.
            sessions::retire_active(tx, &mut peer)?;
            put_peer(tx, &peer)?;
        }
        // The server has published one-time keys under the old identity alone: those that are left, nobody is given.
        for key in tx.all::<OneTimeKey>()? {
            tx.erase::<OneTimeKey>(&key.id.to_le_bytes())?;
        }
        put_own(tx, &Own { identity: successor, successor: None, published: 0, ..own })
    }

    /// A contact has told us that another identity follows theirs.
    pub(super) fn take_notice(&self, tx: &Tx<'_>, peer: &Peer, notice: &SuccessionNotice) -> Result<()> {
        let Ok(new) = Identity::new(&notice.identity) else { return Ok(()) };
        let signed = signed(peer.fingerprint.0, new.fingerprint(), notice);
        if signed.verify(&identity(peer)?, &new).is_ok() {
            self.adopt(tx, peer, &new)?;
        }
        Ok(())
    }

    /// The server does not take mail for a contact any more: finds out who follows, and says whether the contact is somebody
    /// to go on with, or to decide about.
    pub(super) async fn find_where_they_went(&self, server: &impl Server, gone: ClientId) -> Result<bool> {
        let mut gone = gone;
        let mut found = false;
        for _ in 0..STEPS_MAX {
            let peer = self.store.read(|tx| known_peer(tx, &Designation::Id(gone)))?;
            let answer = match server.call(fetch_succession::Request { client_id: gone }).await {
                Ok(answer) => answer,
                Err(error)
                    if matches!(error.code(), Some(ErrorCode::UNKNOWN_CLIENT | ErrorCode::UNSUPPORTED)) =>
                {
                    return if found { Ok(true) } else { self.notice_change(server, &peer).await };
                }
                Err(error) => return Err(error.into()),
            };
            let succession = answer.succession;
            let bundle = &succession.bundle;
            let notice = SuccessionNotice {
                issued: succession.issued,
                identity: bundle.content.identity,
                by_old: succession.by_old,
                by_new: succession.by_new,
            };
            let Ok(new) = Identity::new(&notice.identity) else {
                return self.notice_change(server, &peer).await;
            };
            let signed = signed(peer.fingerprint.0, new.fingerprint(), &notice);
            if signed.verify(&identity(&peer)?, &new).is_err() {
                return self.notice_change(server, &peer).await;
            }
            self.store.write(|tx| self.adopt(tx, &peer, &new))?;
            gone = new.client_id();
            found = true;
        }
        Ok(found)
    }

    /// Notes that a contact's name has another owner, if it has.
    async fn notice_change(&self, server: &impl Server, peer: &Peer) -> Result<bool> {
        let Some(name) = peer.name.as_deref().and_then(|name| Name::new(name).ok()) else { return Ok(false) };
        match look_up(server, &name).await? {
            Some(owner) if owner != peer.id.0 => {
                self.store.write(|tx| {
                    let peer = known_peer(tx, &Designation::Id(peer.id.0))?;
                    change(tx, peer, owner)
                })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Believes that a contact's name belongs to another identity now, because the user says so: that one is the contact from
    /// now on, and unverified. What waits in the outbox goes to it.
    pub(super) async fn believe(&self, server: &impl Server, peer: &Peer, to: ClientId) -> Result<Peer> {
        let met = self.fetch(server, &Designation::Id(to)).await?;
        self.store.write(|tx| {
            let before = known_peer(tx, &Designation::Id(peer.id.0))?;
            let after = known_peer(tx, &Designation::Id(met.peer.id.0))?;
            let after = Peer { name: before.name.clone(), thread: before.thread, ..after };
            put_peer(tx, &Peer { name: None, claimed_by: None, is_blocked: true, ..before })?;
            put_peer(tx, &after)?;
            redirect(tx, peer.id.0, to)?;
            Ok(after)
        })
    }

    /// Pins the identity that a contact's own has signed, in its place.
    fn adopt(&self, tx: &Tx<'_>, peer: &Peer, new: &Identity) -> Result<()> {
        let id = new.client_id();
        if id == peer.id.0 || id == self.id() {
            return Ok(());
        }
        let old = known_peer(tx, &Designation::Id(peer.id.0))?;
        let known = tx.find::<Peer>(&id.0)?;
        let mut after = Peer {
            name: old.name.clone(),
            thread: old.thread,
            // Nobody whom the user has blocked comes back as somebody else's successor.
            is_blocked: old.is_blocked || known.as_ref().is_some_and(|known| known.is_blocked),
            // Whoever has stolen the old key can sign for another one, too.
            trust: Trust::Unverified,
            is_accepted: old.is_accepted,
            ..known.unwrap_or_else(|| new_peer(new))
        };
        let mut archived: Vec<_> = old.archived.iter().copied().chain(old.active).collect();
        for session in &archived {
            if let Some(state) = tx.find::<SessionState>(&session.0.0)? {
                tx.put(&session.0.0, &SessionState { peer: Stored(id), ..state })?;
            }
        }
        archived.append(&mut after.archived);
        for surplus in archived.drain(..archived.len().saturating_sub(sessions::ARCHIVED_MAX)) {
            tx.erase::<SessionState>(&surplus.0.0)?;
        }
        after.archived = archived;
        tx.erase::<Peer>(&peer.id.0.0)?;
        put_peer(tx, &after)?;
        redirect(tx, peer.id.0, id)?;
        for (number, unshown) in tx.list::<Unshown>(UNSHOWN, usize::MAX)? {
            if unshown.from == Some(peer.id) {
                tx.put_number(UNSHOWN, number, &Unshown { from: Some(Stored(id)), ..unshown })?;
            }
        }
        self.tell(tx, &after, StoredEvent::Rotated { from: peer.id })
    }
}

fn signed(from: Fingerprint, to: Fingerprint, notice: &SuccessionNotice) -> SignedRotation {
    let rotation = messageu_wire::envelope::statement::Rotation { from, to, issued: notice.issued };
    SignedRotation { rotation, by_old: notice.by_old, by_new: notice.by_new }
}
