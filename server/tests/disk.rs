//! Disks that are full and logs that are damaged: nothing acknowledged is lost, and all goes on afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]
#![allow(dead_code, reason = "not every test file uses all of the support")]

mod support;

use std::path::Path;

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use messageu_wire::operation::list_clients;
use messageu_wire::operations::Request;
use support::disk::SmallDisk;
use support::{Answer, Peer, Server, cannot_run_here, until};

const LIST: Request = Request::ListClients(list_clients::Request);

fn contents(peer: &Peer) -> Vec<Vec<u8>> {
    peer.pull().into_iter().map(|(_, content)| content).collect()
}

/// Sends numbered messages until one is refused; gives those that were acknowledged.
fn send_until_refused(peer: &Peer, size: usize) -> Vec<Vec<u8>> {
    let mut acknowledged = Vec::new();
    loop {
        assert!(acknowledged.len() < 10_000, "a full disk takes everything");
        let mut content = vec![7; size];
        content[..8].copy_from_slice(&acknowledged.len().to_be_bytes());
        match peer.send(peer.id, MessageType::TEXT, &content) {
            Answer::Response(_) => acknowledged.push(content),
            Answer::Refused => return acknowledged,
        }
    }
}

#[test]
fn a_disk_that_fills_up_refuses_loses_nothing_and_recovers_when_mail_is_taken() {
    for (reserve, size) in [("10", 3_000), ("10", 40_000), ("10", 300_000), ("1", 3_000)] {
        let Some(disk) = SmallDisk::mount(16) else { return cannot_run_here("no small disk can be mounted") };
        println!("a reserve of {reserve} percent, contents of {size} bytes");
        let options = ["--min-free-disk", reserve, "--log", "error"];
        let server = Server::start(disk.path(), &["127.0.0.1:0"], &options);
        let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
        for _ in 0..3 {
            let acknowledged = send_until_refused(&peer, size);
            assert!(!acknowledged.is_empty(), "nothing was taken after the disk had been full");
            assert!(contents(&peer) == acknowledged);
            // As large as the others: what they took is given back bit by bit.
            let again = vec![9; size];
            until("room", || matches!(peer.send(peer.id, MessageType::TEXT, &again), Answer::Response(_)));
            assert!(contents(&peer) == [again]);
        }
    }
}

#[test]
fn a_disk_that_others_fill_to_the_last_byte_refuses_and_recovers_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(16) else { return cannot_run_here("no small disk can be mounted") };
    // Without a reserve, so that it is the store itself that fails.
    let server = Server::start(disk.path(), &["127.0.0.1:0"], &["--min-free-disk", "0", "--log", "off"]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let mut acknowledged = vec![b"before".to_vec()];
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, b"before"), Answer::Response(_)));
    // What is left, the server uses up itself.
    let filler = disk.fill(256 << 10);
    acknowledged.extend(send_until_refused(&peer, 3_000));
    assert_eq!(peer.send(peer.id, MessageType::FILE, &[7; 1 << 20]), Answer::Refused);
    let while_full = contents(&peer);
    assert!(while_full == acknowledged);

    std::fs::remove_file(filler).unwrap();
    until("room", || matches!(peer.send(peer.id, MessageType::TEXT, b"after"), Answer::Response(_)));
    // What could not be deleted while there was no room may come once more, before what is new.
    let mail = contents(&peer);
    let (newest, again) = mail.split_last().unwrap();
    assert_eq!(newest, b"after");
    assert!(acknowledged.ends_with(again));
    until("an empty queue", || contents(&peer).is_empty());
}

#[test]
fn a_server_that_is_killed_on_a_full_disk_starts_when_there_is_room_with_what_it_acknowledged() {
    let Some(disk) = SmallDisk::mount(16) else { return cannot_run_here("no small disk can be mounted") };
    let filler = disk.fill(6 << 20);
    let options = ["--min-free-disk", "0", "--log", "off"];
    let server = Server::start(disk.path(), &["127.0.0.1:0"], &options);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let acknowledged = send_until_refused(&peer, 40_000);
    server.kill();
    std::fs::remove_file(filler).unwrap();
    let server = Server::start(disk.path(), &["127.0.0.1:0"], &options);
    let peer = Peer { address: server.addresses[0], ..peer };
    assert!(contents(&peer) == acknowledged);
}

/// A database whose log holds so many messages that are nowhere else, as a kill leaves it behind.
fn killed_with_a_log(data: &Path, messages: u8) -> Peer {
    let server = Server::start(data, &["127.0.0.1:0"], &[]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    for number in 0..messages {
        assert!(matches!(peer.send(peer.id, MessageType::TEXT, &[number; 500]), Answer::Response(_)));
    }
    server.kill();
    peer
}

#[test]
fn a_log_that_is_damaged_or_cut_anywhere_costs_what_is_behind_the_damage_and_no_more() {
    const MESSAGES: u8 = 10;
    let original = tempfile::tempdir().unwrap();
    let peer = killed_with_a_log(original.path(), MESSAGES);
    let log = std::fs::read(original.path().join("messageu.db-wal")).unwrap();
    let mut left = Vec::new();
    for tenth in 0..=10 {
        for cut in [false, true] {
            let data = tempfile::tempdir().unwrap();
            for file in ["messageu.db", "messageu.db-wal"] {
                std::fs::copy(original.path().join(file), data.path().join(file)).unwrap();
            }
            let at = log.len() * tenth / 10;
            let mut damaged = log.clone();
            if cut {
                damaged.truncate(at);
            } else {
                damaged.iter_mut().skip(at).take(100).for_each(|byte| *byte ^= 0x55);
            }
            std::fs::write(data.path().join("messageu.db-wal"), damaged).unwrap();

            let server = Server::start(data.path(), &["127.0.0.1:0"], &["--log", "off"]);
            let peer = Peer { address: server.addresses[0], ..peer.clone() };
            let known = peer.ask(&LIST, &[]) != Answer::Refused;
            let mail = if known { contents(&peer) } else { Vec::new() };
            let expected: Vec<Vec<u8>> = (0..MESSAGES).map(|number| vec![number; 500]).collect();
            assert!(mail == expected[..mail.len()], "damage at {at}, cut: {cut}");
            left.push((tenth, mail.len()));
            let newcomer = Peer::register(server.addresses[0], peer.dialect, "newcomer");
            assert!(matches!(newcomer.send(newcomer.id, MessageType::TEXT, b"new"), Answer::Response(_)));
            assert_eq!(contents(&newcomer), [b"new"]);
        }
    }
    assert!(left.is_sorted_by_key(|(_, mail)| *mail), "{left:?}");
    assert_eq!(left.last().unwrap().1, usize::from(MESSAGES), "{left:?}");
}
