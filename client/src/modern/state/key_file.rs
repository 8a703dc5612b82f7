//! The key file: the random keys that all records are sealed under, themselves sealed under the user's passphrase.

use std::fs;
use std::io::Write;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use messageu_envelope::aead::{AEAD_KEY_SIZE, AeadKey};
use messageu_envelope::at_rest::{Cost, KEY_FILE_MAX, open_key_file, seal_key_file};
use messageu_envelope::error::AtRestError;
use rand::Rng;
use sha2::Sha256;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::profile::sync_parent;

/// What a user types to open a profile.
pub type Passphrase = Zeroizing<String>;

/// What stands for no passphrase: it costs nothing to try, because there is nothing to guess.
const UNPROTECTED: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
/// Where a key file says what it costs, and how long that is.
const COST_AT: std::ops::Range<usize> = 9..21;
/// Bytes of the key that hides what records are about.
const INDEX_KEY_SIZE: usize = 32;
/// Bytes that stand for what a record is about.
pub(super) const INDEX_SIZE: usize = 16;

/// The keys of a store.
pub(super) struct StoreKeys {
    /// What records are sealed under.
    pub(super) seal: AeadKey,
    index: Zeroizing<[u8; INDEX_KEY_SIZE]>,
}

impl StoreKeys {
    /// Draws new keys, and writes them where there is no file yet.
    pub(super) fn create(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self> {
        let mut content = Zeroizing::new([0; AEAD_KEY_SIZE + INDEX_KEY_SIZE]);
        rand::rng().fill_bytes(&mut *content);
        Self::write(path, passphrase, content.as_slice())
    }

    /// Writes these keys where there is no file yet.
    pub(super) fn write(path: &Path, passphrase: Option<&Passphrase>, content: &[u8]) -> Result<Self> {
        let keys = Self::from_content(path, content)?;
        let file = write_beside(path, passphrase, content)?;
        file.persist_noclobber(path).map_err(|error| error.error).at("create", path)?;
        sync_parent(path)?;
        Ok(keys)
    }

    /// Writes these keys in the place of the file, under another passphrase.
    pub(super) fn rewrite(path: &Path, passphrase: Option<&Passphrase>, content: &[u8]) -> Result<()> {
        let file = write_beside(path, passphrase, content)?;
        file.persist(path).map_err(|error| error.error).at("replace", path)?;
        sync_parent(path)
    }

    /// The keys as bytes.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.seal.to_bytes().as_slice(), self.index.as_slice()].concat())
    }

    /// Opens the file.
    pub(super) fn open(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self> {
        let file = read(path)?;
        let is_protected = is_protected(&file);
        if is_protected && passphrase.is_none() {
            let what = format!("{} is sealed under a passphrase", path.display());
            return Err(Error::new(ErrorKind::Profile, what).hint(
                "give it with --passphrase-file FILE or in MESSAGEU_PASSPHRASE, or run messageu on a terminal to be asked",
            ));
        }
        // A passphrase that is not called for does no harm: it may be meant for other profiles.
        let (secret, _) = terms(passphrase.filter(|_| is_protected));
        let content = open_key_file(secret, &file).map_err(|error| {
            let failed = Error::new(ErrorKind::Profile, format!("{}: {error}", path.display()));
            match error {
                AtRestError::Open => {
                    failed.hint("type it again; a passphrase that is lost cannot be recovered")
                }
                AtRestError::Memory { .. } => failed.hint("end other programs, and try again"),
                AtRestError::Form | AtRestError::Cost { .. } | AtRestError::Content { .. } => {
                    failed.hint("restore the file from a copy")
                }
            }
        })?;
        Self::from_content(path, &content)
    }

    /// Whether opening the file takes a passphrase.
    pub(super) fn are_protected(path: &Path) -> Result<bool> {
        read(path).map(|file| is_protected(&file))
    }

    /// What stands for a thing that records are about, in the store's index: whoever has the disk alone does not learn it.
    pub(super) fn index(&self, kind: u8, about: &[u8]) -> [u8; INDEX_SIZE] {
        // A key of 32 bytes fills half of a block, of which `new` takes the whole.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(self.index.iter()).for_each(|(to, from)| *to = *from);
        let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
        mac.update(&[kind]);
        mac.update(about);
        let hash: [u8; 32] = mac.finalize().into_bytes().into();
        let mut index = [0; INDEX_SIZE];
        index.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        index
    }

    fn from_content(path: &Path, content: &[u8]) -> Result<Self> {
        let keys = content.split_first_chunk::<AEAD_KEY_SIZE>().and_then(|(seal, index)| {
            let index = <[u8; INDEX_KEY_SIZE]>::try_from(index).ok()?;
            Some(Self { seal: AeadKey::from_bytes(seal), index: Zeroizing::new(index) })
        });
        keys.ok_or_else(|| {
            let what = format!("{} holds other keys than this version of messageu uses", path.display());
            Error::new(ErrorKind::Profile, what).hint("use a newer messageu, or restore the file from a copy")
        })
    }
}

impl std::fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKeys(…)")
    }
}

/// A key file that is whole on the disk, under a name that is not its own yet.
fn write_beside(path: &Path, passphrase: Option<&Passphrase>, content: &[u8]) -> Result<NamedTempFile> {
    let (secret, cost) = terms(passphrase);
    let sealed = seal_key_file(secret, cost, content, &mut rand::rng())
        .map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(dir).at("create a file in", dir)?;
    file.write_all(&sealed).and_then(|()| file.as_file().sync_all()).at("write", path)?;
    Ok(file)
}

fn terms(passphrase: Option<&Passphrase>) -> (&[u8], Cost) {
    passphrase.map_or((&[], UNPROTECTED), |passphrase| (passphrase.as_bytes(), Cost::DEFAULT))
}

/// Whether a file costs more to open than one without a passphrase does. The file's seal covers what it says of that.
fn is_protected(file: &[u8]) -> bool {
    let cost = [UNPROTECTED.memory_kib, UNPROTECTED.passes, UNPROTECTED.lanes].map(u32::to_le_bytes);
    file.get(COST_AT) != Some(cost.as_flattened())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let size = fs::metadata(path).at("read", path).map_err(Error::of_profile)?.len();
    if usize::try_from(size).map_or(true, |size| size > KEY_FILE_MAX) {
        let what = format!("{} is no key file: it has {size} bytes", path.display());
        return Err(Error::new(ErrorKind::Profile, what).hint("restore the file from a copy"));
    }
    fs::read(path).at("read", path).map_err(Error::of_profile)
}
