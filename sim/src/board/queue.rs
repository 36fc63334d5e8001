//! Transfers that wait for the device, and how they end.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

/// How a transfer or an access fails: the errors of the XDMA driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardError {
    /// EIO: the engine stopped.
    Io,
    /// ETIMEDOUT: nothing moved until the deadline; the transfer was aborted.
    TimedOut,
    /// EBUSY: the channel is open already, or offline.
    Busy,
    /// ENODEV: the board is gone.
    NoDevice,
    /// EPROTO: a register access that is not one aligned word.
    Protocol,
    /// EINVAL: not an operation of this node.
    Invalid,
    /// ECANCELED: the channel was closed under the transfer.
    Cancelled,
}

impl BoardError {
    /// Those that can be asked for, with their names.
    const NAMES: [(&'static str, BoardError); 4] = [
        ("EIO", BoardError::Io),
        ("ETIMEDOUT", BoardError::TimedOut),
        ("EBUSY", BoardError::Busy),
        ("ENODEV", BoardError::NoDevice),
    ];

    /// The error of a name that a fault can have.
    pub fn named(name: &str) -> Option<BoardError> {
        BoardError::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, error)| error)
    }
}

impl fmt::Display for BoardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BoardError::Io => "EIO",
            BoardError::TimedOut => "ETIMEDOUT",
            BoardError::Busy => "EBUSY",
            BoardError::NoDevice => "ENODEV",
            BoardError::Protocol => "EPROTO",
            BoardError::Invalid => "EINVAL",
            BoardError::Cancelled => "ECANCELED",
        })
    }
}

impl std::error::Error for BoardError {}

/// Called once with the result of a request, on the board's thread.
pub type Done<T> = Box<dyn FnOnce(Result<T, BoardError>) + Send>;

/// Bytes on their way to the device.
pub struct Outgoing {
    pub data: Vec<u8>,
    pub moved: usize,
    pub deadline: Instant,
    pub done: Done<usize>,
}

/// Room for bytes of the device.
pub struct Incoming {
    pub data: Vec<u8>,
    pub moved: usize,
    /// Whether TLAST ends it.
    pub to_last: bool,
    pub deadline: Instant,
    pub done: Done<Vec<u8>>,
}

/// A transfer of either kind.
pub trait Transfer {
    /// When it is aborted.
    fn deadline(&self) -> Instant;
    /// Bytes in all.
    fn size(&self) -> usize;
    /// Cuts it off behind `bytes`.
    fn shorten(&mut self, bytes: usize);
    /// Ends it: with the bytes that moved, or, if none did, with `error`. That hides an error
    /// behind a short count, as the XDMA driver does.
    fn end(self, error: BoardError);
    /// Ends it with `error`, whatever has moved.
    fn fail(self, error: BoardError);
}

impl Transfer for Outgoing {
    fn deadline(&self) -> Instant {
        self.deadline
    }
    fn size(&self) -> usize {
        self.data.len()
    }
    fn shorten(&mut self, bytes: usize) {
        self.data.truncate(bytes);
    }
    fn end(self, error: BoardError) {
        (self.done)(if self.moved == 0 && !self.data.is_empty() { Err(error) } else { Ok(self.moved) });
    }
    fn fail(self, error: BoardError) {
        (self.done)(Err(error));
    }
}

impl Transfer for Incoming {
    fn deadline(&self) -> Instant {
        self.deadline
    }
    fn size(&self) -> usize {
        self.data.len()
    }
    fn shorten(&mut self, bytes: usize) {
        self.data.truncate(bytes);
    }
    fn end(mut self, error: BoardError) {
        let nothing = self.moved == 0 && !self.data.is_empty();
        self.data.truncate(self.moved);
        (self.done)(if nothing { Err(error) } else { Ok(self.data) });
    }
    fn fail(self, error: BoardError) {
        (self.done)(Err(error));
    }
}

/// The transfers of one direction, and the faults of whole transfers.
pub struct Queue<T> {
    pub waiting: VecDeque<T>,
    /// Transfers since the board was started.
    pub begun: u64,
    /// Number of a transfer and how it fails.
    failures: Vec<(u64, BoardError)>,
    /// Number of a transfer, and bytes after which it ends short.
    shorts: Vec<(u64, usize)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { waiting: VecDeque::new(), begun: 0, failures: Vec::new(), shorts: Vec::new() }
    }
}

impl<T: Transfer> Queue<T> {
    /// Takes a transfer in, or ends it at once if it is to fail.
    pub fn push(&mut self, mut transfer: T) {
        self.begun += 1;
        if let Some(at) = self.failures.iter().position(|&(number, _)| number == self.begun) {
            let (_, error) = self.failures.swap_remove(at);
            return transfer.fail(error);
        }
        if let Some(at) = self.shorts.iter().position(|&(number, _)| number == self.begun) {
            let (_, bytes) = self.shorts.swap_remove(at);
            transfer.shorten(bytes.min(transfer.size()));
        }
        match transfer.size() {
            0 => transfer.end(BoardError::Io),
            _ => self.waiting.push_back(transfer),
        }
    }

    /// Transfer number `transfer` from now fails.
    pub fn fail(&mut self, transfer: u64, error: BoardError) {
        self.failures.push((self.begun.saturating_add(transfer), error));
    }

    /// Transfer number `transfer` from now ends behind `bytes`; the next one fails.
    pub fn short(&mut self, transfer: u64, bytes: usize, error: BoardError) {
        self.shorts.push((self.begun.saturating_add(transfer), bytes));
        self.fail(transfer.saturating_add(1), error);
    }

    /// Forgets the faults.
    pub fn clear(&mut self) {
        self.failures.clear();
        self.shorts.clear();
    }

    /// Ends the transfers whose deadline has passed.
    pub fn expire(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|transfer| transfer.deadline() <= now) {
            if let Some(transfer) = self.waiting.pop_front() {
                transfer.end(BoardError::TimedOut);
            }
        }
    }

    /// Ends all transfers.
    pub fn abort(&mut self, error: BoardError) {
        self.waiting.drain(..).for_each(|transfer| transfer.end(error));
    }
}
