//! A user's session: an identity, a server, and everything the user can do.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use messageu_envelope::identity_file::IdentityFile;
use messageu_envelope::legacy::{
    LEGACY_WRAPPED_KEY_SIZE, LegacyIv, LegacyKey, LegacyPrivateKey, LegacySealer, legacy_open, legacy_seal,
    legacy_sealed_size, legacy_wrap_key,
};
use messageu_wire::dialect::{Dialect, Family, Profile as WireProfile};
use messageu_wire::fields::{ClientId, MessageId, Name, PublicKey};
use messageu_wire::message::MessageType;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::address::Address;
use crate::client::{Client, Progress, Pull, Pulled};
use crate::download::{Download, Opening, discard_parts, save};
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::inbox::{Entry, Inbox, State};
use crate::keyring::{Asked, Contact, Contacts, Iv, Keyring, StoredKey};
use crate::profile::{Lock, Profile, ReservedIdentity, StateDir};

/// Most bytes of a text. A longer one that comes is saved as a file; a longer one is not sent.
pub const TEXT_LIMIT: u64 = 1 << 20;
/// How long a server may take that may not even speak the dialect it is tried in.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(4);
/// The families in the order they are tried in.
const TRIAL_ORDER: [Family; 5] = [Family::D, Family::E, Family::C, Family::B, Family::A];
/// Bytes of a file that are sealed at a time.
const PIECE_SIZE: usize = 256 * 1024;
const PROOF_FILE: &str = "session.json";
const PROOF_MAX: usize = 64 * 1024;

/// How a session is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server; else the one in the profile.
    pub server: Option<Address>,
    /// The dialect; else the one that the server is known to answer, or the first that it does.
    pub dialect: Option<Dialect>,
    /// The version to try first; else the one that the server is known to answer, then 2, then 1.
    pub version: Option<u8>,
    /// Where the IV is; else where it was when a key was requested from or sent to the peer, or where the dialect has it.
    pub iv: Option<LegacyIv>,
    /// How long a server may take to connect, and then be silent.
    pub timeout: Duration,
    /// Where received files go; else the directory `downloads` in the profile.
    pub downloads: Option<PathBuf>,
    /// Whether to answer every key request without asking the user.
    pub auto_keys: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: None,
            dialect: None,
            version: None,
            iv: None,
            timeout: Duration::from_secs(30),
            downloads: None,
            auto_keys: false,
        }
    }
}

/// What a server was seen to answer.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Proof {
    server: String,
    dialect: String,
    version: u8,
}

/// A message that has been sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// To whom.
    pub to: Contact,
    /// The server's number for it, if the dialect has one.
    pub message_id: Option<MessageId>,
}

/// A message that has come.
#[derive(Debug)]
pub struct Arrival {
    /// From whom, as the server says it.
    pub from: Contact,
    /// The server's number for it, if the dialect has one.
    pub message_id: Option<MessageId>,
    /// Its type.
    pub kind: MessageType,
    /// What is in it.
    pub content: Content,
}

/// What is in a message that has come.
#[derive(Debug)]
pub enum Content {
    /// They ask for a symmetric key. With [`Options::auto_keys`]: what came of sending it.
    KeyRequest(Option<Result<()>>),
    /// A symmetric key.
    Key(KeyOutcome),
    /// A text.
    Text(Text),
    /// A text beyond [`TEXT_LIMIT`], which became a file.
    LongText(Download),
    /// A file.
    File(Download),
    /// It does not open, and is kept until it does.
    Locked(Locked),
    /// A message of a type that the classic dialects do not have, saved as it came.
    Unknown(Download),
}

/// A text, opened. Its `Debug` does not show it.
pub struct Text(Zeroizing<Vec<u8>>);

impl Text {
    /// The bytes, as they were sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// What became of a symmetric key that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyOutcome {
    /// We asked for it, and use it from now on.
    Accepted,
    /// We have this very key already.
    Known,
    /// We did not ask for it, and do not use it.
    NotAsked,
    /// We asked, but have another one by now, and keep that.
    Kept,
    /// It was not wrapped for us.
    Damaged,
}

/// Why a message does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locked {
    /// There is no key shared with the sender.
    NoKey,
    /// The key shared with the sender does not open it.
    WrongKey,
}

/// What is called with each message that comes. What it does not take with `Ok` will come again.
pub type Show<'a> = &'a mut dyn FnMut(Arrival) -> Result<()>;

