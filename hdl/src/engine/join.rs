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
                let (left, right) = (contributions(left, a), contributions(right, b));
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
                Combine::Sum { left, right } => Some(contribution(left, a)? + contribution(right, b)?),
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

    /// Bits of the tables of all lanes.
    pub fn table_bits(&self) -> u64 {
        let tables = [self.table(0), self.table(1)];
        tables.iter().flatten().map(RomSpec::bits).sum::<u64>() * self.lanes as u64
    }

    /// The table of operand `index` (0 or 1), where it has one: a word for each stored operand.
    pub fn table(&self, index: usize) -> Option<RomSpec> {
        let Combine::Sum { left, right } = &self.combine else { return None };
        let (operand, map, side) = match index {
            0 => (self.left, left, "left"),
            _ => (self.right, right, "right"),
        };
        let OperandMap::Table { values, .. } = map else { return None };
        let width = values.iter().map(|&value| Range::point(value)).reduce(Range::hull)?.signed_bits();
        let ty = IntType::Signed(width);
        let word = |stored: u64| {
            let value = contribution(map, operand.element.decode(stored)).unwrap_or(0);
            BigUint::from(ty.encode(value))
        };
        let words = (0..1u64 << operand.element.bits()).map(word).collect();
        Some(RomSpec::new(format!("{}_{side}_table", self.name), words, width, &self.cells))
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
        let operands: Vec<Vec<Expr>> = (0..2)
            .map(|index| {
                let data = intake.inputs[index].data;
                let register = intake.m.register(["left", "right"][index], data.ty());
                intake.m.clock(register, data.expr());
                lanes_of(&register.expr(), self.lanes)
            })
            .collect();
        let lane = self.lane_module()?;
        let tables: Vec<(&str, Arc<Module>)> = ["left", "right"]
            .into_iter()
            .enumerate()
            .filter_map(|(index, side)| Some((side, self.table(index)?)))
            .map(|(side, rom)| Ok((side, rom.module()?)))
            .collect::<Result<_, HdlError>>()?;
        let raw_type = uint(gate.results.bits);
        let mut raw = Vec::with_capacity(self.lanes);
        for at in 0..self.lanes {
            let result = intake.m.wire(format!("raw_{at}"), raw_type);
            let mut ports = vec![("raw", result.expr())];
            for (index, side) in ["left", "right"].into_iter().enumerate() {
                let stored = &operands[index][at];
                let Some((_, rom)) = tables.iter().find(|(with, _)| *with == side) else {
                    ports.push((side, stored.clone()));
                    continue;
                };
                let width = self.table(index).map_or(1, |rom| rom.width);
                let word = intake.m.wire(format!("{side}_word_{at}"), uint(width));
                let bindings = [("address", stored.clone()), ("data", word.expr())];
                intake.m.instance(format!("{side}_table_{at}"), rom, &bindings);
                ports.push((side, word.expr()));
            }
            intake.m.instance(format!("lane_{at}"), &lane, &ports);
            raw.push(result.expr());
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

/// What an operand contributes to a sum; none where its table ends.
fn contribution(map: &OperandMap, x: i64) -> Option<i64> {
    match map {
        OperandMap::Linear { factor } => Some(factor * x),
        OperandMap::Table { lowest, values } => values.get(usize::try_from(x.checked_sub(*lowest)?).ok()?).copied(),
    }
}

/// Contributions of the operands in `range`.
fn contributions(map: &OperandMap, range: Range) -> Range {
    let values: Box<dyn Iterator<Item = i64>> = match map {
        OperandMap::Linear { factor } => Box::new([factor * range.lo, factor * range.hi].into_iter()),
        OperandMap::Table { .. } => Box::new((range.lo..=range.hi).filter_map(|x| contribution(map, x))),
    };
    values.map(Range::point).reduce(Range::hull).unwrap_or(Range::point(0))
}
