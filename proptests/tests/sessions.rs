//! Users with their keys and inboxes, and one server: who shares which key with whom, who has asked for one, which
//! messages wait, and which of them open, as the table of states in section 11.3 of the specification says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed property should stop"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use messageu_client::{Address, Client, Content, ErrorKind, KeyOutcome, Locked, Options, Profile, Session};
use messageu_envelope::identity_file::IdentityFile;
use messageu_envelope::legacy::{LegacyIv, LegacyPrivateKey};
use messageu_proptests::run::check;
use messageu_server::limits::Limits;
use messageu_server::store::memory::MemoryStore;
use messageu_server::{Listener, Relay};
use messageu_wire::dialect::Dialect;
use messageu_wire::fields::{ClientId, Name};
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One dialect of each kind of framing that a user can meet on one port. User 0 has the lowest id, and so on.
const DIALECTS: [&str; 3] = ["e", "d/big-endian", "b/padded-1024"];
const USERS: usize = DIALECTS.len();

#[test]
fn keys_and_messages_go_the_way_of_the_table_of_states() {
    check(24, Reference::sequential_strategy(1..50), |(state, transitions, seen)| {
        Joined::test_sequential(Config::default(), state, transitions, seen);
    });
}

/// What a user does.
#[derive(Clone, Debug)]
enum Step {
    RequestKey {
        user: usize,
        peer: usize,
        replace: bool,
    },
    SendKey {
        user: usize,
        peer: usize,
        replace: bool,
    },
    SendText {
        user: usize,
        peer: usize,
    },
    Receive {
        user: usize,
    },
    /// The program ends, and is started again.
    Reopen {
        user: usize,
    },
}

/// What is shown to a user.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Shown {
    KeyRequest,
    Key(KeyOutcome),
    /// A text by its number.
    Text(u32),
    NoKey,
    /// A text under another key. As nothing is authenticated, it may open to nonsense.
    WrongKey,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    Done,
    /// No key is shared, or one is already.
    NotWithThisPeer,
    Received(Vec<(usize, Shown)>),
}

/// A message, whose keys are numbered in the order in which they were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Message {
    KeyRequest,
    Key(u32),
    Text { number: u32, key: u32 },
}

/// What a user knows of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Peer {
    key: Option<u32>,
    asked: Option<Asked>,
    /// They have asked for a key.
    wants_key: bool,
    /// The key is our own, and was sent since they had asked.
    answered: bool,
    /// What waits for a key has yet to be tried with this one.
    is_new: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    ForFirst,
    ForReplacement,
}

#[derive(Clone, Debug)]
struct State {
    peers: [[Peer; USERS]; USERS],
    /// What waits at the server for each user.
    queues: [Vec<(usize, Message)>; USERS],
    /// What waits in each user's inbox for a key.
    waiting: [Vec<(usize, Message)>; USERS],
    keys: u32,
    texts: u32,
    outcome: Outcome,
}

impl State {
    fn request_key(&mut self, user: usize, peer: usize, replace: bool) -> Outcome {
        let known = &mut self.peers[user][peer];
        if known.key.is_some() && !replace {
            return Outcome::NotWithThisPeer;
        }
        known.asked = Some(if replace { Asked::ForReplacement } else { Asked::ForFirst });
        self.queues[peer].push((user, Message::KeyRequest));
        Outcome::Done
    }

    fn send_key(&mut self, user: usize, peer: usize, replace: bool) -> Outcome {
        let known = &mut self.peers[user][peer];
        let is_new = known.key.is_none() || replace;
        if is_new {
            self.keys += 1;
            known.key = Some(self.keys);
        }
        known.is_new |= is_new;
        known.answered |= known.wants_key;
        known.wants_key = false;
        self.queues[peer].push((user, Message::Key(known.key.unwrap())));
        Outcome::Done
    }

    fn send_text(&mut self, user: usize, peer: usize) -> Outcome {
        let Some(key) = self.peers[user][peer].key else { return Outcome::NotWithThisPeer };
        self.texts += 1;
        self.queues[peer].push((user, Message::Text { number: self.texts, key }));
        Outcome::Done
    }

    fn receive(&mut self, user: usize) -> Outcome {
        let mut shown = Vec::new();
        let new: Vec<usize> = (0..USERS).filter(|peer| self.peers[user][*peer].is_new).collect();
        new.into_iter().for_each(|peer| self.try_again(user, peer, &mut shown));
        for (from, message) in std::mem::take(&mut self.queues[user]) {
            let what = self.take(user, from, message);
            shown.push((from, what.clone()));
            match what {
                Shown::NoKey | Shown::WrongKey => self.waiting[user].push((from, message)),
                Shown::Key(KeyOutcome::Accepted | KeyOutcome::Known) => {
                    self.try_again(user, from, &mut shown)
                }
                _ => {}
            }
        }
        Outcome::Received(shown)
    }

