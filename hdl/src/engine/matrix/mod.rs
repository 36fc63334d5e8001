//! The matrix engine: PE x SIMD multipliers in a systolic chain, one accumulator a PE.

mod control;
mod hop;

pub(crate) use control::{
    advance, counter, credit_inputs, credit_name, delay, is_zero, up_down, ControlSpec, Wrapping,
};
pub(crate) use hop::product_value;

use super::results::{credit_takes, Results};
use super::window::{FoldOrder, WindowSpec};
use crate::cells::Cells;
use crate::stream::BeatSource;
use crate::timing::{EdgeId, Give, Phase, Take, TokenModel};
use systole_arith::{IntType, Window};

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

impl ProductKind {
    /// How an input and a weight are multiplied.
    pub fn of(input: IntType, weight: IntType) -> Self {
        match (input, weight) {
            (IntType::Bipolar, IntType::Bipolar) => ProductKind::Xnor,
            (IntType::Bipolar, _) => ProductKind::SignedWeight,
            (_, weight) if weight.bits() <= 2 => ProductKind::AddSubtract,
            _ => ProductKind::Multiply,
        }
    }

    /// Whether some weight multiplies to nothing, whatever the input.
    pub fn has_zero(self, weight: IntType) -> bool {
        match self {
            ProductKind::Xnor => false,
            ProductKind::AddSubtract => weight != IntType::Bipolar,
            ProductKind::Multiply | ProductKind::SignedWeight => true,
        }
    }
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
/// *Windows*: with a [`Window`] the sum runs over its taps as well, `w[m][tap * C + c]`. The replay buffer is then
/// a line buffer: each of `tap_lanes` taps read at once has hops of its own, with a copy of the lines.
///
/// *Pixels in parallel*: `pixel_lanes` neighbouring output pixels of a row share weights and control; each has its
/// own multipliers and accumulators, and the line buffer a bank for each pixel ([`WindowSpec::banks`]). Their results
/// leave at once, as those of one pixel of q M channels, so that PE is M and q divides the row. A sum of its own
/// on every pixel is then a window of one tap over a single row.
///
/// *Timing*: a fold starts in every cycle unless the input is missing (only in the first group of
/// a pixel) or the results have no room (only at the start of a group), across pixels and samples:
/// the buffer holds two pixels. Interval: ceil(M/PE) * ceil(T/t) * ceil(C/SIMD) for each q pixels. No global enable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixSpec {
    /// Output pixels a sample.
    pub pixels: usize,
    /// The window over the input; none where every pixel is a sum of its own.
    pub window: Option<Window>,
    /// Stored input that padding reads.
    pub padding: i64,
    /// Taps multiplied in parallel: 1 without a window.
    pub tap_lanes: usize,
    /// Output pixels computed in parallel: q.
    pub pixel_lanes: usize,
    /// Input pixels a beat: 1, or see [`WindowSpec::takes_beats_of`].
    pub beat_pixels: usize,
    /// Input channels C of a pixel.
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

    /// Taps of the window T; 1 without one.
    pub fn taps(&self) -> usize {
        self.window.map_or(1, |window| window.taps())
    }

    /// Words of an input pixel: ceil(C / SIMD).
    pub fn words(&self) -> usize {
        self.inputs.div_ceil(self.simd)
    }

    /// Cycles a group: ceil(T / t) * ceil(C / SIMD).
    pub fn folds(&self) -> usize {
        self.taps().div_ceil(self.tap_lanes) * self.words()
    }

    /// The walk through the line buffer; none without a window.
    pub fn line_buffer(&self) -> Option<WindowSpec> {
        let pixels = (self.pixel_lanes, self.beat_pixels);
        let row = (pixels != (1, 1)).then(|| Window::pointwise([1, self.pixels]));
        self.window.or(row).map(|window| WindowSpec {
            window,
            words: self.words(),
            tap_lanes: self.tap_lanes,
            pixel_lanes: self.pixel_lanes,
            beat_pixels: self.beat_pixels,
            order: FoldOrder::Matrix { groups: self.groups() },
            read_span: self.hops() as u64,
        })
    }

    /// Input pixels a sample.
    pub fn input_pixels(&self) -> usize {
        self.window.map_or(self.pixels, |window| window.input_pixels())
    }

