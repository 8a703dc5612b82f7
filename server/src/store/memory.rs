//! A store that forgets everything when the program ends: for tests, and for trying the server out.

mod modern;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use messageu_wire::fields::{CLIENT_ID_SIZE, ClientId, Name};
use messageu_wire::message::MessageType;

use self::modern::ModernMemory;
use super::modern::ModernStore;
use super::{
    Amount, CHUNK_SIZE, Client, Content, ImportRow, Imported, Movement, NewMessage, Pending, QueueLimits,
    RosterEntry, RosterExtent, Sequence, Store, StoreError, StoreMetrics, UploadId, chunk_size, from_unix,
    goes_along, to_unix,
};

/// Clients and messages in memory, behind one lock that is never held across an await.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    modern: ModernMemory,
    metrics: StoreMetrics,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        // Nothing in here panics halfway through a change, so a poisoned lock guards a sound state.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Storage("the store is closed".to_owned())) } else { Ok(state) }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn register(&self, client: Client, now: SystemTime) -> Result<(), StoreError> {
        self.lock()?.register(client, Some(to_unix(now)))
    }

    async fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        Ok(self.lock()?.clients.get(&id).map(|record| record.client.clone()))
    }

    async fn client_by_prefix(&self, prefix: [u8; 8]) -> Result<Option<Client>, StoreError> {
        Ok(self.lock()?.by_prefix(prefix).map(|record| record.client.clone()))
    }

    async fn remember_profile(&self, id: ClientId, profile: &str) -> Result<(), StoreError> {
        if let Some(record) = self.lock()?.clients.get_mut(&id) {
            profile.clone_into(&mut record.client.profile);
        }
        Ok(())
    }

    async fn delete_client(&self, id: ClientId) -> Result<(), StoreError> {
        let dropped = self.lock()?.delete_client(id)?;
        self.metrics.messages.moved(&Movement { dropped, ..Movement::default() });
        Ok(())
    }

    fn touch(&self, id: ClientId, now: SystemTime) {
        if let Ok(mut state) = self.lock()
            && let Some(record) = state.clients.get_mut(&id)
        {
            record.last_seen = Some(to_unix(now));
        }
    }

    async fn last_seen(&self, id: ClientId) -> Result<Option<SystemTime>, StoreError> {
        Ok(self.lock()?.clients.get(&id).and_then(|record| record.last_seen).map(from_unix))
    }

    async fn roster(&self, asker: ClientId) -> Result<RosterExtent, StoreError> {
        let state = self.lock()?;
        let others = state.roster.iter().filter(|(_, (id, _))| *id != asker);
        let (count, last) = others.fold((0, 0), |(count, _), (position, _)| (count + 1, *position));
        Ok(RosterExtent { count, last })
    }

    async fn roster_page(
        &self,
        asker: ClientId,
        after: i64,
        last: i64,
        limit: usize,
    ) -> Result<Vec<RosterEntry>, StoreError> {
        let state = self.lock()?;
        let behind = state.roster.range(after.saturating_add(1)..);
        Ok(behind
            .take_while(|(position, _)| **position <= last)
            .filter(|(_, (id, _))| *id != asker)
            .take(limit)
            .map(|(position, (id, name))| RosterEntry { position: *position, id: *id, name: name.clone() })
            .collect())
    }

    async fn begin_upload(&self, to: ClientId, size: u32) -> Result<UploadId, StoreError> {
        let mut state = self.lock()?;
        state.known(to)?;
        state.last_upload += 1;
        let upload = UploadId(state.last_upload);
        state.uploads.insert(upload, Upload { announced: size, chunks: Vec::new() });
        Ok(upload)
    }

    async fn check_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: u32,
        limits: QueueLimits,
    ) -> Result<(), StoreError> {
        self.lock()?.make_room((to, from), size, limits).map(|_| ())
    }

    async fn append_chunk(&self, upload: UploadId, chunk: Bytes) -> Result<(), StoreError> {
        let mut state = self.lock()?;
        let upload = state.uploads.get_mut(&upload).ok_or(StoreError::NoSuchContent)?;
        if chunk.is_empty() || chunk.len() != upload.next_chunk_size() {
            return Err(StoreError::Misuse("a chunk of a wrong size"));
        }
        upload.chunks.push(chunk);
        Ok(())
    }

    fn abandon_upload(&self, upload: UploadId) {
        if let Ok(mut state) = self.lock() {
            state.uploads.remove(&upload);
        }
    }

    async fn enqueue(&self, message: NewMessage, limits: QueueLimits) -> Result<Sequence, StoreError> {
        let (sequence, movement) = self.lock()?.enqueue(message, limits)?;
        self.metrics.messages.moved(&movement);
        Ok(sequence)
    }

    async fn pending(
        &self,
        to: ClientId,
        after: Sequence,
        limit: usize,
        mut inline_budget: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        let state = self.lock()?;
        let behind = state.queue(to).filter(|(sequence, _)| *sequence > after);
        Ok(behind
            .take(limit)
            .map(|(sequence, waiting)| Pending {
                sequence,
                from: waiting.from,
                kind: waiting.kind,
                size: waiting.size,
                content: goes_along(waiting.size, &mut inline_budget)
                    .then(|| waiting.chunks.first().cloned().unwrap_or_default()),
            })
            .collect())
    }

    async fn read_content(&self, sequence: Sequence, index: u32) -> Result<Bytes, StoreError> {
        let state = self.lock()?;
        let to = state.recipients.get(&sequence).ok_or(StoreError::NoSuchContent)?;
        let waiting = state.messages.get(&(*to, sequence)).ok_or(StoreError::NoSuchContent)?;
        let index = usize::try_from(index).map_err(|_| StoreError::NoSuchContent)?;
        waiting.chunks.get(index).cloned().ok_or(StoreError::NoSuchContent)
    }

    async fn acknowledge(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, StoreError> {
        let mut state = self.lock()?;
        let mut acknowledged = Amount::default();
        for sequence in sequences {
            state.delete(to, *sequence).into_iter().for_each(|size| acknowledged.count(size));
        }
        self.metrics.messages.moved(&Movement { acknowledged, ..Movement::default() });
        Ok(acknowledged.messages)
    }

    async fn mark_time(&self, now: SystemTime) -> Result<SystemTime, StoreError> {
        let mut state = self.lock()?;
        let latest = state.times.last_key_value().map_or(i64::MIN, |(_, reached)| *reached);
        let now = to_unix(now).max(latest);
        let last = Sequence(state.last_sequence);
        state.times.entry(last).or_insert(now);
        Ok(from_unix(now))
    }

    async fn expire(&self, before: SystemTime, limit: usize) -> Result<u64, StoreError> {
        let expired = self.lock()?.expire(to_unix(before), limit);
        self.metrics.messages.moved(&Movement { expired, ..Movement::default() });
        Ok(expired.messages)
    }

    async fn clients_last_seen_between(
        &self,
        earliest: SystemTime,
        before: SystemTime,
        limit: usize,
    ) -> Result<Vec<ClientId>, StoreError> {
        let seen = to_unix(earliest)..to_unix(before);
        let state = self.lock()?;
        let is_away = |record: &&Record| record.last_seen.is_some_and(|last| seen.contains(&last));
        let away = state.clients.values().filter(is_away);
        Ok(away.take(limit).map(|record| record.client.id).collect())
    }

    fn modern(&self) -> Option<&dyn ModernStore> {
        Some(self)
    }

    fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.lock().map(|_| ())
    }

    async fn import(&self, rows: Vec<ImportRow>) -> Result<Vec<Result<Imported, StoreError>>, StoreError> {
        let mut state = self.lock()?;
        let mut movement = Movement::default();
        let imported = rows.into_iter().map(|row| state.import(row, &mut movement)).collect();
        self.metrics.messages.moved(&movement);
        Ok(imported)
    }

    async fn close(&self) {
        self.modern.close();
        if let Ok(mut state) = self.lock() {
            *state = State { closed: true, ..State::default() };
        }
    }
}

