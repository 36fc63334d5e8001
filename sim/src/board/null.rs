//! A device of software that answers at once.

use super::device::{Device, Moved};
use crate::error::SimError;
use std::collections::VecDeque;
use systole_bundle::frame::{Expected, FrameHeader, HEADER_BYTES};
use systole_bundle::registers::{self, ctrl, irq, status};
use systole_bundle::{DesignHash, Manifest};
use systole_templates::shell::BEAT_BYTES;

/// Answer bytes that wait for the host at most, before the device takes no more.
const MOST_WAITING: usize = 4 << 20;

/// What a null device pretends to be.
#[derive(Clone, Copy, Debug)]
pub struct NullDesign {
    /// Hashes that its registers show.
    pub hash: DesignHash,
    /// Bytes of a beat.
    pub beat_bytes: u32,
    /// Payload bytes of a sample to the board.
    pub in_bytes: u32,
    /// Payload bytes of a sample from the board.
    pub out_bytes: u32,
    /// Samples that a frame can have.
    pub max_samples: u32,
}

impl NullDesign {
    /// The design of a bundle with a register shell; none without one, or if its hashes are none.
    pub fn of(manifest: &Manifest) -> Option<NullDesign> {
        let shell = manifest.shell.as_ref()?;
        // A beat of another size than 8 to 64 bytes, or no samples, would never end a frame.
        let sound = BEAT_BYTES.contains(&shell.beat_bytes) && shell.in_bytes > 0 && shell.out_bytes > 0;
        Some(NullDesign {
            hash: DesignHash::of(manifest)?,
            beat_bytes: shell.beat_bytes,
            in_bytes: shell.in_bytes,
            out_bytes: shell.out_bytes,
            max_samples: shell.max_samples,
        })
        .filter(|_| sound)
    }
}

/// The board contract without an accelerator: frames are checked as the shell checks them, and a
/// sample's answer is the sample itself, cut off or repeated to `out_bytes`. It is as fast as copying, so that a
/// driver's own speed shows.
#[derive(Debug)]
pub struct NullDevice {
    design: NullDesign,
    /// Registers that hold what was written, by word.
    words: Vec<u32>,
    sequence: u32,
    answers: u64,
    bytes_in: u64,
    bytes_out: u64,
    uncounted: u32,
    cycles: u64,
    header: Vec<u8>,
    /// Payload bytes of the present frame that are still to come.
    rest: u32,
    sample: Vec<u8>,
    /// Bytes for the host from `sent` on; `ends` are the positions behind frames.
    answer: Vec<u8>,
    sent: usize,
    ends: VecDeque<usize>,
    line: bool,
}

impl NullDevice {
    /// A null device that pretends to be `design`.
    pub fn new(design: NullDesign) -> NullDevice {
        let design = NullDesign { beat_bytes: design.beat_bytes.max(1), in_bytes: design.in_bytes.max(1), ..design };
        let mut device = NullDevice {
            design,
            words: vec![0; registers::SPACE_BYTES as usize / 4],
            sequence: 0,
            answers: 0,
            bytes_in: 0,
            bytes_out: 0,
            uncounted: 0,
            cycles: 0,
            header: Vec::with_capacity(HEADER_BYTES),
            rest: 0,
            sample: Vec::with_capacity(design.in_bytes as usize),
            answer: Vec::new(),
            sent: 0,
            ends: VecDeque::new(),
            line: false,
        };
        device.power_up();
        device
    }

    fn power_up(&mut self) {
        self.words.fill(0);
        let design = self.design;
        let constants = [
            (registers::MAGIC, registers::MAGIC_VALUE),
            (registers::ABI, registers::ABI_VALUE),
            (registers::CAPS, 1 | registers::caps::HEADER_CRC.mask() | registers::caps::INTERRUPT.mask()),
            (registers::BEAT_BYTES, design.beat_bytes),
            (registers::IN_BYTES, design.in_bytes),
            (registers::OUT_BYTES, design.out_bytes),
            (registers::MAX_SAMPLES, design.max_samples),
            (registers::FIFO_DEPTH, 64),
            (registers::IRQ_COALESCE, 1),
        ];
        constants.into_iter().for_each(|(register, value)| self.set(register.offset, value));
        for index in 0..4 {
            self.set(registers::STRUCTURE_HASH.word(index), design.hash.structure[index as usize]);
            self.set(registers::PARAMETER_HASH.word(index), design.hash.parameter[index as usize]);
        }
        self.soft_reset();
    }

