//! What a thief of a device's whole state can and cannot read.
//!
//! The thief knows everything that was stored of a session, and every envelope that ever crossed the network, and derives
//! from it whatever can be derived with primitives alone: message keys from chain keys, root and chain keys from root
//! keys, stolen private keys and all public keys. Where it should be able to read, the tests hold it to that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use std::collections::HashSet;

use common::primitives::{chain_step, hkdf, root_step};
use common::rng;
use common::users::{NOW, ONE_TIME_ID, alice, bob, init, open, sessions, text};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::session::Session;
use messageu_wire::envelope::field::DhPublicKey;
use messageu_wire::envelope::init::{INIT_HEADER_SIZE, INIT_OVERHEAD, Init};
use messageu_wire::envelope::msg::Msg;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

/// What a thief has, and what follows from it.
struct Thief {
    roots: HashSet<[u8; 32]>,
    chains: HashSet<[u8; 32]>,
    secrets: Vec<DhSecret>,
    message_keys: Vec<[u8; 64]>,
}

/// How many messages a chain is followed for.
const CHAIN_LENGTH: usize = 30;
/// How many root steps are followed.
const ROOT_STEPS: usize = 2;

impl Thief {
    /// Takes a stored session apart, as session_state.rs lays it out.
    fn of(session: &Session) -> Self {
        let stored = session.to_bytes();
        let mut at = 81;
        let mut take = |size: usize| {
            at += size;
            &stored[at - size..at]
        };
        let mut thief = Self {
            roots: HashSet::new(),
            chains: HashSet::new(),
            secrets: Vec::new(),
            message_keys: Vec::new(),
        };
        thief.roots.insert(take(32).try_into().unwrap());
        let sends_chain = take(1) == [1];
        take(4);
        if sends_chain {
            thief.secrets.push(DhSecret::from_bytes(take(32).try_into().unwrap()));
            thief.chains.insert(take(32).try_into().unwrap());
            take(4);
        }
        if take(1) == [1] {
            take(32);
            thief.chains.insert(take(32).try_into().unwrap());
            take(4);
        }
        let count = u16::from_le_bytes(take(2).try_into().unwrap());
        for _ in 0..count {
            take(44);
            thief.message_keys.push(take(64).try_into().unwrap());
        }
        assert_eq!(at, stored.len());
        thief
    }

    /// Which of the envelopes it can read.
    fn reads(mut self, envelopes: &[Vec<u8>]) -> Vec<bool> {
        let messages: Vec<Msg> = envelopes.iter().map(|envelope| Msg::decode(envelope).unwrap()).collect();
        let publics: HashSet<DhPublicKey> = messages.iter().map(|msg| msg.header.ratchet).collect();
        let mut newest = self.roots.clone();
        for _ in 0..ROOT_STEPS {
            let steps = newest.iter().flat_map(|root| {
                let pairs =
                    self.secrets.iter().flat_map(|secret| publics.iter().map(move |key| (secret, key)));
                pairs.map(|(secret, public)| root_step(root, &secret.agree(public).unwrap()))
            });
            let (roots, chains): (HashSet<_>, Vec<_>) = steps.unzip();
            self.chains.extend(chains);
            newest = roots;
        }
        for mut chain in self.chains {
            for _ in 0..CHAIN_LENGTH {
                let (message_key, next) = chain_step(&chain);
                self.message_keys.push(message_key);
                chain = next;
            }
        }
        // Whether a tag holds depends on the additional data, which is not secret.
        let (from_alice, from_bob) = (parties(true), parties(false));
        let keys: Vec<_> = self.message_keys.iter().map(AeadKey::from_bytes).collect();
        let reads = |(msg, envelope): (&Msg, &Vec<u8>)| {
            [&from_alice, &from_bob].into_iter().any(|parties| {
                let aad = [parties.as_slice(), &envelope[..64]].concat();
                keys.iter().any(|key| key.open(&aad, &msg.sealed).is_ok())
            })
        };
        messages.iter().zip(envelopes).map(reads).collect()
    }
}

/// The beginning of the additional data of what Alice, or Bob, sends.
fn parties(from_alice: bool) -> Vec<u8> {
    let (from, to) = if from_alice { (alice(), bob()) } else { (bob(), alice()) };
    let fingerprints = [from.identity().fingerprint().0, to.identity().fingerprint().0];
    [b"MU3-MSG\0".as_slice(), &from.id().0, &to.id().0, fingerprints.as_flattened()].concat()
}

/// Two sessions, and every envelope that they exchanged.
struct Talk {
    sessions: [Session; 2],
    envelopes: Vec<Vec<u8>>,
    rng: StdRng,
}

impl Talk {
    fn new(seed: u8) -> Self {
        let mut rng = rng(seed);
        let (ours, theirs) = sessions(alice(), bob(), &mut rng);
        Self { sessions: [ours, theirs], envelopes: Vec::new(), rng }
    }

