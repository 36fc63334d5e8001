//! Batches through an accelerator: blocking, as a stream, or as futures.

use crate::board::{Board, Cancel, Request, RequestError};
use crate::error::HostError;
use crate::session::{Packed, Session};
use crate::ticket::{ticket, Ticket};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Duration;
use systole_bundle::Array;

/// Why a batch has no result.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// It does not fit the network, or its result does not.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The accelerator gave no answer.
    #[error("samples {first} to {last}: {source}")]
    Request {
        /// First sample without an answer, counted from 0 in the batch.
        first: usize,
        /// Last sample of its frame.
        last: usize,
        /// Why.
        source: RequestError,
    },
}

/// Something that computes samples: a board, or several.
pub trait Accelerator: Send + Sync {
    /// The host's side of the network.
    fn session(&self) -> &Arc<Session>;

    /// Samples that batches are cut to.
    fn frame_samples(&self) -> usize;

    /// Takes a frame of samples; its reply is called exactly once, from this call or another thread.
    fn submit(&self, request: Request);

    /// Sends a batch of shape `[samples, ...]` off, in frames.
    ///
    /// # Errors
    /// If the batch has another shape or element type, or elements that the network does not take.
    fn begin(&self, batch: &Array, timeout: Duration) -> Result<Pending, InferError> {
        let session = self.session().clone();
        let Packed { samples, beats } = session.pack_wire(batch)?;
        let cancel = Cancel::default();
        let most = self.frame_samples().max(1);
        let mut frames = VecDeque::with_capacity(samples.div_ceil(most));
        let size = session.input_wire_bytes().max(1);
        for payload in beats.chunks(size.saturating_mul(most)) {
            let (promise, ticket) = ticket();
            let samples = payload.len() / size;
            frames.push_back((ticket, samples));
            self.submit(Request {
                samples: u32::try_from(samples).unwrap_or(u32::MAX),
                payload: payload.into(),
                timeout,
                cancel: cancel.clone(),
                reply: Box::new(|result| promise.fulfil(result)),
            });
        }
        Ok(Pending { session, cancel, frames, beats: Vec::new(), samples: 0 })
    }

    /// The network's outputs for a batch, of shape `[samples, ...]`.
    ///
    /// # Errors
    /// As [`Accelerator::begin`], and if the accelerator does not answer within `timeout`.
    fn infer(&self, batch: &Array, timeout: Duration) -> Result<Array, InferError> {
        self.begin(batch, timeout)?.wait()
    }

    /// Results of batches in their order, several under way at once.
    fn stream<I>(&self, batches: I, options: StreamOptions) -> Stream<'_, Self, I::IntoIter>
    where
        Self: Sized,
        I: IntoIterator<Item = Array>,
    {
        Stream { accelerator: self, batches: Some(batches.into_iter()), options, window: VecDeque::new() }
    }
}

impl Accelerator for Board {
    fn session(&self) -> &Arc<Session> {
        Board::session(self)
    }

    fn frame_samples(&self) -> usize {
        Board::frame_samples(self)
    }

    fn submit(&self, request: Request) {
        Board::submit(self, request);
    }
}

/// A frame's beats, or why there are none.
type Answer = Result<Vec<u8>, RequestError>;

/// A batch under way: wait for it, or poll it as a future. Dropping it takes it back.
#[derive(Debug)]
#[must_use = "a batch that is dropped is taken back"]
pub struct Pending {
    session: Arc<Session>,
    cancel: Cancel,
    /// Without an answer yet, in order, with their numbers of samples.
    frames: VecDeque<(Ticket<Answer>, usize)>,
    /// Of the samples that have an answer.
    beats: Vec<u8>,
    samples: usize,
}

impl Pending {
    /// Blocks until the whole batch has its result.
    ///
    /// # Errors
    /// If a frame has no answer, or the outputs are not what the manifest says.
    pub fn wait(mut self) -> Result<Array, InferError> {
        while let Some((ticket, samples)) = self.frames.pop_front() {
            self.take(ticket.wait(), samples)?;
        }
        self.deliver()
    }

    /// By which the batch can be taken back from elsewhere.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Frames without an answer that was taken.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    fn take(&mut self, answer: Answer, samples: usize) -> Result<(), InferError> {
        let first = self.samples;
        let beats = answer.map_err(|source| {
            self.cancel.cancel();
            InferError::Request { first, last: first + samples.saturating_sub(1), source }
        })?;
        self.beats.extend_from_slice(&beats);
        self.samples += samples;
        Ok(())
    }

    fn deliver(&self) -> Result<Array, InferError> {
        Ok(self.session.unpack_wire(&self.beats, self.samples)?)
    }
}

impl Future for Pending {
    type Output = Result<Array, InferError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some((ticket, samples)) = self.frames.front_mut() {
            let samples = *samples;
            let answer = ready!(Pin::new(ticket).poll(context));
            self.frames.pop_front();
            if let Err(error) = self.take(answer, samples) {
                self.frames.clear();
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(self.deliver())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// How a stream of batches is kept going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Frames under way at once; a batch that has more goes alone.
    pub in_flight: usize,
    /// Time that a batch may take from when it is sent off.
    pub timeout: Duration,
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions { in_flight: 16, timeout: Duration::from_secs(10) }
    }
}

/// Results in the order of their batches. A batch is taken from the source only when the window has
/// room, so that memory stays bounded however long the source is.
pub struct Stream<'a, A, I> {
    accelerator: &'a A,
    batches: Option<I>,
    options: StreamOptions,
    window: VecDeque<Result<Pending, InferError>>,
}

impl<A: Accelerator, I: Iterator<Item = Array>> Stream<'_, A, I> {
    fn fill(&mut self) {
        let frames = |window: &VecDeque<Result<Pending, InferError>>| -> usize {
            window.iter().map(|batch| batch.as_ref().map_or(1, Pending::frames)).sum()
        };
        while self.window.is_empty() || frames(&self.window) < self.options.in_flight {
            let Some(batch) = self.batches.as_mut().and_then(Iterator::next) else {
                self.batches = None;
                return;
            };
            self.window.push_back(self.accelerator.begin(&batch, self.options.timeout));
        }
    }

    /// The next result, without blocking a thread.
    pub async fn receive(&mut self) -> Option<Result<Array, InferError>> {
        self.fill();
        match self.window.pop_front()? {
            Ok(pending) => Some(pending.await),
            Err(error) => Some(Err(error)),
        }
    }
}

impl<A: Accelerator, I: Iterator<Item = Array>> Iterator for Stream<'_, A, I> {
    type Item = Result<Array, InferError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        Some(self.window.pop_front()?.and_then(Pending::wait))
    }
}
