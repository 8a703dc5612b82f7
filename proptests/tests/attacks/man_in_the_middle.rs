//! Nobody stands between a client and its server, or between two users who have compared their identities.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::SystemTime;

use messageu_client::ErrorKind;
use messageu_client::modern::{CallError, Connection, Patience, Status};
use messageu_envelope::authentication::SignedRotation;
use messageu_envelope::legacy::{LegacyIv, LegacyPrivateKey, legacy_open};
use messageu_server::store::modern::{FetchedKeys, Succession};
use messageu_wire::envelope::bundle::{Bundle, Dialect as BundleDialect};
use messageu_wire::envelope::control::{Control, SuccessionNotice};
use messageu_wire::envelope::field::DhPublicKey;
use messageu_wire::envelope::frame::BodyType;
use messageu_wire::envelope::statement::Context;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{AtMost, Tag};
use messageu_wire::modern::frame::ResponseFrame;
use messageu_wire::modern::operation::{hello, publish_keys};

use crate::harness::person::{identity_key, made_keys};
use crate::harness::{ClassicUser, Middle, Person, Stolen, Tap, World, contains, designation, now};
use crate::modern::{Modern, User};

const DAY: u64 = 24 * 60 * 60;

/// What a user is told who wants to send while the server gives keys that cannot be used; nothing goes out.
async fn refuses(world: &World, alice: &Person, bob: &Person) -> String {
    let before = world.store.sent_to(bob.id()).len();
    let error = alice.send("bob", "for bob alone").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert_eq!(world.store.sent_to(bob.id()).len(), before, "something was sent all the same");
    world.store.repent();
    alice.send("bob", "for bob alone").await.unwrap();
    assert!(bob.receives().await.contains(&"alice: for bob alone".to_owned()));
    error.to_string()
}

