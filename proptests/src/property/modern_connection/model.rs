//! What a server answers on connections of version 3, in the order that section 31 of the specification says; what is
//! stored is for [`ModernModel`] to say.

use bytes::Bytes;
use messageu_server::limits::{PULL_ENVELOPES, PULLS_IN_FLIGHT, STRANGERS_REQUESTS};
use messageu_server::store::modern::{
    FILE_CHUNKS_MAX, Kept, MailLimits, NewAccount, NewChunk, NewEnvelope, Succession,
};
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{Binding, ServerNonce, UnixSeconds};
use messageu_wire::envelope::statement::{BindingType, Context};
use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::field::{
    ChunkBytes, EnvelopeBytes, OneTimeKey, RegistrationId, RegistrationState, Sequence, StoreStatus, Tag,
    UnixMinutes,
};
use messageu_wire::modern::frame::{RequestFrame, RequestReader};
use messageu_wire::modern::limits::PULL_MAX;
use messageu_wire::modern::operation::authenticate::Proof;
use messageu_wire::modern::operation::pull_envelopes::{Delivery, Response as Pulled};
use messageu_wire::modern::operation::{
    acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession, look_up,
    publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
};
use messageu_wire::modern::{ErrorCode, Request, Response};

use super::people::{Person, is_signed_by_both, person_of, signer_of};
use crate::modern_model::{ModernModel, Refused};

/// The server's key, to those who sign for a connection.
pub(super) const SERVER_KEY_HASH: [u8; 32] = [0x5e; 32];

/// Pulls that wait less than this may be over at any time.
const LONG_WAIT_MS: u32 = 60_000;

/// What is answered; of a refusal, what it is called.
pub(super) type Answer = Result<Response, ErrorCode>;

/// A request that is to be answered.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) tag: Tag,
    /// What the answer may be. None yet for a pull that waits.
    pub(super) answers: Vec<Answer>,
    /// Whether it asks for a nonce, which nobody can foresee.
    pub(super) is_hello: bool,
    /// A pull that waits: for whom, and for what.
    pub(super) pull: Option<(ClientId, pull_envelopes::Request)>,
}

/// What is known of a connection's nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Nonce {
    /// There is none, or it has been used.
    None,
    /// It is on its way: nobody can have signed it.
    Unheard,
    /// It is this one.
    Heard(ServerNonce),
}

/// One connection.
pub(super) struct Link {
    pub(super) exporter: Binding,
    pub(super) nonce: Nonce,
    /// Who has proved to be at its other end.
    pub(super) who: Option<ClientId>,
    strangers: u32,
    /// Whether the server hears nothing more of it.
    pub(super) is_over: bool,
    /// What the server hears.
    pub(super) reader: RequestReader,
    pub(super) awaited: Vec<Awaited>,
}

impl Link {
    pub(super) fn new(exporter: Binding) -> Self {
        Self {
            exporter,
            nonce: Nonce::None,
            who: None,
            strangers: 0,
            is_over: false,
            reader: RequestReader::new(),
            awaited: Vec::new(),
        }
    }

    /// Nothing more is heard; who waits for mail does so no more.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        for awaited in self.awaited.iter_mut().filter(|awaited| awaited.pull.is_some()) {
            awaited.answers.push(Ok(Pulled::default().into()));
        }
    }

    fn await_answer(&mut self, tag: Tag, answer: Answer) {
        self.awaited.push(Awaited { tag, answers: vec![answer], is_hello: false, pull: None });
    }
}

/// What somebody has signed: with whose nonce, in which context, and what beside the authentication.
pub(super) struct Signed {
    pub(super) nonce: ServerNonce,
    pub(super) id: ClientId,
    pub(super) context: Context,
    pub(super) content: Vec<u8>,
    pub(super) proof: Proof,
}

/// All connections, and what is stored.
pub(super) struct Model {
    pub(super) store: ModernModel,
    pub(super) links: Vec<Link>,
    /// All that was signed with the key of who it names.
    pub(super) signed: Vec<Signed>,
    limits: MailLimits,
    now: u64,
}

impl Model {
    pub(super) fn new(limits: MailLimits, now: u64) -> Self {
        Self { store: ModernModel::default(), links: Vec::new(), signed: Vec::new(), limits, now }
    }

