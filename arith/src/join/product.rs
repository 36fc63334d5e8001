//! The product of two centred integers.

use super::Combine;
use crate::formula::{Formula, FormulaError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `formula((a - left_zero) * (b - right_zero))`: MUL of the TensorFlow Lite runtimes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Stored value of the first operand that stands for 0.
    pub left_zero: i64,
    /// Stored value of the second operand that stands for 0.
    pub right_zero: i64,
    /// What follows, a function of one channel.
    pub formula: Formula,
}

impl Product {
    pub(super) fn evaluate(&self, left: i64, right: i64) -> i64 {
        self.formula.evaluate(0, (left - self.left_zero) * (right - self.right_zero))
    }

    pub(super) fn combine(&self) -> Combine {
        Combine::Product { left_zero: self.left_zero, right_zero: self.right_zero }
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        super::check_zero_points([self.left_zero, self.right_zero])?;
        self.formula.validate()
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(a - {}) (b - {}): {}", self.left_zero, self.right_zero, self.formula)
    }
}
