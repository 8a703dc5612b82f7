//! What clients say: requests that mean something, out of few bytes; the wire's own values; and some bytes changed.

use arbitrary::{Arbitrary as _, Result, Unstructured};
use messageu_server::store::modern::NewAccount;
use messageu_wire::envelope::MAGIC;
use messageu_wire::envelope::field::{
    Binding, ClientNonce, DhPublicKey, EnvelopeId, FileId, OneTimeId, ServerKeyHash, Signature,
};
use messageu_wire::envelope::statement::{BindingType, Context};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::field::{AtMost, ChunkBytes, ChunkPlace, Envelope, OneTimeKey, Sequence, Tag};
use messageu_wire::modern::frame::encode_request;
use messageu_wire::modern::operation::authenticate::Proof;
use messageu_wire::modern::operation::{
    acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession, hello,
    look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
};
use messageu_wire::modern::{Operation, Request, VERSION};

use super::model::{Model, Nonce, SERVER_KEY_HASH, Signed};
use super::people::{BUNDLES, PEOPLE, people, succession};
use crate::modern::request_from;
use crate::unstructured::change;

/// Chunks of the files that there are, and one more.
pub(super) const CHUNKS: u32 = 4;

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];
const FILES: u8 = 2;

/// What is done next.
pub(super) enum Step {
    /// A connection is dropped, and another one takes its place.
    Reconnect { at: usize },
    /// Somebody proves on a connection who they are.
    LogIn { at: usize, person: usize },
    /// Bytes are said on a connection, in pieces of a size.
    Say { at: usize, frames: Vec<u8>, piece: usize },
}

/// What was said before.
#[derive(Default)]
pub(super) struct Speaker {
    tags: u32,
    proofs: u8,
    /// Whoever last logged in, or tried, on a connection.
    speakers: [usize; super::LINKS],
}

impl Speaker {
    /// What bytes say.
    pub(super) fn step(&mut self, bytes: &mut Unstructured<'_>, model: &Model) -> Result<Step> {
        let [what, how, piece] = bytes.arbitrary::<[u8; 3]>()?;
        let at = usize::from(how) % super::LINKS;
        let person = usize::from(how / 16) % PEOPLE;
        Ok(match what {
            0..16 => Step::Reconnect { at },
            16..64 => {
                self.speakers[at] = person;
                Step::LogIn { at, person }
            }
            _ => {
                let mut frames = Vec::new();
                for _ in 0..=what % 4 {
                    frames.extend(self.frame(at, bytes, model)?);
                }
                if what >= 0xe0 {
                    change(&mut frames, bytes)?;
                }
                let piece = if piece < 0xc0 { 1 + usize::from(piece) } else { usize::MAX };
                Step::Say { at, frames, piece }
            }
        })
    }

    /// A Hello as somebody says it.
    pub(super) fn hello(&mut self, person: usize) -> Vec<u8> {
        let tag = self.tag();
        encode_request(people()[person].id(), tag, &hello::Request.into())
    }

    /// A proof that is good, if the connection's nonce is one.
    pub(super) fn log_in(&mut self, at: usize, person: usize, model: &mut Model) -> Vec<u8> {
        let link = &model.links[at];
        let Nonce::Heard(nonce) = link.nonce else { return Vec::new() };
        let (id, exporter) = (people()[person].id(), link.exporter);
        self.proofs = self.proofs.wrapping_add(1);
        // Each way of binding for every second one.
        let (binding_type, binding) = match self.proofs % 2 {
            0 => (BindingType::TLS_EXPORTER, exporter),
            _ => (BindingType::SERVER_KEY, Binding(SERVER_KEY_HASH)),
        };
        let client_nonce = ClientNonce([self.proofs; 16]);
        let mut proof = Proof { binding_type, binding, client_nonce, signature: Signature([0; 384]) };
        let fields = proof.authentication(ServerKeyHash(SERVER_KEY_HASH), nonce, id);
        // Who has no account registers first.
        let content = register_content(person, person, 0);
        let (context, more, known) = match model.store.account(id, model.now()) {
            Some(_) => (Context::AUTHENTICATION, Vec::new(), true),
            None => (Context::REGISTRATION, content.encode(), false),
        };
        proof.signature = people()[person].sign(context, &[fields.encode(), more.clone()].concat());
        model.signed.push(Signed { nonce, id, context, content: more, proof: proof.clone() });
        let request: Request = if known {
            authenticate::Request { proof }.into()
        } else {
            register::Request { content, proof }.into()
        };
        encode_request(id, self.tag(), &request)
    }

