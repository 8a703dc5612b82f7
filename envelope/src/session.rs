//! A session between two users: Signal's Double Ratchet, without header encryption.
//!
//! ```text
//! root 32 ‖ chain 32 = HKDF-SHA-512(salt root, DH(ratchet, ratchet of the peer), "MU3-RK")
//! message key 64 = HMAC-SHA-512(chain, 01)      next chain 32 = HMAC-SHA-512(chain, 02)[..32]
//! ```
//! A session is a value: to seal and to open give the next one, and leave this one as it is. Who stores the next one
//! together with what was sealed or opened can be killed at any time.
//!
//! A private ratchet key lives from the first message under it until the peer's answer to it. The next one is made when
//! there is something to send: what never existed cannot be taken.

use std::collections::VecDeque;
use std::fmt;

use messageu_wire::envelope::field::{DhPublicKey, Fingerprint, SessionId, UnixSeconds};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::msg::{Msg, MsgHeader};
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::fields::ClientId;
use rand::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::aead::{AeadKey, hmac};
use crate::dh::DhSecret;
use crate::error::{OpenError, SealError};
use crate::identity::Identity;
use crate::kdf;

/// Most messages that are skipped in one chain by one message.
pub const SKIP_MAX: u32 = 1000;
/// Most keys of skipped messages that are kept; the oldest go first.
pub const SKIPPED_MAX: usize = 2000;
/// Seconds that the key of a skipped message is kept.
pub const SKIPPED_LIFE: u64 = 30 * 24 * 60 * 60;

/// What stands before the rest of a MSG's additional data.
const CONTEXT: &[u8] = b"MU3-MSG\0";
const ROOT_INFO: &[u8] = b"MU3-RK";

/// One side of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub(crate) id: SessionId,
    pub(crate) us: Fingerprint,
    pub(crate) peer: Fingerprint,
    pub(crate) root: ChainKey,
    pub(crate) sending: Sending,
    pub(crate) receiving: Option<Receiving>,
    /// Oldest first.
    pub(crate) skipped: VecDeque<Skipped>,
}

/// How the next message is sent.
#[derive(Clone)]
pub(crate) enum Sending {
    /// Under the ratchet key that we sent with last, which the peer has not answered.
    Chain {
        /// Our ratchet key.
        ratchet: DhSecret,
        /// How many messages we sent under the one before.
        previous_count: u32,
        chain: Chain,
    },
    /// Under a new ratchet key: the peer has answered the last one, which is erased.
    New {
        /// How many messages we sent under the last one.
        previous_count: u32,
    },
}

/// What the peer sends under.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Receiving {
    pub(crate) ratchet: DhPublicKey,
    pub(crate) chain: Chain,
}

/// Where a chain is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) key: ChainKey,
    /// The number of the message that the key is for.
    pub(crate) next: u32,
}

/// The key of a message that was skipped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) ratchet: DhPublicKey,
    pub(crate) number: u32,
    pub(crate) since: UnixSeconds,
    /// Boxed, since a queue that moves or grows leaves copies of what is in it behind.
    pub(crate) key: Box<AeadKey>,
}

/// A root or chain key. Erased when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct ChainKey(pub(crate) [u8; 32]);

/// What a session begins with.
pub(crate) struct Begin {
    /// SK: the first root key.
    pub(crate) secret: Zeroizing<[u8; 32]>,
    pub(crate) id: SessionId,
}

/// What was in a MSG, and the session after it.
#[derive(Debug)]
pub struct OpenedMsg {
    /// What the peer sent.
    pub frame: Frame,
    /// How many messages before this one have not come yet, beyond those that were known to be missing.
    pub newly_missing: u32,
    /// The session to go on with.
    pub session: Session,
}

impl Session {
    /// The initiator's side: sends first, to the prekey of the peer's bundle.
    pub(crate) fn initiate(
        begin: Begin,
        us: &Identity,
        peer: &Identity,
        prekey: &DhPublicKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        let ratchet = DhSecret::generate(rng);
        let mut root = ChainKey(*begin.secret);
        let chain = root.step(&ratchet, prekey).map_err(|_| SealError::Agreement)?;
        Ok(Self {
            id: begin.id,
            us: us.fingerprint(),
            peer: peer.fingerprint(),
            root,
            sending: Sending::Chain { ratchet, previous_count: 0, chain },
            receiving: None,
            skipped: VecDeque::new(),
        })
    }

