//! Received files: opened on the fly into a `.part` file, and under a name of their own when they are whole.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use messageu_envelope::legacy::{LegacyIv, LegacyKey, LegacyOpener};
use messageu_wire::fields::ClientId;
use rand::Rng;
use tempfile::NamedTempFile;
use tokio::task::yield_now;

use crate::client::Progress;
use crate::error::{Error, FileResult, Result};
use crate::inbox::Entry;
use crate::profile::{create_private_dir, sync_parent};

/// Bytes that are opened at a time.
const PIECE_SIZE: usize = 256 * 1024;
const PART_SUFFIX: &str = ".part";
/// How often another name is tried when one is taken.
const TRIES: usize = 16;

/// A file that has been received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Download {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub size: u64,
}

/// How the content of a message becomes a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opening<'a> {
    /// Opened with a key.
    With(&'a LegacyKey, LegacyIv),
    /// As it came.
    AsItIs,
}

/// Saves the content of a message that `owner` received, in a directory. `None` says that it does not open; nothing is left then.
///
/// Dropping this future half-way removes the `.part` file.
pub(crate) async fn save(
    entry: &Entry,
    opening: Opening<'_>,
    (dir, owner): (&Path, ClientId),
    progress: Progress<'_>,
) -> Result<Option<Download>> {
    create_private_dir(dir)?;
    let mut sealed = entry.open()?;
    let total = entry.size()?;
    let mut part = tempfile::Builder::new()
        .prefix(&part_prefix(owner))
        .suffix(PART_SUFFIX)
        .tempfile_in(dir)
        .at("create a file in", dir)?;
    let mut opener = match opening {
        Opening::With(key, iv) => Some(LegacyOpener::new(key, iv)),
        Opening::AsItIs => None,
    };
    let (mut piece, mut opened) = (vec![0; PIECE_SIZE], Vec::new());
    let (mut done, mut size) = (0, 0);
    loop {
        let count = sealed.read(&mut piece).at("read", &entry.path)?;
        let bytes = piece.get(..count).unwrap_or_default();
        match (&mut opener, count) {
            (Some(_), 0) => {
                let whole = opener.take().is_some_and(|opener| opener.finish(&mut opened).is_ok());
                if !whole {
                    return Ok(None);
                }
            }
            (Some(opener), _) => opener.update(bytes, &mut opened),
            (None, _) => opened.extend_from_slice(bytes),
        }
        part.write_all(&opened).at("write", part.path())?;
        size += u64::try_from(opened.len()).unwrap_or_default();
        opened.clear();
        done += u64::try_from(count).unwrap_or_default();
        progress(done, total);
        if count == 0 {
            break;
        }
        // Lets Ctrl-C be noticed.
        yield_now().await;
    }
    part.as_file().sync_all().at("write", part.path())?;
    let path = put_in_place(part, dir)?;
    sync_parent(&path)?;
    Ok(Some(Download { path, size }))
}

/// Removes what processes of this user left half-way when they were killed. Nobody else may be saving meanwhile.
pub(crate) fn discard_parts(dir: &Path, owner: ClientId) {
    let prefix = part_prefix(owner);
    let is_ours = |name: &str| name.starts_with(&prefix) && name.ends_with(PART_SUFFIX);
    for file in fs::read_dir(dir).into_iter().flatten().flatten() {
        if file.file_name().to_str().is_some_and(is_ours) {
            // What cannot be removed does no harm but take room.
            let _ = fs::remove_file(file.path());
        }
    }
}

fn part_prefix(owner: ClientId) -> String {
    format!("messageu-{owner}-")
}

/// Gives the file a name that no other file has. Nothing of the name comes from a peer.
fn put_in_place(mut part: NamedTempFile, dir: &Path) -> Result<PathBuf> {
    let mut tries = 0;
    loop {
        let path = dir.join(format!("received-{:016x}", rand::rng().next_u64()));
        tries += 1;
        match part.persist_noclobber(&path) {
            Ok(_) => return Ok(path),
            Err(taken) if taken.error.kind() == std::io::ErrorKind::AlreadyExists && tries < TRIES => {
                part = taken.file;
            }
            Err(failed) => return Err(Error::file("create", &path, &failed.error)),
        }
    }
}
