//! What a store promises, in the fewest words: the reference for every [`Store`](messageu_server::store::Store).
//!
//! The model makes up no numbers. Which ones a store gives to messages and uploads is its own affair, so the model is
//! told them, and sees to it that they rise or are new. Where several errors apply, it gives the one all stores give.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use messageu_server::store::{
    CHUNK_SIZE, Client, Content, NewMessage, Pending, QueueLimits, QueuePolicy, Sequence, StoreError,
    UploadId,
};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::message::MessageType;

/// Why a store refuses: [`StoreError`], without its texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// [`StoreError::NameTaken`].
    NameTaken,
    /// [`StoreError::IdTaken`].
    IdTaken,
    /// [`StoreError::UnknownClient`].
    UnknownClient(ClientId),
    /// [`StoreError::QueueFull`].
    QueueFull,
    /// [`StoreError::NoSuchContent`].
    NoSuchContent,
    /// [`StoreError::Misuse`].
    Misuse,
    /// [`StoreError::Storage`]: none that the model gives.
    Storage,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken => Self::NameTaken,
            StoreError::IdTaken => Self::IdTaken,
            StoreError::UnknownClient(id) => Self::UnknownClient(id),
            StoreError::QueueFull(_) => Self::QueueFull,
            StoreError::NoSuchContent => Self::NoSuchContent,
            StoreError::Misuse(_) => Self::Misuse,
            StoreError::Storage(_) => Self::Storage,
        }
    }
}

/// A line of the roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Which registration it was, counted from 1.
    pub number: u64,
    /// Whose.
    pub id: ClientId,
    /// And under which name.
    pub name: Name,
}

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// In the order of registration.
    clients: BTreeMap<u64, Registered>,
    registrations: u64,
    uploads: BTreeMap<i64, Upload>,
    /// In the order in which they were accepted.
    messages: BTreeMap<Sequence, Waiting>,
    last: Sequence,
}

#[derive(Clone, Debug)]
struct Registered {
    client: Client,
    last_seen: SystemTime,
}

#[derive(Clone, Debug)]
struct Upload {
    announced: usize,
    content: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Waiting {
    to: ClientId,
    from: ClientId,
    kind: MessageType,
    content: Bytes,
}

impl Model {
    /// `register`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn register(&mut self, client: Client, now: SystemTime) -> Result<(), Refusal> {
        if self.clients().any(|other| other.name == client.name) {
            return Err(Refusal::NameTaken);
        }
        if self.clients().any(|other| other.id.0[..8] == client.id.0[..8]) {
            return Err(Refusal::IdTaken);
        }
        self.registrations += 1;
        self.clients.insert(self.registrations, Registered { client, last_seen: now });
        Ok(())
    }

