//! The typed calls: each is one request on a connection of its own, and its answer.

use std::time::Duration;

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::{CLIENT_ID_SIZE, ClientId, MessageId, Name, NameField, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::pull_messages::EntryHead;
use messageu_wire::operation::send_message::SendLayout;
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations::{Operation, Request, Response};
use messageu_wire::response::Event;

use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::Exchange;

/// Bytes of content for which a server may take another second to store them before it answers.
const STORED_A_SECOND: u64 = 16 << 20;

/// How far a transfer is: bytes done, bytes in all. Called often.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// One server, spoken to in one dialect and version.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it is.
    pub address: Address,
    /// The dialect it is spoken to in.
    pub dialect: Dialect,
    /// The version in requests: 1 or 2.
    pub version: u8,
    /// How long it may take to connect, and then be silent.
    pub timeout: Duration,
}

impl Client {
    /// Creates an account.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for a name that is taken, or that this server takes none like.
    pub async fn register(&self, name: &Name, public_key: PublicKey) -> Result<ClientId> {
        let request = register::Request { name: NameField::from(name), public_key };
        let head_id = match self.dialect.profile.send {
            // The one program with this layout begins its registration with its name, and is known by it.
            SendLayout::SizeBeforeType => first_bytes(name),
            SendLayout::Packed | SendLayout::Aligned => ClientId::NOBODY,
        };
        match self.call(head_id, request).await? {
            Response::Register(response) => Ok(response.client_id),
            other => Err(mixed_up(&other)),
        }
    }

    /// Lists the clients, as the server gives them: mostly without the asker.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn list_clients(&self, me: ClientId) -> Result<Vec<list_clients::Entry>> {
        match self.call(me, list_clients::Request).await? {
            Response::ListClients(response) => Ok(response.clients),
            other => Err(mixed_up(&other)),
        }
    }

    /// Fetches a client's public key.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for an id that the server does not know; [`ErrorKind::Data`] if it answers with another
    /// client's key.
    pub async fn fetch_key(&self, me: ClientId, whose: ClientId) -> Result<PublicKey> {
        match self.call(me, fetch_key::Request { client_id: whose }).await? {
            Response::FetchKey(response) if response.client_id.is_none_or(|id| id == whose) => {
                Ok(response.public_key)
            }
            Response::FetchKey(_) => {
                Err(Error::new(ErrorKind::Data, "the server answered with the key of somebody else"))
            }
            other => Err(mixed_up(&other)),
        }
    }

    /// Sends a message whose content comes in pieces, `size` bytes in all. Connects when the first piece is there.
    ///
    /// The id that it returns is the server's number for the message, if the dialect has one.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for a recipient that the server does not know; whatever `pieces` fails with.
    pub async fn send(
        &self,
        me: ClientId,
        (to, kind, size): (ClientId, MessageType, u64),
        pieces: impl IntoIterator<Item = Result<Vec<u8>>>,
        progress: Progress<'_>,
    ) -> Result<Option<MessageId>> {
        let too_large = || self.too_large(size);
        let request = send_message::Request { to, kind, size: u32::try_from(size).map_err(|_| too_large())? };
        let mut pending = self.encode(me, &request.into())?.ok_or_else(too_large)?;
        let written = u64::try_from(pending.len()).unwrap_or_default() + size;
        if self.dialect.profile.fixed_send.is_some_and(|fixed| written > u64::from(fixed)) {
            return Err(too_large());
        }
        let tail = self.dialect.request_tail(Operation::SendMessage, written);
        let mut pieces = pieces.into_iter().peekable();
        let mut exchange: Option<Exchange> = None;
        let mut sent = 0;
        loop {
            if let Some(piece) = pieces.next().transpose()? {
                pending.extend_from_slice(&piece);
                sent += u64::try_from(piece.len()).unwrap_or_default();
            }
            let last = pieces.peek().is_none();
            if last && sent != size {
                return Err(Error::new(ErrorKind::File, "the content has not the size that was announced"));
            }
            if last {
                pending.resize(pending.len() + tail, 0);
            }
            let go_on = match &mut exchange {
                Some(exchange) => exchange.write(&pending).await?,
                None => {
                    exchange = Some(self.begin(Operation::SendMessage, &pending).await?);
                    true
                }
            };
            pending.clear();
            progress(sent, size);
            // Lets Ctrl-C be noticed, however fast the server takes it.
            tokio::task::yield_now().await;
            if last || !go_on {
                break;
            }
        }
        let mut exchange = exchange.ok_or_else(|| Error::new(ErrorKind::Other, "nothing was sent"))?;
        exchange.be_patient(self.timeout + Duration::from_secs(size / STORED_A_SECOND));
        match finish(exchange).await? {
            Response::SendMessage(response) => Ok(response.message_id),
            other => Err(mixed_up(&other)),
        }
    }

    /// Asks for what waits for us. The server deletes it when it has all been taken and [`Pull::confirm`]ed.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn pull(&self, me: ClientId) -> Result<Pull> {
        let bytes = self.whole_request(me, &pull_messages::Request.into())?;
        Ok(Pull { exchange: self.begin(Operation::PullMessages, &bytes).await? })
    }

    /// Ends the asker's account, where the dialect has that.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] in a dialect without it.
    pub async fn delete_client(&self, me: ClientId) -> Result<()> {
        match self.call(me, delete_client::Request).await? {
            Response::DeleteClient(_) => Ok(()),
            other => Err(mixed_up(&other)),
        }
    }

    async fn call(&self, me: ClientId, request: impl Into<Request>) -> Result<Response> {
        let request = request.into();
        let bytes = self.whole_request(me, &request)?;
        finish(self.begin(request.operation(), &bytes).await?).await
    }

    async fn begin(&self, operation: Operation, bytes: &[u8]) -> Result<Exchange> {
        Exchange::begin(&self.address, self.dialect, operation, self.timeout, bytes).await
    }

    /// A request without content, with the zeros that the dialect puts behind it.
    fn whole_request(&self, me: ClientId, request: &Request) -> Result<Vec<u8>> {
        let too_large = || Error::new(ErrorKind::Other, "the request does not fit its size field");
        let mut bytes = self.encode(me, request)?.ok_or_else(too_large)?;
        let written = u64::try_from(bytes.len()).unwrap_or_default();
        bytes.resize(bytes.len() + self.dialect.request_tail(request.operation(), written), 0);
        Ok(bytes)
    }

    /// The bytes of a request before its content; `None` if its size fits no u32.
    fn encode(&self, me: ClientId, request: &Request) -> Result<Option<Vec<u8>>> {
        let operation = request.operation();
        if operation.codes(self.dialect.family).is_none() {
            let what = format!("the dialect {} cannot {}", self.dialect, operation.meaning());
            return Err(Error::new(ErrorKind::Usage, what));
        }
        Ok(self.dialect.encode_request(self.version, me, request))
    }

    fn too_large(&self, size: u64) -> Error {
        let head = Request::head_size(Operation::SendMessage, self.dialect.profile);
        let most = match self.dialect.profile.fixed_send {
            Some(fixed) => usize::try_from(fixed).unwrap_or(usize::MAX) - self.dialect.request_header_size(),
            None => usize::try_from(u32::MAX).unwrap_or(usize::MAX),
        };
        let (dialect, most) = (self.dialect, most.saturating_sub(head));
        Error::new(
            ErrorKind::File,
            format!(
                "{size} bytes are too many: a message in dialect {dialect} carries {most} at most, encrypted"
            ),
        )
        .hint("split it into several files")
    }
}

