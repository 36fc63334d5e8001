//! Formulas of ONNX Runtime's average pools from their scales.

use super::ort::{check_scale, OrtQuantization};
use super::{pick, Float32, Formula, FormulaError, OutputStage};
use crate::int_type::IntType;
use crate::real::text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Multipliers at and beyond which `QLinearGlobalAveragePool` refuses to run: at least 2^-32, below 256.
const GLOBAL_LIMITS: std::ops::Range<f32> = 1.0 / 4_294_967_296.0..256.0;

/// `clamp(rint_half_even(f32(f32(f32(f32(acc) * sx) / n) / sy) + zero_point))`, acc = sum of `x - zx` over the real taps of
/// a window, n its divisor: `QLinearAveragePool`.
///
/// The zero point is added before the rounding, so that a tie goes to the even *stored* value. A window
/// over the whole image without padding is no such pool: the runtime computes a global one
/// ([`Formula::ort_global_average_pool`]).
///
/// The runtime rounds each tap's `x * sx` and each partial sum to float32 as well. That no function of the
/// sum can follow; it decides only where the mean is a tie (figures: `tests/vectors/README.md`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrtAveragePool {
    /// One a count class: the number of taps that a window's sum is divided by.
    pub divisors: Vec<u32>,
    /// Scale of the input.
    #[serde(with = "text::single")]
    pub input_scale: f32,
    /// Scale of the output.
    #[serde(with = "text::single")]
    pub output_scale: f32,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl Formula {
    /// `clip(rint_half_even(f32(f32(acc) * s)) + zero_point)`, s = f32(sx / f32(sy * f32(n))), acc = sum of `x - zx` over the n
    /// pixels of an image: `QLinearGlobalAveragePool`. One channel for all.
    ///
    /// # Errors
    /// If `pixels` is 0, a scale is not positive and finite, the multiplier leaves `2^-32 ..< 256` (the
    /// runtime refuses such a model), or the zero point is no value of `element`.
    pub fn ort_global_average_pool(
        pixels: u32,
        input_scale: f32,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<Formula, FormulaError> {
        check_scale("input", 0, input_scale)?;
        output.check("output")?;
        if pixels == 0 {
            return Err(FormulaError::Scale { what: "pixel count", index: 0, value: 0.0 });
        }
        let scale = input_scale / (output.scale * pixels as f32);
        if !GLOBAL_LIMITS.contains(&scale) {
            let (value, limit) = (scale.into(), GLOBAL_LIMITS.end.into());
            return Err(FormulaError::Multiplier { channel: 0, value, limit });
        }
        let output = output.stage(element)?;
        Ok(Formula::Float32(Float32 { channels: 1, scales: vec![scale], output }))
    }

    /// [`OrtAveragePool`] with one channel a count class, for windows smaller than the image or padded: with `count_include_pad` the only divisor is
    /// the kernel's size, without it each distinct number of real taps has its own.
    ///
    /// # Errors
    /// If there is no divisor or one is 0, a scale is not positive and finite, or the zero point is no
    /// value of `element`.
    pub fn ort_average_pool(
        divisors: Vec<u32>,
        input_scale: f32,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<Formula, FormulaError> {
        let pool = OrtAveragePool { divisors, input_scale, output_scale: output.scale, output: output.stage(element)? };
        pool.validate().map(|()| Formula::OrtAveragePool(pool))
    }
}

impl OrtAveragePool {
    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        check_scale("input", 0, self.input_scale)?;
        check_scale("output", 0, self.output_scale)?;
        if self.divisors.is_empty() {
            return Err(FormulaError::NoChannels);
        }
        if let Some(index) = self.divisors.iter().position(|&divisor| divisor == 0) {
            return Err(FormulaError::Scale { what: "window count", index, value: 0.0 });
        }
        self.output.validate()
    }

    pub(super) fn class(&self, channel: usize) -> AveragePoolClass {
        AveragePoolClass {
            input_scale: self.input_scale,
            divisor: *pick(&self.divisors, channel) as f32,
            output_scale: self.output_scale,
            output: self.output,
        }
    }
}

/// One count class of an [`OrtAveragePool`].
#[derive(Clone, Copy, Debug)]
pub struct AveragePoolClass {
    input_scale: f32,
    divisor: f32,
    output_scale: f32,
    output: OutputStage,
}

impl AveragePoolClass {
    #[inline]
    pub(super) fn evaluate(&self, acc: i64) -> i64 {
        let mean = acc as f32 * self.input_scale / self.divisor / self.output_scale;
        self.output.saturate((mean + self.output.zero_point as f32).round_ties_even() as i64)
    }

    pub(super) fn slope(&self) -> f64 {
        f64::from(self.input_scale) / f64::from(self.divisor) / f64::from(self.output_scale)
    }
}

impl fmt::Display for OrtAveragePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sx, sy) = (self.input_scale, self.output_scale);
        write!(f, "float32 average over {:?}, x {sx:e} / {sy:e}, half even, {}", self.divisors, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: OrtQuantization = OrtQuantization { scale: 0.5, zero_point: 3 };

    #[test]
    fn a_tie_goes_to_the_even_stored_value() {
        let pool = Formula::ort_average_pool(vec![2, 1], 0.5, OUTPUT, IntType::Signed(8)).unwrap();
        // 0.5 + 3 and 1.5 + 3 are ties between stored values.
        assert_eq!([1, 3].map(|acc| pool.evaluate(0, acc)), [4, 4]);
        assert_eq!([1, 3, 1000].map(|acc| pool.evaluate(1, acc)), [4, 6, 127]);
        // The global pool rounds before it adds.
        let global = Formula::ort_global_average_pool(2, 0.5, OUTPUT, IntType::Signed(8)).unwrap();
        assert_eq!([1, 3].map(|acc| global.evaluate(0, acc)), [3, 5]);
    }

    #[test]
    fn multipliers_that_the_runtime_refuses_are_refused() {
        let wide = OrtQuantization { scale: 1e-3, zero_point: 0 };
        let error = Formula::ort_global_average_pool(1, 0.5, wide, IntType::Signed(8)).unwrap_err();
        assert!(error.to_string().contains("256"), "{error}");
        assert!(Formula::ort_global_average_pool(0, 0.5, OUTPUT, IntType::Signed(8)).is_err());
        assert!(Formula::ort_average_pool(vec![4, 0], 0.5, OUTPUT, IntType::Signed(8)).is_err());
        assert!(Formula::ort_average_pool(vec![], 0.5, OUTPUT, IntType::Signed(8)).is_err());
    }
}
