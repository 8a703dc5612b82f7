//! Faulty servers, each with one fault: the kit has to find it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod faulty;

use std::time::Duration;

use faulty::Fault;
use messageu_conformance::report::human;
use messageu_conformance::server::{Case, Report, Target, Verdict, cases, run};
use messageu_wire::dialect::Dialect;

/// Faults that the kit is known not to find; README.md says why.
const SURVIVORS: [Fault; 0] = [];

fn attempt(fault: Fault, cases: &[&'static Case], dialect: &str, patience: u64) -> Report {
    let dialects: Vec<Dialect> = vec![dialect.parse().unwrap()];
    let patience = Duration::from_secs(patience);
    let address = faulty::start(fault);
    run(&Target { address, dialects, patience, jobs: 48, strict: true, recorded: false }, cases).unwrap()
}

#[test]
fn the_server_without_a_fault_conforms() {
    let all: Vec<_> = cases::all().collect();
    for dialect in ["e", "a", "b", "d/big-endian", "d/padded-1024", "c/ascii", "a/aligned"] {
        let report = attempt(Fault::None, &all, dialect, 60);
        assert_eq!(report.failed() + report.faults(), 0, "{}", human::summary(&report));
    }
}

#[test]
fn each_fault_is_found() {
    let found: Vec<(Fault, bool)> = std::thread::scope(|scope| {
        let attempts: Vec<_> = Fault::ALL
            .iter()
            .map(|(fault, ids)| {
                scope.spawn(move || {
                    let cases: Vec<_> = ids.iter().map(|id| cases::named(id).unwrap()).collect();
                    let dialect = if *fault == Fault::DeletesAnybody { "d" } else { "e" };
                    // On a machine that is busy with other tests, what is early or at once may come late or in turn.
                    let found = (0..5).any(|_| {
                        let report = attempt(*fault, &cases, dialect, 15);
                        assert_eq!(report.faults(), 0, "{fault:?}: {}", human::summary(&report));
                        report.count(|verdict| matches!(verdict, Verdict::Failed { .. })) > 0
                    });
                    (*fault, found)
                })
            })
            .collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    let survivors: Vec<Fault> = found.iter().filter(|(_, found)| !found).map(|(fault, _)| *fault).collect();
    println!("{} of {} faults are found", found.len() - survivors.len(), found.len());
    assert_eq!(survivors, SURVIVORS);
    assert!(found.len() >= 40);
}
