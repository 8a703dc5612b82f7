//! INIT: begins a session with somebody who may be offline, in one envelope.
//!
//! ```text
//! T = SHA-256(header 436 ‖ fingerprint_B ‖ SHA-256(bundle_B))
//! K0 64 ‖ pre 32 = HKDF-SHA-512(salt T, r ‖ DH(ephemeral, prekey) [‖ DH(ephemeral, one-time)], "MU3-INIT")
//! sender block: sealed under K0 with aad T; signed is T ‖ id_A ‖ id_B
//! SK 32 ‖ session id 16 = HKDF-SHA-512(salt T, pre, "MU3-SK" ‖ fingerprint_A ‖ fingerprint_B)
//! ```
//! Neither RSA alone nor X25519 alone opens anything; who sends is known to the recipient alone.

use messageu_wire::envelope::field::{
    Digest as DigestField, Fingerprint, OneTimeId, PrekeyId, SessionId, UnixSeconds,
};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::init::{Init, InitHeader, SenderBlock};
use messageu_wire::envelope::statement::{Context, InitStatement};
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::error::WireError;
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::aead::{AEAD_KEY_SIZE, AeadKey};
use crate::bundle::{OwnBundle, PeerBundle, PeerOneTimeKey};
use crate::dh::{DH_SIZE, DhSecret};
use crate::error::{OpenError, SealError};
use crate::identity::{Identity, IdentityKey};
use crate::kdf;
use crate::offer::OwnOffer;
use crate::session::{Begin, Session};
use crate::wrapping::{WRAPPED_SIZE, Wrapped};

const SECRETS_INFO: &[u8] = b"MU3-INIT";
const SESSION_INFO: &[u8] = b"MU3-SK";
/// Bytes of a session's id.
const SESSION_ID_SIZE: usize = 16;

/// Begins a session, and seals its first message into an INIT.
///
/// # Errors
/// [`SealError::Oneself`] with our own bundle, [`SealError::OneTimeId`] for a one-time prekey that has the id of an
/// offer's key, [`SealError::KeyAnswer`] for a frame that only an offer calls for, [`SealError::Agreement`] if a key of
/// the peer is of low order, [`SealError::Wire`] if the frame is too large, [`SealError::Key`] should the RSA library
/// fail.
pub fn seal_init(
    us: &IdentityKey,
    to: &PeerBundle,
    one_time: Option<&PeerOneTimeKey>,
    frame: &Frame,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, Session), SealError> {
    // The recipient would take it for an answer to an offer, and refuse it.
    if one_time.is_some_and(|one_time| one_time.id.offer().is_some()) {
        return Err(SealError::OneTimeId);
    }
    if frame.body_type == BodyType::KEY_ANSWER {
        return Err(SealError::KeyAnswer);
    }
    seal_init_to(us, to, one_time, frame, rng)
}

/// The same to any key: a one-time prekey, or that of an offer.
pub(crate) fn seal_init_to(
    us: &IdentityKey,
    to: &PeerBundle,
    one_time: Option<&PeerOneTimeKey>,
    frame: &Frame,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, Session), SealError> {
    let (ours, theirs) = (us.identity(), to.owner());
    if ours.client_id() == theirs.client_id() {
        return Err(SealError::Oneself);
    }
    // So does a server say that it has none left.
    let one_time = one_time.filter(|one_time| one_time.id != OneTimeId::NONE);
    let content = to.content();
    let ephemeral = DhSecret::generate(rng);
    let random = Wrapped::generate(rng);
    let header = InitHeader {
        prefix: Prefix::new(EnvelopeKind::INIT),
        prekey_id: content.prekey_id,
        one_time_id: one_time.map_or(OneTimeId::NONE, |one_time| one_time.id),
        wrap_id: content.wrap_id,
        ephemeral: ephemeral.public_key(),
        wrapped: to.wrapping().wrap(&random, rng)?,
    };
    let transcript = transcript(&header, &theirs.fingerprint(), to.hash());
    let agreed = ephemeral.agree(&content.prekey).map_err(|_| SealError::Agreement)?;
    let agreed_once = one_time.map(|one_time| ephemeral.agree(&one_time.key)).transpose();
    let agreed_once = agreed_once.map_err(|_| SealError::Agreement)?;
    let secrets = InitSecrets::derive(&transcript, &random, &agreed, agreed_once.as_deref());

    let statement = InitStatement { transcript, from: ours.client_id(), to: theirs.client_id() };
    let block = SenderBlock {
        client_id: ours.client_id(),
        identity: *ours.public_key(),
        signature: us.sign(Context::INIT, &statement.encode(), rng)?,
    };
    let sender = secrets.sender_key.seal(&transcript.0, &block.encode(), rng);

    let begin = secrets.begin(&transcript, ours, theirs);
    let session = Session::initiate(begin, ours, theirs, &content.prekey, rng)?;
    let (first, session) = session.seal_msg(frame, rng)?;
    Ok((Init { header, sender, first }.encode(), session))
}

