//! Rebuilds a graph from a part of its nodes.

use crate::diagnostic::CompileError;
use crate::graph::{Graph, Node, TensorId};
use std::collections::{HashMap, HashSet};

/// Keeps `nodes`, which may have been changed, and the tensors that they, the inputs and the outputs
/// use. Tensors are numbered anew.
///
/// # Errors
/// As [`Graph::new`].
pub fn keep_nodes(graph: &mut Graph, nodes: Vec<Node>) -> Result<(), CompileError> {
    let Graph { name, format, tensors, inputs, outputs, .. } = graph;
    let tensors = std::mem::take(tensors);
    let used: HashSet<TensorId> = nodes
        .iter()
        .flat_map(|node| node.inputs.iter().flatten().chain(&node.outputs))
        .chain(inputs.iter())
        .chain(outputs.iter())
        .copied()
        .collect();
    let mut ids = HashMap::new();
    let mut kept = Vec::with_capacity(used.len());
    for (old, tensor) in tensors.into_iter().enumerate() {
        let old = TensorId(old as u32);
        if used.contains(&old) {
            ids.insert(old, TensorId(kept.len() as u32));
            kept.push(tensor);
        }
    }
    let moved = |id: &TensorId| ids.get(id).copied().unwrap_or(*id);
    let nodes = nodes
        .into_iter()
        .map(|node| Node {
            inputs: node.inputs.iter().map(|id| id.as_ref().map(moved)).collect(),
            outputs: node.outputs.iter().map(moved).collect(),
            ..node
        })
        .collect();
    *graph = Graph::new(
        std::mem::take(name),
        *format,
        kept,
        nodes,
        inputs.iter().map(moved).collect(),
        outputs.iter().map(moved).collect(),
    )?;
    Ok(())
}
