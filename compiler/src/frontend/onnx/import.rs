//! `ModelProto` to [`Graph`]: names resolved, operators read, shapes inferred.

use super::constant::{eight_bits, element_type, read_tensor};
use super::operators::{import_operator, Imported, QONNX_DOMAINS};
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::shapes::{check_declared_outputs, infer_shapes, input_shape};
use crate::diagnostic::{CompileError, Unsupported};
use crate::graph::{ElementType, Format, Graph, Node, Tensor, TensorId};
use crate::ops::onnx::OnnxOp;
use crate::ops::Op;
use prost::Message;
use std::collections::{HashMap, HashSet};

/// First version of ONNX's operators whose meaning is the present one (broadcasting).
const OLDEST_OPERATORS: i64 = 7;
/// From this IR version on every writer lists all domains that it uses, so that a domain without a
/// version means a truncated file.
const COMPLETE_IMPORTS: i64 = 8;

fn damaged(cause: impl Into<String>) -> CompileError {
    CompileError::Damaged { format: "ONNX", cause: cause.into() }
}

/// Reads an ONNX file. Exporters give every network one name, so the graph gets `name`; the file's own
/// where that is empty.
///
/// # Errors
/// If the bytes are no complete ONNX model, the model is inconsistent (names, shapes, cycles), or
/// it has operators that are not compiled, which are all listed.
pub fn import(bytes: &[u8], name: &str) -> Result<Graph, CompileError> {
    let model = ModelProto::decode(bytes).map_err(|e| damaged(e.to_string()))?;
    let versions = operator_versions(&model)?;
    let graph = model.graph.as_ref().ok_or_else(|| damaged("it holds no network"))?;
    if graph.output.is_empty() || graph.node.is_empty() {
        return Err(damaged(format!("{} nodes and {} outputs", graph.node.len(), graph.output.len())));
    }
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().and_then(|v| v.name.clone()).unwrap_or_default();
        return Err(CompileError::model(
            format!("constant `{name}` is stored as a sparse tensor"),
            "store constants as dense tensors",
        ));
    }
    let operators = read_operators(&model, graph, &versions)?;
    let qonnx = graph.node.iter().any(|node| QONNX_DOMAINS.contains(&node.domain.as_deref().unwrap_or_default()));
    let format = if qonnx { Format::Qonnx } else { Format::Onnx };
    let title = match name {
        "" => graph.name.clone().unwrap_or_default(),
        name => name.to_string(),
    };
    build(graph, operators, title, format)
}

/// Version of each imported domain.
fn operator_versions(model: &ModelProto) -> Result<HashMap<String, i64>, CompileError> {
    if model.ir_version.is_none_or(|version| version < 1) {
        return Err(damaged("it has no IR version"));
    }
    let mut versions = HashMap::new();
    for import in &model.opset_import {
        let domain = match import.domain.as_deref().unwrap_or_default() {
            "ai.onnx" => "",
            domain => domain,
        };
        let version = import.version.unwrap_or(0);
        if versions.insert(domain.to_string(), version).is_some() {
            return Err(damaged(format!("domain `{domain}` has two versions")));
        }
    }
    match versions.get("") {
        None => Err(damaged("it does not say which version of ONNX's operators it uses (opset_import)")),
        Some(&version) if !(OLDEST_OPERATORS..100).contains(&version) => Err(CompileError::model(
            format!("the model uses version {version} of ONNX's operators"),
            format!("convert it to version {OLDEST_OPERATORS} or newer (onnx.version_converter)"),
        )),
        Some(_) => Ok(versions),
    }
}

