//! Float to integers in front of the accelerator: fixed point, integer types, QONNX quantizers.

use super::{BorderError, BorderValue, FloatConstant};
use crate::int_type::{IntType, Range};
use crate::rounding::RoundingMode;
use ndarray::{ArrayD, Zip};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `fixed<W,I>`: W bits of which I stand before the point, the sign included. The stored integer is
/// the value times 2^(W-I), rounded to nearest even and saturated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FixedType {
    /// All bits, 1 to 32.
    pub bits: u32,
    /// Bits before the point, sign included; -64 to 64.
    pub integer_bits: i32,
    /// Whether there is a sign.
    pub signed: bool,
}

impl FixedType {
    /// The stored integers' type.
    pub fn element(self) -> IntType {
        if self.signed {
            IntType::Signed(self.bits)
        } else {
            IntType::Unsigned(self.bits)
        }
    }

    /// Bits behind the point: the real value is the stored integer times 2 to the minus this.
    pub fn fraction_bits(self) -> i32 {
        self.bits as i32 - self.integer_bits
    }

    pub(super) fn apply(self, op: &'static str, tensor: &ArrayD<f32>) -> Result<ArrayD<i64>, BorderError> {
        if !(-64..=64).contains(&self.integer_bits) {
            return Err(BorderError::Parameter {
                op,
                parameter: "bits before the point",
                value: self.integer_bits.to_string(),
                remedy: "use -64 to 64",
            });
        }
        let range = supported(op, self.element())?;
        // A float32 times such a power of two is exact in float64.
        let scale = 2f64.powi(self.fraction_bits());
        round(op, tensor, |x| saturate(f64::from(x) * scale, range))
    }
}

impl fmt::Display for FixedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}fixed<{},{}>", if self.signed { "" } else { "u" }, self.bits, self.integer_bits)
    }
}

/// A QONNX `Quant` of a host tensor: `round(clip(x / scale + zero_point, lo, hi))`, each operation
/// rounded to float32 as the QONNX executor (qonnx 1.0.0, `int_quant`) does. The stored integer is the
/// rounded value, zero point included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostQuant {
    /// Real value of a step.
    pub scale: FloatConstant,
    /// Stored value that stands for 0.
    pub zero_point: FloatConstant,
    /// Least stored value.
    pub lo: i64,
    /// Greatest stored value.
    pub hi: i64,
    /// Rounding.
    pub rounding: RoundingMode,
}

impl HostQuant {
    pub(super) fn apply(&self, op: &'static str, mut tensor: ArrayD<f32>) -> Result<ArrayD<i64>, BorderError> {
        if self.lo > self.hi {
            let value = format!("[{}, {}]", self.lo, self.hi);
            return Err(BorderError::Parameter {
                op,
                parameter: "interval",
                value,
                remedy: "give the least value first",
            });
        }
        let shape = tensor.shape().to_vec();
        self.scale.broadcast(op, &shape, |scale| Zip::from(&mut tensor).and(&scale).for_each(|x, &s| *x /= s))?;
        self.zero_point.broadcast(op, &shape, |zero| Zip::from(&mut tensor).and(&zero).for_each(|x, &z| *x += z))?;
        let (lo, hi) = (self.lo as f32, self.hi as f32);
        round(op, &tensor, |x| self.rounding.round_f32(x.max(lo).min(hi)) as i64)
    }
}

impl fmt::Display for HostQuant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/ {} + {}, clamp [{}, {}], {}", self.scale, self.zero_point, self.lo, self.hi, self.rounding)
    }
}

pub(super) fn to_integer(op: &'static str, element: IntType, value: BorderValue) -> Result<ArrayD<i64>, BorderError> {
    let range = supported(op, element)?;
    match value {
        BorderValue::Int(array) if element == IntType::Bipolar => Ok(array.mapv(|q| if q >= 0 { 1 } else { -1 })),
        BorderValue::Int(array) => Ok(array.mapv(|q| q.clamp(range.lo, range.hi))),
        BorderValue::Float(array) if element == IntType::Bipolar => bipolar(op, &array),
        BorderValue::Float(array) => round(op, &array, |x| saturate(f64::from(x), range)),
    }
}

pub(super) fn bipolar(op: &'static str, tensor: &ArrayD<f32>) -> Result<ArrayD<i64>, BorderError> {
    round(op, tensor, |x| if x >= 0.0 { 1 } else { -1 })
}

/// Applies `quantize` to every element, none of which may be NaN.
fn round(op: &'static str, tensor: &ArrayD<f32>, quantize: impl Fn(f32) -> i64) -> Result<ArrayD<i64>, BorderError> {
    if let Some(index) = tensor.iter().position(|x| x.is_nan()) {
        return Err(BorderError::NotANumber { op, index });
    }
    Ok(tensor.mapv(quantize))
}

