//! What is kept for how long.

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
use std::time::{Duration, SystemTime};

use messageu_server::store::Store as _;
use messageu_server::store::modern::{MailLifetime, MailLimits, ModernStore as _, NewAccount, NewEnvelope};
use messageu_server::store::sqlite::SqliteStore;
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    DhPublicKey, EnvelopeId, Epoch, Fingerprint, PrekeyId, RsaPublicKey, Signature, UnixSeconds, WrapId,
};
use messageu_wire::envelope::{EnvelopeKind, Suite};
use messageu_wire::fields::Name;
use messageu_wire::message::MessageType;
use support::admin::Site;
use support::{Answer, Peer, Server, rows, until};

const LARGE: usize = 300_000;

/// Stops a server, and lets so many days pass for its database.
fn days_pass(server: Server, data: &Path, days: u32) {
    server.signal("-TERM");
    assert!(server.wait().success());
    let database = rusqlite::Connection::open(data.join("messageu.db")).unwrap();
    let changes = [
        format!("UPDATE times SET Reached = Reached - {days} * 86400"),
        format!("UPDATE clients SET LastSeen = datetime(LastSeen, '-{days} days')"),
    ];
    for change in changes {
        assert!(database.execute(&change, []).unwrap() > 0, "{change}");
    }
}

fn send(peer: &Peer, content: &[u8]) {
    assert!(matches!(peer.send(peer.id, MessageType::FILE, content), Answer::Response(_)));
}

/// A server whose clients alice and bob have mail, a small one and a large one.
fn with_mail(data: &Path) -> (Server, Peer, Peer) {
    let (server, _) = Site::start(data, &[]);
    let [alice, bob] =
        ["alice", "bob"].map(|name| Peer::register(server.addresses[0], Dialect::classic(Family::E), name));
    send(&alice, b"old");
    send(&bob, &[7; LARGE]);
    (server, alice, bob)
}

/// Starts another server over the same data, until it has looked what is too old.
fn start(data: &Path, options: &[&str]) -> (Server, Site) {
    let (server, site) = Site::start(data, options);
    // The times are noted before anything is dropped: what follows waits for that itself.
    until("the listeners", || site.get("/readyz").status == 200);
    (server, site)
}

#[test]
fn messages_that_wait_for_too_long_are_dropped_and_counted_and_younger_ones_stay() {
    let data = tempfile::tempdir().unwrap();
    let (server, alice, _) = with_mail(data.path());
    server.signal("-TERM");
    assert!(server.wait().success());
    // The next start notes when they were there.
    let (server, _) = start(data.path(), &[]);
    days_pass(server, data.path(), 3);
    let (server, _) = start(data.path(), &[]);
    let alice = Peer { address: server.addresses[0], ..alice };
    send(&alice, b"young");
    days_pass(server, data.path(), 3);

    // Six days old, and three.
    let (_server, site) = start(data.path(), &["--keep-messages", "5"]);
    let expired = |kind: &str| site.measures()[&format!("messageu_{kind}_total{{fate=\"expired\"}}")];
    until("the end of the old", || expired("messages") == 2.0);
    assert_eq!(expired("message_bytes"), (3 + LARGE) as f64);
    assert_eq!(site.measures()["messageu_waiting_messages"], 1.0);
    let alice = Peer { address: _server.addresses[0], ..alice };
    let mail: Vec<Vec<u8>> = alice.pull().into_iter().map(|(_, content)| content).collect();
    assert_eq!(mail, [b"young"]);
    until("the end of their chunks", || rows(data.path()) == 0);
}

#[test]
fn mail_of_version_3_has_its_time_whatever_is_said_of_the_classic_one() {
    let data = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let path = data.path().join("messageu.db");
    let day = Duration::from_secs(24 * 60 * 60);
    let ago = |days| SystemTime::now() - day * days;
    let key = RsaPublicKey([1; 422]);
    let content = BundleContent {
        suite: Suite::ONE,
        min_dialect: MIN_DIALECT,
        epoch: Epoch(1),
        issued: UnixSeconds(1),
        expires: UnixSeconds(2),
        prekey_id: PrekeyId(1),
        prekey: DhPublicKey([1; 32]),
        wrap_id: WrapId(1),
        wrap_key: key,
        identity: key,
    };
    let anna = NewAccount {
        fingerprint: Fingerprint([1; 32]),
        name: Name::new("Anna").unwrap(),
        phone: None,
        bundle: Bundle { content, signature: Signature([1; 384]) },
    };
    runtime.block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        let id = anna.id();
        store.register_account(anna, ago(50)).await.unwrap();
        for (number, days) in [(1, 40), (2, 20)] {
            let envelope = vec![number; 10_000].into();
            let (message_id, kind) = (EnvelopeId([number; 16]), EnvelopeKind::MSG);
            let envelope = NewEnvelope { to: id, from: id, message_id, kind, envelope };
            store.enqueue_envelope(envelope, MailLimits::default(), ago(days)).await.unwrap();
            // Noted each hour, when a server runs.
            while store.drop_expired(MailLifetime::default(), ago(days - 1)).await.unwrap() {}
        }
        store.close().await;
    });
    let (_server, site) = start(data.path(), &[]);
    let expired = || site.measures()["messageu_modern_total{what=\"envelope\",fate=\"expired\"}"];
    until("the end of the old", || expired() == 1.0);
    assert_eq!(site.measures()["messageu_modern_waiting{what=\"envelope\"}"], 1.0);
    assert_eq!(site.measures()["messageu_modern_accounts"], 1.0);
}