/// An identity in use. The profile is locked as long as this lives.
#[derive(Debug)]
pub struct Session {
    profile: Profile,
    state: StateDir,
    options: Options,
    address: Address,
    identity: IdentityFile,
    keyring: Keyring,
    contacts: Contacts,
    inbox: Inbox,
    proof: Option<(Dialect, u8)>,
    listed: bool,
    _lock: Lock,
}

impl Session {
    /// Creates an identity: a key pair here, and an account with its public half at the server.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if there is an identity in the profile; [`ErrorKind::Refused`] if the server does not
    /// take the name.
    pub async fn register(profile: &Profile, options: Options, name: Name) -> Result<Self> {
        refuse_second(profile)?;
        let address = address(profile, &options)?;
        let lock = profile.lock()?;
        refuse_second(profile)?;
        let key = tokio::task::spawn_blocking(|| LegacyPrivateKey::generate(&mut rand::rng())).await;
        let key = key
            .ok()
            .and_then(std::result::Result::ok)
            .ok_or_else(|| Error::new(ErrorKind::Other, "no key pair could be generated"))?;
        let mut identity = IdentityFile { name, client_id: ClientId::NOBODY, key };
        let file = ReservedIdentity::new(profile, &identity)?;
        let (client_id, dialect, version) = enrol(&address, &options, &identity).await?;
        identity.client_id = client_id;
        file.fill(&identity)?;
        profile.set_server(&address)?;
        let mut session = Self::assemble(profile, options, address, identity, lock)?;
        session.prove(dialect, version)?;
        Ok(session)
    }

    /// Takes up the identity in a profile.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if there is none, or another process is using it.
    pub fn open(profile: &Profile, options: Options) -> Result<Self> {
        let absent = || {
            let what = format!("there is no identity in {}", profile.dir().display());
            Error::new(ErrorKind::Profile, what)
                .hint("`messageu register NAME` creates one; --profile DIR says where one is")
        };
        profile.identity_path().ok_or_else(absent)?;
        let address = address(profile, &options)?;
        let lock = profile.lock()?;
        let identity = profile.identity()?.ok_or_else(absent)?;
        Self::assemble(profile, options, address, identity, lock)
    }

    fn assemble(
        profile: &Profile,
        options: Options,
        address: Address,
        identity: IdentityFile,
        lock: Lock,
    ) -> Result<Self> {
        let state = profile.state_of(identity.client_id)?;
        let proof: Proof = state.read(PROOF_FILE, PROOF_MAX).unwrap_or_default();
        let dialect = proof.dialect.parse().ok().filter(|_| proof.server == address.to_string());
        let wanted = |dialect: &Dialect| options.dialect.is_none_or(|wanted| wanted == *dialect);
        let proof = dialect.filter(wanted).map(|dialect| (dialect, proof.version));
        Ok(Self {
            keyring: Keyring::load(&state)?,
            contacts: Contacts::load(&state),
            inbox: Inbox::open(&state)?,
            proof: proof.filter(|(_, version)| options.version.is_none_or(|wanted| wanted == *version)),
            profile: profile.clone(),
            listed: false,
            _lock: lock,
            state,
            options,
            address,
            identity,
        })
    }

