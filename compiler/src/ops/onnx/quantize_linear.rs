//! QuantizeLinear and DequantizeLinear (ONNX operator specification; domain `com.microsoft` has the same).
//!
//! `q = clamp(rint_half_even(x / scale) + zero point)` and `x = (q - zero point) * scale`, in float32.
//! Constants keep their integers: a DequantizeLinear of one gives it scale and zero point.

use super::operands::Operands;
use super::operator::Operator;
use super::quant::{map_channels, of_channel};
use super::quantization;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Quantization, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::Target;

/// Which of the two, with the dimension that several scales belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linear {
    /// QuantizeLinear.
    Quantize {
        /// Dimension of the scales.
        axis: i64,
    },
    /// DequantizeLinear.
    Dequantize {
        /// Dimension of the scales.
        axis: i64,
    },
}

impl Linear {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Linear::Quantize { .. } => "QuantizeLinear",
            Linear::Dequantize { .. } => "DequantizeLinear",
        }
    }

    /// Scales and zero points of a constant, as many of each, and their dimension.
    fn parameters(self, operands: &Operands) -> Result<Quantization, CompileError> {
        let (Linear::Quantize { axis } | Linear::Dequantize { axis }) = self;
        let scales = quantization::scales(operands, 1, "tensor's")?;
        let zeros = quantization::zero_points(operands, 2, "tensor's")?;
        let rank = operands.required(0, "input")?.shape.len();
        let count = scales.len().max(zeros.len());
        let axis = if count == 1 { 0 } else { operands.axis(axis, rank)? };
        let size = operands.required(0, "input")?.shape.get(axis).copied().unwrap_or(1);
        let fits = |length: usize| length == 1 || length == size;
        if !fits(scales.len()) || !fits(zeros.len()) {
            return Err(operands.error(
                format!("{} scales and {} zero points for dimension {axis} of {size}", scales.len(), zeros.len()),
                "give one, or one for each index of the dimension (blocks are not compiled)",
            ));
        }
        Ok(Quantization {
            scales: (0..count).map(|i| of_channel(&scales, i)).collect(),
            zero_points: (0..count).map(|i| of_channel(&zeros, i)).collect(),
            axis,
        })
    }
}

impl Operator for Linear {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let shape = operands.required(0, "input")?.shape.clone();
        operands.required(1, "scale")?;
        let element = match self {
            Linear::Quantize { .. } => operands.optional(2).map_or(ElementType::Uint8, |zero| zero.element),
            Linear::Dequantize { .. } => ElementType::Float32,
        };
        Ok(vec![operands.result(shape, element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let parameters = self.parameters(operands)?;
        let (constant, kept) = match self {
            Linear::Quantize { .. } => {
                let values = operands.floats(0, "input")?;
                if values.iter().any(|v| v.is_nan()) {
                    return Err(operands.error("a value to quantize is not a number", "export the model again"));
                }
                let range = quantization::int_type(operands, quantization::element(operands, 2)?)?.range();
                let Quantization { scales, zero_points, axis } = &parameters;
                let integers = map_channels(&values.as_standard_layout().into_owned(), *axis, |value, channel| {
                    let rounded = (value / of_channel(scales, channel)).round_ties_even() as i64;
                    rounded.saturating_add(of_channel(zero_points, channel)).clamp(range.lo, range.hi)
                });
                (integers, None)
            }
            Linear::Dequantize { .. } => (operands.integers(0, "input")?.clone(), Some(parameters)),
        };
        let element = operands.required(0, "input")?.element;
        for result in &mut results {
            if kept.is_some() {
                result.element = element;
            }
            result.constant = Some(ConstantData::Int(constant.clone()));
            result.quantization = kept.clone();
        }
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let quantization = quantization::single(&operands, 1, 2, "tensor's")?;
        match self {
            Linear::Quantize { .. } => {
                let element = quantization::int_type(&operands, quantization::element(&operands, 2)?)?;
                lowering.quantize_linear(node, Target { quantization, element })
            }
            Linear::Dequantize { .. } => lowering.dequantize_linear(node, quantization),
        }
    }
}