    /// All clients, in the order of registration.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values().map(|registered| &registered.client)
    }

    /// `client`.
    #[must_use]
    pub fn client(&self, id: ClientId) -> Option<&Client> {
        self.clients().find(|client| client.id == id)
    }

    /// `client_by_prefix`.
    #[must_use]
    pub fn client_by_prefix(&self, prefix: [u8; 8]) -> Option<&Client> {
        self.clients().find(|client| client.id.0.starts_with(&prefix))
    }

    /// `remember_profile`, which is promised for a client without one.
    pub fn remember_profile(&mut self, id: ClientId, profile: &str) {
        if let Some(registered) = self.registered(id) {
            profile.clone_into(&mut registered.client.profile);
        }
    }

    /// `delete_client`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn delete_client(&mut self, id: ClientId) -> Result<(), Refusal> {
        self.known(id)?;
        self.clients.retain(|_, registered| registered.client.id != id);
        self.messages.retain(|_, waiting| waiting.to != id);
        Ok(())
    }

    /// `touch`.
    pub fn touch(&mut self, id: ClientId, now: SystemTime) {
        if let Some(registered) = self.registered(id) {
            registered.last_seen = now;
        }
    }

    /// `last_seen`, for times of whole seconds.
    #[must_use]
    pub fn last_seen(&self, id: ClientId) -> Option<SystemTime> {
        let registered = self.clients.values().find(|registered| registered.client.id == id);
        registered.map(|registered| registered.last_seen)
    }

    /// What the pages of the roster add up to, from the extent that is asked for now. What is gone by the time a page is
    /// read is not on it ([`Model::is_listed`]).
    #[must_use]
    pub fn roster(&self, asker: ClientId) -> Vec<Listed> {
        let listed = self.clients.iter().map(|(number, Registered { client, .. })| Listed {
            number: *number,
            id: client.id,
            name: client.name.clone(),
        });
        listed.filter(|listed| listed.id != asker).collect()
    }

    /// Whether a line of the roster still stands.
    #[must_use]
    pub fn is_listed(&self, listed: &Listed) -> bool {
        self.clients.contains_key(&listed.number)
    }

    /// `begin_upload`, which the store has given this number.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Panics
    /// When the number is that of another upload.
    pub fn begin_upload(&mut self, to: ClientId, size: u32, given: Option<UploadId>) -> Result<(), Refusal> {
        self.known(to)?;
        if let Some(given) = given {
            let upload = Upload { announced: size as usize, content: Vec::new() };
            assert!(self.uploads.insert(given.0, upload).is_none(), "{given:?} is used twice");
        }
        Ok(())
    }

    /// `append_chunk`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn append_chunk(&mut self, upload: UploadId, chunk: &[u8]) -> Result<(), Refusal> {
        let Upload { announced, content } = self.uploads.get_mut(&upload.0).ok_or(Refusal::NoSuchContent)?;
        if chunk.is_empty() || chunk.len() != CHUNK_SIZE.min(*announced - content.len()) {
            return Err(Refusal::Misuse);
        }
        content.extend_from_slice(chunk);
        Ok(())
    }

    /// `abandon_upload`.
    pub fn abandon_upload(&mut self, upload: UploadId) {
        self.uploads.remove(&upload.0);
    }

    /// `check_room`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn check_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: u32,
        limits: &QueueLimits,
    ) -> Result<(), Refusal> {
        self.make_room(to, from, size as usize, limits).map(|_| ())
    }

    /// `enqueue`, which the store has given this number.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Panics
    /// When the number does not rise.
    pub fn enqueue(
        &mut self,
        message: &NewMessage,
        limits: &QueueLimits,
        given: Option<Sequence>,
    ) -> Result<(), Refusal> {
        let NewMessage { to, from, kind, .. } = *message;
        self.known(to)?;
        self.known(from)?;
        let content = self.whole(&message.content)?;
        let going = self.make_room(to, from, content.len(), limits)?;
        let Some(given) = given else { return Ok(()) };
        assert!(given > self.last, "{given:?} does not rise above {:?}", self.last);
        self.last = given;
        self.messages.retain(|sequence, _| !going.contains(sequence));
        if let Content::Uploaded(upload) = message.content {
            self.uploads.remove(&upload.0);
        }
        self.messages.insert(given, Waiting { to, from, kind, content });
        Ok(())
    }

    /// `pending`.
    #[must_use]
    pub fn pending(&self, to: ClientId, after: Sequence, limit: usize, mut budget: usize) -> Vec<Pending> {
        let behind = self.queue(to).filter(|(sequence, _)| *sequence > after);
        let page = behind.take(limit).map(|(sequence, Waiting { from, kind, content, .. })| {
            let along = content.len() <= CHUNK_SIZE.min(budget);
            budget -= if along { content.len() } else { 0 };
            let (from, kind, size) = (*from, *kind, content.len() as u32);
            Pending { sequence, from, kind, size, content: along.then(|| content.clone()) }
        });
        page.collect()
    }

    /// `read_content`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn read_content(&self, sequence: Sequence, index: u32) -> Result<Bytes, Refusal> {
        let content = self.messages.get(&sequence).map(|waiting| &waiting.content);
        let chunk = content.and_then(|content| content.chunks(CHUNK_SIZE).nth(index as usize));
        chunk.map(Bytes::copy_from_slice).ok_or(Refusal::NoSuchContent)
    }

    /// `acknowledge`.
    pub fn acknowledge(&mut self, to: ClientId, sequences: &[Sequence]) -> u64 {
        let before = self.messages.len();
        self.messages.retain(|sequence, waiting| waiting.to != to || !sequences.contains(sequence));
        (before - self.messages.len()) as u64
    }

    /// The store ends, and begins again with what it has kept.
    pub fn restart(&mut self) {
        self.uploads.clear();
    }

    /// Numbers of all messages that wait, and of uploads that are not yet messages.
    #[must_use]
    pub fn numbers(&self) -> (Vec<Sequence>, Vec<UploadId>) {
        (
            self.messages.keys().copied().collect(),
            self.uploads.keys().map(|number| UploadId(*number)).collect(),
        )
    }

    fn registered(&mut self, id: ClientId) -> Option<&mut Registered> {
        self.clients.values_mut().find(|registered| registered.client.id == id)
    }

    fn known(&self, id: ClientId) -> Result<(), Refusal> {
        self.client(id).map(|_| ()).ok_or(Refusal::UnknownClient(id))
    }

    fn whole(&self, content: &Content) -> Result<Bytes, Refusal> {
        match content {
            Content::Inline(content) if content.len() > CHUNK_SIZE => Err(Refusal::Misuse),
            Content::Inline(content) => Ok(content.clone()),
            Content::Uploaded(upload) => {
                let Upload { announced, content } =
                    self.uploads.get(&upload.0).ok_or(Refusal::NoSuchContent)?;
                if content.len() < *announced { Err(Refusal::Misuse) } else { Ok(content.clone().into()) }
            }
        }
    }

    fn queue(&self, to: ClientId) -> impl Iterator<Item = (Sequence, &Waiting)> {
        let queue = self.messages.iter().filter(move |(_, waiting)| waiting.to == to);
        queue.map(|(sequence, waiting)| (*sequence, waiting))
    }

    /// The messages that go for one of this size.
    fn make_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: usize,
        limits: &QueueLimits,
    ) -> Result<Vec<Sequence>, Refusal> {
        let of_pair = self.queue(to).filter(|(_, waiting)| waiting.from == from);
        let of_pair: Vec<Sequence> = of_pair.map(|(sequence, _)| sequence).collect();
        let surplus = (of_pair.len() + 1).saturating_sub(limits.per_pair as usize);
        let may_drop = limits.policy == QueuePolicy::DropOldest && limits.per_pair > 0;
        if surplus > 0 && !may_drop {
            return Err(Refusal::QueueFull);
        }
        let going = &of_pair[..surplus];
        let (mut messages, mut bytes, mut bytes_of_pair) = (1, size as u64, size as u64);
        for (_, waiting) in self.queue(to).filter(|(sequence, _)| !going.contains(sequence)) {
            let size = waiting.content.len() as u64;
            messages += 1;
            bytes += size;
            bytes_of_pair += if waiting.from == from { size } else { 0 };
        }
        let fits = messages <= limits.per_recipient
            && bytes <= limits.bytes_per_recipient
            && bytes_of_pair <= limits.bytes_per_pair;
        fits.then(|| going.to_vec()).ok_or(Refusal::QueueFull)
    }
}
