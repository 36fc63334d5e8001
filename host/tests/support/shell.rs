//! What a board's shell does, in terms of registers and bytes: a model for tests of the driver.
//!
//! Its core computes, for five int8 inputs, three outputs `(x[k] + 2 x[k+1] + 3 x[k+2]) mod 16`.

use std::collections::VecDeque;
use systole_bundle::frame::{Expected, FrameError, FrameHeader, HEADER_BYTES};
use systole_bundle::registers::{self, ctrl, error, status};
use systole_bundle::{DesignHash, Manifest};

/// Bytes of a beat.
pub const BEAT: usize = 8;
/// Payload bytes of a sample each way: 6 and 4 bytes of beats, padded.
pub const SAMPLE: u32 = 8;
/// Samples a frame can have.
pub const MAX_SAMPLES: u32 = 16;
/// Frames that are kept account of.
pub const DEPTH: u32 = 4;

/// The outputs of one sample.
pub fn core(input: &[i64]) -> Vec<i64> {
    (0..3).map(|k| (input[k] + 2 * input[k + 1] + 3 * input[k + 2]).rem_euclid(16)).collect()
}

/// Changes an answer: its number, its bytes.
pub type Tamper = Box<dyn FnMut(u64, &mut Vec<u8>) + Send>;

/// A shell with its core.
pub struct Shell {
    design: DesignHash,
    inbox: VecDeque<u8>,
    /// Answer bytes that the host has not taken.
    pub outbox: VecDeque<u8>,
    control: u32,
    halted: bool,
    reset_done: bool,
    /// STATUS reads until a soft reset is complete.
    reset_reads: u32,
    error: u32,
    first_error: u32,
    epoch: u32,
    sequence: u32,
    credit: u32,
    scratch: u32,
    watchdog: u32,
    /// What the registers of that name read.
    pub magic: u32,
    pub abi: u32,
    /// Every register reads all ones: the link is down.
    pub dead: bool,
    /// Makes the next soft resets never complete.
    pub reset_stuck: bool,
    counters: [u64; 7],
    latched: [u64; 7],
    /// Answers made, over all epochs.
    pub answers: u64,
    /// Changes an answer's bytes before they leave: number of the answer, its bytes.
    pub tamper: Tamper,
    /// Bytes that leave first after the next soft reset.
    pub stale: Vec<u8>,
}

impl Shell {
    pub fn new(manifest: &Manifest) -> Shell {
        Shell {
            design: DesignHash::of(manifest).unwrap(),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            control: 0,
            halted: false,
            reset_done: false,
            reset_reads: 0,
            error: 0,
            first_error: 0,
            epoch: 40,
            sequence: 0,
            credit: 0,
            scratch: 0,
            watchdog: 0,
            magic: registers::MAGIC_VALUE,
            abi: registers::ABI_VALUE,
            dead: false,
            reset_stuck: false,
            counters: [0; 7],
            latched: [0; 7],
            answers: 0,
            tamper: Box::new(|_, _| ()),
            stale: Vec::new(),
        }
    }

    pub fn read(&mut self, offset: u32) -> u32 {
        if self.dead {
            return u32::MAX;
        }
        let Some(register) = registers::at(offset) else { return 0 };
        let word = ((offset - register.offset) / 4) as usize;
        match register.name {
            "MAGIC" => self.magic,
            "ABI" => self.abi,
            "STRUCTURE_HASH" => self.design.structure[word],
            "PARAMETER_HASH" => self.design.parameter[word],
            "CAPS" => 1 | 1 << 8 | 1 << 9 | 1 << 10,
            "BEAT_BYTES" => BEAT as u32,
            "IN_BYTES" | "OUT_BYTES" => SAMPLE,
            "MAX_SAMPLES" => MAX_SAMPLES,
            "FIFO_DEPTH" => DEPTH,
            "CTRL" => self.control,
            "STATUS" => self.status(),
            "ERROR" => self.error,
            "FIRST_ERROR_SEQ" => self.first_error,
            "EPOCH" => self.epoch,
            "WATCHDOG_CYCLES" => self.watchdog,
            "OUT_CREDIT" => self.credit,
            "SCRATCH" => self.scratch,
            _ if offset >= registers::CYCLES.offset => {
                let counter = self.latched[((offset - registers::CYCLES.offset) / 8) as usize];
                (counter >> (32 * word)) as u32
            }
            _ => 0,
        }
    }

