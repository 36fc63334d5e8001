//! Activations that are fused into a requantization's clamp.

use crate::formula::FormulaError;
use crate::formula::TfliteProfile;
use crate::int_type::IntType;
use serde::{Deserialize, Serialize};

/// A fused activation of TensorFlow Lite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing.
    None,
    /// max(x, 0)
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// min(max(x, -1), 1)
    ReluN1To1,
}

impl Activation {
    /// Real bounds, where there are any.
    fn bounds(self) -> (Option<f32>, Option<f32>) {
        match self {
            Activation::None => (None, None),
            Activation::Relu => (Some(0.0), None),
            Activation::Relu6 => (Some(0.0), Some(6.0)),
            Activation::ReluN1To1 => (Some(-1.0), Some(1.0)),
        }
    }

    /// Stored bounds `(lo, hi)` of an output of the given type, scale and zero point.
    ///
    /// A real bound v becomes `zero_point + round_half_away(f32(v / scale))`, for `xnnpack`
    /// `round_half_even(f32(f32(v / scale) + f32(zero_point)))`; both are clamped to the type. Measured against
    /// the runtimes: they differ where v / scale lies midway between integers.
    ///
    /// # Errors
    /// If the type is too wide to be an output.
    pub fn clamp(
        self,
        profile: TfliteProfile,
        element: IntType,
        scale: f32,
        zero_point: i64,
    ) -> Result<(i64, i64), FormulaError> {
        let range = element.checked_range().ok_or(FormulaError::OutputType(element))?;
        let stored = |real: f32| {
            let scaled = real / scale;
            let code = match profile {
                TfliteProfile::Xnnpack => (scaled + zero_point as f32).round_ties_even() as i64,
                _ => (scaled.round() as i64).saturating_add(zero_point),
            };
            code.clamp(range.lo, range.hi)
        };
        let (lo, hi) = self.bounds();
        Ok((lo.map_or(range.lo, stored), hi.map_or(range.hi, stored)))
    }
    /// [`Activation::clamp`] of a MAX_POOL_2D with `kernel` and `stride` as `[rows, columns]`: `xnnpack` leaves
    /// pools whose stride exceeds the kernel to LiteRT, and so their bounds.
    ///
    /// # Errors
    /// If the type is too wide to be an output.
    pub fn max_pool_clamp(
        self,
        profile: TfliteProfile,
        kernel: [usize; 2],
        stride: [usize; 2],
        element: IntType,
        scale: f32,
        zero_point: i64,
    ) -> Result<(i64, i64), FormulaError> {
        let delegated = stride[0] <= kernel[0] && stride[1] <= kernel[1];
        let profile = match profile {
            TfliteProfile::Xnnpack if !delegated => TfliteProfile::LitertOpt,
            profile => profile,
        };
        self.clamp(profile, element, scale, zero_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_midway_between_steps_depend_on_the_profile() {
        let clamp = |profile| Activation::Relu6.clamp(profile, IntType::Signed(8), 4.0, 3).unwrap();
        assert_eq!(clamp(TfliteProfile::Tflm), (3, 5));
        assert_eq!(clamp(TfliteProfile::Xnnpack), (3, 4));
    }

    #[test]
    fn pools_that_the_delegate_leaves_have_the_bounds_of_litert() {
        let clamp = |stride| {
            let byte = IntType::Signed(8);
            Activation::Relu6.max_pool_clamp(TfliteProfile::Xnnpack, [2, 3], stride, byte, 4.0, 3).unwrap()
        };
        assert_eq!([clamp([2, 3]), clamp([3, 3]), clamp([1, 4])], [(3, 4), (3, 5), (3, 5)]);
    }

    #[test]
    fn bounds_stay_within_the_type() {
        let clamp = |activation: Activation, scale, zero| {
            activation.clamp(TfliteProfile::Tflm, IntType::Signed(8), scale, zero).unwrap()
        };
        assert_eq!(clamp(Activation::None, 0.1, 5), (-128, 127));
        assert_eq!(clamp(Activation::Relu, 0.1, -128), (-128, 127));
        assert_eq!(clamp(Activation::Relu6, 1e-30, 0), (0, 127));
        assert_eq!(clamp(Activation::ReluN1To1, 0.25, -126), (-128, -122));
    }
}
