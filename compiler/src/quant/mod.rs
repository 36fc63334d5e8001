//! `QuantGraph`: integers only. Every tensor has an exact integer type and range; every rescale
//! is an exact map ([`Step`](systole_arith::Step), [`JoinMap`](systole_arith::JoinMap) or
//! [`Table`](systole_arith::Table)) derived from the profile's own formula.
//!
//! `interpret` is **the software reference**: it evaluates each profile's own formula.

mod arrangement;
mod border;
mod dense;
mod display;
mod elementwise;
mod error;
mod interpret;
mod op;
mod pool;
mod store;
mod verify;
mod window;

pub use arrangement::{Repeat, Splice};
pub use dense::{weight_type, Dense, ACCUMULATOR_BITS};
pub use elementwise::{Join, Map};
pub use error::QuantError;
pub use op::QuantOp;
pub use pool::{Pad, Pool, PoolKind};
pub use window::{image, padded, Conv, Depthwise};

use crate::profile::Profile;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use systole_arith::{BorderOp, IntType, Range};

/// A tensor of a [`QuantGraph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub u32);

/// Where a tensor's range comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeOrigin {
    /// Computed from the values of the weights: void once they become writable.
    FromValues,
    /// All that the type can hold.
    FromType,
}

/// An integer tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantTensor {
    /// Unique name, as in the model file.
    pub name: String,
    /// Shape of one sample, channels innermost, no batch dimension: `[C]`, `[H,W,C]` ...
    pub shape: Vec<usize>,
    /// Element type.
    pub element: IntType,
    /// Values that occur.
    pub range: Range,
    /// What the range rests on.
    pub origin: RangeOrigin,
    /// Real value of one step, where the model gives one (for reports only).
    pub scale: Option<f64>,
    /// Stored value that stands for 0 (for reports only).
    pub zero_point: i64,
}

impl QuantTensor {
    /// Channels: the innermost dimension.
    pub fn channels(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Pixels: the product of the other dimensions.
    pub fn pixels(&self) -> usize {
        self.elements() / self.channels().max(1)
    }

    /// Elements of one sample.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// An operator on integers with its operands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantNode {
    /// Unique name.
    pub name: String,
    /// Operator.
    pub op: QuantOp,
    /// Operands.
    pub inputs: Vec<TensorId>,
    /// Result.
    pub output: TensorId,
}

/// A border of the network: the host's tensor, and what turns it into the accelerator's, or back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Border {
    /// The accelerator's tensor.
    pub tensor: TensorId,
    /// The host's tensor, by its name in the model file.
    pub host_name: String,
    /// Shape of one sample on the host's side (without the batch dimension).
    pub host_shape: Vec<usize>,
    /// NumPy element type on the host's side.
    pub host_type: String,
    /// Operations in order of execution.
    pub operations: Vec<BorderOp>,
}

/// The integer network.
#[derive(Clone, Debug)]
pub struct QuantGraph {
    /// Name of the design.
    pub name: String,
    /// Profile whose results it reproduces.
    pub profile: Profile,
    /// All tensors.
    pub tensors: Vec<QuantTensor>,
    /// Operators; an edge per operand, weighted with the tensor.
    pub nodes: DiGraph<QuantNode, TensorId>,
    /// Tensors fed by the host.
    pub inputs: Vec<Border>,
    /// Tensors read by the host.
    pub outputs: Vec<Border>,
}

impl QuantGraph {
    /// Links `nodes` by the tensors they share.
    ///
    /// # Errors
    /// If an id is out of range, a tensor has two sources, or the nodes form a cycle.
    pub fn new(
        name: String,
        profile: Profile,
        tensors: Vec<QuantTensor>,
        nodes: Vec<QuantNode>,
        inputs: Vec<Border>,
        outputs: Vec<Border>,
    ) -> Result<QuantGraph, QuantError> {
        let known = |subject: &str, id: TensorId| match tensors.get(id.0 as usize) {
            Some(_) => Ok(()),
            None => Err(QuantError::broken(subject, format!("it uses tensor {} of {}", id.0, tensors.len()))),
        };
        for border in inputs.iter().chain(&outputs) {
            known(&format!("border `{}`", border.host_name), border.tensor)?;
        }
        let mut graph = DiGraph::with_capacity(nodes.len(), nodes.len());
        let mut producers: Vec<Option<NodeIndex>> = vec![None; tensors.len()];
        let fed: HashSet<TensorId> = inputs.iter().map(|border| border.tensor).collect();
        for node in nodes {
            let subject = format!("node `{}`", node.name);
            node.inputs.iter().chain([&node.output]).try_for_each(|&id| known(&subject, id))?;
            let output = node.output;
            let index = graph.add_node(node);
            if let Some(slot) = producers.get_mut(output.0 as usize) {
                if slot.replace(index).is_some() || fed.contains(&output) {
                    return Err(QuantError::broken(subject, format!("tensor {} has a second source", output.0)));
                }
            }
        }
        for index in graph.node_indices() {
            for input in graph[index].inputs.clone() {
                if let Some(from) = producers.get(input.0 as usize).copied().flatten() {
                    graph.add_edge(from, index, input);
                }
            }
        }
        let graph = QuantGraph { name, profile, tensors, nodes: graph, inputs, outputs };
        graph.order()?;
        Ok(graph)
    }

    /// The tensor of an id of this graph.
    pub fn tensor(&self, id: TensorId) -> &QuantTensor {
        &self.tensors[id.0 as usize]
    }

    /// Nodes so that every operand's producer comes first.
    ///
    /// # Errors
    /// If there is a cycle, naming a node on it.
    pub fn order(&self) -> Result<Vec<NodeIndex>, QuantError> {
        petgraph::algo::toposort(&self.nodes, None).map_err(|cycle| {
            QuantError::broken(
                format!("node `{}`", self.nodes[cycle.node_id()].name),
                "it needs its own result (a cycle)",
            )
        })
    }
}
