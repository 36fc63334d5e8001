//! QuantizeLinear and DequantizeLinear on every kind of value, and what ONNX Runtime's quantized
//! operators ask of their operands.

use super::border;
use super::floating::{Dequantized, FloatSource, PendingFloat};
use super::requantize::{dense, stored, Target};
use super::Quantizer;
use crate::diagnostic::CompileError;
use crate::graph::{ElementType, Node, Tensor};
use crate::ops::onnx::arithmetic::Arithmetic;
use crate::ops::onnx::operands::broadcast_shape;
use crate::ops::onnx::quant::of_channel;
use crate::ops::onnx::Operands;
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Entering, Lowering, Value};
use crate::quant::TensorId;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use systole_arith::border::{FloatConstant, HostQuant};
use systole_arith::formula::{FloatOp, OrtQuantization};
use systole_arith::rounding::RoundingMode;
use systole_arith::table::OrtFunction;
use systole_arith::{BorderOp, Formula, IntType, Range};

impl Lowering<'_> {
    /// Operand `position` as integers of the accelerator, as plain numbers. Integers that the host
    /// still holds enter here.
    ///
    /// # Errors
    /// If it is real, or computed by the host behind the accelerator.
    pub fn stored_operand(&mut self, node: &Node, position: usize) -> Result<TensorId, CompileError> {
        let id = self.operand_id(node, position)?;
        let source = self.graph.tensor(id);
        let name = source.name.clone();
        match self.value(&node.name, id)?.clone() {
            Value::Integer { tensor, .. } => Ok(tensor),
            Value::Host { input, shape, operations } => {
                let element = match source.element {
                    ElementType::Int8 => IntType::Signed(8),
                    ElementType::Uint8 => IntType::Unsigned(8),
                    other => {
                        return Err(CompileError::node(
                            &node.name,
                            format!("operand `{name}` is {}", other.name()),
                            "put a QuantizeLinear to int8 or uint8 in front of it",
                        ))
                    }
                };
                let entering = Entering { id, input, shape, element, range: element.range(), operations };
                let tensor = self.add_entering(name, entering, None)?;
                self.values.insert(id, stored(tensor));
                Ok(tensor)
            }
            Value::Real(_) | Value::Float(_) | Value::Tail { .. } => Err(CompileError::node(
                &node.name,
                format!("operand `{name}` is no quantized tensor of the accelerator"),
                "put QuantizeLinear in front of it, and Softmax and ArgMax at the network's end",
            )),
        }
    }

    /// Operand `position` as real numbers that integers of the accelerator stand for.
    ///
    /// # Errors
    /// If it has no quantizer.
    pub fn dequantized_operand(&mut self, node: &Node, position: usize) -> Result<Dequantized, CompileError> {
        let id = self.operand_id(node, position)?;
        let name = self.graph.tensor(id).name.clone();
        let error = |cause: String, remedy: String| Err(CompileError::node(&node.name, cause, remedy));
        match self.operand(node, position)? {
            Value::Integer { tensor, scale, zero_point } => {
                let single = scale.to_f64().map(|scale| scale as f32).filter(|&s| s.is_finite() && s > 0.0);
                match single {
                    Some(scale) => Ok(Dequantized { tensor, quantization: OrtQuantization { scale, zero_point } }),
                    None => error(format!("operand `{name}` has scale {scale}"), "quantize the model again".into()),
                }
            }
            Value::Host { input, .. } => {
                let input = self.graph.tensor(input).name.clone();
                error(
                    format!("input `{input}` reaches it as real numbers, without a quantizer"),
                    format!("quantize the model's inputs too, or pass --input-type {input}=fixed<W,I>"),
                )
            }
            Value::Float(pending) => error(
                format!("its operand `{name}` is the float result of `{}`", pending.node),
                "put QuantizeLinear and DequantizeLinear between them".into(),
            ),
            Value::Real(_) | Value::Tail { .. } => error(
                format!("its operand `{name}` is not quantized"),
                "put QuantizeLinear and DequantizeLinear in front of it, and Softmax at the network's end".into(),
            ),
        }
    }

    /// QuantizeLinear.
    ///
    /// # Errors
    /// If what it closes has no exact integer form.
    pub fn quantize_linear(&mut self, node: &Node, target: Target) -> Result<(), CompileError> {
        let value = match self.operand(node, 0)? {
            Value::Host { input, shape, mut operations } => {
                let id = self.operand_id(node, 0)?;
                if self.graph.tensor(id).element != ElementType::Float32 {
                    operations.push(BorderOp::ToFloat);
                }
                operations.extend(host_quantizer(target));
                let Target { quantization, element } = target;
                let scale = self.rational(&node.name, quantization.scale)?;
                let entering = Entering { id, input, shape, element, range: element.range(), operations };
                let real = Some((&scale, quantization.zero_point));
                stored(self.add_entering(self.result_name(node), entering, real)?)
            }
            Value::Integer { .. } => {
                let input = self.dequantized_operand(node, 0)?;
                let pending = self.float_tensor(node, input)?;
                self.quantize(node, pending, target)?
            }
            Value::Float(pending) => self.quantize(node, *pending, target)?,
            Value::Real(_) => {
                let Target { quantization, element } = target;
                let (lo, hi) = (element.range().lo, element.range().hi);
                let OrtQuantization { scale, zero_point } = quantization;
                let rounding = RoundingMode::HalfEven;
                self.close_with(node, Quantizer::Integer { scale, zero_point, lo, hi, rounding })?;
                let result = node.outputs.first().and_then(|id| self.values.get(id));
                match result {
                    Some(Value::Integer { tensor, .. }) => stored(*tensor),
                    _ => return Ok(()),
                }
            }
            Value::Tail { tensor, shape, mut operations } => {
                operations.extend(host_quantizer(target));
                Value::Tail { tensor, shape, operations }
            }
        };
        self.define(node, value)
    }

    /// DequantizeLinear of a tensor with one scale.
    ///
    /// # Errors
    /// If the operand holds no integers.
    pub fn dequantize_linear(&mut self, node: &Node, quantization: OrtQuantization) -> Result<(), CompileError> {
        let id = self.operand_id(node, 0)?;
        let scale = self.rational(&node.name, quantization.scale)?;
        let zero_point = quantization.zero_point;
        let value = match self.value(&node.name, id)?.clone() {
            Value::Float(mut pending) if zero_point == 0 => {
                let operation = FloatOp::Multiply { constant: vec![quantization.scale] };
                pending.functions.push(OrtFunction::Arithmetic { operation });
                Value::Float(pending)
            }
            Value::Tail { tensor, shape, mut operations } => {
                let offset = -(&scale * BigRational::from_integer(zero_point.into()));
                operations.push(border::affine(vec![scale], vec![offset]));
                Value::Tail { tensor, shape, operations }
            }
            _ => Value::Integer { tensor: self.stored_operand(node, 0)?, scale, zero_point },
        };
        self.define(node, value)
    }

    /// QLinearSoftmax on the host, over dimension `axis` of the file and those behind it.
    ///
    /// # Errors
    /// If the operand is no integer tensor of the accelerator.
    pub fn quantized_softmax(
        &mut self,
        node: &Node,
        (input, target): (OrtQuantization, Target),
        axis: usize,
    ) -> Result<(), CompileError> {
        let id = self.operand_id(node, 0)?;
        let tensor = self.stored_operand(node, 0)?;
        let (scale, zero_point) = (self.rational(&node.name, input.scale)?, input.zero_point);
        let (tensor, shape, mut operations) =
            self.tail_of(&node.name, id, Value::Integer { tensor, scale, zero_point })?;
        let (rows, row) = shape.split_at(axis.saturating_sub(1).min(shape.len()));
        operations.push(border::reshape(&[rows.iter().product(), row.iter().product()]));
        operations.push(BorderOp::Softmax);
        operations.extend(host_quantizer(target));
        operations.push(border::reshape(&shape));
        self.define(node, Value::Tail { tensor, shape, operations })
    }

    /// A dequantized tensor as a float operator.
    pub fn float_tensor(&self, node: &Node, input: Dequantized) -> Result<PendingFloat, CompileError> {
        Ok(PendingFloat {
            node: node.name.clone(),
            shape: self.tensor(&node.name, input.tensor)?.shape.clone(),
            layout: self.layout(&node.name, input.tensor)?,
            source: FloatSource::Tensor(input),
            functions: Vec::new(),
        })
    }

    /// Defines the result of a float operator: closed at once where the file's tensor holds integers,
    /// open until its QuantizeLinear otherwise.
    ///
    /// # Errors
    /// As [`Lowering::quantize`].
    pub fn define_float(&mut self, node: &Node, pending: PendingFloat) -> Result<(), CompileError> {
        let element = node.outputs.first().map(|&id| self.graph.tensor(id).element);
        let element = match element {
            Some(ElementType::Int8) => IntType::Signed(8),
            Some(ElementType::Uint8) => IntType::Unsigned(8),
            _ => return self.define(node, Value::Float(Box::new(pending))),
        };
        let target = Target { quantization: OrtQuantization { scale: 1.0, zero_point: 0 }, element };
        let value = self.quantize(node, pending, target)?;
        self.define(node, value)
    }

    /// Continues operand 0 with a float32 function.
    ///
    /// # Errors
    /// If it is no dequantized tensor and no float operator on some.
    pub fn lower_function(&mut self, node: &Node, function: OrtFunction) -> Result<(), CompileError> {
        let mut pending = match self.operand(node, 0)? {
            Value::Float(pending) => *pending,
            _ => {
                let input = self.dequantized_operand(node, 0)?;
                self.float_tensor(node, input)?
            }
        };
        pending.functions.push(function);
        self.define_float(node, pending)
    }

    /// Add, Sub, Mul or Div of a dequantized tensor or float operator and a constant.
    ///
    /// # Errors
    /// If the constant varies along another dimension than the channels.
    pub(super) fn float_arithmetic(
        &mut self,
        op: Arithmetic,
        node: &Node,
        mut pending: PendingFloat,
        (data, position, swapped): (&Tensor, usize, bool),
    ) -> Result<(), CompileError> {
        let operands = self.operands(node);
        let constant = channel_values(&operands, position, data, &pending.layout)?;
        let negated = |constant: Vec<f32>| constant.into_iter().map(|c| -c).collect();
        if let (Arithmetic::Add, FloatSource::Product(product), true) =
            (op, &mut pending.source, pending.functions.is_empty())
        {
            // A bias of its own node: in steps of the sums, as Gemm has it.
            if let Some(scales) = product.scales.clone().filter(|s| s.alpha == 1.0) {
                let step = |m: usize| scales.input * of_channel(&scales.weights, m);
                for (m, bias) in product.bias.iter_mut().enumerate() {
                    let value = constant.get(if constant.len() == 1 { 0 } else { m }).copied().unwrap_or(0.0);
                    *bias = bias.saturating_add((value / step(m)).round_ties_even() as i64);
                }
                if product.bias.iter().any(|&bias| i32::try_from(bias).is_err()) {
                    return Err(operands.error("the sum of its biases does not fit int32", "quantize the model again"));
                }
                return self.define_float(node, pending);
            }
        }
        let operations = match (op, swapped) {
            (Arithmetic::Add, _) => vec![FloatOp::Add { constant }],
            (Arithmetic::Sub, false) => vec![FloatOp::Add { constant: negated(constant) }],
            (Arithmetic::Sub, true) => vec![FloatOp::Multiply { constant: vec![-1.0] }, FloatOp::Add { constant }],
            (Arithmetic::Mul, _) => vec![FloatOp::Multiply { constant }],
            (Arithmetic::Div, false) => vec![FloatOp::Divide { constant }],
            (Arithmetic::Div, true) | (Arithmetic::Pow, _) => {
                return Err(operands.error(
                    format!("{} with the computed tensor `{}`", op.name(), data.name),
                    "only division by constants is compiled",
                ))
            }
        };
        pending.functions.extend(operations.into_iter().map(|operation| OrtFunction::Arithmetic { operation }));
        self.define_float(node, pending)
    }

    /// A float operator at the network's end: a tensor of the accelerator and the host's operations, in
    /// the file's order and its shape `file`.
    pub(super) fn float_tail(
        &mut self,
        pending: PendingFloat,
        file: &[usize],
    ) -> Result<(TensorId, Vec<BorderOp>), CompileError> {
        let PendingFloat { node, source, functions, shape, layout } = pending;
        let (tensor, mut operations) = match source {
            FloatSource::Tensor(Dequantized { tensor, quantization }) => {
                let scale = self.rational(&node, quantization.scale)?;
                let offset = -(&scale * BigRational::from_integer(quantization.zero_point.into()));
                (tensor, vec![border::affine(vec![scale], vec![offset])])
            }
            FloatSource::Product(product) => {
                let scales = match &product.scales {
                    None => vec![BigRational::one()],
                    Some(scales) => {
                        let input = self.rational(&node, scales.input)? * self.rational(&node, scales.alpha)?;
                        let of = |scale: &f32| self.rational(&node, *scale).map(|scale| scale * &input);
                        scales.weights.iter().map(of).collect::<Result<Vec<_>, _>>()?
                    }
                };
                let formula = Formula::Identity { channels: product.bias.len() };
                // Type and range follow from the weights when the exact maps are derived.
                let sums = IntType::Signed(crate::quant::ACCUMULATOR_BITS);
                let tensor = self.add_tensor(format!("{node}.sums"), shape.clone(), sums, sums.range(), None)?;
                self.layouts.insert(tensor, layout.clone());
                let (geometry, input) = (product.geometry, product.input);
                self.add_node(&node, geometry.operator(dense(product, formula)), vec![input], tensor);
                (tensor, vec![border::affine(scales, vec![BigRational::zero()])])
            }
            _ => {
                return Err(CompileError::node(
                    node,
                    "its float result leaves the network without a quantizer",
                    "put a QuantizeLinear and a DequantizeLinear behind it",
                ))
            }
        };
        let channels = self.tensor(&node, tensor)?.channels();
        for function in &functions {
            operations.push(host_function(function, channels).ok_or_else(|| {
                CompileError::node(
                    &node,
                    format!("the network ends with `{function}` on float numbers"),
                    "put a QuantizeLinear and a DequantizeLinear behind it",
                )
            })?);
        }
        operations.extend(layout.to_file(&shape, file));
        Ok((tensor, operations))
    }
}

