//! Version 3 in memory.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{DhPublicKey, FileId, Fingerprint, OneTimeId};
use messageu_wire::fields::{ClientId, Name};

use super::{MemoryStore, Tally};
use crate::store::modern::quota::{PairTag, Rates, Secret, SentTag};
use crate::store::modern::{
    Account, CLAIM_LIFE, CLAIM_WAIT, Claim, CodeRules, Completed, DAY, FetchedKeys, Kept, MailLifetime,
    MailLimits, ModernError, ModernStore, Moved, NewAccount, NewChunk, NewEnvelope, ONE_TIME_KEYS,
    ONE_TIME_KEYS_A_DAY, PREDECESSORS, PendingEnvelope, PendingRegistration, PhoneTag, REMEMBERED,
    REMEMBERED_MAX, RegistrationId, Succession, can_object_until, check_chunk, check_codes, check_content,
    chunk_cost, claim_state, goes_at, in_order, is_newer, seconds, to_minutes,
};
use crate::store::{Amount, Movement, Sequence, StoreMetrics, from_unix, to_unix};

/// What is kept of version 3, behind one lock that is never held across an await.
pub(super) struct ModernMemory {
    state: Mutex<State>,
    secret: Secret,
}

impl Default for ModernMemory {
    fn default() -> Self {
        Self { state: Mutex::default(), secret: Secret::new() }
    }
}

impl ModernMemory {
    fn lock(&self) -> Result<MutexGuard<'_, State>, ModernError> {
        // Nothing in here panics halfway through a change, so a poisoned lock guards a sound state.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(ModernError::Storage("the store is closed".to_owned())) } else { Ok(state) }
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { closed: true, ..State::default() };
    }
}

impl MemoryStore {
    /// Does something, and counts what it has moved.
    fn change<T>(&self, work: impl FnOnce(&mut State) -> Result<T, ModernError>) -> Result<T, ModernError> {
        let mut state = self.modern.lock()?;
        let done = work(&mut state);
        let accounts = u64::try_from(state.accounts.len()).unwrap_or(u64::MAX);
        self.metrics.accounts.store(accounts, Ordering::Relaxed);
        state.moved.tell(&self.metrics);
        done
    }
}

#[async_trait]
impl ModernStore for MemoryStore {
    async fn register_account(&self, account: NewAccount, _: SystemTime) -> Result<(), ModernError> {
        self.change(|state| state.register(account))
    }

    async fn account(&self, id: ClientId, now: SystemTime) -> Result<Option<Account>, ModernError> {
        let state = self.modern.lock()?;
        let account = state.accounts.get(&id).map(|record| Account {
            fingerprint: record.fingerprint,
            identity: record.bundle.content.identity,
            moved: state.successions.get(&id).map(|given| Moved {
                to: given.succession.new_fingerprint.client_id(),
                until: from_unix(goes_at(given.minute)),
            }),
        });
        Ok(account.filter(|account| account.moved.is_none_or(|moved| now < moved.until)))
    }

    async fn account_named(&self, name: &Name) -> Result<Option<ClientId>, ModernError> {
        Ok(self.modern.lock()?.named(name))
    }

    async fn erase_account(&self, id: ClientId) -> Result<(), ModernError> {
        self.change(|state| state.erase(id))
    }

    async fn rotate_identity(
        &self,
        old: ClientId,
        succession: Succession,
        now: SystemTime,
    ) -> Result<(), ModernError> {
        self.change(|state| state.rotate(old, succession, to_minutes(now)))
    }

    async fn succession(&self, old: ClientId) -> Result<Option<Succession>, ModernError> {
        Ok(self.modern.lock()?.successions.get(&old).map(|given| given.succession.clone()))
    }

    async fn publish_keys(
        &self,
        id: ClientId,
        bundle: Bundle,
        one_time: Vec<(OneTimeId, DhPublicKey)>,
    ) -> Result<u16, ModernError> {
        let one_time = in_order(one_time)?;
        self.change(|state| state.publish(id, bundle, one_time))
    }

