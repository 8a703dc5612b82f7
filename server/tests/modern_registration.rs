//! Registration in version 3, with codes to phone numbers and without.

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
use std::path::{Path, PathBuf};

use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::field::{RegistrationCode, RegistrationId, RegistrationState, ServerFlags};
use messageu_wire::modern::operation::{register, verify_registration};
use support::modern::{Modern, User, content};
use support::{Server, until};

/// A server that writes its codes into a file.
struct World {
    data: tempfile::TempDir,
    server: Server,
    log: PathBuf,
}

fn start(data: &Path, log: &Path) -> Server {
    let channel = format!("file:{}", data.join("codes").display());
    let log = log.to_str().unwrap();
    let options = ["--registration", "code", "--code-channel", &channel, "--log", "trace", "--log-file", log];
    Server::start(data, &["127.0.0.1:0"], &options)
}

fn world() -> World {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    World { server: start(data.path(), &log), log, data }
}

impl World {
    fn address(&self) -> SocketAddr {
        self.server.addresses[0]
    }

    /// Restarted, with a database that knows of no code that was sent.
    fn a_day_later(self) -> Self {
        let Self { data, server, log } = self;
        server.kill();
        let database = rusqlite::Connection::open(data.path().join("messageu.db")).unwrap();
        assert!(database.execute("DELETE FROM modern_codes", []).unwrap() > 0);
        drop(database);
        Self { server: start(data.path(), &log), data, log }
    }

    /// The codes that were sent to a number, oldest first, once there are so many.
    fn codes(&self, phone: &str, count: usize) -> Vec<String> {
        let mut codes = Vec::new();
        until("a code", || {
            let text = std::fs::read_to_string(self.data.path().join("codes")).unwrap_or_default();
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            codes = lines.filter(|(number, _)| *number == phone).map(|(_, code)| code.to_owned()).collect();
            codes.len() >= count
        });
        codes
    }
}

fn begin(modern: &mut Modern, user: &User, name: &str, phone: &str) -> register::Response {
    modern.register(user, name, Some(phone)).unwrap()
}

fn verify(modern: &mut Modern, id: RegistrationId, code: &str) -> Result<(), ErrorCode> {
    let code = RegistrationCode::new(code.as_bytes()).unwrap();
    let answer = modern.call(verify_registration::Request { registration_id: id, code });
    answer.map(|done| assert_eq!(done.client_id, modern.id)).map_err(|refusal| refusal.error)
}

/// Another code than this.
fn wrong(code: &str, by: u32) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + by) % 1_000_000)
}

#[test]
fn the_code_that_came_makes_the_account_once() {
    let world = world();
    let alice = User::number(0);
    let mut modern = Modern::connect(world.address());
    assert!(modern.hello().flags.contains(ServerFlags::CODE));
    let begun = begin(&mut modern, &alice, "alice", "+4915100000001");
    assert_eq!((begun.state, begun.ttl_s), (RegistrationState::CODE_EXPECTED, 600));
    let error = Modern::connect(world.address()).authenticate(&alice).unwrap_err().error;
    assert_eq!(error, ErrorCode::NOT_AUTHENTICATED);
    let code = world.codes("+4915100000001", 1).remove(0);
    assert_eq!(verify(&mut modern, RegistrationId([0; 16]), &code), Err(ErrorCode::CODE_WRONG));
    assert_eq!(verify(&mut modern, begun.registration_id, &code), Ok(()));
    modern.authenticate(&alice).unwrap();
    assert_eq!(verify(&mut modern, begun.registration_id, &code), Err(ErrorCode::CODE_WRONG));
}

#[test]
fn a_code_may_be_tried_five_times_also_across_restarts() {
    let world = world();
    let alice = User::number(0);
    let mut modern = Modern::connect(world.address());
    let id = begin(&mut modern, &alice, "alice", "+4915100000001").registration_id;
    let code = world.codes("+4915100000001", 1).remove(0);
    for by in 1..=3 {
        assert_eq!(verify(&mut modern, id, &wrong(&code, by)), Err(ErrorCode::CODE_WRONG));
    }
    let World { data, server, log } = world;
    server.kill();
    let world = World { server: start(data.path(), &log), data, log };
    let mut modern = Modern::connect(world.address());
    modern.id = alice.id();
    for by in 4..=5 {
        assert_eq!(verify(&mut modern, id, &wrong(&code, by)), Err(ErrorCode::CODE_WRONG));
    }
    assert_eq!(verify(&mut modern, id, &code), Err(ErrorCode::CODE_WRONG));
}

#[test]
fn of_attempts_at_once_five_are_looked_at() {
    let world = world();
    let alice = User::number(0);
    let mut modern = Modern::connect(world.address());
    let id = begin(&mut modern, &alice, "alice", "+4915100000001").registration_id;
    let code = world.codes("+4915100000001", 1).remove(0);
    let attempts: Vec<_> = (1..=40)
        .map(|by| {
            let (address, client, guess) = (world.address(), alice.id(), wrong(&code, by));
            std::thread::spawn(move || {
                let mut modern = Modern::connect(address);
                modern.id = client;
                verify(&mut modern, id, &guess)
            })
        })
        .collect();
    for attempt in attempts {
        assert_eq!(attempt.join().unwrap(), Err(ErrorCode::CODE_WRONG));
    }
    assert_eq!(verify(&mut modern, id, &code), Err(ErrorCode::CODE_WRONG));
}

