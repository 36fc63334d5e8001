//! The driver's way to a board in the same process.

use super::fault;
use super::handle::{Board, Request};
use super::queue::BoardError;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use systole_host::transport::{
    BufferAccount, Channel, Completion, Direction, DmaBuffer, Reset, TransferError, Transport, TransportCaps,
};

/// Bytes of one transfer: a few milliseconds of a simulated board.
const MOST_CHUNK: usize = 1 << 20;

/// A [`Transport`] to a [`Board`] in this process: no system call, no thread beside the board's own.
pub struct SimTransport {
    board: Arc<Board>,
    ends: Arc<Ends>,
    buffers: BufferAccount,
}

/// Transfers that ended and those under way.
#[derive(Default)]
struct Ends {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    done: VecDeque<Completion>,
    under_way: usize,
}

impl SimTransport {
    /// A way to `board`.
    pub fn new(board: Arc<Board>) -> SimTransport {
        SimTransport { board, ends: Arc::default(), buffers: BufferAccount::default() }
    }

    /// The board behind it.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The account of the buffers that it gave out.
    pub fn buffers(&self) -> &BufferAccount {
        &self.buffers
    }
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` or the deadline; whether it is ready.
    fn wait(&self, deadline: Instant, ready: impl Fn(&State) -> bool) -> (MutexGuard<'_, State>, bool) {
        let mut state = self.lock();
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let is_ready = ready(&state);
            if is_ready || rest.is_zero() {
                return (state, is_ready);
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn finish(&self, channel: Channel, tag: u64, buffer: DmaBuffer, result: Result<(), TransferError>) {
        let mut state = self.lock();
        state.under_way -= 1;
        state.done.push_back(Completion { channel, tag, buffer, result });
        drop(state);
        self.changed.notify_all();
    }
}

impl Transport for SimTransport {
    fn caps(&self) -> TransportCaps {
        TransportCaps {
            max_chunk: MOST_CHUNK,
            granule: self.board.beat_bytes(),
            align: 1,
            channels: 1,
            lossless_rx: true,
            events: true,
        }
    }

    fn reg_read32(&self, offset: u32) -> Result<u32, TransferError> {
        let read = self.board.call(|done| Request::Read { offset: offset.into(), done });
        read.map_err(|error| failure(error, format!("reading register {offset:#04x}")))
    }

    fn reg_write32(&self, offset: u32, value: u32) -> Result<(), TransferError> {
        let written = self.board.call(|done| Request::Write { offset: offset.into(), value, done });
        written.map_err(|error| failure(error, format!("writing register {offset:#04x}")))
    }

    fn alloc(&self, len: usize) -> Result<DmaBuffer, TransferError> {
        self.buffers.alloc(len)
    }

    fn submit(&self, channel: Channel, buffer: DmaBuffer, tag: u64) -> Result<(), (TransferError, DmaBuffer)> {
        if channel.index != 0 {
            let (what, reason) = (format!("channel {}", channel.index), "a simulated board has channel 0".into());
            return Err((TransferError::Protocol { what, reason }, buffer));
        }
        self.ends.lock().under_way += 1;
        let (ends, wanted) = (self.ends.clone(), buffer.len());
        match channel.direction {
            Direction::ToBoard => {
                let data = buffer.bytes().to_vec();
                let done = Box::new(move |moved: Result<usize, BoardError>| {
                    ends.finish(channel, tag, buffer, whole(moved, wanted, fault::Direction::H2c));
                });
                self.board.submit(Request::Send { data, done });
            }
            Direction::FromBoard => {
                let mut buffer = buffer;
                let done = Box::new(move |data: Result<Vec<u8>, BoardError>| {
                    if let Ok(data) = &data {
                        buffer.bytes_mut().iter_mut().zip(data).for_each(|(to, from)| *to = *from);
                    }
                    let moved = data.map(|data| data.len());
                    ends.finish(channel, tag, buffer, whole(moved, wanted, fault::Direction::C2h));
                });
                self.board.submit(Request::Receive { bytes: wanted, to_last: false, done });
            }
        }
        Ok(())
    }

    fn complete(&self, out: &mut Vec<Completion>, deadline: Instant) -> Result<usize, TransferError> {
        let (mut state, _) = self.ends.wait(deadline, |state| !state.done.is_empty());
        let count = state.done.len();
        out.extend(state.done.drain(..));
        Ok(count)
    }

    fn wait_event(&self, deadline: Instant) -> Result<u32, TransferError> {
        let events = self.board.call(|done| Request::Event { deadline: Some(deadline), done });
        events.map_err(|error| failure(error, "waiting for an interrupt".into()))
    }

    fn quiesce(&self, deadline: Instant) -> Result<(), TransferError> {
        self.board.submit(Request::Abort(fault::Direction::H2c));
        self.board.submit(Request::Abort(fault::Direction::C2h));
        match self.ends.wait(deadline, |state| state.under_way == 0) {
            (_, true) => Ok(()),
            (state, false) => Err(TransferError::Timeout { what: format!("aborting {} transfers", state.under_way) }),
        }
    }

    fn reset(&self, level: Reset) -> Result<(), TransferError> {
        match level {
            Reset::Channel => {
                self.board.submit(Request::CloseC2h);
                Ok(())
            }
            Reset::Function => {
                self.board.call(Request::Reset).map_err(|error| failure(error, "resetting the board".into()))
            }
        }
    }
}

/// The result of a transfer of `wanted` bytes.
fn whole(moved: Result<usize, BoardError>, wanted: usize, direction: fault::Direction) -> Result<(), TransferError> {
    let what = format!("simulated {direction} transfer");
    match moved {
        Ok(moved) if moved == wanted => Ok(()),
        Ok(moved) => Err(TransferError::Short { what, moved, wanted }),
        Err(error) => Err(failure(error, what)),
    }
}

/// What the XDMA driver's errors mean.
fn failure(error: BoardError, what: String) -> TransferError {
    match error {
        BoardError::TimedOut => TransferError::Timeout { what },
        BoardError::Busy => TransferError::Offline { what },
        BoardError::NoDevice => TransferError::Gone { what },
        BoardError::Cancelled => TransferError::Aborted { what },
        BoardError::Io => TransferError::Io { what, reason: "the DMA engine stopped".into() },
        BoardError::Protocol | BoardError::Invalid => {
            TransferError::Protocol { what, reason: format!("{error}: alignment, length or offset") }
        }
    }
}
