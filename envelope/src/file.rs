//! Files: sealed chunk by chunk, each under a key of its own, and opened in order or not at all.
//!
//! ```text
//! chunk key 64 = HKDF-SHA-512(salt file id, file key, "MU3-FILE" ‖ index u64 ‖ last 1)
//! chunk = A256CBC-HS512(chunk key, aad = file id ‖ index u64 ‖ last 1, at most 64 KiB of the file)
//! ```

use std::fmt;

use messageu_wire::envelope::field::{Digest as DigestField, FileId, Tag};
use messageu_wire::envelope::file::{FileKey, FileName, FileSize, Manifest, decode_chunk};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::aead::AeadKey;
use crate::error::OpenError;
use crate::kdf;

const INFO: &[u8] = b"MU3-FILE";

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

    /// Which file.
    #[must_use]
    pub fn file_id(&self) -> FileId {
        self.file_id
    }

    /// Bytes that the next chunk takes of the file; `None` after the last.
    #[must_use]
    pub fn next_size(&self) -> Option<usize> {
        self.progress.next_size()
    }

    /// Seals the next chunk; `None` unless it has the size that it should have, so that a file that changes while it is
    /// read is noticed.
    pub fn seal(&mut self, plaintext: &[u8], rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        if self.next_size() != Some(plaintext.len()) {
            return None;
        }
        let chunk = self.progress.chunk(&self.file_id);
        let sealed = chunk.key(&self.file_key).seal(&chunk.aad(), plaintext, rng);
        self.progress.pass(&sealed.tag);
        Some(sealed.encode())
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
        let mut opener = Self::new(manifest);
        for tag in tags {
            opener.next_size()?;
            opener.progress.pass(tag);
        }
        Some(opener)
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

    fn key(&self, file_key: &FileKey) -> AeadKey {
        AeadKey::from_bytes(&kdf::derive(&self.file_id.0, &file_key.0, &[INFO, &self.place]))
    }

    fn aad(&self) -> [u8; 25] {
        let mut aad = [0; 25];
        aad.iter_mut().zip(self.file_id.0.iter().chain(&self.place)).for_each(|(to, from)| *to = *from);
        aad
    }
}
