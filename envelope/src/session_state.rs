//! A session as bytes, to be stored sealed. The format is this program's own, and no peer sees it.
//!
//! ```text
//! version 1 = 1 ‖ session id 16 ‖ our fingerprint 32 ‖ peer's fingerprint 32 ‖ root 32
//! sending: 0 ‖ previous count u32
//!       or 1 ‖ previous count u32 ‖ ratchet secret 32 ‖ chain key 32 ‖ next u32
//! receiving: 0, or 1 ‖ ratchet X25519 32 ‖ chain key 32 ‖ next u32
//! count u16 ‖ count × (ratchet X25519 32 ‖ number u32 ‖ since u64 ‖ message key 64), oldest first
//! ```

use messageu_wire::envelope::field::{DhPublicKey, Fingerprint, SessionId, UnixSeconds};
use zeroize::Zeroizing;

use crate::aead::AeadKey;
use crate::dh::DhSecret;
use crate::error::StateError;
use crate::session::{Chain, ChainKey, Receiving, SKIPPED_MAX, Sending, Session, Skipped};

/// Most bytes of a session.
pub const SESSION_STATE_MAX: usize = FIXED_MAX + SKIPPED_MAX * SKIPPED_SIZE;

/// The format's version.
const VERSION: u8 = 1;
/// Most bytes before the skipped messages.
const FIXED_MAX: usize = 1 + 16 + 3 * 32 + 73 + 69 + 2;
/// Bytes of a skipped message's key.
const SKIPPED_SIZE: usize = 32 + 4 + 8 + 64;

impl Session {
    /// The session as bytes, which are as secret as its messages.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Reserved whole: growing would leave copies of the keys behind.
        let mut out = Zeroizing::new(Vec::with_capacity(FIXED_MAX + self.skipped.len() * SKIPPED_SIZE));
        out.push(VERSION);
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.us.0);
        out.extend_from_slice(&self.peer.0);
        out.extend_from_slice(&self.root.0);
        match &self.sending {
            Sending::New { previous_count } => {
                out.push(0);
                out.extend_from_slice(&previous_count.to_le_bytes());
            }
            Sending::Chain { ratchet, previous_count, chain } => {
                out.push(1);
                out.extend_from_slice(&previous_count.to_le_bytes());
                out.extend_from_slice(ratchet.as_bytes());
                write_chain(chain, &mut out);
            }
        }
        match &self.receiving {
            None => out.push(0),
            Some(Receiving { ratchet, chain }) => {
                out.push(1);
                out.extend_from_slice(&ratchet.0);
                write_chain(chain, &mut out);
            }
        }
        let count = u16::try_from(self.skipped.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for skipped in &self.skipped {
            out.extend_from_slice(&skipped.ratchet.0);
            out.extend_from_slice(&skipped.number.to_le_bytes());
            out.extend_from_slice(&skipped.since.0.to_le_bytes());
            out.extend_from_slice(&*skipped.key.to_bytes());
        }
        out
    }

    /// Reads what [`Session::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`StateError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader { bytes, at: 0 };
        reader.expect(|[version]| version == VERSION)?;
        let id = SessionId(reader.take()?);
        let (us, peer) = (Fingerprint(reader.take()?), Fingerprint(reader.take()?));
        let root = ChainKey(reader.take()?);
        let [sends_chain] = reader.expect(|[tag]| tag <= 1)?;
        let previous_count = u32::from_le_bytes(reader.take()?);
        let sending = if sends_chain == 0 {
            Sending::New { previous_count }
        } else {
            let ratchet = DhSecret::from_bytes(&Zeroizing::new(reader.take()?));
            Sending::Chain { ratchet, previous_count, chain: reader.chain()? }
        };
        let [receives] = reader.expect(|[tag]| tag <= 1)?;
        let receiving = if receives == 0 {
            None
        } else {
            Some(Receiving { ratchet: DhPublicKey(reader.take()?), chain: reader.chain()? })
        };
        let count = reader.expect(|count| usize::from(u16::from_le_bytes(count)) <= SKIPPED_MAX)?;
        let skipped = (0..u16::from_le_bytes(count)).map(|_| {
            Ok(Skipped {
                ratchet: DhPublicKey(reader.take()?),
                number: u32::from_le_bytes(reader.take()?),
                since: UnixSeconds(u64::from_le_bytes(reader.take()?)),
                key: Box::new(AeadKey::from_bytes(&Zeroizing::new(reader.take()?))),
            })
        });
        let skipped = skipped.collect::<Result<_, StateError>>()?;
        if !reader.bytes.is_empty() {
            return Err(StateError { at: reader.at });
        }
        Ok(Self { id, us, peer, root, sending, receiving, skipped })
    }
}

fn write_chain(chain: &Chain, out: &mut Vec<u8>) {
    out.extend_from_slice(&chain.key.0);
    out.extend_from_slice(&chain.next.to_le_bytes());
}

/// What is left to read, and where that is.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(StateError { at: self.at })?;
        self.bytes = rest;
        self.at += N;
        Ok(*taken)
    }

    fn expect<const N: usize>(&mut self, holds: impl FnOnce([u8; N]) -> bool) -> Result<[u8; N], StateError> {
        let at = self.at;
        let taken = self.take()?;
        if holds(taken) { Ok(taken) } else { Err(StateError { at }) }
    }

    fn chain(&mut self) -> Result<Chain, StateError> {
        Ok(Chain { key: ChainKey(self.take()?), next: u32::from_le_bytes(self.take()?) })
    }
}
