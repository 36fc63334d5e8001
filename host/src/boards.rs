//! Several boards with the same design behind one queue.

use crate::board::{Board, BoardError, Request, RequestError};
use crate::infer::Accelerator;
use crate::session::Session;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Boards that share the work: each frame goes to the one with the fewest requests outstanding. A
/// board that was given up gets no more, and what it did not answer is sent to another.
pub struct Boards {
    inner: Arc<Inner>,
}

struct Inner {
    boards: Vec<Board>,
    frame_samples: usize,
    /// Where the search for the next board begins, so that idle boards take turns.
    turn: AtomicUsize,
}

impl Boards {
    /// Puts boards behind one queue.
    ///
    /// # Errors
    /// If there is none, or they hold different designs.
    pub fn new(boards: Vec<Board>) -> Result<Boards, BoardError> {
        let Some(first) = boards.first() else {
            return Err(BoardError::Bundle { reason: "no board; give at least one".into() });
        };
        let design = first.design();
        if let Some(other) = boards.iter().find(|board| board.design() != design) {
            return Err(BoardError::Mixed { first: design, other: other.design() });
        }
        let frame_samples = boards.iter().map(Board::frame_samples).min().unwrap_or(1);
        Ok(Boards { inner: Arc::new(Inner { boards, frame_samples, turn: AtomicUsize::new(0) }) })
    }

    /// All boards, those that were given up included.
    pub fn boards(&self) -> &[Board] {
        &self.inner.boards
    }
}

impl Accelerator for Boards {
    fn session(&self) -> &Arc<Session> {
        self.inner.boards[0].session()
    }

    fn frame_samples(&self) -> usize {
        self.inner.frame_samples
    }

    fn submit(&self, request: Request) {
        self.inner.dispatch(Errand { request, begun: Instant::now(), tried: vec![], last: RequestError::Closed });
    }
}

/// A request and where it has been.
struct Errand {
    request: Request,
    begun: Instant,
    /// Boards that did not answer it.
    tried: Vec<usize>,
    /// How the last of them ended it.
    last: RequestError,
}

impl Inner {
    fn dispatch(self: &Arc<Inner>, errand: Errand) {
        let Errand { request, begun, tried, last } = errand;
        let Request { samples, payload, timeout, cancel, reply } = request;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let places = (0..self.boards.len()).map(|place| (place + turn) % self.boards.len());
        let fit = places.filter(|index| !tried.contains(index) && self.boards[*index].failure().is_none());
        let Some(index) = fit.min_by_key(|&index| self.boards[index].outstanding()) else {
            let last = match tried.is_empty() {
                true => self.boards.iter().find_map(Board::failure).unwrap_or(last),
                false => last,
            };
            return reply(Err(RequestError::NoBoard { boards: self.boards.len(), last: Box::new(last) }));
        };
        // Not a strong reference: a board would keep itself alive by what it has not answered.
        let boards: Weak<Inner> = Arc::downgrade(self);
        let again = (payload.clone(), cancel.clone());
        let left = timeout.saturating_sub(begun.elapsed());
        let answered = move |result| match result {
            Err(last @ (RequestError::Failed { .. } | RequestError::Retries { .. })) => match boards.upgrade() {
                Some(boards) => {
                    let (payload, cancel) = again;
                    let request = Request { samples, payload, timeout, cancel, reply };
                    let tried = tried.into_iter().chain([index]).collect();
                    boards.dispatch(Errand { request, begun, tried, last });
                }
                None => reply(Err(RequestError::Closed)),
            },
            Err(RequestError::Deadline(_)) => reply(Err(RequestError::Deadline(timeout))),
            result => reply(result),
        };
        self.boards[index].submit(Request { samples, payload, timeout: left, cancel, reply: Box::new(answered) });
    }
}
