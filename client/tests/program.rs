//! The program against the real server: what people and scripts do with it.
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
use std::time::Duration;

use messageu_wire::dialect::{Dialect, RecognisedBy};
use support::{Server, User, shown};
use tempfile::tempdir;

const LOOPBACK: &str = "127.0.0.1:0";

#[test]
fn the_self_test_passes_in_every_dialect_that_shares_a_port() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let out = User::new("nobody", &server.address).ok(&["test", "--all-dialects"]);
    for dialect in Dialect::all().filter(|dialect| dialect.profile.recognised_by != RecognisedBy::Pin) {
        assert!(
            out.contains(&format!("ok   {dialect}: what has been pulled does not come again\n")),
            "{out}"
        );
    }
    assert!(out.contains(" passed, 0 failed"), "{out}");
}

#[test]
fn the_self_test_passes_in_every_dialect_that_needs_a_listener_of_its_own() {
    for dialect in Dialect::all().filter(|dialect| dialect.profile.recognised_by == RecognisedBy::Pin) {
        let data = tempdir().unwrap();
        let listen = format!("{LOOPBACK},profile={}", dialect.profile.name);
        let server = Server::start(data.path(), &listen);
        User::new("nobody", &server.address).ok(&["--dialect", &dialect.to_string(), "test"]);
    }
}

#[test]
fn the_self_test_fails_where_there_is_no_server() {
    let run = User::new("nobody", "127.0.0.1:1").run(&["test"]);
    assert_eq!(run.code, Some(3));
    assert!(run.out.starts_with("FAIL auto: register a user: cannot reach"), "{run:?}");
}

#[test]
fn users_of_every_dialect_exchange_texts_and_files_with_one_of_family_d() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let bob = User::registered("bob", &server.address, &["--dialect", "d"]);
    let path = bob.path("sent");
    fs::write(&path, [7; 5000]).unwrap();
    for dialect in Dialect::all().filter(|dialect| dialect.profile.recognised_by != RecognisedBy::Pin) {
        let name = format!("user{}", dialect.to_string().replace(['/', '-'], ""));
        let user = User::new(&name, &server.address);
        let named = dialect.to_string();
        let with = |arguments: &[&str]| user.ok(&[&["--dialect", &named], arguments].concat());
        with(&["register", &name]);
        // One program alone puts an IV in front, unless it is told not to for this peer.
        with(&["--iv", "zero", "request-key", "bob"]);
        assert!(bob.ok(&["receive"]).contains("Request for symmetric key"), "{dialect}");
        bob.ok(&["send-key", &name]);
        bob.ok(&["send", &name, "to and"]);
        bob.ok(&["send-file", &name, path.to_str().unwrap()]);
        let came = with(&["receive"]);
        assert!(came.contains(&shown("bob", "to and")), "{dialect}: {came}");
        with(&["send", "bob", "fro"]);
        with(&["send-file", "bob", path.to_str().unwrap()]);
        let came = bob.ok(&["receive"]);
        assert!(came.contains(&shown(&name, "fro")), "{dialect}: {came}");
        for user in [&user, &bob] {
            let saved: Vec<_> = fs::read_dir(user.path("downloads")).unwrap().map(Result::unwrap).collect();
            assert!(!saved.is_empty(), "{dialect}");
            assert!(saved.iter().all(|file| fs::read(file.path()).unwrap() == [7; 5000]), "{dialect}");
        }
    }
}

#[test]
fn a_message_waits_for_a_reader_through_a_restart_of_the_server() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let address = server.address.clone();
    let (alice, bob) = (User::registered("alice", &address, &[]), User::registered("bob", &address, &[]));
    alice.share_key(&bob);
    alice.ok(&["send", "bob", "still there?"]);
    drop(server);
    assert_eq!(bob.run(&["receive"]).code, Some(3));
    let _server = Server::start(data.path(), &address);
    assert_eq!(bob.ok(&["receive"]), shown("alice", "still there?") + "\n");
}

