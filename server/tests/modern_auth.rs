//! Who is who in version 3: what does not authenticate, who may ask for what, and how long a stranger may talk.

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

use std::net::SocketAddr;
use std::time::Duration;

use messageu_wire::envelope::field::{FileId, ServerNonce};
use messageu_wire::envelope::statement::{BindingType, Context};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::field::AtMost;
use messageu_wire::modern::operation::{
    acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession, hello,
    look_up, rotate_identity,
};
use messageu_wire::modern::{ErrorCode, Operation, Request};
use support::Server;
use support::modern::{Modern, User, chunk, content, mail, publication, pull};

const PLAIN: (Context, &[u8]) = (Context::AUTHENTICATION, &[]);

fn world() -> (tempfile::TempDir, Server, SocketAddr, User) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let (address, alice) = (server.addresses[0], User::number(0));
    Modern::new(address, &alice, "alice");
    (data, server, address, alice)
}

/// Every request that is for clients alone.
fn requests_for_clients() -> Vec<Request> {
    let (alice, bob) = (User::number(0), User::number(1));
    let file_id = FileId([5; 16]);
    let requests: Vec<Request> = vec![
        publication(alice.bundle(9), 1..2).into(),
        mail(alice.id(), 1, b"hello").into(),
        pull(0, Duration::from_secs(60)).into(),
        acknowledge::Request { sequences: AtMost::default() }.into(),
        chunk(alice.id(), 0, b"").into(),
        fetch_chunk::Request { file_id, index: 0 }.into(),
        drop_file::Request { file_id }.into(),
        look_up::Request { name: Name::new("alice").unwrap() }.into(),
        rotate_identity::Request { succession: alice.succession(&bob) }.into(),
        erase_account::Request.into(),
        fetch_succession::Request { client_id: alice.id() }.into(),
    ];
    let all = Operation::ALL.iter().filter(|operation| operation.is_for_clients());
    assert!(all.eq(requests.iter().map(Request::operation).collect::<Vec<_>>().iter()));
    requests
}

#[test]
fn a_client_is_known_by_either_binding() {
    let (_data, _server, address, alice) = world();
    for binding_type in [BindingType::TLS_EXPORTER, BindingType::SERVER_KEY] {
        let mut modern = Modern::connect(address);
        modern.id = alice.id();
        let nonce = modern.hello().nonce;
        let proof = modern.proof(&alice, binding_type, nonce, PLAIN);
        modern.call(authenticate::Request { proof }).unwrap();
        assert_eq!(modern.pull(), []);
    }
}

#[test]
fn what_is_for_clients_is_refused_to_strangers_and_to_the_clients_of_others() {
    let (_data, _server, address, alice) = world();
    let mut bobs = Modern::new(address, &User::number(1), "bob");
    for request in requests_for_clients() {
        let mut stranger = Modern::connect(address);
        stranger.id = alice.id();
        assert_eq!(stranger.error(request.clone()), ErrorCode::NOT_AUTHENTICATED, "{}", request.operation());
        // Bob's connection, in Alice's name.
        bobs.id = alice.id();
        assert_eq!(bobs.error(request.clone()), ErrorCode::NOT_AUTHENTICATED, "{}", request.operation());
    }
    assert_eq!(Modern::of(address, &alice).pull(), []);
}

#[test]
fn nobody_sees_the_keys_that_others_are_given_uses_none_up_and_learns_nothing_else() {
    let (_data, _server, address, alice) = world();
    let mut alices = Modern::of(address, &alice);
    let bundle = alice.bundle(9);
    alices.call(publication(bundle.clone(), 1..3)).unwrap();
    let request = fetch_keys::Request { client_id: alice.id() };
    let mut nobody = Modern::connect(address);
    nobody.id = ClientId::NOBODY;
    let seen = nobody.call(request).unwrap();
    assert_eq!((seen.bundle, seen.one_time_key), (bundle.clone(), None));
    assert_eq!(alices.call(publication(bundle, 1..1)).unwrap().remaining, 2);
    let unknown = fetch_keys::Request { client_id: User::number(1).id() };
    assert_eq!(nobody.error(unknown), ErrorCode::UNKNOWN_CLIENT);
    // Who says they are somebody has to prove it, for this as for everything else.
    nobody.id = alice.id();
    assert_eq!(nobody.error(request), ErrorCode::NOT_AUTHENTICATED);
}

#[test]
fn a_proof_that_was_used_or_made_for_something_else_is_refused() {
    let (_data, _server, address, alice) = world();
    let mut modern = Modern::connect(address);
    let good = {
        modern.id = alice.id();
        modern.authentication(&alice)
    };
    let mut other = Modern::connect(address);
    other.id = alice.id();
    // On a connection that has no nonce, and on one that has another.
    assert_eq!(other.error(good.clone()), ErrorCode::NOT_AUTHENTICATED);
    other.hello();
    assert_eq!(other.error(good.clone()), ErrorCode::NOT_AUTHENTICATED);
    // In another's name.
    modern.id = User::number(1).id();
    assert_eq!(modern.error(good.clone()), ErrorCode::NOT_AUTHENTICATED);
    // That was its one use.
    modern.id = alice.id();
    assert_eq!(modern.error(good), ErrorCode::NOT_AUTHENTICATED);
}

#[test]
fn a_nonce_is_void_when_there_is_a_newer_one() {
    let (_data, _server, address, alice) = world();
    let mut modern = Modern::connect(address);
    modern.id = alice.id();
    let old = modern.authentication(&alice);
    modern.hello();
    assert_eq!(modern.error(old), ErrorCode::NOT_AUTHENTICATED);
}

