//! The same job given to this server and to other systems that are installed: a message into a queue, answered when it is
//! there.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::bench::Bench;
use crate::load::{Ready, Replies, Window, keep_in_flight};
use crate::peer::installed;
use crate::peer::mosquitto::{self, Mosquitto};
use crate::peer::postgres::{self, Postgres};
use crate::peer::python::{self, Python};
use crate::peer::redis::{self, Redis};
use crate::record::{Record, Run, say};
use crate::scenario::send;
use crate::server::Store;

/// A system that can do the job.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum System {
    /// This server, its messages on disk before the answer.
    Messageu,
    /// Redis streams, on disk before the answer.
    Redis,
    /// PostgreSQL inserts, on disk before the answer.
    Postgres,
    /// mosquitto, quality of service 1: in memory before the answer.
    Mosquitto,
    /// A classic server in Python, SQLite with a commit each.
    Python,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Messageu, Self::Redis, Self::Postgres, Self::Mosquitto, Self::Python];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messageu => "send sqlite",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Mosquitto => "mosquitto",
            Self::Python => "python",
        }
    }

    const fn program(self) -> Option<&'static str> {
        match self {
            Self::Messageu => None,
            Self::Redis => Some(redis::PROGRAM),
            Self::Postgres => Some(postgres::PROGRAM),
            Self::Mosquitto => Some(mosquitto::PROGRAM),
            Self::Python => Some(python::PROGRAM),
        }
    }
}

/// Who is compared, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The systems, in turn; repeatable. [default: all]
    #[arg(long)]
    pub system: Vec<System>,
    /// Connections at once.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Requests in flight on each connection; repeatable.
    #[arg(long, short, default_values_t = [1, 32])]
    pub depth: Vec<usize>,
    /// Bytes of a message's content.
    #[arg(long, default_value_t = 300)]
    pub size: usize,
    /// Seconds for each.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Rounds, in each of which every system has its turn.
    #[arg(long, default_value_t = 1)]
    pub rounds: u32,
}

/// Gives each system its turn; says of one that is not there, and goes on.
///
/// # Errors
/// When a system that is there does not do the job.
pub async fn run(bench: &Bench, options: &Options, run: &mut Run) -> Result<()> {
    let systems = if options.system.is_empty() { &System::ALL[..] } else { &options.system };
    for round in 0..options.rounds {
        for system in systems {
            for record in one(bench, options, *system, run).await? {
                say(&record)?;
                run.records.push(Record { round, ..record });
            }
        }
    }
    Ok(())
}

/// Gives one system its turn; nothing comes of one that is not there, but a word in `run`.
///
/// # Errors
/// When this server does not do the job.
pub async fn one(bench: &Bench, options: &Options, system: System, run: &mut Run) -> Result<Vec<Record>> {
    let path = match system.program().map(|name| installed(name).ok_or(name)) {
        None => None,
        Some(Ok(path)) => Some(path),
        Some(Err(name)) => {
            skip(run, format!("{name} is not installed: {system:?} was not measured"));
            return Ok(Vec::new());
        }
    };
    let mut records = Vec::new();
    for depth in &options.depth {
        let record = match (system, path.as_deref()) {
            (System::Messageu, _) => send::run(bench, &sends(options, *depth)).await,
            (_, Some(path)) => peer(bench, options, system, path, *depth).await,
            (_, None) => bail!("{system:?} has no program"),
        };
        match record {
            Ok(record) => records.push(record),
            // This server is what is measured here; that another one does not run is not for this program to mend.
            Err(error) if system != System::Messageu => {
                skip(run, format!("{system:?} did not do its job with {depth} in flight: {error:#}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

fn skip(run: &mut Run, why: String) {
    if !run.skipped.contains(&why) {
        eprintln!("\n!!! {why}\n");
        run.skipped.push(why);
    }
}

fn sends(options: &Options, depth: usize) -> send::Options {
    let Options { connections, size, seconds, .. } = *options;
    send::Options {
        connections,
        depth,
        each: false,
        size,
        store: Store::Sqlite,
        seconds,
        warm_up: seconds / 5.0,
    }
}

async fn peer(bench: &Bench, options: &Options, system: System, path: &Path, depth: usize) -> Result<Record> {
    let (count, size) = (options.connections, options.size);
    let what = format!("{} c{count} d{depth}", system.name());
    match system {
        System::Redis => {
            let redis = Redis::start(path, &bench.place).await?;
            load(redis.connections(count, depth, size).await?, depth, options, what).await
        }
        System::Postgres => {
            let postgres = Postgres::start(path, &bench.place).await?;
            load(postgres.connections(count, depth, size).await?, depth, options, what).await
        }
        System::Mosquitto => {
            let mosquitto = Mosquitto::start(path, &bench.place).await?;
            load(mosquitto.connections(count, depth, size).await?, depth, options, what).await
        }
        System::Python => {
            let python = Python::start(path, &bench.place)?;
            let record = load(python.connections(count, depth, size).await?, depth, options, what).await?;
            let acknowledged = record.figures.get("a second").map_or(0.0, |rate| rate * options.seconds);
            if (python.stored()? as f64) < acknowledged {
                bail!("it acknowledged more than it stored");
            }
            Ok(record)
        }
        System::Messageu => bail!("this server is measured by its own scenario"),
    }
}

async fn load<R: Replies>(
    connections: Vec<Ready<R>>,
    depth: usize,
    options: &Options,
    what: String,
) -> Result<Record> {
    let length = Duration::from_secs_f64(options.seconds);
    Ok(keep_in_flight(connections, depth, Window::starting(length / 5, length)).await?.record(what))
}
