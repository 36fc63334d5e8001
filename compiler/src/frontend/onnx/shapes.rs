//! Shapes: those of the inputs from the file, all others inferred.

use super::proto::{TensorShapeProto, ValueInfoProto};
use crate::diagnostic::CompileError;
use crate::graph::{Graph, Node, Tensor};
use crate::ops::onnx::{OnnxOp, Operands};
use crate::ops::Op;
use crate::passes::keep_nodes::keep_nodes;
use std::collections::HashSet;

/// Largest dimension and number of elements of an input.
const INPUT_LIMIT: usize = 1 << 24;
/// Most elements of a shape that is computed during inference.
const SHAPE_LIMIT: usize = 1024;

/// The static shape of an input; a first dimension that is a symbol is the batch and becomes 1.
///
/// # Errors
/// If the rank is unknown or 0, another dimension is a symbol, one is not in `1..=2^24`, or the first
/// is a number other than 1.
pub fn input_shape(name: &str, shape: Option<&TensorShapeProto>) -> Result<Vec<usize>, CompileError> {
    let error = |cause: String, remedy: &str| CompileError::model(format!("input `{name}` {cause}"), remedy);
    let dims = shape.map(|s| s.dim.as_slice()).unwrap_or_default();
    if dims.is_empty() {
        return Err(error("has no static shape".into(), "export the model with a static input shape [1, ...]"));
    }
    let mut sizes = Vec::with_capacity(dims.len().min(16));
    let mut elements = 1usize;
    for (i, dim) in dims.iter().enumerate() {
        let size = match (dim.dim_value, dim.dim_param.as_deref().unwrap_or_default()) {
            (Some(size), _) if i > 0 || size > 0 => size,
            _ if i == 0 => 1,
            (_, symbol) => {
                return Err(error(
                    format!("has dimension {i} `{symbol}` of unknown size"),
                    "export the model with static dimensions; only the first, the batch, may be a symbol",
                ))
            }
        };
        let size = usize::try_from(size).ok().filter(|s| (1..=INPUT_LIMIT).contains(s));
        let size = size.ok_or_else(|| {
            error(format!("has dimension {i} of size {}", dim.dim_value.unwrap_or(0)), "use sizes from 1 to 2^24")
        })?;
        if i == 0 && size != 1 {
            return Err(error(format!("has a batch dimension of {size}"), "export the model with batch size 1"));
        }
        elements = elements.saturating_mul(size);
        sizes.push(size);
    }
    match elements <= INPUT_LIMIT {
        true => Ok(sizes),
        false => Err(error(format!("has shape {sizes:?}, more than 2^24 elements"), "use a smaller input")),
    }
}

/// Gives every result its shape and element type, in order of computation. Nodes that compute
/// shapes are evaluated on the way and replaced by their results.
///
/// # Errors
/// If operands do not fit an operator, with the names of all such nodes.
pub fn infer_shapes(graph: &mut Graph) -> Result<(), CompileError> {
    let mut remaining = Vec::with_capacity(graph.nodes.node_count());
    let (mut errors, mut failed) = (Vec::new(), HashSet::new());
    for index in graph.topological_order()? {
        let Some(node) = graph.nodes.node_weight(index).cloned() else { continue };
        let Op::Onnx(op) = &node.op else {
            remaining.push(node);
            continue;
        };
        // What reads the result of a node that fails would fail for no reason of its own.
        if node.inputs.iter().flatten().any(|id| failed.contains(id)) {
            failed.extend(node.outputs);
            continue;
        }
        let results = match inferred(graph, &node, op) {
            Ok(results) => results,
            Err(error) => {
                errors.push(error);
                failed.extend(node.outputs);
                continue;
            }
        };
        if results.iter().any(|result| result.constant.is_none()) {
            remaining.push(node.clone());
        }
        for (id, result) in node.outputs.into_iter().zip(results) {
            if let Some(tensor) = graph.tensors.get_mut(id.0 as usize) {
                *tensor = Tensor { name: std::mem::take(&mut tensor.name), ..result };
            }
        }
    }
    match CompileError::all(errors) {
        Some(error) => Err(error),
        None => keep_nodes(graph, remaining),
    }
}

/// Results of a node, with values where it computes a shape.
fn inferred(graph: &Graph, node: &Node, op: &OnnxOp) -> Result<Vec<Tensor>, CompileError> {
    let operands = Operands::new(&node.name, node.inputs.iter().map(|id| id.map(|id| graph.tensor(id))).collect());
    let mut results = op.behaviour().infer(&operands)?;
    let small = results.iter().all(|r| r.shape.iter().product::<usize>() <= SHAPE_LIMIT);
    if small && op.folds_to_a_shape(&operands) {
        results = op.behaviour().evaluate(&operands)?;
    }
    match node.outputs.len() <= results.len() {
        true => Ok(results),
        false => Err(CompileError::node(
            &node.name,
            format!("{} has {} results here, it gives {}", op.name(), node.outputs.len(), results.len()),
            "remove what reads the others",
        )),
    }
}

/// Holds the shapes that the file declares for its outputs against the inferred ones.
///
/// # Errors
/// If a static dimension differs; the error names the node that computes the output.
pub fn check_declared_outputs(graph: &Graph, declared: &[ValueInfoProto]) -> Result<(), CompileError> {
    for (id, output) in graph.outputs.iter().zip(declared) {
        let tensor = graph.tensor(*id);
        let Some(shape) = output.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.shape.as_ref())
        else {
            continue;
        };
        let fits = shape.dim.len() == tensor.shape.len()
            && shape.dim.iter().zip(&tensor.shape).enumerate().all(|(i, (dim, &size))| match dim.dim_value {
                Some(value) if i > 0 || value > 0 => i64::try_from(size) == Ok(value),
                _ => true,
            });
        if !fits {
            let node = graph.producer(*id).and_then(|index| graph.nodes.node_weight(index));
            let name = node.map_or_else(|| tensor.name.clone(), |node| node.name.clone());
            let declared: Vec<String> = shape
                .dim
                .iter()
                .map(|d| d.dim_value.map_or_else(|| d.dim_param.clone().unwrap_or_default(), |v| v.to_string()))
                .collect();
            return Err(CompileError::node(
                name,
                format!(
                    "output `{}` has shape {:?} but is declared as [{}]",
                    tensor.name,
                    tensor.shape,
                    declared.join(", ")
                ),
                "correct the shapes (onnx.shape_inference) or export the model again",
            ));
        }
    }
    Ok(())
}
