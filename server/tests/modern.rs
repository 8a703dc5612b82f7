//! Version 3 as a client sees it: what each operation does, and what it is refused.

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

use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::envelope::bundle::Dialect as BundleDialect;
use messageu_wire::envelope::field::{DhPublicKey, FileId, OneTimeId, RsaPublicKey, UnixSeconds};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::message::MessageType;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{
    AtMost, OneTimeKey, RegistrationState, Sequence, ServerFlags, StoreStatus, Tag,
};
use messageu_wire::modern::frame::encode_request;
use messageu_wire::modern::operation::{
    acknowledge, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession, look_up,
    pull_envelopes, put_chunk, rotate_identity,
};
use messageu_wire::operation::fetch_key;
use messageu_wire::operations;
use support::modern::{Modern, User, chunk, content, mail, now, publication, pull, text_of};
use support::{Answer, Peer, Server};

/// Alice and Bob, who are registered and connected.
struct World {
    data: tempfile::TempDir,
    server: Server,
    alice: User,
    bob: User,
    a: Modern,
    b: Modern,
}

fn world() -> World {
    world_with(&[])
}

fn world_with(more: &[&str]) -> World {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], more);
    let (alice, bob) = (User::number(0), User::number(1));
    let a = Modern::new(server.addresses[0], &alice, "alice");
    let b = Modern::new(server.addresses[0], &bob, "bob");
    World { data, server, alice, bob, a, b }
}

fn look_up(modern: &mut Modern, name: &str) -> Result<ClientId, ErrorCode> {
    let answer = modern.call(look_up::Request { name: Name::new(name).unwrap() });
    answer.map(|found| found.client_id).map_err(|refusal| refusal.error)
}

#[test]
fn hello_says_the_time_and_gives_another_nonce_each_time() {
    let World { data: _data, server: _server, mut a, .. } = world();
    let (one, two) = (a.hello(), a.hello());
    assert_ne!(one.nonce, two.nonce);
    assert!(now().0 - one.time.0 < 100);
    assert_eq!(one.flags, ServerFlags::default());
}

#[test]
fn a_registration_that_lost_its_answer_can_be_repeated_and_a_name_is_one_accounts() {
    let World { data: _data, server, alice, .. } = world();
    let address = server.addresses[0];
    let again = Modern::connect(address).register(&alice, "alice", None).unwrap();
    assert_eq!((again.state, again.ttl_s), (RegistrationState::REGISTERED, 0));
    let carol = User::number(2);
    let mut modern = Modern::connect(address);
    let error = |modern: &mut Modern, user, name| modern.register(user, name, None).unwrap_err().error;
    assert_eq!(error(&mut modern, &carol, "alice"), ErrorCode::NAME_TAKEN);
    assert_eq!(error(&mut modern, &alice, "alicia"), ErrorCode::NAME_TAKEN);
    modern.register(&carol, "Alice", None).unwrap();
}

#[test]
fn keys_that_nobody_should_use_are_not_registered() {
    let World { data: _data, server, alice: other, .. } = world();
    let address = server.addresses[0];
    let carol = User::number(2);
    let mut modern = Modern::connect(address);
    let mut error = |bundle| {
        let content =
            messageu_wire::modern::operation::register::Content { bundle, ..content(&carol, "carol", None) };
        let request = modern.registration(&carol, content);
        modern.call(request).unwrap_err().error
    };
    let mut forged = carol.bundle(1);
    forged.signature.0[100] ^= 1;
    assert_eq!(error(forged), ErrorCode::INVALID_KEYS);
    let expired = carol.bundle_with(1, |content| content.expires = UnixSeconds(now().0 - 1));
    assert_eq!(error(expired), ErrorCode::STALE_KEYS);
    let mut modern = Modern::connect(address);
    let mut error = |bundle| {
        let content =
            messageu_wire::modern::operation::register::Content { bundle, ..content(&carol, "carol", None) };
        let request = modern.registration(&carol, content);
        modern.call(request).unwrap_err().error
    };
    let classic = carol.bundle_with(1, |content| content.min_dialect = BundleDialect(2));
    assert_eq!(error(classic), ErrorCode::INVALID_KEYS);
    let weak = carol.bundle_with(1, |content| content.wrap_key = RsaPublicKey::of_modulus(&[0xf0; 384]));
    assert_eq!(error(weak), ErrorCode::INVALID_KEYS);
    let zero = carol.bundle_with(1, |content| content.prekey = DhPublicKey([0; 32]));
    assert_eq!(error(zero), ErrorCode::INVALID_KEYS);
    let mut modern = Modern::connect(address);
    let somebody_elses = messageu_wire::modern::operation::register::Content {
        bundle: other.bundle(1),
        ..content(&carol, "carol", None)
    };
    let request = modern.registration(&carol, somebody_elses);
    assert_eq!(modern.error(request), ErrorCode::INVALID_KEYS);
    assert_eq!(look_up(&mut Modern::of(address, &other), "carol"), Err(ErrorCode::UNKNOWN_CLIENT));
}

