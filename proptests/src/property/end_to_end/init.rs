//! INIT: who gets in, and with what.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::bundle::PeerOneTimeKey;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::init::{IncomingInit, OneTimeSecret, seal_init};
use messageu_envelope::offer::{OwnOffer, PeerOffer};
use messageu_wire::envelope::field::{EnvelopeId, OfferId, UnixMillis};
use messageu_wire::envelope::frame::{BodyType, Frame, LADDER};
use messageu_wire::envelope::init::{INIT_HEADER_SIZE, INIT_OVERHEAD, Init};
use messageu_wire::envelope::msg::MSG_HEADER_SIZE;
use messageu_wire::envelope::sealed::Sealed;
use sha2::{Digest, Sha256};

use super::users::{NOW, ONE_TIME_ID, User, alice, bob, chain_step, hkdf, msg_aad, rng, text};
use crate::rarely::rarely;
use crate::unstructured::change;

/// Of the INITs, one in so many is opened: that takes RSA's private operation.
const OPEN_ONE_IN: u32 = 128;

/// A true INIT, with what its recipient opens it with, and the secrets that it is sealed under.
struct TrueInit {
    envelope: Vec<u8>,
    from: &'static User,
    to: &'static User,
    /// The offer that it answers.
    offer: Option<OwnOffer>,
    /// T: what the sender block is bound to.
    transcript: [u8; 32],
    /// K0: what the sender block is sealed under.
    sender_key: AeadKey,
    /// What the first message is sealed under.
    message_key: AeadKey,
}

impl TrueInit {
    /// To a one-time prekey, or to none.
    fn new(one_time: Option<&PeerOneTimeKey>, seed: u8) -> Self {
        let to = bob().peer_bundle();
        let sealed = seal_init(&alice().key, &to, one_time, &text(b"first"), &mut rng(seed));
        Self::of(sealed.expect("an INIT").0, alice(), bob(), None)
    }

    /// In answer to an offer of Alice's.
    fn answer() -> Self {
        let mut rng = rng(132);
        let offer = OwnOffer::new(OfferId(9), bob().id(), DhSecret::generate(&mut rng));
        let envelope = offer.seal(&alice().key, NOW, &mut rng).expect("an OFFER");
        let peers = PeerOffer::check(&envelope, bob().id(), NOW).expect("an OFFER");
        let (to, id) = (alice().peer_bundle(), EnvelopeId([5; 16]));
        let answer = peers.answer(&bob().key, &to, UnixMillis(0), id, &mut rng).expect("an INIT");
        Self::of(answer.0, bob(), alice(), Some(offer))
    }

    /// Derives what it is sealed under, with primitives and the recipient's private keys.
    fn of(envelope: Vec<u8>, from: &'static User, to: &'static User, offer: Option<OwnOffer>) -> Self {
        let Init { header, first, .. } = Init::decode(&envelope).expect("an INIT");
        let bundle = Sha256::digest(to.bundle.bundle().encode());
        let bound = [&envelope[..INIT_HEADER_SIZE], &to.identity().fingerprint().0, &bundle].concat();
        let transcript: [u8; 32] = Sha256::digest(bound).into();
        let mut secret = to.bundle.wrapping().unwrap(&header.wrapped, &mut rng(1)).as_bytes().to_vec();
        let own = offer.as_ref().map(OwnOffer::secret);
        let once = own.or_else(|| (header.one_time_id == ONE_TIME_ID).then_some(&to.one_time));
        for ours in [Some(to.bundle.prekey()), once].into_iter().flatten() {
            secret.extend_from_slice(&*ours.agree(&header.ephemeral).expect("they agree"));
        }
        let derived = hkdf::<96>(&transcript, &secret, b"MU3-INIT");
        let (sender_key, pre) = derived.split_first_chunk().expect("64 of 96");
        let parties = [from.identity().fingerprint().0, to.identity().fingerprint().0];
        let info = [b"MU3-SK".as_slice(), parties.as_flattened()].concat();
        let session = hkdf::<48>(&transcript, pre, &info);
        let agreed = to.bundle.prekey().agree(&first.header.ratchet).expect("they agree");
        let stepped = hkdf::<64>(&session[..32], &*agreed, b"MU3-RK");
        let (message_key, _) = chain_step(stepped.last_chunk().expect("32 of 64"));
        let sender_key = AeadKey::from_bytes(sender_key);
        Self { envelope, from, to, offer, transcript, sender_key, message_key }
    }

