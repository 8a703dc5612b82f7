//! Clients of every dialect and one server, joined over loopback: what they are answered is what the model says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed property should stop"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use messageu_client::{Address, Client, ErrorKind, Pulled};
use messageu_proptests::model::Model;
use messageu_proptests::run::check;
use messageu_server::limits::Limits;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::{self, CHUNK_SIZE, Content, NewMessage, QueueLimits, Sequence, Store as _};
use messageu_server::{ListenAddress, Listener, Relay, Serves};
use messageu_wire::dialect::{Dialect, Family, Pin, Profile, RecognisedBy};
use messageu_wire::fields::{ClientId, MessageId, Name, PublicKey};
use messageu_wire::message::MessageType;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[test]
fn clients_of_all_dialects_are_answered_as_the_model_says() {
    check(24, Reference::sequential_strategy(1..60), |(state, transitions, seen)| {
        Joined::test_sequential(Config::default(), state, transitions, seen);
    });
}

/// What a user does. Users are counted from 0 in the order in which they registered.
#[derive(Clone, Debug)]
enum Step {
    Register {
        name: usize,
        dialect: Dialect,
    },
    List {
        user: usize,
    },
    FetchKey {
        user: usize,
        whose: usize,
    },
    Send {
        from: usize,
        to: usize,
        kind: u8,
        size: usize,
        seed: u8,
    },
    /// `taken` says whether the user confirms that all has come, or breaks the connection.
    Pull {
        user: usize,
        taken: bool,
    },
    Delete {
        user: usize,
    },
}

