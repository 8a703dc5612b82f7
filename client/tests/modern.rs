//! The program against the real server in version 3: what people and scripts do with it, and what they cannot make it do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test should stop"
)]

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Server, User, server_pin};
use tempfile::{TempDir, tempdir};

const LOOPBACK: &str = "127.0.0.1:0";

/// A server with a directory of its own, and its address with the pin.
struct Modern {
    data: TempDir,
    server: Option<Server>,
    address: String,
}

impl Modern {
    fn start() -> Self {
        let data = tempdir().unwrap();
        let server = Server::start(data.path(), LOOPBACK);
        let address = format!("{}#{}", server.address, server_pin(data.path()));
        Self { data, server: Some(server), address }
    }

    fn place(&self) -> &str {
        self.address.split('#').next().unwrap()
    }

    fn restart(&mut self) {
        self.server = None;
        self.server = Some(Server::start(self.data.path(), self.place()));
    }

    fn user(&self, name: &str) -> User {
        let user = User::modern(name, &self.address);
        user.ok(&["register", name]);
        user
    }

    fn pair(&self) -> (User, User) {
        (self.user("alice"), self.user("bob"))
    }
}

fn json(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The texts of a history, ours with `> ` before them.
fn history(user: &User, with: &str) -> Vec<String> {
    let said = json(&user.ok(&["--output", "json", "history", with]));
    let line = |one: &Value| {
        let text = one["text"].as_str().or(one["path"].as_str()).unwrap();
        format!("{}{text}", if one["ours"].as_bool().unwrap() { "> " } else { "< " })
    };
    said.iter().map(line).collect()
}

#[test]
fn two_users_exchange_a_text_and_a_file_and_verify_each_other() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "hello"]);
    assert!(bob.ok(&["receive"]).ends_with("From: alice (unverified)\nContent:\nhello\n-----<EOM>-----\n\n"));
    let number = |user: &User, other: &str| {
        json(&user.ok(&["--output", "json", "verify", other]))[0]["safety_number"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(number(&alice, "bob"), number(&bob, "alice"));
    assert_eq!(number(&alice, "bob").len(), 60);
    let code =
        json(&bob.ok(&["--output", "json", "verify", "alice"]))[0]["own_code"].as_str().unwrap().to_owned();
    alice.ok(&["verify", "bob", "--scanned", &code]);
    assert!(alice.ok(&["contacts"]).ends_with("  bob  verified\n"));
    let path = alice.path("photo.jpg");
    let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    fs::write(&path, &content).unwrap();
    alice.ok(&["send-file", "bob", path.to_str().unwrap()]);
    bob.ok(&["receive"]);
    assert!(fs::read(bob.path("downloads").join("photo.jpg")).unwrap() == content);
}

#[test]
fn a_message_waits_in_the_outbox_while_the_server_is_away_and_at_the_server_while_the_reader_is() {
    let mut server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "one"]);
    server.server = None;
    assert!(alice.ok(&["send", "bob", "two"]).contains("waits in the outbox"));
    server.restart();
    alice.ok(&["receive"]);
    bob.ok(&["receive"]);
    assert_eq!(history(&bob, "alice"), ["< one", "< two"]);
}

/// Lets a run go on for a while, and kills it.
fn kill_after(user: &User, arguments: &[&str], time: Duration) {
    let mut command = user.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + time;
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn processes_that_are_killed_anywhere_lose_nothing_and_repeat_nothing() {
    let mut server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "begin"]);
    bob.ok(&["receive"]);
    bob.ok(&["send", "alice", "begun"]);
    for round in 0..12_u64 {
        let text = format!("{round}");
        kill_after(&alice, &["send", "bob", &text], Duration::from_millis(round * 15));
        kill_after(&bob, &["receive"], Duration::from_millis(180 - round * 15));
        if round == 6 {
            server.restart();
        }
    }
    // What is in the outbox goes out, and what is not was never sent.
    alice.ok(&["receive"]);
    bob.ok(&["receive"]);
    let sent: Vec<_> = history(&alice, "bob")
        .into_iter()
        .filter_map(|said| said.strip_prefix("> ").map(str::to_owned))
        .collect();
    let came: Vec<_> = history(&bob, "alice")
        .into_iter()
        .filter_map(|said| said.strip_prefix("< ").map(str::to_owned))
        .collect();
    assert_eq!(sent, came);
    // Bob's program says what has come, but of the first: he had not answered her yet.
    alice.ok(&["receive"]);
    for message in json(&alice.ok(&["--output", "json", "history", "bob"])) {
        let is_told = message["ours"] == true && message["text"] != "begin";
        assert_eq!(message["delivery"], if is_told { "arrived" } else { "done" }, "{message}");
    }
}

