//! A transport to a model of the shell in the same process, with faults at chosen places.

use super::shell::{Shell, BEAT};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use systole_bundle::Manifest;
use systole_host::transport::{
    BufferAccount, Channel, Completion, Direction, DmaBuffer, Reset, TransferError, Transport, TransportCaps,
};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The transfer fails; its bytes are lost.
    Io,
    Timeout,
    Offline,
    Gone,
    /// It moves only so many beats, then reports a short count.
    Short(usize),
    /// A beat is lost, the transfer reports nothing.
    Lost(usize),
    /// A beat of ones is added.
    Extra(usize),
    /// A beat comes twice.
    Duplicated(usize),
    /// Nothing moves from this beat on until the channel is reset.
    Stall(usize),
    /// The whole board is gone for good.
    Dies,
    /// Registers read all ones and transfers fail until the function is reset.
    LinkDown,
}

/// `kind` at the `nth` transfer (counted from 0, over all epochs) of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub direction: Direction,
    pub nth: u64,
    pub kind: Kind,
}

/// How the link as a whole behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub faults: Vec<Fault>,
    /// Answers wait for posted buffers.
    pub lossless: bool,
    /// There is a function reset.
    pub function_reset: bool,
    /// Transfers cannot be stopped.
    pub unstoppable: bool,
    /// Time that every transfer takes.
    pub transfer_time: Duration,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            faults: vec![],
            lossless: true,
            function_reset: true,
            unstoppable: false,
            transfer_time: Duration::ZERO,
        }
    }
}

struct Transfer {
    channel: Channel,
    buffer: DmaBuffer,
    tag: u64,
    /// Whether its bytes are on the way, and its place counted.
    begun: bool,
}

struct State {
    shell: Shell,
    behaviour: Behaviour,
    queues: [VecDeque<Transfer>; 2],
    counts: [u64; 2],
    stalled: [bool; 2],
    done: VecDeque<Completion>,
    resets: Vec<Reset>,
    dead: bool,
    paused: bool,
}

/// The transport. Everything happens inside its calls; it has no thread.
pub struct Loopback {
    state: Mutex<State>,
    changed: Condvar,
    account: BufferAccount,
}

