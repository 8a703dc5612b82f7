//! Load: connections that keep so many requests in flight, or that are made anew for each request.
//!
//! What is sent is encoded once. Every reply is looked at, but no more than it takes to tell an acceptance from a
//! refusal and from nonsense.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::account::connect_from_anywhere;
use crate::record::Record;
use crate::statistics::Times;

/// How long replies that are outstanding at the end are waited for.
const DRAINING: Duration = Duration::from_secs(60);

/// Longer than anything here takes.
const UNLIMITED: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes that replies are read in.
const READ_SIZE: usize = 16 * 1024;

/// What stands at the beginning of bytes that a peer replied with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Not all of a reply yet.
    More,
    /// An acceptance of so many bytes.
    Accepted(usize),
    /// A refusal of so many bytes.
    Refused(usize),
    /// Something else.
    Nonsense,
}

/// How a peer's replies are told apart.
pub trait Replies: Clone + Send + Sync + 'static {
    /// Looks at the first reply.
    fn first(&self, bytes: &[u8]) -> Reply;
}

/// Acceptances that are all of one size and begin alike, and refusals that are all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fixed {
    /// Bytes of an acceptance.
    pub size: usize,
    /// How it begins.
    pub start: Vec<u8>,
    /// A refusal, whole; empty where there is none.
    pub refusal: Vec<u8>,
}

impl Replies for Fixed {
    fn first(&self, bytes: &[u8]) -> Reply {
        if bytes.len() >= self.size && bytes.starts_with(&self.start) {
            return Reply::Accepted(self.size);
        }
        if !self.refusal.is_empty() && bytes.starts_with(&self.refusal) {
            return Reply::Refused(self.refusal.len());
        }
        let begins = |whole: &[u8]| whole.starts_with(bytes) || bytes.starts_with(whole);
        if begins(&self.start) || begins(&self.refusal) { Reply::More } else { Reply::Nonsense }
    }
}

/// What one connection sends over and over: requests of one size each, one behind the other, as many as may be in
/// flight where they have to differ, else one.
#[derive(Clone, Debug)]
pub struct Ring {
    bytes: Vec<u8>,
    each: usize,
}

impl Ring {
    /// One request, again and again; written out as often as may be in flight, so that one write takes them all.
    #[must_use]
    pub fn of_one(request: &[u8], depth: usize) -> Self {
        Self { bytes: request.repeat(depth), each: request.len() }
    }

    /// Different requests of one size each, in turn.
    ///
    /// # Errors
    /// When there are none, or their sizes differ.
    pub fn of_many(requests: &[Vec<u8>]) -> Result<Self> {
        let each = requests.first().map_or(0, Vec::len);
        if each == 0 || requests.iter().any(|request| request.len() != each) {
            bail!("requests in turn must be of one size");
        }
        Ok(Self { bytes: requests.concat(), each })
    }

    /// The bytes of as many of the next `wanted` requests as lie together, after `sent` others.
    fn next(&self, sent: u64, wanted: usize) -> (&[u8], usize) {
        let count = self.bytes.len() / self.each;
        let at = usize::try_from(sent % count as u64).unwrap_or(0);
        let together = wanted.min(count - at);
        (&self.bytes[at * self.each..(at + together) * self.each], together)
    }
}

/// A connection that is ready for requests, and what it sends.
#[derive(Debug)]
pub struct Ready<R> {
    /// The connection.
    pub stream: TcpStream,
    /// What it sends.
    pub ring: Ring,
    /// How what comes back is told apart.
    pub replies: R,
    /// How many requests it sends at most.
    pub quota: u64,
}

/// When a load is measured: what comes before is for warming up.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    from: Instant,
    until: Instant,
}

impl Window {
    /// From after the warm-up, for so long.
    #[must_use]
    pub fn starting(warm_up: Duration, length: Duration) -> Self {
        let from = Instant::now() + warm_up;
        Self { from, until: from + length }
    }

    /// From now, for as long as it takes: until every connection has sent its quota.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::starting(Duration::ZERO, UNLIMITED)
    }

    fn seconds(self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }

    fn has(self, now: Instant) -> bool {
        (self.from..self.until).contains(&now)
    }
}

/// What came of a load.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    /// Requests that were accepted within the window.
    pub accepted: u64,
    /// Requests that were refused within the window.
    pub refused: u64,
    /// The time from a request's write to its reply, of those within the window.
    pub times: Times,
    /// Seconds of the window.
    pub seconds: f64,
}

impl Outcome {
    /// As a record.
    #[must_use]
    pub fn record(&self, what: impl Into<String>) -> Record {
        Record::new(what)
            .with("a second", self.accepted as f64 / self.seconds)
            .with("refused a second", self.refused as f64 / self.seconds)
            .with_times("", &self.times)
    }

    fn note(&mut self, replies: &[(bool, Duration)]) {
        for (accepted, time) in replies {
            if *accepted {
                self.accepted += 1;
                self.times.note(*time, 1);
            } else {
                self.refused += 1;
            }
        }
    }
}

type Shared = Arc<Mutex<Outcome>>;

fn note(shared: &Shared, replies: &[(bool, Duration)]) {
    shared.lock().unwrap_or_else(PoisonError::into_inner).note(replies);
}

