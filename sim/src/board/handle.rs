//! A running board and what can be asked of it.

use super::device::Device;
use super::engine::Engine;
use super::fault::{Command, Direction};
use super::queue::{BoardError, Done};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Settings of a board.
#[derive(Clone, Copy, Debug)]
pub struct BoardOptions {
    /// Time without any movement after which a transfer is aborted. The XDMA driver's module
    /// parameters count from a transfer's start; but a simulated board is slow, not stuck, while it moves.
    pub transfer_timeout: Duration,
}

impl Default for BoardOptions {
    fn default() -> BoardOptions {
        BoardOptions { transfer_timeout: Duration::from_secs(10) }
    }
}

/// What can be asked of a board. The answer comes through `done`, on the board's thread.
pub enum Request {
    /// Read the register at a byte offset.
    Read {
        /// Offset, a multiple of 4.
        offset: u64,
        /// Takes its value.
        done: Done<u32>,
    },
    /// Write the register at a byte offset.
    Write {
        /// Offset, a multiple of 4.
        offset: u64,
        /// The value.
        value: u32,
        /// Takes the end of it.
        done: Done<()>,
    },
    /// Move bytes to the device.
    Send {
        /// The bytes.
        data: Vec<u8>,
        /// Takes how many of them moved.
        done: Done<usize>,
    },
    /// Move bytes from the device.
    Receive {
        /// How many.
        bytes: usize,
        /// Whether TLAST ends the transfer before.
        to_last: bool,
        /// Takes them.
        done: Done<Vec<u8>>,
    },
    /// Wait for interrupts.
    Event {
        /// How long.
        deadline: Option<Instant>,
        /// Takes how many there were since the last time.
        done: Done<u32>,
    },
    /// Ask whether there are interrupts, and be told once if not.
    Poll {
        /// Called at the next one.
        notify: Box<dyn FnOnce() + Send>,
        /// Takes whether there are some now.
        done: Done<bool>,
    },
    /// Open the channel from the device, which is open once at most.
    OpenC2h(Done<()>),
    /// Its file is being closed: one who opens it now waits for the end of that.
    ClosingC2h,
    /// It is closed.
    CloseC2h,
    /// End the waiting transfers of a direction.
    Abort(Direction),
    /// Pull the device's reset line, end all transfers.
    Reset(Done<()>),
    /// Ask for a fault.
    Control(Command, Done<()>),
    /// Ask what the board has done so far.
    Status(Done<String>),
    /// End the board's thread.
    Stop,
}

/// A running board. Dropping it ends its thread and fails what still waits.
#[derive(Debug)]
pub struct Board {
    inbox: mpsc::Sender<Request>,
    thread: Option<JoinHandle<()>>,
    beat_bytes: usize,
}

impl Board {
    /// Puts a DMA engine in front of `device`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(device: Box<dyn Device>, options: BoardOptions) -> std::io::Result<Board> {
        let (inbox, requests) = mpsc::channel();
        let beat_bytes = device.beat_bytes();
        let engine = Engine::new(device, options);
        let thread = std::thread::Builder::new().name("board".into()).spawn(move || engine.serve(&requests))?;
        Ok(Board { inbox, thread: Some(thread), beat_bytes })
    }

    /// Bytes of a beat.
    pub fn beat_bytes(&self) -> usize {
        self.beat_bytes
    }

    /// Hands a request to the board.
    pub fn submit(&self, request: Request) {
        if let Err(mpsc::SendError(request)) = self.inbox.send(request) {
            request.fail();
        }
    }

    /// Hands over the request that `make` makes of a way back, and waits for its result.
    ///
    /// # Errors
    /// Those of the request.
    pub fn call<T: Send + 'static>(&self, make: impl FnOnce(Done<T>) -> Request) -> Result<T, BoardError> {
        let (sender, result) = mpsc::sync_channel(1);
        self.submit(make(Box::new(move |value| {
            let _ = sender.send(value);
        })));
        result.recv().unwrap_or(Err(BoardError::NoDevice))
    }

    /// Takes the board off the bus: everything under way fails.
    pub fn stop(&self) {
        self.submit(Request::Stop);
    }

    /// Asks for a fault.
    ///
    /// # Errors
    /// If the board has ended.
    pub fn control(&self, command: Command) -> Result<(), BoardError> {
        self.call(|done| Request::Control(command, done))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Request {
    /// Ends the request: the board is gone.
    pub(super) fn fail(self) {
        let gone = BoardError::NoDevice;
        match self {
            Request::Read { done, .. } => done(Err(gone)),
            Request::Event { done, .. } => done(Err(gone)),
            Request::Write { done, .. } | Request::OpenC2h(done) | Request::Reset(done) | Request::Control(_, done) => {
                done(Err(gone))
            }
            Request::Send { done, .. } => done(Err(gone)),
            Request::Receive { done, .. } => done(Err(gone)),
            Request::Poll { done, .. } => done(Err(gone)),
            Request::Status(done) => done(Err(gone)),
            Request::ClosingC2h | Request::CloseC2h | Request::Abort(_) | Request::Stop => {}
        }
    }
}
