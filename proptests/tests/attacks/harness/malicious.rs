//! A server's store in the hands of whoever runs the server: it does as it should, but where a test has it do otherwise, and
//! it knows all that it was told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use messageu_server::store::modern::{
    Account, CodeRules, Completed, FetchedKeys, Kept, MailLifetime, MailLimits, ModernError, ModernStore,
    NewAccount, NewChunk, NewEnvelope, PendingEnvelope, PendingRegistration, RegistrationId, Succession,
};
use messageu_server::store::{QueuePolicy, Sequence};
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{DhPublicKey, EnvelopeId, FileId, OneTimeId};
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::fields::{ClientId, Name};

type Kind<T> = Result<T, ModernError>;

/// What is done to an answer.
type Change<T> = Mutex<Option<Box<dyn FnMut(T) -> T + Send>>>;

/// The store, and what is done to its answers.
pub(crate) struct Malicious {
    pub(crate) honest: Arc<dyn ModernStore>,
    later: Arc<AtomicU64>,
    sent: Mutex<Vec<NewEnvelope>>,
    hidden: Mutex<Vec<Vec<u8>>>,
    keys: Change<FetchedKeys>,
    pending: Change<Vec<PendingEnvelope>>,
    chunk: Change<(u32, Option<Bytes>)>,
    named: Change<Option<ClientId>>,
    succession: Change<Option<Succession>>,
}

/// The time, so much later than it is.
pub(super) fn time(later: &AtomicU64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(later.load(Ordering::Relaxed))
}

macro_rules! changes {
    ($($name:ident: $field:ident of $type:ty;)*) => {
        $(pub(crate) fn $name(&self, change: impl FnMut($type) -> $type + Send + 'static) {
            *self.$field.lock().unwrap() = Some(Box::new(change));
        })*

        /// Does as it should again.
        pub(crate) fn repent(&self) {
            $(*self.$field.lock().unwrap() = None;)*
            self.hidden.lock().unwrap().clear();
        }
    };
}

impl Malicious {
    pub(super) fn new(honest: Arc<dyn ModernStore>, later: Arc<AtomicU64>) -> Self {
        Self {
            honest,
            later,
            sent: Mutex::default(),
            hidden: Mutex::default(),
            keys: Mutex::default(),
            pending: Mutex::default(),
            chunk: Mutex::default(),
            named: Mutex::default(),
            succession: Mutex::default(),
        }
    }

    changes! {
        change_keys: keys of FetchedKeys;
        change_mail: pending of Vec<PendingEnvelope>;
        change_chunks: chunk of (u32, Option<Bytes>);
        change_names: named of Option<ClientId>;
        change_successions: succession of Option<Succession>;
    }

    /// All that was ever sent to somebody, in order.
    pub(crate) fn sent_to(&self, to: ClientId) -> Vec<Vec<u8>> {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|one| one.to == to).map(|one| one.envelope.to_vec()).collect()
    }

    /// The last envelope to somebody.
    pub(crate) fn last_to(&self, to: ClientId) -> Vec<u8> {
        self.sent_to(to).pop().unwrap()
    }

    /// The first of a kind that was sent to somebody.
    pub(crate) fn first_to(&self, to: ClientId, kind: EnvelopeKind) -> Vec<u8> {
        let is_one = |envelope: &Vec<u8>| Prefix::peek(envelope).unwrap().kind == kind;
        self.sent_to(to).into_iter().find(is_one).unwrap()
    }

    /// Gives an envelope to nobody.
    pub(crate) fn hide(&self, envelope: Vec<u8>) {
        self.hidden.lock().unwrap().push(envelope);
    }

    /// Puts something into somebody's queue that nobody has sent.
    pub(crate) async fn put(&self, to: ClientId, envelope: Vec<u8>) {
        let envelope = NewEnvelope {
            to,
            from: to,
            message_id: EnvelopeId(rand::random()),
            kind: EnvelopeKind::MSG,
            envelope: envelope.into(),
        };
        let limits = MailLimits {
            per_recipient: u64::MAX,
            bytes_per_recipient: u64::MAX,
            per_pair: u64::MAX,
            policy: QueuePolicy::Reject,
            bytes_per_pair: u64::MAX,
            bytes_per_hour: u64::MAX,
            ..MailLimits::default()
        };
        let kept = self.honest.enqueue_envelope(envelope, limits, SystemTime::now()).await.unwrap();
        assert_eq!(kept, Kept::Now);
    }

    /// How many envelopes somebody would get now.
    pub(crate) async fn waiting(&self, to: ClientId) -> usize {
        self.pending_envelopes(to, Sequence(0), usize::MAX, usize::MAX).await.unwrap().len()
    }

    fn now(&self) -> SystemTime {
        time(&self.later)
    }
}

