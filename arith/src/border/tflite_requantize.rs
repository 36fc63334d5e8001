//! `QUANTIZE` between integer types of the TensorFlow Lite runtimes, as measured.

use super::tflite_quantize::positive;
use super::BorderError;
use crate::formula::TfliteProfile;
use crate::int_type::IntType;
use crate::real::text;
use crate::rounding::{
    rounding_divide_by_power_of_two, saturating_rounding_doubling_high_mul, shift_ties_up, QuantizedMultiplier,
};
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Elements that LiteRT's optimized kernel handles at once.
const BLOCK: usize = 16;

/// How an integer tensor stands for real numbers: `(q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegerScale {
    /// Real value of a step.
    #[serde(with = "text::single")]
    pub scale: f32,
    /// Stored value that stands for 0.
    pub zero_point: i64,
    /// Type.
    pub element: IntType,
}

/// Integers of one scale to integers of another, r = input scale / output scale:
///
/// - `tflm`, `litert-ref`: high multiply and shift with ties away, by f64(si)/so;
/// - `litert-opt`: the same with ties up in every whole block of 16 elements, ties away in the rest;
/// - `xnnpack`: ((q - zi) * rint(256 * f32(si/so)) + 128) >> 8 between int8 tensors. Between other types it
///   is only known, and accepted, for equal scales, where all agree.
///
/// Then the zero point and the clamp.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfliteRequantize {
    /// Runtime.
    pub profile: TfliteProfile,
    /// Scale of the operand.
    pub input: IntegerScale,
    /// Scale of the result.
    pub output: IntegerScale,
}

impl TfliteRequantize {
    /// An operation that the profile defines.
    ///
    /// # Errors
    /// If a scale is not positive and finite, a type is too wide, or `xnnpack` is asked for types and
    /// scales on which its results were not established.
    pub fn new(profile: TfliteProfile, input: IntegerScale, output: IntegerScale) -> Result<Self, BorderError> {
        let rescale = TfliteRequantize { profile, input, output };
        rescale.check("tflite-requantize").map(|_| rescale)
    }

    fn check(&self, op: &'static str) -> Result<QuantizedMultiplier, BorderError> {
        positive(op, self.input.scale)?;
        positive(op, self.output.scale)?;
        for element in [self.input.element, self.output.element] {
            if !matches!(element, IntType::Signed(1..=32) | IntType::Unsigned(1..=32)) {
                let value = element.to_string();
                return Err(BorderError::Parameter { op, parameter: "type", value, remedy: "use 1 to 32 bits" });
            }
        }
        let bytes = [self.input.element, self.output.element] == [IntType::Signed(8); 2];
        if self.profile == TfliteProfile::Xnnpack && !bytes && self.input.scale != self.output.scale {
            return Err(BorderError::Parameter {
                op,
                parameter: "types",
                value: format!("{} to {}", self.input.element, self.output.element),
                remedy: "xnnpack is defined here between int8 tensors, or for equal scales; choose another profile",
            });
        }
        let ratio = f64::from(self.input.scale) / f64::from(self.output.scale);
        QuantizedMultiplier::new(ratio).map_err(|error| BorderError::Parameter {
            op,
            parameter: "ratio of scales",
            value: error.0.to_string(),
            remedy: "quantize the model again",
        })
    }

    pub(super) fn apply(&self, op: &'static str, tensor: &ArrayD<i64>) -> Result<ArrayD<i64>, BorderError> {
        let multiplier = self.check(op)?;
        let range = self.output.element.range();
        let whole_blocks = tensor.len() - tensor.len() % BLOCK;
        let right = (-multiplier.shift).max(0) as u32;
        let step = (self.input.scale / self.output.scale * 256.0).round_ties_even() as i64;
        let bytes = [self.input.element, self.output.element] == [IntType::Signed(8); 2];
        let rescale = |(index, &q): (usize, &i64)| {
            let centred = q.saturating_sub(self.input.zero_point);
            let high =
                saturating_rounding_doubling_high_mul(multiplier.shifted_left(centred), multiplier.multiplier.into());
            let rescaled = match self.profile {
                TfliteProfile::Xnnpack if bytes => {
                    let sum = i128::from(centred) * i128::from(step) + 128;
                    crate::rounding::saturate_int32(sum >> 8)
                }
                TfliteProfile::LitertOpt if index < whole_blocks => shift_ties_up(high, right),
                _ => rounding_divide_by_power_of_two(high, right),
            };
            rescaled.saturating_add(self.output.zero_point).clamp(range.lo, range.hi)
        };
        let stored = tensor.iter().enumerate().map(rescale).collect();
        ArrayD::from_shape_vec(tensor.raw_dim(), stored).map_err(|_| BorderError::Shape {
            op,
            wanted: "its own shape".to_owned(),
            tensor: tensor.shape().to_vec(),
        })
    }
}

impl fmt::Display for TfliteRequantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = f64::from(self.input.scale) / f64::from(self.output.scale);
        write!(f, "(q - {}) x {ratio} + {}", self.input.zero_point, self.output.zero_point)?;
        write!(f, ", {} -> {}", self.input.element, self.output.element)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BorderOp, BorderValue};
    use super::*;
    use ndarray::Array1;

    const BYTE: IntegerScale = IntegerScale { scale: 0.5, zero_point: 0, element: IntType::Signed(8) };

    fn run(profile: TfliteProfile, output: IntegerScale, stored: &[i64]) -> Result<Vec<i64>, BorderError> {
        let op = BorderOp::TfliteRequantize(TfliteRequantize::new(profile, BYTE, output)?);
        let tensor = BorderValue::Int(Array1::from(stored.to_vec()).into_dyn());
        Ok(op.apply(tensor)?.int("test")?.into_iter().collect())
    }

    #[test]
    fn negative_ties_go_by_profile_and_place() {
        let quarters = IntegerScale { scale: 2.0, zero_point: 10, ..BYTE };
        // -6 / 4 = -1.5; a ratio of 1/2 would be rounded by the high multiply alone.
        let stored = [-6; 17];
        assert_eq!(run(TfliteProfile::Tflm, quarters, &stored), Ok(vec![8; 17]));
        assert_eq!(run(TfliteProfile::Xnnpack, quarters, &stored), Ok(vec![9; 17]));
        let mut optimized = vec![9; 16];
        optimized.push(8);
        assert_eq!(run(TfliteProfile::LitertOpt, quarters, &stored), Ok(optimized));
    }

    #[test]
    fn bytes_of_equal_scale_are_shifted_between_signed_and_unsigned() {
        let unsigned = IntegerScale { element: IntType::Unsigned(8), zero_point: 128, ..BYTE };
        for profile in [TfliteProfile::Tflm, TfliteProfile::LitertOpt, TfliteProfile::Xnnpack] {
            assert_eq!(run(profile, unsigned, &[-128, -1, 0, 127]), Ok(vec![0, 127, 128, 255]));
        }
    }

    #[test]
    fn what_was_not_established_is_refused() {
        let unsigned = IntegerScale { element: IntType::Unsigned(8), scale: 0.3, ..BYTE };
        let error = run(TfliteProfile::Xnnpack, unsigned, &[0]).unwrap_err().to_string();
        assert!(error.contains("int8 to uint8") && error.contains("another profile"), "{error}");
        assert!(run(TfliteProfile::Tflm, IntegerScale { scale: 0.0, ..BYTE }, &[0]).is_err());
    }
}