    fn one_time(&self) -> OneTimeSecret<'_> {
        match (&self.offer, Init::decode(&self.envelope).expect("an INIT").header.one_time_id) {
            (Some(offer), _) => OneTimeSecret::Offer(offer),
            (None, ONE_TIME_ID) => OneTimeSecret::Prekey(ONE_TIME_ID, &self.to.one_time),
            (None, _) => OneTimeSecret::None,
        }
    }

    /// What is in an INIT that came, if it opens.
    fn open(&self, came: &[u8]) -> Option<Frame> {
        let incoming = IncomingInit::decode(came).ok()?;
        let opened = incoming.open(&self.to.bundle, self.one_time(), NOW, &mut rng(2)).ok()?;
        assert_eq!(&opened.peer, self.from.identity(), "whoever gets in is who signed");
        Some(opened.frame)
    }
}

fn true_ones() -> &'static [TrueInit; 3] {
    static INITS: OnceLock<[TrueInit; 3]> = OnceLock::new();
    INITS.get_or_init(|| {
        let one_time = bob().peer_one_time();
        [TrueInit::new(Some(&one_time), 130), TrueInit::new(None, 131), TrueInit::answer()]
    })
}

/// INITs to a one-time prekey, to none, and in answer to an offer: seeds.
pub fn true_inits() -> impl Iterator<Item = &'static [u8]> {
    true_ones().iter().map(|init| init.envelope.as_slice())
}

/// Any bytes, a true INIT that was changed, or one whose sender block or first message was changed before it was sealed.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_init(bytes: &mut Unstructured<'_>) -> Result<()> {
    let is_opened = rarely(bytes.peek_bytes(bytes.len()).unwrap_or_default(), OPEN_ONE_IN);
    let choice = bytes.arbitrary::<u8>()?;
    let init = &true_ones()[usize::from(choice % 3)];
    match choice {
        0..64 => {
            let came = bytes.bytes(bytes.len())?;
            check_form(came);
            assert!(!is_opened || came == init.envelope || init.open(came).is_none());
        }
        64..128 => {
            let mut came = init.envelope.clone();
            change(&mut came, bytes)?;
            check_form(&came);
            assert!(!is_opened || init.open(&came).is_some() == (came == init.envelope), "{came:02x?}");
        }
        128..192 if is_opened => check_sender_block(init, bytes)?,
        192.. if is_opened => check_first_message(init, bytes)?,
        _ => {}
    }
    Ok(())
}

/// What is read is written again byte for byte.
fn check_form(came: &[u8]) {
    match Init::decode(came) {
        Ok(init) => assert!(init.encode() == came),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// With the key of a sender block in hand: no other block lets anybody in.
fn check_sender_block(init: &TrueInit, bytes: &mut Unstructured<'_>) -> Result<()> {
    let mut came = Init::decode(&init.envelope).expect("an INIT");
    let true_block = init.sender_key.open(&init.transcript, &came.sender).expect("a sender block");
    let mut block = true_block.clone();
    change(&mut block, bytes)?;
    came.sender = init.sender_key.seal(&init.transcript, &block, &mut rng(3));
    assert_eq!(init.open(&came.encode()).is_some(), block == true_block, "{block:02x?}");
    Ok(())
}

/// With the key of a first message in hand: it opens if it is a frame that may stand there.
fn check_first_message(init: &TrueInit, bytes: &mut Unstructured<'_>) -> Result<()> {
    let mut frame = Frame::arbitrary(bytes)?;
    frame.body_type = BodyType(bytes.int_in_range(0..=7)?);
    let mut plaintext = frame.encode().map_or_else(|_| vec![0; LADDER[0] - 1], |frame| frame.to_vec());
    change(&mut plaintext, bytes)?;
    let header = &init.envelope[INIT_OVERHEAD..][..MSG_HEADER_SIZE];
    let aad = msg_aad(init.from.identity(), init.to.identity(), header);
    let sealed: Sealed = init.message_key.seal(&aad, &plaintext, &mut rng(4));
    let came = [&init.envelope[..INIT_OVERHEAD], header, &sealed.encode()].concat();
    let is_answer = |frame: &Frame| match &init.offer {
        Some(offer) => frame.body_type == BodyType::KEY_ANSWER && frame.body == offer.id().0.to_le_bytes(),
        None => frame.body_type != BodyType::KEY_ANSWER,
    };
    let expected = Frame::decode(&plaintext).ok().filter(is_answer);
    assert_eq!(init.open(&came), expected, "{plaintext:02x?}");
    Ok(())
}
