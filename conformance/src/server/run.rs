//! Running cases beside each other.

use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use messageu_wire::dialect::Dialect;

use super::case::Case;
use super::stage::Stage;
use crate::outcome::{Difference, Failure};
use crate::tape::{Entry, Tape};

/// What is tested, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the server is.
    pub address: SocketAddr,
    /// The dialects to test it in.
    pub dialects: Vec<Dialect>,
    /// How long an answer may take, or the end of a connection.
    pub patience: Duration,
    /// How many cases run at once, at least 1.
    pub jobs: usize,
    /// Whether what SHOULD be has to be.
    pub strict: bool,
    /// Whether what crosses is kept.
    pub recorded: bool,
}

/// What a case came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All was as it has to be.
    Passed,
    /// It was not.
    Failed {
        /// What was seen, and what belongs there.
        what: String,
        /// Bytes that differ.
        bytes: Option<Difference>,
    },
    /// What SHOULD be was not.
    Advised(String),
    /// The kit itself went wrong.
    Fault(String),
}

/// A case in a dialect, and what it came to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The case.
    pub case: &'static Case,
    /// The dialect it was tried in.
    pub dialect: Dialect,
    /// What it came to.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
    /// What crossed, if it was to be kept.
    pub conversation: Vec<Entry>,
    /// Bytes that crossed and were not kept.
    pub left_out: u64,
}

/// What a whole run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where the server is.
    pub address: SocketAddr,
    /// What was tried, in the order of the table.
    pub findings: Vec<Finding>,
    /// Cases in dialects where there was nothing to try.
    pub without_matter: usize,
    /// How long all took.
    pub time: Duration,
}

impl Report {
    /// How many findings are of a kind.
    #[must_use]
    pub fn count(&self, kind: fn(&Verdict) -> bool) -> usize {
        self.findings.iter().filter(|finding| kind(&finding.verdict)).count()
    }

    /// Those that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed { .. }))
    }

    /// Those where the kit itself went wrong.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Fault(_)))
    }
}

/// Runs cases against a server.
///
/// # Errors
/// In words, when nobody listens there.
pub fn run(target: &Target, cases: &[&'static Case]) -> Result<Report, String> {
    let began = Instant::now();
    TcpStream::connect_timeout(&target.address, target.patience)
        .map_err(|error| format!("nobody can be reached at {}: {error}", target.address))?;
    let all = cases.iter().flat_map(|case| target.dialects.iter().map(move |dialect| (*case, *dialect)));
    let (todo, without): (Vec<_>, Vec<_>) = all.partition(|(case, dialect)| case.applies_to(*dialect));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..target.jobs.max(1) {
            scope.spawn(|| {
                while let Some((index, (case, dialect))) = take(&next, &todo) {
                    let finding = attempt(target, case, dialect);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((index, finding));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(index, _)| *index);
    let findings = found.into_iter().map(|(_, finding)| finding).collect();
    Ok(Report { address: target.address, findings, without_matter: without.len(), time: began.elapsed() })
}

fn take<T: Copy>(next: &AtomicUsize, todo: &[T]) -> Option<(usize, T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    todo.get(index).map(|item| (index, *item))
}

fn attempt(target: &Target, case: &'static Case, dialect: Dialect) -> Finding {
    let (began, tape) = (Instant::now(), Tape::default());
    let stage = Stage {
        address: target.address,
        dialect,
        spoken: target.dialects.clone(),
        patience: target.patience,
        tape: tape.clone(),
    };
    let verdict = match catch_unwind(AssertUnwindSafe(|| (case.run)(&stage))) {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(failure)) if case.strict && !target.strict => Verdict::Advised(failure.what),
        Ok(Err(failure)) => {
            let Failure { what, bytes } = *failure;
            Verdict::Failed { what, bytes }
        }
        Err(_) => Verdict::Fault("the kit came to a place that it should never come to".to_owned()),
    };
    let (conversation, left_out) = if target.recorded { tape.take() } else { (Vec::new(), 0) };
    Finding { case, dialect, verdict, time: began.elapsed(), conversation, left_out }
}
