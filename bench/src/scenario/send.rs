//! Sends: so many connections, each with so many requests in flight, or a connection for each request.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::account::{Account, DIALECT, connect, register};
use crate::bench::Bench;
use crate::load::{Fixed, Ready, Ring, Window, connect_each, keep_in_flight};
use crate::process::processor_seconds;
use crate::record::Record;
use crate::server::Store;

/// What is sent, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections at once.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, short, default_value_t = 1)]
    pub depth: usize,
    /// Makes a connection for each request.
    #[arg(long, conflicts_with = "depth")]
    pub each: bool,
    /// Bytes of a message's content.
    #[arg(long, default_value_t = 300)]
    pub size: usize,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 0.5)]
    pub warm_up: f64,
}

impl Options {
    /// The name of the record.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { connections, depth, size, .. } = self;
        let depth = if self.each { "each".to_owned() } else { format!("d{depth}") };
        let size = if *size == 300 { String::new() } else { format!(" {size} bytes") };
        format!("send {} c{connections} {depth}{size}", self.store.name())
    }

    /// When it is measured, if it begins now.
    #[must_use]
    pub fn window(&self) -> Window {
        Window::starting(Duration::from_secs_f64(self.warm_up), Duration::from_secs_f64(self.seconds))
    }
}

/// Measures sends.
///
/// # Errors
/// When the server does not start, or does not answer as it should.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    let server = bench.server(options.store)?;
    let requests = requests(&register(server.address, DIALECT, options.connections).await?, options.size)?;
    let used = || server.id().map(processor_seconds).transpose();
    let (began, before) = (Instant::now(), used()?);
    let outcome = if options.each {
        connect_each(server.address, requests, options.window()).await?
    } else {
        let mut connections = Vec::with_capacity(requests.len());
        for (request, replies) in requests {
            let stream = connect(server.address).await?;
            connections.push(Ready {
                stream,
                ring: Ring::of_one(&request, options.depth),
                replies,
                quota: u64::MAX,
            });
        }
        keep_in_flight(connections, options.depth, options.window()).await?
    };
    let record = outcome.record(options.name());
    Ok(match (before, used()?) {
        (Some(before), Some(after)) => {
            record.with("cores used by the server", (after - before) / began.elapsed().as_secs_f64())
        }
        _ => record,
    })
}

/// What each account sends, to the next one, and how the receipts look.
///
/// # Errors
/// When the size is beyond what a message can have.
pub fn requests(accounts: &[Account], size: usize) -> Result<Vec<(Vec<u8>, Fixed)>> {
    let next = accounts.iter().cycle().skip(1);
    let pairs = accounts.iter().zip(next);
    pairs.map(|(from, to)| Ok((from.send(to.id, size)?, from.receipts(to.id)?))).collect()
}
