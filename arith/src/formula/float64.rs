//! Requantization by one float64 multiplication.

use super::{check_length, spread, FormulaError, OutputStage};
use crate::real::text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `clamp(round_half_away(f64(acc) * multiplier) + zero_point)`: fully connected layers of LiteRT's
/// reference kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Float64 {
    /// Output channels.
    pub channels: usize,
    /// One for all channels or one for each.
    #[serde(with = "text::doubles")]
    pub multipliers: Vec<f64>,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl Float64 {
    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        check_length("multipliers", self.multipliers.len(), self.channels)?;
        for (index, &value) in self.multipliers.iter().enumerate() {
            if !(value.is_finite() && value >= 0.0) {
                return Err(FormulaError::Scale { what: "combined", index, value });
            }
        }
        self.output.validate()
    }
}

/// The rescaled accumulator, before zero point and clamp; saturated to 64 bits.
#[inline]
pub(super) fn rescale(multiplier: f64, acc: i64) -> i64 {
    // `round` is half away from zero and `as` saturates.
    (acc as f64 * multiplier).round() as i64
}

impl fmt::Display for Float64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let multipliers = spread(self.multipliers.iter().copied());
        write!(f, "float64, half away, {} channels, x {multipliers}, {}", self.channels, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_of_both_signs_go_away_from_zero() {
        assert_eq!([-3, -1, 1, 3].map(|acc| rescale(0.5, acc)), [-2, -1, 1, 2]);
    }
}
