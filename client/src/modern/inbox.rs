//! What comes in: opened, and stored together with the session that opened it, before the server may forget it.
//!
//! An envelope is known by its hash, whatever number the server gives it: what has been dealt with is not dealt with again,
//! however often it comes. What does not open may open later, when what was sent before it has come; after five tries it is
//! given up, and the user is told.

use messageu_envelope::dh::DhSecret;
use messageu_envelope::init::{IncomingInit, OneTimeSecret, OpenedInit};
use messageu_envelope::offer;
use messageu_envelope::session::OpenedMsg;
use messageu_wire::envelope::control::Control;
use messageu_wire::envelope::field::{Digest as DigestField, EnvelopeId, OfferId, OneTimeId};
use messageu_wire::envelope::file::Manifest;
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::msg::Msg;
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::modern::field::{AtMost, Sequence};
use messageu_wire::modern::limits::{ACKNOWLEDGED_MAX, PULL_MAX};
use messageu_wire::modern::operation::pull_envelopes::Delivery as Pulled;
use messageu_wire::modern::operation::{acknowledge, pull_envelopes};
use sha2::{Digest, Sha256};

use super::account::{Account, crypto, own_bundle};
use super::contacts::{new_peer, put_peer, show};
use super::server::Server;
use super::sessions;
use super::state::records::{
    Delivery, Download, OneTimeKey, OwnOffer, Peer, PeerOffer, Replay, Said, Seen, StoredEvent, Unopened,
    Unshown,
};
use super::state::{Secret, Stored, Tx};
use crate::error::{Error, ErrorKind, Result};

/// How often it is tried to open something.
const TRIES: u32 = 5;
/// Most offers of people we do not know that wait for the user.
const STRANGERS_OFFERS_MAX: usize = 100;

/// What became of an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opened {
    /// It has been dealt with; the server may forget it.
    Done,
    /// It does not open now.
    NotYet,
}

/// How far a receiver has come in its queue.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cursor {
    after: u64,
    /// Whether something before `after` was left with the server.
    left_behind: bool,
}

impl Account {
    /// Takes all that waits at the server; waits `wait_ms` for something if nothing does. Files are not fetched by this, and
    /// nothing is shown: see [`Account::fetch_files`] and [`Account::show`].
    ///
    /// # Errors
    /// See [`ErrorKind`]; what has come until then is stored.
    pub async fn receive(&self, server: &impl Server, wait_ms: u32) -> Result<()> {
        let mut cursor = Cursor::default();
        let mut wait_ms = wait_ms;
        while self.receive_next(server, &mut cursor, wait_ms).await? {
            wait_ms = 0;
        }
        self.follow_up(server).await
    }

    /// Takes what waits behind the cursor, up to a mebibyte, and says whether there was anything.
    ///
    /// # Errors
    /// See [`ErrorKind`]; what has come until then is stored.
    pub async fn receive_next(
        &self,
        server: &impl Server,
        cursor: &mut Cursor,
        wait_ms: u32,
    ) -> Result<bool> {
        let max_bytes = u32::try_from(PULL_MAX).unwrap_or(u32::MAX);
        let request = pull_envelopes::Request { after: Sequence(cursor.after), max_bytes, wait_ms };
        let pulled = server.call(request).await?.into_deliveries();
        let Some(last) = pulled.last().map(|last| last.sequence.0) else { return Ok(false) };
        let rises = pulled
            .iter()
            .map(|one| one.sequence.0)
            .try_fold(cursor.after, |before, sequence| (before < sequence).then_some(sequence));
        if rises.is_none() {
            return Err(Error::new(ErrorKind::Data, "the server's numbers for envelopes do not rise")
                .hint("the server does not keep to the protocol"));
        }
        let opened = self.store.write(|tx| self.take(tx, &pulled))?;
        let (done, left) =
            opened.into_iter().zip(&pulled).partition::<Vec<_>, _>(|(o, _)| *o == Opened::Done);
        let done: Vec<_> = done.into_iter().map(|(_, pulled)| pulled.sequence).collect();
        for sequences in done.chunks(ACKNOWLEDGED_MAX) {
            let sequences = AtMost::new(sequences.to_vec()).map_err(crypto)?;
            server.call(acknowledge::Request { sequences }).await?;
        }
        cursor.left_behind |= !left.is_empty();
        cursor.after = last;
        Ok(true)
    }

