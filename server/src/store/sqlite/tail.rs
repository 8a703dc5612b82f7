//! The newest messages, whose places in the queues are in memory alone. A message that is taken soon never has a place on
//! disk; those of the others are written down later, many together and in the order of the table they go to, so that a
//! send costs one row at the end of one table.
//!
//! At the start, the tail is read again from the messages behind the end of the queue on disk.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use messageu_wire::fields::ClientId;
use rusqlite::{Connection, ErrorCode, Row};

use crate::store::Amount;

/// Places that the tail has before they are written down, some 80 bytes each.
const WRITTEN_DOWN_FROM: usize = 32_768;

/// Places of messages that may come while others are written down: more than two transactions have.
const ON_THEIR_WAY: usize = 10_000;

/// A message's place in a queue. Where it came from is known as an `F`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place<F> {
    pub(super) to: ClientId,
    pub(super) id: i64,
    pub(super) from: F,
    pub(super) size: u32,
}

/// Where the places are that belong to a tail.
pub(super) struct Source<F> {
    /// Selects the rows of the messages that have no place on disk, in the order of their ids.
    pub(super) newest: &'static str,
    /// Reads such a row.
    pub(super) place: fn(&Row<'_>) -> rusqlite::Result<Place<F>>,
    /// Selects how many messages have a place on disk, and the sum of their sizes.
    pub(super) on_disk: &'static str,
}

/// The places that are not on disk, as of the last commit. The writer changes them, readers look.
pub(super) struct Tail<F> {
    state: Mutex<State<F>>,
    /// Some of it could not be read: what is known to wait for somebody may not be all.
    is_damaged: bool,
    /// Places that are written down when there are more.
    written_down_from: usize,
    /// Places beyond which no message is taken: they are not being written down, as on a full disk.
    most: usize,
}

struct State<F> {
    /// By recipient, oldest first.
    queues: HashMap<ClientId, VecDeque<Place<F>>>,
    len: usize,
}

/// What a transaction adds to the tail and takes from it, once it is committed.
pub(super) struct Changed<F> {
    /// Oldest first.
    added: Vec<Place<F>>,
    /// Messages and their recipients.
    removed: HashMap<i64, ClientId>,
}

impl<F> Default for Changed<F> {
    fn default() -> Self {
        Self { added: Vec::new(), removed: HashMap::new() }
    }
}

impl<F: Copy> Changed<F> {
    pub(super) fn add(&mut self, place: Place<F>) {
        self.added.push(place);
    }

    /// Takes a place off; whether it was in the tail, or had been added to it.
    pub(super) fn remove(&mut self, tail: &Tail<F>, to: ClientId, id: i64) -> bool {
        let is_in_tail = self.added.binary_search_by_key(&id, |place| place.id).is_ok() || tail.has(to, id);
        if is_in_tail {
            self.removed.insert(id, to);
        }
        is_in_tail
    }

    /// The places of a recipient as they are after what has changed, oldest first.
    pub(super) fn places(&self, tail: &Tail<F>, to: ClientId) -> Vec<Place<F>> {
        let mut places = tail.oldest(to, i64::MAX, usize::MAX);
        places.extend(self.added.iter().filter(|place| place.to == to));
        places.retain(|place| !self.removed.contains_key(&place.id));
        places
    }

