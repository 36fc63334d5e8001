//! Operands and results as values; operators that change no number.

use super::border;
use crate::diagnostic::CompileError;
use crate::graph::{ElementType, Node, TensorId as GraphTensor};
use crate::ops::onnx::Operands;
use crate::passes::lowering::{Entering, InputType, Lowering, Value};
use crate::quant::{Border, QuantNode, QuantOp, QuantTensor, RangeOrigin, TensorId};
use ndarray::Array2;
use num_rational::BigRational;
use num_traits::One;
use systole_arith::{BorderOp, IntType, Range};

impl<'g> Lowering<'g> {
    /// The operands of a node as the imported network has them.
    pub fn operands<'a>(&self, node: &'a Node) -> Operands<'a>
    where
        'g: 'a,
    {
        let graph: &'a crate::graph::Graph = self.graph;
        Operands::new(&node.name, node.inputs.iter().map(|id| id.map(|id| graph.tensor(id))).collect())
    }

    /// The value of an operand. An input that the caller gave a type is an integer tensor from its
    /// first use on.
    ///
    /// # Errors
    /// If the operand is absent or has no value.
    pub fn operand(&mut self, node: &Node, position: usize) -> Result<Value, CompileError> {
        let Some(id) = node.inputs.get(position).copied().flatten() else {
            return Err(CompileError::node(
                &node.name,
                format!("operand {position} is missing"),
                "export the model again",
            ));
        };
        let value = self.value(&node.name, id)?.clone();
        let Value::Host { input, shape, operations } = &value else { return Ok(value) };
        let name = self.graph.tensor(*input).name.clone();
        let Some(&chosen) = self.input_types.get(&name) else { return Ok(value) };
        let (quantizer, element, scale) = input_quantizer(&name, chosen)?;
        let mut operations = operations.clone();
        if self.graph.tensor(*input).element != ElementType::Float32 {
            operations.push(BorderOp::ToFloat);
        }
        operations.push(quantizer);
        let (input, shape) = (*input, shape.clone());
        let entering = Entering { id, input, shape, element, range: element.range(), operations };
        let tensor = self.add_entering(name, entering, Some((&scale, 0)))?;
        let value = Value::Integer { tensor, scale, zero_point: 0 };
        self.values.insert(id, value.clone());
        Ok(value)
    }

    /// Defines the first result of a node.
    ///
    /// # Errors
    /// If the node has no result.
    pub fn define(&mut self, node: &Node, value: Value) -> Result<(), CompileError> {
        self.define_at(node, 0, value)
    }

    /// Defines a result of a node.
    ///
    /// # Errors
    /// If the node has no such result.
    pub fn define_at(&mut self, node: &Node, position: usize, value: Value) -> Result<(), CompileError> {
        let Some(id) = node.outputs.get(position).copied() else {
            return Err(CompileError::node(&node.name, "it has no result", "remove the node"));
        };
        self.values.insert(id, value);
        Ok(())
    }

    /// Shape of one sample of a tensor: without the batch dimension.
    ///
    /// # Errors
    /// If the first dimension is missing or not 1.
    pub fn sample_shape(&self, node: &str, id: GraphTensor) -> Result<Vec<usize>, CompileError> {
        let tensor = self.graph.tensor(id);
        match tensor.shape.split_first() {
            Some((1, rest)) => Ok(rest.to_vec()),
            _ => Err(CompileError::node(
                node,
                format!("`{}` has shape {:?}: the first dimension is not the batch of 1", tensor.name, tensor.shape),
                "keep the batch dimension in front, such as [1, channels]",
            )),
        }
    }

    /// Shape of one sample of the node's first result.
    pub(super) fn result_shape(&self, node: &Node) -> Result<Vec<usize>, CompileError> {
        match node.outputs.first() {
            Some(id) => self.sample_shape(&node.name, *id),
            None => Err(CompileError::node(&node.name, "it has no result", "remove the node")),
        }
    }

    /// Name of the node's first result in the model file.
    pub(crate) fn result_name(&self, node: &Node) -> String {
        node.outputs.first().map_or_else(|| node.name.clone(), |id| self.graph.tensor(*id).name.clone())
    }

    /// Adds an integer tensor under `name`, numbered where that is taken. `real` is its scale and
    /// zero point.
    pub(crate) fn add_tensor(
        &mut self,
        name: String,
        shape: Vec<usize>,
        element: IntType,
        range: Range,
        real: Option<(&BigRational, i64)>,
    ) -> Result<TensorId, CompileError> {
        let name = unique(&name, |candidate| self.tensors.iter().any(|t| t.name == candidate));
        let id = u32::try_from(self.tensors.len())
            .map_err(|_| CompileError::model("the network has 2^32 tensors", "split it"))?;
        self.tensors.push(QuantTensor {
            name,
            shape,
            element,
            range,
            origin: RangeOrigin::FromType,
            scale: real.and_then(|(scale, _)| num_traits::ToPrimitive::to_f64(scale)),
            zero_point: real.map_or(0, |(_, zero_point)| zero_point),
        });
        Ok(TensorId(id))
    }

    /// Adds an operator under `name`, numbered where that is taken.
    pub(crate) fn add_node(&mut self, name: &str, op: QuantOp, inputs: Vec<TensorId>, output: TensorId) {
        let name = unique(name, |candidate| self.nodes.iter().any(|n| n.name == candidate));
        self.nodes.push(QuantNode { name, op, inputs, output });
    }

    /// Adds the border between a graph input and an integer tensor.
    pub(crate) fn add_input(&mut self, input: GraphTensor, tensor: TensorId, operations: Vec<BorderOp>) {
        let source = self.graph.tensor(input);
        self.inputs.push(Border {
            tensor,
            host_name: source.name.clone(),
            host_shape: source.shape.get(1..).unwrap_or_default().to_vec(),
            host_type: source.element.name().into(),
            operations,
        });
    }

    /// The result is the operand.
    ///
    /// # Errors
    /// If there is no operand or result.
    pub fn pass_through(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.operand(node, 0)?;
        self.define(node, value)
    }

    /// A change of element type that changes no number.
    ///
    /// # Errors
    /// If real values would be truncated to integers.
    pub fn lower_cast(&mut self, node: &Node, to: ElementType) -> Result<(), CompileError> {
        let value = self.operand(node, 0)?;
        let from = self.operands(node).required(0, "input")?.element;
        let value = match (value, to) {
            (Value::Host { input, shape, mut operations }, ElementType::Float32) => {
                if from != ElementType::Float32 {
                    operations.push(BorderOp::ToFloat);
                }
                Value::Host { input, shape, operations }
            }
            (
                value @ (Value::Integer { .. } | Value::Real(_) | Value::Float(_) | Value::Tail { .. }),
                ElementType::Float32,
            ) => value,
            (value, _) if from != ElementType::Float32 && from != ElementType::Bool && to == ElementType::Int64 => {
                value
            }
            _ => {
                return Err(CompileError::node(
                    &node.name,
                    format!("it casts {} to {} at run time", from.name(), to.name()),
                    "use a quantizer; only casts that change no number are compiled",
                ))
            }
        };
        self.define(node, value)
    }

    /// A tensor made during the lowering.
    pub(crate) fn tensor(&self, node: &str, id: TensorId) -> Result<&QuantTensor, CompileError> {
        self.tensors.get(id.0 as usize).ok_or_else(|| CompileError::Internal {
            pass: "lower_to_integers",
            cause: format!("node `{node}` uses tensor {} of {}", id.0, self.tensors.len()),
        })
    }
}

