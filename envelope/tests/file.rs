//! Files: what was sealed opens in order and whole, and nothing else does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use common::rng;
use messageu_envelope::error::OpenError;
use messageu_envelope::file::{FileOpener, FileSealer};
use messageu_wire::envelope::field::Tag;
use messageu_wire::envelope::file::{CHUNK_SIZE, FileName, FileSize, Manifest};
use proptest::prelude::*;

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// A sealed file: its manifest and chunks.
fn seal(content: &[u8], seed: u8) -> (Manifest, Vec<Vec<u8>>) {
    let mut rng = rng(seed);
    let mut sealer = FileSealer::new(FileSize::new(content.len().try_into().unwrap()).unwrap(), &mut rng);
    let mut rest = content;
    let mut chunks = Vec::new();
    while let Some(size) = sealer.next_size() {
        let (chunk, behind) = rest.split_at(size);
        chunks.push(sealer.seal(chunk).unwrap().0);
        rest = behind;
    }
    assert!(rest.is_empty());
    (sealer.finish(FileName::new("photo.jpg").unwrap()).unwrap(), chunks)
}

/// Opens a file from its first chunk to its last.
fn open(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<Vec<u8>, OpenError> {
    let mut opener = FileOpener::new(manifest.clone());
    let mut content = Vec::new();
    for chunk in chunks {
        content.extend_from_slice(&opener.open(chunk)?.0);
    }
    opener.finish().map(|()| content)
}

const THREE_CHUNKS: usize = 2 * CHUNK_SIZE + 100;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_file_of_any_size_opens_to_what_it_was(
        size in prop_oneof![0_usize..100, CHUNK_SIZE - 20..CHUNK_SIZE + 20, Just(2 * CHUNK_SIZE), 0..4 * CHUNK_SIZE],
    ) {
        let (manifest, chunks) = seal(&content(size), 130);
        prop_assert_eq!(chunks.len(), size.div_ceil(CHUNK_SIZE).max(1));
        prop_assert_eq!(open(&manifest, &chunks), Ok(content(size)));
    }

    #[test]
    fn a_transfer_goes_on_from_any_chunk(cut in 0_usize..4) {
        let (manifest, chunks) = seal(&content(THREE_CHUNKS), 131);
        let mut opener = FileOpener::new(manifest.clone());
        let mut all = Vec::new();
        let mut tags: Vec<Tag> = Vec::new();
        for chunk in &chunks[..cut.min(3)] {
            let (plaintext, tag) = opener.open(chunk).unwrap();
            all.extend_from_slice(&plaintext);
            tags.push(tag);
        }
        let mut opener = FileOpener::resume(manifest, &tags).unwrap();
        prop_assert_eq!(usize::try_from(opener.next()).unwrap(), tags.len());
        for chunk in &chunks[tags.len()..] {
            all.extend_from_slice(&opener.open(chunk).unwrap().0);
        }
        prop_assert_eq!(opener.finish(), Ok(()));
        prop_assert_eq!(all, content(THREE_CHUNKS));
    }

    #[test]
    fn a_chunk_that_changes_anywhere_is_refused(at: prop::sample::Index, bit in 0_u8..8) {
        let (manifest, mut chunks) = seal(&content(THREE_CHUNKS), 132);
        let at = at.index(chunks[1].len());
        chunks[1][at] ^= 1 << bit;
        prop_assert_eq!(open(&manifest, &chunks), Err(OpenError));
    }
}

#[test]
fn chunks_that_are_dropped_swapped_repeated_or_cut_are_refused() {
    let (manifest, chunks) = seal(&content(THREE_CHUNKS), 133);
    let [a, b, c] = [0, 1, 2].map(|at| chunks[at].clone());
    let (_, others) = seal(&content(THREE_CHUNKS), 134);
    let wrong: [Vec<Vec<u8>>; 9] = [
        vec![a.clone(), b.clone()],
        vec![a.clone(), c.clone()],
        vec![b.clone(), a.clone(), c.clone()],
        vec![a.clone(), a.clone(), c.clone()],
        vec![a.clone(), b.clone(), b.clone()],
        vec![a.clone(), b.clone(), c.clone(), c.clone()],
        vec![a.clone(), b[..b.len() - 16].to_vec(), c.clone()],
        vec![a, b, others[2].clone()],
        Vec::new(),
    ];
    for chunks in wrong {
        assert_eq!(open(&manifest, &chunks), Err(OpenError), "{} chunks", chunks.len());
    }
}

