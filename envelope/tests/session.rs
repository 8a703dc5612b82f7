//! Sessions: whatever the network does, what opens is what was sent, once, and nothing else changes anything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use std::collections::BTreeSet;

use common::primitives::chain_step;
use common::rng;
use common::users::{NOW, alice, bob, carol, sessions, text};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::error::{OpenError, SealError, StateError};
use messageu_envelope::session::{SKIP_MAX, SKIPPED_LIFE, SKIPPED_MAX, Session};
use messageu_envelope::session_state::SESSION_STATE_MAX;
use messageu_wire::envelope::field::UnixSeconds;
use messageu_wire::envelope::frame::{BODY_MAX, BodyType, Frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rand::rngs::StdRng;

fn pair(seed: u8) -> (Session, Session) {
    sessions(alice(), bob(), &mut rng(seed))
}

/// Seals a text, and puts the next session in the place of the last.
fn send(session: &mut Session, body: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let (envelope, next) = session.seal(&text(body, rng), rng).unwrap();
    *session = next;
    envelope
}

/// Opens a text, and puts the next session in the place of the last.
fn receive(session: &mut Session, envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
    let opened = session.open(envelope, NOW)?;
    *session = opened.session;
    Ok(opened.frame.body.clone())
}

/// What happens to a conversation. `usize` is the side: 0 began the session.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Deliver(usize, Index),
    DeliverInOrder(usize),
    Repeat(usize, Index),
    Lose(usize, Index),
    Damage(usize, Index, Index),
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0_usize..2;
    let at = any::<Index>;
    prop_oneof![
        4 => side.clone().prop_map(Step::Send),
        3 => side.clone().prop_map(Step::DeliverInOrder),
        2 => (side.clone(), at()).prop_map(|(side, which)| Step::Deliver(side, which)),
        1 => (side.clone(), at()).prop_map(|(side, which)| Step::Repeat(side, which)),
        1 => (side.clone(), at()).prop_map(|(side, which)| Step::Lose(side, which)),
        1 => (side.clone(), at(), at()).prop_map(|(side, which, bit)| Step::Damage(side, which, bit)),
        1 => side.prop_map(Step::Restart),
    ]
}

/// Two sides, and what is on its way to each.
struct Conversation {
    sessions: [Session; 2],
    /// To each side: the envelopes and what is in them, oldest first.
    waiting: [Vec<(Vec<u8>, Vec<u8>)>; 2],
    /// To each side: what has been opened.
    opened: [Vec<Vec<u8>>; 2],
    sent: u32,
    rng: StdRng,
}

