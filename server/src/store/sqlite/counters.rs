//! Who is there and how much waits, kept beside the database so that a send need not look clients up and count its
//! recipient's queue.

use std::collections::{HashMap, HashSet};

use messageu_wire::fields::ClientId;
use rusqlite::Connection;

/// Counts that are kept of each kind; with more, all are forgotten and counted again as they are needed.
const KEPT_MAX: usize = 16_384;

/// Clients, and counts for recipients and pairs, that were asked about. Only the writer changes the tables, and tells of it here.
#[derive(Default)]
pub(super) struct Counters {
    clients: HashSet<ClientId>,
    recipients: HashMap<ClientId, Waiting>,
    pairs: HashMap<(ClientId, ClientId), Waiting>,
}

/// What waits for one recipient, or of one sender for one recipient.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub(super) messages: u64,
    pub(super) bytes: u64,
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

    pub(super) fn waiting(&mut self, connection: &Connection, to: ClientId) -> rusqlite::Result<Waiting> {
        if let Some(waiting) = self.recipients.get(&to) {
            return Ok(*waiting);
        }
        let mut count = connection
            .prepare_cached("SELECT count(*), coalesce(sum(Size), 0) FROM messages WHERE ToClient = ?1")?;
        let waiting =
            count.query_one([to.0], |row| Ok(Waiting { messages: row.get(0)?, bytes: row.get(1)? }))?;
        if self.recipients.len() >= KEPT_MAX {
            self.recipients.clear();
        }
        self.recipients.insert(to, waiting);
        Ok(waiting)
    }

    pub(super) fn pair(
        &mut self,
        connection: &Connection,
        to: ClientId,
        from: ClientId,
    ) -> rusqlite::Result<Waiting> {
        if let Some(waiting) = self.pairs.get(&(to, from)) {
            return Ok(*waiting);
        }
        let mut count = connection.prepare_cached(
            "SELECT count(*), coalesce(sum(Size), 0) FROM messages WHERE ToClient = ?1 AND FromClient = ?2",
        )?;
        let waiting = count
            .query_one((to.0, from.0), |row| Ok(Waiting { messages: row.get(0)?, bytes: row.get(1)? }))?;
        if self.pairs.len() >= KEPT_MAX {
            self.pairs.clear();
        }
        self.pairs.insert((to, from), waiting);
        Ok(waiting)
    }

    pub(super) fn added(&mut self, to: ClientId, from: ClientId, size: u32) {
        for waiting in self.concerned(to, from) {
            waiting.messages += 1;
            waiting.bytes += u64::from(size);
        }
    }

    pub(super) fn removed(&mut self, to: ClientId, from: ClientId, size: u32) {
        for waiting in self.concerned(to, from) {
            waiting.messages = waiting.messages.saturating_sub(1);
            waiting.bytes = waiting.bytes.saturating_sub(u64::from(size));
        }
    }

    fn concerned(&mut self, to: ClientId, from: ClientId) -> impl Iterator<Item = &mut Waiting> {
        self.recipients.get_mut(&to).into_iter().chain(self.pairs.get_mut(&(to, from)))
    }

    /// For when a transaction that was told of is rolled back, or changed too much to tell.
    pub(super) fn forget(&mut self) {
        self.clients.clear();
        self.recipients.clear();
        self.pairs.clear();
    }
}
