//! Files: put with the server chunk by chunk, sealed; fetched chunk by chunk, and shown under their name when all of it is
//! there and is what the sender sealed. Both go on where they broke off.

use std::fs::{self, File};
use std::future::Future;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;

use messageu_envelope::file::{FileOpener, FileSealer};
use messageu_wire::envelope::field::{Digest as DigestField, FileId, Tag};
use messageu_wire::envelope::file::{FileKey, FileName, FileSize, Manifest};
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{ChunkBytes, ChunkPlace};
use messageu_wire::modern::operation::{drop_file, fetch_chunk, put_chunk};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::account::{Account, crypto};
use super::contacts::{Designation, known_peer, show};
use super::outbox::{Queued, require_sendable};
use super::server::{CallError, Server};
use super::state::records::{ChunkTags, Delivery, Download, Peer, Said, StoredEvent, Unshown, Upload};
use super::state::{Secret, Stored, Tx};
use crate::client::Progress;
use crate::disk::require_room;
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::profile::{create_private_dir, sync_parent};

/// Chunks that are under way at once.
const WINDOW: u32 = 8;
/// Chunks after which it is noted how far a file is.
const NOTE_AFTER: u32 = 64;
/// How often the server may give something else in place of a chunk before a file is given up.
const FAILURES_MAX: u32 = 5;
/// Names that are tried for a file before it is given up.
const NAMES_MAX: u32 = 10_000;

/// A file that stays with the server for now, and why.
#[derive(Debug)]
pub struct Unfetched {
    /// Its name, as the sender gave it.
    pub name: String,
    /// What was wrong.
    pub error: Error,
}

/// A file that is to be sent, and which of its bytes.
struct Source {
    file: File,
    path: PathBuf,
    size: FileSize,
    /// Where it is, and when anything about it was changed last: the same as long as its content is.
    version: [i64; 4],
}

impl Account {
    /// Sends a file to somebody with whom there is a session: puts its chunks with the server, and what is needed to fetch and
    /// open them into the outbox. If this was begun before with the same file, it goes on from there.
    ///
    /// # Errors
    /// [`ErrorKind::File`] if the file cannot be read or changes meanwhile, and see [`ErrorKind`].
    pub async fn send_file(
        &self,
        server: &impl Server,
        who: &Designation,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<Queued> {
        let source = Source::open(path)?;
        let name = file_name(path)?;
        let peer = self.store.read(|tx| known_peer(tx, who))?;
        require_sendable(&peer)?;
        let upload = self.begin_upload(&peer, &source, &name)?;
        match self.put_chunks(server, upload, &source, &name, progress).await? {
            Some((upload, manifest)) => self.finish_upload(who, &upload, &manifest, &source),
            None => {
                // What was put before is of another content: the file has changed since.
                let upload = self.begin_upload(&peer, &source, &name)?;
                let put = self.put_chunks(server, upload, &source, &name, progress).await?;
                let (upload, manifest) = put.ok_or_else(|| source.changed())?;
                self.finish_upload(who, &upload, &manifest, &source)
            }
        }
    }

    /// Fetches the files that have been sent to us, as far as they can be had, and says which stay.
    ///
    /// # Errors
    /// See [`ErrorKind`]: if the server cannot be reached. What is done is not done again.
    pub async fn fetch_files(&self, server: &impl Server, progress: Progress<'_>) -> Result<Vec<Unfetched>> {
        let mut unfetched = Vec::new();
        for download in self.store.read(|tx| tx.all::<Download>())? {
            let manifest = Manifest::decode(&download.manifest.0).map_err(crypto)?;
            let name = manifest.name.to_string();
            match self.fetch_file(server, download, manifest, progress).await {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::NoAnswer) => {
                    return Err(error);
                }
                Err(error) => unfetched.push(Unfetched { name, error }),
            }
        }
        self.send_receipts(server).await?;
        Ok(unfetched)
    }

    fn begin_upload(&self, peer: &Peer, source: &Source, name: &FileName) -> Result<Upload> {
        let path = source.path.to_string_lossy().into_owned();
        self.store.write(|tx| {
            let begun = tx.all::<Upload>()?.into_iter().find(|upload| {
                upload.to == peer.id && upload.path == path && upload.size == source.size.bytes()
            });
            if let Some(begun) = begun {
                return Ok(begun);
            }
            let sealer = FileSealer::new(source.size, &mut rand::rng());
            let upload = Upload {
                file_id: Stored(sealer.file_id()),
                to: peer.id,
                path,
                name: name.to_string(),
                size: source.size.bytes(),
                file_key: Secret::of(&sealer.file_key().0),
                done: 0,
                tags: Stored(DigestField(Sha256::new().finalize().into())),
                version: source.version,
            };
            tx.put(&upload.file_id.0.0, &upload)?;
            Ok(upload)
        })
    }