/// What an honest server has for somebody.
async fn bundle_of(world: &World, person: &Person) -> Bundle {
    world.store.honest.fetch_keys(person.id(), person.id(), SystemTime::now()).await.unwrap().bundle
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_interception_with_another_key() {
    let world = World::new().await;
    let (mut alice, bob) = world.pair().await;
    let middle = Middle::listening(&world);
    let error = alice.reconnect(&world.address_by(middle.place)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer);
    assert_eq!(middle.heard(), [], "something was said to whoever it was");
    alice.reconnect(&world.address).await.unwrap();
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_interception_with_another_key_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    // There is no key to be another: whoever is in between reads and changes what they like.
    let tap = Tap::that_changes(world.place, |piece| {
        if let Some(at) = piece.windows(3).position(|window| window == b"bob") {
            piece[at..at + 3].copy_from_slice(b"eve");
        }
    });
    world.classic_user("bob").await;
    let mut alice = ClassicUser::join(tap.place, "alice").await;
    let listed: Vec<_> = alice.session.list().await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(listed, ["eve"]);
    assert!(contains(&tap.said(), b"alice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_interception_where_no_pin_is_known() {
    let world = World::new().await;
    let middle = Middle::listening(&world);
    let without_pin = middle.place.to_string().parse().unwrap();
    let error = Connection::connect(&without_pin, Patience::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer);
    assert_eq!(middle.heard(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_no_tls() {
    let world = World::new().await;
    let alice = world.person("alice").await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut heard = vec![0; 4096];
        let read = socket.read(&mut heard).unwrap();
        // A classic refusal, as of a server that knows nothing newer.
        socket.write_all(&[2, 0x28, 0x23, 0, 0, 0, 0]).unwrap();
        heard.truncate(read);
        let _ = socket.read_to_end(&mut heard);
        heard
    });
    let error = Connection::connect(&world.address_by(place), Patience::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let heard = heard.join().unwrap();
    assert_eq!(heard[..2], [0x16, 3], "something else than TLS was tried");
    assert!(!contains(&heard, b"alice") && !contains(&heard, &alice.id().0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_another_tag() {
    let world = World::new().await;
    let middle = Middle::before(&world, |_, answer| ResponseFrame { tag: Tag(answer.tag.0 ^ 1), ..answer });
    let connection = Connection::connect(&middle.address, Patience::default()).await.unwrap();
    let error = connection.call(hello::Request).await.unwrap_err();
    assert!(matches!(&error, CallError::Failed(error) if error.kind() == ErrorKind::Data), "{error:?}");
    assert!(connection.why_broken().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_keys_in_fetch_keys() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    let carols = bundle_of(&world, &carol).await;
    world.store.change_keys(move |fetched| FetchedKeys { bundle: carols.clone(), ..fetched });
    refuses(&world, &alice, &bob).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_keys_in_fetch_keys_succeeds_against_the_classic_dialect() {
    let world = World::new().await;
    let mut alice = world.classic_user("alice").await;
    let alices = world.classic().0.fetch_key(alice.id(), alice.id()).await.unwrap().0;
    let mallory = LegacyPrivateKey::generate(&mut rand::rng()).unwrap();
    let mallorys = mallory.public_key().0;
    let tap = Tap::that_changes(world.place, move |piece| {
        if let Some(at) = piece.windows(160).position(|window| window == alices) {
            piece[at..at + 160].copy_from_slice(&mallorys);
        }
    });
    let mut bob = ClassicUser::join(tap.place, "bob").await;
    alice.session.request_key("bob", false).await.unwrap();
    bob.receives().await;
    bob.session.send_key("alice", false).await.unwrap();
    bob.session.send_text("alice", "for alice alone").await.unwrap();
    let pulled = world.classic().pull(alice.id(), false).await.unwrap();
    let [(_, wrapped), (_, sealed)] = &pulled[..] else { panic!("{pulled:?}") };
    let key = mallory.unwrap_key(wrapped, &mut rand::rng()).unwrap();
    assert_eq!(legacy_open(&key, LegacyIv::Zero, sealed).unwrap(), b"for alice alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_one_time_key() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    // Carol runs the server, and gives a key of hers under the number of one of Bob's.
    let stolen = Stolen::of(&carol);
    let (_, carols) = stolen.one_time_keys().remove(0);
    let key = carols.public_key();
    world.store.change_keys(move |fetched| {
        let one_time = fetched.one_time.map(|(id, _)| (id, key));
        FetchedKeys { one_time, ..fetched }
    });
    alice.send("bob", "for bob alone").await.unwrap();
    let users = [&alice, &bob].map(|user| user.account.identity_key().identity().clone());
    assert_eq!(stolen.reads(&world.store.sent_to(bob.id()), users.each_ref()), [false, false]);
    assert_eq!(bob.receives_until_given_up().await, ["?: unreadable", "?: unreadable"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_bundle() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let old = bundle_of(&world, &bob).await;
    world.pass(7 * DAY);
    bob.account.refresh_keys(&bob.server).await.unwrap();
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    // Bob asks for another session, for which Alice fetches his keys anew.
    bob.account.queue_offer(&designation("alice")).unwrap();
    bob.account.flush(&bob.server).await.unwrap();
    world.store.change_keys(move |fetched| FetchedKeys { bundle: old.clone(), ..fetched });
    let before = world.store.sent_to(bob.id()).len();
    assert_eq!(alice.receives().await, [""; 0]);
    assert_eq!(world.store.sent_to(bob.id()).len(), before);
    world.store.repent();
    assert_eq!(alice.receives().await, [""; 0]);
    assert_eq!(bob.receives().await, ["alice: answered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_bundle() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    world.pass(31 * DAY);
    // The server goes on giving what Bob published a month ago.
    let error = alice.send("bob", "hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("expired"), "{error}");
    assert_eq!(world.store.sent_to(bob.id()), [[0; 0]; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripped_minimum_dialect() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mut stripped = bundle_of(&world, &bob).await;
    stripped.content.min_dialect = BundleDialect(2);
    let mut signed = stripped.clone();
    signed.signature =
        identity_key("bob").sign(Context::BUNDLE, &stripped.content.encode(), &mut rand::rng()).unwrap();
    // Whether the server has stripped it, or Bob himself has signed it: nobody speaks below version 3.
    for bundle in [stripped, signed] {
        let publish = publish_keys::Request { bundle: bundle.clone(), one_time_keys: AtMost::default() };
        assert_eq!(bob.server.call(publish).await.unwrap_err().code(), Some(ErrorCode::INVALID_KEYS));
        world.store.change_keys(move |fetched| FetchedKeys { bundle: bundle.clone(), ..fetched });
        let error = alice.account.begin_session(&alice.server, &designation("bob")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
    }
    refuses(&world, &alice, &bob).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_all_zero_share_in_a_bundle() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mut zero = bundle_of(&world, &bob).await;
    zero.content.prekey = DhPublicKey([0; 32]);
    zero.signature =
        identity_key("bob").sign(Context::BUNDLE, &zero.content.encode(), &mut rand::rng()).unwrap();
    let publish = publish_keys::Request { bundle: zero.clone(), one_time_keys: AtMost::default() };
    assert_eq!(bob.server.call(publish).await.unwrap_err().code(), Some(ErrorCode::INVALID_KEYS));
    let nothing = |fetched: FetchedKeys| fetched.one_time.map(|(id, _)| (id, DhPublicKey([0; 32])));
    world.store.change_keys(move |fetched| FetchedKeys { bundle: zero.clone(), one_time: nothing(fetched) });
    assert_eq!(alice.send("bob", "known to all").await.unwrap_err().kind(), ErrorKind::Data);
    world.store.change_keys(move |fetched| FetchedKeys {
        bundle: fetched.bundle.clone(),
        one_time: nothing(fetched),
    });
    assert_eq!(alice.send("bob", "known to all").await.unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(world.store.sent_to(bob.id()), [[0; 0]; 0]);
    world.store.repent();
    alice.send("bob", "hello").await.unwrap();
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_given_to_somebody_else_at_first_use() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    let carols = carol.id();
    world.store.change_names(move |_| Some(carols));
    // Until they compare, Alice is told that nobody has checked; then it shows.
    let met = alice.account.meet(&alice.server, &designation("bob")).await.unwrap();
    assert_eq!(met.status, Status::Unverified);
    let error = alice.account.verify(&designation("bob"), Some(&bob.account.code())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer);
    assert_eq!(alice.contact("bob").status, Status::Unverified);
    let alices = bob.account.meet(&bob.server, &designation(&alice.id().to_string())).await.unwrap();
    assert_ne!(alice.account.safety_number(&met), bob.account.safety_number(&alices));
    // Whoever has the code needs no name, and is not deceived.
    let code = bob.account.code().to_string();
    alice.send(&code, "for bob alone").await.unwrap();
    assert_eq!(alice.account.contact(&designation(&code)).unwrap().status, Status::Verified);
    let [shown] = &bob.receives().await[..] else { panic!() };
    assert!(shown.ends_with(": for bob alone"));
    assert_eq!(carol.receives().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_somebody_else_takes() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    bob.account.erase(&bob.server).await.unwrap();
    let mallory = Person::join(&world, &world.address, "bob", "carol", None, false).await;
    let flushed = alice.send("bob", "for the true bob").await.unwrap();
    assert_eq!((flushed.sent, flushed.failed.len()), (0, 0));
    assert_eq!(alice.contact("bob").status, Status::Changed { to: mallory.id() });
    assert_eq!(alice.send("bob", "are you there?").await.unwrap_err().kind(), ErrorKind::Peer);
    assert_eq!(alice.shown(), ["bob: changed"]);
    assert_eq!(mallory.receives().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_succession() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    alice.send("bob", "hello").await.unwrap();
    let (old, new) = (identity_key("bob"), identity_key("carol"));
    let carols = bundle_of(&world, &carol).await;
    bob.account.erase(&bob.server).await.unwrap();
    let mut rng = rand::rng();
    let signed = SignedRotation::sign(&old, &new, now(), &mut rng).unwrap();
    let by_carol_alone = new.sign(Context::ROTATION, &signed.rotation.encode(), &mut rng).unwrap();
    let forged = Succession {
        old_identity: *old.identity().public_key(),
        new_fingerprint: new.identity().fingerprint(),
        new_bundle: carols,
        issued: signed.rotation.issued,
        rotation: by_carol_alone,
        succession: signed.by_new,
    };
    let carols = carol.id();
    let shown = forged.clone();
    world.store.change_successions(move |_| Some(shown.clone()));
    world.store.change_names(move |_| Some(carols));
    let flushed = alice.send("bob", "for the true bob").await.unwrap();
    assert_eq!(flushed.sent, 0);
    assert_eq!(alice.contact("bob").status, Status::Changed { to: carol.id() });
    assert_eq!(carol.receives().await, [""; 0]);
    assert_eq!(alice.shown(), ["bob: changed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_succession_that_the_successor_has_not_signed() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    alice.send("bob", "hello").await.unwrap();
    bob.receives().await;
    alice.send("carol", "hello").await.unwrap();
    alice.account.verify(&designation("carol"), None).unwrap();
    // Bob says that he is Carol from now on, whom Alice has verified.
    let (old, new) = (identity_key("bob"), identity_key("carol"));
    let signed = SignedRotation::sign(&old, &new, now(), &mut rand::rng()).unwrap();
    let (identity, by_old) = (*new.identity().public_key(), signed.by_old);
    let notice = SuccessionNotice { issued: signed.rotation.issued, identity, by_old, by_new: by_old };
    let body = Control::Succession(Box::new(notice)).encode();
    world.store.put(alice.id(), Stolen::of(&bob).seals(BodyType::CONTROL, &body)).await;
    assert_eq!(alice.receives().await, [""; 0]);
    assert_eq!((alice.contact("bob").id, alice.contact("bob").status), (bob.id(), Status::Unverified));
    assert_eq!((alice.contact("carol").id, alice.contact("carol").status), (carol.id(), Status::Verified));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_whose_keys_agree_on_nothing() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let mut dave = Modern::new(world.place, &User::number(0), "dave");
    alice.send("bob", "hello").await.unwrap();
    alice.send("dave", "hello").await.unwrap();
    bob.receives().await;
    // Bob rotates to an identity that nobody can begin a session with. What waits for him must not hold up what is for Dave.
    let mut zero = bundle_of(&world, &bob).await;
    bob.account.rotate_identity(&bob.server, || Ok(made_keys("carol"))).await.unwrap();
    zero.content.identity = *identity_key("carol").identity().public_key();
    zero.content.prekey = DhPublicKey([0; 32]);
    zero.signature =
        identity_key("carol").sign(Context::BUNDLE, &zero.content.encode(), &mut rand::rng()).unwrap();
    world.store.change_keys(move |fetched| FetchedKeys { bundle: zero.clone(), ..fetched });
    for to in ["bob", "dave"] {
        alice.account.queue_text(&designation(to), "still there?").unwrap();
    }
    let before = dave.pull().len();
    let flushed = alice.account.flush(&alice.server).await.unwrap();
    assert_eq!((flushed.sent, flushed.waiting.len(), flushed.failed.len()), (1, 1, 0));
    assert_eq!(dave.pull().len(), before + 1);
    assert_eq!(alice.shown(), ["bob: rotated"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accomplice_of_somebody_who_is_blocked() {
    let world = World::new().await;
    let (alice, bob, carol) = world.trio().await;
    for sender in [&bob, &carol] {
        sender.send("alice", "hello").await.unwrap();
    }
    alice.receives().await;
    alice.account.block(&designation("carol")).unwrap();
    // Bob and Carol both sign that she is who he is from now on.
    let (old, new) = (identity_key("bob"), identity_key("carol"));
    let signed = SignedRotation::sign(&old, &new, now(), &mut rand::rng()).unwrap();
    let (identity, by_old, by_new) = (*new.identity().public_key(), signed.by_old, signed.by_new);
    let notice = SuccessionNotice { issued: signed.rotation.issued, identity, by_old, by_new };
    let body = Control::Succession(Box::new(notice)).encode();
    world.store.put(alice.id(), Stolen::of(&bob).seals(BodyType::CONTROL, &body)).await;
    assert_eq!(alice.receives().await, ["bob: rotated"]);
    let id = designation(&carol.id().to_string());
    assert_eq!(alice.account.contact(&id).unwrap().status, Status::Blocked);
    carol.send("alice", "it is me again").await.unwrap();
    assert_eq!(alice.receives().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_keys_swapped_for_others() {
    let world = World::new().await;
    let (alice, bob) = world.pair().await;
    let bobs = bundle_of(&world, &bob).await;
    // Alice looks as nobody in particular, so that the server does not know whom to lie to.
    let nobody = Connection::connect(&world.address, Patience::default()).await.unwrap();
    alice.account.check_own_keys(&nobody).await.unwrap();
    assert_eq!(alice.shown(), [""; 0]);
    world.store.change_keys(move |fetched| FetchedKeys { bundle: bobs.clone(), ..fetched });
    alice.account.check_own_keys(&nobody).await.unwrap();
    assert_eq!(alice.shown(), ["?: other keys"]);
}