fn changed<T>(change: &Change<T>, answer: T) -> T {
    match change.lock().unwrap().as_mut() {
        Some(change) => change(answer),
        None => answer,
    }
}

#[async_trait]
impl ModernStore for Malicious {
    async fn register_account(&self, account: NewAccount, _: SystemTime) -> Kind<()> {
        self.honest.register_account(account, self.now()).await
    }

    async fn account(&self, id: ClientId, _: SystemTime) -> Kind<Option<Account>> {
        self.honest.account(id, self.now()).await
    }

    async fn account_named(&self, name: &Name) -> Kind<Option<ClientId>> {
        Ok(changed(&self.named, self.honest.account_named(name).await?))
    }

    async fn erase_account(&self, id: ClientId) -> Kind<()> {
        self.honest.erase_account(id).await
    }

    async fn rotate_identity(&self, old: ClientId, succession: Succession, _: SystemTime) -> Kind<()> {
        self.honest.rotate_identity(old, succession, self.now()).await
    }

    async fn succession(&self, old: ClientId) -> Kind<Option<Succession>> {
        Ok(changed(&self.succession, self.honest.succession(old).await?))
    }

    async fn publish_keys(
        &self,
        id: ClientId,
        bundle: Bundle,
        one_time: Vec<(OneTimeId, DhPublicKey)>,
    ) -> Kind<u16> {
        self.honest.publish_keys(id, bundle, one_time).await
    }

    async fn fetch_keys(&self, of: ClientId, by: ClientId, _: SystemTime) -> Kind<FetchedKeys> {
        Ok(changed(&self.keys, self.honest.fetch_keys(of, by, self.now()).await?))
    }

    async fn enqueue_envelope(&self, envelope: NewEnvelope, limits: MailLimits, _: SystemTime) -> Kind<Kept> {
        let kept = self.honest.enqueue_envelope(envelope.clone(), limits, self.now()).await?;
        self.sent.lock().unwrap().push(envelope);
        Ok(kept)
    }

    async fn pending_envelopes(
        &self,
        to: ClientId,
        after: Sequence,
        max_bytes: usize,
        limit: usize,
    ) -> Kind<Vec<PendingEnvelope>> {
        let mut pending = self.honest.pending_envelopes(to, after, max_bytes, limit).await?;
        let hidden = self.hidden.lock().unwrap();
        pending.retain(|one| !hidden.iter().any(|hidden| one.envelope[..] == hidden[..]));
        Ok(changed(&self.pending, pending))
    }

    async fn acknowledge_envelopes(&self, to: ClientId, sequences: &[Sequence]) -> Kind<u64> {
        self.honest.acknowledge_envelopes(to, sequences).await
    }

    async fn put_chunk(&self, chunk: NewChunk, limits: MailLimits, _: SystemTime) -> Kind<Kept> {
        self.honest.put_chunk(chunk, limits, self.now()).await
    }

    async fn fetch_chunk(&self, to: ClientId, file: FileId, index: u32) -> Kind<Option<Bytes>> {
        let chunk = self.honest.fetch_chunk(to, file, index).await?;
        Ok(changed(&self.chunk, (index, chunk)).1)
    }

    async fn drop_file(&self, to: ClientId, file: FileId) -> Kind<u32> {
        self.honest.drop_file(to, file).await
    }

    async fn begin_registration(
        &self,
        registration: PendingRegistration,
        rules: CodeRules,
        _: SystemTime,
    ) -> Kind<()> {
        // Whoever made it has a clock of their own.
        let later = Duration::from_secs(self.later.load(Ordering::Relaxed));
        let registration = PendingRegistration { expires: registration.expires + later, ..registration };
        self.honest.begin_registration(registration, rules, self.now()).await
    }

    async fn count_attempt(
        &self,
        id: RegistrationId,
        most: u32,
        _: SystemTime,
    ) -> Kind<Option<PendingRegistration>> {
        self.honest.count_attempt(id, most, self.now()).await
    }

    async fn complete_registration(&self, id: RegistrationId, _: SystemTime) -> Kind<Completed> {
        self.honest.complete_registration(id, self.now()).await
    }

    async fn claim_on(&self, id: ClientId) -> Kind<Option<SystemTime>> {
        self.honest.claim_on(id).await
    }

    async fn object(&self, id: ClientId) -> Kind<bool> {
        self.honest.object(id).await
    }

    async fn drop_expired(&self, lifetime: MailLifetime, _: SystemTime) -> Kind<bool> {
        self.honest.drop_expired(lifetime, self.now()).await
    }
}
