//! What a session should do, without cryptography: which message is of which ratchet key, and which are still to come.

use std::collections::VecDeque;

use messageu_envelope::session::{SKIP_MAX, SKIPPED_LIFE, SKIPPED_MAX};
use messageu_wire::envelope::field::UnixSeconds;

/// Which message of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Label {
    /// Which of the side's ratchet keys, from 1.
    pub(super) generation: u32,
    /// How many messages were sent under the key before.
    pub(super) previous_count: u32,
    /// Its number under this key.
    pub(super) number: u32,
}

/// One side of a session.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Which of our ratchet keys is the newest; 0 for none.
    generation: u32,
    previous_count: u32,
    next: u32,
    /// Whether the peer has answered it, so that the next message has a new one.
    answered: bool,
    /// Which of the peer's ratchet keys is the newest; 0 for none.
    pub(super) receiving: u32,
    receiving_next: u32,
    /// What was skipped: generation, number, since when. Oldest first.
    skipped: VecDeque<(u32, u32, UnixSeconds)>,
}

impl Model {
    /// Who sent the INIT: that was the first message under the first key.
    pub(super) fn initiator() -> Self {
        Self { next: 1, generation: 1, answered: false, ..Self::responder() }.without_receiving()
    }

    /// Who opened it.
    pub(super) fn responder() -> Self {
        Self {
            generation: 0,
            previous_count: 0,
            next: 0,
            answered: true,
            receiving: 1,
            receiving_next: 1,
            skipped: VecDeque::new(),
        }
    }

    fn without_receiving(self) -> Self {
        Self { receiving: 0, receiving_next: 0, ..self }
    }

    /// The next message that is sent.
    pub(super) fn send(&mut self) -> Label {
        if self.answered {
            (self.previous_count, self.next) = (self.next, 0);
            self.generation += 1;
            self.answered = false;
        }
        self.next += 1;
        let Self { generation, previous_count, .. } = *self;
        Label { generation, previous_count, number: self.next - 1 }
    }

    /// How many more turn out to be missing when a message comes; `None`, and nothing changes, if it does not open.
    pub(super) fn receive(&mut self, label: Label, now: UnixSeconds) -> Option<u32> {
        let mut after = self.clone();
        after.forget_expired(now);
        let missing = after.take(label, now)?;
        *self = after;
        Some(missing)
    }

    fn take(&mut self, label: Label, now: UnixSeconds) -> Option<u32> {
        let is_this = |(generation, number, _): &(u32, u32, UnixSeconds)| {
            (*generation, *number) == (label.generation, label.number)
        };
        if let Some(at) = self.skipped.iter().position(is_this) {
            self.skipped.remove(at);
            return Some(0);
        }
        let mut missing = 0;
        if label.generation != self.receiving {
            // It answers our newest key, which nobody has answered yet.
            if self.answered || label.generation != self.receiving + 1 {
                return None;
            }
            if self.receiving > 0 {
                missing += self.skip_to(label.previous_count, now)?;
            }
            (self.receiving, self.receiving_next, self.answered) = (label.generation, 0, true);
        }
        missing += self.skip_to(label.number, now)?;
        (self.receiving_next == label.number).then(|| self.receiving_next += 1)?;
        Some(missing)
    }

    fn skip_to(&mut self, number: u32, now: UnixSeconds) -> Option<u32> {
        let count = number.saturating_sub(self.receiving_next);
        if count > SKIP_MAX {
            return None;
        }
        for skipped in self.receiving_next..number {
            self.skipped.push_back((self.receiving, skipped, now));
        }
        self.receiving_next = self.receiving_next.max(number);
        self.skipped.drain(..self.skipped.len().saturating_sub(SKIPPED_MAX));
        Some(count)
    }

    pub(super) fn forget_expired(&mut self, now: UnixSeconds) {
        self.skipped.retain(|(_, _, since)| now.0 <= since.0 + SKIPPED_LIFE);
    }

    /// How many messages are missing whose keys are kept.
    pub(super) fn missing(&self) -> usize {
        self.skipped.len()
    }
}
