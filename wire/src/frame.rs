//! Requests from a stream of bytes, in any split, without I/O: push what has come, poll for what it makes.

use bytes::{Buf, Bytes, BytesMut};

use crate::dialect::{
    Deviation, Dialect, Front, Pin, Profile, Tail, deviation, has_sized_header, is_from_nobody,
    recognise_front, recognise_tail, tail_matters, without_tail,
};
use crate::error::WireError;
use crate::fields::{CLIENT_ID_SIZE, ClientId};
use crate::operations::{Operation, Request};

/// Largest request, in bytes, that is held back until its tail has shown which dialect it is in, when neither its
/// front nor what is remembered of its sender tells. A larger one counts as its family's plain dialect.
pub const TAIL_WINDOW: u64 = 64 * 1024;

/// Most zeros between two requests, beside those that the dialect of the first puts there: padding that was not expected
/// is shorter than its block.
const MOST_ZEROS: usize = 1023;

/// A request, as far as it is not content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// The dialect to answer in.
    pub dialect: Dialect,
    /// The version byte, as it was on the wire.
    pub version: u8,
    /// Who asks, as the header says it.
    pub client_id: ClientId,
    /// What is asked.
    pub request: Request,
    /// What is wrong with the declared size, if it is a known wrong.
    pub deviation: Option<Deviation>,
}

/// What became of the bytes so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Nothing yet: push more.
    More,
    /// A request is whole, but what could still follow decides: padding on its dialect, and where zeros stand before it,
    /// the bytes behind on where it begins. Push what comes; if nothing does for a moment, poll with `quiet`.
    Undecided,
    /// A request. After a send come [`Event::Content`], as often as needed, and [`Event::EndOfContent`].
    Request(Box<Received>),
    /// A piece of the content of the send before it.
    Content(Bytes),
    /// All content of the send before it has come.
    EndOfContent,
}

/// Bytes that are no request. The stream cannot be read any further.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Rejection {
    /// What is wrong.
    pub error: WireError,
    /// Who asked, as the header says it.
    pub client_id: ClientId,
    /// The dialect to refuse in.
    pub dialect: Dialect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// At the beginning of a request, or before it.
    Front,
    /// In the content of a send; `filler` bytes follow that mean nothing.
    Content { left: u32, filler: usize },
    /// In bytes that mean nothing.
    Filler { left: usize },
}

/// Where the buffer begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Before a request, or in one: more bytes are needed to tell.
    Before,
    /// At a request.
    Request,
    /// At one with zeros in its id, unless what is still to come makes one without them.
    Undecided,
}

/// Reads requests of all dialects from one stream.
///
/// It holds at most [`TAIL_WINDOW`] bytes beside what was pushed last, and reserves nothing for what is only claimed.
#[derive(Debug)]
pub struct RequestReader {
    buffer: BytesMut,
    pin: Pin,
    content_limit: u32,
    state: State,
    /// Whether there has been a request: zeros may stand between two, but not before the first.
    begun: bool,
    /// Zeros that the last request's dialect puts behind it, and that have not come yet.
    tail: usize,
    /// Zeros that may stand before the next request beside those.
    zeros_left: usize,
}

impl RequestReader {
    /// A reader for a new connection, under a listener's pin; contents above `content_limit` bytes are rejected.
    #[must_use]
    pub fn new(pin: Pin, content_limit: u32) -> Self {
        let buffer = BytesMut::new();
        Self { buffer, pin, content_limit, state: State::Front, begun: false, tail: 0, zeros_left: 0 }
    }

    /// Takes bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where bytes that come can be put without a copy in between.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether the stream is inside a request.
    #[must_use]
    pub fn is_inside_request(&self) -> bool {
        match self.state {
            State::Front => self.buffer.iter().any(|byte| *byte != 0),
            State::Content { .. } => true,
            State::Filler { .. } => false,
        }
    }

    /// The client id in the header of the next request, as soon as it shows: to look up what is remembered of it.
    pub fn next_client_id(&mut self) -> Option<ClientId> {
        let at_request = self.pass_to_request().is_ok_and(|place| place != Place::Before);
        self.buffer.first_chunk::<CLIENT_ID_SIZE>().filter(|_| at_request).copied().map(ClientId)
    }

