//! What the server should reach, each as a figure beside another one of the same round.

use std::fmt;

use crate::record::{Run, readable};
use crate::report::{CONNECTIONS, DEPTH, WAITING};
use crate::statistics::Spread;

/// What should hold for a figure, or a ratio of two.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Goal {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Nothing: it is there to be compared.
    None,
}

/// A figure of a record, by the beginning of the record's name: settings that may vary follow it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Figure {
    what: String,
    name: &'static str,
}

impl Figure {
    fn by_round(&self, run: &Run) -> Vec<(u32, f64)> {
        let ours = |what: &str| {
            what == self.what || what.strip_prefix(&self.what).is_some_and(|rest| rest.starts_with(' '))
        };
        let records = run.records.iter().filter(|record| ours(&record.what));
        records.filter_map(|record| Some((record.round, *record.figures.get(self.name)?))).collect()
    }
}

/// Something that the server should reach.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// What it is, in words.
    pub title: &'static str,
    ours: Figure,
    against: Option<Figure>,
    /// What should hold.
    pub goal: Goal,
}

/// Whether a target was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// In the middle of all rounds.
    Met,
    /// Not in the middle of all rounds.
    NotMet,
    /// There is nothing to reach.
    Compared,
    /// It was not measured in this run.
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::NotMet => "**not met**",
            Self::Compared => "for comparison",
            Self::NotMeasured => "not measured",
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {}", readable(*least)),
            Self::AtMost(most) => write!(f, "at most {}", readable(*most)),
            Self::None => f.write_str("-"),
        }
    }
}

impl Target {
    /// The figure in each round; of two, their ratio, where the round has both.
    #[must_use]
    pub fn values(&self, run: &Run) -> Vec<f64> {
        let ours = self.ours.by_round(run);
        let Some(against) = &self.against else {
            return ours.into_iter().map(|(_, figure)| figure).collect();
        };
        let against = against.by_round(run);
        let of_round = |round| against.iter().find(|(other, _)| *other == round).map(|(_, figure)| *figure);
        ours.into_iter().filter_map(|(round, figure)| Some(figure / of_round(round)?)).collect()
    }

    /// Whether the middle of these is as it should be.
    #[must_use]
    pub fn verdict(&self, values: &[f64]) -> Verdict {
        let Some(Spread { middle, .. }) = Spread::of(values.iter().copied()) else {
            return Verdict::NotMeasured;
        };
        match self.goal {
            Goal::None => Verdict::Compared,
            Goal::AtLeast(least) if middle >= least => Verdict::Met,
            Goal::AtMost(most) if middle <= most => Verdict::Met,
            Goal::AtLeast(_) | Goal::AtMost(_) => Verdict::NotMet,
        }
    }

    /// Whether the figure is a ratio.
    #[must_use]
    pub fn is_ratio(&self) -> bool {
        self.against.is_some()
    }
}

