//! The memory store, made slow and unreliable: each call takes its time before and after, and may fail.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::{
    Client, ImportRow, Imported, NewMessage, Pending, QueueLimits, RosterEntry, RosterExtent, Sequence,
    Store, StoreError, StoreMetrics, UploadId,
};
use messageu_wire::fields::ClientId;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::sleep;

pub(crate) struct Storage {
    memory: MemoryStore,
    dice: Mutex<StdRng>,
    /// Milliseconds that a call takes at most, on either side of its effect.
    slowness: u64,
    /// Of a thousand calls, how many fail.
    failing: u32,
    /// Messages and chunks take their places in the order in which they were handed over, however long each takes.
    turns: tokio::sync::Mutex<()>,
    /// Messages that could not be deleted when they had arrived.
    undeleted: Mutex<BTreeSet<u32>>,
}

impl Storage {
    pub(crate) fn new(dice: StdRng, slowness: u64, failing: u32) -> Self {
        Self {
            memory: MemoryStore::new(),
            dice: Mutex::new(dice),
            slowness,
            failing,
            turns: tokio::sync::Mutex::default(),
            undeleted: Mutex::default(),
        }
    }

    /// The store without its faults.
    pub(crate) fn sound(&self) -> &MemoryStore {
        &self.memory
    }

    /// Message ids of what could not be deleted, and therefore comes again.
    pub(crate) fn undeleted(&self) -> BTreeSet<u32> {
        self.undeleted.lock().unwrap().clone()
    }

    /// Does something, or fails without having done it.
    async fn perhaps<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.pause().await;
        self.fail()?;
        let done = work.await;
        self.pause().await;
        done
    }

    /// The same, in the order of the calls.
    async fn in_turn<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let done = {
            let _turn = self.turns.lock().await;
            self.pause().await;
            self.fail()?;
            work.await
        };
        self.pause().await;
        done
    }

    fn fail(&self) -> Result<(), StoreError> {
        if self.dice.lock().unwrap().random_range(0..1000) < self.failing {
            return Err(StoreError::Storage("as it happens".into()));
        }
        Ok(())
    }

    async fn pause(&self) {
        let pause = self.dice.lock().unwrap().random_range(0..=self.slowness);
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
    }
}

#[async_trait]
impl Store for Storage {
    async fn register(&self, client: Client, now: SystemTime) -> Result<(), StoreError> {
        self.perhaps(self.memory.register(client, now)).await
    }

    async fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        // Does not fail: it would turn a client into a stranger, whose refusal means something else.
        self.pause().await;
        self.memory.client(id).await
    }

    async fn client_by_prefix(&self, prefix: [u8; 8]) -> Result<Option<Client>, StoreError> {
        self.perhaps(self.memory.client_by_prefix(prefix)).await
    }

    async fn remember_profile(&self, id: ClientId, profile: &str) -> Result<(), StoreError> {
        self.perhaps(self.memory.remember_profile(id, profile)).await
    }

    async fn delete_client(&self, id: ClientId) -> Result<(), StoreError> {
        self.perhaps(self.memory.delete_client(id)).await
    }

    fn touch(&self, id: ClientId, now: SystemTime) {
        self.memory.touch(id, now);
    }

    async fn last_seen(&self, id: ClientId) -> Result<Option<SystemTime>, StoreError> {
        self.perhaps(self.memory.last_seen(id)).await
    }

    async fn roster(&self, asker: ClientId) -> Result<RosterExtent, StoreError> {
        self.perhaps(self.memory.roster(asker)).await
    }

    async fn roster_page(
        &self,
        asker: ClientId,
        after: i64,
        last: i64,
        limit: usize,
    ) -> Result<Vec<RosterEntry>, StoreError> {
        self.perhaps(self.memory.roster_page(asker, after, last, limit)).await
    }

    async fn begin_upload(&self, to: ClientId, size: u32) -> Result<UploadId, StoreError> {
        self.perhaps(self.memory.begin_upload(to, size)).await
    }

    async fn check_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: u32,
        limits: QueueLimits,
    ) -> Result<(), StoreError> {
        self.perhaps(self.memory.check_room(to, from, size, limits)).await
    }

    async fn append_chunk(&self, upload: UploadId, chunk: Bytes) -> Result<(), StoreError> {
        self.in_turn(self.memory.append_chunk(upload, chunk)).await
    }

    fn abandon_upload(&self, upload: UploadId) {
        self.memory.abandon_upload(upload);
    }

    async fn enqueue(&self, message: NewMessage, limits: QueueLimits) -> Result<Sequence, StoreError> {
        self.in_turn(self.memory.enqueue(message, limits)).await
    }

    async fn pending(
        &self,
        to: ClientId,
        after: Sequence,
        limit: usize,
        inline_budget: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        self.perhaps(self.memory.pending(to, after, limit, inline_budget)).await
    }

    async fn import(&self, rows: Vec<ImportRow>) -> Result<Vec<Result<Imported, StoreError>>, StoreError> {
        self.perhaps(self.memory.import(rows)).await
    }

    async fn read_content(&self, sequence: Sequence, index: u32) -> Result<Bytes, StoreError> {
        self.perhaps(self.memory.read_content(sequence, index)).await
    }

    async fn acknowledge(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, StoreError> {
        self.pause().await;
        if let Err(error) = self.fail() {
            // Some are deleted all the same.
            let (deleted, kept) = sequences.split_at(sequences.len() / 2);
            self.undeleted.lock().unwrap().extend(kept.iter().map(|sequence| sequence.0 as u32));
            self.memory.acknowledge(to, deleted).await?;
            return Err(error);
        }
        let deleted = self.memory.acknowledge(to, sequences).await;
        self.pause().await;
        deleted
    }

    async fn mark_time(&self, now: SystemTime) -> Result<SystemTime, StoreError> {
        self.perhaps(self.memory.mark_time(now)).await
    }

    async fn expire(&self, before: SystemTime, limit: usize) -> Result<u64, StoreError> {
        self.perhaps(self.memory.expire(before, limit)).await
    }

    async fn clients_last_seen_between(
        &self,
        earliest: SystemTime,
        before: SystemTime,
        limit: usize,
    ) -> Result<Vec<ClientId>, StoreError> {
        self.perhaps(self.memory.clients_last_seen_between(earliest, before, limit)).await
    }

    fn metrics(&self) -> &StoreMetrics {
        self.memory.metrics()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.perhaps(self.memory.probe()).await
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}
