//! Registrations that wait for a code, and claims to phone numbers.

use messageu_wire::envelope::field::Fingerprint;
use messageu_wire::fields::{ClientId, Name};
use rusqlite::types::FromSqlError;
use rusqlite::{OptionalExtension as _, Row};

use super::parse_bundle;
use crate::store::modern::{
    Claim, CodeRules, CodeTag, Completed, DAY, ModernError, NewAccount, PendingRegistration, PhoneTag,
    RegistrationId, can_object_until, check_codes, claim_state,
};
use crate::store::sqlite::changes::{Changes, Failure};
use crate::store::{from_unix, to_unix};

const REGISTRATION: &str = "SELECT ID, Fingerprint, Name, Phone, Code, Expires, Bundle, Attempts
                            FROM modern_registrations WHERE ID = ?1";

fn read_registration(row: &Row<'_>) -> rusqlite::Result<PendingRegistration> {
    let name = Name::new(row.get_ref(2)?.as_str()?).map_err(FromSqlError::other)?;
    Ok(PendingRegistration {
        id: RegistrationId(row.get(0)?),
        account: NewAccount {
            fingerprint: Fingerprint(row.get(1)?),
            name,
            phone: Some(PhoneTag(row.get(3)?)),
            bundle: parse_bundle(row.get_ref(6)?.as_blob()?)?,
        },
        code: CodeTag(row.get(4)?),
        expires: from_unix(row.get(5)?),
    })
}

impl Changes<'_> {
    pub(super) fn begin_registration(
        &mut self,
        registration: &PendingRegistration,
        rules: CodeRules,
        now: i64,
    ) -> Result<(), Failure<ModernError>> {
        let PendingRegistration { id, account, code, expires } = registration;
        let phone = account.phone.ok_or(ModernError::Misuse("a code for no phone number"))?;
        if !self.can_be(account)? {
            return Err(ModernError::NameTaken.into());
        }
        let sent: Vec<i64> = self
            .prepare("SELECT Sent FROM modern_codes WHERE Phone = ?1 AND Sent > ?2 ORDER BY Sent")?
            .query_map((phone.0, now - DAY), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        check_codes(&sent, rules, now)?;
        self.prepare("DELETE FROM modern_registrations WHERE Account = ?1 OR ID = ?2")?
            .execute((account.id().0, id.0))?;
        self.prepare(
            "INSERT INTO modern_registrations (ID, Account, Fingerprint, Name, Phone, Code, Expires, Bundle)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            id.0,
            account.id().0,
            account.fingerprint.0,
            account.name.as_str(),
            phone.0,
            code.0,
            to_unix(*expires),
            account.bundle.encode(),
        ))?;
        self.prepare("INSERT INTO modern_codes (Phone, Sent) VALUES (?1, ?2)")?.execute((phone.0, now))?;
        Ok(())
    }

    pub(super) fn count_attempt(
        &mut self,
        id: RegistrationId,
        most: u32,
        now: i64,
    ) -> Result<Option<PendingRegistration>, Failure<ModernError>> {
        let waiting = self
            .prepare(REGISTRATION)?
            .query_one([id.0], |row| Ok((read_registration(row)?, row.get(7)?)))
            .optional()?;
        let Some((registration, attempts)) = waiting else { return Ok(None) };
        let attempts: u32 = attempts;
        if attempts >= most || to_unix(registration.expires) <= now {
            self.forget_registration(id)?;
            return Ok(None);
        }
        self.prepare("UPDATE modern_registrations SET Attempts = Attempts + 1 WHERE ID = ?1")?
            .execute([id.0])?;
        Ok(Some(registration))
    }

    pub(super) fn complete_registration(
        &mut self,
        id: RegistrationId,
        now: i64,
        minute: u32,
    ) -> Result<Completed, Failure<ModernError>> {
        let waiting = self.prepare(REGISTRATION)?.query_one([id.0], read_registration).optional()?;
        let Some(registration) = waiting.filter(|waiting| to_unix(waiting.expires) > now) else {
            return Err(ModernError::NoSuchRegistration.into());
        };
        self.forget_registration(id)?;
        let account = registration.account;
        let phone = account.phone.ok_or(ModernError::Misuse("a code for no phone number"))?;
        if !self.can_be(&account)? {
            return Ok(Completed::NameTaken);
        }
        let owner = self.owner_of(phone)?.filter(|owner| *owner != account.id());
        if let Some(owner) = owner {
            if let Some(until) = self.claim(phone, account.id(), now)? {
                return Ok(Completed::PhoneWaits { until: from_unix(until) });
            }
            self.prepare("UPDATE modern_accounts SET Phone = NULL WHERE ID = ?1")?.execute([owner.0])?;
        }
        self.prepare("DELETE FROM modern_claims WHERE Phone = ?1")?.execute([phone.0])?;
        let has_account = "SELECT EXISTS (SELECT 1 FROM modern_accounts WHERE ID = ?1)";
        if self.exists(has_account, [account.id().0])? {
            // Registered before, and maybe with another number.
            self.prepare("UPDATE modern_accounts SET Phone = ?2 WHERE ID = ?1")?
                .execute((account.id().0, phone.0))?;
        } else {
            self.insert_account(&account, minute)?;
        }
        Ok(Completed::Registered)
    }

    pub(super) fn object(&mut self, id: ClientId) -> Result<bool, Failure<ModernError>> {
        let claims = self
            .prepare(
                "DELETE FROM modern_claims WHERE Phone = (SELECT Phone FROM modern_accounts WHERE ID = ?1)",
            )?
            .execute([id.0])?;
        Ok(claims > 0)
    }

    /// Whether there could be such an account, or is: the identity has no other name, and nobody else has this one.
    fn can_be(&mut self, account: &NewAccount) -> Result<bool, Failure<ModernError>> {
        let id = account.id();
        let differs = "SELECT EXISTS (SELECT 1 FROM modern_accounts
                       WHERE ID = ?1 AND (Name IS NOT ?2 OR Fingerprint <> ?3))";
        if self.has_given_way(id)?
            || self.exists(differs, (id.0, account.name.as_str(), account.fingerprint.0))?
        {
            return Ok(false);
        }
        match self.name_is_free(account) {
            Ok(()) => Ok(true),
            Err(Failure::Refused(_)) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    /// Claims a phone number, or goes on doing so. Until when its owner can object; nothing when that time is over.
    fn claim(&mut self, phone: PhoneTag, id: ClientId, now: i64) -> rusqlite::Result<Option<i64>> {
        let since: Option<i64> = self
            .prepare("SELECT Since FROM modern_claims WHERE Phone = ?1 AND Account = ?2")?
            .query_one((phone.0, id.0), |row| row.get(0))
            .optional()?;
        match since.map(|since| claim_state(since, now)) {
            Some(Claim::Waits { until }) => Ok(Some(until)),
            Some(Claim::Ripe) => Ok(None),
            Some(Claim::Void) | None => {
                self.prepare(
                    "INSERT OR REPLACE INTO modern_claims (Phone, Account, Since) VALUES (?1, ?2, ?3)",
                )?
                .execute((phone.0, id.0, now))?;
                Ok(Some(can_object_until(now)))
            }
        }
    }

    fn forget_registration(&self, id: RegistrationId) -> rusqlite::Result<()> {
        self.prepare("DELETE FROM modern_registrations WHERE ID = ?1")?.execute([id.0])?;
        Ok(())
    }
}
