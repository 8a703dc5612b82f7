//! Whom we know: identities that are pinned when they are first seen, and what the user has decided about them.

use std::fmt;
use std::str::FromStr;

use messageu_envelope::bundle::{Expected, PeerBundle, PeerOneTimeKey};
use messageu_envelope::error::BundleError;
use messageu_envelope::identity::Identity;
use messageu_envelope::safety_number::{QrCode, SafetyNumber};
use messageu_wire::envelope::field::{Epoch, Fingerprint};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::operation::{fetch_keys, look_up};

use super::account::{Account, crypto};
use super::server::Server;
use super::state::records::{Peer, PeerOffer, StoredEvent, Trust, Unshown};
use super::state::{Stored, Tx};
use crate::error::{Error, ErrorKind, Result};

/// How somebody is named: by name, by client id, or by the text of a QR code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Designation {
    /// 32 hexadecimal digits.
    Id(ClientId),
    /// `mu3:<id>:<fingerprint>`: names an identity, so that there is nothing to be believed.
    Code(Fingerprint),
    /// Anything else: a name at the server.
    Name(Name),
}

impl FromStr for Designation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("mu3:") {
            let wrong =
                |error| Error::new(ErrorKind::Usage, format!("{text:?} is no contact's code: {error}"));
            return text.parse::<QrCode>().map(|code| Self::Code(code.fingerprint())).map_err(wrong);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Name::new(text).map(Self::Name).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{text:?} names nobody: {error}"))
                .hint("give a name, an id of 32 hexadecimal digits, or a code that begins with mu3:")
        })
    }
}

/// Somebody we know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// Their id at the server, which follows from their identity.
    pub id: ClientId,
    /// The name that the server had for the id, if it had one.
    pub name: Option<String>,
    /// Their pinned identity.
    pub fingerprint: Fingerprint,
    /// What is to be thought of them.
    pub status: Status,
}

/// What is to be thought of a contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Their identity is the one that was seen first; whether it is theirs, nobody has checked.
    Unverified,
    /// The user has compared their identity.
    Verified,
    /// The user wants nothing of them.
    Blocked,
    /// The server gives their name to another identity, which theirs has not signed. Nothing is sent until the user decides.
    Changed {
        /// That identity's id.
        to: ClientId,
    },
}

impl Status {
    /// One word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Blocked => "blocked",
            Self::Changed { .. } => "changed",
        }
    }
}

impl Contact {
    /// How to name them on a command line: by their name, unless it could mean something else there; then by their id.
    #[must_use]
    pub fn handle(&self) -> String {
        let name = self.name.clone().unwrap_or_default();
        crate::keyring::Contact { id: self.id, name }.handle()
    }

    pub(super) fn of(peer: &Peer) -> Self {
        let status = match (peer.is_blocked, peer.claimed_by, peer.trust) {
            (true, ..) => Status::Blocked,
            (_, Some(to), _) => Status::Changed { to: to.0 },
            (.., Trust::Verified) => Status::Verified,
            (.., Trust::Unverified) => Status::Unverified,
        };
        Self { id: peer.id.0, name: peer.name.clone(), fingerprint: peer.fingerprint.0, status }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.id.fmt(f),
        }
    }
}

/// A peer with what a session is begun with.
pub(super) struct Met {
    pub(super) peer: Peer,
    pub(super) bundle: PeerBundle,
    pub(super) one_time: Option<PeerOneTimeKey>,
}

