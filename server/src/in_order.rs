//! Work that goes on side by side, begun and finished in the order in which it came.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
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