impl Loopback {
    pub fn new(manifest: &Manifest, behaviour: Behaviour) -> Arc<Loopback> {
        let state = State {
            shell: Shell::new(manifest),
            behaviour,
            queues: Default::default(),
            counts: [0; 2],
            stalled: [false; 2],
            done: VecDeque::new(),
            resets: vec![],
            dead: false,
            paused: false,
        };
        Arc::new(Loopback { state: Mutex::new(state), changed: Condvar::new(), account: BufferAccount::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The model, to be looked at or changed.
    pub fn shell<T>(&self, f: impl FnOnce(&mut Shell) -> T) -> T {
        f(&mut self.lock().shell)
    }

    /// Buffers that are not freed.
    pub fn live_buffers(&self) -> usize {
        self.account.live()
    }

    /// Resets so far.
    pub fn resets(&self) -> Vec<Reset> {
        self.lock().resets.clone()
    }

    /// The board dies now.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.die();
        state.progress();
        self.changed.notify_all();
    }

    /// Nothing moves from now on, or moves again.
    pub fn pause(&self, paused: bool) {
        self.lock().paused = paused;
        self.changed.notify_all();
    }

    /// Frames that have begun to move to the board.
    pub fn sent(&self) -> u64 {
        self.lock().counts[0]
    }
}

fn side(direction: Direction) -> usize {
    match direction {
        Direction::ToBoard => 0,
        Direction::FromBoard => 1,
    }
}

impl State {
    fn die(&mut self) {
        (self.dead, self.shell.dead) = (true, true);
        self.behaviour.function_reset = false;
    }

    /// Moves what can move.
    fn progress(&mut self) {
        for direction in [Direction::ToBoard, Direction::FromBoard, Direction::ToBoard, Direction::FromBoard] {
            while self.step(direction) {}
        }
    }

    fn fault(&self, direction: Direction) -> Option<Kind> {
        let nth = self.counts[side(direction)];
        let mut faults = self.behaviour.faults.iter();
        faults.find(|fault| fault.direction == direction && fault.nth == nth).map(|fault| fault.kind)
    }

    /// Finishes the oldest transfer of a direction, if it can be.
    fn step(&mut self, direction: Direction) -> bool {
        let index = side(direction);
        if self.queues[index].is_empty() || self.paused {
            return false;
        }
        if self.dead {
            return self.finish(index, Err(TransferError::Gone { what: "loopback".into() }));
        }
        if self.stalled[index] {
            return false;
        }
        let fault = self.fault(direction);
        if fault == Some(Kind::Dies) {
            self.die();
        }
        if fault == Some(Kind::LinkDown) {
            self.shell.dead = true;
        }
        if let Some(error) = fault.and_then(error_of) {
            self.counts[index] += 1;
            return self.finish(index, Err(error));
        }
        match direction {
            Direction::ToBoard => self.send(fault),
            Direction::FromBoard => self.receive(fault),
        }
    }

    fn send(&mut self, fault: Option<Kind>) -> bool {
        let mut bytes = self.queues[0][0].buffer.bytes().to_vec();
        let whole = bytes.len();
        self.counts[0] += 1;
        let kept = distort(&mut bytes, fault);
        self.shell.feed(&bytes);
        match fault {
            Some(Kind::Stall(_)) => {
                self.stalled[0] = true;
                self.shell.watch();
                false
            }
            Some(Kind::Short(_)) => self.finish(0, Err(short(kept, whole))),
            _ => self.finish(0, Ok(())),
        }
    }

    fn receive(&mut self, fault: Option<Kind>) -> bool {
        let wanted = self.queues[1][0].buffer.len();
        if !self.queues[1][0].begun {
            // The fault strikes the bytes at the front: those of the answer that is due.
            if self.shell.outbox.len() < wanted {
                return false;
            }
            let mut bytes: Vec<u8> = self.shell.outbox.drain(..wanted).collect();
            let kept = distort(&mut bytes, fault);
            bytes.extend(self.shell.outbox.drain(..));
            self.shell.outbox = bytes.into();
            self.queues[1][0].begun = true;
            self.counts[1] += 1;
            match fault {
                Some(Kind::Stall(_)) => {
                    self.stalled[1] = true;
                    return false;
                }
                Some(Kind::Short(_)) => return self.finish(1, Err(short(kept, wanted))),
                _ => (),
            }
        }
        if self.shell.outbox.len() < wanted {
            return false;
        }
        let bytes: Vec<u8> = self.shell.outbox.drain(..wanted).collect();
        self.queues[1][0].buffer.bytes_mut().copy_from_slice(&bytes);
        self.finish(1, Ok(()))
    }

    fn finish(&mut self, index: usize, result: Result<(), TransferError>) -> bool {
        let Some(Transfer { channel, buffer, tag, .. }) = self.queues[index].pop_front() else { return false };
        self.done.push_back(Completion { channel, tag, buffer, result });
        true
    }
}

fn error_of(kind: Kind) -> Option<TransferError> {
    let what = || "loopback".to_string();
    Some(match kind {
        Kind::Io => TransferError::Io { what: what(), reason: "input/output error".into() },
        Kind::Timeout => TransferError::Timeout { what: what() },
        Kind::Offline => TransferError::Offline { what: what() },
        Kind::Gone | Kind::Dies | Kind::LinkDown => TransferError::Gone { what: what() },
        _ => return None,
    })
}

fn short(moved: usize, wanted: usize) -> TransferError {
    TransferError::Short { what: "loopback".into(), moved, wanted }
}

/// What a fault leaves of a transfer's bytes; how many of them moved.
fn distort(bytes: &mut Vec<u8>, fault: Option<Kind>) -> usize {
    // Frames shorter than the place is deep are struck at their last beat.
    let last = bytes.len() / BEAT - 1;
    let fault = fault.map(|kind| match kind {
        Kind::Lost(beat) => Kind::Lost(beat.min(last)),
        Kind::Extra(beat) => Kind::Extra(beat.min(last)),
        Kind::Duplicated(beat) => Kind::Duplicated(beat.min(last)),
        Kind::Stall(beat) => Kind::Stall(beat.min(last)),
        Kind::Short(beat) => Kind::Short(beat.min(last)),
        other => other,
    });
    match fault {
        Some(Kind::Lost(beat)) => drop(bytes.drain(beat * BEAT..(beat + 1) * BEAT)),
        Some(Kind::Extra(beat)) => drop(bytes.splice(beat * BEAT..beat * BEAT, [0xff; BEAT])),
        Some(Kind::Duplicated(beat)) => {
            let twice = bytes[beat * BEAT..(beat + 1) * BEAT].to_vec();
            drop(bytes.splice(beat * BEAT..beat * BEAT, twice));
        }
        Some(Kind::Stall(beat) | Kind::Short(beat)) => bytes.truncate(beat * BEAT),
        _ => (),
    }
    bytes.len()
}

impl Transport for Loopback {
    fn caps(&self) -> TransportCaps {
        let lossless_rx = self.lock().behaviour.lossless;
        TransportCaps { max_chunk: 1 << 20, granule: BEAT, align: 64, channels: 1, lossless_rx, events: true }
    }

    fn reg_read32(&self, offset: u32) -> Result<u32, TransferError> {
        Ok(self.lock().shell.read(offset))
    }

    fn reg_write32(&self, offset: u32, value: u32) -> Result<(), TransferError> {
        let mut state = self.lock();
        state.shell.write(offset, value);
        state.progress();
        self.changed.notify_all();
        Ok(())
    }

    fn alloc(&self, len: usize) -> Result<DmaBuffer, TransferError> {
        self.account.alloc(len)
    }

    fn submit(&self, channel: Channel, buffer: DmaBuffer, tag: u64) -> Result<(), (TransferError, DmaBuffer)> {
        let mut state = self.lock();
        state.queues[side(channel.direction)].push_back(Transfer { channel, buffer, tag, begun: false });
        if state.behaviour.transfer_time.is_zero() {
            state.progress();
        }
        self.changed.notify_all();
        Ok(())
    }

    fn complete(&self, out: &mut Vec<Completion>, deadline: Instant) -> Result<usize, TransferError> {
        let mut state = self.lock();
        let pause = state.behaviour.transfer_time;
        loop {
            if pause.is_zero() {
                state.progress();
            } else if !state.step(Direction::FromBoard) {
                state.step(Direction::ToBoard);
            }
            let count = state.done.len();
            if count > 0 {
                out.extend(state.done.drain(..));
                drop(state);
                std::thread::sleep(pause);
                return Ok(count);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(0);
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn wait_event(&self, _: Instant) -> Result<u32, TransferError> {
        // One that tells nothing; others are lost.
        Ok(1)
    }

    fn quiesce(&self, deadline: Instant) -> Result<(), TransferError> {
        let mut state = self.lock();
        let busy = state.queues.iter().any(|queue| !queue.is_empty());
        if state.behaviour.unstoppable && busy {
            drop(state);
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            return Err(TransferError::Timeout { what: "loopback".into() });
        }
        for index in 0..2 {
            while state.finish(index, Err(TransferError::Aborted { what: "loopback".into() })) {}
        }
        Ok(())
    }

    fn reset(&self, level: Reset) -> Result<(), TransferError> {
        let mut state = self.lock();
        state.resets.push(level);
        if state.dead {
            return Err(TransferError::Gone { what: "loopback".into() });
        }
        if level == Reset::Function {
            if !state.behaviour.function_reset {
                return Err(TransferError::Offline { what: "no function reset".into() });
            }
            state.shell.dead = false;
        }
        state.stalled = [false; 2];
        Ok(())
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if let Ok(state) = self.state.get_mut() {
            // Memory under a transfer that cannot be stopped is never freed.
            if state.behaviour.unstoppable {
                state.queues.iter_mut().flat_map(std::mem::take).for_each(|transfer| transfer.buffer.leak());
            }
        }
    }
}
