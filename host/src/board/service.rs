//! Sending frames, and the board's thread, which takes their answers.

use super::request::{Job, Verdict};
use super::statistics::Counters;
use super::window::{fill, Answer, Phase, Window};
use super::{identity, BoardError, BoardOptions, Fault, Geometry, Request, RequestError, Statistics};
use crate::session::Session;
use crate::transport::{Channel, Completion, Direction, DmaBuffer, TransferError, Transport};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use systole_bundle::frame::{FrameHeader, HEADER_BYTES};
use systole_bundle::registers::{self, ctrl, status};
use systole_bundle::DesignHash;

const TO_BOARD: Channel = Channel { direction: Direction::ToBoard, index: 0 };
const FROM_BOARD: Channel = Channel { direction: Direction::FromBoard, index: 0 };

/// What callers and the board's thread share.
pub struct Shared {
    pub transport: Arc<dyn Transport>,
    pub geometry: Geometry,
    pub design: DesignHash,
    pub options: BoardOptions,
    pub frame_samples: u32,
    /// Bytes of a sample's beats each way, without padding.
    wire_in: usize,
    wire_out: usize,
    /// Frames on the board at once.
    window: usize,
    /// Bits of CTRL while frames run.
    pub control: u32,
    credit: bool,
    state: Mutex<Window>,
    /// There is something to do for the board's thread.
    changed: Condvar,
    /// Held from latching the counters until they are read.
    latching: Mutex<()>,
}

/// When the board last moved a beat, as far as the counters told.
struct Watch {
    moved: Instant,
    looked: Instant,
    beats: Option<(u64, u64)>,
}

impl Watch {
    fn new() -> Watch {
        let now = Instant::now();
        Watch { moved: now, looked: now, beats: None }
    }
}

impl Shared {
    /// Resets the board and readies it for frames.
    pub fn new(
        transport: Arc<dyn Transport>,
        geometry: Geometry,
        design: DesignHash,
        session: &Session,
        options: BoardOptions,
    ) -> Result<Shared, BoardError> {
        let sample_bytes = geometry.in_bytes.max(geometry.out_bytes).max(1);
        let fitting = options.frame_bytes.saturating_sub(HEADER_BYTES) / sample_bytes as usize;
        let most = geometry.max_samples.min((u32::MAX - HEADER_BYTES as u32) / sample_bytes).max(1);
        let frame_samples = u32::try_from(fitting).unwrap_or(u32::MAX).clamp(1, most);
        let credit = geometry.credit && !transport.caps().lossless_rx;
        let shared = Shared {
            frame_samples,
            wire_in: session.input_wire_bytes(),
            wire_out: session.output_wire_bytes(),
            window: options.in_flight.clamp(1, geometry.fifo_depth as usize),
            control: ctrl::ENABLE.mask() | if credit { ctrl::CREDIT.mask() } else { 0 },
            credit,
            transport,
            geometry,
            design,
            options,
            state: Mutex::new(Window::new()),
            changed: Condvar::new(),
            latching: Mutex::new(()),
        };
        let start = shared.reset_core(None)?;
        shared.lock().start(start);
        Ok(shared)
    }