    /// Whether the tail has no room for more, once this is done.
    pub(super) fn fills(&self, tail: &Tail<F>) -> bool {
        (tail.len() + self.added.len()).saturating_sub(self.removed.len()) >= tail.most
    }
}

impl Changed<ClientId> {
    /// The oldest places of one sender for a recipient behind `behind`, as they are after what has changed.
    pub(super) fn oldest_of_pair(
        &self,
        tail: &Tail<ClientId>,
        (to, from): (ClientId, ClientId),
        behind: i64,
        limit: usize,
    ) -> Vec<Place<ClientId>> {
        if limit == 0 {
            return Vec::new();
        }
        let state = tail.state();
        let before = state
            .queues
            .get(&to)
            .into_iter()
            .flat_map(|queue| queue.range(queue.partition_point(|place| place.id <= behind)..));
        let added = self.added.iter().skip(self.added.partition_point(|place| place.id <= behind));
        let of_pair = |place: &&Place<ClientId>| (place.to, place.from) == (to, from);
        let places = before.chain(added).filter(of_pair);
        places.filter(|place| !self.removed.contains_key(&place.id)).take(limit).copied().collect()
    }
}

impl<F: Copy> Tail<F> {
    /// Reads the tail that belongs to a database, and that is written down when it has more than `written_down_from`.
    pub(super) fn read(
        connection: &Connection,
        source: &Source<F>,
        written_down_from: Option<usize>,
    ) -> rusqlite::Result<Self> {
        let written_down_from = written_down_from.unwrap_or(WRITTEN_DOWN_FROM);
        let mut select = connection.prepare(source.newest)?;
        let rows = select.query_map([], source.place)?;
        let (added, is_damaged) = match rows.collect::<rusqlite::Result<_>>() {
            Ok(places) => (places, false),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                tracing::error!(%error, "the newest messages cannot be read: no mail is handed out; restore a backup");
                (Vec::new(), true)
            }
            Err(error) => return Err(error),
        };
        let most = (4 * written_down_from).max(written_down_from + ON_THEIR_WAY);
        let state = Mutex::new(State { queues: HashMap::new(), len: 0 });
        let tail = Self { state, is_damaged, written_down_from, most };
        tail.change(Changed { added, removed: HashMap::new() });
        Ok(tail)
    }

    /// What waits in all queues together, on disk and here.
    pub(super) fn waiting(&self, connection: &Connection, source: &Source<F>) -> rusqlite::Result<Amount> {
        let amount = |row: &Row<'_>| Ok(Amount { messages: row.get(0)?, bytes: row.get(1)? });
        let mut waiting = connection.query_one(source.on_disk, [], amount)?;
        self.state().queues.values().flatten().for_each(|place| waiting.count(place.size));
        Ok(waiting)
    }

    /// All places.
    pub(super) fn all(&self) -> Vec<Place<F>> {
        self.state().queues.values().flatten().copied().collect()
    }

    pub(super) fn written_down_from(&self) -> usize {
        self.written_down_from
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    pub(super) fn len(&self) -> usize {
        self.state().len
    }

    /// The first messages for a recipient behind `after`, oldest first.
    pub(super) fn behind(&self, to: ClientId, after: i64, limit: usize) -> Vec<i64> {
        let state = self.state();
        let Some(queue) = state.queues.get(&to) else { return Vec::new() };
        let start = queue.partition_point(|place| place.id <= after);
        queue.range(start..).take(limit).map(|place| place.id).collect()
    }

    fn has(&self, to: ClientId, id: i64) -> bool {
        let state = self.state();
        state.queues.get(&to).is_some_and(|queue| queue.binary_search_by_key(&id, |place| place.id).is_ok())
    }

    /// All recipients, in the order of the queue on disk, and the newest message.
    pub(super) fn recipients(&self) -> (Vec<ClientId>, i64) {
        let state = self.state();
        let mut all: Vec<ClientId> = state.queues.keys().copied().collect();
        all.sort_unstable();
        let newest = state.queues.values().filter_map(|queue| queue.back()).map(|place| place.id).max();
        (all, newest.unwrap_or(0))
    }

    /// The oldest places of a recipient, up to message `last`.
    pub(super) fn oldest(&self, to: ClientId, last: i64, limit: usize) -> Vec<Place<F>> {
        let state = self.state();
        let queue = state.queues.get(&to).into_iter().flatten();
        queue.take_while(|place| place.id <= last).take(limit).copied().collect()
    }

    /// Takes what was written down off the tail.
    pub(super) fn written_down(&self, places: &[Place<F>]) {
        let mut state = self.state();
        for place in places {
            state.remove(place.to, place.id);
        }
    }

    /// Makes the changes of a transaction that is committed.
    pub(super) fn change(&self, changed: Changed<F>) {
        let Changed { added, removed } = changed;
        let mut state = self.state();
        for place in added.into_iter().filter(|place| !removed.contains_key(&place.id)) {
            state.queues.entry(place.to).or_default().push_back(place);
            state.len += 1;
        }
        for (id, to) in removed {
            state.remove(to, id);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> State<F> {
    fn remove(&mut self, to: ClientId, id: i64) {
        let Entry::Occupied(mut queue) = self.queues.entry(to) else { return };
        let Ok(at) = queue.get().binary_search_by_key(&id, |place| place.id) else { return };
        queue.get_mut().remove(at);
        if queue.get().is_empty() {
            queue.remove();
        }
        self.len -= 1;
    }
}
