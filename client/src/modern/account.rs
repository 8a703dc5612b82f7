//! Who we are: an identity, its bundles and one-time keys, and when which of them goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use messageu_envelope::bundle::{BUNDLE_ROTATION, BundleTerms, ONE_TIME_KEYS, OwnBundle, PRIVATE_KEY_LIFE};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::IdentityKey;
use messageu_envelope::offer::OFFER_LIFE;
use messageu_envelope::session::Session;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{
    EnvelopeId, Epoch, OneTimeId, PrekeyId, UnixMillis, UnixSeconds, WrapId,
};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{
    AtMost, OneTimeKey as WireOneTimeKey, PhoneNumber, RegistrationId, RegistrationState,
};
use messageu_wire::modern::operation::{erase_account, fetch_keys, publish_keys, register};
use rand::Rng;
use zeroize::Zeroizing;

use super::contacts::show;
use super::server::Server;
use super::sessions;
use super::state::records::{
    BundleKeys, Numbers, OneTimeKey, Own, OwnOffer, Replay, Seen, Server as StoredServer, SessionState,
    StoredEvent, Unopened, Unshown,
};
use super::state::{Passphrase, Secret, StateFiles, Store, Stored, Tx};
use crate::error::{Error, ErrorKind, Result};
use crate::profile::Profile;

/// What the records are about of which there is one.
const THE_ONE: &[u8] = b"";
/// Below so many one-time keys at the server, more are published.
const ONE_TIME_KEYS_LOW: u16 = 50;
/// Most private halves of one-time keys that are kept; the oldest go first.
const ONE_TIME_KEYS_KEPT: usize = 2000;
/// Seconds after which the server is asked how many one-time keys are left.
const PUBLISH_INTERVAL: u64 = 24 * 60 * 60;
/// Seconds after which it is looked at what the server gives others as our keys.
const CHECK_INTERVAL: u64 = 24 * 60 * 60;
/// Seconds in which a new bundle gets to the server, and to whoever looks for it there.
const PUBLISHING_TIME: u64 = 60 * 60;
/// Seconds after which it is looked for what has to be erased.
const SWEEP_INTERVAL: u64 = 12 * 60 * 60;
/// Seconds that an envelope is remembered: longer than a server keeps one.
const SEEN_LIFE: u64 = 60 * 24 * 60 * 60;
/// How far the numbers of what is used once jump after an import: what was used since the export is not known.
const IMPORT_LEAP: u32 = 100_000;

/// The time. Tests have their own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How an account is used.
#[derive(Clone)]
pub struct Settings {
    /// Where received files go.
    pub downloads: PathBuf,
    /// Whether nothing of what is said now goes into the history.
    pub is_ephemeral: bool,
    /// Whether contacts are told that their messages have come.
    pub sends_receipts: bool,
    /// The time.
    pub clock: Clock,
}

impl Settings {
    /// With this directory for files, a history, receipts, and the system's clock.
    #[must_use]
    pub fn new(downloads: impl Into<PathBuf>) -> Self {
        let clock = Arc::new(SystemTime::now);
        Self { downloads: downloads.into(), is_ephemeral: false, sends_receipts: true, clock }
    }
}

/// The RSA keys of a new account.
#[derive(Debug)]
pub struct NewKeys {
    /// Signs, and makes us who we are.
    pub identity: IdentityKey,
    /// Others wrap to it.
    pub wrapping: WrappingKey,
}

impl NewKeys {
    /// Generates both, which takes about a second.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] should the RSA library fail, which it does for no randomness.
    pub fn generate() -> Result<Self> {
        let mut rng = rand::rng();
        let identity = IdentityKey::generate(&mut rng).map_err(crypto)?;
        Ok(Self { identity, wrapping: WrappingKey::generate(&mut rng).map_err(crypto)? })
    }
}

/// Whom a server is to register.
#[derive(Clone, Debug)]
pub struct Registrant {
    /// The name.
    pub name: Name,
    /// The phone number, where the server wants one.
    pub phone: Option<PhoneNumber>,
}

/// A user of version 3, with all that is theirs on disk.
///
/// Every change is a transaction: a process may end at any point of any method, and the next one goes on from there.
pub struct Account {
    pub(super) store: Store,
    pub(super) files: StateFiles,
    pub(super) key: IdentityKey,
    pub(super) name: Name,
    pub(super) settings: Settings,
}

