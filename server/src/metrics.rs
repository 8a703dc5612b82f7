//! What the server counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use messageu_wire::dialect::Deviation;
use messageu_wire::operations::Operation;

/// Counters since the start. They only rise.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections turned away because there were too many.
    pub turned_away: AtomicU64,
    /// Bytes that were no request.
    pub rejected: AtomicU64,
    /// Pulls that were not known to have arrived, so that their messages stayed.
    pub not_arrived: AtomicU64,
    answered: Counters<Operation>,
    refused: Counters<Operation>,
    deviations: Counters<Deviation>,
}

/// A counter for each of a few values.
#[derive(Debug)]
struct Counters<K>(BTreeMap<K, AtomicU64>);

impl Default for Counters<Operation> {
    fn default() -> Self {
        Self(Operation::ALL.iter().map(|operation| (*operation, AtomicU64::new(0))).collect())
    }
}

impl Default for Counters<Deviation> {
    fn default() -> Self {
        Self(Deviation::ALL.iter().map(|deviation| (*deviation, AtomicU64::new(0))).collect())
    }
}

impl<K: Ord> Counters<K> {
    fn count(&self, key: &K) {
        if let Some(counter) = self.0.get(key) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self, key: &K) -> u64 {
        self.0.get(key).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

impl Metrics {
    /// Counts one of anything.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request by how it ended.
    pub fn count_request(&self, operation: Operation, refused: bool) {
        if refused { self.refused.count(&operation) } else { self.answered.count(&operation) }
    }

    /// Counts a wrong size that was let pass.
    pub fn count_deviation(&self, deviation: Deviation) {
        self.deviations.count(&deviation);
    }

    /// How often a wrong size was let pass.
    #[must_use]
    pub fn deviations(&self, deviation: Deviation) -> u64 {
        self.deviations.read(&deviation)
    }

    /// Requests of an operation, answered and refused.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> (u64, u64) {
        (self.answered.read(&operation), self.refused.read(&operation))
    }

    /// Writes all counters to the log.
    pub fn log(&self) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        tracing::info!(
            connections = of(&self.connections),
            turned_away = of(&self.turned_away),
            rejected = of(&self.rejected),
            not_arrived = of(&self.not_arrived),
            "served"
        );
        for operation in Operation::ALL {
            let (answered, refused) = self.requests(*operation);
            if answered + refused > 0 {
                tracing::info!(operation = operation.name(), answered, refused, "served");
            }
        }
        for deviation in Deviation::ALL {
            if self.deviations(deviation) > 0 {
                tracing::info!(deviation = deviation.name(), times = self.deviations(deviation), "served");
            }
        }
    }
}
