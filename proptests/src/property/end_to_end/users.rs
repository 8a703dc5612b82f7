//! Users whose RSA keys are data (`vectors/modern/keys.json`); the rest follows from a seed.

use std::sync::OnceLock;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::bundle::{BundleTerms, Expected, OwnBundle, PeerBundle, PeerOneTimeKey};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::{Identity, IdentityKey};
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::field::{
    EnvelopeId, Epoch, OneTimeId, PrekeyId, UnixMillis, UnixSeconds, WrapId,
};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::fields::ClientId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Sha512;

/// The time at which everything takes place.
pub(super) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// The id of each user's one-time prekey.
pub(super) const ONE_TIME_ID: OneTimeId = OneTimeId(7);

/// A user with all that is theirs.
pub(in super::super) struct User {
    pub(in super::super) key: IdentityKey,
    pub(in super::super) bundle: OwnBundle,
    pub(super) one_time: DhSecret,
}

impl User {
    fn new(name: &str, seed: u8) -> Self {
        let mut rng = rng(seed);
        let key = IdentityKey::from_pkcs8_der(&rsa_key(name, "identity")).expect("an identity key");
        let wrapping = WrappingKey::from_pkcs8_der(&rsa_key(name, "wrapping")).expect("a wrapping key");
        let terms =
            BundleTerms { epoch: Epoch(5), issued: NOW, prekey_id: PrekeyId(11), wrap_id: WrapId(12) };
        let prekey = DhSecret::generate(&mut rng);
        let bundle = OwnBundle::make(&key, terms, prekey, wrapping, &mut rng).expect("a bundle");
        Self { key, bundle, one_time: DhSecret::generate(&mut rng) }
    }

    pub(in super::super) fn identity(&self) -> &Identity {
        self.key.identity()
    }

    pub(super) fn id(&self) -> ClientId {
        self.identity().client_id()
    }

    /// What a peer expects of the bundle that it has fetched first.
    pub(super) fn expected(&self) -> Expected {
        Expected { owner: self.id(), pinned: Some(self.identity().fingerprint()), epoch: Some(Epoch(5)) }
    }

    /// The bundle as a peer has checked it.
    pub(super) fn peer_bundle(&self) -> PeerBundle {
        PeerBundle::check(&self.bundle.bundle().encode(), &self.expected(), NOW).expect("a bundle")
    }

    /// The one-time prekey as a peer gets it.
    pub(super) fn peer_one_time(&self) -> PeerOneTimeKey {
        PeerOneTimeKey { id: ONE_TIME_ID, key: self.one_time.public_key() }
    }
}

pub(in super::super) fn alice() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| User::new("alice", 101))
}

pub(in super::super) fn bob() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| User::new("bob", 102))
}

pub(in super::super) fn carol() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| User::new("carol", 103))
}

/// The DER of a user's key.
pub(in super::super) fn rsa_key(name: &str, which: &str) -> Vec<u8> {
    let keys: serde_json::Value =
        serde_json::from_str(include_str!("../../../../vectors/modern/keys.json")).expect("keys");
    let digits = keys[name][which].as_str().expect("a key").as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    digits.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Randomness that is the same each time.
pub(super) fn rng(seed: u8) -> StdRng {
    StdRng::from_seed([seed; 32])
}

/// A text as a frame.
pub(super) fn text(body: &[u8]) -> Frame {
    Frame {
        body_type: BodyType::TEXT,
        sent: UnixMillis(NOW.0 * 1000),
        message_id: EnvelopeId([3; 16]),
        body: body.to_vec(),
    }
}

/// HKDF-SHA-512, from the library alone.
pub(super) fn hkdf<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; N] {
    let mut derived = [0; N];
    Hkdf::<Sha512>::new(Some(salt), secret).expand(info, &mut derived).expect("not too many bytes");
    derived
}

/// The key of the message at the head of a chain, and the next chain key.
pub(super) fn chain_step(chain: &[u8; 32]) -> (AeadKey, [u8; 32]) {
    let hmac = |byte: u8| -> [u8; 64] {
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(chain).expect("any key");
        mac.update(&[byte]);
        mac.finalize().into_bytes().into()
    };
    (AeadKey::from_bytes(&hmac(1)), *hmac(2).first_chunk().expect("32 of 64"))
}

/// The additional data of a MSG with this header.
pub(super) fn msg_aad(from: &Identity, to: &Identity, header: &[u8]) -> Vec<u8> {
    let ids = [from.client_id().0, to.client_id().0];
    let fingerprints = [from.fingerprint().0, to.fingerprint().0];
    [b"MU3-MSG\0", ids.as_flattened(), fingerprints.as_flattened(), header].concat()
}
