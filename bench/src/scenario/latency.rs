//! From a send to its receipt by somebody else, at a rate that does not wait for the server.
//!
//! Messages go out by a fixed schedule, and every time counts from when a message was due: one that had to wait behind a
//! slow one took that long, too.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use clap::ValueEnum;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::account::{Account, DIALECT, connect, pulled, register};
use crate::bench::Bench;
use crate::load::{Fixed, Replies, Reply};
use crate::record::Record;
use crate::server::{Server, Store};
use crate::statistics::Times;

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the one who sends by the schedule rests while a connection takes no more.
const REST: Duration = Duration::from_micros(50);

/// Bytes of a content that say which message it is.
const STAMP: usize = size_of::<u64>();

/// How a receiver comes to its messages.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Receiver {
    /// It pulls again and again.
    Poll,
    /// It asks once and is told. No dialect that there is has this.
    Wait,
}

/// Who sends to whom, how often, and who receives how.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Pairs of a sender and a receiver.
    #[arg(long, short, default_value_t = 50)]
    pub pairs: usize,
    /// Messages a second, of all pairs together.
    #[arg(long, short, default_value_t = 2_000.0)]
    pub rate: f64,
    /// How receivers come to their messages.
    #[arg(long, value_enum, default_value_t = Receiver::Poll)]
    pub receiver: Receiver,
    /// Milliseconds between an answer to a pull and the next one.
    #[arg(long, default_value_t = 0)]
    pub pause: u64,
    /// Bytes of a message's content.
    #[arg(long, default_value_t = 300)]
    pub size: usize,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
}

impl Options {
    /// The name of the record.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { pairs, rate, pause, .. } = self;
        let receiver = match self.receiver {
            Receiver::Poll => "poll",
            Receiver::Wait => "wait",
        };
        let pause = if *pause == 0 { String::new() } else { format!(" every {pause} ms") };
        format!("latency {} p{pairs} {rate}/s {receiver}{pause}", self.store.name())
    }
}

/// When each message is due, and whose it is.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Instant,
    between: Duration,
    pairs: u64,
    /// The first message that counts, and the end.
    first: u64,
    end: u64,
}

impl Schedule {
    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(self.between.as_secs_f64() * number as f64)
    }

    /// Notes how late something happened to a message, if that counts.
    fn note(&self, number: u64, times: &mut Times) {
        if number >= self.first {
            times.note(self.due(number).elapsed(), 1);
        }
    }

    /// The messages of a pair.
    fn of(&self, pair: u64) -> impl Iterator<Item = u64> + use<> {
        (pair..self.end).step_by(usize::try_from(self.pairs).unwrap_or(usize::MAX))
    }
}

/// Measures the way from senders to receivers.
///
/// # Errors
/// When the server refuses or loses a message, and where receivers are to wait: no dialect offers that.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    if options.receiver == Receiver::Wait {
        bail!("{NOT_OFFERED}");
    }
    if options.size < STAMP {
        bail!("a content of {} bytes cannot say which message it is: {STAMP} are needed", options.size);
    }
    let server = bench.server(options.store)?;
    let accounts = register(server.address, DIALECT, 2 * options.pairs).await?;
    let (senders, receivers) = accounts.split_at(options.pairs);
    let schedule = Schedule {
        start: Instant::now() + Duration::from_millis(100),
        between: Duration::from_secs_f64(1.0 / options.rate),
        pairs: u64::try_from(options.pairs)?,
        first: (options.warm_up * options.rate) as u64,
        end: ((options.warm_up + options.seconds) * options.rate) as u64,
    };
    let mut lines = Vec::new();
    let (mut answering, mut receiving) = (JoinSet::new(), JoinSet::new());
    for ((sender, receiver), pair) in senders.iter().zip(receivers).zip(0..) {
        let (line, replies) = Line::open(&server, sender, receiver, options.size)?;
        lines.push(line);
        answering.spawn(answers(replies, sender.receipts(receiver.id)?, schedule, pair));
        receiving.spawn(polls(server.address, *receiver, schedule, pair, options.pause));
    }
    let pacer = Pacer::start(lines, schedule)?;
    let answered = collect(answering).await?;
    let received = collect(receiving).await?;
    drop(pacer);
    Ok(Record::new(options.name())
        .with_times("answer ", &answered)
        .with_times("receipt ", &received)
        .with("receipt above answer p50 ms", received.quantile(0.5) - answered.quantile(0.5)))
}

/// Why there are no figures of receivers that wait.
pub const NOT_OFFERED: &str = "the latency to a waiting client was not measured: no dialect that the server speaks has a pull that waits";

async fn collect(mut tasks: JoinSet<Result<Times>>) -> Result<Times> {
    let mut all = Times::default();
    while let Some(times) = timeout(PATIENCE + PATIENCE, tasks.join_next()).await? {
        all.add(&times??);
    }
    Ok(all)
}

