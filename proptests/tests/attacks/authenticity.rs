//! Whoever asks, and whoever wrote, is who they say they are.

use std::time::Duration;

use messageu_client::ErrorKind;
use messageu_client::modern::{Connection, Patience};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::IdentityKey;
use messageu_envelope::offer::OwnOffer;
use messageu_wire::envelope::EnvelopeKind;
use messageu_wire::envelope::field::{OfferId, OneTimeId, Signature};
use messageu_wire::envelope::statement::{BindingType, Context};
use messageu_wire::fields::Name;
use messageu_wire::message::MessageType;
use messageu_wire::modern::field::OneTimeKey;
use messageu_wire::modern::operation::{authenticate, erase_account, fetch_keys, look_up, register};
use messageu_wire::modern::{ErrorCode, Operation};

use crate::harness::forgery::Forgery;
use crate::harness::person::identity_key;
use crate::harness::{Middle, Person, Stolen, World, now};
use crate::modern::{Modern, User, content, mail, pull};

/// What is refused to whoever has not proved to be somebody.
const REFUSED: ErrorCode = ErrorCode::NOT_AUTHENTICATED;

fn signs(key: &IdentityKey) -> impl Fn(&[u8]) -> Signature {
    |statement| key.sign(Context::INIT, statement, &mut rand::rng()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_as_somebody_else() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mut mallory = Modern::new(world.place, &User::number(0), "mallory");
    mallory.id = alice.id();
    assert_eq!(mallory.error(mail(bob.id(), 1, b"it is me, alice")), REFUSED);
    assert_eq!(world.store.waiting(bob.id()).await, 0);
    alice.send("bob", "it is me").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: it is me"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_as_somebody_else_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let classic = world.classic();
    let (alice, bob) = (classic.register("alice").await, classic.register("bob").await);
    // Whoever sends this has nothing of Alice's but her id, which is in everybody's list.
    classic.send(alice, bob, MessageType::TEXT, b"it is me, alice").await.unwrap();
    assert_eq!(classic.pull(bob, true).await.unwrap(), [(alice, b"it is me, alice".to_vec())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_before_any_proof() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let mut stranger = Modern::connect(world.place);
    stranger.id = bob.id();
    assert_eq!(stranger.error(mail(bob.id(), 1, b"hello")), REFUSED);
    assert_eq!(stranger.error(pull(0, Duration::ZERO)), REFUSED);
    assert_eq!(stranger.error(erase_account::Request), REFUSED);
    // Not even whether there is anybody.
    assert_eq!(stranger.error(look_up::Request { name: Name::new("bob").unwrap() }), REFUSED);
    assert_eq!(stranger.error(look_up::Request { name: Name::new("nobody").unwrap() }), REFUSED);
    assert_eq!(world.store.waiting(bob.id()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authenticating_without_the_key() {
    let world = World::new().await;
    let bob = world.person("bob").await;
    let mallory = User::number(0);
    let mut connection = Modern::new(world.place, &mallory, "mallory");
    // Signed by her own key, for a statement that names Bob.
    let mut fresh = Modern::connect(world.place);
    let nonce = fresh.hello().nonce;
    let plain = (Context::AUTHENTICATION, &[][..]);
    let mut proof = fresh.proof(&mallory, BindingType::TLS_EXPORTER, nonce, plain);
    let statement = proof.authentication(fresh.server_key_hash, nonce, bob.id());
    proof.signature = mallory.sign(Context::AUTHENTICATION, &statement.encode());
    fresh.id = bob.id();
    assert_eq!(fresh.error(authenticate::Request { proof }), REFUSED);
    // On a connection that is hers already, in Bob's name.
    connection.id = bob.id();
    assert_eq!(connection.error(pull(0, Duration::ZERO)), REFUSED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_authentication() {
    let world = World::new().await;
    let alice = User::number(0);
    let mut first = Modern::new(world.place, &alice, "alice");
    let mut second = Modern::connect(world.place);
    second.id = alice.id();
    let heard = second.authentication(&alice);
    second.call(heard.clone()).unwrap();
    // On the connection that it was made on, on one with another nonce, and on one with none.
    assert_eq!(second.error(heard.clone()), REFUSED);
    let mut mallory = Modern::connect(world.place);
    mallory.id = alice.id();
    assert_eq!(mallory.error(heard.clone()), REFUSED);
    mallory.hello();
    assert_eq!(mallory.error(heard), REFUSED);
    assert_eq!(mallory.error(pull(0, Duration::ZERO)), REFUSED);
    assert_eq!(first.pull(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authentication_relayed_to_a_second_server() {
    let world = World::new().await;
    let alice = world.person("alice").await;
    // Alice takes this for a server of its own. It passes what she proves on to the one where she has an account.
    let middle = Middle::listening(&world);
    for binding in [BindingType::TLS_EXPORTER, BindingType::SERVER_KEY] {
        let relayed = Connection::connect(&middle.address, Patience::default()).await.unwrap();
        let error = relayed.authenticate_bound_by(alice.account.identity_key(), binding).await.unwrap_err();
        assert_eq!(error.code(), Some(REFUSED));
        // The connection of the one between to the true server is still nobody's.
        assert_eq!(relayed.call(pull(0, Duration::ZERO)).await.unwrap_err().code(), Some(REFUSED));
    }
    let passed_on = [Operation::Hello, Operation::Authenticate, Operation::PullEnvelopes];
    assert_eq!(middle.heard(), [passed_on, passed_on].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_relayed_to_a_second_server() {
    let world = World::new().await;
    let middle = Middle::listening(&world);
    let bob = world.person("bob").await;
    let alice = Person::prepare(&world, &middle.address, "alice", "alice", None, false).await;
    let content = alice.account.registration().unwrap();
    let error = alice.server.register(alice.account.identity_key(), content).await.unwrap_err();
    assert_eq!(error.code(), Some(REFUSED));
    assert_eq!(middle.heard(), [Operation::Hello, Operation::Register]);
    assert_eq!(bob.send("alice", "hello").await.unwrap_err().kind(), ErrorKind::Peer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registrations_proof_as_an_authentications() {
    let world = World::new().await;
    let alice = User::number(0);
    Modern::new(world.place, &alice, "alice");
    let mut mallory = Modern::connect(world.place);
    let proof = mallory.registration(&alice, content(&alice, "alice", None)).proof;
    assert_eq!(mallory.error(authenticate::Request { proof }), REFUSED);
    assert_eq!(mallory.error(pull(0, Duration::ZERO)), REFUSED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registering_somebody_elses_identity() {
    let world = World::new().await;
    let (alice, mallory) = (User::number(0), User::number(1));
    let mut connection = Modern::connect(world.place);
    let nonce = connection.hello().nonce;
    let content = content(&alice, "alice of mallory", None);
    let registration = (Context::REGISTRATION, &content.encode()[..]);
    let proof = connection.proof(&mallory, BindingType::SERVER_KEY, nonce, registration);
    connection.id = alice.id();
    assert_eq!(connection.error(register::Request { content, proof }), REFUSED);
    let error = Modern::connect(world.place).authenticate(&alice).unwrap_err().error;
    assert_eq!(error, REFUSED, "there is such an account now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taking_somebodys_name() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let refused = Modern::connect(world.place).register(&User::number(0), "bob", None).unwrap_err();
    assert_eq!(refused.error, ErrorCode::NAME_TAKEN);
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introducing_oneself_as_somebody_else() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    // Carol's program says that she is Alice; the server knows her as carol.
    let mallory = Person::prepare(&world, &world.address, "alice", "carol", None, false).await;
    let content =
        register::Content { name: Name::new("carol").unwrap(), ..mallory.account.registration().unwrap() };
    mallory.server.register(mallory.account.identity_key(), content).await.unwrap();
    mallory.account.registered().unwrap();
    mallory.server.authenticate(mallory.account.identity_key()).await.unwrap();
    let id = mallory.id();
    for is_alice_known in [false, true] {
        mallory.send("bob", "it is me, alice").await.unwrap();
        let shown = bob.receives().await;
        assert_eq!(shown.last().unwrap(), &format!("{id}: it is me, alice"), "{is_alice_known}");
        alice.send("bob", "no, it is me").await.unwrap();
        assert_eq!(bob.receives().await.last().unwrap(), "alice: no, it is me");
    }
    assert_eq!(bob.contact("alice").id, alice.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_init() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let (mallorys, alices) = (identity_key("carol"), identity_key("alice"));
    let keys = |at: usize| Stolen::of(&bob).one_time_keys().into_iter().nth(at).map(published).unwrap();
    let bundle = alice.server.call(fetch_keys::Request { client_id: bob.id() }).await.unwrap().bundle;
    let forge = |signer: &IdentityKey, one_time, text: &str| {
        let sign = signs(signer);
        let from = alices.identity();
        Forgery { from, to: &bundle, one_time, sign: &sign, is_zero: false }.seal(text)
    };
    // Whatever is sealed to Bob's published keys, it takes Alice's signature to be from her.
    world.store.put(bob.id(), forge(&mallorys, Some(keys(0)), "forged")).await;
    world.store.put(bob.id(), forge(&mallorys, None, "forged")).await;
    assert_eq!(bob.receives_until_given_up().await, ["?: unreadable", "?: unreadable"]);
    assert_eq!(bob.account.contacts().unwrap(), []);
    // The same by Alice herself would have been taken, so that it is her signature that was missing.
    world.store.put(bob.id(), forge(&alices, Some(keys(1)), "signed")).await;
    let id = alice.id();
    assert_eq!(bob.receives().await, [format!("{id}: new"), format!("{id}: signed")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_init_with_stolen_prekeys() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    alice.send("bob", "hello").await.unwrap();
    // Carol has all of Bob's private keys, and what Alice has just sent him: she can open its sender block.
    let stolen = Stolen::of(&bob);
    let init = world.store.first_to(bob.id(), EnvelopeKind::INIT);
    let block = stolen.sender_block(&init);
    assert_eq!(block.client_id, alice.id());
    let bundle = stolen.bundles()[0].bundle().clone();
    let one_time = published(stolen.one_time_keys().remove(50));
    let signature = |_: &[u8]| block.signature;
    let sign = signs(carol.account.identity_key());
    for sign in [&signature as &dyn Fn(&[u8]) -> Signature, &sign] {
        let from = alice.account.identity_key().identity();
        let forged = Forgery { from, to: &bundle, one_time: Some(one_time), sign, is_zero: false };
        world.store.put(bob.id(), forged.seal("forged")).await;
    }
    assert_eq!(
        bob.receives_until_given_up().await,
        ["alice: new", "alice: hello", "?: unreadable", "?: unreadable"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_re_targeted_init() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    // Alice writes to Carol, who has Bob believe that Alice has written it to him.
    alice.send("carol", "for carol alone").await.unwrap();
    let init = world.store.first_to(carol.id(), EnvelopeKind::INIT);
    let signature = Stolen::of(&carol).sender_block(&init).signature;
    let keys = carol.server.call(fetch_keys::Request { client_id: bob.id() }).await.unwrap();
    let from = alice.account.identity_key().identity();
    let sign = |_: &[u8]| signature;
    let forged = Forgery { from, to: &keys.bundle, one_time: keys.one_time_key, sign: &sign, is_zero: false };
    world.store.put(bob.id(), forged.seal("for carol alone")).await;
    world.store.put(bob.id(), init).await;
    assert_eq!(bob.receives_until_given_up().await, ["?: unreadable", "?: unreadable"]);
    assert_eq!(carol.receives().await, ["alice: new", "alice: for carol alone"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reflected_msg() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "is it true?").await.unwrap();
    bob.receives().await;
    world.store.put(alice.id(), world.store.last_to(bob.id())).await;
    assert_eq!(alice.receives_until_given_up().await, ["?: unreadable"]);
    bob.send("alice", "no").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: no"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reflected_msg_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.classic_pair().await;
    alice.session.send_text("bob", "yes").await.unwrap();
    let sent = world.classic().pull(bob.id(), false).await.unwrap().remove(0).1;
    world.classic().send(bob.id(), alice.id(), MessageType::TEXT, &sent).await.unwrap();
    assert_eq!(alice.receives().await, ["bob: yes"]);
    assert_eq!(bob.receives().await, ["alice: yes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_in_somebody_elses_name() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    // Bob would answer an offer of Alice's by himself; this one Carol has signed.
    let offer = OwnOffer::new(OfferId(9), bob.id(), DhSecret::generate(&mut rand::rng()));
    let mut forged = offer.seal(carol.account.identity_key(), now(), &mut rand::rng()).unwrap();
    let alices = offer.seal(alice.account.identity_key(), now(), &mut rand::rng()).unwrap();
    let signed = forged.len() - 384;
    forged[..signed].copy_from_slice(&alices[..signed]);
    world.store.put(bob.id(), forged).await;
    let before = world.store.sent_to(alice.id()).len();
    assert_eq!(bob.receives_until_given_up().await, ["?: unreadable"]);
    assert_eq!(world.store.sent_to(alice.id()).len(), before, "something was answered");
}

/// A one-time key as its owner has published it.
fn published((id, secret): (OneTimeId, DhSecret)) -> OneTimeKey {
    OneTimeKey::new(id, secret.public_key()).unwrap()
}
