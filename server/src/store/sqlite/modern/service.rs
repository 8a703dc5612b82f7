//! The store of version 3: what is asked goes to the writer, or to a reader.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{DhPublicKey, FileId, OneTimeId};
use messageu_wire::fields::{ClientId, Name};

use super::files::Uploading;
use super::fresh::own;
use super::mail::Sending;
use super::{ModernShared, reader};
use crate::store::modern::quota::SentTag;
use crate::store::modern::{
    Account, CodeRules, Completed, FetchedKeys, Kept, MailLifetime, MailLimits, ModernError, ModernStore,
    Moved, NewAccount, NewChunk, NewEnvelope, PendingEnvelope, PendingRegistration, RegistrationId,
    Succession, check_chunk, check_content, goes_at, in_order, to_minutes,
};
use crate::store::sqlite::{ACKNOWLEDGED_AT_ONCE, DIVIDED_BY, SqliteStore};
use crate::store::{Sequence, from_unix, to_unix};

#[async_trait]
impl ModernStore for SqliteStore {
    async fn register_account(&self, account: NewAccount, now: SystemTime) -> Result<(), ModernError> {
        let minute = to_minutes(now);
        self.writer.durably(0, move |changes| changes.register_account(&account, minute)).await
    }

    async fn account(&self, id: ClientId, now: SystemTime) -> Result<Option<Account>, ModernError> {
        let directory = &self.modern.directory;
        let known = match directory.look_up(id) {
            Ok(known) => Some(known),
            Err(before) => {
                let known = self.readers.read(move |connection| reader::account(connection, id)).await?;
                if let Some(known) = &known {
                    directory.keep(id, known, before);
                }
                known
            }
        };
        Ok(known.and_then(|known| {
            let moved = known.moved.map(|(to, minute)| Moved { to, until: from_unix(goes_at(minute)) });
            let account = Account { moved, ..known.account };
            account.moved.is_none_or(|moved| now < moved.until).then_some(account)
        }))
    }

    async fn account_named(&self, name: &Name) -> Result<Option<ClientId>, ModernError> {
        let name = name.clone();
        Ok(self.readers.read(move |connection| reader::account_named(connection, &name)).await?)
    }

    async fn erase_account(&self, id: ClientId) -> Result<(), ModernError> {
        self.writer.durably(0, move |changes| changes.erase_account(id)).await
    }

    async fn rotate_identity(
        &self,
        old: ClientId,
        succession: Succession,
        now: SystemTime,
    ) -> Result<(), ModernError> {
        let minute = to_minutes(now);
        self.writer.durably(0, move |changes| changes.rotate_identity(old, &succession, minute)).await
    }

    async fn succession(&self, old: ClientId) -> Result<Option<Succession>, ModernError> {
        Ok(self.readers.read(move |connection| reader::succession(connection, old)).await?)
    }

    async fn publish_keys(
        &self,
        id: ClientId,
        bundle: Bundle,
        one_time: Vec<(OneTimeId, DhPublicKey)>,
    ) -> Result<u16, ModernError> {
        let keys = in_order(one_time)?;
        let cost = size_of_val(keys.as_slice());
        self.writer.durably(cost, move |changes| changes.publish_keys(id, &bundle, &keys)).await
    }

    async fn fetch_keys(
        &self,
        of: ClientId,
        by: ClientId,
        now: SystemTime,
    ) -> Result<FetchedKeys, ModernError> {
        let (asker, minute) = (self.modern.secret.asker(by, of), to_minutes(now));
        self.writer.durably(0, move |changes| changes.fetch_keys(of, by, asker, minute)).await
    }

    async fn enqueue_envelope(
        &self,
        envelope: NewEnvelope,
        limits: MailLimits,
        now: SystemTime,
    ) -> Result<Kept, ModernError> {
        check_content(&envelope.envelope)?;
        let NewEnvelope { to, from, message_id, kind, envelope } = envelope;
        let ModernShared { secret, .. } = &self.modern;
        let sending = Sending {
            to,
            from,
            kind,
            tag: SentTag::new(from, to, message_id),
            pair: secret.pair(from, to),
            sender: secret.sender(from),
            envelope: PendingEnvelope {
                sequence: Sequence::default(),
                minute: to_minutes(now),
                envelope: own(&envelope),
            },
        };
        let cost = envelope.len();
        self.writer.durably(cost, move |changes| changes.enqueue_envelope(&sending, &limits)).await
    }

