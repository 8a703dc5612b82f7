//! What the server counts. Nothing here tells of anybody in particular: no names, ids, addresses or contents.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use messageu_wire::dialect::Deviation;
use messageu_wire::modern::{self, ErrorCode};
use messageu_wire::operations::Operation;

/// Counters since the start, which only rise, and a few measures of what is there now.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Listeners that can accept connections now.
    pub listening: AtomicU64,
    /// Connections there are now.
    pub open: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections turned away because there were too many.
    pub turned_away: AtomicU64,
    /// TLS handshakes that succeeded.
    pub handshakes: AtomicU64,
    /// TLS handshakes that did not.
    pub handshakes_failed: AtomicU64,
    /// Bytes that were no request.
    pub rejected: AtomicU64,
    /// Pulls that were not known to have arrived, so that their messages stayed.
    pub not_arrived: AtomicU64,
    /// Clients that did not come back for so long that they were dropped.
    pub clients_expired: AtomicU64,
    answered: Counters<Operation>,
    refused: Counters<Operation>,
    reasons: Counters<Reason>,
    deviations: Counters<Deviation>,
    modern_answered: Counters<modern::Operation>,
    modern_refused: Counters<modern::Operation>,
    errors: Counters<ErrorCode>,
}

/// Why a request was refused, as far as it is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// The header's id is nobody's.
    UnknownAsker,
    /// The id asked for is nobody's.
    UnknownTarget,
    /// Somebody else has the name.
    NameTaken,
    /// The request asks for what cannot be, or not by whoever asks.
    Invalid,
    /// The content is larger than is accepted here.
    ContentTooLarge,
    /// As much waits as may.
    QueueFull,
    /// The disk is almost full.
    DiskFull,
    /// What was asked for is gone, or too much for one answer.
    NotAvailable,
    /// The storage failed.
    StorageFailed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::UnknownAsker,
        Self::UnknownTarget,
        Self::NameTaken,
        Self::Invalid,
        Self::ContentTooLarge,
        Self::QueueFull,
        Self::DiskFull,
        Self::NotAvailable,
        Self::StorageFailed,
    ];

    /// Its name, as monitoring shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownAsker => "unknown_asker",
            Self::UnknownTarget => "unknown_target",
            Self::NameTaken => "name_taken",
            Self::Invalid => "invalid",
            Self::ContentTooLarge => "content_too_large",
            Self::QueueFull => "queue_full",
            Self::DiskFull => "disk_full",
            Self::NotAvailable => "not_available",
            Self::StorageFailed => "storage_failed",
        }
    }
}

/// A counter for each of a few values.
#[derive(Debug)]
struct Counters<K>(BTreeMap<K, AtomicU64>);

impl<K: Ord> Counters<K> {
    fn of(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(|key| (key, AtomicU64::new(0))).collect())
    }

    fn count(&self, key: &K) {
        if let Some(counter) = self.0.get(key) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self, key: &K) -> u64 {
        self.0.get(key).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

impl Default for Counters<Operation> {
    fn default() -> Self {
        Self::of(Operation::ALL.iter().copied())
    }
}

impl Default for Counters<modern::Operation> {
    fn default() -> Self {
        Self::of(modern::Operation::ALL.iter().copied())
    }
}

impl Default for Counters<ErrorCode> {
    fn default() -> Self {
        Self::of(ErrorCode::ALL.iter().copied())
    }
}

impl Default for Counters<Reason> {
    fn default() -> Self {
        Self::of(Reason::ALL)
    }
}

impl Default for Counters<Deviation> {
    fn default() -> Self {
        Self::of(Deviation::ALL)
    }
}

impl Metrics {
    /// Counts one of anything.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request by how it ended.
    pub fn count_request(&self, operation: Operation, refused: Option<Reason>) {
        match refused {
            None => self.answered.count(&operation),
            Some(reason) => {
                self.refused.count(&operation);
                self.reasons.count(&reason);
            }
        }
    }

    /// Counts a request of version 3 by how it ended; one without an operation had a code of none.
    pub fn count_modern_request(&self, operation: Option<modern::Operation>, refused: Option<ErrorCode>) {
        match (operation, refused) {
            (Some(operation), None) => self.modern_answered.count(&operation),
            (Some(operation), Some(_)) => self.modern_refused.count(&operation),
            (None, _) => {}
        }
        if let Some(error) = refused {
            self.errors.count(&error);
        }
    }

    /// Requests of an operation of version 3, answered and refused.
    #[must_use]
    pub fn modern_requests(&self, operation: modern::Operation) -> (u64, u64) {
        (self.modern_answered.read(&operation), self.modern_refused.read(&operation))
    }

    /// Requests of version 3 that were refused with an error.
    #[must_use]
    pub fn errors(&self, error: ErrorCode) -> u64 {
        self.errors.read(&error)
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

    /// Requests that were refused for a reason.
    #[must_use]
    pub fn refusals(&self, reason: Reason) -> u64 {
        self.reasons.read(&reason)
    }

    /// Writes all counters to the log.
    pub fn log(&self) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        tracing::info!(
            connections = of(&self.connections),
            turned_away = of(&self.turned_away),
            handshakes = of(&self.handshakes),
            handshakes_failed = of(&self.handshakes_failed),
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
        for operation in modern::Operation::ALL {
            let (answered, refused) = self.modern_requests(*operation);
            if answered + refused > 0 {
                tracing::info!(version = 3, operation = operation.name(), answered, refused, "served");
            }
        }
        for error in ErrorCode::ALL {
            if self.errors(*error) > 0 {
                tracing::info!(version = 3, error = error.name(), times = self.errors(*error), "refused");
            }
        }
        for reason in Reason::ALL {
            if self.refusals(reason) > 0 {
                tracing::info!(reason = reason.name(), times = self.refusals(reason), "refused");
            }
        }
        for deviation in Deviation::ALL {
            if self.deviations(deviation) > 0 {
                tracing::info!(deviation = deviation.name(), times = self.deviations(deviation), "served");
            }
        }
    }
}
