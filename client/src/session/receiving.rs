//! What comes in: from the server into the inbox, and from there to the user.

use std::collections::BTreeSet;
use std::path::PathBuf;

use messageu_envelope::legacy::{LEGACY_WRAPPED_KEY_SIZE, legacy_open, legacy_sealed_size};
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::{ClientId, MessageId};
use messageu_wire::message::MessageType;
use messageu_wire::operation::pull_messages::EntryHead;
use zeroize::Zeroizing;

use super::{Session, TEXT_LIMIT, several, stranger};
use crate::arrival::{Arrival, Content, KeyOutcome, Locked, Show, Text};
use crate::client::{Progress, Pull, Pulled};
use crate::download::{Opening, discard_parts, save};
use crate::error::{Error, ErrorKind, Result};
use crate::inbox::{Entry, State};
use crate::keyring::{Asked, Contact, StoredKey};

/// A message that stays in the inbox, or, for want of room, with the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// From whom.
    pub from: Contact,
    /// The server's number for it, if the dialect has one.
    pub message_id: Option<MessageId>,
    /// Its type.
    pub kind: MessageType,
    /// Bytes of its content, sealed.
    pub size: u64,
    /// Why it stays.
    pub why: WhyWaiting,
}

/// Why a message stays in the inbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyWaiting {
    /// It has not been shown yet, perhaps because it could not be saved.
    New,
    /// It was shown to be there, and waits for a key that opens it.
    Locked,
    /// There was no room for it in the profile: the server has it still.
    NoRoom,
}

/// One call of [`Session::receive`]: what it has shown, and what it could not.
struct Showing {
    /// How many more may be shown.
    left: usize,
    count: usize,
    /// Messages that could not be shown, by their sequence in the inbox. They stay, and hold up no other.
    stuck: BTreeSet<u64>,
    /// Why the first of them could not.
    failure: Option<Error>,
}

impl Showing {
    const fn new(most: usize) -> Self {
        Self { left: most, count: 0, stuck: BTreeSet::new(), failure: None }
    }

    fn may_try(&self, entry: &Entry) -> bool {
        !self.stuck.contains(&entry.sequence)
    }

    fn has_shown(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.count += 1;
    }
}

impl Session {
    /// Takes what has come, at most `most` messages of it, and hands each to `show`; says how many. First what is in
    /// the inbox from before, then what waits at the server.
    ///
    /// What `show` does not take, what goes beyond `most`, and what does not open or cannot be saved stays in the inbox.
    ///
    /// # Errors
    /// See [`ErrorKind`]. After a connection that was cut, what had come by then has been shown; after a message that
    /// could not be saved, all others have.
    pub async fn receive(
        &mut self,
        most: Option<usize>,
        progress: Progress<'_>,
        show: Show<'_>,
    ) -> Result<usize> {
        discard_parts(&self.downloads(), self.id());
        let mut showing = Showing::new(most.unwrap_or(usize::MAX));
        self.show_inbox(&mut showing, progress, show).await?;
        if showing.left > 0 {
            let pulled = self.pull(progress).await;
            self.show_inbox(&mut showing, progress, show).await?;
            pulled?;
        }
        showing.failure.map_or(Ok(showing.count), Err)
    }

    /// What stays in the inbox: messages that do not open, that could not be saved, or that were not asked for yet.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if the inbox cannot be read.
    pub fn waiting(&self) -> Result<Vec<Waiting>> {
        let entries = self.inbox.all()?;
        let here = entries.iter().map(|entry| {
            let why = match entry.state {
                State::New => WhyWaiting::New,
                State::Waiting => WhyWaiting::Locked,
            };
            let Entry { from, message_id, kind, .. } = *entry;
            Ok(Waiting { from: self.contact(from), message_id, kind, size: entry.size()?, why })
        });
        let there = self.inbox.at_server().map(|EntryHead { from, message_id, kind, size }| {
            Ok(Waiting {
                from: self.contact(from),
                message_id,
                kind,
                size: size.into(),
                why: WhyWaiting::NoRoom,
            })
        });
        here.chain(there).collect()
    }

    /// Of these, the ones from a user, who need not be known to the server any more.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is nothing from them.
    pub fn waiting_from(&self, name: &str) -> Result<Vec<Waiting>> {
        let id = match (self.known(name).as_slice(), name.parse()) {
            ([contact], _) => Some(contact.id),
            ([], Ok(id)) => Some(id),
            ([], Err(_)) => None,
            _ => return Err(several(name)),
        };
        let mut waiting = self.waiting()?;
        waiting.retain(|one| Some(one.from.id) == id);
        if waiting.is_empty() {
            let what = format!("nothing from {name:?} is in the inbox");
            return Err(Error::new(ErrorKind::Peer, what).hint("`messageu inbox` shows what is"));
        }
        Ok(waiting)
    }

