//! The DMA engine in front of a device: one thread that owns the device, moves the bytes of
//! transfers through it, and plays the faults that were asked for.

use super::beats::Beats;
use super::channel::Exclusive;
use super::device::{Device, Moved};
use super::fault::{BeatFault, Command, Direction};
use super::interrupt::Interrupts;
use super::queue::{BoardError, Done, Incoming, Outgoing, Queue, Transfer};
use crate::error::SimError;
use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use systole_bundle::registers::{self, ctrl};

/// Wall time that a slice of simulation aims at, between two looks at the inbox.
const SLICE_TIME: Duration = Duration::from_micros(400);
/// Cycles of a slice, at least and at most.
const SLICE_CYCLES: (u64, u64) = (64, 1 << 16);
/// Cycles that the device runs on behind the last movement, so that what it does by itself happens.
const SETTLE_CYCLES: u64 = 20_000;
/// Slices without any movement after which the thread sleeps between slices.
const QUIET_SLICES: u32 = 64;
/// That sleep.
const QUIET_SLEEP: Duration = Duration::from_millis(1);
/// Longest sleep without a look at deadlines.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
/// Bytes that `c2h hold` keeps back at most.
const MOST_HELD: usize = 1 << 20;
/// What a beat of noise is made of.
const NOISE: u8 = 0xa5;

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
    fn fail(self) {
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

struct Engine {
    device: Box<dyn Device>,
    options: BoardOptions,
    h2c: Queue<Outgoing>,
    c2h: Queue<Incoming>,
    h2c_beats: Beats,
    c2h_beats: Beats,
    /// Beats that go to the device ahead of the first transfer, and whether they carry TLAST.
    inject: VecDeque<(Vec<u8>, bool)>,
    /// What happens to the next beat from the device.
    next: Option<BeatFault>,
    /// Bytes from the device ahead of what it sends next.
    spill: VecDeque<u8>,
    scratch: Vec<u8>,
    /// Whether answers are kept back until a soft reset.
    holding: bool,
    interrupts: Interrupts,
    c2h_file: Exclusive,
    ones: bool,
    /// Why the board is off the bus.
    gone: Option<String>,
    cycles: u64,
    /// When a beat or a transfer moved last.
    moved: Instant,
    /// Cycles to run on for, though nothing waits.
    settle: u64,
    slice: u64,
    quiet: u32,
}

impl Engine {
    fn new(device: Box<dyn Device>, options: BoardOptions) -> Engine {
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

    fn serve(mut self, inbox: &Receiver<Request>) {
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
    fn pass(&mut self, moved: &Moved) {
        self.cycles += moved.cycles;
        self.h2c_beats.wait(moved.cycles);
        self.c2h_beats.wait(moved.cycles);
        self.interrupts.raise(moved.interrupts);
    }

    /// One slice of simulation.
    fn step(&mut self) -> Result<(), SimError> {
        self.deliver_spill();
        self.play_input_fault();
        self.play_output_fault();
        let beat = self.device.beat_bytes();

        let allowed = |beats: &Beats| usize::try_from(beats.free()).unwrap_or(usize::MAX).saturating_mul(beat);
        let mut from_inject = false;
        let (input, last): (&[u8], bool) = match (self.inject.front(), self.h2c.waiting.front()) {
            (Some((bytes, last)), _) => {
                from_inject = true;
                (bytes, *last)
            }
            (None, Some(send)) if !self.h2c_beats.is_held() => {
                let rest = send.data.get(send.moved..).unwrap_or_default();
                let free = allowed(&self.h2c_beats);
                (rest.get(..free).unwrap_or(rest), rest.len() <= free)
            }
            _ => (&[], false),
        };

        let free = allowed(&self.c2h_beats);
        let mut direct = false;
        let output: &mut [u8] = match self.c2h.waiting.front_mut() {
            _ if self.c2h_beats.is_held() => &mut [],
            _ if self.holding => {
                let room = MOST_HELD.saturating_sub(self.spill.len()).min(free) / beat * beat;
                self.scratch.resize(room.min(1 << 16), 0);
                &mut self.scratch
            }
            None => &mut [],
            Some(receive)
                if self.next.is_none() && self.spill.is_empty() && receive.data.len() - receive.moved >= beat =>
            {
                direct = true;
                let rest = receive.data.get_mut(receive.moved..).unwrap_or_default();
                let room = (rest.len() / beat * beat).min(free);
                rest.get_mut(..room).unwrap_or_default()
            }
            Some(_) if self.spill.len() < beat => {
                self.scratch.resize(beat, 0);
                &mut self.scratch
            }
            Some(_) => &mut [],
        };

        let begin = Instant::now();
        let moved = self.device.run(self.slice, input, last, output)?;
        self.adapt_slice(&moved, begin.elapsed());
        self.pass(&moved);
        self.account_input(from_inject, moved.taken, beat);
        self.account_output(direct, &moved, beat);
        if moved.taken > 0 || moved.given > 0 {
            (self.quiet, self.settle, self.moved) = (0, SETTLE_CYCLES, Instant::now());
        } else {
            self.quiet = self.quiet.saturating_add(1);
            self.settle = self.settle.saturating_sub(moved.cycles.max(1));
        }
        Ok(())
    }

    fn adapt_slice(&mut self, moved: &Moved, time: Duration) {
        // A call that ended early says nothing about the time of a whole slice.
        if moved.cycles >= self.slice {
            let slice = if time < SLICE_TIME { self.slice * 2 } else { self.slice / 2 };
            self.slice = slice.clamp(SLICE_CYCLES.0, SLICE_CYCLES.1);
        }
    }

    fn account_input(&mut self, from_inject: bool, taken: usize, beat: usize) {
        if from_inject {
            if taken > 0 {
                self.inject.pop_front();
            }
        } else if let Some(send) = self.h2c.waiting.front_mut() {
            send.moved += taken;
            self.h2c_beats.pass(taken.div_ceil(beat) as u64);
        }
        self.finish_send();
    }

    fn finish_send(&mut self) {
        if self.inject.is_empty() && self.h2c.waiting.front().is_some_and(|send| send.moved >= send.data.len()) {
            if let Some(send) = self.h2c.waiting.pop_front() {
                send.end(BoardError::Io);
            }
        }
    }

    fn account_output(&mut self, direct: bool, moved: &Moved, beat: usize) {
        if moved.given == 0 {
            return;
        }
        self.c2h_beats.pass((moved.given / beat) as u64);
        if direct {
            if let Some(receive) = self.c2h.waiting.front_mut() {
                receive.moved += moved.given;
                let ended = moved.ended && receive.to_last;
                self.finish_receive(ended);
            }
            return;
        }
        let bytes = self.scratch.get(..moved.given).unwrap_or_default();
        let next = self.next.take();
        if next != Some(BeatFault::Lose) {
            self.spill.extend(bytes);
        }
        if next == Some(BeatFault::Duplicate) {
            self.spill.extend(bytes);
        }
        self.deliver_spill();
        let to_last = self.c2h.waiting.front().is_some_and(|receive| receive.to_last && receive.moved > 0);
        if next == Some(BeatFault::Last) || moved.ended && to_last && !self.holding {
            self.finish_receive(true);
        }
    }

    /// Ends the first transfer from the device if it is full or `ended`.
    fn finish_receive(&mut self, ended: bool) {
        if self.c2h.waiting.front().is_some_and(|receive| ended || receive.moved >= receive.data.len()) {
            if let Some(receive) = self.c2h.waiting.pop_front() {
                receive.end(BoardError::Io);
            }
        }
    }

    fn deliver_spill(&mut self) {
        while !self.spill.is_empty() && !self.holding {
            let Some(receive) = self.c2h.waiting.front_mut() else { return };
            let room = receive.data.get_mut(receive.moved..).unwrap_or_default();
            let count = room.len().min(self.spill.len());
            room.iter_mut().zip(self.spill.drain(..count)).for_each(|(to, from)| *to = from);
            receive.moved += count;
            self.finish_receive(false);
        }
    }

    /// Does what waits for the next beat to the device.
    fn play_input_fault(&mut self) {
        let beat = self.device.beat_bytes();
        while self.inject.is_empty() && !self.h2c_beats.is_held() {
            let Some(send) = self.h2c.waiting.front_mut() else { return };
            let rest = send.data.get(send.moved..).unwrap_or_default();
            let bytes = rest.get(..beat).unwrap_or(rest).to_vec();
            match self.h2c_beats.take() {
                None => return,
                Some(BeatFault::Stall(cycles)) => self.h2c_beats.hold(cycles),
                Some(BeatFault::Extra) => self.inject.push_back((vec![NOISE; beat], false)),
                Some(BeatFault::Duplicate) => self.inject.push_back((bytes, false)),
                Some(fault @ (BeatFault::Lose | BeatFault::Last)) => {
                    send.moved += bytes.len();
                    self.h2c_beats.pass(1);
                    if fault == BeatFault::Last {
                        self.inject.push_back((bytes, true));
                    }
                    self.finish_send();
                }
            }
        }
    }

    /// Does what waits for the next beat from the device.
    fn play_output_fault(&mut self) {
        while self.next.is_none() && !self.c2h_beats.is_held() && !self.c2h.waiting.is_empty() {
            match self.c2h_beats.take() {
                None => return,
                Some(BeatFault::Stall(cycles)) => self.c2h_beats.hold(cycles),
                Some(BeatFault::Extra) => {
                    self.spill.extend(std::iter::repeat_n(NOISE, self.device.beat_bytes()));
                    self.deliver_spill();
                }
                fault => self.next = fault,
            }
        }
    }
}