    fn status(&mut self) -> u32 {
        if self.reset_reads > 0 && !self.reset_stuck {
            self.reset_reads -= 1;
            self.reset_done = self.reset_reads == 0;
        }
        let bit = |field: registers::Field, on: bool| if on { field.mask() } else { 0 };
        bit(status::IDLE, self.inbox.is_empty() && self.outbox.is_empty())
            | bit(status::RUN, ctrl::ENABLE.is_set(self.control) && !self.halted)
            | bit(status::HALTED, self.halted)
            | bit(status::RESET_DONE, self.reset_done)
            | bit(status::IN_STALL, self.halted && !self.inbox.is_empty())
            | bit(status::OUT_STALL, !self.outbox.is_empty())
    }

    pub fn write(&mut self, offset: u32, value: u32) {
        if self.dead {
            return;
        }
        match registers::at(offset).map(|register| register.name) {
            Some("CTRL") => {
                if ctrl::LATCH_COUNTERS.is_set(value) {
                    self.counters[0] += 1000;
                    self.latched = self.counters;
                }
                if ctrl::SOFT_RESET.is_set(value) {
                    self.soft_reset();
                }
                self.control = value & !(ctrl::LATCH_COUNTERS.mask() | ctrl::SOFT_RESET.mask());
                self.work();
            }
            Some("ERROR") => self.error &= !value,
            Some("EPOCH") => self.epoch = value,
            Some("WATCHDOG_CYCLES") => self.watchdog = value,
            Some("OUT_CREDIT") => {
                self.credit += value;
                self.work();
            }
            Some("SCRATCH") => self.scratch = value,
            _ => (),
        }
    }

    fn soft_reset(&mut self) {
        self.counters[6] += (self.inbox.len() / BEAT) as u64;
        self.inbox.clear();
        self.outbox = std::mem::take(&mut self.stale).into();
        (self.halted, self.reset_done, self.reset_reads, self.sequence) = (false, false, 3, 0);
        self.latched = [0; 7];
    }

    /// Stops with an error, as a wrong header or the watchdog does.
    pub fn halt(&mut self, bits: u32) {
        if self.error == 0 {
            self.first_error = self.sequence;
        }
        self.error |= bits;
        self.halted = true;
    }

    /// Takes bytes from the host.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.counters[2] += (bytes.len() / BEAT) as u64;
        self.inbox.extend(bytes);
        self.work();
    }

    /// Whether a frame has begun and lacks beats.
    pub fn waits_for_input(&self) -> bool {
        !self.halted && !self.inbox.is_empty()
    }

    /// Stops by the watchdog if it is on and work is inside.
    pub fn watch(&mut self) {
        if self.watchdog != 0 && self.waits_for_input() {
            self.halt(error::WATCHDOG.mask());
        }
    }

    fn work(&mut self) {
        while ctrl::ENABLE.is_set(self.control) && !self.halted && self.inbox.len() >= HEADER_BYTES {
            let bytes = self.inbox.make_contiguous();
            let header = FrameHeader::decode(bytes).and_then(|header| {
                let expected = Expected {
                    answer: false,
                    design: self.design.word(),
                    epoch: self.epoch,
                    sequence: self.sequence,
                    sample_bytes: SAMPLE,
                    max_samples: MAX_SAMPLES,
                };
                header.validate(&expected).map(|()| header)
            });
            let header = match header {
                Ok(header) => header,
                Err(error) => return self.halt(FrameError::error_bit(&error)),
            };
            let end = HEADER_BYTES + header.length as usize;
            let credited = !ctrl::CREDIT.is_set(self.control) || self.credit > 0;
            if bytes.len() < end || !credited {
                return;
            }
            let frame: Vec<u8> = self.inbox.drain(..end).collect();
            self.answer(&header, &frame[HEADER_BYTES..]);
        }
    }

    fn answer(&mut self, request: &FrameHeader, payload: &[u8]) {
        if ctrl::CREDIT.is_set(self.control) {
            self.credit -= 1;
        }
        let header = FrameHeader { answer: true, length: request.samples * SAMPLE, status: self.error, ..*request };
        let mut frame = header.encode().to_vec();
        for sample in payload.chunks_exact(SAMPLE as usize) {
            let input: Vec<i64> = sample[..5].iter().map(|&byte| i64::from(byte as i8)).collect();
            frame.extend(core(&input).iter().map(|&output| output as u8));
            frame.extend([0; 5]);
        }
        self.counters[1] += 1;
        self.counters[3] += (frame.len() / BEAT) as u64;
        (self.tamper)(self.answers, &mut frame);
        self.answers += 1;
        self.outbox.extend(frame);
        self.sequence += 1;
    }
}
