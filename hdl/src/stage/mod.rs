//! Stages: an engine with its regrouping blocks, its requantizer, its parameters and the FIFO behind it.

mod module;

use crate::engine::matrix::MatrixInput;
use crate::engine::MatrixSpec;
use crate::requantize::RequantizeSpec;
use crate::stream::{FifoSpec, RegroupError, RegroupSpec, StreamEnd};
use crate::timing::{ActorId, Give, Phase, Take, TokenModel};
use std::sync::Arc;

/// A stage around the matrix engine.
///
/// ```text
///  stream -> [regroup] -> matrix engine -> [result buffer] -> requantizer -> FIFO -> stream
///            to SIMD      PE a group       PE to R lanes      R lanes        depth D
///                             ^                                               |
///                             +-------------- credits: one an output beat ----+
/// ```
///
/// The pipeline behind the engine runs free: the engine starts a group only when the FIFO has room
/// for the output beats that the group completes.
#[derive(Clone, Debug)]
pub struct MatrixStageSpec {
    /// Name of the stage and of its module: an identifier.
    pub name: String,
    /// Header lines for the emitted module.
    pub comments: Vec<String>,
    /// Channels of a pixel on the input stream (the engine's C differs where a reshape is absorbed).
    pub in_channels: usize,
    /// Lanes of the input stream.
    pub in_lanes: usize,
    /// The engine.
    pub matrix: MatrixSpec,
    /// The requantizer; its lanes are the output stream's.
    pub requantize: RequantizeSpec,
    /// Weights, `[M][C]`.
    pub weights: Arc<ndarray::Array2<i64>>,
    /// Entries of the FIFO.
    pub fifo_depth: usize,
}

/// Actors of a stage that figures are read from.
#[derive(Clone, Copy, Debug)]
pub struct StageActors {
    /// Fires when a beat of the input stream is taken.
    pub input: ActorId,
    /// Credits: the edge that holds one token a free FIFO entry.
    pub credits: crate::timing::EdgeId,
    /// The reading end of the output stream.
    pub output: StreamEnd,
}

impl MatrixStageSpec {
    /// Lanes of the output stream.
    pub fn out_lanes(&self) -> usize {
        self.requantize.lanes
    }

    /// The block that turns the input stream's lanes into SIMD lanes, where they differ.
    pub fn input_regroup(&self) -> Option<RegroupSpec> {
        input_regroup(self.in_channels, self.in_lanes, &self.matrix)
    }

    /// The result buffer, where the requantizer has fewer lanes than the engine.
    pub fn result_buffer(&self) -> Option<RegroupSpec> {
        result_buffer(&self.matrix, self.out_lanes())
    }

    /// The FIFO behind the requantizer.
    pub fn fifo(&self) -> FifoSpec {
        let width = self.out_lanes() as u64 * u64::from(self.requantize.output.bits());
        FifoSpec { depth: self.fifo_depth, width, credited: true }
    }

    /// Output beats that each group of a pixel completes.
    ///
    /// # Errors
    /// None for dense outputs; the signature is the regrouping block's.
    pub fn beats_per_group(&self) -> Result<Vec<u64>, RegroupError> {
        beats_per_group(&self.matrix, self.out_lanes())
    }

    /// Bits of the stage's memories except the FIFO: weights, parameters, replay and regrouping.
    ///
    /// # Errors
    /// If the input cannot be regrouped.
    pub fn memory_bits(&self) -> Result<u64, RegroupError> {
        let regroup = match self.input_regroup() {
            Some(block) => block.slots()? as u64 * u64::from(block.element_bits),
            None => 0,
        };
        let results = match self.result_buffer() {
            Some(block) => {
                let slots = block.unstalled(self.matrix.folds() as u64)?.map_or(0, |needs| needs.slots);
                slots as u64 * u64::from(block.element_bits)
            }
            None => 0,
        };
        Ok(self.matrix.weight_bits() + self.matrix.replay_bits() + self.requantize.memory_bits() + regroup + results)
    }

    /// Whether the requantizers take the results of a group in the cycles of one.
    pub fn keeps_up(&self) -> bool {
        let spacing = self.matrix.folds() as u64;
        self.result_buffer().is_none_or(|block| block.unstalled(spacing).is_ok_and(|needs| needs.is_some()))
    }

