//! A profile: the directory with a user's identity, the server's address, and what is kept beside them.
//!
//! The two classic files lie in the directory itself, under the names that classic programs give them; all else is in
//! its subdirectory [`STATE_DIR`]. Every file is written with mode 0600, whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use messageu_envelope::identity_file::{IDENTITY_FILE_MAX, IdentityFile};
use messageu_wire::fields::ClientId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::error::{Error, ErrorKind, FileResult, Result};

/// What the identity file may be called; the first is what we write.
pub const IDENTITY_FILES: [&str; 3] = ["info.me", "me.info", "my.info"];
/// What the file with the server's address may be called; the first is what we write.
pub const SERVER_FILES: [&str; 2] = ["info.server", "server.info"];
/// The subdirectory with keys, inbox and all that no classic program knows.
pub const STATE_DIR: &str = ".messageu";

/// What some editors put at the beginning of a text file.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Most bytes of a server file that are read.
const SERVER_FILE_MAX: usize = 4096;
/// How long to wait for another process that uses the profile.
const LOCK_WAIT: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A profile's directory, which need not exist yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    dir: PathBuf,
}

/// Held while a process uses a profile.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Profile {
    /// The profile in this directory.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the state of this identity is kept; identities that share a directory do not share it.
    pub(crate) fn state_of(&self, me: ClientId) -> Result<StateDir> {
        let dir = self.dir.join(STATE_DIR).join(me.to_string());
        create_private_dir(&dir).map_err(Error::of_profile)?;
        Ok(StateDir { dir })
    }

    /// The identity in this profile, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the file is there and holds none.
    pub fn identity(&self) -> Result<Option<IdentityFile>> {
        let Some(path) = self.identity_path() else { return Ok(None) };
        let bytes = Zeroizing::new(read_bounded(&path, IDENTITY_FILE_MAX).map_err(Error::of_profile)?);
        let parsed = IdentityFile::parse(&bytes).map_err(|error| {
            Error::new(ErrorKind::Profile, format!("{} is no identity file: {error}", path.display()))
                .hint("restore it from a copy; or move it away and register under another name")
        });
        parsed.map(Some)
    }

    /// The identity file, if there is one.
    #[must_use]
    pub fn identity_path(&self) -> Option<PathBuf> {
        self.first_of(&IDENTITY_FILES)
    }

    /// The server's address as the profile has it.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the file is there and holds none.
    pub fn server(&self) -> Result<Option<Address>> {
        let Some(path) = self.first_of(&SERVER_FILES) else { return Ok(None) };
        let bytes = read_bounded(&path, SERVER_FILE_MAX).map_err(Error::of_profile)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.trim_start_matches(BYTE_ORDER_MARK).lines();
        let line = lines
            .map(|line| line.trim_matches('\0').trim())
            .find(|line| !line.is_empty())
            .unwrap_or_default();
        let address = line.parse::<Address>().map_err(|error| {
            Error::new(ErrorKind::Profile, format!("{}: {error}", path.display()))
                .hint("it should hold one line: HOST:PORT, or HOST:PORT#sha256=HEX for a server that is known by its key")
        });
        address.map(Some)
    }

    /// Writes the server's address where this profile has it.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if it cannot be written.
    pub fn set_server(&self, address: &Address) -> Result<()> {
        let [ours, ..] = SERVER_FILES;
        let path = self.first_of(&SERVER_FILES).unwrap_or_else(|| self.dir.join(ours));
        write_private(&path, format!("{address}\n").as_bytes())
    }

    /// Creates the directories, waits for other processes to be done with the profile, and keeps them out.
    pub(crate) async fn lock(&self) -> Result<Lock> {
        let dir = self.dir.join(STATE_DIR);
        create_private_dir(&dir).map_err(Error::of_profile)?;
        let path = dir.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .at("open", &path)
            .map_err(Error::of_profile)?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::Error(error)) => return Err(Error::file("lock", &path, &error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let what = format!("another messageu is using the profile {}", self.dir.display());
                    return Err(Error::new(ErrorKind::Busy, what)
                        .hint("wait for it, or give each identity a directory of its own with --profile"));
                }
            }
        }
    }

    fn first_of(&self, names: &[&str]) -> Option<PathBuf> {
        names.iter().map(|name| self.dir.join(name)).find(|path| !is_absent(path))
    }
}

