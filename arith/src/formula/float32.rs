//! Requantization by one float32 multiplication.

use super::{check_length, spread, FormulaError, OutputStage};
use crate::real::text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `clamp(round_half_even(f32(f32(acc) * scale)) + zero_point)`: XNNPACK and ONNX Runtime.
///
/// Both clamp the float to `[lo - zero_point, hi - zero_point]` before they round; the bounds are
/// integers, so the order does not matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Float32 {
    /// Output channels.
    pub channels: usize,
    /// One for all channels or one for each.
    #[serde(with = "text::singles")]
    pub scales: Vec<f32>,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl Float32 {
    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        check_length("scales", self.scales.len(), self.channels)?;
        for (index, &value) in self.scales.iter().enumerate() {
            if !(value.is_finite() && value >= 0.0) {
                return Err(FormulaError::Scale { what: "combined", index, value: value.into() });
            }
        }
        self.output.validate()
    }
}

/// The rescaled accumulator, before zero point and clamp; saturated to 64 bits.
#[inline]
pub(super) fn rescale(scale: f32, acc: i64) -> i64 {
    // `as f32` rounds to nearest even; `as i64` saturates.
    (acc as f32 * scale).round_ties_even() as i64
}

impl fmt::Display for Float32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scales = spread(self.scales.iter().map(|&scale| f64::from(scale)));
        write!(f, "float32, half even, {} channels, x {scales}, {}", self.channels, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_even_and_the_accumulator_is_rounded_first() {
        assert_eq!([-3, -1, 1, 3, 5].map(|acc| rescale(0.5, acc)), [-2, 0, 0, 2, 2]);
        // 2^24 + 1 is no float32.
        assert_eq!(rescale(1.0, (1 << 24) + 1), 1 << 24);
    }
}
