//! A host at the shell's ports: registers and frames, with stalls, and its own account of what moved.

use super::core::{Shape, HASH};
use num_bigint::BigUint;
use std::collections::VecDeque;
use systole_bundle::frame::{FrameHeader, HEADER_BYTES};
use systole_bundle::registers::{self, ctrl, Register};
use systole_hdl::typed::Evaluator;

/// Cycles after which a test that waits has failed.
const PATIENCE: usize = 200_000;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A beat on its way to the shell.
#[derive(Clone, Debug)]
pub struct Beat {
    pub data: Vec<u8>,
    pub keep: u64,
}

/// What the host saw happen, cycle by cycle, since the reset of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub cycles: u64,
    pub frames: u64,
    pub beats_in: u64,
    pub beats_out: u64,
    pub stalls_in: u64,
    pub stalls_out: u64,
    pub dropped: u64,
}

pub struct Bench {
    pub shape: Shape,
    pub hardware: Evaluator,
    pub random: Random,
    /// Beats that the host has yet to send.
    pub sending: VecDeque<Beat>,
    /// Bytes of the answer under way.
    answer: Vec<u8>,
    /// Whole answers.
    pub answers: VecDeque<Vec<u8>>,
    /// Of 8 cycles, in how many the host neither sends nor takes.
    pub stall_in: usize,
    pub stall_out: usize,
    pub account: Account,
    offering: bool,
    held: Option<(BigUint, bool)>,
    pub irq: bool,
    /// Cycle of each beat that the core took.
    pub core_beats: Vec<u64>,
}

impl Bench {
    pub fn new(shape: Shape, seed: u64) -> Bench {
        println!("{shape:?}, seed {seed:#x}");
        let module = shape.spec().module(&shape.module()).unwrap();
        let mut hardware = Evaluator::new(&module);
        hardware.set("aresetn", 0u8);
        hardware.clock();
        hardware.set("aresetn", 1u8);
        hardware.set("s_axi_wstrb", 15u8);
        let mut bench = Bench {
            shape,
            hardware,
            random: Random(seed),
            sending: VecDeque::new(),
            answer: Vec::new(),
            answers: VecDeque::new(),
            stall_in: 0,
            stall_out: 0,
            account: Account::default(),
            offering: false,
            held: None,
            irq: false,
            core_beats: Vec::new(),
        };
        bench.random.next();
        bench
    }

    /// A bench whose shell takes frames of epoch 0.
    pub fn running(shape: Shape, seed: u64) -> Bench {
        let mut bench = Bench::new(shape, seed);
        bench.write(registers::CTRL, ctrl::ENABLE.mask());
        bench
    }

    /// One cycle: the host offers and takes unless it stalls.
    pub fn step(&mut self) {
        self.offering = !self.sending.is_empty() && (self.offering || self.random.below(8) >= self.stall_in);
        let taking = self.random.below(8) >= self.stall_out;
        let hardware = &mut self.hardware;
        hardware.set("s_axis_tvalid", u8::from(self.offering));
        hardware.set("s_axis_tlast", (self.random.next() & 1) as u8);
        if let Some(beat) = self.sending.front().filter(|_| self.offering) {
            hardware.set("s_axis_tdata", BigUint::from_bytes_le(&beat.data));
            hardware.set("s_axis_tkeep", beat.keep);
        }
        hardware.set("m_axis_tready", u8::from(taking));
        let mut get = |port: &str| hardware.get_u64(port) == 1;
        let (in_ready, out_valid, out_last) = (get("s_axis_tready"), get("m_axis_tvalid"), get("m_axis_tlast"));
        let (resetting, core) = (get("resetting"), get("stream.core_in_valid") && get("stream.core_in_ready"));
        self.irq = get("irq");
        let out = (self.hardware.get("m_axis_tdata"), out_last);
        if core && !resetting {
            self.core_beats.push(self.account.cycles);
        }
        if resetting {
            self.held = None;
        }
        if let Some(held) = self.held.take() {
            assert!(out_valid && held == out, "an answer beat changed before it was taken");
        }
        match (self.offering, in_ready) {
            (true, true) => {
                self.sending.pop_front();
                self.offering = false;
                match resetting {
                    true => self.account.dropped += 1,
                    false => self.account.beats_in += 1,
                }
            }
            (true, false) => self.account.stalls_in += 1,
            _ => {}
        }
        match (out_valid, taking) {
            (true, true) => {
                self.account.beats_out += 1;
                let mut bytes = out.0.to_bytes_le();
                bytes.resize(self.shape.beat_bytes, 0);
                self.answer.extend(bytes);
                if out_last {
                    self.account.frames += 1;
                    self.answers.push_back(std::mem::take(&mut self.answer));
                }
            }
            (true, false) => {
                self.account.stalls_out += 1;
                self.held = Some(out);
            }
            _ => {}
        }
        if resetting {
            self.answer.clear();
        }
        self.hardware.clock();
        self.account.cycles += 1;
    }