impl Account {
    /// Whether there is an account of version 3 in a profile, registered or not.
    #[must_use]
    pub fn is_in(profile: &Profile) -> bool {
        StateFiles::of(profile).exist()
    }

    /// Whether opening the account in a profile takes a passphrase.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if there is none, or its key file cannot be read.
    pub fn is_protected(profile: &Profile) -> Result<bool> {
        StateFiles::of(profile).are_protected()
    }

    /// Prepares a registration: makes an identity and its keys. One that came to no end before is taken up again, so that
    /// the server sees the same identity; `keys` is not called then.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if an account is registered here already, or the passphrase is another one.
    pub async fn prepare(
        profile: &Profile,
        passphrase: Option<&Passphrase>,
        who: Registrant,
        settings: Settings,
        keys: impl FnOnce() -> Result<NewKeys> + Send + 'static,
    ) -> Result<Self> {
        let files = StateFiles::of(profile);
        let store = files.create(passphrase)?;
        let begun = store.write(|tx| match own(tx)? {
            Some(own) if own.is_registered => {
                let what = format!("{} is registered in this profile already", own.name);
                Err(Error::new(ErrorKind::Profile, what)
                    .hint("give each identity a directory of its own with --profile"))
            }
            Some(before) => {
                put_own(tx, &Own { name: who.name.to_string(), phone: phone(&who), ..before }).map(|()| true)
            }
            None => Ok(false),
        })?;
        if !begun {
            let keys = tokio::task::spawn_blocking(keys).await.map_err(crypto)??;
            store.write(|tx| create(tx, &who, &keys, now_of(&settings)))?;
        }
        Self::assemble(files, store, settings)
    }

    /// Takes up the account in a profile.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if there is none, or the passphrase is another one.
    pub fn open(profile: &Profile, passphrase: Option<&Passphrase>, settings: Settings) -> Result<Self> {
        let files = StateFiles::of(profile);
        let store = files.open(passphrase)?;
        Self::assemble(files, store, settings)
    }

    pub(super) fn assemble(files: StateFiles, store: Store, settings: Settings) -> Result<Self> {
        let own = store.read(own)?.ok_or_else(no_account)?;
        let key = IdentityKey::from_pkcs8_der(&own.identity.0).map_err(crypto)?;
        let name = Name::new(&own.name).map_err(crypto)?;
        Ok(Self { store, files, key, name, settings })
    }

