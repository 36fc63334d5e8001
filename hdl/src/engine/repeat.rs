//! Enlarging an image by whole factors: each pixel several times along its row, each row several times.

use super::intake::{beat_phase, idle_number_is_dirty, instantiate, lanes_of, merged, word_of, Intake};
use super::matrix::{advance, counter, delay, is_zero, up_down, Wrapping};
use super::number::{number, number_bits};
use super::results::credit_takes;
use super::{Beats, CreditGate, EnginePort, Offered, Results};
use crate::cells::Cells;
use crate::stream::{bits_for, BeatSource, RegroupBuildError};
use crate::timing::{Block, EdgeId, Give, Phase, Take, TokenModel};
use crate::typed::{uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::IntType;

/// Repeats each pixel of an image `[H, W, C]` `factors[1]` times along its row and each row `factors[0]` times:
/// nearest-neighbour upsampling, and an operand that is broadcast along rows and columns.
///
/// ```text
///             +--------------------+
///  stream ===>| ring of a row      |===> sign or zero extension --> register ====> groups of p results
///  p lanes    | (or of one pixel)  |
///             +--------------------+
///               ^ write     ^ read: words of the pixel, of the row, again
/// ```
///
/// A word is read for the first time as soon as it is there, and its place is free once it is read for the last
/// time. The ring holds as much of the next row as arrives at a steady rate while a row is repeated.
///
/// *Timing*: a word a cycle unless, in its first reading, it has not arrived, or the results have no room; results
/// [`RepeatEngine::latency`] later. *Reset* begins a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RepeatEngine {
    /// Rows and columns of the input.
    pub image: [usize; 2],
    /// Copies of each row and of each pixel, 1 or more.
    pub factors: [usize; 2],
    /// Channels of a pixel.
    pub channels: usize,
    /// Elements a beat: p.
    pub lanes: usize,
    /// Type of the elements.
    pub element: IntType,
    /// Technology.
    pub cells: Cells,
}

/// Where the reading side stands.
struct Reader {
    word: Wrapping,
    copy: Wrapping,
    column: Wrapping,
    row_copy: Wrapping,
    /// Whether rows are repeated, and pixels along a row.
    repeats: [bool; 2],
}

impl RepeatEngine {
    /// The stream it reads.
    pub fn port(&self) -> EnginePort {
        let RepeatEngine { image: [rows, columns], channels, lanes, element, .. } = *self;
        EnginePort { pixels: rows * columns, channels, lanes, element_bits: element.bits() }
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        Results {
            pixels: self.image[0] * self.factors[0] * self.image[1] * self.factors[1],
            channels: self.channels,
            pe: self.lanes,
            bits: number_bits(self.element),
            spacing: 1,
            idle_is_dirty: idle_number_is_dirty(self.element, self.channels, self.lanes),
        }
    }

    /// Clock edges from reading a word to the one at which its results can be taken.
    pub fn latency(&self) -> u64 {
        self.cells.memory_read_latency + 1
    }

    /// Cycles a sample.
    pub fn cycles(&self) -> u64 {
        (self.results().pixels * self.words()) as u64
    }

    /// Words of a pixel: ceil(C / p).
    fn words(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Words of the ring.
    fn depth(&self) -> usize {
        // What is repeated, and what arrives at a steady rate until its last copy begins.
        let held = |words: usize, copies: usize| match copies {
            1 => 0,
            _ => words + (words * (copies - 2)).div_ceil(copies),
        };
        held(self.image[1] * self.words(), self.factors[0]) + held(self.words(), self.factors[1]) + 4
    }

    /// Bits of a word.
    fn word_bits(&self) -> u32 {
        self.lanes as u32 * self.element.bits()
    }

    /// Bits of the ring.
    pub fn buffer_bits(&self) -> u64 {
        self.depth() as u64 * u64::from(self.word_bits())
    }

    /// Timing: from beats to groups of results on the returned edge. `credits`: room for output beats in each
    /// FIFO behind; `beats[g]`: how many of them group g of a pixel completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        source: &BeatSource,
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        let [rows, columns] = self.image;
        let present = model.edge("repeat words", 0);
        let space = model.edge("repeat space", self.depth() as u64);
        let results = model.edge("repeat results", 0);
        let mut write = beat_phase(&[*source], &[], 0, None);
        write.repeat = (rows * columns * self.words()) as u64;
        write.takes.push(Take { edge: space, need: 1, consume: 1 });
        write.gives.push(Give { edge: present, count: 1, delay: 1, stride: 0 });
        model.actor("repeat write", vec![write], 1);

        let [row_copies, copies] = self.factors;
        let reading = |row_copy: usize, copy: usize, count: u64| {
            let fresh = (row_copy == 0 && copy == 0).then_some(Take { edge: present, need: 1, consume: 1 });
            let last = row_copy == row_copies - 1 && copy == copies - 1;
            let frees = last.then_some(Give { edge: space, count: 1, delay: 1, stride: 0 });
            Phase {
                repeat: 1,
                takes: fresh.into_iter().chain(credit_takes(credits, count)).collect(),
                gives: [Give { edge: results, count: 1, delay: self.latency(), stride: 0 }]
                    .into_iter()
                    .chain(frees)
                    .collect(),
                cycles: 1,
            }
        };
        let row = |row_copy: usize| {
            let words = (0..copies).flat_map(|copy| beats.iter().map(move |&count| reading(row_copy, copy, count)));
            Block { phases: merged(words), repeat: columns as u64 }
        };
        model.actor_of_blocks("repeat read", (0..row_copies).map(row).collect(), rows as u64);
        results
    }

