//! A scan for what a server of version 3 must not keep: whatever it leaves behind, in its database, the log of that, its own
//! log and its measures, has none of it. Each kind of place is known to be looked at: something that belongs there is found.

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

use messageu_wire::fields::Name;
use messageu_wire::modern::field::RegistrationCode;
use messageu_wire::modern::operation::{erase_account, fetch_keys, look_up, verify_registration};
use support::admin::Site;
use support::modern::{Modern, User, chunk, publication};
use support::values::values_with;
use support::{Server, until};

const PHONES: [&str; 2] = ["+4915112345678", "+4915187654321"];
const NAMES: [&str; 2] = ["Canary Alice", "Canary Bob"];

/// What looks like an envelope's ciphertext, and a chunk's: these are kept until they are taken.
const SEALED: [u8; 300] = [0xc5; 300];
static LARGE: [u8; 60_000] = [0x3a; 60_000];
static CHUNK: [u8; 50_000] = [0x9d; 50_000];

/// The number of the message, which all its bytes are.
const MESSAGE: u8 = 0xb7;

/// A server that knows its users' numbers, and whatever it says.
struct World {
    data: tempfile::TempDir,
    outside: tempfile::TempDir,
    server: Server,
    site: Site,
}

impl World {
    fn new() -> Self {
        let [data, outside] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let channel = format!("file:{}", outside.path().join("codes").display());
        let log = outside.path().join("log").display().to_string();
        let options =
            ["--registration", "code", "--code-channel", &channel, "--log", "trace", "--log-file", &log];
        let (server, site) = Site::start(data.path(), &options);
        Self { data, outside, server, site }
    }

    /// Somebody who has proved a number, after a slip.
    fn register(&self, user: &User, name: &str, phone: &str) -> (Modern, String) {
        let mut modern = Modern::connect(self.server.addresses[0]);
        let begun = modern.register(user, name, Some(phone)).unwrap();
        let mut code = None;
        until("a code", || {
            let codes = std::fs::read_to_string(self.outside.path().join("codes")).unwrap_or_default();
            let mut lines = codes.lines().filter_map(|line| line.split_once(' '));
            code = lines.find(|(to, _)| *to == phone).map(|(_, code)| code.to_owned());
            code.is_some()
        });
        let code = code.unwrap();
        let wrong = format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000);
        for (code, is_right) in [(&wrong, false), (&code, true)] {
            let code = RegistrationCode::new(code.as_bytes()).unwrap();
            let request = verify_registration::Request { registration_id: begun.registration_id, code };
            assert_eq!(modern.call(request).is_ok(), is_right);
        }
        modern.authenticate(user).unwrap();
        (modern, code)
    }

    /// All that the server keeps in its directory.
    fn kept(&self) -> Vec<(String, Vec<u8>)> {
        files(self.data.path())
    }

    /// All that it says: its log, its measures, its page.
    fn said(&self) -> Vec<(String, Vec<u8>)> {
        let mut said = vec![("the log".to_owned(), std::fs::read(self.outside.path().join("log")).unwrap())];
        for path in ["/metrics", "/"] {
            said.push((path.to_owned(), self.site.get(path).body.into_bytes()));
        }
        said
    }
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap_or_default())).collect()
}

/// Where these bytes are.
fn found(needle: &[u8], places: &[(String, Vec<u8>)]) -> Vec<String> {
    let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    places.iter().filter(|(_, bytes)| has(bytes)).map(|(place, _)| place.clone()).collect()
}

/// Where these digits are a number of their own.
fn found_number(digits: &str, places: &[(String, Vec<u8>)]) -> Vec<String> {
    let has = |bytes: &[u8]| {
        let at = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut windows = bytes.windows(digits.len()).enumerate();
        windows.any(|(from, window)| {
            window == digits.as_bytes() && !from.checked_sub(1).is_some_and(at) && !at(from + digits.len())
        })
    };
    places.iter().filter(|(_, bytes)| has(bytes)).map(|(place, _)| place.clone()).collect()
}

