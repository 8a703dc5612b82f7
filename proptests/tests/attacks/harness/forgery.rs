//! INITs made of primitives, by somebody who keeps to no rule.

use messageu_envelope::aead::AeadKey;
use messageu_envelope::bundle::OwnBundle;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::Identity;
use messageu_envelope::wrapping::{PeerWrappingKey, Wrapped};
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{DhPublicKey, EnvelopeId, OneTimeId, SessionId, Signature, UnixMillis};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::init::{INIT_HEADER_SIZE, Init, InitHeader, SenderBlock};
use messageu_wire::envelope::msg::{Msg, MsgHeader};
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use messageu_wire::modern::field::OneTimeKey;
use sha2::{Digest, Sha256};

use super::now;
use crate::primitives::{chain_step, hkdf, root_step};

/// An INIT to be forged.
pub(crate) struct Forgery<'a> {
    /// Whom it says it is from.
    pub(crate) from: &'a Identity,
    pub(crate) to: &'a Bundle,
    pub(crate) one_time: Option<OneTimeKey>,
    /// Gives a signature over what the sender of this INIT would have to sign.
    pub(crate) sign: &'a dyn Fn(&[u8]) -> Signature,
    /// Whether all agreements are on nothing: X25519 with a share of zeros, of which the result is zeros.
    pub(crate) is_zero: bool,
}

impl Forgery<'_> {
    /// The envelope, with this text.
    pub(crate) fn seal(&self, text: &str) -> Vec<u8> {
        let mut rng = rand::rng();
        let to = &self.to.content;
        let recipient = Identity::new(&to.identity).unwrap();
        let (ephemeral, ratchet) = (DhSecret::generate(&mut rng), DhSecret::generate(&mut rng));
        let random = Wrapped::generate(&mut rng);
        let share = |secret: &DhSecret| if self.is_zero { DhPublicKey([0; 32]) } else { secret.public_key() };
        let agree = |secret: &DhSecret, key: &DhPublicKey| {
            if self.is_zero { [0; 32] } else { *secret.agree(key).unwrap() }
        };
        let header = InitHeader {
            prefix: Prefix::new(EnvelopeKind::INIT),
            prekey_id: to.prekey_id,
            one_time_id: self.one_time.map_or(OneTimeId::NONE, |key| key.id()),
            wrap_id: to.wrap_id,
            ephemeral: share(&ephemeral),
            wrapped: PeerWrappingKey::new(&to.wrap_key).unwrap().wrap(&random, &mut rng).unwrap(),
        };
        let transcript = transcript(&header.encode(), self.to);
        let agreed: Vec<_> = [Some(to.prekey), self.one_time.map(|key| key.key())]
            .iter()
            .flatten()
            .map(|key| agree(&ephemeral, key))
            .collect();
        let secret = [random.as_bytes().as_slice(), agreed.as_flattened()].concat();
        let derived = hkdf::<96>(&transcript, &secret, b"MU3-INIT");
        let (sender_key, pre) = derived.split_first_chunk().unwrap();
        let ids = [self.from.client_id().0, recipient.client_id().0];
        let block = SenderBlock {
            client_id: self.from.client_id(),
            identity: *self.from.public_key(),
            signature: (self.sign)(&[&transcript, ids.as_flattened()].concat()),
        };
        let sender = AeadKey::from_bytes(sender_key).seal(&transcript, &block.encode(), &mut rng);
        let fingerprints = [self.from.fingerprint().0, recipient.fingerprint().0];
        let info = [b"MU3-SK".as_slice(), fingerprints.as_flattened()].concat();
        let session = hkdf::<48>(&transcript, pre, &info);
        let (_, chain) = root_step(session.first_chunk().unwrap(), &agree(&ratchet, &to.prekey));
        let header_of_first = MsgHeader {
            prefix: Prefix::new(EnvelopeKind::MSG),
            session_id: SessionId(*session.last_chunk().unwrap()),
            ratchet: share(&ratchet),
            previous_count: 0,
            number: 0,
        };
        let aad = [b"MU3-MSG\0", ids.as_flattened(), fingerprints.as_flattened(), &header_of_first.encode()]
            .concat();
        let plaintext = frame(BodyType::TEXT, text.as_bytes()).encode().unwrap();
        let sealed = AeadKey::from_bytes(&chain_step(&chain).0).seal(&aad, &plaintext, &mut rng);
        Init { header, sender, first: Msg { header: header_of_first, sealed } }.encode()
    }
}

/// A frame of now.
pub(crate) fn frame(body_type: BodyType, body: &[u8]) -> Frame {
    Frame {
        body_type,
        sent: UnixMillis(now().0 * 1000),
        message_id: EnvelopeId(rand::random()),
        body: body.to_vec(),
    }
}

/// The sender block of an INIT, opened with all the private keys that it was sealed to.
pub(super) fn sender_block(
    envelope: &[u8],
    bundle: &OwnBundle,
    one_time_keys: &[(OneTimeId, DhSecret)],
) -> SenderBlock {
    let Init { header, sender, .. } = Init::decode(envelope).unwrap();
    let transcript = transcript(&envelope[..INIT_HEADER_SIZE], bundle.bundle());
    let random = bundle.wrapping().unwrap(&header.wrapped, &mut rand::rng());
    let (_, one_time) = one_time_keys.iter().find(|(id, _)| *id == header.one_time_id).unwrap();
    let agreed = [bundle.prekey(), one_time].map(|secret| *secret.agree(&header.ephemeral).unwrap());
    let secret = [random.as_bytes().as_slice(), agreed.as_flattened()].concat();
    let derived = hkdf::<96>(&transcript, &secret, b"MU3-INIT");
    let key = AeadKey::from_bytes(derived.first_chunk().unwrap());
    SenderBlock::decode(&key.open(&transcript, &sender).unwrap()).unwrap()
}

fn transcript(header: &[u8], bundle: &Bundle) -> [u8; 32] {
    let recipient = Identity::new(&bundle.content.identity).unwrap().fingerprint();
    Sha256::digest([header, &recipient.0, &Sha256::digest(bundle.encode())].concat()).into()
}