#[test]
fn a_file_goes_on_where_it_broke_off_on_either_side() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    let content: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let path = alice.path("large");
    fs::write(&path, &content).unwrap();
    alice.ok(&["send", "bob", "a file is on its way"]);
    for _ in 0..3 {
        kill_after(&alice, &["send-file", "bob", path.to_str().unwrap()], Duration::from_millis(300));
    }
    if !history(&alice, "bob").iter().any(|said| said.ends_with("/large")) {
        alice.ok(&["send-file", "bob", path.to_str().unwrap()]);
    }
    alice.ok(&["receive"]);
    for _ in 0..3 {
        kill_after(&bob, &["receive"], Duration::from_millis(300));
    }
    bob.ok(&["receive"]);
    let files: Vec<_> =
        fs::read_dir(bob.path("downloads")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["large"]);
    assert!(fs::read(bob.path("downloads").join("large")).unwrap() == content);
}

#[test]
fn a_server_with_another_key_is_told_nothing() {
    let server = Modern::start();
    let alice = User::modern("alice", format!("{}#sha256={}", server.place(), "ab".repeat(32)));
    let run = alice.run(&["register", "alice"]);
    assert!(run.code != Some(0) && run.err.contains("key"), "{run:?}");
    assert!(!alice.path(".messageu/v3").exists());
    let alice = User::modern("alice", server.place());
    let run = alice.run(&["register", "alice"]);
    assert!(run.code != Some(0) && run.err.contains("messageu-server pin"), "{run:?}");
}

#[test]
fn an_account_that_has_a_pin_does_not_go_on_without_it() {
    let server = Modern::start();
    let alice = server.user("alice");
    // The file says the place alone; the pin is remembered.
    fs::write(alice.path("info.server"), format!("{}\n", server.place())).unwrap();
    alice.ok(&["receive"]);
    let other = Modern::start();
    fs::write(alice.path("info.server"), format!("{}\n", other.address)).unwrap();
    let mut command = alice.command(&["receive"]);
    command.env_remove("MESSAGEU_SERVER");
    assert!(command.output().unwrap().status.success(), "it went to where the file says");
}

#[test]
fn a_profile_opens_with_its_passphrase_alone() {
    let server = Modern::start();
    let alice = User::modern("alice", &server.address);
    let with = |passphrase: &str, arguments: &[&str]| {
        let mut command = alice.command(arguments);
        command.env("MESSAGEU_PASSPHRASE", passphrase).output().unwrap()
    };
    assert!(with("right", &["register", "alice"]).status.success());
    for wrong in ["wrong", ""] {
        let output = with(wrong, &["contacts"]);
        assert_eq!(output.status.code(), Some(5));
        assert!(String::from_utf8(output.stderr).unwrap().contains("passphrase"));
    }
    assert!(with("right", &["contacts"]).status.success());
    let file = alice.path("passphrase");
    fs::write(&file, "right\n").unwrap();
    alice.ok(&["--passphrase-file", file.to_str().unwrap(), "contacts"]);
}

