//! One connection of version 3: requests in, answers out, as each is ready. The tag says which answer is whose, so that a
//! pull that waits holds up nothing. They are begun in the order in which they came, and so the store is asked.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::{RequestFrame, RequestReader, encode_response};
use messageu_wire::modern::{ErrorCode, Operation, Refusal, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::task::coop::{consume_budget, unconstrained};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Modern;
use super::handler::handle;
use super::reason::Reason;
use super::session::{Asker, Session};
use crate::limits::{
    LINGER, REQUESTS_IN_FLIGHT, REQUESTS_IN_FLIGHT_BYTES, STRANGERS_REQUESTS, TLS_READ_SIZE, WRITE_SIZE,
};
use crate::listener::site;
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::store::modern::ModernError;
use crate::tls::Channel;

/// How a connection came to its end.
enum End {
    /// What was answered should still reach the peer.
    Finished,
    /// It failed, or took too long.
    Broken(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Serves one connection until its end, which `shutdown` brings on as soon as nothing is in flight. `channel` is what TLS
/// knows of it.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    channel: Channel,
    peer: SocketAddr,
    modern: Arc<Modern>,
    relay: Arc<Relay>,
    shutdown: CancellationToken,
) {
    let site = site(peer.ip().to_canonical());
    let session = Session::new(Arc::clone(&relay), modern, channel, site, shutdown.child_token());
    let mut connection = Connection {
        stream,
        reader: RequestReader::new(),
        relay,
        session: Arc::new(session),
        in_flight: FuturesUnordered::new(),
        in_flight_bytes: 0,
        strangers_requests: 0,
        quiet_since: Instant::now(),
        request_since: None,
        request_bytes: 0,
    };
    let end = connection.run().await;
    // Whoever waits for mail here does not any more.
    connection.session.ending.cancel();
    match end {
        End::Finished => connection.linger().await,
        End::Broken(reason) => tracing::debug!(%peer, reason, "connection broken"),
    }
}

/// A request that was done.
struct Done {
    tag: Tag,
    /// Which operation, if there is such a one.
    operation: Option<Operation>,
    /// Bytes that it took.
    bytes: usize,
    asker: Asker,
    answer: Result<Response, Reason>,
}

struct Connection<S> {
    stream: S,
    reader: RequestReader,
    relay: Arc<Relay>,
    session: Arc<Session>,
    in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Bytes of the requests in flight.
    in_flight_bytes: usize,
    /// Requests before the peer said who it is.
    strangers_requests: u32,
    quiet_since: Instant,
    /// When the request that is coming in began.
    request_since: Option<Instant>,
    /// Bytes of it that have come since.
    request_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self) -> End {
        loop {
            match self.turn().await {
                Ok(()) => consume_budget().await,
                Err(end) => return end,
            }
        }
    }

    /// Begins what has come, and waits for whatever is next: an answer, bytes, or the end.
    async fn turn(&mut self) -> Result<(), End> {
        let is_ending = self.session.ending.is_cancelled();
        while !is_ending && self.has_room() {
            match self.reader.poll() {
                Ok(Some(frame)) => self.begin(frame).await?,
                Ok(None) => break,
                Err(rejection) => {
                    Metrics::count(&self.relay.metrics.rejected);
                    tracing::debug!(error = %rejection, "no request");
                    // Nothing is heard any more, so that nobody has to wait for mail.
                    self.session.ending.cancel();
                    self.settle().await?;
                    let refusal = Err(Refusal::new(ErrorCode::MALFORMED));
                    self.write(&encode_response(rejection.tag, &refusal)).await?;
                    return Err(End::Finished);
                }
            }
        }
        if is_ending && self.in_flight.is_empty() {
            return Err(End::Finished);
        }
        let listens = !is_ending && self.has_room();
        self.run_clock(listens);
        let deadline = self.deadline();
        // A peer that waits for an answer may be silent.
        let is_timed = listens && (self.request_since.is_some() || self.in_flight.is_empty());
        let session = Arc::clone(&self.session);
        tokio::select! {
            biased;
            Some(done) = self.in_flight.next() => self.answer(done).await,
            read = read(&mut self.stream, &mut self.reader), if listens => {
                let bytes = read?;
                self.request_bytes += bytes;
                if bytes == 0 {
                    // It asks for nothing more: what is in flight is answered still.
                    session.ending.cancel();
                }
                Ok(())
            }
            () = session.ending.cancelled(), if !is_ending => Ok(()),
            () = erased(&session), if !is_ending => {
                session.ending.cancel();
                Ok(())
            }
            () = sleep_until(deadline), if is_timed => {
                let inside = self.request_since.is_some();
                Err(End::Broken(if inside { "too slow" } else { "silent for too long" }.into()))
            }
        }
    }

    /// Whether another request may be begun.
    fn has_room(&self) -> bool {
        self.in_flight.len() < REQUESTS_IN_FLIGHT && self.in_flight_bytes < REQUESTS_IN_FLIGHT_BYTES
    }

    /// Notes whether a request is coming in. While nothing is read, no time passes for the peer.
    fn run_clock(&mut self, listens: bool) {
        if !listens || !self.reader.is_inside_request() {
            self.request_since = None;
        } else if self.request_since.is_none() {
            self.request_since = Some(Instant::now());
            self.request_bytes = 0;
        }
    }

    fn deadline(&self) -> Instant {
        let limits = self.relay.limits();
        match (self.request_since, self.session.attendance()) {
            (Some(since), _) => since + limits.time_for(u64::try_from(self.request_bytes).unwrap_or(0)),
            (None, Some(_)) => self.quiet_since + limits.session_idle,
            (None, None) => self.quiet_since + limits.idle,
        }
    }

    /// Begins a request. Whoever has not said who it is waits for each answer.
    async fn begin(&mut self, frame: RequestFrame) -> Result<(), End> {
        self.request_since = None;
        self.quiet_since = Instant::now();
        let RequestFrame { client_id, tag, request } = frame;
        let is_stranger = self.session.attendance().is_none();
        if is_stranger {
            self.strangers_requests += 1;
            if self.strangers_requests > STRANGERS_REQUESTS {
                let refusal = Refusal { error: ErrorCode::TOO_MANY_REQUESTS, retry_after_s: 1 };
                self.write(&encode_response(tag, &Err(refusal))).await?;
                return Err(End::Finished);
            }
        }
        let asker = Asker { session: Arc::clone(&self.session), client_id };
        let operation = request.as_ref().ok().map(Request::operation);
        let bytes = request.as_ref().map_or(0, held_bytes);
        self.in_flight_bytes += bytes;
        let work = async move {
            let answer = match request {
                Ok(request) => handle(&asker, request).await,
                Err(error) => Err(Reason::Malformed(error)),
            };
            Done { tag, operation, bytes, asker, answer }
        };
        // What runs out of a task's budget is woken in the opposite order: envelopes would change places. Turns of the
        // connection itself are counted, and each polls a bounded number of these.
        self.in_flight.push(unconstrained(work).boxed());
        if is_stranger { self.settle().await } else { Ok(()) }
    }

    /// Waits until everything that was begun is answered.
    async fn settle(&mut self) -> Result<(), End> {
        while let Some(done) = self.in_flight.next().await {
            self.answer(done).await?;
        }
        Ok(())
    }

    /// Writes an answer, and others with it that are ready.
    async fn answer(&mut self, done: Done) -> Result<(), End> {
        let mut bytes = self.encode(done);
        while bytes.len() < WRITE_SIZE
            && let Some(Some(done)) = self.in_flight.next().now_or_never()
        {
            bytes.append(&mut self.encode(done));
        }
        self.write(&bytes).await?;
        self.quiet_since = Instant::now();
        Ok(())
    }

    /// The bytes of an answer, which is counted, and logged if it is a refusal.
    fn encode(&mut self, done: Done) -> Vec<u8> {
        let Done { tag, operation, bytes, asker, answer } = done;
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
        let answer = answer.map_err(|reason| {
            let refusal = reason.refusal(asker.client_id);
            log_refusal(operation, &asker, &reason);
            refusal
        });
        let error = answer.as_ref().err().map(|refusal| refusal.error);
        self.relay.metrics.count_modern_request(operation, error);
        encode_response(tag, &answer)
    }

    /// Writes, as slowly as the limits let the peer take it.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let write = async |stream: &mut S, piece: &[u8]| {
            stream.write_all(piece).await?;
            stream.flush().await
        };
        for piece in bytes.chunks(WRITE_SIZE) {
            let time = self.relay.limits().time_for(u64::try_from(piece.len()).unwrap_or(0));
            match timeout(time, write(&mut self.stream, piece)).await {
                Ok(written) => written?,
                Err(_) => return Err(End::Broken("takes its answer too slowly".into())),
            }
        }
        Ok(())
    }

    /// Ends the connection so that the last answer reaches the peer: a close with unread bytes would be a reset.
    async fn linger(&mut self) {
        let deadline = Instant::now() + self.relay.limits().pull_grace;
        let farewell = async {
            self.stream.shutdown().await?;
            let mut rest = (&mut self.stream).take(LINGER.into());
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Whoever is gone needs no farewell.
        let _ = timeout_at(deadline, farewell).await;
    }
}

