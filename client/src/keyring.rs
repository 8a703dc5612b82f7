//! What is known of peers: keys shared with them, key requests either way, and names for ids.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use messageu_envelope::legacy::{LEGACY_KEY_SIZE, LegacyIv, LegacyKey};
use messageu_wire::fields::ClientId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::profile::StateDir;

const KEYS_FILE: &str = "keys.json";
const CONTACTS_FILE: &str = "contacts.json";
/// Most bytes of either file that are read.
const FILE_MAX: usize = 64 << 20;
/// More bytes than a peer takes in the keys file.
const PEER_SIZE: usize = 512;

/// A user of the server, by name and id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// The id, which says who it is.
    pub id: ClientId,
    /// The name, as far as it can be shown.
    pub name: String,
}

impl Contact {
    /// How to name them on a command line: by their name, unless it could mean something else there, as names are for
    /// anybody to choose; then by their id.
    #[must_use]
    pub fn handle(&self) -> String {
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let fits = !self.name.is_empty() && !self.name.starts_with('-') && self.name.chars().all(harmless);
        if fits { self.name.clone() } else { self.id.to_string() }
    }
}

/// What a key that comes may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    /// It is accepted if there is none yet.
    ForFirst,
    /// It replaces the one there is: the user wanted it so.
    ForReplacement,
}

/// Where a content has its IV, as the file has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Iv {
    Zero,
    Prefixed,
}

impl From<LegacyIv> for Iv {
    fn from(iv: LegacyIv) -> Self {
        match iv {
            LegacyIv::Zero => Self::Zero,
            LegacyIv::Prefixed => Self::Prefixed,
        }
    }
}

impl From<Iv> for LegacyIv {
    fn from(iv: Iv) -> Self {
        match iv {
            Iv::Zero => Self::Zero,
            Iv::Prefixed => Self::Prefixed,
        }
    }
}

/// What is known of one peer.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Peer {
    /// The key shared with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<StoredKey>,
    /// Our own request for a key, while no answer has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<Asked>,
    /// Where contents to and from them have their IV, if the user said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iv: Option<Iv>,
    /// Whether they have asked for a key and got none yet.
    pub(crate) wants_key: bool,
    /// Whether the key is our own, sent because they had asked for it.
    pub(crate) key_answered_them: bool,
    /// Whether messages that wait for a key have yet to be tried with this one.
    pub(crate) key_is_new: bool,
}

/// The peers that something is known of, in a file of the profile.
#[derive(Default)]
pub(crate) struct Keyring {
    peers: BTreeMap<ClientId, Peer>,
}

impl Keyring {
    pub(crate) fn load(dir: &StateDir) -> Result<Self> {
        let peers: BTreeMap<String, Peer> = dir.read(KEYS_FILE, FILE_MAX)?;
        let by_id = peers.into_iter().map(|(id, peer)| match id.parse() {
            Ok(id) => Ok((id, peer)),
            // Written again without it, its key would be lost.
            Err(_) => Err(damaged(&dir.path(KEYS_FILE), &id)),
        });
        Ok(Self { peers: by_id.collect::<Result<_>>()? })
    }

    pub(crate) fn peer(&self, id: ClientId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub(crate) fn key(&self, id: ClientId) -> Option<&LegacyKey> {
        self.peer(id)?.key.as_ref().map(|key| &key.0)
    }

    /// Where contents to and from a peer have their IV, if the user said so.
    pub(crate) fn iv(&self, id: ClientId) -> Option<LegacyIv> {
        self.peer(id)?.iv.map(LegacyIv::from)
    }

    /// Peers whose new key has yet to be tried on what waits.
    pub(crate) fn with_new_key(&self) -> Vec<ClientId> {
        self.peers.iter().filter(|(_, peer)| peer.key_is_new).map(|(id, _)| *id).collect()
    }

    /// Changes what is known of a peer, on disk too.
    pub(crate) fn update(
        &mut self,
        dir: &StateDir,
        id: ClientId,
        change: impl FnOnce(&mut Peer),
    ) -> Result<()> {
        change(self.peers.entry(id).or_default());
        let by_id: BTreeMap<String, &Peer> =
            self.peers.iter().map(|(id, peer)| (id.to_string(), peer)).collect();
        dir.write(KEYS_FILE, &by_id, (by_id.len() + 1) * PEER_SIZE)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} peers)", self.peers.len())
    }
}

fn damaged(file: &Path, id: &str) -> Error {
    let what = format!("{} is damaged: {id:?} is no client id", file.display());
    Error::new(ErrorKind::Profile, what).hint("an id has 32 hexadecimal digits; restore the file from a copy")
}

/// A symmetric key as the file has it: 32 hexadecimal digits.
#[derive(PartialEq, Eq)]
pub(crate) struct StoredKey(pub(crate) LegacyKey);

impl Serialize for StoredKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut digits = Zeroizing::new(String::with_capacity(2 * LEGACY_KEY_SIZE));
        for byte in self.0.as_bytes() {
            for nibble in [byte >> 4, byte & 0x0f] {
                digits.push(char::from_digit(nibble.into(), 16).unwrap_or_default());
            }
        }
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for StoredKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("a key is 32 hexadecimal digits");
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        if digits.len() != 2 * LEGACY_KEY_SIZE || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let bytes = Zeroizing::new(u128::from_str_radix(&digits, 16).map_err(|_| wrong())?.to_be_bytes());
        Ok(Self(LegacyKey::from_bytes(&bytes)))
    }
}

/// The names that the server listed last. A cache: it may be lost, and may be out of date.
#[derive(Default, Debug)]
pub(crate) struct Contacts {
    names: BTreeMap<ClientId, String>,
}

impl Contacts {
    pub(crate) fn load(dir: &StateDir) -> Self {
        let names: BTreeMap<String, String> = dir.read(CONTACTS_FILE, FILE_MAX).unwrap_or_default();
        let by_id = names.into_iter().filter_map(|(id, name)| Some((id.parse().ok()?, name)));
        Self { names: by_id.collect() }
    }

    /// Takes a new list for the old one.
    pub(crate) fn replace(&mut self, dir: &StateDir, listed: &[Contact]) -> Result<()> {
        let names = listed.iter().map(|contact| (contact.id, contact.name.clone())).collect();
        if self.names == names {
            return Ok(());
        }
        self.names = names;
        let by_id: BTreeMap<String, &String> =
            self.names.iter().map(|(id, name)| (id.to_string(), name)).collect();
        dir.write(CONTACTS_FILE, &by_id, 0)
    }

    pub(crate) fn name(&self, id: ClientId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// Those of this name; more than one only if the server is up to something.
    pub(crate) fn named(&self, name: &str) -> Vec<Contact> {
        let of_name = self.names.iter().filter(|(_, known)| *known == name);
        of_name.map(|(id, name)| Contact { id: *id, name: name.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientId, Contact};

    #[test]
    fn a_contact_is_named_by_its_id_where_its_name_could_mean_something_else() {
        let id = ClientId([0xab; 16]);
        let handle = |name: &str| Contact { id, name: name.to_owned() }.handle();
        assert_eq!(handle("bob-2.x_Y"), "bob-2.x_Y");
        for name in ["", "--replace", "; rm x #", "a b", "$(x)", "\u{202e}"] {
            assert_eq!(handle(name), id.to_string(), "{name:?}");
        }
    }
}
