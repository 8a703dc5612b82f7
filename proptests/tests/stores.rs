//! Each store does what the model says, whatever it is asked in whatever order; and the one on disk also when it is
//! stopped, dropped or killed in between.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed property should stop"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use messageu_proptests::model::{Listed, Model, Refusal};
use messageu_proptests::run::check;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::sqlite::{Options, SqliteStore};
use messageu_server::store::{
    CHUNK_SIZE, Client, Content, NewMessage, Pending, QueueLimits, QueuePolicy, RosterExtent, Sequence,
    Store, UploadId,
};
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[test]
fn the_store_in_memory_is_the_model() {
    check(256, Reference::<false>::sequential_strategy(20..120), |(state, transitions, seen)| {
        InMemory::test_sequential(Config::default(), state, transitions, seen);
    });
}

#[test]
fn the_store_on_disk_is_the_model_however_it_ends() {
    check(64, Reference::<true>::sequential_strategy(20..120), |(state, transitions, seen)| {
        OnDisk::test_sequential(Config::default(), state, transitions, seen);
    });
}

/// Something that a store is asked. Messages and uploads have the model's numbers, contents a size and a seed.
#[derive(Clone, Debug)]
enum Step {
    Register { id: ClientId, name: &'static str, profile: &'static str, at: SystemTime },
    Remember { id: ClientId, profile: &'static str },
    Delete { id: ClientId },
    Touch { id: ClientId, at: SystemTime },
    AskForRoster { asker: ClientId },
    ReadRoster { page: usize },
    Upload { to: ClientId, size: u32, seed: u8, missing: usize },
    Append { upload: UploadId, size: usize },
    Abandon { upload: UploadId },
    CheckRoom { to: ClientId, from: ClientId, size: u32, limits: QueueLimits },
    Enqueue { to: ClientId, from: ClientId, kind: MessageType, body: Body, limits: QueueLimits },
    Pull { to: ClientId, after: Sequence, limit: usize, budget: usize },
    Read { sequence: Sequence, index: u32 },
    Acknowledge { to: ClientId, sequences: Vec<Sequence> },
    Restart(End),
}

#[derive(Clone, Debug)]
enum Body {
    Inline { size: usize, seed: u8 },
    Uploaded(UploadId),
}

/// How a store ends before it begins again.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It is told to.
    Closed,
    /// It just goes out of use.
    Dropped,
    /// Its files are what they were at this moment.
    Killed,
}

/// What has to come of a step.
#[derive(Clone, PartialEq, Debug, Default)]
enum Outcome {
    #[default]
    Done,
    Refused(Refusal),
    Roster(Vec<(ClientId, Name)>),
    Pending(Vec<Pending>),
    Content(Bytes),
    Deleted(u64),
}

impl From<Result<(), Refusal>> for Outcome {
    fn from(result: Result<(), Refusal>) -> Self {
        result.map_or_else(Self::Refused, |()| Self::Done)
    }
}

impl From<Result<Bytes, Refusal>> for Outcome {
    fn from(result: Result<Bytes, Refusal>) -> Self {
        result.map_or_else(Self::Refused, Self::Content)
    }
}

/// The model in the course of a test.
#[derive(Clone, Debug, Default)]
struct State {
    model: Model,
    /// Messages that were accepted, and uploads that were begun: the last numbers that the model gave.
    numbered: (i64, i64),
    /// Who has asked for the roster, and what was to be on it.
    roster: Option<(ClientId, Vec<Listed>)>,
    /// What has to come of the last step.
    outcome: Outcome,
}

struct Reference<const RESTARTS: bool>;

impl<const RESTARTS: bool> ReferenceStateMachine for Reference<RESTARTS> {
    type State = State;
    type Transition = Step;

