//! vectors/modern: what this crate makes of fixed keys and fixed randomness, and what follows from it by primitives alone.
//!
//! With `MESSAGEU_WRITE_VECTORS` set, the files are written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use std::path::PathBuf;

use common::primitives::{chain_step, hkdf, hmac, root_step};
use common::users::{NOW, User, alice, bob, carol, rsa_key, text};
use common::{hex, rng, unhex};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::at_rest::{Cost, open_key_file, seal_key_file};
use messageu_envelope::authentication::{SignedRotation, sign_authentication, sign_registration};
use messageu_envelope::bundle::PeerBundle;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::file::{FileOpener, FileSealer};
use messageu_envelope::identity::{Identity, IdentityKey};
use messageu_envelope::init::seal_init;
use messageu_envelope::offer::{OwnOffer, PeerOffer};
use messageu_envelope::safety_number::{QrCode, SafetyNumber};
use messageu_envelope::session::Session;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{
    Binding, ClientNonce, DhPublicKey, OfferId, RsaPublicKey, ServerKeyHash, ServerNonce, Signature,
};
use messageu_wire::envelope::file::{FileName, FileSize, Manifest};
use messageu_wire::envelope::frame::Frame;
use messageu_wire::envelope::init::{Init, SenderBlock};
use messageu_wire::envelope::msg::Msg;
use messageu_wire::envelope::offer::Offer;
use messageu_wire::envelope::sealed::Sealed;
use messageu_wire::envelope::statement::{Authentication, BindingType, Context};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/modern").join(name)
}

