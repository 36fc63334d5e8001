//! Stages: an engine with its regrouping blocks, its requantizer and the FIFOs behind it.

mod module;

pub(crate) use module::port_name;

use crate::engine::{Engine, EnginePort};
use crate::requantize::RequantizeSpec;
use crate::stream::{BeatSource, FifoSpec, RegroupError, RegroupSpec, StreamEnd};
use crate::timing::{EdgeId, Give, Phase, Take, TokenModel};

/// A stream as it arrives at a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InputStream {
    /// Channels of a pixel (the engine's differ where a reshape is absorbed).
    pub channels: usize,
    /// Elements a beat.
    pub lanes: usize,
}

/// A stage.
///
/// ```text
///  stream -> [regroup] -> engine -> [result buffer] -> requantizer -+-> FIFO -> stream
///   ...                   PE a group  PE to R lanes     R lanes      +-> FIFO -> stream (one a reader)
///                           ^                                              |
///                           +---------- credits: one an output beat --------+
/// ```
///
/// The pipeline behind the engine runs free: the engine starts a group only when every FIFO has room
/// for the output beats that the group completes.
#[derive(Clone, Debug)]
pub struct StageSpec {
    /// Name of the stage and of its module: an identifier.
    pub name: String,
    /// Header lines for the emitted module.
    pub comments: Vec<String>,
    /// Its input streams, one a port of the engine.
    pub inputs: Vec<InputStream>,
    /// The engine.
    pub engine: Engine,
    /// The requantizer; its lanes are the output stream's.
    pub requantize: RequantizeSpec,
    /// Entries of the FIFO in front of each reader.
    pub fifo_depths: Vec<usize>,
}

/// Places of a stage in a token model.
#[derive(Clone, Debug)]
pub struct StageActors {
    /// One token a free entry of each FIFO.
    pub credits: Vec<EdgeId>,
    /// The reading end of each output stream.
    pub outputs: Vec<StreamEnd>,
}

impl StageSpec {
    /// Lanes of the output stream.
    pub fn out_lanes(&self) -> usize {
        self.requantize.lanes
    }

    /// The blocks that turn the input streams' lanes into the engine's, where they differ.
    pub fn input_regroups(&self) -> Vec<Option<RegroupSpec>> {
        self.inputs.iter().zip(self.engine.ports()).map(|(&input, port)| input_regroup(input, port)).collect()
    }

    /// The result buffer, where the requantizer has other lanes than the engine.
    pub fn result_buffer(&self) -> Option<RegroupSpec> {
        self.engine.results().buffer(self.out_lanes())
    }

    /// A FIFO behind the requantizer.
    pub fn fifo(&self, reader: usize) -> FifoSpec {
        let width = self.out_lanes() as u64 * u64::from(self.requantize.output.bits());
        FifoSpec { depth: self.fifo_depths[reader], width, credited: true }
    }

    /// Bits of a beat of the output.
    pub fn out_width(&self) -> u32 {
        self.out_lanes() as u32 * self.requantize.output.bits()
    }

    /// Output beats that each group of a pixel completes.
    ///
    /// # Errors
    /// None for dense outputs; the signature is the regrouping block's.
    pub fn beats_per_group(&self) -> Result<Vec<u64>, RegroupError> {
        self.engine.results().beats_per_group(self.out_lanes())
    }

    /// Multipliers that are no multiply-accumulate lanes.
    pub fn other_multipliers(&self) -> u64 {
        self.engine.other_multipliers() + self.requantize.multipliers()
    }

    /// Bits of the stage's memories except the FIFOs: weights, parameters, lines and regrouping.
    ///
    /// # Errors
    /// If an input cannot be regrouped.
    pub fn memory_bits(&self) -> Result<u64, RegroupError> {
        let mut bits = self.engine.weight_bits() + self.engine.buffer_bits() + self.requantize.memory_bits();
        for block in self.input_regroups().into_iter().flatten() {
            bits += block.slots()? as u64 * u64::from(block.element_bits);
        }
        if let Some(block) = self.result_buffer() {
            let slots = block.unstalled(self.engine.results().spacing)?.map_or(0, |needs| needs.slots);
            bits += slots as u64 * u64::from(block.element_bits);
        }
        Ok(bits)
    }

    /// Whether the requantizers take the results of a group in the cycles of one.
    pub fn keeps_up(&self) -> bool {
        self.engine.results().keeps_up(self.out_lanes())
    }

    /// Clock edges from the last fold of a group to its first output beat being storable in a FIFO.
    pub fn pipeline_latency(&self) -> u64 {
        let buffer = u64::from(self.result_buffer().is_some());
        self.engine.latency() + buffer + self.requantize.latency()
    }

    /// Adds the stage's timing behind `inputs`.
    ///
    /// # Errors
    /// If an input cannot be regrouped.
    pub fn add_to(&self, model: &mut TokenModel, inputs: &[StreamEnd]) -> Result<StageActors, RegroupError> {
        let named = |what: &str, index: usize| match index {
            0 => format!("{} {what}", self.name),
            _ => format!("{} {what} {index}", self.name),
        };
        let readers = 0..self.fifo_depths.len();
        let credits: Vec<EdgeId> = readers
            .clone()
            .map(|reader| model.edge(named("credits", reader), self.fifo_depths[reader] as u64))
            .collect();
        let data: Vec<EdgeId> = readers.map(|reader| model.edge(named("output", reader), 0)).collect();
        let beats = self.beats_per_group()?;
        let mut sources: Vec<BeatSource> = Vec::with_capacity(inputs.len());
        for ((&input, port), regroup) in inputs.iter().zip(self.engine.ports()).zip(self.input_regroups()) {
            sources.push(match regroup {
                None => input.beat(),
                Some(block) => {
                    let rounds = block.rounds_per_sample(port.pixels * port.channels);
                    let elements = block.take_into(model, input, block.slots()?, &block.added()?, rounds);
                    block.beat(elements)
                }
            });
        }
        let results = self.engine.add_to(model, &sources, &credits, &beats);
        let delay = self.requantize.latency() + FifoSpec::LATENCY;
        let gives: Vec<Give> = data.iter().map(|&edge| Give { edge, count: 1, delay, stride: 0 }).collect();
        let groups = self.engine.results();
        match self.result_buffer() {
            None => {
                let takes = vec![Take { edge: results, need: 1, consume: 1 }];
                let phase = Phase { repeat: (groups.groups() * groups.pixels) as u64, takes, gives, cycles: 1 };
                model.actor(format!("{} results", self.name), vec![phase], 1);
            }
            Some(block) => {
                let elements = block.take_unstalled(model, results, &block.added()?, groups.pixels as u64);
                block.give_from(model, elements, groups.pixels as u64, &[], &gives);
            }
        }
        let end = |(&data, &space): (&EdgeId, &EdgeId)| StreamEnd { data, space, space_delay: 1 };
        let outputs = data.iter().zip(&credits).map(end).collect();
        Ok(StageActors { credits, outputs })
    }
}

/// The regrouping block in front of an engine's port, where one is needed.
pub fn input_regroup(input: InputStream, port: EnginePort) -> Option<RegroupSpec> {
    let same_pixels = input.channels == port.channels
        || (input.channels.is_multiple_of(input.lanes) && port.channels.is_multiple_of(port.lanes));
    (input.lanes != port.lanes || !same_pixels).then_some(RegroupSpec {
        in_channels: input.channels,
        in_lanes: input.lanes,
        out_channels: port.channels,
        out_lanes: port.lanes,
        element_bits: port.element_bits,
        mask_idle_lanes: false,
    })
}
