//! A file is what its sender sealed, whole, under a name in the directory for files and no other; or it is none.

use messageu_client::ErrorKind;
use messageu_envelope::file::FileSealer;
use messageu_wire::envelope::file::{FileName, FileSize, MANIFEST_HEADER_SIZE, Manifest};
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{ChunkBytes, ChunkPlace};
use messageu_wire::modern::operation::put_chunk;

use crate::harness::forgery::frame;
use crate::harness::{Person, Stolen, World, content};

const CHUNK: usize = 64 * 1024;
const SIZE: usize = 3 * CHUNK + 77;

/// Two, of whom one has sent the other a file of four chunks.
async fn sent(world: &World) -> (Person, Person) {
    let (alice, bob) = world.pair().await;
    alice.send_file("bob", "file", &content(SIZE)).await.unwrap();
    (alice, bob)
}

/// What a server gives in place of the chunks never becomes a file; what it gives at last, honest again, does.
async fn is_no_file(world: &World, (alice, bob): (&Person, &Person)) {
    for _ in 0..2 {
        bob.account.receive(&bob.server, 0).await.unwrap();
        let unfetched = bob.account.fetch_files(&bob.server, &mut |_, _| ()).await.unwrap();
        assert_eq!(unfetched[0].error.kind(), ErrorKind::Data);
        assert!(!bob.downloads().contains(&"file".to_owned()), "{:?}", bob.downloads());
    }
    world.store.repent();
    assert_eq!(bob.receives().await, ["alice: new".to_owned(), format!("alice: file file of {SIZE}")]);
    assert!(bob.download("file") == content(SIZE));
    alice.send("bob", "did it come?").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: did it come?"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_chunk() {
    let world = World::new().await;
    let (alice, bob) = sent(&world).await;
    let mut first = None;
    world.store.change_chunks(move |(index, chunk)| {
        if index == 0 {
            first = chunk.clone();
        }
        (index, if index == 1 { first.clone() } else { chunk })
    });
    is_no_file(&world, (&alice, &bob)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicated_chunk() {
    let world = World::new().await;
    let (alice, bob) = sent(&world).await;
    // 0 0 1 2 in the place of 0 1 2 3.
    let mut before = None;
    world.store.change_chunks(move |(index, chunk)| {
        let given = before.clone().filter(|_| index > 0).or(chunk.clone());
        before = chunk;
        (index, given)
    });
    is_no_file(&world, (&alice, &bob)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_chunk() {
    let world = World::new().await;
    let (alice, bob) = sent(&world).await;
    world.store.change_chunks(|(index, chunk)| {
        let cut = if index == 3 { 16 } else { 0 };
        (index, chunk.map(|chunk| chunk.slice(..chunk.len() - cut)))
    });
    is_no_file(&world, (&alice, &bob)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_chunk() {
    let world = World::new().await;
    let (alice, bob) = sent(&world).await;
    world.store.change_chunks(|(index, chunk)| {
        let mut bytes = chunk.unwrap().to_vec();
        bytes[30 * index as usize] ^= 1;
        (index, Some(bytes.into()))
    });
    is_no_file(&world, (&alice, &bob)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_of_another_file() {
    let world = World::new().await;
    let (alice, bob) = sent(&world).await;
    let carol = world.person("carol").await;
    carol.send_file("bob", "other", &content(SIZE)).await.unwrap();
    // Each of the two gets the other's second chunk.
    let mut held = None;
    world.store.change_chunks(move |(index, chunk)| {
        (index, if index == 1 { held.replace(chunk.clone()).unwrap_or(chunk) } else { chunk })
    });
    bob.account.receive(&bob.server, 0).await.unwrap();
    bob.account.fetch_files(&bob.server, &mut |_, _| ()).await.unwrap();
    // The first that was fetched got its own, the second that of the first.
    let complete: Vec<_> = bob.downloads().into_iter().filter(|name| !name.ends_with(".part")).collect();
    assert_eq!(complete.len(), 1, "{complete:?}");
    assert!(bob.download(&complete[0]) == content(SIZE));
    world.store.repent();
    bob.receives().await;
    assert_eq!(bob.downloads(), ["file", "other"]);
    alice.send("bob", "both?").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: both?"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_chunk() {
    let world = World::new().await;
    let (alice, bob) = sent(&world).await;
    world.store.change_chunks(|(index, chunk)| (index, chunk.filter(|_| index != 2)));
    // A chunk that the server does not have will not come any more: the user is told that the file is lost.
    assert_eq!(bob.receives().await, ["alice: new", "alice: lost file"]);
    assert_eq!(bob.downloads(), [""; 0]);
    world.store.repent();
    alice.send_file("bob", "file", &content(SIZE)).await.unwrap();
    assert_eq!(bob.receives().await, [format!("alice: file file of {SIZE}")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_chunk_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.classic_pair().await;
    let path = alice.dir.path().join("file");
    std::fs::write(&path, content(SIZE)).unwrap();
    alice.session.send_file("bob", &path, &mut |_, _| ()).await.unwrap();
    let sealed = world.classic().pull(bob.id(), true).await.unwrap().remove(0).1;
    // Everything but the first 64 KiB, and then everything but some in the middle.
    let without_first = sealed[CHUNK..].to_vec();
    let without_second = [&sealed[..CHUNK], &sealed[2 * CHUNK..]].concat();
    for cut in [without_first, without_second] {
        world.classic().send(alice.id(), bob.id(), MessageType::FILE, &cut).await.unwrap();
        assert_eq!(bob.receives().await, ["alice: file"]);
    }
    let sizes: Vec<_> = bob.downloads().iter().map(Vec::len).collect();
    assert_eq!(sizes, [SIZE - CHUNK; 2], "two files that nobody sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn path_traversal_in_file_names() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    // Alice's program is one of her own, and calls its files as it likes.
    let mut session = Stolen::of(&alice).sessions().remove(0);
    let inside = bob.settings.downloads.join("inside").display().to_string();
    let names: &[&[u8]] = &[
        b"../evil",
        b"../../.messageu/v3/keys",
        b"/tmp/evil",
        b"..",
        b".",
        b"",
        b"a/b",
        b"a\\b",
        b"C:evil",
        b"evil\0.txt",
        b"evil\n.txt",
        b"\x1b[2Jevil",
        "evil\u{202e}txt.exe".as_bytes(),
        b"\xff\xfe",
        &[b'a'; 300],
        inside.as_bytes(),
    ];
    let before = tree(bob.dir.path());
    for name in names {
        let manifest = [&manifest(&alice, bob.id()).await[..], name].concat();
        let (envelope, next) = session.seal(&frame(BodyType::FILE, &manifest), &mut rand::rng()).unwrap();
        session = next;
        world.store.put(bob.id(), envelope).await;
        assert_eq!(bob.receives().await, ["alice: unknown 4"], "{:?}", String::from_utf8_lossy(name));
    }
    assert_eq!(tree(bob.dir.path()), before, "something was written");
    // With a name that is one, the same is a file.
    let manifest = [&manifest(&alice, bob.id()).await[..], b"good"].concat();
    let (envelope, _) = session.seal(&frame(BodyType::FILE, &manifest), &mut rand::rng()).unwrap();
    world.store.put(bob.id(), envelope).await;
    assert_eq!(bob.receives().await, ["alice: file good of 5"]);
    assert_eq!(bob.download("good"), b"hello");
}

/// A manifest up to its name, of a file that is with the server.
async fn manifest(alice: &Person, to: ClientId) -> Vec<u8> {
    let mut sealer = FileSealer::new(FileSize::new(5).unwrap(), &mut rand::rng());
    let file_id = sealer.file_id();
    let (sealed, _) = sealer.seal(b"hello").unwrap();
    let place = ChunkPlace::new(0, 1).unwrap();
    let chunk = ChunkBytes::new(sealed).unwrap();
    alice.server.call(put_chunk::Request { to, file_id, place, chunk }).await.unwrap();
    let manifest: Manifest = sealer.finish(FileName::new("n").unwrap()).unwrap();
    manifest.encode()[..MANIFEST_HEADER_SIZE].to_vec()
}

/// The names of all files below a directory, but for what SQLite and downloads come and go with.
fn tree(dir: &std::path::Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && !entry.ends_with("downloads") {
            all.extend(tree(&entry));
        } else if !entry.ends_with("downloads") {
            all.push(entry.display().to_string());
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_the_place_of_another() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    std::fs::create_dir_all(&bob.settings.downloads).unwrap();
    let outside = bob.dir.path().join("diary");
    std::fs::write(&outside, "dear diary").unwrap();
    std::fs::write(bob.settings.downloads.join("report.txt"), "mine").unwrap();
    std::os::unix::fs::symlink(&outside, bob.settings.downloads.join("link.txt")).unwrap();
    for name in ["report.txt", "link.txt"] {
        alice.send_file("bob", name, b"theirs").await.unwrap();
        bob.receives().await;
    }
    assert_eq!(bob.downloads(), ["link (1).txt", "link.txt", "report (1).txt", "report.txt"]);
    assert_eq!(
        (bob.download("report.txt"), bob.download("report (1).txt")),
        (b"mine".into(), b"theirs".into())
    );
    assert_eq!(std::fs::read(&outside).unwrap(), b"dear diary");
    assert_eq!(bob.download("link (1).txt"), b"theirs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_tells_of_less() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    // Three chunks are sealed and put; the manifest has the size of the first two, and fits else.
    let mut sealer = FileSealer::new(FileSize::new(3 * CHUNK as u64).unwrap(), &mut rand::rng());
    let file_id = sealer.file_id();
    for (index, piece) in content(3 * CHUNK).chunks(CHUNK).enumerate() {
        let chunk = ChunkBytes::new(sealer.seal(piece).unwrap().0).unwrap();
        let place = ChunkPlace::new(index as u32, 3).unwrap();
        alice.server.call(put_chunk::Request { to: bob.id(), file_id, place, chunk }).await.unwrap();
    }
    let manifest = sealer.finish(FileName::new("file").unwrap()).unwrap();
    let size = FileSize::new(2 * CHUNK as u64).unwrap();
    let less = Manifest { size, ..manifest };
    let envelope = Stolen::of(&alice).seals(BodyType::FILE, &less.encode());
    world.store.put(bob.id(), envelope).await;
    bob.account.receive(&bob.server, 0).await.unwrap();
    let unfetched = bob.account.fetch_files(&bob.server, &mut |_, _| ()).await.unwrap();
    assert_eq!(unfetched[0].error.kind(), ErrorKind::Data);
    for _ in 0..5 {
        bob.account.fetch_files(&bob.server, &mut |_, _| ()).await.unwrap();
    }
    assert_eq!((bob.shown(), bob.downloads()), (vec!["alice: lost file".to_owned()], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_chunk_under_the_same_place() {
    let world = World::new().await;
    let (alice, bob) = sent(&world).await;
    bob.account.receive(&bob.server, 0).await.unwrap();
    let file_id = Stolen::of(&bob).manifests()[0].file_id;
    // Carol has heard of the file's number, and puts something of hers where the chunks are.
    let carol = world.person("carol").await;
    let place = ChunkPlace::new(1, 4).unwrap();
    let chunk = ChunkBytes::new(vec![7; 65_600]).unwrap();
    let put = put_chunk::Request { to: bob.id(), file_id, place, chunk };
    assert_eq!(carol.server.call(put).await.unwrap_err().code(), Some(ErrorCode::CONFLICT));
    assert_eq!(bob.receives().await, ["alice: new".to_owned(), format!("alice: file file of {SIZE}")]);
    assert!(bob.download("file") == content(SIZE));
    assert_eq!(alice.account.queued().unwrap(), 0);
}
