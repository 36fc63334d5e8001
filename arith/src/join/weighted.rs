//! The exact weighted sum of two integers.

use super::{Combine, OperandMap};
use crate::formula::{Formula, FormulaError};
use crate::int_type::Range;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `formula(left * a + right * b + offset)`: a residual sum of two integer tensors whose scales
/// stand in the ratio `left : right`, in exact integers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightedSum {
    /// Factor of the first operand.
    pub left: i64,
    /// Factor of the second operand.
    pub right: i64,
    /// Added to the sum: zero points and constants.
    pub offset: i64,
    /// What follows, a function of one channel.
    pub formula: Formula,
}

impl WeightedSum {
    pub(super) fn evaluate(&self, left: i64, right: i64) -> i64 {
        self.formula.evaluate(0, self.left * left + self.right * right + self.offset)
    }

    pub(super) fn combine(&self, _: Range, right: Range) -> Combine {
        // The offset is carried by the second operand's table, or by none where it is 0.
        let second = match self.offset {
            0 => OperandMap::Linear { factor: self.right },
            offset => OperandMap::table(right, |b| self.right * b + offset),
        };
        Combine::Sum { left: OperandMap::Linear { factor: self.left }, right: second }
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        const LIMIT: i64 = 1 << 24;
        for (index, value) in [self.left, self.right, self.offset].into_iter().enumerate() {
            if value.abs() > LIMIT {
                let (value, limit) = (value as f64, LIMIT as f64);
                return Err(FormulaError::Multiplier { channel: index, value, limit });
            }
        }
        self.formula.validate()
    }
}

impl fmt::Display for WeightedSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a + {} b + {}: {}", self.left, self.right, self.offset, self.formula)
    }
}