/// Weights `[M, C]` for inputs that the accelerator holds in another order: `places[c]` is where it has
/// the file's input c.
pub(crate) fn placed(weights: &Array2<i64>, places: &[usize]) -> Array2<i64> {
    let mut result = Array2::zeros(weights.raw_dim());
    for (column, &place) in weights.columns().into_iter().zip(places) {
        result.column_mut(place).assign(&column);
    }
    result
}

/// Widest type of an input, in bits.
const INPUT_BITS: u32 = 32;

/// The border operation of a type that the caller chose, the integers' type, and the scale.
fn input_quantizer(input: &str, chosen: InputType) -> Result<(BorderOp, IntType, BigRational), CompileError> {
    let (bits, exponent) = match chosen {
        InputType::Fixed { bits, integer_bits } => (bits, i64::from(integer_bits) - i64::from(bits)),
        InputType::Integer(element) => (element.bits(), 0),
    };
    if !(1..=INPUT_BITS).contains(&bits) || exponent.abs() > 64 {
        return Err(CompileError::model(
            format!("the type of input `{input}` has {bits} bits, steps of 2^{exponent}"),
            format!("use 1 to {INPUT_BITS} bits and steps from 2^-64 to 2^64"),
        ));
    }
    Ok(match chosen {
        InputType::Fixed { bits, integer_bits } => {
            let two = BigRational::from_integer(2.into());
            let scale = num_traits::Pow::pow(two, exponent as i32);
            (border::quantize_fixed(bits, integer_bits), IntType::Signed(bits), scale)
        }
        InputType::Integer(element) => (BorderOp::QuantizeInteger { element }, element, BigRational::one()),
    })
}

/// `name`, or `name_2`, `name_3` ... where it is taken.
fn unique(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut candidate = name.to_string();
    let mut number = 2;
    while taken(&candidate) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}
