//! A client of version 3 that knows nothing but the wire, and signs with ring.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use messageu_wire::envelope::Suite;
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    Binding, ClientNonce, DhPublicKey, EnvelopeId, Epoch, FileId, Fingerprint, OneTimeId, PrekeyId,
    RsaPublicKey, ServerKeyHash, ServerNonce, Signature, UnixSeconds, WrapId,
};
use messageu_wire::envelope::statement::{BindingType, Context};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::field::{
    AtMost, ChunkBytes, ChunkPlace, Envelope, OneTimeKey, PhoneNumber, Sequence, Tag,
};
use messageu_wire::modern::frame::{ResponseFrame, ResponseReader, encode_request};
use messageu_wire::modern::operation::authenticate::Proof;
use messageu_wire::modern::operation::pull_envelopes::Delivery;
use messageu_wire::modern::operation::{
    Call, acknowledge, authenticate, hello, publish_keys, pull_envelopes, put_chunk, register,
    rotate_identity, send_envelope,
};
use messageu_wire::modern::transport::EXPORTER_LABEL;
use messageu_wire::modern::{ErrorCode, Refusal, Request, Response};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use sha2::{Digest as _, Sha256};

use super::tls::{TlsClient, TlsStream};

/// Somebody with an identity key.
pub(crate) struct User {
    key: RsaKeyPair,
    pub(crate) public: RsaPublicKey,
}

impl User {
    /// One of four that there are: making a key takes long.
    pub(crate) fn number(which: usize) -> Self {
        let keys: [&[u8]; 4] = [
            include_bytes!("identities/0.der"),
            include_bytes!("identities/1.der"),
            include_bytes!("identities/2.der"),
            include_bytes!("identities/3.der"),
        ];
        let key = RsaKeyPair::from_der(keys[which]).unwrap();
        let (_, modulus) = key.public().as_ref().split_at(9);
        let public = RsaPublicKey::of_modulus(modulus.first_chunk().unwrap());
        assert_eq!(public.pkcs1(), key.public().as_ref());
        Self { key, public }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(
            Sha256::new_with_prefix(Fingerprint::CONTEXT).chain_update(self.public.0).finalize().into(),
        )
    }

    pub(crate) fn id(&self) -> ClientId {
        self.fingerprint().client_id()
    }

    pub(crate) fn sign(&self, context: Context, fields: &[u8]) -> Signature {
        let statement = [context.as_bytes(), fields].concat();
        let mut signature = [0; 384];
        self.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), &statement, &mut signature).unwrap();
        Signature(signature)
    }

    /// A bundle that is good for a month.
    pub(crate) fn bundle(&self, epoch: u64) -> Bundle {
        self.bundle_with(epoch, |_| ())
    }

    /// A bundle with something else in it, signed all the same.
    pub(crate) fn bundle_with(&self, epoch: u64, change: impl FnOnce(&mut BundleContent)) -> Bundle {
        let issued = now();
        let mut content = BundleContent {
            suite: Suite::ONE,
            min_dialect: MIN_DIALECT,
            epoch: Epoch(epoch),
            issued,
            expires: UnixSeconds(issued.0 + 30 * 24 * 60 * 60),
            prekey_id: PrekeyId(7),
            prekey: DhPublicKey([9; 32]),
            wrap_id: WrapId(1),
            wrap_key: RsaPublicKey::of_modulus(&[0xf1; 384]),
            identity: self.public,
        };
        change(&mut content);
        let signature = self.sign(Context::BUNDLE, &content.encode());
        Bundle { content, signature }
    }

    /// That this identity gives way to another, with the signatures of both.
    pub(crate) fn succession(&self, new: &Self) -> rotate_identity::Succession {
        let mut succession = rotate_identity::Succession {
            bundle: new.bundle(1),
            issued: now(),
            by_old: Signature([0; 384]),
            by_new: Signature([0; 384]),
        };
        let fields = succession.rotation(self.fingerprint(), new.fingerprint()).encode();
        succession.by_old = self.sign(Context::ROTATION, &fields);
        succession.by_new = new.sign(Context::SUCCESSION, &fields);
        succession
    }
}

pub(crate) fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// A connection to a server.
pub(crate) struct Modern {
    pub(crate) stream: TlsStream,
    pub(crate) server_key_hash: ServerKeyHash,
    pub(crate) exporter: Binding,
    reader: ResponseReader,
    next_tag: u32,
    /// Who asks.
    pub(crate) id: ClientId,
}