#[test]
fn names_are_found_whole_and_with_their_case() {
    let World { data: _data, server: _server, mut a, bob, .. } = world();
    assert_eq!(look_up(&mut a, "bob"), Ok(bob.id()));
    for name in ["bo", "Bob", "bobb", "carol"] {
        assert_eq!(look_up(&mut a, name), Err(ErrorCode::UNKNOWN_CLIENT), "{name}");
    }
}

#[test]
fn keys_are_fetched_as_they_were_published_and_a_one_time_key_once() {
    let World { data: _data, server: _server, mut a, mut b, bob, alice, .. } = world();
    let bundle = bob.bundle(2);
    assert_eq!(b.call(publication(bundle.clone(), 1..4)).unwrap().remaining, 3);
    let mut fetch = || a.call(fetch_keys::Request { client_id: bob.id() }).unwrap();
    let fetched: Vec<_> = (0..4).map(|_| fetch()).collect();
    assert!(fetched.iter().all(|keys| keys.bundle == bundle));
    let mut ids: Vec<_> = fetched.iter().map(|keys| keys.one_time_key.map(|key| key.id())).collect();
    ids.sort();
    assert_eq!(ids, [None, Some(OneTimeId(1)), Some(OneTimeId(2)), Some(OneTimeId(3))]);
    for key in fetched.iter().filter_map(|keys| keys.one_time_key) {
        assert_eq!(key, OneTimeKey::new(key.id(), DhPublicKey([key.id().0 as u8; 32])).unwrap());
    }
    assert_eq!(b.call(publication(bundle, 3..5)).unwrap().remaining, 1);
    let stranger = ClientId([7; 16]);
    assert_eq!(a.error(fetch_keys::Request { client_id: stranger }), ErrorCode::UNKNOWN_CLIENT);
    assert_eq!(
        a.call(fetch_keys::Request { client_id: alice.id() }).unwrap().bundle.content.identity,
        alice.public
    );
}

#[test]
fn keys_that_are_old_or_not_the_askers_are_not_published() {
    let World { data: _data, server: _server, mut a, alice, bob, .. } = world();
    a.call(publication(alice.bundle(5), 1..2)).unwrap();
    assert_eq!(a.error(publication(alice.bundle(4), 2..3)), ErrorCode::STALE_KEYS);
    assert_eq!(
        a.error(publication(alice.bundle_with(5, |content| content.prekey_id.0 = 8), 2..3)),
        ErrorCode::STALE_KEYS
    );
    assert_eq!(a.error(publication(bob.bundle(6), 2..3)), ErrorCode::INVALID_KEYS);
    let mut forged = alice.bundle(6);
    forged.content.epoch.0 = 7;
    assert_eq!(a.error(publication(forged, 2..3)), ErrorCode::INVALID_KEYS);
}

#[test]
fn mail_waits_until_it_is_acknowledged_and_for_its_recipient_alone() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } = world();
    let sent = a.send(bob.id(), 1, b"first").unwrap();
    assert_eq!((sent.to, sent.message_id.0, sent.status), (bob.id(), [1; 16], StoreStatus::STORED));
    a.send(bob.id(), 2, b"second").unwrap();
    assert_eq!(a.pull(), []);
    let deliveries = b.pull();
    assert_eq!(deliveries.iter().map(text_of).collect::<Vec<_>>(), [&b"first"[..], b"second"]);
    assert!(deliveries[0].sequence < deliveries[1].sequence);
    assert!(now().0 / 60 - u64::from(deliveries[0].time.0) <= 2);
    assert_eq!(b.pull(), deliveries);
    // Others' numbers, and numbers of nothing, do not matter.
    assert_eq!(a.acknowledge(&deliveries), 0);
    let nothing = AtMost::new(vec![Sequence(0), Sequence(u64::MAX)]).unwrap();
    assert_eq!(b.call(acknowledge::Request { sequences: nothing }).unwrap().deleted, 0);
    assert_eq!(b.acknowledge(&deliveries[..1]), 1);
    assert_eq!(b.acknowledge(&deliveries), 1);
    assert_eq!(b.pull(), []);
}