    /// When everything takes place, in seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Hears what comes on a connection. Says how much of it is heard before that ends for an erasure: what comes behind
    /// may be heard or not.
    pub(super) fn hear(&mut self, at: usize, stream: &[u8]) -> usize {
        self.links[at].reader.push(stream);
        while !self.links[at].is_over {
            match self.links[at].reader.poll() {
                Ok(Some(frame)) => self.take(at, frame),
                Ok(None) => return stream.len(),
                Err(rejection) => {
                    self.links[at].end();
                    self.links[at].await_answer(rejection.tag, Err(ErrorCode::MALFORMED));
                    return stream.len();
                }
            }
        }
        stream.len() - self.links[at].reader.buffer_mut().len().min(stream.len())
    }

    fn take(&mut self, at: usize, RequestFrame { client_id, tag, request }: RequestFrame) {
        let link = &mut self.links[at];
        if link.who.is_none() {
            link.strangers += 1;
            if link.strangers > STRANGERS_REQUESTS {
                link.end();
                return link.await_answer(tag, Err(ErrorCode::TOO_MANY_REQUESTS));
            }
        }
        let answer = match request {
            Err(WireError::UnknownCode { .. }) => Err(ErrorCode::UNSUPPORTED),
            Err(_) => Err(ErrorCode::MALFORMED),
            Ok(request) if request.operation().is_for_clients() && link.who != Some(client_id) => {
                Err(ErrorCode::NOT_AUTHENTICATED)
            }
            Ok(Request::Hello(_)) => {
                link.nonce = Nonce::Unheard;
                return link.awaited.push(Awaited { tag, answers: vec![], is_hello: true, pull: None });
            }
            Ok(Request::PullEnvelopes(request)) => return self.pull(at, client_id, tag, request),
            Ok(request) => self.ask(at, client_id, request),
        };
        self.links[at].await_answer(tag, answer);
        self.deliver();
    }

    /// What is answered to anything but Hello and pulls, by whoever may ask it.
    fn ask(&mut self, at: usize, asker: ClientId, request: Request) -> Answer {
        let refused = |refused: Refused| refusal(refused, asker);
        let now = self.now;
        Ok(match request {
            Request::Authenticate(request) => self.authenticate(at, asker, &request.proof)?.into(),
            Request::Register(request) => self.register(at, asker, request)?.into(),
            // Nobody is sent a code.
            Request::VerifyRegistration(_) => return Err(ErrorCode::CODE_WRONG),
            Request::PublishKeys(publish_keys::Request { bundle, one_time_keys }) => {
                let owner = check_bundle(&bundle)?;
                if owner.id() != asker {
                    return Err(ErrorCode::INVALID_KEYS);
                }
                if one_time_keys.iter().any(|key| key.key().is_of_low_order()) {
                    return Err(ErrorCode::INVALID_KEYS);
                }
                let keys: Vec<_> = one_time_keys.iter().map(|key| (key.id(), key.key())).collect();
                let remaining = self.store.publish_keys(asker, bundle, &keys).map_err(refused)?;
                publish_keys::Response { remaining }.into()
            }
            Request::FetchKeys(request) => {
                let by = match asker {
                    ClientId::NOBODY => request.client_id,
                    _ if self.links[at].who == Some(asker) => asker,
                    _ => return Err(ErrorCode::NOT_AUTHENTICATED),
                };
                let (bundle, key) = self.store.fetch_keys(request.client_id, by, now).map_err(refused)?;
                let one_time_key =
                    key.map(|(id, key)| OneTimeKey::new(id, key).expect("as it was published"));
                fetch_keys::Response { bundle, one_time_key }.into()
            }
            Request::SendEnvelope(send_envelope::Request { to, message_id, envelope }) => {
                let kind = envelope.kind();
                let envelope = Bytes::from(envelope.into_vec());
                let new = NewEnvelope { to, from: asker, message_id, kind, envelope };
                let kept = self.store.enqueue_envelope(new, self.limits, now).map_err(refused)?;
                send_envelope::Response { to, message_id, status: status(kept) }.into()
            }
            Request::Acknowledge(request) => {
                let sequences: Vec<usize> = request
                    .sequences
                    .iter()
                    .filter_map(|sequence| usize::try_from(sequence.0).ok())
                    .collect();
                let deleted = self.store.acknowledge(asker, &sequences);
                acknowledge::Response { deleted: u16::try_from(deleted).expect("a few") }.into()
            }
            Request::PutChunk(put_chunk::Request { to, file_id, place, chunk }) => {
                if place.chunks() > FILE_CHUNKS_MAX {
                    return Err(ErrorCode::QUEUE_FULL);
                }
                let (index, chunks) = (place.index(), place.chunks());
                let bytes = Bytes::from(chunk.into_vec());
                let new = NewChunk { to, from: asker, file: file_id, chunks, index, bytes };
                let kept = self.store.put_chunk(new, self.limits, now).map_err(refused)?;
                put_chunk::Response { file_id, index, status: status(kept) }.into()
            }
            Request::FetchChunk(request) => {
                let chunk = self.store.chunk(asker, request.file_id, request.index);
                let chunk = ChunkBytes::new(chunk.ok_or(ErrorCode::UNKNOWN_FILE)?.to_vec());
                fetch_chunk::Response { chunk: chunk.expect("as it was put") }.into()
            }
            Request::DropFile(request) => {
                drop_file::Response { chunks: self.store.drop_file(asker, request.file_id) }.into()
            }
            Request::LookUp(request) => {
                let client_id = self.store.account_named(&request.name).ok_or(ErrorCode::UNKNOWN_CLIENT)?;
                look_up::Response { client_id }.into()
            }
            Request::RotateIdentity(request) => self.rotate(asker, request.succession)?.into(),
            Request::EraseAccount(_) => {
                self.store.erase_account(asker).map_err(refused)?;
                self.links.iter_mut().filter(|link| link.who == Some(asker)).for_each(Link::end);
                erase_account::Response.into()
            }
            Request::FetchSuccession(request) => {
                let found = self.store.succession(request.client_id).cloned();
                let Succession { old_identity, new_bundle, issued, rotation, succession, .. } =
                    found.ok_or(ErrorCode::UNKNOWN_CLIENT)?;
                let succession = rotate_identity::Succession {
                    bundle: new_bundle,
                    issued,
                    by_old: rotation,
                    by_new: succession,
                };
                fetch_succession::Response { old_identity, succession }.into()
            }
            Request::Hello(_) | Request::PullEnvelopes(_) => unreachable!("answered before"),
        })
    }