impl Account {
    /// All whom we know, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn contacts(&self) -> Result<Vec<Contact>> {
        let mut contacts: Vec<_> = self.store.read(|tx| tx.all::<Peer>())?.iter().map(Contact::of).collect();
        contacts.sort_by(|a, b| (a.name.is_none(), &a.name, a.id).cmp(&(b.name.is_none(), &b.name, b.id)));
        Ok(contacts)
    }

    /// Somebody we know.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if we do not.
    pub fn contact(&self, who: &Designation) -> Result<Contact> {
        self.store.read(|tx| known_peer(tx, who)).map(|peer| Contact::of(&peer))
    }

    /// Somebody, whom we get to know if we do not: what the server has for a name is pinned, and unverified.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if the server knows nobody so, and see [`ErrorKind`].
    pub async fn meet(&self, server: &impl Server, who: &Designation) -> Result<Contact> {
        match self.store.read(|tx| find_peer(tx, who))? {
            Some(peer) => Ok(Contact::of(&peer)),
            None => self.fetch(server, who).await.map(|met| Contact::of(&met.peer)),
        }
    }

    /// The number that both compare: 60 digits.
    #[must_use]
    pub fn safety_number(&self, contact: &Contact) -> SafetyNumber {
        SafetyNumber::new(&self.key.identity().fingerprint(), &contact.fingerprint)
    }

    /// Our own code, for others to scan.
    #[must_use]
    pub fn code(&self) -> QrCode {
        QrCode::new(self.key.identity().fingerprint())
    }

    /// Notes that the user has compared the identity: has seen the same number, or scanned this code.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if the code is not theirs, or we do not know them.
    pub fn verify(&self, who: &Designation, scanned: Option<&QrCode>) -> Result<Contact> {
        self.store.write(|tx| {
            let mut peer = known_peer(tx, who)?;
            if scanned.is_some_and(|code| code.fingerprint() != peer.fingerprint.0) {
                let what = format!("the code is not that of {}: it names another identity", Contact::of(&peer));
                return Err(Error::new(ErrorKind::Peer, what).hint(
                    "somebody may stand between you. Scan the code on their own screen again; if it stays different, `messageu block` them and tell them another way",
                ));
            }
            (peer.trust, peer.is_accepted) = (Trust::Verified, true);
            put_peer(tx, &peer)?;
            Ok(Contact::of(&peer))
        })
    }

    /// Takes somebody as who they are: unblocks them, answers what they asked for, and believes the server about whose their
    /// name is now, if that has changed.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if we do not know them, and see [`ErrorKind`].
    pub async fn approve(&self, server: &impl Server, who: &Designation) -> Result<Contact> {
        let peer = match self.store.read(|tx| find_peer(tx, who))? {
            Some(peer) => peer,
            None => self.fetch(server, who).await?.peer,
        };
        let peer = match peer.claimed_by {
            Some(claimed_by) => self.believe(server, &peer, claimed_by.0).await?,
            None => peer,
        };
        self.store.write(|tx| {
            let peer = tx.find::<Peer>(&peer.id.0.0)?.unwrap_or(peer);
            let peer = Peer { is_blocked: false, is_accepted: true, ..peer };
            put_peer(tx, &peer)?;
            if let Some(offer) = tx.find::<PeerOffer>(&peer.id.0.0)? {
                tx.put(&peer.id.0.0, &PeerOffer { is_approved: true, ..offer })?;
            }
            Ok(Contact::of(&peer))
        })
    }

    /// Wants nothing of somebody any more: what they send is dropped unseen, and nothing is sent to them.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if we do not know them.
    pub fn block(&self, who: &Designation) -> Result<Contact> {
        self.store.write(|tx| {
            let peer = Peer { is_blocked: true, ..known_peer(tx, who)? };
            put_peer(tx, &peer)?;
            tx.erase::<PeerOffer>(&peer.id.0.0)?;
            Ok(Contact::of(&peer))
        })
    }

    /// Fetches somebody's keys, checks them, and pins their identity if it is new.
    pub(super) async fn fetch(&self, server: &impl Server, who: &Designation) -> Result<Met> {
        let known = self.store.read(|tx| find_peer(tx, who))?;
        let (id, pinned) = match (&known, who) {
            (Some(peer), _) => (peer.id.0, Some(peer.fingerprint.0)),
            (None, Designation::Id(id)) => (*id, None),
            (None, Designation::Code(fingerprint)) => (fingerprint.client_id(), Some(*fingerprint)),
            (None, Designation::Name(name)) => {
                (look_up(server, name).await?.ok_or_else(|| unknown(name))?, None)
            }
        };
        if id == self.id() {
            return Err(Error::new(ErrorKind::Usage, "that is you"));
        }
        let answer = match server.call(fetch_keys::Request { client_id: id }).await {
            Err(error) if error.code() == Some(ErrorCode::UNKNOWN_CLIENT) => return Err(unknown(&id)),
            answer => answer?,
        };
        let expected =
            Expected { owner: id, pinned, epoch: known.as_ref().and_then(|peer| peer.epoch.map(Epoch)) };
        let bundle = PeerBundle::check(&answer.bundle.encode(), &expected, self.now()).map_err(unfit)?;
        let one_time = answer.one_time_key.map(|key| PeerOneTimeKey::check(key.id(), key.key())).transpose();
        let one_time = one_time.map_err(|error| unfit(BundleError::Key { what: "one-time key", error }))?;
        let peer = self.store.write(|tx| {
            let mut peer = match tx.find::<Peer>(&id.0)? {
                Some(peer) => peer,
                None => new_peer(bundle.owner()),
            };
            // Out of band, or for the first time: whoever has the code needs to believe nobody.
            if let Designation::Code(_) = who {
                peer.trust = Trust::Verified;
            }
            if let (Designation::Name(name), None) = (who, &peer.name) {
                peer.name = Some(name.to_string());
            }
            peer.epoch = peer.epoch.max(Some(bundle.epoch().0));
            put_peer(tx, &peer)?;
            Ok(peer)
        })?;
        Ok(Met { peer, bundle, one_time })
    }

    /// Asks the server whether those who say they have a name have it, and calls them by it if so. Where another contact had
    /// the name, that one's identity has changed without having said so.
    pub(super) async fn confirm_names(&self, server: &impl Server) -> Result<()> {
        let peers = self.store.read(|tx| tx.all::<Peer>())?;
        for peer in peers.iter().filter(|peer| peer.name.is_none()) {
            let Some(claimed) = peer.claimed_name.as_deref().and_then(|name| Name::new(name).ok()) else {
                continue;
            };
            let owner = look_up(server, &claimed).await?;
            self.store.write(|tx| {
                let Some(mut peer) = tx.find::<Peer>(&peer.id.0.0)? else { return Ok(()) };
                peer.claimed_name = None;
                if owner == Some(peer.id.0) {
                    match find_peer(tx, &Designation::Name(claimed.clone()))? {
                        None => peer.name = Some(claimed.to_string()),
                        Some(before) => change(tx, before, peer.id.0)?,
                    }
                }
                put_peer(tx, &peer)
            })?;
        }
        Ok(())
    }
}