/// An INIT that came, with what has to be looked up before it can be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncomingInit(Init);

impl IncomingInit {
    /// Reads an INIT.
    ///
    /// # Errors
    /// [`WireError`], which says what is wrong with its form.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        Init::decode(envelope).map(Self)
    }

    /// Which of our bundles it is sealed to.
    #[must_use]
    pub fn prekey_id(&self) -> PrekeyId {
        self.0.header.prekey_id
    }

    /// Which of our one-time prekeys or offers it uses.
    #[must_use]
    pub fn one_time_id(&self) -> OneTimeId {
        self.0.header.one_time_id
    }

    /// What an INIT without a one-time prekey is remembered by, as long as we have the bundle: one that is remembered
    /// already is a replay.
    #[must_use]
    pub fn replay_key(&self) -> DigestField {
        DigestField(Sha256::digest(self.0.header.encode()).into())
    }

    /// Opens the INIT: who sent it, the session, and its first message.
    ///
    /// # Errors
    /// [`OpenError`] if it is not what [`seal_init`] makes of our bundle, or the key does not match its
    /// [`one_time_id`](Self::one_time_id).
    pub fn open(
        &self,
        ours: &OwnBundle,
        one_time: OneTimeSecret<'_>,
        now: UnixSeconds,
        rng: &mut impl CryptoRng,
    ) -> Result<OpenedInit, OpenError> {
        let Init { header, sender, first } = &self.0;
        let content = &ours.bundle().content;
        if header.prekey_id != content.prekey_id || header.wrap_id != content.wrap_id {
            return Err(OpenError);
        }
        let us = ours.identity();
        let transcript = transcript(header, &us.fingerprint(), ours.hash());
        let agreed = ours.prekey().agree(&header.ephemeral)?;
        let agreed_once = one_time.agree(header)?;
        let random = ours.wrapping().unwrap(&header.wrapped, rng);
        let secrets = InitSecrets::derive(&transcript, &random, &agreed, agreed_once.as_deref());

        let block = secrets.sender_key.open(&transcript.0, sender)?;
        let block = SenderBlock::decode(&block).map_err(|_| OpenError)?;
        let peer = Identity::new(&block.identity).map_err(|_| OpenError)?;
        if peer.client_id() != block.client_id || peer.client_id() == us.client_id() {
            return Err(OpenError);
        }
        let statement = InitStatement { transcript, from: peer.client_id(), to: us.client_id() };
        peer.verify(Context::INIT, &statement.encode(), &block.signature).map_err(|_| OpenError)?;

        let begin = secrets.begin(&transcript, &peer, us);
        let opened = Session::accept(begin, us, &peer, ours.prekey(), first, now)?;
        one_time.check_answer(&peer, &opened.frame)?;
        Ok(OpenedInit { peer, session: opened.session, frame: opened.frame })
    }
}

