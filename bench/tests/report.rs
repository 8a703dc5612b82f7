//! A report of figures that are known.
#![allow(clippy::unwrap_used, reason = "a failed test should stop")]

use std::process::Command;

use messageu_bench::record::{Record, Run};

fn measured(what: &str, round: u32, rate: f64) -> Record {
    Record { round, ..Record::new(what).with("a second", rate).with("p50 ms", 1.25) }
}

fn run() -> Run {
    let mut records = Vec::new();
    for (round, (ours, theirs)) in [(300.0, 100.0), (100.0, 200.0), (160.0, 100.0)].into_iter().enumerate() {
        let round = u32::try_from(round).unwrap();
        records.push(measured("send sqlite c50 d1", round, ours));
        records.push(measured("redis c50 d1", round, theirs));
        records.push(measured("echo c50 each", round, theirs));
        records.push(measured("send sqlite c50 each", round, theirs / 2.0));
    }
    let points = (1..=20).map(|second| (f64::from(second), f64::from(second) * 100.0)).collect::<Vec<_>>();
    records.push(
        Record::new("overload sqlite c50 x2")
            .with("acknowledged and lost", 0.0)
            .with_series("accepted a second", points.clone())
            .with_series("memory MiB", points),
    );
    let skipped = vec!["mosquitto is not installed".to_owned()];
    Run { machine: "a machine".to_owned(), records, skipped }
}

#[test]
fn a_saved_run_makes_a_table_and_plots_and_puts_them_into_a_document() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    run().save(&at("run.json")).unwrap();
    std::fs::write(at("README.md"), "before\n<!-- report: begin -->\nold\n<!-- report: end -->\nafter\n")
        .unwrap();
    let report = Command::new(env!("CARGO_BIN_EXE_messageu-bench"))
        .args(["report", "--from"])
        .arg(at("run.json"))
        .arg("--out")
        .arg(at("out"))
        .arg("--into")
        .arg(at("README.md"))
        .arg("--data")
        .arg(at("data"))
        .output()
        .unwrap();
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));

    let document = std::fs::read_to_string(at("README.md")).unwrap();
    assert!(document.starts_with("before\n") && document.ends_with("after\n") && !document.contains("old"));
    for line in [
        // The middle of 3, 0.5 and 1.6.
        "| Durable sends, 1 in flight, to Redis (appendfsync always) | at least 1.00 | 1.60 × (0.50 to 3.00) | met |",
        "| A connection for each send, to a bare server that accepts, answers and closes | at least 0.60 | 0.50 × (0.50 to 0.50) | **not met** |",
        "| Durable sends, 32 in flight, to Redis (appendfsync always) | at least 1.00 | - | not measured |",
        "| Twice the capacity: acknowledged messages that were lost | at most 0 | 0 | met |",
        "| MessageU | yes | 160 (1.25 ms) | - |",
        "- mosquitto is not installed",
        "![Twice the capacity: the server's memory, MiB](plots/overload-memory.svg)",
    ] {
        assert!(document.lines().any(|other| other == line), "{line:?} is not in\n{document}");
    }
    for plot in ["systems-1.svg", "overload-rates.svg", "overload-memory.svg"] {
        for path in [at("out").join(plot), at("plots").join(plot)] {
            let plot = std::fs::read_to_string(&path).unwrap();
            assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>"), "{}", path.display());
        }
    }
    assert!(!at("out").join("queue.svg").exists());
}

#[test]
fn the_same_run_makes_the_same_report() {
    let directory = tempfile::tempdir().unwrap();
    run().save(&directory.path().join("run.json")).unwrap();
    let report = |out: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_messageu-bench"))
            .current_dir(directory.path())
            .args(["report", "--from", "run.json", "--out", out, "--data", "data"])
            .status();
        assert!(done.unwrap().success());
        let read = |file| std::fs::read_to_string(directory.path().join(out).join(file)).unwrap();
        [read("report.md"), read("overload-rates.svg"), read("systems-1.svg")]
    };
    assert!(report("one") == report("other"));
}
