//! Records of a TFLite file -> [`Graph`].

use super::dilation::Interleaved;
use super::model::{Model, OperatorRecord, QuantizationRecord, TensorRecord};
use super::operators::{node_name, operator};
use super::{schema, shapes};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Format, Graph, Node, Quantization, Tensor, TensorId};
use crate::ops::reshape::Reshape;
use crate::ops::{NodeView, Op};
use ndarray::{ArrayD, IxDyn};
use std::collections::{HashMap, HashSet};

/// Most elements of a tensor that the file holds no values of.
const ELEMENT_LIMIT: usize = 1 << 24;
/// Bytes of constants that may be decoded, as a multiple of the bytes the file's buffers hold.
const DECODES_PER_BYTE: usize = 2;

/// Makes a graph of the records.
///
/// # Errors
/// If operators are not supported or do not fit (all of them are named), or the model's ends do not.
pub fn import(model: &Model, name: &str) -> Result<Graph, CompileError> {
    let mut importer = Importer::new(model);
    let mut nodes = Vec::with_capacity(model.operators.len());
    let mut errors = Vec::new();
    for (index, record) in model.operators.iter().enumerate() {
        if let Some(dilated) = importer.dilated(index, record) {
            match dilated {
                Ok(parts) => nodes.extend(parts),
                Err(error) => errors.push(error),
            }
            continue;
        }
        match importer.node(node_name(index, record), record) {
            Ok(node) => nodes.extend(node),
            Err(error) => errors.push(error),
        }
    }
    // A batch or an open dimension at the input makes many nodes not fit.
    for &number in &model.inputs {
        importer.check_input(number)?;
    }
    if let Some(error) = CompileError::all(errors) {
        return Err(error);
    }
    let inputs = importer.ends(&model.inputs, "input")?;
    for &number in &model.inputs {
        importer.check_input(number)?;
    }
    let outputs = importer.ends(&model.outputs, "output")?;
    Graph::new(name.into(), Format::Tflite, importer.tensors, nodes, inputs, outputs)
}

/// Tensors made so far: those that operators and the model's ends refer to.
pub(super) struct Importer<'m> {
    pub(super) model: &'m Model<'m>,
    ids: Vec<Option<TensorId>>,
    pub(super) tensors: Vec<Tensor>,
    /// Tensors of interleaved images, by their numbers.
    pub(super) interleaved: HashMap<i32, Interleaved>,
    names: HashSet<String>,
    /// Bytes of constants that may still be decoded.
    decodes: usize,
}

impl<'m> Importer<'m> {
    fn new(model: &'m Model<'m>) -> Self {
        let held: usize = model.buffers.iter().map(|buffer| buffer.len()).sum();
        Importer {
            model,
            ids: vec![None; model.tensors.len()],
            tensors: Vec::new(),
            interleaved: HashMap::new(),
            names: HashSet::new(),
            decodes: DECODES_PER_BYTE * held,
        }
    }

    /// The node of a record, checked with its operands and results; none where its result is constant.
    fn node(&mut self, name: String, record: &OperatorRecord) -> Result<Option<Node>, CompileError> {
        if self.fold(&name, record)? {
            return Ok(None);
        }
        let op = operator(&name, record)?;
        let mut inputs = Vec::with_capacity(record.inputs.len());
        for &operand in &record.inputs {
            inputs.push(if operand == -1 { None } else { Some(self.tensor(operand, &name)?) });
        }
        let outputs: Vec<TensorId> =
            record.outputs.iter().map(|&result| self.tensor(result, &name)).collect::<Result<_, _>>()?;
        self.infer(&op, record, &inputs, &outputs);
        self.checked(name, op, inputs, outputs).map(Some)
    }

    /// A node, checked with its operands and results.
    pub(super) fn checked(
        &self,
        name: String,
        op: Op,
        inputs: Vec<Option<TensorId>>,
        outputs: Vec<TensorId>,
    ) -> Result<Node, CompileError> {
        let tensor = |id: TensorId| &self.tensors[id.0 as usize];
        op.check(&NodeView {
            name: &name,
            inputs: inputs.iter().map(|id| id.map(tensor)).collect(),
            outputs: outputs.iter().map(|&id| tensor(id)).collect(),
        })?;
        Ok(Node { op, name, inputs, outputs })
    }

