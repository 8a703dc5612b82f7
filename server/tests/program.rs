//! The program as people and scripts use it: options, files, messages, exit codes.

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
use std::process::{Command, Output, Stdio};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use support::{Answer, Peer, Server};

fn program(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messageu-server"));
    command.current_dir(directory).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn complaint(directory: &Path, arguments: &[&str]) -> String {
    let output = program(directory, arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Starts a server that says itself where it listens, in a directory.
fn started_in(
    directory: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (std::process::Child, String) {
    use std::io::BufRead;
    let mut child = Command::new(env!("CARGO_BIN_EXE_messageu-server"))
        .current_dir(directory)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim_end().to_owned())
}

fn ready_line(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let (mut child, line) = started_in(directory, arguments, variables);
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[test]
fn the_classic_dialects_are_not_served_beyond_loopback_unless_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0,only=classic", "[::]:0,family=B"] {
        let complaint = complaint(directory.path(), &["--listen", address]);
        assert!(
            complaint.contains("not a loopback address") && complaint.contains("--legacy"),
            "{complaint}"
        );
        assert!(ready_line(directory.path(), &["--listen", address, "--legacy"], &[]).starts_with("ready "));
    }
    let unwilling = complaint(directory.path(), &["--listen", "0.0.0.0:0,only=classic", "--legacy", "false"]);
    assert!(unwilling.contains("--legacy"), "{unwilling}");
}

#[test]
fn the_port_comes_from_the_flag_then_the_environment_then_the_file_then_the_port_files() {
    let ports: Vec<String> = (0..4).map(|_| free_port()).collect();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let file = directory.join("server.toml");
    std::fs::write(&file, format!("port = {}\nqueue-limit = 2\n", ports[2])).unwrap();
    let ready = |port: &String| format!("ready 127.0.0.1:{port}");
    let all = ["--port", &ports[0], "--config", "server.toml"];
    let environment = [("MESSAGEU_PORT", ports[1].as_str())];
    assert_eq!(ready_line(directory, &all, &environment), ready(&ports[0]));
    assert_eq!(ready_line(directory, &all[2..], &environment), ready(&ports[1]));
    assert_eq!(ready_line(directory, &all[2..], &[]), ready(&ports[2]));
    // As container set-ups have it: there, but with nothing in it.
    let empty = [("MESSAGEU_PORT", ""), ("MESSAGEU_QUEUE_LIMIT", ""), ("MESSAGEU_DB", "")];
    assert_eq!(ready_line(directory, &all[2..], &empty), ready(&ports[2]));
    for name in ["port.info", "myport.info", "info.myport"] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(name), format!("{}\r\n", ports[3])).unwrap();
        assert_eq!(ready_line(directory.path(), &[], &[]), ready(&ports[3]), "{name}");
    }
}

#[test]
fn a_wrong_option_is_answered_with_what_would_be_right() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("bad.toml"), "portt = 1\n").unwrap();
    std::fs::write(directory.join("not-a.db"), "this is no database, but it is a file of some length")
        .unwrap();
    std::fs::write(directory.join("info.myport"), "eighty\n").unwrap();
    for (arguments, says) in [
        (&["--listen", "localhost:1357"][..], "write ADDR:PORT"),
        (&["--listen", "127.0.0.1:0,profile=no"], "there are: classic"),
        (&["--config", "bad.toml"], "expected one of"),
        (&["--config", "none.toml"], "none.toml cannot be read"),
        (&["--port", "0", "--db", "not-a.db"], "not a SQLite database"),
        (&["--port", "0", "--db", "postgres://host/db"], "--db takes a file, sqlite:FILE, or memory:"),
        (&["--port", "0", "--max-clients", "0"], "--max-clients must be at least 1"),
        (&["--port", "0", "--idle-time", "18446744073709551615"], "a time is at most a year"),
        (&["--port", "0", "--queue-policy", "newest"], "reject, drop-oldest"),
        (&[], "where a port from 1 to 65535 belongs"),
        (&["import", "none.db"], "no database none.db"),
        (&["import", "not-a.db"], "not a SQLite database"),
    ] {
        let complaint = complaint(directory, arguments);
        assert!(complaint.contains(says), "{arguments:?}: {complaint}");
    }
}

