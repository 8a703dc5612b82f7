//! Sends that wait for the disk while the connection goes on reading, so that those of one connection can share a commit.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::ClientId;

use crate::handler::{Outcome, Refusal};
use crate::limits::{SENDS_IN_FLIGHT, SENDS_IN_FLIGHT_BYTES};

/// The sends of one connection that have not been answered, oldest first.
#[derive(Default)]
pub(crate) struct InFlight {
    sends: VecDeque<Send>,
    /// Bytes of their contents.
    bytes: usize,
}

struct Send {
    answer_in: Dialect,
    client_id: ClientId,
    bytes: usize,
    /// `None` when it is done.
    work: Option<Work>,
    result: Option<Result<Outcome, Refusal>>,
}

type Work = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + std::marker::Send>>;

impl Send {
    fn into_done(self) -> Option<Done> {
        let Self { answer_in, client_id, result, .. } = self;
        Some(Done { answer_in, client_id, result: result? })
    }
}

/// What became of a send.
pub(crate) struct Done {
    /// The dialect to answer in.
    pub(crate) answer_in: Dialect,
    /// Who sent it, as the header said it.
    pub(crate) client_id: ClientId,
    pub(crate) result: Result<Outcome, Refusal>,
}

impl InFlight {
    pub(crate) fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }

    /// Whether a send with so many bytes of content has to wait until others are answered.
    pub(crate) fn is_full_for(&self, bytes: usize) -> bool {
        self.sends.len() >= SENDS_IN_FLIGHT
            || (!self.is_empty() && self.bytes.saturating_add(bytes) > SENDS_IN_FLIGHT_BYTES)
    }

    /// Begins a send: it takes its place in the store's queue now.
    pub(crate) async fn begin(
        &mut self,
        (answer_in, client_id): (Dialect, ClientId),
        bytes: usize,
        work: impl Future<Output = Result<Outcome, Refusal>> + std::marker::Send + 'static,
    ) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.sends.push_back(Send { answer_in, client_id, bytes, work: Some(Box::pin(work)), result: None });
        poll_fn(|context| {
            self.poll_all(context);
            Poll::Ready(())
        })
        .await;
    }

    /// Puts a send that is refused already behind the others.
    pub(crate) fn refuse(&mut self, (answer_in, client_id): (Dialect, ClientId), refusal: Refusal) {
        self.sends.push_back(Send { answer_in, client_id, bytes: 0, work: None, result: Some(Err(refusal)) });
    }

    /// Waits until the oldest is done, for ever if there is none. Takes it, and those behind it that are done too.
    pub(crate) async fn done(&mut self) -> Vec<Done> {
        poll_fn(|context| {
            self.poll_all(context);
            let done = self.sends.iter().take_while(|send| send.result.is_some()).count();
            let all: Vec<Done> = self.sends.drain(..done).filter_map(Send::into_done).collect();
            self.bytes = self.sends.iter().map(|send| send.bytes).sum();
            if all.is_empty() { Poll::Pending } else { Poll::Ready(all) }
        })
        .await
    }

    /// In their order, as each takes its place in the store's queue when it is first polled.
    fn poll_all(&mut self, context: &mut std::task::Context<'_>) {
        for send in &mut self.sends {
            if let Some(work) = &mut send.work
                && let Poll::Ready(result) = work.as_mut().poll(context)
            {
                (send.work, send.result) = (None, Some(result));
            }
        }
    }
}