    /// Our own name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.identity.name
    }

    /// Our own id.
    #[must_use]
    pub const fn id(&self) -> ClientId {
        self.identity.client_id
    }

    /// The dialect and version that the server was seen to answer.
    #[must_use]
    pub const fn proven(&self) -> Option<(Dialect, u8)> {
        self.proof
    }

    /// The other users, by name.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn list(&mut self) -> Result<Vec<Contact>> {
        let client = self.client().await?;
        let entries = client.list_clients(self.id()).await.map_err(stranger)?;
        self.take_list(&entries)
    }

    /// A user's public key, from the server.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is no such user.
    pub async fn public_key(&mut self, name: &str) -> Result<(Contact, PublicKey)> {
        let peer = self.find(name).await?;
        let key = self.public_key_of(&peer).await?;
        Ok((peer, key))
    }

    async fn public_key_of(&mut self, peer: &Contact) -> Result<PublicKey> {
        let client = self.client().await?;
        match client.fetch_key(self.id(), peer.id).await {
            Ok(key) => Ok(key),
            Err(error) => Err(self.explain(error, peer).await),
        }
    }

    /// Asks a user for a symmetric key. One that they send is then accepted; with `replace`, in place of the one that
    /// is shared with them already.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is no such user, or there is a key already.
    pub async fn request_key(&mut self, name: &str, replace: bool) -> Result<Sent> {
        let peer = self.find(name).await?;
        if self.keyring.key(peer.id).is_some() && !replace {
            let what = format!("you share a key with {} already", peer.name);
            return Err(Error::new(ErrorKind::Peer, what)
                .hint("send to them; or ask for another key in its place with --replace"));
        }
        let content = vec![0; key_request_size(self.client().await?.dialect)];
        let before = self.keyring.peer(peer.id).and_then(|peer| peer.asked);
        let asked = if replace { Asked::ForReplacement } else { Asked::ForFirst };
        // Noted first: the answer may come before our own receipt does.
        let iv = self.options.iv.map(Iv::from);
        self.keyring.update(&self.state, peer.id, |peer| {
            peer.asked = Some(asked);
            peer.iv = iv.or(peer.iv);
        })?;
        let sent = self.send(&peer, MessageType::KEY_REQUEST, content).await;
        if sent.as_ref().is_err_and(was_not_sent) {
            self.keyring.update(&self.state, peer.id, |peer| peer.asked = before)?;
        }
        sent
    }

    /// Sends a user the symmetric key shared with them: a new one if there is none, or with `replace`.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is no such user.
    pub async fn send_key(&mut self, name: &str, replace: bool) -> Result<Sent> {
        let peer = self.find(name).await?;
        self.send_key_to(peer, replace).await
    }

    async fn send_key_to(&mut self, peer: Contact, replace: bool) -> Result<Sent> {
        let public_key = self.public_key_of(&peer).await?;
        let old = self.keyring.key(peer.id).cloned();
        let key = match &old {
            Some(key) if !replace => key.clone(),
            _ => LegacyKey::generate(&mut rand::rng()),
        };
        let wrapped = legacy_wrap_key(&public_key, &key, &mut rand::rng()).map_err(|error| {
            Error::new(ErrorKind::Data, format!("the public key of {} is not usable: {error}", peer.name))
        })?;
        let iv = self.options.iv.map(Iv::from);
        let is_new = old.as_ref() != Some(&key);
        if is_new {
            // Stored first: a key that they have and we do not would be the worse loss.
            self.keyring.update(&self.state, peer.id, |peer| peer.key = Some(StoredKey(key)))?;
        }
        let sent = self.send(&peer, MessageType::KEY, wrapped.to_vec()).await;
        match &sent {
            Ok(_) => self.keyring.update(&self.state, peer.id, |peer| {
                peer.key_answered_them |= peer.wants_key;
                peer.wants_key = false;
                peer.iv = iv.or(peer.iv);
                peer.key_is_new |= is_new;
            })?,
            Err(error) if is_new && was_not_sent(error) => {
                self.keyring.update(&self.state, peer.id, |peer| peer.key = old.map(StoredKey))?;
            }
            Err(_) => {}
        }
        sent
    }

    /// Sends a user a text.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is no such user, or no key shared with them.
    pub async fn send_text(&mut self, name: &str, text: &str) -> Result<Sent> {
        if u64::try_from(text.len()).map_or(true, |size| size > TEXT_LIMIT) {
            let what = format!("a text has at most {TEXT_LIMIT} bytes, this one has {}", text.len());
            return Err(Error::new(ErrorKind::Usage, what).hint("send it as a file"));
        }
        let peer = self.find(name).await?;
        let key = self.key_for(&peer)?;
        let client = self.client().await?;
        let sealed = legacy_seal(&key, self.iv(peer.id, client.dialect), text.as_bytes(), &mut rand::rng());
        self.send(&peer, MessageType::TEXT, sealed).await
    }

    /// Sends a user a file, sealed as it is read. Neither its name nor anything else about it is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is no such user, or no key shared with them; [`ErrorKind::File`] if the file cannot
    /// be read, is too large, or gets shorter meanwhile.
    pub async fn send_file(&mut self, name: &str, path: &Path, progress: Progress<'_>) -> Result<Sent> {
        // Asked before it is opened: opening a pipe waits for whoever writes to it.
        if !std::fs::metadata(path).at("read", path)?.is_file() {
            return Err(Error::new(ErrorKind::File, format!("{} is not a regular file", path.display()))
                .hint("of a pipe, save what comes to a file first"));
        }
        let file = File::open(path).at("read", path)?;
        let metadata = file.metadata().at("read", path)?;
        let peer = self.find(name).await?;
        let key = self.key_for(&peer)?;
        let client = self.client().await?;
        let iv = self.iv(peer.id, client.dialect);
        let size = legacy_sealed_size(metadata.len(), iv);
        let sealer = Some(LegacySealer::new(&key, iv, &mut rand::rng()));
        let pieces = SealedFile { file, path: path.to_owned(), sealer, left: metadata.len() };
        let message = (peer.id, MessageType::FILE, size);
        match client.send(self.id(), message, pieces, progress).await {
            Ok(message_id) => Ok(Sent { to: peer, message_id }),
            Err(error) => Err(self.explain(error, &peer).await),
        }
    }

    /// Takes what has come, at most `most` messages of it, and hands each to `show`; says how many. First what is in
    /// the inbox from before, then what waits at the server.
    ///
    /// What `show` does not take, what goes beyond `most`, and what does not open stays in the inbox.
    ///
    /// # Errors
    /// See [`ErrorKind`]. After a connection that was cut, what had come by then has been shown.
    pub async fn receive(
        &mut self,
        most: Option<usize>,
        progress: Progress<'_>,
        show: Show<'_>,
    ) -> Result<usize> {
        let most = most.unwrap_or(usize::MAX);
        discard_parts(&self.downloads(), self.id());
        let before = self.show_inbox(most, progress, show).await?;
        if before >= most {
            return Ok(before);
        }
        let pulled = self.pull(progress).await;
        let now = self.show_inbox(most - before, progress, show).await?;
        pulled.map(|()| before + now)
    }

    /// How many messages are in the inbox because they do not open.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if the inbox cannot be read.
    pub fn waiting(&self) -> Result<usize> {
        self.inbox.entries(State::Waiting).map(|entries| entries.len())
    }

    /// Ends our account at the server, where the dialect has that, and puts the identity file aside.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] in a dialect that has no such operation.
    pub async fn delete_account(mut self) -> Result<()> {
        let client = self.client().await?;
        client.delete_client(self.id()).await.map_err(stranger)?;
        let Some(path) = self.profile.identity_path() else { return Ok(()) };
        let mut aside = path.clone().into_os_string();
        aside.push(format!(".deleted-{}", self.id()));
        std::fs::rename(&path, aside).at("rename", &path)
    }

    /// The server, in a dialect and version that it is known to answer: tried out if none is.
    async fn client(&mut self) -> Result<Client> {
        if let Some((dialect, version)) = self.proof {
            return Ok(self.client_in(dialect, version));
        }
        let me = self.id();
        let list = async |client: &Client| client.list_clients(me).await;
        match first_answered(&self.address, &self.options, Trial::Freely, list).await {
            Ok((entries, dialect, version)) => {
                self.prove(dialect, version)?;
                self.take_list(&entries)?;
                Ok(self.client_in(dialect, version))
            }
            Err(error) if error.kind() == ErrorKind::Refused => {
                // Said to be the dialect: then the operation itself will show what is wrong.
                let said = self.options.dialect.and_then(|_| candidates(&self.options).first().copied());
                said.map(|(dialect, version)| self.client_in(dialect, version)).ok_or_else(|| stranger(error))
            }
            Err(error) => Err(error),
        }
    }

    fn client_in(&self, dialect: Dialect, version: u8) -> Client {
        Client { address: self.address.clone(), dialect, version, timeout: self.options.timeout }
    }

    fn prove(&mut self, dialect: Dialect, version: u8) -> Result<()> {
        self.proof = Some((dialect, version));
        let (server, dialect) = (self.address.to_string(), dialect.to_string());
        self.state.write(PROOF_FILE, &Proof { server, dialect, version }, 0)
    }

    fn take_list(
        &mut self,
        entries: &[messageu_wire::operation::list_clients::Entry],
    ) -> Result<Vec<Contact>> {
        // Some servers list the asker too.
        let others = entries.iter().filter(|entry| entry.client_id != self.identity.client_id);
        let mut others: Vec<_> =
            others.map(|entry| Contact { id: entry.client_id, name: entry.name.to_text() }).collect();
        others.sort_by(|a, b| a.name.cmp(&b.name));
        self.contacts.replace(&self.state, &others)?;
        self.listed = true;
        Ok(others)
    }

    /// The user of this id in hexadecimal, or of this name.
    async fn find(&mut self, name: &str) -> Result<Contact> {
        if let [contact] = self.known(name).as_slice() {
            return Ok(contact.clone());
        }
        self.listed = false;
        // Finding the dialect out may list already.
        self.client().await?;
        if !self.listed {
            self.list().await?;
        }
        match (self.known(name).as_slice(), name.parse()) {
            ([contact], _) => Ok(contact.clone()),
            // The server may know whom it does not list.
            ([], Ok(id)) => Ok(Contact { id, name: name.to_owned() }),
            ([], Err(_)) if name == self.name().as_str() => {
                Err(Error::new(ErrorKind::Peer, format!("{name} is you; there is nobody else of that name")))
            }
            ([], Err(_)) => Err(Error::new(ErrorKind::Peer, format!("there is no user named {name:?}"))
                .hint("`messageu list` shows who there is; capitals matter")),
            _ => Err(Error::new(ErrorKind::Peer, format!("the server lists several users named {name:?}"))
                .hint("give the id in place of the name; `messageu list` shows it")),
        }
    }

    /// Those listed last who are meant by an id, which goes first, or by a name.
    fn known(&self, name: &str) -> Vec<Contact> {
        let id: Option<ClientId> = name.parse().ok();
        match id.map(|id| (id, self.contacts.name(id))) {
            Some((id, Some(name))) => vec![Contact { id, name: name.to_owned() }],
            // What looks like an id is never somebody's name: names are for anybody to choose.
            Some((_, None)) => Vec::new(),
            None => self.contacts.named(name),
        }
    }

    fn key_for(&self, peer: &Contact) -> Result<LegacyKey> {
        self.keyring.key(peer.id).cloned().ok_or_else(|| {
            let name = peer.handle();
            let wants = self.keyring.peer(peer.id).is_some_and(|peer| peer.wants_key);
            let asked = self.keyring.peer(peer.id).is_some_and(|peer| peer.asked.is_some());
            let hint = match (wants, asked) {
                (true, _) => format!("they have asked for one: `messageu send-key {name}`"),
                (false, true) => format!(
                    "you have asked for one: `messageu receive` once {name} has answered with `send-key`"
                ),
                (false, false) => format!(
                    "`messageu request-key {name}`, and `messageu receive` once they have answered; or `messageu send-key {name}` if they have asked you"
                ),
            };
            Error::new(ErrorKind::Peer, format!("no key is shared with {} yet", peer.name)).hint(hint)
        })
    }

    async fn send(&mut self, peer: &Contact, kind: MessageType, content: Vec<u8>) -> Result<Sent> {
        let client = self.client().await?;
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let pieces = (!content.is_empty()).then_some(Ok(content));
        match client.send(self.id(), (peer.id, kind, size), pieces, &mut |_, _| ()).await {
            Ok(message_id) => Ok(Sent { to: peer.clone(), message_id }),
            Err(error) => Err(self.explain(error, peer).await),
        }
    }

    /// Says more about a refusal that concerns a peer, which may have gone since they were listed.
    async fn explain(&mut self, error: Error, peer: &Contact) -> Error {
        if error.kind() != ErrorKind::Refused {
            return error;
        }
        match self.list().await {
            Err(_) => stranger(error),
            Ok(listed) if listed.iter().any(|contact| contact.id == peer.id) => {
                error.or_hint("the server knows both of you; it may be full, or limit what it takes")
            }
            Ok(_) => Error::new(ErrorKind::Refused, format!("{error}: it does not know {}", peer.name))
                .hint("`messageu list` shows who there is"),
        }
    }

    fn iv(&self, peer: ClientId, dialect: Dialect) -> LegacyIv {
        // The IV in front is the custom of the one program that speaks big-endian.
        let custom =
            if *dialect.profile == WireProfile::BIG_ENDIAN { LegacyIv::Prefixed } else { LegacyIv::Zero };
        self.options.iv.or_else(|| self.keyring.iv(peer)).unwrap_or(custom)
    }

    /// Moves what waits at the server to the inbox.
    async fn pull(&mut self, progress: Progress<'_>) -> Result<()> {
        let client = self.client().await?;
        let mut pull = client.pull(self.id()).await?;
        self.inbox.open_pull();
        let taken = match self.take(&mut pull, progress).await {
            Ok(()) => self.inbox.sync(),
            Err(error) => Err(if error.kind() == ErrorKind::Refused { stranger(error) } else { error }),
        };
        match &taken {
            Ok(()) => pull.confirm().await,
            Err(_) => drop(pull),
        }
        self.inbox.close_pull(taken.is_ok())?;
        taken
    }

    async fn take(&mut self, pull: &mut Pull, progress: Progress<'_>) -> Result<()> {
        let (mut done, mut total) = (0, 0);
        loop {
            match pull.next().await? {
                Pulled::Head(head) => {
                    (done, total) = (0, u64::from(head.size));
                    self.inbox.begin(head)?;
                }
                Pulled::Content(bytes) => {
                    self.inbox.content(&bytes)?;
                    done += u64::try_from(bytes.len()).unwrap_or_default();
                    progress(done, total);
                }
                Pulled::EndOfContent => self.inbox.end()?,
                Pulled::End => return Ok(()),
            }
        }
    }

    /// Shows what is in the inbox; says how much it was.
    async fn show_inbox(&mut self, most: usize, progress: Progress<'_>, show: Show<'_>) -> Result<usize> {
        let mut shown = 0;
        for peer in self.keyring.with_new_key() {
            shown += self.retry_waiting(peer, most - shown, progress, show).await?;
        }
        for entry in self.inbox.entries(State::New)? {
            if shown >= most {
                break;
            }
            let content = self.open_entry(&entry, progress).await?;
            let (locked, key_came) = (
                matches!(content, Content::Locked(_)),
                matches!(content, Content::Key(KeyOutcome::Accepted | KeyOutcome::Known)),
            );
            show(self.arrival(&entry, content).await)?;
            shown += 1;
            if locked {
                self.inbox.keep_waiting(&entry)?;
            } else {
                self.inbox.remove(&entry)?;
            }
            if key_came {
                shown += self.retry_waiting(entry.from, most - shown, progress, show).await?;
            }
        }
        Ok(shown)
    }

    /// Shows what has been waiting for this peer's key and opens now.
    async fn retry_waiting(
        &mut self,
        peer: ClientId,
        most: usize,
        progress: Progress<'_>,
        show: Show<'_>,
    ) -> Result<usize> {
        let mut shown = 0;
        for entry in self.inbox.entries(State::Waiting)? {
            if entry.from != peer {
                continue;
            }
            if shown >= most {
                return Ok(shown);
            }
            let content = self.open_entry(&entry, progress).await?;
            if !matches!(content, Content::Locked(_)) {
                show(self.arrival(&entry, content).await)?;
                self.inbox.remove(&entry)?;
                shown += 1;
            }
        }
        if self.keyring.peer(peer).is_some_and(|peer| peer.key_is_new) {
            self.keyring.update(&self.state, peer, |peer| peer.key_is_new = false)?;
        }
        Ok(shown)
    }

    async fn arrival(&mut self, entry: &Entry, content: Content) -> Arrival {
        if self.contacts.name(entry.from).is_none() && !self.listed {
            // Without names ids have to do; that must not hold up a message.
            let _ = self.list().await;
            self.listed = true;
        }
        let name = self.contacts.name(entry.from).map_or_else(|| entry.from.to_string(), str::to_owned);
        Arrival {
            from: Contact { id: entry.from, name },
            message_id: entry.message_id.map(MessageId),
            kind: entry.kind,
            content,
        }
    }

    async fn open_entry(&mut self, entry: &Entry, progress: Progress<'_>) -> Result<Content> {
        match entry.kind {
            MessageType::KEY_REQUEST => self.take_key_request(entry).await,
            MessageType::KEY => self.take_key(entry).map(Content::Key),
            MessageType::TEXT | MessageType::FILE => self.open_sealed(entry, progress).await,
            _ => {
                let saved = save(entry, Opening::AsItIs, (&self.downloads(), self.id()), progress).await?;
                saved.map(Content::Unknown).ok_or_else(|| Error::new(ErrorKind::Other, "nothing was saved"))
            }
        }
    }

    async fn take_key_request(&mut self, entry: &Entry) -> Result<Content> {
        self.keyring.update(&self.state, entry.from, |peer| peer.wants_key = true)?;
        if !self.options.auto_keys {
            return Ok(Content::KeyRequest(None));
        }
        let name = self.contacts.name(entry.from).map_or_else(|| entry.from.to_string(), ToOwned::to_owned);
        let answer = self.send_key_to(Contact { id: entry.from, name }, false).await;
        Ok(Content::KeyRequest(Some(answer.map(|_| ()))))
    }

    fn take_key(&mut self, entry: &Entry) -> Result<KeyOutcome> {
        let asked = self.keyring.peer(entry.from).and_then(|peer| peer.asked);
        if entry.size()? != u64::try_from(LEGACY_WRAPPED_KEY_SIZE).unwrap_or_default() {
            return Ok(KeyOutcome::Damaged);
        }
        let wrapped = entry.read()?;
        let Ok(key) = self.identity.key.unwrap_key(&wrapped, &mut rand::rng()) else {
            return Ok(KeyOutcome::Damaged);
        };
        let ours = self.keyring.key(entry.from);
        // Both have asked, and both have answered: one of the two keys has to be the one, for both the same.
        let crossed = self.keyring.peer(entry.from).is_some_and(|peer| peer.key_answered_them);
        let outcome = match (asked, ours) {
            (_, Some(ours)) if *ours == key => KeyOutcome::Known,
            (None, _) => return Ok(KeyOutcome::NotAsked),
            (Some(Asked::ForFirst), Some(_)) if crossed && self.id() < entry.from => KeyOutcome::Kept,
            (Some(_), _) => KeyOutcome::Accepted,
        };
        self.keyring.update(&self.state, entry.from, |peer| {
            peer.asked = None;
            peer.key_answered_them = false;
            if outcome == KeyOutcome::Accepted {
                peer.key = Some(StoredKey(key));
                peer.key_is_new = true;
            }
        })?;
        Ok(outcome)
    }

    async fn open_sealed(&mut self, entry: &Entry, progress: Progress<'_>) -> Result<Content> {
        let Some(key) = self.keyring.key(entry.from).cloned() else {
            return Ok(Content::Locked(Locked::NoKey));
        };
        // What has been pulled was pulled in a dialect that is proven, unless the user says otherwise now.
        let dialect = self.proof.map(|(dialect, _)| dialect).or(self.options.dialect);
        let iv = self.iv(entry.from, dialect.unwrap_or(Dialect::classic(Family::D)));
        let is_text = entry.kind == MessageType::TEXT;
        if is_text && entry.size()? <= legacy_sealed_size(TEXT_LIMIT, iv) {
            let opened = legacy_open(&key, iv, &entry.read()?);
            return Ok(opened.map_or(Content::Locked(Locked::WrongKey), |text| {
                Content::Text(Text(Zeroizing::new(text)))
            }));
        }
        let saved = save(entry, Opening::With(&key, iv), (&self.downloads(), self.id()), progress).await?;
        Ok(match saved {
            None => Content::Locked(Locked::WrongKey),
            Some(download) if is_text => Content::LongText(download),
            Some(download) => Content::File(download),
        })
    }

    fn downloads(&self) -> PathBuf {
        let dir = self.options.downloads.clone().unwrap_or_else(|| self.profile.dir().join("downloads"));
        // So that the path that is shown leads there from anywhere.
        std::path::absolute(&dir).unwrap_or(dir)
    }
}