    /// Those who write most are there from the beginning.
    fn init_state() -> BoxedStrategy<State> {
        let mut state = State::default();
        for (id, name) in MOSTLY.into_iter().zip(NAMES) {
            state.model.register(client(id, name, ""), UNIX_EPOCH).expect("a free name and id");
        }
        Just(state).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        let (messages, uploads) = state.model.numbers();
        // Mostly those that there are, but also any other that there was or was not.
        let sequence = prop_oneof![
            4 => select([messages, vec![Sequence::default()]].concat()),
            1 => (0..=state.numbered.0 + 1).prop_map(Sequence),
        ]
        .boxed();
        let upload = prop_oneof![
            4 => select([uploads, vec![UploadId(0)]].concat()),
            1 => (0..=state.numbered.1 + 1).prop_map(UploadId),
        ]
        .boxed();
        let body = prop_oneof![
            3 => (select(INLINE_SIZES), any::<u8>()).prop_map(|(size, seed)| Body::Inline { size, seed }),
            1 => upload.clone().prop_map(Body::Uploaded),
        ];
        let step = prop_oneof![
            6 => (id(), select(NAMES), select(PROFILES), time())
                .prop_map(|(id, name, profile, at)| Step::Register { id, name, profile, at }),
            1 => (id(), select(PROFILES)).prop_map(|(id, profile)| Step::Remember { id, profile }),
            3 => id().prop_map(|id| Step::Delete { id }),
            2 => (id(), time()).prop_map(|(id, at)| Step::Touch { id, at }),
            2 => id().prop_map(|asker| Step::AskForRoster { asker }),
            2 => (1..5_usize).prop_map(|page| Step::ReadRoster { page }),
            4 => (id(), select(UPLOAD_SIZES), any::<u8>(), select(&[0, 0, 1, 2][..]))
                .prop_map(|(to, size, seed, missing)| Step::Upload { to, size, seed, missing }),
            3 => (upload.clone(), select(CHUNK_SIZES))
                .prop_map(|(upload, size)| Step::Append { upload, size }),
            1 => upload.prop_map(|upload| Step::Abandon { upload }),
            2 => (id(), id(), select(UPLOAD_SIZES), limits())
                .prop_map(|(to, from, size, limits)| Step::CheckRoom { to, from, size, limits }),
            24 => (id(), id(), any::<u8>(), body, limits()).prop_map(|(to, from, kind, body, limits)| {
                Step::Enqueue { to, from, kind: MessageType(kind), body, limits }
            }),
            4 => (id(), sequence.clone(), 0..6_usize, select(BUDGETS))
                .prop_map(|(to, after, limit, budget)| Step::Pull { to, after, limit, budget }),
            4 => (sequence.clone(), select(&[0, 1, 2, 3, u32::MAX][..]))
                .prop_map(|(sequence, index)| Step::Read { sequence, index }),
            6 => (id(), vec(sequence, 0..4))
                .prop_map(|(to, sequences)| Step::Acknowledge { to, sequences }),
        ];
        let restart = select(&[End::Closed, End::Dropped, End::Killed][..]).prop_map(Step::Restart);
        if RESTARTS { prop_oneof![15 => step, 1 => restart].boxed() } else { step.boxed() }
    }

    fn preconditions(state: &State, step: &Step) -> bool {
        match step {
            Step::Remember { id, .. } => {
                state.model.client(*id).is_none_or(|client| client.profile.is_empty())
            }
            Step::ReadRoster { .. } => state.roster.is_some(),
            _ => true,
        }
    }

    fn apply(mut state: State, step: &Step) -> State {
        let model = &mut state.model;
        state.outcome = match step.clone() {
            Step::Register { id, name, profile, at } => model.register(client(id, name, profile), at).into(),
            Step::Remember { id, profile } => {
                model.remember_profile(id, profile);
                Outcome::Done
            }
            Step::Delete { id } => model.delete_client(id).into(),
            Step::Touch { id, at } => {
                model.touch(id, at);
                Outcome::Done
            }
            Step::AskForRoster { asker } => {
                state.roster = Some((asker, model.roster(asker)));
                Outcome::Done
            }
            Step::ReadRoster { .. } => {
                let (_, listed) = state.roster.iter().next().expect("a roster was asked for");
                let standing = listed.iter().filter(|listed| model.is_listed(listed));
                Outcome::Roster(standing.map(|listed| (listed.id, listed.name.clone())).collect())
            }
            Step::Upload { to, size, seed, missing } => {
                let given = UploadId(state.numbered.1 + 1);
                let begun = model.begin_upload(to, size, Some(given));
                if begun.is_ok() {
                    state.numbered.1 += 1;
                    for chunk in chunks(size, seed, missing) {
                        model.append_chunk(given, &chunk).expect("a chunk of the right size");
                    }
                }
                begun.into()
            }
            Step::Append { upload, size } => model.append_chunk(upload, &bytes(size, 0)).into(),
            Step::Abandon { upload } => {
                model.abandon_upload(upload);
                Outcome::Done
            }
            Step::CheckRoom { to, from, size, limits } => model.check_room(to, from, size, &limits).into(),
            Step::Enqueue { to, from, kind, body, limits } => {
                let message = NewMessage { to, from, kind, content: body.content(|upload| upload) };
                let accepted = model.enqueue(&message, &limits, Some(Sequence(state.numbered.0 + 1)));
                state.numbered.0 += i64::from(accepted.is_ok());
                accepted.into()
            }
            Step::Pull { to, after, limit, budget } => {
                Outcome::Pending(model.pending(to, after, limit, budget))
            }
            Step::Read { sequence, index } => model.read_content(sequence, index).into(),
            Step::Acknowledge { to, sequences } => Outcome::Deleted(model.acknowledge(to, &sequences)),
            Step::Restart(_) => {
                model.restart();
                Outcome::Done
            }
        };
        state
    }
}