fn target(
    title: &'static str,
    ours: (impl Into<String>, &'static str),
    against: Option<(String, &'static str)>,
    goal: Goal,
) -> Target {
    let figure = |(what, name): (String, &'static str)| Figure { what, name };
    Target { title, ours: figure((ours.0.into(), ours.1)), against: against.map(figure), goal }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Target> {
    use Goal::{AtLeast, AtMost};
    const RATE: &str = "a second";
    let sends = |how: &str| (format!("send sqlite c{CONNECTIONS} {how}"), RATE);
    let memory = |depth: usize| (format!("send memory c{CONNECTIONS} d{depth}"), RATE);
    let other = |system: &str, how: &str| Some((format!("{system} c{CONNECTIONS} {how}"), RATE));
    let raw = |table: &str, group: usize| Some((format!("sqlite {table} x{group}"), RATE));
    let deep = format!("d{DEPTH}");
    vec![
        target(
            "Durable sends, 1 in flight, to Redis (appendfsync always)",
            sends("d1"),
            other("redis", "d1"),
            AtLeast(1.0),
        ),
        target(
            "Durable sends, 32 in flight, to Redis (appendfsync always)",
            sends(&deep),
            other("redis", &deep),
            AtLeast(1.0),
        ),
        target(
            "Durable sends, 1 in flight, to raw SQLite: 50 rows a commit, a table with an index by recipient",
            sends("d1"),
            raw("indexed", CONNECTIONS),
            Goal::None,
        ),
        target(
            "Durable sends, 32 in flight, to raw SQLite: 1,600 rows a commit, a table with an index by recipient",
            sends(&deep),
            raw("indexed", CONNECTIONS * DEPTH),
            Goal::None,
        ),
        target(
            "Durable sends, 1 in flight, to raw SQLite: 50 rows a commit, a table without indexes",
            sends("d1"),
            raw("bare", CONNECTIONS),
            AtLeast(0.7),
        ),
        target(
            "Durable sends, 32 in flight, to raw SQLite: 1,600 rows a commit, a table without indexes",
            sends(&deep),
            raw("bare", CONNECTIONS * DEPTH),
            AtLeast(0.7),
        ),
        target(
            "Durable sends, 1 in flight, to a classic Python server",
            sends("d1"),
            other("python", "d1"),
            AtLeast(100.0),
        ),
        target(
            "A connection for each send, to a bare server that accepts, answers and closes",
            sends("each"),
            other("echo", "each"),
            AtLeast(0.6),
        ),
        target(
            "Sends into memory, 1 in flight, to a bare server",
            memory(1),
            other("echo", "d1"),
            Goal::None,
        ),
        target(
            "Sends into memory, 32 in flight, to a bare server",
            memory(DEPTH),
            other("echo", &deep),
            AtLeast(0.5),
        ),
        target(
            "Receipt by a waiting client above the answer to its sender, middle, ms",
            (format!("latency sqlite p{WAITING} 2000/s wait"), "receipt above answer p50 ms"),
            None,
            AtMost(1.0),
        ),
        target(
            "Receipt by a polling client above the answer to its sender, middle, ms",
            (format!("latency sqlite p{CONNECTIONS} 2000/s poll"), "receipt above answer p50 ms"),
            None,
            Goal::None,
        ),
        target(
            "Server's memory for an idle connection, silent so far, KiB",
            ("idle plain", "KiB each, silent"),
            None,
            AtMost(8.0),
        ),
        target(
            "Server's memory for an idle connection, after a request, KiB",
            ("idle plain", "KiB each, after a request"),
            None,
            AtMost(8.0),
        ),
        target(
            "Server's memory for an idle connection with TLS, KiB",
            ("idle tls", "KiB each, after a request"),
            None,
            AtMost(30.0),
        ),
        target(
            "Large content to the server, to a plain copy with fsync",
            ("file sqlite", "up MB a second"),
            Some(("copy".into(), "up MB a second")),
            AtLeast(0.6),
        ),
        target(
            "Large content from the server, to a plain copy",
            ("file sqlite", "down MB a second"),
            Some(("copy".into(), "down MB a second")),
            AtLeast(0.6),
        ),
        target(
            "Server's memory growth by a large content, KiB",
            ("file sqlite", "KiB more after both"),
            None,
            AtMost(32.0 * 1024.0),
        ),
        target(
            "Sends into a long queue: last tenth to first",
            ("queue sqlite", "in: last to first"),
            None,
            AtLeast(0.8),
        ),
        target(
            "Sends into a long queue: slowest tenth to fastest",
            ("queue sqlite", "in: slowest to fastest"),
            None,
            AtLeast(0.5),
        ),
        target(
            "Pulls from a long queue: slowest tenth to fastest",
            ("queue sqlite", "out: slowest to fastest"),
            None,
            AtLeast(0.5),
        ),
        target(
            "Pulls from a long queue: last tenth to first",
            ("queue sqlite", "out: last to first"),
            None,
            AtLeast(0.8),
        ),
        target(
            "Twice the capacity: acknowledged messages that were lost",
            ("overload sqlite", "acknowledged and lost"),
            None,
            AtMost(0.0),
        ),
        target(
            "Twice the capacity: accepted a second, to the capacity",
            ("overload sqlite", "accepted a second: middle"),
            Some(("overload sqlite".into(), "capacity a second")),
            AtLeast(0.7),
        ),
        target(
            "Twice the capacity: memory in the last tenth to the first",
            ("overload sqlite", "memory MiB: last tenth"),
            Some(("overload sqlite".into(), "memory MiB: first tenth")),
            AtMost(1.5),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Goal, Verdict, target};
    use crate::record::{Record, Run};

    fn run() -> Run {
        let record =
            |what: &str, round, figure| Record { round, ..Record::new(what).with("a second", figure) };
        let records = vec![
            record("ours c50", 0, 90.0),
            record("theirs", 0, 100.0),
            record("ours c50", 1, 30.0),
            record("theirs", 1, 10.0),
            record("ours c50", 2, 1.0),
            record("ours c500", 0, 7.0),
        ];
        Run { records, ..Run::default() }
    }

    #[test]
    fn ratios_are_between_figures_of_one_round() {
        let target =
            target("", ("ours c50", "a second"), Some(("theirs".into(), "a second")), Goal::AtLeast(1.0));
        let values = target.values(&run());
        assert_eq!(values, [0.9, 3.0]);
        assert_eq!(target.verdict(&values), Verdict::Met);
        assert_eq!(target.verdict(&values[..1]), Verdict::NotMet);
    }

    #[test]
    fn what_was_not_measured_is_not_met_either() {
        let target = target("", ("ours c50", "memory"), None, Goal::AtMost(1.0));
        assert_eq!(target.verdict(&target.values(&run())), Verdict::NotMeasured);
    }

    #[test]
    fn a_figure_is_found_by_whole_words_of_its_name() {
        let target = target("", ("ours", "a second"), None, Goal::None);
        assert_eq!(target.values(&run()), [90.0, 30.0, 1.0, 7.0]);
        let target = super::target("", ("our", "a second"), None, Goal::None);
        assert!(target.values(&run()).is_empty());
    }

    #[test]
    fn no_target_is_there_twice() {
        let mut titles: Vec<_> = super::all().iter().map(|target| target.title).collect();
        let count = titles.len();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), count);
    }
}