#[derive(Default)]
struct State {
    clients: BTreeMap<ClientId, Record>,
    roster: BTreeMap<i64, (ClientId, Name)>,
    last_position: i64,
    uploads: HashMap<UploadId, Upload>,
    last_upload: i64,
    messages: BTreeMap<(ClientId, Sequence), Waiting>,
    recipients: HashMap<Sequence, ClientId>,
    /// How much waits for each recipient, and of each sender for each recipient.
    tallies: HashMap<ClientId, Tally>,
    pair_tallies: HashMap<(ClientId, ClientId), Tally>,
    last_sequence: i64,
    /// Digests of the messages that were taken over.
    imports: HashSet<[u8; 32]>,
    /// When how many messages had come.
    times: BTreeMap<Sequence, i64>,
    closed: bool,
}

struct Record {
    client: Client,
    position: i64,
    last_seen: Option<i64>,
}

struct Upload {
    announced: u32,
    chunks: Vec<Bytes>,
}

impl Upload {
    /// 0 when it is complete.
    fn next_chunk_size(&self) -> usize {
        u32::try_from(self.chunks.len()).map_or(0, |index| chunk_size(self.announced, index))
    }
}

struct Waiting {
    from: ClientId,
    kind: MessageType,
    size: u32,
    chunks: Vec<Bytes>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    messages: u64,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, size: u32) {
        self.messages += 1;
        self.bytes += u64::from(size);
    }

    fn take(&mut self, size: u32) {
        self.messages -= 1;
        self.bytes -= u64::from(size);
    }
}

