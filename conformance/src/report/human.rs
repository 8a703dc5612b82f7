//! For people.

use std::fmt::Write as _;

use crate::difference::annotate;
use crate::server::{Case, Finding, Report, Verdict};
use crate::spec::requirement;

/// What a run came to: all that failed, and a line with the numbers.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let name = format!("{} in {}", finding.case.id, finding.dialect);
        let _ = match &finding.verdict {
            Verdict::Passed => Ok(()),
            Verdict::Failed { what, .. } => writeln!(
                text,
                "FAILED   {name}: {what}\n         {} ({})",
                finding.case.meaning,
                finding.case.requirements.join(", ")
            ),
            Verdict::Advised(what) => writeln!(text, "ADVISED  {name}: {what}"),
            Verdict::Fault(what) => writeln!(text, "FAULT    {name}: {what}"),
        };
    }
    let passed = report.count(|verdict| *verdict == Verdict::Passed);
    let advised = report.count(|verdict| matches!(verdict, Verdict::Advised(_)));
    let _ = writeln!(
        text,
        "{} at {}: {passed} passed, {} failed, {advised} advised, {} faults of the kit, {} do not apply; {:.1} s",
        if report.failed() + report.faults() == 0 { "conforms" } else { "does not conform" },
        report.address,
        report.failed(),
        report.faults(),
        report.without_matter,
        report.time.as_secs_f64()
    );
    text
}

/// A case, and the requirements that it holds a server to.
#[must_use]
pub fn explanation(case: &Case) -> String {
    let mut text = format!("{}: {}\n{}\n", case.id, case.category, case.meaning);
    for id in case.requirements {
        let _ = writeln!(text, "\n{}", requirement(id).unwrap_or_default());
    }
    text
}

/// What was found in a case: for a failure, the bytes that differ, field by field.
#[must_use]
pub fn details(finding: &Finding) -> String {
    let name = format!("{} in {}", finding.case.id, finding.dialect);
    match &finding.verdict {
        Verdict::Passed => format!("{name} passed.\n"),
        Verdict::Advised(what) => format!("{name} is advised against: {what}\n"),
        Verdict::Fault(what) => format!("{name}: a fault of the kit: {what}\n"),
        Verdict::Failed { what, bytes } => {
            let mut text = format!("{name} failed: {what}\n");
            if let Some(difference) = bytes {
                text.push_str("  offset  field            - expected, + found\n");
                text.push_str(&annotate(difference));
            }
            text
        }
    }
}

/// The table of cases, a line a case.
#[must_use]
pub fn table<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let mut text = String::new();
    let mut category = None;
    for case in cases {
        if category.replace(case.category) != Some(case.category) {
            let _ = writeln!(text, "{}:", case.category);
        }
        let strict = if case.strict { " (with --strict)" } else { "" };
        let _ =
            writeln!(text, "  {:<32} {}{strict} [{}]", case.id, case.meaning, case.requirements.join(" "));
    }
    text
}