    /// Does what follows from what has come: asks for names, answers offers, sees to our keys, tells contacts what has come
    /// of theirs, and sends what all that put into the outbox. A cursor that has left something behind begins anew, for it
    /// may open by now.
    ///
    /// # Errors
    /// See [`ErrorKind`], the first of several; what is not done is done the next time.
    pub async fn follow_up(&self, server: &impl Server) -> Result<()> {
        // What goes wrong with one of these is no reason to leave the others.
        let names = self.confirm_names(server).await;
        let offers = self.answer_offers(server).await;
        let keys = self.refresh_keys(server).await;
        let receipts = self.queue_receipts().map(drop);
        let sent = self.flush(server).await.map(drop);
        names.and(offers).and(keys).and(receipts).and(sent)
    }

    /// Deals with envelopes, as far as they open; says of each what became of it.
    fn take(&self, tx: &Tx<'_>, pulled: &[Pulled]) -> Result<Vec<Opened>> {
        let mut opened = vec![Opened::NotYet; pulled.len()];
        // The second time is for what was sent after what came later.
        for _ in 0..2 {
            let mut progress = false;
            for (opened, pulled) in
                opened.iter_mut().zip(pulled).filter(|(opened, _)| **opened == Opened::NotYet)
            {
                *opened = self.take_one(tx, &pulled.envelope)?;
                progress |= *opened == Opened::Done;
            }
            if !progress || opened.iter().all(|opened| *opened == Opened::Done) {
                break;
            }
        }
        for (opened, pulled) in opened.iter_mut().zip(pulled).filter(|(opened, _)| **opened == Opened::NotYet)
        {
            *opened = self.count_try(tx, &pulled.envelope)?;
        }
        Ok(opened)
    }

    fn take_one(&self, tx: &Tx<'_>, envelope: &[u8]) -> Result<Opened> {
        let hash = hash(envelope);
        if tx.find::<Seen>(&hash.0)?.is_some() {
            return Ok(Opened::Done);
        }
        let kind = Prefix::peek(envelope).map(|prefix| prefix.kind);
        let opened = match kind {
            Ok(EnvelopeKind::INIT) => self.take_init(tx, envelope)?,
            Ok(EnvelopeKind::MSG) => self.take_msg(tx, envelope)?,
            Ok(EnvelopeKind::OFFER) => self.take_offer(tx, envelope)?,
            _ => Opened::NotYet,
        };
        if opened == Opened::Done {
            self.mark_seen(tx, hash)?;
            tx.erase::<Unopened>(&hash.0)?;
        }
        Ok(opened)
    }

    /// Counts a try, and gives up after the last.
    fn count_try(&self, tx: &Tx<'_>, envelope: &[u8]) -> Result<Opened> {
        let hash = hash(envelope);
        let fresh = || Unopened { hash: Stored(hash), tries: 0, since: self.now().0 };
        let mut unopened = tx.find(&hash.0)?.unwrap_or_else(fresh);
        unopened.tries += 1;
        if unopened.tries < TRIES {
            tx.put(&hash.0, &unopened)?;
            return Ok(Opened::NotYet);
        }
        tx.erase::<Unopened>(&hash.0)?;
        self.mark_seen(tx, hash)?;
        let event = StoredEvent::Unreadable;
        show(tx, Unshown { from: None, message_id: None, sent_ms: self.now_ms().0, event })?;
        Ok(Opened::Done)
    }

    fn mark_seen(&self, tx: &Tx<'_>, hash: DigestField) -> Result<()> {
        tx.put(&hash.0, &Seen { hash: Stored(hash), since: self.now().0 })
    }

