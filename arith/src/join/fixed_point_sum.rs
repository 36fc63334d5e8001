//! The sum of two rescaled integers.

use super::ort_separate::Separation;
use super::Combine;
use crate::formula::{
    quantized, rescale_fixed_point as rescale, FormulaError, OutputStage, TfliteTensorScale, TieRule,
};
use crate::int_type::Range;
use crate::rounding::QuantizedMultiplier;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bits that the operands are shifted left before they are rescaled.
const HEADROOM: u32 = 20;

/// `DBL(DBL((a - left_zero) << 20, left) ± DBL((b - right_zero) << 20, right), multiplier)`, then zero point and
/// clamp; DBL is the high multiply and the shift with ties away from zero.
///
/// Source: `AddElementwise` of TensorFlow Lite's `kernels/internal/reference/integer_ops/add.h`, restated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixedPointSum {
    /// Stored value of the first operand that stands for 0.
    pub left_zero: i64,
    /// Its scale over twice the greater scale.
    pub left: QuantizedMultiplier,
    /// Stored value of the second operand that stands for 0.
    pub right_zero: i64,
    /// Its scale over twice the greater scale.
    pub right: QuantizedMultiplier,
    /// Whether the second operand is subtracted.
    pub subtract: bool,
    /// From the sum to output steps.
    pub multiplier: QuantizedMultiplier,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl FixedPointSum {
    pub(super) fn new(
        operands: [TfliteTensorScale; 2],
        output_scale: f32,
        subtract: bool,
        output: OutputStage,
    ) -> Result<Self, FormulaError> {
        let scales = operands.map(|operand| f64::from(operand.scale));
        let twice = 2.0 * scales[0].max(scales[1]);
        let [left_zero, right_zero] = operands.map(|operand| operand.zero_point);
        let (left, right) = (quantized(scales[0] / twice)?, quantized(scales[1] / twice)?);
        let multiplier = quantized(twice / (f64::from(1 << HEADROOM) * f64::from(output_scale)))?;
        Ok(FixedPointSum { left_zero, left, right_zero, right, subtract, multiplier, output })
    }

    /// What either operand contributes to the sum.
    fn contributions(&self, left: i64, right: i64) -> [i64; 2] {
        let scaled = |x: i64, zero: i64, multiplier| rescale(multiplier, TieRule::Away, (x - zero) << HEADROOM);
        let second = scaled(right, self.right_zero, self.right);
        [scaled(left, self.left_zero, self.left), if self.subtract { -second } else { second }]
    }

    pub(super) fn evaluate(&self, left: i64, right: i64) -> i64 {
        let [left, right] = self.contributions(left, right);
        self.output.finish(rescale(self.multiplier, TieRule::Away, left + right))
    }

    pub(super) fn combine(&self, left: Range, right: Range) -> Combine {
        let (unit, shifted) = (self.multiplier.real(), f64::from(1 << HEADROOM));
        let sign = if self.subtract { -1.0 } else { 1.0 };
        // Contributions are integers below 2^32 and the multiplier has 31 bits: their products are within a
        // 2^-53rd of themselves, far below the distance of two sums.
        let values = [
            (left.lo..=left.hi).map(|a| self.contributions(a, 0)[0] as f64 * unit).collect(),
            (right.lo..=right.hi).map(|b| self.contributions(0, b)[1] as f64 * unit).collect(),
        ];
        let pairs = (left.lo..=left.hi).flat_map(|a| (right.lo..=right.hi).map(move |b| (a, b)));
        let separation = Separation {
            ranges: [left, right],
            slopes: [self.left.real() * shifted * unit, sign * self.right.real() * shifted * unit],
            values,
            results: pairs.map(|(a, b)| self.evaluate(a, b)).collect(),
        };
        separation.narrowest()
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        super::check_zero_points([self.left_zero, self.right_zero])?;
        for (index, value) in [self.left, self.right, self.multiplier].into_iter().enumerate() {
            let QuantizedMultiplier { multiplier, shift } = value;
            let normal = multiplier >= 1 << 30 && (-31..=30).contains(&shift);
            // An operand's multiplier is at most 1/2, so that the shifted operand stays below 2^31.
            if !(normal || (multiplier, shift) == (0, 0)) || (index < 2 && shift > 0) {
                return Err(FormulaError::FixedPoint { index, multiplier, shift });
            }
        }
        self.output.validate()
    }
}

impl fmt::Display for FixedPointSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.subtract { '-' } else { '+' };
        let shifted = f64::from(1 << HEADROOM) * self.multiplier.real();
        let [left, right] = [self.left, self.right].map(|multiplier| multiplier.real() * shifted);
        write!(f, "fixed point (a - {}) {left:e} {sign} (b - {}) {right:e}, ", self.left_zero, self.right_zero)?;
        write!(f, "ties away, {}", self.output)
    }
}
