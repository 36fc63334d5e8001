//! `QUANTIZE` from float and `DEQUANTIZE` of the TensorFlow Lite runtimes, as measured.

use super::BorderError;
use crate::formula::TfliteProfile;
use crate::int_type::IntType;
use crate::real::text;
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Elements that LiteRT's optimized float kernels handle at once; the rest of a tensor takes a
/// plainer way with other rounding.
const BLOCK: usize = 8;

/// Float to integers. In units of one step, before the zero point:
///
/// - `tflm`, `litert-ref`: f32(x / scale), half away from zero;
/// - `xnnpack`: f32(x * f32(1 / scale)), half to even;
/// - `litert-opt`: as `xnnpack` in every whole block of 8 elements of the tensor; the last n mod 8
///   elements are f64(x) / scale, half away.
///
/// Beyond 32 bits `xnnpack` saturates, and gives the greatest value for NaN; the others give the
/// least value for all of them, as their conversion instruction does on x86.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfliteQuantize {
    /// Runtime.
    pub profile: TfliteProfile,
    /// Real value of a step.
    #[serde(with = "text::single")]
    pub scale: f32,
    /// Stored value that stands for 0.
    pub zero_point: i64,
    /// Type of the result.
    pub element: IntType,
}

impl TfliteQuantize {
    pub(super) fn apply(&self, op: &'static str, tensor: &ArrayD<f32>) -> Result<ArrayD<i64>, BorderError> {
        let range = self.element.checked_range().ok_or_else(|| BorderError::Parameter {
            op,
            parameter: "type",
            value: self.element.to_string(),
            remedy: "use 1 to 32 bits",
        })?;
        positive(op, self.scale)?;
        let whole_blocks = tensor.len() - tensor.len() % BLOCK;
        let inverse = 1.0 / self.scale;
        let steps = |index: usize, x: f32| match self.profile {
            TfliteProfile::Tflm | TfliteProfile::LitertRef => f64::from((x / self.scale).round()),
            TfliteProfile::LitertOpt if index >= whole_blocks => (f64::from(x) / f64::from(self.scale)).round(),
            TfliteProfile::LitertOpt | TfliteProfile::Xnnpack => f64::from((x * inverse).round_ties_even()),
        };
        let quantize = |(index, &x): (usize, &f32)| {
            let rounded = steps(index, x);
            if self.profile == TfliteProfile::Xnnpack {
                let stored = if rounded.is_nan() { range.hi } else { (rounded as i64).saturating_add(self.zero_point) };
                stored.clamp(range.lo, range.hi)
            } else if rounded.abs() < 2f64.powi(31) {
                (rounded as i64).saturating_add(self.zero_point).clamp(range.lo, range.hi)
            } else {
                range.lo
            }
        };
        let stored = tensor.iter().enumerate().map(quantize).collect();
        ArrayD::from_shape_vec(tensor.raw_dim(), stored).map_err(|_| BorderError::Shape {
            op,
            wanted: "its own shape".to_owned(),
            tensor: tensor.shape().to_vec(),
        })
    }
}

impl fmt::Display for TfliteQuantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/ {:?} + {} -> {}", self.scale, self.zero_point, self.element)
    }
}

/// Integers to float: `f32(q - zero_point) * scale`; with `early_product` (LiteRT's optimized kernels)
/// f32(q * scale) - f32(zero_point * scale) in every whole block of 8 elements of the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfliteDequantize {
    /// Real value of a step.
    #[serde(with = "text::single")]
    pub scale: f32,
    /// Stored value that stands for 0.
    pub zero_point: i64,
    /// Whether blocks multiply before they subtract.
    pub early_product: bool,
}

impl TfliteDequantize {
    /// The operation as a runtime computes it.
    pub fn new(profile: TfliteProfile, scale: f32, zero_point: i64) -> Self {
        TfliteDequantize { scale, zero_point, early_product: profile == TfliteProfile::LitertOpt }
    }

    pub(super) fn apply(&self, tensor: &ArrayD<i64>) -> ArrayD<f32> {
        let whole_blocks = if self.early_product { tensor.len() - tensor.len() % BLOCK } else { 0 };
        let mut index = 0;
        tensor.map(|&q| {
            index += 1;
            if index <= whole_blocks {
                q as f32 * self.scale - self.zero_point as f32 * self.scale
            } else {
                q.saturating_sub(self.zero_point) as f32 * self.scale
            }
        })
    }
}

impl fmt::Display for TfliteDequantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(q - {}) x {:?}", self.zero_point, self.scale)
    }
}

pub(super) fn positive(op: &'static str, scale: f32) -> Result<(), BorderError> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    let remedy = "quantize the model with positive, finite scales";
    Err(BorderError::Parameter { op, parameter: "scale", value: scale.to_string(), remedy })
}

#[cfg(test)]
mod tests {
    use super::super::{BorderOp, BorderValue};
    use super::*;
    use ndarray::Array1;

    fn quantize(profile: TfliteProfile, scale: f32, zero_point: i64, samples: &[f32]) -> Vec<i64> {
        let op = TfliteQuantize { profile, scale, zero_point, element: IntType::Signed(8) };
        let tensor = Array1::from(samples.to_vec()).into_dyn();
        BorderOp::TfliteQuantize(op)
            .apply(BorderValue::Float(tensor))
            .unwrap()
            .int("test")
            .unwrap()
            .into_iter()
            .collect()
    }

    #[test]
    fn ties_go_away_from_zero_or_to_even_by_profile_and_place() {
        let ties = [0.25f32, -0.25, 1.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25];
        assert_eq!(quantize(TfliteProfile::Tflm, 0.5, 0, &ties), [1, -1, 3, 1, 1, 1, 1, 1, 1]);
        assert_eq!(quantize(TfliteProfile::Xnnpack, 0.5, 0, &ties), [0, 0, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(quantize(TfliteProfile::LitertOpt, 0.5, 0, &ties), [0, 0, 2, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn values_beyond_32_bits_follow_the_runtimes() {
        let wild = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e30, 200.0];
        assert_eq!(quantize(TfliteProfile::LitertRef, 1.0, 3, &wild), [-128, -128, -128, -128, 127]);
        assert_eq!(quantize(TfliteProfile::Xnnpack, 1.0, 3, &wild), [127, -128, 127, 127, 127]);
    }

    #[test]
    fn blocks_of_the_optimized_kernel_subtract_after_the_product() {
        let stored = Array1::from_iter((0..9).map(|i| i * 11 - 40)).into_dyn();
        let (scale, zero_point) = (0.1f32, 7);
        let run = |profile| {
            let op = BorderOp::TfliteDequantize(TfliteDequantize::new(profile, scale, zero_point));
            op.apply(BorderValue::Int(stored.clone())).unwrap().float("test").unwrap()
        };
        let (plain, early) = (run(TfliteProfile::Tflm), run(TfliteProfile::LitertOpt));
        assert_eq!(plain[[0]], -47.0 * scale);
        assert_eq!(early[[3]], -7.0f32 * scale - 7.0 * scale);
        assert_ne!(plain, early);
        assert_eq!(plain[[8]], early[[8]]);
    }

    #[test]
    fn a_scale_of_zero_is_refused() {
        let op =
            TfliteQuantize { profile: TfliteProfile::Tflm, scale: 0.0, zero_point: 0, element: IntType::Signed(8) };
        assert!(BorderOp::TfliteQuantize(op).apply(BorderValue::Float(Array1::zeros(1).into_dyn())).is_err());
    }
}