    fn authenticate(
        &mut self,
        at: usize,
        asker: ClientId,
        proof: &Proof,
    ) -> Result<authenticate::Response, ErrorCode> {
        let is_good = self.is_good(at, asker, Context::AUTHENTICATION, &[], proof);
        let is_known = self.store.account(asker, self.now).is_some();
        let link = &mut self.links[at];
        if !is_good || !is_known || link.who.is_some() {
            return Err(ErrorCode::NOT_AUTHENTICATED);
        }
        link.who = Some(asker);
        Ok(authenticate::Response)
    }

    fn register(
        &mut self,
        at: usize,
        asker: ClientId,
        register::Request { content, proof }: register::Request,
    ) -> Result<register::Response, ErrorCode> {
        let is_good = self.is_good(at, asker, Context::REGISTRATION, &content.encode(), &proof);
        let owner = person_of(asker).filter(|owner| owner.identity == content.bundle.content.identity);
        let owner = owner.ok_or(ErrorCode::INVALID_KEYS)?;
        if !is_good {
            return Err(ErrorCode::NOT_AUTHENTICATED);
        }
        check_bundle(&content.bundle)?;
        let (fingerprint, bundle) = (owner.fingerprint, content.bundle);
        let account = NewAccount { fingerprint, name: content.name, phone: None, bundle };
        self.store.register_account(account).map_err(|refused| refusal(refused, asker))?;
        let registration_id = RegistrationId([0; 16]);
        Ok(register::Response { registration_id, ttl_s: 0, state: RegistrationState::REGISTERED })
    }

    fn rotate(
        &mut self,
        asker: ClientId,
        signed: rotate_identity::Succession,
    ) -> Result<rotate_identity::Response, ErrorCode> {
        let new = check_bundle(&signed.bundle)?;
        let known = self.store.account(asker, self.now).and(person_of(asker));
        let old = known.ok_or(ErrorCode::NOT_AUTHENTICATED)?;
        if !is_signed_by_both(&signed, old, new) {
            return Err(ErrorCode::INVALID_KEYS);
        }
        let succession = Succession {
            old_identity: old.identity,
            new_fingerprint: new.fingerprint,
            new_bundle: signed.bundle,
            issued: signed.issued,
            rotation: signed.by_old,
            succession: signed.by_new,
        };
        let rotated = self.store.rotate_identity(asker, succession, self.now);
        rotated.map_err(|refused| refusal(refused, asker))?;
        Ok(rotate_identity::Response { client_id: new.id() })
    }

    /// Whether a proof is good on a connection now. Its nonce is used up, whatever comes of it.
    fn is_good(
        &mut self,
        at: usize,
        asker: ClientId,
        context: Context,
        content: &[u8],
        proof: &Proof,
    ) -> bool {
        let link = &mut self.links[at];
        let nonce = std::mem::replace(&mut link.nonce, Nonce::None);
        let is_bound = match proof.binding_type {
            BindingType::TLS_EXPORTER => proof.binding == link.exporter,
            BindingType::SERVER_KEY => proof.binding.0 == SERVER_KEY_HASH,
            _ => false,
        };
        let is_signed = |signed: &Signed| {
            nonce == Nonce::Heard(signed.nonce)
                && (signed.id, signed.context) == (asker, context)
                && signed.content == content
                && signed.proof == *proof
        };
        is_bound && self.signed.iter().any(is_signed)
    }

