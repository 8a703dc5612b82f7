//! As one JSON object.

use serde_json::{Value, json};

use crate::server::{Report, Verdict};

/// What a run came to.
#[must_use]
pub fn report(report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let (verdict, what, bytes) = match &finding.verdict {
                Verdict::Passed => ("passed", None, None),
                Verdict::Failed { what, bytes } => ("failed", Some(what), bytes.as_ref()),
                Verdict::Advised(what) => ("advised", Some(what), None),
                Verdict::Fault(what) => ("fault", Some(what), None),
            };
            json!({
                "id": finding.case.id,
                "category": finding.case.category.to_string(),
                "requirements": finding.case.requirements,
                "meaning": finding.case.meaning,
                "dialect": finding.dialect.to_string(),
                "verdict": verdict,
                "what": what,
                "expected": bytes.map(|bytes| hex(&bytes.expected)),
                "found": bytes.map(|bytes| hex(&bytes.found)),
                "seconds": finding.time.as_secs_f64(),
            })
        })
        .collect();
    json!({
        "server": report.address.to_string(),
        "passed": report.count(|verdict| *verdict == Verdict::Passed),
        "failed": report.failed(),
        "advised": report.count(|verdict| matches!(verdict, Verdict::Advised(_))),
        "faults": report.faults(),
        "not_applicable": report.without_matter,
        "seconds": report.time.as_secs_f64(),
        "findings": findings,
    })
}

/// At most 4 KiB as digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(4_096).map(|byte| format!("{byte:02x}")).collect()
}
