//! Sessions of version 3: whatever a store is asked, in whatever order and however it is stopped in between, it does as the
//! model does.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::modern::{
    CHUNK_COST, CLAIM_LIFE, CLAIM_WAIT, CodeRules, CodeTag, Completed, MailLifetime, MailLimits, ModernError,
    ModernStore, NewAccount, NewChunk, NewEnvelope, PendingRegistration, PhoneTag, RegistrationId,
    Succession,
};
use messageu_server::store::{QueuePolicy, Sequence, Store};
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    DhPublicKey, EnvelopeId, Epoch, FileId, Fingerprint, OneTimeId, PrekeyId, RsaPublicKey, Signature,
    UnixSeconds, WrapId,
};
use messageu_wire::envelope::{EnvelopeKind, Suite};
use messageu_wire::fields::{ClientId, Name};

use crate::disk::{Disk, End, START, with_disk};
use crate::modern_model::{Completion, ModernModel, Refused};
use crate::rarely::rarely;

/// Of all sessions, one in so many is held with the store on disk too: threads and a disk take a hundred times as long.
const ON_DISK_ONE_IN: u32 = 64;

/// Of those on disk, one in so many lets the store end and begin again, which takes longer once more.
const ENDING_ONE_IN: u32 = 16;

/// Most steps of a session.
const STEPS_MAX: usize = 64;

/// A session as a fuzzer's bytes say it, four a step, with the store in memory, and perhaps with the one on disk.
///
/// # Errors
/// Never: any bytes say a session.
pub fn check_any_modern_session(bytes: &mut Unstructured<'_>) -> Result<()> {
    let all = bytes.peek_bytes(bytes.len()).unwrap_or_default();
    let (on_disk, ends) = (rarely(all, ON_DISK_ONE_IN), rarely(all, ON_DISK_ONE_IN * ENDING_ONE_IN));
    let (steps, _) = bytes.bytes(bytes.len())?.as_chunks::<4>();
    check_modern_session(&steps[..steps.len().min(STEPS_MAX)], on_disk, ends);
    Ok(())
}

/// A session with the store in memory, and perhaps with the one on disk, which may also end in between.
pub fn check_modern_session(steps: &[[u8; 4]], on_disk: bool, ends: bool) {
    with_disk(|disk| {
        disk.runtime.block_on(async {
            let store = MemoryStore::new();
            let mut session = Session::new(START);
            for step in steps {
                session.take(&store, *step).await;
            }
            session.compare(&store).await;
        });
        if on_disk {
            hold(disk, steps, ends);
        }
    });
}

/// A session with the store on disk, which is left empty.
fn hold(disk: &mut Disk, steps: &[[u8; 4]], ends: bool) {
    let mut session = Session::new(disk.clock);
    for step in steps {
        match End::of(*step) {
            Some(end) if ends => {
                disk.end(end);
                session.model.restart();
                disk.ask(async |store| session.compare(store).await);
            }
            _ => disk.ask(async |store| session.take(store, *step).await),
        }
    }
    disk.ask(async |store| {
        session.compare(store).await;
        session.leave(store).await;
    });
    disk.clock = session.now;
}

/// What is asked of one store, and of the model.
struct Session {
    model: ModernModel,
    /// What the store gave where the model gave 1, 2, 3 and so on.
    sequences: Vec<Sequence>,
    /// Seconds since 1970.
    now: u64,
    /// Tells its accounts from those of the sessions before, which a store may remember.
    number: u64,
}

/// Accounts, names, phone numbers, files and registrations that there may be.
const ACCOUNTS: u8 = 8;
const NAMES: u8 = 5;
const PHONES: u8 = 3;
const FILES: u8 = 3;
const CHUNKS: u32 = 3;
const REGISTRATIONS: u8 = 4;

const HOUR: Duration = Duration::from_secs(60 * 60);
const LIFETIME: MailLifetime = MailLifetime {
    envelopes: Duration::from_secs(3 * 24 * 60 * 60),
    files: Duration::from_secs(5 * 24 * 60 * 60),
};

/// More than anything is kept for.
const LONG: u64 = 100 * 24 * 60 * 60;