    /// Output pixels of a row; all of them where each is a sum of its own.
    pub fn row_pixels(&self) -> usize {
        self.window.map_or(self.pixels, |window| window.output()[1])
    }

    /// Groups of output pixels computed at once, a sample.
    pub fn steps(&self) -> usize {
        self.pixels / self.row_pixels() * self.row_pixels().div_ceil(self.pixel_lanes)
    }

    /// Cycles a sample: the folds, or the input's beats where they take longer.
    pub fn cycles(&self) -> u64 {
        self.busy_cycles().max((self.input_pixels() / self.beat_pixels * self.words()) as u64)
    }

    /// Cycles a sample in which a fold starts.
    pub fn busy_cycles(&self) -> u64 {
        self.steps() as u64 * self.cycles_per_step()
    }

    /// Whether pixels can be taken and given in parallel as the folding has it.
    pub fn pixels_fit(&self) -> bool {
        let whole =
            self.pixel_lanes == 1 || (self.pe == self.outputs && self.row_pixels().is_multiple_of(self.pixel_lanes));
        whole && self.line_buffer().is_none_or(|lines| lines.takes_beats_of(self.beat_pixels))
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        let lanes = self.pixel_lanes;
        Results {
            pixels: self.pixels / lanes,
            channels: self.outputs * lanes,
            pe: self.pe * lanes,
            bits: self.accumulator_bits,
            spacing: self.folds() as u64,
            idle_is_dirty: self.idle_rows_are_dirty(),
        }
    }

    /// Cycles a step in which a fold starts.
    pub fn cycles_per_step(&self) -> u64 {
        (self.groups() * self.folds()) as u64
    }

    /// Multiply-accumulate lanes.
    pub fn multipliers(&self) -> u64 {
        (self.pe * self.simd * self.tap_lanes * self.pixel_lanes) as u64
    }