    /// Whether the operator computes a shape: its result then is a constant.
    fn fold(&mut self, name: &str, record: &OperatorRecord) -> Result<bool, CompileError> {
        let &[result] = record.outputs.as_slice() else { return Ok(false) };
        if !shapes::folds(record.code) {
            return Ok(false);
        }
        let mut operands = Vec::with_capacity(record.inputs.len());
        for &operand in &record.inputs {
            operands.push(if operand == -1 { None } else { Some(self.tensor(operand, name)?) });
        }
        let result = self.tensor(result, name)?;
        let of = |id: TensorId| &self.tensors[id.0 as usize];
        let operands: Vec<Option<&Tensor>> = operands.into_iter().map(|id| id.map(of)).collect();
        let Some(values) = shapes::fold(record, &operands, of(result)) else { return Ok(false) };
        let tensor = &mut self.tensors[result.0 as usize];
        tensor.shape = values.shape().to_vec();
        tensor.constant = Some(ConstantData::Int(values));
        Ok(true)
    }

    /// The shape of a result that the file leaves open, where a constant operand says it. The converter writes 1 for
    /// every open dimension.
    fn infer(&mut self, op: &Op, record: &OperatorRecord, inputs: &[Option<TensorId>], outputs: &[TensorId]) {
        let (&[number], &[output]) = (record.outputs.as_slice(), outputs) else { return };
        let signature = usize::try_from(number).ok().and_then(|index| self.model.tensors.get(index));
        if !signature.is_some_and(|record| record.signature.iter().skip(1).any(|&dim| dim < 0)) {
            return;
        }
        let operand = |position: usize| {
            let id = inputs.get(position).copied().flatten();
            id.map(|id| &self.tensors[id.0 as usize])
        };
        let (Some(data), Some(numbers)) = (operand(0), operand(1)) else { return };
        let Some(ConstantData::Int(numbers)) = &numbers.constant else { return };
        let numbers: Vec<i64> = numbers.iter().copied().collect();
        let shape = match op {
            Op::Reshape(Reshape::Reshape) => shapes::reshaped(&numbers, data.shape.iter().product()),
            Op::Tile(tile) => tile.shape(&data.shape, &numbers),
            _ => None,
        };
        let count = |shape: &[usize]| shape.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim));
        if let Some(shape) = shape.filter(|shape| count(shape).is_some_and(|count| count <= ELEMENT_LIMIT)) {
            self.tensors[output.0 as usize].shape = shape;
        }
    }

    /// The tensor of a number that `user` refers to.
    pub(super) fn tensor(&mut self, number: i32, user: &str) -> Result<TensorId, CompileError> {
        let index = usize::try_from(number).ok().filter(|&index| index < self.ids.len()).ok_or_else(|| {
            CompileError::node(
                user,
                format!("operand is tensor {number}, the file has {}", self.ids.len()),
                "the file is damaged; export the model again",
            )
        })?;
        if let Some(id) = self.ids[index] {
            return Ok(id);
        }
        let record = &self.model.tensors[index];
        let error = |cause: String, remedy: &str| {
            CompileError::node(user, format!("tensor `{}` (number {index}) {cause}", record.name), remedy)
        };
        let (element, shape) = check_record(record, &error)?;
        let mut tensor = Tensor {
            name: self.unique_name(record.name, index),
            quantization: quantization(record, element, &shape, &error)?,
            shape,
            element,
            constant: None,
        };
        tensor.constant = self.constant(record, &tensor, &error)?;
        let id = TensorId(self.tensors.len() as u32);
        self.ids[index] = Some(id);
        self.tensors.push(tensor);
        Ok(id)
    }

    fn ends(&mut self, numbers: &[i32], role: &str) -> Result<Vec<TensorId>, CompileError> {
        if numbers.is_empty() {
            return Err(CompileError::model(format!("the model has no {role}"), "export the model again"));
        }
        let ids = numbers
            .iter()
            .map(|&number| self.tensor(number, &format!("model {role}")))
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::new();
        for &id in &ids {
            if !seen.insert(id) {
                return Err(CompileError::model(
                    format!("tensor `{}` is the model's {role} twice", self.tensors[id.0 as usize].name),
                    "export the model again",
                ));
            }
        }
        Ok(ids)
    }

    /// A model input must be a variable whose only dynamic dimension is the batch, and that one 1. Tensors
    /// that nothing has referred to yet pass.
    fn check_input(&self, number: i32) -> Result<(), CompileError> {
        let id = usize::try_from(number).ok().and_then(|index| self.ids.get(index).copied().flatten());
        let Some(tensor) = id.and_then(|id| self.tensors.get(id.0 as usize)) else { return Ok(()) };
        let error =
            |cause: String, remedy: &str| Err(CompileError::model(format!("input `{}` {cause}", tensor.name), remedy));
        if tensor.constant.is_some() {
            return error("has a constant value".into(), "export the model again");
        }
        let signature = usize::try_from(number).ok().and_then(|i| self.model.tensors.get(i)).map(|r| &r.signature);
        let dynamic = signature.into_iter().flatten().skip(1).position(|&dim| dim < 0);
        if let Some(dimension) = dynamic {
            return error(
                format!("has dimension {} without a fixed size", dimension + 1),
                "export with static shapes (only the batch may be open)",
            );
        }
        match tensor.shape.as_slice() {
            [batch, _, ..] if *batch != 1 => {
                error(format!("has a batch of {batch}"), "export with a batch of 1; batches are streamed")
            }
            _ => Ok(()),
        }
    }

    /// `name`, or what is left of it once it must differ from all others.
    pub(super) fn unique_name(&mut self, name: &str, index: usize) -> String {
        let mut candidate = if name.is_empty() { format!("tensor_{index}") } else { name.to_string() };
        while self.names.contains(&candidate) {
            candidate = format!("{candidate}_{index}");
        }
        self.names.insert(candidate.clone());
        candidate
    }

    fn constant(
        &mut self,
        record: &TensorRecord,
        tensor: &Tensor,
        error: &impl Fn(String, &str) -> CompileError,
    ) -> Result<Option<ConstantData>, CompileError> {
        let bytes = *self.model.buffers.get(record.buffer as usize).ok_or_else(|| {
            error(
                format!("has buffer {}, the file has {}", record.buffer, self.model.buffers.len()),
                "the file is damaged; export the model again",
            )
        })?;
        let count: usize = tensor.shape.iter().product();
        if bytes.is_empty() {
            return match count <= ELEMENT_LIMIT {
                true => Ok(None),
                false => Err(error(
                    format!("has shape {:?}: more than {ELEMENT_LIMIT} elements", tensor.shape),
                    "split the network or reduce the dimensions",
                )),
            };
        }
        let size = element_size(tensor.element);
        if count.checked_mul(size) != Some(bytes.len()) {
            return Err(error(
                format!(
                    "has shape {:?} of {}, but a buffer of {} bytes",
                    tensor.shape,
                    tensor.element.name(),
                    bytes.len()
                ),
                "the file is damaged; export the model again",
            ));
        }
        self.decodes = self
            .decodes
            .checked_sub(bytes.len())
            .ok_or_else(|| error("shares its values with many other tensors".into(), "export the model again"))?;
        decode(bytes, tensor)
            .ok_or_else(|| error(format!("does not fit its shape {:?}", tensor.shape), "export the model again"))
            .map(Some)
    }
}