impl Session {
    /// A session that begins at this time, which is not before that of any other with the same store.
    fn new(now: u64) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { model: ModernModel::default(), sequences: Vec::new(), now, number }
    }

    /// One step: what, and three bytes that say with whom and how much.
    async fn take(&mut self, store: &impl ModernStore, step: [u8; 4]) {
        let [what, a, b, c] = step;
        match what % 20 {
            0 => self.register(store, a, b, c).await,
            1 => {
                let id = self.id(a);
                self.erase_rarely(store, id, b).await;
            }
            2 => {
                let (old, to) = (self.id(a), self.succession(a, b, c));
                let rotated = store.rotate_identity(old, to.clone(), self.time()).await;
                assert_same(rotated, self.model.rotate_identity(old, to, self.now));
            }
            3 => self.publish(store, a, b, c).await,
            4 => {
                let (of, by) = (self.id(a), self.id(b));
                let fetched = store.fetch_keys(of, by, self.time()).await;
                let fetched = fetched.map(|keys| (keys.bundle, keys.one_time));
                assert_same(fetched, self.model.fetch_keys(of, by, self.now));
            }
            5..=9 => self.send(store, what, a, b, c).await,
            10 => self.pull(store, self.id(a), b, c).await,
            11 => {
                let (to, some) = (self.id(a), [b, c].map(|byte| self.sequence(byte)));
                let given = some.map(|number| self.given(number));
                let deleted = store.acknowledge_envelopes(to, &given).await;
                assert_same(deleted, Ok(self.model.acknowledge(to, &some)));
            }
            12 | 13 => self.put(store, a, b, c).await,
            14 => {
                let (to, file) = (self.id(a), self.file(b));
                let dropped = store.drop_file(to, file).await;
                assert_same(dropped, Ok(self.model.drop_file(to, file)));
            }
            15 => {
                let registration = self.registration(a, b, c);
                let begun =
                    store.begin_registration(registration.clone(), CodeRules::default(), self.time()).await;
                let expected = self.model.begin_registration(registration, CodeRules::default(), self.now);
                assert_same(begun, expected);
            }
            16 => {
                let (id, most) = (self.registration_id(a), u32::from(b % 3));
                let counted = store.count_attempt(id, most, self.time()).await;
                assert_same(counted, Ok(self.model.count_attempt(id, most, self.now)));
            }
            17 => self.complete(store, a, b).await,
            18 => self.pass_time(store, a, b).await,
            // Ends are not for every store, nor for every session.
            _ => {}
        }
    }

    async fn register(&mut self, store: &impl ModernStore, a: u8, b: u8, c: u8) {
        let phone = (!c.is_multiple_of(4)).then(|| self.phone(c));
        let account = NewAccount { phone, ..self.account(a, b, c / 16) };
        let registered = store.register_account(account.clone(), self.time()).await;
        assert_same(registered, self.model.register_account(account));
    }

    /// Of those that are asked for, one in three: otherwise there would be nobody.
    async fn erase_rarely(&mut self, store: &impl ModernStore, id: ClientId, byte: u8) {
        if byte.is_multiple_of(3) {
            assert_same(store.erase_account(id).await, self.model.erase_account(id));
        } else {
            assert_same(store.object(id).await, Ok(self.model.object(id)));
        }
    }

    async fn publish(&mut self, store: &impl ModernStore, a: u8, b: u8, c: u8) {
        let mut bundle = self.bundle(a, b % 4);
        bundle.signature = Signature([b / 128; 384]);
        if b % 32 == 4 {
            bundle.content.identity = self.identity(a.wrapping_add(1));
        }
        // A few, now and then more than are kept, now and then such as cannot be.
        let first = u32::from(c % 16);
        let count = if c >= 240 { 120 } else { u32::from(c / 16) };
        // An id from 2^31 on is that of an offer.
        let offer = if b % 64 == 63 { 1 << 31 } else { 0 };
        let key = |number: u32| (OneTimeId(number | offer), one_time_key(number, b));
        let keys: Vec<(OneTimeId, DhPublicKey)> = (first..first + count).map(key).collect();
        let id = self.id(a);
        let published = store.publish_keys(id, bundle.clone(), keys.clone()).await;
        assert_same(published, self.model.publish_keys(id, bundle, &keys));
    }

    async fn send(&mut self, store: &impl ModernStore, what: u8, a: u8, b: u8, c: u8) {
        let envelope = NewEnvelope {
            to: self.id(a),
            from: self.id(b),
            message_id: EnvelopeId([c % 32; 16]),
            kind: EnvelopeKind(what % 4),
            envelope: vec![c; size(a / 8, c)].into(),
        };
        let (to, limits) = (envelope.to, limits(b / 8));
        let before = self.model.last_sequence();
        let kept = store.enqueue_envelope(envelope.clone(), limits, self.time()).await;
        assert_same(kept, self.model.enqueue_envelope(envelope, limits, self.now));
        if self.model.last_sequence() > before {
            // Seen at once, and behind all that there have been.
            let after = self.sequences.last().copied().unwrap_or_default();
            let newest = store.pending_envelopes(to, after, usize::MAX, usize::MAX).await;
            let newest = newest.expect("a sound store").last().expect("what was stored").sequence;
            assert!(newest > after, "sequences do not rise");
            self.sequences.push(newest);
        }
    }

    async fn pull(&self, store: &impl ModernStore, to: ClientId, b: u8, c: u8) {
        let after = self.sequence(b);
        let (limit, max_bytes) = (usize::from(c % 8), size(c / 8, b));
        let pulled = store.pending_envelopes(to, self.given(after), max_bytes, limit).await;
        let mut expected = self.model.pending(to, after);
        let room = expected.iter().scan(0, |sum, (_, _, envelope)| {
            *sum += envelope.len();
            Some(*sum)
        });
        let count = room.enumerate().take_while(|(at, sum)| *at == 0 || *sum <= max_bytes).count();
        expected.truncate(count.min(limit));
        assert_eq!(self.seen(pulled), self.expected(&expected));
    }

    async fn put(&mut self, store: &impl ModernStore, a: u8, b: u8, c: u8) {
        let chunk = NewChunk {
            to: self.id(a),
            from: self.id(b),
            file: self.file(c),
            chunks: CHUNKS + u32::from(c % 64 == 63),
            index: u32::from(c / 4 % 4),
            bytes: vec![c % 2; if a >= 224 { CHUNK_COST + usize::from(b) } else { usize::from(a / 32) }]
                .into(),
        };
        let limits = limits(b / 8);
        let kept = store.put_chunk(chunk.clone(), limits, self.time()).await;
        assert_same(kept, self.model.put_chunk(chunk, limits, self.now));
    }

    async fn complete(&mut self, store: &impl ModernStore, a: u8, b: u8) {
        // Mostly one whose wait, if it had one, is over.
        if b.is_multiple_of(2) {
            self.now += if b.is_multiple_of(4) { CLAIM_WAIT } else { HOUR / 30 }.as_secs();
        }
        let id = self.registration_id(a);
        let completed = store.complete_registration(id, self.time()).await;
        let completed = completed.map(|completed| match completed {
            Completed::Registered => Completion::Registered,
            Completed::NameTaken => Completion::NameTaken,
            Completed::PhoneWaits { until } => Completion::Waits(seconds(until)),
        });
        assert_same(completed, self.model.complete_registration(id, self.now));
    }

    /// Time passes, and perhaps is told.
    async fn pass_time(&mut self, store: &impl ModernStore, a: u8, b: u8) {
        self.now += match a % 8 {
            0..3 => u64::from(b),
            3 | 4 => 60 * u64::from(b),
            5 | 6 => HOUR.as_secs() * u64::from(b % 64),
            _ => (CLAIM_WAIT + CLAIM_LIFE).as_secs() / 32 * u64::from(b % 32),
        };
        if a >= 64 {
            self.drop_expired(store).await;
        }
    }

    async fn drop_expired(&mut self, store: &impl ModernStore) {
        while store.drop_expired(LIFETIME, self.time()).await.expect("a sound store") {}
        self.model.drop_expired(LIFETIME, self.now);
    }

    /// All that the store holds is what the model holds.
    async fn compare(&self, store: &impl ModernStore) {
        for id in (0..ACCOUNTS).map(|byte| self.id(byte)) {
            let account = store.account(id, self.time()).await.map(|account| {
                account.map(|account| {
                    let moved = account.moved.map(|moved| (moved.to, seconds(moved.until)));
                    (account.fingerprint, moved)
                })
            });
            assert_same(account, Ok(self.model.account(id, self.now)));
            assert_same(store.succession(id).await, Ok(self.model.succession(id).cloned()));
            let claimed = store.claim_on(id).await.map(|until| until.map(seconds));
            assert_same(claimed, Ok(self.model.claim_on(id)));
            let pending = store.pending_envelopes(id, Sequence(0), usize::MAX, usize::MAX).await;
            assert_eq!(self.seen(pending), self.expected(&self.model.pending(id, 0)));
            for file in (0..FILES).map(|byte| self.file(byte)) {
                for index in 0..=CHUNKS {
                    let chunk = store.fetch_chunk(id, file, index).await;
                    assert_same(chunk, Ok(self.model.chunk(id, file, index).cloned()));
                }
            }
        }
        for name in (0..NAMES).map(|byte| self.name(byte)) {
            assert_same(store.account_named(&name).await, Ok(self.model.account_named(&name)));
        }
    }

    /// Leaves nothing behind.
    async fn leave(&mut self, store: &(impl ModernStore + Store)) {
        for byte in 0..ACCOUNTS {
            let id = self.id(byte);
            assert_same(store.erase_account(id).await, self.model.erase_account(id));
        }
        self.now += LONG;
        self.drop_expired(store).await;
        self.now += LONG;
        self.drop_expired(store).await;
        self.compare(store).await;
        let metrics = store.metrics();
        assert_eq!(metrics.envelopes.waiting.read(), Default::default());
        assert_eq!(metrics.chunks.waiting.read(), Default::default());
        assert_eq!(metrics.accounts.load(Ordering::Relaxed), 0);
    }

    /// What a store let see.
    fn seen(
        &self,
        pending: std::result::Result<Vec<messageu_server::store::modern::PendingEnvelope>, ModernError>,
    ) -> Vec<(Sequence, u64, Bytes)> {
        let pending = pending.expect("a sound store").into_iter();
        pending.map(|one| (one.sequence, u64::from(one.minute), one.envelope)).collect()
    }

    /// What the model has, with the numbers that the store gave.
    fn expected(&self, pending: &[(usize, u64, Bytes)]) -> Vec<(Sequence, u64, Bytes)> {
        let numbered = pending.iter();
        numbered.map(|(number, minute, envelope)| (self.given(*number), *minute, envelope.clone())).collect()
    }

    /// One of the messages there have been, counted from 1, mostly one of the last; 0 and one too many among them.
    fn sequence(&self, byte: u8) -> usize {
        (self.sequences.len() + 1).saturating_sub(usize::from(byte % 16))
    }

    fn given(&self, number: usize) -> Sequence {
        let known = number.checked_sub(1).and_then(|at| self.sequences.get(at));
        known.copied().unwrap_or(if number == 0 { Sequence(0) } else { Sequence(i64::MAX) })
    }

    fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.now)
    }

    fn fingerprint(&self, byte: u8) -> Fingerprint {
        let mut fingerprint = [byte % ACCOUNTS; 32];
        // Where the client id has all of it.
        fingerprint[9..16].copy_from_slice(&self.number.to_le_bytes()[..7]);
        Fingerprint(fingerprint)
    }

    fn id(&self, byte: u8) -> ClientId {
        self.fingerprint(byte).client_id()
    }

    fn identity(&self, byte: u8) -> RsaPublicKey {
        RsaPublicKey([byte % ACCOUNTS; 422])
    }

    fn name(&self, byte: u8) -> Name {
        let name = ["alice", "Alice", "bob", "carol", "dave"][usize::from(byte % NAMES)];
        Name::new(&format!("{name} {}", self.number)).expect("a name")
    }

    fn phone(&self, byte: u8) -> PhoneTag {
        PhoneTag(self.distinct(byte % PHONES))
    }

    fn file(&self, byte: u8) -> FileId {
        FileId([byte % FILES; 16])
    }

    fn registration_id(&self, byte: u8) -> RegistrationId {
        RegistrationId(self.distinct(byte % REGISTRATIONS))
    }

    /// Bytes that no session before had.
    fn distinct<const N: usize>(&self, byte: u8) -> [u8; N] {
        let mut bytes = [byte; N];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    fn bundle(&self, byte: u8, epoch: u8) -> Bundle {
        let content = BundleContent {
            suite: Suite::ONE,
            min_dialect: MIN_DIALECT,
            epoch: Epoch(epoch.into()),
            issued: UnixSeconds(0),
            expires: UnixSeconds(0),
            prekey_id: PrekeyId(epoch.into()),
            prekey: DhPublicKey([byte; 32]),
            wrap_id: WrapId(0),
            wrap_key: self.identity(byte),
            identity: self.identity(byte),
        };
        Bundle { content, signature: Signature([0; 384]) }
    }

    fn account(&self, byte: u8, name: u8, epoch: u8) -> NewAccount {
        let bundle = self.bundle(byte % ACCOUNTS, epoch % 4);
        NewAccount { fingerprint: self.fingerprint(byte), name: self.name(name), phone: None, bundle }
    }

    fn succession(&self, old: u8, new: u8, more: u8) -> Succession {
        Succession {
            old_identity: self.identity(old),
            new_fingerprint: self.fingerprint(new),
            new_bundle: self.bundle(new % ACCOUNTS, more % 2),
            issued: UnixSeconds(u64::from(more) << 56),
            rotation: Signature([old; 384]),
            succession: Signature([new; 384]),
        }
    }

    fn registration(&self, a: u8, b: u8, c: u8) -> PendingRegistration {
        let phone = (!c.is_multiple_of(32)).then(|| self.phone(c));
        PendingRegistration {
            id: self.registration_id(a / 8),
            account: NewAccount { phone, ..self.account(a, b, c / 64) },
            code: CodeTag([c; 32]),
            // Long enough for a wait in between.
            expires: self.time() + if c >= 128 { CLAIM_WAIT + HOUR } else { HOUR / 6 },
        }
    }
}

