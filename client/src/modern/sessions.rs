//! Which sessions there are with a contact: one that is sent in, and a few that are received in.

use messageu_envelope::session::Session;
use messageu_wire::envelope::field::SessionId;
use messageu_wire::fields::ClientId;

use super::state::records::{Peer, SessionState};
use super::state::{Secret, Stored, Tx};
use crate::error::{Error, ErrorKind, Result};

/// Most sessions with a contact that are kept beside the active one.
pub(super) const ARCHIVED_MAX: usize = 5;

/// A session and whose it is.
pub(super) fn find(tx: &Tx<'_>, id: SessionId) -> Result<Option<(ClientId, Session)>> {
    let Some(stored) = tx.find::<SessionState>(&id.0)? else { return Ok(None) };
    let session = Session::from_bytes(&stored.state.0).map_err(|error| {
        Error::new(ErrorKind::Profile, format!("the profile's database is damaged: {error}"))
            .hint("restore the profile from a copy")
    })?;
    Ok(Some((stored.peer.0, session)))
}

/// Stores a session as it is now.
pub(super) fn put(tx: &Tx<'_>, peer: ClientId, session: &Session) -> Result<()> {
    let state = Secret::of(&session.to_bytes());
    tx.put(&session.id().0, &SessionState { peer: Stored(peer), state })
}

/// Adds a session that has begun. It is sent in if there is no other: none replaces one that is in use.
pub(super) fn add(tx: &Tx<'_>, peer: &mut Peer, session: &Session) -> Result<()> {
    put(tx, peer.id.0, session)?;
    match peer.active {
        None => peer.active = Some(Stored(session.id())),
        Some(_) => archive(tx, peer, session.id())?,
    }
    Ok(())
}

/// Sends in this session from now on: the peer has shown that it has it, or asked for it.
pub(super) fn activate(tx: &Tx<'_>, peer: &mut Peer, id: SessionId) -> Result<()> {
    if peer.active == Some(Stored(id)) {
        return Ok(());
    }
    peer.archived.retain(|archived| archived.0 != id);
    match peer.active.replace(Stored(id)) {
        Some(before) => archive(tx, peer, before.0),
        None => Ok(()),
    }
}

/// Sends in no session any more, until another begins.
pub(super) fn retire_active(tx: &Tx<'_>, peer: &mut Peer) -> Result<()> {
    match peer.active.take() {
        Some(active) => archive(tx, peer, active.0),
        None => Ok(()),
    }
}

fn archive(tx: &Tx<'_>, peer: &mut Peer, id: SessionId) -> Result<()> {
    peer.archived.push(Stored(id));
    while peer.archived.len() > ARCHIVED_MAX {
        let oldest = peer.archived.remove(0);
        tx.erase::<SessionState>(&oldest.0.0)?;
    }
    Ok(())
}