/// The answer to a pull, as it comes.
///
/// Dropped before [`Pull::confirm`], it resets the connection, and the server keeps the messages.
#[derive(Debug)]
pub struct Pull {
    exchange: Exchange,
}

/// A part of the answer to a pull.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pulled {
    /// A message begins.
    Head(EntryHead),
    /// A piece of its content.
    Content(Vec<u8>),
    /// Its content is complete.
    EndOfContent,
    /// There are no more messages.
    End,
}

impl Pull {
    /// The next part.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn next(&mut self) -> Result<Pulled> {
        match self.exchange.next().await? {
            Event::Entry(head) => Ok(Pulled::Head(head)),
            Event::Content(bytes) => Ok(Pulled::Content(bytes.into())),
            Event::EndOfContent => Ok(Pulled::EndOfContent),
            Event::End | Event::More => Ok(Pulled::End),
            Event::Refused(text) => Err(refused(&text)),
            Event::Response(other) => Err(mixed_up(&other)),
        }
    }

    /// Tells the server that everything has arrived, by a clean close. Only now it deletes.
    pub async fn confirm(self) {
        self.exchange.close().await;
    }
}

async fn finish(mut exchange: Exchange) -> Result<Response> {
    let event = exchange.next().await?;
    exchange.close().await;
    match event {
        Event::Response(response) => Ok(response),
        Event::Refused(text) => Err(refused(&text)),
        _ => Err(Error::new(ErrorKind::Data, "the server's answer is not of the kind asked for")),
    }
}

fn refused(text: &str) -> Error {
    let text = if text.is_empty() { String::new() } else { format!(" ({text})") };
    Error::new(ErrorKind::Refused, format!("the server refused{text}"))
}

fn mixed_up(response: &Response) -> Error {
    Error::new(ErrorKind::Data, format!("the server answered something else: {}", response.operation()))
}

/// The beginning of a name as a client id: what one program sends as its id before it has one.
fn first_bytes(name: &Name) -> ClientId {
    let mut id = [0; CLIENT_ID_SIZE];
    for (to, from) in id.iter_mut().zip(name.as_str().bytes()) {
        *to = from;
    }
    ClientId(id)
}
