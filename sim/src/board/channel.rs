//! A device node that can be open once.

use super::queue::{BoardError, Done};
use std::time::{Duration, Instant};

/// How long one who opens the node waits for the end of a close that has begun: a file system in user space is told of
/// the last reference's end only some time after `close` has returned.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// The node's state.
#[derive(Default)]
pub struct Exclusive {
    open: bool,
    closing: bool,
    waiting: Vec<(Instant, Done<()>)>,
}

impl Exclusive {
    /// Opens the node: EBUSY if it is open already.
    pub fn open(&mut self, done: Done<()>) {
        match (self.open, self.closing) {
            (true, true) => self.waiting.push((Instant::now() + CLOSING_TIME, done)),
            (true, false) => done(Err(BoardError::Busy)),
            (false, _) => {
                self.open = true;
                done(Ok(()));
            }
        }
    }

    /// A `close` has begun.
    pub fn closing(&mut self) {
        self.closing = true;
    }

    /// The last reference is gone; the first who waits has the node now.
    pub fn close(&mut self) {
        (self.open, self.closing) = (false, false);
        for (_, done) in std::mem::take(&mut self.waiting) {
            self.open(done);
        }
    }

    /// Ends the waits that took too long.
    pub fn expire(&mut self, now: Instant) {
        if self.waiting.first().is_some_and(|(deadline, _)| *deadline <= now) {
            let (_, done) = self.waiting.remove(0);
            done(Err(BoardError::Busy));
        }
    }

    /// Ends all waits: the board is gone.
    pub fn fail(&mut self) {
        self.waiting.drain(..).for_each(|(_, done)| done(Err(BoardError::NoDevice)));
    }
}
