//! Exact figures of a design from its token model.

use super::{DataflowGraph, Node, PORT_BUFFER_DEPTH};
use petgraph::graph::{EdgeIndex, NodeIndex};
use std::collections::HashMap;
use systole_hdl::stage::{input_regroup, InputStream};
use systole_hdl::stream::{FifoSpec, RegroupError, RegroupSpec, StreamEnd};
use systole_hdl::timing::{ActorId, Deadlock, EdgeId, Give, Phase, Steady, SteadyError, Take, TokenModel};

/// Samples within which the pattern of a free run must repeat: it first fills every buffer.
const FREE_LIMIT: u64 = 100_000;

/// A design's token model and the places in it that figures are read from.
pub struct TimedDesign {
    /// The model.
    pub model: TokenModel,
    /// Fires at each beat of the input port.
    pub source: ActorId,
    /// Fires at each beat of the output port.
    pub sink: ActorId,
    /// Free entries of each FIFO, by the channel behind it.
    pub credits: HashMap<EdgeIndex, EdgeId>,
}

/// Figures that the hardware meets to the cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Steady state of a free run: source always valid, sink always ready.
    pub steady: Steady,
    /// First input beat to last output beat of one sample alone.
    pub latency_cycles: u64,
}

impl DataflowGraph {
    /// The design's token model.
    ///
    /// # Errors
    /// If a stream cannot be regrouped, which `verify` excludes.
    pub fn timed(&self) -> Result<TimedDesign, RegroupError> {
        let mut model = TokenModel::new();
        let mut ends: HashMap<EdgeIndex, StreamEnd> = HashMap::new();
        let mut credits = HashMap::new();
        let (mut source, mut sink) = (None, None);
        for index in self.order() {
            let inputs: Vec<StreamEnd> =
                self.channels_into(index).iter().filter_map(|edge| ends.get(edge).copied()).collect();
            let written = self.channels_out_of(index);
            match (&self.graph[index], inputs.first().copied()) {
                (Node::Input(_), _) => {
                    let beats = self.channel_out_of(index).map_or(1, |channel| channel.beats());
                    let (actor, end) = port_buffer(&mut model, "input", None, beats);
                    source = Some(actor);
                    ends.extend(written.first().map(|&edge| (edge, end)));
                }
                (Node::Stage(stage), Some(_)) => {
                    let actors = stage.spec.add_to(&mut model, &inputs)?;
                    credits.extend(written.iter().copied().zip(actors.credits));
                    ends.extend(written.iter().copied().zip(actors.outputs));
                }
                (Node::Output(port), Some(input)) => {
                    let Some(channel) = self.channel_into(index) else { continue };
                    let beats = port.beats(&channel.tensor);
                    let end = match self.output_regroup(index) {
                        None => input,
                        Some(block) => add_output_regroup(&mut model, &block, input, channel.tensor.elements())?,
                    };
                    let phase = Phase {
                        repeat: beats,
                        takes: vec![Take { edge: end.data, need: 1, consume: 1 }],
                        gives: vec![Give { edge: end.space, count: 1, delay: end.space_delay, stride: 0 }],
                        cycles: 1,
                    };
                    sink = Some(model.actor("output", vec![phase], 1));
                }
                (Node::Stage(_) | Node::Output(_), None) => {}
            }
        }
        let none = ActorId::next(&model);
        Ok(TimedDesign { model, source: source.unwrap_or(none), sink: sink.unwrap_or(none), credits })
    }

    /// The block between the last stage's lanes and the output port's, where they differ.
    pub fn output_regroup(&self, output: NodeIndex) -> Option<RegroupSpec> {
        let (Node::Output(port), Some(channel)) = (&self.graph[output], self.channel_into(output)) else { return None };
        let stream = InputStream { channels: channel.channels(), lanes: channel.lanes };
        input_regroup(stream, port.stream(&channel.tensor))
    }
}

/// A two-entry buffer at a port. Without an `input`, its writer is the source.
fn port_buffer(model: &mut TokenModel, name: &str, input: Option<StreamEnd>, beats: u64) -> (ActorId, StreamEnd) {
    let data = model.edge(format!("{name} buffer"), 0);
    let space = model.edge(format!("{name} buffer space"), PORT_BUFFER_DEPTH as u64);
    let mut takes = vec![Take { edge: space, need: 1, consume: 1 }];
    let mut gives = vec![Give { edge: data, count: 1, delay: FifoSpec::LATENCY, stride: 0 }];
    if let Some(input) = input {
        takes.push(Take { edge: input.data, need: 1, consume: 1 });
        gives.push(Give { edge: input.space, count: 1, delay: input.space_delay, stride: 0 });
    }
    let actor = model.actor(name, vec![Phase { repeat: beats, takes, gives, cycles: 1 }], 1);
    (actor, StreamEnd { data, space, space_delay: 1 })
}

/// The regrouping block in front of the output port, with a buffer that registers its handshake.
fn add_output_regroup(
    model: &mut TokenModel,
    block: &RegroupSpec,
    input: StreamEnd,
    elements: usize,
) -> Result<StreamEnd, RegroupError> {
    let data = model.edge("output buffer", 0);
    let space = model.edge("output buffer space", PORT_BUFFER_DEPTH as u64);
    block.add_to(
        model,
        input,
        elements,
        &[Take { edge: space, need: 1, consume: 1 }],
        &[Give { edge: data, count: 1, delay: FifoSpec::LATENCY, stride: 0 }],
    )?;
    Ok(StreamEnd { data, space, space_delay: 1 })
}

impl TimedDesign {
    /// Samples within which a paced design has settled: a dependency reaches back through the
    /// samples in flight and, in each stage, through those that its buffers hold.
    ///
    /// # Errors
    /// If the design stops.
    pub fn settled(&self) -> Result<u64, Deadlock> {
        Ok(16 + 4 * (self.credits.len() as u64 + self.under_way()?))
    }

    /// Samples that can be under way at once: the latency of one over the interval of the slowest stage.
    ///
    /// # Errors
    /// If the design stops.
    pub fn under_way(&self) -> Result<u64, Deadlock> {
        Ok(self.model.latency(self.source, self.sink)? / self.model.bound().max(1))
    }

    /// The exact figures of a free run and of one sample alone.
    ///
    /// # Errors
    /// If the design stops: a deadlock, with everything that waits.
    pub fn figures(&self) -> Result<Figures, SteadyError> {
        let latency_cycles = self.model.latency(self.source, self.sink)?;
        Ok(Figures { steady: self.model.steady(FREE_LIMIT)?, latency_cycles })
    }
}
