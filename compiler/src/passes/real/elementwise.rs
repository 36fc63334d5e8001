//! Elementwise operators with constants, on every kind of value.

use super::border;
use super::floating::PendingFloat;
use super::linear::channel_values;
use super::QuantizedTensor;
use crate::diagnostic::CompileError;
use crate::graph::{ElementType, Node, Tensor};
use crate::ops::onnx::arithmetic::Arithmetic;
use crate::ops::onnx::batch_normalization::Parameters;
use crate::ops::onnx::operands::broadcast_shape;
use crate::ops::onnx::Operands;
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Lowering, Value};
use crate::profile::Profile;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use systole_arith::border::FloatConstant;
use systole_arith::formula::FloatOp;
use systole_arith::join::OrtOperation;
use systole_arith::table::OrtFunction;
use systole_arith::BorderOp;

/// `scale * x + offset`, which Add, Sub, Mul and Div with a constant are; one, or one a channel.
struct Affine {
    scale: Vec<BigRational>,
    offset: Vec<BigRational>,
}

impl Lowering<'_> {
    /// Add, Sub, Mul or Div of a computed tensor and a constant.
    ///
    /// # Errors
    /// If both operands are computed and have no exact sum, the constant varies along another dimension than the
    /// innermost, or the operation has no exact form on the value.
    pub fn lower_arithmetic(&mut self, op: Arithmetic, node: &Node) -> Result<(), CompileError> {
        let operands = self.operands(node);
        let (a, b) = (operands.required(0, "a")?, operands.required(1, "b")?);
        let (position, constant_position) = match (a.constant.is_some(), b.constant.is_some()) {
            (false, true) => (0, 1),
            (true, false) => (1, 0),
            (false, false) if self.profile == Profile::Ort => return self.float_arithmetic_of_two(op, node),
            (false, false) if matches!(op, Arithmetic::Add | Arithmetic::Sub) => {
                return self.open_sum(node, op == Arithmetic::Sub)
            }
            _ => {
                return Err(operands.error(
                    format!("{} of two computed tensors, `{}` and `{}`", op.name(), a.name, b.name),
                    "sums and differences of two tensors are compiled; else one operand must be constant",
                ))
            }
        };
        let data = if position == 0 { a } else { b };
        let swapped = position == 1;
        if op == Arithmetic::Div && !swapped && operands.floats(1, "divisor")?.iter().any(|&c| c == 0.0) {
            return Err(operands.error("it divides by 0", "train and export the model again"));
        }
        let value = match self.operand(node, position)? {
            Value::Host { input, shape, mut operations } => {
                operations.push(border::arithmetic(op, host_constant(&operands, constant_position, data)?, swapped));
                Value::Host { input, shape, operations }
            }
            Value::Tail { tensor, shape, mut operations } => {
                operations.push(border::arithmetic(op, host_constant(&operands, constant_position, data)?, swapped));
                Value::Tail { tensor, shape, operations }
            }
            _ if swapped && op == Arithmetic::Div => {
                return Err(operands.error(
                    format!("it divides a constant by the computed tensor `{}`", data.name),
                    "only division by constants is compiled",
                ));
            }
            Value::Float(pending) => {
                return self.float_arithmetic(op, node, *pending, (data, constant_position, swapped));
            }
            Value::Integer { .. } if self.profile == Profile::Ort => {
                let input = self.dequantized_operand(node, position)?;
                let pending = self.float_tensor(node, input)?;
                return self.float_arithmetic(op, node, pending, (data, constant_position, swapped));
            }
            Value::Real(mut real) => {
                let constants = channel_values(&operands, constant_position, data, &real.layout)?;
                let Affine { scale, offset } = affine(op, &constants, swapped);
                real.affine(scale, offset);
                Value::Real(real)
            }
            Value::Integer { tensor, scale, zero_point } => {
                let layout = self.layout(&node.name, tensor)?;
                let constants = channel_values(&operands, constant_position, data, &layout)?;
                let function = affine(op, &constants, swapped);
                match rescaled(&function, &scale, zero_point) {
                    Some((scale, zero_point)) => Value::Integer { tensor, scale, zero_point },
                    None => {
                        let mut real = self.elements(node, &QuantizedTensor { tensor, scale, zero_point })?;
                        real.affine(function.scale, function.offset);
                        Value::Real(Box::new(real))
                    }
                }
            }
        };
        self.define(node, value)
    }

    /// Add, Sub or Mul of two dequantized tensors.
    fn float_arithmetic_of_two(&mut self, op: Arithmetic, node: &Node) -> Result<(), CompileError> {
        let operation = match op {
            Arithmetic::Add => OrtOperation::Add,
            Arithmetic::Sub => OrtOperation::Subtract,
            Arithmetic::Mul => OrtOperation::Multiply,
            Arithmetic::Div | Arithmetic::Pow => {
                return Err(CompileError::node(
                    &node.name,
                    format!("{} of two computed tensors", op.name()),
                    "only sums, differences and products of two tensors are compiled",
                ))
            }
        };
        let operands = [(0, self.dequantized_operand(node, 0)?), (1, self.dequantized_operand(node, 1)?)];
        let pending = self.float_join(node, operation, &operands)?;
        self.define_float(node, pending)
    }

    /// `alpha * x + beta * bias[c]` on the node's own pending product.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn scale_and_add(
        &mut self,
        node: &Node,
        alpha: f32,
        beta: f32,
        bias: Option<&[f32]>,
    ) -> Result<(), CompileError> {
        let scale = rationals(&[alpha]);
        let beta = rationals(&[beta]);
        let offset = bias.map_or_else(|| Some(vec![BigRational::zero()]), rationals);
        let (Some(scale), Some(beta), Some(bias)) = (scale, beta, offset) else {
            return Err(not_finite(node));
        };
        let id = node.outputs.first().copied();
        let Some(Value::Real(real)) = id.and_then(|id| self.values.get_mut(&id)) else {
            return Err(CompileError::Internal {
                pass: "lower_to_integers",
                cause: format!("node `{}` opened no product", node.name),
            });
        };
        real.affine(scale, super::pending::zip(&bias, &beta, |a, b| a * b));
        Ok(())
    }

    /// Batch normalization, exactly: the square root stays symbolic.
    ///
    /// # Errors
    /// If the operand is not quantized, nor the result of a product.
    pub fn normalize(&mut self, node: &Node, parameters: &Parameters, epsilon: f32) -> Result<(), CompileError> {
        let mut real = match self.operand(node, 0)? {
            Value::Real(real) => real,
            Value::Integer { tensor, scale, zero_point } if self.profile == Profile::Qonnx => {
                Box::new(self.elements(node, &QuantizedTensor { tensor, scale, zero_point })?)
            }
            Value::Integer { .. } if self.profile == Profile::Ort => {
                let input = self.dequantized_operand(node, 0)?;
                let pending = self.float_tensor(node, input)?;
                return self.float_normalize(node, pending, parameters, epsilon);
            }
            Value::Float(pending) => return self.float_normalize(node, *pending, parameters, epsilon),
            _ => {
                return Err(CompileError::node(
                    &node.name,
                    "it normalizes something else than the result of a matrix product",
                    "fold it into Mul and Add, or into the product in front of it",
                ))
            }
        };
        self.expect_channels_innermost(node, &real.layout)?;
        let lists = (
            rationals(&parameters.gamma),
            rationals(&parameters.beta),
            rationals(&parameters.mean),
            rationals(&parameters.variance),
            BigRational::from_float(epsilon),
        );
        let (Some(gamma), Some(beta), Some(mean), Some(variance), Some(epsilon)) = lists else {
            return Err(not_finite(node));
        };
        real.affine(vec![BigRational::one()], mean.into_iter().map(|v| -v).collect());
        real.divide_by_sqrt(variance.into_iter().map(|v| v + &epsilon).collect());
        real.affine(gamma, beta);
        self.define(node, Value::Real(real))
    }

    /// Batch normalization in float32 as ONNX Runtime computes it: a factor and a summand for each channel, a rounding
    /// for each operation.
    fn float_normalize(
        &mut self,
        node: &Node,
        mut pending: PendingFloat,
        parameters: &Parameters,
        epsilon: f32,
    ) -> Result<(), CompileError> {
        self.expect_channels_innermost(node, &pending.layout)?;
        let Parameters { gamma, beta, mean, variance } = parameters;
        let factors: Vec<f32> =
            gamma.iter().zip(variance).map(|(gamma, variance)| gamma * (1.0 / (variance + epsilon).sqrt())).collect();
        let summands: Vec<f32> =
            beta.iter().zip(mean).zip(&factors).map(|((beta, mean), factor)| beta - mean * factor).collect();
        if factors.iter().chain(&summands).any(|value| !value.is_finite()) {
            return Err(not_finite(node));
        }
        let operations = [FloatOp::Multiply { constant: factors }, FloatOp::Add { constant: summands }];
        pending.functions.extend(operations.map(|operation| OrtFunction::Arithmetic { operation }));
        self.define_float(node, pending)
    }

    /// Fails where the channels of a normalized tensor are not innermost.
    fn expect_channels_innermost(&self, node: &Node, layout: &Layout) -> Result<(), CompileError> {
        let shape = &self.operands(node).required(0, "input")?.shape;
        let file = sample_shape(shape);
        let channels_innermost = match layout.is_aligned(&file) {
            true => layout.innermost() == Some(0),
            false => file.len() == 1 && layout.is_in_order(),
        };
        match channels_innermost {
            true => Ok(()),
            false => Err(CompileError::node(
                &node.name,
                format!("the channels of a tensor {shape:?} are not innermost where it is normalized"),
                "normalize images [1, channels, ...] or a tensor [1, channels]",
            )),
        }
    }

    /// `max(x, 0)`.
    ///
    /// # Errors
    /// If the operand holds integers on the host.
    pub fn lower_relu(&mut self, node: &Node) -> Result<(), CompileError> {
        let element = self.operands(node).required(0, "input")?.element;
        let value = match self.operand(node, 0)? {
            Value::Host { .. } | Value::Tail { .. } if element != ElementType::Float32 => {
                return Err(CompileError::node(
                    &node.name,
                    format!("Relu of {} on the host", element.name()),
                    "cast its operand to float",
                ))
            }
            Value::Host { input, shape, mut operations } => {
                operations.push(BorderOp::Relu);
                Value::Host { input, shape, operations }
            }
            Value::Tail { tensor, shape, mut operations } => {
                operations.push(BorderOp::Relu);
                Value::Tail { tensor, shape, operations }
            }
            Value::Real(mut real) => {
                real.relu();
                Value::Real(real)
            }
            Value::Float(_) => return self.lower_function(node, relu()),
            Value::Integer { .. } if self.profile == Profile::Ort => return self.lower_function(node, relu()),
            Value::Integer { tensor, scale, zero_point } => {
                let range = self.tensor(&node.name, tensor)?.range;
                if range.lo < zero_point || scale < BigRational::zero() {
                    let mut real = self.elements(node, &QuantizedTensor { tensor, scale, zero_point })?;
                    real.relu();
                    return self.define(node, Value::Real(Box::new(real)));
                }
                Value::Integer { tensor, scale, zero_point }
            }
        };
        self.define(node, value)
    }
}