#[test]
fn without_the_option_nothing_is_ever_dropped() {
    let data = tempfile::tempdir().unwrap();
    let (server, alice, bob) = with_mail(data.path());
    days_pass(server, data.path(), 10_000);
    let (server, site) = start(data.path(), &[]);
    let address = server.addresses[0];
    assert_eq!(Peer { address, ..alice }.pull().len(), 1);
    assert_eq!(Peer { address, ..bob }.pull().len(), 1);
    assert_eq!(site.measures()["messageu_clients_expired_total"], 0.0);
}

#[test]
fn clients_that_do_not_come_back_are_dropped_with_their_mail_and_the_others_stay() {
    let data = tempfile::tempdir().unwrap();
    let (server, alice, bob) = with_mail(data.path());
    days_pass(server, data.path(), 3);
    let (server, _) = start(data.path(), &[]);
    let alice = Peer { address: server.addresses[0], ..alice };
    assert_eq!(alice.roster().len(), 1);
    days_pass(server, data.path(), 3);
    let (server, site) = start(data.path(), &["--keep-clients", "5"]);
    until("the end of bob", || site.measures()["messageu_clients_expired_total"] == 1.0);
    let alice = Peer { address: server.addresses[0], ..alice };
    assert_eq!(alice.roster(), []);
    assert_eq!(alice.pull().len(), 1);
    let bob = Peer { address: server.addresses[0], ..bob };
    assert_eq!(bob.send(alice.id, MessageType::TEXT, b""), Answer::Refused);
    assert_eq!(site.measures()["messageu_clients"], 1.0);
    Peer::register(server.addresses[0], Dialect::classic(Family::E), "bob");
}

#[test]
fn a_clock_that_was_once_far_ahead_makes_nobody_look_away() {
    let data = tempfile::tempdir().unwrap();
    let (server, alice, _) = with_mail(data.path());
    days_pass(server, data.path(), 10);
    // The server ran with it, and noted the time that it said.
    let database = rusqlite::Connection::open(data.path().join("messageu.db")).unwrap();
    assert!(database.execute("UPDATE times SET Reached = Reached + 1000 * 86400", []).unwrap() > 0);
    database.execute("UPDATE clients SET LastSeen = datetime('now') WHERE UserName = 'alice'", []).unwrap();
    drop(database);
    let (server, site) = start(data.path(), &["--keep-clients", "5"]);
    until("the end of bob", || site.measures()["messageu_clients"] == 1.0);
    assert_eq!(Peer { address: server.addresses[0], ..alice }.pull().len(), 1);
}

#[test]
fn a_client_whose_last_visit_is_not_known_or_by_a_clock_that_was_wrong_stays() {
    let data = tempfile::tempdir().unwrap();
    let (server, alice, _) = with_mail(data.path());
    server.signal("-TERM");
    assert!(server.wait().success());
    let database = rusqlite::Connection::open(data.path().join("messageu.db")).unwrap();
    for (seen, name) in [("NULL", "alice"), ("'1970-01-01 00:00:01'", "bob")] {
        assert_eq!(
            database.execute(&format!("UPDATE clients SET LastSeen = {seen} WHERE UserName = '{name}'"), []),
            Ok(1)
        );
    }
    drop(database);
    let options = ["--keep-clients", "1", "--keep-messages", "1"];
    let (server, _) = start(data.path(), &options);
    let newcomer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "newcomer");
    days_pass(server, data.path(), 3);
    let (server, site) = start(data.path(), &options);
    until("the end of the newcomer", || site.measures()["messageu_clients_expired_total"] == 1.0);
    let alice = Peer { address: server.addresses[0], ..alice };
    assert_eq!(alice.roster().len(), 1);
    assert!(alice.roster().iter().all(|(_, id)| *id != newcomer.id));
}

#[test]
fn a_clock_that_is_wrong_at_the_start_does_not_make_messages_younger_again() {
    let data = tempfile::tempdir().unwrap();
    let (server, _, _) = with_mail(data.path());
    server.signal("-TERM");
    assert!(server.wait().success());
    let times = |sql: &str| {
        let database = rusqlite::Connection::open(data.path().join("messageu.db")).unwrap();
        database.query_one(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    // As if the clock had been ahead by years before.
    let ahead = times("UPDATE times SET Reached = Reached + 100000000 RETURNING Reached");
    let (server, alice) = {
        let (server, _) = start(data.path(), &[]);
        let alice = Peer::register(server.addresses[0], Dialect::classic(Family::E), "carol");
        (server, alice)
    };
    send(&alice, b"more");
    server.signal("-TERM");
    assert!(server.wait().success());
    let (_server, _) = start(data.path(), &[]);
    until("the next mark", || times("SELECT max(Sequence) FROM times") == 3);
    assert_eq!(times("SELECT max(Reached) FROM times"), ahead);
    assert_eq!(
        times(
            "SELECT count(*) FROM (SELECT Reached, lag(Reached) OVER (ORDER BY Sequence) AS before FROM times) WHERE Reached < before"
        ),
        0
    );
}
