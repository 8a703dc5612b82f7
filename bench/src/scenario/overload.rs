//! More than the server can do, for a long time: arrivals at a multiple of its measured capacity, whether or not it keeps
//! up, while recipients take their mail. In the end everything that was acknowledged must be there.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use messageu_wire::operation::fetch_key;
use messageu_wire::operations::Operation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};

use crate::account::{Account, DIALECT, answer, connect, pulled, register};
use crate::bench::Bench;
use crate::load::{Fixed, Ready, Replies, Reply, Ring, Window, keep_in_flight};
use crate::process::memory;
use crate::record::Record;
use crate::server::{Server, Store};
use crate::statistics::{Spread, Times};

/// How often what has become due is written.
const TICK: Duration = Duration::from_millis(5);

/// Requests that are written together at most.
const TOGETHER: u64 = 64;

/// How long what is outstanding at the end may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Bytes of a content that say which message it is, and what stands there before the soak.
const STAMP: usize = size_of::<u64>();
const NO_STAMP: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// How long, how hard, and by how many.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections that send, each to a recipient of its own.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Arrivals, in multiples of the capacity that is measured first.
    #[arg(long, default_value_t = 2.0)]
    pub factor: f64,
    /// Requests in flight on each connection while the capacity is measured.
    #[arg(long, short, default_value_t = 32)]
    pub depth: usize,
    /// Bytes of a message's content.
    #[arg(long, default_value_t = 300)]
    pub size: usize,
    /// Milliseconds between a recipient's pulls.
    #[arg(long, default_value_t = 1_000)]
    pub pause: u64,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
    /// Seconds in which the capacity is measured.
    #[arg(long, default_value_t = 5.0)]
    pub calibration: f64,
    /// Seconds of too much.
    #[arg(long, default_value_t = 600)]
    pub seconds: u64,
}

impl Options {
    /// The name of the record.
    #[must_use]
    pub fn name(&self) -> String {
        format!("overload {} c{} x{}", self.store.name(), self.connections, self.factor)
    }
}

/// Measures how the server bears too much, with the limits that it has by default.
///
/// # Errors
/// When a message that was acknowledged is lost, when one that was refused is there, or when the server stops answering.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    let server = Server::start_with(&bench.origin, &bench.place, options.store, &[])?;
    let accounts = register(server.address, DIALECT, options.connections).await?;
    let recipients = Recipients::start(server.address, &accounts, options.pause);
    let capacity = capacity(server.address, &accounts, options).await?;
    let soak = Soak::start(&server, &accounts, capacity * options.factor, options).await?;
    let record = soak.watch(&server, &recipients, options).await?;
    let senders = soak.finish().await?;
    let received = recipients.finish().await?;
    let ledger = reconcile(&senders, &received)?;
    Ok(record
        .with("capacity a second", capacity)
        .with("acknowledged", ledger.acknowledged as f64)
        .with("acknowledged and lost", ledger.lost as f64)
        .with("delivered twice", ledger.twice as f64)
        .with("refused", ledger.refused as f64)
        .with("never written", senders.iter().map(|sender| sender.unwritten).sum::<u64>() as f64))
}

/// How many messages a second the server takes from those who wait for its answers.
async fn capacity(address: SocketAddr, accounts: &[Account], options: &Options) -> Result<f64> {
    let mut connections = Vec::new();
    for (from, to) in pairs(accounts) {
        let ring = Ring::of_one(&from.send(to.id, options.size)?, options.depth);
        let replies = from.receipts(to.id)?;
        connections.push(Ready { stream: connect(address).await?, ring, replies, quota: u64::MAX });
    }
    let length = Duration::from_secs_f64(options.calibration);
    let outcome = keep_in_flight(connections, options.depth, Window::starting(length / 5, length)).await?;
    // What waits by now must not fill the queues before the soak does.
    sleep(Duration::from_millis(2 * options.pause)).await;
    Ok(outcome.accepted as f64 / outcome.seconds)
}

/// Each account and the next one, to which it sends.
fn pairs(accounts: &[Account]) -> impl Iterator<Item = (&Account, &Account)> {
    accounts.iter().zip(accounts.iter().cycle().skip(1))
}

/// A set of numbers that mostly follow one another.
#[derive(Clone, Default, Debug)]
struct Numbers {
    words: Vec<u64>,
    count: u64,
}

impl Numbers {
    /// Takes a number in; says whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    fn has(&self, number: u64) -> bool {
        let word = usize::try_from(number / 64).ok().and_then(|word| self.words.get(word));
        word.is_some_and(|word| word & 1 << (number % 64) != 0)
    }
}

/// What a sender was told about its messages.
#[derive(Debug)]
struct Told {
    accepted: Numbers,
    answered: u64,
    unwritten: u64,
}