impl Conversation {
    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Send(side) => {
                self.sent += 1;
                let body = self.sent.to_le_bytes();
                let envelope = send(&mut self.sessions[side], &body, &mut self.rng);
                self.waiting[1 - side].push((envelope, body.to_vec()));
            }
            Step::DeliverInOrder(side) => self.deliver(side, 0)?,
            Step::Deliver(side, which) if !self.waiting[side].is_empty() => {
                self.deliver(side, which.index(self.waiting[side].len()))?;
            }
            Step::Repeat(side, which) if !self.opened[side].is_empty() => {
                let envelope = self.opened[side][which.index(self.opened[side].len())].clone();
                self.refuse(side, &envelope)?;
            }
            Step::Lose(side, which) if !self.waiting[side].is_empty() => {
                let at = which.index(self.waiting[side].len());
                self.waiting[side].remove(at);
            }
            Step::Damage(side, which, bit) if !self.waiting[side].is_empty() => {
                let (mut envelope, _) = self.waiting[side][which.index(self.waiting[side].len())].clone();
                let bit = bit.index(8 * envelope.len());
                envelope[bit / 8] ^= 1 << (bit % 8);
                self.refuse(side, &envelope)?;
            }
            Step::Restart(side) => {
                let stored = self.sessions[side].to_bytes();
                let read = Session::from_bytes(&stored).unwrap();
                prop_assert!(read == self.sessions[side]);
                self.sessions[side] = read;
            }
            _ => {}
        }
        Ok(())
    }

    fn deliver(&mut self, side: usize, at: usize) -> Result<(), TestCaseError> {
        if at < self.waiting[side].len() {
            let (envelope, body) = self.waiting[side].remove(at);
            prop_assert_eq!(receive(&mut self.sessions[side], &envelope), Ok(body));
            self.opened[side].push(envelope);
        }
        Ok(())
    }

    fn refuse(&mut self, side: usize, envelope: &[u8]) -> Result<(), TestCaseError> {
        let before = self.sessions[side].clone();
        prop_assert_eq!(receive(&mut self.sessions[side], envelope), Err(OpenError));
        prop_assert!(self.sessions[side] == before);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_reordered_lost_repeated_and_damaged_the_rest_opens_once(
        steps in vec(step(), 1..150), seed: u8,
    ) {
        let mut rng = rng(seed);
        let (ours, theirs) = sessions(alice(), bob(), &mut rng);
        let mut conversation = Conversation {
            sessions: [ours, theirs], waiting: Default::default(), opened: Default::default(), sent: 0, rng,
        };
        for step in &steps {
            conversation.take(step)?;
        }
        for side in [0, 1] {
            while !conversation.waiting[side].is_empty() {
                conversation.deliver(side, 0)?;
            }
        }
    }

    #[test]
    fn stored_bytes_that_change_are_another_session_or_none(bytes in vec(any::<u8>(), 0..400), at: Index, flip in 1_u8..) {
        prop_assert!(Session::from_bytes(&bytes).is_err() || bytes[0] == 1);
        let (ours, _) = pair(60);
        let stored = ours.to_bytes();
        prop_assert!(Session::from_bytes(&stored[..at.index(stored.len())]).is_err());
        let mut changed = stored.to_vec();
        changed[at.index(stored.len())] ^= flip;
        if let Ok(session) = Session::from_bytes(&changed) {
            prop_assert_eq!(&session.to_bytes()[..], &changed[..]);
        }
        changed.push(0);
        prop_assert!(Session::from_bytes(&changed).is_err());
    }
}

// Damage

#[test]
fn any_bit_of_a_msg_that_changes_is_refused() {
    let (mut ours, theirs) = pair(61);
    let envelope = send(&mut ours, b"text", &mut rng(62));
    assert!(theirs.open(&envelope, NOW).is_ok());
    for bit in 0..8 * envelope.len() {
        let mut changed = envelope.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(theirs.open(&changed, NOW).unwrap_err(), OpenError, "bit {bit}");
    }
}

#[test]
fn a_msg_of_any_other_length_is_refused() {
    let (mut ours, theirs) = pair(63);
    let envelope = send(&mut ours, &[7; 300], &mut rng(64));
    for size in 0..envelope.len() {
        assert_eq!(theirs.open(&envelope[..size], NOW).unwrap_err(), OpenError, "{size}");
    }
    for more in [1, 16, 256, 3072] {
        let longer = [envelope.as_slice(), &vec![0; more]].concat();
        assert_eq!(theirs.open(&longer, NOW).unwrap_err(), OpenError);
    }
}

#[test]
fn parts_of_two_messages_do_not_make_a_third() {
    let (mut ours, theirs) = pair(65);
    let mut rng = rng(66);
    let [a, b] = [(); 2].map(|()| send(&mut ours, b"text", &mut rng));
    for cut in [60, 64, 80, 96, a.len() - 32] {
        for (one, other) in [(&a, &b), (&b, &a)] {
            let spliced = [&one[..cut], &other[cut..]].concat();
            // All before the number is the same in both: cut there, the whole second message is left.
            assert_eq!(theirs.open(&spliced, NOW).is_ok(), spliced == **other, "at {cut}");
        }
    }
}