/// A file, sealed piece by piece as it is read.
struct SealedFile {
    file: File,
    path: PathBuf,
    sealer: Option<LegacySealer>,
    left: u64,
}

impl Iterator for SealedFile {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        let mut sealer = self.sealer.take()?;
        let mut plain = Zeroizing::new(Vec::with_capacity(PIECE_SIZE));
        let wanted = self.left.min(u64::try_from(PIECE_SIZE).unwrap_or(u64::MAX));
        if let Err(error) = (&mut self.file).take(wanted).read_to_end(&mut plain) {
            return Some(Err(Error::file("read", &self.path, &error)));
        }
        let got = u64::try_from(plain.len()).unwrap_or_default();
        if got < wanted {
            let what = format!("{} became shorter while it was sent; nothing was", self.path.display());
            return Some(Err(
                Error::new(ErrorKind::File, what).hint("try again when nobody is writing to it")
            ));
        }
        self.left -= got;
        let mut sealed = Vec::new();
        sealer.update(&plain, &mut sealed);
        if self.left == 0 {
            sealer.finish(&mut sealed);
        } else {
            self.sealer = Some(sealer);
        }
        Some(Ok(sealed))
    }
}

/// The server that these options or this profile say.
fn address(profile: &Profile, options: &Options) -> Result<Address> {
    let known = match &options.server {
        Some(server) => Some(server.clone()),
        None => profile.server()?,
    };
    known.ok_or_else(|| {
        let what = format!("no server is given, and {} names none", profile.dir().display());
        Error::new(ErrorKind::Usage, what).hint(
            "say --server HOST:PORT, or set MESSAGEU_SERVER, or write HOST:PORT into the file info.server",
        )
    })
}

