//! A connection to a server of version 3: calls go out side by side, and each gets the answer that carries its tag.
//!
//! When it breaks, every call on it fails, and so does every further one: whoever wants to go on connects anew. A call
//! whose answer was lost may have been done or not; every operation may be asked for again.

mod calls;

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use messageu_wire::envelope::field::ServerKeyHash;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::Request;
use messageu_wire::modern::frame::{ResponseReader, encode_request};
use messageu_wire::modern::operation::Call;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use self::calls::{Calls, Cost, IN_FLIGHT};
use super::server::{CallError, Server};
use super::tls::{Channel, handshake, system_roots};
use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are read at a time.
const READ_SIZE: usize = 64 * 1024;
/// How long a goodbye may take, of either side.
const CLOSING: Duration = Duration::from_millis(250);
/// How long nothing may come on an idle connection before the peer's system is asked whether it is there, and how often.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// How long to wait for a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For an answer, beside what a pull waits and what the bytes take at 2 KiB a second.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), answer: Duration::from_secs(30) }
    }
}

/// A connection to a server.
///
/// Dropping it says goodbye and closes it, in the background.
#[derive(Debug)]
pub struct Connection {
    calls: Arc<Calls>,
    outgoing: mpsc::Sender<Vec<u8>>,
    driver: AbortHandle,
    channel: Channel,
    patience: Patience,
    asker: Mutex<ClientId>,
}

impl Connection {
    /// Connects to the server at an address, which has to prove itself: by the pin, if the address has one, otherwise by a
    /// certificate for its name that this system trusts.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] without a connection, [`ErrorKind::WrongServer`] without the proof, [`ErrorKind::Data`]
    /// and [`ErrorKind::NoAnswer`] if what answers does not speak version 3, or not in time.
    pub async fn connect(address: &Address, patience: Patience) -> Result<Self> {
        let connecting = async {
            let stream = TcpStream::connect((address.host(), address.port()))
                .await
                .map_err(|error| unreachable(address, &error.to_string()))?;
            // None of these is vital: answers come later, or a server that is gone is noticed later.
            let _ = stream.set_nodelay(true);
            let (time, interval) = KEEPALIVE;
            let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
            let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
            handshake(address, stream, system_roots).await
        };
        let late = |_| unreachable(address, &format!("no connection within {:?}", patience.connect));
        let (stream, channel) = timeout(patience.connect, connecting).await.map_err(late)??;
        Ok(Self::over(stream, channel, patience))
    }

    /// A connection over a stream whose other end has proved itself.
    pub(super) fn over<S>(stream: S, channel: Channel, patience: Patience) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let calls = Arc::new(Calls::new());
        // As many as there are calls at once, so that there is always room.
        let (outgoing, frames) = mpsc::channel(IN_FLIGHT);
        let driver = tokio::spawn(drive(stream, frames, Arc::clone(&calls))).abort_handle();
        Self { calls, outgoing, driver, channel, patience, asker: Mutex::new(ClientId::NOBODY) }
    }

    /// SHA-256 of the server's public key: its pin.
    #[must_use]
    pub fn server_key_hash(&self) -> ServerKeyHash {
        self.channel.server_key_hash
    }

    /// Why nothing can be asked any more, once it is so.
    #[must_use]
    pub fn why_broken(&self) -> Option<Error> {
        self.calls.why_broken()
    }

    /// Asks as who has authenticated, or as nobody, and waits for the answer.
    ///
    /// Dropping the future takes back nothing that was sent; the answer is then ignored.
    ///
    /// # Errors
    /// [`CallError::Refused`] with what the server says; [`CallError::Failed`] if the connection broke, and why.
    pub async fn call<R: Call>(&self, request: R) -> std::result::Result<R::Response, CallError> {
        let asker = *self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        self.call_as(asker, request).await
    }

    /// Asks as a client of choice.
    pub(super) async fn call_as<R: Call>(
        &self,
        client_id: ClientId,
        request: R,
    ) -> std::result::Result<R::Response, CallError> {
        let request: Request = request.into();
        let cost = Cost::of(&request);
        let whole = self.calls.time_for(cost, self.patience.answer);
        let answer = async {
            let place = self.calls.place().await?;
            let (tag, answer) = self.calls.begin(place, &request, cost)?;
            let frame = encode_request(client_id, tag, &request);
            self.outgoing.try_send(frame).map_err(|_| self.calls.failure())?;
            self.calls.wait_for_life(answer, cost, self.patience.answer).await
        };
        let answer = match timeout(whole, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(silence()),
        };
        let answer = answer.map_err(|error| {
            // After one answer that does not come, none can be counted on.
            self.calls.break_with(error);
            self.driver.abort();
            CallError::Failed(self.calls.failure())
        })?;
        let response = answer.map_err(CallError::Refused)?;
        R::response(response).ok_or_else(|| CallError::Failed(mixed_up("an answer to another question")))
    }

    /// What the connection is known by.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Further calls are made as this client.
    pub(super) fn set_asker(&self, client_id: ClientId) {
        *self.asker.lock().unwrap_or_else(PoisonError::into_inner) = client_id;
    }
}

