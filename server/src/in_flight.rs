//! Sends that wait for the disk while the connection goes on reading, so that those of one connection can share a commit.

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::ClientId;

use crate::handler::{Outcome, Refusal};
use crate::in_order::InOrder;
use crate::limits::{SENDS_IN_FLIGHT, SENDS_IN_FLIGHT_BYTES};

/// The sends of one connection that have not been answered.
#[derive(Default)]
pub(crate) struct InFlight {
    sends: InOrder<Done>,
    /// Bytes of their contents.
    bytes: usize,
}

/// A send, and what became of it.
pub(crate) struct Done {
    pub(crate) sender: Sender,
    /// Bytes of content that it had.
    bytes: usize,
    pub(crate) result: Result<Outcome, Refusal>,
}

/// Whom to answer.
#[derive(Clone, Copy)]
pub(crate) struct Sender {
    /// The dialect to answer in.
    pub(crate) dialect: Dialect,
    /// Who sent it, as the header said it.
    pub(crate) client_id: ClientId,
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
        sender: Sender,
        bytes: usize,
        work: impl Future<Output = Result<Outcome, Refusal>> + Send + 'static,
    ) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.sends.begin(async move { Done { sender, bytes, result: work.await } }).await;
    }

    /// Puts a send that is refused already behind the others.
    pub(crate) fn refuse(&mut self, sender: Sender, refusal: Refusal) {
        self.sends.push(Done { sender, bytes: 0, result: Err(refusal) });
    }

    /// Does something else, and lets the sends go on meanwhile.
    pub(crate) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        self.sends.beside(other).await
    }

    /// Waits until the oldest is done, for ever if there is none. Takes it, and those behind it that are done too.
    pub(crate) async fn done(&mut self) -> Vec<Done> {
        let mut all = vec![self.sends.next().await];
        all.extend(std::iter::from_fn(|| self.sends.take_done()));
        for done in &all {
            self.bytes = self.bytes.saturating_sub(done.bytes);
        }
        all
    }
}
