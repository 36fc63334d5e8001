//! Figures of stages and totals, for reports and the manifest.

use super::{DataflowGraph, Folding, Stage};
use systole_bundle::manifest::FoldingFigures;
use systole_hdl::stream::RegroupError;

/// What a report says of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageFigures {
    /// Parallelism along each dimension.
    pub folding: FoldingFigures,
    /// Output channels in parallel.
    pub pe: usize,
    /// Products an output channel in parallel.
    pub simd: usize,
    /// Multiply-accumulate lanes.
    pub multipliers: u64,
    /// Every other multiplier.
    pub requantize_multipliers: u64,
    /// Cycles a sample.
    pub cycles: u64,
    /// Cycles a sample in which a fold starts.
    pub busy_cycles: u64,
    /// Bits of all memories except the FIFO.
    pub memory_bits: u64,
    /// Bits of weights as stored.
    pub weight_bits: u64,
}

impl Stage {
    /// Figures of the stage.
    ///
    /// # Errors
    /// If its input cannot be regrouped, which `verify` excludes.
    pub fn figures(&self) -> Result<StageFigures, RegroupError> {
        let engine = &self.spec.engine;
        let (pe, channels, taps, pixels) = match self.folding {
            Folding::Matrix { pe, simd, taps, pixels, .. } => (pe, simd, taps, pixels),
            Folding::Vector { lanes, taps, pixels, .. } => (lanes, 1, taps, pixels),
            Folding::Lanes { lanes } => {
                let pixels = lanes.div_ceil(self.output.channels());
                (lanes / pixels, 1, 1, pixels)
            }
        };
        Ok(StageFigures {
            folding: FoldingFigures { output_channels: pe, input_channels: channels, taps, pixels },
            pe,
            simd: channels * taps,
            multipliers: engine.multipliers(),
            requantize_multipliers: self.spec.other_multipliers(),
            cycles: self.timing.interval,
            busy_cycles: self.timing.busy_cycles,
            memory_bits: self.spec.memory_bits()?,
            weight_bits: engine.weight_bits(),
        })
    }
}

impl DataflowGraph {
    /// Multiply-accumulate lanes of all stages.
    pub fn multipliers(&self) -> u64 {
        self.stages().map(|stage| stage.spec.engine.multipliers()).sum()
    }

    /// Products of the dense loop nests a sample.
    pub fn macs(&self) -> u64 {
        self.stages().map(|stage| stage.macs).sum()
    }

    /// Bits of all FIFOs at their exact depths.
    pub fn fifo_bits(&self) -> u64 {
        let bits =
            |stage: &Stage| stage.spec.fifo_depths.iter().sum::<usize>() as u64 * u64::from(stage.spec.out_width());
        self.stages().map(bits).sum()
    }
}
