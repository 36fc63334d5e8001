//! Functions of two integers: the formulas of ADD, SUB and MUL as the runtimes compute them, and
//! their canonical form [`JoinMap`].

mod fixed_point_sum;
mod linear_sum;
mod map;
mod ort;
mod ort_separate;
mod product;
mod tflite;
mod weighted;

pub use fixed_point_sum::FixedPointSum;
pub use linear_sum::LinearSum;
pub use map::{Combine, JoinMap, OperandMap};
pub use ort::{OrtJoin, OrtOperation};
pub use product::Product;
pub use tflite::TfliteJoin;
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
    /// Two rescalings, their sum and a third (sums of `tflm`, `litert-ref`, `litert-opt`).
    FixedPointSum(FixedPointSum),
    /// Two integer factors and a shift (sums of `xnnpack`).
    LinearSum(LinearSum),
    /// A product and a requantization (TensorFlow Lite).
    Product(Product),
}

impl JoinFormula {
    /// The result for stored operands, by the profile's own formula. The formula must be valid.
    pub fn evaluate(&self, left: i64, right: i64) -> i64 {
        match self {
            JoinFormula::WeightedSum(formula) => formula.evaluate(left, right),
            JoinFormula::Ort(formula) => formula.evaluate(left, right),
            JoinFormula::FixedPointSum(formula) => formula.evaluate(left, right),
            JoinFormula::LinearSum(formula) => formula.evaluate(left, right),
            JoinFormula::Product(formula) => formula.evaluate(left, right),
        }
    }

    /// Type of the result; none where it follows from the operands' ranges.
    pub fn output_type(&self) -> Option<IntType> {
        match self {
            JoinFormula::WeightedSum(formula) => formula.formula.output_type(),
            JoinFormula::Ort(formula) => Some(formula.output.element),
            JoinFormula::FixedPointSum(formula) => Some(formula.output.element),
            JoinFormula::LinearSum(formula) => Some(formula.output.element),
            JoinFormula::Product(formula) => formula.formula.output_type(),
        }
    }

    /// How the canonical form combines the operands: with this choice the result is a monotone
    /// function of the combined number, which [`JoinMap::derive`] proves over all reachable pairs.
    pub fn combine(&self, left: crate::Range, right: crate::Range) -> Result<Combine, StepError> {
        match self {
            JoinFormula::WeightedSum(formula) => Ok(formula.combine(left, right)),
            JoinFormula::Ort(formula) => formula.combine(left, right),
            JoinFormula::FixedPointSum(formula) => Ok(formula.combine(left, right)),
            JoinFormula::LinearSum(formula) => Ok(formula.combine()),
            JoinFormula::Product(formula) => Ok(formula.combine()),
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
            JoinFormula::FixedPointSum(formula) => formula.validate(),
            JoinFormula::LinearSum(formula) => formula.validate(),
            JoinFormula::Product(formula) => formula.validate(),
        }
    }
}

impl fmt::Display for JoinFormula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinFormula::WeightedSum(formula) => formula.fmt(f),
            JoinFormula::Ort(formula) => formula.fmt(f),
            JoinFormula::FixedPointSum(formula) => formula.fmt(f),
            JoinFormula::LinearSum(formula) => formula.fmt(f),
            JoinFormula::Product(formula) => formula.fmt(f),
        }
    }
}

/// Checks that zero points are of operands that a canonical form can enumerate.
fn check_zero_points(zero_points: [i64; 2]) -> Result<(), FormulaError> {
    let element = IntType::Signed(16);
    match zero_points.into_iter().find(|&zero_point| !element.contains(zero_point)) {
        Some(zero_point) => Err(FormulaError::ZeroPoint { zero_point, element }),
        None => Ok(()),
    }
}