    /// A frame.
    fn frame(&mut self, at: usize, bytes: &mut Unstructured<'_>, model: &Model) -> Result<Vec<u8>> {
        let [what, who, a, b] = bytes.arbitrary::<[u8; 4]>()?;
        let client_id = match who % 16 {
            13 => people()[usize::from(who / 16) % PEOPLE].id(),
            14 => ClientId::NOBODY,
            15 => ClientId([who; 16]),
            _ => people()[self.speakers[at]].id(),
        };
        let tag = self.tag();
        let other = usize::from(a) % PEOPLE;
        let to = if a < 0xf0 { people()[other].id() } else { ClientId([a; 16]) };
        let request: Request = match what % 32 {
            0 => hello::Request.into(),
            // Something that was signed before: elsewhere, or for what came before, or as somebody else.
            1 => {
                let proof = self.old_proof(a, b, model);
                authenticate::Request { proof }.into()
            }
            2 => {
                let content = register_content(self.speakers[at], usize::from(b), a);
                register::Request { content, proof: self.old_proof(a, b, model) }.into()
            }
            3 | 4 => {
                let owner = if a < 0xc0 { self.speakers[at] } else { other };
                let bundle = people()[owner].bundles[usize::from(b) % BUNDLES].clone();
                let first = u32::from(a % 16) + 1;
                let key = |id: u32| {
                    let key = [id as u8 ^ (b / 64); 32];
                    OneTimeKey::new(OneTimeId(id), DhPublicKey(key)).expect("an id in use")
                };
                let keys = (first..first + u32::from(b / 16)).map(key).collect();
                let one_time_keys = AtMost::new(keys).expect("a few");
                publish_keys::Request { bundle, one_time_keys }.into()
            }
            5 | 6 => fetch_keys::Request { client_id: to }.into(),
            7..=11 => {
                let message_id = EnvelopeId([b % 8; 16]);
                send_envelope::Request { to, message_id, envelope: envelope(a, b) }.into()
            }
            12..=15 => {
                let after = Sequence(if a < 0x80 { 0 } else { u64::from(a % 16) });
                let max_bytes = if b < 0xc0 { u32::MAX } else { 8 * u32::from(b) };
                let wait_ms = if a.is_multiple_of(2) { 0 } else { 600_000 };
                pull_envelopes::Request { after, max_bytes, wait_ms }.into()
            }
            16 | 17 => {
                let sequences = [a % 16, b % 16].map(|number| Sequence(number.into()));
                acknowledge::Request { sequences: AtMost::new(sequences.into()).expect("a few") }.into()
            }
            18 | 19 => {
                let place = ChunkPlace::new(u32::from(b % 3), 3 + u32::from(b >= 0xf0)).expect("a place");
                let chunk = ChunkBytes::new(vec![b / 8 % 2; usize::from(b / 16)]).expect("a small one");
                put_chunk::Request { to, file_id: file(a / 8), place, chunk }.into()
            }
            20 => fetch_chunk::Request { file_id: file(a), index: u32::from(b) % CHUNKS }.into(),
            21 => drop_file::Request { file_id: file(a) }.into(),
            22 => look_up::Request { name: name(a.into()) }.into(),
            23 => {
                let mut succession = succession(self.speakers[at], other).clone();
                if b >= 0xe0 {
                    succession.issued.0 += 1;
                }
                rotate_identity::Request { succession }.into()
            }
            24 => fetch_succession::Request { client_id: to }.into(),
            25 if a < 0x20 => erase_account::Request.into(),
            // A code that no operation has.
            26 => {
                let (code, payload) = (3044 + u16::from(a), vec![b; usize::from(b % 8)]);
                return Ok(unknown(client_id, code, tag, &payload));
            }
            _ => {
                let operation = Operation::arbitrary(bytes)?;
                request_from(operation, bytes)?
            }
        };
        Ok(encode_request(client_id, tag, &request))
    }

    /// One of the proofs that there have been, perhaps with something else in it; or one that nobody has signed.
    fn old_proof(&self, a: u8, b: u8, model: &Model) -> Proof {
        let nobody = Proof {
            binding_type: BindingType::SERVER_KEY,
            binding: Binding(SERVER_KEY_HASH),
            client_nonce: ClientNonce([a; 16]),
            signature: Signature([b; 384]),
        };
        let from_last = model.signed.len().checked_sub(1 + usize::from(a % 4));
        let mut proof = from_last.map_or(nobody, |at| model.signed[at].proof.clone());
        match b % 8 {
            0 => proof.binding_type = BindingType(b / 8),
            1 => proof.client_nonce.0[0] ^= 1,
            2 => proof.signature.0[usize::from(b)] ^= 1,
            _ => {}
        }
        proof
    }

    fn tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }
}

/// What somebody has registered with before a story begins.
pub(super) fn account(at: usize, name: &str) -> NewAccount {
    let person = &people()[at];
    let name = Name::new(name).expect("a name");
    NewAccount { fingerprint: person.fingerprint, name, phone: None, bundle: person.bundles[0].clone() }
}

/// Names that people have, or would like to have.
pub(super) fn names() -> impl Iterator<Item = Name> {
    (0..NAMES.len()).map(name)
}

/// Files that there may be.
pub(super) fn files() -> impl Iterator<Item = FileId> {
    (0..FILES).map(file)
}

fn name(number: usize) -> Name {
    Name::new(NAMES[number % NAMES.len()]).expect("a name")
}

fn file(byte: u8) -> FileId {
    FileId([byte % FILES; 16])
}

fn register_content(person: usize, called: usize, bundle: u8) -> register::Content {
    let bundle = people()[person].bundles[usize::from(bundle) % BUNDLES].clone();
    register::Content { name: name(called), phone: None, bundle }
}

/// An envelope: small, or too large for a queue that holds a few of them.
fn envelope(a: u8, b: u8) -> Envelope {
    let size = if b >= 0xe0 { 12_000 } else { usize::from(b / 8) };
    let mut bytes = [&MAGIC[..], &[1, a % 4, 0, 0]].concat();
    bytes.resize(bytes.len() + size, a);
    Envelope::new(bytes).expect("a prefix is there")
}

fn unknown(client_id: ClientId, code: u16, tag: Tag, payload: &[u8]) -> Vec<u8> {
    let size = payload.len() as u32;
    let (code, size, tag) = (code.to_le_bytes(), size.to_le_bytes(), tag.0.to_le_bytes());
    [&client_id.0[..], &[VERSION], &code, &size, &tag, payload].concat()
}
