//! Everything that is on somebody's device, in the hands of a thief; or of somebody who has changed their own program.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use messageu_envelope::aead::AeadKey;
use messageu_envelope::at_rest::{open_key_file, open_record};
use messageu_envelope::bundle::OwnBundle;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::Identity;
use messageu_envelope::init::{IncomingInit, OneTimeSecret};
use messageu_envelope::session::Session;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::OneTimeId;
use messageu_wire::envelope::file::Manifest;
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::init::{INIT_OVERHEAD, SenderBlock};
use messageu_wire::envelope::{EnvelopeKind, Prefix};
use serde_json::Value;

use super::{Person, contains, now};
use crate::thief::Thief;

/// Kinds of records, as `client/src/modern/state/records.rs` numbers them.
const BUNDLE_KEYS: u8 = 2;
const ONE_TIME_KEY: u8 = 3;
const SESSION_STATE: u8 = 7;
const DOWNLOAD: u8 = 14;

/// The records of an account, opened.
pub(crate) struct Stolen(Vec<(u8, Value)>);

impl Stolen {
    /// Takes the state of somebody without a passphrase.
    pub(crate) fn of(person: &Person) -> Self {
        let dir = person.dir.path().join(messageu_client::STATE_DIR).join("v3");
        let keys = open_key_file(b"", &std::fs::read(dir.join("keys")).unwrap()).unwrap();
        let seal = AeadKey::from_bytes(keys.first_chunk().unwrap());
        let database = rusqlite::Connection::open(dir.join("state.db")).unwrap();
        let mut select = database.prepare("SELECT kind, place, sealed FROM records").unwrap();
        let rows = select.query_map([], |row| {
            Ok((row.get::<_, u8>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
        });
        let open = |(kind, place, sealed): (u8, Vec<u8>, Vec<u8>)| {
            let json = open_record(&seal, &[&[kind], &place[..]].concat(), &sealed).unwrap();
            (kind, serde_json::from_slice(&json).unwrap())
        };
        Self(rows.unwrap().map(|row| open(row.unwrap())).collect())
    }

    fn all(&self, kind: u8) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |(other, _)| *other == kind).map(|(_, value)| value)
    }

    /// Whether a text is in anything that is there.
    pub(crate) fn has(&self, text: &[u8]) -> bool {
        self.0.iter().any(|(_, value)| has(value, text))
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.all(SESSION_STATE).map(|record| Session::from_bytes(&bytes(&record["state"])).unwrap()).collect()
    }

    pub(crate) fn bundles(&self) -> Vec<OwnBundle> {
        let restore = |record: &Value| {
            let bundle = Bundle::decode(&bytes(&record["bundle"])).unwrap();
            let prekey = DhSecret::from_bytes(bytes(&record["prekey"])[..].try_into().unwrap());
            let wrapping = WrappingKey::from_pkcs8_der(&bytes(&record["wrapping"])).unwrap();
            OwnBundle::restore(bundle, prekey, wrapping).unwrap()
        };
        self.all(BUNDLE_KEYS).map(restore).collect()
    }

    pub(crate) fn one_time_keys(&self) -> Vec<(OneTimeId, DhSecret)> {
        let key = |record: &Value| {
            let id = OneTimeId(u32::try_from(record["id"].as_u64().unwrap()).unwrap());
            (id, DhSecret::from_bytes(bytes(&record["secret"])[..].try_into().unwrap()))
        };
        self.all(ONE_TIME_KEY).map(key).collect()
    }

    /// The files that are yet to be fetched.
    pub(crate) fn manifests(&self) -> Vec<Manifest> {
        self.all(DOWNLOAD).map(|record| Manifest::decode(&bytes(&record["manifest"])).unwrap()).collect()
    }

    /// What an INIT says, if the keys that are there open it: the one-time key that it calls for, another in its place, or none.
    pub(crate) fn opens_init(&self, envelope: &[u8]) -> Option<Frame> {
        let init = IncomingInit::decode(envelope).unwrap();
        let mut keys = self.one_time_keys();
        keys.sort_by_key(|(id, _)| *id != init.one_time_id());
        let secrets = keys.iter().take(2).map(|(_, key)| OneTimeSecret::Prekey(init.one_time_id(), key));
        let secrets: Vec<_> = secrets.chain([OneTimeSecret::None]).collect();
        let bundles = self.bundles();
        let mut tries = bundles.iter().flat_map(|bundle| secrets.iter().map(move |secret| (bundle, *secret)));
        tries.find_map(|(bundle, secret)| {
            init.open(bundle, secret, now(), &mut rand::rng()).ok().map(|opened| opened.frame)
        })
    }

    /// Which of all envelopes that two have ever sent each other can be read with what is there, and primitives.
    pub(crate) fn reads(&self, envelopes: &[Vec<u8>], users: [&Identity; 2]) -> Vec<bool> {
        let is_init = |envelope: &[u8]| Prefix::peek(envelope).unwrap().kind == EnvelopeKind::INIT;
        let msg = |envelope: &Vec<u8>| {
            let from = if is_init(envelope) { INIT_OVERHEAD } else { 0 };
            envelope[from..].to_vec()
        };
        let msgs: Vec<_> = envelopes.iter().map(msg).collect();
        let mut reads = vec![false; envelopes.len()];
        for session in self.sessions() {
            let by_session = Thief::of(&session).reads(&msgs, users);
            reads.iter_mut().zip(by_session).for_each(|(reads, by_session)| *reads |= by_session);
        }
        for (reads, envelope) in reads.iter_mut().zip(envelopes).filter(|(_, envelope)| is_init(envelope)) {
            *reads |= self.opens_init(envelope).is_some();
        }
        reads
    }

    /// What the program of somebody would never send: any body of any type, in their first session.
    pub(crate) fn seals(&self, body_type: BodyType, body: &[u8]) -> Vec<u8> {
        let frame = super::forgery::frame(body_type, body);
        self.sessions()[0].seal(&frame, &mut rand::rng()).unwrap().0
    }

    /// The sender block in an INIT that was sealed to whoever was robbed, and its transcript.
    pub(crate) fn sender_block(&self, envelope: &[u8]) -> SenderBlock {
        super::forgery::sender_block(envelope, &self.bundles()[0], &self.one_time_keys())
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

fn has(value: &Value, text: &[u8]) -> bool {
    match value {
        Value::String(string) => {
            contains(string.as_bytes(), text)
                || STANDARD_NO_PAD.decode(string).is_ok_and(|bytes| contains(&bytes, text))
        }
        Value::Array(values) => values.iter().any(|value| has(value, text)),
        Value::Object(fields) => fields.values().any(|value| has(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
