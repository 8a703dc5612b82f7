//! What a user has on disk: keys, contacts, sessions, what is on its way, and history, in two files of the profile.
//!
//! ```text
//! .messageu/v3/keys       the key file (see `messageu_envelope::at_rest`), mode 0600
//! .messageu/v3/state.db   SQLite, mode 0600: sealed records (see `store`)
//! ```
//! Several processes may have a profile open: nothing is kept in memory from one transaction to the next, and SQLite lets
//! one of them write at a time.

mod key_file;
pub(crate) mod records;
mod store;
mod stored;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use self::key_file::Passphrase;
use self::key_file::StoreKeys;
#[cfg(test)]
use self::store::Record;
pub(crate) use self::store::{Store, Tx};
pub(crate) use self::stored::{Secret, Stored};
use crate::error::{Error, FileResult, Result};
use crate::profile::{Profile, STATE_DIR, create_private_dir};

const DIR: &str = "v3";
const KEY_FILE: &str = "keys";
const DATABASE: &str = "state.db";

/// Where the state of version 3 is in a profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StateFiles {
    dir: PathBuf,
}

impl StateFiles {
    pub(crate) fn of(profile: &Profile) -> Self {
        Self { dir: profile.dir().join(STATE_DIR).join(DIR) }
    }

    /// Whether there is any.
    pub(crate) fn exist(&self) -> bool {
        self.key_file().exists()
    }

    /// Whether a passphrase is called for.
    pub(crate) fn are_protected(&self) -> Result<bool> {
        StoreKeys::are_protected(&self.key_file())
    }

    /// The directory with the files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the store; creates it, under this passphrase, if there is none.
    pub(crate) fn create(&self, passphrase: Option<&Passphrase>) -> Result<Store> {
        create_private_dir(&self.dir).map_err(Error::of_profile)?;
        if !self.exist() {
            StoreKeys::create(&self.key_file(), passphrase)?;
        }
        self.open(passphrase)
    }

    /// Opens the store.
    pub(crate) fn open(&self, passphrase: Option<&Passphrase>) -> Result<Store> {
        let keys = StoreKeys::open(&self.key_file(), passphrase)?;
        Store::open(&self.database(), keys)
    }

    /// Takes a database and the keys of its store over, under this passphrase. The key file comes last: without it there is no
    /// account.
    pub(crate) fn adopt(
        &self,
        database: tempfile::NamedTempFile,
        keys: &[u8],
        passphrase: &Passphrase,
    ) -> Result<Store> {
        database.persist(self.database()).map_err(|error| error.error).at("write", &self.database())?;
        StoreKeys::write(&self.key_file(), Some(passphrase), keys)?;
        self.open(Some(passphrase)).or_else(|error| self.remove().and(Err(error)))
    }

    /// Seals the keys of the store under another passphrase.
    pub(crate) fn change_passphrase(&self, keys: &[u8], passphrase: Option<&Passphrase>) -> Result<()> {
        StoreKeys::rewrite(&self.key_file(), passphrase, keys)
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) -> Result<()> {
        // The key first: without it, the rest is nothing.
        std::fs::remove_file(self.key_file()).at("remove", &self.key_file())?;
        std::fs::remove_dir_all(&self.dir).at("remove", &self.dir)
    }

    pub(super) fn key_file(&self) -> PathBuf {
        self.dir.join(KEY_FILE)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }
}
