//! The references of this machine, all in one run.

use std::time::Duration;

use anyhow::Result;

use crate::account::{Account, DIALECT};
use crate::bench::Bench;
use crate::load::{Fixed, Window, connect_each, keep_in_flight};
use crate::record::Record;
use crate::reference::echo::{EchoServer, Exchange};
use crate::reference::sqlite::Table;
use crate::reference::{disk, loopback, sqlite};

/// What is measured, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections at once to the bare servers.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Requests in flight on each, beside 1.
    #[arg(long, short, default_value_t = 32)]
    pub depth: usize,
    /// Rows in a transaction of raw SQLite; repeatable.
    #[arg(long, default_values_t = [1, 10, 50, 100, 1_000, 1_600])]
    pub group: Vec<usize>,
    /// Bytes of a message's content.
    #[arg(long, default_value_t = 300)]
    pub size: usize,
    /// Size of the plain copy in MiB.
    #[arg(long, default_value_t = 1_024)]
    pub copy_mib: u64,
    /// Seconds for each.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
}

/// Measures all references.
///
/// # Errors
/// Those of the disk and the network.
pub async fn run(bench: &Bench, options: &Options) -> Result<Vec<Record>> {
    let length = Duration::from_secs_f64(options.seconds);
    let place = bench.place.clone();
    let (groups, size, copied) = (options.group.clone(), options.size, options.copy_mib << 20);
    let mut records = tokio::task::spawn_blocking(move || -> Result<_> {
        let mut records = vec![disk::syncs(&place, length)?];
        for table in [Table::Bare, Table::Indexed] {
            for group in &groups {
                records.push(sqlite::commits(&place, table, *group, size, length)?);
            }
        }
        records.push(loopback::bandwidth(length)?);
        records.push(loopback::copy(&place, copied)?);
        Ok(records)
    })
    .await??;
    for how in [How::InFlight(1), How::InFlight(options.depth), How::Each] {
        records.push(echo(options.connections, how, options.size, length).await?);
    }
    Ok(records)
}

/// How requests come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// So many in flight on each connection.
    InFlight(usize),
    /// A connection for each.
    Each,
}

/// What a send with a content of this size exchanges with the server, in bytes.
///
/// # Errors
/// When no message can have this size.
pub fn exchange(size: usize, how: How) -> Result<Exchange> {
    let nobody = Account { dialect: DIALECT, id: messageu_wire::fields::ClientId::NOBODY };
    Ok(Exchange {
        request: nobody.send(nobody.id, size)?.len(),
        reply: nobody.receipts(nobody.id)?.size,
        close: how == How::Each,
    })
}

/// The bare server, with requests and replies of the size that sends and receipts have.
///
/// # Errors
/// When it does not start or answer.
pub async fn echo(connections: usize, how: How, size: usize, length: Duration) -> Result<Record> {
    let exchange = exchange(size, how)?;
    let echo = EchoServer::start(&std::env::current_exe()?, exchange)?;
    let warm_up = length / 5;
    let (outcome, how) = match how {
        How::InFlight(depth) => {
            let ready = echo.connections(connections, depth).await?;
            let window = Window::starting(warm_up, length);
            (keep_in_flight(ready, depth, window).await?, format!("d{depth}"))
        }
        How::Each => {
            let request: (Vec<u8>, Fixed) = (vec![0x5a; exchange.request], exchange.replies());
            let window = Window::starting(warm_up, length);
            let requests = vec![request; connections];
            (connect_each(echo.address(), requests, window).await?, "each".to_owned())
        }
    };
    Ok(outcome.record(format!("echo c{connections} {how}")))
}
