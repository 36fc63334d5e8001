//! Interrupts on their way to the host, and who waits for them.

use super::queue::{BoardError, Done};
use std::time::Instant;

/// Watchers that are kept; the kernel does not say when one has given up.
const MOST_WATCHING: usize = 16;

/// Interrupts that nobody has fetched yet, as the XDMA driver counts them.
#[derive(Default)]
pub struct Interrupts {
    pending: u32,
    to_lose: u64,
    waiting: Vec<(Option<Instant>, Done<u32>)>,
    watching: Vec<Box<dyn FnOnce() + Send>>,
}

impl Interrupts {
    /// The line rose `count` times.
    pub fn raise(&mut self, count: u64) {
        let lost = count.min(self.to_lose);
        self.to_lose -= lost;
        self.deliver(count - lost);
    }

    /// `count` interrupts come that nothing caused.
    pub fn spurious(&mut self, count: u64) {
        self.deliver(count);
    }

    /// The next `count` are lost.
    pub fn lose(&mut self, count: u64) {
        self.to_lose = count;
    }

    fn deliver(&mut self, count: u64) {
        self.pending = self.pending.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if self.pending == 0 {
            return;
        }
        self.watching.drain(..).for_each(|notify| notify());
        // The first takes all, as a read of the events node does.
        if !self.waiting.is_empty() {
            let (_, done) = self.waiting.remove(0);
            done(Ok(std::mem::take(&mut self.pending)));
        }
    }

    /// `done` gets the number of interrupts since the last time, once there is one.
    pub fn wait(&mut self, deadline: Option<Instant>, done: Done<u32>) {
        match self.pending {
            0 => self.waiting.push((deadline, done)),
            _ => done(Ok(std::mem::take(&mut self.pending))),
        }
    }

    /// Whether there are some; if not, `notify` is called at the next.
    pub fn poll(&mut self, notify: Box<dyn FnOnce() + Send>) -> bool {
        if self.pending == 0 {
            if self.watching.len() == MOST_WATCHING {
                drop(self.watching.remove(0));
            }
            self.watching.push(notify);
        }
        self.pending > 0
    }

    /// Whether anybody waits. Who only watches is told, but keeps no board running: those who gave up
    /// are not known.
    pub fn awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Ends the waits whose deadline has passed.
    pub fn expire(&mut self, now: Instant) {
        for at in (0..self.waiting.len()).rev() {
            if self.waiting.get(at).and_then(|(deadline, _)| *deadline).is_some_and(|deadline| deadline <= now) {
                let (_, done) = self.waiting.remove(at);
                done(Err(BoardError::TimedOut));
            }
        }
    }

    /// Ends all waits: the board is gone.
    pub fn fail(&mut self) {
        self.waiting.drain(..).for_each(|(_, done)| done(Err(BoardError::NoDevice)));
        self.watching.drain(..).for_each(|notify| notify());
    }
}
