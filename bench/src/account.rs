//! Somebody with an account at the server, and the bytes of what they ask, all from the wire's declarations.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::{ClientId, Name, NameField, PUBLIC_KEY_SIZE, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::pull_messages::EntryHead;
use messageu_wire::operation::{pull_messages, register, send_message};
use messageu_wire::operations::{Operation, Request, Response};
use messageu_wire::response::{Event, ResponseReader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::load::Fixed;

/// The version byte of requests.
const VERSION: u8 = 2;

/// What is spoken unless something else is said: nothing behind one of its requests can change what it means, so that
/// none waits for what may follow.
pub const DIALECT: Dialect = Dialect::classic(Family::E);

/// An account.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// What it speaks.
    pub dialect: Dialect,
    /// Who it is.
    pub id: ClientId,
}

/// Registers so many accounts, whose names nobody else has.
///
/// # Errors
/// When the server does not register them.
pub async fn register(address: SocketAddr, dialect: Dialect, count: usize) -> Result<Vec<Account>> {
    let run: u64 = rand::random();
    let mut accounts = Vec::with_capacity(count);
    for number in 0..count {
        // One connection each: a registration begins with zeros, which behind another request could be its padding.
        let mut stream = connect(address).await?;
        let name = NameField::from(&Name::new(&format!("bench {run:016x} {number}"))?);
        let request =
            Request::Register(register::Request { name, public_key: PublicKey([7; PUBLIC_KEY_SIZE]) });
        let nobody = Account { dialect, id: ClientId::NOBODY };
        stream.write_all(&nobody.request(&request)?).await?;
        match answer(&mut stream, dialect, Operation::Register).await? {
            Some(Response::Register(response)) => accounts.push(Account { dialect, id: response.client_id }),
            other => bail!("a registration was answered with {other:?}"),
        }
    }
    Ok(accounts)
}

/// Connects as a client would that does not want to wait.
///
/// # Errors
/// When nobody listens there.
pub async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("{address} cannot be reached"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection to a server; on loopback, from one address of this machine after the other.
///
/// Whoever closes first keeps the pair of ports for a minute. From a single address, a client that makes thousands of
/// connections a second soon waits for a free one, and it is itself that is measured.
///
/// # Errors
/// When it cannot be made.
pub async fn connect_from_anywhere(address: SocketAddr) -> Result<TcpStream> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let SocketAddr::V4(server) = address else { return connect(address).await };
    if !server.ip().is_loopback() {
        return connect(address).await;
    }
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 1, high, low], 0)))?;
    let stream = socket.connect(address).await.with_context(|| format!("{address} cannot be reached"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads the answer to anything but a pull; `None` is a refusal.
///
/// # Errors
/// When it is no answer.
pub async fn answer(
    stream: &mut TcpStream,
    dialect: Dialect,
    operation: Operation,
) -> Result<Option<Response>> {
    let mut reader = ResponseReader::new(dialect, operation);
    let mut bytes = [0; 16 * 1024];
    loop {
        match reader.poll()? {
            Event::Response(response) => return Ok(Some(response)),
            Event::Refused(_) => return Ok(None),
            Event::More => {
                let read = stream.read(&mut bytes).await?;
                if read == 0 {
                    bail!("the connection was closed instead of an answer to {operation}");
                }
                reader.push(&bytes[..read]);
            }
            other => bail!("{operation} was answered with {other:?}"),
        }
    }
}

/// A message that was pulled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulled {
    /// What stands before it.
    pub head: EntryHead,
    /// Its content.
    pub content: Vec<u8>,
}

/// Reads the answer to a pull, and hands each message to `take`; gives how many there were.
///
/// # Errors
/// When it is no answer, or a refusal.
pub async fn pulled(
    stream: &mut TcpStream,
    dialect: Dialect,
    bytes: &mut [u8],
    mut take: impl FnMut(Pulled),
) -> Result<u64> {
    let mut reader = ResponseReader::new(dialect, Operation::PullMessages);
    let mut message: Option<Pulled> = None;
    let mut count = 0;
    loop {
        match reader.poll()? {
            Event::More => {
                let read = stream.read(bytes).await?;
                if read == 0 {
                    bail!("the connection was closed within a pull");
                }
                reader.push(&bytes[..read]);
            }
            Event::Entry(head) => message = Some(Pulled { head, content: Vec::new() }),
            Event::Content(piece) => {
                if let Some(message) = &mut message {
                    message.content.extend_from_slice(&piece);
                }
            }
            Event::EndOfContent => {
                message.take().into_iter().for_each(&mut take);
                count += 1;
            }
            Event::End => return Ok(count),
            other => bail!("a pull was answered with {other:?}"),
        }
    }
}

impl Account {
    /// The bytes of a request, up to where its content would begin.
    ///
    /// # Errors
    /// When the dialect has no such operation.
    pub fn request(&self, request: &Request) -> Result<Vec<u8>> {
        let bytes = self.dialect.encode_request(VERSION, self.id, request);
        bytes.with_context(|| format!("{} has no {}", self.dialect, request.operation()))
    }

    /// The bytes of a send, up to where its content begins.
    ///
    /// # Errors
    /// Never, in a dialect that can send.
    pub fn send_head(&self, to: ClientId, size: u32) -> Result<Vec<u8>> {
        self.request(&send_message::Request { to, kind: MessageType::TEXT, size }.into())
    }

    /// The bytes of a send with a content of this size.
    ///
    /// # Errors
    /// When the size is beyond what a message can have.
    pub fn send(&self, to: ClientId, size: usize) -> Result<Vec<u8>> {
        let mut bytes = self.send_head(to, u32::try_from(size)?)?;
        bytes.resize(bytes.len() + size, 0x5a);
        Ok(bytes)
    }

    /// The bytes of a pull.
    ///
    /// # Errors
    /// Never: every dialect can pull.
    pub fn pull(&self) -> Result<Vec<u8>> {
        self.request(&pull_messages::Request.into())
    }

    /// How receipts of sends to somebody look.
    ///
    /// # Errors
    /// Never, in a dialect that can send.
    pub fn receipts(&self, to: ClientId) -> Result<Fixed> {
        let receipt = send_message::Response { to: Some(to), message_id: Some(Default::default()) };
        let whole = self.dialect.encode_response(&receipt.into(), self.id).context("no receipts")?;
        let start = self.dialect.response_start(Operation::SendMessage, 0, self.id).context("no receipts")?;
        // What follows the header is the recipient, which is known, and a number, which is not.
        let known = start.len() + to.0.len();
        Ok(Fixed {
            size: whole.len(),
            start: whole.get(..known).unwrap_or(&whole).to_vec(),
            refusal: self.dialect.encode_refusal(self.id),
        })
    }
}
