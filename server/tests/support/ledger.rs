//! What was sent, what was acknowledged and what arrived, written down outside the server, and what that must add up to:
//! no acknowledged message is lost, none arrives twice unless something was cut or crashed in between, and those of one
//! sender arrive in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// Names a message: its sender and the sender's count. Each content begins with its mark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Mark {
    pub(crate) sender: u32,
    pub(crate) number: u64,
}

/// Bytes of a content that its mark takes.
pub(crate) const MARK_SIZE: usize = 12;

impl Mark {
    /// The content of this message: every byte follows from its mark and size.
    pub(crate) fn content(self, size: usize) -> Vec<u8> {
        let mut content: Vec<u8> = (0..size.max(MARK_SIZE)).map(|at| self.byte(at)).collect();
        content[..4].copy_from_slice(&self.sender.to_be_bytes());
        content[4..MARK_SIZE].copy_from_slice(&self.number.to_be_bytes());
        content
    }

    fn byte(self, at: usize) -> u8 {
        let mixed =
            (at as u64 ^ (self.number << 20) ^ u64::from(self.sender)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as u8
    }

    fn of(content: &[u8]) -> Option<Self> {
        let (sender, rest) = content.split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        Some(Self { sender: u32::from_be_bytes(*sender), number: u64::from_be_bytes(*number) })
    }
}

/// Where a message arrived: in which of the server's lives, on which connection, in the answer to which pull.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) life: u32,
    pub(crate) connection: u64,
    pub(crate) pull: u64,
}

#[derive(Default)]
pub(crate) struct Ledger {
    sent: HashMap<Mark, Sent>,
    arrivals: Vec<(Mark, Place)>,
    interrupted: BTreeSet<u64>,
    excused: BTreeSet<Mark>,
    strange: Vec<String>,
}

struct Sent {
    to: u32,
    size: usize,
    answer: Answered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    NotAtAll,
    Acknowledged,
    Refused,
}

/// Whether a message that was never acknowledged can arrive behind one that was sent later: not where the server's
/// death settles what is still on its way, but where a connection may linger beside the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum InDoubt {
    KeepsItsPlace,
    MayBeOvertaken,
}

impl Ledger {
    /// Written down before the first byte is sent.
    pub(crate) fn sent(&mut self, mark: Mark, to: u32, size: usize) {
        let known = self.sent.insert(mark, Sent { to, size, answer: Answered::NotAtAll });
        assert!(known.is_none(), "{mark:?} was sent before");
    }

    pub(crate) fn acknowledged(&mut self, mark: Mark) {
        self.sent.get_mut(&mark).unwrap().answer = Answered::Acknowledged;
    }

    /// It must not arrive.
    pub(crate) fn refused(&mut self, mark: Mark) {
        self.sent.get_mut(&mark).unwrap().answer = Answered::Refused;
    }

    /// A message has arrived, at its last byte.
    pub(crate) fn arrived(&mut self, to: u32, content: &[u8], place: Place) {
        let known = Mark::of(content).and_then(|mark| Some((mark, self.sent.get(&mark)?)));
        match known {
            Some((mark, sent)) if sent.to == to && content == mark.content(sent.size) => {
                self.arrivals.push((mark, place));
            }
            Some((mark, _)) => self.strange.push(format!("{mark:?} is altered, or came to {to} by mistake")),
            None => self.strange.push(format!("{} bytes that nobody sent came to {to}", content.len())),
        }
    }

    /// A connection did not come to a clean end, or was held up: what arrived on it may arrive again.
    pub(crate) fn interrupted(&mut self, connection: u64) {
        self.interrupted.insert(connection);
    }

    /// A message of this content is known to come again: deleting it failed.
    pub(crate) fn excuse(&mut self, content: &[u8]) {
        self.excused.extend(Mark::of(content));
    }

    /// What it all adds up to, once nothing waits any more.
    pub(crate) fn balance(&self, in_doubt: InDoubt) -> Balance {
        let count = |answer| self.sent.values().filter(|sent| sent.answer == answer).count();
        let acknowledged = |mark: &Mark| self.sent[mark].answer == Answered::Acknowledged;
        let mut balance = Balance {
            acknowledged: count(Answered::Acknowledged),
            refused: count(Answered::Refused),
            in_doubt: count(Answered::NotAtAll),
            arrivals: self.arrivals.len(),
            strange: self.strange.clone(),
            ..Balance::default()
        };
        let mut last: HashMap<Mark, Place> = HashMap::new();
        let mut newest: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        let mut newest_in_pull: BTreeMap<(u64, u32), u64> = BTreeMap::new();
        for (mark, place) in &self.arrivals {
            if self.sent[mark].answer == Answered::Refused {
                balance.strange.push(format!("{mark:?} was refused"));
            }
            let again = last.insert(*mark, *place);
            if let Some(before) = again {
                let excuse = before.life != place.life
                    || self.interrupted.contains(&before.connection)
                    || self.excused.contains(mark);
                if excuse {
                    balance.repeated_after_fault += 1;
                } else {
                    balance.repeated.push(*mark);
                }
            }
            if in_doubt == InDoubt::MayBeOvertaken && !acknowledged(mark) {
                continue;
            }
            let in_pull = newest_in_pull.insert((place.pull, mark.sender), mark.number);
            let overtaken_in_pull = in_pull.is_some_and(|newest| newest >= mark.number);
            let first = again.is_none();
            let newest = newest.entry((mark.sender, self.sent[mark].to)).or_default();
            if overtaken_in_pull || (first && *newest > mark.number) {
                balance.overtaken.push(*mark);
            }
            *newest = mark.number.max(*newest);
        }
        balance.lost =
            self.sent.keys().filter(|mark| acknowledged(mark) && !last.contains_key(mark)).copied().collect();
        balance.lost.sort_unstable();
        balance
    }
}

/// What a ledger adds up to.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Balance {
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    /// Sent, but never acknowledged: these may have arrived or not.
    pub(crate) in_doubt: usize,
    pub(crate) arrivals: usize,
    /// Arrivals of what had arrived before, with a crash or a cut in between.
    pub(crate) repeated_after_fault: usize,
    pub(crate) lost: Vec<Mark>,
    pub(crate) repeated: Vec<Mark>,
    pub(crate) overtaken: Vec<Mark>,
    pub(crate) strange: Vec<String>,
}

impl Balance {
    /// Adds the counts of another one, which is even.
    pub(crate) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.in_doubt += other.in_doubt;
        self.arrivals += other.arrivals;
        self.repeated_after_fault += other.repeated_after_fault;
    }

    pub(crate) fn is_even(&self) -> bool {
        self.lost.is_empty()
            && self.repeated.is_empty()
            && self.overtaken.is_empty()
            && self.strange.is_empty()
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} refused, {} in doubt, {} arrivals, {} repeated after a fault, {} repeated without one, {} lost, \
             {} out of order, {} strange",
            self.acknowledged,
            self.refused,
            self.in_doubt,
            self.arrivals,
            self.repeated_after_fault,
            self.repeated.len(),
            self.lost.len(),
            self.overtaken.len(),
            self.strange.len()
        )
    }
}
