//! Files: sealed chunk by chunk, each under a key of its own, and opened in order or not at all.
//!
//! ```text
//! chunk key 64 ‖ IV key 32 = HKDF-SHA-512(salt file id, file key, "MU3-FILE" ‖ index u64 ‖ last 1)
//! IV = HMAC-SHA-512(IV key, plaintext)[..16]
//! chunk = A256CBC-HS512(chunk key, IV, aad = file id ‖ index u64 ‖ last 1, at most 64 KiB of the file)
//! ```
//! The same chunk is sealed to the same bytes each time, so that a sender that was stopped goes on where it was: what it
//! had sent already is what it sends again. Another content under the same key has another IV.

use std::fmt;

use messageu_wire::envelope::field::{Digest as DigestField, FileId, Iv, Tag};
use messageu_wire::envelope::file::{FileKey, FileName, FileSize, Manifest, decode_chunk};
use messageu_wire::envelope::sealed::{BLOCK_SIZE, Sealed};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::aead::{AEAD_KEY_SIZE, AeadKey, hmac};
use crate::error::OpenError;
use crate::kdf;

const INFO: &[u8] = b"MU3-FILE";
/// Bytes of the key that IVs come from.
const IV_KEY_SIZE: usize = 32;

/// Seals a file, chunk after chunk.
pub struct FileSealer {
    file_id: FileId,
    file_key: FileKey,
    progress: Progress,
}

impl FileSealer {
    /// Begins a file of a size that is known.
    #[must_use]
    pub fn new(size: FileSize, rng: &mut impl CryptoRng) -> Self {
        let mut file_id = FileId([0; 16]);
        rng.fill_bytes(&mut file_id.0);
        let mut file_key = FileKey([0; 64]);
        rng.fill_bytes(&mut file_key.0);
        Self { file_id, file_key, progress: Progress::new(size) }
    }

    /// Goes on with a file whose first chunks were sealed before and had these tags; `None` if it has fewer chunks.
    ///
    /// The content has to be what it was: a file that has changed since is another one, with another id and key.
    #[must_use]
    pub fn resume(file_id: FileId, file_key: FileKey, size: FileSize, tags: &[Tag]) -> Option<Self> {
        Some(Self { file_id, file_key, progress: Progress::resume(size, tags)? })
    }

    /// Which file.
    #[must_use]
    pub fn file_id(&self) -> FileId {
        self.file_id
    }

    /// The secret of its chunks, to be stored until the last of them is sent.
    #[must_use]
    pub fn file_key(&self) -> &FileKey {
        &self.file_key
    }

    /// The number of the next chunk.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.progress.next
    }

    /// Bytes that the next chunk takes of the file; `None` after the last.
    #[must_use]
    pub fn next_size(&self) -> Option<usize> {
        self.progress.next_size()
    }

    /// Seals the next chunk, to the same bytes whenever it is sealed. The tag is for [`FileSealer::resume`].
    ///
    /// `None` unless it has the size that it should have, so that a file that grows or shrinks while it is read is noticed.
    pub fn seal(&mut self, plaintext: &[u8]) -> Option<(Vec<u8>, Tag)> {
        if self.next_size() != Some(plaintext.len()) {
            return None;
        }
        let sealed = self.progress.chunk(&self.file_id).seal(&self.file_key, plaintext);
        self.progress.pass(&sealed.tag);
        Some((sealed.encode(), sealed.tag))
    }

    /// What the recipient needs; `None` before the last chunk.
    #[must_use]
    pub fn finish(self, name: FileName) -> Option<Manifest> {
        let tags = self.progress.finish()?;
        let size = self.progress.size;
        Some(Manifest { file_id: self.file_id, file_key: self.file_key, size, tags, name })
    }
}

impl fmt::Debug for FileSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSealer({}, chunk {})", self.file_id, self.progress.next)
    }
}

/// Opens a file, chunk after chunk. What is opened is the file's, but whether it is whole shows at the end.
pub struct FileOpener {
    manifest: Manifest,
    progress: Progress,
}

impl FileOpener {
    /// Begins a file.
    #[must_use]
    pub fn new(manifest: Manifest) -> Self {
        let progress = Progress::new(manifest.size);
        Self { manifest, progress }
    }

    /// Goes on with a file whose first chunks were opened before and had these tags; `None` if it has fewer chunks.
    #[must_use]
    pub fn resume(manifest: Manifest, tags: &[Tag]) -> Option<Self> {
        let progress = Progress::resume(manifest.size, tags)?;
        Some(Self { manifest, progress })
    }

