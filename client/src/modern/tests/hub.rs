//! The server in memory: what the design asks of one, and every way to fail at it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{EnvelopeId, FileId, RsaPublicKey};
use messageu_wire::fields::ClientId;
use messageu_wire::modern::field::{
    ChunkBytes, EnvelopeBytes, OneTimeKey, Sequence, StoreStatus, UnixMinutes,
};
use messageu_wire::modern::operation::rotate_identity::Succession;
use messageu_wire::modern::operation::{
    Call, acknowledge, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession, look_up,
    publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
};
use messageu_wire::modern::{ErrorCode, Refusal, Request, Response};

use super::super::{CallError, Server};
use crate::error::{Error, ErrorKind};

/// Somebody with an account.
pub(super) struct Held {
    pub(super) bundle: Bundle,
    pub(super) one_time: VecDeque<OneTimeKey>,
    pub(super) queue: Vec<(u64, Vec<u8>)>,
    moved: Option<(RsaPublicKey, Succession)>,
}

/// The chunks of files, each with its recipient.
type Chunks = BTreeMap<(FileId, u32), (ClientId, Vec<u8>)>;

#[derive(Default)]
pub(super) struct Hub {
    pub(super) accounts: RefCell<BTreeMap<ClientId, Held>>,
    pub(super) names: RefCell<BTreeMap<String, ClientId>>,
    sent: RefCell<BTreeSet<(ClientId, ClientId, EnvelopeId)>>,
    pub(super) chunks: RefCell<Chunks>,
    next: Cell<u64>,
    /// All envelopes that were ever sent, and to whom.
    pub(super) log: RefCell<Vec<(ClientId, Vec<u8>)>>,
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Answered,
    /// The request does not arrive.
    LostBefore,
    /// The answer does not.
    LostAfter,
}

/// A connection of somebody.
pub(super) struct Link {
    hub: Rc<Hub>,
    pub(super) me: Cell<ClientId>,
    /// What becomes of the next calls; of those after, nothing.
    pub(super) fates: RefCell<VecDeque<Fate>>,
    pub(super) calls: Cell<usize>,
}

impl Hub {
    pub(super) fn register(&self, content: &register::Content) {
        let bundle = content.bundle.clone();
        let id = id_of(&bundle);
        let held = Held { bundle, one_time: VecDeque::new(), queue: Vec::new(), moved: None };
        self.accounts.borrow_mut().insert(id, held);
        self.names.borrow_mut().insert(content.name.to_string(), id);
    }

    /// Changes what waits for somebody.
    pub(super) fn with_queue<T>(
        &self,
        of: ClientId,
        change: impl FnOnce(&mut Vec<(u64, Vec<u8>)>) -> T,
    ) -> T {
        change(&mut self.accounts.borrow_mut().get_mut(&of).unwrap().queue)
    }

    /// Puts something into somebody's queue, whoever sent it.
    pub(super) fn put(&self, to: ClientId, envelope: Vec<u8>) {
        let number = self.number();
        self.with_queue(to, |queue| queue.push((number, envelope)));
    }

    /// Makes the proof of a succession one that the old identity has not signed.
    pub(super) fn forge_succession(&self, of: ClientId) {
        let mut accounts = self.accounts.borrow_mut();
        let (_, succession) = accounts.get_mut(&of).unwrap().moved.as_mut().unwrap();
        succession.by_old = succession.by_new;
    }

