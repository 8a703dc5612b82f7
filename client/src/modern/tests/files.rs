//! Files: whole or not at all, and resumed where they broke off.

use std::fs;
use std::path::{Path, PathBuf};

use super::hub::Fate;
use super::*;
use crate::error::ErrorKind;

const CHUNK: usize = 64 * 1024;

fn content(size: usize) -> Vec<u8> {
    let block: Vec<u8> = (0..=255).collect();
    let mut content = Vec::with_capacity(size + 256);
    while content.len() < size {
        content.extend_from_slice(&block);
        content.push(u8::try_from(content.len() / 257 % 256).unwrap());
    }
    content.truncate(size);
    content
}

fn write(user: &User, name: &str, content: &[u8]) -> PathBuf {
    let path = user.dir.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

async fn send_file(user: &User, to: &str, path: &Path) -> Result<()> {
    user.account().begin_session(&user.link, &who(to)).await?;
    user.account().send_file(&user.link, &who(to), path, &mut |_, _| ()).await?;
    user.account().flush(&user.link).await.map(drop)
}

fn downloads(user: &User) -> Vec<String> {
    let Ok(files) = fs::read_dir(&user.settings.downloads) else { return Vec::new() };
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn download(user: &User, name: &str) -> Vec<u8> {
    fs::read(user.settings.downloads.join(name)).unwrap()
}

#[tokio::test]
async fn a_file_of_any_size_arrives_whole_under_its_name() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let (alice, bob) = world.pair().await;
    for (name, size) in [("empty", 0), ("small.txt", 5), ("chunk", CHUNK), ("large", 20 * CHUNK + 1)] {
        let path = write(&alice, name, &content(size));
        send_file(&alice, "bob", &path).await.unwrap();
        assert_eq!(bob.receives().await.last().unwrap(), &format!("alice: file {name} of {size}"));
        assert!(download(&bob, name) == content(size), "{name}");
        let mode = fs::metadata(bob.settings.downloads.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(world.hub.chunks.borrow().is_empty(), "the server keeps chunks that were fetched");
    assert_eq!(downloads(&bob), ["chunk", "empty", "large", "small.txt"]);
}

#[tokio::test]
async fn nothing_is_told_of_a_file_before_the_server_has_all_of_it() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hi").await.unwrap();
    bob.receives().await;
    let path = write(&alice, "file", &content(9 * CHUNK));
    let told = || world.hub.log.borrow().iter().filter(|(to, _)| *to == bob.id()).count();
    let before = told();
    // The last of the chunks is refused, or its answer is lost.
    alice.link.fail(8, Fate::LostBefore);
    send_file(&alice, "bob", &path).await.unwrap_err();
    assert!((1..9).contains(&world.hub.chunks.borrow().len()), "another call was lost than one of a chunk");
    assert_eq!(told(), before);
    alice.link.heal();
    send_file(&alice, "bob", &path).await.unwrap();
    assert_eq!(told(), before + 1);
}

#[tokio::test]
async fn a_file_never_takes_the_place_of_another() {
    let (alice, bob) = World::new().pair().await;
    for text in ["first", "second"] {
        let path = write(&alice, "a.txt", text.as_bytes());
        send_file(&alice, "bob", &path).await.unwrap();
        bob.receives().await;
    }
    assert_eq!(downloads(&bob), ["a (1).txt", "a.txt"]);
    assert_eq!(
        (download(&bob, "a.txt"), download(&bob, "a (1).txt")),
        (b"first".to_vec(), b"second".to_vec())
    );
}

#[tokio::test]
async fn sending_and_fetching_go_on_after_a_crash_at_any_call() {
    let size = 9 * CHUNK + 77;
    for fate in [Fate::LostBefore, Fate::LostAfter] {
        for at in 0..24 {
            let world = World::new();
            let (mut alice, mut bob) = world.pair().await;
            let path = write(&alice, "file", &content(size));
            alice.link.fail(at, fate);
            let mut sent = send_file(&alice, "bob", &path).await;
            if sent.is_err() {
                alice.restart();
                alice.link.heal();
                // What is in the outbox is on its way; what is not is sent again.
                let said = alice.account().history(&who("bob"), 1).unwrap_or_default();
                if said.is_empty() {
                    sent = send_file(&alice, "bob", &path).await;
                } else {
                    sent = alice.account().flush(&alice.link).await.map(drop);
                }
            }
            sent.unwrap();
            bob.link.fail(at, fate);
            if bob.receive().await.is_err() {
                bob.restart();
                bob.link.heal();
                bob.receive().await.unwrap();
            }
            bob.link.heal();
            let files: Vec<_> = bob.shown().into_iter().filter(|shown| shown.contains("file")).collect();
            assert_eq!(files, [format!("alice: file file of {size}")], "{fate:?} {at}");
            assert_eq!(downloads(&bob), ["file"], "{fate:?} {at}");
            assert!(download(&bob, "file") == content(size));
            assert_eq!(bob.history("alice"), [format!("< file file of {size}")]);
        }
    }
}

#[tokio::test]
async fn a_large_file_is_not_sent_or_fetched_from_the_beginning_again() {
    let chunks = 150;
    let (mut alice, mut bob) = World::new().pair().await;
    let path = write(&alice, "file", &content(chunks * CHUNK));
    alice.send("bob", "hi").await.unwrap();
    bob.receives().await;
    alice.link.fail(140, Fate::LostBefore);
    send_file(&alice, "bob", &path).await.unwrap_err();
    alice.restart();
    alice.link.heal();
    let before = alice.link.calls.get();
    send_file(&alice, "bob", &path).await.unwrap();
    let again = alice.link.calls.get() - before;
    assert!(again < chunks - 64, "{again} calls");
    bob.link.fail(140, Fate::LostBefore);
    bob.receive().await.unwrap_err();
    bob.restart();
    bob.link.heal();
    let before = bob.link.calls.get();
    bob.receive().await.unwrap();
    let again = bob.link.calls.get() - before;
    assert!(again < chunks - 64, "{again} calls");
    assert!(download(&bob, "file") == content(chunks * CHUNK));
}

#[tokio::test]
async fn a_file_that_changes_between_two_tries_is_sent_as_it_is_now() {
    let size = 100 * CHUNK;
    for changed_at in [0, 90 * CHUNK] {
        let (alice, bob) = World::new().pair().await;
        let path = write(&alice, "file", &content(size));
        alice.link.fail(95, Fate::LostAfter);
        send_file(&alice, "bob", &path).await.unwrap_err();
        alice.link.heal();
        let mut changed = content(size);
        changed[changed_at] ^= 1;
        fs::write(&path, &changed).unwrap();
        send_file(&alice, "bob", &path).await.unwrap();
        bob.receive().await.unwrap();
        assert!(download(&bob, "file") == changed, "{changed_at}");
    }
}

#[tokio::test]
async fn a_part_that_somebody_cut_or_removed_is_fetched_again() {
    let size = 100 * CHUNK;
    for cut in [None, Some(10)] {
        let (alice, bob) = World::new().pair().await;
        let path = write(&alice, "file", &content(size));
        send_file(&alice, "bob", &path).await.unwrap();
        bob.link.fail(95, Fate::LostBefore);
        bob.receive().await.unwrap_err();
        bob.link.heal();
        let [part] = <[String; 1]>::try_from(downloads(&bob)).unwrap();
        assert!(part.ends_with(".part"));
        let part = bob.settings.downloads.join(part);
        match cut {
            None => fs::remove_file(part).unwrap(),
            Some(length) => fs::File::options().write(true).open(part).unwrap().set_len(length).unwrap(),
        }
        bob.receive().await.unwrap();
        assert!(download(&bob, "file") == content(size));
    }
}

#[tokio::test]
async fn chunks_that_are_damaged_swapped_or_of_another_file_never_become_a_file() {
    for attack in 0..3 {
        let world = World::new();
        let (alice, bob) = world.pair().await;
        let path = write(&alice, "file", &content(3 * CHUNK));
        send_file(&alice, "bob", &path).await.unwrap();
        {
            let mut chunks = world.hub.chunks.borrow_mut();
            let keys: Vec<_> = chunks.keys().copied().collect();
            match attack {
                0 => chunks.get_mut(&keys[1]).unwrap().1[100] ^= 1,
                1 => {
                    let (first, second) = (chunks[&keys[0]].clone(), chunks[&keys[1]].clone());
                    chunks.insert(keys[0], second);
                    chunks.insert(keys[1], first);
                }
                _ => {
                    let first = chunks[&keys[0]].clone();
                    chunks.insert(keys[2], first);
                }
            }
        }
        for _ in 0..4 {
            bob.account().receive(&bob.link, 0).await.unwrap();
            let unfetched = bob.account().fetch_files(&bob.link, &mut |_, _| ()).await.unwrap();
            assert_eq!(unfetched[0].error.kind(), ErrorKind::Data, "{attack}");
            assert!(!downloads(&bob).contains(&"file".to_owned()));
        }
        assert_eq!(bob.receives().await, ["alice: new", "alice: lost file"], "{attack}");
        assert_eq!(downloads(&bob), [""; 0]);
    }
}

#[tokio::test]
async fn a_file_that_the_server_has_dropped_is_lost_visibly() {
    let world = World::new();
    let (alice, bob) = world.pair().await;
    let path = write(&alice, "file", &content(3 * CHUNK));
    send_file(&alice, "bob", &path).await.unwrap();
    world.hub.chunks.borrow_mut().clear();
    assert_eq!(bob.receives().await, ["alice: new", "alice: lost file"]);
    assert_eq!(bob.history("alice"), ["< lost file"]);
}

#[tokio::test]
async fn what_is_no_file_is_not_sent() {
    let (alice, _bob) = World::new().pair().await;
    let missing = alice.dir.path().join("missing");
    assert_eq!(send_file(&alice, "bob", &missing).await.unwrap_err().kind(), ErrorKind::File);
    assert_eq!(send_file(&alice, "bob", alice.dir.path()).await.unwrap_err().kind(), ErrorKind::File);
    let named = write(&alice, "a:b", b"x");
    let error = send_file(&alice, "bob", &named).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("another name"), "{error:?}");
}