/// A sender's connection, and what it sends.
struct Line {
    stream: TcpStream,
    request: Vec<u8>,
    stamp_at: usize,
}

impl Line {
    fn open(
        server: &Server,
        sender: &Account,
        receiver: &Account,
        size: usize,
    ) -> Result<(Self, tokio::net::TcpStream)> {
        let stream = TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let replies = tokio::net::TcpStream::from_std(stream.try_clone()?)?;
        let request = sender.send(receiver.id, size)?;
        let stamp_at = request.len() - size;
        Ok((Self { stream, request, stamp_at }, replies))
    }

    fn send(&mut self, number: u64) -> std::io::Result<()> {
        self.request[self.stamp_at..self.stamp_at + STAMP].copy_from_slice(&number.to_le_bytes());
        let mut left = &self.request[..];
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(REST),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A thread that sends by the schedule: the runtime's own timers go by milliseconds. Dropping it ends it.
struct Pacer {
    over: Arc<AtomicBool>,
}

impl Pacer {
    fn start(mut lines: Vec<Line>, schedule: Schedule) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        std::thread::Builder::new().name("pacer".to_owned()).spawn(move || {
            for number in 0..schedule.end {
                std::thread::sleep(schedule.due(number).saturating_duration_since(Instant::now()));
                let at = usize::try_from(number % schedule.pairs).unwrap_or(0);
                if seen.load(Ordering::Relaxed) || lines[at].send(number).is_err() {
                    // The missing receipts tell.
                    return;
                }
            }
        })?;
        Ok(Self { over })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Reads the receipts of a pair's messages, which come in their order.
async fn answers(
    mut stream: tokio::net::TcpStream,
    replies: Fixed,
    schedule: Schedule,
    pair: u64,
) -> Result<Times> {
    let mut times = Times::default();
    let mut buffer = BytesMut::with_capacity(4_096);
    for number in schedule.of(pair) {
        loop {
            match replies.first(&buffer) {
                Reply::Accepted(size) => {
                    buffer.advance(size);
                    break;
                }
                Reply::Refused(_) => bail!("a message was refused"),
                Reply::Nonsense => bail!("a reply that is none: {buffer:?}"),
                Reply::More => {}
            }
            let patience = schedule.due(number) + PATIENCE;
            let read = tokio::time::timeout_at(patience.into(), stream.read_buf(&mut buffer)).await;
            if read.context("a receipt did not come")?? == 0 {
                bail!("the connection was closed while receipts were outstanding");
            }
        }
        schedule.note(number, &mut times);
    }
    Ok(times)
}

/// Pulls until all of a pair's messages are there.
async fn polls(
    address: std::net::SocketAddr,
    receiver: Account,
    schedule: Schedule,
    pair: u64,
    pause: u64,
) -> Result<Times> {
    let mut times = Times::default();
    let mut stream = connect(address).await?;
    let (pull, mut bytes) = (receiver.pull()?, vec![0; 16 * 1024]);
    let mut expected = schedule.of(pair);
    let mut next = expected.next();
    while let Some(due) = next {
        stream.write_all(&pull).await?;
        let mut wrong = None;
        let pulling = pulled(&mut stream, receiver.dialect, &mut bytes, |message| {
            let number = message.content.first_chunk().map(|stamp| u64::from_le_bytes(*stamp));
            if number == next
                && let Some(number) = number
            {
                schedule.note(number, &mut times);
                next = expected.next();
            } else {
                wrong = Some((number, next));
            }
        });
        tokio::time::timeout_at((schedule.due(due) + PATIENCE).into(), pulling)
            .await
            .context("no mail")??;
        if let Some((came, next)) = wrong {
            bail!("message {came:?} came where {next:?} was next");
        }
        if next == Some(due) && schedule.due(due).elapsed() > PATIENCE {
            bail!("message {due} did not come");
        }
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Schedule;
    use crate::statistics::Times;

    fn schedule(start: Instant) -> Schedule {
        Schedule { start, between: Duration::from_millis(10), pairs: 3, first: 4, end: 10 }
    }

    #[test]
    fn messages_go_to_the_pairs_in_turn() {
        let schedule = schedule(Instant::now());
        assert_eq!(schedule.of(0).collect::<Vec<_>>(), [0, 3, 6, 9]);
        assert_eq!(schedule.of(2).collect::<Vec<_>>(), [2, 5, 8]);
    }

    #[test]
    fn a_time_counts_from_when_the_message_was_due_and_not_before_the_warm_up_is_over() {
        let schedule = schedule(Instant::now() - Duration::from_secs(10));
        let mut times = Times::default();
        schedule.note(3, &mut times);
        assert_eq!(times.count(), 0);
        schedule.note(9, &mut times);
        assert!(times.count() == 1 && times.quantile(1.0) >= 9_900.0);
    }
}
