//! What a thief of a device's whole state can and cannot read.
//!
//! The thief is in `common/thief.rs`. Where it should be able to read, the tests hold it to that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use common::primitives::hkdf;
use common::rng;
use common::thief::Thief;
use common::users::{NOW, ONE_TIME_ID, alice, bob, init, open, sessions, text};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::session::Session;
use messageu_wire::envelope::init::{INIT_HEADER_SIZE, INIT_OVERHEAD, Init};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

/// Which of the envelopes a thief can read.
fn reads(thief: Thief, envelopes: &[Vec<u8>]) -> Vec<bool> {
    thief.reads(envelopes, [alice().identity(), bob().identity()])
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
        let reads = reads(thief, &talk.envelopes);
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
        let reads = reads(thief, &talk.envelopes);
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
    assert_eq!(reads(Thief::of(&talk.sessions[1]), &talk.envelopes), [true, false]);
    talk.sessions[1] = talk.sessions[1].open(&missing, NOW).unwrap().session;
    assert_eq!(reads(Thief::of(&talk.sessions[1]), &talk.envelopes), [false, false]);
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
    assert_eq!(reads(Thief::of(&open(&envelope, bob()).unwrap().session), &[first]), [false]);
}
