//! An operator of two elements one of which is constant.

use crate::formula::FormulaError;
use crate::join::JoinFormula;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `join(x, constant)` or `join(constant, x)`: a sum, difference or product with a constant tensor, by the
/// formula that the profile has for two tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinConstant {
    /// What the profile computes from two elements.
    pub join: Box<JoinFormula>,
    /// Stored constants: one for all channels, or one for each.
    pub constants: Vec<i64>,
    /// Whether the constant is the first operand.
    pub constant_first: bool,
}

impl JoinConstant {
    pub(super) fn evaluate(&self, channel: usize, x: i64) -> i64 {
        let constant = self.constants[if self.constants.len() == 1 { 0 } else { channel }];
        match self.constant_first {
            true => self.join.evaluate(constant, x),
            false => self.join.evaluate(x, constant),
        }
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        match self.constants.is_empty() {
            true => Err(FormulaError::NoChannels),
            false => self.join.validate(),
        }
    }
}

impl fmt::Display for JoinConstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.constant_first { "first" } else { "second" };
        match self.constants.as_slice() {
            [constant] => write!(f, "{place} operand {constant}: {}", self.join),
            constants => write!(f, "{place} operand one of {} constants: {}", constants.len(), self.join),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Table, TableFormula};
    use super::*;
    use crate::formula::Formula;
    use crate::int_type::Range;
    use crate::join::WeightedSum;

    #[test]
    fn a_constant_takes_the_place_that_it_has_in_the_operator() {
        let sum = WeightedSum { left: 3, right: -1, offset: 2, formula: Formula::Identity { channels: 1 } };
        let made = |constants: Vec<i64>, constant_first| {
            let join = Box::new(JoinFormula::WeightedSum(sum.clone()));
            TableFormula::JoinConstant(JoinConstant { join, constants, constant_first })
        };
        let first = Table::derive(&made(vec![5], true), Range::new(-4, 4)).unwrap();
        let second = Table::derive(&made(vec![5, 6], false), Range::new(-4, 4)).unwrap();
        assert_eq!((first.values.len(), second.values.len()), (1, 2));
        for x in -4..=4 {
            assert_eq!(first.evaluate(7, x), 3 * 5 - x + 2);
            assert_eq!(second.evaluate(1, x), 3 * x - 6 + 2);
        }
        assert!(Table::derive(&made(vec![], true), Range::new(0, 1)).is_err());
    }
}