    fn pull(&mut self, at: usize, to: ClientId, tag: Tag, request: pull_envelopes::Request) {
        let mail = self.pulled(to, &request);
        let waits = request.wait_ms > 0 && mail == Pulled::default();
        let pull = Some((to, request)).filter(|_| waits);
        let mut answers: Vec<Answer> = Vec::new();
        if !waits || request.wait_ms < LONG_WAIT_MS {
            answers.push(Ok(mail.into()));
        }
        let waiting = self.links[at].awaited.iter().filter(|awaited| awaited.pull.is_some());
        if waiting.clone().count() >= PULLS_IN_FLIGHT {
            // Those that have an answer may be waiting still, or not.
            if waiting.clone().all(|awaited| awaited.answers.is_empty()) {
                return self.links[at].await_answer(tag, Err(ErrorCode::TOO_MANY_REQUESTS));
            }
            answers.push(Err(ErrorCode::TOO_MANY_REQUESTS));
        }
        self.links[at].awaited.push(Awaited { tag, answers, is_hello: false, pull });
    }

    /// Gives those who wait what they may be answered now.
    fn deliver(&mut self) {
        let mut links = std::mem::take(&mut self.links);
        for awaited in links.iter_mut().flat_map(|link| &mut link.awaited) {
            if let Some((to, request)) = &awaited.pull {
                let mail = self.pulled(*to, request);
                if mail != Pulled::default() {
                    awaited.answers.push(Ok(mail.into()));
                }
            }
        }
        self.links = links;
    }

    /// Whether there is nothing that a pull waits for.
    pub(super) fn has_nothing(&self, to: ClientId, request: &pull_envelopes::Request) -> bool {
        self.pulled(to, request) == Pulled::default()
    }

    /// What is pulled now; the times are left out.
    fn pulled(&self, to: ClientId, request: &pull_envelopes::Request) -> Pulled {
        let after = usize::try_from(request.after.0).unwrap_or(usize::MAX);
        let most = usize::try_from(request.max_bytes).unwrap_or(usize::MAX).min(PULL_MAX);
        let deliveries = self.store.pending(to, after).into_iter().take(PULL_ENVELOPES);
        let deliveries = deliveries.map(|(sequence, _, envelope)| Delivery {
            sequence: Sequence(sequence as u64),
            time: UnixMinutes(0),
            envelope: EnvelopeBytes::new(envelope.to_vec()).expect("as it was sent"),
        });
        let mut size = 0;
        let fits = deliveries.enumerate().take_while(|(at, delivery)| {
            size += delivery.size();
            *at == 0 || size <= most
        });
        Pulled::new(fits.map(|(_, delivery)| delivery).collect()).expect("what fits")
    }
}

/// Whose bundle it is, if it is in order.
fn check_bundle(bundle: &Bundle) -> Result<&'static Person, ErrorCode> {
    let owner = signer_of(bundle).ok_or(ErrorCode::INVALID_KEYS)?;
    if bundle.content.expires == UnixSeconds(u64::MAX) { Ok(owner) } else { Err(ErrorCode::STALE_KEYS) }
}

fn status(kept: Kept) -> StoreStatus {
    match kept {
        Kept::Now => StoreStatus::STORED,
        Kept::Before => StoreStatus::STORED_ALREADY,
    }
}

fn refusal(refused: Refused, asker: ClientId) -> ErrorCode {
    match refused {
        Refused::NameTaken => ErrorCode::NAME_TAKEN,
        Refused::PhoneTaken | Refused::Conflict => ErrorCode::CONFLICT,
        Refused::UnknownClient(id) if id == asker && id != ClientId::NOBODY => ErrorCode::NOT_AUTHENTICATED,
        Refused::UnknownClient(_) => ErrorCode::UNKNOWN_CLIENT,
        Refused::Moved(_) => ErrorCode::MOVED,
        Refused::StaleKeys => ErrorCode::STALE_KEYS,
        Refused::QueueFull => ErrorCode::QUEUE_FULL,
        Refused::TooSoon(_) => ErrorCode::TOO_MANY_REQUESTS,
        Refused::NoSuchRegistration => ErrorCode::CODE_WRONG,
        Refused::Misuse | Refused::Storage => ErrorCode::UNAVAILABLE,
    }
}