fn refuse_second(profile: &Profile) -> Result<()> {
    let Some(path) = profile.identity_path() else { return Ok(()) };
    let name = profile.identity().ok().flatten().map(|identity| format!(" ({})", identity.name));
    let what = format!("there is an identity already: {}{}", path.display(), name.unwrap_or_default());
    Err(Error::new(ErrorKind::Profile, what)
        .hint("use it; or give a new one a directory of its own with --profile DIR"))
}

/// Creates the account, in the first dialect and version that the server answers.
async fn enrol(
    address: &Address,
    options: &Options,
    identity: &IdentityFile,
) -> Result<(ClientId, Dialect, u8)> {
    let public_key = identity.key.public_key();
    let register = async |client: &Client| client.register(&identity.name, public_key).await;
    first_answered(address, options, Trial::Once, register).await.map_err(|error| match error.kind() {
        ErrorKind::Refused => {
            Error::new(ErrorKind::Refused, format!("{error} to register {:?}", identity.name.as_str()))
                .hint("the name may be taken; some servers want letters and digits alone, and some are full")
        }
        _ => error,
    })
}

/// Whether a request may be made again in another dialect when it is not known what became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    Freely,
    Once,
}

fn unsure(error: Error) -> Error {
    Error::new(error.kind(), error.to_string()).hint(
        "the name may be registered all the same. Say the dialect (--dialect), or give the server longer (--timeout); \
         if the name is refused then, take another",
    )
}