/// Element type and static shape of a record.
fn check_record(
    record: &TensorRecord,
    error: &impl Fn(String, &str) -> CompileError,
) -> Result<(ElementType, Vec<usize>), CompileError> {
    if record.is_variable {
        return Err(error("keeps its value between inferences".into(), "export a network without state"));
    }
    if record.is_sparse {
        return Err(error("is stored sparsely".into(), "export with dense weights"));
    }
    let name = usize::try_from(record.element).ok().and_then(|number| schema::TENSOR_TYPES.get(number));
    let element = match name {
        Some(&"float32") => ElementType::Float32,
        Some(&"int8") => ElementType::Int8,
        Some(&"uint8") => ElementType::Uint8,
        Some(&"int16") => ElementType::Int16,
        Some(&"int32") => ElementType::Int32,
        Some(&"int64") => ElementType::Int64,
        Some(&"bool") => ElementType::Bool,
        _ => {
            let name = name.map_or_else(|| format!("number {}", record.element), |name| (*name).to_string());
            return Err(error(format!("has element type {name}"), "quantize to int8 with int32 biases"));
        }
    };
    let mut count = 1usize;
    let mut shape = Vec::with_capacity(record.shape.len());
    for &dim in &record.shape {
        let dim = match usize::try_from(dim) {
            Ok(dim) if dim > 0 => dim,
            Ok(_) => {
                return Err(error(format!("has shape {:?} without elements", record.shape), "export the model again"))
            }
            Err(_) => {
                let remedy = "export with static shapes (a batch of 1)";
                return Err(error(format!("has dynamic shape {:?}", record.shape), remedy));
            }
        };
        count = count.checked_mul(dim).filter(|&count| count <= i64::MAX as usize).ok_or_else(|| {
            error(format!("has shape {:?}, too many elements to count", record.shape), "export the model again")
        })?;
        shape.push(dim);
    }
    if shape.len() > 8 {
        return Err(error(format!("has {} dimensions", shape.len()), "use at most 8 dimensions"));
    }
    Ok((element, shape))
}

