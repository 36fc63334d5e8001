//! Integer weights of a matrix product, from a constant.

use super::operands::Operands;
use super::quant::of_channel;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Tensor};
use ndarray::{Array, ArrayD, Dimension, Ix2, IxDyn};
use num_rational::BigRational;
use num_traits::One;

/// Widest weight in bits, sign included.
pub const WEIGHT_BITS: u32 = 16;

/// Weights as integers: the real weight of output `m` and input `c` is `values[m, c] * scales[m]`.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerWeights<D: Dimension = Ix2> {
    /// `[M, C]`, or the filters `[M, C / groups, taps...]`; zero points already subtracted.
    pub values: Array<i64, D>,
    /// One, or one an output.
    pub scales: Vec<BigRational>,
}

impl IntegerWeights {
    /// Reads a two-dimensional constant: `[C, M]` as MatMul has it, `[M, C]` where `transposed`.
    ///
    /// # Errors
    /// If it is not constant, not two-dimensional, or its values are neither quantized with scales
    /// along the outputs nor multiples of a power of two within 16 bits.
    pub fn read(operands: &Operands, weights: &Tensor, transposed: bool) -> Result<IntegerWeights, CompileError> {
        let output_axis = usize::from(!transposed);
        if weights.shape.len() != 2 {
            return Err(operands.error(
                format!("the weights `{}` have shape {:?}", weights.name, weights.shape),
                "give weights of two dimensions",
            ));
        }
        let (values, scales) = integers(operands, weights, output_axis)?;
        let matrix = values
            .into_dimensionality::<Ix2>()
            .map_err(|e| operands.error(e.to_string(), "give weights of two dimensions"))?;
        let values = match transposed {
            true => matrix,
            false => matrix.reversed_axes().as_standard_layout().into_owned(),
        };
        Ok(IntegerWeights { values, scales })
    }
}

impl IntegerWeights<IxDyn> {
    /// Reads the constant filters `[M, C / groups, taps...]` of a convolution.
    ///
    /// # Errors
    /// If they are not constant, or their values are neither quantized with scales along the outputs nor
    /// multiples of a power of two within 16 bits.
    pub fn filters(operands: &Operands, weights: &Tensor) -> Result<IntegerWeights<IxDyn>, CompileError> {
        let (values, scales) = integers(operands, weights, 0)?;
        Ok(IntegerWeights { values, scales })
    }
}

/// A constant as integers, zero points subtracted, and their scales: one, or one for each index of
/// dimension `output_axis`.
fn integers(
    operands: &Operands,
    weights: &Tensor,
    output_axis: usize,
) -> Result<(ArrayD<i64>, Vec<BigRational>), CompileError> {
    let (values, scales) = match (&weights.constant, &weights.quantization) {
        (None, _) => {
            return Err(operands.error(
                format!("the weights `{}` are computed at run time", weights.name),
                "only products with constant weights are compiled",
            ))
        }
        (Some(ConstantData::Int(values)), Some(q)) if q.scales.len() == 1 || q.axis == output_axis => {
            let scales: Option<Vec<BigRational>> = q.scales.iter().map(|&s| BigRational::from_float(s)).collect();
            let scales =
                scales.ok_or_else(|| operands.error("a weight scale is not finite", "quantize the weights again"))?;
            let axis = q.axis;
            let shifted = ArrayD::from_shape_fn(values.raw_dim(), |index| {
                let channel = index.as_array_view().get(axis).copied().unwrap_or(0);
                values[&index].saturating_sub(of_channel(&q.zero_points, channel))
            });
            (shifted, scales)
        }
        _ => {
            let real = super::operands::real_values(weights).ok_or_else(|| {
                operands.error(
                    format!("the weights `{}` are integers without a scale", weights.name),
                    "put a Quant behind float weights",
                )
            })?;
            let (values, exponent) = on_a_power_of_two(&real).ok_or_else(|| {
                operands.error(
                    format!(
                        "the weights `{}` are not quantized: they are no multiples of one power of two \
                             within {WEIGHT_BITS} bits",
                        weights.name
                    ),
                    "put a Quant node behind the weights, with its scales along the outputs",
                )
            })?;
            (values, vec![power_of_two(exponent)])
        }
    };
    let limit = 1i64 << (WEIGHT_BITS - 1);
    if let Some(v) = values.iter().find(|v| !(-limit..limit).contains(*v)) {
        return Err(operands.error(
            format!("weight {v} of `{}` has more than {WEIGHT_BITS} bits", weights.name),
            format!("quantize the weights to at most {WEIGHT_BITS} bits, zero point included"),
        ));
    }
    if values.is_empty() {
        return Err(operands.error(
            format!("the weights `{}` of shape {:?} are empty", weights.name, weights.shape),
            "give at least one weight",
        ));
    }
    Ok((values, scales))
}

/// `2^exponent`.
fn power_of_two(exponent: i32) -> BigRational {
    let two = BigRational::from_integer(2.into());
    match exponent {
        0 => BigRational::one(),
        _ => num_traits::Pow::pow(two, exponent),
    }
}

/// Floats as `integer * 2^exponent` with the greatest exponent that makes all of them integers;
/// none where one is not finite or an integer would not fit [`WEIGHT_BITS`].
fn on_a_power_of_two(values: &ArrayD<f32>) -> Option<(ArrayD<i64>, i32)> {
    let exponent = values.iter().filter(|v| **v != 0.0).map(|v| lowest_bit(*v)).min().unwrap_or(0);
    if values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let step = f64::from(exponent).exp2();
    let limit = f64::from(1u32 << (WEIGHT_BITS - 1));
    let integers = values.mapv(|v| f64::from(v) / step);
    integers.iter().all(|q| (-limit..limit).contains(q)).then(|| (integers.mapv(|q| q as i64), exponent))
}

/// Exponent of the lowest set bit of a finite float that is not 0.
fn lowest_bit(value: f32) -> i32 {
    let bits = value.to_bits();
    let field = ((bits >> 23) & 0xff) as i32;
    let fraction = bits & 0x7f_ffff;
    let (mantissa, exponent) = if field == 0 { (fraction, -149) } else { (fraction | 0x80_0000, field - 150) };
    exponent + mantissa.trailing_zeros() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f32]) -> ArrayD<f32> {
        ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap()
    }

    #[test]
    fn floats_on_a_power_of_two_become_the_smallest_integers() {
        let (integers, exponent) = on_a_power_of_two(&array(&[0.75, -0.5, 0.0, 6.0])).unwrap();
        assert_eq!((integers.into_raw_vec_and_offset().0, exponent), (vec![3, -2, 0, 24], -2));
        let (integers, exponent) = on_a_power_of_two(&array(&[96.0, -32.0])).unwrap();
        assert_eq!((integers.into_raw_vec_and_offset().0, exponent), (vec![3, -1], 5));
    }

    #[test]
    fn floats_that_need_more_than_16_bits_are_not_integers() {
        assert_eq!(on_a_power_of_two(&array(&[1.0, 0.1])), None);
        assert_eq!(on_a_power_of_two(&array(&[1.0, 65536.0])), None);
        assert_eq!(on_a_power_of_two(&array(&[f32::NAN])), None);
        assert!(on_a_power_of_two(&array(&[-32768.0, 1.0])).is_some());
        assert!(on_a_power_of_two(&array(&[1e-45, 2e-45])).is_some());
    }
}