    fn take(&mut self, user: usize, from: usize, message: Message) -> Shown {
        let known = &mut self.peers[user][from];
        match message {
            Message::KeyRequest => {
                known.wants_key = true;
                Shown::KeyRequest
            }
            Message::Key(key) => {
                let outcome = match (known.asked, known.key) {
                    (_, Some(ours)) if ours == key => KeyOutcome::Known,
                    (None, _) => return Shown::Key(KeyOutcome::NotAsked),
                    // Both have asked and both have answered: the key of who has the higher id is the one.
                    (Some(Asked::ForFirst), Some(_)) if known.answered && user < from => KeyOutcome::Kept,
                    (Some(_), _) => KeyOutcome::Accepted,
                };
                (known.asked, known.answered) = (None, false);
                if outcome == KeyOutcome::Accepted {
                    (known.key, known.is_new) = (Some(key), true);
                }
                Shown::Key(outcome)
            }
            Message::Text { number, key } => match known.key {
                None => Shown::NoKey,
                Some(ours) if ours == key => Shown::Text(number),
                Some(_) => Shown::WrongKey,
            },
        }
    }

    /// Shows what opens by now of what waits.
    fn try_again(&mut self, user: usize, peer: usize, shown: &mut Vec<(usize, Shown)>) {
        let known = &mut self.peers[user][peer];
        known.is_new = false;
        let ours = known.key;
        self.waiting[user].retain(|(from, message)| match message {
            Message::Text { number, key } if *from == peer && Some(*key) == ours => {
                shown.push((peer, Shown::Text(*number)));
                false
            }
            _ => true,
        });
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = State;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<State> {
        let state = State {
            peers: Default::default(),
            queues: Default::default(),
            waiting: Default::default(),
            keys: 0,
            texts: 0,
            outcome: Outcome::Done,
        };
        Just(state).boxed()
    }

    fn transitions(_: &State) -> BoxedStrategy<Step> {
        let user = || 0..USERS;
        let pair = || (user(), 1..USERS).prop_map(|(user, far)| (user, (user + far) % USERS));
        // Most have no reason to want another key.
        let replace = || prop::bool::weighted(0.2);
        prop_oneof![
            4 => (pair(), replace())
                .prop_map(|((user, peer), replace)| Step::RequestKey { user, peer, replace }),
            4 => (pair(), replace()).prop_map(|((user, peer), replace)| Step::SendKey { user, peer, replace }),
            6 => pair().prop_map(|(user, peer)| Step::SendText { user, peer }),
            7 => user().prop_map(|user| Step::Receive { user }),
            1 => user().prop_map(|user| Step::Reopen { user }),
        ]
        .boxed()
    }

    fn apply(mut state: State, step: &Step) -> State {
        state.outcome = match *step {
            Step::RequestKey { user, peer, replace } => state.request_key(user, peer, replace),
            Step::SendKey { user, peer, replace } => state.send_key(user, peer, replace),
            Step::SendText { user, peer } => state.send_text(user, peer),
            Step::Receive { user } => state.receive(user),
            Step::Reopen { .. } => Outcome::Done,
        };
        state
    }
}

/// A server with its store in memory, and users in the order of their ids.
struct Joined {
    runtime: Runtime,
    address: Address,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    users: Vec<User>,
    texts: u32,
    /// A text under another key has opened to nonsense, as one in 256 does; the client cannot know, the model does not
    /// follow.
    astray: bool,
}

struct User {
    name: String,
    id: ClientId,
    dialect: Dialect,
    directory: TempDir,
    session: Option<Session>,
}

impl StateMachineTest for Joined {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &State) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Silence is no verdict here, however slow the machine.
        let limits = Limits { pull_grace: Duration::from_secs(600), ..Limits::default() };
        let relay = Arc::new(Relay::new(Arc::new(MemoryStore::new()), limits, None));
        let inside = runtime.enter();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address: Address = listener.local_address().unwrap().to_string().parse().unwrap();
        let shutdown = CancellationToken::new();
        let server = runtime.spawn(messageu_server::run(vec![listener], relay, shutdown.clone()));
        drop(inside);
        let mut joined =
            Self { runtime, address, shutdown, server, users: Vec::new(), texts: 0, astray: false };
        joined.users = (0..USERS).map(|number| joined.register(number)).collect();
        joined.users.sort_by_key(|user| user.id);
        for user in 0..USERS {
            joined.open(user);
        }
        joined
    }

    fn apply(mut joined: Self, state: &State, step: Step) -> Self {
        if joined.astray {
            return joined;
        }
        let what = format!("{step:?}");
        let outcome = joined.take(step);
        let Outcome::Received(expected) = &state.outcome else {
            assert_eq!(outcome, Ok(state.outcome.clone()), "{what}");
            return joined;
        };
        let Ok(Outcome::Received(received)) = outcome else { panic!("{what}: {outcome:?}") };
        joined.astray = received.iter().any(|(_, shown)| matches!(shown, Shown::Text(u32::MAX)));
        assert!(joined.astray || received == *expected, "{what}: {received:?}, and should be {expected:?}");
        joined
    }

    fn check_invariants(joined: &Self, state: &State) {
        if joined.astray {
            return;
        }
        for (number, user) in joined.users.iter().enumerate() {
            let waiting = user.session.as_ref().unwrap().waiting().unwrap();
            assert_eq!(waiting.len(), state.waiting[number].len(), "in the inbox of user {number}");
        }
    }

    fn teardown(joined: Self, _: State) {
        joined.shutdown.cancel();
        joined.runtime.block_on(joined.server).unwrap();
    }
}