    fn take_init(&self, tx: &Tx<'_>, envelope: &[u8]) -> Result<Opened> {
        let Ok(init) = IncomingInit::decode(envelope) else { return Ok(Opened::NotYet) };
        let Some(bundle) = own_bundle(tx, init.prekey_id())? else { return Ok(Opened::NotYet) };
        let id = init.one_time_id();
        let (now, mut rng) = (self.now(), rand::rng());
        let opened = if id == OneTimeId::NONE {
            if tx.find::<Replay>(&init.replay_key().0)?.is_some() {
                return Ok(Opened::Done);
            }
            init.open(&bundle, OneTimeSecret::None, now, &mut rng)
        } else if let Some(OfferId(offer_id)) = id.offer() {
            let Some(stored) = tx.find::<OwnOffer>(&offer_id.to_le_bytes())? else {
                return Ok(Opened::NotYet);
            };
            let secret = DhSecret::from_bytes(&stored.secret.0);
            let offer = offer::OwnOffer::new(OfferId(offer_id), stored.to.0, secret);
            init.open(&bundle, OneTimeSecret::Offer(&offer), now, &mut rng)
        } else {
            let Some(stored) = tx.find::<OneTimeKey>(&id.0.to_le_bytes())? else { return Ok(Opened::NotYet) };
            let secret = DhSecret::from_bytes(&stored.secret.0);
            init.open(&bundle, OneTimeSecret::Prekey(id, &secret), now, &mut rng)
        };
        let Ok(OpenedInit { peer: identity, session, frame }) = opened else { return Ok(Opened::NotYet) };
        match id.offer() {
            Some(OfferId(offer_id)) => tx.erase::<OwnOffer>(&offer_id.to_le_bytes()).map(drop)?,
            None if id == OneTimeId::NONE => {
                let key = Stored(init.replay_key());
                tx.put(&key.0.0, &Replay { key, prekey: init.prekey_id().0 })?;
            }
            None => tx.erase::<OneTimeKey>(&id.0.to_le_bytes()).map(drop)?,
        }
        let known = tx.find::<Peer>(&identity.client_id().0)?;
        let is_new = known.is_none();
        let mut peer = known.unwrap_or_else(|| new_peer(&identity));
        // An id says 122 bits of a fingerprint; the pin says all.
        if peer.fingerprint.0 != identity.fingerprint() || peer.is_blocked {
            return Ok(Opened::Done);
        }
        sessions::add(tx, &mut peer, &session)?;
        if id.offer().is_some() {
            // We asked for it because the one that we had does not serve.
            sessions::activate(tx, &mut peer, session.id())?;
        }
        put_peer(tx, &peer)?;
        if is_new {
            self.tell(tx, &peer, StoredEvent::NewContact)?;
        }
        self.take_frame(tx, peer, &frame)
    }

    fn take_msg(&self, tx: &Tx<'_>, envelope: &[u8]) -> Result<Opened> {
        let Ok(msg) = Msg::decode(envelope) else { return Ok(Opened::NotYet) };
        let Some((owner, session)) = sessions::find(tx, msg.header.session_id)? else {
            return Ok(Opened::NotYet);
        };
        let Ok(OpenedMsg { frame, newly_missing, session }) = session.open(envelope, self.now()) else {
            return Ok(Opened::NotYet);
        };
        let Some(mut peer) = tx.find::<Peer>(&owner.0)? else { return Ok(Opened::NotYet) };
        sessions::put(tx, owner, &session)?;
        // One whose peer has another identity by now stays where it is: it is not sent in any more.
        if session.peer() == peer.fingerprint.0 {
            sessions::activate(tx, &mut peer, session.id())?;
            put_peer(tx, &peer)?;
        }
        if peer.is_blocked {
            return Ok(Opened::Done);
        }
        if newly_missing > 0 {
            self.tell(tx, &peer, StoredEvent::Missing(newly_missing))?;
        }
        self.take_frame(tx, peer, &frame)
    }

    fn take_offer(&self, tx: &Tx<'_>, envelope: &[u8]) -> Result<Opened> {
        let Ok(offer) = offer::PeerOffer::check(envelope, self.id(), self.now()) else {
            return Ok(Opened::NotYet);
        };
        let from = offer.from().client_id();
        let known = tx.find::<Peer>(&from.0)?;
        let is_pinned = known.as_ref().is_some_and(|peer| peer.fingerprint.0 == offer.from().fingerprint());
        let is_unwanted = known.as_ref().is_some_and(|peer| peer.is_blocked);
        let is_flood = !is_pinned && tx.count::<PeerOffer>()? >= STRANGERS_OFFERS_MAX;
        if is_unwanted || is_flood {
            return Ok(Opened::Done);
        }
        let envelope = Secret::of(envelope);
        tx.put(&from.0, &PeerOffer { from: Stored(from), envelope, is_approved: is_pinned })?;
        if !is_pinned {
            let event = StoredEvent::Offer;
            show(
                tx,
                Unshown { from: Some(Stored(from)), message_id: None, sent_ms: self.now_ms().0, event },
            )?;
        }
        Ok(Opened::Done)
    }

