//! A session between two, over a network that drops, reorders, repeats and damages, with a thief who copies a device.
//!
//! What opens, how much is missing and what is kept is what [`Model`] says; what a thief's copy opens is what the model's
//! copy does: nothing that was sent or opened before, and nothing behind one round trip.

use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use messageu_envelope::init::{IncomingInit, OneTimeSecret, seal_init};
use messageu_envelope::session::Session;
use messageu_wire::envelope::field::UnixSeconds;
use rand::rngs::StdRng;

use super::ratchet_model::{Label, Model};
use super::users::{NOW, ONE_TIME_ID, alice, bob, rng, text};
use crate::rarely::rarely;

/// Most steps of a conversation.
const STEPS_MAX: usize = 96;
/// Most messages of a conversation.
const MESSAGES_MAX: usize = 3000;
/// In one conversation of so many, a thousand messages may be sent at once: that takes as long as a hundred others.
const BURSTS_ONE_IN: u32 = 128;
/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;
/// How many of the newest messages a thief tries that crossed before the theft.
const BEFORE: usize = 8;

/// A conversation as a fuzzer's bytes say it, two a step; or any bytes as a stored session.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_ratchet(bytes: &mut Unstructured<'_>) -> Result<()> {
    if bytes.arbitrary::<u8>()? >= 0xf0 {
        check_stored(bytes.bytes(bytes.len())?);
        return Ok(());
    }
    let bursts = rarely(bytes.peek_bytes(bytes.len()).unwrap_or_default(), BURSTS_ONE_IN);
    let (steps, _) = bytes.bytes(bytes.len())?.as_chunks::<2>();
    let mut conversation = Conversation::new(bursts);
    for step in steps.iter().take(STEPS_MAX) {
        conversation.take(*step);
    }
    conversation.finish();
    Ok(())
}

/// A stored session: a seed.
#[must_use]
pub fn stored_session() -> Vec<u8> {
    beginning()[1].to_bytes().to_vec()
}

/// Stored bytes are a session with this one spelling, or none; whatever they are, nothing comes of it but errors.
fn check_stored(bytes: &[u8]) {
    match Session::from_bytes(bytes) {
        Ok(session) => {
            assert!(**session.to_bytes() == *bytes);
            let mut rng = rng(5);
            if let Ok((envelope, _)) = session.seal(&text(b"text"), &mut rng) {
                assert!(session.open(&envelope, NOW).is_err(), "what we send comes back");
            }
        }
        Err(error) => assert!(error.at <= bytes.len() && !error.to_string().is_empty()),
    }
}

/// Both sides behind the INIT.
fn beginning() -> &'static [Session; 2] {
    static SESSIONS: OnceLock<[Session; 2]> = OnceLock::new();
    SESSIONS.get_or_init(|| {
        let mut rng = rng(140);
        let one_time = bob().peer_one_time();
        let sealed = seal_init(&alice().key, &bob().peer_bundle(), Some(&one_time), &text(b""), &mut rng);
        let (init, ours) = sealed.expect("an INIT");
        let secret = OneTimeSecret::Prekey(ONE_TIME_ID, &bob().one_time);
        let incoming = IncomingInit::decode(&init).expect("an INIT");
        let theirs = incoming.open(&bob().bundle, secret, NOW, &mut rng).expect("an INIT").session;
        [ours, theirs]
    })
}

/// One side, or a thief's copy of it.
#[derive(Clone)]
struct Side {
    session: Session,
    model: Model,
}

impl Side {
    /// Opens a message as the model says, or not at all. Says whether it did.
    fn receive(&mut self, sent: &Sent, now: UnixSeconds) -> bool {
        let expected = self.model.receive(sent.label, now);
        let opened = self.session.open(&sent.envelope, now);
        match (expected, opened) {
            (Some(missing), Ok(opened)) => {
                assert_eq!(opened.frame.body, sent.body, "{:?}", sent.label);
                assert_eq!(opened.newly_missing, missing, "{:?}", sent.label);
                self.session = opened.session;
                assert_eq!(self.session.missing(), self.model.missing());
                true
            }
            (None, Err(_)) => false,
            (expected, opened) => panic!("{:?}: {expected:?}, but {opened:?}: {:?}", sent.label, self.model),
        }
    }
}

/// A message that was sent.
#[derive(Clone)]
struct Sent {
    label: Label,
    body: [u8; 4],
    envelope: Vec<u8>,
}

struct Conversation {
    sides: [Side; 2],
    /// To each side: what is on its way, oldest first.
    waiting: [Vec<Sent>; 2],
    /// Everything that crossed: whom it was to, and what.
    crossed: Vec<(usize, Sent)>,
    /// A copy of a side, and which key of the peer's was the newest then.
    thief: Option<(usize, Side, u32)>,
    sent: usize,
    /// Whether more than skipping allows is sent at once.
    bursts: bool,
    now: UnixSeconds,
    rng: StdRng,
}

impl Conversation {
    fn new(bursts: bool) -> Self {
        let [ours, theirs] = beginning().clone();
        Self {
            sides: [
                Side { session: ours, model: Model::initiator() },
                Side { session: theirs, model: Model::responder() },
            ],
            waiting: [Vec::new(), Vec::new()],
            crossed: Vec::new(),
            thief: None,
            sent: 0,
            bursts,
            now: NOW,
            rng: rng(141),
        }
    }

