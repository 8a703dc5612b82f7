//! Files that there is no room for, and how they are given up.

use messageu_wire::envelope::field::{Digest, FileId};
use messageu_wire::envelope::file::{FileKey, FileName, FileSize, Manifest};
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::modern::field::{ChunkBytes, ChunkPlace};
use messageu_wire::modern::operation::put_chunk;

use super::*;
use crate::error::ErrorKind;
use crate::modern::contacts::known_peer;

/// More than any disk has.
const SIZE: u64 = 1 << 47;

/// Sends the manifest of a file that is larger than any disk, and one of its chunks.
async fn send_too_much(from: &User, to: &User, name: &str) {
    let file_id = FileId([u8::try_from(name.len()).unwrap(); 16]);
    let manifest = Manifest {
        file_id,
        file_key: FileKey([7; 64]),
        size: FileSize::new(SIZE).unwrap(),
        tags: Digest([0; 32]),
        name: FileName::new(name).unwrap(),
    };
    let place = ChunkPlace::new(0, manifest.size.chunks()).unwrap();
    let chunk = ChunkBytes::new(vec![1; 100]).unwrap();
    from.link.call(put_chunk::Request { to: to.id(), file_id, place, chunk }).await.unwrap();
    let account = from.account();
    let queued = account.store.write(|tx| {
        let mut peer = known_peer(tx, &Designation::Id(to.id()))?;
        account.queue(tx, &mut peer, BodyType::FILE, &manifest.encode(), None)
    });
    queued.unwrap();
    account.flush(&from.link).await.unwrap();
}

/// The files that stay, and what was said.
fn waiting(user: &User) -> Vec<(String, String, bool)> {
    let waiting = user.account().waiting().unwrap().into_iter();
    waiting.map(|file| (file.from.unwrap().to_string(), file.name, file.has_room)).collect()
}

#[tokio::test]
async fn a_file_without_room_stays_until_it_is_given_up() {
    let world = World::new();
    let (alice, mut bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    send_too_much(&alice, &bob, "huge").await;
    for _ in 0..2 {
        bob.account().receive(&bob.link, 0).await.unwrap();
        let unfetched = bob.account().fetch_files(&bob.link, &mut |_, _| ()).await.unwrap();
        assert_eq!((unfetched.len(), unfetched[0].error.kind()), (1, ErrorKind::File));
    }
    assert_eq!(waiting(&bob), [("alice".to_owned(), "huge".to_owned(), false)]);
    assert_eq!((bob.account().waiting_from(&who("alice")).unwrap().len(), bob.shown().len()), (1, 2));
    assert_eq!(bob.account().discard(&bob.link, &who("alice")).await.unwrap(), 1);
    assert_eq!(waiting(&bob), []);
    assert!(world.hub.chunks.borrow().is_empty(), "the server keeps it");
    assert_eq!(std::fs::read_dir(&bob.settings.downloads).unwrap().count(), 0);
    assert_eq!(bob.history("alice"), ["< hello", "< lost huge"]);
    // Neither the next time nor another process fetches it.
    bob.restart();
    assert_eq!(bob.receives().await, [""; 0]);
    assert_eq!(
        bob.account().waiting_from(&who("alice")).unwrap_err().kind(),
        ErrorKind::Peer,
        "nothing is left to be given up"
    );
}

#[tokio::test]
async fn the_files_of_others_stay() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    let carol = world.user("carol").await;
    for (sender, name) in [(&alice, "huge"), (&carol, "larger")] {
        sender.send("bob", "hello").await.unwrap();
        send_too_much(sender, &bob, name).await;
    }
    bob.receive().await.unwrap();
    assert_eq!(waiting(&bob).len(), 2);
    bob.account().discard(&bob.link, &who("alice")).await.unwrap();
    assert_eq!(waiting(&bob), [("carol".to_owned(), "larger".to_owned(), false)]);
    assert_eq!(world.hub.chunks.borrow().len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_given_up_at_the_server_stays_whole() {
    let world = World::new();
    let (alice, mut bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    send_too_much(&alice, &bob, "huge").await;
    bob.receive().await.unwrap();
    for fate in [super::hub::Fate::LostBefore, super::hub::Fate::LostAfter] {
        bob.link.fail(0, fate);
        bob.account().discard(&bob.link, &who("alice")).await.unwrap_err();
        bob.restart();
        bob.link.heal();
        assert_eq!(waiting(&bob).len(), 1);
    }
    assert_eq!(bob.account().discard(&bob.link, &who("alice")).await.unwrap(), 1);
    assert_eq!(waiting(&bob), []);
}