#[test]
fn a_message_that_is_sent_again_is_stored_once() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } = world();
    assert_eq!(a.send(bob.id(), 1, b"hello").unwrap().status, StoreStatus::STORED);
    assert_eq!(a.send(bob.id(), 1, b"hello").unwrap().status, StoreStatus::STORED_ALREADY);
    let deliveries = b.pull();
    assert_eq!(deliveries.len(), 1);
    b.acknowledge(&deliveries);
    assert_eq!(a.send(bob.id(), 1, b"hello").unwrap().status, StoreStatus::STORED_ALREADY);
    assert_eq!(b.pull(), []);
}

#[test]
fn a_pull_begins_behind_a_number_and_stays_within_its_bytes_but_for_one() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } = world();
    for number in 0..5 {
        a.send(bob.id(), number, &[number; 1000]).unwrap();
    }
    let all = b.pull();
    let mut ask = |after: Sequence, max_bytes| {
        let request = pull_envelopes::Request { after, max_bytes, wait_ms: 0 };
        b.call(request).unwrap().into_deliveries()
    };
    assert_eq!(ask(all[1].sequence, u32::MAX), all[2..]);
    assert_eq!(ask(all[4].sequence, u32::MAX), []);
    assert_eq!(ask(Sequence(u64::MAX), u32::MAX), []);
    let size = u32::try_from(all[0].size()).unwrap();
    assert_eq!(ask(Sequence(0), 2 * size), all[..2]);
    assert_eq!(ask(Sequence(0), 2 * size - 1), all[..1]);
    assert_eq!(ask(Sequence(0), 0), all[..1]);
}

#[test]
fn the_largest_envelopes_pass_and_one_pull_has_as_many_as_it_has_room_for() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } = world();
    let largest = vec![1; messageu_wire::envelope::ENVELOPE_MAX - 8];
    for number in 0..9 {
        a.send(bob.id(), number, &largest).unwrap();
    }
    let first = b.pull();
    assert_eq!(first.len(), 7);
    assert!(first.iter().all(|delivery| text_of(delivery) == largest));
    b.acknowledge(&first);
    assert_eq!(b.pull().len(), 2);
}

#[test]
fn a_pull_that_waits_hears_of_mail_at_once_and_holds_up_nothing() {
    let World { data: _data, server: _server, mut a, mut b, alice, bob, .. } = world();
    let waiting = b.begin(pull(0, Duration::from_secs(60)));
    // The connection goes on meanwhile.
    b.send(alice.id(), 1, b"meanwhile").unwrap();
    assert_eq!(a.texts(), [b"meanwhile"]);
    let began = Instant::now();
    a.send(bob.id(), 2, b"at last").unwrap();
    let response = b.answer(waiting).unwrap();
    // Far less than any time that is polled in.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let messageu_wire::modern::Response::PullEnvelopes(response) = response else { panic!("{response:?}") };
    assert_eq!(text_of(&response.deliveries()[0]), b"at last");
}

#[test]
fn all_connections_of_a_client_hear_of_its_mail() {
    let World { data: _data, server, mut a, mut b, bob, .. } = world();
    let mut second = Modern::of(server.addresses[0], &bob);
    let tags = [&mut b, &mut second].map(|connection| connection.begin(pull(0, Duration::from_secs(60))));
    a.send(bob.id(), 1, b"hello").unwrap();
    for (connection, tag) in [&mut b, &mut second].into_iter().zip(tags) {
        assert!(connection.answer(tag).is_ok());
    }
}

#[test]
fn a_pull_that_waits_in_vain_ends_with_nothing_and_few_wait_at_once() {
    let World { data: _data, server: _server, mut b, .. } = world();
    let began = Instant::now();
    assert_eq!(b.call(pull(0, Duration::from_millis(300))).unwrap().deliveries(), []);
    assert!(began.elapsed() >= Duration::from_millis(300));
    let tags: Vec<_> = (0..5).map(|_| b.begin(pull(0, Duration::from_secs(60)))).collect();
    let refused = b.next().unwrap();
    assert_eq!(refused.tag, tags[4]);
    assert_eq!(refused.answer.unwrap_err().error, ErrorCode::TOO_MANY_REQUESTS);
}