impl Server for Connection {
    async fn call<R: Call>(&self, request: R) -> std::result::Result<R::Response, CallError> {
        Self::call(self, request).await
    }
}

/// Moves bytes until one direction ends, which breaks the connection.
async fn drive<S>(stream: S, frames: mpsc::Receiver<Vec<u8>>, calls: Arc<Calls>)
where
    S: AsyncRead + AsyncWrite,
{
    let (from_server, to_server) = split(stream);
    let mut reading = pin!(read_answers(from_server, &calls));
    let error = tokio::select! {
        error = &mut reading => error,
        error = write_requests(to_server, frames) => match error {
            // Whoever takes no more may have said why.
            Some(error) => timeout(CLOSING, reading).await.unwrap_or(error),
            None => lost("it was closed here"),
        },
    };
    calls.break_with(error);
}

async fn read_answers<S: AsyncRead>(mut stream: ReadHalf<S>, calls: &Calls) -> Error {
    let mut reader = ResponseReader::new();
    loop {
        match reader.poll() {
            Ok(Some(frame)) => {
                if let Err(error) = calls.answer(frame) {
                    return error;
                }
            }
            Ok(None) => {
                reader.buffer_mut().reserve(READ_SIZE);
                match stream.read_buf(reader.buffer_mut()).await {
                    Ok(0) => return lost("the server has closed it"),
                    Ok(_) => calls.sign_of_life(),
                    Err(error) => return lost(&error.to_string()),
                }
            }
            Err(error) => return mixed_up(&error.to_string()),
        }
    }
}

/// Writes until there is nothing more to write, and says goodbye; or until it cannot.
async fn write_requests<S: AsyncWrite>(
    mut stream: WriteHalf<S>,
    mut frames: mpsc::Receiver<Vec<u8>>,
) -> Option<Error> {
    while let Some(frame) = frames.recv().await {
        let written = async {
            stream.write_all(&frame).await?;
            stream.flush().await
        };
        if let Err(error) = written.await {
            return Some(lost(&error.to_string()));
        }
    }
    // Nobody is there to be told whether it has arrived.
    let _ = timeout(CLOSING, stream.shutdown()).await;
    None
}

fn unreachable(address: &Address, why: &str) -> Error {
    Error::new(ErrorKind::Unreachable, format!("cannot reach the server at {}: {why}", address.place()))
        .hint("is the server running, and is the address right? (--server HOST:PORT)")
}

fn lost(why: &str) -> Error {
    Error::new(ErrorKind::NoAnswer, format!("the connection to the server is lost: {why}"))
        .hint("try again later")
}

fn silence() -> Error {
    lost("it has not answered in time")
}

fn mixed_up(what: &str) -> Error {
    Error::new(ErrorKind::Data, format!("the server sent what is no answer: {what}"))
        .hint("the server may be newer or older than this messageu, or something changes what it sends")
}

#[cfg(test)]
mod tests;
