//! Envelopes: enqueued, acknowledged, written down.

use messageu_wire::envelope::EnvelopeKind;
use messageu_wire::fields::ClientId;
use rusqlite::OptionalExtension as _;

use super::state::{Origin, Standing};
use crate::store::modern::quota::{PairTag, PeerTag, SentTag};
use crate::store::modern::{Kept, MailLimits, ModernError, PendingEnvelope};
use crate::store::sqlite::changes::{Changes, Failure, SWEPT_AT_ONCE};
use crate::store::sqlite::counters::Queue;
use crate::store::sqlite::tail::Place;
use crate::store::{Sequence, StoreError};

/// An envelope up to this many bytes is in its message's row; more is in one of its own, so that deleting many is quick.
/// What is padded to 4 KiB is in the row.
const IN_ROW_MAX: usize = 4_608;

/// An envelope on its way into the queue, with tags instead of a sender.
pub(super) struct Sending {
    pub(super) to: ClientId,
    pub(super) from: ClientId,
    pub(super) kind: EnvelopeKind,
    pub(super) tag: SentTag,
    pub(super) pair: PairTag,
    pub(super) sender: PeerTag,
    /// With its minute. It has no sequence yet.
    pub(super) envelope: PendingEnvelope,
}

impl Changes<'_> {
    /// How an account stands.
    pub(super) fn standing(&mut self, id: ClientId) -> Result<Standing, Failure<ModernError>> {
        let standing = self.modern.counters().standing(self.connection, id)?;
        standing.ok_or_else(|| ModernError::UnknownClient(id).into())
    }

    /// Refuses an account that is not there, or has moved.
    pub(super) fn active(&mut self, id: ClientId) -> Result<(), Failure<ModernError>> {
        match self.standing(id)? {
            Standing::Active => Ok(()),
            Standing::Moved => Err(ModernError::Moved(id).into()),
        }
    }

    pub(super) fn enqueue_envelope(
        &mut self,
        sending: &Sending,
        limits: &MailLimits,
    ) -> Result<Kept, Failure<ModernError>> {
        let Sending { to, from, tag, pair, .. } = *sending;
        self.active(from)?;
        let standing = self.standing(to)?;
        if self.was_sent(to, tag)? {
            return Ok(Kept::Before);
        }
        if standing == Standing::Moved {
            return Err(ModernError::Moved(to).into());
        }
        if self.modern.tail_is_full() {
            return Err(ModernError::Storage("the queue could not be written down".to_owned()).into());
        }
        let size = u32::try_from(sending.envelope.envelope.len()).unwrap_or(u32::MAX);
        let about_to = self.modern.about_to_send(sending.sender);
        let amount = (size.into(), about_to);
        let minute = sending.envelope.minute;
        self.modern.rates().may_send(sending.sender, minute, amount, limits.bytes_per_hour)?;
        for oldest in self.make_room_for_envelope(to, pair, size, limits)? {
            if let Some(size) = self.delete_envelope(to, oldest, true)? {
                self.modern.change().envelopes.dropped.count(size);
            }
        }
        self.insert_envelope(sending, size)?;
        Ok(Kept::Now)
    }

    pub(super) fn acknowledge_envelopes(
        &mut self,
        to: ClientId,
        sequences: &[Sequence],
    ) -> Result<u64, Failure<ModernError>> {
        let mut deleted = 0;
        for sequence in sequences {
            if let Some(size) = self.delete_envelope(to, *sequence, true)? {
                self.modern.change().envelopes.acknowledged.count(size);
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// Writes places down in the queue on disk; `end`, if with these it has all up to that message.
    pub(in crate::store::sqlite) fn write_down_modern(
        &mut self,
        places: &[Place<Origin>],
        end: Option<i64>,
    ) -> rusqlite::Result<()> {
        let mut insert = self.prepare(
            "INSERT OR IGNORE INTO modern_queue (ToAccount, ID, Sender, Tag, Size) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for place in places {
            insert.execute((place.to.0, place.id, place.from.sender.0, place.from.tag.0, place.size))?;
            self.modern.counters().is_on_disk(place.to);
        }
        if let Some(end) = end {
            self.prepare("UPDATE modern_queue_end SET ID = ?1")?.execute([end])?;
        }
        Ok(())
    }

    /// Deletes all mail of a recipient, without remembering any.
    pub(super) fn delete_mail(&mut self, to: ClientId) -> rusqlite::Result<()> {
        let mut waiting: Vec<i64> = self
            .prepare("SELECT ID FROM modern_queue WHERE ToAccount = ?1")?
            .query_map([to.0], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        waiting.extend(self.modern.places(to).into_iter().map(|place| place.id));
        for id in waiting {
            if let Some(size) = self.delete_envelope(to, Sequence(id), false)? {
                self.modern.change().envelopes.dropped.count(size);
            }
        }
        Ok(())
    }

    /// Returns the size of what is gone.
    pub(super) fn delete_envelope(
        &mut self,
        to: ClientId,
        sequence: Sequence,
        is_remembered: bool,
    ) -> rusqlite::Result<Option<u32>> {
        let deleted = self
            .prepare(
                "DELETE FROM modern_messages WHERE ID = ?1 AND ToAccount = ?2
                 RETURNING Sender, Tag, Size, Content",
            )?
            .query_one((sequence.0, to.0), |row| {
                Ok((PairTag(row.get(0)?), SentTag(row.get(1)?), row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((pair, tag, size, content)) = deleted else {
            // Somebody else may have deleted the message alone.
            self.delete_from_modern_queue(to, sequence)?;
            return Ok(None);
        };
        if let Some(content) = content {
            let content: i64 = content;
            self.prepare("INSERT INTO modern_doomed (ID) VALUES (?1)")?.execute([content])?;
            *self.sweeping = true;
        }
        if !self.modern.remove_place(to, sequence.0) {
            self.delete_from_modern_queue(to, sequence)?;
        }
        if is_remembered {
            self.prepare("INSERT INTO modern_taken (Tag) VALUES (?1)")?.execute([tag.0])?;
            self.forget_oldest_taken()?;
        }
        self.modern.change().tags.insert(tag, is_remembered);
        self.modern.counters().mail.removed(to, pair, size);
        Ok(Some(size))
    }

    /// Forgets that a message was sent, for one more that is remembered, when they are too many.
    fn forget_oldest_taken(&mut self) -> rusqlite::Result<()> {
        if self.modern.remembers_enough() {
            let oldest = self
                .prepare(
                    "DELETE FROM modern_taken WHERE ID = (SELECT min(ID) FROM modern_taken) RETURNING Tag",
                )?
                .query_one([], |row| row.get(0).map(SentTag))
                .optional()?;
            self.modern.change().tags.extend(oldest.map(|tag| (tag, false)));
        }
        Ok(())
    }

    /// Erases some of what nobody will read any more. Returns whether there may be more.
    pub(in crate::store::sqlite) fn sweep_modern(&mut self) -> rusqlite::Result<bool> {
        let doomed: Vec<i64> = self
            .prepare("SELECT ID FROM modern_doomed LIMIT ?1")?
            .query_map([SWEPT_AT_ONCE], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in &doomed {
            self.prepare("DELETE FROM modern_contents WHERE ID = ?1")?.execute([id])?;
            self.prepare("DELETE FROM modern_doomed WHERE ID = ?1")?.execute([id])?;
        }
        Ok(self.sweep_files()? || !doomed.is_empty())
    }

    /// Whether the same was sent before, as far as that is remembered.
    fn was_sent(&mut self, to: ClientId, tag: SentTag) -> rusqlite::Result<bool> {
        if self.modern.is_remembered(tag) {
            return Ok(true);
        }
        if self.modern.counters().mail.waiting(to, PairTag::default()).is_none() {
            self.count_mail(to)?;
        }
        Ok(self.modern.counters().has_on_disk(to)
            && self.exists(
                "SELECT EXISTS (SELECT 1 FROM modern_queue WHERE ToAccount = ?1 AND Tag = ?2)",
                (to.0, tag.0),
            )?)
    }

    /// Counts what waits for a recipient.
    fn count_mail(&mut self, to: ClientId) -> rusqlite::Result<()> {
        let mut queue = Queue::default();
        {
            let mut select = self.prepare(
                "SELECT Sender, count(*), sum(Size) FROM modern_queue WHERE ToAccount = ?1 GROUP BY Sender",
            )?;
            let mut rows = select.query([to.0])?;
            while let Some(row) = rows.next()? {
                queue.add(PairTag(row.get(0)?), row.get(1)?, row.get(2)?);
            }
        }
        let some_on_disk = queue.all.messages > 0;
        for place in self.modern.places(to) {
            queue.add(place.from.sender, 1, place.size.into());
        }
        if some_on_disk {
            self.modern.counters().is_on_disk(to);
        }
        self.modern.counters().mail.counted(to, queue);
        Ok(())
    }

    /// The envelopes that must go for one more of a sender to a recipient, whose mail has been counted.
    fn make_room_for_envelope(
        &mut self,
        to: ClientId,
        pair: PairTag,
        size: u32,
        limits: &MailLimits,
    ) -> Result<Vec<Sequence>, Failure<ModernError>> {
        let limits = limits.queue();
        let (mut all, mut of_pair) = self.modern.counters().mail.waiting(to, pair).unwrap_or_default();
        let refused = |error: StoreError| ModernError::from(error);
        let surplus = limits.surplus(of_pair.messages).map_err(refused)?;
        let mut going = Vec::new();
        if surplus > 0 {
            for (sequence, size) in self.oldest_envelopes(to, pair, surplus)? {
                going.push(sequence);
                let bytes = u64::from(size);
                all.messages = all.messages.saturating_sub(1);
                all.bytes = all.bytes.saturating_sub(bytes);
                of_pair.bytes = of_pair.bytes.saturating_sub(bytes);
            }
        }
        let size = u64::from(size);
        limits.allow_pair(of_pair.bytes.saturating_add(size)).map_err(refused)?;
        let (messages, bytes) = (all.messages.saturating_add(1), all.bytes.saturating_add(size));
        limits.allow(messages, bytes).map_err(refused)?;
        Ok(going)
    }

    /// The oldest envelopes of one sender for a recipient, and their sizes.
    fn oldest_envelopes(
        &self,
        to: ClientId,
        pair: PairTag,
        limit: u64,
    ) -> rusqlite::Result<Vec<(Sequence, u32)>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut select = self.prepare(
            "SELECT ID, Size FROM modern_queue WHERE ToAccount = ?1 AND Sender = ?2 ORDER BY ID LIMIT ?3",
        )?;
        let rows = select.query_map((to.0, pair.0, i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
            Ok((Sequence(row.get(0)?), row.get(1)?))
        })?;
        let mut oldest = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let places = self.modern.places(to).into_iter().filter(|place| place.from.sender == pair);
        oldest.extend(places.map(|place| (Sequence(place.id), place.size)).take(limit - oldest.len()));
        Ok(oldest)
    }

    fn insert_envelope(&mut self, sending: &Sending, size: u32) -> rusqlite::Result<()> {
        let Sending { to, tag, pair, sender, kind, ref envelope, .. } = *sending;
        let bytes = envelope.envelope.as_ref();
        let (content, in_row) = if bytes.len() <= IN_ROW_MAX {
            (None, bytes)
        } else {
            self.prepare("INSERT INTO modern_contents (Bytes) VALUES (?1)")?.execute([bytes])?;
            (Some(self.connection.last_insert_rowid()), [].as_slice())
        };
        self.prepare(
            "INSERT INTO modern_messages (ToAccount, Sender, Tag, Minute, Kind, Size, Content, Envelope)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((to.0, pair.0, tag.0, envelope.minute, kind.0, size, content, in_row))?;
        let id = self.connection.last_insert_rowid();
        self.modern.counters().mail.added(to, pair, size);
        let changed = self.modern.change();
        changed.tail.add(Place { to, id, from: Origin { sender: pair, tag }, size });
        changed.fresh.push(PendingEnvelope { sequence: Sequence(id), ..envelope.clone() });
        changed.tags.insert(tag, true);
        changed.envelopes.accepted.count(size);
        changed.minute = envelope.minute;
        *changed.sent.entry(sender).or_default() += u64::from(size);
        Ok(())
    }

    fn delete_from_modern_queue(&self, to: ClientId, sequence: Sequence) -> rusqlite::Result<()> {
        self.prepare("DELETE FROM modern_queue WHERE ToAccount = ?1 AND ID = ?2")?
            .execute((to.0, sequence.0))?;
        Ok(())
    }
}