/// QuantizeLinear on the host: `clamp(rint_half_even(f32(x / scale)) + zero_point)`.
fn host_quantizer(target: Target) -> Vec<BorderOp> {
    let Target { quantization: OrtQuantization { scale, zero_point }, element } = target;
    let Range { lo, hi } = element.range();
    let mut operations = vec![BorderOp::Quant(HostQuant {
        scale: FloatConstant::scalar(scale),
        zero_point: FloatConstant::scalar(0.0),
        lo: lo - zero_point,
        hi: hi - zero_point,
        rounding: RoundingMode::HalfEven,
    })];
    if zero_point != 0 {
        // The zero point is added to the rounded number: ties go to the even one without it.
        operations.push(BorderOp::ToFloat);
        operations.push(border::arithmetic(Arithmetic::Add, FloatConstant::scalar(zero_point as f32), false));
        operations.push(BorderOp::QuantizeInteger { element });
    }
    operations
}

fn host_function(function: &OrtFunction, channels: usize) -> Option<BorderOp> {
    let constant = |values: &[f32]| match values {
        [value] => Some(FloatConstant::scalar(*value)),
        _ => FloatConstant::new(vec![channels], values.to_vec()),
    };
    let OrtFunction::Arithmetic { operation } = function else { return None };
    Some(match operation {
        FloatOp::Multiply { constant: values } => border::arithmetic(Arithmetic::Mul, constant(values)?, false),
        FloatOp::Divide { constant: values } => border::arithmetic(Arithmetic::Div, constant(values)?, false),
        FloatOp::Add { constant: values } => border::arithmetic(Arithmetic::Add, constant(values)?, false),
        FloatOp::Clip { lo: 0.0, hi: f32::MAX } => BorderOp::Relu,
        FloatOp::Clip { .. } => return None,
    })
}

