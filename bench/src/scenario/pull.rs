//! A long queue: what it costs to lengthen it, and to take everything from it.

use std::time::Instant;

use anyhow::{Result, bail};
use tokio::io::AsyncWriteExt;

use crate::account::{Account, DIALECT, connect, pulled, register};
use crate::bench::Bench;
use crate::load::{Ready, Ring, Window, keep_in_flight};
use crate::record::Record;
use crate::server::Store;
use crate::statistics::Spread;

/// Parts of the queue whose rates are compared.
const PARTS: u64 = 10;

/// Bytes that answers are read in.
const READ_SIZE: usize = 256 * 1024;

/// How long the queue becomes, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Messages in the queue before it is taken.
    #[arg(long, short, default_value_t = 1_000_000)]
    pub messages: u64,
    /// Connections that fill it.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Requests in flight on each of them.
    #[arg(long, short, default_value_t = 32)]
    pub depth: usize,
    /// Bytes of a message's content.
    #[arg(long, default_value_t = 300)]
    pub size: usize,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
}

impl Options {
    /// The name of the record.
    #[must_use]
    pub fn name(&self) -> String {
        format!("queue {} of {}", self.store.name(), self.messages)
    }
}

/// Fills one client's queue, and takes everything from it.
///
/// # Errors
/// When the server does not start or answer, or when a message is missing in the end.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    let server = bench.server(options.store)?;
    let accounts = register(server.address, DIALECT, options.connections + 1).await?;
    let Some((recipient, senders)) = accounts.split_first() else { bail!("no accounts") };
    let mut sending = Vec::new();
    let share = options.messages / PARTS / senders.len() as u64;
    if share == 0 {
        bail!("too few messages: a tenth of them is not one for each of {} connections", senders.len());
    }
    for _ in 0..PARTS {
        let mut connections = Vec::new();
        for sender in senders {
            let request = sender.send(recipient.id, options.size)?;
            connections.push(Ready {
                stream: connect(server.address).await?,
                ring: Ring::of_one(&request, options.depth),
                replies: sender.receipts(recipient.id)?,
                quota: share,
            });
        }
        let outcome = keep_in_flight(connections, options.depth, Window::unlimited()).await?;
        if outcome.refused > 0 {
            bail!("{} of the messages were refused", outcome.refused);
        }
        sending.push(outcome.accepted as f64 / outcome.seconds);
    }
    let waiting = share * PARTS * senders.len() as u64;
    let taken = drain(server.address, recipient, options.size).await?;
    let total = taken.last().map_or(0, |(total, _)| *total);
    if total != waiting {
        bail!("{total} messages came of {waiting} that were acknowledged");
    }
    Ok(record(options, &sending, &taken))
}

/// Takes everything that waits for somebody: after each pull, how many messages that makes, and after how many seconds.
async fn drain(address: std::net::SocketAddr, recipient: &Account, size: usize) -> Result<Vec<(u64, f64)>> {
    let pull = recipient.pull()?;
    let mut stream = connect(address).await?;
    let mut bytes = vec![0; READ_SIZE];
    let (mut total, mut wrong, mut taken) = (0, 0, Vec::new());
    let began = Instant::now();
    loop {
        stream.write_all(&pull).await?;
        let count = pulled(&mut stream, recipient.dialect, &mut bytes, |message| {
            wrong += u64::from(message.content.len() != size);
        })
        .await?;
        if wrong > 0 {
            bail!("{wrong} contents have another size than what was sent");
        }
        if count == 0 {
            return Ok(taken);
        }
        total += count;
        taken.push((total, began.elapsed().as_secs_f64()));
    }
}

/// Rates of the first and the last tenth, filling and taking.
fn record(options: &Options, sending: &[f64], taken: &[(u64, f64)]) -> Record {
    let ends = |rates: &[f64]| (rates.first().copied().unwrap_or(0.0), rates.last().copied().unwrap_or(0.0));
    let rates = tenths(taken);
    let ((first_in, last_in), (first_out, last_out)) = (ends(sending), ends(&rates));
    let (total, seconds) = taken.last().copied().unwrap_or((0, f64::INFINITY));
    let parts = |rates: &[f64]| (1..).map(f64::from).zip(rates.iter().copied()).collect();
    Record::new(options.name())
        .with("in: first tenth a second", first_in)
        .with("in: last tenth a second", last_in)
        .with("in: last to first", last_in / first_in)
        .with("out: a second", total as f64 / seconds)
        .with("out: first tenth a second", first_out)
        .with("out: last tenth a second", last_out)
        .with("out: last to first", last_out / first_out)
        .with("in: slowest to fastest", slowest_to_fastest(sending))
        .with("out: slowest to fastest", slowest_to_fastest(&rates))
        .with_series("in a second, by tenths", parts(sending))
        .with_series("out a second, by tenths", parts(&rates))
}

fn slowest_to_fastest(rates: &[f64]) -> f64 {
    Spread::of(rates.iter().copied()).map_or(0.0, |spread| spread.least / spread.most)
}

/// The rate of each tenth, as near as the pulls go.
fn tenths(taken: &[(u64, f64)]) -> Vec<f64> {
    let total = taken.last().map_or(0, |(total, _)| *total);
    let mut ends = vec![(0, 0.0)];
    for part in 1..=PARTS {
        let end = taken.iter().find(|(count, _)| *count * PARTS >= total * part);
        ends.extend(end.filter(|end| ends.last().is_some_and(|last| end.0 > last.0)).copied());
    }
    ends.windows(2)
        .map(|pair| (pair[1].0 - pair[0].0) as f64 / (pair[1].1 - pair[0].1).max(f64::MIN_POSITIVE))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::tenths;

    #[test]
    fn a_rate_that_falls_shows_in_the_tenths() {
        let steady: Vec<_> = (1..=20).map(|pull| (pull * 100, pull as f64)).collect();
        assert_eq!(tenths(&steady), [100.0; 10]);
        let slower: Vec<_> = (1..=20).map(|pull| (pull * 100, (pull * pull) as f64)).collect();
        let rates = tenths(&slower);
        assert!(rates.len() == 10 && rates.windows(2).all(|pair| pair[1] < pair[0]), "{rates:?}");
    }

    #[test]
    fn fewer_pulls_than_tenths_make_fewer_rates() {
        assert_eq!(tenths(&[(50, 1.0), (100, 2.0)]), [50.0, 50.0]);
        assert_eq!(tenths(&[]), [0.0; 0]);
    }
}
