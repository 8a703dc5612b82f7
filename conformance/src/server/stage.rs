//! What a case has to work with: users who are nobody's but its own, and connections.

use std::net::SocketAddr;
use std::time::Duration;

use messageu_wire::dialect::{Dialect, HeaderLayout};
use messageu_wire::fields::{ClientId, MessageId, Name, NameField, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations::{Operation, Request, Response};
use rand::RngExt as _;

use super::link::{Answer, Link};
use crate::outcome::{Failure, Outcome, need, same};
use crate::tape::Tape;

pub(crate) use messageu_wire::operation::pull_messages::Message;

/// How long nothing must come, where nothing belongs.
pub(crate) const MOMENT: Duration = Duration::from_millis(300);

/// A case's own view of the server under test.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    /// The dialect that is tested.
    pub(crate) dialect: Dialect,
    /// All dialects that the server is said to speak on this port, that one among them.
    pub(crate) spoken: Vec<Dialect>,
    /// How long an answer may take.
    pub(crate) patience: Duration,
    pub(crate) tape: Tape,
}

/// Somebody with an id.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) dialect: Dialect,
    pub(crate) id: ClientId,
    pub(crate) name: String,
    pub(crate) key: PublicKey,
}

pub(crate) const LIST: Request = Request::ListClients(list_clients::Request);
pub(crate) const PULL: Request = Request::PullMessages(pull_messages::Request);
pub(crate) const DELETE: Request = Request::DeleteClient(delete_client::Request);

pub(crate) fn key_of(client_id: ClientId) -> Request {
    Request::FetchKey(fetch_key::Request { client_id })
}

pub(crate) fn send_of(to: ClientId, kind: MessageType, content: &[u8]) -> Request {
    let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
    Request::SendMessage(send_message::Request { to, kind, size })
}

pub(crate) fn register_of(name: NameField, public_key: PublicKey) -> Request {
    Request::Register(register::Request { name, public_key })
}

/// A name that nobody has.
pub(crate) fn fresh_name() -> String {
    let mut random = rand::rng();
    let letters = (0..16).map(|_| char::from(b'a' + random.random_range(0..26_u8)));
    format!("kit{}", letters.collect::<String>())
}

/// An id that nobody has: random, and of the form that ids have.
pub(crate) fn unknown_id() -> ClientId {
    let mut id = random_bytes(16);
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = match at {
            6 => 0x40 | *byte & 0x0f,
            8 => 0x80 | *byte & 0x3f,
            // Neither zero nor a line's end, nor anything that a profile reads otherwise.
            _ => *byte | 0x81,
        };
    }
    ClientId(id.try_into().unwrap_or_default())
}

pub(crate) fn random_bytes(size: usize) -> Vec<u8> {
    let mut random = rand::rng();
    (0..size).map(|_| random.random()).collect()
}

pub(crate) fn random_key() -> PublicKey {
    PublicKey(random_bytes(160).try_into().unwrap_or([7; 160]))
}

/// A name's field with these bytes at its beginning, and zeros behind.
pub(crate) fn name_field(bytes: &[u8]) -> NameField {
    let mut field = bytes.to_vec();
    field.resize(255, 0);
    NameField(field.try_into().unwrap_or([0; 255]))
}

/// Every value of a byte, again and again, so that a byte that is lost or changed shows.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..=255_u8)
        .cycle()
        .zip((0..=250_u8).cycle())
        .take(size)
        .map(|(one, other)| one ^ other.rotate_left(3))
        .collect()
}

impl User {
    /// Somebody without an account. Under some profiles who registers has to send an id that means something.
    pub(crate) fn nobody(dialect: Dialect, name: &str) -> Self {
        let mut id = ClientId::NOBODY;
        if dialect.profile.name == "size-before-type" {
            // What tells these programs from others before their first send.
            id.0.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        }
        Self { dialect, id, name: name.to_owned(), key: random_key() }
    }

    /// The same as somebody else.
    pub(crate) fn as_if(&self, id: ClientId) -> Self {
        Self { id, ..self.clone() }
    }

    /// The version that clients of this dialect send.
    pub(crate) fn version(&self) -> u8 {
        // `ascii` shows by its version 1, and plain B by another than the 2 that closes.
        if ["ascii", "classic"].contains(&self.dialect.profile.name) { 1 } else { 2 }
    }