/// What a recipient got of the soak's messages.
#[derive(Clone, Default, Debug)]
struct Got {
    numbers: Numbers,
    twice: u64,
}

/// What was promised and what was kept, in all.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Ledger {
    acknowledged: u64,
    lost: u64,
    refused: u64,
    twice: u64,
}

/// Compares what senders were told with what the recipient of each got.
fn reconcile(senders: &[Told], received: &[Got]) -> Result<Ledger> {
    let mut ledger = Ledger::default();
    for (told, got) in senders.iter().zip(received.iter().cycle().skip(1)) {
        for number in 0..told.answered {
            match (told.accepted.has(number), got.numbers.has(number)) {
                (true, false) => ledger.lost += 1,
                (false, true) => bail!("message {number} was refused, and yet delivered"),
                _ => {}
            }
        }
        ledger.acknowledged += told.accepted.count;
        ledger.refused += told.answered - told.accepted.count;
        ledger.twice += got.twice;
    }
    if ledger.lost > 0 {
        bail!("{} messages were acknowledged and lost", ledger.lost);
    }
    Ok(ledger)
}

/// All who take their mail, until they are told to take the rest.
struct Recipients {
    tasks: JoinSet<Result<(usize, Got)>>,
    pulled: Arc<AtomicU64>,
    over: Arc<tokio::sync::Semaphore>,
}

impl Recipients {
    fn start(address: SocketAddr, accounts: &[Account], pause: u64) -> Self {
        let (pulled, over) = (Arc::new(AtomicU64::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
        let mut tasks = JoinSet::new();
        for (at, account) in accounts.iter().copied().enumerate() {
            let (pulled, over) = (Arc::clone(&pulled), Arc::clone(&over));
            let pause = Duration::from_millis(pause);
            tasks.spawn(async move { Ok((at, take_mail(address, account, pause, &pulled, &over).await?)) });
        }
        Self { tasks, pulled, over }
    }

    /// Lets each take what is left; what each got, in the order of the accounts.
    async fn finish(mut self) -> Result<Vec<Got>> {
        self.over.close();
        let mut all = vec![Got::default(); self.tasks.len()];
        while let Some(done) = timeout(PATIENCE, self.tasks.join_next()).await.context("mail is missing")? {
            let (at, got) = done??;
            all[at] = got;
        }
        Ok(all)
    }
}

/// Pulls with a pause between, until it is `over` and nothing is left.
async fn take_mail(
    address: SocketAddr,
    account: Account,
    pause: Duration,
    total: &AtomicU64,
    over: &tokio::sync::Semaphore,
) -> Result<Got> {
    let (mut got, mut bytes, pull) = (Got::default(), vec![0; 64 * 1024], account.pull()?);
    let mut stream = connect(address).await?;
    loop {
        let last = over.is_closed();
        stream.write_all(&pull).await?;
        let count = pulled(&mut stream, account.dialect, &mut bytes, |message| {
            let stamp = message.content.first_chunk().map(|stamp| u64::from_le_bytes(*stamp));
            if let Some(number) = stamp.filter(|number| *number != NO_STAMP) {
                got.twice += u64::from(!got.numbers.insert(number));
            }
        })
        .await?;
        total.fetch_add(count, Ordering::Relaxed);
        if last && count == 0 {
            return Ok(got);
        }
        if !last {
            // Closing it ends the pause.
            let _ = timeout(pause, over.acquire()).await;
        }
    }
}

/// What came within a second.
#[derive(Default)]
struct Second {
    accepted: u64,
    refused: u64,
    times: Times,
}

/// The arrivals, and who makes them.
struct Soak {
    writers: JoinSet<Result<(usize, u64)>>,
    readers: JoinSet<Result<(usize, Told)>>,
    second: Arc<Mutex<Second>>,
    sent: Vec<Arc<Sent>>,
    arrivals: f64,
}

/// How many requests were written on a connection, and whether that is all.
struct Sent {
    count: AtomicU64,
    over: tokio::sync::Notify,
}

/// When the messages of one sender arrive.
#[derive(Clone, Copy)]
struct Arrivals {
    start: Instant,
    until: Instant,
    a_second: f64,
}

impl Arrivals {
    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64((number + 1) as f64 / self.a_second)
    }

    fn count(&self, now: Instant) -> u64 {
        (now.min(self.until).saturating_duration_since(self.start).as_secs_f64() * self.a_second) as u64
    }
}

impl Soak {
    async fn start(server: &Server, accounts: &[Account], arrivals: f64, options: &Options) -> Result<Self> {
        if options.size < STAMP {
            bail!("a content of {} bytes cannot say which message it is: {STAMP} are needed", options.size);
        }
        let start = Instant::now() + Duration::from_millis(200);
        let until = start + Duration::from_secs(options.seconds);
        let schedule = Arrivals { start, until, a_second: arrivals / accounts.len() as f64 };
        let mut soak = Self {
            writers: JoinSet::new(),
            readers: JoinSet::new(),
            second: Arc::default(),
            sent: Vec::new(),
            arrivals,
        };
        for (at, (from, to)) in pairs(accounts).enumerate() {
            let (reading, writing) = connect(server.address).await?.into_split();
            let sent = Arc::new(Sent { count: AtomicU64::new(0), over: tokio::sync::Notify::new() });
            soak.sent.push(Arc::clone(&sent));
            let request = from.send(to.id, options.size)?;
            let stamp_at = request.len() - options.size;
            let writer = Arc::clone(&sent);
            soak.writers
                .spawn(async move { Ok((at, write(writing, &request, stamp_at, schedule, &writer).await?)) });
            let (replies, second) = (from.receipts(to.id)?, Arc::clone(&soak.second));
            soak.readers
                .spawn(async move { Ok((at, read(reading, replies, schedule, &sent, &second).await?)) });
        }
        Ok(soak)
    }

