//! Files: which chunks open in which order, and what is whole in the end.

use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use messageu_envelope::file::{FileOpener, FileSealer};
use messageu_wire::envelope::field::Tag;
use messageu_wire::envelope::file::{CHUNK_SIZE, FileName, FileSize, Manifest, decode_chunk};

use super::users::rng;
use crate::unstructured::change;

/// Most steps of a transfer.
const STEPS_MAX: usize = 12;

/// Any bytes as a manifest; a small file that is sealed, changed and opened; or a transfer of a larger one.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_file(bytes: &mut Unstructured<'_>) -> Result<()> {
    match bytes.arbitrary::<u8>()? {
        0..96 => check_manifest(bytes.bytes(bytes.len())?),
        96..224 => check_small(bytes)?,
        _ => {
            let (steps, _) = bytes.bytes(bytes.len())?.as_chunks::<4>();
            let mut transfer = Transfer::new();
            for step in steps.iter().take(STEPS_MAX) {
                transfer.take(*step);
            }
            transfer.finish();
        }
    }
    Ok(())
}

/// A manifest: a seed.
#[must_use]
pub fn true_manifest() -> Vec<u8> {
    files()[0].manifest.encode().to_vec()
}

/// What is read is written again byte for byte, and names nothing outside of a directory.
fn check_manifest(body: &[u8]) {
    match Manifest::decode(body) {
        Ok(manifest) => {
            assert!(**manifest.encode() == *body);
            let name = manifest.name.as_str();
            assert!(!name.contains(['/', '\\', ':', '\0', '\u{1b}', '\u{202e}']) && name != "..", "{name:?}");
            let (size, chunks) = (manifest.size, manifest.size.chunks());
            assert!(size.chunk_size(chunks).is_none() && size.chunk_size(chunks - 1).is_some());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A file of one chunk: what was sealed opens to itself; a chunk or a manifest that was changed comes to nothing.
fn check_small(bytes: &mut Unstructured<'_>) -> Result<()> {
    let in_manifest: bool = bytes.arbitrary()?;
    let changes: [u8; 10] = bytes.arbitrary()?;
    let mut changes = Unstructured::new(&changes);
    let content = bytes.bytes(bytes.len().min(CHUNK_SIZE))?;
    let mut sealer = FileSealer::new(FileSize::new(content.len() as u64).expect("small"), &mut rng(150));
    let (true_chunk, tag) = sealer.seal(content).expect("all of it");
    let manifest = sealer.finish(FileName::new("note.txt").expect("a name")).expect("all is sealed");
    let decoded = decode_chunk(&true_chunk).map(|sealed| (sealed.encode(), sealed.tag));
    assert_eq!(decoded, Ok((true_chunk.clone(), tag)));
    let mut chunk = true_chunk.clone();
    let mut body = manifest.encode();
    change(if in_manifest { &mut body } else { &mut chunk }, &mut changes)?;
    let Ok(came) = Manifest::decode(&body) else { return Ok(()) };
    let same_but_for_the_name = Manifest { name: manifest.name.clone(), ..came.clone() } == manifest;
    let mut opener = FileOpener::new(came);
    let opened = opener.open(&chunk).ok();
    let is_whole = opener.finish().is_ok();
    assert_eq!(opened.is_some() && is_whole, same_but_for_the_name && chunk == true_chunk);
    assert!(opened.is_none_or(|(opened, _)| **opened == *content));
    Ok(())
}

/// A file of three chunks.
struct File {
    content: Vec<u8>,
    chunks: Vec<Vec<u8>>,
    tags: Vec<Tag>,
    manifest: Manifest,
}

impl File {
    fn new(seed: u8) -> Self {
        let content: Vec<u8> =
            (0..2 * CHUNK_SIZE + 100).map(|at| (at as u8).wrapping_mul(7) ^ seed).collect();
        let size = FileSize::new(content.len() as u64).expect("small");
        let mut sealer = FileSealer::new(size, &mut rng(seed));
        let sealed = content.chunks(CHUNK_SIZE).map(|chunk| sealer.seal(chunk).expect("the next chunk"));
        let (chunks, tags) = sealed.unzip();
        let manifest = sealer.finish(FileName::new("photo.jpg").expect("a name")).expect("all is sealed");
        Self { content, chunks, tags, manifest }
    }

    /// The file's sealer where so many chunks are sealed.
    fn sealer(&self, done: usize) -> FileSealer {
        let Manifest { file_id, file_key, size, .. } = self.manifest.clone();
        FileSealer::resume(file_id, file_key, size, &self.tags[..done]).expect("no more than there are")
    }
}

fn files() -> &'static [File; 2] {
    static FILES: OnceLock<[File; 2]> = OnceLock::new();
    FILES.get_or_init(|| [File::new(151), File::new(152)])
}

/// A recipient, what it has, and whether that is all the sender's own.
struct Transfer {
    opener: FileOpener,
    opened: Vec<u8>,
    tags: Vec<Tag>,
    is_true: bool,
}

impl Transfer {
    fn new() -> Self {
        let opener = FileOpener::new(files()[0].manifest.clone());
        Self { opener, opened: Vec::new(), tags: Vec::new(), is_true: true }
    }

    /// One step: what, and three bytes that say which and where.
    fn take(&mut self, [what, a, b, c]: [u8; 4]) {
        let file = &files()[0];
        let next = self.tags.len();
        let of = &files()[usize::from(a >> 7)];
        let at = usize::from(a % 3);
        match what % 8 {
            // Any chunk of either file.
            0..3 => self.open(&of.chunks[at], a >> 7 == 0 && at == next),
            // The next chunk, cut, longer, or with a byte changed.
            3 => {
                let mut chunk = file.chunks[at].clone();
                let where_to = usize::from(u16::from_le_bytes([b, c])) % chunk.len();
                match a >> 2 & 3 {
                    0 => chunk.truncate(where_to),
                    1 => chunk.extend_from_slice(&[0; 16]),
                    _ => chunk[where_to] ^= b | 1,
                }
                self.open(&chunk, false);
            }
            // The sender seals something else under the right key: it opens, but is not what the manifest says.
            4 if next < 3 => {
                let mut other = file.content.chunks(CHUNK_SIZE).nth(next).expect("three chunks").to_vec();
                other[0] ^= b | 1;
                let (chunk, _) = file.sealer(next).seal(&other).expect("the size of the next");
                self.is_true = false;
                self.open(&chunk, true);
            }
            // The sender was stopped, and goes on.
            5 => {
                let content = file.content.chunks(CHUNK_SIZE).nth(at).expect("three chunks");
                let again = file.sealer(at).seal(content);
                assert_eq!(again, Some((file.chunks[at].clone(), file.tags[at])));
            }
            // The recipient was stopped, and goes on.
            6 => {
                let resumed = FileOpener::resume(file.manifest.clone(), &self.tags);
                self.opener = resumed.expect("no more than there are");
            }
            _ => {}
        }
        assert_eq!(self.opener.next() as usize, self.tags.len());
    }

    fn open(&mut self, chunk: &[u8], opens: bool) {
        let opened = self.opener.open(chunk).ok();
        assert_eq!(opened.is_some(), opens, "chunk {}", self.tags.len());
        if let Some((plaintext, tag)) = opened {
            self.opened.extend_from_slice(&plaintext);
            self.tags.push(tag);
        }
    }

    fn finish(self) {
        let file = &files()[0];
        let is_whole = self.tags.len() == 3 && self.is_true;
        assert_eq!(self.opener.finish().is_ok(), is_whole);
        if self.is_true {
            assert!(file.content.starts_with(&self.opened));
        }
    }
}