#[test]
fn a_message_does_not_open_for_who_sent_it() {
    let (mut ours, mut theirs) = pair(67);
    let mut rng = rng(68);
    for _ in 0..3 {
        let envelope = send(&mut ours, b"to Bob", &mut rng);
        assert_eq!(ours.open(&envelope, NOW).unwrap_err(), OpenError);
        receive(&mut theirs, &envelope).unwrap();
        let envelope = send(&mut theirs, b"to Alice", &mut rng);
        assert_eq!(theirs.open(&envelope, NOW).unwrap_err(), OpenError);
        receive(&mut ours, &envelope).unwrap();
    }
}

#[test]
fn a_message_of_one_session_does_not_open_in_another() {
    let mut rng = rng(69);
    let (mut ours, _) = sessions(alice(), bob(), &mut rng);
    let (_, same_users) = sessions(alice(), bob(), &mut rng);
    let (_, other_user) = sessions(alice(), carol(), &mut rng);
    let envelope = send(&mut ours, b"text", &mut rng);
    for other in [same_users, other_user] {
        assert_eq!(other.open(&envelope, NOW).unwrap_err(), OpenError);
        // Nor when it says that it is of that session.
        let mut retargeted = envelope.clone();
        retargeted[8..24].copy_from_slice(&other.id().0);
        assert_eq!(other.open(&retargeted, NOW).unwrap_err(), OpenError);
    }
}

// Skipped messages

#[test]
fn gaps_are_counted_and_close_when_what_is_missing_comes() {
    let (mut ours, mut theirs) = pair(70);
    let mut rng = rng(71);
    let envelopes: Vec<_> = (0..5_u8).map(|body| send(&mut ours, &[body], &mut rng)).collect();
    let opened = theirs.open(&envelopes[3], NOW).unwrap();
    assert_eq!((opened.newly_missing, opened.session.missing()), (3, 3));
    theirs = opened.session;
    for (at, missing) in [(1, 2), (4, 2), (0, 1), (2, 0)] {
        let opened = theirs.open(&envelopes[at], NOW).unwrap();
        assert_eq!((opened.newly_missing, opened.session.missing()), (0, missing));
        theirs = opened.session;
    }
}

#[test]
fn what_is_missing_of_a_chain_that_ended_is_counted_too() {
    let (mut ours, mut theirs) = pair(72);
    let mut rng = rng(73);
    let lost: Vec<_> = (0..2).map(|_| send(&mut ours, b"lost", &mut rng)).collect();
    let reply = send(&mut theirs, b"reply", &mut rng);
    receive(&mut ours, &reply).unwrap();
    send(&mut ours, b"lost as well", &mut rng);
    let envelope = send(&mut ours, b"seen", &mut rng);
    let opened = theirs.open(&envelope, NOW).unwrap();
    assert_eq!(opened.newly_missing, 3);
    theirs = opened.session;
    assert_eq!(receive(&mut theirs, &lost[1]), Ok(b"lost".to_vec()));
}

#[test]
fn one_message_skips_a_thousand_at_most() {
    let (mut ours, theirs) = pair(74);
    let mut rng = rng(75);
    let envelopes: Vec<_> = (0..=SKIP_MAX + 1).map(|_| send(&mut ours, b"", &mut rng)).collect();
    let at = usize::try_from(SKIP_MAX).unwrap();
    assert_eq!(theirs.open(&envelopes[at + 1], NOW).unwrap_err(), OpenError);
    assert_eq!(theirs.open(&envelopes[at], NOW).unwrap().newly_missing, SKIP_MAX);
}

#[test]
fn two_thousand_keys_are_kept_at_most_and_the_oldest_go_first() {
    let (mut ours, mut theirs) = pair(76);
    let mut rng = rng(77);
    let envelopes: Vec<_> = (0..2003).map(|_| send(&mut ours, b"", &mut rng)).collect();
    for at in [1000, 2001, 2002] {
        receive(&mut theirs, &envelopes[at]).unwrap();
    }
    assert_eq!(theirs.missing(), SKIPPED_MAX);
    let reply = send(&mut theirs, b"", &mut rng);
    receive(&mut ours, &reply).unwrap();
    send(&mut ours, b"lost", &mut rng);
    let envelope = send(&mut ours, b"", &mut rng);
    receive(&mut theirs, &envelope).unwrap();
    assert_eq!(theirs.missing(), SKIPPED_MAX);
    assert_eq!(receive(&mut theirs, &envelopes[0]), Err(OpenError));
    assert_eq!(receive(&mut theirs, &envelopes[1]), Ok(Vec::new()));
    let stored = theirs.to_bytes();
    assert!(stored.len() <= SESSION_STATE_MAX && Session::from_bytes(&stored).unwrap() == theirs);
}

