//! A user's session: an identity, a server, and everything the user can do.

mod receiving;

use std::path::{Path, PathBuf};
use std::time::Duration;

use messageu_envelope::identity_file::IdentityFile;
use messageu_envelope::legacy::{
    LEGACY_WRAPPED_KEY_SIZE, LegacyIv, LegacyKey, LegacyPrivateKey, LegacySealer, legacy_seal,
    legacy_sealed_size, legacy_wrap_key,
};
use messageu_wire::dialect::{Dialect, Profile as WireProfile};
use messageu_wire::fields::{ClientId, MessageId, Name, PublicKey};
use messageu_wire::message::MessageType;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::client::{Client, Progress};
use crate::dialect_search::{Trial, candidates, first_answered};
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::inbox::Inbox;
use crate::keyring::{Asked, Contact, Contacts, Iv, Keyring, StoredKey};
use crate::profile::{Lock, Profile, ReservedIdentity, StateDir};
use crate::upload::Upload;

pub use self::receiving::{Waiting, WhyWaiting};

/// Most bytes of a text. A longer one that comes is saved as a file; a longer one is not sent.
pub const TEXT_LIMIT: u64 = 1 << 20;
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
        let lock = profile.lock().await?;
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
        // Without a pin, which classic programs cannot read and classic dialects have no use for.
        profile.set_server(&address.place().parse()?)?;
        let mut session = Self::assemble(profile, options, address, identity, lock)?;
        session.prove(dialect, version)?;
        Ok(session)
    }

    /// Takes up the identity in a profile.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if there is none, or another process is using it.
    pub async fn open(profile: &Profile, options: Options) -> Result<Self> {
        let absent = || {
            let what = format!("there is no identity in {}", profile.dir().display());
            Error::new(ErrorKind::Profile, what)
                .hint("`messageu register NAME` creates one; --profile DIR says where one is")
        };
        profile.identity_path().ok_or_else(absent)?;
        let address = address(profile, &options)?;
        let lock = profile.lock().await?;
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
            Error::new(ErrorKind::Data, format!("the public key of {} is not usable: {error}", peer.name)).hint(
                "the server may have mixed it up, or their program makes keys of another kind: ask them to register \
                 anew, under another name",
            )
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
            let what = format!("a text has at most {TEXT_LIMIT} bytes, and this one has more");
            return Err(Error::new(ErrorKind::Usage, what).hint("save it and use `messageu send-file`"));
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
    /// be read, is too large, or changes its size meanwhile.
    pub async fn send_file(&mut self, name: &str, path: &Path, progress: Progress<'_>) -> Result<Sent> {
        let upload = Upload::open(path)?;
        let peer = self.find(name).await?;
        let key = self.key_for(&peer)?;
        let client = self.client().await?;
        let iv = self.iv(peer.id, client.dialect);
        let message = (peer.id, MessageType::FILE, legacy_sealed_size(upload.size(), iv));
        let pieces = upload.seal(LegacySealer::new(&key, iv, &mut rand::rng()));
        match client.send(self.id(), message, pieces, progress).await {
            Ok(message_id) => Ok(Sent { to: peer, message_id }),
            Err(error) => Err(self.explain(error, &peer).await),
        }
    }

    /// Ends our account at the server, where the dialect has that, and puts the identity file aside.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] in a dialect that has no such operation.
    pub async fn delete_account(mut self) -> Result<()> {
        let client = self.client().await?;
        if !client.dialect.profile.deletable {
            let what = format!("in dialect {} accounts cannot be deleted", client.dialect);
            return Err(Error::new(ErrorKind::Usage, what)
                .hint("servers know that in dialect d/big-endian alone, for those who registered in it"));
        }
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
            _ => Err(several(name)),
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

fn several(name: &str) -> Error {
    Error::new(ErrorKind::Peer, format!("the server lists several users named {name:?}"))
        .hint("give the id in place of the name; `messageu list` shows it")
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