    async fn fetch_keys(
        &self,
        of: ClientId,
        by: ClientId,
        now: SystemTime,
    ) -> Result<FetchedKeys, ModernError> {
        let asker = self.modern.secret.asker(by, of);
        self.change(|state| {
            state.active(by)?;
            let may_have_one =
                of != by && state.rates.given_today(asker, to_minutes(now)) < u64::from(ONE_TIME_KEYS_A_DAY);
            let record = state.active(of)?;
            let one_time = if may_have_one { record.one_time.pop_first() } else { None };
            let bundle = record.bundle.clone();
            if one_time.is_some() {
                state.rates.given(asker, to_minutes(now), 1);
            }
            Ok(FetchedKeys { bundle, one_time })
        })
    }

    async fn enqueue_envelope(
        &self,
        envelope: NewEnvelope,
        limits: MailLimits,
        now: SystemTime,
    ) -> Result<Kept, ModernError> {
        check_content(&envelope.envelope)?;
        let secret = &self.modern.secret;
        self.change(|state| state.enqueue(envelope, limits, to_minutes(now), secret))
    }

    async fn pending_envelopes(
        &self,
        to: ClientId,
        after: Sequence,
        max_bytes: usize,
        limit: usize,
    ) -> Result<Vec<PendingEnvelope>, ModernError> {
        let state = self.modern.lock()?;
        let (mut pending, mut bytes) = (Vec::new(), 0_usize);
        for waiting in state.mail(to).filter(|waiting| waiting.envelope.sequence > after).take(limit) {
            bytes = bytes.saturating_add(waiting.envelope.envelope.len());
            if bytes > max_bytes && !pending.is_empty() {
                break;
            }
            pending.push(waiting.envelope.clone());
        }
        Ok(pending)
    }

    async fn acknowledge_envelopes(&self, to: ClientId, sequences: &[Sequence]) -> Result<u64, ModernError> {
        self.change(|state| {
            let mut deleted = 0;
            for sequence in sequences {
                if let Some(size) = state.delete(to, *sequence, true) {
                    state.moved.envelopes.acknowledged.count(size);
                    deleted += 1;
                }
            }
            Ok(deleted)
        })
    }

    async fn put_chunk(
        &self,
        chunk: NewChunk,
        limits: MailLimits,
        now: SystemTime,
    ) -> Result<Kept, ModernError> {
        check_chunk(&chunk)?;
        let secret = &self.modern.secret;
        self.change(|state| state.put_chunk(chunk, limits, to_minutes(now), secret))
    }

    async fn fetch_chunk(
        &self,
        to: ClientId,
        file: FileId,
        index: u32,
    ) -> Result<Option<Bytes>, ModernError> {
        let state = self.modern.lock()?;
        Ok(state.files.get(&(to, file)).and_then(|file| file.chunks.get(&index).cloned()))
    }

    async fn drop_file(&self, to: ClientId, file: FileId) -> Result<u32, ModernError> {
        self.change(|state| {
            let dropped = state.files.remove(&(to, file));
            let amount = dropped.map(|file| file.amount()).unwrap_or_default();
            add(&mut state.moved.chunks.acknowledged, amount);
            Ok(u32::try_from(amount.messages).unwrap_or(u32::MAX))
        })
    }

    async fn begin_registration(
        &self,
        registration: PendingRegistration,
        rules: CodeRules,
        now: SystemTime,
    ) -> Result<(), ModernError> {
        self.change(|state| state.begin_registration(registration, rules, to_unix(now)))
    }

    async fn count_attempt(
        &self,
        id: RegistrationId,
        most: u32,
        now: SystemTime,
    ) -> Result<Option<PendingRegistration>, ModernError> {
        self.change(|state| {
            let Some((registration, attempts)) = state.registrations.get_mut(&id) else { return Ok(None) };
            if *attempts >= most || registration.expires <= now {
                state.registrations.remove(&id);
                return Ok(None);
            }
            *attempts += 1;
            Ok(Some(registration.clone()))
        })
    }

