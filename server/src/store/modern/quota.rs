//! Who has had how much, told by tags instead of ids.

use std::collections::HashMap;
use std::hash::Hash;

use messageu_wire::envelope::field::EnvelopeId;
use messageu_wire::fields::ClientId;
use sha2::{Digest as _, Sha256};

use super::ModernError;

/// Minutes of the windows in which is counted what is sent, and which one-time keys are given.
const HOUR: u32 = 60;
const DAY: u32 = 24 * 60;

/// A sender, to a recipient: another tag for each of the two, and after each restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(in crate::store) struct PairTag(pub(in crate::store) i64);

/// Whoever is counted, for one purpose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::store) struct PeerTag(u64);

/// By which a retry is known. It tells nothing: the sender's number is random, and it is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(in crate::store) struct SentTag(pub(in crate::store) [u8; 16]);

impl SentTag {
    pub(in crate::store) fn new(from: ClientId, to: ClientId, message: EnvelopeId) -> Self {
        let hash = Sha256::new().chain_update(b"MU3-SENT\0").chain_update(from.0).chain_update(to.0);
        Self(first(&hash.chain_update(message.0).finalize()))
    }
}

/// Makes tags that tell nobody who was meant, as it is never written down.
pub(in crate::store) struct Secret([u8; 32]);

impl Secret {
    pub(in crate::store) fn new() -> Self {
        Self(rand::random())
    }

    pub(in crate::store) fn pair(&self, from: ClientId, to: ClientId) -> PairTag {
        PairTag(i64::from_le_bytes(self.tag(b"pair", &[from, to])))
    }

    pub(in crate::store) fn sender(&self, from: ClientId) -> PeerTag {
        PeerTag(u64::from_le_bytes(self.tag(b"mail", &[from])))
    }

    pub(in crate::store) fn uploader(&self, from: ClientId) -> PeerTag {
        PeerTag(u64::from_le_bytes(self.tag(b"file", &[from])))
    }

    pub(in crate::store) fn asker(&self, by: ClientId, of: ClientId) -> PeerTag {
        PeerTag(u64::from_le_bytes(self.tag(b"keys", &[by, of])))
    }

    /// Each purpose has as many ids of the same size, so that none is another's.
    fn tag(&self, purpose: &[u8; 4], ids: &[ClientId]) -> [u8; 8] {
        let hash = Sha256::new().chain_update(self.0).chain_update(purpose);
        first(&ids.iter().fold(hash, |hash, id| hash.chain_update(id.0)).finalize())
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// Counts for a time of each, from its first use on.
pub(in crate::store) struct Windows<K> {
    minutes: u32,
    counts: HashMap<K, (u32, u64)>,
}

impl<K: Copy + Eq + Hash> Windows<K> {
    fn new(minutes: u32) -> Self {
        Self { minutes, counts: HashMap::new() }
    }

    /// What was counted in the window that is open, and in how many minutes it closes.
    fn open(&self, key: K, minute: u32) -> (u64, u32) {
        let open = self.counts.get(&key).filter(|(since, _)| is_open(self.minutes, *since, minute));
        open.map_or((0, self.minutes), |(since, count)| (*count, since + self.minutes - minute))
    }

    fn add(&mut self, key: K, minute: u32, amount: u64) {
        let (since, count) = self.counts.entry(key).or_insert((minute, 0));
        if !is_open(self.minutes, *since, minute) {
            (*since, *count) = (minute, 0);
        }
        *count = count.saturating_add(amount);
    }

    fn prune(&mut self, minute: u32) {
        self.counts.retain(|_, (since, _)| is_open(self.minutes, *since, minute));
    }
}

/// Whether a window that began at a minute is open. A clock that was set back begins another one.
fn is_open(minutes: u32, since: u32, minute: u32) -> bool {
    minute.checked_sub(since).is_some_and(|age| age < minutes)
}

/// What senders have sent in an hour, and askers were given in a day.
pub(in crate::store) struct Rates {
    sent: Windows<PeerTag>,
    given: Windows<PeerTag>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { sent: Windows::new(HOUR), given: Windows::new(DAY) }
    }
}

impl Rates {
    /// Whether a peer may send so many bytes more, beside those that it is about to send.
    pub(in crate::store) fn may_send(
        &self,
        peer: PeerTag,
        minute: u32,
        (bytes, about_to): (u64, u64),
        limit: u64,
    ) -> Result<(), ModernError> {
        let (sent, closes) = self.sent.open(peer, minute);
        if sent.saturating_add(about_to).saturating_add(bytes) <= limit {
            return Ok(());
        }
        let retry_after = std::time::Duration::from_secs(u64::from(closes) * 60);
        Err(ModernError::TooSoon { retry_after })
    }

    pub(in crate::store) fn sent(&mut self, peer: PeerTag, minute: u32, bytes: u64) {
        self.sent.add(peer, minute, bytes);
    }

    /// How many one-time keys an asker was given today.
    pub(in crate::store) fn given_today(&self, asker: PeerTag, minute: u32) -> u64 {
        self.given.open(asker, minute).0
    }

    pub(in crate::store) fn given(&mut self, asker: PeerTag, minute: u32, keys: u64) {
        self.given.add(asker, minute, keys);
    }

    /// Forgets what does not count any more.
    pub(in crate::store) fn prune(&mut self, minute: u32) {
        self.sent.prune(minute);
        self.given.prune(minute);
    }
}

#[cfg(test)]
mod tests {
    use messageu_wire::envelope::field::EnvelopeId;
    use messageu_wire::fields::ClientId;

    use super::{Secret, SentTag, Windows};

    const ANNA: ClientId = ClientId([1; 16]);
    const BELA: ClientId = ClientId([2; 16]);

    #[test]
    fn a_window_opens_with_the_first_use_and_closes_after_its_time() {
        let mut windows = Windows::new(60);
        windows.add('a', 100, 5);
        windows.add('a', 159, 2);
        assert_eq!(windows.open('a', 159), (7, 1));
        assert_eq!(windows.open('a', 160), (0, 60));
        windows.add('a', 160, 1);
        assert_eq!(windows.open('a', 161), (1, 59));
        assert_eq!(windows.open('b', 161), (0, 60));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_another_window() {
        let mut windows = Windows::new(60);
        windows.add('a', 100_000, 5);
        assert_eq!(windows.open('a', 99), (0, 60));
        windows.add('a', 99, 1);
        assert_eq!(windows.open('a', 100), (1, 59));
    }

    #[test]
    fn windows_that_have_closed_are_forgotten() {
        let mut windows = Windows::new(60);
        windows.add('a', 100, 5);
        windows.add('b', 130, 5);
        windows.prune(160);
        assert_eq!(windows.counts.len(), 1);
    }

    #[test]
    fn a_tag_depends_on_everything_that_it_is_made_of() {
        let (secret, other) = (Secret::new(), Secret::new());
        assert_eq!(secret.pair(ANNA, BELA), secret.pair(ANNA, BELA));
        assert_ne!(secret.pair(ANNA, BELA), secret.pair(BELA, ANNA));
        assert_ne!(secret.pair(ANNA, BELA), other.pair(ANNA, BELA));
        assert_ne!(secret.sender(ANNA), secret.uploader(ANNA));
        let tags = [(ANNA, BELA, 1), (BELA, ANNA, 1), (ANNA, ANNA, 1), (ANNA, BELA, 2)];
        let tags = tags.map(|(from, to, number)| SentTag::new(from, to, EnvelopeId([number; 16])));
        let distinct: std::collections::HashSet<_> = tags.into_iter().collect();
        assert_eq!(distinct.len(), 4);
    }
}