    /// A message from a side that arrives; gives its place.
    fn say(&mut self, from: usize) -> usize {
        let (envelope, next) =
            self.sessions[from].seal(&text(b"text", &mut self.rng), &mut self.rng).unwrap();
        self.sessions[from] = next;
        self.sessions[1 - from] = self.sessions[1 - from].open(&envelope, NOW).unwrap().session;
        self.envelopes.push(envelope);
        self.envelopes.len() - 1
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_state_at_any_step_reads_nothing_that_was_sent_or_opened_before(
        before in vec(0_usize..2, 1..20), of in 0_usize..2, seed: u8,
    ) {
        let mut talk = Talk::new(seed);
        for from in &before {
            talk.say(*from);
        }
        let thief = Thief::of(&talk.sessions[of]);
        // The thief is no straw man: it reads what comes next.
        let next = talk.say(1 - of);
        let reads = thief.reads(&talk.envelopes);
        prop_assert!(reads[next]);
        prop_assert_eq!(reads[..next].iter().filter(|reads| **reads).count(), 0);
    }

    #[test]
    fn after_one_honest_round_trip_the_state_reads_nothing_new(
        before in vec(0_usize..2, 0..10), after in vec(0_usize..2, 0..10), of in 0_usize..2, seed: u8,
    ) {
        let mut talk = Talk::new(seed);
        for from in &before {
            talk.say(*from);
        }
        let thief = Thief::of(&talk.sessions[of]);
        let open = talk.say(1 - of);
        talk.say(of);
        talk.say(1 - of);
        let closed = talk.say(of);
        for from in &after {
            talk.say(*from);
        }
        let reads = thief.reads(&talk.envelopes);
        prop_assert!(reads[open]);
        prop_assert_eq!(reads[closed..].iter().filter(|reads| **reads).count(), 0);
    }
}

#[test]
fn the_key_of_a_message_that_is_missing_is_in_the_state_and_that_of_one_that_came_is_not() {
    let mut talk = Talk::new(100);
    let (missing, next) = talk.sessions[0].seal(&text(b"", &mut talk.rng), &mut talk.rng).unwrap();
    talk.sessions[0] = next;
    talk.envelopes.push(missing.clone());
    talk.say(0);
    assert_eq!(Thief::of(&talk.sessions[1]).reads(&talk.envelopes), [true, false]);
    talk.sessions[1] = talk.sessions[1].open(&missing, NOW).unwrap().session;
    assert_eq!(Thief::of(&talk.sessions[1]).reads(&talk.envelopes), [false, false]);
}

/// A private ratchet key is gone as soon as it was answered, even if nothing is sent then.
#[test]
fn an_answered_ratchet_key_is_not_in_the_state() {
    let mut talk = Talk::new(101);
    assert_eq!(Thief::of(&talk.sessions[0]).secrets.len(), 1);
    talk.say(1);
    assert_eq!(Thief::of(&talk.sessions[0]).secrets.len(), 0);
    talk.say(0);
    assert_eq!(Thief::of(&talk.sessions[0]).secrets.len(), 1);
}

// What begins a session

/// All that Bob still has once the INIT is accepted: identity, bundle, session. The one-time prekey is erased.
#[test]
fn an_init_to_a_one_time_prekey_is_closed_once_that_is_erased() {
    let (envelope, _) = init(alice(), bob(), &mut rng(102));
    assert!(open(&envelope, bob()).is_some());
    let init = Init::decode(&envelope).unwrap();
    assert_eq!(init.header.one_time_id, ONE_TIME_ID);
    let bundle = Sha256::digest(bob().bundle.bundle().encode());
    let transcript =
        Sha256::digest([&envelope[..INIT_HEADER_SIZE], &bob().identity().fingerprint().0, &bundle].concat());
    let random = bob().bundle.wrapping().unwrap(&init.header.wrapped, &mut rng(1));
    let agreed = bob().bundle.prekey().agree(&init.header.ephemeral).unwrap();
    let agreed_once = bob().one_time.agree(&init.header.ephemeral).unwrap();
    let sender_opens = |secrets: &[&[u8]]| {
        let derived = hkdf::<96>(&transcript, &secrets.concat(), b"MU3-INIT");
        AeadKey::from_bytes(derived.first_chunk().unwrap()).open(&transcript, &init.sender).is_ok()
    };
    assert!(sender_opens(&[random.as_bytes(), &*agreed, &*agreed_once]));
    assert!(!sender_opens(&[random.as_bytes(), &*agreed]));
    assert!(!sender_opens(&[random.as_bytes(), &*agreed, &[0; 32]]));
    // Nor does the session that came of it open its first message again.
    let first = envelope[INIT_OVERHEAD..].to_vec();
    assert_eq!(Thief::of(&open(&envelope, bob()).unwrap().session).reads(&[first]), [false]);
}