/// A store, and the numbers that it gave where the model gave 1, 2, 3 and so on.
struct Tried<S> {
    store: S,
    sequences: Vec<Sequence>,
    uploads: Vec<UploadId>,
    extent: Option<RosterExtent>,
    runtime: Arc<Runtime>,
}

impl<S: Store> Tried<S> {
    /// A store with the clients that are there from the beginning.
    fn new(store: S, state: &State) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for client in state.model.clients() {
            runtime.block_on(store.register(client.clone(), UNIX_EPOCH)).unwrap();
        }
        let (sequences, uploads, runtime) = (Vec::new(), Vec::new(), Arc::new(runtime));
        Self { store, sequences, uploads, extent: None, runtime }
    }

    fn try_step(&mut self, state: &State, step: Step) {
        let what = format!("{step:?}");
        let runtime = Arc::clone(&self.runtime);
        let outcome = runtime.block_on(self.take(state, step));
        assert_eq!(outcome, self.translated(&state.outcome), "{what}");
    }

    /// What comes of a step.
    async fn take(&mut self, state: &State, step: Step) -> Outcome {
        let store = &self.store;
        let done = |result: Result<(), _>| Outcome::from(result.map_err(Refusal::from));
        match step {
            Step::Register { id, name, profile, at } => {
                done(store.register(client(id, name, profile), at).await)
            }
            Step::Remember { id, profile } => done(store.remember_profile(id, profile).await),
            Step::Delete { id } => done(store.delete_client(id).await),
            Step::Touch { id, at } => {
                store.touch(id, at);
                Outcome::Done
            }
            Step::AskForRoster { asker } => {
                let extent = store.roster(asker).await.unwrap();
                let (_, listed) = state.roster.as_ref().unwrap();
                assert_eq!(extent.count, listed.len() as u64);
                self.extent = Some(extent);
                Outcome::Done
            }
            Step::ReadRoster { page } => {
                let (asker, _) = state.roster.as_ref().unwrap();
                let RosterExtent { last, .. } = self.extent.unwrap();
                let (mut after, mut read) = (0, Vec::new());
                loop {
                    let entries = store.roster_page(*asker, after, last, page).await.unwrap();
                    let Some(entry) = entries.last() else { break };
                    assert!(entries.len() <= page && entry.position > after && entry.position <= last);
                    after = entry.position;
                    read.extend(entries.into_iter().map(|entry| (entry.id, entry.name)));
                }
                Outcome::Roster(read)
            }
            Step::Upload { to, size, seed, missing } => match store.begin_upload(to, size).await {
                Ok(upload) => {
                    assert!(!self.uploads.contains(&upload), "{upload:?} is used twice");
                    self.uploads.push(upload);
                    for chunk in chunks(size, seed, missing) {
                        store.append_chunk(upload, chunk).await.unwrap();
                    }
                    Outcome::Done
                }
                Err(error) => Outcome::Refused(error.into()),
            },
            Step::Append { upload, size } => {
                done(store.append_chunk(self.upload(upload), bytes(size, 0)).await)
            }
            Step::Abandon { upload } => {
                store.abandon_upload(self.upload(upload));
                Outcome::Done
            }
            Step::CheckRoom { to, from, size, limits } => {
                done(store.check_room(to, from, size, limits).await)
            }
            Step::Enqueue { to, from, kind, body, limits } => {
                let message =
                    NewMessage { to, from, kind, content: body.content(|upload| self.upload(upload)) };
                match store.enqueue(message, limits).await {
                    Ok(sequence) => {
                        assert!(
                            self.sequences.last().is_none_or(|last| *last < sequence),
                            "it does not rise"
                        );
                        self.sequences.push(sequence);
                        Outcome::Done
                    }
                    Err(error) => Outcome::Refused(error.into()),
                }
            }
            Step::Pull { to, after, limit, budget } => {
                Outcome::Pending(store.pending(to, self.sequence(after), limit, budget).await.unwrap())
            }
            Step::Read { sequence, index } => {
                let content = store.read_content(self.sequence(sequence), index).await;
                content.map_err(Refusal::from).into()
            }
            Step::Acknowledge { to, sequences } => {
                let sequences: Vec<Sequence> =
                    sequences.into_iter().map(|sequence| self.sequence(sequence)).collect();
                Outcome::Deleted(store.acknowledge(to, &sequences).await.unwrap())
            }
            Step::Restart(_) => panic!("this store does not restart"),
        }
    }

    /// Everything that can be seen without numbers that the model chose.
    fn compare(&self, state: &State) {
        let model = &state.model;
        self.runtime.block_on(async {
            for id in IDS {
                assert_eq!(self.store.client(id).await.unwrap().as_ref(), model.client(id));
                let prefix = *id.0.first_chunk().unwrap();
                let by_prefix = self.store.client_by_prefix(prefix).await.unwrap();
                assert_eq!(by_prefix.as_ref(), model.client_by_prefix(prefix));
                assert_eq!(self.store.last_seen(id).await.unwrap(), model.last_seen(id), "{id}");
                let waiting = self.store.pending(id, Sequence::default(), usize::MAX, 0).await.unwrap();
                let expected = Outcome::Pending(model.pending(id, Sequence::default(), usize::MAX, 0));
                assert_eq!(Outcome::Pending(waiting), self.translated(&expected));
            }
        });
    }

    /// An outcome with this store's numbers.
    fn translated(&self, outcome: &Outcome) -> Outcome {
        let mut outcome = outcome.clone();
        if let Outcome::Pending(messages) = &mut outcome {
            messages.iter_mut().for_each(|message| message.sequence = self.sequence(message.sequence));
        }
        outcome
    }

    /// The store's number for the model's; for none, one that no message has.
    fn sequence(&self, number: Sequence) -> Sequence {
        if number == Sequence::default() {
            return number;
        }
        self.sequences.get(number.0 as usize - 1).copied().unwrap_or(Sequence(i64::MAX))
    }

    fn upload(&self, number: UploadId) -> UploadId {
        let known = (number.0 as usize).checked_sub(1).and_then(|at| self.uploads.get(at));
        known.copied().unwrap_or(UploadId(i64::MAX))
    }
}

