//! Scales and zero points that operators of quantized networks have as operands.

use super::operands::Operands;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Tensor};
use ndarray::{ArrayD, Dimension};
use systole_arith::formula::OrtQuantization;
use systole_arith::IntType;

/// Scales at a position: one, or one for each index of a dimension.
///
/// # Errors
/// If they are not constant, or one is not positive and finite.
pub fn scales(operands: &Operands, position: usize, role: &str) -> Result<Vec<f32>, CompileError> {
    let scales: Vec<f32> = operands.floats(position, &format!("{role} scale"))?.iter().copied().collect();
    match scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        Some(scale) => {
            Err(operands
                .error(format!("the {role} scale {scale} is not positive and finite"), "quantize the model again"))
        }
        None if scales.is_empty() => {
            Err(operands.error(format!("the {role} scale has no values"), "export the model again"))
        }
        None => Ok(scales),
    }
}

/// Zero points at a position, 0 where the operand is left out.
///
/// # Errors
/// If they are not constant integers.
pub fn zero_points(operands: &Operands, position: usize, role: &str) -> Result<Vec<i64>, CompileError> {
    match operands.optional(position) {
        None => Ok(vec![0]),
        Some(_) => {
            let zeros: Vec<i64> = operands.integers(position, &format!("{role} zero point"))?.iter().copied().collect();
            match zeros.is_empty() {
                true => Err(operands.error(format!("the {role} zero point has no values"), "export the model again")),
                false => Ok(zeros),
            }
        }
    }
}

/// Scale and zero point of an activation, which has one of each.
///
/// # Errors
/// If there are several, or they cannot be read.
pub fn single(operands: &Operands, scale: usize, zero: usize, role: &str) -> Result<OrtQuantization, CompileError> {
    let (scales, zeros) = (scales(operands, scale, role)?, zero_points(operands, zero, role)?);
    match (scales.as_slice(), zeros.as_slice()) {
        ([scale], [zero_point]) => Ok(OrtQuantization { scale: *scale, zero_point: *zero_point }),
        (scales, zeros) => Err(operands.error(
            format!("the {role} has {} scales and {} zero points", scales.len(), zeros.len()),
            "quantize activations with one scale (per tensor); per-channel scales are for weights",
        )),
    }
}

/// Type of what a quantizer gives: that of its zero point, uint8 where it has none.
///
/// # Errors
/// If it is no 8-bit type.
pub fn element(operands: &Operands, zero: usize) -> Result<ElementType, CompileError> {
    let element = operands.optional(zero).map_or(ElementType::Uint8, |tensor| tensor.element);
    int_type(operands, element).map(|_| element)
}

/// The integer type of quantized elements.
///
/// # Errors
/// If it is none of 8 bits.
pub fn int_type(operands: &Operands, element: ElementType) -> Result<IntType, CompileError> {
    match element {
        ElementType::Int8 => Ok(IntType::Signed(8)),
        ElementType::Uint8 => Ok(IntType::Unsigned(8)),
        other => Err(operands.error(format!("it quantizes to {}", other.name()), "quantize to int8 or uint8")),
    }
}

/// Integer weights with their quantization.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedConstant {
    /// Zero points subtracted.
    pub values: ArrayD<i64>,
    /// One, or one for each index of the dimension.
    pub scales: Vec<f32>,
}

/// Greatest magnitude of a weight without its zero point: 16 bits with a sign.
const WEIGHT_LIMIT: i64 = 1 << 15;

/// A constant at `position` with scales and zero points along dimension `axis`.
///
/// # Errors
/// If it is computed at run time, the lists do not fit the dimension, or a value has too many bits.
pub fn centred(
    operands: &Operands,
    position: usize,
    scales: Vec<f32>,
    zeros: &[i64],
    axis: usize,
) -> Result<QuantizedConstant, CompileError> {
    let values = operands.integers(position, "weights")?;
    let size = values.shape().get(axis).copied().unwrap_or(1);
    if [scales.len(), zeros.len()].iter().any(|&count| count != 1 && count != size) {
        return Err(operands.error(
            format!(
                "{} scales and {} zero points for {size} entries of the weights' dimension {axis}",
                scales.len(),
                zeros.len()
            ),
            "give one, or one for each",
        ));
    }
    let shifted = ArrayD::from_shape_fn(values.raw_dim(), |index| {
        let channel = index.as_array_view().get(axis).copied().unwrap_or(0);
        values[&index].saturating_sub(super::quant::of_channel(zeros, channel))
    });
    within_bits(operands, shifted).map(|values| QuantizedConstant { values, scales })
}