    /// Gives up what stays from a user: removes it from the inbox, and drops what the server has still when it comes
    /// again. Says how many messages that is.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is nothing from them.
    pub fn discard(&mut self, name: &str) -> Result<usize> {
        let waiting = self.waiting_from(name)?;
        let Some(Waiting { from, .. }) = waiting.first() else { return Ok(0) };
        for entry in self.inbox.all()?.iter().filter(|entry| entry.from == from.id) {
            self.inbox.remove(entry)?;
        }
        self.inbox.give_up(from.id)?;
        Ok(waiting.len())
    }

    fn contact(&self, id: ClientId) -> Contact {
        Contact { id, name: self.contacts.name(id).map_or_else(|| id.to_string(), str::to_owned) }
    }

    /// Moves what waits at the server to the inbox.
    async fn pull(&mut self, progress: Progress<'_>) -> Result<()> {
        let client = self.client().await?;
        let mut pull = client.pull(self.id()).await?;
        self.inbox.open_pull();
        let taken = match self.take(&mut pull, progress).await {
            Ok(()) => self.inbox.sync().and_then(|()| self.all_stored()),
            Err(error) => Err(if error.kind() == ErrorKind::Refused { stranger(error) } else { error }),
        };
        match &taken {
            Ok(()) => pull.confirm().await,
            Err(_) => drop(pull),
        }
        self.inbox.close_pull(taken.is_ok())?;
        taken
    }

    /// Fails if a message of this pull found no room: the server must not take it as arrived.
    fn all_stored(&mut self) -> Result<()> {
        let Some((from, error)) = self.inbox.take_unstored() else { return Ok(()) };
        let from = self.contact(from);
        let what = format!("a message from {} stays with the server: {error}", from.name);
        Err(stays(&error, what, &from))
    }

    async fn take(&mut self, pull: &mut Pull, progress: Progress<'_>) -> Result<()> {
        let (mut done, mut total) = (0, 0);
        loop {
            match pull.next().await? {
                Pulled::Head(head) => {
                    (done, total) = (0, u64::from(head.size));
                    self.inbox.begin(head)?;
                }
                Pulled::Content(bytes) => {
                    self.inbox.content(&bytes)?;
                    done += u64::try_from(bytes.len()).unwrap_or_default();
                    progress(done, total);
                }
                Pulled::EndOfContent => self.inbox.end()?,
                Pulled::End => return Ok(()),
            }
        }
    }

    /// Shows what is in the inbox. An error is one of `show` or of the inbox itself.
    async fn show_inbox(
        &mut self,
        showing: &mut Showing,
        progress: Progress<'_>,
        show: Show<'_>,
    ) -> Result<()> {
        for peer in self.keyring.with_new_key() {
            self.retry_waiting(peer, showing, progress, show).await?;
        }
        for entry in self.inbox.entries(State::New)? {
            if showing.left == 0 {
                break;
            }
            let Some(content) = self.try_open(&entry, showing, progress).await else { continue };
            let (locked, key_came) = (
                matches!(content, Content::Locked(_)),
                matches!(content, Content::Key(KeyOutcome::Accepted | KeyOutcome::Known)),
            );
            show(self.arrival(&entry, content).await)?;
            showing.has_shown();
            if locked {
                self.inbox.keep_waiting(&entry)?;
            } else {
                self.inbox.remove(&entry)?;
            }
            if key_came {
                self.retry_waiting(entry.from, showing, progress, show).await?;
            }
        }
        Ok(())
    }

    /// Shows what has been waiting for this peer's key and opens now.
    async fn retry_waiting(
        &mut self,
        peer: ClientId,
        showing: &mut Showing,
        progress: Progress<'_>,
        show: Show<'_>,
    ) -> Result<()> {
        let mut entries = self.inbox.entries(State::Waiting)?;
        entries.retain(|entry| entry.from == peer);
        let mut all_tried = true;
        for entry in entries {
            if showing.left == 0 {
                return Ok(());
            }
            match self.try_open(&entry, showing, progress).await {
                None => all_tried = false,
                Some(Content::Locked(_)) => {}
                Some(content) => {
                    show(self.arrival(&entry, content).await)?;
                    self.inbox.remove(&entry)?;
                    showing.has_shown();
                }
            }
        }
        if all_tried && self.keyring.peer(peer).is_some_and(|peer| peer.key_is_new) {
            self.keyring.update(&self.state, peer, |peer| peer.key_is_new = false)?;
        }
        Ok(())
    }

    /// Opens a message. One that cannot be is noted, and left alone for the rest of this call.
    async fn try_open(
        &mut self,
        entry: &Entry,
        showing: &mut Showing,
        progress: Progress<'_>,
    ) -> Option<Content> {
        if !showing.may_try(entry) {
            return None;
        }
        match self.open_entry(entry, progress).await {
            Ok(content) => Some(content),
            Err(error) => {
                showing.stuck.insert(entry.sequence);
                let from = self.contact(entry.from);
                let what = format!("a message from {} stays in the inbox: {error}", from.name);
                showing.failure.get_or_insert(stays(&error, what, &from));
                None
            }
        }
    }