/// What has to come of a step, with the model's ids and numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    Done,
    Failed(ErrorKind),
    Listed(Vec<(ClientId, Name)>),
    Key(PublicKey),
    Pulled(Vec<Message>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Message {
    sequence: Sequence,
    from: ClientId,
    kind: MessageType,
    content: Bytes,
}

#[derive(Clone, Debug)]
struct State {
    model: Model,
    dialects: Vec<Dialect>,
    sent: i64,
    outcome: Outcome,
}

impl State {
    fn add(&mut self, name: usize, dialect: Dialect) -> Result<(), ErrorKind> {
        let user = self.dialects.len();
        let client = store::Client {
            id: model_id(user),
            name: user_name(name),
            public_key: public_key(name),
            profile: dialect.profile.name.to_owned(),
        };
        self.model.register(client, UNIX_EPOCH).map_err(|_| ErrorKind::Refused)?;
        self.dialects.push(dialect);
        Ok(())
    }

    fn is_known(&self, user: usize) -> bool {
        self.model.client(model_id(user)).is_some()
    }

    fn outcome(&mut self, step: &Step) -> Result<Outcome, ErrorKind> {
        match *step {
            Step::Register { name, dialect } => self.add(name, dialect).map(|()| Outcome::Done),
            Step::List { user } if self.is_known(user) => {
                let listed = self.model.roster(model_id(user)).into_iter();
                Ok(Outcome::Listed(listed.map(|listed| (listed.id, listed.name)).collect()))
            }
            Step::FetchKey { whose, .. } => {
                let client = self.model.client(model_id(whose)).ok_or(ErrorKind::Refused)?;
                Ok(Outcome::Key(client.public_key))
            }
            Step::Send { from, to, kind, size, seed } => {
                let most = self.dialects[from].profile.fixed_send.map_or(usize::MAX, |_| 10_000);
                if size > most {
                    return Err(ErrorKind::File);
                }
                if !(1..=4).contains(&kind) {
                    return Err(ErrorKind::Refused);
                }
                self.enqueue(from, to, MessageType(kind), content(size, seed)).map(|()| Outcome::Done)
            }
            Step::Pull { user, taken } if self.is_known(user) => {
                let id = model_id(user);
                let pending = self.model.pending(id, Sequence::default(), usize::MAX, 0);
                let sequences: Vec<Sequence> = pending.iter().map(|message| message.sequence).collect();
                let messages = pending.into_iter().map(|message| Message {
                    sequence: message.sequence,
                    from: message.from,
                    kind: message.kind,
                    content: self.content(message.sequence),
                });
                let messages = messages.collect();
                if taken {
                    self.model.acknowledge(id, &sequences);
                }
                Ok(Outcome::Pulled(messages))
            }
            Step::Delete { user } if self.dialects[user].family != Family::D => Err(ErrorKind::Usage),
            Step::Delete { user } if self.dialects[user].profile.deletable => {
                self.model.delete_client(model_id(user)).map_err(|_| ErrorKind::Refused)?;
                Ok(Outcome::Done)
            }
            _ => Err(ErrorKind::Refused),
        }
    }

    fn enqueue(
        &mut self,
        from: usize,
        to: usize,
        kind: MessageType,
        content: Bytes,
    ) -> Result<(), ErrorKind> {
        let (to, from) = (model_id(to), model_id(from));
        if self.model.client(from).is_none() || self.model.client(to).is_none() {
            return Err(ErrorKind::Refused);
        }
        let content = if content.len() <= CHUNK_SIZE {
            Content::Inline(content)
        } else {
            let upload = store::UploadId(self.sent + 1);
            self.model.begin_upload(to, content.len() as u32, Some(upload)).unwrap();
            content.chunks(CHUNK_SIZE).for_each(|chunk| self.model.append_chunk(upload, chunk).unwrap());
            Content::Uploaded(upload)
        };
        self.sent += 1;
        let message = NewMessage { to, from, kind, content };
        self.model.enqueue(&message, &QueueLimits::default(), Some(Sequence(self.sent))).unwrap();
        Ok(())
    }

    fn content(&self, sequence: Sequence) -> Bytes {
        let chunks = (0..).map_while(|index| self.model.read_content(sequence, index).ok());
        chunks.flatten().collect()
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = State;
    type Transition = Step;

    /// Somebody is there from the beginning.
    fn init_state() -> BoxedStrategy<State> {
        vec(dialect(), 2..5)
            .prop_map(|dialects| {
                let mut state =
                    State { model: Model::default(), dialects: Vec::new(), sent: 0, outcome: Outcome::Done };
                for (name, dialect) in dialects.into_iter().enumerate() {
                    state.add(name, dialect).unwrap();
                }
                state
            })
            .boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        let user = || 0..state.dialects.len();
        let sizes = &[0, 0, 1, 16, 128, 977, 978, 1_024, 9_999, 10_000, 10_001, 65_536, 65_537, 150_000][..];
        prop_oneof![
            2 => (0..8_usize, dialect()).prop_map(|(name, dialect)| Step::Register { name, dialect }),
            2 => user().prop_map(|user| Step::List { user }),
            2 => (user(), user()).prop_map(|(user, whose)| Step::FetchKey { user, whose }),
            10 => (user(), user(), select(&[1, 2, 3, 4, 9][..]), select(sizes), any::<u8>())
                .prop_map(|(from, to, kind, size, seed)| Step::Send { from, to, kind, size, seed }),
            4 => (user(), any::<bool>()).prop_map(|(user, taken)| Step::Pull { user, taken }),
            1 => user().prop_map(|user| Step::Delete { user }),
        ]
        .boxed()
    }

    fn preconditions(state: &State, step: &Step) -> bool {
        let at = |user: usize| state.dialects.get(user);
        match *step {
            Step::Register { .. } => true,
            Step::List { user } | Step::Pull { user, .. } | Step::Delete { user } => at(user).is_some(),
            Step::FetchKey { user, whose } => at(user).is_some() && at(whose).is_some(),
            // A send of `aligned` with another type is no request.
            Step::Send { from, to, kind, .. } => {
                at(to).is_some()
                    && at(from).is_some_and(|from| kind <= 4 || from.profile.fixed_send.is_none())
            }
        }
    }

    fn apply(mut state: State, step: &Step) -> State {
        state.outcome = state.outcome(step).unwrap_or_else(Outcome::Failed);
        state
    }
}

/// A server with its store in memory, and those who have registered with it.
struct Joined {
    runtime: Runtime,
    /// One listener for all, and one for each profile that needs one.
    addresses: Vec<(Option<&'static Profile>, Address)>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    store: Arc<MemoryStore>,
    /// How each speaks, and which id the server gave it.
    users: Vec<(Client, ClientId)>,
    /// The server's numbers for the model's, as far as anybody was told one.
    numbers: HashMap<Sequence, MessageId>,
}

impl StateMachineTest for Joined {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(state: &State) -> Self {
        let mut joined = Self::start();
        for (name, dialect) in state.dialects.iter().enumerate() {
            let outcome = joined.take(Step::Register { name, dialect: *dialect }, state);
            assert_eq!(outcome, Ok(Outcome::Done));
        }
        joined
    }

    fn apply(mut joined: Self, state: &State, step: Step) -> Self {
        let what = format!("{step:?}");
        let expected = match (&step, state.outcome.clone()) {
            (Step::Pull { user, .. }, Outcome::Pulled(messages)) => {
                Outcome::Pulled(shown(messages, state.dialects[*user].profile))
            }
            (_, outcome) => outcome,
        };
        let outcome = joined.take(step, state).unwrap_or_else(Outcome::Failed);
        assert!(outcome == expected, "{what}: {outcome:?}, and should be {expected:?}");
        joined
    }

    fn teardown(joined: Self, _: State) {
        joined.shutdown.cancel();
        joined.runtime.block_on(joined.server).unwrap();
    }
}

impl Joined {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Silence is no verdict here, however slow the machine.
        let limits = Limits { pull_grace: Duration::from_secs(600), ..Limits::default() };
        let store = Arc::new(MemoryStore::new());
        let relay = Arc::new(Relay::new(store.clone(), limits, None));
        let pinned = Profile::ALL.iter().filter(|profile| profile.recognised_by == RecognisedBy::Pin);
        let profiles: Vec<_> = [None].into_iter().chain(pinned.map(Some)).collect();
        let inside = runtime.enter();
        let listeners: Vec<Listener> = profiles
            .iter()
            .map(|profile| {
                let pin = Pin { family: None, profile: *profile };
                let address = "127.0.0.1:0".parse().unwrap();
                Listener::bind(ListenAddress { address, serves: Serves::Classic, pin }).unwrap()
            })
            .collect();
        let address = |listener: &Listener| listener.local_address().unwrap().to_string().parse().unwrap();
        let addresses = profiles.into_iter().zip(listeners.iter().map(address)).collect();
        let shutdown = CancellationToken::new();
        let server = runtime.spawn(messageu_server::run(listeners, relay, shutdown.clone()));
        drop(inside);
        Self { runtime, addresses, shutdown, server, store, users: Vec::new(), numbers: HashMap::new() }
    }

    /// What comes of a step, with the model's ids and numbers.
    fn take(&mut self, step: Step, state: &State) -> Result<Outcome, ErrorKind> {
        let kind = |error: messageu_client::Error| error.kind();
        match step {
            Step::Register { name, dialect } => {
                let client = self.client(dialect);
                let (name, key) = (user_name(name), public_key(name));
                let registering = client.register(&name, key);
                let shown = self.runtime.block_on(registering).map_err(kind)?;
                let id = match dialect.profile.printable_ids {
                    true => self.whole(shown),
                    false => shown,
                };
                self.users.push((client, id));
                Ok(Outcome::Done)
            }
            Step::List { user } => {
                let listing = self.users[user].0.list_clients(self.id_for(user, user));
                let listed = self.runtime.block_on(listing).map_err(kind)?.into_iter();
                let listed = listed.map(|entry| (self.known(entry.client_id), entry.name.name().unwrap()));
                Ok(Outcome::Listed(listed.collect()))
            }
            Step::FetchKey { user, whose } => {
                let fetching =
                    self.users[user].0.fetch_key(self.id_for(user, user), self.id_for(whose, user));
                self.runtime.block_on(fetching).map(Outcome::Key).map_err(kind)
            }
            Step::Send { from, to, kind: message_kind, size, seed } => {
                let head = (self.id_for(to, from), MessageType(message_kind), size as u64);
                let content = content(size, seed);
                let pieces = content.chunks(40_000).map(|piece| Ok(piece.to_vec()));
                let (client, me) = (self.users[from].0.clone(), self.id_for(from, from));
                let number =
                    self.runtime.block_on(client.send(me, head, pieces, &mut |_, _| ())).map_err(kind)?;
                self.note(Sequence(state.sent), number);
                Ok(Outcome::Done)
            }
            Step::Pull { user, taken } => {
                let pulling = pull(&self.users[user].0, self.id_for(user, user), taken);
                let pulled = self.runtime.block_on(pulling).map_err(kind)?;
                let Outcome::Pulled(expected) = &state.outcome else {
                    panic!("a pull that should fail gives {pulled:?}")
                };
                assert!(pulled.len() <= expected.len(), "more is pulled than waits");
                let messages = pulled.into_iter().zip(expected).map(|(pulled, expected)| {
                    self.note(expected.sequence, pulled.number);
                    Message {
                        sequence: expected.sequence,
                        from: self.known(pulled.from),
                        kind: pulled.kind,
                        content: pulled.content.into(),
                    }
                });
                Ok(Outcome::Pulled(messages.collect()))
            }
            Step::Delete { user } => {
                let deleting = self.users[user].0.delete_client(self.id_for(user, user));
                self.runtime.block_on(deleting).map(|()| Outcome::Done).map_err(kind)
            }
        }
    }

    fn client(&self, dialect: Dialect) -> Client {
        let pinned = Some(dialect.profile).filter(|profile| profile.recognised_by == RecognisedBy::Pin);
        let (_, address) = self.addresses.iter().find(|(profile, _)| *profile == pinned).unwrap();
        // `ascii` shows by its version 1, and plain B by another than the 2 that closes.
        let version = if ["ascii", "classic"].contains(&dialect.profile.name) { 1 } else { 2 };
        Client { address: address.clone(), dialect, version, timeout: Duration::from_secs(60) }
    }

    /// A user's id, as a user knows it.
    fn id_for(&self, user: usize, asker: usize) -> ClientId {
        self.users[asker].0.dialect.profile.show_id(self.users[user].1)
    }

    /// The whole of an id that was shown as printable characters.
    fn whole(&self, shown: ClientId) -> ClientId {
        let prefix = shown.printable_prefix().unwrap();
        self.runtime.block_on(self.store.client_by_prefix(prefix)).unwrap().unwrap().id
    }

    /// The model's id for one that somebody was shown.
    fn known(&self, shown: ClientId) -> ClientId {
        let is_shown = |(_, id): &(Client, ClientId)| *id == shown || id.to_printable() == shown;
        self.users.iter().position(is_shown).map(model_id).expect("the id of somebody")
    }

    /// A message has one number for everybody, and later ones have higher ones.
    fn note(&mut self, sequence: Sequence, number: Option<MessageId>) {
        let Some(number) = number else { return };
        assert_eq!(*self.numbers.entry(sequence).or_insert(number), number, "{sequence:?} has two numbers");
        let rises = |(other, known): (&Sequence, &MessageId)| (*other < sequence) == (known.0 < number.0);
        assert!(
            self.numbers.iter().filter(|(other, _)| **other != sequence).all(rises),
            "{number:?} does not rise"
        );
    }
}

#[derive(Debug)]
struct PulledMessage {
    number: Option<MessageId>,
    from: ClientId,
    kind: MessageType,
    content: Vec<u8>,
}

async fn pull(client: &Client, id: ClientId, taken: bool) -> messageu_client::Result<Vec<PulledMessage>> {
    let mut pull = client.pull(id).await?;
    let mut messages: Vec<PulledMessage> = Vec::new();
    loop {
        match pull.next().await? {
            Pulled::Head(head) => messages.push(PulledMessage {
                number: head.message_id,
                from: head.from,
                kind: head.kind,
                content: Vec::new(),
            }),
            Pulled::Content(piece) => messages.last_mut().unwrap().content.extend(piece),
            Pulled::EndOfContent => {}
            Pulled::End => break,
        }
    }
    if taken {
        pull.confirm().await;
    }
    Ok(messages)
}

/// What a client of a profile sees of these messages: see sections 7.9 and 12.2 of the specification.
fn shown(mut messages: Vec<Message>, profile: &Profile) -> Vec<Message> {
    for message in &mut messages {
        let size = profile.shown_size(message.kind, message.content.len() as u32);
        message.content =
            [&message.content[..], &vec![0; size as usize - message.content.len()]].concat().into();
    }
    while profile.entry_counted == 0 && messages.last().is_some_and(|last| last.content.is_empty()) {
        messages.pop();
    }
    messages
}

// What the steps are made of.

fn dialect() -> impl Strategy<Value = Dialect> {
    select(Dialect::all().collect::<Vec<_>>())
}

/// The model's id of a user; no two have the same first half.
fn model_id(user: usize) -> ClientId {
    ClientId([user as u8 + 1; 16])
}

fn user_name(number: usize) -> Name {
    Name::new(&format!("user {number}")).unwrap()
}

fn public_key(number: usize) -> PublicKey {
    PublicKey([number as u8; 160])
}

fn content(size: usize, seed: u8) -> Bytes {
    (0..size).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ seed).collect()
}