/// `max(x, 0)` in float32.
fn relu() -> OrtFunction {
    OrtFunction::Arithmetic { operation: FloatOp::RELU }
}

/// A constant operand for the host, where any shape that broadcasts is executed.
fn host_constant(operands: &Operands, position: usize, data: &Tensor) -> Result<FloatConstant, CompileError> {
    let values = operands.floats(position, "constant")?;
    let shape = values.shape().to_vec();
    let of_sample = match shape.split_first() {
        Some((1, rest)) if shape.len() == data.shape.len() => rest.to_vec(),
        _ => shape.clone(),
    };
    let fits = broadcast_shape(&shape, &data.shape).as_ref() == Some(&data.shape) && of_sample.len() < data.shape.len();
    let constant = FloatConstant::new(of_sample, values.into_iter().collect()).filter(|_| fits);
    constant.ok_or_else(|| misfit(operands, &shape, data, "give finite values that broadcast to the tensor"))
}

fn misfit(operands: &Operands, shape: &[usize], data: &Tensor, remedy: &str) -> CompileError {
    operands
        .error(format!("a constant of shape {shape:?} on the tensor `{}` of shape {:?}", data.name, data.shape), remedy)
}

fn not_finite(node: &Node) -> CompileError {
    CompileError::node(&node.name, "a constant is not a finite number", "train and export the model again")
}