/// Name and operator of every node.
fn read_operators(
    model: &ModelProto,
    graph: &GraphProto,
    versions: &HashMap<String, i64>,
) -> Result<Vec<(String, Imported)>, CompileError> {
    let functions: HashSet<(&str, &str)> = model
        .functions
        .iter()
        .map(|f| (f.domain.as_deref().unwrap_or_default(), f.name.as_deref().unwrap_or_default()))
        .collect();
    let zero_points: HashMap<&str, i32> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_deref().unwrap_or_default(), tensor.data_type.unwrap_or(0)))
        .collect();
    let mut errors = Vec::new();
    let mut operators = Vec::with_capacity(graph.node.len());
    for (name, proto) in node_names(&graph.node).into_iter().zip(&graph.node) {
        let operator = proto.op_type.as_deref().unwrap_or_default();
        let domain = match proto.domain.as_deref().unwrap_or_default() {
            "ai.onnx" => "",
            domain => domain,
        };
        let version = match versions.get(domain) {
            Some(&version) => version,
            None if model.ir_version.unwrap_or(0) < COMPLETE_IMPORTS => 1,
            None => {
                return Err(damaged(format!(
                    "node `{name}` uses domain `{domain}`, whose version is missing (opset_import)"
                )))
            }
        };
        let imported = if functions.contains(&(domain, operator)) {
            Ok(Imported::Unsupported(format!(
                "operator {operator} is a function of the file; inline it (onnx.inliner.inline_local_functions)"
            )))
        } else {
            match wide_quantizer(proto, &zero_points) {
                Some(reason) => Ok(Imported::Unsupported(reason)),
                None => import_operator(&name, proto, version),
            }
        };
        match imported {
            Ok(Imported::Unsupported(reason)) => {
                errors.push(CompileError::Unsupported(vec![Unsupported { node: name, reason }]));
            }
            Ok(imported) => operators.push((name, imported)),
            Err(error) => errors.push(error),
        }
    }
    match CompileError::all(errors) {
        Some(error) => Err(error),
        None => Ok(operators),
    }
}

/// Why a QuantizeLinear gives other integers than int8 and uint8, by its zero point's type in the file:
/// tensors keep narrower types in wider ones.
fn wide_quantizer(proto: &NodeProto, types: &HashMap<&str, i32>) -> Option<String> {
    if proto.op_type.as_deref() != Some("QuantizeLinear") {
        return None;
    }
    let code = proto.input.get(2).and_then(|name| types.get(name.as_str()))?;
    match eight_bits(*code) {
        true => None,
        false => Some(format!("QuantizeLinear to ONNX element type {code}; quantize activations to int8 or uint8")),
    }
}

