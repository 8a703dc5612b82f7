//! One connection: one request goes out, one answer comes back.

use std::io;
use std::time::Duration;

use messageu_wire::dialect::{Dialect, ResponseHeader};
use messageu_wire::operations::{Operation, REFUSAL_CODE};
use messageu_wire::response::{Event, ResponseReader};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read at a time.
const READ_SIZE: usize = 64 * 1024;
/// Bytes a second below which a server is not waited for, once the patience is used up.
const SLOWEST: u64 = 128;
/// How long a server may take to close its side after we have closed ours.
const CLOSING: Duration = Duration::from_millis(250);

/// A connection on which a request has been sent, at least its beginning.
///
/// Dropping it without [`Exchange::close`] resets the connection: the server then knows that its answer was not taken,
/// which keeps what was pulled in its queue, however our process ends.
#[derive(Debug)]
pub(crate) struct Exchange {
    stream: TcpStream,
    reader: ResponseReader,
    dialect: Dialect,
    patience: Duration,
    /// The answer's first bytes, to know a refusal that is cut.
    head: Vec<u8>,
    /// Bytes of the answer so far.
    received: u64,
    /// Bytes of the request so far.
    sent: u64,
    /// How long we have waited for the server in all.
    waited: Duration,
    buffer: Vec<u8>,
}

impl Exchange {
    /// Connects and sends the first bytes of a request, which should be all of it if it is small: many servers take
    /// what one receive gives for the whole.
    pub(crate) async fn begin(
        address: &Address,
        dialect: Dialect,
        operation: Operation,
        patience: Duration,
        bytes: &[u8],
    ) -> Result<Self> {
        if address.pin().is_some() {
            let told = format!(
                "{address} is to be known by its key, and the older dialects know no keys of servers"
            );
            return Err(Error::new(ErrorKind::Usage, told)
                .hint("an older dialect is spoken to an address without #sha256=..., and protects nothing"));
        }
        let connecting = TcpStream::connect((address.host(), address.port()));
        let unreachable = |why: &str| {
            Error::new(ErrorKind::Unreachable, format!("cannot reach the server at {address}: {why}"))
                .hint("is the server running, and is the address right? (--server HOST:PORT)")
        };
        let stream = match timeout(patience, connecting).await {
            Err(_) => return Err(unreachable(&format!("no connection within {patience:?}"))),
            Ok(Err(error)) => return Err(unreachable(&error.to_string())),
            Ok(Ok(stream)) => stream,
        };
        // Neither is vital: without the first a small request takes longer, without the second a crash looks clean.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        let reader = ResponseReader::new(dialect, operation);
        let (head, buffer) = (Vec::new(), vec![0; READ_SIZE]);
        let mut exchange = Self {
            stream,
            reader,
            dialect,
            patience,
            head,
            received: 0,
            sent: 0,
            waited: Duration::ZERO,
            buffer,
        };
        exchange.write(bytes).await?;
        Ok(exchange)
    }

    /// Waits longer for the answer, as one to a large request may take.
    pub(crate) fn be_patient(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Sends further bytes of the request. `false` says that the server has answered or closed already: stop sending.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            let began = Instant::now();
            let ready = self.stream.ready(Interest::READABLE | Interest::WRITABLE);
            let ready = timeout(self.patience, ready).await.map_err(|_| self.silence())?;
            let ready = ready.map_err(|error| no_answer(&error.to_string()))?;
            self.has_waited(began)?;
            if ready.is_readable() {
                match self.stream.try_read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(count) => {
                        self.take(count);
                        return Ok(false);
                    }
                    Err(_) => return Ok(false),
                }
            }
            if ready.is_writable() {
                match self.stream.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(count) => {
                        self.sent += u64::try_from(count).unwrap_or_default();
                        bytes = bytes.get(count..).unwrap_or_default();
                    }
                    // Perhaps it answered before it closed: reading will tell.
                    Err(_) => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// The next part of the answer; never [`Event::More`].
    pub(crate) async fn next(&mut self) -> Result<Event> {
        loop {
            match self.reader.poll()? {
                Event::More if self.reader.is_over() => return Ok(Event::End),
                Event::More => {}
                event => return Ok(event),
            }
            let began = Instant::now();
            let outcome = timeout(self.patience, self.stream.read(&mut self.buffer)).await;
            self.has_waited(began)?;
            match outcome {
                Ok(Ok(count)) if count > 0 => self.take(count),
                _ if self.is_refused() => return Ok(Event::Refused(String::new())),
                Err(_) => return Err(self.silence()),
                Ok(Err(error)) => return Err(no_answer(&error.to_string())),
                Ok(Ok(_)) if self.received == 0 => {
                    return Err(no_answer("the server closed the connection without an answer"));
                }
                Ok(Ok(_)) => {
                    return Err(no_answer("the server closed the connection in the middle of its answer"));
                }
            }
        }
    }

    /// Closes so that the server sees that all has arrived.
    pub(crate) async fn close(mut self) {
        let drained = async {
            while self.dialect.response_tail(self.received) > 0 {
                match self.stream.read(&mut self.buffer).await {
                    Ok(count) if count > 0 => self.take(count),
                    _ => break,
                }
            }
        };
        // What is left unread when a socket closes makes the close a reset.
        let _ = timeout(CLOSING, drained).await;
        let _ = SockRef::from(&self.stream).set_linger(None);
        let closing = async {
            self.stream.shutdown().await?;
            while self.stream.read(&mut self.buffer).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = timeout(CLOSING, closing).await;
    }

    fn take(&mut self, count: usize) {
        let bytes = self.buffer.get(..count).unwrap_or_default();
        let missing = self.dialect.profile.header.response_size().saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(missing));
        self.received += u64::try_from(count).unwrap_or_default();
        self.reader.push(bytes);
    }

    /// Whether what has come is a refusal, whole or not.
    fn is_refused(&self) -> bool {
        let header = ResponseHeader::decode(&self.head, self.dialect.profile);
        header.is_ok_and(|header| header.code == REFUSAL_CODE)
    }

    /// Counts a wait, and fails if what has moved by now is too little for all the waits together.
    fn has_waited(&mut self, began: Instant) -> Result<()> {
        self.waited += began.elapsed();
        let earned = Duration::from_secs((self.sent + self.received) / SLOWEST);
        if self.waited <= self.patience.saturating_add(earned).saturating_add(self.patience) {
            return Ok(());
        }
        Err(no_answer(&format!("the server sends and takes less than {SLOWEST} bytes a second"))
            .hint("--timeout gives it longer"))
    }

    fn silence(&self) -> Error {
        let patience = self.patience;
        no_answer(&format!("the server has been silent for {patience:?}"))
            .hint("--timeout gives it longer; a server of another dialect may never answer: see --dialect")
    }
}

fn no_answer(why: &str) -> Error {
    Error::new(ErrorKind::NoAnswer, format!("no whole answer came: {why}"))
        .hint("the server may speak another dialect: try --dialect (`messageu dialects` lists them)")
}