#[test]
fn the_key_of_a_skipped_message_is_kept_for_thirty_days() {
    let (mut ours, mut theirs) = pair(78);
    let mut rng = rng(79);
    let [skipped, next, last] = [(); 3].map(|()| send(&mut ours, b"", &mut rng));
    receive(&mut theirs, &next).unwrap();
    let late = UnixSeconds(NOW.0 + SKIPPED_LIFE);
    assert!(theirs.open(&skipped, late).is_ok());
    let too_late = UnixSeconds(late.0 + 1);
    assert_eq!(theirs.open(&skipped, too_late).unwrap_err(), OpenError);
    // Whatever opens then, the key is gone.
    assert_eq!(theirs.open(&last, too_late).unwrap().session.missing(), 0);
}

/// In a session in which nothing comes, nothing opens that would erase it.
#[test]
fn the_key_of_a_skipped_message_can_be_erased_without_opening_anything() {
    let (mut ours, mut theirs) = pair(92);
    let mut rng = rng(93);
    let [skipped, next] = [(); 2].map(|()| send(&mut ours, b"", &mut rng));
    receive(&mut theirs, &next).unwrap();
    let late = UnixSeconds(NOW.0 + SKIPPED_LIFE);
    assert!(theirs.without_expired(late).is_none());
    let erased = theirs.without_expired(UnixSeconds(late.0 + 1)).unwrap();
    assert_eq!((theirs.missing(), erased.missing()), (1, 0));
    assert_eq!(erased.open(&skipped, NOW).unwrap_err(), OpenError);
    let another = send(&mut ours, b"another", &mut rng);
    assert!(erased.open(&another, NOW).is_ok());
}

/// An offer is answered with an INIT. In a session nobody asked for a key.
#[test]
fn a_key_answer_in_a_session_is_refused() {
    let (ours, theirs) = pair(94);
    let mut rng = rng(95);
    let frame = text(&[1, 0, 0, 0], &mut rng);
    let (envelope, _) = ours.seal(&frame, &mut rng).unwrap();
    let mut answer = frame.clone();
    answer.body_type = BodyType::KEY_ANSWER;
    assert_eq!(ours.seal(&answer, &mut rng).unwrap_err(), SealError::KeyAnswer);
    // The same message with another frame in it, by who has the keys.
    let stored = ours.to_bytes();
    let (message_key, _) = chain_step(stored[113 + 1 + 4 + 32..][..32].try_into().unwrap());
    let [from, to] = [ours.us(), ours.peer()];
    let ids = [from.client_id().0, to.client_id().0];
    let aad = [b"MU3-MSG\0", ids.as_flattened(), &from.0, &to.0, &envelope[..64]].concat();
    let forge = |frame: &Frame| {
        let sealed =
            AeadKey::from_bytes(&message_key).seal(&aad, &frame.encode().unwrap(), &mut common::rng(96));
        [&envelope[..64], &sealed.encode()].concat()
    };
    assert!(theirs.open(&forge(&frame), NOW).is_ok());
    assert_eq!(theirs.open(&forge(&answer), NOW).unwrap_err(), OpenError);
}

/// Headers are not secret: what they say is believed only once the tag holds.
#[test]
fn a_forged_header_changes_nothing_and_costs_little() {
    let (mut ours, theirs) = pair(80);
    let envelope = send(&mut ours, b"text", &mut rng(81));
    for number in [2, SKIP_MAX, SKIP_MAX + 1, u32::MAX - 1, u32::MAX] {
        for at in [56, 60] {
            let mut forged = envelope.clone();
            forged[at..at + 4].copy_from_slice(&number.to_le_bytes());
            assert_eq!(theirs.open(&forged, NOW).unwrap_err(), OpenError);
        }
    }
    assert!(theirs.open(&envelope, NOW).is_ok());
}