#[test]
fn a_server_that_stops_answers_the_pulls_that_wait() {
    let World { data: _data, server, mut b, .. } = world();
    let tag = b.begin(pull(0, Duration::from_secs(60)));
    b.hello_and_wait(tag, || server.signal("-TERM"));
    assert!(server.wait().success());
}

#[test]
fn what_cannot_be_read_is_refused_at_once_though_a_pull_waits() {
    let World { data: _data, server: _server, mut b, bob, .. } = world();
    let tag = b.begin(pull(0, Duration::from_secs(600)));
    b.hello();
    let hello = messageu_wire::modern::operation::hello::Request;
    let mut other_version = encode_request(bob.id(), Tag(77), &hello.into());
    other_version[16] = 4;
    b.say(&other_version);
    // The pull is answered with what there is, then the refusal comes, and the end.
    assert!(b.answer(tag).is_ok());
    let refusal = b.next().unwrap();
    assert_eq!((refusal.tag, refusal.answer.unwrap_err().error), (Tag(77), ErrorCode::MALFORMED));
    assert!(b.next().is_none());
}

#[test]
fn nobody_has_no_keys_for_nobody() {
    let World { data: _data, server, .. } = world();
    let mut nobody = Modern::connect(server.addresses[0]);
    nobody.id = ClientId::NOBODY;
    let request = fetch_keys::Request { client_id: ClientId::NOBODY };
    assert_eq!(nobody.error(request), ErrorCode::UNKNOWN_CLIENT);
}

trait HelloAndWait {
    fn hello_and_wait(&mut self, tag: messageu_wire::modern::field::Tag, then: impl FnOnce());
}

impl HelloAndWait for Modern {
    /// Waits until a request before is begun, does something, and takes the answer.
    fn hello_and_wait(&mut self, tag: messageu_wire::modern::field::Tag, then: impl FnOnce()) {
        self.hello();
        then();
        assert!(self.answer(tag).is_ok());
        assert!(self.next().is_none());
    }
}

#[test]
fn hundreds_of_requests_at_once_are_each_answered_once() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } = world();
    let mut tags: Vec<_> = (0..=250).map(|number| a.begin(mail(bob.id(), number, &[number]))).collect();
    let mut answered: Vec<_> = tags
        .iter()
        .map(|_| {
            let frame = a.next().unwrap();
            assert!(frame.answer.is_ok());
            frame.tag
        })
        .collect();
    tags.sort();
    answered.sort();
    assert_eq!(answered, tags);
    let numbers: Vec<u8> = b.texts().into_iter().map(|text| text[0]).collect();
    assert_eq!(numbers, (0..=250).collect::<Vec<u8>>());
}

#[test]
fn what_is_sent_side_by_side_keeps_its_order() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } = world();
    let numbers: Vec<u8> = (0..=250).collect();
    for round in 0..60 {
        let requests = numbers.iter().map(|&number| {
            let mut request = mail(bob.id(), number, &[number]);
            request.message_id.0[0] = round;
            encode_request(a.id, Tag(number.into()), &request.into())
        });
        let requests: Vec<u8> = requests.flatten().collect();
        a.say(&requests);
        for _ in &numbers {
            assert!(a.next().unwrap().answer.is_ok());
        }
        let deliveries = b.pull();
        let texts: Vec<u8> = deliveries.iter().map(|delivery| text_of(delivery)[0]).collect();
        assert_eq!(texts, numbers, "round {round}");
        b.acknowledge(&deliveries);
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_what_was_deleted_stays_so() {
    let World { data, server, alice, bob, mut a, mut b } = world();
    let listen = server.addresses[0].to_string();
    for number in 0..20 {
        a.send(bob.id(), number, &[number]).unwrap();
    }
    let deliveries = b.pull();
    b.acknowledge(&deliveries[..5]);
    a.call(chunk(bob.id(), 0, b"chunk")).unwrap();
    server.kill();
    let server = Server::start(data.path(), &[&listen], &[]);
    let mut b = Modern::of(server.addresses[0], &bob);
    assert_eq!(b.pull(), deliveries[5..]);
    let file = fetch_chunk::Request { file_id: FileId([5; 16]), index: 0 };
    assert_eq!(&*b.call(file).unwrap().chunk, b"chunk");
    let mut a = Modern::of(server.addresses[0], &alice);
    assert_eq!(a.send(bob.id(), 7, &[7]).unwrap().status, StoreStatus::STORED_ALREADY);
}

#[test]
fn files_are_kept_chunk_by_chunk_for_their_recipient_alone() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } = world();
    let largest = vec![9; messageu_wire::modern::limits::SEALED_CHUNK_MAX];
    for (index, bytes) in [(0, &b"zero"[..]), (2, &largest)] {
        let put = a.call(chunk(bob.id(), index, bytes)).unwrap();
        assert_eq!((put.index, put.status), (index, StoreStatus::STORED));
        assert_eq!(a.call(chunk(bob.id(), index, bytes)).unwrap().status, StoreStatus::STORED_ALREADY);
    }
    assert_eq!(a.error(chunk(bob.id(), 0, b"other")), ErrorCode::CONFLICT);
    assert_eq!(a.error(chunk(ClientId([7; 16]), 0, b"zero")), ErrorCode::UNKNOWN_CLIENT);
    let file_id = FileId([5; 16]);
    assert_eq!(&*b.call(fetch_chunk::Request { file_id, index: 2 }).unwrap().chunk, &largest[..]);
    assert_eq!(b.error(fetch_chunk::Request { file_id, index: 1 }), ErrorCode::UNKNOWN_FILE);
    assert_eq!(a.error(fetch_chunk::Request { file_id, index: 0 }), ErrorCode::UNKNOWN_FILE);
    assert_eq!(a.call(drop_file::Request { file_id }).unwrap().chunks, 0);
    assert_eq!(b.call(drop_file::Request { file_id }).unwrap().chunks, 2);
    assert_eq!(b.error(fetch_chunk::Request { file_id, index: 0 }), ErrorCode::UNKNOWN_FILE);
}