impl Joined {
    /// Creates an account, for whose key there is no need to wait.
    fn register(&self, number: usize) -> User {
        let dialect: Dialect = DIALECTS[number].parse().unwrap();
        let name = Name::new(&format!("user-{number}")).unwrap();
        let key = LegacyPrivateKey::from_pkcs8_der(&KEYS[number]).unwrap();
        let (address, timeout) = (self.address.clone(), Duration::from_secs(60));
        let client = Client { address, dialect, version: 2, timeout };
        let registering = client.register(&name, key.public_key());
        let id = self.runtime.block_on(registering).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let shown = name.to_string();
        let identity = IdentityFile { name, client_id: id, key };
        std::fs::write(directory.path().join("info.me"), identity.write()).unwrap();
        User { name: shown, id, dialect, directory, session: None }
    }

    fn open(&mut self, user: usize) {
        let User { dialect, directory, session, .. } = &mut self.users[user];
        // Before another one is opened, this one has to be out of the way.
        drop(session.take());
        let options = Options {
            server: Some(self.address.clone()),
            dialect: Some(*dialect),
            iv: Some(LegacyIv::Zero),
            timeout: Duration::from_secs(60),
            ..Options::default()
        };
        let profile = Profile::at(directory.path());
        *session = Some(self.runtime.block_on(Session::open(&profile, options)).unwrap());
    }

    fn take(&mut self, step: Step) -> Result<Outcome, messageu_client::Error> {
        let names: Vec<String> = self.users.iter().map(|user| user.name.clone()).collect();
        let numbers: BTreeMap<ClientId, usize> =
            self.users.iter().enumerate().map(|(number, user)| (user.id, number)).collect();
        let runtime = &self.runtime;
        let users = &mut self.users;
        let sent = match step {
            Step::RequestKey { user, peer, replace } => {
                runtime.block_on(session(users, user).request_key(&names[peer], replace))
            }
            Step::SendKey { user, peer, replace } => {
                runtime.block_on(session(users, user).send_key(&names[peer], replace))
            }
            Step::SendText { user, peer } => {
                let text = format!("text {}", self.texts + 1);
                let sent = runtime.block_on(session(users, user).send_text(&names[peer], &text));
                self.texts += u32::from(sent.is_ok());
                sent
            }
            Step::Receive { user } => {
                let mut shown = Vec::new();
                let mut show = |arrival: messageu_client::Arrival| {
                    shown.push((numbers[&arrival.from.id], self::shown(arrival.content)));
                    Ok(())
                };
                let mut progress = |_, _| ();
                let receiving = session(users, user).receive(None, &mut progress, &mut show);
                runtime.block_on(receiving)?;
                return Ok(Outcome::Received(shown));
            }
            Step::Reopen { user } => {
                self.open(user);
                return Ok(Outcome::Done);
            }
        };
        match sent {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.kind() == ErrorKind::Peer => Ok(Outcome::NotWithThisPeer),
            Err(error) => Err(error),
        }
    }
}

fn session(users: &mut [User], user: usize) -> &mut Session {
    users[user].session.as_mut().unwrap()
}

/// What a user sees of a message; a text that nobody has written has the highest number.
fn shown(content: Content) -> Shown {
    match content {
        Content::KeyRequest(None) => Shown::KeyRequest,
        Content::Key(outcome) => Shown::Key(outcome),
        Content::Text(text) => {
            let text = str::from_utf8(text.as_bytes()).ok();
            let number = text.and_then(|text| text.strip_prefix("text ")?.parse().ok());
            Shown::Text(number.unwrap_or(u32::MAX))
        }
        Content::Locked(Locked::NoKey) => Shown::NoKey,
        Content::Locked(Locked::WrongKey) => Shown::WrongKey,
        other => panic!("nobody has sent {other:?}"),
    }
}

/// PKCS#8 DER of a key pair for each user.
static KEYS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let key = |seed| LegacyPrivateKey::generate(&mut StdRng::seed_from_u64(seed)).unwrap().to_pkcs8_der();
    (0..USERS as u64).map(|seed| key(seed).to_vec()).collect()
});