/// A unique name for each node: its own, else operator and index; repeated names are numbered.
fn node_names(nodes: &[NodeProto]) -> Vec<String> {
    let mut taken: HashSet<String> = nodes.iter().filter_map(|node| node.name.clone()).collect();
    let mut used = HashSet::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let base = match node.name.as_deref() {
            None | Some("") => format!("{}_{index}", node.op_type.as_deref().unwrap_or("node")),
            Some(name) if used.insert(name.to_string()) => {
                names.push(name.to_string());
                continue;
            }
            Some(name) => name.to_string(),
        };
        let mut name = base.clone();
        let number = numbers.entry(base.clone()).or_insert(1);
        while taken.contains(&name) {
            *number += 1;
            name = format!("{base}_{number}");
        }
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

/// Tensors by name.
struct Tensors {
    list: Vec<Tensor>,
    ids: HashMap<String, TensorId>,
}

impl Tensors {
    fn add(&mut self, tensor: Tensor) -> Result<TensorId, CompileError> {
        let id = TensorId(u32::try_from(self.list.len()).map_err(|_| damaged("it has more than 2^32 tensors"))?);
        if self.ids.insert(tensor.name.clone(), id).is_some() {
            return Err(damaged(format!("tensor `{}` has two sources", tensor.name)));
        }
        self.list.push(tensor);
        Ok(id)
    }

    /// A result whose shape is not known yet.
    fn add_result(&mut self, name: &str) -> Result<TensorId, CompileError> {
        let element = ElementType::Float32;
        self.add(Tensor { name: name.into(), shape: Vec::new(), element, quantization: None, constant: None })
    }
}

fn build(
    graph: &GraphProto,
    operators: Vec<(String, Imported)>,
    title: String,
    format: Format,
) -> Result<Graph, CompileError> {
    let mut tensors = Tensors { list: Vec::new(), ids: HashMap::new() };
    for initializer in &graph.initializer {
        let name = initializer.name.as_deref().unwrap_or_default();
        tensors.add(read_tensor(initializer, name)?)?;
    }
    let mut inputs = Vec::new();
    for input in &graph.input {
        // Old IR versions list constants among the inputs: the constant is their default.
        if tensors.ids.contains_key(input.name.as_deref().unwrap_or_default()) {
            continue;
        }
        inputs.push(tensors.add(read_input(input)?)?);
    }
    let read: HashSet<&str> = graph
        .node
        .iter()
        .flat_map(|node| node.input.iter().map(String::as_str))
        .chain(graph.output.iter().filter_map(|output| output.name.as_deref()))
        .collect();
    let mut nodes = Vec::with_capacity(operators.len());
    for ((name, imported), proto) in operators.into_iter().zip(&graph.node) {
        match imported {
            Imported::Constant(tensor) => {
                let result = proto.output.first().map(String::as_str).unwrap_or_default();
                tensors.add(Tensor { name: result.into(), ..tensor })?;
            }
            Imported::Op(op) => {
                let results = results(&op, proto, &read);
                let mut outputs = Vec::with_capacity(results.len());
                for (position, result) in results.iter().enumerate() {
                    outputs.push(match result.is_empty() {
                        true => tensors.add_result(&format!("{name}.result{position}"))?,
                        false => tensors.add_result(result)?,
                    });
                }
                nodes.push((name, op, outputs, proto));
            }
            Imported::Unsupported(reason) => {
                return Err(CompileError::Unsupported(vec![Unsupported { node: name, reason }]))
            }
        }
    }
    let nodes: Result<Vec<Node>, CompileError> = nodes
        .into_iter()
        .map(|(name, op, outputs, proto)| {
            let inputs = operand_ids(&tensors, &name, proto)?;
            Ok(Node { name, op: Op::Onnx(op), inputs, outputs })
        })
        .collect();
    let mut outputs = Vec::new();
    for output in &graph.output {
        let name = output.name.as_deref().unwrap_or_default();
        let id = tensors.ids.get(name).ok_or_else(|| damaged(format!("output `{name}` is computed by no node")))?;
        outputs.push(*id);
    }
    let mut built = Graph::new(title, format, tensors.list, nodes?, inputs, outputs)?;
    infer_shapes(&mut built)?;
    check_declared_outputs(&built, &graph.output)?;
    Ok(built)
}

/// Names of a node's results; of Dropout's mask and BatchNormalization's training results only
/// those that something reads.
fn results<'p>(op: &OnnxOp, proto: &'p NodeProto, read: &HashSet<&str>) -> &'p [String] {
    let has_training_results = matches!(op, OnnxOp::Pointwise(_) | OnnxOp::BatchNormalization(_));
    let mut results = proto.output.as_slice();
    while let (true, [rest @ .., last]) = (has_training_results && results.len() > 1, results) {
        if read.contains(last.as_str()) && !last.is_empty() {
            break;
        }
        results = rest;
    }
    results
}

fn operand_ids(tensors: &Tensors, node: &str, proto: &NodeProto) -> Result<Vec<Option<TensorId>>, CompileError> {
    let operand = |name: &String| match (name.is_empty(), tensors.ids.get(name)) {
        (true, _) => Ok(None),
        (false, Some(id)) => Ok(Some(*id)),
        (false, None) => Err(CompileError::node(
            node,
            format!("operand `{name}` is neither an input, a constant nor a result"),
            "export the model again",
        )),
    };
    proto.input.iter().map(operand).collect()
}

fn read_input(input: &ValueInfoProto) -> Result<Tensor, CompileError> {
    let name = input.name.as_deref().unwrap_or_default();
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| damaged(format!("input `{name}` has no tensor type")))?;
    let code = tensor.elem_type.unwrap_or(0);
    let element = element_type(code).ok_or_else(|| {
        CompileError::model(
            format!("input `{name}` has ONNX element type {code}, which is not read"),
            "use float or an integer type",
        )
    })?;
    let shape = input_shape(name, tensor.shape.as_ref())?;
    Ok(Tensor { name: name.into(), shape, element, quantization: None, constant: None })
}
