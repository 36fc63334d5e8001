//! One frame's worth of samples on its way.

use super::RequestError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is called with the end of a request: the answer's beats, or why there is none.
pub type Reply = Box<dyn FnOnce(Result<Vec<u8>, RequestError>) + Send>;

/// Samples to compute, and who waits for them.
pub struct Request {
    /// Number of samples.
    pub samples: u32,
    /// Their beats as [`crate::Session::pack_wire`] lays them out. Shared, so that it can be sent again.
    pub payload: Arc<[u8]>,
    /// Time that it may take from now on.
    pub timeout: Duration,
    /// By which the caller can take it back.
    pub cancel: Cancel,
    /// Called exactly once.
    pub reply: Reply,
}

/// Takes requests back. Clones take back the same ones.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Takes them back: those that have no answer yet end with [`RequestError::Cancelled`] soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether they were taken back.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A request inside the driver.
pub(super) struct Job {
    pub samples: u32,
    pub payload: Arc<[u8]>,
    pub begun: Instant,
    timeout: Duration,
    cancel: Cancel,
    /// Absent once the caller has its end: the answer, when it comes, is thrown away.
    reply: Option<Reply>,
    /// Whether it was sent before.
    pub sent: bool,
    /// Times that the stream broke when it was next to be answered.
    pub faults: u32,
}

/// A reply and what to call it with, once no lock is held.
#[must_use]
pub(super) struct Verdict {
    reply: Reply,
    result: Result<Vec<u8>, RequestError>,
}

impl Verdict {
    pub fn deliver(self) {
        (self.reply)(self.result);
    }
}

impl Job {
    pub fn new(request: Request, begun: Instant) -> Job {
        let Request { samples, payload, timeout, cancel, reply } = request;
        Job { samples, payload, begun, timeout, cancel, reply: Some(reply), sent: false, faults: 0 }
    }

    /// Whether nobody waits for it any more.
    pub fn is_over(&self) -> bool {
        self.reply.is_none()
    }

    /// Ends it, unless it is over.
    pub fn end(&mut self, result: Result<Vec<u8>, RequestError>) -> Option<Verdict> {
        self.reply.take().map(|reply| Verdict { reply, result })
    }

    /// Ends it if it was taken back or its time is up.
    pub fn expire(&mut self, now: Instant) -> Option<Verdict> {
        if self.cancel.is_cancelled() {
            return self.end(Err(RequestError::Cancelled));
        }
        match now.saturating_duration_since(self.begun) >= self.timeout {
            true => self.end(Err(RequestError::Deadline(self.timeout))),
            false => None,
        }
    }
}
