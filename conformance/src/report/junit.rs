//! As JUnit's XML, which continuous integration reads.

use std::fmt::Write as _;

use crate::report::human::details;
use crate::server::{Report, Verdict};

/// What a run came to.
#[must_use]
pub fn report(report: &Report) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuite name=\"messageu-conformance\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.3}\">",
        report.findings.len(),
        report.failed(),
        report.faults(),
        report.time.as_secs_f64()
    );
    for finding in &report.findings {
        let _ = write!(
            text,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escape(&finding.dialect.to_string()),
            finding.case.id,
            finding.time.as_secs_f64()
        );
        let _ = match &finding.verdict {
            Verdict::Passed => writeln!(text, "/>"),
            Verdict::Advised(what) => {
                writeln!(text, "><system-out>{}</system-out></testcase>", escape(what))
            }
            Verdict::Failed { what, .. } => writeln!(
                text,
                "><failure message=\"{}\">{}</failure></testcase>",
                escape(what),
                escape(&details(finding))
            ),
            Verdict::Fault(what) => {
                writeln!(text, "><error message=\"{}\"/></testcase>", escape(what))
            }
        };
    }
    text.push_str("</testsuite>\n");
    text
}

/// Text as XML may have it: marked up, and without what XML has no place for.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            _ if letter.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_a_server_says_cannot_end_the_markup() {
        assert_eq!(escape("a \"<b>\" & \0c"), "a &quot;&lt;b&gt;&quot; &amp; \u{fffd}c");
    }
}