#[test]
fn a_file_of_too_many_chunks_is_refused() {
    let World { data: _data, server: _server, mut a, bob, .. } = world();
    let place = messageu_wire::modern::field::ChunkPlace::new(0, u32::MAX).unwrap();
    let request = put_chunk::Request { place, ..chunk(bob.id(), 0, b"") };
    assert_eq!(a.error(request), ErrorCode::QUEUE_FULL);
}

#[test]
fn a_new_identity_has_the_name_and_the_old_one_what_waits_for_it() {
    let World { data: _data, server, mut a, mut b, alice, bob, .. } = world();
    let address = server.addresses[0];
    a.send(bob.id(), 1, b"before").unwrap();
    let new = User::number(2);
    let succession = bob.succession(&new);
    let rotated = b.call(rotate_identity::Request { succession: succession.clone() }).unwrap();
    assert_eq!(rotated.client_id, new.id());
    assert_eq!(look_up(&mut a, "bob"), Ok(new.id()));
    assert_eq!(a.error(mail(bob.id(), 2, b"after")), ErrorCode::MOVED);
    assert_eq!(a.error(fetch_keys::Request { client_id: bob.id() }), ErrorCode::MOVED);
    let found = a.call(fetch_succession::Request { client_id: bob.id() }).unwrap();
    assert_eq!((found.old_identity, &found.succession), (bob.public, &succession));
    assert_eq!(a.error(fetch_succession::Request { client_id: alice.id() }), ErrorCode::UNKNOWN_CLIENT);
    a.send(new.id(), 3, b"after").unwrap();
    assert_eq!(Modern::of(address, &new).texts(), [b"after"]);
    let mut old = Modern::of(address, &bob);
    assert_eq!(old.texts(), [b"before"]);
    assert_eq!(old.error(mail(alice.id(), 1, b"still here")), ErrorCode::MOVED);
    assert_eq!(old.call(rotate_identity::Request { succession }).unwrap().client_id, new.id());
    let other = bob.succession(&User::number(3));
    assert_eq!(old.error(rotate_identity::Request { succession: other }), ErrorCode::MOVED);
    let waiting = old.pull();
    assert_eq!(old.acknowledge(&waiting), 1);
}

#[test]
fn an_identity_gives_way_only_where_both_have_signed() {
    let World { data: _data, server: _server, mut b, alice, bob, .. } = world();
    let new = User::number(2);
    let good = bob.succession(&new);
    let mut one_sided = good.clone();
    one_sided.by_old.0[9] ^= 1;
    let mut misbound = good.clone();
    misbound.by_new = misbound.by_old;
    let mut later = good.clone();
    later.issued.0 += 1;
    let of_somebody_else = alice.succession(&new);
    for succession in [one_sided, misbound, later, of_somebody_else] {
        assert_eq!(b.error(rotate_identity::Request { succession }), ErrorCode::INVALID_KEYS);
    }
    // Who has an account already is nobody's successor.
    let succession = bob.succession(&alice);
    assert_eq!(b.error(rotate_identity::Request { succession }), ErrorCode::CONFLICT);
    assert_eq!(look_up(&mut b, "bob"), Ok(bob.id()));
}