impl Modern {
    /// A connection that says nothing yet.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TlsClient::new().connect(address).unwrap())
    }

    pub(crate) fn over((stream, pin): (TlsStream, [u8; 32])) -> Self {
        let exporter = stream.conn.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[])).unwrap();
        Self {
            stream,
            server_key_hash: ServerKeyHash(pin),
            exporter: Binding(exporter),
            reader: ResponseReader::new(),
            next_tag: 1,
            id: ClientId::NOBODY,
        }
    }

    /// Somebody who is registered, and says so.
    pub(crate) fn of(address: SocketAddr, user: &User) -> Self {
        let mut modern = Self::connect(address);
        modern.authenticate(user).unwrap();
        modern
    }

    /// Somebody new.
    pub(crate) fn new(address: SocketAddr, user: &User, name: &str) -> Self {
        let mut modern = Self::connect(address);
        modern.register(user, name, None).unwrap();
        modern.authenticate(user).unwrap();
        modern
    }

    /// Asks, and does not wait for the answer.
    pub(crate) fn begin(&mut self, request: impl Into<Request>) -> Tag {
        let tag = Tag(self.next_tag);
        self.next_tag += 1;
        self.say(&encode_request(self.id, tag, &request.into()));
        tag
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next answer that comes; none if the server closes.
    pub(crate) fn next(&mut self) -> Option<ResponseFrame> {
        loop {
            if let Some(frame) = self.reader.poll().unwrap() {
                return Some(frame);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => self.reader.push(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer in time"),
                // A reset ends a connection as well as a close.
                Err(_) => return None,
            }
        }
    }

    /// The answer to a request, which is the next that comes.
    pub(crate) fn answer(&mut self, tag: Tag) -> Result<Response, Refusal> {
        let frame = self.next().expect("the server closed");
        assert_eq!(frame.tag, tag);
        frame.answer
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call<R: Call>(&mut self, request: R) -> Result<R::Response, Refusal> {
        let tag = self.begin(request);
        self.answer(tag).map(|response| R::response(response).expect("an answer to what was asked"))
    }

    /// Asks for what is refused, and gives the error.
    pub(crate) fn error(&mut self, request: impl Into<Request>) -> ErrorCode {
        let tag = self.begin(request);
        self.answer(tag).expect_err("this should be refused").error
    }

    pub(crate) fn hello(&mut self) -> hello::Response {
        self.call(hello::Request).unwrap()
    }

    /// That somebody is at the end of this connection, bound to it in one of two ways.
    pub(crate) fn proof(
        &self,
        user: &User,
        binding_type: BindingType,
        nonce: ServerNonce,
        (context, more): (Context, &[u8]),
    ) -> Proof {
        let binding = match binding_type {
            BindingType::TLS_EXPORTER => self.exporter,
            _ => Binding(self.server_key_hash.0),
        };
        let client_nonce = ClientNonce([3; 16]);
        let mut proof = Proof { binding_type, binding, client_nonce, signature: Signature([0; 384]) };
        let mut fields = proof.authentication(self.server_key_hash, nonce, user.id()).encode();
        fields.extend_from_slice(more);
        proof.signature = user.sign(context, &fields);
        proof
    }

    pub(crate) fn authentication(&mut self, user: &User) -> authenticate::Request {
        let nonce = self.hello().nonce;
        let context = (Context::AUTHENTICATION, &[][..]);
        authenticate::Request { proof: self.proof(user, BindingType::TLS_EXPORTER, nonce, context) }
    }

    pub(crate) fn authenticate(&mut self, user: &User) -> Result<authenticate::Response, Refusal> {
        self.id = user.id();
        let request = self.authentication(user);
        self.call(request)
    }

    pub(crate) fn registration(&mut self, user: &User, content: register::Content) -> register::Request {
        self.id = user.id();
        let nonce = self.hello().nonce;
        let context = (Context::REGISTRATION, &content.encode()[..]);
        let proof = self.proof(user, BindingType::SERVER_KEY, nonce, context);
        register::Request { content, proof }
    }

    pub(crate) fn register(
        &mut self,
        user: &User,
        name: &str,
        phone: Option<&str>,
    ) -> Result<register::Response, Refusal> {
        let request = self.registration(user, content(user, name, phone));
        self.call(request)
    }

    /// Sends a text, in what looks like an envelope.
    pub(crate) fn send(
        &mut self,
        to: ClientId,
        number: u8,
        text: &[u8],
    ) -> Result<send_envelope::Response, Refusal> {
        self.call(mail(to, number, text))
    }

    /// What waits now.
    pub(crate) fn pull(&mut self) -> Vec<Delivery> {
        self.call(pull(0, Duration::ZERO)).unwrap().into_deliveries()
    }

    /// The texts that wait now.
    pub(crate) fn texts(&mut self) -> Vec<Vec<u8>> {
        self.pull().iter().map(text_of).collect()
    }

    pub(crate) fn acknowledge(&mut self, deliveries: &[Delivery]) -> u16 {
        let sequences = deliveries.iter().map(|delivery| delivery.sequence).collect();
        self.call(acknowledge::Request { sequences: AtMost::new(sequences).unwrap() }).unwrap().deleted
    }
}

pub(crate) fn content(user: &User, name: &str, phone: Option<&str>) -> register::Content {
    register::Content {
        name: Name::new(name).unwrap(),
        phone: phone.map(|phone| PhoneNumber::new(phone).unwrap()),
        bundle: user.bundle(1),
    }
}

/// What stands before a text in what looks like an envelope.
const PREFIX: [u8; 8] = *b"MU3\x01\x01\x03\0\0";

pub(crate) fn mail(to: ClientId, number: u8, text: &[u8]) -> send_envelope::Request {
    let envelope = Envelope::new([&PREFIX, text].concat()).unwrap();
    send_envelope::Request { to, message_id: EnvelopeId([number; 16]), envelope }
}

pub(crate) fn text_of(delivery: &Delivery) -> Vec<u8> {
    delivery.envelope.strip_prefix(&PREFIX).unwrap().to_vec()
}

pub(crate) fn pull(after: u64, wait: Duration) -> pull_envelopes::Request {
    let wait_ms = u32::try_from(wait.as_millis()).unwrap();
    pull_envelopes::Request { after: Sequence(after), max_bytes: u32::MAX, wait_ms }
}

pub(crate) fn chunk(to: ClientId, index: u32, bytes: &[u8]) -> put_chunk::Request {
    put_chunk::Request {
        to,
        file_id: FileId([5; 16]),
        place: ChunkPlace::new(index, 3).unwrap(),
        chunk: ChunkBytes::new(bytes.to_vec()).unwrap(),
    }
}

/// One-time keys of these numbers.
pub(crate) fn publication(bundle: Bundle, ids: std::ops::Range<u32>) -> publish_keys::Request {
    let key = |id: u32| OneTimeKey::new(OneTimeId(id), DhPublicKey([id as u8; 32])).unwrap();
    publish_keys::Request { bundle, one_time_keys: AtMost::new(ids.map(key).collect()).unwrap() }
}
