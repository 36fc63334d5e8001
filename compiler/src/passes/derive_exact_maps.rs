//! Derives each requantization's exact map and each tensor's range from the actual weights.
//!
//! It walks in data order, because the values that a tensor takes bound the accumulators of the next
//! layer: only reachable accumulators count, so maps have no edge that never decides anything, and
//! accumulators are as narrow as the weights allow.

use crate::diagnostic::CompileError;
use crate::quant::{Dense, QuantError, QuantGraph, QuantOp, RangeOrigin};
use systole_arith::{IntType, Range};

/// Fills every dense node's map, every computed tensor's range, and the element type of tensors that
/// hold accumulators.
///
/// # Errors
/// If accumulators are too wide, or an output is too wide for an exact map; the error names the node.
pub fn run(graph: &mut QuantGraph) -> Result<(), CompileError> {
    let internal = |cause: String| CompileError::Internal { pass: "derive_exact_maps", cause };
    for index in graph.order().map_err(|error| internal(error.to_string()))? {
        let Some(node) = graph.nodes.node_weight_mut(index) else { continue };
        let operand = node.inputs.first().and_then(|id| graph.tensors.get(id.0 as usize));
        let Some((range, element)) = operand.map(|tensor| (tensor.range, tensor.element)) else {
            return Err(internal(format!("node `{}` has no operand", node.name)));
        };
        let (range, element) = match &mut node.op {
            QuantOp::Reshape => (range, element),
            QuantOp::Dense(dense) => derive(&node.name, dense, range)?,
        };
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

/// Fills the map of one node; gives its outputs' range, and their type where the formula has one or
/// the accumulators decide it.
fn derive(node: &str, dense: &mut Dense, input: Range) -> Result<(Range, IntType), CompileError> {
    let refused = |error: QuantError| {
        CompileError::node(node, error.to_string(), "quantize this layer's inputs, weights and outputs to fewer bits")
    };
    dense.derive_map(input).map_err(refused)?;
    let range = dense.output_range(input).map_err(refused)?;
    let range = range.ok_or_else(|| CompileError::node(node, "it has no outputs", "remove the layer"))?;
    Ok((range, dense.map.as_ref().map_or(IntType::Signed(range.signed_bits()), |map| map.output)))
}