#[test]
fn numbers_codes_and_senders_are_in_nothing_that_a_server_keeps_or_says() {
    let world = World::new();
    let users = [0, 1].map(User::number);
    let [(mut alice, code), (mut bob, other_code)] =
        [0, 1].map(|which| world.register(&users[which], NAMES[which], PHONES[which]));
    let to = users[1].id();
    bob.call(publication(users[1].bundle(2), 1..5)).unwrap();
    alice.call(look_up::Request { name: Name::new(NAMES[1]).unwrap() }).unwrap();
    alice.call(fetch_keys::Request { client_id: to }).unwrap();
    alice.send(to, MESSAGE, &SEALED).unwrap();
    alice.send(to, MESSAGE - 1, &LARGE).unwrap();
    alice.call(chunk(to, 0, &CHUNK)).unwrap();
    assert_eq!(bob.pull().len(), 2);

    let (kept, said) = (world.kept(), world.said());
    let everywhere = [kept.clone(), said.clone()].concat();
    // The scan finds what is there.
    let database = world.data.path().join("messageu.db").display().to_string();
    for here in [NAMES[1].as_bytes(), &SEALED, &LARGE[..4_000], &CHUNK[..4_000]] {
        assert!(found(here, &kept).iter().any(|place| place.starts_with(&database)));
    }
    assert_eq!(found(b"messageu_modern_accounts 2", &said), ["/metrics"]);
    assert_ne!(found(PHONES[0].as_bytes(), &files(world.outside.path())), <[String; 0]>::default());

    for phone in PHONES {
        assert_eq!(found(phone.trim_start_matches('+').as_bytes(), &everywhere), <[String; 0]>::default());
    }
    for code in [&code, &other_code] {
        assert_eq!(found_number(code, &everywhere), <[String; 0]>::default());
    }
    assert_eq!(found(&[MESSAGE; 16], &everywhere), <[String; 0]>::default(), "the sender's number for it");
    // What is kept for its recipient, and who has which name, is nobody else's business.
    for secret in [&SEALED[..], &LARGE[..64], &CHUNK[..64], NAMES[0].as_bytes(), NAMES[1].as_bytes()] {
        assert_eq!(found(secret, &said), <[String; 0]>::default());
    }
    assert_sender_is_nowhere(world.data.path(), &users[0]);
}

/// What is kept of mail and files does not tell who sent it.
fn assert_sender_is_nowhere(data: &Path, sender: &User) {
    let secrets = [&sender.id().0[..], &sender.fingerprint().0, &sender.public.0];
    let (looked_at, found) = values_with(data, &secrets);
    assert_eq!(found, 0);
    assert!(looked_at >= 5, "only {looked_at}");
}

#[test]
fn what_was_erased_is_in_nothing_that_a_server_keeps() {
    let world = World::new();
    let users = [0, 1].map(User::number);
    let [(mut alice, _), (mut bob, _)] =
        [0, 1].map(|which| world.register(&users[which], NAMES[which], PHONES[which]));
    alice.send(users[1].id(), MESSAGE, &SEALED).unwrap();
    alice.send(users[1].id(), MESSAGE - 1, &LARGE).unwrap();
    alice.call(chunk(users[1].id(), 0, &CHUNK)).unwrap();
    let public = users[1].public.0;
    let secrets = [NAMES[1].as_bytes(), &SEALED, &LARGE[..64], &CHUNK[..64], &public[100..200]];
    let places = || secrets.map(|secret| found(secret, &world.kept()));
    assert!(places().iter().all(|places| !places.is_empty()));
    bob.call(erase_account::Request).unwrap();
    until("the end of it", || places().iter().all(Vec::is_empty));
    assert_ne!(found(NAMES[0].as_bytes(), &world.kept()), <[String; 0]>::default());
}
