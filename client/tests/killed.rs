//! Two users of version 3 whose programs and whose server are killed again and again, and who are away half of the time: in
//! the end both have the same history and the same files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test should stop"
)]

mod support;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;
use support::{Server, User, server_pin};

/// Texts that each of them sends.
const TEXTS: usize = 10;
/// How often each looks for the rest, once nobody is killed any more.
const LAST_LOOKS: usize = 5;

/// Size in MiB of the file that the first sends; that of the second has a tenth.
fn file_mib() -> u64 {
    std::env::var("MESSAGEU_TEST_FILE_MIB").map_or(16, |mib| mib.parse().expect("a number of MiB"))
}

#[test]
fn users_whose_programs_and_server_are_killed_end_with_equal_histories_and_files() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), "127.0.0.1:0");
    let place = server.address.clone();
    let address = format!("{place}#{}", server_pin(data.path()));
    let (alice, bob) = (User::modern("alice", &address), User::modern("bob", &address));
    alice.ok(&["register", "alice"]);
    bob.ok(&["register", "bob"]);
    alice.ok(&["verify", "bob", "--scanned", &code(&bob, "alice")]);
    bob.ok(&["verify", "alice", "--scanned", &code(&alice, "bob")]);
    let files = [(&alice, file_mib() << 20), (&bob, (file_mib() << 20) / 10 + 1)].map(|(user, size)| {
        let path = user.path(&format!("of-{}.bin", user.name));
        write_random(&path, size);
        path
    });

    let over = AtomicBool::new(false);
    let (kills, interrupted) = thread::scope(|scope| {
        let (over, data, place) = (&over, data.path(), place.as_str());
        let killer = scope.spawn(move || kill_servers(server, data, place, over));
        let (alice, bob, files) = (&alice, &bob, &files);
        let first = scope.spawn(move || live(alice, "bob", &files[0]));
        let second = scope.spawn(move || live(bob, "alice", &files[1]));
        let interrupted = first.join().unwrap() + second.join().unwrap();
        over.store(true, Ordering::Relaxed);
        // Whoever has not received everything does so from a server that stays.
        let (server, kills) = killer.join().unwrap();
        for _ in 0..LAST_LOOKS {
            alice.ok(&["receive"]);
            bob.ok(&["receive"]);
        }
        drop(server);
        (kills, interrupted)
    });
    println!(
        "figure: {kills} kills of the server and {interrupted} of its users' programs, a file of {} MiB",
        file_mib()
    );
    assert!(kills > 0 && interrupted > 0, "nobody was killed");

    for (from, to, path) in [(&alice, &bob, &files[0]), (&bob, &alice, &files[1])] {
        let sent: Vec<String> =
            said(from, &to.name).into_iter().filter_map(|(ours, what)| ours.then_some(what)).collect();
        let got: Vec<String> =
            said(to, &from.name).into_iter().filter_map(|(ours, what)| (!ours).then_some(what)).collect();
        let texts: Vec<String> = (0..TEXTS).map(|number| text(&from.name, number)).collect();
        assert_eq!(texts_of(&sent), texts, "what {} has sent", from.name);
        assert_eq!(texts_of(&got), texts, "what {} has got", to.name);
        let [received] = files_of(&got)[..] else { panic!("{got:?}") };
        assert!(are_equal(path, Path::new(received)), "{} has another file than was sent", to.name);
        let verified = to.ok(&["contacts"]);
        assert!(verified.ends_with(&format!("  {}  verified\n", from.name)), "{verified}");
    }
}

/// Sends everything, with a file in the middle; receives now and then, and is away as often. Gives how often it was killed.
fn live(user: &User, other: &str, file: &Path) -> usize {
    let mut killed = 0;
    for number in 0..TEXTS {
        if number == TEXTS / 2 {
            let path = file.to_str().unwrap();
            killed += do_until_said(user, other, path, &["send-file", other, path], Duration::from_secs(2));
        }
        let what = text(&user.name, number);
        killed += do_until_said(user, other, &what, &["send", other, &what], Duration::from_millis(120));
        match rand::rng().random_range(0..4) {
            0 => killed += usize::from(run_and_maybe_kill(user, &["receive"], Duration::from_secs(1))),
            1 => drop(user.run(&["receive"])),
            _ => thread::sleep(Duration::from_millis(rand::rng().random_range(0..300))),
        }
    }
    killed
}

/// Does something until the history says that it was done: who is killed looks there before trying again.
fn do_until_said(user: &User, other: &str, what: &str, arguments: &[&str], longest: Duration) -> usize {
    let mut killed = 0;
    while !said(user, other).iter().any(|(ours, said)| *ours && said == what) {
        killed += usize::from(run_and_maybe_kill(user, arguments, longest));
    }
    killed
}

/// Runs the program, half of the times not to its end. Whether it was killed.
fn run_and_maybe_kill(user: &User, arguments: &[&str], longest: Duration) -> bool {
    let mut command = user.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    if rand::random() {
        child.wait().unwrap();
        return false;
    }
    let end = Instant::now() + longest.mul_f64(rand::random());
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(2));
    }
    let is_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    is_running
}

/// Kills the server and starts another in its place, until it is over. Gives the last one, and how many were killed.
fn kill_servers(mut server: Server, data: &Path, place: &str, over: &AtomicBool) -> (Server, usize) {
    let mut kills = 0;
    while !over.load(Ordering::Relaxed) {
        let until = Instant::now() + Duration::from_millis(rand::rng().random_range(200..2_000));
        while Instant::now() < until && !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        drop(server);
        server = Server::start(data, place);
        kills += 1;
    }
    (server, kills)
}

fn text(from: &str, number: usize) -> String {
    format!("{number} from {from}")
}

/// What the history says: whether it is ours, and the text or the path.
fn said(user: &User, with: &str) -> Vec<(bool, String)> {
    let history = user.ok(&["--output", "json", "history", with]);
    let line = |line: &str| {
        let one: Value = serde_json::from_str(line).unwrap();
        let what = one["text"].as_str().or(one["path"].as_str()).unwrap();
        (one["ours"].as_bool().unwrap(), what.to_owned())
    };
    history.lines().map(line).collect()
}

fn texts_of(said: &[String]) -> Vec<String> {
    said.iter().filter(|what| !what.starts_with('/')).cloned().collect()
}

fn files_of(said: &[String]) -> Vec<&str> {
    said.iter().map(String::as_str).filter(|what| what.starts_with('/')).collect()
}

/// The code that a user shows others.
fn code(user: &User, other: &str) -> String {
    let shown: Value = serde_json::from_str(&user.ok(&["--output", "json", "verify", other])).unwrap();
    shown["own_code"].as_str().unwrap().to_owned()
}

fn write_random(path: &PathBuf, size: u64) {
    let mut file = io::BufWriter::new(File::create(path).unwrap());
    let mut left = usize::try_from(size).unwrap();
    let mut bytes = vec![0; 1 << 20];
    while left > 0 {
        let now = left.min(bytes.len());
        rand::fill(&mut bytes[..now]);
        file.write_all(&bytes[..now]).unwrap();
        left -= now;
    }
    file.flush().unwrap();
}

fn are_equal(one: &Path, other: &Path) -> bool {
    if fs::metadata(one).unwrap().len() != fs::metadata(other).unwrap().len() {
        return false;
    }
    let [mut one, mut other] = [one, other].map(|path| BufReader::new(File::open(path).unwrap()));
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let size = one.read(&mut left).unwrap();
        if size == 0 {
            return true;
        }
        other.read_exact(&mut right[..size]).unwrap();
        if left[..size] != right[..size] {
            return false;
        }
    }
}
