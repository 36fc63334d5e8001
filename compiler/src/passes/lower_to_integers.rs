//! From the imported network to integers: `Graph` -> `QuantGraph`.
//!
//! Nodes are visited in data order; each consumes the [`Value`]s of its operands and defines those
//! of its results. What is real in front of the first quantizer and behind the last product becomes
//! border operations of the host.

use super::lowering::{Lowering, Value};
use crate::diagnostic::CompileError;
use crate::frontend::FrontOptions;
use crate::graph::{ElementType, Graph, TensorId as GraphTensor};
use crate::ops::sample_shape;
use crate::quant::{Border, QuantGraph, QuantNode, QuantOp, QuantTensor, TensorId};
use std::collections::{HashMap, HashSet};
use systole_arith::BorderOp;

const PASS: &str = "lower_to_integers";

/// Lowers a network. Ranges and exact maps are not derived yet.
///
/// # Errors
/// If nodes cannot be expressed on integers, with the names of all of them.
pub fn run(graph: &Graph, options: &FrontOptions) -> Result<QuantGraph, CompileError> {
    check_input_types(graph, options)?;
    let mut lowering = Lowering::new(graph, options.profile(graph.format)?, options.input_types.clone());
    lowering.arg_max = options.arg_max;
    let (mut errors, mut failed) = (Vec::new(), HashSet::new());
    for index in graph.topological_order()? {
        let node = &graph.nodes[index];
        // What reads the result of a node that fails would fail for no reason of its own.
        let result = match node.inputs.iter().flatten().any(|id| failed.contains(id)) {
            true => None,
            false => Some(node.op.lower(node, &mut lowering)),
        };
        if !matches!(result, Some(Ok(()))) {
            failed.extend(node.outputs.iter().copied());
        }
        errors.extend(result.and_then(Result::err));
    }
    if let Some(error) = CompileError::all(errors) {
        return Err(error);
    }
    let mut outputs = Vec::with_capacity(graph.outputs.len());
    for &output in &graph.outputs {
        outputs.push(output_border(&mut lowering, output)?);
    }
    let Lowering { profile, tensors, nodes, mut inputs, .. } = lowering;
    let place = |border: &Border| graph.inputs.iter().position(|&id| graph.tensor(id).name == border.host_name);
    inputs.sort_by_key(place);
    refuse_doubled_inputs(&inputs)?;
    for border in &mut outputs {
        sink_reshapes(border, &tensors, &nodes);
    }
    let parts = Parts { tensors, nodes, inputs, outputs }.without_unused();
    QuantGraph::new(graph.name.clone(), profile, parts.tensors, parts.nodes, parts.inputs, parts.outputs)
        .map_err(|error| CompileError::Internal { pass: PASS, cause: error.to_string() })
}

/// A type for an input that there is not would be ignored silently.
fn check_input_types(graph: &Graph, options: &FrontOptions) -> Result<(), CompileError> {
    let names: Vec<&str> = graph.inputs.iter().map(|&id| graph.tensor(id).name.as_str()).collect();
    let mut chosen: Vec<&String> = options.input_types.keys().collect();
    chosen.sort();
    for name in chosen {
        if !names.contains(&name.as_str()) {
            return Err(CompileError::model(
                format!("an input type is given for `{name}`, which is no input"),
                format!("the inputs are {}", names.join(", ")),
            ));
        }
    }
    Ok(())
}

/// The host's side of a graph output: integers of the file leave as they are, all else has a tail.
fn output_border(lowering: &mut Lowering, output: GraphTensor) -> Result<Border, CompileError> {
    let graph = lowering.graph;
    let tensor = graph.tensor(output);
    if tensor.constant.is_some() {
        return Err(CompileError::model(
            format!("output `{}` is a constant", tensor.name),
            "remove the output or connect it",
        ));
    }
    let integers = tensor.element != ElementType::Float32;
    let user = format!("output {}", tensor.name);
    let (id, operations) = match lowering.value(&user, output)?.clone() {
        Value::Integer { tensor, .. } if integers => integers_of(lowering, output, tensor)?,
        Value::Host { .. } if graph.inputs.contains(&output) => {
            return Err(CompileError::model(
                format!("output `{}` is an input", tensor.name),
                "remove the output: nothing is computed",
            ))
        }
        Value::Host { .. } if tensor.element == ElementType::Int8 => {
            let (id, _, _) = lowering.integer_tensor(&user, output)?;
            integers_of(lowering, output, id)?
        }
        _ => {
            let (id, _, operations) = lowering.output_tail(output)?;
            (id, operations)
        }
    };
    let host_shape = sample_shape(&tensor.shape);
    let operations = match operations.is_empty() && lowering.tensor(&tensor.name, id)?.shape != host_shape {
        true => vec![BorderOp::Reshape { shape: host_shape.clone() }],
        false => operations,
    };
    Ok(Border {
        tensor: id,
        host_name: tensor.name.clone(),
        host_shape,
        host_type: tensor.element.name().into(),
        operations,
    })
}