fn saturate(x: f64, range: Range) -> i64 {
    // `as` saturates to 64 bits.
    (x.round_ties_even() as i64).clamp(range.lo, range.hi)
}

fn supported(op: &'static str, element: IntType) -> Result<Range, BorderError> {
    element.checked_range().ok_or_else(|| BorderError::Parameter {
        op,
        parameter: "type",
        value: element.to_string(),
        remedy: "use 1 to 32 bits",
    })
}

#[cfg(test)]
mod tests {
    use super::super::BorderOp;
    use super::*;
    use ndarray::{array, ArrayD};
    use proptest::prelude::*;

    fn ints(op: &BorderOp, tensor: ArrayD<f32>) -> Result<Vec<i64>, BorderError> {
        Ok(op.apply(BorderValue::Float(tensor))?.int("test")?.into_iter().collect())
    }

    #[test]
    fn fixed_point_rounds_ties_to_even_and_saturates() {
        let fixed = FixedType { bits: 4, integer_bits: 3, signed: true };
        let tensor = array![0.25, 0.75, -0.25, -0.75, 100.0, -100.0, f32::INFINITY, -0.0].into_dyn();
        assert_eq!(ints(&BorderOp::QuantizeFixed(fixed), tensor), Ok(vec![0, 2, 0, -2, 7, -8, 7, 0]));
        let unsigned = FixedType { signed: false, ..fixed };
        assert_eq!(ints(&BorderOp::QuantizeFixed(unsigned), array![-1.0, 7.5, 9.0].into_dyn()), Ok(vec![0, 15, 15]));
        let wild = FixedType { integer_bits: i32::MIN, ..fixed };
        assert!(ints(&BorderOp::QuantizeFixed(wild), array![1.0].into_dyn()).is_err());
    }

    #[test]
    fn integer_types_take_float_and_integer_samples() {
        let op = BorderOp::QuantizeInteger { element: IntType::Unsigned(3) };
        assert_eq!(ints(&op, array![-3.0, 0.5, 1.5, 1e30].into_dyn()), Ok(vec![0, 0, 2, 7]));
        let taken = op.apply(BorderValue::Int(array![i64::MIN, 5, 900].into_dyn())).unwrap();
        assert_eq!(taken, BorderValue::Int(array![0, 5, 7].into_dyn()));
    }

    #[test]
    fn not_a_number_is_refused_by_every_quantizer() {
        let quant = HostQuant {
            scale: FloatConstant::scalar(0.5),
            zero_point: FloatConstant::scalar(0.0),
            lo: -8,
            hi: 7,
            rounding: RoundingMode::HalfEven,
        };
        for op in [
            BorderOp::QuantizeFixed(FixedType { bits: 8, integer_bits: 4, signed: true }),
            BorderOp::QuantizeInteger { element: IntType::Signed(8) },
            BorderOp::Quant(quant),
            BorderOp::BipolarQuant,
        ] {
            let error = ints(&op, array![0.0, f32::NAN].into_dyn()).unwrap_err();
            assert_eq!(error, BorderError::NotANumber { op: op.name(), index: 1 });
        }
    }

    #[test]
    fn a_host_quantizer_clips_first_and_divides_in_float32() {
        let quant = |rounding| {
            BorderOp::Quant(HostQuant {
                scale: FloatConstant::scalar(0.1),
                zero_point: FloatConstant::scalar(1.0),
                lo: 0,
                hi: 3,
                rounding,
            })
        };
        let tensor = array![-5.0, -0.05, 0.05, 0.11, 9.0].into_dyn();
        assert_eq!(ints(&quant(RoundingMode::HalfEven), tensor.clone()), Ok(vec![0, 0, 2, 2, 3]));
        assert_eq!(ints(&quant(RoundingMode::Ceil), tensor), Ok(vec![0, 1, 2, 3, 3]));
    }

    #[test]
    fn zero_of_either_sign_is_plus_one_for_a_bipolar_quantizer() {
        assert_eq!(ints(&BorderOp::BipolarQuant, array![0.0, -0.0, -1e-30].into_dyn()), Ok(vec![1, 1, -1]));
    }

    proptest! {
        #[test]
        fn fixed_point_is_the_nearest_multiple_of_its_step(x in -40f32..40.0, bits in 2u32..=24, before in -3i32..8) {
            let fixed = FixedType { bits, integer_bits: before, signed: true };
            let stored = ints(&BorderOp::QuantizeFixed(fixed), array![x].into_dyn()).unwrap()[0];
            let exact = f64::from(x) * 2f64.powi(bits as i32 - before);
            let range = fixed.element().range();
            prop_assert!(range.contains(stored));
            if exact > range.lo as f64 && exact < range.hi as f64 {
                prop_assert!((stored as f64 - exact).abs() <= 0.5);
            }
        }
    }
}
