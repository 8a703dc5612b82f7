//! A classic request that names an account of version 3 costs what one that names nobody does: the server asks its store the
//! same, in the same order, and to no more avail. Version 3 itself is asked nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed test should stop")]

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use messageu_server::limits::Limits;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::modern::{ModernStore, NewAccount};
use messageu_server::store::{
    Client, ImportRow, Imported, NewMessage, Pending, QueueLimits, RosterEntry, RosterExtent, Sequence,
    Store, StoreError, StoreMetrics, UploadId,
};
use messageu_server::{Relay, serve};
use messageu_wire::dialect::{Dialect, Pin};
use messageu_wire::envelope::Suite;
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    DhPublicKey, Epoch, Fingerprint, PrekeyId, RsaPublicKey, Signature, UnixSeconds, WrapId,
};
use messageu_wire::fields::{ClientId, Name, NameField, PUBLIC_KEY_SIZE, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations::{Operation, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A classic client.
const KNOWN: ClientId = ClientId([0xc1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16]);
/// Whom nobody has registered.
const NOBODY: ClientId = ClientId([0xd1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16]);
/// More than is gathered before it is stored.
const LARGE: usize = 200_000;

/// The store in memory, and what it was asked: each call by its name, with what came of it but for whom it is about.
struct Noted {
    memory: MemoryStore,
    calls: Mutex<Vec<String>>,
}

impl Noted {
    fn note<T>(
        &self,
        call: &str,
        answer: Result<T, StoreError>,
        outcome: impl Fn(&T) -> String,
    ) -> Result<T, StoreError> {
        let outcome = match &answer {
            Ok(answer) => outcome(answer),
            Err(StoreError::UnknownClient(_)) => "unknown client".to_owned(),
            Err(error) => error.to_string(),
        };
        self.calls.lock().unwrap().push(format!("{call}: {outcome}"));
        answer
    }
}

fn found<T>(answer: &Option<T>) -> String {
    if answer.is_some() { "somebody" } else { "nobody" }.to_owned()
}

fn done<T>(_: &T) -> String {
    "done".to_owned()
}

#[async_trait]
impl Store for Noted {
    async fn register(&self, client: Client, now: SystemTime) -> Result<(), StoreError> {
        self.note("register", self.memory.register(client, now).await, done)
    }

    async fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        self.note("client", self.memory.client(id).await, found)
    }

    async fn client_by_prefix(&self, prefix: [u8; 8]) -> Result<Option<Client>, StoreError> {
        self.note("client_by_prefix", self.memory.client_by_prefix(prefix).await, found)
    }

    async fn remember_profile(&self, id: ClientId, profile: &str) -> Result<(), StoreError> {
        self.note("remember_profile", self.memory.remember_profile(id, profile).await, done)
    }

    async fn delete_client(&self, id: ClientId) -> Result<(), StoreError> {
        self.note("delete_client", self.memory.delete_client(id).await, done)
    }

    fn touch(&self, id: ClientId, now: SystemTime) {
        self.calls.lock().unwrap().push("touch".to_owned());
        self.memory.touch(id, now);
    }

    async fn last_seen(&self, id: ClientId) -> Result<Option<SystemTime>, StoreError> {
        self.note("last_seen", self.memory.last_seen(id).await, found)
    }

    async fn roster(&self, asker: ClientId) -> Result<RosterExtent, StoreError> {
        self.note("roster", self.memory.roster(asker).await, |extent| format!("{extent:?}"))
    }

    async fn roster_page(
        &self,
        asker: ClientId,
        after: i64,
        last: i64,
        limit: usize,
    ) -> Result<Vec<RosterEntry>, StoreError> {
        let page = self.memory.roster_page(asker, after, last, limit).await;
        self.note("roster_page", page, |page| format!("{page:?}"))
    }

    async fn begin_upload(&self, to: ClientId, size: u32) -> Result<UploadId, StoreError> {
        self.note("begin_upload", self.memory.begin_upload(to, size).await, done)
    }

    async fn check_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: u32,
        limits: QueueLimits,
    ) -> Result<(), StoreError> {
        self.note("check_room", self.memory.check_room(to, from, size, limits).await, done)
    }

    async fn append_chunk(&self, upload: UploadId, chunk: Bytes) -> Result<(), StoreError> {
        self.note("append_chunk", self.memory.append_chunk(upload, chunk).await, done)
    }

    fn abandon_upload(&self, upload: UploadId) {
        self.calls.lock().unwrap().push("abandon_upload".to_owned());
        self.memory.abandon_upload(upload);
    }

    async fn enqueue(&self, message: NewMessage, limits: QueueLimits) -> Result<Sequence, StoreError> {
        self.note("enqueue", self.memory.enqueue(message, limits).await, done)
    }

    async fn pending(
        &self,
        to: ClientId,
        after: Sequence,
        limit: usize,
        inline_budget: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        let pending = self.memory.pending(to, after, limit, inline_budget).await;
        self.note("pending", pending, |pending| pending.len().to_string())
    }

    async fn read_content(&self, sequence: Sequence, index: u32) -> Result<Bytes, StoreError> {
        self.note("read_content", self.memory.read_content(sequence, index).await, done)
    }

    async fn acknowledge(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, StoreError> {
        self.note("acknowledge", self.memory.acknowledge(to, sequences).await, u64::to_string)
    }

    async fn import(&self, rows: Vec<ImportRow>) -> Result<Vec<Result<Imported, StoreError>>, StoreError> {
        self.note("import", self.memory.import(rows).await, done)
    }

    async fn mark_time(&self, now: SystemTime) -> Result<SystemTime, StoreError> {
        self.note("mark_time", self.memory.mark_time(now).await, done)
    }

    async fn expire(&self, before: SystemTime, limit: usize) -> Result<u64, StoreError> {
        self.note("expire", self.memory.expire(before, limit).await, u64::to_string)
    }

    async fn clients_last_seen_between(
        &self,
        earliest: SystemTime,
        before: SystemTime,
        limit: usize,
    ) -> Result<Vec<ClientId>, StoreError> {
        let seen = self.memory.clients_last_seen_between(earliest, before, limit).await;
        self.note("clients_last_seen_between", seen, done)
    }

    fn modern(&self) -> Option<&dyn ModernStore> {
        panic!("a classic request has version 3 asked");
    }

    fn metrics(&self) -> &StoreMetrics {
        self.memory.metrics()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.note("probe", self.memory.probe().await, done)
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}

/// Somebody of version 3. Who keeps accounts looks into none of it.
fn modern_account() -> NewAccount {
    let key = RsaPublicKey([7; 422]);
    let content = BundleContent {
        suite: Suite::ONE,
        min_dialect: MIN_DIALECT,
        epoch: Epoch(1),
        issued: UnixSeconds(0),
        expires: UnixSeconds(u64::MAX),
        prekey_id: PrekeyId(1),
        prekey: DhPublicKey([9; 32]),
        wrap_id: WrapId(1),
        wrap_key: key,
        identity: key,
    };
    NewAccount {
        fingerprint: Fingerprint([0xb0; 32]),
        name: Name::new("bob").unwrap(),
        phone: None,
        bundle: Bundle { content, signature: Signature([0; 384]) },
    }
}

/// A request of an operation that is about `target`, with its content.
fn request(operation: Operation, target: ClientId, size: usize) -> (Request, Vec<u8>) {
    let content = vec![5; size];
    let request = match operation {
        Operation::Register => {
            let name = NameField::from(&Name::new("newcomer").unwrap());
            register::Request { name, public_key: PublicKey([6; PUBLIC_KEY_SIZE]) }.into()
        }
        Operation::ListClients => list_clients::Request.into(),
        Operation::FetchKey => fetch_key::Request { client_id: target }.into(),
        Operation::SendMessage => {
            let size = u32::try_from(size).unwrap();
            let request = send_message::Request { to: target, kind: MessageType::TEXT, size };
            return (request.into(), content);
        }
        Operation::PullMessages => pull_messages::Request.into(),
        Operation::DeleteClient => delete_client::Request.into(),
    };
    (request, Vec::new())
}

/// What a server with a classic client and one of version 3 asks its store for these bytes, and what it answers.
async fn work(stream: &[u8], pin: Pin) -> (Vec<String>, Vec<u8>) {
    let store = Arc::new(Noted { memory: MemoryStore::new(), calls: Mutex::default() });
    let now = SystemTime::now();
    let classic = Client {
        id: KNOWN,
        name: Name::new("classic").unwrap(),
        public_key: PublicKey([1; PUBLIC_KEY_SIZE]),
        profile: pin.profile.map_or_else(String::new, |profile| profile.name.to_owned()),
    };
    store.memory.register(classic, now).await.unwrap();
    store.memory.register_account(modern_account(), now).await.unwrap();
    let relay = Arc::new(Relay::new(Arc::<Noted>::clone(&store), Limits::default(), None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, peer) = listener.accept().await.unwrap();
    let serving = tokio::spawn(serve(theirs, peer, pin, relay, CancellationToken::new()));
    // A refused upload may end in a reset, behind its answer.
    let _ = ours.write_all(stream).await;
    let _ = ours.shutdown().await;
    let mut answer = Vec::new();
    let _ = ours.read_to_end(&mut answer).await;
    drop(ours);
    serving.await.unwrap();
    let calls = std::mem::take(&mut *store.calls.lock().unwrap());
    (calls, answer)
}

/// The bytes of an answer, but for an id that some dialects have the server give back.
fn without(mut answer: Vec<u8>, id: ClientId) -> Vec<u8> {
    let places: Vec<usize> =
        answer.windows(16).enumerate().filter(|(_, at)| **at == id.0).map(|(at, _)| at).collect();
    for at in places {
        answer[at..at + 16].fill(0);
    }
    answer
}

/// Both for a request that is about somebody of version 3, and for the same about nobody.
async fn assert_same(dialect: Dialect, operation: Operation, size: usize, as_asker: bool) -> Vec<String> {
    let bob = modern_account().id();
    let mut worked = Vec::new();
    for pin in [Pin::default(), Pin { family: Some(dialect.family), profile: Some(dialect.profile) }] {
        let mut both = Vec::new();
        for id in [bob, NOBODY] {
            let (asker, target) = if as_asker { (id, KNOWN) } else { (KNOWN, id) };
            let (request, content) = request(operation, target, size);
            let mut stream = dialect.encode_request(1, asker, &request).unwrap();
            stream.extend_from_slice(&content);
            let (calls, answer) = work(&stream, pin).await;
            // A new account has an id of its own.
            let answer = Some(without(answer, id)).filter(|_| operation != Operation::Register);
            both.push((calls, answer));
        }
        let role = if as_asker { "asker" } else { "target" };
        assert_eq!(both[0], both[1], "{dialect}, {operation}, {size} bytes, as {role}");
        worked.extend(both.remove(0).0);
    }
    worked
}

#[tokio::test]
async fn a_version_3_id_costs_what_an_unknown_one_does_in_every_classic_operation() {
    let mut looked_up = 0;
    for dialect in Dialect::all() {
        let has = |operation: &&Operation| operation.codes(dialect.family).is_some();
        for operation in Operation::ALL.iter().filter(has) {
            let sizes: &[usize] = if *operation == Operation::SendMessage { &[5, LARGE] } else { &[0] };
            for (size, as_asker) in sizes.iter().flat_map(|size| [(*size, true), (*size, false)]) {
                let calls = assert_same(dialect, *operation, size, as_asker).await;
                looked_up += calls.iter().filter(|call| *call == "client: nobody").count();
            }
        }
    }
    // Otherwise nobody was looked for, and nothing compared.
    assert!(looked_up > 100, "{looked_up}");
}

#[tokio::test]
async fn what_is_noted_tells_a_classic_id_from_an_unknown_one() {
    let dialect = Dialect::all().next().unwrap();
    let mut both = Vec::new();
    for id in [KNOWN, NOBODY] {
        let (request, _) = request(Operation::FetchKey, id, 0);
        both.push(work(&dialect.encode_request(1, KNOWN, &request).unwrap(), Pin::default()).await.0);
    }
    assert_ne!(both[0], both[1]);
}