    fn number(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    fn answer(&self, me: ClientId, request: Request) -> Result<Response, ErrorCode> {
        let mut accounts = self.accounts.borrow_mut();
        let is_nobody = me == ClientId::NOBODY && matches!(request, Request::FetchKeys(_));
        let asker = accounts.get(&me);
        if asker.is_none() && !is_nobody {
            return Err(ErrorCode::NOT_AUTHENTICATED);
        }
        let moved = asker.is_some_and(|held| held.moved.is_some());
        let live = |held: Option<&Held>| match held {
            None => Err(ErrorCode::UNKNOWN_CLIENT),
            Some(held) if held.moved.is_some() => Err(ErrorCode::MOVED),
            Some(_) => Ok(()),
        };
        Ok(match request {
            Request::PublishKeys(publish_keys::Request { bundle, one_time_keys }) => {
                let held = accounts.get_mut(&me).unwrap();
                if bundle.content.epoch < held.bundle.content.epoch {
                    return Err(ErrorCode::STALE_KEYS);
                }
                assert_eq!(id_of(&bundle), me, "a bundle of another identity is published");
                held.bundle = bundle;
                for key in one_time_keys.into_vec() {
                    if held.one_time.back().is_none_or(|last| last.id() < key.id()) {
                        held.one_time.push_back(key);
                    }
                }
                let remaining = held.one_time.len().try_into().unwrap();
                publish_keys::Response { remaining }.into()
            }
            Request::FetchKeys(fetch_keys::Request { client_id }) => {
                live(accounts.get(&client_id))?;
                let held = accounts.get_mut(&client_id).unwrap();
                let one_time_key = if client_id == me { None } else { held.one_time.pop_front() };
                fetch_keys::Response { bundle: held.bundle.clone(), one_time_key }.into()
            }
            Request::SendEnvelope(send_envelope::Request { to, message_id, envelope }) => {
                if moved {
                    return Err(ErrorCode::MOVED);
                }
                let is_new = self.sent.borrow_mut().insert((me, to, message_id));
                let mut status = StoreStatus::STORED_ALREADY;
                if is_new {
                    live(accounts.get(&to)).inspect_err(|_| {
                        self.sent.borrow_mut().remove(&(me, to, message_id));
                    })?;
                    status = StoreStatus::STORED;
                    let envelope = envelope.into_vec();
                    self.log.borrow_mut().push((to, envelope.clone()));
                    accounts.get_mut(&to).unwrap().queue.push((self.number(), envelope));
                }
                send_envelope::Response { to, message_id, status }.into()
            }
            Request::PullEnvelopes(pull_envelopes::Request { after, .. }) => {
                let held = accounts.get(&me).unwrap();
                let deliveries = held.queue.iter().filter(|(number, _)| *number > after.0).take(7);
                let deliveries = deliveries.map(|(number, envelope)| pull_envelopes::Delivery {
                    sequence: Sequence(*number),
                    time: UnixMinutes(0),
                    envelope: EnvelopeBytes::new(envelope.clone()).unwrap(),
                });
                pull_envelopes::Response::new(deliveries.collect()).unwrap().into()
            }
            Request::Acknowledge(acknowledge::Request { sequences }) => {
                let queue = &mut accounts.get_mut(&me).unwrap().queue;
                let before = queue.len();
                queue.retain(|(number, _)| !sequences.contains(&Sequence(*number)));
                acknowledge::Response { deleted: (before - queue.len()).try_into().unwrap() }.into()
            }
            Request::PutChunk(put_chunk::Request { to, file_id, place, chunk }) => {
                live(accounts.get(&to))?;
                let mut chunks = self.chunks.borrow_mut();
                let there = chunks.get(&(file_id, place.index())).cloned();
                let status = match there {
                    Some((_, there)) if there != *chunk => return Err(ErrorCode::CONFLICT),
                    Some(_) => StoreStatus::STORED_ALREADY,
                    None => {
                        chunks.insert((file_id, place.index()), (to, chunk.into_vec()));
                        StoreStatus::STORED
                    }
                };
                put_chunk::Response { file_id, index: place.index(), status }.into()
            }
            Request::FetchChunk(fetch_chunk::Request { file_id, index }) => {
                match self.chunks.borrow().get(&(file_id, index)) {
                    Some((to, chunk)) if *to == me => {
                        fetch_chunk::Response { chunk: ChunkBytes::new(chunk.clone()).unwrap() }.into()
                    }
                    _ => return Err(ErrorCode::UNKNOWN_FILE),
                }
            }
            Request::DropFile(drop_file::Request { file_id }) => {
                let mut chunks = self.chunks.borrow_mut();
                let before = chunks.len();
                chunks.retain(|(id, _), (to, _)| *id != file_id || *to != me);
                drop_file::Response { chunks: (before - chunks.len()).try_into().unwrap() }.into()
            }
            Request::LookUp(look_up::Request { name }) => {
                let client_id = self.names.borrow().get(name.as_str()).copied();
                look_up::Response { client_id: client_id.ok_or(ErrorCode::UNKNOWN_CLIENT)? }.into()
            }
            Request::RotateIdentity(rotate_identity::Request { succession }) => {
                let held = accounts.get_mut(&me).unwrap();
                if held.moved.is_some() {
                    return Err(ErrorCode::MOVED);
                }
                let bundle = succession.bundle.clone();
                held.moved = Some((held.bundle.content.identity, succession));
                let client_id = id_of(&bundle);
                let held = Held { bundle, one_time: VecDeque::new(), queue: Vec::new(), moved: None };
                accounts.insert(client_id, held);
                self.names.borrow_mut().values_mut().filter(|id| **id == me).for_each(|id| *id = client_id);
                rotate_identity::Response { client_id }.into()
            }
            Request::FetchSuccession(fetch_succession::Request { client_id }) => {
                let moved = accounts.get(&client_id).and_then(|held| held.moved.clone());
                let (old_identity, succession) = moved.ok_or(ErrorCode::UNKNOWN_CLIENT)?;
                fetch_succession::Response { old_identity, succession }.into()
            }
            Request::EraseAccount(erase_account::Request) => {
                accounts.remove(&me);
                self.names.borrow_mut().retain(|_, id| *id != me);
                erase_account::Response.into()
            }
            other => panic!("{other:?} belongs to the connection"),
        })
    }
}

impl Link {
    pub(super) fn new(hub: &Rc<Hub>, me: ClientId) -> Self {
        Self { hub: Rc::clone(hub), me: Cell::new(me), fates: RefCell::default(), calls: Cell::new(0) }
    }

    /// The call behind the next `after` ones meets this fate, and all behind it are not answered either.
    pub(super) fn fail(&self, after: usize, fate: Fate) {
        let mut fates = VecDeque::from(vec![Fate::Answered; after]);
        fates.push_back(fate);
        fates.extend([Fate::LostBefore; 64]);
        *self.fates.borrow_mut() = fates;
    }

    pub(super) fn heal(&self) {
        self.fates.borrow_mut().clear();
    }
}

impl Server for Link {
    async fn call<R: Call>(&self, request: R) -> Result<R::Response, CallError> {
        self.calls.set(self.calls.get() + 1);
        let fate = self.fates.borrow_mut().pop_front().unwrap_or(Fate::Answered);
        let lost = || CallError::Failed(Error::new(ErrorKind::NoAnswer, "the connection is lost"));
        if fate == Fate::LostBefore {
            return Err(lost());
        }
        let answer = self.hub.answer(self.me.get(), request.into());
        if fate == Fate::LostAfter {
            return Err(lost());
        }
        let answer = answer.map_err(|code| CallError::Refused(Refusal::new(code)))?;
        Ok(R::response(answer).expect("an answer to the operation"))
    }
}

pub(super) fn id_of(bundle: &Bundle) -> ClientId {
    messageu_envelope::identity::Identity::new(&bundle.content.identity).unwrap().client_id()
}
