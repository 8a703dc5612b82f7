//! A connection to the server under test: every wait has an end, and everything that crosses is noted.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::ClientId;
use messageu_wire::operation::pull_messages;
use messageu_wire::operations::{Operation, Response};
use messageu_wire::response::{Event as Part, ResponseReader};
use socket2::SockRef;

use crate::difference;
use crate::outcome::{Difference, Failure, Outcome, need};
use crate::tape::{Event, Tape};

/// Most bytes of an answer that are taken.
const ANSWER_LIMIT: usize = 256 << 20;

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Response(Response),
    Refused,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Clean,
    Reset,
}

/// What a look at the connection gave.
enum Look {
    Bytes,
    End,
    Nothing,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    number: u32,
    tape: Tape,
    patience: Duration,
    unread: Vec<u8>,
    /// Bytes of answers that were read.
    taken: usize,
    /// Whether the server took no more while something was written.
    broken: bool,
    end: Option<End>,
}

impl Link {
    pub(crate) fn open(address: SocketAddr, patience: Duration, tape: &Tape) -> Outcome<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)
            .map_err(|error| Failure::new(format!("the server takes no connection: {error}")))?;
        // Each write becomes a segment of its own.
        let unset = |error| Failure::new(format!("the connection cannot be set up: {error}"));
        stream.set_nodelay(true).map_err(unset)?;
        stream.set_write_timeout(Some(patience)).map_err(unset)?;
        let (number, tape) = (tape.open(), tape.clone());
        Ok(Self { stream, number, tape, patience, unread: Vec::new(), taken: 0, broken: false, end: None })
    }

    /// Writes bytes, all of which the server has to take.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Outcome {
        self.write(bytes).map_err(|error| {
            Failure::new(format!("the server broke the connection while a request was written: {error}"))
        })
    }

    /// Writes bytes that the server may refuse to take.
    pub(crate) fn pour(&mut self, bytes: &[u8]) {
        // That it is broken shows when it is read.
        let _ = self.write(bytes);
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.tape.note(self.number, Event::Sent(bytes.to_vec()));
        self.stream.write_all(bytes).inspect_err(|_| self.broken = true)
    }

    /// Closes the sending side.
    pub(crate) fn end_sending(&mut self) {
        self.tape.note(self.number, Event::WeEnd);
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Breaks the connection, as a crash or a lost network would.
    pub(crate) fn reset(self) {
        self.tape.note(self.number, Event::WeReset);
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Waits for something to come.
    fn look(&mut self, until: Instant) -> Look {
        if self.end.is_some() {
            return Look::End;
        }
        let mut buffer = vec![0; 65_536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return Look::Nothing;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.tape.note(self.number, Event::TheyEnd);
                    self.end = Some(End::Clean);
                    return Look::End;
                }
                Ok(size) => {
                    buffer.truncate(size);
                    self.unread.extend_from_slice(&buffer);
                    self.tape.note(self.number, Event::Came(buffer));
                    return Look::Bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Look::Nothing;
                }
                Err(_) => {
                    self.tape.note(self.number, Event::TheyReset);
                    self.end = Some(End::Reset);
                    return Look::End;
                }
            }
        }
    }

    /// Reads the answer to a request of `asker`, and holds it to the dialect byte by byte.
    pub(crate) fn answer(
        &mut self,
        dialect: Dialect,
        operation: Operation,
        asker: ClientId,
    ) -> Outcome<Answer> {
        let until = Instant::now() + self.patience;
        let mut incoming = Incoming::new(dialect, operation);
        let mut taken = 0;
        let answer = loop {
            let fresh = self.unread.get(taken..).unwrap_or_default();
            taken = self.unread.len();
            match incoming.push(fresh) {
                Ok(Some(answer)) => break answer,
                Ok(None) => {}
                Err(error) => {
                    return Err(self.failure(format!("the answer to {operation} cannot be read: {error}")));
                }
            }
            if taken > ANSWER_LIMIT {
                return Err(Failure::new(format!("the answer to {operation} does not end")));
            }
            match self.look(until) {
                Look::Bytes => {}
                Look::End => {
                    let what = format!("the connection ended within the answer to {operation}");
                    return Err(self.failure(what));
                }
                Look::Nothing => {
                    let waited = self.patience.as_secs();
                    return Err(self.failure(format!("no answer to {operation} within {waited} s")));
                }
            }
        };
        let (expected, response) = match &answer {
            Answer::Refused => (Some(dialect.encode_refusal(asker)), None),
            Answer::Response(response) => (dialect.encode_response(response, asker), Some(response)),
        };
        let expected = expected
            .ok_or_else(|| Failure::new(format!("the answer to {operation} does not fit its size field")))?;
        while self.unread.len() < expected.len() && matches!(self.look(until), Look::Bytes) {}
        let found: Vec<u8> = self.unread.drain(..expected.len().min(self.unread.len())).collect();
        self.taken += found.len();
        if found != expected {
            let fields = difference::fields(dialect, operation, response);
            let what = format!("the answer to {operation} is not as {dialect} has it");
            let bytes = Some(Difference { expected, found, fields });
            return Err(Box::new(Failure { what, bytes }));
        }
        Ok(answer)
    }

    /// How many bytes of answers were read.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// How many bytes the first receive of an answer gives. They are kept for whoever reads it.
    pub(crate) fn first_receive(&mut self) -> Outcome<usize> {
        match self.look(Instant::now() + self.patience) {
            Look::Bytes => Ok(self.unread.len()),
            Look::End | Look::Nothing => Err(Failure::new("no answer came")),
        }
    }

    fn failure(&self, what: String) -> Box<Failure> {
        let bytes = (!self.unread.is_empty()).then(|| Difference {
            expected: Vec::new(),
            found: self.unread.clone(),
            fields: Vec::new(),
        });
        Box::new(Failure { what, bytes })
    }

    /// Nothing comes, for some time, and the connection stays.
    pub(crate) fn silence(&mut self, time: Duration) -> Outcome {
        if !self.unread.is_empty() {
            return Err(self.failure("bytes came where none belong".to_owned()));
        }
        match self.look(Instant::now() + time) {
            Look::Nothing => Ok(()),
            Look::Bytes => Err(self.failure("bytes came where none belong".to_owned())),
            Look::End => Err(Failure::new("the server closed the connection, which stays open here")),
        }
    }

    /// What the server still says until it closes, as it must.
    pub(crate) fn rest(&mut self) -> Outcome<(Vec<u8>, End)> {
        let until = Instant::now() + self.patience;
        loop {
            match self.look(until) {
                Look::Bytes if self.unread.len() > ANSWER_LIMIT => {
                    return Err(Failure::new("the server does not stop talking"));
                }
                Look::Bytes => {}
                Look::End => return Ok((std::mem::take(&mut self.unread), self.end.unwrap_or(End::Clean))),
                Look::Nothing => {
                    let waited = self.patience.as_secs();
                    return Err(
                        self.failure(format!("the server did not close the connection within {waited} s"))
                    );
                }
            }
        }
    }

    /// The server closes, and says nothing more before.
    pub(crate) fn closed(&mut self) -> Outcome<End> {
        let (rest, end) = self.rest()?;
        if rest.is_empty() {
            return Ok(end);
        }
        let bytes = Some(Difference { expected: Vec::new(), found: rest, fields: Vec::new() });
        Err(Box::new(Failure { what: "bytes came where the connection should only close".to_owned(), bytes }))
    }

    /// The server refuses what was no request with one refusal, and closes. `id` is where the asker's would stand.
    pub(crate) fn refused_and_closed(&mut self, dialect: Dialect, id: ClientId) -> Outcome {
        let (found, _) = self.rest()?;
        let own = dialect.encode_refusal(id);
        // A server of several dialects cannot know in which one it was addressed.
        if found == own || found == Dialect::classic(Family::E).encode_refusal(id) {
            return Ok(());
        }
        let fields = difference::fields(dialect, Operation::Register, None);
        let what = "bytes that are no request were not answered with one refusal".to_owned();
        Err(Box::new(Failure { what, bytes: Some(Difference { expected: own, found, fields }) }))
    }

    /// The same, and the connection ends in order: a reset would tell that something was left unread, which on many
    /// systems takes the refusal away with it.
    pub(crate) fn refused_and_ended(&mut self, dialect: Dialect, id: ClientId) -> Outcome {
        self.refused_and_closed(dialect, id)?;
        need(self.end == Some(End::Clean) && !self.broken, || {
            "the connection was reset behind the refusal".to_owned()
        })
    }

    /// Takes less at once, so that what is not read soon holds up the server.
    pub(crate) fn narrow(&self) {
        // Without it the case is weaker, not wrong.
        let _ = SockRef::from(&self.stream).set_recv_buffer_size(4_096);
    }

    /// Ends the connection as a healthy client does: close the sending side, read to the end.
    pub(crate) fn finish(mut self) -> Outcome {
        self.end_sending();
        self.closed().map(drop)
    }
}