#[test]
fn an_account_that_is_erased_is_gone_with_everything_on_every_connection() {
    let World { data: _data, server, mut a, mut b, alice, bob, .. } = world();
    let address = server.addresses[0];
    a.send(bob.id(), 1, b"too late").unwrap();
    let mut other = Modern::of(address, &bob);
    other.begin(pull(u64::MAX, Duration::from_secs(60)));
    other.hello();
    b.call(erase_account::Request).unwrap();
    assert!(b.next().is_none());
    assert!(other.next().unwrap().answer.is_ok());
    assert!(other.next().is_none());
    assert_eq!(look_up(&mut a, "bob"), Err(ErrorCode::UNKNOWN_CLIENT));
    assert_eq!(a.error(mail(bob.id(), 2, b"hello?")), ErrorCode::UNKNOWN_CLIENT);
    let mut gone = Modern::connect(address);
    assert_eq!(gone.authenticate(&bob).unwrap_err().error, ErrorCode::NOT_AUTHENTICATED);
    let mut again = Modern::new(address, &bob, "bob");
    assert_eq!(again.pull(), []);
    a.send(bob.id(), 3, b"welcome").unwrap();
    assert_eq!(again.texts(), [b"welcome"]);
    assert_eq!(look_up(&mut again, "alice"), Ok(alice.id()));
}

#[test]
fn one_sender_has_a_quarter_of_a_queue_and_another_the_rest() {
    let World { data: _data, server, mut a, bob, .. } = world_with(&["--mail-messages", "8"]);
    for number in 0..2 {
        a.send(bob.id(), number, b"").unwrap();
    }
    assert_eq!(a.error(mail(bob.id(), 2, b"")), ErrorCode::QUEUE_FULL);
    let mut c = Modern::new(server.addresses[0], &User::number(2), "carol");
    c.send(bob.id(), 1, b"").unwrap();
}

#[test]
fn a_queue_of_two_drops_its_oldest_where_that_is_said() {
    let World { data: _data, server: _server, mut a, mut b, bob, .. } =
        world_with(&["--queue-limit", "2", "--queue-policy", "drop-oldest"]);
    for number in 0..4 {
        a.send(bob.id(), number, &[number]).unwrap();
    }
    assert_eq!(b.texts(), [[2], [3]]);
}

#[test]
fn a_sender_who_sends_too_much_in_an_hour_is_told_when_to_come_again() {
    let World { data: _data, server: _server, mut a, bob, .. } = world_with(&["--sender-bytes", "131072"]);
    a.send(bob.id(), 1, &[1; 131_000]).unwrap();
    let refusal = a.send(bob.id(), 2, &[2; 131_000]).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::TOO_MANY_REQUESTS);
    assert!((1..=3600).contains(&refusal.retry_after_s), "{refusal}");
}

#[test]
fn to_a_classic_client_accounts_of_version_3_do_not_exist() {
    let World { data: _data, server, mut b, bob, .. } = world();
    let address = server.addresses[0];
    for family in Family::ALL {
        let dialect = Dialect::classic(family);
        let classic = Peer::register(address, dialect, &format!("classic{family}"));
        assert!(classic.roster().iter().all(|(_, id)| *id != bob.id()));
        let stranger = ClientId([7; 16]);
        let asks = |id: ClientId, asker: ClientId| {
            let peer = Peer { id: asker, ..classic.clone() };
            let request = operations::Request::FetchKey(fetch_key::Request { client_id: id });
            let send = peer.send(id, MessageType::TEXT, b"hello");
            (peer.ask(&request, &[]), send)
        };
        assert_eq!(asks(bob.id(), classic.id), asks(stranger, classic.id));
        assert_eq!(asks(classic.id, bob.id()), asks(classic.id, stranger));
        assert_eq!(asks(bob.id(), classic.id), (Answer::Refused, Answer::Refused));
    }
    // Nor the other way round; names are apart.
    let classic = Peer::register(address, Dialect::classic(Family::E), "bob");
    assert_eq!(look_up(&mut b, "bob"), Ok(bob.id()));
    assert_eq!(b.error(mail(classic.id, 1, b"hello")), ErrorCode::UNKNOWN_CLIENT);
    assert_eq!(b.pull(), []);
}
