//! The vector engine: each channel alone on windows, for depthwise convolution, pooling and padding.

mod build;

use super::matrix::ProductKind;
use super::reduce::Reduction;
use super::results::Results;
use super::window::{FoldOrder, WindowSpec};
use crate::cells::Cells;
use crate::memory::RomSpec;
use crate::stream::BeatSource;
use crate::timing::{EdgeId, TokenModel};
use std::sync::Arc;
use systole_arith::{IntType, Window};

/// What becomes of a window's taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorOp {
    /// The sum of products with weights of a type.
    Multiply(IntType),
    /// Their sum or maximum as they are.
    Reduce(Reduction),
}

/// `raw[c] = sum (or maximum) over taps t of x[t][c] (* w[c][t])` on every window of a stream, folded.
///
/// ```text
///  stream    +-------------+                +----------+
/// =========> | line buffer |--> t taps ---->| p * t    |--> trees --> p accumulators ---> p lanes
///  p lanes   | t copies    |    padding     | products |             (restart at each group)
///            +-------------+    masked      +----------+
/// ```
///
/// `pixel_lanes` neighbouring windows of a row are computed at once, with the same weights; their results leave
/// as those of one pixel of q C channels, so that p is C and q divides the row.
///
/// *Timing*: as [`WindowSpec`] with the words of a pixel outermost. Interval: ceil(C/p) * ceil(T/t) for each
/// q windows. No global enable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VectorSpec {
    /// The window.
    pub window: Window,
    /// Stored input that padding reads.
    pub padding: i64,
    /// Channels C.
    pub channels: usize,
    /// Channels in parallel: p.
    pub lanes: usize,
    /// Taps in parallel: t.
    pub tap_lanes: usize,
    /// Windows in parallel: q.
    pub pixel_lanes: usize,
    /// Input pixels a beat: 1, or see [`WindowSpec::takes_beats_of`].
    pub beat_pixels: usize,
    /// Type of the inputs.
    pub input: IntType,
    /// What is computed.
    pub op: VectorOp,
    /// Two's-complement width of the raw results.
    pub accumulator_bits: u32,
    /// Technology.
    pub cells: Cells,
}

/// A vector engine with its weights.
#[derive(Clone, Debug)]
pub struct VectorEngine {
    /// Name of the stage, which its weight memory takes.
    pub name: String,
    /// The engine.
    pub spec: VectorSpec,
    /// Weights `[C][T]`; none for pooling.
    pub weights: Option<Arc<ndarray::Array2<i64>>>,
}

impl VectorSpec {
    /// Words of a pixel: ceil(C / p).
    pub fn words(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// The walk through the line buffer.
    pub fn line_buffer(&self) -> WindowSpec {
        WindowSpec {
            window: self.window,
            words: self.words(),
            tap_lanes: self.tap_lanes,
            pixel_lanes: self.pixel_lanes,
            beat_pixels: self.beat_pixels,
            order: FoldOrder::Vector,
            read_span: 1,
        }
    }

    fn has_zero_weight(&self) -> bool {
        match self.op {
            VectorOp::Multiply(weight) => ProductKind::of(self.input, weight).has_zero(weight),
            VectorOp::Reduce(_) => false,
        }
    }

    /// Whether idle taps change nothing: where no weight is 0, tap lanes must divide the taps.
    pub fn idle_taps_are_silent(&self) -> bool {
        self.has_zero_weight() || self.window.taps().is_multiple_of(self.tap_lanes)
    }

    /// Whether pixels can be taken and given in parallel as the folding has it.
    pub fn pixels_fit(&self) -> bool {
        let row = self.window.output()[1];
        let whole = self.pixel_lanes == 1 || (self.lanes == self.channels && row.is_multiple_of(self.pixel_lanes));
        whole && self.line_buffer().takes_beats_of(self.beat_pixels)
    }

    /// Multiply-accumulate lanes; pooling has none.
    pub fn multipliers(&self) -> u64 {
        match self.op {
            VectorOp::Multiply(_) => (self.lanes * self.tap_lanes * self.pixel_lanes) as u64,
            VectorOp::Reduce(_) => 0,
        }
    }

    /// Bits of the weights as stored, idle lanes included.
    pub fn weight_bits(&self) -> u64 {
        match self.op {
            VectorOp::Multiply(weight) => {
                let word = (self.lanes * self.tap_lanes) as u64 * u64::from(weight.bits());
                self.line_buffer().cycles_per_step() * word
            }
            VectorOp::Reduce(_) => 0,
        }
    }

    /// Bits of the line buffer and its copies.
    pub fn buffer_bits(&self) -> u64 {
        self.line_buffer().buffer_bits(self.lanes as u64 * u64::from(self.input.bits()))
    }

    /// Registered levels of the tree over the taps.
    fn tree_levels(&self) -> u64 {
        u64::from(usize::BITS - (self.tap_lanes - 1).leading_zeros())
    }

    /// Clock edges from the addresses of a fold at the memories to its sums at the accumulators.
    fn sum_latency(&self) -> u64 {
        let product = match self.op {
            VectorOp::Multiply(_) => self.cells.multiplier_latency,
            VectorOp::Reduce(_) => 0,
        };
        self.cells.memory_read_latency + product + self.tree_levels()
    }

    /// Clock edges from the last fold of a group to the one at which its results can be taken.
    pub fn latency(&self) -> u64 {
        WindowSpec::ADDRESS_LATENCY + self.sum_latency() + 1
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        Results {
            pixels: self.window.output_pixels() / self.pixel_lanes,
            channels: self.channels * self.pixel_lanes,
            pe: self.lanes * self.pixel_lanes,
            bits: self.accumulator_bits,
            spacing: self.line_buffer().folds() as u64,
            idle_is_dirty: !self.has_zero_weight() && !self.channels.is_multiple_of(self.lanes),
        }
    }

    pub(super) fn add_to(
        &self,
        model: &mut TokenModel,
        source: &BeatSource,
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        self.line_buffer().add_to(model, source, credits, beats, self.latency())
    }
}

impl VectorEngine {
    /// The weight memory, `[word][tap fold]`, in each word tap lane outermost, the first channel low.
    pub fn weight_rom(&self) -> Option<RomSpec> {
        let (VectorOp::Multiply(weight), Some(weights)) = (self.spec.op, &self.weights) else { return None };
        let lines = self.spec.line_buffer();
        let (lanes, taps, bits) = (self.spec.lanes, self.spec.tap_lanes, weight.bits() as usize);
        let mut words = Vec::with_capacity(lines.cycles_per_step() as usize);
        for word in 0..self.spec.words() {
            for fold in 0..lines.tap_folds() {
                let mut image = num_bigint::BigUint::default();
                for tap_lane in 0..taps {
                    for lane in 0..lanes {
                        let (channel, tap) = (word * lanes + lane, fold * taps + tap_lane);
                        let used = channel < self.spec.channels && tap < self.spec.window.taps();
                        let stored = if used { weight.encode(weights[[channel, tap]]) } else { 0 };
                        image |= num_bigint::BigUint::from(stored) << ((tap_lane * lanes + lane) * bits);
                    }
                }
                words.push(image);
            }
        }
        let width = (lanes * taps * bits) as u32;
        Some(RomSpec::new(format!("{}_weights_0", self.name), words, width, &self.spec.cells))
    }
}
