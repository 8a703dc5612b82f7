//! Received files: opened on the fly into a `.part` file, and under a name of their own when they are whole.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use messageu_envelope::legacy::{LegacyIv, LegacyKey, LegacyOpener};
use messageu_wire::fields::ClientId;
use rand::Rng;
use tempfile::NamedTempFile;
use tokio::task::yield_now;
use zeroize::Zeroizing;

use crate::client::Progress;
use crate::disk::require_room;
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
    require_room(dir, total)?;
    let mut part = tempfile::Builder::new()
        .prefix(&part_prefix(owner))
        .suffix(PART_SUFFIX)
        .tempfile_in(dir)
        .at("create a file in", dir)?;
    let mut opener = match opening {
        Opening::With(key, iv) => Some(LegacyOpener::new(key, iv)),
        Opening::AsItIs => None,
    };
    let (mut piece, mut opened) = (vec![0; PIECE_SIZE], Zeroizing::new(Vec::new()));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use messageu_envelope::legacy::legacy_seal;
    use messageu_wire::message::MessageType;
    use messageu_wire::operation::pull_messages::EntryHead;

    use super::*;
    use crate::inbox::{Inbox, State};
    use crate::profile::Profile;

    const OWNER: ClientId = ClientId([1; 16]);

    /// A file in an inbox, sealed with this key, and a directory for downloads.
    fn received(dir: &Path, key: &LegacyKey, size: usize) -> (Entry, PathBuf) {
        let content = legacy_seal(key, LegacyIv::Zero, &vec![7; size], &mut rand::rng());
        let mut inbox = Inbox::open(&Profile::at(dir).state_of(OWNER).unwrap()).unwrap();
        let size = content.len().try_into().unwrap();
        inbox.begin(EntryHead { from: OWNER, message_id: None, kind: MessageType::FILE, size }).unwrap();
        inbox.content(&content).unwrap();
        inbox.end().unwrap();
        (inbox.entries(State::New).unwrap().remove(0), dir.join("downloads"))
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    fn key(byte: u8) -> LegacyKey {
        LegacyKey::from_bytes(&[byte; 16])
    }

    #[tokio::test]
    async fn a_file_that_opens_gets_a_name_of_its_own_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let (entry, downloads) = received(dir.path(), &key(1), 3 * PIECE_SIZE + 5);
        for _ in 0..2 {
            let opening = Opening::With(&key(1), LegacyIv::Zero);
            let saved = save(&entry, opening, (&downloads, OWNER), &mut |_, _| ()).await.unwrap().unwrap();
            assert!(fs::read(saved.path).unwrap() == vec![7; 3 * PIECE_SIZE + 5]);
        }
        assert_eq!(files(&downloads), 2);
    }

    #[tokio::test]
    async fn a_file_that_does_not_open_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (entry, downloads) = received(dir.path(), &key(1), PIECE_SIZE);
        // One wrong key in about 250 finds a padding all the same.
        for wrong in 2..12 {
            let opening = Opening::With(&key(wrong), LegacyIv::Zero);
            let saved = save(&entry, opening, (&downloads, OWNER), &mut |_, _| ()).await.unwrap();
            if saved.is_none() {
                return assert_eq!(files(&downloads), usize::from(wrong) - 2);
            }
        }
        panic!("ten wrong keys opened it");
    }

    #[tokio::test]
    async fn a_download_that_is_stopped_half_way_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (entry, downloads) = received(dir.path(), &key(1), 20 * PIECE_SIZE);
        let key = key(1);
        let opening = Opening::With(&key, LegacyIv::Zero);
        let mut began = false;
        let mut progress = |_, _| began = true;
        let saving = save(&entry, opening, (&downloads, OWNER), &mut progress);
        assert!(tokio::time::timeout(Duration::ZERO, saving).await.is_err());
        assert!(began);
        assert_eq!(files(&downloads), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let others = [format!("messageu-{}-x.part", ClientId([2; 16])), "mine.part".to_owned()];
        for name in others.iter().chain([&format!("messageu-{OWNER}-x.part")]) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        discard_parts(dir.path(), OWNER);
        assert_eq!(files(dir.path()), others.len());
        assert!(others.iter().all(|name| dir.path().join(name).exists()));
    }
}