/// Integers of the accelerator in the file's order.
fn integers_of(
    lowering: &Lowering,
    output: GraphTensor,
    id: TensorId,
) -> Result<(TensorId, Vec<BorderOp>), CompileError> {
    let source = lowering.graph.tensor(output);
    let held = &lowering.tensor(&source.name, id)?.shape;
    Ok((id, lowering.layout(&source.name, id)?.to_file(held, &sample_shape(&source.shape))))
}

/// Each input feeds the accelerator once.
fn refuse_doubled_inputs(inputs: &[Border]) -> Result<(), CompileError> {
    let mut seen = HashSet::new();
    match inputs.iter().find(|border| !seen.insert(border.host_name.as_str())) {
        Some(border) => Err(CompileError::model(
            format!("input `{}` enters the accelerator under two quantizations or shapes", border.host_name),
            "quantize the input once, and feed all its readers with the result",
        )),
        None => Ok(()),
    }
}

/// A reshape in front of an output is the host's: elements leave in order either way.
fn sink_reshapes(border: &mut Border, tensors: &[QuantTensor], nodes: &[QuantNode]) {
    let reshapes = nodes.iter().filter(|node| node.op == QuantOp::Reshape);
    let sources: HashMap<TensorId, TensorId> =
        reshapes.filter_map(|node| Some((node.output, *node.inputs.first()?))).collect();
    let last = border.tensor;
    while let Some(&from) = sources.get(&border.tensor) {
        border.tensor = from;
    }
    let shape = tensors.get(last.0 as usize).map(|tensor| tensor.shape.clone());
    if let (true, Some(shape)) = (last != border.tensor, shape) {
        border.operations.insert(0, BorderOp::Reshape { shape });
    }
}

struct Parts {
    tensors: Vec<QuantTensor>,
    nodes: Vec<QuantNode>,
    inputs: Vec<Border>,
    outputs: Vec<Border>,
}

impl Parts {
    /// Keeps what an output depends on, and numbers the tensors anew.
    fn without_unused(self) -> Parts {
        let mut used: HashSet<TensorId> = self.outputs.iter().map(|border| border.tensor).collect();
        let producers: HashMap<TensorId, &QuantNode> = self.nodes.iter().map(|node| (node.output, node)).collect();
        let mut pending: Vec<TensorId> = used.iter().copied().collect();
        while let Some(id) = pending.pop() {
            let operands = producers.get(&id).map(|node| node.inputs.as_slice()).unwrap_or_default();
            pending.extend(operands.iter().filter(|&&input| used.insert(input)));
        }
        let mut numbers = HashMap::new();
        let mut tensors = Vec::with_capacity(used.len());
        for (index, tensor) in self.tensors.into_iter().enumerate() {
            let id = TensorId(index as u32);
            if used.contains(&id) {
                numbers.insert(id, TensorId(tensors.len() as u32));
                tensors.push(tensor);
            }
        }
        let renumbered = |id: TensorId| numbers.get(&id).copied();
        let borders = |borders: Vec<Border>| {
            let border = |border: Border| Some(Border { tensor: renumbered(border.tensor)?, ..border });
            borders.into_iter().filter_map(border).collect::<Vec<_>>()
        };
        let node = |node: QuantNode| {
            let inputs = node.inputs.iter().map(|&id| renumbered(id)).collect::<Option<_>>()?;
            Some(QuantNode { inputs, output: renumbered(node.output)?, ..node })
        };
        Parts {
            inputs: borders(self.inputs),
            outputs: borders(self.outputs),
            nodes: self.nodes.into_iter().filter_map(node).collect(),
            tensors,
        }
    }
}