struct InMemory;

impl StateMachineTest for InMemory {
    type SystemUnderTest = Tried<MemoryStore>;
    type Reference = Reference<false>;

    fn init_test(state: &State) -> Self::SystemUnderTest {
        Tried::new(MemoryStore::new(), state)
    }

    fn apply(mut tried: Self::SystemUnderTest, state: &State, step: Step) -> Self::SystemUnderTest {
        tried.try_step(state, step);
        tried
    }

    fn check_invariants(tried: &Self::SystemUnderTest, state: &State) {
        tried.compare(state);
    }
}

struct OnDisk;

impl StateMachineTest for OnDisk {
    type SystemUnderTest = (Tried<SqliteStore>, TempDir);
    type Reference = Reference<true>;

    fn init_test(state: &State) -> Self::SystemUnderTest {
        let directory = tempfile::tempdir().unwrap();
        (Tried::new(open(&directory), state), directory)
    }

    fn apply(
        (mut tried, directory): Self::SystemUnderTest,
        state: &State,
        step: Step,
    ) -> Self::SystemUnderTest {
        let Step::Restart(end) = step else {
            tried.try_step(state, step);
            return (tried, directory);
        };
        let directory = match end {
            End::Closed => {
                tried.runtime.block_on(tried.store.close());
                directory
            }
            End::Dropped => directory,
            End::Killed => copy(&directory),
        };
        let Tried { store, sequences, uploads, extent, runtime } = tried;
        drop(store);
        let tried = Tried { store: open(&directory), sequences, uploads, extent, runtime };
        if matches!(end, End::Killed) {
            // A visit is durable within seconds, not at once.
            for client in state.model.clients() {
                tried.store.touch(client.id, state.model.last_seen(client.id).unwrap());
            }
        }
        (tried, directory)
    }