    pub fn steps(&mut self, cycles: usize) {
        (0..cycles).for_each(|_| self.step());
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Bench) -> bool) {
        for _ in 0..PATIENCE {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("{what} did not happen within {PATIENCE} cycles");
    }

    /// Holds `port` valid until its ready was high at an edge.
    fn handshake(&mut self, valid: &str, ready: &str) {
        self.hardware.set(valid, 1u8);
        let mut taken = false;
        while !taken {
            taken = self.hardware.get_u64(ready) == 1;
            self.step();
        }
        self.hardware.set(valid, 0u8);
    }

    pub fn write_at(&mut self, offset: u32, value: u32, strobes: u8) {
        self.hardware.set("s_axi_awaddr", offset);
        self.hardware.set("s_axi_wdata", value);
        self.hardware.set("s_axi_wstrb", strobes);
        match self.random.below(2) {
            0 => {
                self.handshake("s_axi_awvalid", "s_axi_awready");
                self.handshake("s_axi_wvalid", "s_axi_wready");
            }
            _ => {
                self.handshake("s_axi_wvalid", "s_axi_wready");
                self.handshake("s_axi_awvalid", "s_axi_awready");
            }
        }
        self.until("a write response", |bench| bench.hardware.get_u64("s_axi_bvalid") == 1);
        assert_eq!(self.hardware.get_u64("s_axi_bresp"), 0);
        let wait = self.random.below(3);
        self.steps(wait);
        self.handshake("s_axi_bready", "s_axi_bvalid");
    }

    pub fn read_at(&mut self, offset: u32) -> u32 {
        self.hardware.set("s_axi_araddr", offset);
        self.handshake("s_axi_arvalid", "s_axi_arready");
        self.until("a read response", |bench| bench.hardware.get_u64("s_axi_rvalid") == 1);
        assert_eq!(self.hardware.get_u64("s_axi_rresp"), 0);
        let value = self.hardware.get_u64("s_axi_rdata") as u32;
        let wait = self.random.below(3);
        self.steps(wait);
        assert_eq!(self.hardware.get_u64("s_axi_rdata") as u32, value);
        self.handshake("s_axi_rready", "s_axi_rvalid");
        value
    }

    pub fn write(&mut self, register: Register, value: u32) {
        self.write_at(register.offset, value, 15);
    }

    pub fn read(&mut self, register: Register) -> u32 {
        self.read_at(register.offset)
    }

    pub fn read_wide(&mut self, register: Register) -> u64 {
        u64::from(self.read_at(register.word(0))) | u64::from(self.read_at(register.word(1))) << 32
    }

    /// The right header of a request.
    pub fn request(&self, epoch: u32, sequence: u32, samples: usize) -> FrameHeader {
        let length = (samples * self.shape.spec().in_bytes()) as u32;
        FrameHeader { epoch, sequence, samples: samples as u32, length, design: HASH.word(), ..FrameHeader::default() }
    }

    /// Queues bytes, a whole number of beats.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let keep = u64::MAX >> (64 - self.shape.beat_bytes);
        self.sending.extend(bytes.chunks(self.shape.beat_bytes).map(|data| Beat { data: data.to_vec(), keep }));
    }

    /// Queues a frame of random samples, random padding behind each; the answer that is due.
    pub fn send(&mut self, header: &FrameHeader) -> Vec<u8> {
        let (shape, spec) = (self.shape, self.shape.spec());
        let mut frame = header.encode().to_vec();
        let mut payload = Vec::new();
        for _ in 0..header.samples {
            let sample = self.random.bytes(spec.input.sample_bytes());
            let mut answer = shape.answer(&sample);
            answer.resize(spec.out_bytes(), 0);
            payload.extend(answer);
            let padding = self.random.bytes(spec.in_bytes() - sample.len());
            frame.extend(sample.into_iter().chain(padding));
        }
        self.send_bytes(&frame);
        let length = payload.len() as u32;
        let mut answer = FrameHeader { answer: true, length, ..*header }.encode().to_vec();
        assert_eq!(answer.len(), HEADER_BYTES);
        answer.extend(payload);
        answer
    }

    /// Waits for the next whole answer.
    pub fn next_answer(&mut self) -> Vec<u8> {
        self.until("an answer", |bench| !bench.answers.is_empty());
        self.answers.pop_front().unwrap()
    }

    /// Soft reset, and a new epoch.
    pub fn recover(&mut self, epoch: u32) {
        self.sending.clear();
        self.offering = false;
        self.write(registers::CTRL, ctrl::ENABLE.mask() | ctrl::SOFT_RESET.mask());
        self.until("the end of a reset", |bench| bench.hardware.get_u64("resetting") == 0);
        self.answers.clear();
        self.write(registers::ERROR, u32::MAX);
        self.write(registers::EPOCH, epoch);
    }
}