// Values

#[test]
fn to_seal_and_to_open_leave_the_session_as_it_is() {
    let (ours, theirs) = pair(82);
    let (ours_before, theirs_before) = (ours.to_bytes(), theirs.to_bytes());
    let mut rng = rng(83);
    let (envelope, _) = ours.seal(&text(b"once", &mut rng), &mut rng).unwrap();
    let first = theirs.open(&envelope, NOW).unwrap();
    let second = theirs.open(&envelope, NOW).unwrap();
    assert!(first.session == second.session && first.frame == second.frame);
    assert_eq!((ours.to_bytes(), theirs.to_bytes()), (ours_before, theirs_before));
    assert_eq!(first.session.open(&envelope, NOW).unwrap_err(), OpenError);
}

#[test]
fn every_message_of_a_round_has_a_ratchet_key_of_its_own() {
    let (mut ours, mut theirs) = pair(84);
    let mut rng = rng(85);
    let mut keys = BTreeSet::new();
    for _ in 0..10 {
        let envelope = send(&mut ours, b"", &mut rng);
        assert!(keys.insert(envelope[24..56].to_vec()));
        receive(&mut theirs, &envelope).unwrap();
        let envelope = send(&mut theirs, b"", &mut rng);
        assert!(keys.insert(envelope[24..56].to_vec()));
        receive(&mut ours, &envelope).unwrap();
    }
}

#[test]
fn a_new_ratchet_key_out_of_turn_is_refused() {
    let (mut ours, mut theirs) = pair(86);
    receive(&mut theirs, &send(&mut ours, b"one", &mut rng(87))).unwrap();
    receive(&mut ours, &send(&mut theirs, b"two", &mut rng(88))).unwrap();
    // Two new keys in the place of one, as of a state that was copied.
    let mut copied = ours.clone();
    let (turn, another) =
        (send(&mut ours, b"three", &mut rng(89)), send(&mut copied, b"three", &mut rng(90)));
    assert_ne!(turn[24..56], another[24..56]);
    let mut other_way_round = theirs.clone();
    receive(&mut theirs, &turn).unwrap();
    assert_eq!(receive(&mut theirs, &another), Err(OpenError));
    receive(&mut other_way_round, &another).unwrap();
    assert_eq!(receive(&mut other_way_round, &turn), Err(OpenError));
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let (ours, _) = pair(86);
    let mut rng = rng(87);
    let sealed = |size, rng: &mut StdRng| ours.seal(&text(&vec![0; size], rng), &mut common::rng(88));
    assert_eq!(sealed(BODY_MAX, &mut rng).unwrap().0.len(), 65_648);
    assert!(matches!(sealed(BODY_MAX + 1, &mut rng).unwrap_err(), SealError::Wire(_)));
}

#[test]
fn numbers_that_are_used_up_are_an_error() {
    let (ours, _) = pair(89);
    let mut stored = ours.to_bytes().to_vec();
    // The number is the last of what is stored of the sending chain, which the tag of what is received follows.
    let at = 113 + 1 + 4 + 32 + 32;
    assert_eq!(stored[at..at + 5], [1, 0, 0, 0, 0]);
    stored[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let session = Session::from_bytes(&stored).unwrap();
    let mut rng = rng(90);
    let frame: Frame = text(b"", &mut rng);
    assert_eq!(session.seal(&frame, &mut rng).unwrap_err(), SealError::Exhausted);
}

#[test]
fn an_error_of_stored_bytes_says_where() {
    let (ours, _) = pair(91);
    let mut stored = ours.to_bytes().to_vec();
    stored[113] = 2;
    assert_eq!(Session::from_bytes(&stored).unwrap_err(), StateError { at: 113 });
    stored[0] = 2;
    assert_eq!(Session::from_bytes(&stored).unwrap_err(), StateError { at: 0 });
}
