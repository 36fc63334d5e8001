//! Two streams of one shape, element by element: additions and products of two tensors.

mod lane;

use super::intake::{beat_phase, corners, instantiate, lanes_of, merged, word_of, EveryBeat, Intake};
use super::{Beats, CreditGate, EnginePort, Offered, Results};
use crate::cells::Cells;
use crate::memory::RomSpec;
use crate::stream::{BeatSource, RegroupBuildError};
use crate::timing::{EdgeId, TokenModel};
use crate::typed::{uint, Expr, HdlError, Module, ModuleBuilder};
use num_bigint::BigUint;
use std::sync::Arc;
use systole_arith::join::{Combine, OperandMap};
use systole_arith::{IntType, Range};

/// One of the two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JoinOperand {
    /// Type of its elements.
    pub element: IntType,
    /// What they can be.
    pub range: Range,
}

/// Combines two streams into one number an element, of which the requantizer makes the result.
///
/// ```text
///  stream 0 ====> register ==> lane 0: map or centre --+
///  p lanes                     ...                     +--> sum or product ====> groups of p results
///  stream 1 ====> register ==> lane p-1: the same -----+
/// ```
///
/// *Sum*: each operand contributes a multiple of itself, by shifts and registered additions (as many terms as the
/// factor's canonical signed digits), or a word of a table of its own in each lane, addressed by the stored operand.
/// *Product*: one hardware multiplier a lane, more where operands are wider than its ports.
///
/// *Timing*: a beat of each stream a cycle, both at the same clock edge; results [`JoinEngine::latency`] later.
/// *Reset* drops what is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinEngine {
    /// Name of the stage, which modules and memories take.
    pub name: String,
    /// Pixels a sample.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Elements a beat: p.
    pub lanes: usize,
    /// First operand.
    pub left: JoinOperand,
    /// Second operand.
    pub right: JoinOperand,
    /// How they become one number. Tables hold every operand of their ranges.
    pub combine: Combine,
    /// Technology.
    pub cells: Cells,
}

impl JoinOperand {
    /// Two's-complement bits of any stored operand less `zero`.
    fn centred_bits(&self, zero: i64) -> u32 {
        let Range { lo, hi } = self.element.range();
        Range::new(lo - zero, hi - zero).signed_bits()
    }
}

impl JoinEngine {
    /// The two streams.
    pub fn ports(&self) -> Vec<EnginePort> {
        let JoinEngine { pixels, channels, lanes, .. } = *self;
        let port = |operand: &JoinOperand| EnginePort { pixels, channels, lanes, element_bits: operand.element.bits() };
        [&self.left, &self.right].map(port).to_vec()
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        Results {
            pixels: self.pixels,
            channels: self.channels,
            pe: self.lanes,
            bits: self.combined_range().signed_bits(),
            spacing: 1,
            idle_is_dirty: self.idle_is_dirty(),
        }
    }

    /// Combined numbers of operands in their ranges.
    pub fn combined_range(&self) -> Range {
        let (a, b) = (self.left.range, self.right.range);
        match &self.combine {
            Combine::Sum { left, right } => {
                let (left, right) = (left.range(a), right.range(b));
                Range::new(left.lo + right.lo, left.hi + right.hi)
            }
            Combine::Product { .. } => corners(a, b, |x, y| self.combine.evaluate(x, y)),
        }
    }

    /// Whether a lane without a channel, whose operands are stored as 0, gives other than 0.
    fn idle_is_dirty(&self) -> bool {
        let zeros = || {
            let (a, b) = (self.left.element.decode(0), self.right.element.decode(0));
            match &self.combine {
                Combine::Sum { left, right } => Some(left.get(a)? + right.get(b)?),
                Combine::Product { .. } => Some(self.combine.evaluate(a, b)),
            }
        };
        !self.channels.is_multiple_of(self.lanes) && zeros() != Some(0)
    }

    /// Cycles a sample.
    pub fn cycles(&self) -> u64 {
        (self.pixels * self.results().groups()) as u64
    }

    /// Clock edges from taking a pair of beats to the one at which their results can be taken: a register of the
    /// operands, the lane, a register of the results.
    pub fn latency(&self) -> u64 {
        2 + self.lane_latency()
    }

    /// Hardware multipliers.
    pub fn multipliers(&self) -> u64 {
        let Combine::Product { left_zero, right_zero } = self.combine else { return 0 };
        let (a, b) = (self.left.centred_bits(left_zero), self.right.centred_bits(right_zero));
        // A chunk without the sign leaves the port's sign bit 0.
        let chunks = |bits: u32, port: u32| 1 + bits.saturating_sub(port).div_ceil(port - 1);
        let (wide, narrow) = (self.cells.multiplier_a_bits, self.cells.multiplier_b_bits);
        let one = chunks(a, wide) * chunks(b, narrow);
        let other = chunks(a, narrow) * chunks(b, wide);
        u64::from(one.min(other)) * self.lanes as u64
    }

