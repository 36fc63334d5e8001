//! The DMA engine in front of a device: one thread that owns the device, moves the bytes of
//! transfers through it, and plays the faults that were asked for.

use super::beats::Beats;
use super::channel::Exclusive;
use super::device::{Device, Moved};
use super::fault::{BeatFault, Command, Direction};
use super::handle::{BoardOptions, Request};
use super::interrupt::Interrupts;
use super::queue::{BoardError, Incoming, Outgoing, Queue};
use crate::error::SimError;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use systole_bundle::registers::{self, ctrl};

/// Cycles of a slice, at least and at most.
pub(super) const SLICE_CYCLES: (u64, u64) = (64, 1 << 16);
/// Cycles that the device runs on behind the last movement, so that what it does by itself happens.
pub(super) const SETTLE_CYCLES: u64 = 20_000;
/// Slices without any movement after which the thread sleeps between slices.
const QUIET_SLICES: u32 = 64;
/// That sleep.
const QUIET_SLEEP: Duration = Duration::from_millis(1);
/// Longest sleep without a look at deadlines.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// The state of a board's thread.
pub(super) struct Engine {
    pub(super) device: Box<dyn Device>,
    pub(super) options: BoardOptions,
    pub(super) h2c: Queue<Outgoing>,
    pub(super) c2h: Queue<Incoming>,
    pub(super) h2c_beats: Beats,
    pub(super) c2h_beats: Beats,
    /// Beats that go to the device ahead of the first transfer, and whether they carry TLAST.
    pub(super) inject: VecDeque<(Vec<u8>, bool)>,
    /// What happens to the next beat from the device.
    pub(super) next: Option<BeatFault>,
    /// Bytes from the device ahead of what it sends next.
    pub(super) spill: VecDeque<u8>,
    pub(super) scratch: Vec<u8>,
    /// Whether answers are kept back until a soft reset.
    pub(super) holding: bool,
    pub(super) interrupts: Interrupts,
    pub(super) c2h_file: Exclusive,
    pub(super) ones: bool,
    /// Why the board is off the bus.
    pub(super) gone: Option<String>,
    pub(super) cycles: u64,
    /// When a beat or a transfer moved last.
    pub(super) moved: Instant,
    /// Cycles to run on for, though nothing waits.
    pub(super) settle: u64,
    pub(super) slice: u64,
    pub(super) quiet: u32,
}

impl Engine {
    pub fn new(device: Box<dyn Device>, options: BoardOptions) -> Engine {
        Engine {
            device,
            options,
            h2c: Queue::default(),
            c2h: Queue::default(),
            h2c_beats: Beats::default(),
            c2h_beats: Beats::default(),
            inject: VecDeque::new(),
            next: None,
            spill: VecDeque::new(),
            scratch: Vec::new(),
            holding: false,
            interrupts: Interrupts::default(),
            c2h_file: Exclusive::default(),
            ones: false,
            gone: None,
            cycles: 0,
            moved: Instant::now(),
            settle: 0,
            slice: SLICE_CYCLES.0,
            quiet: 0,
        }
    }

    /// Serves requests until told to stop.
    pub fn serve(mut self, inbox: &Receiver<Request>) {
        loop {
            match self.next_request(inbox) {
                Ok(Some(Request::Stop)) | Err(()) => break,
                Ok(Some(request)) => {
                    self.accept(request);
                    continue;
                }
                Ok(None) => {}
            }
            if self.gone.is_none() && self.has_work() {
                if let Err(error) = self.step() {
                    self.fall(error.to_string());
                }
            }
            let now = Instant::now();
            if now.duration_since(self.moved) >= self.options.transfer_timeout {
                self.h2c.expire(now);
                self.c2h.expire(now);
            }
            self.interrupts.expire(now);
            self.c2h_file.expire(now);
        }
        self.fall("the board was stopped".into());
        inbox.try_iter().for_each(Request::fail);
    }