/// What a server of which nothing is known answers, and in which dialect and version it was asked then.
///
/// After a refusal the other version is tried, after silence and nonsense only other dialects. If nothing is answered,
/// the error is a refusal if there was one.
async fn first_answered<T>(
    address: &Address,
    options: &Options,
    trial: Trial,
    ask: impl AsyncFn(&Client) -> Result<T>,
) -> Result<(T, Dialect, u8)> {
    let (mut failure, mut hopeless) = (None, None);
    let timeout = match (options.dialect, trial) {
        (None, Trial::Freely) => options.timeout.min(TRIAL_TIMEOUT),
        _ => options.timeout,
    };
    for (dialect, version) in candidates(options) {
        if hopeless == Some(dialect) {
            continue;
        }
        let began = Instant::now();
        let error = match ask(&Client { address: address.clone(), dialect, version, timeout }).await {
            Ok(answer) => return Ok((answer, dialect, version)),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::Refused => {}
            // The server may have done it all the same.
            ErrorKind::Data if trial == Trial::Once => return Err(unsure(error)),
            ErrorKind::NoAnswer if trial == Trial::Once && began.elapsed() >= timeout => {
                return Err(unsure(error));
            }
            ErrorKind::NoAnswer | ErrorKind::Data => hopeless = Some(dialect),
            _ => return Err(error),
        }
        let says_more = |old: &Error| old.kind() == ErrorKind::Refused || error.kind() != ErrorKind::Refused;
        failure = Some(failure.filter(says_more).unwrap_or(error));
    }
    Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Other, "there is no dialect to try")))
}

