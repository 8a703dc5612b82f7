//! Connections of version 3 to the real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test should stop"
)]

mod support;

use std::path::Path;
use std::time::SystemTime;

use messageu_client::modern::{CallError, Connection, Patience};
use messageu_client::{Address, ErrorKind};
use messageu_envelope::bundle::{BundleTerms, OwnBundle};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::IdentityKey;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::field::{EnvelopeId, Epoch, FileId, PrekeyId, UnixSeconds, WrapId};
use messageu_wire::envelope::statement::BindingType;
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::field::{
    AtMost, ChunkBytes, ChunkPlace, Envelope, RegistrationState, Sequence, StoreStatus,
};
use messageu_wire::modern::operation::{
    acknowledge, fetch_chunk, fetch_keys, look_up, pull_envelopes, put_chunk, register, send_envelope,
};
use messageu_wire::modern::{ErrorCode, Refusal};
use support::{Server, join_all, server_program};
use tempfile::{TempDir, tempdir};

/// The real server, and the address that it is known by.
struct Known {
    _server: Server,
    data: TempDir,
    address: Address,
}

fn start() -> Known {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), "127.0.0.1:0");
    let address = format!("{}#{}", server.address, pin(data.path())).parse().unwrap();
    Known { _server: server, data, address }
}

fn pin(data: &Path) -> String {
    let output =
        std::process::Command::new(server_program()).arg("pin").arg("--data").arg(data).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A user whose RSA keys are data: to make them takes long.
struct User {
    key: IdentityKey,
    content: register::Content,
}

impl User {
    fn new(name: &str) -> Self {
        let keys: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/modern/keys.json")).unwrap();
        let der = |which: &str| {
            let digits = keys[name][which].as_str().unwrap();
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            (0..digits.len()).step_by(2).map(byte).collect::<Vec<u8>>()
        };
        let key = IdentityKey::from_pkcs8_der(&der("identity")).unwrap();
        let wrapping = WrappingKey::from_pkcs8_der(&der("wrapping")).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let terms = BundleTerms {
            epoch: Epoch(1),
            issued: UnixSeconds(now),
            prekey_id: PrekeyId(1),
            wrap_id: WrapId(1),
        };
        let mut rng = rand::rng();
        let bundle = OwnBundle::make(&key, terms, DhSecret::generate(&mut rng), wrapping, &mut rng).unwrap();
        let name = Name::new(name).unwrap();
        Self { key, content: register::Content { name, phone: None, bundle: bundle.bundle().clone() } }
    }

    fn id(&self) -> ClientId {
        self.key.identity().client_id()
    }

    /// Registers and authenticates on one connection.
    async fn joins(&self, server: &Known) -> Connection {
        let connection = connect(server).await;
        let response = connection.register(&self.key, self.content.clone()).await.unwrap();
        assert_eq!(response.state, RegistrationState::REGISTERED);
        connection.authenticate(&self.key).await.unwrap();
        connection
    }
}

async fn connect(server: &Known) -> Connection {
    Connection::connect(&server.address, Patience::default()).await.unwrap()
}

fn envelope(content: u8) -> Envelope {
    Envelope::new([b"MU3\x01\x01\x03\0\0", &[content; 360][..]].concat()).unwrap()
}

fn to(recipient: &User, number: u8) -> send_envelope::Request {
    let message_id = EnvelopeId([number; 16]);
    send_envelope::Request { to: recipient.id(), message_id, envelope: envelope(number) }
}

fn pull(after: u64, wait_ms: u32) -> pull_envelopes::Request {
    pull_envelopes::Request { after: Sequence(after), max_bytes: 1 << 20, wait_ms }
}

#[tokio::test]
async fn what_is_sent_wakes_who_waits_and_is_there_until_it_is_acknowledged() {
    let server = start();
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    let (from, at) = (alice.joins(&server).await, bob.joins(&server).await);
    let sending = async {
        let sent = from.call(to(&bob, 1)).await.unwrap();
        assert_eq!((sent.to, sent.status), (bob.id(), StoreStatus::STORED));
        from.call(to(&bob, 1)).await.unwrap().status
    };
    // It would wait for a minute.
    let (pulled, again) = tokio::join!(at.call(pull(0, 60_000)), sending);
    assert_eq!(again, StoreStatus::STORED_ALREADY);
    let pulled = pulled.unwrap();
    let [delivery] = pulled.deliveries() else { panic!("{pulled:?}") };
    assert_eq!(delivery.envelope[..], *envelope(1).as_bytes());
    assert_eq!(at.call(pull(0, 0)).await.unwrap(), pulled, "a pull deletes nothing");
    let sequences = AtMost::new(vec![delivery.sequence]).unwrap();
    assert_eq!(at.call(acknowledge::Request { sequences }).await.unwrap().deleted, 1);
    assert_eq!(at.call(pull(0, 0)).await.unwrap().deliveries(), []);
}

#[tokio::test]
async fn many_calls_go_on_beside_a_pull_that_waits() {
    let server = start();
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    let _at = bob.joins(&server).await;
    let from = alice.joins(&server).await;
    let file_id = FileId([7; 16]);
    let chunk = |index: u32| put_chunk::Request {
        to: bob.id(),
        file_id,
        place: ChunkPlace::new(index, 40).unwrap(),
        chunk: ChunkBytes::new(vec![7; 65_600]).unwrap(),
    };
    let puts = async {
        join_all((0..40).map(|index| from.call(chunk(index))))
            .await
            .into_iter()
            .map(|put| put.unwrap().status)
    };
    let sends = async {
        join_all((1..=20).map(|number| from.call(to(&bob, number))))
            .await
            .into_iter()
            .map(|sent| sent.unwrap().status)
    };
    let work = async {
        let (puts, sends) = tokio::join!(puts, sends);
        assert!(puts.chain(sends).all(|status| status == StoreStatus::STORED));
    };
    tokio::select! {
        pulled = from.call(pull(0, 600_000)) => panic!("nothing was sent to alice: {pulled:?}"),
        () = work => {}
    }
}

#[tokio::test]
async fn a_file_is_fetched_by_its_recipient_alone() {
    let server = start();
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    let (from, at) = (alice.joins(&server).await, bob.joins(&server).await);
    let chunk = ChunkBytes::new(vec![7; 65_600]).unwrap();
    let put = put_chunk::Request {
        to: bob.id(),
        file_id: FileId([7; 16]),
        place: ChunkPlace::new(0, 1).unwrap(),
        chunk: chunk.clone(),
    };
    assert_eq!(from.call(put).await.unwrap().status, StoreStatus::STORED);
    let fetch = fetch_chunk::Request { file_id: FileId([7; 16]), index: 0 };
    assert_eq!(at.call(fetch).await.unwrap().chunk, chunk);
    let refused = Err(CallError::Refused(Refusal::new(ErrorCode::UNKNOWN_FILE)));
    assert_eq!(from.call(fetch).await, refused);
}

#[tokio::test]
async fn either_binding_proves_who_asks() {
    let server = start();
    let alice = User::new("alice");
    alice.joins(&server).await;
    for binding in [BindingType::TLS_EXPORTER, BindingType::SERVER_KEY] {
        let connection = connect(&server).await;
        connection.authenticate_bound_by(&alice.key, binding).await.unwrap();
        let found = connection.call(look_up::Request { name: alice.content.name.clone() }).await.unwrap();
        assert_eq!(found.client_id, alice.id());
        let keys = connection.call(fetch_keys::Request { client_id: alice.id() }).await.unwrap();
        assert_eq!(keys.bundle, alice.content.bundle);
    }
}

#[tokio::test]
async fn who_has_not_said_who_it_is_may_try_again() {
    let server = start();
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    alice.joins(&server).await;
    let connection = connect(&server).await;
    let refused = |error: CallError| error.code().expect("a refusal");
    assert_eq!(refused(connection.call(pull(0, 0)).await.unwrap_err()), ErrorCode::NOT_AUTHENTICATED);
    let unknown = connection.authenticate(&bob.key).await.unwrap_err();
    assert_eq!(refused(unknown), ErrorCode::NOT_AUTHENTICATED);
    connection.authenticate(&alice.key).await.unwrap();
    assert_eq!(connection.call(pull(0, 0)).await.unwrap().deliveries(), []);
}

#[tokio::test]
async fn a_taken_name_is_refused() {
    let server = start();
    User::new("alice").joins(&server).await;
    let mut bob = User::new("bob");
    bob.content.name = Name::new("alice").unwrap();
    let error = connect(&server).await.register(&bob.key, bob.content).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NAME_TAKEN));
}

#[tokio::test]
async fn another_server_at_the_same_place_is_not_spoken_to() {
    let server = start();
    let other = start();
    let confused: Address = format!("{}#{}", server.address.place(), pin(other.data.path())).parse().unwrap();
    let error = Connection::connect(&confused, Patience::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer);
}

#[tokio::test]
async fn a_server_without_a_trusted_certificate_is_not_spoken_to_without_its_pin() {
    let server = start();
    let address: Address = server.address.place().parse().unwrap();
    let error = Connection::connect(&address, Patience::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer);
    assert!(error.hint_text().unwrap().contains("pin"), "{error:?}");
}
