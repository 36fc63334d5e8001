//! One stream's thread.

use super::super::{spawn_io, Channel, Completion, Direction, DmaBuffer, TransferError};
use super::signal;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread may take to end when the transport is dropped, before it is left to itself.
const FAREWELL: Duration = Duration::from_secs(12);
/// Between two attempts to end a system call: the first may come just before the call begins.
const NUDGE: Duration = Duration::from_millis(1);

/// Finished transfers of all streams.
#[derive(Default)]
pub struct Completions {
    done: Mutex<Vec<Completion>>,
    changed: Condvar,
}

impl Completions {
    fn lock(&self) -> MutexGuard<'_, Vec<Completion>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, completion: Completion) {
        self.lock().push(completion);
        self.changed.notify_all();
    }

    /// Moves what is there to `out`; waits for the first until `deadline`.
    pub fn take(&self, out: &mut Vec<Completion>, deadline: Instant) -> usize {
        let mut done = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !done.is_empty() || left.is_zero() {
                let count = done.len();
                out.append(&mut done);
                return count;
            }
            done = self.changed.wait_timeout(done, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A stream's queue and its thread.
pub struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    channel: Channel,
    path: PathBuf,
    max_chunk: usize,
    completions: Arc<Completions>,
    state: Mutex<State>,
    changed: Condvar,
    /// The transfer under way shall end.
    aborting: AtomicBool,
}

struct State {
    file: Arc<File>,
    jobs: VecDeque<(DmaBuffer, u64)>,
    /// A transfer is under way.
    busy: bool,
    ended: bool,
}

impl Engine {
    /// Opens the node and starts its thread.
    pub fn start(
        path: PathBuf,
        channel: Channel,
        max_chunk: usize,
        completions: &Arc<Completions>,
    ) -> Result<Engine, TransferError> {
        let file = Arc::new(open(&path, channel.direction)?);
        let direction = match channel.direction {
            Direction::ToBoard => "h2c",
            Direction::FromBoard => "c2h",
        };
        let shared = Arc::new(Shared {
            channel,
            path,
            max_chunk,
            completions: completions.clone(),
            state: Mutex::new(State { file, jobs: VecDeque::new(), busy: false, ended: false }),
            changed: Condvar::new(),
            aborting: AtomicBool::new(false),
        });
        let work = shared.clone();
        let thread = Some(spawn_io(&format!("systole-{direction}-{}", channel.index), move || {
            signal::allow();
            work.serve();
        })?);
        Ok(Engine { shared, thread })
    }

    /// Queues a transfer.
    pub fn submit(&self, buffer: DmaBuffer, tag: u64) -> Result<(), (TransferError, DmaBuffer)> {
        self.shared.lock().jobs.push_back((buffer, tag));
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Gives back what has not begun, and tells the transfer under way to end.
    pub fn abort(&self) {
        self.shared.aborting.store(true, Ordering::SeqCst);
        let jobs = std::mem::take(&mut self.shared.lock().jobs);
        for (buffer, tag) in jobs {
            self.shared.complete(buffer, tag, Err(self.shared.aborted()));
        }
    }

    /// Waits until no transfer is under way.
    pub fn settle(&self, deadline: Instant) -> Result<(), TransferError> {
        let mut state = self.shared.lock();
        while state.busy {
            if Instant::now() >= deadline {
                return Err(TransferError::Timeout { what: format!("stopping {}", self.shared.path.display()) });
            }
            self.thread.iter().for_each(signal::interrupt);
            state = self.shared.changed.wait_timeout(state, NUDGE).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.shared.aborting.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Closes the node and opens it anew.
    pub fn reopen(&self) -> Result<(), TransferError> {
        let mut state = self.shared.lock();
        // A C2H node opens once: the old descriptor must be closed first. In its place stands one
        // that only gives errors.
        state.file = Arc::new(File::open("/dev/null").map_err(|error| self.shared.failed(&error))?);
        state.file = Arc::new(open(&self.shared.path, self.shared.channel.direction)?);
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.abort();
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        let deadline = Instant::now() + FAREWELL;
        // A thread that no signal gets out of a system call keeps its buffer, and is left to itself.
        if self.settle(deadline).is_ok() {
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, buffer: DmaBuffer, tag: u64, result: Result<(), TransferError>) {
        self.completions.push(Completion { channel: self.channel, tag, buffer, result });
    }

    fn aborted(&self) -> TransferError {
        TransferError::Aborted { what: self.path.display().to_string() }
    }

    fn failed(&self, error: &std::io::Error) -> TransferError {
        TransferError::from_io(self.path.display().to_string(), error)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some((mut buffer, tag)) = state.jobs.pop_front() {
                state.busy = true;
                let file = state.file.clone();
                drop(state);
                let result = self.transfer(&file, &mut buffer);
                // Closed before anyone is told, so that the node can be opened anew.
                drop(file);
                self.complete(buffer, tag, result);
                state = self.lock();
                state.busy = false;
                self.changed.notify_all();
            } else if state.ended {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Moves the whole buffer, chunk by chunk.
    fn transfer(&self, mut file: &File, buffer: &mut DmaBuffer) -> Result<(), TransferError> {
        let wanted = buffer.len();
        let mut moved = 0;
        while moved < wanted {
            if self.aborting.load(Ordering::SeqCst) {
                return Err(self.aborted());
            }
            let end = wanted.min(moved + self.max_chunk);
            let count = match self.channel.direction {
                Direction::ToBoard => file.write(&buffer.bytes()[moved..end]),
                Direction::FromBoard => file.read(&mut buffer.bytes_mut()[moved..end]),
            };
            let short = match count {
                Ok(count) => {
                    moved += count;
                    // What is left of a write goes out with the next call, which tells the error that
                    // cut it. Behind a read cut short it is not known where the next frame begins.
                    count == 0 || self.channel.direction == Direction::FromBoard && moved < end
                }
                Err(error) if error.kind() == ErrorKind::Interrupted && self.aborting.load(Ordering::SeqCst) => {
                    return Err(self.aborted());
                }
                Err(error) => return Err(self.failed(&error)),
            };
            if short {
                return Err(TransferError::Short { what: self.path.display().to_string(), moved, wanted });
            }
        }
        Ok(())
    }
}

/// Opens a stream's node: one direction, not truncated, not created.
fn open(path: &std::path::Path, direction: Direction) -> Result<File, TransferError> {
    let mut options = OpenOptions::new();
    match direction {
        Direction::ToBoard => options.write(true),
        Direction::FromBoard => options.read(true),
    };
    options.open(path).map_err(|error| TransferError::from_io(path.display().to_string(), &error))
}