/// Quantization of a record, checked where the element type is a quantized one.
fn quantization(
    record: &TensorRecord,
    element: ElementType,
    shape: &[usize],
    error: &impl Fn(String, &str) -> CompileError,
) -> Result<Option<Quantization>, CompileError> {
    let Some(QuantizationRecord { scales, zero_points, dimension, details }) = &record.quantization else {
        return Ok(None);
    };
    let (lo, hi) = match element {
        ElementType::Int8 => (-128, 127),
        ElementType::Uint8 => (0, 255),
        ElementType::Int16 => (-32768, 32767),
        // Scales of biases follow from those of inputs and weights; no kernel reads them.
        _ => return Ok(None),
    };
    if scales.is_empty() {
        return Ok(None);
    }
    if *details != 0 {
        return Err(error("has a custom quantization".into(), "use affine quantization"));
    }
    if let Some(scale) = scales.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
        return Err(error(format!("has scale {scale}"), "calibrate again: scales must be positive and finite"));
    }
    let zero_points = match zero_points.is_empty() {
        true => vec![0; scales.len()],
        false => zero_points.clone(),
    };
    if zero_points.len() != scales.len() {
        return Err(error(
            format!("has {} scales and {} zero points", scales.len(), zero_points.len()),
            "the file is damaged; export the model again",
        ));
    }
    if let Some(zero_point) = zero_points.iter().find(|z| !(lo..=hi).contains(*z)) {
        return Err(error(
            format!("has zero point {zero_point}, outside {}", element.name()),
            "calibrate again: zero points must be values of the type",
        ));
    }
    let axis = usize::try_from(*dimension).unwrap_or(usize::MAX);
    if scales.len() > 1 && shape.get(axis) != Some(&scales.len()) {
        return Err(error(
            format!("of shape {shape:?} has {} scales along dimension {dimension}", scales.len()),
            "the file is damaged; export the model again",
        ));
    }
    let axis = if scales.len() > 1 { axis } else { 0 };
    Ok(Some(Quantization { scales: scales.clone(), zero_points, axis }))
}

/// Bytes of an element.
fn element_size(element: ElementType) -> usize {
    match element {
        ElementType::Int8 | ElementType::Uint8 | ElementType::Bool => 1,
        ElementType::Int16 => 2,
        ElementType::Float32 | ElementType::Int32 => 4,
        ElementType::Int64 => 8,
    }
}

/// Values from little-endian bytes; none where the count is not that of the shape.
fn decode(bytes: &[u8], tensor: &Tensor) -> Option<ConstantData> {
    fn chunks<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok().map(&read)).collect()
    }
    let shape = IxDyn(&tensor.shape);
    let values = match tensor.element {
        ElementType::Float32 => {
            return Some(ConstantData::Float(ArrayD::from_shape_vec(shape, chunks(bytes, f32::from_le_bytes)).ok()?))
        }
        ElementType::Int8 => chunks(bytes, |b| i64::from(i8::from_le_bytes(b))),
        ElementType::Uint8 => chunks(bytes, |b: [u8; 1]| i64::from(b[0])),
        ElementType::Bool => chunks(bytes, |b: [u8; 1]| i64::from(b[0] != 0)),
        ElementType::Int16 => chunks(bytes, |b| i64::from(i16::from_le_bytes(b))),
        ElementType::Int32 => chunks(bytes, |b| i64::from(i32::from_le_bytes(b))),
        ElementType::Int64 => chunks(bytes, i64::from_le_bytes),
    };
    Some(ConstantData::Int(ArrayD::from_shape_vec(shape, values).ok()?))
}
