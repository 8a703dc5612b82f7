//! What a store promises for version 3, in the fewest words: the reference for every
//! [`ModernStore`](messageu_server::store::modern::ModernStore).
//!
//! Where several errors apply, the model gives the one that all stores give.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use messageu_server::store::QueuePolicy;
use messageu_server::store::modern::{
    CHUNK_COST, CLAIM_LIFE, CLAIM_WAIT, CodeRules, FILE_CHUNKS_MAX, Kept, MailLifetime, MailLimits,
    ModernError, NewAccount, NewChunk, NewEnvelope, OLD_ACCOUNT, ONE_TIME_KEYS, ONE_TIME_KEYS_A_DAY,
    PREDECESSORS, PendingRegistration, PhoneTag, REMEMBERED, RegistrationId, Succession,
};
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{DhPublicKey, EnvelopeId, FileId, Fingerprint, OneTimeId};
use messageu_wire::fields::{ClientId, Name};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// Why a store refuses: [`ModernError`], without its texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// [`ModernError::NameTaken`].
    NameTaken,
    /// [`ModernError::PhoneTaken`].
    PhoneTaken,
    /// [`ModernError::UnknownClient`].
    UnknownClient(ClientId),
    /// [`ModernError::Moved`].
    Moved(ClientId),
    /// [`ModernError::StaleKeys`].
    StaleKeys,
    /// [`ModernError::Conflict`].
    Conflict,
    /// [`ModernError::QueueFull`].
    QueueFull,
    /// [`ModernError::TooSoon`], with the seconds to wait.
    TooSoon(u64),
    /// [`ModernError::NoSuchRegistration`].
    NoSuchRegistration,
    /// [`ModernError::Misuse`].
    Misuse,
    /// [`ModernError::Storage`]: none that the model gives.
    Storage,
}

impl From<ModernError> for Refused {
    fn from(error: ModernError) -> Self {
        match error {
            ModernError::NameTaken => Self::NameTaken,
            ModernError::PhoneTaken => Self::PhoneTaken,
            ModernError::UnknownClient(id) => Self::UnknownClient(id),
            ModernError::Moved(id) => Self::Moved(id),
            ModernError::StaleKeys => Self::StaleKeys,
            ModernError::Conflict(_) => Self::Conflict,
            ModernError::QueueFull(_) => Self::QueueFull,
            ModernError::TooSoon { retry_after } => Self::TooSoon(retry_after.as_secs()),
            ModernError::NoSuchRegistration => Self::NoSuchRegistration,
            ModernError::Misuse(_) => Self::Misuse,
            ModernError::Storage(_) => Self::Storage,
        }
    }
}

/// What became of a registration whose code was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Completion {
    /// There is an account.
    Registered,
    /// There is none, for its name.
    NameTaken,
    /// The number's owner can object until then, in seconds since 1970.
    Waits(u64),
}

/// An account, as whoever looks it up sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    fingerprint: Fingerprint,
    name: Option<Name>,
    phone: Option<PhoneTag>,
    bundle: Bundle,
    one_time: BTreeMap<OneTimeId, DhPublicKey>,
    published: OneTimeId,
}

/// A message that was sent.
#[derive(Clone, Debug)]
struct Sent {
    to: ClientId,
    from: ClientId,
    message_id: EnvelopeId,
    /// In which run of the store: a sender is not known again after a restart.
    run: u32,
    minute: u64,
    envelope: Bytes,
    /// How often the time had been told when it came, and, if it has, when it went.
    came: usize,
    went: Option<usize>,
    /// Whether it is there no more, and nobody could know that it was.
    is_forgotten: bool,
}

#[derive(Clone, Debug)]
struct File {
    to: ClientId,
    id: FileId,
    /// Who began it, in which run.
    owner: (ClientId, u32),
    count: u32,
    chunks: BTreeMap<u32, Bytes>,
    came: usize,
}