#[test]
fn whatever_is_wrong_with_a_proof_the_error_is_the_same() {
    let (_data, _server, address, alice) = world();
    let bob = User::number(1);
    let attempt = |change: &dyn Fn(&mut Modern, ServerNonce) -> authenticate::Request| {
        let mut modern = Modern::connect(address);
        modern.id = alice.id();
        let nonce = modern.hello().nonce;
        let request = change(&mut modern, nonce);
        modern.call(request).unwrap_err()
    };
    let made = |modern: &Modern, user: &User, kind, nonce, context| authenticate::Request {
        proof: modern.proof(user, kind, nonce, context),
    };
    let exporter = BindingType::TLS_EXPORTER;
    let refusals = [
        // Signed by another key.
        attempt(&|modern, nonce| made(modern, &bob, exporter, nonce, PLAIN)),
        // A bit of the signature.
        attempt(&|modern, nonce| {
            let mut request = made(modern, &alice, exporter, nonce, PLAIN);
            request.proof.signature.0[0] ^= 1;
            request
        }),
        // Of a binding that is signed but is not this connection's.
        attempt(&|modern, nonce| {
            modern.exporter.0[0] ^= 1;
            made(modern, &alice, exporter, nonce, PLAIN)
        }),
        // Bound to a server that is another.
        attempt(&|modern, nonce| {
            modern.server_key_hash.0[0] ^= 1;
            made(modern, &alice, BindingType::SERVER_KEY, nonce, PLAIN)
        }),
        attempt(&|modern, nonce| {
            modern.server_key_hash.0[0] ^= 1;
            made(modern, &alice, exporter, nonce, PLAIN)
        }),
        // In a way that there is not.
        attempt(&|modern, nonce| made(modern, &alice, BindingType(3), nonce, PLAIN)),
        attempt(&|modern, nonce| made(modern, &alice, BindingType(0), nonce, PLAIN)),
        // For something else.
        attempt(&|modern, nonce| made(modern, &alice, exporter, nonce, (Context::REGISTRATION, &[]))),
        // With another nonce of the client's.
        attempt(&|modern, nonce| {
            let mut request = made(modern, &alice, exporter, nonce, PLAIN);
            request.proof.client_nonce.0[0] ^= 1;
            request
        }),
        // By somebody who is not registered.
        attempt(&|modern, nonce| {
            modern.id = bob.id();
            made(modern, &bob, exporter, nonce, PLAIN)
        }),
    ];
    for refusal in &refusals {
        assert_eq!(refusal.error, ErrorCode::NOT_AUTHENTICATED);
        assert_eq!(refusal.retry_after_s, 0);
    }
}

#[test]
fn an_authentication_that_is_passed_on_to_a_second_server_is_worth_nothing_there() {
    let (_data, _server, address, alice) = world();
    let (_other_data, _other_server, other_address, _) = world();
    let mut at_the_other = Modern::connect(other_address);
    at_the_other.id = alice.id();
    let nonce = at_the_other.hello().nonce;
    // The client means the first server, which passes the second one's nonce on.
    let at_the_first = Modern::connect(address);
    for binding_type in [BindingType::TLS_EXPORTER, BindingType::SERVER_KEY] {
        let proof = at_the_first.proof(&alice, binding_type, nonce, PLAIN);
        assert_eq!(at_the_other.error(authenticate::Request { proof }), ErrorCode::NOT_AUTHENTICATED);
    }
}

#[test]
fn a_connection_stays_the_clients_who_authenticated_first() {
    let (_data, _server, address, alice) = world();
    let mut modern = Modern::new(address, &User::number(1), "bob");
    assert_eq!(modern.authenticate(&alice).unwrap_err().error, ErrorCode::NOT_AUTHENTICATED);
    modern.id = User::number(1).id();
    assert_eq!(modern.pull(), []);
}

#[test]
fn a_registration_that_another_key_signed_or_that_was_changed_is_refused() {
    let (_data, _server, address, alice) = world();
    let bob = User::number(1);
    let mut modern = Modern::connect(address);
    let mut changed = modern.registration(&bob, content(&bob, "bob", None));
    changed.content.name = Name::new("bobby").unwrap();
    assert_eq!(modern.error(changed), ErrorCode::NOT_AUTHENTICATED);
    // Signed by Alice, with Bob's bundle, in Bob's name.
    let nonce = modern.hello().nonce;
    let content = content(&bob, "bob", None);
    let context = (Context::REGISTRATION, &content.encode()[..]);
    let proof = modern.proof(&alice, BindingType::SERVER_KEY, nonce, context);
    let request = messageu_wire::modern::operation::register::Request { content, proof };
    modern.id = bob.id();
    assert_eq!(modern.error(request), ErrorCode::NOT_AUTHENTICATED);
}

#[test]
fn a_stranger_has_eight_requests() {
    let (_data, _server, address, alice) = world();
    let mut modern = Modern::connect(address);
    for _ in 0..8 {
        modern.hello();
    }
    assert_eq!(modern.error(hello::Request), ErrorCode::TOO_MANY_REQUESTS);
    assert!(modern.next().is_none());
    // A client has as many as it wants.
    let mut modern = Modern::of(address, &alice);
    for _ in 0..50 {
        modern.hello();
    }
    modern.id = ClientId::NOBODY;
    modern.hello();
}