/// Reads what there is, waiting for it, and gives how many bytes. Nothing is lost when it is dropped before, and a silent
/// connection holds no memory for what may come.
async fn read(stream: &mut (impl AsyncRead + Unpin), reader: &mut RequestReader) -> io::Result<usize> {
    poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; TLS_READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        reader.push(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

/// Waits until the account of whoever is at the other end is gone: for ever, if nobody is known to be there.
async fn erased(session: &Session) {
    match session.attendance() {
        Some(attendance) => attendance.erased().cancelled().await,
        None => std::future::pending().await,
    }
}

/// Bytes of content that a request holds in memory.
fn held_bytes(request: &Request) -> usize {
    match request {
        Request::SendEnvelope(request) => request.envelope.as_bytes().len(),
        Request::PutChunk(request) => request.chunk.len(),
        _ => 0,
    }
}

fn log_refusal(operation: Option<Operation>, asker: &Asker, reason: &Reason) {
    let (operation, client) = (operation.map_or("unknown", Operation::name), asker.client_id);
    if let Reason::Store(error @ (ModernError::Storage(_) | ModernError::Misuse(_))) = reason {
        tracing::error!(operation, %client, %error, "refused: nothing was stored");
    } else {
        tracing::debug!(operation, %client, %reason, "refused");
    }
}