/// The directory with what is kept for one identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StateDir {
    dir: PathBuf,
}

impl StateDir {
    /// Where a file of this name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a state file; its default where there is none.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self, name: &str, max: usize) -> Result<T> {
        let path = self.path(name);
        if is_absent(&path) {
            return Ok(T::default());
        }
        let bytes = Zeroizing::new(read_bounded(&path, max).map_err(Error::of_profile)?);
        serde_json::from_slice(&bytes).map_err(|error| {
            // Serde's messages may quote the file, which may hold keys.
            let (line, column) = (error.line(), error.column());
            let what = format!("{} is damaged at line {line}, column {column}", path.display());
            Error::new(ErrorKind::Profile, what).hint("restore it from a copy, or move it away")
        })
    }

    /// Writes a state file. `size` is more than it will take, so that no copy is left behind by growing.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize, size: usize) -> Result<()> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(size));
        let path = self.path(name);
        serde_json::to_writer_pretty(&mut *bytes, value)
            .map_err(|error| Error::file("write", &path, &io::Error::other(error)))?;
        bytes.push(b'\n');
        write_private(&path, &bytes)
    }
}

/// An identity file before there is an identity: proof that it can be written, before the name is taken for good.
#[derive(Debug)]
pub(crate) struct ReservedIdentity {
    file: NamedTempFile,
    path: PathBuf,
}

impl ReservedIdentity {
    /// Writes `draft`, which has the size of what is to come, beside where it will be.
    pub(crate) fn new(profile: &Profile, draft: &IdentityFile) -> Result<Self> {
        let [ours, ..] = IDENTITY_FILES;
        let path = profile.dir.join(ours);
        let file = NamedTempFile::new_in(&profile.dir).at("create a file in", &profile.dir);
        let mut file = file.map_err(Error::of_profile)?;
        file.write_all(&draft.write()).and_then(|()| file.as_file().sync_all()).at("write", file.path())?;
        Ok(Self { file, path })
    }

    /// Puts the identity in its place. An identity that is there already stays.
    pub(crate) fn fill(mut self, identity: &IdentityFile) -> Result<()> {
        let rewrite = |file: &mut NamedTempFile| {
            io::Seek::rewind(file)?;
            file.write_all(&identity.write())?;
            file.as_file().sync_all()
        };
        rewrite(&mut self.file).at("write", &self.path)?;
        self.file.persist_noclobber(&self.path).map_err(|error| error.error).at("create", &self.path)?;
        sync_parent(&self.path)
    }
}

/// Whether there is certainly nothing at a path: what cannot be looked at, or leads nowhere, is there.
fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Replaces a file whole or not at all, readable by its owner alone.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(dir).at("create a file in", dir)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).at("write", path)?;
    file.persist(path).map_err(|error| error.error).at("write", path)?;
    sync_parent(path)
}

/// Makes what happened to a directory's entries last.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(dir).and_then(|dir| dir.sync_all()).at("write", dir) } else { Ok(()) }
}

/// Creates a directory that only its owner may enter, unless there is one.
pub(crate) fn create_private_dir(dir: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).at("create", dir)
}

fn read_bounded(path: &Path, max: usize) -> Result<Vec<u8>> {
    let size = fs::metadata(path).at("read", path)?.len();
    if usize::try_from(size).map_or(true, |size| size > max) {
        let what = format!("{} has {size} bytes, more than the {max} it could have", path.display());
        return Err(Error::new(ErrorKind::Profile, what));
    }
    fs::read(path).at("read", path)
}