    /// How a lane multiplies.
    pub fn product_kind(&self) -> ProductKind {
        ProductKind::of(self.input, self.weight)
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

    /// Whether idle lanes add nothing. Weights that have no 0 need idle inputs of 0, which idle taps and
    /// the idle lanes of padding are not: tap lanes must divide the taps then, and SIMD the channels.
    pub fn idle_lanes_are_silent(&self) -> bool {
        let has_zero = self.product_kind().has_zero(self.weight);
        let whole_words = self.inputs.is_multiple_of(self.simd) || !self.masks();
        has_zero || (self.taps().is_multiple_of(self.tap_lanes) && whole_words)
    }

    /// Lanes of a full hop.
    pub fn hop_lanes(&self) -> usize {
        match self.product_kind() {
            ProductKind::Multiply => self.cells.lanes_per_hop,
            _ => self.cells.logic_lanes_per_hop,
        }
        .min(self.simd)
    }

    /// Hops that share a tap: ceil(SIMD / lanes of a hop).
    fn hops_of_tap(&self) -> usize {
        self.simd.div_ceil(self.hop_lanes())
    }

    /// Hops of the chain: those of the first tap lane, then those of the next.
    pub fn hops(&self) -> usize {
        self.hops_of_tap() * self.tap_lanes
    }

    /// Tap lane of a hop, and the first of its SIMD lanes.
    pub fn place_of_hop(&self, hop: usize) -> (usize, usize) {
        (hop / self.hops_of_tap(), hop % self.hops_of_tap() * self.hop_lanes())
    }

    /// Lanes of hop `h`: the last of a tap may be narrower.
    pub fn lanes_of_hop(&self, hop: usize) -> usize {
        self.hop_lanes().min(self.simd - self.place_of_hop(hop).1)
    }

    /// Registered levels of the adder tree in a hop.
    pub fn tree_levels(&self) -> u64 {
        u64::from(usize::BITS - (self.hop_lanes() - 1).leading_zeros())
    }

    /// Entries of the line buffer, or of the replay buffer: two pixels (two entries where nothing is
    /// replayed), and those that the last hop has yet to read.
    pub fn replay_depth(&self) -> usize {
        if let Some(lines) = self.line_buffer() {
            return lines.depth();
        }
        let held = if self.groups() == 1 { 1 } else { self.folds() };
        2 * held + self.hops() - 1
    }

    /// Bits of the replay or line buffer, with its copies.
    pub fn replay_bits(&self) -> u64 {
        let word_bits = self.simd as u64 * u64::from(self.input.bits());
        match self.line_buffer() {
            Some(lines) => lines.buffer_bits(word_bits),
            None => self.replay_depth() as u64 * word_bits,
        }
    }

    /// Bits of the weights as stored, idle lanes included.
    pub fn weight_bits(&self) -> u64 {
        self.cycles_per_step() * self.multipliers() / self.pixel_lanes as u64 * u64::from(self.weight.bits())
    }

    /// Clock edges from the last fold of a group to the one at which its PE results can be taken.
    pub fn latency(&self) -> u64 {
        let tree = self.cells.memory_read_latency + self.cells.multiplier_latency + self.tree_levels();
        let address = if self.line_buffer().is_some() { WindowSpec::ADDRESS_LATENCY } else { 0 };
        // One edge for each hop, one for the accumulator; the results are taken at the next.
        address + tree + self.hops() as u64 + 1
    }

    /// Weight memory of hop `h`: `[fold address][PE * lanes]` with PE outermost, the first lane in
    /// the low bits. `weights` is `[M][T * C]`.
    pub fn weight_words(&self, hop: usize, weights: &dyn Fn(usize, usize) -> i64) -> Vec<num_bigint::BigUint> {
        let bits = self.weight.bits() as usize;
        let lanes = self.lanes_of_hop(hop);
        // The word of an idle lane: multiplies to nothing. An idle XNOR lane has input 0.
        let idle = if self.product_kind() == ProductKind::Xnor { 1u64 } else { 0 };
        let (tap_lane, first_lane) = self.place_of_hop(hop);
        let mut words = Vec::with_capacity(self.groups() * self.folds());
        for group in 0..self.groups() {
            for fold in 0..self.folds() {
                let tap = fold / self.words() * self.tap_lanes + tap_lane;
                let mut digits = vec![0u32; (self.pe * lanes * bits).div_ceil(32)];
                for pe in 0..self.pe {
                    for lane in 0..lanes {
                        let output = group * self.pe + pe;
                        let channel = fold % self.words() * self.simd + first_lane + lane;
                        let used = output < self.outputs && channel < self.inputs && tap < self.taps();
                        let stored = match used {
                            true => self.weight.encode(weights(output, tap * self.inputs + channel)),
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

    /// Timing: from words of SIMD lanes to groups of PE results on the returned edge. `credits`: room for
    /// output beats in each FIFO behind; `beats[g]`: how many of them group g completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        source: &BeatSource,
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        if let Some(lines) = self.line_buffer() {
            return lines.add_to(model, source, credits, beats, self.latency());
        }
        let (groups, folds) = (self.groups() as u64, self.folds() as u64);
        let present = model.edge("replay entries", 0);
        let space = model.edge("replay space", self.replay_depth() as u64);
        let results = model.edge("group results", 0);
        let give_present = Give { edge: present, count: 1, delay: 1, stride: 0 };
        let phase = Phase {
            repeat: folds * self.pixels as u64,
            takes: vec![source.take, Take { edge: space, need: 1, consume: 1 }],
            gives: source.give.into_iter().chain([give_present]).collect(),
            cycles: 1,
        };
        model.actor("replay write", vec![phase], 1);
        let free_delay = self.hops() as u64;
        let fold = |first: bool, last_fold: bool| {
            let mut takes = vec![Take { edge: present, need: 1, consume: 1 }];
            if first {
                takes.extend(credit_takes(credits, beats[0]));
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
            let takes: Vec<Take> = credit_takes(credits, beats[group as usize]).collect();
            let mut gives = vec![Give { edge: results, count: 1, delay: folds - 1 + self.latency(), stride: 0 }];
            if group == groups - 1 {
                gives.push(Give { edge: space, count: folds, delay: free_delay, stride: 1 });
            }
            match round.last_mut() {
                Some(last) if group > 1 && last.takes == takes && last.gives == gives => last.repeat += 1,
                _ => round.push(Phase { repeat: 1, takes, gives, cycles: folds }),
            }
        }
        model.actor("fold issue", round, self.pixels as u64);
        results
    }
}
