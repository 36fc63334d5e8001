//! The token-level simulator: when every beat moves, and what it carries.

use super::{DataflowGraph, Node};
use petgraph::graph::EdgeIndex;
use std::collections::HashMap;

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
        let mut values: HashMap<EdgeIndex, Vec<Vec<i64>>> = HashMap::new();
        for index in self.order() {
            let inputs: Vec<&Vec<Vec<i64>>> =
                self.channels_into(index).iter().filter_map(|edge| values.get(edge)).collect();
            let computed: Vec<Vec<i64>> = match &self.graph[index] {
                Node::Input(_) => samples.to_vec(),
                Node::Stage(stage) if !inputs.is_empty() => (0..samples.len())
                    .map(|sample| {
                        stage.execute(&inputs.iter().map(|input| input[sample].as_slice()).collect::<Vec<_>>())
                    })
                    .collect(),
                Node::Output(_) | Node::Stage(_) => continue,
            };
            for edge in self.channels_out_of(index) {
                execution.streams.insert(self.graph[edge].name.clone(), computed.clone());
                values.insert(edge, computed.clone());
            }
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