#[test]
fn a_number_is_sent_a_code_a_minute_whoever_asks() {
    let world = world();
    let (alice, bob) = (User::number(0), User::number(1));
    let mut modern = Modern::connect(world.address());
    begin(&mut modern, &alice, "alice", "+4915100000001");
    let mut other = Modern::connect(world.address());
    for (user, name) in [(&alice, "alice"), (&bob, "bob")] {
        let refusal = other.register(user, name, Some("+4915100000001")).unwrap_err();
        assert_eq!(refusal.error, ErrorCode::TOO_MANY_REQUESTS);
        assert!((1..=60).contains(&refusal.retry_after_s), "{refusal}");
    }
    begin(&mut other, &bob, "bob", "+4915100000002");
    assert_eq!(world.codes("+4915100000001", 1).len(), 1);
}

#[test]
fn an_address_is_sent_ten_codes_an_hour() {
    let world = world();
    let alice = User::number(0);
    let ask = |number: u32| {
        let phone = format!("+49151000001{number:02}");
        Modern::connect(world.address()).register(&alice, "alice", Some(&phone))
    };
    for number in 0..10 {
        ask(number).unwrap();
    }
    let refusal = ask(10).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::TOO_MANY_REQUESTS);
    assert!((3000..=3600).contains(&refusal.retry_after_s), "{refusal}");
}

#[test]
fn a_number_that_somebody_has_is_answered_like_any_other_and_kept_for_a_week() {
    let world = world();
    let (alice, mallory) = (User::number(0), User::number(1));
    let phone = "+4915100000001";
    let mut owner = Modern::connect(world.address());
    let id = begin(&mut owner, &alice, "alice", phone).registration_id;
    assert_eq!(verify(&mut owner, id, &world.codes(phone, 1)[0]), Ok(()));

    let world = world.a_day_later();
    let mut modern = Modern::connect(world.address());
    let begun = begin(&mut modern, &mallory, "mallory", phone);
    assert_eq!((begun.state, begun.ttl_s), (RegistrationState::CODE_EXPECTED, 600));
    let mut owner = Modern::of(world.address(), &alice);
    assert!(!owner.hello().flags.contains(ServerFlags::PHONE_CLAIMED));
    let code = world.codes(phone, 2).remove(1);
    let code = RegistrationCode::new(code.as_bytes()).unwrap();
    let request = verify_registration::Request { registration_id: begun.registration_id, code };
    let refusal = modern.call(request).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::CONFLICT);
    assert!(refusal.retry_after_s > 6 * 24 * 60 * 60, "{refusal}");
    assert_eq!(modern.authenticate(&mallory).unwrap_err().error, ErrorCode::NOT_AUTHENTICATED);
    assert!(owner.hello().flags.contains(ServerFlags::PHONE_CLAIMED));
    // Nobody else hears of it.
    owner.id = mallory.id();
    assert!(!owner.hello().flags.contains(ServerFlags::PHONE_CLAIMED));

    // The owner's next code makes the claim void.
    let world = world.a_day_later();
    let mut owner = Modern::of(world.address(), &alice);
    assert!(owner.hello().flags.contains(ServerFlags::PHONE_CLAIMED));
    let mut again = Modern::connect(world.address());
    let id = begin(&mut again, &alice, "alice", phone).registration_id;
    assert_eq!(verify(&mut again, id, &world.codes(phone, 3)[2]), Ok(()));
    assert!(!owner.hello().flags.contains(ServerFlags::PHONE_CLAIMED));
}

#[test]
fn where_codes_are_asked_for_nobody_registers_without_a_number() {
    let world = world();
    let refusal = Modern::connect(world.address()).register(&User::number(0), "alice", None).unwrap_err();
    assert_eq!(refusal.error, ErrorCode::PHONE_NEEDED);
}

#[test]
fn where_registration_is_closed_nobody_registers_and_who_is_there_stays() {
    let data = tempfile::tempdir().unwrap();
    let alice = User::number(0);
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    Modern::new(server.addresses[0], &alice, "alice");
    server.kill();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--registration", "closed"]);
    let mut modern = Modern::connect(server.addresses[0]);
    assert_eq!(modern.register(&User::number(1), "bob", None).unwrap_err().error, ErrorCode::UNSUPPORTED);
    Modern::of(server.addresses[0], &alice);
}

#[test]
fn neither_codes_nor_numbers_are_in_the_log_or_in_the_database() {
    let world = world();
    let alice = User::number(0);
    let phone = "+4915100000001";
    let mut modern = Modern::connect(world.address());
    let request = modern.registration(&alice, content(&alice, "alice", Some(phone)));
    let id = modern.call(request).unwrap().registration_id;
    let code = world.codes(phone, 1).remove(0);
    assert_eq!(verify(&mut modern, id, &wrong(&code, 1)), Err(ErrorCode::CODE_WRONG));
    assert_eq!(verify(&mut modern, id, &code), Ok(()));
    world.server.signal("-TERM");
    let World { data, server, log } = world;
    assert!(server.wait().success());
    assert!(std::fs::read_to_string(log).unwrap().contains("registered in version 3"));
    let digits = phone.trim_start_matches('+').as_bytes();
    let mut looked_at = 0;
    for file in std::fs::read_dir(data.path()).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(file.path()).unwrap();
        if file.file_name() == "codes" {
            continue;
        }
        looked_at += 1;
        assert!(!bytes.windows(digits.len()).any(|window| window == digits), "{file:?}");
        // Six digits are anywhere by chance, but not with the line that the channel gets.
        let line = format!(" {code}");
        assert!(!bytes.windows(line.len()).any(|window| window == line.as_bytes()), "{file:?}");
    }
    assert!(looked_at >= 4, "database, certificate, pepper, log");
}