    /// The responder's side: opens the initiator's first message.
    pub(crate) fn accept(
        begin: Begin,
        us: &Identity,
        peer: &Identity,
        prekey: &DhSecret,
        first: &Msg,
        now: UnixSeconds,
    ) -> Result<OpenedMsg, OpenError> {
        let MsgHeader { ratchet, previous_count: 0, number: 0, .. } = first.header else {
            return Err(OpenError);
        };
        let mut root = ChainKey(*begin.secret);
        let chain = root.step(prekey, &ratchet)?;
        let session = Self {
            id: begin.id,
            us: us.fingerprint(),
            peer: peer.fingerprint(),
            root,
            sending: Sending::New { previous_count: 0 },
            receiving: Some(Receiving { ratchet, chain }),
            skipped: VecDeque::new(),
        };
        session.open_msg(first, now)
    }

    /// Which session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Our own fingerprint.
    #[must_use]
    pub fn us(&self) -> Fingerprint {
        self.us
    }

    /// The fingerprint of the peer.
    #[must_use]
    pub fn peer(&self) -> Fingerprint {
        self.peer
    }

    /// How many messages are known to be missing whose keys are kept.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.skipped.len()
    }

    /// Whether the peer has sent anything in this session, which proves that it has it too.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.receiving.is_some()
    }

    /// The session without the keys of skipped messages that have been kept long enough; `None` if it has no such.
    ///
    /// To open does the same. This is for sessions in which nothing comes: whoever takes their state has the keys.
    #[must_use]
    pub fn without_expired(&self, now: UnixSeconds) -> Option<Self> {
        let expired = self.skipped.iter().any(|skipped| skipped.has_expired(now));
        expired.then(|| {
            let mut session = self.clone();
            session.forget_expired(now);
            session
        })
    }

    /// Seals a message, and gives the session to go on with. Store that before the envelope leaves.
    ///
    /// # Errors
    /// [`SealError::Wire`] if the frame is too large, [`SealError::KeyAnswer`] for one that only an INIT carries,
    /// [`SealError::Exhausted`] after 2^32 - 1 messages without an answer.
    pub fn seal(&self, frame: &Frame, rng: &mut impl CryptoRng) -> Result<(Vec<u8>, Self), SealError> {
        if frame.body_type == BodyType::KEY_ANSWER {
            return Err(SealError::KeyAnswer);
        }
        self.seal_msg(frame, rng).map(|(msg, session)| (msg.encode(), session))
    }

    /// Opens a message, and gives the session to go on with. This one stays as it is, whatever comes of it.
    ///
    /// # Errors
    /// [`OpenError`] for anything that the peer did not seal for us in this session, that was opened before, or that is
    /// too far ahead.
    pub fn open(&self, envelope: &[u8], now: UnixSeconds) -> Result<OpenedMsg, OpenError> {
        let msg = Msg::decode(envelope).map_err(|_| OpenError)?;
        let opened = self.open_msg(&msg, now)?;
        // An offer is answered with an INIT: here, nobody asked.
        if opened.frame.body_type == BodyType::KEY_ANSWER { Err(OpenError) } else { Ok(opened) }
    }

    pub(crate) fn seal_msg(&self, frame: &Frame, rng: &mut impl CryptoRng) -> Result<(Msg, Self), SealError> {
        let plaintext = frame.encode()?;
        let mut session = self.clone();
        let (header, key) = session.advance_sending(rng)?;
        let sealed = key.seal(&aad(&self.us, &self.peer, &header), &plaintext, rng);
        Ok((Msg { header, sealed }, session))
    }

    fn open_msg(&self, msg: &Msg, now: UnixSeconds) -> Result<OpenedMsg, OpenError> {
        if msg.header.session_id != self.id {
            return Err(OpenError);
        }
        let mut session = self.clone();
        session.forget_expired(now);
        let (key, newly_missing) = session.advance_receiving(&msg.header, now)?;
        let plaintext = key.open(&aad(&self.peer, &self.us, &msg.header), &msg.sealed)?;
        let frame = Frame::decode(&plaintext).map_err(|_| OpenError)?;
        Ok(OpenedMsg { frame, newly_missing, session })
    }

    fn forget_expired(&mut self, now: UnixSeconds) {
        self.skipped.retain(|skipped| !skipped.has_expired(now));
    }

    /// The header and key of the next message to send.
    fn advance_sending(&mut self, rng: &mut impl CryptoRng) -> Result<(MsgHeader, AeadKey), SealError> {
        if let Sending::New { previous_count } = self.sending {
            let peer = self.receiving.as_ref().ok_or(SealError::Agreement)?.ratchet;
            let ratchet = DhSecret::generate(rng);
            let chain = self.root.step(&ratchet, &peer).map_err(|_| SealError::Agreement)?;
            self.sending = Sending::Chain { ratchet, previous_count, chain };
        }
        let Sending::Chain { ratchet, previous_count, chain } = &mut self.sending else {
            return Err(SealError::Agreement);
        };
        let header = MsgHeader {
            prefix: Prefix::new(EnvelopeKind::MSG),
            session_id: self.id,
            ratchet: ratchet.public_key(),
            previous_count: *previous_count,
            number: chain.next,
        };
        let key = chain.advance().ok_or(SealError::Exhausted)?;
        Ok((header, key))
    }

    /// The key of a message that came, and how many before it turn out to be missing.
    fn advance_receiving(
        &mut self,
        header: &MsgHeader,
        now: UnixSeconds,
    ) -> Result<(AeadKey, u32), OpenError> {
        let is_this =
            |skipped: &Skipped| skipped.ratchet == header.ratchet && skipped.number == header.number;
        if let Some(at) = self.skipped.iter().position(is_this) {
            // Cloned, since a box that is moved out of is not erased.
            let skipped = self.skipped.remove(at).ok_or(OpenError)?;
            return Ok((AeadKey::clone(&skipped.key), 0));
        }
        let mut newly_missing = 0;
        let known = self.receiving.as_ref().is_some_and(|receiving| receiving.ratchet == header.ratchet);
        if !known {
            // The peer takes a new ratchet key in answer to ours alone.
            let Sending::Chain { ratchet, chain, .. } = &self.sending else { return Err(OpenError) };
            let (ratchet, previous_count) = (ratchet.clone(), chain.next);
            newly_missing += self.skip_to(header.previous_count, now)?;
            let chain = self.root.step(&ratchet, &header.ratchet)?;
            self.receiving = Some(Receiving { ratchet: header.ratchet, chain });
            self.sending = Sending::New { previous_count };
        }
        newly_missing += self.skip_to(header.number, now)?;
        let chain = &mut self.receiving.as_mut().ok_or(OpenError)?.chain;
        if chain.next != header.number {
            return Err(OpenError);
        }
        chain.advance().map(|key| (key, newly_missing)).ok_or(OpenError)
    }

    /// Keeps the keys of the receiving chain's messages before `number`, and says how many.
    fn skip_to(&mut self, number: u32, now: UnixSeconds) -> Result<u32, OpenError> {
        let Some(Receiving { ratchet, chain }) = &mut self.receiving else { return Ok(0) };
        let count = number.saturating_sub(chain.next);
        if count > SKIP_MAX {
            return Err(OpenError);
        }
        while chain.next < number {
            let skipped_number = chain.next;
            let key = Box::new(chain.advance().ok_or(OpenError)?);
            self.skipped.push_back(Skipped { ratchet: *ratchet, number: skipped_number, since: now, key });
            if self.skipped.len() > SKIPPED_MAX {
                self.skipped.pop_front();
            }
        }
        Ok(count)
    }
}

