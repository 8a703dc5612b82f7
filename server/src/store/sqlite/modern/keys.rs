//! Bundles and one-time keys.

use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{DhPublicKey, OneTimeId};
use messageu_wire::fields::ClientId;
use rusqlite::OptionalExtension as _;

use super::parse_bundle;
use crate::store::modern::quota::PeerTag;
use crate::store::modern::{FetchedKeys, ModernError, ONE_TIME_KEYS, ONE_TIME_KEYS_A_DAY, is_newer};
use crate::store::sqlite::changes::{Changes, Failure};

impl Changes<'_> {
    /// Takes a bundle and one-time keys, which are in order.
    pub(super) fn publish_keys(
        &mut self,
        id: ClientId,
        bundle: &Bundle,
        one_time: &[(OneTimeId, DhPublicKey)],
    ) -> Result<u16, Failure<ModernError>> {
        self.active(id)?;
        let (kept, last) = self
            .prepare("SELECT Bundle, LastOneTime FROM modern_accounts WHERE ID = ?1")?
            .query_one([id.0], |row| Ok((parse_bundle(row.get_ref(0)?.as_blob()?)?, row.get(1)?)))?;
        if bundle.content.identity != kept.content.identity {
            return Err(ModernError::Misuse("the bundle of another identity").into());
        }
        let is_newer = is_newer(bundle, &kept)?;
        let last: u32 = last;
        let (known, new) = one_time.split_at(one_time.partition_point(|(id, _)| id.0 <= last));
        for (key_id, key) in known {
            let differs = "SELECT EXISTS (SELECT 1 FROM modern_one_time_keys
                           WHERE Account = ?1 AND ID = ?2 AND Key <> ?3)";
            if self.exists(differs, (id.0, key_id.0, key.0))? {
                return Err(ModernError::Conflict("another one-time key").into());
            }
        }
        if is_newer {
            self.prepare("UPDATE modern_accounts SET Bundle = ?2 WHERE ID = ?1")?
                .execute((id.0, bundle.encode()))?;
        }
        if let Some((newest, _)) = new.last() {
            self.add_one_time_keys(id, new)?;
            self.prepare("UPDATE modern_accounts SET LastOneTime = ?2 WHERE ID = ?1")?
                .execute((id.0, newest.0))?;
        }
        let kept = self.count_one_time_keys(id)?;
        Ok(u16::try_from(kept).unwrap_or(u16::MAX))
    }

    /// The bundle of an account, and a one-time key that goes.
    pub(super) fn fetch_keys(
        &mut self,
        of: ClientId,
        by: ClientId,
        asker: PeerTag,
        minute: u32,
    ) -> Result<FetchedKeys, Failure<ModernError>> {
        self.active(by)?;
        self.active(of)?;
        let bundle = self
            .prepare("SELECT Bundle FROM modern_accounts WHERE ID = ?1")?
            .query_one([of.0], |row| parse_bundle(row.get_ref(0)?.as_blob()?))?;
        let may_have_one =
            of != by && self.modern.given_today(asker, minute) < u64::from(ONE_TIME_KEYS_A_DAY);
        let one_time = if may_have_one { self.take_one_time_key(of)? } else { None };
        if one_time.is_some() {
            let changed = self.modern.change();
            changed.minute = minute;
            *changed.given.entry(asker).or_default() += 1;
        }
        Ok(FetchedKeys { bundle, one_time })
    }

    fn take_one_time_key(&self, of: ClientId) -> rusqlite::Result<Option<(OneTimeId, DhPublicKey)>> {
        self.prepare(
            "DELETE FROM modern_one_time_keys WHERE Account = ?1 AND ID =
             (SELECT min(ID) FROM modern_one_time_keys WHERE Account = ?1) RETURNING ID, Key",
        )?
        .query_one([of.0], |row| Ok((OneTimeId(row.get(0)?), DhPublicKey(row.get(1)?))))
        .optional()
    }

    /// Adds keys, of which no id was there before; of too many the oldest go.
    fn add_one_time_keys(&self, id: ClientId, new: &[(OneTimeId, DhPublicKey)]) -> rusqlite::Result<()> {
        let mut insert =
            self.prepare("INSERT INTO modern_one_time_keys (Account, ID, Key) VALUES (?1, ?2, ?3)")?;
        for (key_id, key) in new.iter().skip(new.len().saturating_sub(ONE_TIME_KEYS)) {
            insert.execute((id.0, key_id.0, key.0))?;
        }
        let surplus = self.count_one_time_keys(id)?.saturating_sub(ONE_TIME_KEYS);
        if surplus > 0 {
            self.prepare(
                "DELETE FROM modern_one_time_keys WHERE Account = ?1 AND ID IN
                 (SELECT ID FROM modern_one_time_keys WHERE Account = ?1 ORDER BY ID LIMIT ?2)",
            )?
            .execute((id.0, surplus))?;
        }
        Ok(())
    }

    fn count_one_time_keys(&self, id: ClientId) -> rusqlite::Result<usize> {
        self.prepare("SELECT count(*) FROM modern_one_time_keys WHERE Account = ?1")?
            .query_one([id.0], |row| row.get(0))
    }
}