#[test]
fn a_passphrase_is_changed_and_taken_away_and_the_profile_stays_what_it_was() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "before"]);
    let with = |passphrase: &str, arguments: &[&str]| {
        let mut command = alice.command(arguments);
        command.env("MESSAGEU_PASSPHRASE", passphrase).output().unwrap().status.code()
    };
    let new = alice.path("new passphrase");
    fs::write(&new, "second\n").unwrap();
    let to_new = ["passphrase", "--to-file", new.to_str().unwrap()];
    assert_eq!(alice.run(&["passphrase"]).code, Some(2), "nobody is there to be asked");
    alice.ok(&to_new);
    assert_eq!(with("", &["history", "bob"]), Some(5));
    assert_eq!(with("first", &to_new), Some(5));
    assert_eq!(with("second", &["history", "bob"]), Some(0));

    fs::write(&new, "\n").unwrap();
    assert_eq!(with("second", &to_new), Some(2), "an empty one is none, which has to be said");
    assert_eq!(with("second", &["passphrase", "--none"]), Some(0));
    assert_eq!(history(&alice, "bob"), ["> before"]);
    alice.ok(&["send", "bob", "after"]);
    bob.ok(&["receive"]);
    assert_eq!(history(&bob, "alice"), ["< before", "< after"]);
}

#[test]
fn without_a_passphrase_the_program_says_what_that_means_and_keeps_the_files_private() {
    use std::os::unix::fs::PermissionsExt;
    let server = Modern::start();
    let alice = User::modern("alice", &server.address);
    let run = alice.run(&["register", "alice"]);
    assert!(run.err.contains("there is no passphrase"), "{run:?}");
    for file in fs::read_dir(alice.path(".messageu/v3")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_changed_identity_blocks_and_a_rotated_one_is_accepted() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "hello"]);
    bob.ok(&["receive"]);
    bob.ok(&["rotate-identity", "--yes"]);
    alice.ok(&["send", "bob", "to the new identity"]);
    bob.ok(&["receive"]);
    assert_eq!(history(&bob, "alice"), ["< hello", "< to the new identity"]);
    bob.ok(&["erase-account", "--yes"]);
    let second = server.user("bob");
    alice.ok(&["send", "bob", "who are you?"]);
    let run = alice.run(&["send", "bob", "hello?"]);
    assert_eq!(run.code, Some(6));
    assert!(run.err.contains("messageu approve bob"), "{run:?}");
    alice.ok(&["approve", "bob"]);
    second.ok(&["receive"]);
    assert_eq!(history(&second, "alice"), ["< who are you?"]);
}

#[test]
fn an_identity_of_version_3_never_speaks_a_classic_dialect() {
    let server = Modern::start();
    let alice = server.user("alice");
    for dialect in ["auto", "d"] {
        let run = alice.run(&["--dialect", dialect, "receive"]);
        assert_eq!(run.code, Some(2));
        assert!(run.err.contains("never speaks a classic dialect"), "{run:?}");
    }
    let run = alice.run(&["list"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("messageu contacts"), "{run:?}");
}

#[test]
fn a_profile_of_a_classic_dialect_goes_on_as_it_is() {
    let server = Modern::start();
    let carol = User::registered("carol", server.place(), &[]);
    let mut command = carol.command(&["list"]);
    command.env_remove("MESSAGEU_DIALECT");
    assert!(command.output().unwrap().status.success());
    let run = carol.run(&["--dialect", "3", "receive"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("in a directory of its own"), "{run:?}");
}

#[test]
fn a_copy_goes_on_in_another_profile() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "hello"]);
    bob.ok(&["receive"]);
    let copy = bob.path("copy");
    let copy = copy.to_str().unwrap();
    assert_eq!(bob.run(&["export", copy]).code, Some(2));
    let elsewhere = User::modern("bob", &server.address);
    for (user, arguments) in [(&bob, ["export", copy]), (&elsewhere, ["import", copy])] {
        let output = user.command(&arguments).env("MESSAGEU_PASSPHRASE", "secret").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let run = |arguments: &[&str]| {
        let output = elsewhere.command(arguments).env("MESSAGEU_PASSPHRASE", "secret").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["send", "alice", "from elsewhere"]);
    assert!(alice.ok(&["receive"]).contains("from elsewhere"));
    assert!(run(&["history", "alice"]).contains("hello"));
}