/// The store and the model have done the same.
#[track_caller]
fn assert_same<T: PartialEq + Debug>(
    store: std::result::Result<T, ModernError>,
    model: std::result::Result<T, Refused>,
) {
    assert_eq!(store.map_err(Refused::from), model);
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).expect("a time since 1970").as_secs()
}

fn one_time_key(number: u32, more: u8) -> DhPublicKey {
    DhPublicKey([number as u8 ^ (more / 64); 32])
}

/// Sizes of envelopes: mostly a few bytes, and those at which a store does something else.
fn size(byte: u8, more: u8) -> usize {
    match byte % 32 {
        0 => 0,
        1 => 4_607 + usize::from(more % 3),
        2 => 128 * 1024,
        other => usize::from(other),
    }
}

/// Limits: mostly none that are reached.
fn limits(byte: u8) -> MailLimits {
    let default = MailLimits::default();
    let policy = if byte.is_multiple_of(2) { QueuePolicy::Reject } else { QueuePolicy::DropOldest };
    match byte % 32 {
        0..4 => MailLimits { per_pair: u64::from(byte % 4 / 2 + 1), policy, ..default },
        4 => MailLimits { per_pair: 0, policy, ..default },
        5 => MailLimits { bytes_per_pair: 40, file_bytes_per_pair: 2 * CHUNK_COST as u64, ..default },
        6 => MailLimits { per_recipient: 2, ..default },
        7 => {
            let file_bytes_per_recipient = 3 * CHUNK_COST as u64;
            MailLimits { bytes_per_recipient: 5_000, file_bytes_per_recipient, ..default }
        }
        8 => MailLimits { bytes_per_hour: 60, file_bytes_per_hour: 4 * CHUNK_COST as u64, ..default },
        _ => MailLimits { policy, ..default },
    }
}