impl File {
    fn cost(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.len().max(CHUNK_COST) as u64).sum()
    }
}

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub struct ModernModel {
    accounts: BTreeMap<ClientId, Account>,
    successions: BTreeMap<ClientId, (Succession, u64)>,
    /// By sequence, which counts from 1.
    sent: Vec<Sent>,
    files: Vec<File>,
    registrations: BTreeMap<RegistrationId, (PendingRegistration, u32)>,
    codes: Vec<(PhoneTag, u64)>,
    claims: BTreeMap<PhoneTag, (ClientId, u64)>,
    /// What was sent, mail or files, in a minute of this run; and which one-time keys were given to whom of whom.
    windows: BTreeMap<Counted, (u64, u64)>,
    /// The times that were told, rising.
    told: Vec<u64>,
    run: u32,
}

/// What is counted for a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Counted {
    Mail(ClientId),
    Files(ClientId),
    Keys { of: ClientId, by: ClientId },
}

impl Counted {
    fn time(self) -> u64 {
        match self {
            Self::Mail(_) | Self::Files(_) => HOUR,
            Self::Keys { .. } => DAY,
        }
    }
}

impl ModernModel {
    /// The store ends and begins again.
    pub fn restart(&mut self) {
        self.run += 1;
        self.windows.clear();
    }

    /// `account`: its fingerprint, and to whom it has moved and until when.
    #[must_use]
    pub fn account(&self, id: ClientId, now: u64) -> Option<(Fingerprint, Option<(ClientId, u64)>)> {
        let account = self.accounts.get(&id)?;
        let moved = self
            .successions
            .get(&id)
            .map(|(succession, at)| (succession.new_fingerprint.client_id(), at + OLD_ACCOUNT.as_secs()));
        moved.is_none_or(|(_, until)| now < until).then_some((account.fingerprint, moved))
    }

    /// `account_named`.
    #[must_use]
    pub fn account_named(&self, name: &Name) -> Option<ClientId> {
        self.accounts.iter().find(|(_, account)| account.name.as_ref() == Some(name)).map(|(id, _)| *id)
    }

    /// `succession`.
    #[must_use]
    pub fn succession(&self, old: ClientId) -> Option<&Succession> {
        self.successions.get(&old).map(|(succession, _)| succession)
    }

