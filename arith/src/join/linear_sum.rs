//! A weighted sum of two integers with one rounding.

use super::{Combine, OperandMap};
use crate::formula::{FormulaError, OutputStage, TfliteTensorScale};
use crate::rounding::{frexp, shift_ties_up};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bits of the greater factor, less one.
const FACTOR_BITS: i32 = 20;
/// Greatest magnitude of a factor: both are rounded below 2^21.
const GREATEST: i64 = 1 << (FACTOR_BITS + 1);
/// Greatest shift; smaller scales than these are not delegated.
const MOST_SHIFT: u32 = 31;

/// `((a - left_zero)*left + (b - right_zero)*right + 2^(shift-1)) >> shift`, then zero point and clamp: the sums
/// and differences of XNNPACK.
///
/// Source: XNNPACK's `qs8-vadd` microkernels and their parameters, restated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinearSum {
    /// Stored value of the first operand that stands for 0.
    pub left_zero: i64,
    /// Factor of the first operand.
    pub left: i64,
    /// Stored value of the second operand that stands for 0.
    pub right_zero: i64,
    /// Factor of the second operand, negative in a difference.
    pub right: i64,
    /// Fraction bits of the factors.
    pub shift: u32,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl LinearSum {
    /// The factors of operands that stand in `ratios` to the output.
    pub(super) fn new(
        operands: [TfliteTensorScale; 2],
        ratios: [f32; 2],
        subtract: bool,
        output: OutputStage,
    ) -> LinearSum {
        let exponent = frexp(ratios[0].max(ratios[1]).into()).1 - 1;
        let shift = FACTOR_BITS - exponent;
        let factor = |ratio: f32| (f64::from(ratio) * 2f64.powi(shift)).round_ties_even() as i64;
        let [left_zero, right_zero] = operands.map(|operand| operand.zero_point);
        let right = factor(ratios[1]) * if subtract { -1 } else { 1 };
        LinearSum { left_zero, left: factor(ratios[0]), right_zero, right, shift: shift.max(0) as u32, output }
    }

    pub(super) fn evaluate(&self, left: i64, right: i64) -> i64 {
        let sum = (left - self.left_zero) * self.left + (right - self.right_zero) * self.right;
        self.output.finish(shift_ties_up(sum, self.shift))
    }

    /// The factors alone: the zero points move the edges of the step.
    pub(super) fn combine(&self) -> Combine {
        let common = (self.left | self.right).trailing_zeros().min(i64::BITS - 2);
        let [left, right] = [self.left, self.right].map(|factor| OperandMap::Linear { factor: factor >> common });
        Combine::Sum { left, right }
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        super::check_zero_points([self.left_zero, self.right_zero])?;
        for (channel, value) in [self.left, self.right].into_iter().enumerate() {
            if !(-GREATEST..=GREATEST).contains(&value) {
                let (value, limit) = (value as f64, GREATEST as f64);
                return Err(FormulaError::Multiplier { channel, value, limit });
            }
        }
        if self.shift > MOST_SHIFT {
            let (value, limit) = (self.shift.into(), MOST_SHIFT.into());
            return Err(FormulaError::Multiplier { channel: 0, value, limit });
        }
        self.output.validate()
    }
}

impl fmt::Display for LinearSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinearSum { left_zero, left, right_zero, right, shift, output } = self;
        write!(f, "((a - {left_zero}) {left} + (b - {right_zero}) {right}) >> {shift}, ties up, {output}")
    }
}