    /// Puts those chunks that the server does not have. `None`, and nothing begun any more, if the content is not what was
    /// begun with.
    async fn put_chunks(
        &self,
        server: &impl Server,
        upload: Upload,
        source: &Source,
        name: &FileName,
        progress: Progress<'_>,
    ) -> Result<Option<(Upload, Manifest)>> {
        let mut upload = upload;
        // Of a file that may have changed, from the beginning, also of what the server has: to seal is deterministic, so it
        // shows whether the content is the same.
        let before = if upload.version == source.version { self.known_tags(&upload)? } else { Vec::new() };
        let mut sealer = FileSealer::resume(upload.file_id.0, file_key(&upload)?, source.size, &before)
            .ok_or_else(|| source.changed())?;
        let mut tags = Sha256::new();
        before.iter().for_each(|tag| tags.update(tag.0));
        let (chunks, mut next, mut noted) = (source.size.chunks(), sealer.next(), upload.done);
        let mut reader = source.reader_from(next)?;
        let (mut window, mut new_tags) = (Vec::new(), Vec::new());
        while let Some(size) = sealer.next_size() {
            let mut plaintext = Zeroizing::new(vec![0; size]);
            reader.read_exact(&mut plaintext).map_err(|_| source.changed())?;
            let (sealed, tag) = sealer.seal(&plaintext).ok_or_else(|| source.changed())?;
            tags.update(tag.0);
            next += 1;
            if next <= upload.done {
                // The server has it; sealed again it is the same, or the file is another.
                if next == upload.done && digest(&tags) != upload.tags.0 {
                    self.store.write(|tx| forget_upload(tx, &upload))?;
                    return Ok(None);
                }
                continue;
            }
            new_tags.push(Stored(tag));
            window.push(put_chunk::Request {
                to: upload.to.0,
                file_id: upload.file_id.0,
                place: ChunkPlace::new(next - 1, chunks).map_err(crypto)?,
                chunk: ChunkBytes::new(sealed).map_err(crypto)?,
            });
            if window.len() < usize::try_from(WINDOW).unwrap_or(1) && next < chunks {
                continue;
            }
            for answer in all(window.drain(..).map(|request| server.call(request)).collect()).await {
                match answer {
                    Err(error) if error.code() == Some(ErrorCode::CONFLICT) => {
                        // Put before it was noted, from a file that has changed since.
                        self.store.write(|tx| forget_upload(tx, &upload))?;
                        return Ok(None);
                    }
                    answer => drop(answer?),
                }
            }
            (upload.done, upload.tags) = (next, Stored(digest(&tags)));
            if next - noted >= NOTE_AFTER {
                noted = next;
                upload.version = source.version;
                let tags = ChunkTags(std::mem::take(&mut new_tags));
                self.store.write(|tx| {
                    tx.append(&upload.file_id.0.0, &tags).and_then(|_| tx.put(&upload.file_id.0.0, &upload))
                })?;
            }
            progress(source.bytes_of(next), source.size.bytes());
        }
        if reader.read(&mut [0]).at("read", &source.path)? > 0 {
            return Err(source.changed());
        }
        let manifest = sealer.finish(name.clone()).ok_or_else(|| source.changed())?;
        Ok(Some((upload, manifest)))
    }

    /// The tags of the chunks that the server has; none if these are not known, as when two processes have noted them.
    fn known_tags(&self, upload: &Upload) -> Result<Vec<Tag>> {
        let tags = self.store.read(|tx| tx.list::<ChunkTags>(&upload.file_id.0.0, usize::MAX))?;
        let tags: Vec<_> = tags.into_iter().flat_map(|(_, tags)| tags.0).map(|tag| tag.0).collect();
        let mut hash = Sha256::new();
        tags.iter().for_each(|tag| hash.update(tag.0));
        let are_whole = usize::try_from(upload.done) == Ok(tags.len()) && digest(&hash) == upload.tags.0;
        Ok(if are_whole { tags } else { Vec::new() })
    }

