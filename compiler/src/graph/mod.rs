//! `Graph`: the network as imported. Acyclic, static shapes, unique names; the file's own
//! operators and quantization are kept.

mod display;
mod interpret;
mod tensor;
mod verify;

pub use tensor::{ConstantData, ElementType, Quantization, Tensor};

use crate::diagnostic::CompileError;
use crate::ops::Op;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::HashSet;

/// A tensor of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);

/// File format a graph came from; it decides the default profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TensorFlow Lite flatbuffer.
    Tflite,
    /// ONNX without a QONNX quantizer.
    Onnx,
    /// ONNX with at least one node of a QONNX domain.
    Qonnx,
}

/// One operator with its operands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique name.
    pub name: String,
    /// Operator and its attributes.
    pub op: Op,
    /// Operands by position; `None` where an optional one is absent.
    pub inputs: Vec<Option<TensorId>>,
    /// Results by position.
    pub outputs: Vec<TensorId>,
}

/// The network as imported.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Name of the model.
    pub name: String,
    /// File format.
    pub format: Format,
    /// All tensors, constants included.
    pub tensors: Vec<Tensor>,
    /// Operators; an edge per operand, weighted with the tensor.
    pub nodes: DiGraph<Node, TensorId>,
    /// Tensors fed from outside, in file order.
    pub inputs: Vec<TensorId>,
    /// Tensors read from outside, in file order.
    pub outputs: Vec<TensorId>,
}

impl Graph {
    /// Links `nodes` by the tensors they share.
    ///
    /// # Errors
    /// If two nodes produce one tensor, two nodes have one name, or the nodes form a cycle (the
    /// error names a node on it).
    pub fn new(
        name: String,
        format: Format,
        tensors: Vec<Tensor>,
        nodes: Vec<Node>,
        inputs: Vec<TensorId>,
        outputs: Vec<TensorId>,
    ) -> Result<Graph, CompileError> {
        let mut graph = DiGraph::with_capacity(nodes.len(), nodes.len());
        let mut producer: Vec<Option<NodeIndex>> = vec![None; tensors.len()];
        let mut names = HashSet::new();
        let fed: HashSet<TensorId> = inputs.iter().copied().collect();
        for node in nodes {
            if !names.insert(node.name.clone()) {
                return Err(CompileError::node(&node.name, "two nodes have this name", "export the model again"));
            }
            let index = graph.add_node(node);
            for output in graph[index].outputs.clone() {
                let slot = &mut producer[output.0 as usize];
                if slot.is_some() || fed.contains(&output) || tensors[output.0 as usize].constant.is_some() {
                    return Err(CompileError::node(
                        &graph[index].name,
                        format!("tensor `{}` has a second source", tensors[output.0 as usize].name),
                        "export the model again",
                    ));
                }
                *slot = Some(index);
            }
        }
        for index in graph.node_indices() {
            for input in graph[index].inputs.clone().into_iter().flatten() {
                if let Some(from) = producer[input.0 as usize] {
                    graph.add_edge(from, index, input);
                }
            }
        }
        let graph = Graph { name, format, tensors, nodes: graph, inputs, outputs };
        graph.topological_order()?;
        Ok(graph)
    }

    /// The tensor of an id.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    /// Nodes so that every operand's producer comes first; ties in file order.
    ///
    /// # Errors
    /// If there is a cycle, naming a node on it.
    pub fn topological_order(&self) -> Result<Vec<NodeIndex>, CompileError> {
        petgraph::algo::toposort(&self.nodes, None).map_err(|cycle| {
            CompileError::node(
                &self.nodes[cycle.node_id()].name,
                "the node needs its own result (a cycle)",
                "a network must be acyclic; unroll the loop before exporting",
            )
        })
    }

    /// Whether a node or the host reads a tensor.
    pub fn is_read(&self, id: TensorId) -> bool {
        self.outputs.contains(&id) || self.nodes.node_weights().any(|node| node.inputs.contains(&Some(id)))
    }

    /// The node that produces a tensor, if one does.
    pub fn producer(&self, id: TensorId) -> Option<NodeIndex> {
        self.nodes.node_indices().find(|&index| self.nodes[index].outputs.contains(&id))
    }
}
