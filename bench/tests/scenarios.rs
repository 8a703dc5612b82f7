//! Each scenario once, small, against a real server: what it measures here means nothing, that it measures does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test should stop")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use messageu_bench::place::Place;
use messageu_bench::record::{Record, Run};
use messageu_bench::server::{Origin, Server, Store};
use tempfile::TempDir;

/// The server beside our own program. `cargo test --workspace` builds both; for this package alone it is built here.
fn server_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_BIN_EXE_messageu-bench")).parent().unwrap();
        let program = directory.join("messageu-server");
        if !program.exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--package", "messageu-server", "--target-dir"]);
            build
                .arg(directory.parent().unwrap())
                .args(directory.ends_with("release").then_some("--release"));
            assert!(build.status().unwrap().success());
        }
        program
    })
}

/// A directory for one test, on the disk that the build is on.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn command(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messageu-bench"));
    command.args(arguments).arg("--data").arg(directory.path().join("data"));
    command.arg("--json").arg(directory.path().join("run.json"));
    command
}

/// Runs the program, which has to succeed, and leave nothing behind; what it measured.
fn run(arguments: &[&str]) -> Run {
    let directory = directory();
    let server = server_program().to_str().unwrap();
    let output = command(&directory, arguments).args(["--server-binary", server]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(std::fs::read_dir(directory.path().join("data")).unwrap().count(), 0, "{arguments:?}");
    Run::load(&directory.path().join("run.json")).unwrap()
}

/// The same, for scenarios that measure one thing.
fn record(arguments: &[&str]) -> Record {
    let Run { records, .. } = run(arguments);
    let [record] = <[Record; 1]>::try_from(records).unwrap();
    record
}

fn figure(record: &Record, name: &str) -> f64 {
    *record.figures.get(name).unwrap_or_else(|| panic!("no {name} in {record}"))
}

#[test]
fn sends_are_measured_in_flight_one_a_connection_and_without_a_disk() {
    for (how, name) in [
        (&["-c", "4", "-d", "8"][..], "send sqlite c4 d8"),
        (&["-c", "4", "--each"], "send sqlite c4 each"),
        (&["-c", "4", "--store", "memory", "--size", "1000"], "send memory c4 d1 1000 bytes"),
    ] {
        let record = record(&[&["send", "--seconds", "0.3", "--warm-up", "0.1"], how].concat());
        assert_eq!(record.what, name);
        assert!(figure(&record, "a second") > 0.0 && figure(&record, "p50 ms") > 0.0, "{record}");
        assert!(figure(&record, "refused a second") == 0.0, "{record}");
    }
}

#[test]
fn a_queue_is_filled_and_drained_to_its_last_message() {
    let record = record(&["pull", "-m", "1000", "-c", "5", "-d", "8"]);
    assert!(figure(&record, "in: last to first") > 0.0 && figure(&record, "out: a second") > 0.0, "{record}");
    assert_eq!(record.series.get("in a second, by tenths").unwrap().len(), 10);
}

#[test]
fn a_receipt_takes_longer_than_nothing() {
    let record = record(&["latency", "-p", "2", "-r", "100", "--seconds", "0.3", "--warm-up", "0.1"]);
    assert!(figure(&record, "answer p50 ms") > 0.0 && figure(&record, "receipt p50 ms") > 0.0, "{record}");
}

#[test]
fn receivers_that_wait_have_their_mail_after_it_was_taken() {
    let wait =
        ["latency", "--receiver", "wait", "-p", "1", "-r", "100", "--seconds", "0.3", "--warm-up", "0.1"];
    let record = record(&wait);
    assert_eq!(record.what, "latency sqlite p1 100/s wait");
    assert!(figure(&record, "answer p50 ms") > 0.0 && figure(&record, "receipt p50 ms") > 0.0, "{record}");
}

#[test]
fn idle_connections_cost_the_server_something() {
    for (how, name) in [(&[][..], "idle plain sqlite c200"), (&["--tls"], "idle tls sqlite c200")] {
        let record = record(&[&["idle", "-c", "200"], how].concat());
        assert_eq!(record.what, name);
        assert!(figure(&record, "KiB each, after a request") > 0.0, "{record}");
        assert!(figure(&record, "KiB at most") >= figure(&record, "KiB of the server alone"), "{record}");
    }
}

#[test]
fn a_content_passes_both_ways() {
    let record = record(&["file", "--mib", "3"]);
    assert!(figure(&record, "up MB a second") > 0.0 && figure(&record, "down MB a second") > 0.0, "{record}");
}

#[test]
fn a_mixture_has_its_times_by_operation() {
    let record = record(&["mix", "-c", "4", "--seconds", "0.5"]);
    assert!(figure(&record, "a second") > 0.0, "{record}");
    assert!(figure(&record, "send_message p50 ms") > 0.0 && figure(&record, "pull_messages p99 ms") > 0.0);
}

#[test]
fn the_limits_of_the_machine_are_measured_each() {
    let few = ["-c", "4", "-d", "4", "--group", "1", "--group", "10", "--copy-mib", "4"];
    let run = run(&[&["limits", "--seconds", "0.1"], &few[..]].concat());
    let names: Vec<&str> = run.records.iter().map(|record| record.what.as_str()).collect();
    let expected = [
        "fdatasync",
        "sqlite bare x1",
        "sqlite bare x10",
        "sqlite indexed x1",
        "sqlite indexed x10",
        "loopback",
        "copy",
        "echo c4 d1",
        "echo c4 d4",
        "echo c4 each",
    ];
    assert_eq!(names, expected);
    assert!(run.records.iter().all(|record| record.figures.values().any(|figure| *figure > 0.0)));
}

#[test]
fn other_systems_do_the_same_job_or_are_said_to_be_missing() {
    let systems = ["messageu", "redis", "mosquitto", "python"];
    let flags: Vec<&str> = systems.iter().flat_map(|system| ["--system", system]).collect();
    let run = run(&[&["compare", "-c", "2", "-d", "2", "--seconds", "0.3"], &flags[..]].concat());
    assert_eq!(run.records.len() + run.skipped.len(), systems.len(), "{run:?}");
    assert!(run.records.iter().all(|record| figure(record, "a second") > 0.0), "{run:?}");
    for why in &run.skipped {
        assert!(why.contains("is not installed"), "{why}");
    }
    assert!(run.records.iter().any(|record| record.what == "send sqlite c2 d2"));
}

#[test]
fn too_much_loses_nothing_that_was_acknowledged() {
    let short = ["-c", "4", "-d", "4", "--seconds", "1", "--calibration", "0.3", "--pause", "100"];
    let record = record(&[&["overload"], &short[..]].concat());
    assert!(figure(&record, "acknowledged") > 0.0, "{record}");
    assert!(figure(&record, "acknowledged and lost") == 0.0, "{record}");
    assert!(figure(&record, "arrivals a second") > figure(&record, "capacity a second"), "{record}");
}

#[test]
fn a_server_that_listens_already_is_measured_and_stays() {
    let directory = directory();
    let place = Place::new(Some(directory.path())).unwrap();
    let origin = Origin::Program(server_program().to_owned());
    let server = Server::start(&origin, &place, Store::Memory, &[]).unwrap();
    for _ in 0..2 {
        let send = [
            "send",
            "-c",
            "2",
            "--seconds",
            "0.2",
            "--warm-up",
            "0.1",
            "--server",
            &server.address.to_string(),
        ];
        let output = command(&directory, &send).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_run_that_is_told_to_stop_leaves_nothing_behind() {
    let server = server_program().to_str().unwrap();
    for signal in ["-INT", "-TERM"] {
        let directory = directory();
        let send = ["send", "--seconds", "600", "--server-binary", server];
        let mut running = command(&directory, &send).stderr(Stdio::null()).spawn().unwrap();
        let entries = || std::fs::read_dir(directory.path().join("data")).map_or(0, Iterator::count);
        let began = Instant::now();
        // As early as there is something to leave behind.
        while entries() == 0 {
            assert!(began.elapsed() < Duration::from_secs(120), "the server's directory did not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args([signal, &running.id().to_string()]).status().unwrap().success());
        assert!(!running.wait().unwrap().success());
        assert_eq!(entries(), 0, "{signal}");
    }
}