/// The private half that an INIT's one-time id calls for. It is erased with the INIT's acceptance.
#[derive(Clone, Copy, Debug)]
pub enum OneTimeSecret<'a> {
    /// None: the INIT's replay key is to be looked for, and remembered.
    None,
    /// A published one-time prekey.
    Prekey(OneTimeId, &'a DhSecret),
    /// An offer of ours that is not answered yet.
    Offer(&'a OwnOffer),
}

impl OneTimeSecret<'_> {
    fn agree(self, header: &InitHeader) -> Result<Option<Zeroizing<[u8; DH_SIZE]>>, OpenError> {
        let (id, secret) = match self {
            Self::None => (OneTimeId::NONE, None),
            Self::Prekey(id, secret) => (id, Some(secret)),
            Self::Offer(offer) => (OneTimeId::of_offer(offer.id()), Some(offer.secret())),
        };
        if id != header.one_time_id || secret.is_none() != (id == OneTimeId::NONE) {
            return Err(OpenError);
        }
        secret.map(|secret| secret.agree(&header.ephemeral)).transpose()
    }

    /// An offer is answered by whom it was made to, and with a key answer; nothing else has one.
    fn check_answer(self, peer: &Identity, frame: &Frame) -> Result<(), OpenError> {
        let fits = match self {
            Self::Offer(offer) => offer.to() == peer.client_id() && offer.is_answered_by(frame),
            Self::None | Self::Prekey(..) => frame.body_type != BodyType::KEY_ANSWER,
        };
        if fits { Ok(()) } else { Err(OpenError) }
    }
}

/// What was in an INIT.
#[derive(Debug)]
pub struct OpenedInit {
    /// Who sent it, proved. Whether that is who the user thinks is for pins to say.
    pub peer: Identity,
    /// The session that it began.
    pub session: Session,
    /// The session's first message.
    pub frame: Frame,
}

/// What follows from the secrets in an INIT.
struct InitSecrets {
    /// K0: what the sender block is sealed under.
    sender_key: AeadKey,
    /// pre: what the session comes of, once the sender is known.
    pre: Zeroizing<[u8; 32]>,
}

impl InitSecrets {
    fn derive(
        transcript: &DigestField,
        random: &Wrapped,
        agreed: &[u8; DH_SIZE],
        agreed_once: Option<&[u8; DH_SIZE]>,
    ) -> Self {
        let mut secret = Zeroizing::new(Vec::with_capacity(WRAPPED_SIZE + 2 * DH_SIZE));
        secret.extend_from_slice(random.as_bytes());
        secret.extend_from_slice(agreed);
        secret.extend_from_slice(agreed_once.map_or(&[], |agreed| agreed.as_slice()));
        let derived = kdf::derive::<{ AEAD_KEY_SIZE + 32 }>(&transcript.0, &secret, &[SECRETS_INFO]);
        let mut sender_key = Zeroizing::new([0; AEAD_KEY_SIZE]);
        let mut pre = Zeroizing::new([0; 32]);
        let to = sender_key.iter_mut().chain(pre.iter_mut());
        to.zip(derived.iter()).for_each(|(to, from)| *to = *from);
        Self { sender_key: AeadKey::from_bytes(&sender_key), pre }
    }

    fn begin(&self, transcript: &DigestField, from: &Identity, to: &Identity) -> Begin {
        let info = [SESSION_INFO, &from.fingerprint().0, &to.fingerprint().0];
        let derived = kdf::derive::<{ 32 + SESSION_ID_SIZE }>(&transcript.0, &*self.pre, &info);
        let mut begin = Begin { secret: Zeroizing::new([0; 32]), id: SessionId([0; SESSION_ID_SIZE]) };
        let to = begin.secret.iter_mut().chain(begin.id.0.iter_mut());
        to.zip(derived.iter()).for_each(|(to, from)| *to = *from);
        begin
    }
}

/// T: everything that both sides have to agree on before there is a secret.
fn transcript(header: &InitHeader, recipient: &Fingerprint, bundle: &DigestField) -> DigestField {
    let hash = Sha256::new_with_prefix(header.encode()).chain_update(recipient.0).chain_update(bundle.0);
    DigestField(hash.finalize().into())
}
