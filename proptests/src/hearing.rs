//! Requests as a server hears them: a stream of bytes in pieces goes in, all requests in it come out.

use std::fmt;
use std::ops::Range;

use messageu_wire::dialect::{Dialect, Pin, Profile, RecognisedBy};
use messageu_wire::frame::{Event, Received, Rejection, RequestReader};
use messageu_wire::operations::Request;

/// What a server knows before the first byte: its pin, and the profile that it remembers of whoever is there.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Listener {
    /// What it is pinned to.
    pub pin: Pin,
    /// What it remembers of the client.
    pub hint: Option<&'static Profile>,
}

impl Listener {
    /// Speaks this dialect alone.
    #[must_use]
    pub fn pinned(dialect: Dialect) -> Self {
        Self { pin: Pin { family: Some(dialect.family), profile: Some(dialect.profile) }, hint: None }
    }

    /// Speaks everything, and remembers that the client speaks this profile.
    #[must_use]
    pub fn remembering(profile: &'static Profile) -> Self {
        Self { pin: Pin::default(), hint: Some(profile) }
    }

    /// Every kind of listener: one that knows nothing, one for each pin, one for each profile it can remember.
    pub fn all() -> impl Iterator<Item = Self> {
        let pins = Profile::ALL.iter().map(|profile| Pin { family: None, profile: Some(profile) });
        let hints = Profile::ALL.iter().filter(|profile| profile.recognised_by != RecognisedBy::Pin);
        [Self::default()]
            .into_iter()
            .chain(pins.map(|pin| Self { pin, hint: None }))
            .chain(hints.map(Self::remembering))
    }

    /// Hears a stream that comes in these pieces, and in which then nothing more comes.
    ///
    /// # Panics
    /// When the reader stands still, or holds more than it says it does.
    #[must_use]
    pub fn hear<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Hearing {
        self.hear_at(pieces, false)
    }

    /// Hears a stream whose pieces come so slowly that after each nothing seems to follow.
    ///
    /// # Panics
    /// As [`Listener::hear`].
    #[must_use]
    pub fn hear_slowly<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Hearing {
        self.hear_at(pieces, true)
    }

    fn hear_at<'a>(self, pieces: impl IntoIterator<Item = &'a [u8]>, slowly: bool) -> Hearing {
        let mut reader = RequestReader::new(self.pin, u32::MAX);
        let mut hearing = Hearing::default();
        let mut pushed = 0;
        for piece in pieces {
            reader.push(piece);
            pushed += piece.len();
            if !self.take_in(&mut reader, pushed, slowly, &mut hearing) {
                return hearing;
            }
            let capacity = reader.buffer_mut().capacity();
            assert!(capacity <= 2 * pushed.max(64), "{capacity} bytes are reserved for {pushed}");
        }
        self.take_in(&mut reader, pushed, true, &mut hearing);
        hearing
    }

    /// Takes in what there is; whether the stream can be read on.
    fn take_in(self, reader: &mut RequestReader, pushed: usize, quiet: bool, hearing: &mut Hearing) -> bool {
        // A piece makes a request, a content and its end at most once for each of its bytes.
        for _ in 0..3 * pushed + 3 {
            let event = reader.poll(self.hint, quiet);
            hearing.read = pushed - reader.buffer_mut().len();
            match event {
                Ok(Event::More) => return true,
                Ok(Event::Undecided) => {
                    assert!(!quiet, "undecided for ever");
                    return true;
                }
                Ok(Event::Request(received)) => hearing.begin(*received),
                Ok(Event::Content(piece)) => {
                    assert!(!piece.is_empty(), "an empty piece of content");
                    hearing.current().content.extend_from_slice(&piece);
                }
                Ok(Event::EndOfContent) => hearing.current().complete = true,
                Err(rejection) => {
                    hearing.rejection = Some(rejection);
                    return false;
                }
            }
        }
        panic!("the reader stands still, or makes requests of nothing")
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |profile: Option<&'static Profile>| profile.map(|profile| profile.name);
        let (family, profile, hint) = (self.pin.family, name(self.pin.profile), name(self.hint));
        write!(f, "Listener(pinned to {family:?}/{profile:?}, remembering {hint:?})")
    }
}

/// What a stream turned out to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hearing {
    /// The requests, in order.
    pub requests: Vec<Heard>,
    /// Why nothing after them could be read.
    pub rejection: Option<Rejection>,
    /// Bytes of the stream that were read; what follows them is no request yet, or none at all.
    pub read: usize,
}

/// A request out of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// The request.
    pub received: Received,
    /// Where its header and payload stand in the stream.
    pub front: Range<usize>,
    /// Its content, as far as it came.
    pub content: Vec<u8>,
    /// Whether all of its content came.
    pub complete: bool,
}

impl Heard {
    /// Where its last byte ends in the stream, without what the dialect puts behind requests.
    #[must_use]
    pub fn end(&self) -> usize {
        self.front.end + self.content.len()
    }

    /// Bytes of header, payload and content, come or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.front.len() as u64 + u64::from(self.received.request.content_size())
    }
}

impl Hearing {
    fn begin(&mut self, received: Received) {
        let Received { dialect, request, .. } = &received;
        let size = dialect.request_header_size() + Request::head_size(request.operation(), dialect.profile);
        let complete = !matches!(request, Request::SendMessage(_));
        assert!(self.requests.last().is_none_or(|last| last.complete), "a request inside a content");
        self.requests.push(Heard {
            received,
            front: self.read - size..self.read,
            content: Vec::new(),
            complete,
        });
    }

    fn current(&mut self) -> &mut Heard {
        let last = self.requests.last_mut().filter(|last| !last.complete);
        last.expect("content comes after a send and before its end")
    }
}