/// The sender has the keys, so that every chunk holds; the manifest says which chunks make the file.
#[test]
fn a_chunk_of_another_sealing_of_the_same_file_is_noticed_at_the_end() {
    let (manifest, mut chunks) = seal(&content(THREE_CHUNKS), 135);
    let mut changed = content(THREE_CHUNKS);
    changed[0] ^= 1;
    // The same id and key, for they come first.
    let (_, others) = seal(&changed, 135);
    chunks[0] = others[0].clone();
    let mut opener = FileOpener::new(manifest);
    chunks.iter().for_each(|chunk| assert!(opener.open(chunk).is_ok()));
    assert_eq!(opener.finish(), Err(OpenError));
}

/// A sender that was stopped does not know whether its last chunk arrived: what it sends again is the same chunk.
#[test]
fn a_sender_that_was_stopped_goes_on_with_the_same_chunks() {
    let content = content(THREE_CHUNKS);
    let (manifest, chunks) = seal(&content, 142);
    let tags: Vec<Tag> = chunks.iter().map(|chunk| Tag(*chunk.last_chunk().unwrap())).collect();
    for done in 0..=chunks.len() {
        let (id, key) = (manifest.file_id, manifest.file_key.clone());
        let mut sealer = FileSealer::resume(id, key, manifest.size, &tags[..done]).unwrap();
        assert_eq!(usize::try_from(sealer.next()).unwrap(), done);
        for (at, plaintext) in content.chunks(CHUNK_SIZE).enumerate().skip(done) {
            assert_eq!(sealer.seal(plaintext), Some((chunks[at].clone(), tags[at])), "chunk {at}");
        }
        assert_eq!(sealer.finish(manifest.name.clone()), Some(manifest.clone()));
    }
    let more = [tags.as_slice(), &tags[..1]].concat();
    assert!(FileSealer::resume(manifest.file_id, manifest.file_key, manifest.size, &more).is_none());
}

/// CBC shows where two plaintexts begin to differ, if both have the same key and IV.
#[test]
fn a_content_that_changed_meanwhile_is_sealed_under_another_iv() {
    let mut changed = content(100);
    *changed.last_mut().unwrap() ^= 1;
    let [(_, one), (_, other)] = [content(100), changed].map(|content| seal(&content, 143));
    assert_ne!(one[0][..16], other[0][..16]);
    assert_ne!(one[0][16..32], other[0][16..32]);
}

#[test]
fn a_shorter_file_cannot_pass_for_the_longer_one() {
    // The first chunk of a long file is not the last of a short one, under the same key.
    let (long, chunks) = seal(&content(THREE_CHUNKS), 137);
    let short = Manifest { size: FileSize::new(65_536).unwrap(), ..long };
    assert_eq!(open(&short, &chunks[..1]), Err(OpenError));
}

/// A sender may seal whatever it likes under the right keys: a chunk still has the size that its place gives it.
#[test]
fn a_chunk_of_another_size_than_its_places_is_refused() {
    use messageu_envelope::aead::AeadKey;
    let (manifest, chunks) = seal(&content(THREE_CHUNKS), 141);
    let place = [0; 9];
    let info = [b"MU3-FILE".as_slice(), &place].concat();
    let key = common::primitives::hkdf(&manifest.file_id.0, &manifest.file_key.0, &info);
    let aad = [manifest.file_id.0.as_slice(), &place].concat();
    let seal_first = |content: &[u8]| AeadKey::from_bytes(&key).seal(&aad, content, &mut rng(142)).encode();
    let open_first = |chunk: &[u8]| FileOpener::new(manifest.clone()).open(chunk).is_ok();
    assert!(open_first(&chunks[0]) && open_first(&seal_first(&content(CHUNK_SIZE))));
    for size in [0, 100, CHUNK_SIZE - 1, CHUNK_SIZE + 1] {
        assert!(!open_first(&seal_first(&content(size))), "{size}");
    }
}

#[test]
fn a_chunk_that_does_not_open_can_be_fetched_again() {
    let (manifest, chunks) = seal(&content(10), 138);
    let mut opener = FileOpener::new(manifest);
    assert_eq!(opener.open(b"nothing").unwrap_err(), OpenError);
    assert_eq!(*opener.open(&chunks[0]).unwrap().0, content(10));
    assert_eq!(opener.finish(), Ok(()));
}

#[test]
fn a_file_that_changes_while_it_is_sealed_is_not_sealed() {
    let mut sealer = FileSealer::new(FileSize::new(100).unwrap(), &mut rng(139));
    assert_eq!(sealer.seal(&[0; 99]), None);
    assert_eq!(sealer.finish(FileName::new("x").unwrap()), None);
}

#[test]
fn a_transfer_with_more_chunks_than_the_file_is_not_resumed() {
    let (manifest, _) = seal(&content(10), 140);
    assert!(FileOpener::resume(manifest, &[Tag([0; 32]); 2]).is_none());
}