/// Keeps `depth` requests in flight on each connection until the window's end.
///
/// # Errors
/// When a peer closes, replies with nonsense, or leaves replies out.
pub async fn keep_in_flight<R: Replies>(
    connections: Vec<Ready<R>>,
    depth: usize,
    window: Window,
) -> Result<Outcome> {
    let shared = Shared::default();
    let mut tasks = JoinSet::new();
    for ready in connections {
        tasks.spawn(drive(ready, depth, window, Arc::clone(&shared)));
    }
    finish(tasks, shared, window).await
}

async fn finish(mut tasks: JoinSet<Result<()>>, shared: Shared, window: Window) -> Result<Outcome> {
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    // Quotas may be over before the window is.
    let seconds = window.seconds().min(window.from.elapsed().as_secs_f64());
    let outcome = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if outcome.accepted + outcome.refused == 0 {
        bail!("not one reply came within {seconds} seconds");
    }
    Ok(Outcome { seconds, ..outcome })
}

async fn drive<R: Replies>(ready: Ready<R>, depth: usize, window: Window, shared: Shared) -> Result<()> {
    let Ready { mut stream, ring, replies, quota } = ready;
    let mut buffer = BytesMut::with_capacity(READ_SIZE);
    let mut written_at = vec![Instant::now(); depth];
    let (mut sent, mut received) = (0_u64, 0_u64);
    let mut batch = Vec::with_capacity(depth);
    let slot = |number: u64| usize::try_from(number % depth as u64).unwrap_or(0);
    loop {
        let now = Instant::now();
        if now < window.until && sent < quota {
            let most = usize::try_from(quota - sent).unwrap_or(usize::MAX);
            let mut room = most.min(depth - usize::try_from(sent - received)?);
            while room > 0 {
                let (bytes, count) = ring.next(sent, room);
                for number in sent..sent + count as u64 {
                    written_at[slot(number)] = now;
                }
                stream.write_all(bytes).await?;
                sent += count as u64;
                room -= count;
            }
        } else if sent == received {
            return Ok(());
        }
        let left = (window.until + DRAINING).saturating_duration_since(now);
        let read = timeout(left, stream.read_buf(&mut buffer)).await;
        if read.context("replies are missing")?? == 0 {
            bail!("the connection was closed while replies were outstanding");
        }
        let now = Instant::now();
        loop {
            let (accepted, size) = match replies.first(&buffer) {
                Reply::More => break,
                Reply::Accepted(size) => (true, size),
                Reply::Refused(size) => (false, size),
                Reply::Nonsense => bail!("a reply that is none: {:?}", buffer.get(..40.min(buffer.len()))),
            };
            if received == sent {
                bail!("more replies than requests");
            }
            buffer.advance(size);
            batch.push((accepted, now - written_at[slot(received)]));
            received += 1;
        }
        buffer.reserve(READ_SIZE);
        if window.has(now) {
            note(&shared, &batch);
        }
        batch.clear();
    }
}

/// Makes a connection for each request, so many at a time, until the window's end.
///
/// # Errors
/// When a connection or a reply does not come.
pub async fn connect_each<R: Replies>(
    address: SocketAddr,
    requests: Vec<(Vec<u8>, R)>,
    window: Window,
) -> Result<Outcome> {
    let shared = Shared::default();
    let mut tasks = JoinSet::new();
    for (request, replies) in requests {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            loop {
                let began = Instant::now();
                if began >= window.until {
                    return Ok(());
                }
                let accepted =
                    timeout(DRAINING, once(address, &request, &replies)).await.context("no reply")??;
                let now = Instant::now();
                if window.has(now) {
                    note(&shared, &[(accepted, now - began)]);
                }
            }
        });
    }
    finish(tasks, shared, window).await
}

async fn once<R: Replies>(address: SocketAddr, request: &[u8], replies: &R) -> Result<bool> {
    let mut stream = connect_from_anywhere(address).await?;
    stream.write_all(request).await?;
    let mut buffer = BytesMut::with_capacity(256);
    loop {
        match replies.first(&buffer) {
            Reply::Accepted(_) => return Ok(true),
            Reply::Refused(_) => return Ok(false),
            Reply::Nonsense => bail!("a reply that is none: {buffer:?}"),
            Reply::More => {
                if stream.read_buf(&mut buffer).await? == 0 {
                    bail!("the connection was closed without a reply");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fixed, Replies, Reply, Ring};

    fn replies() -> Fixed {
        Fixed { size: 4, start: vec![1, 2], refusal: vec![1, 9] }
    }

    #[test]
    fn a_reply_is_told_by_how_it_begins() {
        for (bytes, expected) in [
            (&[][..], Reply::More),
            (&[1], Reply::More),
            (&[1, 2, 3], Reply::More),
            (&[1, 2, 3, 4], Reply::Accepted(4)),
            (&[1, 2, 3, 4, 1], Reply::Accepted(4)),
            (&[1, 9, 1, 2], Reply::Refused(2)),
            (&[1, 3], Reply::Nonsense),
            (&[7], Reply::Nonsense),
        ] {
            assert_eq!(replies().first(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_ring_goes_round_without_tearing_a_request() {
        let ring = Ring::of_many(&[vec![0, 1], vec![2, 3], vec![4, 5]]).unwrap();
        assert_eq!(ring.next(0, 2), (&[0, 1, 2, 3][..], 2));
        assert_eq!(ring.next(2, 2), (&[4, 5][..], 1));
        assert_eq!(ring.next(3, 9), (&[0, 1, 2, 3, 4, 5][..], 3));
        assert!(Ring::of_many(&[vec![1], vec![1, 2]]).is_err());
    }
}
