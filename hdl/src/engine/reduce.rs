//! Sum or maximum of each channel over all pixels of a sample.

use super::intake::{beat_phase, idle_number_is_dirty, instantiate, lanes_of, merged, word_of, Intake};
use super::matrix::{advance, counter, delay, is_zero};
use super::number::number;
use super::{Beats, CreditGate, EnginePort, Offered, Results};
use crate::cells::Cells;
use crate::stream::{BeatSource, RegroupBuildError};
use crate::timing::{EdgeId, Phase, TokenModel};
use crate::typed::{uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::{IntType, Range};

/// What becomes of all pixels of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The greatest.
    Max,
}

impl Reduction {
    /// Name in modules and reports.
    pub fn name(self) -> &'static str {
        match self {
            Reduction::Sum => "sum",
            Reduction::Max => "max",
        }
    }

    /// Two's-complement bits of the result over `pixels` elements in `range`.
    pub fn bits(self, range: Range, pixels: usize) -> u32 {
        let times = |value: i64| value.saturating_mul(i64::try_from(pixels).unwrap_or(i64::MAX));
        match self {
            Reduction::Sum => Range::new(times(range.lo), times(range.hi)).signed_bits(),
            Reduction::Max => range.signed_bits(),
        }
    }
}

/// Reduces all pixels of a sample to one, each channel alone: global pooling, without a line buffer.
///
/// ```text
///                                    first pixel: 0 or nothing
///                                              v
///  stream ====> register ====> sum or maximum of it and ====> register ====> groups of p results
///  p lanes                        |          ^                     (with the last pixel)
///                                 v          |
///                          [ memory of a word for each p channels ]
/// ```
///
/// The memory is read ahead, so that the accumulators of each beat lie in a register when it comes; a single word
/// is that register alone.
///
/// *Timing*: a beat a cycle; only the beats of the last pixel wait for room, and their results come
/// [`ReduceEngine::LATENCY`] later. *Reset* begins a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReduceEngine {
    /// Pixels of a sample.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// Elements a beat: p.
    pub lanes: usize,
    /// Type of the elements.
    pub element: IntType,
    /// What is computed.
    pub reduction: Reduction,
    /// Two's-complement bits of a result, see [`Reduction::bits`].
    pub accumulator_bits: u32,
    /// Technology.
    pub cells: Cells,
}

impl ReduceEngine {
    /// Clock edges from taking a beat of the last pixel to the one at which its results can be taken.
    pub const LATENCY: u64 = 2;

    /// The stream it reads.
    pub fn port(&self) -> EnginePort {
        let ReduceEngine { pixels, channels, lanes, element, .. } = *self;
        EnginePort { pixels, channels, lanes, element_bits: element.bits() }
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        Results {
            pixels: 1,
            channels: self.channels,
            pe: self.lanes,
            bits: self.accumulator_bits,
            // The only group of a sample is as far from the next as the samples.
            spacing: if self.words() == 1 { self.pixels as u64 } else { 1 },
            idle_is_dirty: idle_number_is_dirty(self.element, self.channels, self.lanes),
        }
    }

    /// Words of a pixel: ceil(C / p).
    fn words(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Cycles a sample.
    pub fn cycles(&self) -> u64 {
        (self.pixels * self.words()) as u64
    }

    /// Bits of the memory of accumulators.
    pub fn buffer_bits(&self) -> u64 {
        match self.words() {
            1 => 0,
            words => words as u64 * u64::from(self.word_bits()),
        }
    }

    fn word_bits(&self) -> u32 {
        self.lanes as u32 * self.accumulator_bits
    }

    fn style(&self) -> MemoryStyle {
        match self.buffer_bits() <= self.cells.distributed_limit_bits || self.words() <= 64 {
            true => MemoryStyle::Distributed,
            false => MemoryStyle::Block,
        }
    }

    /// Beats by which the memory is read ahead: fewer than there are words.
    fn ahead(&self) -> usize {
        match self.style() {
            MemoryStyle::Block => (self.cells.memory_read_latency as usize).min(self.words() - 1),
            MemoryStyle::Registers | MemoryStyle::Distributed => 1,
        }
    }

    /// Timing: from beats to groups of results on the returned edge. `credits`: room for output beats in each
    /// FIFO behind; `beats[g]`: how many of them group g completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        source: &BeatSource,
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        let results = model.edge("reduced results", 0);
        let earlier = ((self.pixels - 1) * self.words()) as u64;
        let silent = (earlier > 0).then(|| Phase { repeat: earlier, ..beat_phase(&[*source], credits, 0, None) });
        let last = beats.iter().map(|&count| beat_phase(&[*source], credits, count, Some((results, Self::LATENCY))));
        model.actor("reduce", merged(silent.into_iter().chain(last)), 1);
        results
    }