    async fn complete_registration(
        &self,
        id: RegistrationId,
        now: SystemTime,
    ) -> Result<Completed, ModernError> {
        self.change(|state| state.complete_registration(id, now))
    }

    async fn claim_on(&self, id: ClientId) -> Result<Option<SystemTime>, ModernError> {
        let state = self.modern.lock()?;
        let phone = state.accounts.get(&id).and_then(|record| record.phone);
        let claim = phone.and_then(|phone| state.claims.get(&phone));
        Ok(claim.map(|(_, since)| from_unix(can_object_until(*since))))
    }

    async fn object(&self, id: ClientId) -> Result<bool, ModernError> {
        self.change(|state| {
            let phone = state.accounts.get(&id).and_then(|record| record.phone);
            Ok(phone.is_some_and(|phone| state.claims.remove(&phone).is_some()))
        })
    }

    async fn drop_expired(&self, lifetime: MailLifetime, now: SystemTime) -> Result<bool, ModernError> {
        self.change(|state| {
            state.drop_expired(lifetime, to_unix(now));
            Ok(false)
        })
    }
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<ClientId, Record>,
    /// By the account that gave way.
    successions: BTreeMap<ClientId, GivenWay>,
    mail: BTreeMap<(ClientId, Sequence), Waiting>,
    last_sequence: i64,
    /// Tags of what waits, and of what is gone and still remembered.
    remembered: HashSet<SentTag>,
    /// Those that are gone, oldest first.
    taken: VecDeque<SentTag>,
    /// How many there have been.
    taken_ever: u64,
    files: BTreeMap<(ClientId, FileId), File>,
    last_file: u64,
    registrations: HashMap<RegistrationId, (PendingRegistration, u32)>,
    /// When numbers were sent codes, oldest first.
    codes: HashMap<PhoneTag, Vec<i64>>,
    /// Who claims a number, and since when.
    claims: HashMap<PhoneTag, (ClientId, i64)>,
    rates: Rates,
    /// How far the sequences had come at which time: of messages, tags, files.
    times: BTreeMap<i64, (i64, u64, u64)>,
    moved: Moves,
    closed: bool,
}

struct Record {
    fingerprint: Fingerprint,
    /// None once it has moved.
    name: Option<Name>,
    phone: Option<PhoneTag>,
    bundle: Bundle,
    one_time: BTreeMap<OneTimeId, DhPublicKey>,
    last_one_time: OneTimeId,
}

struct GivenWay {
    succession: Succession,
    minute: u32,
}

struct Waiting {
    pair: PairTag,
    tag: SentTag,
    envelope: PendingEnvelope,
}

struct File {
    number: u64,
    /// Who began it.
    pair: PairTag,
    count: u32,
    chunks: BTreeMap<u32, Bytes>,
}

impl File {
    fn amount(&self) -> Amount {
        let mut amount = Amount::default();
        self.chunks.values().for_each(|chunk| amount.count(chunk_cost(chunk.len())));
        amount
    }
}

/// What has moved and is not yet counted.
#[derive(Default)]
struct Moves {
    envelopes: Movement,
    chunks: Movement,
}

impl Moves {
    fn tell(&mut self, metrics: &StoreMetrics) {
        let Self { envelopes, chunks } = std::mem::take(self);
        metrics.envelopes.moved(&envelopes);
        metrics.chunks.moved(&chunks);
    }
}

fn add(sum: &mut Amount, more: Amount) {
    sum.messages += more.messages;
    sum.bytes += more.bytes;
}

impl State {
    fn named(&self, name: &Name) -> Option<ClientId> {
        self.accounts.iter().find(|(_, record)| record.name.as_ref() == Some(name)).map(|(id, _)| *id)
    }

    fn owner_of(&self, phone: PhoneTag) -> Option<ClientId> {
        self.accounts.iter().find(|(_, record)| record.phone == Some(phone)).map(|(id, _)| *id)
    }

    fn known(&mut self, id: ClientId) -> Result<&mut Record, ModernError> {
        self.accounts.get_mut(&id).ok_or(ModernError::UnknownClient(id))
    }

