//! The calls that wait for their answers, by tag; how long each may wait; and why there are no more of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::ResponseFrame;
use messageu_wire::modern::limits::{ENVELOPE_MAX, PULL_MAX};
use messageu_wire::modern::{Operation, Refusal, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::{lost, mixed_up, silence};
use crate::error::Error;

/// Most calls at once; further ones wait for a place.
pub(super) const IN_FLIGHT: usize = 16;
/// Bytes a second below which a server is not waited for.
const SLOWEST: u64 = 2048;

/// What a server says to a request.
pub(super) type Answer = Result<Response, Refusal>;

/// What a call may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cost {
    /// Bytes to send, at most.
    request: u64,
    /// Bytes to receive, at most.
    answer: u64,
    /// How long the server is asked to wait.
    wait: Duration,
}

impl Cost {
    /// What this request may take.
    pub(super) fn of(request: &Request) -> Self {
        let operation = request.operation();
        let (answer, wait) = match request {
            Request::PullEnvelopes(pull) => {
                let asked = usize::try_from(pull.max_bytes).unwrap_or(usize::MAX).max(ENVELOPE_MAX);
                (asked.min(PULL_MAX), Duration::from_millis(pull.wait_ms.into()))
            }
            _ => (operation.response_max(), Duration::ZERO),
        };
        let count = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
        Self { request: count(operation.request_max()), answer: count(answer), wait }
    }
}

/// The calls of one connection.
#[derive(Debug)]
pub(super) struct Calls {
    state: Mutex<State>,
    places: Arc<Semaphore>,
    /// Grows with everything that comes.
    life: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    next_tag: u32,
    waiting: HashMap<Tag, Waiting>,
    /// Bytes of all that wait, at most.
    requests: u64,
    answers: u64,
    broken: Option<Error>,
}

/// A call that was sent. Whoever made it may have lost interest; the place is free when the answer is there.
#[derive(Debug)]
struct Waiting {
    operation: Operation,
    cost: Cost,
    to: oneshot::Sender<Answer>,
    _place: OwnedSemaphorePermit,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), places: Arc::new(Semaphore::new(IN_FLIGHT)), life: AtomicU64::new(0) }
    }

    /// The time in which a call has to be answered, with all that goes before it.
    pub(super) fn time_for(&self, cost: Cost, patience: Duration) -> Duration {
        let state = self.lock();
        let before = state.requests.saturating_add(state.answers);
        let bytes = before.saturating_add(cost.request).saturating_add(cost.answer);
        // All places may be taken by calls that are to wait.
        let wait = state.waiting.values().map(|waiting| waiting.cost.wait).fold(cost.wait, Duration::max);
        patience.saturating_add(wait).saturating_add(Duration::from_secs(bytes / SLOWEST))
    }

    /// Waits for a place among the calls that go on at once.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.places).acquire_owned().await.map_err(|_| self.failure())
    }

    /// Gives a call its tag, and where its answer will come.
    pub(super) fn begin(
        &self,
        place: OwnedSemaphorePermit,
        request: &Request,
        cost: Cost,
    ) -> Result<(Tag, oneshot::Receiver<Answer>), Error> {
        let mut state = self.lock();
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let mut tag = Tag(state.next_tag);
        // A call that has been waiting while 2^32 others came and went keeps its tag.
        while state.waiting.contains_key(&tag) {
            tag = Tag(tag.0.wrapping_add(1));
        }
        state.next_tag = tag.0.wrapping_add(1);
        state.requests = state.requests.saturating_add(cost.request);
        state.answers = state.answers.saturating_add(cost.answer);
        let (to, answer) = oneshot::channel();
        let waiting = Waiting { operation: request.operation(), cost, to, _place: place };
        state.waiting.insert(tag, waiting);
        Ok((tag, answer))
    }

    /// Waits for an answer. That anything at all comes takes no longer than what is sent, and what the server was asked to
    /// wait: so a peer that is gone is noticed long before the largest answer could have come.
    pub(super) async fn wait_for_life(
        &self,
        mut answer: oneshot::Receiver<Answer>,
        cost: Cost,
        patience: Duration,
    ) -> Result<Answer, Error> {
        let life = self.life.load(Ordering::Relaxed);
        let sending = Duration::from_secs(self.lock().requests / SLOWEST);
        let first = patience.saturating_add(cost.wait).saturating_add(sending);
        let answered = match timeout(first, &mut answer).await {
            Ok(answered) => answered,
            Err(_) if self.life.load(Ordering::Relaxed) == life => return Err(silence()),
            Err(_) => answer.await,
        };
        answered.map_err(|_| self.failure())
    }

    /// Something has come.
    pub(super) fn sign_of_life(&self) {
        self.life.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands an answer to the call that it is for.
    pub(super) fn answer(&self, frame: ResponseFrame) -> Result<(), Error> {
        let ResponseFrame { tag, answer } = frame;
        let mut state = self.lock();
        let waiting =
            state.waiting.remove(&tag).ok_or_else(|| mixed_up("nothing was asked under its tag"))?;
        state.requests = state.requests.saturating_sub(waiting.cost.request);
        state.answers = state.answers.saturating_sub(waiting.cost.answer);
        if answer.as_ref().is_ok_and(|response| response.operation() != waiting.operation) {
            return Err(mixed_up("it answers another question"));
        }
        // Whoever asked may not be there any more.
        let _ = waiting.to.send(answer);
        Ok(())
    }

    /// Fails all calls, now and from here on. The first error is the one that counts.
    pub(super) fn break_with(&self, error: Error) {
        let mut state = self.lock();
        state.broken.get_or_insert(error);
        state.waiting.clear();
        self.places.close();
    }

    /// Why nothing can be asked any more, if it is so.
    pub(super) fn why_broken(&self) -> Option<Error> {
        self.lock().broken.clone()
    }

    /// Why a call failed.
    pub(super) fn failure(&self) -> Error {
        self.why_broken().unwrap_or_else(|| lost("it broke off"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