/// A constant that a DequantizeLinear stands behind.
///
/// # Errors
/// If it is computed at run time, is not quantized, or its scales lie along another dimension than
/// `axis`.
pub fn dequantized(operands: &Operands, tensor: &Tensor, axis: usize) -> Result<QuantizedConstant, CompileError> {
    let (values, q) = match (&tensor.constant, &tensor.quantization) {
        (Some(ConstantData::Int(values)), Some(q)) if q.scales.len() == 1 || q.axis == axis => (values, q),
        (Some(ConstantData::Int(_)), Some(q)) => {
            return Err(operands.error(
                format!("the weights `{}` have scales along dimension {}", tensor.name, q.axis),
                format!("quantize them along dimension {axis}, the output channels"),
            ))
        }
        (Some(_), _) => {
            return Err(operands.error(
                format!("the weights `{}` are not quantized", tensor.name),
                "quantize them to int8, with a DequantizeLinear behind them",
            ))
        }
        (None, _) => {
            return Err(operands.error(
                format!("the weights `{}` are computed at run time", tensor.name),
                "only products with constant weights are compiled",
            ))
        }
    };
    let shifted = ArrayD::from_shape_fn(values.raw_dim(), |index| {
        let channel = index.as_array_view().get(q.axis).copied().unwrap_or(0);
        values[&index].saturating_sub(super::quant::of_channel(&q.zero_points, channel))
    });
    within_bits(operands, shifted).map(|values| QuantizedConstant { values, scales: q.scales.clone() })
}

fn within_bits(operands: &Operands, values: ArrayD<i64>) -> Result<ArrayD<i64>, CompileError> {
    match values.iter().find(|v| !(-WEIGHT_LIMIT..WEIGHT_LIMIT).contains(*v)) {
        Some(v) => Err(operands.error(format!("the weight {v} has more than 16 bits"), "quantize the weights to int8")),
        None if values.is_empty() => Err(operands.error("the weights are empty", "give at least one weight")),
        None => Ok(values),
    }
}

/// A bias as integers in steps of the accumulator, input scale times weight scale: an int32 constant
/// as it is, a float one rounded half to even.
///
/// # Errors
/// If it is computed at run time, has another number of values than `channels`, or does not fit int32.
pub fn bias(
    operands: &Operands,
    position: usize,
    channels: usize,
    input: f32,
    weights: &[f32],
) -> Result<Vec<i64>, CompileError> {
    let Some(tensor) = operands.optional(position) else { return Ok(vec![0; channels]) };
    let of = super::quant::of_channel::<f32>;
    let same = |a: f32, b: f32| f64::from((a - b).abs()) <= f64::from(b) * 2f64.powi(-20);
    let values: Vec<i64> = match (&tensor.constant, &tensor.quantization) {
        (Some(ConstantData::Int(values)), None) => values.iter().copied().collect(),
        (Some(ConstantData::Int(values)), Some(q))
            if q.zero_points.iter().all(|&zero| zero == 0)
                && (0..channels).all(|m| same(of(&q.scales, m), input * of(weights, m))) =>
        {
            values.iter().copied().collect()
        }
        _ => {
            let real = operands.floats(position, "bias")?;
            let step = |m: usize| input * of(weights, if real.len() == 1 { 0 } else { m });
            real.iter().enumerate().map(|(m, v)| (v / step(m)).round_ties_even() as i64).collect()
        }
    };
    let values = if values.len() == 1 { vec![values[0]; channels] } else { values };
    let fits = values.len() == channels && values.iter().all(|&v| i32::try_from(v).is_ok());
    match fits {
        true => Ok(values),
        false => Err(operands.error(
            format!(
                "the bias `{}` has {} values for {channels} outputs, or one beyond int32",
                tensor.name,
                values.len()
            ),
            "give one int32 bias an output",
        )),
    }
}
