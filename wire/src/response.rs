//! One response from a stream of bytes, in any split, without I/O: what a client needs.
//!
//! It takes what the servers in the wild answer, not only what they should: any version byte, a text inside a
//! refusal, receipts of three sizes, keys without an id, and pulls whose declared size leaves out the entries' heads.

use std::cmp::Ordering;

use bytes::{Buf, Bytes, BytesMut};

use crate::dialect::{Dialect, Profile, ResponseHeader};
use crate::error::WireError;
use crate::fields::CLIENT_ID_SIZE;
use crate::operation::pull_messages::EntryHead;
use crate::operations::{Operation, REFUSAL_CODE, Response, ResponseCode};

/// Largest payload of a response other than a pull that a client takes, in bytes.
pub const PAYLOAD_LIMIT: u32 = 64 << 20;

/// Largest text inside a refusal that is kept, in bytes.
pub const REFUSAL_TEXT_LIMIT: u32 = 1024;

/// What became of the bytes so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Nothing yet: push more.
    More,
    /// The server refuses, with this text (most send none). The response is over.
    Refused(String),
    /// The answer to anything but a pull. The response is over.
    Response(Response),
    /// A pull's next message; its content follows in pieces.
    Entry(EntryHead),
    /// A piece of the content of the message before it.
    Content(Bytes),
    /// The content of the message is complete.
    EndOfContent,
    /// The pull is over.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Header,
    Payload { code: u16, size: u32 },
    Entries,
    Content { left: u32 },
    Over,
}

/// Reads the response to one request.
#[derive(Debug)]
pub struct ResponseReader {
    dialect: Dialect,
    operation: Operation,
    buffer: BytesMut,
    state: State,
    pull: PullCount,
}

/// What a pull's entries add up to, in each way of counting that servers are known for.
#[derive(Clone, Copy, Default, Debug)]
struct PullCount {
    declared: u64,
    entries: u64,
    contents: u64,
}

impl PullCount {
    fn total(self, per_entry: u32) -> u64 {
        self.entries * u64::from(per_entry) + self.contents
    }

    /// Whether the entries so far are all that the declared size announces.
    fn is_over(self, profile: &Profile) -> bool {
        match self.total(profile.entry_counted).cmp(&self.declared) {
            Ordering::Less => false,
            Ordering::Equal => true,
            // Servers that count too little overshoot as soon as their entries are there.
            Ordering::Greater => [21, 0].into_iter().any(|count| self.total(count) == self.declared),
        }
    }
}

fn saturate(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl ResponseReader {
    /// A reader for the response to a request of this operation.
    #[must_use]
    pub fn new(dialect: Dialect, operation: Operation) -> Self {
        Self { dialect, operation, buffer: BytesMut::new(), state: State::Header, pull: PullCount::default() }
    }

    /// Takes bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the response is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// What the bytes so far make.
    ///
    /// # Errors
    /// When they cannot be the answer to the request; nothing after them can be read either.
    pub fn poll(&mut self) -> Result<Event, WireError> {
        loop {
            match self.state {
                State::Over => return Ok(Event::More),
                State::Header => match self.header()? {
                    Some(state) => self.state = state,
                    None => return Ok(Event::More),
                },
                State::Payload { code, size } => return self.payload(code, size),
                State::Entries if self.pull.is_over(self.dialect.profile) => {
                    self.state = State::Over;
                    return Ok(Event::End);
                }
                State::Entries => return self.entry(),
                State::Content { left: 0 } => {
                    self.state = State::Entries;
                    return Ok(Event::EndOfContent);
                }
                State::Content { .. } if self.buffer.is_empty() => return Ok(Event::More),
                State::Content { left } => {
                    let wanted = usize::try_from(left).unwrap_or(usize::MAX);
                    let piece = self.buffer.split_to(wanted.min(self.buffer.len())).freeze();
                    self.state = State::Content { left: left - u32::try_from(piece.len()).unwrap_or(left) };
                    return Ok(Event::Content(piece));
                }
            }
        }
    }

    fn header(&mut self) -> Result<Option<State>, WireError> {
        let profile = self.dialect.profile;
        let size = profile.header.response_size();
        let Some(header) = self.buffer.get(..size) else { return Ok(None) };
        let header = ResponseHeader::decode(header, profile)?;
        let family = self.dialect.family;
        let code = |code| ResponseCode { family, code };
        let Some(codes) = self.operation.codes(family) else {
            return Err(WireError::NoSuchOperation { operation: self.operation, family });
        };
        let limit = match header.code {
            REFUSAL_CODE => u32::MAX,
            expected if expected != codes.response => {
                return Err(WireError::UnexpectedCode {
                    found: code(expected),
                    expected: code(codes.response),
                });
            }
            _ if self.operation == Operation::PullMessages => u32::MAX,
            _ => PAYLOAD_LIMIT,
        };
        if header.size > limit {
            return Err(WireError::PayloadTooLarge { claimed: header.size, limit });
        }
        let echo = if profile.echoes_asker(header.code) { CLIENT_ID_SIZE } else { 0 };
        if self.buffer.len() < size + echo {
            return Ok(None);
        }
        self.buffer.advance(size + echo);
        if header.code != REFUSAL_CODE && self.operation == Operation::PullMessages {
            self.pull.declared = header.size.into();
            return Ok(Some(State::Entries));
        }
        let size =
            if header.code == REFUSAL_CODE { header.size.min(REFUSAL_TEXT_LIMIT) } else { header.size };
        Ok(Some(State::Payload { code: header.code, size }))
    }

    fn payload(&mut self, code: u16, size: u32) -> Result<Event, WireError> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(payload) = self.buffer.get(..size) else { return Ok(Event::More) };
        let event = if code == REFUSAL_CODE {
            let text = String::from_utf8_lossy(payload);
            Event::Refused(text.chars().filter(|letter| !letter.is_control()).collect())
        } else {
            Event::Response(Response::decode(self.operation, payload, self.dialect.profile)?)
        };
        self.buffer.advance(size);
        self.state = State::Over;
        Ok(event)
    }

    fn entry(&mut self) -> Result<Event, WireError> {
        let profile = self.dialect.profile;
        let size = profile.entry.size();
        let Some(head) = self.buffer.get(..size) else { return Ok(Event::More) };
        let head = EntryHead::decode(head, profile)?;
        self.buffer.advance(size);
        self.pull.entries += 1;
        self.pull.contents += u64::from(head.size);
        if self.pull.total(0) > self.pull.declared {
            return Err(WireError::PullSize {
                declared: saturate(self.pull.declared),
                found: self.pull.total(0),
            });
        }
        self.state = State::Content { left: head.size };
        Ok(Event::Entry(head))
    }
}