fn take_from<K: Eq + Hash>(tallies: &mut HashMap<K, Tally>, key: K, size: u32) {
    if let Entry::Occupied(mut tally) = tallies.entry(key) {
        tally.get_mut().take(size);
        if tally.get().messages == 0 {
            tally.remove();
        }
    }
}

impl State {
    fn known(&self, id: ClientId) -> Result<(), StoreError> {
        if self.clients.contains_key(&id) { Ok(()) } else { Err(StoreError::UnknownClient(id)) }
    }

    fn by_prefix(&self, prefix: [u8; 8]) -> Option<&Record> {
        let mut first = [0; CLIENT_ID_SIZE];
        first.iter_mut().zip(prefix).for_each(|(to, from)| *to = from);
        let (id, record) = self.clients.range(ClientId(first)..).next()?;
        id.0.starts_with(&prefix).then_some(record)
    }

    fn register(&mut self, client: Client, now: Option<i64>) -> Result<(), StoreError> {
        if self.roster.values().any(|(_, name)| *name == client.name) {
            return Err(StoreError::NameTaken);
        }
        let (prefix, _) = client.id.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        if self.by_prefix(*prefix).is_some() {
            return Err(StoreError::IdTaken);
        }
        self.last_position += 1;
        self.roster.insert(self.last_position, (client.id, client.name.clone()));
        self.clients.insert(client.id, Record { client, position: self.last_position, last_seen: now });
        Ok(())
    }

    /// Returns what it had waiting.
    fn delete_client(&mut self, id: ClientId) -> Result<Amount, StoreError> {
        let record = self.clients.remove(&id).ok_or(StoreError::UnknownClient(id))?;
        self.roster.remove(&record.position);
        let waiting: Vec<_> = self.queue(id).map(|(sequence, _)| sequence).collect();
        let mut dropped = Amount::default();
        for sequence in waiting {
            self.delete(id, sequence).into_iter().for_each(|size| dropped.count(size));
        }
        Ok(dropped)
    }

    fn queue(&self, to: ClientId) -> impl Iterator<Item = (Sequence, &Waiting)> {
        let all = (to, Sequence(i64::MIN))..=(to, Sequence(i64::MAX));
        self.messages.range(all).map(|((_, sequence), waiting)| (*sequence, waiting))
    }

    /// Looks at every message: a store for tests can afford that.
    fn expire(&mut self, before: i64, limit: usize) -> Amount {
        let mut old = self.times.iter().rev().filter(|(_, reached)| **reached < before);
        let Some((last, _)) = old.next() else { return Amount::default() };
        let mut waiting: Vec<_> = self.recipients.iter().map(|(sequence, to)| (*sequence, *to)).collect();
        waiting.retain(|(sequence, _)| sequence <= last);
        waiting.sort_unstable();
        let mut expired = Amount::default();
        for (sequence, to) in waiting.into_iter().take(limit) {
            self.delete(to, sequence).into_iter().for_each(|size| expired.count(size));
        }
        expired
    }

