//! What the writer keeps of version 3 in memory, and what a transaction changes of it once it is committed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use messageu_wire::fields::ClientId;
use rusqlite::{Connection, OptionalExtension as _};

use super::fresh::Fresh;
use super::{Known, TAIL};
use crate::store::modern::quota::{PairTag, PeerTag, Rates, SentTag};
use crate::store::modern::{PendingEnvelope, REMEMBERED_MAX};
use crate::store::sqlite::counters::Queues;
use crate::store::sqlite::directory::Directory;
use crate::store::sqlite::tail::{self, Place, Tail};
use crate::store::{Amount, Movement, StoreMetrics};

/// Accounts whose standing is kept, and recipients of whom it is known that some of their mail has its place on disk; with
/// more, all are forgotten and looked up again as they are needed.
const KEPT_MAX: usize = 65_536;

/// Where an envelope came from, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store::sqlite) struct Origin {
    pub(super) sender: PairTag,
    pub(super) tag: SentTag,
}

/// How an account stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Active,
    Moved,
}

/// What the writer keeps of version 3 in memory.
pub(in crate::store::sqlite) struct ModernState {
    tail: Arc<Tail<Origin>>,
    fresh: Arc<Fresh>,
    directory: Arc<Directory<Known>>,
    pub(super) counters: Counters,
    /// Of the messages in the tail, and of those that are gone and still remembered.
    remembered: HashSet<SentTag>,
    remembered_max: usize,
    pub(super) rates: Rates,
    /// Whether something was erased that the log may still have.
    has_erased: bool,
}

/// What is known of accounts without asking the database. Only the writer changes the tables, and tells of it here.
#[derive(Default)]
pub(super) struct Counters {
    standings: HashMap<ClientId, Standing>,
    pub(super) mail: Queues<PairTag>,
    pub(super) files: Queues<PairTag>,
    /// Recipients whose mail was counted, and some of which has its place on disk.
    on_disk: HashSet<ClientId>,
}

impl Counters {
    /// How an account stands, if there is one.
    pub(super) fn standing(
        &mut self,
        connection: &Connection,
        id: ClientId,
    ) -> rusqlite::Result<Option<Standing>> {
        if let Some(standing) = self.standings.get(&id) {
            return Ok(Some(*standing));
        }
        let mut select = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM modern_successions WHERE Old = ID) FROM modern_accounts WHERE ID = ?1",
        )?;
        let moved: Option<bool> = select.query_one([id.0], |row| row.get(0)).optional()?;
        let standing = moved.map(|moved| if moved { Standing::Moved } else { Standing::Active });
        if let Some(standing) = standing {
            if self.standings.len() >= KEPT_MAX {
                self.standings.clear();
            }
            self.standings.insert(id, standing);
        }
        Ok(standing)
    }

    /// Whether some mail of this recipient, which has been counted, may have its place on disk.
    pub(super) fn has_on_disk(&self, to: ClientId) -> bool {
        self.on_disk.contains(&to)
    }

    pub(super) fn is_on_disk(&mut self, to: ClientId) {
        if self.on_disk.len() >= KEPT_MAX && !self.on_disk.contains(&to) {
            // Nobody may be missing here whose mail is counted.
            (self.mail, self.on_disk) = (Queues::default(), HashSet::new());
        }
        self.on_disk.insert(to);
    }

    /// Forgets an account that has changed.
    pub(super) fn forget(&mut self, id: ClientId) {
        self.standings.remove(&id);
        self.mail.forget(id);
        self.files.forget(id);
        self.on_disk.remove(&id);
    }
}

impl ModernState {
    pub(super) fn read(
        connection: &Connection,
        (tail, fresh, directory): (Arc<Tail<Origin>>, Arc<Fresh>, Arc<Directory<Known>>),
        remembered_max: Option<usize>,
    ) -> rusqlite::Result<Self> {
        let mut select = connection.prepare("SELECT Tag FROM modern_taken")?;
        let taken = select.query_map([], |row| row.get(0).map(SentTag))?;
        let mut remembered = taken.collect::<rusqlite::Result<HashSet<_>>>()?;
        remembered.extend(tail.all().into_iter().map(|place| place.from.tag));
        let (counters, rates) = (Counters::default(), Rates::default());
        let remembered_max = remembered_max.unwrap_or(REMEMBERED_MAX);
        // The last run may have stopped before the log began again.
        let has_erased = true;
        Ok(Self { tail, fresh, directory, counters, remembered, remembered_max, rates, has_erased })
    }

    /// Counts what there is.
    pub(in crate::store::sqlite) fn count_all(
        &self,
        connection: &Connection,
        metrics: &StoreMetrics,
    ) -> rusqlite::Result<()> {
        metrics.envelopes.waiting.add(self.tail.waiting(connection, &TAIL)?);
        let select = "SELECT coalesce(sum(Held), 0), coalesce(sum(Bytes), 0) FROM modern_files
                      WHERE ToAccount IS NOT NULL";
        let chunks = connection
            .query_one(select, [], |row| Ok(Amount { messages: row.get(0)?, bytes: row.get(1)? }))?;
        metrics.chunks.waiting.add(chunks);
        let accounts = connection.query_one("SELECT count(*) FROM modern_accounts", [], |row| row.get(0))?;
        metrics.accounts.store(accounts, Ordering::Relaxed);
        Ok(())
    }

    pub(in crate::store::sqlite) fn tail(&self) -> &Tail<Origin> {
        &self.tail
    }

    /// For when a transaction that was told of is rolled back.
    pub(in crate::store::sqlite) fn forget_counters(&mut self) {
        self.counters = Counters::default();
    }

