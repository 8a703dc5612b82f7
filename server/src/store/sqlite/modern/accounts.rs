//! Accounts: registered, giving way to others, erased.

use messageu_wire::envelope::field::{Fingerprint, RsaPublicKey, Signature, UnixSeconds};
use messageu_wire::fields::ClientId;
use rusqlite::{OptionalExtension as _, Row};

use super::parse_bundle;
use crate::store::modern::{ModernError, NewAccount, PREDECESSORS, PhoneTag, Succession, is_newer};
use crate::store::sqlite::changes::{Changes, Failure};

impl Changes<'_> {
    pub(super) fn register_account(
        &mut self,
        account: &NewAccount,
        minute: u32,
    ) -> Result<(), Failure<ModernError>> {
        let id = account.id();
        if self.has_given_way(id)? {
            return Err(ModernError::Moved(id).into());
        }
        let there = self
            .prepare("SELECT Fingerprint, Name, Bundle FROM modern_accounts WHERE ID = ?1")?
            .query_one([id.0], |row| {
                let is_same = row.get(0).map(Fingerprint)? == account.fingerprint
                    && row.get_ref(1)?.as_str_or_null()? == Some(account.name.as_str());
                Ok((is_same, parse_bundle(row.get_ref(2)?.as_blob()?)?))
            })
            .optional()?;
        if let Some((is_same, bundle)) = there {
            if !is_same {
                return Err(ModernError::NameTaken.into());
            }
            if is_newer(&account.bundle, &bundle).unwrap_or(false) {
                self.prepare("UPDATE modern_accounts SET Bundle = ?2 WHERE ID = ?1")?
                    .execute((id.0, account.bundle.encode()))?;
            }
            return Ok(());
        }
        self.name_is_free(account)?;
        if let Some(phone) = account.phone
            && self.owner_of(phone)?.is_some()
        {
            return Err(ModernError::PhoneTaken.into());
        }
        self.insert_account(account, minute)?;
        Ok(())
    }

    /// Refuses a name that another account has.
    pub(super) fn name_is_free(&self, account: &NewAccount) -> Result<(), Failure<ModernError>> {
        let taken = "SELECT EXISTS (SELECT 1 FROM modern_accounts WHERE Name = ?1 AND ID <> ?2)";
        if self.exists(taken, (account.name.as_str(), account.id().0))? {
            return Err(ModernError::NameTaken.into());
        }
        Ok(())
    }

    pub(super) fn has_given_way(&self, id: ClientId) -> rusqlite::Result<bool> {
        self.exists("SELECT EXISTS (SELECT 1 FROM modern_successions WHERE Old = ?1)", [id.0])
    }

    /// Who has a phone number.
    pub(super) fn owner_of(&self, phone: PhoneTag) -> rusqlite::Result<Option<ClientId>> {
        self.prepare("SELECT ID FROM modern_accounts WHERE Phone = ?1")?
            .query_one([phone.0], |row| row.get(0).map(ClientId))
            .optional()
    }

    pub(super) fn insert_account(&mut self, account: &NewAccount, minute: u32) -> rusqlite::Result<()> {
        self.prepare(
            "INSERT INTO modern_accounts (ID, Fingerprint, Name, Phone, Registered, Bundle)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            account.id().0,
            account.fingerprint.0,
            account.name.as_str(),
            account.phone.map(|phone| phone.0),
            minute,
            account.bundle.encode(),
        ))?;
        let changed = self.modern.change();
        changed.came += 1;
        changed.altered.push(account.id());
        Ok(())
    }

    pub(super) fn rotate_identity(
        &mut self,
        old: ClientId,
        succession: &Succession,
        minute: u32,
    ) -> Result<(), Failure<ModernError>> {
        match self.succession_of(old)? {
            Some(before) if before == *succession => return Ok(()),
            Some(_) => return Err(ModernError::Moved(old).into()),
            None => {}
        }
        self.active(old)?;
        let new = succession.new_fingerprint.client_id();
        let is_there = "SELECT EXISTS (SELECT 1 FROM modern_accounts WHERE ID = ?1)
                        OR EXISTS (SELECT 1 FROM modern_successions WHERE Old = ?1 OR New = ?1)";
        if self.exists(is_there, [new.0])? {
            return Err(ModernError::Conflict("an account of the new identity").into());
        }
        let (name, phone): (String, Option<[u8; 32]>) = self
            .prepare("SELECT Name, Phone FROM modern_accounts WHERE ID = ?1")?
            .query_one([old.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.prepare("UPDATE modern_accounts SET Name = NULL, Phone = NULL WHERE ID = ?1")?
            .execute([old.0])?;
        self.prepare(
            "INSERT INTO modern_accounts (ID, Fingerprint, Name, Phone, Registered, Bundle)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            new.0,
            succession.new_fingerprint.0,
            name,
            phone,
            minute,
            succession.new_bundle.encode(),
        ))?;
        self.insert_succession(old, succession, minute)?;
        for dropped in [
            "DELETE FROM modern_one_time_keys WHERE Account = ?1",
            "DELETE FROM modern_registrations WHERE Account = ?1",
            "DELETE FROM modern_claims WHERE Account = ?1",
        ] {
            self.prepare(dropped)?.execute([old.0])?;
        }
        self.modern.counters().forget(old);
        let changed = self.modern.change();
        changed.came += 1;
        changed.altered.extend([old, new]);
        self.forget_first_of(old)?;
        Ok(())
    }

    /// Whom an account gave way to.
    pub(super) fn succession_of(&self, old: ClientId) -> rusqlite::Result<Option<Succession>> {
        self.prepare(SUCCESSION)?.query_one([old.0], read_succession).optional()
    }

    pub(super) fn erase_account(&mut self, id: ClientId) -> Result<(), Failure<ModernError>> {
        self.standing(id)?;
        if !self.has_given_way(id)? {
            let mut newest = id;
            while let Some(old) = self.predecessor(newest)? {
                self.prepare("DELETE FROM modern_successions WHERE Old = ?1")?.execute([old.0])?;
                self.erase_one(old)?;
                newest = old;
            }
        }
        self.erase_one(id)?;
        Ok(())
    }

    /// Erases an account, if it is there, and all that is its own.
    pub(super) fn erase_one(&mut self, id: ClientId) -> rusqlite::Result<()> {
        self.delete_mail(id)?;
        self.delete_files(id)?;
        for erased in [
            "DELETE FROM modern_one_time_keys WHERE Account = ?1",
            "DELETE FROM modern_registrations WHERE Account = ?1",
            "DELETE FROM modern_claims WHERE Account = ?1",
            "DELETE FROM modern_claims WHERE Phone = (SELECT Phone FROM modern_accounts WHERE ID = ?1)",
        ] {
            self.prepare(erased)?.execute([id.0])?;
        }
        let erased = self.prepare("DELETE FROM modern_accounts WHERE ID = ?1")?.execute([id.0])?;
        self.modern.counters().forget(id);
        let changed = self.modern.change();
        changed.went += u64::try_from(erased).unwrap_or_default();
        changed.altered.push(id);
        changed.has_erased = true;
        // So that the log begins again behind it.
        *self.sweeping = true;
        Ok(())
    }

    fn predecessor(&self, new: ClientId) -> rusqlite::Result<Option<ClientId>> {
        self.prepare("SELECT Old FROM modern_successions WHERE New = ?1")?
            .query_one([new.0], |row| row.get(0).map(ClientId))
            .optional()
    }

    /// Forgets the first of the accounts before this one, when there are too many.
    fn forget_first_of(&mut self, old: ClientId) -> rusqlite::Result<()> {
        let (mut first, mut before) = (old, 1);
        while let Some(older) = self.predecessor(first)? {
            first = older;
            before += 1;
        }
        if before > PREDECESSORS {
            self.prepare("DELETE FROM modern_successions WHERE Old = ?1")?.execute([first.0])?;
            self.erase_one(first)?;
        }
        Ok(())
    }

    fn insert_succession(&self, old: ClientId, succession: &Succession, minute: u32) -> rusqlite::Result<()> {
        self.prepare(
            "INSERT INTO modern_successions
             (Old, New, Moved, Issued, OldIdentity, NewFingerprint, NewBundle, Rotation, Succession)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            old.0,
            succession.new_fingerprint.client_id().0,
            minute,
            succession.issued.0.cast_signed(),
            succession.old_identity.0,
            succession.new_fingerprint.0,
            succession.new_bundle.encode(),
            succession.rotation.0,
            succession.succession.0,
        ))?;
        Ok(())
    }
}

/// Selects whom an account gave way to.
pub(super) const SUCCESSION: &str =
    "SELECT OldIdentity, NewFingerprint, NewBundle, Issued, Rotation, Succession
     FROM modern_successions WHERE Old = ?1";

/// Reads a row of [`SUCCESSION`].
pub(super) fn read_succession(row: &Row<'_>) -> rusqlite::Result<Succession> {
    Ok(Succession {
        old_identity: RsaPublicKey(row.get(0)?),
        new_fingerprint: Fingerprint(row.get(1)?),
        new_bundle: parse_bundle(row.get_ref(2)?.as_blob()?)?,
        issued: UnixSeconds(row.get::<_, i64>(3)?.cast_unsigned()),
        rotation: Signature(row.get(4)?),
        succession: Signature(row.get(5)?),
    })
}
