//! How bytes reach a board: registers, streams, events.
//!
//! A transport moves whole buffers and knows nothing of frames. Its calls never block beyond the
//! deadline they are given; [`Transport::submit`] does not block at all, since the driver calls it
//! under a lock.

mod buffer;
mod error;
mod thread;
#[cfg(target_os = "linux")]
pub mod xdma;

pub use buffer::{BufferAccount, DmaBuffer};
pub use error::TransferError;
pub use thread::spawn_io;

use std::time::Instant;

/// What a transport can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportCaps {
    /// Bytes that move in one go; longer buffers are split by the transport, at a cost.
    pub max_chunk: usize,
    /// Every length must be a multiple of this many bytes.
    pub granule: usize,
    /// Alignment of buffers in bytes, at most the page that [`DmaBuffer`] gives.
    pub align: usize,
    /// Stream channels each way.
    pub channels: usize,
    /// Whether the board's answers wait for a posted buffer. Where they do not, the driver has the
    /// board send against credit.
    pub lossless_rx: bool,
    /// Whether [`Transport::wait_event`] reports interrupts.
    pub events: bool,
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Host to card: the buffer's bytes are sent.
    ToBoard,
    /// Card to host: the buffer is filled.
    FromBoard,
}

/// One stream of a transport. What is submitted to it moves in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// Which way it goes.
    pub direction: Direction,
    /// Number, counted from 0.
    pub index: usize,
}

/// The end of one submitted transfer.
#[derive(Debug)]
pub struct Completion {
    /// As submitted.
    pub channel: Channel,
    /// As submitted.
    pub tag: u64,
    /// The buffer comes back, whatever happened.
    pub buffer: DmaBuffer,
    /// Done: all of the buffer's length has moved. A transfer that moved less is an error.
    pub result: Result<(), TransferError>,
}

/// What to reset, from gentle to harsh. (The core's soft reset is a register, which the driver writes.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Close the stream channels and open them anew; what lay in them is gone.
    Channel,
    /// Reset the board's PCIe function, then open everything anew.
    Function,
}

/// A way to a board.
///
/// # Contract
/// - Transfers of one channel move and complete in order of submission.
/// - Every buffer that `submit` took comes back through `complete` exactly once, also those that
///   `quiesce` aborts (with [`TransferError::Aborted`] or the error that they met). Only a transfer
///   that cannot be stopped may keep its buffer; that memory must then never be freed or reused.
/// - A transfer that moved fewer bytes than its buffer has is an error, [`TransferError::Short`]:
///   a short count can hide the error that cut it.
/// - After `quiesce` the transport takes submissions again.
/// - Dropping a transport ends its threads.
pub trait Transport: Send + Sync {
    /// What it can do.
    fn caps(&self) -> TransportCaps;

    /// Reads a register at a byte offset.
    ///
    /// # Errors
    /// `Protocol` for offsets that are no multiple of 4 or lie outside, else what the link met.
    fn reg_read32(&self, offset: u32) -> Result<u32, TransferError>;

    /// Writes a register at a byte offset.
    ///
    /// # Errors
    /// As [`Transport::reg_read32`].
    fn reg_write32(&self, offset: u32, value: u32) -> Result<(), TransferError>;

    /// A buffer of `len` bytes, zero-filled, that `submit` takes.
    ///
    /// # Errors
    /// If there is no memory.
    fn alloc(&self, len: usize) -> Result<DmaBuffer, TransferError>;

    /// Queues a transfer of the buffer's whole length.
    ///
    /// # Errors
    /// If the channel takes nothing; the buffer comes back at once and nothing will complete.
    fn submit(&self, channel: Channel, buffer: DmaBuffer, tag: u64) -> Result<(), (TransferError, DmaBuffer)>;

    /// Appends completions to `out`; waits for the first until `deadline`. Gives their number, 0 at
    /// the deadline.
    ///
    /// # Errors
    /// If nothing can complete any more.
    fn complete(&self, out: &mut Vec<Completion>, deadline: Instant) -> Result<usize, TransferError>;

    /// Waits for an interrupt; gives how many there were since the last call.
    ///
    /// # Errors
    /// `Timeout` at the deadline, else what the link met.
    fn wait_event(&self, deadline: Instant) -> Result<u32, TransferError>;

    /// Aborts all transfers and waits until none touches memory any more. Their completions are
    /// there for `complete` afterwards. May be called again after a failure, to go on waiting.
    ///
    /// # Errors
    /// `Timeout` if a transfer is still under way at the deadline.
    fn quiesce(&self, deadline: Instant) -> Result<(), TransferError>;

    /// Resets what `level` says. Called only after `quiesce`.
    ///
    /// # Errors
    /// If it fails, or the transport has no such reset.
    fn reset(&self, level: Reset) -> Result<(), TransferError>;
}