    fn finish_upload(
        &self,
        who: &Designation,
        upload: &Upload,
        manifest: &Manifest,
        source: &Source,
    ) -> Result<Queued> {
        let said = StoredEvent::File { path: source.path.to_string_lossy().into_owned(), size: upload.size };
        self.store.write(|tx| {
            let mut peer = known_peer(tx, who)?;
            require_sendable(&peer)?;
            forget_upload(tx, upload)?;
            self.queue(tx, &mut peer, BodyType::FILE, &manifest.encode(), Some(said))
        })
    }

    async fn fetch_file(
        &self,
        server: &impl Server,
        download: Download,
        manifest: Manifest,
        progress: Progress<'_>,
    ) -> Result<()> {
        let dir = &self.settings.downloads;
        create_private_dir(dir)?;
        let part_path = self.part_path(&manifest);
        let (file_id, size) = (manifest.file_id, manifest.size);
        let about = about(download.from.0, file_id);
        if let Some(path) = &download.path {
            // Everything was there before; perhaps it has its name already.
            if !part_path.exists() && Path::new(path).exists() {
                return self.finish_download(server, &download, &manifest, Path::new(path)).await;
            }
        }
        let part = open_part(&part_path)?;
        let download =
            match self.fetch_chunks(server, download, &manifest, (&part, &part_path), progress).await? {
                Some(download) => download,
                None => {
                    drop(part);
                    fs::remove_file(&part_path).at("remove", &part_path)?;
                    return self.lose(&about, &manifest);
                }
            };
        part.sync_all().at("write", &part_path)?;
        let path = self.put_in_place(&about, download.clone(), &part_path, &manifest.name)?;
        progress(size.bytes(), size.bytes());
        self.finish_download(server, &download, &manifest, &path).await
    }

    /// Where a file is while it is not whole.
    pub(super) fn part_path(&self, manifest: &Manifest) -> PathBuf {
        self.settings.downloads.join(format!("messageu-{}-{}.part", self.id(), manifest.file_id))
    }

