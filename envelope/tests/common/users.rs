//! Users of version 3 for tests: their RSA keys are data, the rest follows from a seed.

use std::sync::OnceLock;

use messageu_envelope::bundle::{BundleTerms, Expected, OwnBundle, PeerBundle, PeerOneTimeKey};
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::{Identity, IdentityKey};
use messageu_envelope::init::{IncomingInit, OneTimeSecret, OpenedInit, seal_init};
use messageu_envelope::session::Session;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::field::{
    EnvelopeId, Epoch, OneTimeId, PrekeyId, UnixMillis, UnixSeconds, WrapId,
};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::fields::ClientId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::unhex;

/// The time at which the tests take place.
pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// The id of each user's one-time prekey.
pub const ONE_TIME_ID: OneTimeId = OneTimeId(7);

/// A user with all that is theirs.
pub struct User {
    pub key: IdentityKey,
    pub bundle: OwnBundle,
    pub one_time: DhSecret,
}

impl User {
    fn new(name: &str, seed: u8) -> Self {
        let mut rng = StdRng::from_seed([seed; 32]);
        let key = IdentityKey::from_pkcs8_der(&rsa_key(name, "identity")).unwrap();
        let terms =
            BundleTerms { epoch: Epoch(5), issued: NOW, prekey_id: PrekeyId(11), wrap_id: WrapId(12) };
        let bundle = make_bundle(name, &key, terms, &mut rng);
        Self { key, bundle, one_time: DhSecret::generate(&mut rng) }
    }

    pub fn identity(&self) -> &Identity {
        self.key.identity()
    }

    pub fn id(&self) -> ClientId {
        self.identity().client_id()
    }

    pub fn expected(&self) -> Expected {
        Expected { owner: self.id(), pinned: None, epoch: None }
    }

    /// The bundle as a peer has checked it.
    pub fn peer_bundle(&self) -> PeerBundle {
        PeerBundle::check(&self.bundle.bundle().encode(), &self.expected(), NOW).unwrap()
    }

    /// The one-time prekey as a peer gets it.
    pub fn peer_one_time(&self) -> PeerOneTimeKey {
        PeerOneTimeKey { id: ONE_TIME_ID, key: self.one_time.public_key() }
    }

    /// The one-time prekey's private half.
    pub fn one_time(&self) -> OneTimeSecret<'_> {
        OneTimeSecret::Prekey(ONE_TIME_ID, &self.one_time)
    }
}

/// A bundle with the wrapping key that is data.
pub fn make_bundle(name: &str, key: &IdentityKey, terms: BundleTerms, rng: &mut StdRng) -> OwnBundle {
    let wrapping = WrappingKey::from_pkcs8_der(&rsa_key(name, "wrapping")).unwrap();
    OwnBundle::make(key, terms, DhSecret::generate(rng), wrapping, rng).unwrap()
}

/// The DER of a user's key.
pub fn rsa_key(name: &str, which: &str) -> Vec<u8> {
    let keys: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/modern/keys.json")).unwrap();
    unhex(keys.get(name).unwrap().get(which).unwrap().as_str().unwrap())
}

pub fn alice() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| User::new("alice", 101))
}

pub fn bob() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| User::new("bob", 102))
}

pub fn carol() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| User::new("carol", 103))
}

/// A text as a frame.
pub fn text(body: &[u8], rng: &mut StdRng) -> Frame {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    Frame {
        body_type: BodyType::TEXT,
        sent: UnixMillis(NOW.0 * 1000),
        message_id: EnvelopeId(id),
        body: body.to_vec(),
    }
}

/// An INIT from one to another with a one-time prekey, and the sender's session.
pub fn init(from: &User, to: &User, rng: &mut StdRng) -> (Vec<u8>, Session) {
    let frame = text(b"first", rng);
    seal_init(&from.key, &to.peer_bundle(), Some(&to.peer_one_time()), &frame, rng).unwrap()
}

/// Opens such an INIT.
pub fn open(envelope: &[u8], to: &User) -> Option<OpenedInit> {
    let incoming = IncomingInit::decode(envelope).ok()?;
    incoming.open(&to.bundle, to.one_time(), NOW, &mut StdRng::from_seed([9; 32])).ok()
}

/// A session between two, as each of them has it after the first message.
pub fn sessions(from: &User, to: &User, rng: &mut StdRng) -> (Session, Session) {
    let (envelope, ours) = init(from, to, rng);
    (ours, open(&envelope, to).unwrap().session)
}
