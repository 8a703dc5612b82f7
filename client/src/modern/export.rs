//! A copy of an account for another place: a whole profile in one file under a passphrase.
//!
//! ```text
//! 0 size of the key file u32 ‖ 4 key file ‖ chunks of the database, as those of a file that is sent
//! content of the key file: keys of the store 96 ‖ manifest
//! ```
//! The copy is whole or is refused. The numbers of what is used once jump in an imported account, and its sessions are not sent in any more: what
//! has happened since the export is not known, and nothing may be used twice.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use messageu_envelope::at_rest::{Cost, KEY_FILE_MAX, open_key_file, seal_key_file};
use messageu_envelope::file::{FileOpener, FileSealer};
use messageu_wire::envelope::file::{FileName, FileSize, Manifest};
use messageu_wire::envelope::sealed::{SEALED_OVERHEAD, Sealed};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::account::{Account, crypto, known_own, leap, put_own};
use super::contacts::put_peer;
use super::sessions;
use super::state::records::Peer;
use super::state::{Passphrase, StateFiles, Tx};
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::profile::{Profile, create_private_dir, sync_parent};

/// Bytes of the size before the key file.
const SIZE_BYTES: usize = 4;
/// What the database is called in its manifest.
const NAME: &str = "state.db";
/// Bytes of the keys of a store, before the manifest.
const STORE_KEYS_SIZE: usize = 96;

impl Account {
    /// Writes a copy of the account to a file that must not exist.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if the file is there or cannot be written.
    pub fn export(&self, to: &Path, passphrase: &Passphrase) -> Result<()> {
        let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if to.symlink_metadata().is_ok() {
            return Err(Error::new(ErrorKind::File, format!("{} exists already", to.display()))
                .hint("choose another name"));
        }
        let snapshot = NamedTempFile::new_in(self.files.dir()).at("create a file in", self.files.dir())?;
        self.store.copy_to(snapshot.path())?;
        let mut database = File::open(snapshot.path()).at("read", snapshot.path())?;
        let bytes = database.metadata().at("read", snapshot.path())?.len();
        let mut rng = rand::rng();
        let mut sealer = FileSealer::new(FileSize::new(bytes).map_err(crypto)?, &mut rng);
        let mut out = NamedTempFile::new_in(dir).at("create a file in", dir)?;
        let write = |out: &mut NamedTempFile, bytes: &[u8]| out.write_all(bytes).at("write", to);
        // The chunks first, into a file of their own: what is said of them goes before them.
        let mut chunks = NamedTempFile::new_in(dir).at("create a file in", dir)?;
        while let Some(size) = sealer.next_size() {
            let mut plaintext = Zeroizing::new(vec![0; size]);
            database.read_exact(&mut plaintext).at("read", snapshot.path())?;
            let (sealed, _) =
                sealer.seal(&plaintext).ok_or_else(|| crypto("the copy changed while it was read"))?;
            chunks.write_all(&sealed).at("write", chunks.path())?;
        }
        let manifest = sealer
            .finish(FileName::new(NAME).map_err(crypto)?)
            .ok_or_else(|| crypto("the copy is not whole"))?;
        let content = Zeroizing::new([self.store.keys().as_slice(), &manifest.encode()].concat());
        let key_file =
            seal_key_file(passphrase.as_bytes(), Cost::DEFAULT, &content, &mut rng).map_err(crypto)?;
        let size = u32::try_from(key_file.len()).map_err(crypto)?;
        write(&mut out, &size.to_le_bytes())?;
        write(&mut out, &key_file)?;
        let mut chunks = chunks.reopen().at("read", to)?;
        std::io::copy(&mut chunks, &mut out).at("write", to)?;
        out.as_file().sync_all().at("write", to)?;
        out.persist_noclobber(to).map_err(|error| error.error).at("create", to)?;
        sync_parent(to)
    }

    /// Makes a profile of a copy. `passphrase` is that of the copy, and becomes that of the profile.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if there is an account in the profile, [`ErrorKind::File`] if the file is no copy of one, or is
    /// damaged, or the passphrase is another one.
    pub fn import(profile: &Profile, from: &Path, passphrase: &Passphrase) -> Result<()> {
        let files = StateFiles::of(profile);
        if files.exist() || profile.identity_path().is_some() {
            let what = format!("there is an identity in {} already", profile.dir().display());
            return Err(Error::new(ErrorKind::Profile, what).hint("--profile DIR chooses another directory"));
        }
        let damaged = || {
            Error::new(ErrorKind::File, format!("{} is no copy of an account, or is damaged", from.display()))
                .hint("take the file that `messageu export` wrote")
        };
        let mut file = File::open(from).at("read", from)?;
        let mut size = [0; SIZE_BYTES];
        file.read_exact(&mut size).map_err(|_| damaged())?;
        let size = usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX);
        if size > KEY_FILE_MAX {
            return Err(damaged());
        }
        let mut key_file = vec![0; size];
        file.read_exact(&mut key_file).map_err(|_| damaged())?;
        let content = open_key_file(passphrase.as_bytes(), &key_file).map_err(|error| {
            Error::new(ErrorKind::File, format!("{}: {error}", from.display()))
                .hint("type the passphrase again")
        })?;
        let (keys, manifest) = content.split_at_checked(STORE_KEYS_SIZE).ok_or_else(damaged)?;
        let manifest = Manifest::decode(manifest).map_err(|_| damaged())?;
        create_private_dir(files.dir()).map_err(Error::of_profile)?;
        let mut database = NamedTempFile::new_in(files.dir()).at("create a file in", files.dir())?;
        let mut opener = FileOpener::new(manifest);
        while let Some(size) = opener.next_size() {
            let mut sealed = Vec::new();
            let limit = u64::try_from(Sealed::ciphertext_size(size) + SEALED_OVERHEAD).unwrap_or(u64::MAX);
            (&mut file).take(limit).read_to_end(&mut sealed).at("read", from)?;
            let (plaintext, _) = opener.open(&sealed).map_err(|_| damaged())?;
            database.write_all(&plaintext).at("write", database.path())?;
        }
        opener.finish().map_err(|_| damaged())?;
        if file.read(&mut [0]).at("read", from)? > 0 {
            return Err(damaged());
        }
        database.as_file().sync_all().at("write", database.path())?;
        let store = files.adopt(database, keys, passphrase)?;
        let taken = store.write(|tx| {
            forget_sessions(tx)?;
            let mut own = known_own(tx)?;
            leap(&mut own.next);
            put_own(tx, &own)
        });
        // What cannot be read is no account, and is in the way of a copy that can.
        taken.or_else(|error| files.remove().and(Err(error)))
    }
}

/// Sends in no session any more that there is: others begin when something is sent.
pub(super) fn forget_sessions(tx: &Tx<'_>) -> Result<()> {
    for mut peer in tx.all::<Peer>()? {
        sessions::retire_active(tx, &mut peer)?;
        put_peer(tx, &peer)?;
    }
    Ok(())
}