/// Notes that a contact's name is another identity's now, and tells the user once.
pub(super) fn change(tx: &Tx<'_>, peer: Peer, to: ClientId) -> Result<()> {
    if peer.claimed_by == Some(Stored(to)) {
        return Ok(());
    }
    let event = StoredEvent::Changed { to: Stored(to) };
    show(tx, Unshown { from: Some(peer.id), message_id: None, sent_ms: 0, event })?;
    put_peer(tx, &Peer { claimed_by: Some(Stored(to)), ..peer })
}

/// Whose a name is, if it is anybody's.
pub(super) async fn look_up(server: &impl Server, name: &Name) -> Result<Option<ClientId>> {
    match server.call(look_up::Request { name: name.clone() }).await {
        Ok(answer) => Ok(Some(answer.client_id)),
        Err(error) if error.code() == Some(ErrorCode::UNKNOWN_CLIENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn find_peer(tx: &Tx<'_>, who: &Designation) -> Result<Option<Peer>> {
    match who {
        Designation::Id(id) => tx.find(&id.0),
        Designation::Code(fingerprint) => tx.find(&fingerprint.client_id().0),
        Designation::Name(name) => {
            let is_called = |peer: &Peer| peer.name.as_deref() == Some(name.as_str());
            Ok(tx.all::<Peer>()?.into_iter().find(is_called))
        }
    }
}

pub(super) fn known_peer(tx: &Tx<'_>, who: &Designation) -> Result<Peer> {
    find_peer(tx, who)?.ok_or_else(|| match who {
        Designation::Id(id) => stranger(id),
        Designation::Code(fingerprint) => stranger(&fingerprint.client_id()),
        Designation::Name(name) => stranger(name),
    })
}

pub(super) fn put_peer(tx: &Tx<'_>, peer: &Peer) -> Result<()> {
    tx.put(&peer.id.0.0, peer)
}

/// Somebody whose identity is seen for the first time.
pub(super) fn new_peer(identity: &Identity) -> Peer {
    Peer {
        id: Stored(identity.client_id()),
        name: None,
        claimed_name: None,
        thread: Stored(identity.client_id()),
        identity: Stored(*identity.public_key()),
        fingerprint: Stored(identity.fingerprint()),
        trust: Trust::Unverified,
        is_blocked: false,
        is_accepted: false,
        claimed_by: None,
        epoch: None,
        active: None,
        archived: Vec::new(),
    }
}

/// The identity that is pinned for a peer.
pub(super) fn identity(peer: &Peer) -> Result<Identity> {
    Identity::new(&peer.identity.0).map_err(crypto)
}

/// Puts something into the list of what the user has not seen.
pub(super) fn show(tx: &Tx<'_>, unshown: Unshown) -> Result<()> {
    tx.append(super::arrival::UNSHOWN, &unshown).map(drop)
}

fn unknown(who: &impl fmt::Display) -> Error {
    Error::new(ErrorKind::Peer, format!("there is no user {who} at this server"))
        .hint("is the name written as they registered it? They have to register first")
}

fn stranger(who: &impl fmt::Display) -> Error {
    Error::new(ErrorKind::Peer, format!("you have no contact {who}"))
        .hint("`messageu contacts` lists them; to send somebody a text makes them one")
}

/// Why somebody's keys are not used.
fn unfit(error: BundleError) -> Error {
    let hint = match &error {
        BundleError::Expired { .. } => {
            "they have not been online for a long time: they have to receive first"
        }
        BundleError::MinDialect { .. } => "use a newer messageu",
        _ => {
            "the server gave keys that are not theirs, or are old: try again; if it stays so, do not trust this server"
        }
    };
    Error::new(ErrorKind::Data, format!("their keys cannot be used: {error}")).hint(hint)
}
