//! The schedule's guarantees.

use super::{DataflowGraph, Node};
use std::collections::HashSet;
use systole_hdl::engine::{Engine, MatrixEngine};
use systole_hdl::typed::identifier;

impl DataflowGraph {
    /// Checks every guarantee of the form: acyclic, unique names, stream types that fit both ends,
    /// positive FIFO depths, requantizers exact over what their stage reaches, no deadlock.
    ///
    /// # Errors
    /// The first broken guarantee, in words.
    pub fn verify(&self) -> Result<(), String> {
        petgraph::algo::toposort(&self.graph, None).map_err(|_| "the stages form a cycle".to_string())?;
        if self.inputs().count() != 1 || self.outputs().count() != 1 {
            return Err("a design has one input and one output port".to_string());
        }
        let mut names = HashSet::new();
        let channel_names = self.graph.edge_weights().map(|channel| channel.name.as_str());
        let stage_names = self.stages().map(|stage| stage.name.as_str());
        for name in stage_names.chain(channel_names).chain([self.name.as_str()]) {
            if identifier(name) != name {
                return Err(format!("`{name}` is not an identifier"));
            }
            if !names.insert(name) {
                return Err(format!("two things are named `{name}`"));
            }
        }
        for index in self.graph.node_indices() {
            let Node::Stage(stage) = &self.graph[index] else { continue };
            let spec = &stage.spec;
            let broken = |what: String| Err(format!("stage `{}`: {what}", stage.name));
            let (read, written) = (self.channels_into(index), self.channels_out_of(index));
            let ports = spec.engine.ports();
            if read.len() != ports.len() || read.len() != spec.inputs.len() {
                return broken(format!("it reads {} streams of {}", read.len(), ports.len()));
            }
            if written.is_empty() || written.len() != spec.fifo_depths.len() {
                return broken(format!("{} of its {} streams are read", written.len(), spec.fifo_depths.len()));
            }
            for ((&edge, port), input) in read.iter().zip(&ports).zip(&spec.inputs) {
                let channel = &self.graph[edge];
                if channel.lanes != input.lanes || channel.channels() != input.channels {
                    return broken(format!("it does not read what `{}` carries", channel.name));
                }
                if channel.tensor.element.bits() != port.element_bits
                    || channel.tensor.elements() != port.pixels * port.channels
                {
                    return broken(format!("tensor `{}` is not its input", channel.tensor.name));
                }
                if port.lanes == 0 || port.lanes > port.channels {
                    return broken(format!("{} lanes do not fit {} channels", port.lanes, port.channels));
                }
            }
            let results = spec.engine.results();
            for (&edge, &depth) in written.iter().zip(&spec.fifo_depths) {
                let channel = &self.graph[edge];
                let carried = (channel.lanes, channel.pixels(), channel.channels());
                if carried != (spec.out_lanes(), results.pixels, results.channels) {
                    return broken(format!("`{}` does not carry its output", channel.name));
                }
                if channel.tensor.element != spec.requantize.output || channel.fifo_depth != depth {
                    return broken(format!("`{}` is not the stream it drives", channel.name));
                }
                if depth == 0 {
                    return broken("a FIFO has no entry".into());
                }
            }
            if results.pe == 0 || results.pe > results.channels {
                return broken(format!("{} results a group do not fit {} channels", results.pe, results.channels));
            }
            let pixels_fit = match &spec.engine {
                Engine::Matrix(engine) => engine.spec.pixels_fit(),
                Engine::Vector(engine) => engine.spec.pixels_fit(),
                _ => true,
            };
            if !pixels_fit {
                return broken("its pixels in parallel do not fit its rows".into());
            }
            if let Engine::Matrix(MatrixEngine { spec: matrix, weights, .. }) = &spec.engine {
                if weights.dim() != (matrix.outputs, matrix.taps() * matrix.inputs) {
                    return broken("its weights have another shape".into());
                }
                if let Some(w) = weights.iter().find(|&&w| !matrix.weight.contains(w)) {
                    return broken(format!("weight {w} is not a {}", matrix.weight));
                }
                if !matrix.idle_lanes_are_silent() {
                    return broken("idle lanes of its array are not silent".into());
                }
            }
            if !spec.keeps_up() {
                return broken(format!("{} requantizers do not keep up with it", spec.out_lanes()));
            }
        }
        let timed = self.timed().map_err(|error| error.to_string())?;
        timed.model.latency(timed.source, timed.sink).map(|_| ()).map_err(|deadlock| deadlock.to_string())
    }
}