    /// A request, whole, with what the dialect puts behind it.
    pub(crate) fn request(&self, request: &Request, content: &[u8]) -> Outcome<Vec<u8>> {
        self.request_of_version(self.version(), request, content)
    }

    pub(crate) fn request_of_version(
        &self,
        version: u8,
        request: &Request,
        content: &[u8],
    ) -> Outcome<Vec<u8>> {
        let Self { dialect, id, .. } = self;
        let mut bytes = dialect.encode_request(version, *id, request).ok_or_else(|| {
            Failure::new(format!("the kit is wrong: {dialect} has no {}", request.operation()))
        })?;
        if dialect.profile.header == HeaderLayout::Aligned {
            // Programs of this kind leave in the gap what their memory held; with zeros the request could be another's.
            bytes.iter_mut().skip(18).take(2).for_each(|gap| *gap = 0xee);
        }
        bytes.extend_from_slice(content);
        let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        bytes.resize(bytes.len() + dialect.request_tail(request.operation(), written), 0);
        Ok(bytes)
    }

    pub(crate) fn register_request(&self) -> Outcome<Vec<u8>> {
        self.request(&register_of(name_field(self.name.as_bytes()), self.key), &[])
    }

    /// Reads the answer to what this user asked.
    pub(crate) fn answer(&self, link: &mut Link, operation: Operation) -> Outcome<Answer> {
        link.answer(self.dialect, operation, self.id)
    }

    /// Asks on a connection.
    pub(crate) fn ask(&self, link: &mut Link, request: &Request, content: &[u8]) -> Outcome<Answer> {
        link.send(&self.request(request, content)?)?;
        self.answer(link, request.operation())
    }

    /// Pulls on a connection.
    pub(crate) fn pull(&self, link: &mut Link) -> Outcome<Vec<Message>> {
        messages(self.ask(link, &PULL, &[])?)
    }

    /// Asks for the list on a connection, and is answered.
    pub(crate) fn list(&self, link: &mut Link) -> Outcome<Vec<(ClientId, String)>> {
        listed(self.ask(link, &LIST, &[])?)
    }
}

impl Stage {
    pub(crate) fn link(&self) -> Outcome<Link> {
        Link::open(self.address, self.patience, &self.tape)
    }

    /// Somebody new, with a name and a key of their own.
    pub(crate) fn user(&self) -> Outcome<User> {
        self.user_of(self.dialect)
    }

    pub(crate) fn user_of(&self, dialect: Dialect) -> Outcome<User> {
        let nobody = User::nobody(dialect, &fresh_name());
        self.register(&nobody)
    }

    /// Registers somebody.
    pub(crate) fn register(&self, nobody: &User) -> Outcome<User> {
        let mut link = self.link()?;
        link.send(&nobody.register_request()?)?;
        let id = registered(nobody.answer(&mut link, Operation::Register)?)?;
        link.finish()?;
        Ok(nobody.as_if(id))
    }

    /// Two users.
    pub(crate) fn pair(&self) -> Outcome<(User, User)> {
        Ok((self.user()?, self.user()?))
    }

    /// Asks on a connection of its own, and ends it as a healthy client does.
    pub(crate) fn ask(&self, user: &User, request: &Request, content: &[u8]) -> Outcome<Answer> {
        let mut link = self.link()?;
        let answer = user.ask(&mut link, request, content)?;
        link.finish()?;
        Ok(answer)
    }

    pub(crate) fn refused(&self, what: &str, user: &User, request: &Request, content: &[u8]) -> Outcome {
        refused(what, &self.ask(user, request, content)?)
    }

    /// Sends a message that has to be taken.
    pub(crate) fn send(
        &self,
        from: &User,
        to: &User,
        kind: MessageType,
        content: &[u8],
    ) -> Outcome<Option<MessageId>> {
        receipt(&self.ask(from, &send_of(to.id, kind, content), content)?, to.id)
    }

    /// Sends a text that has to be taken.
    pub(crate) fn text(&self, from: &User, to: &User, content: &[u8]) -> Outcome<Option<MessageId>> {
        self.send(from, to, MessageType::TEXT, content)
    }