    /// Takes what a peer has said.
    fn take_frame(&self, tx: &Tx<'_>, peer: Peer, frame: &Frame) -> Result<Opened> {
        let what = match frame.body_type {
            BodyType::TEXT => StoredEvent::Text(Secret::of(&frame.body)),
            BodyType::FILE => match Manifest::decode(&frame.body) {
                Ok(manifest) => {
                    return self.take_manifest(tx, &peer, frame, &manifest).map(|()| Opened::Done);
                }
                Err(_) => StoredEvent::Unknown { body_type: frame.body_type.0 },
            },
            BodyType::CONTROL => return self.take_control(tx, peer, &frame.body).map(|()| Opened::Done),
            BodyType::KEY_ANSWER => {
                return self.tell(tx, &peer, StoredEvent::Answered).map(|()| Opened::Done);
            }
            BodyType::RECEIPT => return self.take_receipt(tx, &peer, &frame.body).map(|()| Opened::Done),
            BodyType::DUMMY => return Ok(Opened::Done),
            BodyType(body_type) => StoredEvent::Unknown { body_type },
        };
        if self.is_said_already(tx, &peer, frame.message_id)? {
            return Ok(Opened::Done);
        }
        let (from, message_id, sent_ms) = (Some(peer.id), Stored(frame.message_id), frame.sent.0);
        show(tx, Unshown { from, message_id: Some(message_id), sent_ms, event: what.clone() })?;
        if frame.body_type == BodyType::TEXT {
            self.owe_receipt(tx, &peer, frame.message_id)?;
        }
        if !self.settings.is_ephemeral {
            let said = Said { message_id, is_ours: false, sent_ms, what, delivery: Delivery::Done };
            tx.append(&peer.thread.0.0, &said)?;
        }
        Ok(Opened::Done)
    }

    fn take_manifest(&self, tx: &Tx<'_>, peer: &Peer, frame: &Frame, manifest: &Manifest) -> Result<()> {
        let about = super::files::about(peer.id.0, manifest.file_id);
        if self.is_said_already(tx, peer, frame.message_id)? || tx.find::<Download>(&about)?.is_some() {
            return Ok(());
        }
        let download = Download {
            from: peer.id,
            message_id: Stored(frame.message_id),
            sent_ms: frame.sent.0,
            manifest: Secret::of(&manifest.encode()),
            done: 0,
            path: None,
            is_ephemeral: self.settings.is_ephemeral,
            failures: 0,
        };
        tx.put(&about, &download)
    }

    fn take_control(&self, tx: &Tx<'_>, peer: Peer, body: &[u8]) -> Result<()> {
        match Control::decode(body) {
            Ok(Control::Introduction(name)) => {
                put_peer(tx, &Peer { claimed_name: Some(name.to_string()), ..peer })
            }
            Ok(Control::Succession(notice)) => self.take_notice(tx, &peer, &notice),
            Ok(Control::Unknown(_)) | Err(_) => Ok(()),
        }
    }

    /// Whether the peer has said this before: who does not know whether a message arrived sends it to our new identity, too.
    fn is_said_already(&self, tx: &Tx<'_>, peer: &Peer, message_id: EnvelopeId) -> Result<bool> {
        let hash = hash(&[peer.thread.0.0, message_id.0].concat());
        let is_known = tx.find::<Seen>(&hash.0)?.is_some();
        if !is_known {
            self.mark_seen(tx, hash)?;
        }
        Ok(is_known)
    }

    /// Tells the user something about a contact.
    pub(super) fn tell(&self, tx: &Tx<'_>, peer: &Peer, event: StoredEvent) -> Result<()> {
        show(tx, Unshown { from: Some(peer.id), message_id: None, sent_ms: self.now_ms().0, event })
    }
}

impl Cursor {
    /// Begins at the front again if something was left there, which may open by now.
    pub fn look_back(&mut self) {
        if std::mem::take(&mut self.left_behind) {
            self.after = 0;
        }
    }
}

/// By which an envelope is known.
fn hash(envelope: &[u8]) -> DigestField {
    DigestField(Sha256::digest(envelope).into())
}