fn rationals(values: &[f32]) -> Option<Vec<BigRational>> {
    values.iter().map(|&v| BigRational::from_float(v)).collect()
}

fn affine(op: Arithmetic, constants: &[f32], swapped: bool) -> Affine {
    let constants = rationals(constants).unwrap_or_default();
    let one = || vec![BigRational::one()];
    let zero = || vec![BigRational::zero()];
    match (op, swapped) {
        (Arithmetic::Add, _) => Affine { scale: one(), offset: constants },
        (Arithmetic::Sub, false) => Affine { scale: one(), offset: constants.into_iter().map(|c| -c).collect() },
        (Arithmetic::Sub, true) => Affine { scale: vec![-BigRational::one()], offset: constants },
        (Arithmetic::Mul, _) => Affine { scale: constants, offset: zero() },
        (Arithmetic::Div | Arithmetic::Pow, _) => {
            Affine { scale: constants.into_iter().map(|c| c.recip()).collect(), offset: zero() }
        }
    }
}

/// Scale and zero point of `affine` on `(q - zero_point) * scale`, where it is again of that form.
fn rescaled(affine: &Affine, scale: &BigRational, zero_point: i64) -> Option<(BigRational, i64)> {
    let ([factor], [offset]) = (affine.scale.as_slice(), affine.offset.as_slice()) else { return None };
    if factor.is_zero() {
        return None;
    }
    // factor * (q - z) * s + offset = (q - (z - offset / (factor * s))) * factor * s
    let scale = scale * factor;
    let shift = offset / &scale;
    let shift = shift.is_integer().then(|| shift.to_integer().to_i64()).flatten()?;
    let zero_point = zero_point.checked_sub(shift).filter(|z| z.abs() <= 1 << 20)?;
    Some((scale, zero_point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_on_integers_moves_scale_and_zero_point() {
        let half = BigRational::new(1.into(), 2.into());
        assert_eq!(rescaled(&affine(Arithmetic::Add, &[1.5], false), &half, 4), Some((half.clone(), 1)));
        assert_eq!(rescaled(&affine(Arithmetic::Add, &[0.25], false), &half, 4), None);
        let quarter = BigRational::new(1.into(), 4.into());
        assert_eq!(rescaled(&affine(Arithmetic::Div, &[2.0], false), &half, 4), Some((quarter, 4)));
        assert_eq!(rescaled(&affine(Arithmetic::Mul, &[0.0], false), &half, 4), None);
        assert_eq!(rescaled(&affine(Arithmetic::Mul, &[2.0, 3.0], false), &half, 4), None);
    }

    #[test]
    fn a_constant_minus_a_tensor_negates_it() {
        let half = BigRational::new(1.into(), 2.into());
        // 3 - (q - 4) / 2 = (q - 10) * -1/2
        assert_eq!(rescaled(&affine(Arithmetic::Sub, &[3.0], true), &half, 4), Some((-half, 10)));
    }
}