    pub(in crate::store::sqlite) fn has_erased(&self) -> bool {
        self.has_erased
    }

    pub(in crate::store::sqlite) fn log_begun_again(&mut self) {
        self.has_erased = false;
    }

    /// Takes what was written down off the tail.
    pub(in crate::store::sqlite) fn written_down(&mut self, places: &[Place<Origin>]) {
        if let Some(last) = places.iter().map(|place| place.id).max() {
            self.fresh.written_down(last);
        }
        self.tail.written_down(places);
        for place in places {
            // On disk it is found by its tag.
            self.remembered.remove(&place.from.tag);
        }
    }

    /// Makes the changes of a transaction that is committed.
    pub(in crate::store::sqlite) fn take_up(&mut self, changed: Changed, metrics: &StoreMetrics) {
        if changed.is_nothing {
            return;
        }
        self.fresh.keep(changed.fresh);
        self.fresh.forget(changed.gone.into_iter());
        self.tail.change(changed.tail);
        for (tag, is_remembered) in changed.tags {
            if is_remembered {
                self.remembered.insert(tag);
            } else {
                self.remembered.remove(&tag);
            }
        }
        for (peer, bytes) in changed.sent {
            self.rates.sent(peer, changed.minute, bytes);
        }
        for (asker, keys) in changed.given {
            self.rates.given(asker, changed.minute, keys);
        }
        for id in changed.altered {
            self.directory.forget(id);
        }
        self.has_erased |= changed.has_erased;
        metrics.envelopes.moved(&changed.envelopes);
        metrics.chunks.moved(&changed.chunks);
        metrics.accounts.fetch_add(changed.came, Ordering::Relaxed);
        metrics.accounts.fetch_sub(changed.went, Ordering::Relaxed);
    }
}

/// What a transaction does to what is kept in memory, once it is committed.
pub(in crate::store::sqlite) struct Changed {
    /// Whether it has nothing to do with version 3.
    is_nothing: bool,
    pub(super) tail: tail::Changed<Origin>,
    pub(super) fresh: Vec<PendingEnvelope>,
    /// Envelopes that go.
    pub(super) gone: Vec<i64>,
    /// Tags that are to be remembered from now on, or not.
    pub(super) tags: HashMap<SentTag, bool>,
    pub(super) sent: HashMap<PeerTag, u64>,
    pub(super) given: HashMap<PeerTag, u64>,
    /// When.
    pub(super) minute: u32,
    /// Accounts that are not as they were.
    pub(super) altered: Vec<ClientId>,
    pub(super) has_erased: bool,
    pub(super) envelopes: Movement,
    pub(super) chunks: Movement,
    /// Accounts.
    pub(super) came: u64,
    pub(super) went: u64,
}

/// What a transaction sees and changes of version 3.
pub(in crate::store::sqlite) struct Modern<'a> {
    state: &'a mut ModernState,
    pub(in crate::store::sqlite) changed: Changed,
}

impl<'a> Modern<'a> {
    pub(in crate::store::sqlite) fn new(state: &'a mut ModernState) -> Self {
        let changed = Changed {
            is_nothing: true,
            tail: tail::Changed::default(),
            fresh: Vec::new(),
            gone: Vec::new(),
            tags: HashMap::new(),
            sent: HashMap::new(),
            given: HashMap::new(),
            minute: 0,
            altered: Vec::new(),
            has_erased: false,
            envelopes: Movement::default(),
            chunks: Movement::default(),
            came: 0,
            went: 0,
        };
        Self { state, changed }
    }

    /// What is to be changed.
    pub(super) fn change(&mut self) -> &mut Changed {
        self.changed.is_nothing = false;
        &mut self.changed
    }

    pub(super) fn counters(&mut self) -> &mut Counters {
        &mut self.state.counters
    }

    pub(super) fn rates(&mut self) -> &mut Rates {
        &mut self.state.rates
    }

    /// What was sent in this transaction before.
    pub(super) fn about_to_send(&self, peer: PeerTag) -> u64 {
        self.changed.sent.get(&peer).copied().unwrap_or_default()
    }

    /// How many one-time keys an asker was given today.
    pub(super) fn given_today(&self, asker: PeerTag, minute: u32) -> u64 {
        let now = self.changed.given.get(&asker).copied().unwrap_or_default();
        self.state.rates.given_today(asker, minute).saturating_add(now)
    }

    /// Whether as many tags are remembered as may be, those of the tail among them.
    pub(super) fn remembers_enough(&self) -> bool {
        self.state.remembered.len() >= self.state.remembered_max
    }

    /// Whether a message in the tail, or one that is gone, has this tag.
    pub(super) fn is_remembered(&self, tag: SentTag) -> bool {
        let now = self.changed.tags.get(&tag).copied();
        now.unwrap_or_else(|| self.state.remembered.contains(&tag))
    }

    /// Takes a place off; whether it was in the tail.
    pub(super) fn remove_place(&mut self, to: ClientId, id: i64) -> bool {
        self.changed.is_nothing = false;
        self.changed.gone.push(id);
        self.changed.tail.remove(&self.state.tail, to, id)
    }

    /// The places of a recipient that are not on disk, oldest first.
    pub(super) fn places(&self, to: ClientId) -> Vec<Place<Origin>> {
        self.changed.tail.places(&self.state.tail, to)
    }

    /// Whether the tail has no room for more.
    pub(super) fn tail_is_full(&self) -> bool {
        self.changed.tail.fills(&self.state.tail)
    }
}
