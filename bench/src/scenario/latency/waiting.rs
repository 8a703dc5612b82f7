//! In version 3: receivers whose pull waits at the server until something comes. What travels is what the server sees:
//! envelopes that nobody could open, for what their users' cryptography takes is no time of the server's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use messageu_client::modern::Connection;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::field::{AtMost, Sequence};
use messageu_wire::modern::operation::{acknowledge, pull_envelopes};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Line, Options, PATIENCE, Pacer, STAMP, Schedule, collect};
use crate::modern::{ENVELOPE_PREFIX, User, send};
use crate::server::Server;
use crate::statistics::Times;

/// Bytes of the smallest message that says which it is.
pub(super) const SMALLEST: usize = ENVELOPE_PREFIX.len() + STAMP;

/// How long a pull waits, and the bytes that it asks for.
const WAIT_MS: u32 = 30_000;
const PULL_BYTES: u32 = 256 << 10;

/// Measures; gives the times to the answers and to the receipts. One user sends, on a connection for each pair.
pub(super) async fn run(server: &Server, options: &Options) -> Result<(Times, Times)> {
    let users = User::register(server, options.pairs + 1).await?;
    let (sender, receivers) = users.split_first().context("no users")?;
    let mut connections = Vec::new();
    for receiver in receivers {
        connections.push((receiver.id, sender.connect(server).await?, receiver.connect(server).await?));
    }
    let schedule = Schedule::of_options(options)?;
    let mut lines = Vec::new();
    let (mut answering, mut receiving) = (JoinSet::new(), JoinSet::new());
    for ((receiver, from, to), pair) in connections.into_iter().zip(0..) {
        let (line, due) = mpsc::unbounded_channel();
        lines.push(line);
        answering.spawn(sends(Arc::new(from), receiver, due, options.size, schedule));
        receiving.spawn(waits(Arc::new(to), schedule, pair));
    }
    let pacer = Pacer::start(lines, schedule)?;
    let answered = collect(answering).await?;
    let received = collect(receiving).await?;
    drop(pacer);
    Ok((answered, received))
}

impl Line for mpsc::UnboundedSender<u64> {
    fn send(&mut self, number: u64) -> bool {
        Self::send(self, number).is_ok()
    }
}

/// Sends a pair's messages when they are due, whether those before are answered or not.
async fn sends(
    connection: Arc<Connection>,
    to: ClientId,
    mut due: mpsc::UnboundedReceiver<u64>,
    size: usize,
    schedule: Schedule,
) -> Result<Times> {
    let mut sending = JoinSet::new();
    while let Some(number) = due.recv().await {
        let connection = Arc::clone(&connection);
        sending.spawn(async move {
            send(&connection, to, &number.to_le_bytes(), size).await?;
            let mut times = Times::default();
            schedule.note(number, &mut times);
            anyhow::Ok(times)
        });
    }
    collect(sending).await
}

/// Pulls, which waits at the server, until all of a pair's messages are there; acknowledges them meanwhile.
async fn waits(connection: Arc<Connection>, schedule: Schedule, pair: u64) -> Result<Times> {
    let mut times = Times::default();
    let mut missing: HashSet<u64> = schedule.of(pair).collect();
    let last_due = schedule.of(pair).last().map_or_else(Instant::now, |number| schedule.due(number));
    let mut after = Sequence(0);
    let mut acknowledging = JoinSet::new();
    while !missing.is_empty() {
        let request = pull_envelopes::Request { after, max_bytes: PULL_BYTES, wait_ms: WAIT_MS };
        let pulled = connection.call(request).await?;
        for delivery in pulled.deliveries() {
            let stamp = delivery.envelope.get(ENVELOPE_PREFIX.len()..).and_then(|rest| rest.first_chunk());
            let number = stamp.map(|stamp| u64::from_le_bytes(*stamp)).context("an envelope of nobody's")?;
            if !missing.remove(&number) {
                bail!("message {number} came twice, or to the wrong one");
            }
            schedule.note(number, &mut times);
            after = after.max(delivery.sequence);
        }
        let sequences: Vec<_> = pulled.deliveries().iter().map(|delivery| delivery.sequence).collect();
        if !sequences.is_empty() {
            let (connection, request) =
                (Arc::clone(&connection), acknowledge::Request { sequences: AtMost::new(sequences)? });
            acknowledging.spawn(async move { connection.call(request).await });
        }
        if last_due.elapsed() > PATIENCE {
            bail!("{} messages did not come", missing.len());
        }
    }
    while let Some(done) = acknowledging.join_next().await {
        done??;
    }
    Ok(times)
}
