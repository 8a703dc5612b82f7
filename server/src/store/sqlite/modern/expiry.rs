//! What has had its time.

use messageu_wire::fields::ClientId;

use crate::store::Sequence;
use crate::store::modern::quota::SentTag;
use crate::store::modern::{
    CLAIM_LIFE, CLAIM_WAIT, DAY, MailLifetime, ModernError, OLD_ACCOUNT, REMEMBERED, seconds,
};
use crate::store::sqlite::changes::{Changes, Failure};

/// Envelopes, tags, registrations that go at once.
const AT_ONCE: usize = 256;

/// Accounts, or files, that go at once.
const FEW_AT_ONCE: usize = 8;

impl Changes<'_> {
    /// Drops a part of what has had its time. Returns whether there may be more.
    pub(super) fn drop_expired(
        &mut self,
        lifetime: &MailLifetime,
        clock: i64,
    ) -> Result<bool, Failure<ModernError>> {
        let latest = self.mark_modern_time(clock)?;
        let ages = [lifetime.envelopes, lifetime.files, REMEMBERED].map(seconds);
        let [envelopes, files, remembered] = ages.map(|age| latest.saturating_sub(age));
        let mut more = self.expire_envelopes(envelopes)?;
        more |= self.expire_files(files)?;
        more |= self.forget_taken(remembered)?;
        // These carry times of their own, which the clock said: one that was far ahead once must not end what is young.
        more |= self.expire_accounts(clock)?;
        more |= self.expire_registrations(clock)?;
        if !more {
            let oldest = latest.saturating_sub(ages.into_iter().max().unwrap_or_default());
            self.prepare(
                "DELETE FROM modern_times WHERE Reached <
                 (SELECT max(Reached) FROM modern_times WHERE Reached < ?1)",
            )?
            .execute([oldest])?;
            self.modern.rates().prune(u32::try_from(clock.max(0) / 60).unwrap_or(u32::MAX));
        }
        Ok(more)
    }

    /// Notes how far all is at this time, or at the latest that was noted if that is later, and returns it.
    fn mark_modern_time(&mut self, now: i64) -> rusqlite::Result<i64> {
        let latest: Option<i64> =
            self.prepare("SELECT max(Reached) FROM modern_times")?.query_one([], |row| row.get(0))?;
        let now = latest.map_or(now, |latest| latest.max(now));
        self.prepare(
            "INSERT OR IGNORE INTO modern_times (Reached, Messages, Taken, Files)
             SELECT ?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'modern_messages'), 0),
                        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'modern_taken'), 0),
                        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'modern_files'), 0)",
        )?
        .execute([now])?;
        Ok(now)
    }

    fn expire_envelopes(&mut self, before: i64) -> rusqlite::Result<bool> {
        let old: Vec<(i64, ClientId)> = self
            .prepare(
                "SELECT ID, ToAccount FROM modern_messages
                 WHERE ID <= (SELECT max(Messages) FROM modern_times WHERE Reached < ?1) ORDER BY ID LIMIT ?2",
            )?
            .query_map((before, AT_ONCE), |row| Ok((row.get(0)?, ClientId(row.get(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        for (id, to) in &old {
            if let Some(size) = self.delete_envelope(*to, Sequence(*id), true)? {
                self.modern.change().envelopes.expired.count(size);
            }
        }
        Ok(old.len() == AT_ONCE)
    }

    fn expire_files(&mut self, before: i64) -> rusqlite::Result<bool> {
        let old: Vec<(i64, ClientId)> = self
            .prepare(
                "SELECT ID, ToAccount FROM modern_files
                 WHERE ID <= (SELECT max(Files) FROM modern_times WHERE Reached < ?1) AND ToAccount IS NOT NULL
                 ORDER BY ID LIMIT ?2",
            )?
            .query_map((before, FEW_AT_ONCE), |row| Ok((row.get(0)?, ClientId(row.get(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        for (id, to) in &old {
            self.expire_file(*to, *id)?;
        }
        Ok(old.len() == FEW_AT_ONCE)
    }

    /// Forgets that messages were sent which are gone for long.
    fn forget_taken(&mut self, before: i64) -> rusqlite::Result<bool> {
        let old: Vec<(i64, SentTag)> = self
            .prepare(
                "SELECT ID, Tag FROM modern_taken
                 WHERE ID <= (SELECT max(Taken) FROM modern_times WHERE Reached < ?1) ORDER BY ID LIMIT ?2",
            )?
            .query_map((before, AT_ONCE), |row| Ok((row.get(0)?, SentTag(row.get(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        for (id, tag) in &old {
            self.prepare("DELETE FROM modern_taken WHERE ID = ?1")?.execute([id])?;
            self.modern.change().tags.insert(*tag, false);
        }
        Ok(old.len() == AT_ONCE)
    }

    fn expire_accounts(&mut self, now: i64) -> rusqlite::Result<bool> {
        let moved_before = now.saturating_sub(seconds(OLD_ACCOUNT)).div_euclid(60);
        let old: Vec<ClientId> = self
            .prepare(
                "SELECT ID FROM modern_successions JOIN modern_accounts ON ID = Old
                 WHERE Moved <= ?1 LIMIT ?2",
            )?
            .query_map((moved_before, FEW_AT_ONCE), |row| row.get(0).map(ClientId))?
            .collect::<rusqlite::Result<_>>()?;
        for id in &old {
            self.erase_one(*id)?;
        }
        Ok(old.len() == FEW_AT_ONCE)
    }

    fn expire_registrations(&mut self, now: i64) -> rusqlite::Result<bool> {
        let claims = seconds(CLAIM_WAIT) + seconds(CLAIM_LIFE);
        let mut more = false;
        for (drop, before) in [
            (
                "DELETE FROM modern_registrations WHERE rowid IN
                 (SELECT rowid FROM modern_registrations WHERE Expires <= ?1 LIMIT ?2)",
                now,
            ),
            (
                "DELETE FROM modern_codes WHERE ID IN
                 (SELECT ID FROM modern_codes WHERE Sent <= ?1 ORDER BY ID LIMIT ?2)",
                now.saturating_sub(DAY),
            ),
            (
                "DELETE FROM modern_claims WHERE rowid IN
                 (SELECT rowid FROM modern_claims WHERE Since <= ?1 LIMIT ?2)",
                now.saturating_sub(claims),
            ),
        ] {
            more |= self.prepare(drop)?.execute((before, AT_ONCE))? == AT_ONCE;
        }
        Ok(more)
    }
}
