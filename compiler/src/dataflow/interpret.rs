//! The token-level simulator: when every beat moves, and what it carries.

use super::{DataflowGraph, Node, Stage};
use petgraph::graph::NodeIndex;
use std::collections::HashMap;
use systole_arith::IntType;
use systole_hdl::engine::ProductKind;

/// What a run of the simulator gives.
#[derive(Clone, Debug, Default)]
pub struct Execution {
    /// Elements of each channel, by name: one vector a sample, pixels outermost.
    pub streams: HashMap<String, Vec<Vec<i64>>>,
    /// Clock edge of every beat at the input port.
    pub input_edges: Vec<u64>,
    /// Clock edge of every beat at the output port.
    pub output_edges: Vec<u64>,
}

impl DataflowGraph {
    /// Executes the design on `samples`, each the input tensor's elements, back to back, with the
    /// source always valid and the sink always ready.
    ///
    /// # Errors
    /// If the design stops (a deadlock, with everything that waits) or a stream cannot be regrouped,
    /// both of which `verify` excludes.
    pub fn interpret(&self, samples: &[Vec<i64>]) -> Result<Execution, String> {
        let mut execution = Execution::default();
        let mut values: HashMap<NodeIndex, Vec<Vec<i64>>> = HashMap::new();
        for index in self.order() {
            let arriving = self.graph.neighbors_directed(index, petgraph::Direction::Incoming).next();
            let computed = match (&self.graph[index], arriving.and_then(|from| values.get(&from))) {
                (Node::Input(_), _) => samples.to_vec(),
                (Node::Stage(stage), Some(inputs)) => inputs.iter().map(|input| stage.execute(input)).collect(),
                (Node::Output(_), _) | (Node::Stage(_), None) => continue,
            };
            if let Some(channel) = self.channel_out_of(index) {
                execution.streams.insert(channel.name.clone(), computed.clone());
            }
            values.insert(index, computed);
        }
        let timed = self.timed().map_err(|error| error.to_string())?;
        let mut run = timed.model.start();
        run.record(timed.source);
        run.record(timed.sink);
        for _ in samples {
            run.sample().map_err(|deadlock| deadlock.to_string())?;
        }
        execution.input_edges = run.firings(timed.source).to_vec();
        execution.output_edges = run.firings(timed.sink).to_vec();
        Ok(execution)
    }
}

impl Stage {
    /// One sample through the stage as its hardware computes it: raw accumulators of the engine's
    /// width, then the requantizer's hardware form.
    pub fn execute(&self, input: &[i64]) -> Vec<i64> {
        let matrix = &self.spec.matrix;
        let mut output = Vec::with_capacity(matrix.pixels * matrix.outputs);
        for pixel in input.chunks(matrix.inputs) {
            for (channel, weights) in self.spec.weights.rows().into_iter().enumerate() {
                let exact = match matrix.product_kind() {
                    ProductKind::Xnor => pixel.iter().zip(weights).filter(|(x, w)| x == w).count() as i64,
                    _ => pixel.iter().zip(weights).map(|(x, w)| x * w).sum(),
                };
                let raw = IntType::Signed(matrix.accumulator_bits).decode(exact as u64);
                output.push(self.spec.requantize.form.evaluate(channel, raw));
            }
        }
        output
    }
}
