//! The schedule's guarantees.

use super::{DataflowGraph, Node};
use std::collections::HashSet;
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
            let (spec, matrix) = (&stage.spec, &stage.spec.matrix);
            let broken = |what: String| Err(format!("stage `{}`: {what}", stage.name));
            let Some(read) = self.channel_into(index) else { return broken("it reads nothing".into()) };
            let Some(written) = self.channel_out_of(index) else { return broken("nothing reads it".into()) };
            if read.lanes != spec.in_lanes || read.tensor.channels() != spec.in_channels {
                return broken(format!("it does not read what `{}` carries", read.name));
            }
            if read.tensor.element != matrix.input || read.tensor.elements() != matrix.pixels * matrix.inputs {
                return broken(format!("tensor `{}` is not its input", read.tensor.name));
            }
            if written.lanes != spec.out_lanes() || written.tensor.elements() != matrix.pixels * matrix.outputs {
                return broken(format!("`{}` does not carry its output", written.name));
            }
            if written.tensor.element != spec.requantize.output || written.fifo_depth != spec.fifo_depth {
                return broken(format!("`{}` is not the stream it drives", written.name));
            }
            if spec.weights.dim() != (matrix.outputs, matrix.inputs) {
                return broken("its weights have another shape".into());
            }
            if let Some(w) = spec.weights.iter().find(|&&w| !matrix.weight.contains(w)) {
                return broken(format!("weight {w} is not a {}", matrix.weight));
            }
            if !spec.keeps_up() {
                return broken(format!("{} requantizers do not keep up with it", spec.out_lanes()));
            }
            if spec.fifo_depth == 0 {
                return broken("its FIFO has no entry".into());
            }
            if matrix.pe == 0 || matrix.pe > matrix.outputs || matrix.simd == 0 || matrix.simd > matrix.inputs {
                return broken(format!(
                    "PE {} and SIMD {} do not fit {}x{}",
                    matrix.pe, matrix.simd, matrix.outputs, matrix.inputs
                ));
            }
        }
        let timed = self.timed().map_err(|error| error.to_string())?;
        timed.model.latency(timed.source, timed.sink).map(|_| ()).map_err(|deadlock| deadlock.to_string())
    }
}
