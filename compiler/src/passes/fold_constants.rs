//! Evaluates everything that does not depend on the network's input: shape arithmetic that
//! exporters leave behind, and quantizers of weights. It comes first, so that every later pass
//! sees weights and shapes as plain constants.
//!
//! A folded quantizer keeps its integers: the constant holds `q` with its scales and zero points,
//! never the rounded products.

use crate::diagnostic::{CompileError, Unsupported};
use crate::graph::{Graph, Node, Tensor, TensorId};
use crate::ops::onnx::arithmetic::Arithmetic;
use crate::ops::onnx::shape_arithmetic::ShapeArithmetic;
use crate::ops::onnx::{OnnxOp, Operands};
use crate::ops::Op;
use crate::passes::keep_nodes::keep_nodes;
use std::collections::HashSet;

/// Elements that folding may add to those in the file, beside a multiple of them: bounds the memory
/// that a damaged file can ask for.
const EXTRA_ELEMENTS: usize = 1 << 22;
/// How often each element of the file may be copied.
const COPIES: usize = 8;

/// Folds constant nodes and drops what no output depends on.
///
/// # Errors
/// If a node's constants do not fit it, an output turns out to be constant, or operators that are
/// compiled on constants only remain on computed tensors, which are all listed.
pub fn run(graph: &mut Graph) -> Result<(), CompileError> {
    let in_file: usize = graph.tensors.iter().filter(|t| t.constant.is_some()).map(elements).sum();
    let mut budget = in_file.saturating_mul(COPIES).saturating_add(EXTRA_ELEMENTS);
    let mut remaining = Vec::new();
    for index in graph.topological_order()? {
        let Some(node) = graph.nodes.node_weight(index) else { continue };
        let results = match &node.op {
            Op::Onnx(op) => evaluate(graph, node, op, &mut budget)?,
            _ => None,
        };
        match results {
            Some(results) => {
                let outputs = node.outputs.clone();
                for (id, result) in outputs.into_iter().zip(results) {
                    if let Some(tensor) = graph.tensors.get_mut(id.0 as usize) {
                        *tensor = Tensor { name: std::mem::take(&mut tensor.name), ..result };
                    }
                }
            }
            None => remaining.push(node.clone()),
        }
    }
    for output in &graph.outputs {
        let tensor = graph.tensor(*output);
        if tensor.constant.is_some() {
            return Err(CompileError::model(
                format!("output `{}` does not depend on any input", tensor.name),
                "remove the output or connect it",
            ));
        }
    }
    let live = live_nodes(graph, remaining);
    let unsupported: Vec<Unsupported> = live.iter().filter_map(on_constants_only).collect();
    if !unsupported.is_empty() {
        return Err(CompileError::Unsupported(unsupported));
    }
    keep_nodes(graph, live)
}

fn elements(tensor: &Tensor) -> usize {
    tensor.shape.iter().product()
}

fn evaluate(graph: &Graph, node: &Node, op: &OnnxOp, budget: &mut usize) -> Result<Option<Vec<Tensor>>, CompileError> {
    let tensors = node.inputs.iter().map(|id| id.map(|id| graph.tensor(id))).collect();
    let operands = Operands::new(&node.name, tensors);
    if !op.folds(&operands) {
        return Ok(None);
    }
    let size = op.behaviour().infer(&operands)?.iter().map(elements).sum::<usize>();
    *budget = budget.checked_sub(size).ok_or_else(|| {
        operands.error(
            format!("its {size} elements exceed what the constants of this file can need"),
            "fold the constants before exporting (onnxsim or qonnx-cleanup)",
        )
    })?;
    op.behaviour().evaluate(&operands).map(Some)
}

/// The nodes that an output depends on, in order.
fn live_nodes(graph: &Graph, nodes: Vec<Node>) -> Vec<Node> {
    let mut needed: HashSet<TensorId> = graph.outputs.iter().copied().collect();
    let mut live: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes.into_iter().rev() {
        if node.outputs.iter().any(|id| needed.contains(id)) {
            needed.extend(node.inputs.iter().flatten());
            live.push(node);
        }
    }
    live.reverse();
    live
}

fn on_constants_only(node: &Node) -> Option<Unsupported> {
    let Op::Onnx(op) = &node.op else { return None };
    let reason = match op {
        OnnxOp::ShapeArithmetic(ShapeArithmetic::Cast { .. } | ShapeArithmetic::Concat { .. }) => return None,
        OnnxOp::ShapeArithmetic(op) => op.name(),
        OnnxOp::Arithmetic(Arithmetic::Pow) => "Pow",
        _ => return None,
    };
    Some(Unsupported {
        node: node.name.clone(),
        reason: format!("operator {reason} is compiled on constants only, not on a tensor computed from the input"),
    })
}