    /// Looks at what happens, each second until the arrivals end.
    async fn watch(&self, server: &Server, recipients: &Recipients, options: &Options) -> Result<Record> {
        let mut series: Vec<(&str, Vec<(f64, f64)>)> = [
            "accepted a second",
            "refused a second",
            "pulled a second",
            "p50 ms",
            "p99 ms",
            "newcomer ms",
            "memory MiB",
        ]
        .map(|name| (name, Vec::new()))
        .into();
        let newcomers = Newcomers::start(server.address).await?;
        let began = Instant::now();
        let mut pulled_before = recipients.pulled.load(Ordering::Relaxed);
        let mut last = Instant::now();
        for second in 1..=options.seconds {
            sleep_until((began + Duration::from_secs(second)).into()).await;
            let passed = last.elapsed().as_secs_f64();
            last = Instant::now();
            let now = std::mem::take(&mut *self.second.lock().unwrap_or_else(PoisonError::into_inner));
            let pulled = recipients.pulled.load(Ordering::Relaxed);
            let resident =
                server.id().map(memory).transpose()?.map_or(0.0, |memory| memory.resident as f64 / 1024.0);
            let figures = [
                now.accepted as f64 / passed,
                now.refused as f64 / passed,
                (pulled - pulled_before) as f64 / passed,
                now.times.quantile(0.5),
                now.times.quantile(0.99),
                newcomers.slowest_since(),
                resident,
            ];
            pulled_before = pulled;
            for ((_, points), figure) in series.iter_mut().zip(figures) {
                points.push((second as f64, figure));
            }
        }
        drop(newcomers);
        let record = Record::new(options.name()).with("arrivals a second", self.arrivals);
        Ok(series.into_iter().fold(record, |record, (name, points)| summarise(record, name, points)))
    }

    /// Waits until everything that was written is answered; what each sender was told.
    async fn finish(mut self) -> Result<Vec<Told>> {
        let mut unwritten = vec![0; self.sent.len()];
        while let Some(done) =
            timeout(PATIENCE, self.writers.join_next()).await.context("nothing is taken")?
        {
            let (at, left) = done??;
            unwritten[at] = left;
            self.sent[at].over.notify_one();
        }
        let mut all = Vec::new();
        while let Some(done) =
            timeout(PATIENCE, self.readers.join_next()).await.context("answers are missing")?
        {
            all.push(done??);
        }
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(at, told)| Told { unwritten: unwritten[at], ..told }).collect())
    }
}

/// The middle and the most of a series, and its last tenth beside its first, so that what grows shows.
fn summarise(record: Record, name: &str, points: Vec<(f64, f64)>) -> Record {
    let tenth = points.len().div_ceil(10);
    let middle = |points: &[(f64, f64)]| Spread::of(points.iter().map(|(_, figure)| *figure));
    let (all, first) = (middle(&points), middle(&points[..tenth]));
    let last = middle(&points[points.len() - tenth..]);
    let (Some(all), Some(first), Some(last)) = (all, first, last) else { return record };
    record
        .with(&format!("{name}: middle"), all.middle)
        .with(&format!("{name}: most"), all.most)
        .with(&format!("{name}: first tenth"), first.middle)
        .with(&format!("{name}: last tenth"), last.middle)
        .with_series(name, points)
}