    /// One step: what and by whom, and a byte that says how much or which.
    fn take(&mut self, [what, which]: [u8; 2]) {
        let side = usize::from(what & 1);
        let at = |count: usize| (usize::from(which) * count) >> 8;
        match what >> 1 & 0x0f {
            0..4 => self.send(side, 1 + usize::from(which % 3)),
            4 if !self.bursts => self.send(side, 4 + usize::from(which % 8)),
            4 => self.send(side, [1, 20, 998, 999, 1000, 1001, 1002, 600][usize::from(which % 8)]),
            5..8 => self.deliver(side, 0),
            8 => self.deliver(side, at(self.waiting[side].len())),
            9 => self.deliver(side, self.waiting[side].len().saturating_sub(1)),
            10 if !self.waiting[side].is_empty() => {
                let at = at(self.waiting[side].len());
                self.waiting[side].drain(at..);
            }
            11 => self.repeat(side, at(self.crossed.len())),
            12 => self.damage(side, which),
            13 => self.now.0 += u64::from(which % 40) * DAY,
            14 if which < 0x40 => self.steal(side),
            14 => self.erase_expired(side),
            15 => {
                let Side { session, .. } = &mut self.sides[side];
                let read = Session::from_bytes(&session.to_bytes()).expect("a session that was stored");
                assert!(read == *session);
                *session = read;
            }
            _ => {}
        }
    }

    fn send(&mut self, from: usize, count: usize) {
        for _ in 0..count.min(MESSAGES_MAX - self.sent) {
            self.sent += 1;
            let body = (self.sent as u32).to_le_bytes();
            let Side { session, model } = &mut self.sides[from];
            let label = model.send();
            let (envelope, after) = session.seal(&text(&body), &mut self.rng).expect("a MSG");
            *session = after;
            self.waiting[1 - from].push(Sent { label, body, envelope });
        }
    }

    fn deliver(&mut self, to: usize, at: usize) {
        if at < self.waiting[to].len() {
            let sent = self.waiting[to].remove(at);
            let opens = self.sides[to].receive(&sent, self.now);
            self.listen(to, &sent);
            if opens {
                // Nobody else opens it, and nobody twice.
                assert!(self.sides[to].session.open(&sent.envelope, self.now).is_err(), "{:?}", sent.label);
                assert!(self.sides[1 - to].session.open(&sent.envelope, self.now).is_err());
            }
            self.crossed.push((to, sent));
        }
    }

    /// A copy of what crossed, whether it opened then or not.
    fn repeat(&mut self, side: usize, at: usize) {
        if let Some((to, sent)) = self.crossed.get(at).filter(|(to, _)| *to == side).cloned() {
            self.sides[to].receive(&sent, self.now);
        }
    }

    /// A bit of what is on its way is another: it does not open, and nothing changes.
    fn damage(&mut self, side: usize, which: u8) {
        if let Some(sent) = self.waiting[side].first() {
            let mut envelope = sent.envelope.clone();
            let bit = (usize::from(which) * 8 * envelope.len()) >> 8;
            envelope[bit / 8] ^= 1 << (bit % 8);
            assert!(self.sides[side].session.open(&envelope, self.now).is_err(), "bit {bit}");
        }
    }

    fn erase_expired(&mut self, side: usize) {
        let Side { session, model } = &mut self.sides[side];
        let before = model.missing();
        model.forget_expired(self.now);
        let erased = session.without_expired(self.now);
        assert_eq!(erased.is_some(), model.missing() != before);
        *session = erased.unwrap_or_else(|| session.clone());
        assert_eq!(session.missing(), model.missing());
    }

    /// Takes all that a side has stored: it opens nothing that was sent or opened before.
    fn steal(&mut self, of: usize) {
        let Side { session, model } = &self.sides[of];
        let session = Session::from_bytes(&session.to_bytes()).expect("a session that was stored");
        let copy = Side { session, model: model.clone() };
        for (to, sent) in self.crossed.iter().rev().take(BEFORE) {
            if *to == of {
                // What did not open then, for being too far ahead, may do so now: the model knows.
                copy.clone().receive(sent, self.now);
            } else {
                assert!(copy.session.open(&sent.envelope, self.now).is_err(), "{:?}", sent.label);
            }
        }
        self.thief = Some((of, copy, model.receiving));
    }

    /// The thief hears what comes.
    fn listen(&mut self, to: usize, sent: &Sent) {
        if let Some((of, copy, then)) = &mut self.thief
            && *of == to
        {
            let reads = copy.receive(sent, self.now);
            // One key further is the answer to a key that was stolen; the next answers one that was not there.
            assert!(!reads || sent.label.generation <= *then + 1, "{:?} at {then}", sent.label);
        }
    }

    /// Whatever is left comes, in order.
    fn finish(&mut self) {
        for side in [0, 1] {
            for sent in std::mem::take(&mut self.waiting[side]) {
                self.sides[side].receive(&sent, self.now);
            }
        }
    }
}