    async fn arrival(&mut self, entry: &Entry, content: Content) -> Arrival {
        if self.contacts.name(entry.from).is_none() && !self.listed {
            // Without names ids have to do; that must not hold up a message.
            let _ = self.list().await;
            self.listed = true;
        }
        Arrival { from: self.contact(entry.from), message_id: entry.message_id, kind: entry.kind, content }
    }

    async fn open_entry(&mut self, entry: &Entry, progress: Progress<'_>) -> Result<Content> {
        match entry.kind {
            MessageType::KEY_REQUEST => self.take_key_request(entry).await,
            MessageType::KEY => self.take_key(entry).map(Content::Key),
            MessageType::TEXT | MessageType::FILE => self.open_sealed(entry, progress).await,
            _ => {
                let saved = save(entry, Opening::AsItIs, (&self.downloads(), self.id()), progress).await?;
                saved.map(Content::Unknown).ok_or_else(|| Error::new(ErrorKind::Other, "nothing was saved"))
            }
        }
    }

    async fn take_key_request(&mut self, entry: &Entry) -> Result<Content> {
        self.keyring.update(&self.state, entry.from, |peer| peer.wants_key = true)?;
        if !self.options.auto_keys {
            return Ok(Content::KeyRequest(None));
        }
        let answer = self.send_key_to(self.contact(entry.from), false).await;
        Ok(Content::KeyRequest(Some(answer.map(|_| ()))))
    }

    fn take_key(&mut self, entry: &Entry) -> Result<KeyOutcome> {
        let asked = self.keyring.peer(entry.from).and_then(|peer| peer.asked);
        if entry.size()? != u64::try_from(LEGACY_WRAPPED_KEY_SIZE).unwrap_or_default() {
            return Ok(KeyOutcome::Damaged);
        }
        let wrapped = entry.read()?;
        let Ok(key) = self.identity.key.unwrap_key(&wrapped, &mut rand::rng()) else {
            return Ok(KeyOutcome::Damaged);
        };
        let ours = self.keyring.key(entry.from);
        // Both have asked, and both have answered: one of the two keys has to be the one, for both the same.
        let crossed = self.keyring.peer(entry.from).is_some_and(|peer| peer.key_answered_them);
        let outcome = match (asked, ours) {
            (_, Some(ours)) if *ours == key => KeyOutcome::Known,
            (None, _) => return Ok(KeyOutcome::NotAsked),
            (Some(Asked::ForFirst), Some(_)) if crossed && self.id() < entry.from => KeyOutcome::Kept,
            (Some(_), _) => KeyOutcome::Accepted,
        };
        self.keyring.update(&self.state, entry.from, |peer| {
            peer.asked = None;
            peer.key_answered_them = false;
            if outcome == KeyOutcome::Accepted {
                peer.key = Some(StoredKey(key));
                peer.key_is_new = true;
            }
        })?;
        Ok(outcome)
    }

    async fn open_sealed(&mut self, entry: &Entry, progress: Progress<'_>) -> Result<Content> {
        let Some(key) = self.keyring.key(entry.from).cloned() else {
            return Ok(Content::Locked(Locked::NoKey));
        };
        // What has been pulled was pulled in a dialect that is proven, unless the user says otherwise now.
        let dialect = self.proof.map(|(dialect, _)| dialect).or(self.options.dialect);
        let iv = self.iv(entry.from, dialect.unwrap_or(Dialect::classic(Family::D)));
        let is_text = entry.kind == MessageType::TEXT;
        if is_text && entry.size()? <= legacy_sealed_size(TEXT_LIMIT, iv) {
            let opened = legacy_open(&key, iv, &entry.read()?);
            return Ok(opened.map_or(Content::Locked(Locked::WrongKey), |text| {
                Content::Text(Text(Zeroizing::new(text)))
            }));
        }
        let saved = save(entry, Opening::With(&key, iv), (&self.downloads(), self.id()), progress).await?;
        Ok(match saved {
            None => Content::Locked(Locked::WrongKey),
            Some(download) if is_text => Content::LongText(download),
            Some(download) => Content::File(download),
        })
    }

    fn downloads(&self) -> PathBuf {
        let dir = self.options.downloads.clone().unwrap_or_else(|| self.profile.dir().join("downloads"));
        // So that the path that is shown leads there from anywhere.
        std::path::absolute(&dir).unwrap_or(dir)
    }
}

/// Why a message has not been shown, and what to do about it.
fn stays(error: &Error, what: String, from: &Contact) -> Error {
    Error::new(error.kind(), what).hint(format!(
        "{}; what has come besides has been shown. `messageu receive` tries again, `messageu discard {}` gives it up",
        error.hint_text().unwrap_or("it may work another time"),
        from.handle(),
    ))
}