    /// Our name at the server.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Our client id: it commits to our identity key.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.key.identity().client_id()
    }

    /// The key that a connection is authenticated with.
    #[must_use]
    pub fn identity_key(&self) -> &IdentityKey {
        &self.key
    }

    /// Whether the server has taken the registration.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn is_registered(&self) -> Result<bool> {
        self.store.read(|tx| known_own(tx).map(|own| own.is_registered))
    }

    /// What the server is asked to register.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn registration(&self) -> Result<register::Content> {
        self.store.read(|tx| {
            let own = known_own(tx)?;
            let phone =
                if own.phone.is_empty() { None } else { Some(PhoneNumber::new(&own.phone).map_err(crypto)?) };
            Ok(register::Content { name: self.name.clone(), phone, bundle: current_bundle(tx)?.1 })
        })
    }

    /// The registration that a code is expected for, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn expected_code(&self) -> Result<Option<RegistrationId>> {
        let registration = self.store.read(|tx| known_own(tx).map(|own| own.registration))?;
        Ok(registration.map(|id| RegistrationId(*id.0)))
    }

    /// Takes what the server answered to a registration.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be written.
    pub fn take_registration(&self, answer: &register::Response) -> Result<()> {
        if answer.state == RegistrationState::REGISTERED {
            return self.registered();
        }
        self.store.write(|tx| {
            let registration = Some(Stored(Zeroizing::new(answer.registration_id.0)));
            put_own(tx, &Own { registration, ..known_own(tx)? })
        })
    }

    /// The server has registered us, with the bundle that it was asked to register.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be written.
    pub fn registered(&self) -> Result<()> {
        self.store.write(|tx| {
            let own = Own { is_registered: true, registration: None, ..known_own(tx)? };
            mark_published(tx)?;
            put_own(tx, &own)
        })
    }

    /// The server that knows us, as it was written with its pin.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn server(&self) -> Result<Option<String>> {
        self.store
            .read(|tx| tx.find::<StoredServer>(THE_ONE).map(|server| server.map(|server| server.address)))
    }

    /// Remembers the server that knows us.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be written.
    pub fn set_server(&self, address: &str) -> Result<()> {
        self.store.write(|tx| tx.put(THE_ONE, &StoredServer { address: address.to_owned() }))
    }

    /// Does what is due about our own keys: erases those that are over, replaces the bundle after 7 days, and sees to it
    /// that the server has the bundle and enough one-time keys.
    ///
    /// # Errors
    /// See [`ErrorKind`]; what is due stays due.
    pub async fn refresh_keys(&self, server: &impl Server) -> Result<()> {
        if self.is_rotating()? {
            // The newest bundle is already that of the identity to come, which the server does not know yet.
            return Ok(());
        }
        self.store.write(|tx| {
            let own = known_own(tx)?;
            if own.swept.saturating_add(SWEEP_INTERVAL) > self.now().0 {
                return Ok(());
            }
            erase_expired(tx, self.now())?;
            put_own(tx, &Own { swept: self.now().0, ..own })
        })?;
        if self.store.read(|tx| self.is_rotation_due(tx))? {
            self.replace_bundle().await?;
        }
        if !self.store.read(|tx| self.is_publishing_due(tx))? {
            return Ok(());
        }
        // The second time tells how many there are, the first how many are missing.
        for _ in 0..2 {
            if self.publish(server).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether it is time to look at what the server gives others as our keys: once a day.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn is_check_due(&self) -> Result<bool> {
        let own = self.store.read(known_own)?;
        Ok(own.successor.is_none() && own.checked.saturating_add(CHECK_INTERVAL) <= self.now().0)
    }

    /// Looks at what the server gives others as our keys, and tells the user if they are not ours. `nobody` is a connection on
    /// which we have not said who we are, so that the server does not know whom to lie to.
    ///
    /// # Errors
    /// See [`ErrorKind`]; what could not be looked at is looked at the next time.
    pub async fn check_own_keys(&self, nobody: &impl Server) -> Result<()> {
        let bundle = match nobody.call(fetch_keys::Request { client_id: self.id() }).await {
            Ok(answer) => Some(answer.bundle),
            Err(error) if error.code() == Some(ErrorCode::UNKNOWN_CLIENT) => None,
            Err(error) => return Err(error.into()),
        };
        self.store.write(|tx| {
            let is_ours = match &bundle {
                Some(bundle) => self.is_our_bundle(tx, bundle)?,
                None => false,
            };
            if !is_ours {
                let event = StoredEvent::OtherKeys;
                show(tx, Unshown { from: None, message_id: None, sent_ms: self.now_ms().0, event })?;
            }
            put_own(tx, &Own { checked: self.now().0, ..known_own(tx)? })
        })
    }

    /// Whether the server may give this as our bundle: the one that we have told it, or one before while that is new.
    fn is_our_bundle(&self, tx: &Tx<'_>, bundle: &Bundle) -> Result<bool> {
        let (keys, current) = current_bundle(tx)?;
        let is_new =
            !keys.is_published || current.content.issued.0.saturating_add(PUBLISHING_TIME) > self.now().0;
        let known = tx.find::<BundleKeys>(&bundle.content.prekey_id.0.to_le_bytes())?;
        let is_known = known.is_some_and(|known| *known.bundle.0 == bundle.encode());
        Ok(*bundle == current || is_new && is_known)
    }

    /// Seals the account's keys here under another passphrase, or none. What was sealed under them stays as it is: whoever has
    /// the old key file and its passphrase can read what they can lay hands on.
    ///
    /// # Errors
    /// [`ErrorKind::File`](crate::ErrorKind::File) if the key file cannot be written; it stays as it was then.
    pub fn change_passphrase(&self, to: Option<&Passphrase>) -> Result<()> {
        self.files.change_passphrase(&self.store.keys(), to)
    }

    /// Ends the account at the server, with all that waits there.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn erase(self, server: &impl Server) -> Result<()> {
        server.call(erase_account::Request).await?;
        drop(self.store);
        self.files.remove()
    }

    pub(super) fn now(&self) -> UnixSeconds {
        now_of(&self.settings)
    }

    pub(super) fn now_ms(&self) -> UnixMillis {
        let since = (self.settings.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn is_rotation_due(&self, tx: &Tx<'_>) -> Result<bool> {
        let (_, bundle) = current_bundle(tx)?;
        Ok(bundle.content.issued.0.saturating_add(BUNDLE_ROTATION) <= self.now().0)
    }

    fn is_publishing_due(&self, tx: &Tx<'_>) -> Result<bool> {
        let own = known_own(tx)?;
        let (keys, _) = current_bundle(tx)?;
        let one_time_keys = tx.all::<OneTimeKey>()?;
        let few = one_time_keys.len() < usize::from(ONE_TIME_KEYS_LOW);
        let untold = one_time_keys.iter().any(|key| !key.is_published);
        let long_ago = own.published.saturating_add(PUBLISH_INTERVAL) <= self.now().0;
        Ok(!keys.is_published || few || untold || long_ago)
    }

    /// Makes another bundle, with new keys.
    async fn replace_bundle(&self) -> Result<()> {
        let generated = tokio::task::spawn_blocking(|| WrappingKey::generate(&mut rand::rng())).await;
        let wrapping = generated.map_err(crypto)?.map_err(crypto)?;
        self.store.write(|tx| {
            let mut own = known_own(tx)?;
            add_bundle(tx, &mut own, &self.key, wrapping, self.now())?;
            put_own(tx, &own)
        })
    }

    /// Tells the server our bundle and the one-time keys that it does not have, and says whether it has enough now.
    async fn publish(&self, server: &impl Server) -> Result<bool> {
        let (bundle, keys) = self.store.read(|tx| {
            let (_, bundle) = current_bundle(tx)?;
            Ok((bundle, unpublished(tx)?))
        })?;
        let wire_key = |key: &OneTimeKey| {
            let secret = DhSecret::from_bytes(&key.secret.0);
            WireOneTimeKey::new(OneTimeId(key.id), secret.public_key()).map_err(crypto)
        };
        let one_time_keys = keys.iter().map(wire_key).collect::<Result<Vec<_>>>()?;
        let one_time_keys = AtMost::new(one_time_keys).map_err(crypto)?;
        let answer = match server.call(publish_keys::Request { bundle, one_time_keys }).await {
            Err(error) if error.code() == Some(ErrorCode::STALE_KEYS) => {
                // The server has a later bundle: this state is an older copy.
                self.outbid(server).await?;
                return Ok(false);
            }
            answer => answer?,
        };
        let missing = u32::from(answer.remaining < ONE_TIME_KEYS_LOW)
            * ONE_TIME_KEYS.saturating_sub(answer.remaining.into());
        self.store.write(|tx| {
            for key in keys {
                tx.put(&key.id.to_le_bytes(), &OneTimeKey { is_published: true, ..key })?;
            }
            let mut own = known_own(tx)?;
            mark_published(tx)?;
            own.published = self.now().0;
            add_one_time_keys(tx, &mut own, missing)?;
            put_own(tx, &own)
        })?;
        Ok(missing == 0)
    }

    /// Makes a bundle that is later than the one that the server has.
    async fn outbid(&self, server: &impl Server) -> Result<()> {
        let answer = server.call(fetch_keys::Request { client_id: self.id() }).await?;
        self.store.write(|tx| {
            let mut own = known_own(tx)?;
            leap(&mut own.next);
            own.next.epoch = own.next.epoch.max(answer.bundle.content.epoch.0.saturating_add(1));
            put_own(tx, &own)
        })?;
        self.replace_bundle().await
    }
}

/// Who we are, if an account was prepared.
pub(super) fn own(tx: &Tx<'_>) -> Result<Option<Own>> {
    tx.find(THE_ONE)
}

pub(super) fn known_own(tx: &Tx<'_>) -> Result<Own> {
    own(tx)?.ok_or_else(no_account)
}

pub(super) fn put_own(tx: &Tx<'_>, own: &Own) -> Result<()> {
    tx.put(THE_ONE, own)
}

/// Makes the numbers of what is used once jump over those that may have been used elsewhere.
pub(super) fn leap(next: &mut Numbers) {
    next.epoch = next.epoch.saturating_add(IMPORT_LEAP.into());
    for number in [&mut next.prekey, &mut next.wrap, &mut next.one_time, &mut next.offer] {
        *number = number.saturating_add(IMPORT_LEAP);
    }
}

fn create(tx: &Tx<'_>, who: &Registrant, keys: &NewKeys, now: UnixSeconds) -> Result<()> {
    let mut own = Own {
        name: who.name.to_string(),
        phone: phone(who),
        identity: Secret::of(&keys.identity.to_pkcs8_der().map_err(crypto)?),
        is_registered: false,
        registration: None,
        successor: None,
        next: Numbers { epoch: 1, prekey: 1, wrap: 1, one_time: 1, offer: 1 },
        published: 0,
        swept: now.0,
        checked: now.0,
    };
    // Read back from its stored form, so that what cannot be read again is not registered.
    let wrapping =
        WrappingKey::from_pkcs8_der(&keys.wrapping.to_pkcs8_der().map_err(crypto)?).map_err(crypto)?;
    add_bundle(tx, &mut own, &keys.identity, wrapping, now)?;
    add_one_time_keys(tx, &mut own, ONE_TIME_KEYS)?;
    put_own(tx, &own)
}

/// Makes a bundle the current one.
pub(super) fn add_bundle(
    tx: &Tx<'_>,
    own: &mut Own,
    key: &IdentityKey,
    wrapping: WrappingKey,
    now: UnixSeconds,
) -> Result<Bundle> {
    for before in tx.all::<BundleKeys>()?.into_iter().filter(|keys| keys.replaced.is_none()) {
        let prekey = Bundle::decode(&before.bundle.0).map_err(crypto)?.content.prekey_id;
        tx.put(&prekey.0.to_le_bytes(), &BundleKeys { replaced: Some(now.0), ..before })?;
    }
    let terms = BundleTerms {
        epoch: Epoch(take(&mut own.next.epoch)),
        issued: now,
        prekey_id: PrekeyId(take(&mut own.next.prekey)),
        wrap_id: WrapId(take(&mut own.next.wrap)),
    };
    let mut rng = rand::rng();
    let made =
        OwnBundle::make(key, terms, DhSecret::generate(&mut rng), wrapping, &mut rng).map_err(crypto)?;
    let keys = BundleKeys {
        bundle: Secret::of(&made.bundle().encode()),
        prekey: Stored(Zeroizing::new(*made.prekey().as_bytes())),
        wrapping: Secret::of(&made.wrapping().to_pkcs8_der().map_err(crypto)?),
        replaced: None,
        is_published: false,
    };
    tx.put(&terms.prekey_id.0.to_le_bytes(), &keys)?;
    Ok(made.bundle().clone())
}

/// The bundle that others are to use, with its private halves.
pub(super) fn current_bundle(tx: &Tx<'_>) -> Result<(BundleKeys, Bundle)> {
    let keys = tx.all::<BundleKeys>()?.into_iter().find(|keys| keys.replaced.is_none());
    let keys =
        keys.ok_or_else(|| Error::new(ErrorKind::Profile, "the profile has no keys of its own any more"))?;
    let bundle = Bundle::decode(&keys.bundle.0).map_err(crypto)?;
    Ok((keys, bundle))
}

/// A bundle of ours, ready to open what was sealed to it.
pub(super) fn own_bundle(tx: &Tx<'_>, prekey: PrekeyId) -> Result<Option<OwnBundle>> {
    let Some(keys) = tx.find::<BundleKeys>(&prekey.0.to_le_bytes())? else { return Ok(None) };
    let bundle = Bundle::decode(&keys.bundle.0).map_err(crypto)?;
    let wrapping = WrappingKey::from_pkcs8_der(&keys.wrapping.0).map_err(crypto)?;
    OwnBundle::restore(bundle, DhSecret::from_bytes(&keys.prekey.0), wrapping).map(Some).map_err(crypto)
}

fn mark_published(tx: &Tx<'_>) -> Result<()> {
    let (keys, bundle) = current_bundle(tx)?;
    tx.put(&bundle.content.prekey_id.0.to_le_bytes(), &BundleKeys { is_published: true, ..keys })
}

/// Makes one-time keys, which the server is yet to be told.
fn add_one_time_keys(tx: &Tx<'_>, own: &mut Own, count: u32) -> Result<()> {
    for _ in 0..count {
        let id = take(&mut own.next.one_time);
        let secret = DhSecret::generate(&mut rand::rng());
        let secret = Stored(Zeroizing::new(*secret.as_bytes()));
        tx.put(&id.to_le_bytes(), &OneTimeKey { id, secret, is_published: false })?;
    }
    Ok(())
}

/// The one-time keys that the server has not been told, lowest id first: as many as it takes at once.
fn unpublished(tx: &Tx<'_>) -> Result<Vec<OneTimeKey>> {
    let mut keys = tx.all::<OneTimeKey>()?;
    keys.retain(|key| !key.is_published);
    keys.sort_by_key(|key| key.id);
    keys.truncate(messageu_wire::modern::limits::ONE_TIME_KEYS_MAX);
    Ok(keys)
}

/// Erases private keys that nobody should use any more, and what was remembered because of them.
fn erase_expired(tx: &Tx<'_>, now: UnixSeconds) -> Result<()> {
    let is_over = |since: u64, life: u64| since.saturating_add(life) <= now.0;
    let mut gone = Vec::new();
    for keys in tx.all::<BundleKeys>()? {
        if keys.replaced.is_some_and(|replaced| is_over(replaced, PRIVATE_KEY_LIFE)) {
            let prekey = Bundle::decode(&keys.bundle.0).map_err(crypto)?.content.prekey_id;
            tx.erase::<BundleKeys>(&prekey.0.to_le_bytes())?;
            gone.push(prekey.0);
        }
    }
    if !gone.is_empty() {
        for replay in tx.all::<Replay>()?.iter().filter(|replay| gone.contains(&replay.prekey)) {
            tx.erase::<Replay>(&replay.key.0.0)?;
        }
    }
    for offer in tx.all::<OwnOffer>()?.iter().filter(|offer| is_over(offer.made, OFFER_LIFE)) {
        tx.erase::<OwnOffer>(&offer.id.to_le_bytes())?;
    }
    for seen in tx.all::<Seen>()?.iter().filter(|seen| is_over(seen.since, SEEN_LIFE)) {
        tx.erase::<Seen>(&seen.hash.0.0)?;
    }
    for unopened in tx.all::<Unopened>()?.iter().filter(|unopened| is_over(unopened.since, SEEN_LIFE)) {
        tx.erase::<Unopened>(&unopened.hash.0.0)?;
    }
    for stored in tx.all::<SessionState>()? {
        let session = Session::from_bytes(&stored.state.0).map_err(crypto)?;
        if let Some(session) = session.without_expired(now) {
            sessions::put(tx, stored.peer.0, &session)?;
        }
    }
    let mut keys = tx.all::<OneTimeKey>()?;
    keys.sort_by_key(|key| key.id);
    let surplus = keys.len().saturating_sub(ONE_TIME_KEYS_KEPT);
    keys.iter().take(surplus).try_for_each(|key| tx.erase::<OneTimeKey>(&key.id.to_le_bytes()).map(drop))
}

/// A number that was not used before.
fn take<N: Copy + From<u8> + std::ops::Add<Output = N>>(next: &mut N) -> N {
    let taken = *next;
    *next = taken + N::from(1);
    taken
}

fn phone(who: &Registrant) -> String {
    who.phone.as_ref().map_or_else(String::new, |phone| phone.as_str().to_owned())
}

fn now_of(settings: &Settings) -> UnixSeconds {
    let since = (settings.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(since.as_secs())
}

/// A number for a message or an envelope, by which it is known again.
pub(super) fn random_id() -> EnvelopeId {
    let mut id = EnvelopeId([0; 16]);
    rand::rng().fill_bytes(&mut id.0);
    id
}

/// What the cryptography refuses of our own, which only a damaged profile brings about.
pub(super) fn crypto(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, error.to_string())
}

fn no_account() -> Error {
    Error::new(ErrorKind::Profile, "the registration in this profile was not begun")
        .hint("`messageu register NAME` begins it")
}