    /// Clock edges from the last fold of a group to its first output beat being storable in the FIFO.
    pub fn pipeline_latency(&self) -> u64 {
        let buffer = u64::from(self.result_buffer().is_some());
        self.matrix.latency() + buffer + self.requantize.latency()
    }

    /// Adds the stage's timing behind `input`.
    ///
    /// # Errors
    /// If the input cannot be regrouped.
    pub fn add_to(&self, model: &mut TokenModel, input: StreamEnd) -> Result<StageActors, RegroupError> {
        let first = ActorId::next(model);
        let credits = model.edge(format!("{} credits", self.name), self.fifo_depth as u64);
        let data = model.edge(format!("{} output", self.name), 0);
        let beats = self.beats_per_group()?;
        let regroup = self.input_regroup();
        let results = match &regroup {
            None => self.matrix.add_to(model, MatrixInput::Stream(input), credits, &beats),
            Some(block) => {
                let rounds = block.rounds_per_sample(self.matrix.pixels * self.matrix.inputs);
                let elements = block.take_into(model, input, block.slots()?, &block.added()?, rounds);
                let input = MatrixInput::Regrouped { block, elements, rounds_per_sample: rounds };
                self.matrix.add_to(model, input, credits, &beats)
            }
        };
        let delay = self.requantize.latency() + FifoSpec::LATENCY;
        let beat = Give { edge: data, count: 1, delay, stride: 0 };
        let pixels = self.matrix.pixels as u64;
        match self.result_buffer() {
            None => {
                let takes = vec![Take { edge: results, need: 1, consume: 1 }];
                let phase = Phase { repeat: self.matrix.groups() as u64, takes, gives: vec![beat], cycles: 1 };
                model.actor(format!("{} results", self.name), vec![phase], pixels);
            }
            Some(block) => {
                let elements = block.take_unstalled(model, results, &block.added()?, pixels);
                block.give_from(model, elements, pixels, &[], &[beat]);
            }
        }
        Ok(StageActors { input: first, credits, output: StreamEnd { data, space: credits, space_delay: 1 } })
    }
}

/// The regrouping block in front of an engine, where one is needed.
pub fn input_regroup(in_channels: usize, in_lanes: usize, matrix: &MatrixSpec) -> Option<RegroupSpec> {
    let same_pixels = in_channels == matrix.inputs
        || (in_channels.is_multiple_of(in_lanes) && matrix.inputs.is_multiple_of(matrix.simd));
    (in_lanes != matrix.simd || !same_pixels).then(|| RegroupSpec {
        in_channels,
        in_lanes,
        out_channels: matrix.inputs,
        out_lanes: matrix.simd,
        element_bits: matrix.input.bits(),
        mask_idle_lanes: false,
    })
}

/// The block between an engine's PE results and `lanes` requantizers, where they differ.
pub fn result_buffer(matrix: &MatrixSpec, lanes: usize) -> Option<RegroupSpec> {
    (lanes != matrix.pe).then(|| RegroupSpec {
        in_channels: matrix.outputs,
        in_lanes: matrix.pe,
        out_channels: matrix.outputs,
        out_lanes: lanes,
        element_bits: matrix.accumulator_bits,
        // Rows of the array beyond the last output channel hold 0 where idle weights multiply to
        // nothing; an idle row of XNOR lanes counts its inputs.
        mask_idle_lanes: matrix.idle_rows_are_dirty(),
    })
}

/// Output beats of `lanes` elements that each group of a pixel completes.
///
/// # Errors
/// None for dense outputs; the signature is the regrouping block's.
pub fn beats_per_group(matrix: &MatrixSpec, lanes: usize) -> Result<Vec<u64>, RegroupError> {
    let Some(block) = result_buffer(matrix, lanes) else { return Ok(vec![1; matrix.groups()]) };
    let (mut elements, mut beats) = (0, 0);
    let completed = block.added()?.into_iter().map(|add| {
        elements += add;
        let fresh = elements / lanes - beats;
        beats += fresh;
        fresh as u64
    });
    Ok(completed.collect())
}