#[test]
fn a_message_without_a_key_is_kept_until_one_comes() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    let keys = alice.path(".messageu");
    let keys = fs::read_dir(keys).unwrap().map(|file| file.unwrap().path().join("keys.json"));
    fs::remove_file(keys.filter(|file| file.exists()).last().unwrap()).unwrap();
    bob.ok(&["send", "alice", "one"]);
    bob.ok(&["send", "alice", "two"]);
    let run = alice.run(&["receive"]);
    assert_eq!(run.out.matches("can't decrypt message").count(), 2, "{run:?}");
    assert!(run.err.contains("messageu request-key bob"), "{run:?}");
    assert_eq!(alice.ok(&["receive"]), "");
    alice.ok(&["request-key", "bob"]);
    bob.ok(&["receive"]);
    bob.ok(&["send-key", "alice"]);
    let out = alice.ok(&["receive"]);
    let wanted = [shown("bob", "symmetric key received"), shown("bob", "one"), shown("bob", "two")];
    assert_eq!(out, wanted.map(|message| message + "\n").concat());
}

#[test]
fn a_key_that_nobody_asked_for_is_not_used() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    bob.ok(&["send-key", "alice"]);
    assert!(alice.ok(&["--output", "json", "receive"]).contains("\"outcome\":\"not_asked\""));
    assert_eq!(alice.run(&["send", "bob", "hi"]).code, Some(6));
}

#[test]
fn a_key_is_replaced_only_when_asked_for_as_a_replacement() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    assert_eq!(alice.run(&["request-key", "bob"]).code, Some(6));
    bob.ok(&["send-key", "--replace", "alice"]);
    assert!(alice.ok(&["--output", "json", "receive"]).contains("\"outcome\":\"not_asked\""));
    alice.ok(&["request-key", "--replace", "bob"]);
    bob.ok(&["receive"]);
    bob.ok(&["send-key", "alice"]);
    assert!(alice.ok(&["--output", "json", "receive"]).contains("\"outcome\":\"accepted\""));
    bob.ok(&["send", "alice", "with the new key"]);
    assert!(alice.ok(&["receive"]).contains("with the new key"));
}

#[test]
fn a_key_request_is_answered_at_once_only_with_auto_keys() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.ok(&["request-key", "bob"]);
    bob.ok(&["receive"]);
    assert_eq!(alice.ok(&["receive"]), "");
    alice.ok(&["request-key", "bob"]);
    assert!(bob.ok(&["--auto-keys", "receive"]).contains("Request for symmetric key (sent)"));
    assert_eq!(alice.ok(&["receive"]), shown("bob", "symmetric key received") + "\n");
}

#[test]
fn what_goes_beyond_the_count_stays_for_the_next_time() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    for text in ["one", "two", "three"] {
        alice.ok(&["send", "bob", text]);
    }
    assert_eq!(bob.ok(&["receive", "--count", "1"]), shown("alice", "one") + "\n");
    assert_eq!(bob.ok(&["receive"]), [shown("alice", "two"), shown("alice", "three")].join("\n") + "\n");
}