    /// The account, which is there and has not moved.
    fn active(&mut self, id: ClientId) -> Result<&mut Record, ModernError> {
        let has_moved = self.successions.contains_key(&id);
        let record = self.known(id)?;
        if has_moved { Err(ModernError::Moved(id)) } else { Ok(record) }
    }

    /// Whether there could be such an account, or is.
    fn can_be(&self, account: &NewAccount) -> bool {
        let id = account.id();
        let is_same = |record: &Record| {
            record.name.as_ref() == Some(&account.name) && record.fingerprint == account.fingerprint
        };
        !self.successions.contains_key(&id)
            && self.accounts.get(&id).is_none_or(is_same)
            && self.named(&account.name).is_none_or(|other| other == id)
    }

    fn register(&mut self, account: NewAccount) -> Result<(), ModernError> {
        let id = account.id();
        if self.successions.contains_key(&id) {
            return Err(ModernError::Moved(id));
        }
        if !self.can_be(&account) {
            return Err(ModernError::NameTaken);
        }
        if let Some(record) = self.accounts.get_mut(&id) {
            if is_newer(&account.bundle, &record.bundle).unwrap_or(false) {
                record.bundle = account.bundle;
            }
            return Ok(());
        }
        if account.phone.is_some_and(|phone| self.owner_of(phone).is_some()) {
            return Err(ModernError::PhoneTaken);
        }
        self.insert(account);
        Ok(())
    }

    fn insert(&mut self, account: NewAccount) {
        let id = account.id();
        let NewAccount { fingerprint, name, phone, bundle } = account;
        let (one_time, last_one_time) = (BTreeMap::new(), OneTimeId::NONE);
        let record = Record { fingerprint, name: Some(name), phone, bundle, one_time, last_one_time };
        self.accounts.insert(id, record);
    }

    fn rotate(&mut self, old: ClientId, succession: Succession, minute: u32) -> Result<(), ModernError> {
        match self.successions.get(&old) {
            Some(before) if before.succession == succession => return Ok(()),
            Some(_) => return Err(ModernError::Moved(old)),
            None => {}
        }
        self.known(old)?;
        let new = succession.new_fingerprint.client_id();
        if self.accounts.contains_key(&new)
            || self.successions.contains_key(&new)
            || self.predecessor(new).is_some()
        {
            return Err(ModernError::Conflict("an account of the new identity"));
        }
        let record = self.known(old)?;
        record.one_time.clear();
        let (name, phone) = (record.name.take(), record.phone.take());
        let successor = Record {
            fingerprint: succession.new_fingerprint,
            name,
            phone,
            bundle: succession.new_bundle.clone(),
            one_time: BTreeMap::new(),
            last_one_time: OneTimeId::NONE,
        };
        self.accounts.insert(new, successor);
        self.successions.insert(old, GivenWay { succession, minute });
        self.forget_registrations(old);
        self.forget_first_of(old);
        Ok(())
    }

    fn predecessor(&self, new: ClientId) -> Option<ClientId> {
        let is_new = |given: &GivenWay| given.succession.new_fingerprint.client_id() == new;
        self.successions.iter().find(|(_, given)| is_new(given)).map(|(old, _)| *old)
    }

    fn forget_first_of(&mut self, old: ClientId) {
        let (mut first, mut before) = (old, 1);
        while let Some(older) = self.predecessor(first) {
            first = older;
            before += 1;
        }
        if before > PREDECESSORS {
            self.successions.remove(&first);
            self.erase_one(first);
        }
    }

    fn forget_registrations(&mut self, id: ClientId) {
        self.registrations.retain(|_, (waiting, _)| waiting.account.id() != id);
        self.claims.retain(|_, (claimer, _)| *claimer != id);
    }

    fn erase(&mut self, id: ClientId) -> Result<(), ModernError> {
        self.known(id)?;
        if !self.successions.contains_key(&id) {
            let mut newest = id;
            while let Some(old) = self.predecessor(newest) {
                self.successions.remove(&old);
                self.erase_one(old);
                newest = old;
            }
        }
        self.erase_one(id);
        Ok(())
    }