    fn module(&self, gate: &CreditGate<'_>) -> Result<Arc<Module>, HdlError> {
        let ReduceEngine { pixels, channels, lanes, element, accumulator_bits, .. } = *self;
        let kind = self.reduction.name();
        let suffix = gate.suffix();
        let name = format!("reduce_{kind}_{pixels}x{channels}x{lanes}_{element}_acc{accumulator_bits}_{suffix}");
        let mut intake = Intake::new(name, &[self.port()], gate);
        let m = &mut intake.m;
        m.comment(format!("The {kind} of each of {channels} channels over {pixels} pixels, {lanes} channels a beat."));
        m.comment("Only beats of the last pixel wait for room behind the stage.");
        let word = counter(m, "word", self.words());
        let pixel = counter(m, "pixel", pixels);
        let last_word = m.let_("last_word", word.at_last.clone());
        let last_pixel = m.let_("last_pixel", pixel.at_last.clone());
        let gate = intake.gate(gate, &last_word.expr());
        let input = intake.inputs[0];
        let m = &mut intake.m;
        let ready = m.let_("ready", last_pixel.expr().not().or(&gate.funded));
        m.assign(input.ready, ready.expr());
        let takes = m.let_("takes", input.valid.expr().and(ready.expr()));
        let completes = m.let_("completes", takes.expr().and(last_pixel.expr()));
        gate.spend(m, &completes.expr());
        advance(m, &word, takes.expr());
        advance(m, &pixel, takes.expr().and(last_word.expr()));

        let first_pixel = m.let_("first_pixel", is_zero(&pixel));
        let first = delay(m, "first", first_pixel, 1, false);
        let taken = delay(m, "taken", takes, 1, true);
        let beat = delay(m, "beat", input.data, 1, false);
        let group = self.accumulators(m, &taken.expr(), &first.expr(), &beat.expr());
        intake.finish(&completes.expr(), 1, group)
    }

    /// The accumulators after the beat that is there where `taken` is high, which belongs to the first pixel where
    /// `first` is; stored at the clock edge.
    fn accumulators(&self, m: &mut ModuleBuilder, taken: &Expr, first: &Expr, beat: &Expr) -> Expr {
        let ty = uint(self.word_bits());
        let words = self.words();
        if words == 1 {
            let held = m.register("accumulators", ty);
            let total = self.totals(m, first, &held.expr(), beat);
            m.clock_if(held, taken.clone(), total.expr());
            return total.expr();
        }
        let style = self.style();
        let memory =
            m.memory(MemorySpec { name: "accumulators".into(), width: ty.width, depth: words, style, init: None });
        let ahead = self.ahead();
        let read_address = counter(m, "next_read", words);
        m.reset(read_address.value, ahead as u64);
        advance(m, &read_address, taken.clone());
        let mut held = m.read_port(memory, "read_1", read_address.value.expr(), Some(taken.clone()));
        for stage in 2..=ahead {
            let later = m.register(format!("read_{stage}"), ty);
            m.clock_if(later, taken.clone(), held.expr());
            held = later;
        }
        let total = self.totals(m, first, &held.expr(), beat);
        let write_address = counter(m, "next_write", words);
        advance(m, &write_address, taken.clone());
        m.write_port(memory, taken.clone(), write_address.value.expr(), total.expr());
        total.expr()
    }

    /// Each lane's accumulator with its element.
    fn totals(&self, m: &mut ModuleBuilder, first: &Expr, held: &Expr, beat: &Expr) -> Signal {
        let bits = self.accumulator_bits;
        let lanes = lanes_of(held, self.lanes).into_iter().zip(lanes_of(beat, self.lanes));
        let total = |(held, stored): (Expr, Expr)| {
            let element = number(&stored, self.element).resize(bits);
            let held = held.as_signed();
            let total = match self.reduction {
                Reduction::Sum => Expr::mux(first, Expr::zero(held.ty()), &held).add(&element),
                Reduction::Max => Expr::mux(first.or(element.gt(&held)), &element, &held),
            };
            total.as_unsigned()
        };
        let totals = lanes.map(total).collect();
        m.let_("totals", word_of(totals))
    }

    pub(super) fn build(
        &self,
        m: &mut ModuleBuilder,
        input: Offered,
        gate: &CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Beats, RegroupBuildError> {
        Ok(instantiate(m, &self.module(gate)?, &[input], returned, &self.results()))
    }
}
