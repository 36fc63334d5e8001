//! Scale, zero point and bit width of a quantizer, read from its operands.

use super::operands::Operands;
use crate::diagnostic::CompileError;

/// Largest magnitude of a zero point.
const ZERO_POINT_LIMIT: f64 = 32768.0;

/// Scales and zero points: one each, or one for each index along `axis` of the quantized tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleAndZero {
    /// Positive and finite.
    pub scales: Vec<f32>,
    /// As many as scales.
    pub zero_points: Vec<i64>,
    /// Dimension that several belong to.
    pub axis: usize,
}

impl ScaleAndZero {
    /// Reads the operands at `scale_position` and, where the operator has one, `zero_position`.
    /// Values that are all equal count as one.
    ///
    /// # Errors
    /// If they are not constant, not broadcast along at most one dimension of operand 0, a scale is
    /// not positive and finite, or a zero point not an integer.
    pub fn read(
        operands: &Operands,
        scale_position: usize,
        zero_position: Option<usize>,
    ) -> Result<ScaleAndZero, CompileError> {
        let (scales, scale_axis) = along_one_axis(operands, scale_position, "scale")?;
        if let Some(scale) = scales.iter().find(|s| !s.is_finite() || **s <= 0.0) {
            return Err(operands.error(format!("the scale {scale} is not positive and finite"), "quantize again"));
        }
        let (zeros, zero_axis) = match zero_position {
            Some(position) => along_one_axis(operands, position, "zero point")?,
            None => (vec![0.0], None),
        };
        if let Some(zero) = zeros.iter().find(|z| z.is_nan() || z.fract() != 0.0 || z.abs() > ZERO_POINT_LIMIT) {
            return Err(operands.error(
                format!("the zero point {zero} is not an integer of at most 16 bits"),
                "quantize with an integer zero point, such as 0 (symmetric)",
            ));
        }
        let axis = match (scale_axis, zero_axis) {
            (Some(a), Some(b)) if a != b => {
                return Err(operands.error(
                    format!("scales vary along dimension {a} but zero points along dimension {b}"),
                    "quantize along one dimension",
                ))
            }
            (a, b) => a.or(b),
        };
        let count = scales.len().max(zeros.len());
        let spread = |values: Vec<f64>| match values.as_slice() {
            [one] => vec![*one; count],
            _ => values,
        };
        Ok(ScaleAndZero {
            scales: spread(scales).into_iter().map(|s| s as f32).collect(),
            zero_points: spread(zeros).into_iter().map(|z| z as i64).collect(),
            axis: axis.unwrap_or(0),
        })
    }

    /// The one scale and zero point of an activation.
    ///
    /// # Errors
    /// If there are several.
    pub fn single(&self, operands: &Operands) -> Result<(f32, i64), CompileError> {
        match (self.scales.as_slice(), self.zero_points.as_slice()) {
            ([scale], [zero]) => Ok((*scale, *zero)),
            _ => Err(operands.error(
                format!("it has {} scales along dimension {}", self.scales.len(), self.axis),
                "quantize activations with one scale (per tensor); per-channel scales are for weights",
            )),
        }
    }
}

/// The values of an operand, at least one, and the dimension of operand 0 that they vary along.
fn along_one_axis(operands: &Operands, position: usize, role: &str) -> Result<(Vec<f64>, Option<usize>), CompileError> {
    let data = operands.required(0, "input")?;
    let tensor = operands.required(position, role)?;
    let values = operands.numbers(position, role)?;
    let Some(&first) = values.first() else {
        return Err(operands.error(format!("the {role} has no values"), "export the model again"));
    };
    if values.iter().all(|v| v.to_bits() == first.to_bits()) {
        return Ok((vec![first], None));
    }
    let missing = data.shape.len().checked_sub(tensor.shape.len());
    let long: Vec<usize> = (0..tensor.shape.len()).filter(|&i| tensor.shape.get(i) != Some(&1)).collect();
    match (missing, long.as_slice()) {
        (Some(missing), [axis]) if data.shape.get(axis + missing) == tensor.shape.get(*axis) => {
            Ok((values, Some(axis + missing)))
        }
        _ => Err(operands.error(
            format!("a {role} of shape {:?} does not go with a tensor of shape {:?}", tensor.shape, data.shape),
            format!("give one {role}, or one for each index of one dimension"),
        )),
    }
}

/// The one bit width at `position`.
///
/// # Errors
/// If it is not an integer in `1..=most`.
pub fn bit_width(operands: &Operands, position: usize, most: u32) -> Result<u32, CompileError> {
    let values = operands.numbers(position, "bit width")?;
    let Some(&first) = values.first() else {
        return Err(operands.error("the bit width has no values", "export the model again"));
    };
    if values.iter().any(|&v| v != first) {
        return Err(operands.error("the bit width varies within the tensor", "use one bit width a tensor"));
    }
    if first.fract() != 0.0 || !(1.0..=f64::from(most)).contains(&first) {
        return Err(operands.error(
            format!("the bit width {first} is not an integer from 1 to {most}"),
            format!("quantize to 1 to {most} bits"),
        ));
    }
    Ok(first as u32)
}

/// Least and greatest integer of a quantizer: signed `-2^(b-1) + narrow ..= 2^(b-1) - 1`, unsigned
/// `0 ..= 2^b - 1 - narrow`.
pub fn integer_bounds(bits: u32, signed: bool, narrow: bool) -> (i64, i64) {
    match signed {
        true => (i64::from(narrow) - (1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1),
        false => (0, (1i64 << bits) - 1 - i64::from(narrow)),
    }
}