impl Skipped {
    fn has_expired(&self, now: UnixSeconds) -> bool {
        now.0 > self.since.0.saturating_add(SKIPPED_LIFE)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, {} → {}, {} missing, …)", self.id, self.us, self.peer, self.skipped.len())
    }
}

impl PartialEq for Sending {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Chain { ratchet, previous_count, chain },
                Self::Chain { ratchet: ratchet2, previous_count: previous_count2, chain: chain2 },
            ) => {
                ratchet.public_key() == ratchet2.public_key()
                    && previous_count == previous_count2
                    && chain == chain2
            }
            (Self::New { previous_count }, Self::New { previous_count: previous_count2 }) => {
                previous_count == previous_count2
            }
            _ => false,
        }
    }
}

impl Eq for Sending {}

impl Chain {
    /// The key of the next message, and a step on. `None` at the last number, which is never used.
    fn advance(&mut self) -> Option<AeadKey> {
        let next = self.next.checked_add(1)?;
        let message_key = hmac(&self.key.0, &[&[1]]);
        let chain_key = hmac(&self.key.0, &[&[2]]);
        self.key.0.iter_mut().zip(chain_key.iter()).for_each(|(to, from)| *to = *from);
        self.next = next;
        Some(AeadKey::from_bytes(&message_key))
    }
}

impl ChainKey {
    /// The root step: becomes the next root key, and gives the chain that begins.
    fn step(&mut self, ours: &DhSecret, theirs: &DhPublicKey) -> Result<Chain, OpenError> {
        let agreed = ours.agree(theirs)?;
        let derived = kdf::derive::<64>(&self.0, &*agreed, &[ROOT_INFO]);
        let mut chain = Chain { key: Self([0; 32]), next: 0 };
        let to = self.0.iter_mut().chain(chain.key.0.iter_mut());
        to.zip(derived.iter()).for_each(|(to, from)| *to = *from);
        Ok(chain)
    }
}

/// What a MSG's tag covers beside its content: who, to whom, and all before the IV.
fn aad(from: &Fingerprint, to: &Fingerprint, header: &MsgHeader) -> Vec<u8> {
    let (ClientId(from_id), ClientId(to_id)) = (from.client_id(), to.client_id());
    [CONTEXT, &from_id, &to_id, &from.0, &to.0, &header.encode()].concat()
}