    /// Fetches what is missing into the `.part` file. `None` if the file cannot be had any more.
    async fn fetch_chunks(
        &self,
        server: &impl Server,
        download: Download,
        manifest: &Manifest,
        (mut part, part_path): (&File, &Path),
        progress: Progress<'_>,
    ) -> Result<Option<Download>> {
        let mut download = download;
        let (size, chunks) = (manifest.size, manifest.size.chunks());
        let about = about(download.from.0, manifest.file_id);
        let tags = self.store.read(|tx| tx.list::<ChunkTags>(&about, usize::MAX))?;
        let tags: Vec<_> = tags.into_iter().flat_map(|(_, tags)| tags.0).map(|tag| tag.0).collect();
        let have = part.metadata().at("read", part_path)?.len();
        let noted = usize::try_from(download.done).unwrap_or(usize::MAX);
        let is_whole = noted == tags.len() && bytes_of(size, download.done) <= have;
        let opener = if is_whole { FileOpener::resume(manifest.clone(), &tags) } else { None };
        let mut opener = match opener {
            Some(opener) => opener,
            None => {
                // Somebody has removed or cut the file.
                download.done = 0;
                self.store.write(|tx| forget_tags(tx, &about).and_then(|()| tx.put(&about, &download)))?;
                FileOpener::new(manifest.clone())
            }
        };
        let done = bytes_of(size, download.done);
        require_room(&self.settings.downloads, size.bytes().saturating_sub(done))?;
        part.set_len(done).and_then(|()| part.seek(SeekFrom::Start(done))).at("write", part_path)?;
        let mut new_tags = Vec::new();
        while opener.next_size().is_some() {
            let until = opener.next().saturating_add(WINDOW).min(chunks);
            let file_id = manifest.file_id;
            let calls =
                (opener.next()..until).map(|index| server.call(fetch_chunk::Request { file_id, index }));
            for answer in all(calls.collect()).await {
                let sealed = match answer {
                    Ok(answer) => answer.chunk,
                    Err(error) if error.code() == Some(ErrorCode::UNKNOWN_FILE) => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
                let Ok((plaintext, tag)) = opener.open(&sealed) else {
                    return self.count_failure(&about, download, manifest).map(|()| None);
                };
                part.write_all(&plaintext).at("write", part_path)?;
                new_tags.push(Stored(tag));
            }
            if new_tags.len() >= usize::try_from(NOTE_AFTER).unwrap_or(1) || until == chunks {
                part.sync_data().at("write", part_path)?;
                download.done = until;
                let tags = ChunkTags(std::mem::take(&mut new_tags));
                self.store.write(|tx| tx.append(&about, &tags).and_then(|_| tx.put(&about, &download)))?;
            }
            progress(bytes_of(size, until).min(size.bytes().saturating_sub(1)), size.bytes());
        }
        match opener.finish() {
            Ok(()) => Ok(Some(download)),
            Err(_) => Ok(None),
        }
    }

    /// Counts that the server gave something else in place of a chunk; an error until it is enough.
    fn count_failure(&self, about: &[u8], download: Download, manifest: &Manifest) -> Result<()> {
        let failures = download.failures.saturating_add(1);
        if failures >= FAILURES_MAX {
            return Ok(());
        }
        self.store.write(|tx| {
            let now = tx.find::<Download>(about)?.unwrap_or(download);
            tx.put(about, &Download { failures, ..now })
        })?;
        let what = format!("a chunk of {} is not what its sender sealed", manifest.name);
        Err(Error::new(ErrorKind::Data, what).hint("`messageu receive` tries again, a few times"))
    }

    /// Gives the whole file a name that no other file has.
    fn put_in_place(
        &self,
        about: &[u8],
        download: Download,
        part: &Path,
        name: &FileName,
    ) -> Result<PathBuf> {
        for number in 0..NAMES_MAX {
            let path = self.settings.downloads.join(numbered(name.as_str(), number));
            if path.symlink_metadata().is_ok() {
                continue;
            }
            // Noted first: if the process ends behind the rename, the file is known to be this one.
            let noted = Download { path: Some(path.to_string_lossy().into_owned()), ..download.clone() };
            self.store.write(|tx| tx.put(about, &noted))?;
            match fs::hard_link(part, &path) {
                Ok(()) => {
                    sync_parent(&path)?;
                    fs::remove_file(part).at("remove", part)?;
                    return Ok(path);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("create", &path, &error)),
            }
        }
        let what = format!("there are too many files called {name} in {}", self.settings.downloads.display());
        Err(Error::new(ErrorKind::File, what).hint("move some of them away"))
    }

    async fn finish_download(
        &self,
        server: &impl Server,
        download: &Download,
        manifest: &Manifest,
        path: &Path,
    ) -> Result<()> {
        let about = about(download.from.0, manifest.file_id);
        let what =
            StoredEvent::File { path: path.to_string_lossy().into_owned(), size: manifest.size.bytes() };
        self.store.write(|tx| self.end_download(tx, &about, download, what))?;
        // If the server does not hear it, the file goes when its time is over.
        match server.call(drop_file::Request { file_id: manifest.file_id }).await {
            Ok(_) | Err(CallError::Refused(_)) => Ok(()),
            Err(CallError::Failed(error)) => Err(error),
        }
    }

    /// A file cannot be had any more: the user is told.
    fn lose(&self, about: &[u8], manifest: &Manifest) -> Result<()> {
        let what = StoredEvent::FileLost { name: manifest.name.to_string() };
        self.store.write(|tx| match tx.find::<Download>(about)? {
            Some(download) => self.end_download(tx, about, &download, what),
            None => Ok(()),
        })
    }

    fn end_download(&self, tx: &Tx<'_>, about: &[u8], download: &Download, what: StoredEvent) -> Result<()> {
        // Another process may have been faster.
        if !tx.erase::<Download>(about)? {
            return Ok(());
        }
        forget_tags(tx, about)?;
        let Download { from, message_id, sent_ms, .. } = *download;
        show(tx, Unshown { from: Some(from), message_id: Some(message_id), sent_ms, event: what.clone() })?;
        let peer = tx.find::<Peer>(&from.0.0)?;
        if let (Some(peer), StoredEvent::File { .. }) = (&peer, &what) {
            self.owe_receipt(tx, peer, message_id.0)?;
        }
        match peer {
            Some(peer) if !download.is_ephemeral => {
                let said = Said { message_id, is_ours: false, sent_ms, what, delivery: Delivery::Done };
                tx.append(&peer.thread.0.0, &said).map(drop)
            }
            _ => Ok(()),
        }
    }
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        // Asked before it is opened: opening a pipe waits for whoever writes to it.
        if !fs::metadata(path).at("read", path)?.is_file() {
            return Err(Error::new(ErrorKind::File, format!("{} is not a regular file", path.display()))
                .hint("of a pipe, save what comes to a file first"));
        }
        let path = path.canonicalize().at("read", path)?;
        let file = File::open(&path).at("read", &path)?;
        let metadata = file.metadata().at("read", &path)?;
        let size = FileSize::new(metadata.len()).map_err(|error| {
            Error::new(ErrorKind::File, format!("{} is too large: {error}", path.display()))
        })?;
        let [device, number] = [metadata.dev(), metadata.ino()].map(u64::cast_signed);
        let version = [device, number, metadata.ctime(), metadata.ctime_nsec()];
        Ok(Self { file, path, size, version })
    }

