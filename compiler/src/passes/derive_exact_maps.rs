//! Derives each requantization's exact map and each tensor's range from the actual weights.
//!
//! It walks in data order, because the values that a tensor takes bound the accumulators of the next
//! layer: only reachable accumulators count, so maps have no edge that never decides anything, and
//! accumulators are as narrow as the weights allow.

use crate::diagnostic::CompileError;
use crate::quant::{QuantGraph, RangeOrigin};

/// Fills every operator's map, every computed tensor's range, and the element type of tensors that
/// hold accumulators.
///
/// # Errors
/// If accumulators are too wide, or an output is too wide for an exact map; the error names the node.
pub fn run(graph: &mut QuantGraph) -> Result<(), CompileError> {
    let internal = |cause: String| CompileError::Internal { pass: "derive_exact_maps", cause };
    for index in graph.order().map_err(|error| internal(error.to_string()))? {
        let Some(node) = graph.nodes.node_weight_mut(index) else { continue };
        let operands: Option<Vec<_>> = node.inputs.iter().map(|id| graph.tensors.get(id.0 as usize)).collect();
        let Some(operands) = operands else {
            return Err(internal(format!("node `{}` has no operand", node.name)));
        };
        let (range, element) = node.op.derive(&operands).map_err(|error| {
            let remedy = "quantize this layer's inputs, weights and outputs to fewer bits";
            CompileError::node(&node.name, error.to_string(), remedy)
        })?;
        let output = graph
            .tensors
            .get_mut(node.output.0 as usize)
            .ok_or_else(|| internal(format!("node `{}` has no result", node.name)))?;
        output.range = range;
        output.origin = RangeOrigin::FromValues;
        output.element = element;
    }
    Ok(())
}
