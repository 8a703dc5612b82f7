//! What a store counts: what came, what went and why, what waits, and how its commits go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A store's counters and measures.
#[derive(Debug)]
pub struct StoreMetrics {
    /// Messages of the classic dialects.
    pub messages: Flow,
    /// Envelopes of version 3.
    pub envelopes: Flow,
    /// Chunks of files of version 3, a small one counted as 4,096 bytes.
    pub chunks: Flow,
    /// Accounts of version 3, those among them that have given way to another.
    pub accounts: AtomicU64,
    /// How many requests shared a commit.
    pub group_sizes: Histogram<8>,
    /// How long commits took, from the first change to the last byte on disk, in microseconds.
    pub commit_times: Histogram<10>,
    /// Transactions that failed.
    pub failed_commits: AtomicU64,
}

/// What is kept until its recipient has it.
#[derive(Debug, Default)]
pub struct Flow {
    /// What waits now.
    pub waiting: Tally,
    /// What was taken in.
    pub accepted: Tally,
    /// What went because it had arrived.
    pub acknowledged: Tally,
    /// What went for a newer message, or with its recipient's account.
    pub dropped: Tally,
    /// What went because it had waited for too long.
    pub expired: Tally,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            messages: Flow::default(),
            envelopes: Flow::default(),
            chunks: Flow::default(),
            accounts: AtomicU64::new(0),
            group_sizes: Histogram::new([1, 2, 4, 16, 64, 256, 1_024, 4_096]),
            commit_times: Histogram::new([
                100, 250, 1_000, 2_500, 10_000, 25_000, 100_000, 250_000, 1_000_000, 10_000_000,
            ]),
            failed_commits: AtomicU64::new(0),
        }
    }
}

impl Flow {
    /// Takes up what a transaction has moved, now that it is committed.
    pub fn moved(&self, movement: &Movement) {
        let Movement { accepted, acknowledged, dropped, expired } = movement;
        self.accepted.add(*accepted);
        self.waiting.add(*accepted);
        for (tally, amount) in
            [(&self.acknowledged, acknowledged), (&self.dropped, dropped), (&self.expired, expired)]
        {
            tally.add(*amount);
            self.waiting.subtract(*amount);
        }
    }
}

impl StoreMetrics {
    /// Takes up a commit of so many requests.
    pub fn committed(&self, requests: usize, time: Duration) {
        self.group_sizes.observe(u64::try_from(requests).unwrap_or(u64::MAX));
        self.commit_times.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Messages, and the bytes of their contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// How many.
    pub messages: u64,
    /// Bytes of content.
    pub bytes: u64,
}

impl Amount {
    /// One message more.
    pub fn count(&mut self, bytes: u32) {
        self.messages += 1;
        self.bytes += u64::from(bytes);
    }
}

/// What a transaction moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Movement {
    /// What is taken in.
    pub accepted: Amount,
    /// What goes because it has arrived.
    pub acknowledged: Amount,
    /// What goes for a newer message, or with its recipient's account.
    pub dropped: Amount,
    /// What goes because it has waited for too long.
    pub expired: Amount,
}

/// An [`Amount`] that many threads read.
#[derive(Debug, Default)]
pub struct Tally {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// What it has come to.
    pub fn read(&self) -> Amount {
        Amount { messages: self.messages.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// More.
    pub fn add(&self, amount: Amount) {
        self.messages.fetch_add(amount.messages, Ordering::Relaxed);
        self.bytes.fetch_add(amount.bytes, Ordering::Relaxed);
    }

    fn subtract(&self, amount: Amount) {
        for (value, less) in [(&self.messages, amount.messages), (&self.bytes, amount.bytes)] {
            // What a damaged database did not show at the start was not counted, and may go all the same.
            let _ = value
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(less)));
        }
    }
}

/// How often a value was at most so large, for a few bounds.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: bounds.map(|_| AtomicU64::new(0)),
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    fn observe(&self, value: u64) {
        let mut counts = self.bounds.iter().zip(&self.counts);
        let count = counts.find(|(bound, _)| value <= **bound).map_or(&self.beyond, |(_, count)| count);
        count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Each bound with how many values were at most that, all values, and their sum.
    pub fn read(&self) -> ([(u64, u64); N], u64, u64) {
        let mut total = 0;
        let mut counts = self.counts.iter();
        let cumulative = self.bounds.map(|bound| {
            total += counts.next().map_or(0, |count| count.load(Ordering::Relaxed));
            (bound, total)
        });
        total += self.beyond.load(Ordering::Relaxed);
        (cumulative, total, self.sum.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, Flow, Histogram, Movement};

    #[test]
    fn a_histogram_counts_each_value_in_every_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new([1, 10]);
        for value in [0, 1, 2, 10, 11] {
            histogram.observe(value);
        }
        assert_eq!(histogram.read(), ([(1, 2), (10, 4)], 5, 24));
    }

    #[test]
    fn what_waits_is_what_came_without_what_went_whatever_for() {
        let metrics = Flow::default();
        let amount = |messages, bytes| Amount { messages, bytes };
        metrics.moved(&Movement { accepted: amount(10, 100), ..Movement::default() });
        metrics.moved(&Movement {
            accepted: amount(1, 7),
            acknowledged: amount(1, 10),
            dropped: amount(2, 20),
            expired: amount(3, 30),
        });
        assert_eq!(metrics.waiting.read(), amount(5, 47));
        assert_eq!(metrics.accepted.read(), amount(11, 107));
    }

    #[test]
    fn what_was_not_seen_to_wait_makes_it_no_less_than_nothing() {
        let metrics = Flow::default();
        let expired = Amount { messages: 1, bytes: 10 };
        metrics.moved(&Movement { expired, ..Movement::default() });
        assert_eq!(metrics.waiting.read(), Amount::default());
    }
}
