//! Who is there and how much waits, kept beside the database so that a send need not look clients up and count its
//! recipient's queue.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use messageu_wire::fields::ClientId;
use rusqlite::Connection;

/// Clients and senders that are kept; with more, all are forgotten and looked up again as they are needed.
const KEPT_MAX: usize = 65_536;

/// Clients that were asked about, and what waits for them. Only the writer changes the tables, and tells of it here.
#[derive(Default)]
pub(super) struct Counters {
    clients: HashSet<ClientId>,
    pub(super) queues: Queues<ClientId>,
}

/// What waits for the recipients that were asked about. A sender is known as an `F`.
pub(super) struct Queues<F> {
    queues: HashMap<ClientId, Queue<F>>,
    /// Senders in all of them.
    senders: usize,
}

/// What waits for a recipient, in all and by sender.
pub(super) struct Queue<F> {
    pub(super) all: Waiting,
    pub(super) senders: HashMap<F, Waiting>,
}

/// Messages that wait, and the bytes of their contents.
#[derive(Clone, Copy, Default)]
pub(super) struct Waiting {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// No message up to this one is among them: the oldest is looked for behind it.
    pub(super) behind: i64,
}

impl<F> Default for Queues<F> {
    fn default() -> Self {
        Self { queues: HashMap::new(), senders: 0 }
    }
}

impl<F> Default for Queue<F> {
    fn default() -> Self {
        Self { all: Waiting::default(), senders: HashMap::new() }
    }
}

impl<F: Eq + Hash> Queue<F> {
    /// Adds what is there of a sender.
    pub(super) fn add(&mut self, from: F, messages: u64, bytes: u64) {
        for waiting in [&mut self.all, self.senders.entry(from).or_default()] {
            waiting.messages += messages;
            waiting.bytes += bytes;
        }
    }
}

impl Counters {
    pub(super) fn is_client(&mut self, connection: &Connection, id: ClientId) -> rusqlite::Result<bool> {
        if self.clients.contains(&id) {
            return Ok(true);
        }
        let is_client = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM clients WHERE ID = ?1)")?
            .query_one([id.0], |row| row.get(0))?;
        if is_client {
            if self.clients.len() >= KEPT_MAX {
                self.clients.clear();
            }
            self.clients.insert(id);
        }
        Ok(is_client)
    }

    /// Forgets a client that is gone, with what waited for it. What it sent waits on.
    pub(super) fn deleted(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.queues.forget(id);
    }

    /// For when a transaction that was told of is rolled back.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl<F: Copy + Eq + Hash> Queues<F> {
    /// What waits for a recipient, in all and of one sender, if that has been counted.
    pub(super) fn waiting(&self, to: ClientId, from: F) -> Option<(Waiting, Waiting)> {
        let queue = self.queues.get(&to)?;
        Some((queue.all, queue.senders.get(&from).copied().unwrap_or_default()))
    }

    /// Keeps what was counted.
    pub(super) fn counted(&mut self, to: ClientId, queue: Queue<F>) {
        if self.senders.saturating_add(queue.senders.len()) > KEPT_MAX || self.queues.len() >= KEPT_MAX {
            self.queues.clear();
            self.senders = 0;
        }
        self.senders = self.senders.saturating_add(queue.senders.len());
        self.queues.insert(to, queue);
    }

    pub(super) fn added(&mut self, to: ClientId, from: F, size: u32) {
        if let Some(queue) = self.queues.get_mut(&to) {
            let senders = queue.senders.len();
            queue.add(from, 1, size.into());
            self.senders = self.senders.saturating_add(queue.senders.len() - senders);
        }
        if self.senders > KEPT_MAX && self.queues.len() > 1 {
            self.queues.retain(|kept, _| *kept == to);
            self.senders = self.queues.values().map(|queue| queue.senders.len()).sum();
        }
    }

    pub(super) fn removed(&mut self, to: ClientId, from: F, size: u32) {
        let Some(queue) = self.queues.get_mut(&to) else { return };
        for waiting in [Some(&mut queue.all), queue.senders.get_mut(&from)].into_iter().flatten() {
            waiting.messages = waiting.messages.saturating_sub(1);
            waiting.bytes = waiting.bytes.saturating_sub(u64::from(size));
        }
        if queue.senders.get(&from).is_some_and(|waiting| waiting.messages == 0) {
            queue.senders.remove(&from);
            self.senders = self.senders.saturating_sub(1);
        }
    }

    /// Notes that nothing of this sender waits for the recipient up to this message.
    pub(super) fn begins_behind(&mut self, (to, from): (ClientId, F), behind: i64) {
        let queue = self.queues.get_mut(&to);
        if let Some(waiting) = queue.and_then(|queue| queue.senders.get_mut(&from)) {
            waiting.behind = behind;
        }
    }

    /// Forgets what waits for a recipient, as that is gone or has changed too much to tell.
    pub(super) fn forget(&mut self, to: ClientId) {
        if let Some(queue) = self.queues.remove(&to) {
            self.senders = self.senders.saturating_sub(queue.senders.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use messageu_wire::fields::ClientId;

    use super::{Counters, KEPT_MAX, Queue};

    fn id(number: u32) -> ClientId {
        let mut id = [0; 16];
        id.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        ClientId(id)
    }

    /// Counters of some queues, in each of which a message of each of so many senders has come.
    fn with_senders(queues: u32, senders: u32) -> Counters {
        let mut counters = Counters::default();
        for to in 0..queues {
            counters.queues.counted(id(to), Queue::default());
        }
        for from in 0..senders {
            (0..queues).for_each(|to| counters.queues.added(id(to), id(from), 1));
        }
        counters
    }

    fn kept(counters: &Counters) -> usize {
        let kept = counters.queues.queues.values().map(|queue| queue.senders.len()).sum();
        assert_eq!(counters.queues.senders, kept);
        kept
    }

    #[test]
    fn however_many_send_to_however_many_a_bounded_number_of_them_is_kept() {
        let counters = with_senders(8, 20_000);
        assert!(kept(&counters) <= KEPT_MAX, "{}", kept(&counters));
    }

    #[test]
    fn who_has_nothing_waiting_is_not_kept() {
        let mut counters = with_senders(2, 3);
        counters.queues.removed(id(0), id(1), 1);
        assert_eq!(kept(&counters), 5);
        assert_eq!(
            counters.queues.waiting(id(0), id(2)).map(|(all, pair)| (all.messages, pair.messages)),
            Some((2, 1))
        );
    }

    #[test]
    fn who_is_gone_is_forgotten_with_what_waited_for_them_and_nobody_else() {
        let mut counters = with_senders(2, 3);
        counters.deleted(id(1));
        assert_eq!(kept(&counters), 3);
        assert!(counters.queues.waiting(id(1), id(0)).is_none());
        assert_eq!(
            counters.queues.waiting(id(0), id(1)).map(|(all, pair)| (all.messages, pair.messages)),
            Some((3, 1))
        );
    }
}
