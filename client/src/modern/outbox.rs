//! What goes out: sealed and stored together with the session that sealed it, before anything is sent. So each try sends
//! the same bytes, and what the server has once, it takes as the same.

use std::collections::{BTreeMap, BTreeSet};

use messageu_envelope::dh::DhSecret;
use messageu_envelope::error::SealError;
use messageu_envelope::init::seal_init;
use messageu_envelope::offer;
use messageu_wire::envelope::EnvelopeKind;
use messageu_wire::envelope::control::Control;
use messageu_wire::envelope::field::{EnvelopeId, OfferId};
use messageu_wire::envelope::frame::{BODY_MAX, BodyType, Frame};
use messageu_wire::fields::ClientId;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::Envelope;
use messageu_wire::modern::operation::send_envelope;
use zeroize::Zeroizing;

use super::account::{Account, crypto, known_own, put_own, random_id};
use super::contacts::{Contact, Designation, Met, Status, find_peer, known_peer, put_peer};
use super::server::{CallError, Server};
use super::state::records::{Delivery, OwnOffer, Peer, PeerOffer, Said, StoredEvent, Unsent};
use super::state::{Secret, Stored, Tx};
use super::{receipts, sessions};
use crate::error::{Error, ErrorKind, Result};

/// The list of what is to be sent.
const OUTBOX: &[u8] = b"outbox";
/// Most that is looked at in one go.
const ALL: usize = usize::MAX;

/// A message that is in the outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queued {
    /// To whom.
    pub to: Contact,
    /// Our number for it.
    pub message_id: EnvelopeId,
}

/// What became of the outbox.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Flushed {
    /// How many envelopes the server has taken.
    pub sent: usize,
    /// To whom something stays in the outbox, and why.
    pub waiting: Vec<(Contact, Why)>,
    /// To whom something was given up, and why.
    pub failed: Vec<(Contact, Why)>,
}

/// Why something has not gone out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// The server refused.
    Refused(CallError),
    /// The contact is blocked, or has another identity now.
    Status(Status),
    /// The contact has another identity now, and nothing can be sealed to that: the server has no keys of it that are good.
    Keys(Error),
}