#[test]
fn waiting_ends_when_something_has_come_or_the_time_is_over() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    let run = bob.run(&["receive", "--wait", "200ms"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", "no messages\n"));
    let waiting = bob
        .command(&["receive", "--wait", "60s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    alice.ok(&["request-key", "bob"]);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown("alice", "Request for symmetric key") + "\n");
}

#[cfg(unix)]
#[test]
fn following_leaves_the_profile_free_in_between_and_ends_well_with_an_interrupt() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    let mut following = bob.command(&["receive", "--follow"]);
    let following = following.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    alice.ok(&["request-key", "bob"]);
    bob.ok(&["list"]);
    std::thread::sleep(Duration::from_millis(2500));
    let interrupt = Command::new("kill").args(["-INT", &following.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = following.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown("alice", "Request for symmetric key") + "\n");
}

#[cfg(unix)]
#[test]
fn what_is_secret_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    let path = alice.path("file");
    fs::write(&path, "content").unwrap();
    alice.ok(&["send-file", "bob", path.to_str().unwrap()]);
    bob.ok(&["receive"]);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bob.path("info.me")), 0o600);
    assert_eq!(mode(&bob.path("info.server")), 0o600);
    assert_eq!(mode(&bob.path(".messageu")), 0o700);
    for file in fs::read_dir(bob.path("downloads")).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn an_identity_is_never_overwritten() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    for name in ["info.me", "me.info", "my.info"] {
        let user = User::new("alice", &server.address);
        fs::write(user.path(name), "precious").unwrap();
        assert_eq!(user.run(&["register", "alice"]).code, Some(5));
        assert_eq!(fs::read_to_string(user.path(name)).unwrap(), "precious");
    }
}

#[test]
fn the_classic_files_are_read_under_every_name() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    User::registered("bob", &server.address, &[]);
    for (identity, address) in [("me.info", "server.info"), ("my.info", "info.server")] {
        let user = User::new("alice", "");
        fs::copy(alice.path("info.me"), user.path(identity)).unwrap();
        fs::write(user.path(address), format!("{}\r\n", server.address)).unwrap();
        assert!(user.ok(&["list"]).ends_with("  bob\n"));
    }
}

#[test]
fn without_a_server_the_program_says_how_to_give_one() {
    let run = User::new("alice", "").run(&["register", "alice"]);
    assert_eq!(run.code, Some(2));
    for way in ["--server", "MESSAGEU_SERVER", "info.server"] {
        assert!(run.err.contains(way), "{run:?}");
    }
}

#[test]
fn without_an_identity_the_program_says_how_to_get_one_and_leaves_no_trace() {
    let user = User::new("alice", "127.0.0.1:1");
    let run = user.run(&["list"]);
    assert_eq!(run.code, Some(5));
    assert!(run.err.contains("messageu register NAME"), "{run:?}");
    assert!(!user.path(".messageu").exists());
}

#[test]
fn a_text_cannot_write_on_the_terminal_but_is_whole_in_json() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    let evil = "\u{1b}]0;owned\u{7}";
    assert_eq!(alice.run_with(&["send", "bob"], &format!("{evil}\n")).code, Some(0));
    assert_eq!(bob.ok(&["receive"]), shown("alice", "\u{fffd}]0;owned\u{fffd}") + "\n");
    alice.ok(&["send", "bob", evil]);
    assert!(bob.ok(&["--output", "json", "receive"]).contains(r#""text":"\u001b]0;owned\u0007""#));
}

#[test]
fn a_large_file_arrives_whole() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    let content: Vec<u8> = (0..5_000_001_u32).map(|n| n.to_le_bytes()[1]).collect();
    let path = alice.path("file");
    fs::write(&path, &content).unwrap();
    alice.ok(&["send-file", "bob", path.to_str().unwrap()]);
    bob.ok(&["receive"]);
    let saved: Vec<_> =
        fs::read_dir(bob.path("downloads")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(saved.len(), 1, "{saved:?}");
    assert!(fs::read(&saved[0]).unwrap() == content);
}

#[test]
fn the_menu_is_driven_by_a_script_and_ends_with_its_input() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let bob = User::registered("bob", &server.address, &[]);
    let alice = User::new("alice", &server.address);
    let run = alice.run_with(&["menu"], "110\nalice\n120\n130\nbob\n151\nbob\n140\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    let menu = "110) Register\n120) Request for clients list\n130) Request for public key\n\
                140) Request for waiting messages\n150) Send a text message\n\
                151) Send a request for symmetric key\n152) Send your symmetric key\n153) Send a file\n\
                0) Exit client\n?\n";
    assert!(run.out.starts_with("MessageU client at your service.\n"), "{run:?}");
    assert_eq!(run.out.matches(menu).count(), 6, "{run:?}");
    // The same by the older numbers.
    let run = bob.run_with(&["menu"], "40\n52\nalice\n50\nalice\nhello\n0\n");
    assert!(run.out.contains(&shown("alice", "Request for symmetric key")), "{run:?}");
    let run = alice.run_with(&["menu"], "140\n0\n");
    let came = [shown("bob", "symmetric key received"), shown("bob", "hello")].join("\n");
    assert!(run.out.contains(&came), "{run:?}");
}

