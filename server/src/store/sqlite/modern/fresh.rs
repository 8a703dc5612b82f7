//! The newest envelopes, kept in memory for those who wait for them: a pull of what has just come asks no disk.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::store::modern::PendingEnvelope;

/// Bytes that are kept; the oldest go first. One envelope more than that may be there for a moment.
const KEPT_MAX: usize = 8 << 20;

/// Bytes that an envelope costs beside its own.
const OVERHEAD: usize = 128;

pub(super) struct Fresh {
    state: Mutex<State>,
    /// All envelopes whose places are on disk are up to this one.
    on_disk: AtomicI64,
}

#[derive(Default)]
struct State {
    envelopes: HashMap<i64, PendingEnvelope>,
    /// Those that came, oldest first; some may be gone.
    order: VecDeque<(i64, usize)>,
    bytes: usize,
}

impl Fresh {
    /// Nothing, where all envelopes up to `on_disk` may have places on disk.
    pub(super) fn new(on_disk: i64) -> Self {
        Self { state: Mutex::default(), on_disk: AtomicI64::new(on_disk) }
    }

    /// Notes that places up to this one are on disk now: before they leave the tail.
    pub(super) fn written_down(&self, last: i64) {
        self.on_disk.fetch_max(last, Ordering::AcqRel);
    }

    /// Whether no envelope behind this one had its place on disk. Asked after the tail was.
    pub(super) fn is_beyond_disk(&self, after: i64) -> bool {
        after >= self.on_disk.load(Ordering::Acquire)
    }

    /// Keeps envelopes that are committed.
    pub(super) fn keep(&self, envelopes: Vec<PendingEnvelope>) {
        let mut state = self.state();
        for envelope in envelopes {
            let cost = envelope.envelope.len() + OVERHEAD;
            state.order.push_back((envelope.sequence.0, cost));
            state.bytes += cost;
            state.envelopes.insert(envelope.sequence.0, envelope);
        }
        while state.bytes > KEPT_MAX {
            let Some((oldest, cost)) = state.order.pop_front() else { break };
            state.envelopes.remove(&oldest);
            state.bytes -= cost;
        }
    }

    /// Forgets envelopes that are gone.
    pub(super) fn forget(&self, gone: impl Iterator<Item = i64>) {
        let mut state = self.state();
        for id in gone {
            // Its bytes go; what it counts for goes with its turn.
            state.envelopes.remove(&id);
        }
        while let Some((oldest, cost)) = state.order.front().copied() {
            if state.envelopes.contains_key(&oldest) {
                break;
            }
            state.order.pop_front();
            state.bytes -= cost;
        }
    }

    /// These envelopes in their order, at most `max_bytes` but one at least; `None` if one that is due is not kept.
    pub(super) fn all(&self, ids: &[i64], max_bytes: usize) -> Option<Vec<PendingEnvelope>> {
        let state = self.state();
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        for id in ids {
            let envelope = state.envelopes.get(id)?;
            bytes = bytes.saturating_add(envelope.envelope.len());
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(envelope.clone());
        }
        Some(found)
    }

    /// Forgets all, for good: everything is on disk.
    pub(super) fn close(&self) {
        self.on_disk.store(i64::MAX, Ordering::Release);
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An envelope to be kept, in a piece of memory that holds no more than it.
pub(super) fn own(envelope: &Bytes) -> Bytes {
    Bytes::copy_from_slice(envelope)
}
