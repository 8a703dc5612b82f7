//! What a server's day is made of: sends most of all, pulls, keys, and now and then the list of all clients.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use messageu_wire::operation::{fetch_key, list_clients};
use messageu_wire::operations::Operation;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::account::{Account, DIALECT, answer, connect, pulled, register};
use crate::bench::Bench;
use crate::record::Record;
use crate::server::Store;
use crate::statistics::Times;

/// How often each operation is asked for, in a hundred.
const SHARES: [(Operation, u32); 4] = [
    (Operation::SendMessage, 70),
    (Operation::PullMessages, 20),
    (Operation::FetchKey, 8),
    (Operation::ListClients, 2),
];

/// How many take part, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections at once, each of another client.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Bytes of a message's content.
    #[arg(long, default_value_t = 300)]
    pub size: usize,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
}

impl Options {
    /// The name of the record.
    #[must_use]
    pub fn name(&self) -> String {
        format!("mix {} c{}", self.store.name(), self.connections)
    }
}

/// Measures a mixture of operations, each connection waiting for its answer before it asks again.
///
/// # Errors
/// When the server refuses something.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    let server = bench.server(options.store)?;
    let accounts = register(server.address, DIALECT, options.connections).await?;
    let length = Duration::from_secs_f64(options.seconds);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for at in 0..accounts.len() {
        let one = Client { address: server.address, accounts: accounts.clone(), at, size: options.size };
        tasks.spawn(one.ask(began + length));
    }
    let mut times = SHARES.map(|_| Times::default());
    while let Some(more) = tasks.join_next().await {
        for (all, more) in times.iter_mut().zip(more??) {
            all.add(&more);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let total: u64 = times.iter().map(Times::count).sum();
    let record = Record::new(options.name()).with("a second", total as f64 / seconds);
    Ok(SHARES.iter().zip(&times).fold(record, |record, ((operation, _), times)| {
        record
            .with(&format!("{operation} p50 ms"), times.quantile(0.5))
            .with(&format!("{operation} p99 ms"), times.quantile(0.99))
    }))
}

struct Client {
    address: SocketAddr,
    accounts: Vec<Account>,
    at: usize,
    size: usize,
}

impl Client {
    async fn ask(self, until: Instant) -> Result<[Times; SHARES.len()]> {
        let mut times = SHARES.map(|_| Times::default());
        let mut stream = connect(self.address).await?;
        let mut bytes = vec![0; 64 * 1024];
        let me = self.accounts[self.at];
        while Instant::now() < until {
            let other = self.accounts[rand::random_range(0..self.accounts.len())].id;
            let which = pick(rand::random_range(0..100));
            let operation = SHARES[which].0;
            let request = match operation {
                Operation::SendMessage => me.send(other, self.size)?,
                Operation::FetchKey => me.request(&fetch_key::Request { client_id: other }.into())?,
                Operation::ListClients => me.request(&list_clients::Request.into())?,
                _ => me.pull()?,
            };
            let began = Instant::now();
            stream.write_all(&request).await?;
            if operation == Operation::PullMessages {
                pulled(&mut stream, me.dialect, &mut bytes, drop).await?;
            } else {
                answer(&mut stream, me.dialect, operation).await?.context("a request was refused")?;
            }
            times[which].note(began.elapsed(), 1);
        }
        Ok(times)
    }
}

/// The operation for a number below 100, by its place among the shares.
fn pick(mut number: u32) -> usize {
    for (at, (_, share)) in SHARES.iter().enumerate() {
        match number.checked_sub(*share) {
            Some(left) => number = left,
            None => return at,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::{SHARES, pick};

    #[test]
    fn of_a_hundred_each_operation_has_its_share() {
        let mut counts = SHARES.map(|_| 0);
        (0..100).for_each(|number| counts[pick(number)] += 1);
        assert_eq!(counts, SHARES.map(|(_, share)| share));
    }
}