fn committed(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// Holds a file to what is made here, or writes it.
fn hold(name: &str, made: &Value) {
    if std::env::var_os("MESSAGEU_WRITE_VECTORS").is_some() {
        std::fs::write(path(name), format!("{made:#}\n")).unwrap();
    }
    assert_eq!(&committed(name), made, "{name}: run the test with MESSAGEU_WRITE_VECTORS=1");
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn users() -> [(&'static str, &'static User); 3] {
    [("alice", alice()), ("bob", bob()), ("carol", carol())]
}

fn user(value: &Value) -> &'static User {
    users().into_iter().find(|(name, _)| value == name).unwrap().1
}

fn frame_fields(frame: &Frame) -> Value {
    json!({
        "type": frame.body_type.0,
        "sent": frame.sent.0,
        "message_id": hex(&frame.message_id.0),
        "body": hex(&frame.body),
    })
}

// identities.json

#[test]
fn identities() {
    let made = users().map(|(name, user)| {
        let identity = user.identity();
        json!({
            "user": name,
            "public_key": hex(&identity.public_key().0),
            "fingerprint": identity.fingerprint().to_string(),
            "client_id": user.id().to_string(),
            "qr_code": QrCode::new(identity.fingerprint()).to_string(),
        })
    });
    let pairs = [("alice", "bob"), ("alice", "carol"), ("bob", "carol")].map(|(a, b)| {
        let [one, other] = [a, b].map(|name| user(&json!(name)).identity().fingerprint());
        json!({ "users": [a, b], "digits": SafetyNumber::new(&one, &other).to_string() })
    });
    let made = json!({ "identities": made, "safety_numbers": pairs });
    hold("identities.json", &made);
    for identity in committed("identities.json")["identities"].as_array().unwrap() {
        let public_key = bytes(&identity["public_key"]);
        let fingerprint = Sha256::digest([b"MU3-ID\0".as_slice(), &public_key].concat());
        assert_eq!(*fingerprint, bytes(&identity["fingerprint"]));
        let key =
            IdentityKey::from_pkcs8_der(&rsa_key(identity["user"].as_str().unwrap(), "identity")).unwrap();
        assert_eq!(key.identity(), &Identity::new(&RsaPublicKey(public_key.try_into().unwrap())).unwrap());
    }
}

// bundles.json

#[test]
fn bundles() {
    let made = users().map(|(name, user)| {
        let bundle = user.bundle.bundle();
        let content = &bundle.content;
        json!({
            "owner": name,
            "suite": content.suite.0,
            "min_dialect": content.min_dialect.0,
            "epoch": content.epoch.0,
            "issued": content.issued.0,
            "expires": content.expires.0,
            "prekey_id": content.prekey_id.0,
            "prekey": hex(&content.prekey.0),
            "prekey_secret": hex(user.bundle.prekey().as_bytes()),
            "wrap_id": content.wrap_id.0,
            "wrap_key": hex(&content.wrap_key.0),
            "signature": hex(&bundle.signature.0),
            "bundle": hex(&bundle.encode()),
            "one_time_id": common::users::ONE_TIME_ID.0,
            "one_time_secret": hex(user.one_time.as_bytes()),
        })
    });
    hold("bundles.json", &json!({ "now": NOW.0, "bundles": made }));
    for vector in committed("bundles.json")["bundles"].as_array().unwrap() {
        let owner = user(&vector["owner"]);
        let encoded = bytes(&vector["bundle"]);
        assert!(PeerBundle::check(&encoded, &owner.expected(), NOW).is_ok());
        let content = Bundle::decode(&encoded).unwrap().content;
        assert_eq!(content.epoch.0, vector["epoch"]);
        let prekey = DhSecret::from_bytes(&array(&vector["prekey_secret"]));
        assert_eq!(prekey.public_key(), content.prekey);
    }
}

// inits.json

/// All that is derived of an INIT, with primitives and the recipient's private keys.
fn init_steps(envelope: &[u8], to: &User) -> Value {
    let Init { header, sender, first } = Init::decode(envelope).unwrap();
    let bundle_hash = Sha256::digest(to.bundle.bundle().encode());
    let transcript =
        Sha256::digest([&envelope[..436], &to.identity().fingerprint().0, &bundle_hash].concat());
    let random = to.bundle.wrapping().unwrap(&header.wrapped, &mut rng(0));
    let agreed = to.bundle.prekey().agree(&header.ephemeral).unwrap();
    let agreed_once = (header.one_time_id.0 != 0).then(|| to.one_time.agree(&header.ephemeral).unwrap());
    let once = agreed_once.as_deref().map_or(&[][..], |agreed| agreed);
    let secrets = [random.as_bytes(), &*agreed, once].concat();
    let derived = hkdf::<96>(&transcript, &secrets, b"MU3-INIT");
    let (sender_key, pre) = derived.split_first_chunk::<64>().unwrap();
    let block = AeadKey::from_bytes(sender_key).open(&transcript, &sender).unwrap();
    let block = SenderBlock::decode(&block).unwrap();
    let from = Identity::new(&block.identity).unwrap();
    let signed = [&*transcript, &from.client_id().0, &to.id().0].concat();
    from.verify(Context::INIT, &signed, &block.signature).unwrap();
    let fingerprints = [from.fingerprint().0, to.identity().fingerprint().0];
    let info = [b"MU3-SK".as_slice(), fingerprints.as_flattened()].concat();
    let session = hkdf::<48>(&transcript, pre, &info);
    let agreed_first = to.bundle.prekey().agree(&first.header.ratchet).unwrap();
    let (root, chain) = root_step(session.first_chunk().unwrap(), &agreed_first);
    let (message_key, _) = chain_step(&chain);
    let frame = open_with(&message_key, &first, &from, to.identity());
    json!({
        "bundle_hash": hex(&bundle_hash),
        "transcript": hex(&transcript),
        "random": hex(random.as_bytes()),
        "agreed": hex(&*agreed),
        "agreed_once": agreed_once.map(|agreed| hex(&*agreed)),
        "sender_key": hex(sender_key),
        "pre": hex(pre),
        "sender_block": hex(&block.encode()),
        "signed": hex(&[b"MU3-INIT\0".as_slice(), &signed].concat()),
        "session_secret": hex(&session[..32]),
        "session_id": hex(&session[32..]),
        "root_key": hex(&root),
        "chain_key": hex(&chain),
        "message_key": hex(&message_key),
        "frame": frame_fields(&frame),
        "replay_key": hex(&Sha256::digest(&envelope[..436])),
    })
}

/// Opens a MSG with its key alone.
fn open_with(message_key: &[u8; 64], msg: &Msg, from: &Identity, to: &Identity) -> Frame {
    let plaintext = AeadKey::from_bytes(message_key).open(&msg_aad(msg, from, to), &msg.sealed).unwrap();
    Frame::decode(&plaintext).unwrap()
}

fn msg_aad(msg: &Msg, from: &Identity, to: &Identity) -> Vec<u8> {
    let ids = [from.client_id().0, to.client_id().0];
    let fingerprints = [from.fingerprint().0, to.fingerprint().0];
    let header = msg.encode();
    [b"MU3-MSG\0".as_slice(), ids.as_flattened(), fingerprints.as_flattened(), &header[..64]].concat()
}

fn inits_made() -> [(Vec<u8>, Session); 2] {
    [true, false].map(|with_one_time| {
        let mut rng = rng(200);
        let one_time = bob().peer_one_time();
        let frame = text(b"Hello, Bob!", &mut rng);
        let one_time = with_one_time.then_some(&one_time);
        seal_init(&alice().key, &bob().peer_bundle(), one_time, &frame, &mut rng).unwrap()
    })
}

#[test]
fn inits() {
    let made = inits_made().map(|(envelope, _)| {
        let steps = init_steps(&envelope, bob());
        json!({ "from": "alice", "to": "bob", "envelope": hex(&envelope), "steps": steps })
    });
    hold("inits.json", &json!({ "inits": made }));
    for vector in committed("inits.json")["inits"].as_array().unwrap() {
        assert_eq!(init_steps(&bytes(&vector["envelope"]), user(&vector["to"])), vector["steps"]);
    }
}

// session.json

/// A ratchet from primitives: the keys of each message, from the secrets that the vector names.
struct Model {
    root: [u8; 32],
    /// What the next chain agrees with: the private half that the last one began with, or the prekey.
    last_secret: DhSecret,
    chains: Vec<(DhPublicKey, [u8; 32])>,
}

impl Model {
    /// The key of a message, which is the next of its chain; `secret` is the private half of its ratchet key.
    fn message_key(&mut self, ratchet: DhPublicKey, secret: &DhSecret) -> [u8; 64] {
        if self.chains.last().is_none_or(|(public, _)| *public != ratchet) {
            let agreed = secret.agree(&self.last_secret.public_key()).unwrap();
            let (root, chain) = root_step(&self.root, &agreed);
            self.root = root;
            self.chains.push((ratchet, chain));
            self.last_secret = secret.clone();
        }
        let (_, chain) = self.chains.last_mut().unwrap();
        let (message_key, next) = chain_step(chain);
        *chain = next;
        message_key
    }
}

/// The private half of the ratchet key that a session sent with last.
fn ratchet_secret(session: &Session) -> DhSecret {
    let stored = session.to_bytes();
    assert_eq!(stored[113], 1);
    DhSecret::from_bytes(stored[118..150].try_into().unwrap())
}

fn session_model(init: &Value) -> Model {
    Model {
        root: array(&init["steps"]["session_secret"]),
        last_secret: DhSecret::from_bytes(bob().bundle.prekey().as_bytes()),
        chains: Vec::new(),
    }
}

#[test]
fn session() {
    let mut rng = rng(201);
    let [(envelope, ours), _] = inits_made();
    let first_secret = ratchet_secret(&ours);
    let theirs = common::users::open(&envelope, bob()).unwrap().session;
    let mut sessions = [ours, theirs];
    let init = json!({ "steps": init_steps(&envelope, bob()) });
    let mut model = session_model(&init);
    let first_ratchet = Init::decode(&envelope).unwrap().first.header.ratchet;
    model.message_key(first_ratchet, &first_secret);

    let sides = [("alice", alice().identity()), ("bob", bob().identity())];
    let messages: Vec<_> = [0, 1, 1, 0, 0, 1]
        .into_iter()
        .enumerate()
        .map(|(at, from)| {
            let frame = text(format!("message {at}").repeat(1 + 40 * at).as_bytes(), &mut rng);
            let (envelope, next) = sessions[from].seal(&frame, &mut rng).unwrap();
            sessions[from] = next;
            sessions[1 - from] = sessions[1 - from].open(&envelope, NOW).unwrap().session;
            let msg = Msg::decode(&envelope).unwrap();
            let secret = ratchet_secret(&sessions[from]);
            let message_key = model.message_key(msg.header.ratchet, &secret);
            json!({
                "from": sides[from].0,
                "ratchet_secret": hex(secret.as_bytes()),
                "ratchet": hex(&msg.header.ratchet.0),
                "previous_count": msg.header.previous_count,
                "number": msg.header.number,
                "root_key": hex(&model.root),
                "message_key": hex(&message_key),
                "aad": hex(&msg_aad(&msg, sides[from].1, sides[1 - from].1)),
                "frame": frame_fields(&frame),
                "envelope": hex(&envelope),
            })
        })
        .collect();
    let made = json!({
        "init": "the first of inits.json",
        "first_ratchet_secret": hex(first_secret.as_bytes()),
        "messages": messages,
    });
    hold("session.json", &made);

    let (file, inits) = (committed("session.json"), committed("inits.json"));
    let mut model = session_model(&inits["inits"][0]);
    let first_secret = DhSecret::from_bytes(&array(&file["first_ratchet_secret"]));
    model.message_key(first_secret.public_key(), &first_secret);
    for vector in file["messages"].as_array().unwrap() {
        let secret = DhSecret::from_bytes(&array(&vector["ratchet_secret"]));
        let msg = Msg::decode(&bytes(&vector["envelope"])).unwrap();
        let message_key = model.message_key(msg.header.ratchet, &secret);
        assert_eq!(message_key, array(&vector["message_key"]));
        let (from, to) = if vector["from"] == "alice" { (alice(), bob()) } else { (bob(), alice()) };
        let frame = open_with(&message_key, &msg, from.identity(), to.identity());
        assert_eq!(frame_fields(&frame), vector["frame"]);
    }
}

// offer.json

#[test]
fn offer() {
    let mut rng = rng(202);
    let own = OwnOffer::new(OfferId(0x0102_0304), bob().id(), DhSecret::generate(&mut rng));
    let envelope = own.seal(&alice().key, NOW, &mut rng).unwrap();
    let made = json!({
        "from": "alice",
        "to": "bob",
        "offer_id": own.id().0,
        "key_secret": hex(own.secret().as_bytes()),
        "issued": NOW.0,
        "envelope": hex(&envelope),
    });
    hold("offer.json", &made);
    let envelope = bytes(&committed("offer.json")["envelope"]);
    assert_eq!(PeerOffer::check(&envelope, bob().id(), NOW).unwrap().from(), alice().identity());
    let content = Offer::decode(&envelope).unwrap().content;
    assert_eq!(DhSecret::from_bytes(&array(&made["key_secret"])).public_key(), content.key);
}

// file.json

/// Key, key of the IV, and additional data of a chunk, with primitives.
fn chunk_steps(manifest: &Manifest, index: u64, last: bool) -> ([u8; 64], [u8; 32], Vec<u8>) {
    let place = [index.to_le_bytes().as_slice(), &[last.into()]].concat();
    let info = [b"MU3-FILE".as_slice(), &place].concat();
    let derived = hkdf::<96>(&manifest.file_id.0, &manifest.file_key.0, &info);
    let aad = [manifest.file_id.0.as_slice(), &place].concat();
    (*derived.first_chunk().unwrap(), *derived.last_chunk().unwrap(), aad)
}

#[test]
fn file() {
    let mut rng = rng(203);
    let content = b"what is in the file".to_vec();
    let mut sealer = FileSealer::new(FileSize::new(content.len().try_into().unwrap()).unwrap(), &mut rng);
    let (chunk, _) = sealer.seal(&content).unwrap();
    let manifest = sealer.finish(FileName::new("note.txt").unwrap()).unwrap();
    let places = [(0, true), (0, false), (1, true)].map(|(index, last)| {
        let (key, iv_key, aad) = chunk_steps(&manifest, index, last);
        json!({ "index": index, "last": last, "key": hex(&key), "iv_key": hex(&iv_key), "aad": hex(&aad) })
    });
    let made = json!({
        "file_id": hex(&manifest.file_id.0),
        "file_key": hex(&manifest.file_key.0),
        "size": manifest.size.bytes(),
        "chunks": manifest.size.chunks(),
        "tags": hex(&manifest.tags.0),
        "name": manifest.name.as_str(),
        "manifest": hex(&manifest.encode()),
        "content": hex(&content),
        "chunk": hex(&chunk),
        "places": places,
    });
    hold("file.json", &made);
    let file = committed("file.json");
    let manifest = Manifest::decode(&bytes(&file["manifest"])).unwrap();
    let (key, iv_key, aad) = chunk_steps(&manifest, 0, true);
    let sealed = Sealed::decode("chunk", &bytes(&file["chunk"]), 1024).unwrap();
    assert_eq!(*AeadKey::from_bytes(&key).open(&aad, &sealed).unwrap(), bytes(&file["content"]));
    assert_eq!(sealed.iv.0, hmac(&iv_key, &bytes(&file["content"]))[..16]);
    assert_eq!(*Sha256::digest(sealed.tag.0), manifest.tags.0);
    let mut opener = FileOpener::new(manifest);
    opener.open(&bytes(&file["chunk"])).unwrap();
    assert_eq!(opener.finish(), Ok(()));
}

// key_file.json

#[test]
fn key_file() {
    let cost = Cost { memory_kib: 64, passes: 3, lanes: 4 };
    let file = seal_key_file(b"correct horse", cost, b"what is in the key file", &mut rng(204)).unwrap();
    let made = json!({
        "passphrase": "correct horse",
        "memory_kib": cost.memory_kib,
        "passes": cost.passes,
        "lanes": cost.lanes,
        "salt": hex(&file[21..37]),
        "content": hex(b"what is in the key file"),
        "file": hex(&file),
    });
    hold("key_file.json", &made);
    let opened = open_key_file(b"correct horse", &bytes(&committed("key_file.json")["file"])).unwrap();
    assert_eq!(**opened, *b"what is in the key file");
}

// statements.json

#[test]
fn statements() {
    let mut rng = rng(205);
    let fields = Authentication {
        server_key_hash: ServerKeyHash([1; 32]),
        nonce: ServerNonce([2; 32]),
        binding_type: BindingType::TLS_EXPORTER,
        binding: Binding([3; 32]),
        client_id: alice().id(),
        client_nonce: ClientNonce([4; 16]),
    };
    let body = b"a registration up to its signature".to_vec();
    let authentication = sign_authentication(&alice().key, &fields, &mut rng).unwrap();
    let registration = sign_registration(&alice().key, &fields, &body, &mut rng).unwrap();
    let rotation = SignedRotation::sign(&alice().key, &carol().key, NOW, &mut rng).unwrap();
    let statement = |what: &str, by: &str, context: Context, fields: &[u8], signature: &Signature| {
        let signed = [context.as_bytes(), fields].concat();
        json!({
            "what": what,
            "by": by,
            "signed": hex(&signed),
            "hash": hex(&Sha256::digest(&signed)),
            "signature": hex(&signature.0),
        })
    };
    let (auth, rotated) = (fields.encode(), rotation.rotation.encode());
    let registered = [auth.as_slice(), &body].concat();
    let made = json!({ "statements": [
        statement("authentication", "alice", Context::AUTHENTICATION, &auth, &authentication),
        statement("registration", "alice", Context::REGISTRATION, &registered, &registration),
        statement("rotation", "alice", Context::ROTATION, &rotated, &rotation.by_old),
        statement("succession", "carol", Context::SUCCESSION, &rotated, &rotation.by_new),
    ]});
    hold("statements.json", &made);
    for vector in committed("statements.json")["statements"].as_array().unwrap() {
        let signed = bytes(&vector["signed"]);
        let is_its = |context: &&Context| signed.starts_with(context.as_bytes());
        let context = *Context::ALL.iter().find(is_its).unwrap();
        let (_, fields) = signed.split_at(context.as_bytes().len());
        let signature = Signature(array(&vector["signature"]));
        assert_eq!(user(&vector["by"]).identity().verify(context, fields, &signature), Ok(()));
    }
}

// All files

#[test]
fn every_file_is_held_by_a_test_and_its_private_keys_are_keys() {
    let mut names: Vec<_> =
        std::fs::read_dir(path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let expected = [
        "bundles.json",
        "file.json",
        "identities.json",
        "inits.json",
        "key_file.json",
        "keys.json",
        "offer.json",
        "session.json",
        "statements.json",
    ];
    assert_eq!(names, expected);
    for (name, user) in users() {
        let wrapping = WrappingKey::from_pkcs8_der(&rsa_key(name, "wrapping")).unwrap();
        assert_eq!(wrapping.public_key(), user.bundle.wrapping().public_key());
    }
}
