//! Elementwise requantization.

use crate::formula::Formula;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `formula(x - input_zero_point)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rescale {
    /// Stored operand that stands for 0.
    pub input_zero_point: i64,
    /// The requantization: one channel for all, or one for each.
    pub formula: Formula,
}

impl Rescale {
    pub(super) fn evaluate(&self, channel: usize, x: i64) -> i64 {
        self.formula.evaluate(channel, x - self.input_zero_point)
    }
}

impl fmt::Display for Rescale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x - {}: {}", self.input_zero_point, self.formula)
    }
}