    /// What the bytes so far make.
    ///
    /// `hint` is the profile remembered of the client whose id [`RequestReader::next_client_id`] gave; `quiet` says
    /// that after [`Event::Undecided`] nothing has come for a while.
    ///
    /// # Errors
    /// A [`Rejection`] when the bytes cannot be read as a request; nothing after them can be read either.
    pub fn poll(&mut self, hint: Option<&'static Profile>, quiet: bool) -> Result<Event, Rejection> {
        match self.state {
            State::Content { left: 0, filler } => {
                self.state = State::Filler { left: filler };
                return Ok(Event::EndOfContent);
            }
            State::Content { .. } if self.buffer.is_empty() => return Ok(Event::More),
            State::Content { left, filler } => {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX);
                let piece = self.buffer.split_to(wanted.min(self.buffer.len())).freeze();
                let taken = u32::try_from(piece.len()).unwrap_or(left);
                self.state = State::Content { left: left - taken, filler };
                return Ok(Event::Content(piece));
            }
            State::Front | State::Filler { .. } => {}
        }
        match self.pass_to_request() {
            Ok(Place::Request) => {}
            Ok(Place::Undecided) if quiet => {}
            Ok(Place::Undecided) => return Ok(Event::Undecided),
            Ok(Place::Before) => return Ok(Event::More),
            // No request has begun, so nobody asks.
            Err(error) => {
                let dialect = self.pin.refusal_dialect();
                return Err(Rejection { error, client_id: ClientId::NOBODY, dialect });
            }
        }
        match recognise_front(&self.buffer, hint, self.pin) {
            Ok(Some(front)) => self.accept(front, hint, quiet),
            Ok(None) => Ok(Event::More),
            Err(error) => Err(self.reject(error, None)),
        }
    }

    fn accept(
        &mut self,
        mut front: Front,
        hint: Option<&'static Profile>,
        quiet: bool,
    ) -> Result<Event, Rejection> {
        // What is remembered from another family, as of a client that changed its program, says nothing here.
        let hint = hint.filter(|profile| profile.families.contains(&front.dialect.family));
        let content = front.request.content_size();
        if content > self.content_limit {
            let limit = self.content_limit;
            return Err(self.reject(WireError::ContentTooLarge { claimed: content, limit }, Some(&front)));
        }
        let size = u64::try_from(front.size).unwrap_or(u64::MAX);
        let frame = size + u64::from(content);
        // A dialect that is remembered needs no proof; where nothing is, a small request waits for its tail.
        let small =
            Some(frame).filter(|frame| *frame <= TAIL_WINDOW).and_then(|frame| usize::try_from(frame).ok());
        let whole = small.and_then(|frame| self.buffer.get(frame..));
        let dialect = match whole {
            Some(tail) => match recognise_tail(&front, hint, self.pin, frame, tail, quiet) {
                Tail::Settled(dialect) => dialect,
                Tail::Undecided => return Ok(Event::Undecided),
            },
            None if hint.is_none() && small.is_some() && tail_matters(front.dialect, self.pin) => {
                return Ok(Event::More);
            }
            None => without_tail(&front, self.pin),
        };
        let operation = front.request.operation();
        if dialect != front.dialect {
            let payload = self.buffer.get(dialect.request_header_size()..front.size).unwrap_or_default();
            if let Ok(request) = Request::decode(operation, payload, dialect.profile) {
                let read_otherwise = Front { dialect, request, ..front.clone() };
                // It may be another wrong than the one that is let pass: then what follows says nothing.
                if front.deviation == deviation(&read_otherwise).filter(|_| front.deviation.is_some()) {
                    front = read_otherwise;
                }
            }
        }
        let dialect = front.dialect;
        self.buffer.advance(front.size);
        self.begun = true;
        let tail = dialect.request_tail(operation, frame);
        let filler;
        (filler, self.tail) = if dialect.profile.fixed_send.is_some() { (tail, 0) } else { (0, tail) };
        self.zeros_left = MOST_ZEROS;
        self.state = match operation {
            Operation::SendMessage => State::Content { left: content, filler },
            _ => State::Front,
        };
        let Front { header, request, deviation, .. } = front;
        let (version, client_id) = (header.version, header.client_id);
        Ok(Event::Request(Box::new(Received { dialect, version, client_id, request, deviation })))
    }

    fn reject(&self, error: WireError, front: Option<&Front>) -> Rejection {
        let client_id =
            self.buffer.first_chunk::<CLIENT_ID_SIZE>().copied().map(ClientId).unwrap_or_default();
        let dialect = front.map_or_else(|| self.pin.refusal_dialect(), |front| front.dialect);
        Rejection { error, client_id, dialect }
    }

    /// Passes over what stands before the next request.
    ///
    /// Of zeros between two requests, no size tells how many they are. The ids that servers issue begin with none, so
    /// the next request begins behind them, unless it is a right one with them in its id: nobody's, one that means
    /// nothing, or one that was imported.
    fn pass_to_request(&mut self) -> Result<Place, WireError> {
        if let State::Filler { left } = self.state {
            let passed = left.min(self.buffer.len());
            self.buffer.advance(passed);
            self.state = if passed == left { State::Front } else { State::Filler { left: left - passed } };
        }
        if self.state != State::Front {
            return Ok(Place::Before);
        }
        let zeros = self.buffer.iter().take_while(|byte| **byte == 0).count();
        let expected = zeros.min(self.tail);
        self.buffer.advance(expected);
        self.tail = if self.buffer.is_empty() { self.tail - expected } else { 0 };
        let zeros = zeros - expected;
        if !self.begun || zeros == 0 {
            return Ok(if self.buffer.is_empty() { Place::Before } else { Place::Request });
        }
        self.pass_zeros(zeros.saturating_sub(CLIENT_ID_SIZE))?;
        if zeros.min(CLIENT_ID_SIZE) == self.buffer.len() {
            return Ok(Place::Before);
        }
        let zeros = zeros.min(CLIENT_ID_SIZE);
        let behind = self.buffer.get(zeros..).unwrap_or_default();
        if is_from_nobody(&self.buffer, self.pin) {
            return Ok(Place::Request);
        }
        let sized_behind = has_sized_header(behind, self.pin);
        if sized_behind != Some(true) {
            match recognise_front(&self.buffer, None, self.pin) {
                Ok(Some(front)) if front.deviation.is_none() => {
                    return Ok(if sized_behind.is_none() { Place::Undecided } else { Place::Request });
                }
                Ok(None) => return Ok(Place::Before),
                _ => {}
            }
        }
        self.pass_zeros(zeros).map(|()| Place::Request)
    }

    fn pass_zeros(&mut self, count: usize) -> Result<(), WireError> {
        let passed = count.min(self.zeros_left);
        self.buffer.advance(passed);
        self.zeros_left -= passed;
        if passed == count { Ok(()) } else { Err(WireError::TooManyZeros) }
    }
}
