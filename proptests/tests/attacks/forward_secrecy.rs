//! Whoever takes a device gets nothing of what was said before, and little of what is said after.

use messageu_client::Profile;
use messageu_client::modern::{Account, Passphrase};
use messageu_envelope::identity::Identity;
use messageu_envelope::legacy::{LegacyIv, legacy_open};
use messageu_wire::envelope::EnvelopeKind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::{Person, Stolen, World, contains};

/// Two of whom nothing is kept that was said, and all that they have sent each other.
struct Talk {
    world: World,
    people: [Person; 2],
    said: Vec<String>,
}

/// What both sides are called.
const NAMES: [&str; 2] = ["alice", "bob"];

impl Talk {
    async fn new() -> Self {
        let world = World::new().await;
        let people = [world.person_without_history("alice").await, world.person_without_history("bob").await];
        let mut talk = Self { world, people, said: Vec::new() };
        talk.say(0).await;
        talk
    }

    /// One says something, which the other is shown.
    async fn say(&mut self, from: usize) {
        let text = format!("what was said as number {}", self.said.len());
        let [sender, receiver] = [from, 1 - from].map(|which| &self.people[which]);
        sender.send(NAMES[1 - from], &text).await.unwrap();
        let shown = receiver.receives().await;
        assert_eq!(shown.last().unwrap(), &format!("{}: {text}", NAMES[from]));
        // And hears that it has come: nothing is on its way, which a thief could read.
        sender.receives().await;
        self.said.push(text);
    }

    fn users(&self) -> [&Identity; 2] {
        self.people.each_ref().map(|person| person.account.identity_key().identity())
    }

    /// All envelopes that a listener has, to one and then to the other.
    fn envelopes(&self) -> [Vec<Vec<u8>>; 2] {
        self.people.each_ref().map(|person| self.world.store.sent_to(person.id()))
    }

    /// How many of all envelopes a thief reads, of those to one and of those to the other.
    fn reads(&self, thief: &Stolen) -> [Vec<bool>; 2] {
        // What is derived from any of them may open any other, so they are looked at together.
        let [to_alice, to_bob] = self.envelopes();
        let mut reads = thief.reads(&[&to_alice[..], &to_bob[..]].concat(), self.users());
        let to_bob = reads.split_off(to_alice.len());
        [reads, to_bob]
    }
}

fn count(reads: &[bool]) -> usize {
    reads.iter().filter(|reads| **reads).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_state_at_any_step_and_everything_before_it() {
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..3 {
        let mut talk = Talk::new().await;
        for _ in 0..6 {
            talk.say(rng.random_range(0..2)).await;
            for victim in [0, 1] {
                let stolen = Stolen::of(&talk.people[victim]);
                let reads = talk.reads(&stolen);
                assert_eq!(reads.each_ref().map(|reads| count(reads)), [0, 0], "{:?}", talk.said);
                assert!(talk.said.iter().all(|text| !stolen.has(text.as_bytes())), "a text is kept");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_state_at_any_step_and_what_comes_after_a_round_trip() {
    let mut rng = StdRng::seed_from_u64(8);
    for victim in [0, 1] {
        let mut talk = Talk::new().await;
        for _ in 0..rng.random_range(1..8) {
            talk.say(rng.random_range(0..2)).await;
        }
        let stolen = Stolen::of(&talk.people[victim]);
        let before = talk.envelopes().map(|envelopes| envelopes.len());
        // The next message to the victim the thief reads: this is no thief of straw.
        talk.say(1 - victim).await;
        let reads = talk.reads(&stolen);
        assert!(reads[victim][before[victim]], "{:?}", talk.said);
        // One round trip, and it is over.
        talk.say(victim).await;
        talk.say(1 - victim).await;
        let closed = talk.envelopes().map(|envelopes| envelopes.len());
        for from in [victim, 1 - victim, victim, victim, 1 - victim] {
            talk.say(from).await;
        }
        let reads = talk.reads(&stolen);
        for side in [0, 1] {
            assert_eq!(count(&reads[side][..before[side]]), 0, "what was said before");
            assert_eq!(count(&reads[side][closed[side]..]), 0, "what was said after");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identity_key_and_all_that_went_over_the_network() {
    let mut talk = Talk::new().await;
    for from in [1, 0, 1] {
        talk.say(from).await;
    }
    // All private keys that Bob has for others to write to him are there, but for the one that was used, and sessions are not.
    let stolen = Stolen::of(&talk.people[1]);
    let init = talk.world.store.first_to(talk.people[1].id(), EnvelopeKind::INIT);
    assert!(stolen.opens_init(&init).is_none());
    assert_eq!((stolen.bundles().len(), stolen.one_time_keys().len()), (1, 99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identity_key_and_all_that_went_over_the_network_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.classic_user("alice").await, world.classic_user("bob").await);
    alice.session.request_key("bob", false).await.unwrap();
    bob.receives().await;
    bob.session.send_key("alice", false).await.unwrap();
    bob.session.send_text("alice", "for alice alone").await.unwrap();
    let recorded = world.classic().pull(alice.id(), false).await.unwrap();
    assert_eq!(alice.receives().await, ["bob: Key(Accepted)", "bob: for alice alone"]);
    // Years later her key file is found, and opens what somebody has recorded.
    let identity = Profile::at(alice.dir.path()).identity().unwrap().unwrap();
    let key = identity.key.unwrap_key(&recorded[0].1, &mut rand::rng()).unwrap();
    assert_eq!(legacy_open(&key, LegacyIv::Zero, &recorded[1].1).unwrap(), b"for alice alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_that_was_recorded_and_the_state_of_who_has_opened_it() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    let init = world.store.first_to(bob.id(), EnvelopeKind::INIT);
    // Until it has come its one-time key is there, so that this is known to be worth trying.
    assert!(Stolen::of(&bob).opens_init(&init).is_some());
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
    for person in [alice, bob] {
        assert!(Stolen::of(&person).opens_init(&init).is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_without_its_passphrase() {
    let world = World::new().await;
    let passphrase = Passphrase::new("correct horse battery staple".to_owned());
    let alice = Person::join(&world, &world.address, "alice", "alice", Some(&passphrase), false).await;
    let bob = world.person("bob").await;
    alice.send("bob", "for bob alone").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: for bob alone"]);
    let profile = Profile::at(alice.dir.path());
    let guess = Passphrase::new("password".to_owned());
    for passphrase in [None, Some(&guess)] {
        assert!(Account::open(&profile, passphrase, alice.settings.clone()).is_err());
    }
    // What is on the disk says nothing, either: no text, no name, no private key.
    let identity = alice.account.identity_key().to_pkcs8_der().unwrap();
    let files = on_disk(alice.dir.path());
    for secret in [&b"for bob alone"[..], b"bob", b"alice", &identity[200..300]] {
        assert!(files.iter().all(|file| !contains(file, secret)));
    }
    assert!(Account::open(&profile, Some(&passphrase), alice.settings.clone()).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_without_its_passphrase_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let alice = world.classic_user("alice").await;
    // The file that classic programs read has the private key as it is.
    let identity = Profile::at(alice.dir.path()).identity().unwrap().unwrap();
    assert_eq!(identity.client_id, alice.id());
    let listed = world.classic().0.fetch_key(alice.id(), alice.id()).await.unwrap();
    assert_eq!(identity.key.public_key(), listed);
}

/// The contents of all files below a directory.
fn on_disk(dir: &std::path::Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files =
        entries.map(|path| if path.is_dir() { on_disk(&path) } else { vec![std::fs::read(path).unwrap()] });
    files.flatten().collect()
}