    /// Pulls once, on a connection of its own.
    pub(crate) fn pull(&self, user: &User) -> Outcome<Vec<Message>> {
        messages(self.ask(user, &PULL, &[])?)
    }

    /// Pulls until nothing more waits.
    pub(crate) fn pull_all(&self, user: &User) -> Outcome<Vec<Message>> {
        let mut all = Vec::new();
        loop {
            let some = self.pull(user)?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
            need(all.len() < 100_000, || "pulls do not come to an end".to_owned())?;
        }
    }

    pub(crate) fn list(&self, user: &User) -> Outcome<Vec<(ClientId, String)>> {
        listed(self.ask(user, &LIST, &[])?)
    }

    pub(crate) fn key(&self, user: &User, whose: ClientId) -> Outcome<PublicKey> {
        key(self.ask(user, &key_of(whose), &[])?)
    }

    /// What waits for somebody are texts with these contents.
    pub(crate) fn waits(&self, what: &str, user: &User, expected: &[&[u8]]) -> Outcome {
        contents(what, &self.pull_all(user)?, expected)
    }

    /// The server serves somebody new as ever.
    pub(crate) fn is_well(&self) -> Outcome {
        let (alice, bob) = self.pair()?;
        self.text(&alice, &bob, b"are you there?")?;
        self.waits("after all that, a message", &bob, &[b"are you there?"])
    }
}

/// The contents of messages are these, in this order.
pub(crate) fn contents(what: &str, messages: &[Message], expected: &[&[u8]]) -> Outcome {
    let found: Vec<&[u8]> = messages.iter().map(|message| &message.content[..]).collect();
    same(what, &found, &expected.to_vec())
}

pub(crate) fn refused(what: &str, answer: &Answer) -> Outcome {
    need(*answer == Answer::Refused, || format!("{what} is granted, where a refusal belongs"))
}

fn granted(operation: Operation, answer: Answer) -> Outcome<Response> {
    match answer {
        Answer::Response(response) => Ok(response),
        Answer::Refused => Err(Failure::new(format!("{operation} is refused, where it has to be granted"))),
    }
}

pub(crate) fn registered(answer: Answer) -> Outcome<ClientId> {
    match granted(Operation::Register, answer)? {
        Response::Register(response) => Ok(response.client_id),
        other => Err(unfit(other.operation())),
    }
}

pub(crate) fn listed(answer: Answer) -> Outcome<Vec<(ClientId, String)>> {
    match granted(Operation::ListClients, answer)? {
        Response::ListClients(list) => {
            list.clients.iter().map(|entry| Ok((entry.client_id, clean_name(&entry.name)?))).collect()
        }
        other => Err(unfit(other.operation())),
    }
}

/// A name that is filled up with zeros, as a server has to write it.
fn clean_name(field: &NameField) -> Outcome<String> {
    let name = field.name().map(|name: Name| name.to_string()).unwrap_or_else(|_| field.to_text());
    let end = field.0.iter().position(|byte| *byte == 0).unwrap_or(field.0.len());
    let is_clean = field.0.get(end..).unwrap_or_default().iter().all(|byte| *byte == 0);
    need(is_clean, || format!("the name {name:?} is listed with something behind its end"))?;
    Ok(name)
}

pub(crate) fn key(answer: Answer) -> Outcome<PublicKey> {
    match granted(Operation::FetchKey, answer)? {
        Response::FetchKey(response) => Ok(response.public_key),
        other => Err(unfit(other.operation())),
    }
}

pub(crate) fn messages(answer: Answer) -> Outcome<Vec<Message>> {
    match granted(Operation::PullMessages, answer)? {
        Response::PullMessages(response) => Ok(response.messages),
        other => Err(unfit(other.operation())),
    }
}

/// A receipt for a message to somebody, as far as the dialect says it.
pub(crate) fn receipt(answer: &Answer, to: ClientId) -> Outcome<Option<MessageId>> {
    match granted(Operation::SendMessage, answer.clone())? {
        Response::SendMessage(response) => {
            need(response.to.is_none_or(|named| named == to), || {
                "the receipt names another recipient".to_owned()
            })?;
            Ok(response.message_id)
        }
        other => Err(unfit(other.operation())),
    }
}

fn unfit(operation: Operation) -> Box<Failure> {
    Failure::new(format!("an answer to {operation} came, which nobody asked for"))
}