    /// The operands: what names them, their maps where they are summed.
    fn sides(&self) -> [Side<'_>; 2] {
        let (left, right) = match &self.combine {
            Combine::Sum { left, right } => (Some(left), Some(right)),
            Combine::Product { .. } => (None, None),
        };
        [Side { name: "left", operand: self.left, map: left }, Side { name: "right", operand: self.right, map: right }]
    }

    /// Bits of the tables of all lanes.
    pub fn table_bits(&self) -> u64 {
        let bits =
            |side: Side<'_>| side.table_width().map_or(0, |width| u64::from(width) << side.operand.element.bits());
        self.sides().map(bits).iter().sum::<u64>() * self.lanes as u64
    }

    /// The table of an operand, where it has one: a word for each stored operand.
    fn table(&self, side: Side<'_>) -> Option<RomSpec> {
        let (width, map) = (side.table_width()?, side.map?);
        let element = side.operand.element;
        let word = |stored: u64| {
            let value = map.get(element.decode(stored)).unwrap_or(0);
            BigUint::from(IntType::Signed(width).encode(value))
        };
        let words = (0..1u64 << element.bits()).map(word).collect();
        Some(RomSpec::new(format!("{}_{}_table", self.name, side.name), words, width, &self.cells))
    }

    /// Timing: from pairs of beats to groups of results on the returned edge. `credits`: room for output beats in
    /// each FIFO behind; `beats[g]`: how many of them group g of a pixel completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        sources: &[BeatSource],
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        let results = model.edge("joined results", 0);
        let phase = |&count: &u64| beat_phase(sources, credits, count, Some((results, self.latency())));
        model.actor("join", merged(beats.iter().map(phase)), self.pixels as u64);
        results
    }

    fn module(&self, gate: &CreditGate<'_>) -> Result<Arc<Module>, HdlError> {
        let mut intake = Intake::new(format!("{}_join", self.name), &self.ports(), gate);
        intake.m.comment(format!(
            "Joins pixels of {} channels of {} and {}, {} elements at once.",
            self.channels, self.left.element, self.right.element, self.lanes
        ));
        let credits = EveryBeat::new(&mut intake, gate);
        let takes = credits.take(&mut intake);
        let m = &mut intake.m;
        // What each lane gets of each operand: as stored, or from its table.
        let mut words: Vec<Vec<Expr>> = Vec::with_capacity(2);
        for (input, side) in intake.inputs.iter().zip(self.sides()) {
            let register = m.register(side.name, input.data.ty());
            m.clock(register, input.data.expr());
            let stored = lanes_of(&register.expr(), self.lanes);
            words.push(match self.table(side) {
                None => stored,
                Some(rom) => looked_up(m, side.name, &rom, &stored)?,
            });
        }
        let lane = self.lane_module()?;
        let mut raw = Vec::with_capacity(self.lanes);
        for (at, (left, right)) in words[0].iter().zip(&words[1]).enumerate() {
            let result = m.wire(format!("raw_{at}"), uint(gate.results.bits)).expr();
            let ports = [("left", left.clone()), ("right", right.clone()), ("raw", result.clone())];
            m.instance(format!("lane_{at}"), &lane, &ports);
            raw.push(result);
        }
        intake.finish(&takes.expr(), 1 + self.lane_latency() as usize, word_of(raw))
    }

    pub(super) fn build(
        &self,
        m: &mut ModuleBuilder,
        inputs: &[Offered],
        gate: &CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Beats, RegroupBuildError> {
        Ok(instantiate(m, &self.module(gate)?, inputs, returned, &self.results()))
    }
}

/// One of the operands and what becomes of it.
#[derive(Clone, Copy, Debug)]
struct Side<'a> {
    name: &'static str,
    operand: JoinOperand,
    /// None in a product.
    map: Option<&'a OperandMap>,
}

impl Side<'_> {
    /// Two's-complement bits of a word of its table; none where it has no table.
    fn table_width(&self) -> Option<u32> {
        match self.map? {
            OperandMap::Linear { .. } => None,
            OperandMap::Table { values, .. } => {
                Some(values.iter().map(|&value| Range::point(value).signed_bits()).max().unwrap_or(1))
            }
        }
    }
}

/// A table for each lane; gives their words.
fn looked_up(m: &mut ModuleBuilder, name: &str, rom: &RomSpec, stored: &[Expr]) -> Result<Vec<Expr>, HdlError> {
    let module = rom.module()?;
    let word = |(at, address): (usize, &Expr)| {
        let word = m.wire(format!("{name}_word_{at}"), uint(rom.width)).expr();
        m.instance(format!("{name}_table_{at}"), &module, &[("address", address.clone()), ("data", word.clone())]);
        word
    };
    Ok(stored.iter().enumerate().map(word).collect())
}