    pub fn lock(&self) -> MutexGuard<'_, Window> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn outstanding(&self) -> usize {
        self.lock().outstanding()
    }

    pub fn failure(&self) -> Option<RequestError> {
        match &self.lock().phase {
            Phase::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    pub fn statistics(&self) -> Statistics {
        self.lock().statistics.clone()
    }

    /// Reads the shell's counters.
    pub fn counters(&self) -> Result<Counters, TransferError> {
        let _latching = self.latching.lock().unwrap_or_else(PoisonError::into_inner);
        Counters::read(&*self.transport, self.control)
    }

    /// Reads the shell's counter of input beats, leaving CTRL at `control`.
    pub fn beats_in(&self, control: u32) -> Result<u64, TransferError> {
        let _latching = self.latching.lock().unwrap_or_else(PoisonError::into_inner);
        Counters::read_beats_in(&*self.transport, control)
    }

    pub fn submit(&self, request: Request) {
        let now = Instant::now();
        let (samples, bytes) = (request.samples, request.payload.len());
        let mut job = Job::new(request, now);
        let fits = samples > 0
            && samples <= self.geometry.max_samples
            && u64::from(samples) * u64::from(self.geometry.in_bytes.max(self.geometry.out_bytes))
                <= u64::from(u32::MAX)
            && bytes == samples as usize * self.wire_in;
        let verdict = {
            let mut window = self.lock();
            window.begun.get_or_insert(now);
            let refusal = match &window.phase {
                _ if !fits => Some(RequestError::Size {
                    samples,
                    bytes,
                    most: self.geometry.max_samples,
                    sample_bytes: self.wire_in,
                }),
                Phase::Failed(error) => Some(error.clone()),
                Phase::Closed => Some(RequestError::Closed),
                Phase::Running | Phase::Recovering => None,
            };
            match refusal {
                Some(error) => {
                    window.statistics.failed += 1;
                    job.end(Err(error))
                }
                None => {
                    window.pending.push_back(job);
                    self.send(&mut window);
                    self.changed.notify_one();
                    None
                }
            }
        };
        verdict.into_iter().for_each(Verdict::deliver);
    }

    pub fn close(&self) {
        let mut verdicts = Vec::new();
        {
            let mut window = self.lock();
            window.phase = Phase::Closed;
            window.end_all(&RequestError::Closed, &mut verdicts);
        }
        self.changed.notify_all();
        verdicts.into_iter().for_each(Verdict::deliver);
    }

    /// Sends pending frames while the window has room.
    pub fn send(&self, window: &mut Window) {
        while window.has_room(self.window) {
            let Some(job) = window.pending.pop_front() else { return };
            if let Err(error) = self.send_one(window, job) {
                window.break_off(error.into());
                self.changed.notify_one();
            }
        }
    }

    /// Posts the buffer for a frame's answer, then the frame. The request is on the board afterwards
    /// also if that fails, so that recovery takes it back with the others.
    fn send_one(&self, window: &mut Window, mut job: Job) -> Result<(), TransferError> {
        let header = FrameHeader {
            answer: false,
            epoch: window.epoch,
            sequence: window.next_sequence,
            samples: job.samples,
            length: job.samples * self.geometry.in_bytes,
            design: self.design.word(),
            network: 0,
            status: 0,
        };
        window.next_sequence = window.next_sequence.wrapping_add(1);
        window.statistics.replays += u64::from(job.sent);
        job.sent = true;
        let (samples, payload) = (job.samples, job.payload.clone());
        window.in_flight.push_back(job);
        self.post_answer(window, samples)?;

        let length = HEADER_BYTES + header.length as usize;
        let mut buffer = self.buffer(&mut window.to_board, length)?;
        fill(buffer.bytes_mut(), &header, &payload, self.geometry.in_bytes as usize, self.wire_in);
        self.start(window, TO_BOARD, buffer)?;
        window.beats_in += length as u64 / u64::from(self.geometry.beat_bytes);
        window.statistics.bytes_sent += length as u64;
        Ok(())
    }

    /// Posts a buffer for the answer to so many samples, and allows the board to send it.
    fn post_answer(&self, window: &mut Window, samples: u32) -> Result<(), TransferError> {
        let length = HEADER_BYTES + samples as usize * self.geometry.out_bytes as usize;
        let buffer = self.buffer(&mut window.from_board, length)?;
        self.start(window, FROM_BOARD, buffer)?;
        if !self.credit {
            return Ok(());
        }
        match window.spare_credit.checked_sub(1) {
            Some(left) => window.spare_credit = left,
            None => self.transport.reg_write32(registers::OUT_CREDIT.offset, 1)?,
        }
        Ok(())
    }

    fn buffer(&self, free: &mut Vec<DmaBuffer>, length: usize) -> Result<DmaBuffer, TransferError> {
        match free.iter().position(|buffer| buffer.capacity() >= length) {
            Some(index) => {
                let mut buffer = free.swap_remove(index);
                buffer.set_len(length);
                Ok(buffer)
            }
            None => self.transport.alloc(length),
        }
    }

    fn start(&self, window: &mut Window, channel: Channel, buffer: DmaBuffer) -> Result<(), TransferError> {
        match self.transport.submit(channel, buffer, u64::from(window.generation)) {
            Ok(()) => {
                window.transfers += 1;
                Ok(())
            }
            Err((error, buffer)) => {
                self.keep(window, channel, buffer);
                Err(error)
            }
        }
    }

    /// Keeps a buffer for the next frame, as many as the window can use.
    fn keep(&self, window: &mut Window, channel: Channel, buffer: DmaBuffer) {
        let free = match channel.direction {
            Direction::ToBoard => &mut window.to_board,
            Direction::FromBoard => &mut window.from_board,
        };
        free.push(buffer);
        if free.len() > self.window + 1 {
            free.swap_remove(0);
        }
    }

    /// The board's thread: until the board is closed. Whatever ends it, no request is left without its end.
    pub fn serve_to_the_end(&self) {
        struct Farewell<'a>(&'a Shared);
        impl Drop for Farewell<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let _farewell = Farewell(self);
        self.serve();
    }

    fn serve(&self) {
        let mut done = Vec::new();
        let mut watch = Watch::new();
        loop {
            {
                let mut window = self.lock();
                while window.phase != Phase::Closed && window.is_idle() {
                    window = self.changed.wait(window).unwrap_or_else(PoisonError::into_inner);
                    watch = Watch::new();
                }
                if window.phase == Phase::Closed {
                    break;
                }
            }
            if self.turn(&mut done, &mut watch) {
                let fault = self.lock().fault.take();
                if let Some(fault) = fault {
                    self.recover(fault);
                }
                watch = Watch::new();
            }
        }
        self.shut_down();
    }

    /// One round: completions, deadlines, a look at a quiet board, further frames. Whether the stream is broken.
    fn turn(&self, done: &mut Vec<Completion>, watch: &mut Watch) -> bool {
        let interval = self.options.poll_interval;
        let completed = self.transport.complete(done, Instant::now() + interval);
        let quiet = matches!(completed, Ok(0));
        let trouble = if quiet { self.look(watch).err() } else { None };

        let mut verdicts = Vec::new();
        let unconfirmed = {
            let mut window = self.lock();
            for completion in done.drain(..) {
                *watch = Watch::new();
                self.take(&mut window, completion, &mut verdicts);
            }
            if let Err(error) = completed {
                window.break_off(error.into());
            }
            if let Some(fault) = trouble {
                window.break_off(fault);
            }
            window.expire(Instant::now(), interval, &mut verdicts);
            self.send(&mut window);
            window.is_unconfirmed()
        };
        let audit = if unconfirmed { Some(self.audit()) } else { None };
        let broken = {
            let mut window = self.lock();
            match audit {
                Some(Err(fault)) => window.break_off(fault),
                // Where frames were sent meanwhile, the next header confirms.
                Some(Ok(())) if window.is_unconfirmed() => {
                    window.confirm(&mut verdicts);
                    self.send(&mut window);
                }
                _ => (),
            }
            window.fault.is_some()
        };
        verdicts.into_iter().for_each(Verdict::deliver);
        broken
    }

    /// Whether the board has taken exactly the beats that were sent, and holds none back, when all
    /// frames are answered.
    fn audit(&self) -> Result<(), Fault> {
        let wanted = self.lock().beats_in;
        let found = self.beats_in(self.control)?;
        let state = self.transport.reg_read32(registers::STATUS.offset)?;
        let window = self.lock();
        if !window.is_unconfirmed() {
            return Ok(());
        }
        let waiting = status::IN_STALL.is_set(state) || status::OUT_STALL.is_set(state);
        match found > wanted || waiting || state == identity::ALL_ONES {
            true => Err(Fault::Surplus { found, wanted, state }),
            false => Ok(()),
        }
    }

    /// Takes one completed transfer.
    pub fn take(&self, window: &mut Window, completion: Completion, verdicts: &mut Vec<Verdict>) {
        let Completion { channel, tag, buffer, result } = completion;
        window.transfers = window.transfers.saturating_sub(1);
        let current = tag == u64::from(window.generation) && window.phase == Phase::Running;
        let outcome = match result {
            _ if !current || window.fault.is_some() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) if channel.direction == Direction::ToBoard => Ok(()),
            Ok(()) => self.take_answer(window, buffer.bytes(), verdicts),
        };
        self.keep(window, channel, buffer);
        if let Err(fault) = outcome {
            window.break_off(fault);
        }
    }

    fn take_answer(&self, window: &mut Window, bytes: &[u8], verdicts: &mut Vec<Verdict>) -> Result<(), Fault> {
        let confirm = self.options.confirm;
        match window.answer(bytes, self.design.word(), &self.geometry, self.wire_out, confirm, verdicts)? {
            Answer::Taken => Ok(()),
            // The buffers posted behind it serve one frame earlier each; they fit only if all are alike.
            Answer::Stale => match window.in_flight.front().map(|job| job.samples) {
                Some(samples) if window.in_flight.iter().all(|job| job.samples == samples) => {
                    Ok(self.post_answer(window, samples)?)
                }
                _ => Err(TransferError::Protocol {
                    what: "answer".into(),
                    reason: "one of an earlier epoch came in place of frames of several lengths".into(),
                }
                .into()),
            },
        }
    }

    /// Whether a quiet board is still at work.
    fn look(&self, watch: &mut Watch) -> Result<(), Fault> {
        if self.lock().in_flight.is_empty() {
            return Ok(());
        }
        let state = self.transport.reg_read32(registers::STATUS.offset)?;
        if state == identity::ALL_ONES {
            return Err(TransferError::Gone { what: "register STATUS reads all ones".into() }.into());
        }
        if status::HALTED.is_set(state) {
            let bits = self.transport.reg_read32(registers::ERROR.offset)?;
            let sequence = self.transport.reg_read32(registers::FIRST_ERROR_SEQ.offset)?;
            return Err(Fault::Halted { bits, sequence });
        }
        let patience = self.options.stall_timeout;
        let now = Instant::now();
        if now - watch.looked < patience / 4 && watch.beats.is_some() {
            return Ok(());
        }
        let Counters { beats_in, beats_out, .. } = self.counters()?;
        watch.looked = now;
        if watch.beats.replace((beats_in, beats_out)) != Some((beats_in, beats_out)) {
            watch.moved = now;
        }
        match now - watch.moved >= patience {
            true => Err(Fault::Stall(patience)),
            false => Ok(()),
        }
    }

    /// Stops all transfers and the core. Buffers that a transfer holds on to stay with the transport.
    fn shut_down(&self) {
        let deadline = Instant::now() + self.options.quiesce_timeout;
        if self.lock().transfers > 0 && self.transport.quiesce(deadline).is_ok() {
            let mut done = Vec::new();
            let soon = Instant::now() + Duration::from_millis(100);
            while self.lock().transfers > done.len() {
                if !matches!(self.transport.complete(&mut done, soon), Ok(1..)) {
                    break;
                }
            }
        }
        // A board that is gone needs no stopping.
        let _ = self.transport.reg_write32(registers::CTRL.offset, 0);
        let mut window = self.lock();
        window.to_board.clear();
        window.from_board.clear();
    }
}