/// An answer in the course of coming in.
struct Incoming {
    reader: ResponseReader,
    messages: Vec<pull_messages::Message>,
}

impl Incoming {
    fn new(dialect: Dialect, operation: Operation) -> Self {
        Self { reader: ResponseReader::new(dialect, operation), messages: Vec::new() }
    }

    /// Takes what has come, and gives the answer when that was the last of it.
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Answer>, messageu_wire::error::WireError> {
        self.reader.push(bytes);
        loop {
            match self.reader.poll()? {
                Part::More => return Ok(None),
                Part::Refused(_) => return Ok(Some(Answer::Refused)),
                Part::Response(response) => return Ok(Some(Answer::Response(response))),
                Part::Entry(pull_messages::EntryHead { from, message_id, kind, .. }) => {
                    self.messages.push(pull_messages::Message {
                        from,
                        message_id,
                        kind,
                        content: Vec::new(),
                    });
                }
                Part::Content(piece) => {
                    if let Some(message) = self.messages.last_mut() {
                        message.content.extend_from_slice(&piece);
                    }
                }
                Part::EndOfContent => {}
                Part::End => {
                    let messages = std::mem::take(&mut self.messages);
                    return Ok(Some(Answer::Response(pull_messages::Response { messages }.into())));
                }
            }
        }
    }
}
