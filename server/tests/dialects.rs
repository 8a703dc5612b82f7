//! Users of every dialect talk to users of every other through one server.

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

use messageu_wire::dialect::{Dialect, RecognisedBy};
use messageu_wire::fields::{ClientId, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{delete_client, fetch_key, list_clients, pull_messages};
use messageu_wire::operations::{Request, Response};
use support::{Answer, Peer, Server};

/// Somebody in each dialect, on one server; those whose dialect cannot be recognised on listeners of their own.
fn everybody(data: &std::path::Path) -> (Server, Vec<(String, Peer)>) {
    let dialects: Vec<Dialect> = Dialect::all().collect();
    let pinned: Vec<&Dialect> =
        dialects.iter().filter(|dialect| dialect.profile.recognised_by == RecognisedBy::Pin).collect();
    let mut listen = vec!["127.0.0.1:0".to_owned()];
    listen.extend(pinned.iter().map(|dialect| format!("127.0.0.1:0,profile={}", dialect.profile)));
    let server = Server::start(data, &listen.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let peers = dialects
        .iter()
        .map(|dialect| {
            let listener = pinned.iter().position(|other| *other == dialect).map_or(0, |at| at + 1);
            let name = dialect.to_string();
            (name.clone(), Peer::register(server.addresses[listener], *dialect, &name))
        })
        .collect();
    (server, peers)
}

#[test]
fn everybody_writes_to_everybody_across_all_dialects() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peers) = everybody(data.path());
    for (name, peer) in &peers {
        let mut listed: Vec<String> = peer.roster().into_iter().map(|(name, _)| name).collect();
        listed.sort();
        let mut others: Vec<String> =
            peers.iter().map(|(other, _)| other.clone()).filter(|other| other != name).collect();
        others.sort();
        assert_eq!(listed, others, "{name}");
    }
    for (from, sender) in &peers {
        for (to, _) in &peers {
            // One may write to oneself too; one's own id is in no list.
            let target = if from == to { sender.id } else { sender.id_of(to) };
            let content = format!("from {from} to {to}");
            match sender.send(target, MessageType::TEXT, content.as_bytes()) {
                Answer::Response(Response::SendMessage(receipt)) => {
                    assert_eq!(receipt.to.unwrap_or(target), target)
                }
                other => panic!("{from} to {to}: {other:?}"),
            }
        }
    }
    for (to, peer) in &peers {
        let mail = peer.pull();
        assert_eq!(mail.len(), peers.len(), "{to}");
        for ((from, _), (sender, content)) in peers.iter().zip(mail) {
            assert_eq!(String::from_utf8(content).unwrap(), format!("from {from} to {to}"));
            assert_eq!(sender, if from == to { peer.id } else { peer.id_of(from) }, "{from} to {to}");
        }
        assert_eq!(peer.pull(), [], "{to}: delivered mail is gone");
    }
}

#[test]
fn every_type_of_message_and_size_of_content_arrives_in_every_dialect() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peers) = everybody(data.path());
    let sizes = [0, 1, 15, 979, 980, 981, 1024, 10_000, 65_535, 65_536, 65_537, 300_000];
    for (name, peer) in &peers {
        let most = peer.dialect.profile.fixed_send.map_or(usize::MAX, |_| 10_000);
        let fits: Vec<usize> = sizes.into_iter().filter(|size| *size <= most).collect();
        for size in &fits {
            let content = vec![0xa5; *size];
            for kind in 1..=4 {
                assert!(
                    matches!(peer.send(peer.id, MessageType(kind), &content), Answer::Response(_)),
                    "{name} {size}"
                );
            }
        }
        let mail = peer.pull();
        assert_eq!(mail.len(), 4 * fits.len());
        for (at, (size, (_, content))) in fits.iter().flat_map(|size| [size; 4]).zip(mail).enumerate() {
            // A key request's content means nothing; where an empty one would not be seen, it is filled up.
            let filled = at == 0 && peer.dialect.profile.name == "size-before-type";
            let expected = if filled { vec![0; 128] } else { vec![0xa5; *size] };
            assert!(content == expected, "{name} {size}");
        }
    }
}

#[test]
fn every_failure_is_a_refusal_in_the_askers_dialect_and_the_connection_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peers) = everybody(data.path());
    // Nothing in a request of `aligned` from an unknown client tells it from the plain dialect.
    let told_apart = |peer: &Peer| !peer.dialect.profile.closes && peer.dialect.profile.name != "aligned";
    for (name, peer) in peers.iter().filter(|(_, peer)| told_apart(peer)) {
        let nobody = Peer { id: ClientId([0x5a; 16]), ..peer.clone() };
        let mut stream = nobody.connect();
        for request in [
            Request::ListClients(list_clients::Request),
            Request::PullMessages(pull_messages::Request),
            Request::FetchKey(fetch_key::Request { client_id: nobody.id }),
        ] {
            assert_eq!(nobody.ask_on(&mut stream, &request, &[]), Answer::Refused, "{name}: {request:?}");
        }
        let send = |to, kind, size| {
            Request::SendMessage(messageu_wire::operation::send_message::Request {
                to,
                kind: MessageType(kind),
                size,
            })
        };
        assert_eq!(
            nobody.ask_on(&mut stream, &send(peer.id, 3, 5), b"hello"),
            Answer::Refused,
            "{name}: from nobody"
        );
        assert_eq!(
            peer.ask_on(&mut stream, &send(nobody.id, 3, 5), b"hello"),
            Answer::Refused,
            "{name}: to nobody"
        );
        if peer.dialect.profile.fixed_send.is_none() {
            assert_eq!(
                peer.ask_on(&mut stream, &send(peer.id, 9, 5), b"hello"),
                Answer::Refused,
                "{name}: type 9"
            );
        }
        let key =
            peer.ask_on(&mut stream, &Request::FetchKey(fetch_key::Request { client_id: peer.id }), &[]);
        match key {
            Answer::Response(Response::FetchKey(key)) => {
                assert_eq!(key.public_key, PublicKey([7; 160]), "{name}")
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn only_clients_of_the_dialect_that_has_it_can_be_deleted() {
    let data = tempfile::tempdir().unwrap();
    let (_server, peers) = everybody(data.path());
    let find = |name: &str| peers.iter().find(|(other, _)| other == name).unwrap().1.clone();
    let (doomed, safe) = (find("d/big-endian"), find("d"));
    let delete = Request::DeleteClient(delete_client::Request);
    let posing = Peer { id: safe.id, ..doomed.clone() };
    assert_eq!(posing.ask(&delete, &[]), Answer::Refused);
    assert_eq!(safe.ask(&delete, &[]), Answer::Refused);
    assert!(matches!(doomed.ask(&delete, &[]), Answer::Response(Response::DeleteClient(_))));
    assert!(safe.roster().iter().all(|(name, _)| name != "d/big-endian"));
    assert_eq!(doomed.ask(&delete, &[]), Answer::Refused);
}