    fn check_invariants((tried, _): &Self::SystemUnderTest, state: &State) {
        tried.compare(state);
    }
}

fn open(directory: &TempDir) -> SqliteStore {
    // The queue is written down all the while.
    let options = Options { written_down_from: Some(2), ..Options::default() };
    SqliteStore::open_with(&directory.path().join("server.db"), options).unwrap()
}

/// The files of a store that is in use, as a kill would leave them.
fn copy(directory: &TempDir) -> TempDir {
    // While somebody reads, SQLite keeps in its log all that they may still need, so that the copies fit together.
    let reader = rusqlite::Connection::open(directory.path().join("server.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM clients").unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in ["server.db", "server.db-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

// What the steps are made of.

/// Two of them have the same first half.
const IDS: [ClientId; 5] = {
    let mut ids =
        [ClientId([1; 16]), ClientId([1; 16]), ClientId([2; 16]), ClientId([3; 16]), ClientId([255; 16])];
    ids[1].0[8] = 9;
    ids
};
const MOSTLY: [ClientId; 2] = [IDS[0], IDS[2]];
const NAMES: &[&str] = &["Alice", "alice", "Bob", "Carol", "Dave"];
const PROFILES: &[&str] = &["", "", "classic", "ascii"];
const INLINE_SIZES: &[usize] = &[0, 1, 10, 10, 4_096, 4_097, CHUNK_SIZE, CHUNK_SIZE + 1];
const UPLOAD_SIZES: &[u32] = &[0, 5, 65_536, 65_537, 131_072, 131_149];
const CHUNK_SIZES: &[usize] = &[0, 1, 5, 77, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1];
const BUDGETS: &[usize] = &[0, 10, 25, CHUNK_SIZE, 2 * CHUNK_SIZE, usize::MAX];

fn id() -> impl Strategy<Value = ClientId> {
    prop_oneof![3 => select(&MOSTLY[..]), 1 => select(&IDS[..])]
}

fn time() -> impl Strategy<Value = SystemTime> {
    select(&[0, 1, 1_600_000_000, 4_000_000_000][..])
        .prop_map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

fn limits() -> impl Strategy<Value = QueueLimits> {
    let bytes = || select(&[0, 9, 10, 25, 70_000, 200_000, u64::MAX][..]);
    let policy = select(&[QueuePolicy::Reject, QueuePolicy::DropOldest][..]);
    let tight = (0..4_u64, policy, bytes(), 0..6_u64, bytes()).prop_map(
        |(per_pair, policy, bytes_per_pair, per_recipient, bytes_per_recipient)| QueueLimits {
            per_pair,
            policy,
            bytes_per_pair,
            per_recipient,
            bytes_per_recipient,
        },
    );
    // Limits of messages alone, so that dropping is not mostly refused for the bytes.
    let dropping = (1..3_u64).prop_map(|per_pair| QueueLimits {
        per_pair,
        policy: QueuePolicy::DropOldest,
        ..QueueLimits::default()
    });
    prop_oneof![2 => Just(QueueLimits::default()), 1 => tight, 2 => dropping]
}

fn client(id: ClientId, name: &str, profile: &str) -> Client {
    let name = Name::new(name).unwrap();
    Client { id, name, public_key: PublicKey([id.0[8]; 160]), profile: profile.to_owned() }
}

fn bytes(size: usize, seed: u8) -> Bytes {
    (0..size).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed).collect()
}

/// The chunks of an upload, but for some at its end.
fn chunks(size: u32, seed: u8, missing: usize) -> Vec<Bytes> {
    let content = bytes(size as usize, seed);
    let mut chunks: Vec<Bytes> = content.chunks(CHUNK_SIZE).map(Bytes::copy_from_slice).collect();
    chunks.truncate(chunks.len().saturating_sub(missing));
    chunks
}

impl Body {
    fn content(self, upload: impl Fn(UploadId) -> UploadId) -> Content {
        match self {
            Self::Inline { size, seed } => Content::Inline(bytes(size, seed)),
            Self::Uploaded(number) => Content::Uploaded(upload(number)),
        }
    }
}