    fn erase_one(&mut self, id: ClientId) {
        let waiting: Vec<Sequence> = self.mail(id).map(|waiting| waiting.envelope.sequence).collect();
        for sequence in waiting {
            if let Some(size) = self.delete(id, sequence, false) {
                self.moved.envelopes.dropped.count(size);
            }
        }
        let dropped = &mut self.moved.chunks.dropped;
        self.files.retain(|(to, _), file| {
            let stays = *to != id;
            add(dropped, if stays { Amount::default() } else { file.amount() });
            stays
        });
        self.forget_registrations(id);
        if let Some(phone) = self.accounts.remove(&id).and_then(|record| record.phone) {
            self.claims.remove(&phone);
        }
    }

    fn publish(
        &mut self,
        id: ClientId,
        bundle: Bundle,
        one_time: Vec<(OneTimeId, DhPublicKey)>,
    ) -> Result<u16, ModernError> {
        let record = self.active(id)?;
        if bundle.content.identity != record.bundle.content.identity {
            return Err(ModernError::Misuse("the bundle of another identity"));
        }
        let is_newer = is_newer(&bundle, &record.bundle)?;
        let differs =
            |(id, key): &(OneTimeId, DhPublicKey)| record.one_time.get(id).is_some_and(|kept| kept != key);
        if one_time.iter().any(differs) {
            return Err(ModernError::Conflict("another one-time key"));
        }
        if is_newer {
            record.bundle = bundle;
        }
        let last = record.last_one_time;
        for (id, key) in one_time.into_iter().filter(|(id, _)| *id > last) {
            record.one_time.insert(id, key);
            record.last_one_time = id;
        }
        while record.one_time.len() > ONE_TIME_KEYS {
            record.one_time.pop_first();
        }
        Ok(u16::try_from(record.one_time.len()).unwrap_or(u16::MAX))
    }

    fn mail(&self, to: ClientId) -> impl Iterator<Item = &Waiting> {
        let all = (to, Sequence(i64::MIN))..=(to, Sequence(i64::MAX));
        self.mail.range(all).map(|(_, waiting)| waiting)
    }

    fn enqueue(
        &mut self,
        envelope: NewEnvelope,
        limits: MailLimits,
        minute: u32,
        secret: &Secret,
    ) -> Result<Kept, ModernError> {
        let NewEnvelope { to, from, message_id, envelope, .. } = envelope;
        self.active(from)?;
        self.known(to)?;
        let tag = SentTag::new(from, to, message_id);
        if self.remembered.contains(&tag) {
            return Ok(Kept::Before);
        }
        self.active(to)?;
        let size = u32::try_from(envelope.len()).unwrap_or(u32::MAX);
        let (pair, sender) = (secret.pair(from, to), secret.sender(from));
        self.rates.may_send(sender, minute, (size.into(), 0), limits.bytes_per_hour)?;
        for oldest in self.make_room(to, pair, size, limits)? {
            if let Some(size) = self.delete(to, oldest, true) {
                self.moved.envelopes.dropped.count(size);
            }
        }
        self.last_sequence += 1;
        let sequence = Sequence(self.last_sequence);
        let envelope = PendingEnvelope { sequence, minute, envelope };
        self.mail.insert((to, sequence), Waiting { pair, tag, envelope });
        self.remembered.insert(tag);
        self.rates.sent(sender, minute, size.into());
        self.moved.envelopes.accepted.count(size);
        Ok(Kept::Now)
    }