impl Account {
    /// Whether texts to somebody can be sealed without asking the server.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn has_session(&self, who: &Designation) -> Result<bool> {
        Ok(self.store.read(|tx| find_peer(tx, who))?.is_some_and(|peer| peer.active.is_some()))
    }

    /// Begins a session with somebody, unless there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is no such user, or nothing may be sent to them; and see [`ErrorKind`].
    pub async fn begin_session(&self, server: &impl Server, who: &Designation) -> Result<()> {
        if let Some(peer) = self.store.read(|tx| find_peer(tx, who))? {
            require_sendable(&peer)?;
            if peer.active.is_some() {
                return Ok(());
            }
        }
        let met = self.fetch(server, who).await?;
        require_sendable(&met.peer)?;
        self.store.write(|tx| self.begin(tx, &met).map(drop))
    }

    /// Puts a text into the outbox, sealed in the session that there is.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if it is too long, [`ErrorKind::Peer`] without a session or if nothing may be sent to them.
    pub fn queue_text(&self, who: &Designation, text: &str) -> Result<Queued> {
        if text.len() > BODY_MAX {
            let what = format!("a text has at most {BODY_MAX} bytes, this one has {}", text.len());
            return Err(Error::new(ErrorKind::Usage, what).hint("send it as a file: messageu send-file"));
        }
        let said = StoredEvent::Text(Secret::of(text.as_bytes()));
        self.store.write(|tx| {
            let mut peer = known_peer(tx, who)?;
            require_sendable(&peer)?;
            self.queue(tx, &mut peer, BodyType::TEXT, text.as_bytes(), Some(said))
        })
    }

    /// Asks somebody to begin a session with us: for when we have lost ours. Where they know us, their program answers.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if we do not know them, or nothing may be sent to them.
    pub fn queue_offer(&self, who: &Designation) -> Result<Queued> {
        self.store.write(|tx| {
            let peer = known_peer(tx, who)?;
            require_sendable(&peer)?;
            let mut own = known_own(tx)?;
            let id = own.next.offer;
            own.next.offer = id.saturating_add(1);
            put_own(tx, &own)?;
            let mut rng = rand::rng();
            let secret = DhSecret::generate(&mut rng);
            let stored = Stored(Zeroizing::new(*secret.as_bytes()));
            let made = self.now();
            tx.put(&id.to_le_bytes(), &OwnOffer { id, to: peer.id, secret: stored, made: made.0 })?;
            let sealed = offer::OwnOffer::new(OfferId(id), peer.id.0, secret).seal(&self.key, made, &mut rng);
            let message_id = random_id();
            append(tx, &peer, EnvelopeKind::OFFER, message_id, &sealed.map_err(crypto)?, None)?;
            Ok(Queued { to: Contact::of(&peer), message_id })
        })
    }

    /// How many envelopes are in the outbox.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn queued(&self) -> Result<usize> {
        self.store.read(|tx| tx.count::<Unsent>())
    }

    /// Sends what is in the outbox, in order. Nobody waits because of somebody else whose mail the server refuses.
    ///
    /// # Errors
    /// See [`ErrorKind`]: what was not sent stays in the outbox.
    pub async fn flush(&self, server: &impl Server) -> Result<Flushed> {
        let mut flushed = Flushed::default();
        // The second time is for those who turned out to have another identity.
        for _ in 0..2 {
            let unfit = self.seal_stale_again(server).await?;
            if !self.flush_once(server, &unfit, &mut flushed).await? {
                break;
            }
        }
        Ok(flushed)
    }

    /// Says whether anybody's identity has changed.
    async fn flush_once(
        &self,
        server: &impl Server,
        unfit: &BTreeMap<ClientId, Error>,
        flushed: &mut Flushed,
    ) -> Result<bool> {
        let mut held = BTreeSet::new();
        let mut moved = false;
        flushed.waiting.clear();
        for (number, unsent) in self.store.read(|tx| tx.list::<Unsent>(OUTBOX, ALL))? {
            let to = unsent.to.0;
            if held.contains(&to) {
                continue;
            }
            let contact = self.store.read(|tx| known_peer(tx, &Designation::Id(to)))?;
            let contact = Contact::of(&contact);
            if !is_sendable(contact.status) || unsent.is_stale {
                held.insert(to);
                let why =
                    unfit.get(&to).map_or(Why::Status(contact.status), |error| Why::Keys(error.clone()));
                flushed.waiting.push((contact, why));
                continue;
            }
            let envelope = Envelope::new(unsent.envelope.0.to_vec()).map_err(crypto)?;
            let request = send_envelope::Request { to, message_id: unsent.message_id.0, envelope };
            match server.call(request).await {
                Ok(answer) if answer.to == to && answer.message_id == unsent.message_id.0 => {
                    self.store.write(|tx| settle(tx, number, &unsent, Delivery::Done))?;
                    flushed.sent += 1;
                }
                Ok(_) => {
                    return Err(Error::new(ErrorKind::Data, "the server's answer is to another message"));
                }
                Err(CallError::Failed(error)) => return Err(error),
                Err(error) if error.is_passing() => {
                    held.insert(to);
                    flushed.waiting.push((contact, Why::Refused(error)));
                }
                Err(error) => {
                    let gone = matches!(error.code(), Some(ErrorCode::MOVED | ErrorCode::UNKNOWN_CLIENT));
                    if gone && self.find_where_they_went(server, to).await? {
                        held.insert(to);
                        moved = true;
                    } else {
                        self.store.write(|tx| settle(tx, number, &unsent, Delivery::Failed))?;
                        // That nobody was told what has come is no failure to say something.
                        if unsent.body_type != BodyType::RECEIPT.0 {
                            flushed.failed.push((contact, Why::Refused(error)));
                        }
                    }
                }
            }
        }
        Ok(moved)
    }

    /// Seals what was sealed to identities that have gone to those that came. Returns to whom nothing can be sealed, and why.
    async fn seal_stale_again(&self, server: &impl Server) -> Result<BTreeMap<ClientId, Error>> {
        let mut unfit = BTreeMap::new();
        let stale = self.store.read(|tx| tx.list::<Unsent>(OUTBOX, ALL))?;
        let stale: BTreeSet<_> =
            stale.into_iter().filter(|(_, unsent)| unsent.is_stale).map(|(_, unsent)| unsent.to.0).collect();
        for to in stale {
            let peer = self.store.read(|tx| known_peer(tx, &Designation::Id(to)))?;
            if require_sendable(&peer).is_err() {
                continue;
            }
            match self.begin_session(server, &Designation::Id(to)).await {
                Ok(()) => {}
                Err(error) if is_of_one_peer(&error) => {
                    unfit.insert(to, error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.store.write(|tx| {
                let mut peer = known_peer(tx, &Designation::Id(to))?;
                for (number, unsent) in tx.list::<Unsent>(OUTBOX, ALL)? {
                    if unsent.to.0 == to && unsent.is_stale {
                        tx.erase_number::<Unsent>(OUTBOX, number)?;
                        self.seal_again(tx, &mut peer, &unsent)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(unfit)
    }

    fn seal_again(&self, tx: &Tx<'_>, peer: &mut Peer, unsent: &Unsent) -> Result<()> {
        let frame = Frame {
            body_type: BodyType(unsent.body_type),
            sent: self.now_ms(),
            message_id: unsent.inner_id.0,
            body: unsent.body.0.to_vec(),
        };
        // What only began a session with the old identity has nothing to say to the new one.
        if !matches!(frame.body_type, BodyType::TEXT | BodyType::FILE) {
            return Ok(());
        }
        seal(tx, peer, &frame, random_id(), unsent.history)
    }

    /// Answers those who asked for a session and may have one: with a new one, which takes the place of none that is in use.
    pub(super) async fn answer_offers(&self, server: &impl Server) -> Result<()> {
        for stored in self.store.read(|tx| tx.all::<PeerOffer>())?.iter().filter(|offer| offer.is_approved) {
            let who = Designation::Id(stored.from.0);
            let Ok(offer) = offer::PeerOffer::check(&stored.envelope.0, self.id(), self.now()) else {
                self.store.write(|tx| tx.erase::<PeerOffer>(&stored.from.0.0).map(drop))?;
                continue;
            };
            let met = match self.fetch(server, &who).await {
                Ok(met) => met,
                // Tried again until the offer has expired.
                Err(error) if is_of_one_peer(&error) => continue,
                Err(error) => return Err(error),
            };
            let message_id = random_id();
            let answer = offer
                .answer(&self.key, &met.bundle, self.now_ms(), message_id, &mut rand::rng())
                .map_err(unsealable);
            self.store.write(|tx| {
                if tx.erase::<PeerOffer>(&stored.from.0.0)? {
                    let (envelope, session) = match answer {
                        Ok(answer) => answer,
                        // What they have signed will not get better.
                        Err(error) if is_of_one_peer(&error) => return Ok(()),
                        Err(error) => return Err(error),
                    };
                    let mut peer = known_peer(tx, &who)?;
                    sessions::add(tx, &mut peer, &session)?;
                    put_peer(tx, &peer)?;
                    append(tx, &peer, EnvelopeKind::INIT, message_id, &envelope, None)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Begins a session in which nothing has been said but who we are; unless another process has begun one.
    fn begin(&self, tx: &Tx<'_>, met: &Met) -> Result<Peer> {
        let mut peer = known_peer(tx, &Designation::Id(met.peer.id.0))?;
        if peer.active.is_some() {
            return Ok(peer);
        }
        let message_id = random_id();
        let frame = Frame {
            body_type: BodyType::CONTROL,
            sent: self.now_ms(),
            message_id,
            body: Control::Introduction(self.name.clone()).encode(),
        };
        let begun = seal_init(&self.key, &met.bundle, met.one_time.as_ref(), &frame, &mut rand::rng());
        let (envelope, session) = begun.map_err(unsealable)?;
        sessions::add(tx, &mut peer, &session)?;
        put_peer(tx, &peer)?;
        append(tx, &peer, EnvelopeKind::INIT, message_id, &envelope, Some(&frame))?;
        Ok(peer)
    }

    /// Seals a message into the outbox, and into the history if it is to be there.
    pub(super) fn queue(
        &self,
        tx: &Tx<'_>,
        peer: &mut Peer,
        body_type: BodyType,
        body: &[u8],
        said: Option<StoredEvent>,
    ) -> Result<Queued> {
        let (message_id, sent) = (random_id(), self.now_ms());
        if matches!(body_type, BodyType::TEXT | BodyType::FILE) {
            receipts::accept(tx, peer)?;
        }
        let history = match said.filter(|_| !self.settings.is_ephemeral) {
            Some(what) => {
                let said = Said {
                    message_id: Stored(message_id),
                    is_ours: true,
                    sent_ms: sent.0,
                    what,
                    delivery: Delivery::Queued,
                };
                let number = tx.append(&peer.thread.0.0, &said)?;
                receipts::expect_receipt(tx, peer, message_id, number)?;
                Some((peer.thread, number))
            }
            None => None,
        };
        let frame = Frame { body_type, sent, message_id, body: body.to_vec() };
        seal(tx, peer, &frame, message_id, history)?;
        Ok(Queued { to: Contact::of(peer), message_id })
    }
}

/// Seals in the active session, and stores what comes of it: the envelope and the next state, together.
fn seal(
    tx: &Tx<'_>,
    peer: &mut Peer,
    frame: &Frame,
    message_id: EnvelopeId,
    history: Option<(Stored<ClientId>, u64)>,
) -> Result<()> {
    let no_session = || {
        Error::new(ErrorKind::Peer, format!("there is no session with {} yet", Contact::of(peer)))
            .hint("the server has to be reached once to begin it; try again when it can be")
    };
    let active = peer.active.ok_or_else(no_session)?;
    let (_, session) = sessions::find(tx, active.0)?.ok_or_else(no_session)?;
    let (envelope, next) = session.seal(frame, &mut rand::rng()).map_err(crypto)?;
    sessions::put(tx, peer.id.0, &next)?;
    let unsent = Unsent { history, ..unsent(peer, EnvelopeKind::MSG, message_id, &envelope, Some(frame)) };
    tx.append(OUTBOX, &unsent).map(drop)
}

fn append(
    tx: &Tx<'_>,
    peer: &Peer,
    kind: EnvelopeKind,
    message_id: EnvelopeId,
    envelope: &[u8],
    frame: Option<&Frame>,
) -> Result<()> {
    tx.append(OUTBOX, &unsent(peer, kind, message_id, envelope, frame)).map(drop)
}

fn unsent(
    peer: &Peer,
    kind: EnvelopeKind,
    message_id: EnvelopeId,
    envelope: &[u8],
    frame: Option<&Frame>,
) -> Unsent {
    Unsent {
        to: peer.id,
        message_id: Stored(message_id),
        kind: kind.0,
        envelope: Secret::of(envelope),
        body_type: frame.map_or(BodyType::DUMMY, |frame| frame.body_type).0,
        body: Secret::of(frame.map_or(&[], |frame| &frame.body)),
        inner_id: Stored(frame.map_or(message_id, |frame| frame.message_id)),
        is_stale: false,
        history: None,
    }
}

/// Takes an envelope out of the outbox, for good.
fn settle(tx: &Tx<'_>, number: u64, unsent: &Unsent, delivery: Delivery) -> Result<()> {
    tx.erase_number::<Unsent>(OUTBOX, number)?;
    let Some((thread, at)) = unsent.history else { return Ok(()) };
    match tx.find_number::<Said>(&thread.0.0, at)? {
        // Whoever has it may have said so before the server did.
        Some(said) if said.delivery != Delivery::Arrived => {
            tx.put_number(&thread.0.0, at, &Said { delivery, ..said })
        }
        _ => Ok(()),
    }
}

/// What waits for somebody who has another identity now has to be sealed to that one.
pub(super) fn redirect(tx: &Tx<'_>, from: ClientId, to: ClientId) -> Result<()> {
    for (number, unsent) in tx.list::<Unsent>(OUTBOX, ALL)? {
        if unsent.to.0 == from {
            tx.put_number(OUTBOX, number, &Unsent { to: Stored(to), is_stale: true, ..unsent })?;
        }
    }
    Ok(())
}

/// Why no session can be begun with somebody's keys.
fn unsealable(error: SealError) -> Error {
    match error {
        SealError::Agreement | SealError::OneTimeId => {
            Error::new(ErrorKind::Data, format!("their keys cannot be used: {error}")).hint(
                "their program, or the server, gave keys that anybody could open; ask them another way what they use",
            )
        }
        _ => crypto(error),
    }
}

/// Whether something went wrong with one contact, which is no reason not to go on with the others.
fn is_of_one_peer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Refused | ErrorKind::Peer | ErrorKind::Data)
}

fn is_sendable(status: Status) -> bool {
    matches!(status, Status::Unverified | Status::Verified)
}

/// Fails for those to whom nothing goes out before the user has decided.
pub(super) fn require_sendable(peer: &Peer) -> Result<()> {
    let contact = Contact::of(peer);
    let handle = contact.handle();
    match contact.status {
        Status::Unverified | Status::Verified => Ok(()),
        Status::Blocked => Err(Error::new(ErrorKind::Peer, format!("{contact} is blocked"))
            .hint(format!("`messageu approve {handle}` ends that"))),
        Status::Changed { to } => {
            let what = format!(
                "the identity of {contact} has changed: the name is that of {to} now, and the one you know has not signed that"
            );
            Err(Error::new(ErrorKind::Peer, what).hint(format!(
                "ask them another way whether they have registered anew; if so, `messageu approve {handle}` and verify them again"
            )))
        }
    }
}