    fn soft_reset(&mut self) {
        self.header.clear();
        self.sample.clear();
        self.answer.clear();
        self.ends.clear();
        (self.rest, self.sent, self.sequence, self.uncounted) = (0, 0, 0, 0);
        self.set(registers::STATUS.offset, status::IDLE.mask());
    }

    fn get(&self, offset: u32) -> u32 {
        self.words.get(offset as usize / 4).copied().unwrap_or(0)
    }

    fn set(&mut self, offset: u32, value: u32) {
        if let Some(word) = self.words.get_mut(offset as usize / 4) {
            *word = value;
        }
    }

    fn halted(&self) -> bool {
        status::HALTED.is_set(self.get(registers::STATUS.offset))
    }

    fn running(&self) -> bool {
        ctrl::ENABLE.is_set(self.get(registers::CTRL.offset)) && !self.halted()
    }

    fn raise(&mut self, bits: u32) {
        self.set(registers::IRQ_STATUS.offset, self.get(registers::IRQ_STATUS.offset) | bits);
    }

    /// 1 if the interrupt line rose since the last call, else 0.
    fn interrupts(&mut self) -> u64 {
        let level = self.get(registers::IRQ_STATUS.offset) & self.get(registers::IRQ_MASK.offset) != 0;
        let rose = level && !self.line;
        self.line = level;
        rose.into()
    }

    /// Takes bytes of a header; the whole header opens a frame or halts the device.
    fn take_header(&mut self, input: &[u8]) -> usize {
        let count = input.len().min(HEADER_BYTES - self.header.len());
        self.header.extend(input.iter().take(count));
        if self.header.len() < HEADER_BYTES {
            return count;
        }
        let expected = Expected {
            answer: false,
            design: self.design.hash.word(),
            epoch: self.get(registers::EPOCH.offset),
            sequence: self.sequence,
            sample_bytes: self.design.in_bytes,
            max_samples: self.design.max_samples,
        };
        let checked = FrameHeader::decode(&self.header).and_then(|header| header.validate(&expected).map(|()| header));
        self.header.clear();
        match checked {
            Ok(request) => {
                self.sequence = self.sequence.wrapping_add(1);
                self.rest = request.length;
                let length = request.samples.saturating_mul(self.design.out_bytes);
                self.answer.extend(FrameHeader { answer: true, length, ..request }.encode());
            }
            Err(error) => {
                self.set(registers::ERROR.offset, self.get(registers::ERROR.offset) | error.error_bit());
                self.set(registers::FIRST_ERROR_SEQ.offset, self.sequence);
                self.set(registers::STATUS.offset, self.get(registers::STATUS.offset) | status::HALTED.mask());
                self.raise(irq::ERROR.mask());
            }
        }
        count
    }

    /// Takes bytes of samples and answers those that are complete.
    fn take_payload(&mut self, input: &[u8]) -> usize {
        let size = self.design.in_bytes as usize;
        let count = input.len().min(self.rest as usize).min(size - self.sample.len());
        let Some(bytes) = input.get(..count) else { return 0 };
        if self.sample.is_empty() && count == size {
            echo(bytes, self.design.out_bytes as usize, &mut self.answer);
        } else {
            self.sample.extend(bytes);
            if self.sample.len() == size {
                echo(&self.sample, self.design.out_bytes as usize, &mut self.answer);
                self.sample.clear();
            }
        }
        self.rest -= count as u32;
        if self.rest == 0 {
            self.ends.push_back(self.answer.len());
        }
        count
    }