    /// The envelopes that must go for one more of a sender to a recipient.
    fn make_room(
        &self,
        to: ClientId,
        from: PairTag,
        size: u32,
        limits: MailLimits,
    ) -> Result<Vec<Sequence>, ModernError> {
        let limits = limits.queue();
        let (mut all, mut pair) = (Tally::default(), Tally::default());
        let size_of = |waiting: &Waiting| u32::try_from(waiting.envelope.envelope.len()).unwrap_or(u32::MAX);
        for waiting in self.mail(to) {
            all.add(size_of(waiting));
            if waiting.pair == from {
                pair.add(size_of(waiting));
            }
        }
        let surplus = usize::try_from(limits.surplus(pair.messages)?).unwrap_or(usize::MAX);
        let of_pair = self.mail(to).filter(|waiting| waiting.pair == from).take(surplus);
        let going = of_pair.map(|waiting| {
            all.take(size_of(waiting));
            pair.take(size_of(waiting));
            waiting.envelope.sequence
        });
        let going = going.collect();
        all.add(size);
        pair.add(size);
        limits.allow_pair(pair.bytes)?;
        limits.allow(all.messages, all.bytes)?;
        Ok(going)
    }

    /// Returns the size of what is gone.
    fn delete(&mut self, to: ClientId, sequence: Sequence, is_remembered: bool) -> Option<u32> {
        let Waiting { tag, envelope, .. } = self.mail.remove(&(to, sequence))?;
        if is_remembered {
            self.taken.push_back(tag);
            self.taken_ever += 1;
            self.forget_taken(0);
        } else {
            self.remembered.remove(&tag);
        }
        u32::try_from(envelope.envelope.len()).ok()
    }

    fn put_chunk(
        &mut self,
        chunk: NewChunk,
        limits: MailLimits,
        minute: u32,
        secret: &Secret,
    ) -> Result<Kept, ModernError> {
        self.active(chunk.from)?;
        self.known(chunk.to)?;
        let place = (chunk.to, chunk.file);
        if let Some(file) = self.files.get(&place) {
            if file.count != chunk.chunks {
                return Err(ModernError::Conflict("a file with another number of chunks"));
            }
            match file.chunks.get(&chunk.index) {
                Some(there) if *there == chunk.bytes => return Ok(Kept::Before),
                Some(_) => return Err(ModernError::Conflict("another chunk")),
                None => {}
            }
        }
        self.active(chunk.to)?;
        let cost = u64::from(chunk_cost(chunk.bytes.len()));
        let sender = secret.uploader(chunk.from);
        self.rates.may_send(sender, minute, (cost, 0), limits.file_bytes_per_hour)?;
        let counted_for =
            self.files.get(&place).map_or_else(|| secret.pair(chunk.from, chunk.to), |file| file.pair);
        let of_recipient = self.files.iter().filter(|((to, _), _)| *to == chunk.to);
        let (mut all, mut pair) = (cost, cost);
        for (_, file) in of_recipient {
            let bytes = file.amount().bytes;
            all += bytes;
            pair += if file.pair == counted_for { bytes } else { 0 };
        }
        limits.allow_files(all, pair)?;
        let last_file = &mut self.last_file;
        let file = self.files.entry(place).or_insert_with(|| {
            *last_file += 1;
            File { number: *last_file, pair: counted_for, count: chunk.chunks, chunks: BTreeMap::new() }
        });
        file.chunks.insert(chunk.index, chunk.bytes);
        self.rates.sent(sender, minute, cost);
        add(&mut self.moved.chunks.accepted, Amount { messages: 1, bytes: cost });
        Ok(Kept::Now)
    }

    fn begin_registration(
        &mut self,
        registration: PendingRegistration,
        rules: CodeRules,
        now: i64,
    ) -> Result<(), ModernError> {
        let phone = registration.account.phone.ok_or(ModernError::Misuse("a code for no phone number"))?;
        if !self.can_be(&registration.account) {
            return Err(ModernError::NameTaken);
        }
        let sent = self.codes.entry(phone).or_default();
        sent.retain(|sent| *sent > now - DAY);
        check_codes(sent, rules, now)?;
        sent.push(now);
        let id = registration.account.id();
        self.registrations.retain(|_, (waiting, _)| waiting.account.id() != id);
        self.registrations.insert(registration.id, (registration, 0));
        Ok(())
    }

