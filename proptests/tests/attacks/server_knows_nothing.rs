//! What real clients say, hold and prove is in nothing that a server keeps or says: database, log of the database, its own
//! log, measures. Each place is known to be looked at: something that belongs there is found.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, OnceLock};

use messageu_client::Profile;
use messageu_client::modern::{Account, Connection, Patience, Registrant, Settings};
use messageu_server::limits::Limits;
use messageu_server::modern::registration::Registration;
use messageu_server::store::sqlite::SqliteStore;
use messageu_wire::fields::Name;
use messageu_wire::message::MessageType;
use messageu_wire::modern::field::{PhoneNumber, RegistrationCode};
use messageu_wire::modern::operation::verify_registration;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::person::made_keys;
use crate::harness::{Person, Stolen, World, contains, content};
use crate::registration::{asking, code, wrong};
use crate::values::values_with;

/// A server with its database, and everything that is logged in this process.
struct Scanned {
    data: tempfile::TempDir,
    codes: tempfile::TempDir,
    world: World,
}

/// Bytes with what they are called.
type Places = Vec<(String, Vec<u8>)>;

impl Scanned {
    async fn new(asks_for_codes: bool) -> Self {
        log();
        let [data, codes] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let registration = if asks_for_codes { asking(codes.path()) } else { Registration::Open };
        let store = SqliteStore::open(&data.path().join("messageu.db")).unwrap();
        Self { world: World::over(store, Limits::default(), registration).await, data, codes }
    }

    /// Somebody who has proved a number, after a slip; and the code.
    async fn person(&self, name: &'static str, phone: &str) -> (Person, String) {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path().join("downloads"));
        let who =
            Registrant { name: Name::new(name).unwrap(), phone: Some(PhoneNumber::new(phone).unwrap()) };
        let (profile, made) = (Profile::at(dir.path()), move || Ok(made_keys(name)));
        let account = Account::prepare(&profile, None, who, settings.clone(), made).await.unwrap();
        let server = Connection::connect(&self.world.address, Patience::default()).await.unwrap();
        let content = account.registration().unwrap();
        let begun = server.register(account.identity_key(), content).await.unwrap();
        let code = code(self.codes.path(), phone, 1).await;
        for (code, is_right) in [(&wrong(&code, 1), false), (&code, true)] {
            let code = RegistrationCode::new(code.as_bytes()).unwrap();
            let registration_id = begun.registration_id;
            let answer = server.call(verify_registration::Request { registration_id, code }).await;
            assert_eq!(answer.is_ok(), is_right);
        }
        account.registered().unwrap();
        let mut person = Person { dir, settings, account, server };
        person.reconnect(&self.world.address).await.unwrap();
        person.account.refresh_keys(&person.server).await.unwrap();
        (person, code)
    }

    /// Everything that the server keeps in its directory.
    fn kept(&self) -> Places {
        let files = std::fs::read_dir(self.data.path()).unwrap().map(|file| file.unwrap().path());
        files.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
    }

    /// Everything that it says.
    fn said(&self) -> Places {
        let mut said = vec![("the log".to_owned(), log().lock().unwrap().clone())];
        for path in ["/metrics", "/"] {
            let mut stream = TcpStream::connect(self.world.admin).unwrap();
            let host = self.world.admin;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
            said.push((path.to_owned(), answer));
        }
        said
    }
}

/// What is logged in this process, down to the smallest, from the first call on.
fn log() -> &'static Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        log.0
    })
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn found(needle: &[u8], places: &Places) -> Vec<String> {
    let places = places.iter().filter(|(_, bytes)| contains(bytes, needle));
    places.map(|(place, _)| place.clone()).collect()
}

/// Where these digits are a number of their own.
fn found_number(digits: &str, places: &Places) -> Vec<String> {
    let is_one = |bytes: &[u8]| {
        let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut windows = bytes.windows(digits.len()).enumerate();
        windows.any(|(at, window)| {
            window == digits.as_bytes()
                && !at.checked_sub(1).is_some_and(is_digit)
                && !is_digit(at + digits.len())
        })
    };
    places.iter().filter(|(_, bytes)| is_one(bytes)).map(|(place, _)| place.clone()).collect()
}

