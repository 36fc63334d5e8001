//! The matrix engine: PE x SIMD multipliers in a systolic chain, one accumulator a PE.

mod control;
mod hop;

pub(crate) use control::{delay, ControlSpec};

use crate::cells::Cells;
use crate::stream::regroup::Elements;
use crate::stream::StreamEnd;
use crate::timing::{EdgeId, Give, Phase, Take, TokenModel};
use systole_arith::IntType;

/// How one lane multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProductKind {
    /// A hardware multiplier.
    Multiply,
    /// Plus, minus, nothing or minus twice the input: weights of at most 2 bits.
    AddSubtract,
    /// Plus or minus the weight: bipolar inputs.
    SignedWeight,
    /// Agreement of two bits: bipolar inputs and weights; the accumulator counts agreements.
    Xnor,
}

/// A matrix product `raw[m] = sum over c of x[c] * w[m][c]` on every pixel of a stream, folded.
///
/// ```text
///   stream     +--------------+   x bank h, address delayed h cycles
///  ==========> | replay buffer|----+-----------+-----------+
///   SIMD lanes | (circular)   |    v           v           v
///              +--------------+  hop 0 ----> hop 1 ----> hop H-1 ---> accumulators ---> PE lanes
///   weights (ParameterPort) --->  ^           ^           ^            (restart at each group)
/// ```
///
/// Inputs of a pixel are stored once and replayed for each group of PE output channels. A *hop* is
/// a column of the systolic array: for each PE a few lanes whose products go through a registered
/// adder tree onto the partial sum that travels from hop to hop, one hop a cycle; a hop reads its
/// input bank and its weights one cycle after the hop before it, so nothing is skewed in registers.
///
/// *Folding*: PE need not divide `outputs`, nor SIMD `inputs`; idle lanes multiply by 0.
///
/// *Timing*: a fold starts in every cycle unless the input is missing (only in the first group of
/// a pixel) or the results have no room (only at the start of a group), across pixels and samples:
/// the buffer holds two pixels. Interval: ceil(M/PE) * ceil(C/SIMD) a pixel. No global enable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixSpec {
    /// Pixels a sample.
    pub pixels: usize,
    /// Input channels C.
    pub inputs: usize,
    /// Output channels M.
    pub outputs: usize,
    /// Output channels computed in parallel.
    pub pe: usize,
    /// Input channels multiplied in parallel.
    pub simd: usize,
    /// Type of the inputs.
    pub input: IntType,
    /// Type of the weights.
    pub weight: IntType,
    /// Two's-complement width of the raw accumulators.
    pub accumulator_bits: u32,
    /// Technology.
    pub cells: Cells,
}

impl MatrixSpec {
    /// Groups of output channels a pixel: ceil(M / PE).
    pub fn groups(&self) -> usize {
        self.outputs.div_ceil(self.pe)
    }

    /// Cycles a group: ceil(C / SIMD).
    pub fn folds(&self) -> usize {
        self.inputs.div_ceil(self.simd)
    }

    /// Cycles a pixel in which a fold starts.
    pub fn cycles_per_pixel(&self) -> u64 {
        (self.groups() * self.folds()) as u64
    }

    /// Multiply-accumulate lanes.
    pub fn multipliers(&self) -> u64 {
        (self.pe * self.simd) as u64
    }

    /// How a lane multiplies.
    pub fn product_kind(&self) -> ProductKind {
        match (self.input, self.weight) {
            (IntType::Bipolar, IntType::Bipolar) => ProductKind::Xnor,
            (IntType::Bipolar, _) => ProductKind::SignedWeight,
            (_, weight) if weight.bits() <= 2 => ProductKind::AddSubtract,
            _ => ProductKind::Multiply,
        }
    }

    /// Whether array rows beyond the last output channel hold other than 0 in the last group.
    pub fn idle_rows_are_dirty(&self) -> bool {
        !self.outputs.is_multiple_of(self.pe)
            && match self.product_kind() {
                ProductKind::Xnor => true,
                // A bipolar weight has no 0.
                ProductKind::AddSubtract => self.weight == IntType::Bipolar,
                ProductKind::Multiply | ProductKind::SignedWeight => false,
            }
    }

    /// Lanes of a full hop.
    pub fn hop_lanes(&self) -> usize {
        match self.product_kind() {
            ProductKind::Multiply => self.cells.lanes_per_hop,
            _ => self.cells.logic_lanes_per_hop,
        }
        .min(self.simd)
    }

    /// Hops of the chain.
    pub fn hops(&self) -> usize {
        self.simd.div_ceil(self.hop_lanes())
    }

    /// Lanes of hop `h`: the last may be narrower.
    pub fn lanes_of_hop(&self, hop: usize) -> usize {
        self.hop_lanes().min(self.simd - hop * self.hop_lanes())
    }

    /// Registered levels of the adder tree in a hop.
    pub fn tree_levels(&self) -> u64 {
        u64::from(usize::BITS - (self.hop_lanes() - 1).leading_zeros())
    }

    /// Entries of the replay buffer: two pixels (two entries where nothing is replayed), and those
    /// that the last hop has yet to read.
    pub fn replay_depth(&self) -> usize {
        let held = if self.groups() == 1 { 1 } else { self.folds() };
        2 * held + self.hops() - 1
    }

    /// Bits of the replay buffer.
    pub fn replay_bits(&self) -> u64 {
        (self.replay_depth() * self.simd) as u64 * u64::from(self.input.bits())
    }