    /// The content behind so many chunks.
    fn reader_from(&self, chunks: u32) -> Result<File> {
        let mut file = self.file.try_clone().at("read", &self.path)?;
        file.seek(SeekFrom::Start(self.bytes_of(chunks))).at("read", &self.path)?;
        Ok(file)
    }

    fn bytes_of(&self, chunks: u32) -> u64 {
        bytes_of(self.size, chunks)
    }

    fn changed(&self) -> Error {
        Error::new(ErrorKind::File, format!("{} changed while it was sent; nothing was", self.path.display()))
            .hint("try again when nobody is writing to it, or send a copy")
    }
}

/// What the record of a transfer is about: a sender's number says nothing without the sender.
pub(super) fn about(from: ClientId, file_id: FileId) -> Vec<u8> {
    [from.0, file_id.0].concat()
}

fn file_key(upload: &Upload) -> Result<FileKey> {
    let key = upload.file_key.0.as_slice().try_into();
    key.map(FileKey).map_err(|_| crypto("the profile's database is damaged: a file's key has another size"))
}

fn digest(tags: &Sha256) -> DigestField {
    DigestField(tags.clone().finalize().into())
}

/// Bytes of the first chunks of a file.
pub(super) fn bytes_of(size: FileSize, chunks: u32) -> u64 {
    const CHUNK: u64 = 64 * 1024;
    size.bytes().min(u64::from(chunks).saturating_mul(CHUNK))
}

fn forget_upload(tx: &Tx<'_>, upload: &Upload) -> Result<()> {
    tx.erase::<Upload>(&upload.file_id.0.0)?;
    forget_tags(tx, &upload.file_id.0.0)
}

pub(super) fn forget_tags(tx: &Tx<'_>, about: &[u8]) -> Result<()> {
    for (number, _) in tx.list::<ChunkTags>(about, usize::MAX)? {
        tx.erase_number::<ChunkTags>(about, number)?;
    }
    Ok(())
}

fn file_name(path: &Path) -> Result<FileName> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    FileName::new(name).map_err(|error| {
        Error::new(ErrorKind::File, format!("{} cannot be sent under this name: {error}", path.display()))
            .hint("give it another name, or send a copy that has one")
    })
}

/// Opens a `.part` file for this process alone.
pub(super) fn open_part(path: &Path) -> Result<File> {
    let mut options = File::options();
    let part = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .at("open", path)?;
    part.try_lock().map_err(|_| {
        Error::new(ErrorKind::Busy, format!("another messageu is fetching {}", path.display()))
            .hint("wait for it")
    })?;
    Ok(part)
}

/// A file's name with a number before its extension; without one for 0.
fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (0, _) => name.to_owned(),
        (_, Some((stem, extension))) if !stem.is_empty() => format!("{stem} ({number}).{extension}"),
        _ => format!("{name} ({number})"),
    }
}

/// Waits for all of these, which go on side by side; the results are in order.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let mut pending: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in pending.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => ready = false,
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_extension() {
        assert_eq!(numbered("a.tar.gz", 0), "a.tar.gz");
        assert_eq!(numbered("a.txt", 2), "a (2).txt");
        assert_eq!(numbered(".hidden", 1), ".hidden (1)");
        assert_eq!(numbered("plain", 1), "plain (1)");
    }

    #[tokio::test]
    async fn what_goes_on_side_by_side_comes_in_order() {
        let (first, second) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        let one = async { first.notified().await };
        let two = async {
            first.notify_one();
            second.notify_one();
        };
        let three = async { second.notified().await };
        let futures: Vec<Pin<Box<dyn Future<Output = ()>>>> =
            vec![Box::pin(one), Box::pin(two), Box::pin(three)];
        assert_eq!(all(futures).await.len(), 3);
    }
}
