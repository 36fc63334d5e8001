//! Functions of one element: Clip, Sigmoid, Tanh, HardSigmoid, HardSwish, LeakyRelu, PRelu (ONNX operator
//! specification) and QLinearSigmoid, QLinearLeakyRelu (com.microsoft).

use super::operands::Operands;
use super::operator::Operator;
use super::quantization;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::{Dequantized, Target};
use systole_arith::formula::{FloatOp, OrtQuantization};
use systole_arith::table::OrtFunction;
use systole_arith::TableFormula;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// `min(max(x, lo), hi)`: bounds as attributes (before version 11) or as operands 1 and 2.
    Clip {
        /// The bounds, where they are attributes.
        bounds: Option<(f32, f32)>,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// `max(0, min(1, alpha * x + beta))`
    HardSigmoid {
        /// Factor.
        alpha: f32,
        /// Summand.
        beta: f32,
    },
    /// `x * max(0, min(1, x / 6 + 0.5))`
    HardSwish,
    /// `x >= 0 ? x : alpha * x`
    LeakyRelu {
        /// Factor of negative numbers.
        alpha: f32,
    },
    /// `x >= 0 ? x : slope * x`, the slopes as operand 1: one, or one a channel.
    PRelu,
}

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation {
    /// Which.
    pub function: Function,
    /// Whether it is a QLinear operator: x, its scale and zero point, scale and zero point of the result.
    pub quantized: bool,
}

impl Activation {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match (self.function, self.quantized) {
            (Function::Clip { .. }, _) => "Clip",
            (Function::Sigmoid, false) => "Sigmoid",
            (Function::Sigmoid, true) => "QLinearSigmoid",
            (Function::Tanh, _) => "Tanh",
            (Function::HardSigmoid { .. }, _) => "HardSigmoid",
            (Function::HardSwish, _) => "HardSwish",
            (Function::LeakyRelu { .. }, false) => "LeakyRelu",
            (Function::LeakyRelu { .. }, true) => "QLinearLeakyRelu",
            (Function::PRelu, _) => "PRelu",
        }
    }

    /// The function in float32.
    fn function(self, operands: &Operands) -> Result<OrtFunction, CompileError> {
        Ok(match self.function {
            Function::Clip { bounds: Some((lo, hi)) } => clip(operands, lo, hi)?,
            Function::Clip { bounds: None } => {
                let bound = |position, default: f32| match operands.optional(position) {
                    Some(_) => operands.number(position, "bound").map(|v| v as f32),
                    None => Ok(default),
                };
                clip(operands, bound(1, f32::MIN)?, bound(2, f32::MAX)?)?
            }
            Function::Sigmoid => OrtFunction::Sigmoid,
            Function::Tanh => OrtFunction::Tanh,
            Function::HardSigmoid { alpha, beta } => OrtFunction::HardSigmoid { alpha, beta },
            Function::HardSwish => OrtFunction::HardSwish,
            Function::LeakyRelu { alpha } => OrtFunction::LeakyRelu { slope: vec![alpha] },
            Function::PRelu => {
                let (data, slope) = (operands.required(0, "input")?, operands.floats(1, "slope")?);
                let channels = data.shape.get(1).copied().unwrap_or(1);
                // One a channel: of the shape [C, 1, ...], which broadcasts from the innermost dimension.
                let per_channel = slope.len() == channels
                    && slope.shape().first() == Some(&channels)
                    && slope.ndim() + 1 == data.shape.len();
                if slope.len() != 1 && !per_channel {
                    return Err(operands.error(
                        format!("slopes of shape {:?} on the tensor {:?}", slope.shape(), data.shape),
                        "give one slope, or one a channel",
                    ));
                }
                OrtFunction::LeakyRelu { slope: slope.iter().copied().collect() }
            }
        })
    }
}

fn clip(operands: &Operands, lo: f32, hi: f32) -> Result<OrtFunction, CompileError> {
    match lo <= hi {
        true => Ok(OrtFunction::Arithmetic { operation: FloatOp::Clip { lo, hi } }),
        false => Err(operands.error(format!("it clips to [{lo}, {hi}]"), "give the lesser bound first")),
    }
}

/// The least quantization that keeps a float32 result of a function apart from rounding: none is
/// applied, the function itself is wanted.
fn apply(function: &OrtFunction, x: f32, channel: usize) -> f32 {
    let of = |list: &[f32]| super::quant::of_channel(list, channel);
    match function {
        OrtFunction::Arithmetic { operation: FloatOp::Clip { lo, hi } } => x.max(*lo).min(*hi),
        OrtFunction::Arithmetic { .. } => x,
        OrtFunction::LeakyRelu { slope } => {
            if x >= 0.0 {
                x
            } else {
                x * of(slope)
            }
        }
        OrtFunction::Sigmoid => (1.0 / (1.0 + (-f64::from(x)).exp())) as f32,
        OrtFunction::Tanh => f64::from(x).tanh() as f32,
        OrtFunction::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
        OrtFunction::HardSwish => x * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0),
    }
}

impl Operator for Activation {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        let element = match (self.quantized, self.function) {
            (true, _) => quantization::element(operands, 4)?,
            (false, Function::Clip { .. }) if data.quantization.is_none() => data.element,
            (false, _) => ElementType::Float32,
        };
        Ok(vec![operands.result(data.shape.clone(), element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let function = self.function(operands)?;
        let data = operands.required(0, "input")?;
        let inner: usize = data.shape.iter().skip(2).product();
        let channels = data.shape.get(1).copied().unwrap_or(1).max(1);
        let mut place = 0usize..;
        let mut channel = || place.next().unwrap_or(0) / inner.max(1) % channels;
        let constant = match (self.quantized, &data.constant, &data.quantization) {
            (true, ..) => {
                let x = quantization::single(operands, 1, 2, "input")?;
                let y = quantization::single(operands, 3, 4, "output")?;
                let element = quantization::int_type(operands, quantization::element(operands, 4)?)?;
                let formula = TableFormula::ort(1, vec![function], x, y, element)
                    .map_err(|e| operands.error(e.to_string(), "quantize the model again"))?;
                ConstantData::Int(operands.integers(0, "input")?.mapv(|q| formula.evaluate(0, q)))
            }
            (false, Some(ConstantData::Int(values)), None) => {
                ConstantData::Int(values.mapv(|v| apply(&function, v as f32, channel()) as i64))
            }
            _ => ConstantData::Float(operands.floats(0, "input")?.mapv(|v| apply(&function, v, channel()))),
        };
        results.iter_mut().for_each(|result| result.constant = Some(constant.clone()));
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let function = self.function(&operands)?;
        if !self.quantized {
            return lowering.lower_function(node, function);
        }
        let quantization: OrtQuantization = quantization::single(&operands, 1, 2, "input")?;
        let target = Target {
            quantization: quantization::single(&operands, 3, 4, "output")?,
            element: quantization::int_type(&operands, quantization::element(&operands, 4)?)?,
        };
        let tensor = lowering.stored_operand(node, 0)?;
        let mut pending = lowering.float_tensor(node, Dequantized { tensor, quantization })?;
        pending.functions.push(function);
        let value = lowering.quantize(node, pending, target)?;
        lowering.define(node, value)
    }
}