    /// Bits of the weights as stored, idle lanes included.
    pub fn weight_bits(&self) -> u64 {
        self.cycles_per_pixel() * self.multipliers() * u64::from(self.weight.bits())
    }

    /// Clock edges from the last fold of a group to the one at which its PE results can be taken.
    pub fn latency(&self) -> u64 {
        let tree = self.cells.memory_read_latency + self.cells.multiplier_latency + self.tree_levels();
        // One edge for each hop, one for the accumulator; the results are taken at the next.
        tree + self.hops() as u64 + 1
    }

    /// Weight memory of hop `h`: `[fold address][PE * lanes]` with PE outermost, the first lane in
    /// the low bits. `weights` is `[M][C]`.
    pub fn weight_words(&self, hop: usize, weights: &dyn Fn(usize, usize) -> i64) -> Vec<num_bigint::BigUint> {
        let bits = self.weight.bits() as usize;
        let lanes = self.lanes_of_hop(hop);
        // The word of an idle lane: multiplies to nothing. An idle XNOR lane has input 0.
        let idle = if self.product_kind() == ProductKind::Xnor { 1u64 } else { 0 };
        let mut words = Vec::with_capacity(self.groups() * self.folds());
        for group in 0..self.groups() {
            for fold in 0..self.folds() {
                let mut digits = vec![0u32; (self.pe * lanes * bits).div_ceil(32)];
                for pe in 0..self.pe {
                    for lane in 0..lanes {
                        let output = group * self.pe + pe;
                        let within = hop * self.hop_lanes() + lane;
                        let input = fold * self.simd + within;
                        let stored = match output < self.outputs && input < self.inputs {
                            true => self.weight.encode(weights(output, input)),
                            false => idle,
                        };
                        let at = (pe * lanes + lane) * bits;
                        for bit in (0..bits).filter(|bit| stored >> bit & 1 == 1) {
                            digits[(at + bit) / 32] |= 1 << ((at + bit) % 32);
                        }
                    }
                }
                words.push(num_bigint::BigUint::new(digits));
            }
        }
        words
    }

    /// Timing: from a stream of SIMD lanes (or the elements of a regrouping block in front) to
    /// groups of PE results on the returned edge. `credits` is where the room for output beats
    /// comes from, and `beats[g]` how many of them group `g` completes.
    pub(crate) fn add_to(&self, model: &mut TokenModel, input: MatrixInput, credits: EdgeId, beats: &[u64]) -> EdgeId {
        let (groups, folds) = (self.groups() as u64, self.folds() as u64);
        let present = model.edge("replay entries", 0);
        let space = model.edge("replay space", self.replay_depth() as u64);
        let results = model.edge("group results", 0);
        let take_space = Take { edge: space, need: 1, consume: 1 };
        let give_present = Give { edge: present, count: 1, delay: 1, stride: 0 };
        match input {
            MatrixInput::Stream(end) => {
                let phase = Phase {
                    repeat: folds,
                    takes: vec![Take { edge: end.data, need: 1, consume: 1 }, take_space],
                    gives: vec![Give { edge: end.space, count: 1, delay: end.space_delay, stride: 0 }, give_present],
                    cycles: 1,
                };
                model.actor("replay write", vec![phase], self.pixels as u64);
            }
            MatrixInput::Regrouped { block, elements, rounds_per_sample } => {
                block.give_from(model, elements, rounds_per_sample, &[take_space], &[give_present]);
            }
        }
        let free_delay = self.hops() as u64;
        let fold = |first: bool, last_fold: bool| {
            let mut takes = vec![Take { edge: present, need: 1, consume: 1 }];
            if first && beats[0] > 0 {
                takes.push(Take { edge: credits, need: beats[0], consume: beats[0] });
            }
            let mut gives = Vec::new();
            if groups == 1 {
                gives.push(Give { edge: space, count: 1, delay: free_delay, stride: 0 });
            }
            if last_fold {
                gives.push(Give { edge: results, count: 1, delay: self.latency(), stride: 0 });
            }
            Phase { repeat: 1, takes, gives, cycles: 1 }
        };
        // The first group fold by fold, since it reads entries as they come; the others at once.
        let mut round = vec![fold(true, folds == 1)];
        if folds > 2 {
            round.push(Phase { repeat: folds - 2, ..fold(false, false) });
        }
        if folds > 1 {
            round.push(fold(false, true));
        }
        for group in 1..groups {
            let mut takes = Vec::new();
            if beats[group as usize] > 0 {
                let count = beats[group as usize];
                takes.push(Take { edge: credits, need: count, consume: count });
            }
            let mut gives = vec![Give { edge: results, count: 1, delay: folds - 1 + self.latency(), stride: 0 }];
            if group == groups - 1 {
                gives.push(Give { edge: space, count: folds, delay: free_delay, stride: 1 });
            }
            round.push(Phase { repeat: 1, takes, gives, cycles: folds });
        }
        model.actor("fold issue", round, self.pixels as u64);
        results
    }
}

/// What stands in front of the replay buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MatrixInput<'a> {
    /// A stream of SIMD lanes.
    Stream(StreamEnd),
    /// A regrouping block, of which this is the offering side.
    Regrouped {
        /// The block.
        block: &'a crate::stream::RegroupSpec,
        /// What it holds.
        elements: Elements,
        /// Its rounds a sample.
        rounds_per_sample: u64,
    },
}
