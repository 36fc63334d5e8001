//! Trunc (QONNX): drops low bits of integers that a real tensor stands for.
//!
//! Version 1: `q = round(floor_mode(round(x / s + z) / 2^(in - out)))`, `y = (q - z) * s`.
//! Version 2: the divisor is `2^round(log2(so / s))`, the quotient is clipped to the output's bits
//! before it is rounded, and `y = (q - z / divisor) * so`.
//! Source: `trunc_v1` and `trunc_v2` of the QONNX executor.

use super::operands::Operands;
use super::operator::Operator;
use super::quant::{element_for, map_channels, of_channel};
use super::quantizer::{bit_width, integer_bounds, ScaleAndZero};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Quantization, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::Quantizer;
use systole_arith::rounding::RoundingMode;

/// Bits of a truncated tensor.
const BITS: u32 = 32;

/// Attributes of a Trunc, by version of its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trunc {
    /// Operands: input, scale, zero point, input bits, output bits.
    V1 {
        /// Rounding of the quotient.
        rounding: RoundingMode,
    },
    /// Operands: input, scale, zero point, input bits, output scale, output bits.
    V2 {
        /// Rounding of the quotient.
        rounding: RoundingMode,
        /// Whether outputs may be negative.
        signed: bool,
        /// Whether the output range is one value smaller.
        narrow: bool,
    },
}

/// A Trunc's operands in one form for both versions.
struct Truncation {
    input: ScaleAndZero,
    /// Bits that are dropped.
    shift: i32,
    rounding: RoundingMode,
    /// Output range, where version 2 clips.
    bounds: Option<(i64, i64)>,
    output: ScaleAndZero,
}

impl Trunc {
    fn read(&self, operands: &Operands) -> Result<Truncation, CompileError> {
        let input = ScaleAndZero::read(operands, 1, Some(2))?;
        let input_bits = bit_width(operands, 3, BITS)?;
        match *self {
            Trunc::V1 { rounding } => {
                let output_bits = bit_width(operands, 4, BITS)?;
                let shift = input_bits.checked_sub(output_bits).ok_or_else(|| {
                    operands
                        .error(format!("it widens from {input_bits} to {output_bits} bits"), "truncate to fewer bits")
                })?;
                Ok(Truncation { output: input.clone(), input, shift: shift as i32, rounding, bounds: None })
            }
            Trunc::V2 { rounding, signed, narrow } => {
                let output_bits = bit_width(operands, 5, BITS)?;
                let output = ScaleAndZero::read(operands, 4, None)?;
                let ([si], [so], [zi]) =
                    (input.scales.as_slice(), output.scales.as_slice(), input.zero_points.as_slice())
                else {
                    return Err(operands.error("it has several scales", "truncate with one scale a tensor"));
                };
                let ratio = f64::from(so / si).log2();
                let shift = ratio.round_ties_even();
                let divided = *zi as f64 / shift.exp2();
                if !(0.0..=31.0).contains(&shift) || divided.fract() != 0.0 {
                    return Err(operands.error(
                        format!("output scale {so} over input scale {si} is 2^{ratio}, with zero point {zi}"),
                        "use a power of two of at most 2^31 that divides the zero point",
                    ));
                }
                Ok(Truncation {
                    shift: shift as i32,
                    rounding,
                    bounds: Some(integer_bounds(output_bits, signed, narrow)),
                    output: ScaleAndZero { zero_points: vec![divided as i64], ..output },
                    input,
                })
            }
        }
    }
}

impl Operator for Trunc {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        operands.required(4, "output bits or scale")?;
        Ok(vec![operands.result(data.shape.clone(), ElementType::Float32)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let values = operands.floats(0, "input")?;
        let Truncation { input, shift, rounding, bounds, output } = self.read(operands)?;
        if let Some(v) = values.iter().find(|v| v.is_nan() || v.abs() >= 2f32.powi(62)) {
            return Err(operands.error(format!("the value {v} is out of range"), "quantize the constant first"));
        }
        let integers = map_channels(&values.as_standard_layout().into_owned(), input.axis, |value, channel| {
            let y = value / of_channel(&input.scales, channel) + of_channel(&input.zero_points, channel) as f32;
            let mut y = y.round_ties_even() / 2f32.powi(shift);
            if let Some((lo, hi)) = bounds {
                y = y.clamp(lo as f32, hi as f32);
            }
            rounding.round_f32(y) as i64
        });
        let lo = integers.iter().copied().min().unwrap_or(0);
        let hi = integers.iter().copied().max().unwrap_or(0);
        let ScaleAndZero { scales, zero_points, axis } = output;
        Ok(vec![Tensor {
            element: element_for(lo, hi),
            quantization: Some(Quantization { scales, zero_points, axis }),
            constant: Some(ConstantData::Int(integers)),
            ..operands.result(values.shape().to_vec(), ElementType::Float32)?
        }])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let Truncation { input, shift, rounding, bounds, output } = self.read(&operands)?;
        let (input_scale, input_zero_point) = input.single(&operands)?;
        let (scale, zero_point) = output.single(&operands)?;
        let quantizer =
            Quantizer::Truncation { input_scale, input_zero_point, shift, rounding, bounds, scale, zero_point };
        lowering.close_with(node, quantizer)
    }
}
