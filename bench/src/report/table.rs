//! The report as Markdown.

use std::fmt::Write as _;

use super::targets::{self, Target, Verdict};
use super::{CONNECTIONS, DEPTH};
use crate::record::{Run, readable};
use crate::statistics::Spread;

/// What else is compared, with whether an answer means that a message is on disk.
const SYSTEMS: [(&str, &str, &str); 7] = [
    ("MessageU", "send sqlite", "yes"),
    ("MessageU, messages in memory", "send memory", "no"),
    ("Redis streams, appendfsync always", "redis", "yes"),
    ("PostgreSQL, a transaction each", "postgres", "yes"),
    ("mosquitto, quality of service 1", "mosquitto", "no"),
    ("a classic Python server", "python", "yes"),
    ("a bare server that stores nothing", "echo", "no"),
];

/// The report; plots are named by their files, behind `prefix`.
#[must_use]
pub fn markdown(run: &Run, plots: &[(String, String)], prefix: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, run, plots, prefix);
    text
}

fn write(text: &mut String, run: &Run, plots: &[(String, String)], prefix: &str) -> std::fmt::Result {
    let verdicts: Vec<Verdict> =
        targets::all().iter().map(|target| target.verdict(&target.values(run))).collect();
    let count = |verdict| verdicts.iter().filter(|other| **other == verdict).count();
    let (met, not_met) = (count(Verdict::Met), count(Verdict::NotMet));
    let not_measured = count(Verdict::NotMeasured);
    writeln!(
        text,
        "\nMeasured on {}: of the targets, {met} are met, {not_met} not met, {not_measured} not measured.\n",
        run.machine
    )?;
    writeln!(text, "| what | goal | middle (range over the rounds) | |\n|---|---|---|---|")?;
    for target in targets::all() {
        let values = target.values(run);
        let verdict = target.verdict(&values);
        writeln!(text, "| {} | {} | {} | {verdict} |", target.title, target.goal, spread(&target, &values))?;
    }
    writeln!(
        text,
        "\n{CONNECTIONS} connections, messages of 300 bytes, a second: the middle of the rounds, and the time of \
         the middle request.\n\n\
         | system | on disk before the answer | 1 in flight | {DEPTH} in flight |\n|---|---|---|---|"
    )?;
    for (title, name, durable) in SYSTEMS {
        let cell = |depth: usize| {
            let what = format!("{name} c{CONNECTIONS} d{depth}");
            let middle = |figure: &str| Spread::of(run.figures(&what, figure).map(|(_, figure)| figure));
            match (middle("a second"), middle("p50 ms")) {
                (Some(rate), Some(time)) => {
                    format!("{} ({} ms)", readable(rate.middle), readable(time.middle))
                }
                _ => "-".to_owned(),
            }
        };
        writeln!(text, "| {title} | {durable} | {} | {} |", cell(1), cell(DEPTH))?;
    }
    for why in &run.skipped {
        writeln!(text, "\n- {why}")?;
    }
    if !plots.is_empty() {
        writeln!(text)?;
    }
    for (title, file) in plots {
        writeln!(text, "![{title}]({prefix}{file})")?;
    }
    writeln!(text)
}

fn spread(target: &Target, values: &[f64]) -> String {
    let Some(Spread { least, middle, most }) = Spread::of(values.iter().copied()) else {
        return "-".to_owned();
    };
    let times = if target.is_ratio() { " ×" } else { "" };
    if values.len() == 1 {
        return format!("{}{times}", readable(middle));
    }
    format!("{}{times} ({} to {})", readable(middle), readable(least), readable(most))
}
