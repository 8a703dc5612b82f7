//! Version 3 and the classic dialects share a server, and nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::{ClientId, Name, NameField, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::encode_request;
use messageu_wire::modern::operation::{fetch_keys, hello, look_up};
use messageu_wire::operation::{fetch_key, list_clients, pull_messages, register, send_message};
use messageu_wire::operations::Request;

use crate::harness::{Classic, World};
use crate::modern::{Modern, User, mail, text_of};

/// All bytes that a server answers a classic request with.
fn answer(world: &World, dialect: Dialect, asker: ClientId, request: &Request, content: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.place).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = dialect.encode_request(1, asker, request).unwrap();
    bytes.extend_from_slice(content);
    stream.write_all(&bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(!answer.is_empty());
    answer
}

/// What a classic client can ask that names somebody.
fn requests_naming(id: ClientId) -> Vec<(Request, &'static [u8])> {
    let send = |kind| Request::SendMessage(send_message::Request { to: id, kind, size: 5 });
    vec![
        (Request::FetchKey(fetch_key::Request { client_id: id }), &b""[..]),
        (send(MessageType::TEXT), b"hello"),
        (send(MessageType::KEY_REQUEST), b"hello"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_request_that_names_a_version_3_id() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let nobody = ClientId([0x77; 16]);
    for family in Family::ALL {
        let dialect = Dialect::classic(family);
        let asker = Classic::at(world.place, dialect).register(&format!("classic{family}")).await;
        for ((about_bob, content), (about_nobody, _)) in
            requests_naming(bob.id()).into_iter().zip(requests_naming(nobody))
        {
            let [bobs, nobodys] =
                [&about_bob, &about_nobody].map(|request| answer(&world, dialect, asker, request, content));
            assert_eq!(bobs, nobodys, "{dialect}: {about_bob:?}");
        }
    }
    assert_eq!(world.store.waiting(bob.id()).await, 0);
    assert_eq!(bob.receives().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_request_of_a_version_3_id() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "for bob alone").await.unwrap();
    let classic = world.classic().register("classic").await;
    let dialect = Dialect::classic(Family::E);
    let nobody = ClientId([0x77; 16]);
    let requests = requests_naming(classic).into_iter().chain([
        (Request::PullMessages(pull_messages::Request), &b""[..]),
        (Request::ListClients(list_clients::Request), b""),
    ]);
    for (request, content) in requests {
        let [bobs, nobodys] =
            [bob.id(), nobody].map(|asker| answer(&world, dialect, asker, &request, content));
        assert_eq!(bobs, nobodys, "{request:?}");
    }
    assert_eq!(world.classic().pull(classic, false).await.unwrap(), [], "somebody of version 3 was believed");
    assert_eq!(bob.receives().await, ["alice: new", "alice: for bob alone"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_for_version_3_in_a_legacy_list() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let classic = world.classic();
    let asker = classic.register("classic").await;
    let other = classic.register("other").await;
    let listed = classic.0.list_clients(asker).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| entry.client_id).collect();
    assert_eq!(listed, [other]);
    assert!(!listed.contains(&alice.id()) && !listed.contains(&bob.id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_account_under_the_name_of_a_version_3_one() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mallory = world.classic().register("bob").await;
    // An id tells which generation it is of, and nothing of version 3 leads to the other one.
    assert_eq!((mallory.0[6] >> 4, bob.id().0[6] >> 4), (4, 8));
    alice.send("bob", "for the true bob").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: for the true bob"]);
    assert_eq!(world.classic().pull(mallory, false).await.unwrap(), []);
    let found = alice.server.call(look_up::Request { name: Name::new("bob").unwrap() }).await.unwrap();
    assert_eq!(found.client_id, bob.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_3_request_that_names_a_legacy_id() {
    let world = World::new().await;
    let classic = world.classic().register("classic").await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    assert_eq!(mallory.error(mail(classic, 1, b"hello")), ErrorCode::UNKNOWN_CLIENT);
    assert_eq!(mallory.error(fetch_keys::Request { client_id: classic }), ErrorCode::UNKNOWN_CLIENT);
    let name = Name::new("classic").unwrap();
    assert_eq!(mallory.error(look_up::Request { name }), ErrorCode::UNKNOWN_CLIENT);
    assert_eq!(world.classic().pull(classic, false).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_3_without_tls() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let mut plain = TcpStream::connect(world.place).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(&encode_request(bob.id(), Tag(1), &hello::Request.into())).unwrap();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    // A classic refusal, or nothing: no nonce, and not the code of an answer to Hello.
    assert!(answer.len() < 32, "{answer:02x?}");
    assert!(!answer.windows(2).any(|code| code == 4000_u16.to_le_bytes()), "{answer:02x?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_legacy_request_inside_tls() {
    let world = World::new().await;
    let (alice, bob) = (User::number(0), User::number(1));
    let mut from = Modern::new(world.place, &alice, "alice");
    from.send(bob.id(), 1, b"").unwrap_err();
    let mut at = Modern::new(world.place, &bob, "bob");
    from.send(bob.id(), 1, b"for bob alone").unwrap();
    let name = NameField::from(&Name::new("classic").unwrap());
    let register = Request::Register(register::Request { name, public_key: PublicKey([7; 160]) });
    let fetch = Request::FetchKey(fetch_key::Request { client_id: bob.id() });
    for request in [register, fetch] {
        let mut inside = Modern::connect(world.place);
        inside.say(&Dialect::classic(Family::E).encode_request(2, bob.id(), &request).unwrap());
        let answer = inside.next().unwrap();
        assert_eq!(answer.answer.unwrap_err().error, ErrorCode::MALFORMED);
        assert!(inside.next().is_none());
    }
    assert_eq!(at.pull().iter().map(text_of).collect::<Vec<_>>(), [b"for bob alone"]);
}