    fn complete_registration(
        &mut self,
        id: RegistrationId,
        time: SystemTime,
    ) -> Result<Completed, ModernError> {
        let is_waiting = self.registrations.get(&id).is_some_and(|(waiting, _)| waiting.expires > time);
        let waiting = if is_waiting { self.registrations.remove(&id) } else { None };
        let (PendingRegistration { account, .. }, _) = waiting.ok_or(ModernError::NoSuchRegistration)?;
        let phone = account.phone.ok_or(ModernError::Misuse("a code for no phone number"))?;
        if !self.can_be(&account) {
            return Ok(Completed::NameTaken);
        }
        if let Some(owner) = self.owner_of(phone).filter(|owner| *owner != account.id()) {
            if let Some(until) = self.claim(phone, account.id(), to_unix(time)) {
                return Ok(Completed::PhoneWaits { until: from_unix(until) });
            }
            self.known(owner)?.phone = None;
        }
        self.claims.remove(&phone);
        match self.accounts.get_mut(&account.id()) {
            Some(record) => record.phone = Some(phone),
            None => self.insert(account),
        }
        Ok(Completed::Registered)
    }

    fn claim(&mut self, phone: PhoneTag, id: ClientId, now: i64) -> Option<i64> {
        let claim = self.claims.get(&phone).filter(|(claimer, _)| *claimer == id);
        match claim.map(|(_, since)| claim_state(*since, now)) {
            Some(Claim::Waits { until }) => Some(until),
            Some(Claim::Ripe) => None,
            Some(Claim::Void) | None => {
                self.claims.insert(phone, (id, now));
                Some(can_object_until(now))
            }
        }
    }

    /// Looks at everything: a store for tests can afford that.
    fn drop_expired(&mut self, lifetime: MailLifetime, clock: i64) {
        let latest = self.times.last_key_value().map_or(clock, |(latest, _)| clock.max(*latest));
        self.times.entry(latest).or_insert((self.last_sequence, self.taken_ever, self.last_file));
        let reached =
            |age| self.times.range(..latest - seconds(age)).next_back().map(|(_, reached)| *reached);
        let envelopes = reached(lifetime.envelopes).map_or(0, |(messages, _, _)| messages);
        let files = reached(lifetime.files).map_or(0, |(_, _, files)| files);
        let taken = reached(REMEMBERED).map_or(0, |(_, taken, _)| taken);
        self.forget_taken(taken);
        let old: Vec<_> = self.mail.keys().copied().filter(|(_, sequence)| sequence.0 <= envelopes).collect();
        for (to, sequence) in old {
            if let Some(size) = self.delete(to, sequence, true) {
                self.moved.envelopes.expired.count(size);
            }
        }
        let expired = &mut self.moved.chunks.expired;
        self.files.retain(|_, file| {
            let stays = file.number > files;
            add(expired, if stays { Amount::default() } else { file.amount() });
            stays
        });
        let moved: Vec<ClientId> = self
            .successions
            .iter()
            .filter(|(_, given)| goes_at(given.minute) <= clock)
            .map(|(old, _)| *old)
            .collect();
        moved.into_iter().for_each(|old| self.erase_one(old));
        self.registrations.retain(|_, (waiting, _)| to_unix(waiting.expires) > clock);
        self.codes.retain(|_, sent| sent.last().is_some_and(|last| *last > clock - DAY));
        self.claims.retain(|_, (_, since)| *since > clock - seconds(CLAIM_WAIT) - seconds(CLAIM_LIFE));
        self.rates.prune(u32::try_from(clock.max(0) / 60).unwrap_or(u32::MAX));
    }

    /// Forgets those of what is gone that were gone first: up to a number, and as many as are too many.
    fn forget_taken(&mut self, up_to: u64) {
        let kept = u64::try_from(self.taken.len()).unwrap_or(u64::MAX);
        let old = up_to.saturating_sub(self.taken_ever - kept);
        let surplus = self.remembered.len().saturating_sub(REMEMBERED_MAX);
        let going = usize::try_from(old).unwrap_or(usize::MAX).max(surplus).min(self.taken.len());
        for tag in self.taken.drain(..going) {
            self.remembered.remove(&tag);
        }
    }
}
