//! The kit as an examiner of codecs: a program of somebody else's turns bytes into fields and back, before there is any
//! network.
//!
//! The program reads questions and writes answers, a JSON object a line; README.md has their form.

mod driver;
mod fields;
mod questions;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use messageu_wire::dialect::Dialect;
use serde_json::{Value, json};

pub use questions::{Expected, Question, Verb, questions};

use driver::{Driver, Reply};

/// Most failures that are told of; all are counted.
const TOLD: usize = 20;

/// Which codec is tested, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The program, and its arguments.
    pub program: PathBuf,
    /// What it is started with.
    pub arguments: Vec<String>,
    /// The dialects to test it in.
    pub dialects: Vec<Dialect>,
    /// How long an answer may take.
    pub patience: Duration,
    /// How many values of each operation are made up.
    pub rounds: u16,
}

/// What became of the questions of a verb.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// Answered as they have to be.
    pub passed: usize,
    /// Answered otherwise.
    pub failed: usize,
    /// Not answered, because the program does not know the verb, the dialect or the operation.
    pub unsupported: usize,
}

/// What a whole run came to.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// By verb.
    pub counts: BTreeMap<&'static str, Count>,
    /// The first failures, in words.
    pub failures: Vec<String>,
}

impl Report {
    /// All verbs together.
    #[must_use]
    pub fn total(&self) -> Count {
        self.counts.values().fold(Count::default(), |sum, count| Count {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            unsupported: sum.unsupported + count.unsupported,
        })
    }

    /// For people.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines: Vec<String> =
            self.failures.iter().map(|failure| format!("FAILED   {failure}")).collect();
        for (verb, Count { passed, failed, unsupported }) in &self.counts {
            lines.push(format!("{verb}: {passed} passed, {failed} failed, {unsupported} unsupported"));
        }
        lines.push(if self.total().failed == 0 { "conforms".into() } else { "does not conform".into() });
        lines.join("\n") + "\n"
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let count = |Count { passed, failed, unsupported }: &Count| json!({"passed": passed, "failed": failed, "unsupported": unsupported});
        let verbs: serde_json::Map<String, Value> =
            self.counts.iter().map(|(verb, of)| ((*verb).to_owned(), count(of))).collect();
        json!({"verbs": verbs, "total": count(&self.total()), "failures": self.failures})
    }
}

/// Puts all questions to a codec.
///
/// # Errors
/// In words, when the program cannot be started, or stops, or does not answer.
pub fn run(target: &Target) -> Result<Report, String> {
    let mut driver = Driver::start(&target.program, &target.arguments, target.patience)?;
    let mut report = Report::default();
    for (id, question) in questions(&target.dialects, target.rounds)?.into_iter().enumerate() {
        let reply = driver.ask(id, &question)?;
        let count = report.counts.entry(question.verb.name()).or_default();
        match judge(&question.expected, &reply) {
            None => count.unsupported += 1,
            Some(Ok(())) => count.passed += 1,
            Some(Err(found)) => {
                count.failed += 1;
                if report.failures.len() < TOLD {
                    report.failures.push(format!("{}: {found}", question.what));
                }
            }
        }
    }
    Ok(report)
}

/// Whether a reply is as it has to be; `None` where the driver supports no such question.
fn judge(expected: &Expected, reply: &Reply) -> Option<Result<(), String>> {
    let wrong = |what: String| Some(Err(what));
    match (expected, reply) {
        (_, Reply::Unsupported) => None,
        (Expected::Rejected, Reply::Rejected) | (Expected::Refused, Reply::Refused) => Some(Ok(())),
        (Expected::Bytes(expected), Reply::Bytes(found)) if expected == found => Some(Ok(())),
        (Expected::Fields(expected), Reply::Fields(found)) if expected == found => Some(Ok(())),
        (Expected::Bytes(expected), Reply::Bytes(found)) => {
            let at = expected.iter().zip(found).position(|(expected, found)| expected != found);
            let at = at.unwrap_or(expected.len().min(found.len()));
            let sizes = format!("{} bytes, expected {}", found.len(), expected.len());
            let bytes =
                |bytes: &[u8]| fields::hex(bytes.get(at..).unwrap_or_default().get(..8).unwrap_or_default());
            wrong(format!("{sizes}; at {at}: {}, expected {}", bytes(found), bytes(expected)))
        }
        (Expected::Fields(expected), Reply::Fields(found)) => {
            wrong(format!("other fields: {}, expected {}", cut(found), cut(expected)))
        }
        (expected, found) => wrong(format!("{}, expected {}", found.name(), expected.name())),
    }
}

fn cut(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}
