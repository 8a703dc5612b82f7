//! What was measured, as data: printed, saved, read again, and reported.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::Times;

/// One measurement: some figures of one thing, taken at the same time.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Record {
    /// What was measured, with the settings that matter: `send sqlite c50 d1`.
    pub what: String,
    /// In which round: ratios are between figures of the same one.
    pub round: u32,
    /// Figures by their names, which end in their units.
    pub figures: BTreeMap<String, f64>,
    /// Figures over time, or over anything else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub series: BTreeMap<String, Vec<(f64, f64)>>,
}

impl Record {
    /// A record without figures.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), round: 0, figures: BTreeMap::new(), series: BTreeMap::new() }
    }

    /// With one more figure.
    #[must_use]
    pub fn with(mut self, name: &str, figure: f64) -> Self {
        self.figures.insert(name.to_owned(), figure);
        self
    }

    /// With the quantiles of some times, each name beginning with `of`.
    #[must_use]
    pub fn with_times(self, of: &str, times: &Times) -> Self {
        [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
            .into_iter()
            .fold(self, |record, (name, part)| record.with(&format!("{of}{name} ms"), times.quantile(part)))
    }

    /// With a series.
    #[must_use]
    pub fn with_series(mut self, name: &str, points: Vec<(f64, f64)>) -> Self {
        self.series.insert(name.to_owned(), points);
        self
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.what)?;
        for (at, (name, figure)) in self.figures.iter().enumerate() {
            write!(f, "{} {name} {}", if at == 0 { "" } else { "," }, readable(*figure))?;
        }
        Ok(())
    }
}

/// Prints a line; nobody may be reading it any more.
///
/// # Errors
/// When that is so.
pub fn say(what: impl fmt::Display) -> Result<()> {
    writeln!(std::io::stdout(), "{what}").context("nobody reads the output")
}

/// A figure with as many digits as mean something, and thousands apart.
#[must_use]
pub fn readable(figure: f64) -> String {
    let digits = match figure.abs() {
        large if large >= 100.0 || large == 0.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{figure:.digits$}");
    let (whole, part) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    let mut grouped = String::new();
    let count = whole.chars().filter(char::is_ascii_digit).count();
    let mut seen = 0;
    for letter in whole.chars() {
        if letter.is_ascii_digit() {
            if seen > 0 && (count - seen) % 3 == 0 {
                grouped.push(',');
            }
            seen += 1;
        }
        grouped.push(letter);
    }
    grouped + part
}

/// All that one run of the program measured, and where.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug, Default)]
pub struct Run {
    /// What it ran on.
    pub machine: String,
    /// The measurements, in their order.
    pub records: Vec<Record>,
    /// What could not be measured, and why.
    pub skipped: Vec<String>,
}

impl Run {
    /// Reads a run that was saved.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} holds no results", path.display()))
    }

    /// Saves the run, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let part = path.with_extension("part");
        std::fs::write(&part, serde_json::to_string_pretty(self)? + "\n")
            .and_then(|()| std::fs::rename(&part, path))
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The figure of this name of each record of this thing, with its round.
    pub fn figures<'a>(&'a self, what: &'a str, name: &'a str) -> impl Iterator<Item = (u32, f64)> + 'a {
        let of = self.records.iter().filter(move |record| record.what == what);
        of.filter_map(move |record| record.figures.get(name).map(|figure| (record.round, *figure)))
    }
}

/// This machine in a line.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after_colon = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let kilobytes: u64 =
        after_colon(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores ({}), {} GiB of memory, Linux {}",
        after_colon(&read("/proc/cpuinfo"), "model name"),
        (kilobytes + (1 << 19)) >> 20,
        read("/proc/sys/kernel/osrelease").trim()
    )
}

#[cfg(test)]
mod tests {
    use super::{Record, Run, readable};

    #[test]
    fn figures_show_the_digits_that_mean_something() {
        for (figure, text) in [
            (0.0, "0"),
            (0.012_34, "0.0123"),
            (0.512, "0.51"),
            (12.34, "12.3"),
            (999.9, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-4_321.0, "-4,321"),
        ] {
            assert_eq!(readable(figure), text);
        }
    }

    #[test]
    fn a_saved_run_reads_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        let record = Record::new("send").with("a second", 1.5).with_series("memory", vec![(0.0, 1.0)]);
        let run = Run { machine: "one".to_owned(), records: vec![record], skipped: vec!["two".to_owned()] };
        run.save(&path).unwrap();
        assert_eq!(Run::load(&path).unwrap(), run);
        assert_eq!(run.figures("send", "a second").collect::<Vec<_>>(), [(0, 1.5)]);
    }
}
