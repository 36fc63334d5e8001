//! Functions of two integers: the formulas of ADD, SUB and MUL as the runtimes compute them, and
//! their canonical form [`JoinMap`].

mod map;
mod ort;
mod ort_separate;
mod weighted;

pub use map::{Combine, JoinMap, OperandMap};
pub use ort::{OrtJoin, OrtOperation};
pub use weighted::WeightedSum;

use crate::formula::FormulaError;
use crate::int_type::IntType;
use crate::step::StepError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a profile computes from one element of each of two tensors.
///
/// Every formula is a monotone function of a sum of one function of either operand, or of a
/// product of the two centred operands: float operations round monotonically, so the last ones of
/// a chain may be folded into a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "join", rename_all = "snake_case")]
pub enum JoinFormula {
    /// An exact weighted sum and a requantization (`qonnx`).
    WeightedSum(WeightedSum),
    /// A float32 operator of two tensors (`ort`).
    Ort(OrtJoin),
}

impl JoinFormula {
    /// The result for stored operands, by the profile's own formula. The formula must be valid.
    pub fn evaluate(&self, left: i64, right: i64) -> i64 {
        match self {
            JoinFormula::WeightedSum(formula) => formula.evaluate(left, right),
            JoinFormula::Ort(formula) => formula.evaluate(left, right),
        }
    }

    /// Type of the result; none where it follows from the operands' ranges.
    pub fn output_type(&self) -> Option<IntType> {
        match self {
            JoinFormula::WeightedSum(formula) => formula.formula.output_type(),
            JoinFormula::Ort(formula) => Some(formula.output.element),
        }
    }

    /// How the canonical form combines the operands: with this choice the result is a monotone
    /// function of the combined number, which [`JoinMap::derive`] proves over all reachable pairs.
    pub fn combine(&self, left: crate::Range, right: crate::Range) -> Result<Combine, StepError> {
        match self {
            JoinFormula::WeightedSum(formula) => Ok(formula.combine(left, right)),
            JoinFormula::Ort(formula) => formula.combine(left, right),
        }
    }

    /// Checks what the constructors guarantee, for formulas that come from a file.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn validate(&self) -> Result<(), FormulaError> {
        match self {
            JoinFormula::WeightedSum(formula) => formula.validate(),
            JoinFormula::Ort(formula) => formula.validate(),
        }
    }
}

impl fmt::Display for JoinFormula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinFormula::WeightedSum(formula) => formula.fmt(f),
            JoinFormula::Ort(formula) => formula.fmt(f),
        }
    }
}
