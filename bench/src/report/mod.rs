//! The whole report: everything measured in one run, what it comes to beside the targets, and plots.

pub mod plot;
pub mod table;
pub mod targets;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::spawn_blocking;

use crate::bench::Bench;
use crate::record::{Record, Run, say};
use crate::reference::sqlite::{self, Table};
use crate::reference::{disk, loopback};
use crate::scenario::compare::System;
use crate::scenario::latency::Receiver;
use crate::scenario::limits::How;
use crate::scenario::{compare, file, idle, latency, limits, mix, overload, pull, send};
use crate::server::Store;

/// Connections in everything that is compared.
pub const CONNECTIONS: usize = 50;

/// Receivers whose pull waits at the server; each has keys of its own, which take seconds.
pub const WAITING: usize = 10;

/// Requests in flight on each, where there are many.
pub const DEPTH: usize = 32;

/// Bytes of a message's content.
const SIZE: usize = 300;

/// Where a document says that the table belongs.
const BEGIN: &str = "<!-- report: begin -->";
const END: &str = "<!-- report: end -->";

/// How much is measured, and where the report goes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Reports what was saved with --json, and measures nothing.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Rounds, in each of which everything that is compared has its turn.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Idle connections.
    #[arg(long, default_value_t = 20_000)]
    pub idle: usize,
    /// Size of the large content in MiB.
    #[arg(long, default_value_t = 2_048)]
    pub mib: u64,
    /// Messages in the long queue.
    #[arg(long, default_value_t = 1_000_000)]
    pub queue: u64,
    /// Seconds of too much; the soak of a release takes 600.
    #[arg(long, default_value_t = 60)]
    pub soak: u64,
    /// A directory for report.md and the plots. [default: bench-report in the build's target directory]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A document into which the table goes, too, between its two marks; the plots go into `plots` beside it.
    #[arg(long, value_name = "FILE")]
    pub into: Option<PathBuf>,
}

/// Measures, or reads what was measured, and writes the report.
///
/// # Errors
/// When something cannot be measured or written.
pub async fn run(bench: &Bench, options: &Options, save: Option<&Path>, run: &mut Run) -> Result<()> {
    match &options.from {
        Some(path) => *run = Run::load(path)?,
        None => measure(bench, options, save, run).await?,
    }
    let out = match &options.out {
        Some(out) => out.clone(),
        None => bench.place.path().with_file_name("bench-report"),
    };
    std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let plots = plot::all(run, &out)?;
    let report = table::markdown(run, &plots, "");
    let path = out.join("report.md");
    std::fs::write(&path, &report).with_context(|| format!("{} cannot be written", path.display()))?;
    if let Some(document) = &options.into {
        let beside = document.with_file_name("plots");
        std::fs::create_dir_all(&beside)?;
        let plots = plot::all(run, &beside)?;
        let text = std::fs::read_to_string(document)
            .with_context(|| format!("{} cannot be read", document.display()))?;
        let text = insert(&text, &table::markdown(run, &plots, "plots/"))
            .with_context(|| format!("{} has no {BEGIN} and {END}", document.display()))?;
        std::fs::write(document, text)?;
    }
    say(format_args!("{report}\nwritten to {}", path.display()))
}

/// Puts a table where a document wants it.
fn insert(document: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// Takes a record down, and saves all so far: a run that is interrupted has not been for nothing.
struct Log<'a> {
    run: &'a mut Run,
    save: Option<&'a Path>,
    round: u32,
}

impl Log<'_> {
    fn take(&mut self, record: Record) -> Result<()> {
        say(&record)?;
        self.run.records.push(Record { round: self.round, ..record });
        self.save.map_or(Ok(()), |path| self.run.save(path))
    }
}