/// A constant operand as one value, or one for each channel: each index of the dimension that is
/// innermost in the accelerator, where `data` of the file is held with `layout`.
///
/// # Errors
/// If it does not broadcast to `data`, varies along another dimension, or is not finite.
pub(super) fn channel_values(
    operands: &Operands,
    position: usize,
    data: &Tensor,
    layout: &Layout,
) -> Result<Vec<f32>, CompileError> {
    let values = operands.floats(position, "constant")?;
    let shape = values.shape().to_vec();
    let file = sample_shape(&data.shape);
    let fits = broadcast_shape(&shape, &data.shape).as_ref() == Some(&data.shape);
    // Where dimensions were dropped or merged, only the file's own order tells which are the channels.
    let channel = match (layout.is_aligned(&file), layout.is_in_order()) {
        (true, _) => layout.innermost(),
        (false, true) => file.len().checked_sub(1),
        (false, false) => None,
    };
    let rank = data.shape.len();
    let long: Vec<usize> =
        (0..shape.len()).filter(|&i| shape.get(i) != Some(&1)).map(|i| i + rank - shape.len().min(rank)).collect();
    let along = channel.map(|axis| axis + rank - file.len());
    let values: Vec<f32> = values.iter().copied().collect();
    let finite = values.iter().all(|v| v.is_finite());
    match values.as_slice() {
        [first, rest @ ..] if fits && finite && rest.iter().all(|v| v == first) => Ok(vec![*first]),
        _ if fits && finite && along.is_some() && long.iter().all(|&axis| Some(axis) == along) => Ok(values),
        _ => Err(operands.error(
            format!("a constant of shape {shape:?} on the tensor `{}` of shape {:?}", data.name, data.shape),
            "give one finite value, or one a channel",
        )),
    }
}