#[test]
fn following_shows_at_once_what_comes_while_the_profile_is_used_otherwise() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "hello"]);
    bob.ok(&["receive"]);
    bob.ok(&["send", "alice", "hello yourself"]);
    let mut following = bob.command(&["receive", "--follow", "--count", "1"]);
    let following = following.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    bob.ok(&["send", "alice", "while following"]);
    alice.ok(&["send", "bob", "at once"]);
    let output = following.wait_with_output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("at once"));
    let interrupted =
        bob.command(&["receive", "--follow"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    Command::new("kill").args(["-INT", &interrupted.id().to_string()]).status().unwrap();
    assert!(interrupted.wait_with_output().unwrap().status.success());
}

#[test]
fn the_self_test_passes_in_version_3_and_leaves_nobody_behind() {
    let server = Modern::start();
    let nobody = User::modern("nobody", &server.address);
    let out = nobody.ok(&["test"]);
    let lines: Vec<&str> = out.lines().collect();
    let [steps @ .., summary] = lines.as_slice() else { panic!("{out}") };
    assert!(steps.len() >= 20 && steps.iter().all(|step| step.starts_with("ok   3: ")), "{out}");
    assert!(summary.starts_with(&format!("{} passed, 0 failed", steps.len())), "{out}");
    let clients = rusqlite::Connection::open(server.data.path().join("messageu.db")).and_then(|database| {
        database.query_row("SELECT count(*) FROM modern_accounts", [], |row| row.get::<_, i64>(0))
    });
    assert_eq!(clients.unwrap(), 0);
}

#[test]
fn a_server_that_is_not_the_pinned_one_fails_the_self_test() {
    let (server, other) = (Modern::start(), Modern::start());
    let (_, pin) = other.address.split_once('#').unwrap();
    let nobody = User::modern("nobody", format!("{}#{pin}", server.place()));
    let run = nobody.run(&["test"]);
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.out.starts_with("FAIL 3: the server shows the key that is pinned"), "{run:?}");
}

#[test]
fn a_file_that_cannot_be_kept_is_listed_and_given_up_on_demand() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    fs::write(alice.path("photo"), [7; 100_000]).unwrap();
    alice.ok(&["send-file", "bob", alice.path("photo").to_str().unwrap()]);
    // Where the files should go, there is no directory.
    fs::write(bob.path("downloads"), b"").unwrap();
    let run = bob.run(&["receive"]);
    assert!(
        run.err.contains("photo stays with the server") && run.err.contains("messageu discard"),
        "{run:?}"
    );
    let waiting = json(&bob.ok(&["--output", "json", "inbox"]));
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        [&waiting[0]["event"], &waiting[0]["from"], &waiting[0]["file_name"]],
        ["waiting", "alice", "photo"]
    );
    assert_eq!([waiting[0]["size"].as_u64(), waiting[0]["fetched"].as_u64()], [Some(100_000), Some(0)]);
    assert_eq!(bob.run(&["discard", "alice"]).code, Some(2));
    assert!(bob.ok(&["inbox"]).contains("alice  photo, 100000 bytes"));
    assert_eq!(bob.ok(&["discard", "alice", "--yes"]), "gave up 1 from alice\n");
    assert_eq!(bob.ok(&["inbox"]), "");
    assert!(!bob.run(&["discard", "alice", "--yes"]).err.is_empty());
    let run = bob.run(&["receive"]);
    assert!(!run.err.contains("photo"), "{run:?}");
    assert!(bob.ok(&["history", "alice"]).contains("the file photo cannot be had any more"));
}

#[test]
fn a_history_tells_what_has_arrived_unless_the_other_side_keeps_it_to_itself() {
    let server = Modern::start();
    let (alice, bob) = server.pair();
    alice.ok(&["send", "bob", "hello"]);
    bob.ok(&["receive"]);
    bob.ok(&["send", "alice", "hello yourself"]);
    alice.ok(&["receive"]);
    for (text, options) in [("first", &["--no-receipts", "receive"][..]), ("second", &["receive"])] {
        alice.ok(&["send", "bob", text]);
        bob.ok(options);
        alice.run(&["receive"]);
    }
    assert_eq!(
        alice.ok(&["history", "bob"]),
        "you: hello\nbob: hello yourself\nyou: first\nyou (arrived): second\n"
    );
    let last = json(&alice.ok(&["--output", "json", "history", "bob"])).pop().unwrap();
    assert_eq!(last["delivery"], "arrived");
}