    fn module(&self, gate: &CreditGate<'_>) -> Result<Arc<Module>, HdlError> {
        let RepeatEngine { image: [_, columns], factors: [row_copies, copies], channels, lanes, element, .. } = *self;
        let (depth, words) = (self.depth(), self.words());
        let name = format!("repeat_{row_copies}x{copies}_w{columns}_c{channels}x{lanes}_{element}_{}", gate.suffix());
        let mut intake = Intake::new(name, &[self.port()], gate);
        let m = &mut intake.m;
        m.comment(format!("Pixels of {channels} {element}, {words} words each, from a ring of {depth} words:"));
        m.comment(format!("each {copies} time(s) along its row of {columns}, each row {row_copies} time(s)."));
        let reader = Reader {
            word: counter(m, "word", words),
            copy: counter(m, "copy", copies),
            column: counter(m, "column", columns),
            row_copy: counter(m, "row_copy", row_copies),
            repeats: [row_copies > 1, copies > 1],
        };
        let last_word = m.let_("last_word", reader.word.at_last.clone());
        let first_copy = m.let_("first_reading", is_zero(&reader.copy).and(is_zero(&reader.row_copy)));
        let last_copy = m.let_("last_reading", reader.copy.at_last.and(&reader.row_copy.at_last));
        let gate = intake.gate(gate, &last_word.expr());
        let input = intake.inputs[0];
        let m = &mut intake.m;

        let level = uint(bits_for(depth as u64));
        let present = m.register("present", level);
        m.reset(present, 0);
        let space = m.register("space", level);
        m.reset(space, depth as u64);
        let zero = Expr::lit(level, 0);
        let room = m.let_("room", space.expr().ne(&zero));
        m.assign(input.ready, room.expr());
        let write = m.let_("write", input.valid.expr().and(room.expr()));
        let supplied = first_copy.expr().not().or(present.expr().ne(&zero));
        let reads = m.let_("reads", supplied.and(&gate.funded));
        gate.spend(m, &reads.expr());
        let reads_new = m.let_("reads_new", reads.expr().and(first_copy.expr()));
        let frees = m.let_("frees", reads.expr().and(last_copy.expr()));
        up_down(m, present, write, reads_new);
        up_down(m, space, frees, write);

        let style = match self.buffer_bits() <= self.cells.distributed_limit_bits || depth <= 64 {
            true => MemoryStyle::Distributed,
            false => MemoryStyle::Block,
        };
        let ring = m.memory(MemorySpec { name: "ring".into(), width: self.word_bits(), depth, style, init: None });
        let write_address = counter(m, "next_write", depth);
        advance(m, &write_address, write.expr());
        m.write_port(ring, write.expr(), write_address.value.expr(), input.data.expr());
        let address = reader.advance(m, depth, &reads);
        let first = m.read_port(ring, "ring_read", address.expr(), None);
        let read = delay(m, "ring_read", first, self.cells.memory_read_latency as usize - 1, false);
        let elements = lanes_of(&read.expr(), lanes);
        let numbers = elements.iter().map(|stored| number(stored, element).as_unsigned()).collect();
        intake.finish(&reads.expr(), self.cells.memory_read_latency as usize, word_of(numbers))
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

impl Reader {
    /// Moves on where a word is read; gives the address of the present one.
    fn advance(&self, m: &mut ModuleBuilder, depth: usize, reads: &Signal) -> Signal {
        let ty = uint(bits_for(depth as u64 - 1));
        let address = m.register("next_read", ty);
        m.reset(address, 0);
        let at = |value: usize| Expr::lit(ty, value as i64);
        let wraps = address.expr().eq(at(depth - 1));
        let following = m.let_("following_read", Expr::mux(wraps, at(0), address.expr().add(at(1))));
        let pixel_read = m.let_("pixel_read", reads.expr().and(&self.word.at_last));
        let column_read = m.let_("column_read", pixel_read.expr().and(&self.copy.at_last));
        let row_read = m.let_("row_read", column_read.expr().and(&self.column.at_last));
        let mut next = following.expr();
        // Back to the row's first word for another copy of the row.
        if self.repeats[0] {
            let row_base = m.register("row_base", ty);
            m.reset(row_base, 0);
            let row_done = m.let_("row_done", row_read.expr().and(&self.row_copy.at_last));
            m.clock_if(row_base, row_done.expr(), following.expr());
            let again = row_read.expr().and(self.row_copy.at_last.not());
            next = Expr::mux(again, row_base.expr(), next);
        }
        // Back to the pixel's first word for another copy of the pixel.
        if self.repeats[1] {
            let pixel_base = m.register("pixel_base", ty);
            m.reset(pixel_base, 0);
            let onward = m.let_("onward", next);
            m.clock_if(pixel_base, column_read.expr(), onward.expr());
            let again = pixel_read.expr().and(self.copy.at_last.not());
            next = Expr::mux(again, pixel_base.expr(), onward.expr());
        }
        m.clock_if(address, reads.expr(), next);
        advance(m, &self.word, reads.expr());
        advance(m, &self.copy, pixel_read.expr());
        advance(m, &self.column, column_read.expr());
        advance(m, &self.row_copy, row_read.expr());
        address
    }
}