    /// Copies answers to the host, at most to the end of a frame.
    fn give(&mut self, output: &mut [u8]) -> (usize, bool) {
        let beat = self.design.beat_bytes as usize;
        let end = self.ends.front().copied();
        let waiting = end.unwrap_or(self.answer.len()) - self.sent;
        let count = waiting.min(output.len()) / beat * beat;
        let ended = count > 0 && end == Some(self.sent + count);
        if let (Some(to), Some(from)) = (output.get_mut(..count), self.answer.get(self.sent..self.sent + count)) {
            to.copy_from_slice(from);
        }
        self.sent += count;
        if ended {
            self.ends.pop_front();
            self.answers += 1;
            self.uncounted += 1;
            if self.uncounted >= self.get(registers::IRQ_COALESCE.offset) {
                self.uncounted = 0;
                self.raise(irq::ANSWER.mask());
            }
        }
        if self.sent == self.answer.len() || self.sent > MOST_WAITING {
            self.answer.drain(..self.sent);
            self.ends.iter_mut().for_each(|end| *end -= self.sent);
            self.sent = 0;
        }
        (count, ended)
    }
}

/// Appends the answer to `sample`.
fn echo(sample: &[u8], bytes: usize, answer: &mut Vec<u8>) {
    let end = answer.len() + bytes;
    while answer.len() < end && !sample.is_empty() {
        let rest = end - answer.len();
        answer.extend_from_slice(sample.get(..rest).unwrap_or(sample));
    }
}

impl Device for NullDevice {
    fn beat_bytes(&self) -> usize {
        self.design.beat_bytes as usize
    }

    fn read(&mut self, offset: u32) -> Result<(u32, Moved), SimError> {
        self.cycles += 4;
        let mut value = self.get(offset);
        if offset == registers::STATUS.offset {
            let idle = self.rest == 0 && self.answer.is_empty() && self.header.is_empty();
            value &= !status::IDLE.mask();
            value |= if idle { status::IDLE.mask() } else { 0 } | if self.running() { status::RUN.mask() } else { 0 };
        }
        Ok((value, Moved { cycles: 4, interrupts: self.interrupts(), ..Moved::default() }))
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<Moved, SimError> {
        self.cycles += 4;
        use registers::Access;
        match registers::at(offset).map(|register| register.access) {
            Some(Access::ReadWrite) => self.set(offset, value),
            Some(Access::WriteOneToClear) => self.set(offset, self.get(offset) & !value),
            Some(Access::Add) => self.set(offset, self.get(offset).wrapping_add(value)),
            Some(Access::ReadOnly) | None => {}
        }
        if offset == registers::CTRL.offset {
            self.set(offset, value & !(ctrl::SOFT_RESET.mask() | ctrl::LATCH_COUNTERS.mask()));
            if ctrl::SOFT_RESET.is_set(value) {
                self.soft_reset();
                self.set(registers::STATUS.offset, status::IDLE.mask() | status::RESET_DONE.mask());
                self.raise(irq::DONE.mask());
            }
            if ctrl::LATCH_COUNTERS.is_set(value) {
                let beat = u64::from(self.design.beat_bytes);
                for (register, count) in [
                    (registers::CYCLES, self.cycles),
                    (registers::FRAMES, self.answers),
                    (registers::BEATS_IN, self.bytes_in / beat),
                    (registers::BEATS_OUT, self.bytes_out / beat),
                ] {
                    self.set(register.word(0), count as u32);
                    self.set(register.word(1), (count >> 32) as u32);
                }
            }
        }
        Ok(Moved { cycles: 4, interrupts: self.interrupts(), ..Moved::default() })
    }

    fn run(&mut self, _cycles: u64, input: &[u8], _last: bool, output: &mut [u8]) -> Result<Moved, SimError> {
        let mut moved = Moved::default();
        while self.running() && self.answer.len() - self.sent < MOST_WAITING {
            let Some(input) = input.get(moved.taken..).filter(|input| !input.is_empty()) else { break };
            moved.taken += match self.rest {
                0 => self.take_header(input),
                _ => self.take_payload(input),
            };
        }
        (moved.given, moved.ended) = self.give(output);
        self.bytes_in += moved.taken as u64;
        self.bytes_out += moved.given as u64;
        let beats = moved.taken.max(moved.given) / self.beat_bytes();
        moved.cycles = beats as u64 + 1;
        self.cycles += moved.cycles;
        moved.interrupts = self.interrupts();
        Ok(moved)
    }

    fn reset(&mut self) -> Result<(), SimError> {
        self.power_up();
        Ok(())
    }

    fn moves_by_itself(&self) -> bool {
        false
    }

    fn stall(&mut self, _seed: Option<u64>) {}
}