#[test]
fn two_servers_share_neither_a_port_nor_a_database() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let taken = server.addresses[0].to_string();
    assert!(complaint(data.path(), &["--listen", &taken]).contains("another server there?"));
    assert!(complaint(data.path(), &["--port", "0"]).contains("another server has it open"));
}

#[test]
fn two_servers_do_not_share_a_database_by_way_of_a_link_either() {
    let data = tempfile::tempdir().unwrap();
    let _server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    std::os::unix::fs::symlink(data.path().join("messageu.db"), data.path().join("link.db")).unwrap();
    assert!(
        complaint(data.path(), &["--port", "0", "--db", "link.db"]).contains("another server has it open")
    );
}

#[test]
fn the_classic_file_names_give_files_with_the_classic_tables() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["db.defensive", "server.db"] {
        assert!(ready_line(directory.path(), &["--port", "0", "--db", name], &[]).starts_with("ready "));
        let connection = rusqlite::Connection::open(directory.path().join(name)).unwrap();
        connection.prepare("SELECT ID, UserName, PublicKey, LastSeen FROM clients").unwrap();
        connection.prepare("SELECT ID, ToClient, FromClient, Type, Content FROM messages").unwrap();
    }
}

#[test]
fn a_server_in_memory_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    assert!(ready_line(directory.path(), &["--port", "0", "--db", "memory:"], &[]).starts_with("ready "));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn no_content_and_no_key_ever_shows_in_the_log() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let address = format!("127.0.0.1:{}", free_port());
    let mut child = Command::new(env!("CARGO_BIN_EXE_messageu-server"))
        .args(["--log", "trace", "--log-format", "json", "--listen", &address, "--data"])
        .arg(data.path())
        .stderr(std::fs::File::create(&log).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    let peer = Peer::register(address.parse().unwrap(), Dialect::classic(Family::D), "alice");
    let canary = b"canary-canary-canary";
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, canary), Answer::Response(_)));
    assert_eq!(
        peer.send(messageu_wire::fields::ClientId([9; 16]), MessageType::TEXT, canary),
        Answer::Refused
    );
    assert_eq!(peer.pull().len(), 1);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.lines().count() > 5);
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    // The key that support registers is 160 times 7.
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in
        [String::from_utf8_lossy(canary).into_owned(), hex(canary), "07070707".into(), "7, 7, 7, 7".into()]
    {
        assert!(!log.contains(&secret), "{secret}");
    }
}

/// The long options in a help text.
fn options(help: &str) -> Vec<&str> {
    let words = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    words.map(|rest| rest.split([' ', '[', '=']).next().unwrap()).collect()
}

#[test]
fn every_option_is_in_the_manual_in_the_completions_and_in_the_readme() {
    let directory = tempfile::tempdir().unwrap();
    let out = |arguments: &[&str]| {
        let output = program(directory.path(), arguments);
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (help, manual) = (out(&["--help"]), out(&["man"]));
    let completions = out(&["completions", "bash"]);
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, server) = readme.split_once("## The server: `messageu-server`").unwrap();
    let options = options(&help);
    assert!(options.len() > 25, "{options:?}");
    for option in options.into_iter().filter(|option| !["help", "version"].contains(option)) {
        assert!(
            manual.contains(&format!("\\-\\-{}", option.replace('-', "\\-"))),
            "{option} is not in the manual"
        );
        assert!(completions.contains(&format!("--{option}")), "{option} is not completed");
        assert!(server.contains(&format!("`--{option}")), "{option} is not in README.md");
    }
    for command in ["import", "backup", "restore", "verify-backup", "pin"] {
        let section = format!(".SH MESSAGEU-SERVER {}", command.to_uppercase());
        assert!(manual.contains(&section), "{command} has no section");
        assert!(completions.contains(command) && server.contains(command), "{command}");
    }
}