    async fn pending_envelopes(
        &self,
        to: ClientId,
        after: Sequence,
        max_bytes: usize,
        limit: usize,
    ) -> Result<Vec<PendingEnvelope>, ModernError> {
        let ModernShared { tail, fresh, .. } = &self.modern;
        let newest = tail.behind(to, after.0, limit);
        if !tail.is_damaged()
            && fresh.is_beyond_disk(after.0)
            && let Some(envelopes) = fresh.all(&newest, max_bytes)
        {
            return Ok(envelopes);
        }
        let tail = Arc::clone(tail);
        let read = self
            .readers
            .read(move |connection| reader::pending(connection, &tail, (to, after), max_bytes, limit));
        Ok(read.await?)
    }

    async fn acknowledge_envelopes(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, ModernError> {
        let (mut deleted, mut left, mut at_once) = (0, sequences, ACKNOWLEDGED_AT_ONCE);
        while !left.is_empty() {
            let (part, rest) = left.split_at(at_once.min(left.len()));
            let (sequences, cost) = (part.to_vec(), size_of_val(part));
            match self
                .writer
                .durably(cost, move |changes| changes.acknowledge_envelopes(to, &sequences))
                .await
            {
                Ok(more) => {
                    deleted += more;
                    left = rest;
                }
                Err(ModernError::Storage(_)) if part.len() > 1 => at_once = part.len().div_ceil(DIVIDED_BY),
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }

    async fn put_chunk(
        &self,
        chunk: NewChunk,
        limits: MailLimits,
        now: SystemTime,
    ) -> Result<Kept, ModernError> {
        check_chunk(&chunk)?;
        let ModernShared { secret, .. } = &self.modern;
        let (pair, sender) = (secret.pair(chunk.from, chunk.to), secret.uploader(chunk.from));
        let cost = chunk.bytes.len();
        let uploading = Uploading { chunk, pair, sender, minute: to_minutes(now) };
        self.writer.durably(cost, move |changes| changes.put_chunk(&uploading, &limits)).await
    }

    async fn fetch_chunk(
        &self,
        to: ClientId,
        file: FileId,
        index: u32,
    ) -> Result<Option<Bytes>, ModernError> {
        let read =
            self.readers.read(move |connection| reader::fetch_chunk(connection, to, file, index)).await;
        Ok(read?)
    }

    async fn drop_file(&self, to: ClientId, file: FileId) -> Result<u32, ModernError> {
        self.writer.durably(0, move |changes| changes.drop_file(to, file)).await
    }

    async fn begin_registration(
        &self,
        registration: PendingRegistration,
        rules: CodeRules,
        now: SystemTime,
    ) -> Result<(), ModernError> {
        let now = to_unix(now);
        self.writer.durably(0, move |changes| changes.begin_registration(&registration, rules, now)).await
    }

    async fn count_attempt(
        &self,
        id: RegistrationId,
        most: u32,
        now: SystemTime,
    ) -> Result<Option<PendingRegistration>, ModernError> {
        let now = to_unix(now);
        self.writer.durably(0, move |changes| changes.count_attempt(id, most, now)).await
    }

    async fn complete_registration(
        &self,
        id: RegistrationId,
        now: SystemTime,
    ) -> Result<Completed, ModernError> {
        let (now, minute) = (to_unix(now), to_minutes(now));
        self.writer.durably(0, move |changes| changes.complete_registration(id, now, minute)).await
    }

    async fn claim_on(&self, id: ClientId) -> Result<Option<SystemTime>, ModernError> {
        let until = self.readers.read(move |connection| reader::claim_on(connection, id)).await?;
        Ok(until.map(from_unix))
    }

    async fn object(&self, id: ClientId) -> Result<bool, ModernError> {
        self.writer.durably(0, move |changes| changes.object(id)).await
    }

    async fn drop_expired(&self, lifetime: MailLifetime, now: SystemTime) -> Result<bool, ModernError> {
        let now = to_unix(now);
        self.writer.durably(0, move |changes| changes.drop_expired(&lifetime, now)).await
    }
}
