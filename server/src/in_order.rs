//! Work that goes on side by side, begun and finished in the order in which it came.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Pieces of work that have been begun, oldest first.
///
/// Whenever one is polled, all are, in order: what each asks of the store is asked in that order.
pub(crate) struct InOrder<T> {
    pieces: VecDeque<Piece<T>>,
}

enum Piece<T> {
    Going(Work<T>),
    Done(T),
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new() }
    }
}

impl<T> InOrder<T> {
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Begins a piece of work behind the others.
    pub(crate) async fn begin(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.pieces.push_back(Piece::Going(Box::pin(work)));
        poll_fn(|context| {
            self.poll_all(context);
            Poll::Ready(())
        })
        .await;
    }

    /// Puts what is done already behind the others.
    pub(crate) fn push(&mut self, done: T) {
        self.pieces.push_back(Piece::Done(done));
    }

    /// Waits until the oldest is done, for ever if there is none, and takes it.
    pub(crate) async fn next(&mut self) -> T {
        poll_fn(|context| {
            self.poll_all(context);
            self.take_done().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Does something else, and lets these go on meanwhile. Whatever may take as long as a peer wants it to, or waits for
    /// what these may hold, is done this way: each has a part of what all connections share until it is polled to its end.
    pub(crate) async fn beside<U>(&mut self, other: impl Future<Output = U>) -> U {
        let mut other = pin!(other);
        poll_fn(|context| {
            let polled = other.as_mut().poll(context);
            if polled.is_pending() {
                self.poll_all(context);
            }
            polled
        })
        .await
    }

    /// The oldest, if it was done when it was last polled.
    pub(crate) fn take_done(&mut self) -> Option<T> {
        match self.pieces.pop_front() {
            Some(Piece::Done(done)) => Some(done),
            Some(going) => {
                self.pieces.push_front(going);
                None
            }
            None => None,
        }
    }

    fn poll_all(&mut self, context: &mut Context<'_>) {
        for piece in &mut self.pieces {
            if let Piece::Going(work) = piece
                && let Poll::Ready(done) = work.as_mut().poll(context)
            {
                *piece = Piece::Done(done);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{Semaphore, oneshot};

    use super::InOrder;

    #[tokio::test]
    async fn what_was_begun_goes_on_while_something_else_is_awaited() {
        let seats = Arc::new(Semaphore::new(1));
        let taken = seats.acquire().await.unwrap();
        let mut pieces = InOrder::default();
        let (done, was_done) = oneshot::channel();
        let waiting = Arc::clone(&seats);
        pieces
            .begin(async move {
                let _seat = waiting.acquire().await;
                let _ = done.send(());
            })
            .await;
        drop(taken);
        pieces.beside(was_done).await.unwrap();
        assert_eq!(seats.available_permits(), 1);
        pieces.next().await;
        assert!(pieces.is_empty());
    }
}
