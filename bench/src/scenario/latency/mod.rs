//! From a send to its receipt by somebody else, at a rate that does not wait for the server.
//!
//! Messages go out by a fixed schedule, and every time counts from when a message was due: one that had to wait behind a
//! slow one took that long, too.

mod polling;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bench::Bench;
use crate::record::Record;
use crate::server::Store;
use crate::statistics::Times;

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a content that say which message it is.
const STAMP: usize = size_of::<u64>();

/// How a receiver comes to its messages.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Receiver {
    /// It pulls again and again, in a classic dialect.
    Poll,
    /// Its pull waits at the server until something comes, in version 3.
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
    /// From now on, or nearly.
    fn of_options(options: &Options) -> Result<Self> {
        Ok(Self {
            start: Instant::now() + Duration::from_millis(100),
            between: Duration::from_secs_f64(1.0 / options.rate),
            pairs: u64::try_from(options.pairs)?,
            first: (options.warm_up * options.rate) as u64,
            end: ((options.warm_up + options.seconds) * options.rate) as u64,
        })
    }

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
/// When the server refuses or loses a message.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    if options.size < waiting::SMALLEST {
        bail!(
            "a content of {} bytes cannot say which message it is: {} are needed",
            options.size,
            waiting::SMALLEST
        );
    }
    let server = bench.server(options.store)?;
    let (answered, received) = match options.receiver {
        Receiver::Poll => polling::run(&server, options).await?,
        Receiver::Wait => waiting::run(&server, options).await?,
    };
    Ok(Record::new(options.name())
        .with_times("answer ", &answered)
        .with_times("receipt ", &received)
        .with("receipt above answer p50 ms", received.quantile(0.5) - answered.quantile(0.5)))
}

async fn collect(mut tasks: JoinSet<Result<Times>>) -> Result<Times> {
    let mut all = Times::default();
    while let Some(times) = timeout(PATIENCE + PATIENCE, tasks.join_next()).await? {
        all.add(&times??);
    }
    Ok(all)
}

/// What takes a pair's messages when they are due.
trait Line: Send + 'static {
    /// Sends a message, or has it sent. Returns whether the line still holds.
    fn send(&mut self, number: u64) -> bool;
}

/// A thread that sends by the schedule: the runtime's own timers go by milliseconds. Dropping it ends it.
struct Pacer {
    over: Arc<AtomicBool>,
}

impl Pacer {
    fn start<L: Line>(mut lines: Vec<L>, schedule: Schedule) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        std::thread::Builder::new().name("pacer".to_owned()).spawn(move || {
            for number in 0..schedule.end {
                std::thread::sleep(schedule.due(number).saturating_duration_since(Instant::now()));
                let at = usize::try_from(number % schedule.pairs).unwrap_or(0);
                if seen.load(Ordering::Relaxed) || !lines[at].send(number) {
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