    /// The number of the next chunk.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.progress.next
    }

    /// Bytes of the file in the next chunk; `None` after the last.
    #[must_use]
    pub fn next_size(&self) -> Option<usize> {
        self.progress.next_size()
    }

    /// Opens the next chunk. If it does not open, another try may be made with other bytes. The tag is for
    /// [`FileOpener::resume`].
    ///
    /// # Errors
    /// [`OpenError`] for anything but the next chunk.
    pub fn open(&mut self, chunk: &[u8]) -> Result<(Zeroizing<Vec<u8>>, Tag), OpenError> {
        let size = self.next_size().ok_or(OpenError)?;
        let sealed = decode_chunk(chunk).map_err(|_| OpenError)?;
        let chunk = self.progress.chunk(&self.manifest.file_id);
        let plaintext = chunk.key(&self.manifest.file_key).open(&chunk.aad(), &sealed)?;
        if plaintext.len() != size {
            return Err(OpenError);
        }
        self.progress.pass(&sealed.tag);
        Ok((plaintext, sealed.tag))
    }

    /// Whether the file is whole and is the one that the sender sealed.
    ///
    /// # Errors
    /// [`OpenError`] before the last chunk, or if the chunks are not those of the manifest.
    pub fn finish(self) -> Result<(), OpenError> {
        if self.progress.finish() == Some(self.manifest.tags) { Ok(()) } else { Err(OpenError) }
    }
}

impl fmt::Debug for FileOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileOpener({}, chunk {})", self.manifest.file_id, self.progress.next)
    }
}

/// How far a file is.
struct Progress {
    size: FileSize,
    next: u32,
    tags: Sha256,
}

impl Progress {
    fn new(size: FileSize) -> Self {
        Self { size, next: 0, tags: Sha256::new() }
    }

    /// The progress behind chunks with these tags; `None` if the file has fewer chunks.
    fn resume(size: FileSize, tags: &[Tag]) -> Option<Self> {
        let mut progress = Self::new(size);
        for tag in tags {
            progress.next_size()?;
            progress.pass(tag);
        }
        Some(progress)
    }

    fn next_size(&self) -> Option<usize> {
        self.size.chunk_size(self.next)
    }

    fn chunk<'a>(&self, file_id: &'a FileId) -> Chunk<'a> {
        let is_last = self.next == self.size.chunks().saturating_sub(1);
        Chunk { file_id, place: Chunk::place(self.next, is_last) }
    }

    fn pass(&mut self, tag: &Tag) {
        self.tags.update(tag.0);
        self.next = self.next.saturating_add(1);
    }

    fn finish(&self) -> Option<DigestField> {
        self.next_size().is_none().then(|| DigestField(self.tags.clone().finalize().into()))
    }
}

/// Which chunk of which file.
struct Chunk<'a> {
    file_id: &'a FileId,
    /// `index u64 ‖ last 1`
    place: [u8; 9],
}

impl Chunk<'_> {
    fn place(index: u32, is_last: bool) -> [u8; 9] {
        let [a, b, c, d] = index.to_le_bytes();
        [a, b, c, d, 0, 0, 0, 0, is_last.into()]
    }

    fn seal(&self, file_key: &FileKey, plaintext: &[u8]) -> Sealed {
        let info = [INFO, &self.place];
        let derived = kdf::derive::<{ AEAD_KEY_SIZE + IV_KEY_SIZE }>(&self.file_id.0, &file_key.0, &info);
        let mut iv_key = Zeroizing::new([0; IV_KEY_SIZE]);
        iv_key.iter_mut().zip(derived.iter().skip(AEAD_KEY_SIZE)).for_each(|(to, from)| *to = *from);
        let mut iv = Iv([0; BLOCK_SIZE]);
        iv.0.iter_mut().zip(hmac(&iv_key, &[plaintext]).iter()).for_each(|(to, from)| *to = *from);
        self.key(file_key).seal_with(iv, &self.aad(), plaintext)
    }

    /// The beginning of what [`Chunk::seal`] derives: who opens needs no more.
    fn key(&self, file_key: &FileKey) -> AeadKey {
        AeadKey::from_bytes(&kdf::derive(&self.file_id.0, &file_key.0, &[INFO, &self.place]))
    }

    fn aad(&self) -> [u8; 25] {
        let mut aad = [0; 25];
        aad.iter_mut().zip(self.file_id.0.iter().chain(&self.place)).for_each(|(to, from)| *to = *from);
        aad
    }
}