    /// `register_account`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn register_account(&mut self, new: NewAccount) -> Result<(), Refused> {
        let id = new.id();
        if self.successions.contains_key(&id) {
            return Err(Refused::Moved(id));
        }
        if !self.is_possible(&new) {
            return Err(Refused::NameTaken);
        }
        if let Some(account) = self.accounts.get_mut(&id) {
            if new.bundle.content.epoch > account.bundle.content.epoch {
                account.bundle = new.bundle;
            }
            return Ok(());
        }
        if new.phone.is_some_and(|phone| self.owner(phone).is_some()) {
            return Err(Refused::PhoneTaken);
        }
        self.insert(new);
        Ok(())
    }

    fn is_possible(&self, new: &NewAccount) -> bool {
        let id = new.id();
        !self.successions.contains_key(&id)
            && self.accounts.get(&id).is_none_or(|there| there.name.as_ref() == Some(&new.name))
            && self.account_named(&new.name).is_none_or(|there| there == id)
    }

    fn insert(&mut self, new: NewAccount) {
        let NewAccount { fingerprint, name, phone, bundle } = new;
        let account = Account {
            fingerprint,
            name: Some(name),
            phone,
            bundle,
            one_time: BTreeMap::new(),
            published: OneTimeId::NONE,
        };
        self.accounts.insert(fingerprint.client_id(), account);
    }

    fn owner(&self, phone: PhoneTag) -> Option<ClientId> {
        self.accounts.iter().find(|(_, account)| account.phone == Some(phone)).map(|(id, _)| *id)
    }

    fn known(&self, id: ClientId) -> Result<(), Refused> {
        if self.accounts.contains_key(&id) { Ok(()) } else { Err(Refused::UnknownClient(id)) }
    }

    fn active(&self, id: ClientId) -> Result<(), Refused> {
        self.known(id)?;
        if self.successions.contains_key(&id) { Err(Refused::Moved(id)) } else { Ok(()) }
    }

    /// `rotate_identity`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn rotate_identity(&mut self, old: ClientId, to: Succession, now: u64) -> Result<(), Refused> {
        if let Some((before, _)) = self.successions.get(&old) {
            return if *before == to { Ok(()) } else { Err(Refused::Moved(old)) };
        }
        self.active(old)?;
        let new = to.new_fingerprint.client_id();
        let follows_somebody = self.predecessor(new).is_some();
        if self.accounts.contains_key(&new) || self.successions.contains_key(&new) || follows_somebody {
            return Err(Refused::Conflict);
        }
        let Some(account) = self.accounts.get_mut(&old) else { return Err(Refused::UnknownClient(old)) };
        account.one_time.clear();
        let (name, phone) = (account.name.take(), account.phone.take());
        let successor = Account {
            fingerprint: to.new_fingerprint,
            name,
            phone,
            bundle: to.new_bundle.clone(),
            one_time: BTreeMap::new(),
            published: OneTimeId::NONE,
        };
        self.accounts.insert(new, successor);
        self.successions.insert(old, (to, now / 60 * 60));
        self.forget_registrations(old);
        let before = self.predecessors(new);
        if let Some(first) = before.get(PREDECESSORS) {
            self.successions.remove(first);
            self.erase(*first);
        }
        Ok(())
    }

    fn predecessor(&self, new: ClientId) -> Option<ClientId> {
        let mut all = self.successions.iter();
        all.find(|(_, (to, _))| to.new_fingerprint.client_id() == new).map(|(old, _)| *old)
    }

    /// Those before an account, the latest first.
    fn predecessors(&self, new: ClientId) -> Vec<ClientId> {
        std::iter::successors(self.predecessor(new), |id| self.predecessor(*id)).collect()
    }

    fn forget_registrations(&mut self, id: ClientId) {
        self.registrations.retain(|_, (waiting, _)| waiting.account.id() != id);
        self.claims.retain(|_, (claimer, _)| *claimer != id);
    }

    /// `erase_account`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn erase_account(&mut self, id: ClientId) -> Result<(), Refused> {
        self.known(id)?;
        if !self.successions.contains_key(&id) {
            for old in self.predecessors(id) {
                self.successions.remove(&old);
                self.erase(old);
            }
        }
        self.erase(id);
        Ok(())
    }

    fn erase(&mut self, id: ClientId) {
        for sent in self.sent.iter_mut().filter(|sent| sent.to == id && sent.went.is_none()) {
            (sent.went, sent.is_forgotten) = (Some(0), true);
        }
        self.files.retain(|file| file.to != id);
        self.forget_registrations(id);
        if let Some(phone) = self.accounts.remove(&id).and_then(|account| account.phone) {
            self.claims.remove(&phone);
        }
    }

    /// `publish_keys`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn publish_keys(
        &mut self,
        id: ClientId,
        bundle: Bundle,
        keys: &[(OneTimeId, DhPublicKey)],
    ) -> Result<u16, Refused> {
        if keys.iter().any(|(id, _)| id.0 == 0 || id.0 >> 31 == 1) {
            return Err(Refused::Misuse);
        }
        if keys.iter().any(|(id, key)| keys.iter().any(|(other, with)| id == other && key != with)) {
            return Err(Refused::Conflict);
        }
        self.active(id)?;
        let Some(account) = self.accounts.get_mut(&id) else { return Err(Refused::UnknownClient(id)) };
        if bundle.content.identity != account.bundle.content.identity {
            return Err(Refused::Misuse);
        }
        let (epoch, kept) = (bundle.content.epoch, account.bundle.content.epoch);
        if epoch < kept || epoch == kept && bundle != account.bundle {
            return Err(Refused::StaleKeys);
        }
        if keys.iter().any(|(id, key)| account.one_time.get(id).is_some_and(|kept| kept != key)) {
            return Err(Refused::Conflict);
        }
        account.bundle = bundle;
        let before = account.published;
        for (id, key) in keys.iter().filter(|(id, _)| *id > before) {
            account.one_time.insert(*id, *key);
            account.published = account.published.max(*id);
        }
        while account.one_time.len() > ONE_TIME_KEYS {
            account.one_time.pop_first();
        }
        Ok(account.one_time.len() as u16)
    }

    /// `fetch_keys`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn fetch_keys(
        &mut self,
        of: ClientId,
        by: ClientId,
        now: u64,
    ) -> Result<(Bundle, Option<(OneTimeId, DhPublicKey)>), Refused> {
        self.active(by)?;
        self.active(of)?;
        let counted = Counted::Keys { of, by };
        let may = of != by && self.count(counted, now).0 < u64::from(ONE_TIME_KEYS_A_DAY);
        let Some(account) = self.accounts.get_mut(&of) else { return Err(Refused::UnknownClient(of)) };
        let one_time = if may { account.one_time.pop_first() } else { None };
        let bundle = account.bundle.clone();
        if one_time.is_some() {
            self.add(counted, now, 1);
        }
        Ok((bundle, one_time))
    }

    /// What was counted in the window that is open, and in how many seconds it closes.
    fn count(&self, counted: Counted, now: u64) -> (u64, u64) {
        let minute = now / 60 * 60;
        let window = self.windows.get(&counted);
        let open = window.filter(|(since, _)| *since <= minute && minute < since + counted.time());
        open.map_or((0, counted.time()), |(since, count)| (*count, since + counted.time() - minute))
    }

    fn add(&mut self, counted: Counted, now: u64, amount: u64) {
        let (count, closes) = self.count(counted, now);
        let since = now / 60 * 60 + closes - counted.time();
        self.windows.insert(counted, (since, count + amount));
    }

    fn may_send(&self, counted: Counted, bytes: u64, limit: u64, now: u64) -> Result<(), Refused> {
        let (sent, closes) = self.count(counted, now);
        if sent + bytes <= limit { Ok(()) } else { Err(Refused::TooSoon(closes)) }
    }

    /// `enqueue_envelope`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn enqueue_envelope(
        &mut self,
        new: NewEnvelope,
        limits: MailLimits,
        now: u64,
    ) -> Result<Kept, Refused> {
        let NewEnvelope { to, from, message_id, envelope, .. } = new;
        self.active(from)?;
        self.known(to)?;
        let is_same = |sent: &Sent| {
            (sent.to, sent.from, sent.message_id) == (to, from, message_id) && !sent.is_forgotten
        };
        if self.sent.iter().any(is_same) {
            return Ok(Kept::Before);
        }
        self.active(to)?;
        let size = envelope.len() as u64;
        self.may_send(Counted::Mail(from), size, limits.bytes_per_hour, now)?;
        let going = self.make_room(to, from, size, limits)?;
        let came = self.told.len();
        for at in going {
            self.sent[at].went = Some(came);
        }
        let (minute, run) = (now / 60, self.run);
        let sent =
            Sent { to, from, message_id, run, minute, envelope, came, went: None, is_forgotten: false };
        self.sent.push(sent);
        self.add(Counted::Mail(from), now, size);
        Ok(Kept::Now)
    }

    /// Which messages must go for one more.
    fn make_room(
        &self,
        to: ClientId,
        from: ClientId,
        size: u64,
        limits: MailLimits,
    ) -> Result<Vec<usize>, Refused> {
        let waits = |at: &usize| self.sent[*at].to == to && self.sent[*at].went.is_none();
        let all: Vec<usize> = (0..self.sent.len()).filter(waits).collect();
        let is_of_pair = |at: &usize| self.sent[*at].from == from && self.sent[*at].run == self.run;
        let pair: Vec<usize> = all.iter().copied().filter(is_of_pair).collect();
        let surplus = (pair.len() as u64 + 1).saturating_sub(limits.per_pair) as usize;
        if surplus > 0 && (limits.policy == QueuePolicy::Reject || limits.per_pair == 0) {
            return Err(Refused::QueueFull);
        }
        let going = &pair[..surplus];
        let bytes = |of: &[usize]| -> u64 {
            let stays = of.iter().filter(|at| !going.contains(at));
            stays.map(|at| self.sent[*at].envelope.len() as u64).sum::<u64>() + size
        };
        let fits = bytes(&pair) <= limits.bytes_per_pair
            && limits.per_recipient > (all.len() - going.len()) as u64
            && bytes(&all) <= limits.bytes_per_recipient;
        if fits { Ok(going.to_vec()) } else { Err(Refused::QueueFull) }
    }

    /// What waits for an account behind a sequence: sequence, minute, envelope.
    #[must_use]
    pub fn pending(&self, to: ClientId, after: usize) -> Vec<(usize, u64, Bytes)> {
        let numbered = (1..).zip(&self.sent).skip(after);
        let waiting = numbered.filter(|(_, sent)| sent.to == to && sent.went.is_none());
        waiting.map(|(sequence, sent)| (sequence, sent.minute, sent.envelope.clone())).collect()
    }

    /// How many messages there have been: the last sequence.
    #[must_use]
    pub fn last_sequence(&self) -> usize {
        self.sent.len()
    }

    /// `acknowledge_envelopes`.
    pub fn acknowledge(&mut self, to: ClientId, sequences: &[usize]) -> u64 {
        let (mut deleted, told) = (0, self.told.len());
        for sequence in sequences {
            let sent = sequence.checked_sub(1).and_then(|at| self.sent.get_mut(at));
            if let Some(sent) = sent.filter(|sent| sent.to == to && sent.went.is_none()) {
                sent.went = Some(told);
                deleted += 1;
            }
        }
        deleted
    }

    /// `put_chunk`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn put_chunk(&mut self, chunk: NewChunk, limits: MailLimits, now: u64) -> Result<Kept, Refused> {
        if chunk.index >= chunk.chunks || chunk.chunks > FILE_CHUNKS_MAX {
            return Err(Refused::Misuse);
        }
        self.active(chunk.from)?;
        self.known(chunk.to)?;
        let is_same = |file: &File| (file.to, file.id) == (chunk.to, chunk.file);
        let at = self.files.iter().position(is_same);
        if let Some(file) = at.map(|at| &self.files[at]) {
            if file.count != chunk.chunks {
                return Err(Refused::Conflict);
            }
            if let Some(there) = file.chunks.get(&chunk.index) {
                return if *there == chunk.bytes { Ok(Kept::Before) } else { Err(Refused::Conflict) };
            }
        }
        self.active(chunk.to)?;
        let cost = chunk.bytes.len().max(CHUNK_COST) as u64;
        self.may_send(Counted::Files(chunk.from), cost, limits.file_bytes_per_hour, now)?;
        let owner = at.map_or((chunk.from, self.run), |at| self.files[at].owner);
        let kept = |of: &dyn Fn(&File) -> bool| -> u64 {
            self.files.iter().filter(|file| file.to == chunk.to && of(file)).map(File::cost).sum()
        };
        if kept(&|file| file.owner == owner) + cost > limits.file_bytes_per_pair
            || kept(&|_| true) + cost > limits.file_bytes_per_recipient
        {
            return Err(Refused::QueueFull);
        }
        let at = at.unwrap_or_else(|| {
            self.files.push(File {
                to: chunk.to,
                id: chunk.file,
                owner,
                count: chunk.chunks,
                chunks: BTreeMap::new(),
                came: self.told.len(),
            });
            self.files.len() - 1
        });
        self.files[at].chunks.insert(chunk.index, chunk.bytes);
        self.add(Counted::Files(chunk.from), now, cost);
        Ok(Kept::Now)
    }

    /// `fetch_chunk`.
    #[must_use]
    pub fn chunk(&self, to: ClientId, id: FileId, index: u32) -> Option<&Bytes> {
        self.files.iter().find(|file| (file.to, file.id) == (to, id))?.chunks.get(&index)
    }

    /// `drop_file`.
    pub fn drop_file(&mut self, to: ClientId, id: FileId) -> u32 {
        let Some(at) = self.files.iter().position(|file| (file.to, file.id) == (to, id)) else { return 0 };
        self.files.remove(at).chunks.len() as u32
    }

    /// `begin_registration`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn begin_registration(
        &mut self,
        registration: PendingRegistration,
        rules: CodeRules,
        now: u64,
    ) -> Result<(), Refused> {
        let phone = registration.account.phone.ok_or(Refused::Misuse)?;
        if !self.is_possible(&registration.account) {
            return Err(Refused::NameTaken);
        }
        let of_today = |(to, at): &&(PhoneTag, u64)| *to == phone && at + DAY > now;
        let sent: Vec<u64> = self.codes.iter().filter(of_today).map(|(_, at)| *at).collect();
        let last = sent.last().map_or(0, |last| last + rules.apart.as_secs());
        let of_day = sent.iter().rev().nth(rules.a_day as usize - 1).map_or(0, |first| first + DAY);
        if last.max(of_day) > now {
            return Err(Refused::TooSoon(last.max(of_day) - now));
        }
        self.codes.push((phone, now));
        let id = registration.account.id();
        self.registrations.retain(|_, (waiting, _)| waiting.account.id() != id);
        self.registrations.insert(registration.id, (registration, 0));
        Ok(())
    }

    /// `count_attempt`.
    pub fn count_attempt(&mut self, id: RegistrationId, most: u32, now: u64) -> Option<PendingRegistration> {
        let (registration, attempts) = self.registrations.get_mut(&id)?;
        if *attempts >= most || unix(registration.expires) <= now {
            self.registrations.remove(&id);
            return None;
        }
        *attempts += 1;
        Some(registration.clone())
    }

    /// `complete_registration`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn complete_registration(&mut self, id: RegistrationId, now: u64) -> Result<Completion, Refused> {
        let waiting = self.registrations.get(&id).filter(|(waiting, _)| unix(waiting.expires) > now);
        let new = waiting.ok_or(Refused::NoSuchRegistration)?.0.account.clone();
        self.registrations.remove(&id);
        let phone = new.phone.ok_or(Refused::Misuse)?;
        if !self.is_possible(&new) {
            return Ok(Completion::NameTaken);
        }
        if let Some(owner) = self.owner(phone).filter(|owner| *owner != new.id()) {
            let since = self.claims.get(&phone).filter(|(by, _)| *by == new.id()).map(|(_, since)| *since);
            let age = since.map_or(u64::MAX, |since| now.saturating_sub(since));
            let (wait, life) = (CLAIM_WAIT.as_secs(), CLAIM_LIFE.as_secs());
            if age < wait || age >= wait + life {
                let since = if age < wait { now - age } else { now };
                self.claims.insert(phone, (new.id(), since));
                return Ok(Completion::Waits(since + wait));
            }
            self.accounts.entry(owner).and_modify(|owner| owner.phone = None);
        }
        self.claims.remove(&phone);
        match self.accounts.get_mut(&new.id()) {
            Some(account) => account.phone = Some(phone),
            None => self.insert(new),
        }
        Ok(Completion::Registered)
    }

    /// `claim_on`, in seconds since 1970.
    #[must_use]
    pub fn claim_on(&self, id: ClientId) -> Option<u64> {
        let (_, since) = self.claims.get(&self.accounts.get(&id)?.phone?)?;
        Some(since + CLAIM_WAIT.as_secs())
    }

    /// `object`.
    pub fn object(&mut self, id: ClientId) -> bool {
        let phone = self.accounts.get(&id).and_then(|account| account.phone);
        phone.is_some_and(|phone| self.claims.remove(&phone).is_some())
    }

    /// `drop_expired`, until nothing is left to be dropped.
    pub fn drop_expired(&mut self, lifetime: MailLifetime, now: u64) {
        let now = self.told.last().map_or(now, |last| now.max(*last));
        if self.told.last() != Some(&now) {
            self.told.push(now);
        }
        // Something is known to be as old as the first time that was told behind it.
        let told = &self.told;
        let is_over = |at: usize, time: Duration| told.get(at).is_some_and(|at| at + time.as_secs() < now);
        for sent in &mut self.sent {
            match sent.went {
                None if is_over(sent.came, lifetime.envelopes) => sent.went = Some(told.len()),
                Some(went) if is_over(went, REMEMBERED) => sent.is_forgotten = true,
                _ => {}
            }
        }
        self.files.retain(|file| !is_over(file.came, lifetime.files));
        let moved: Vec<ClientId> = self.successions.keys().copied().collect();
        for old in moved {
            if self.accounts.contains_key(&old) && self.account(old, now).is_none() {
                self.erase(old);
            }
        }
        self.registrations.retain(|_, (waiting, _)| unix(waiting.expires) > now);
        let claim = CLAIM_WAIT + CLAIM_LIFE;
        self.claims.retain(|_, (_, since)| now < *since + claim.as_secs());
    }
}

fn unix(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