    /// Returns the size of what is gone.
    fn delete(&mut self, to: ClientId, sequence: Sequence) -> Option<u32> {
        let Waiting { from, size, .. } = self.messages.remove(&(to, sequence))?;
        self.recipients.remove(&sequence);
        take_from(&mut self.tallies, to, size);
        take_from(&mut self.pair_tallies, (to, from), size);
        Some(size)
    }

    fn enqueue(
        &mut self,
        message: NewMessage,
        limits: QueueLimits,
    ) -> Result<(Sequence, Movement), StoreError> {
        self.known(message.to)?;
        self.known(message.from)?;
        let size = self.size(&message.content)?;
        let mut movement = Movement::default();
        for sequence in self.make_room((message.to, message.from), size, limits)? {
            let dropped = self.delete(message.to, sequence);
            dropped.into_iter().for_each(|size| movement.dropped.count(size));
        }
        movement.accepted.count(size);
        Ok((self.insert(message, size), movement))
    }

    fn insert(&mut self, message: NewMessage, size: u32) -> Sequence {
        let chunks = match message.content {
            Content::Inline(content) if content.is_empty() => Vec::new(),
            Content::Inline(content) => vec![content],
            Content::Uploaded(id) => self.uploads.remove(&id).map(|upload| upload.chunks).unwrap_or_default(),
        };
        self.last_sequence += 1;
        let sequence = Sequence(self.last_sequence);
        self.recipients.insert(sequence, message.to);
        self.tallies.entry(message.to).or_default().add(size);
        self.pair_tallies.entry((message.to, message.from)).or_default().add(size);
        let waiting = Waiting { from: message.from, kind: message.kind, size, chunks };
        self.messages.insert((message.to, sequence), waiting);
        sequence
    }

    fn import(&mut self, row: ImportRow, movement: &mut Movement) -> Result<Imported, StoreError> {
        match row {
            ImportRow::Client { client, last_seen } => {
                let there = self.clients.get(&client.id).map(|record| &record.client);
                if there
                    .is_some_and(|there| there.name == client.name && there.public_key == client.public_key)
                {
                    return Ok(Imported::Before);
                }
                self.register(client, last_seen)?;
            }
            ImportRow::Message { message, digest } => {
                if self.imports.contains(&digest) {
                    return Ok(Imported::Before);
                }
                self.known(message.to)?;
                let size = self.size(&message.content)?;
                self.insert(message, size);
                movement.accepted.count(size);
                self.imports.insert(digest);
            }
        }
        Ok(Imported::Now)
    }

    fn size(&self, content: &Content) -> Result<u32, StoreError> {
        match content {
            Content::Inline(content) => u32::try_from(content.len())
                .ok()
                .filter(|_| content.len() <= CHUNK_SIZE)
                .ok_or(StoreError::Misuse("too much content for one piece")),
            Content::Uploaded(id) => {
                let upload = self.uploads.get(id).ok_or(StoreError::NoSuchContent)?;
                if upload.next_chunk_size() > 0 {
                    return Err(StoreError::Misuse("an incomplete upload"));
                }
                Ok(upload.announced)
            }
        }
    }

    /// The messages that must go for one more from one to another.
    fn make_room(
        &self,
        (to, from): (ClientId, ClientId),
        size: u32,
        limits: QueueLimits,
    ) -> Result<Vec<Sequence>, StoreError> {
        let mut all = self.tallies.get(&to).copied().unwrap_or_default();
        let mut pair = self.pair_tallies.get(&(to, from)).copied().unwrap_or_default();
        let surplus = usize::try_from(limits.surplus(pair.messages)?).unwrap_or(usize::MAX);
        let of_pair = self.queue(to).filter(|(_, waiting)| waiting.from == from);
        let going = of_pair.take(surplus).map(|(sequence, waiting)| {
            all.take(waiting.size);
            pair.take(waiting.size);
            sequence
        });
        let going = going.collect();
        all.add(size);
        pair.add(size);
        limits.allow_pair(pair.bytes)?;
        limits.allow(all.messages, all.bytes)?;
        Ok(going)
    }
}