async fn measure(bench: &Bench, options: &Options, save: Option<&Path>, run: &mut Run) -> Result<()> {
    if options.rounds == 0 {
        bail!("no rounds, no report");
    }
    let mut log = Log { run, save, round: 0 };
    for round in 0..options.rounds {
        log.round = round;
        one_round(bench, options, &mut log).await?;
    }
    log.round = 0;
    for tls in [false, true] {
        let idle = idle::Options { connections: options.idle, tls, store: Store::Sqlite };
        log.take(idle::run(bench, &idle).await?)?;
    }
    let queue = pull::Options {
        messages: options.queue,
        connections: CONNECTIONS,
        depth: DEPTH,
        size: SIZE,
        store: Store::Sqlite,
    };
    log.take(pull::run(bench, &queue).await?)?;
    if options.soak > 0 {
        let soak = overload::Options {
            connections: CONNECTIONS,
            factor: 2.0,
            depth: DEPTH,
            size: SIZE,
            pause: 1_000,
            store: Store::Sqlite,
            calibration: options.seconds,
            seconds: options.soak,
        };
        log.take(overload::run(bench, &soak).await?)?;
    }
    Ok(())
}

/// What is compared with one another, close together in time.
async fn one_round(bench: &Bench, options: &Options, log: &mut Log<'_>) -> Result<()> {
    let length = Duration::from_secs_f64(options.seconds);
    let place = bench.place.clone();
    log.take(spawn_blocking(move || disk::syncs(&place, length / 3)).await??)?;
    for (depth, group) in [(1, CONNECTIONS), (DEPTH, CONNECTIONS * DEPTH)] {
        for table in [Table::Bare, Table::Indexed] {
            let place = bench.place.clone();
            let commits = move || sqlite::commits(&place, table, group, SIZE, length);
            log.take(spawn_blocking(commits).await??)?;
        }
        log.take(send::run(bench, &sends(options, depth, Store::Sqlite)).await?)?;
        for system in System::ALL.into_iter().filter(|system| *system != System::Messageu) {
            for record in compare::one(bench, &peers(options, depth), system, log.run).await? {
                log.take(record)?;
            }
        }
        log.take(limits::echo(CONNECTIONS, How::InFlight(depth), SIZE, length).await?)?;
        log.take(send::run(bench, &sends(options, depth, Store::Memory)).await?)?;
    }
    log.take(limits::echo(CONNECTIONS, How::Each, SIZE, length).await?)?;
    log.take(send::run(bench, &send::Options { each: true, ..sends(options, 1, Store::Sqlite) }).await?)?;
    for (receiver, pairs) in [(Receiver::Poll, CONNECTIONS), (Receiver::Wait, WAITING)] {
        let latency = latency::Options {
            pairs,
            rate: 2_000.0,
            receiver,
            pause: 0,
            size: SIZE,
            store: Store::Sqlite,
            seconds: options.seconds,
            warm_up: 1.0,
        };
        log.take(latency::run(bench, &latency).await?)?;
    }
    let mix =
        mix::Options { connections: CONNECTIONS, size: SIZE, store: Store::Sqlite, seconds: options.seconds };
    log.take(mix::run(bench, &mix).await?)?;
    let (place, size) = (bench.place.clone(), options.mib << 20);
    log.take(spawn_blocking(move || loopback::copy(&place, size)).await??)?;
    log.take(file::run(bench, &files(options)).await?)
}

/// The settings of the sends of this depth.
#[must_use]
pub fn sends(options: &Options, depth: usize, store: Store) -> send::Options {
    let seconds = options.seconds;
    send::Options {
        connections: CONNECTIONS,
        depth,
        each: false,
        size: SIZE,
        store,
        seconds,
        warm_up: seconds / 5.0,
    }
}

fn files(options: &Options) -> file::Options {
    file::Options { mib: options.mib, store: Store::Sqlite }
}

fn peers(options: &Options, depth: usize) -> compare::Options {
    compare::Options {
        system: Vec::new(),
        connections: CONNECTIONS,
        depth: vec![depth],
        size: SIZE,
        seconds: options.seconds,
        rounds: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, insert};

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let document = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n");
        let new = insert(&document, "new\n").unwrap();
        assert_eq!(new, format!("# Title\n\n{BEGIN}\nnew\n{END}\n\nMore.\n"));
        assert_eq!(insert("no marks", "new"), None);
    }
}