fn assert_nowhere(what: &str, needle: &[u8], places: &Places) {
    assert_eq!(found(needle, places), <[String; 0]>::default(), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_all_that_the_server_has() {
    let scanned = Scanned::new(true).await;
    let phones = ["+4915112345678", "+4915187654321"];
    let (alice, alices_code) = scanned.person("alice", phones[0]).await;
    let (bob, bobs_code) = scanned.person("bob", phones[1]).await;
    let text = "a canary that sings in no cage";
    let file = content(150_000);
    alice.send("bob", text).await.unwrap();
    alice.send_file("bob", "canary song.txt", &file).await.unwrap();
    // Looked at while it waits, and again when it has been taken.
    let mut everywhere: Places = [scanned.kept(), scanned.said()].concat();
    let envelope = scanned.world.store.last_to(bob.id());
    let database = scanned.data.path().join("messageu.db").display().to_string();
    assert!(found(&envelope, &scanned.kept()).iter().any(|place| place.starts_with(&database)));
    let manifest = [Stolen::of(&alice), Stolen::of(&bob)];
    assert!(manifest[0].has(text.as_bytes()), "her history has it");
    bob.account.receive(&bob.server, 0).await.unwrap();
    let keys = Stolen::of(&bob).manifests().remove(0);
    assert_eq!(bob.receives().await.last().unwrap(), "alice: file canary song.txt of 150000");
    bob.send("alice", "and one back").await.unwrap();
    assert_eq!(alice.receives().await, ["bob: and one back"]);
    everywhere.extend([scanned.kept(), scanned.said()].concat());
    assert!(found(b"messageu_modern_accounts 2", &everywhere).contains(&"/metrics".to_owned()));
    assert!(found(b"registered in version 3", &everywhere).contains(&"the log".to_owned()));

    for (what, secret) in [
        ("a text", text.as_bytes()),
        ("a text", b"and one back"),
        ("a file's name", b"canary song"),
        ("a file", &file[..48]),
        ("a file", &file[100_000..100_048]),
        ("a file's key", &keys.file_key.0),
    ] {
        assert_nowhere(what, secret, &everywhere);
    }
    for person in [&alice, &bob] {
        let identity = person.account.identity_key().to_pkcs8_der().unwrap();
        assert_nowhere("a private key", &identity[600..640], &everywhere);
        let stolen = Stolen::of(person);
        for bundle in stolen.bundles() {
            assert_nowhere("a prekey", bundle.prekey().as_bytes(), &everywhere);
            assert_nowhere(
                "a wrapping key",
                &bundle.wrapping().to_pkcs8_der().unwrap()[600..640],
                &everywhere,
            );
        }
        for (_, secret) in stolen.one_time_keys() {
            assert_nowhere("a one-time key", secret.as_bytes(), &everywhere);
        }
        for session in stolen.sessions() {
            assert_nowhere("a root key", &session.to_bytes()[81..113], &everywhere);
        }
    }
    for phone in phones {
        assert_nowhere("a number", phone.trim_start_matches('+').as_bytes(), &everywhere);
    }
    for code in [&alices_code, &bobs_code] {
        assert_eq!(found_number(code, &everywhere), <[String; 0]>::default(), "a code");
    }
    // Names and identities are kept, as they must be; and said to nobody.
    let said = scanned.said();
    for secret in [&b"alice"[..], b"bob", &envelope[..64]] {
        assert_nowhere("who there is, and what they send", secret, &said);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telling_who_wrote_to_whom_from_the_database() {
    let scanned = Scanned::new(false).await;
    let (alice, bob) = scanned.world.pair().await;
    alice.send("bob", "hello").await.unwrap();
    alice.send_file("bob", "file", &content(70_000)).await.unwrap();
    let sender = alice.account.identity_key().identity();
    let secrets = [&alice.id().0[..], &sender.fingerprint().0, &sender.public_key().0];
    let (looked_at, found) = values_with(scanned.data.path(), &secrets);
    assert!(looked_at >= 3, "only {looked_at}");
    assert_eq!(found, 0);
    assert_eq!(bob.receives().await, ["alice: new", "alice: hello", "alice: file file of 70000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telling_who_wrote_to_whom_from_the_database_succeeds_against_the_classic_dialect() {
    let scanned = Scanned::new(false).await;
    let classic = scanned.world.classic();
    let (alice, bob) = (classic.register("alice").await, classic.register("bob").await);
    classic.send(alice, bob, MessageType::TEXT, b"hello").await.unwrap();
    let database = rusqlite::Connection::open(scanned.data.path().join("messageu.db")).unwrap();
    let sender = "SELECT FromClient FROM messages";
    let sender: Vec<u8> = database.query_row(sender, [], |row| row.get(0)).unwrap();
    assert_eq!(sender, alice.0);
}
