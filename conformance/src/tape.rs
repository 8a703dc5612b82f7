//! What crossed in a case, for captures and explanations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Most bytes that a tape keeps of a case. What crosses beyond them is counted, not kept.
pub const TAPE_LIMIT: usize = 1 << 20;

/// What happened on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// It was opened, by the side that asks.
    Open,
    /// Bytes went to the server.
    Sent(Vec<u8>),
    /// Bytes came from the server.
    Came(Vec<u8>),
    /// The side that asks sends no more.
    WeEnd,
    /// The server sends no more.
    TheyEnd,
    /// The side that asks broke the connection.
    WeReset,
    /// The server broke the connection.
    TheyReset,
}

/// An event, and when and on which connection of the case it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Time since 1970.
    pub time: Duration,
    /// Connections are counted from 0 in a case.
    pub connection: u32,
    /// What happened.
    pub event: Event,
}

/// The record of a case: all its connections write to the same one.
#[derive(Clone, Default, Debug)]
pub struct Tape(Arc<Mutex<Reel>>);

#[derive(Default, Debug)]
struct Reel {
    entries: Vec<Entry>,
    kept: usize,
    left_out: u64,
    connections: u32,
}

impl Tape {
    /// A number for a new connection.
    pub fn open(&self) -> u32 {
        let number = {
            let mut reel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let number = reel.connections;
            reel.connections += 1;
            number
        };
        self.note(number, Event::Open);
        number
    }

    /// Writes down what happened.
    pub fn note(&self, connection: u32, mut event: Event) {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut reel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Sent(bytes) | Event::Came(bytes) = &mut event {
            let kept = bytes.len().min(TAPE_LIMIT.saturating_sub(reel.kept));
            reel.left_out += u64::try_from(bytes.len() - kept).unwrap_or(u64::MAX);
            reel.kept += kept;
            bytes.truncate(kept);
            if kept == 0 {
                return;
            }
        }
        reel.entries.push(Entry { time, connection, event });
    }

    /// What was written down, and how many bytes were not.
    #[must_use]
    pub fn take(&self) -> (Vec<Entry>, u64) {
        let mut reel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut reel.entries), reel.left_out)
    }
}