    /// The next request, if there is one now; sleeps where there is nothing to do.
    fn next_request(&mut self, inbox: &Receiver<Request>) -> Result<Option<Request>, ()> {
        let sleep = match (self.has_work() && self.gone.is_none(), self.device.moves_by_itself()) {
            (true, true) if self.quiet < QUIET_SLICES => None,
            (true, false) if self.quiet == 0 => None,
            (true, _) if self.h2c_beats.is_delayed() || self.c2h_beats.is_delayed() => Some(QUIET_SLEEP),
            (true, true) => Some(QUIET_SLEEP),
            _ => Some(LONGEST_SLEEP),
        };
        match sleep {
            None => match inbox.try_recv() {
                Ok(request) => Ok(Some(request)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(()),
            },
            Some(time) => match inbox.recv_timeout(time) {
                Ok(request) => Ok(Some(request)),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(()),
            },
        }
    }

    fn has_work(&self) -> bool {
        self.settle > 0
            || !self.inject.is_empty()
            || !self.h2c.waiting.is_empty()
            || !self.c2h.waiting.is_empty()
            || self.interrupts.awaited()
    }

    fn accept(&mut self, request: Request) {
        self.quiet = 0;
        let deadline = Instant::now() + self.options.transfer_timeout;
        if self.gone.is_some() {
            match request {
                // A dead link reads all ones and swallows writes.
                Request::Read { done, .. } => done(Ok(u32::MAX)),
                Request::Write { done, .. } | Request::Control(_, done) => done(Ok(())),
                Request::Status(done) => done(Ok(self.status())),
                Request::CloseC2h => self.c2h_file.close(),
                request => request.fail(),
            }
            return;
        }
        match request {
            Request::Read { offset, done } => {
                let value = self.register(offset).and_then(|offset| match self.ones {
                    true => Ok(u32::MAX),
                    false => self.with_device(|device| device.read(offset)),
                });
                done(value);
            }
            Request::Write { offset, value, done } => done(self.write(offset, value)),
            Request::Send { data, done } => self.h2c.push(Outgoing { data, moved: 0, deadline, done }),
            Request::Receive { bytes, to_last, done } => {
                self.c2h.push(Incoming { data: vec![0; bytes], moved: 0, to_last, deadline, done });
            }
            Request::Event { deadline, done } => self.interrupts.wait(deadline, done),
            Request::Poll { notify, done } => done(Ok(self.interrupts.poll(notify))),
            Request::OpenC2h(done) => self.c2h_file.open(done),
            Request::ClosingC2h => self.c2h_file.closing(),
            Request::CloseC2h => {
                self.c2h_file.close();
                // What is left of a beat that a transfer took a part of goes with the channel.
                let part = self.spill.len() % self.device.beat_bytes();
                self.spill.drain(..part);
            }
            Request::Abort(Direction::H2c) => self.h2c.abort(BoardError::Cancelled),
            Request::Abort(Direction::C2h) => self.c2h.abort(BoardError::Cancelled),
            Request::Reset(done) => {
                self.h2c.abort(BoardError::Cancelled);
                self.c2h.abort(BoardError::Cancelled);
                self.inject.clear();
                self.spill.clear();
                self.holding = false;
                done(self.with_device(|device| device.reset().map(|()| ((), Moved::default()))));
            }
            Request::Control(command, done) => {
                self.control(command);
                done(Ok(()));
            }
            Request::Status(done) => done(Ok(self.status())),
            Request::Stop => {}
        }
    }

    fn register(&self, offset: u64) -> Result<u32, BoardError> {
        match u32::try_from(offset) {
            Ok(offset) if offset % 4 == 0 && offset < registers::SPACE_BYTES => Ok(offset),
            _ => Err(BoardError::Protocol),
        }
    }

    fn write(&mut self, offset: u64, value: u32) -> Result<(), BoardError> {
        let offset = self.register(offset)?;
        if self.ones {
            return Ok(());
        }
        self.with_device(|device| device.write(offset, value).map(|moved| ((), moved)))?;
        self.settle = SETTLE_CYCLES;
        if offset == registers::CTRL.offset && ctrl::SOFT_RESET.is_set(value) {
            self.h2c_beats.release();
            self.c2h_beats.release();
            self.holding = false;
        }
        Ok(())
    }

    /// Runs `access` on the device; a device that stops takes the board off the bus.
    fn with_device<T>(
        &mut self,
        access: impl FnOnce(&mut dyn Device) -> Result<(T, Moved), SimError>,
    ) -> Result<T, BoardError> {
        match access(self.device.as_mut()) {
            Ok((value, moved)) => {
                self.pass(&moved);
                Ok(value)
            }
            Err(error) => {
                self.fall(error.to_string());
                Err(BoardError::NoDevice)
            }
        }
    }

    fn control(&mut self, command: Command) {
        match command {
            Command::Fail { direction: Direction::H2c, transfer, error } => self.h2c.fail(transfer, error),
            Command::Fail { direction: Direction::C2h, transfer, error } => self.c2h.fail(transfer, error),
            Command::Short { direction: Direction::H2c, transfer, bytes, error } => {
                self.h2c.short(transfer, bytes, error);
            }
            Command::Short { direction: Direction::C2h, transfer, bytes, error } => {
                self.c2h.short(transfer, bytes, error);
            }
            Command::Beat { direction: Direction::H2c, beat, fault } => self.h2c_beats.plan(beat, fault),
            Command::Beat { direction: Direction::C2h, beat, fault } => self.c2h_beats.plan(beat, fault),
            Command::Hold => self.holding = true,
            Command::Stalls(seed) => self.device.stall(seed),
            Command::RegistersOnes(on) => self.ones = on,
            Command::LoseInterrupts(count) => self.interrupts.lose(count),
            Command::SpuriousInterrupts(count) => self.interrupts.spurious(count),
            Command::Kill => self.fall("killed".into()),
            Command::Clear => {
                self.h2c.clear();
                self.c2h.clear();
                self.h2c_beats.clear();
                self.c2h_beats.clear();
                self.next = None;
                self.holding = false;
                self.device.stall(None);
                self.ones = false;
                self.interrupts.lose(0);
            }
        }
    }

    /// Takes the board off the bus.
    fn fall(&mut self, reason: String) {
        self.gone.get_or_insert(reason);
        self.h2c.abort(BoardError::NoDevice);
        self.c2h.abort(BoardError::NoDevice);
        self.interrupts.fail();
        self.c2h_file.fail();
    }

    fn status(&self) -> String {
        let state = self.gone.as_ref().map_or_else(|| "on the bus".into(), |reason| format!("off the bus: {reason}"));
        format!(
            "{state}\ncycles {}\nh2c transfers {} beats {}\nc2h transfers {} beats {}\n",
            self.cycles,
            self.h2c.begun,
            self.h2c_beats.passed(),
            self.c2h.begun,
            self.c2h_beats.passed(),
        )
    }

    /// Lets time pass for everything that counts it.
    pub(super) fn pass(&mut self, moved: &Moved) {
        self.cycles += moved.cycles;
        self.h2c_beats.wait(moved.cycles);
        self.c2h_beats.wait(moved.cycles);
        self.interrupts.raise(moved.interrupts);
    }
}