#[test]
fn a_conversation_in_a_classic_dialect_is_said_to_be_unauthenticated_and_unverified() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    let trust = "\"trust\":\"unauthenticated, unverified\"";
    let said = |user: &User, arguments: &[&str]| {
        let out = user.ok(&[&["--output", "json"], arguments].concat());
        assert!(!out.is_empty() && out.lines().all(|line| line.contains(trust)), "{arguments:?}: {out}");
    };
    said(&alice, &["list"]);
    said(&alice, &["send", "bob", "hello"]);
    said(&bob, &["receive"]);
    let run = alice.run_with(&["menu"], "0\n");
    assert!(run.out.contains("(classic dialect: unauthenticated, unverified)"), "{run:?}");
}

#[test]
fn the_menu_goes_on_after_a_refusal_and_says_it_classically() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    User::registered("bob", &server.address, &[]);
    let alice = User::new("alice", &server.address);
    let run = alice.run_with(&["menu"], "110\nbob\n110\nalice\n120\n0\n");
    assert_eq!(run.code, Some(0));
    assert!(run.out.contains("server responded with an error\n"), "{run:?}");
    assert!(run.out.contains("registered as alice\n"), "{run:?}");
    assert!(run.out.contains("\nbob\n"), "{run:?}");
}

#[test]
fn an_account_is_deleted_where_the_dialect_has_that() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &["--dialect", "d/big-endian"]);
    let bob = User::registered("bob", &server.address, &["--dialect", "b"]);
    assert_eq!(alice.run(&["delete-account"]).code, Some(2));
    alice.ok(&["delete-account", "--yes"]);
    assert_eq!(bob.ok(&["list"]), "");
    assert!(!alice.path("info.me").exists());
    assert_eq!(bob.run(&["delete-account", "--yes"]).code, Some(2));
}

#[test]
fn an_account_is_not_deleted_in_a_dialect_whose_users_are_not() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &["--dialect", "d"]);
    let run = alice.run(&["delete-account", "--yes"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("d/big-endian"), "{run:?}");
    assert!(alice.path("info.me").exists());
}

#[test]
fn two_who_asked_each_other_at_once_end_up_with_one_key() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.ok(&["request-key", "bob"]);
    bob.ok(&["request-key", "alice"]);
    alice.ok(&["receive"]);
    bob.ok(&["receive"]);
    alice.ok(&["send-key", "bob"]);
    bob.ok(&["send-key", "alice"]);
    let came = [alice.run(&["receive"]), bob.run(&["receive"])].map(|run| run.out).concat();
    assert_eq!(came.matches("symmetric key received").count(), 1, "{came}");
    assert_eq!(came.matches("you have another one already").count(), 1, "{came}");
    alice.ok(&["send", "bob", "to"]);
    bob.ok(&["send", "alice", "fro"]);
    assert!(bob.ok(&["receive"]).contains(&shown("alice", "to")));
    assert!(alice.ok(&["receive"]).contains(&shown("bob", "fro")));
}