/// Writes what has become due, however much that is; how much never was written.
async fn write(
    mut stream: OwnedWriteHalf,
    request: &[u8],
    stamp_at: usize,
    schedule: Arrivals,
    sent: &Sent,
) -> Result<u64> {
    let mut bytes = request.repeat(usize::try_from(TOGETHER)?);
    let mut count = 0;
    while Instant::now() < schedule.until {
        let together = (schedule.count(Instant::now()) - count).min(TOGETHER);
        if together == 0 {
            sleep(TICK).await;
            continue;
        }
        for (place, number) in bytes.chunks_mut(request.len()).zip(count..count + together) {
            place[stamp_at..stamp_at + STAMP].copy_from_slice(&number.to_le_bytes());
        }
        let whole = usize::try_from(together)? * request.len();
        count += together;
        // Counted before it is written: an answer may be there before the write returns.
        sent.count.store(count, Ordering::Release);
        stream.write_all(&bytes[..whole]).await?;
    }
    // Dropping this half would end the connection's way there, which is not the question.
    stream.forget();
    Ok(schedule.count(schedule.until).saturating_sub(count))
}

/// Reads answers until all of them are there and no more is written.
async fn read(
    mut stream: OwnedReadHalf,
    replies: Fixed,
    schedule: Arrivals,
    sent: &Sent,
    second: &Mutex<Second>,
) -> Result<Told> {
    let mut told = Told { accepted: Numbers::default(), answered: 0, unwritten: 0 };
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    let mut is_over = false;
    while !(is_over && told.answered == sent.count.load(Ordering::Acquire)) {
        let read = tokio::select! {
            read = stream.read_buf(&mut buffer) => read?,
            () = sent.over.notified(), if !is_over => {
                is_over = true;
                continue;
            }
        };
        if read == 0 {
            bail!("the server closed a connection while answers were outstanding");
        }
        let mut second = second.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (accepted, size) = match replies.first(&buffer) {
                Reply::More => break,
                Reply::Accepted(size) => (true, size),
                Reply::Refused(size) => (false, size),
                Reply::Nonsense => bail!("a reply that is none"),
            };
            buffer.advance(size);
            second.times.note(schedule.due(told.answered).elapsed(), 1);
            if accepted {
                told.accepted.insert(told.answered);
                second.accepted += 1;
            } else {
                second.refused += 1;
            }
            told.answered += 1;
        }
        drop(second);
        buffer.reserve(16 * 1024);
    }
    Ok(told)
}

/// Somebody who comes anew again and again, makes a small request, and goes.
struct Newcomers {
    slowest: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Newcomers {
    async fn start(address: SocketAddr) -> Result<Self> {
        let account = *register(address, DIALECT, 1).await?.first().context("no account")?;
        let request = account.request(&fetch_key::Request { client_id: account.id }.into())?;
        let slowest = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&slowest);
        let task = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                let asked = async {
                    let mut stream = connect(address).await?;
                    stream.write_all(&request).await?;
                    answer(&mut stream, account.dialect, Operation::FetchKey).await
                };
                // One that is not served at all counts as one that waited for as long as this goes on.
                if timeout(PATIENCE, asked).await.is_ok_and(|asked| matches!(asked, Ok(Some(_)))) {
                    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    seen.fetch_max(micros, Ordering::Relaxed);
                } else {
                    seen.store(u64::MAX, Ordering::Relaxed);
                }
                sleep(Duration::from_millis(100)).await;
            }
        })
        .abort_handle();
        Ok(Self { slowest, task })
    }

    /// Milliseconds that the slowest took since the last time that this was asked.
    fn slowest_since(&self) -> f64 {
        self.slowest.swap(0, Ordering::Relaxed) as f64 / 1_000.0
    }
}

impl Drop for Newcomers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::{Got, Ledger, Numbers, Told, reconcile};

    fn told(accepted: &[u64], answered: u64) -> Told {
        let mut numbers = Numbers::default();
        assert!(accepted.iter().all(|number| numbers.insert(*number)));
        Told { accepted: numbers, answered, unwritten: 0 }
    }

    fn got(numbers: &[u64]) -> Got {
        let mut got = Got::default();
        for number in numbers {
            got.twice += u64::from(!got.numbers.insert(*number));
        }
        got
    }

    #[test]
    fn what_was_acknowledged_has_to_be_there() {
        let senders = [told(&[0, 2], 3), told(&[], 1)];
        // The first sends to the second.
        let ledger = reconcile(&senders, &[got(&[]), got(&[0, 2, 2])]).unwrap();
        assert_eq!(ledger, Ledger { acknowledged: 2, lost: 0, refused: 2, twice: 1 });
        let error = reconcile(&senders, &[got(&[]), got(&[0])]).unwrap_err();
        assert!(error.to_string().contains("1 messages were acknowledged and lost"), "{error}");
    }

    #[test]
    fn what_was_refused_must_not_be_there() {
        let senders = [told(&[0], 3), told(&[], 0)];
        assert!(reconcile(&senders, &[got(&[]), got(&[0, 1])]).is_err());
    }
}
