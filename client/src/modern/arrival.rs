//! What has come, as the user sees it; and what has been said.

use std::path::PathBuf;

use messageu_wire::envelope::field::{EnvelopeId, UnixMillis};
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::fields::ClientId;

use super::account::Account;
use super::contacts::{Contact, Designation, known_peer};
use super::state::Tx;
use super::state::records::{Delivery, Peer, Said, StoredEvent, Unshown};
use crate::arrival::Text;
use crate::error::Result;

/// The list of what the user has not seen.
pub(super) const UNSHOWN: &[u8] = b"unshown";

/// Something that the user has not seen.
#[derive(Debug)]
pub struct Arrival {
    /// From whom, if that is known.
    pub from: Option<Contact>,
    /// The sender's number for it, if it is a message.
    pub message_id: Option<EnvelopeId>,
    /// When it was sent, by the sender's clock, if it is a message.
    pub sent: Option<UnixMillis>,
    /// What it is.
    pub event: Event,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// A text has come.
    Text(Text),
    /// A file has come, whole, and is at this path.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its bytes.
        size: u64,
    },
    /// A file was sent, and cannot be fetched any more.
    FileLost {
        /// Its name.
        name: String,
    },
    /// So many messages before this have not come; they may yet.
    Missing(u32),
    /// Something has come that does not open: it is damaged, or was sealed with keys that are gone.
    Unreadable,
    /// Somebody we do not know asks for a session; it is answered if they are approved.
    Offer(ClientId),
    /// A session that we asked for has begun.
    Answered,
    /// The server gives others keys for us that we have not published, or says that we are not there.
    OtherKeys,
    /// Somebody has written for the first time: their identity is pinned.
    NewContact,
    /// The contact has another identity, which the one before has signed. Who was verified is to be verified again.
    Rotated {
        /// The id that they had.
        from: ClientId,
    },
    /// The contact's name is another identity's now, and theirs has not signed that.
    Changed {
        /// That identity's id.
        to: ClientId,
    },
    /// A message of a type that this program does not know.
    Unknown(BodyType),
}

/// A message of the history.
#[derive(Debug)]
pub struct Message {
    /// Our or the sender's number for it.
    pub message_id: EnvelopeId,
    /// Whether we sent it.
    pub is_ours: bool,
    /// When, by the sender's clock.
    pub sent: UnixMillis,
    /// What was said.
    pub event: Event,
    /// How far it is, if it is ours.
    pub delivery: Delivery,
}

impl Account {
    /// Shows what the user has not seen, oldest first, and says how much that was. What is not taken with `Ok` is shown again
    /// the next time.
    ///
    /// # Errors
    /// What `show` returns, and [`crate::ErrorKind::Profile`] if the state cannot be read.
    pub fn show(&self, most: usize, show: &mut dyn FnMut(Arrival) -> Result<()>) -> Result<usize> {
        let unshown = self.store.read(|tx| tx.list::<Unshown>(UNSHOWN, usize::MAX))?;
        let mut shown = 0;
        for (number, unshown) in unshown.into_iter().take(most) {
            let from = match unshown.from {
                Some(id) => self.store.read(|tx| tx.find::<Peer>(&id.0.0))?.as_ref().map(Contact::of),
                None => None,
            };
            let is_message = unshown.message_id.is_some();
            show(Arrival {
                event: event(&unshown, unshown.event.clone()),
                from,
                message_id: unshown.message_id.map(|id| id.0),
                sent: is_message.then_some(UnixMillis(unshown.sent_ms)),
            })?;
            self.store.write(|tx| tx.erase_number::<Unshown>(UNSHOWN, number))?;
            shown += 1;
        }
        Ok(shown)
    }

    /// What was said with somebody, oldest first: the last `most` messages.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Peer`] if we do not know them.
    pub fn history(&self, who: &Designation, most: usize) -> Result<Vec<Message>> {
        let said = self.store.read(|tx: &Tx<'_>| {
            let peer = known_peer(tx, who)?;
            tx.list::<Said>(&peer.thread.0.0, most)
        })?;
        let message = |said: Said| Message {
            message_id: said.message_id.0,
            is_ours: said.is_ours,
            sent: UnixMillis(said.sent_ms),
            event: said.what.into_event(None),
            delivery: said.delivery,
        };
        Ok(said.into_iter().map(|(_, said)| message(said)).collect())
    }
}

fn event(unshown: &Unshown, event: StoredEvent) -> Event {
    event.into_event(unshown.from.map(|id| id.0))
}

impl StoredEvent {
    fn into_event(self, from: Option<ClientId>) -> Event {
        match self {
            Self::Text(text) => Event::Text(Text(text.0)),
            Self::File { path, size } => Event::File { path: path.into(), size },
            Self::FileLost { name } => Event::FileLost { name },
            Self::Missing(count) => Event::Missing(count),
            Self::Unreadable => Event::Unreadable,
            Self::Offer => Event::Offer(from.unwrap_or(ClientId::NOBODY)),
            Self::Answered => Event::Answered,
            Self::OtherKeys => Event::OtherKeys,
            Self::NewContact => Event::NewContact,
            Self::Rotated { from } => Event::Rotated { from: from.0 },
            Self::Changed { to } => Event::Changed { to: to.0 },
            Self::Unknown { body_type } => Event::Unknown(BodyType(body_type)),
        }
    }
}