#[test]
fn what_is_wrong_with_the_command_line_is_json_where_json_is_asked_for() {
    let user = User::new("alice", "");
    let first = user.run(&["--output", "json", "sned"]);
    let second = user.command(&["sned"]).env("MESSAGEU_OUTPUT", "json").output().unwrap();
    let third = user.run(&["sned", "--output=json"]);
    for err in [first.err, String::from_utf8(second.stderr).unwrap(), third.err] {
        let error: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!((&error["kind"], &error["exit_code"]), (&"usage".into(), &2.into()), "{err}");
        assert!(error["message"].as_str().unwrap().contains("'sned'"), "{err}");
        assert!(error["hint"].as_str().unwrap().contains("send"), "{err}");
    }
    assert!(user.run(&["sned"]).err.starts_with("error: "));
}

#[test]
fn an_empty_variable_is_as_none() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let mut list = alice.command(&["list"]);
    for name in ["SERVER", "DIALECT", "PROTOCOL_VERSION", "IV", "TIMEOUT", "DOWNLOADS", "AUTO_KEYS", "OUTPUT"]
    {
        list.env(format!("MESSAGEU_{name}"), "");
    }
    assert!(list.status().unwrap().success());
}

#[test]
fn a_text_may_be_a_negative_number() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    alice.ok(&["send", "bob", "-5"]);
    assert!(bob.ok(&["receive"]).contains(&shown("alice", "-5")));
}

#[test]
fn what_goes_wrong_with_a_file_comes_with_a_hint() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    for path in ["absent", "absent/file", "."] {
        let run = alice.run(&["send-file", "bob", path]);
        assert_eq!(run.code, Some(8));
        assert!(run.err.contains("hint: "), "{run:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_whose_size_is_not_known_is_not_sent_as_empty() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let bob = User::registered("bob", &server.address, &[]);
    alice.share_key(&bob);
    let run = alice.run(&["send-file", "bob", "/proc/version"]);
    assert_eq!(run.code, Some(8));
    assert!(run.err.contains("became longer"), "{run:?}");
    assert_eq!(bob.ok(&["receive"]), "");
}

#[test]
fn a_profile_that_cannot_be_used_is_told_from_one_without_an_identity() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    fs::rename(alice.path("info.me"), alice.path("elsewhere")).unwrap();
    fs::create_dir(alice.path("info.me")).unwrap();
    let run = alice.run(&["list"]);
    assert_eq!(run.code, Some(5));
    assert!(!run.err.contains("there is no identity"), "{run:?}");
    fs::remove_dir(alice.path("info.me")).unwrap();
    fs::rename(alice.path("elsewhere"), alice.path("info.me")).unwrap();
    fs::remove_dir_all(alice.path(".messageu")).unwrap();
    fs::write(alice.path(".messageu"), "no directory").unwrap();
    let run = alice.run(&["list"]);
    assert_eq!(run.code, Some(5));
    assert!(run.err.contains("--profile"), "{run:?}");
}

#[test]
fn a_key_of_nobody_in_the_keys_file_is_an_error_and_not_dropped() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path(), LOOPBACK);
    let alice = User::registered("alice", &server.address, &[]);
    let state = fs::read_dir(alice.path(".messageu")).unwrap().map(|file| file.unwrap().path());
    let keys = state.filter(|path| path.is_dir()).last().unwrap().join("keys.json");
    let content = format!("{{ \"no id\": {{ \"key\": \"{}\" }} }}", "07".repeat(16));
    fs::write(&keys, &content).unwrap();
    let run = alice.run(&["list"]);
    assert_eq!(run.code, Some(5));
    assert!(run.err.contains("no id") && !run.err.contains("0707"), "{run:?}");
    assert_eq!(fs::read_to_string(keys).unwrap(), content);
}

#[test]
fn the_program_describes_itself() {
    let user = User::new("nobody", "");
    assert!(user.ok(&["--help"]).contains("Exit codes:"));
    assert!(user.ok(&["man"]).contains(".TH messageu 1"));
    assert!(user.ok(&["completions", "bash"]).contains("_messageu"));
    assert!(user.ok(&["dialects"]).contains("d/big-endian\n"));
}