/// What may be tried with a server of which nothing is known.
fn candidates(options: &Options) -> Vec<(Dialect, u8)> {
    let dialects = match options.dialect {
        Some(dialect) => vec![dialect],
        None => TRIAL_ORDER.map(Dialect::classic).to_vec(),
    };
    let versions = |dialect: Dialect| match (dialect.profile, options.version) {
        // The stray byte is known by version 1, and the answer that ends with the connection by version 2.
        (profile, _) if profile.stray > 0 => vec![1],
        (profile, _) if *profile == WireProfile::READ_TO_END => vec![2],
        (_, Some(1)) => vec![1, 2],
        _ => vec![2, 1],
    };
    dialects
        .into_iter()
        .flat_map(|dialect| versions(dialect).into_iter().map(move |version| (dialect, version)))
        .collect()
}

/// Bytes of a key request's content, which mean nothing. Where a pull's size counts contents alone, an empty message
/// would not be seen; the program with that custom sends as many as a key has.
fn key_request_size(dialect: Dialect) -> usize {
    if dialect.profile.entry_counted == 0 { LEGACY_WRAPPED_KEY_SIZE } else { 0 }
}

/// A refusal of what nobody who is registered is refused.
fn stranger(error: Error) -> Error {
    if error.kind() == ErrorKind::Refused {
        error.or_hint("is this identity registered at this very server, and is --dialect right?")
    } else {
        error
    }
}

/// Whether a message is certainly not with the server after this failure.
fn was_not_sent(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::NoAnswer | ErrorKind::Data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_becomes_shorter_is_an_error_and_not_filled_up() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, [7; 100]).unwrap();
        let key = LegacyKey::from_bytes(&[1; 16]);
        let sealer = Some(LegacySealer::new(&key, LegacyIv::Zero, &mut rand::rng()));
        let file = File::open(&path).unwrap();
        let mut pieces = SealedFile { file, path: path.to_path_buf(), sealer, left: 101 };
        assert_eq!(pieces.next().unwrap().unwrap_err().kind(), ErrorKind::File);
        assert!(pieces.next().is_none());
    }
}
