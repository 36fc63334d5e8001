//! Functions of one integer element: activations and rescalings as the runtimes compute them.
//! Their canonical form is the [`Table`] over all reachable operands; not all are monotone.

mod curve;
mod fixed_exp;
mod hard_swish;
mod join_constant;
mod ort;
mod ort_math;
mod piecewise;
mod rescale;
mod tflite;

pub use curve::{Curve, TfliteCurve};
pub use hard_swish::{HardSwish, ShortMultiplier};
pub use join_constant::JoinConstant;
pub use ort::{OrtFunction, OrtTable};
pub use piecewise::{LeakyShift, PiecewiseRescale, Slope};
pub use rescale::Rescale;
pub use tflite::TfliteTable;

use crate::formula::FormulaError;
use crate::int_type::{IntType, Range};
use crate::step::{StepError, MAX_OUTPUT_BITS};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a profile computes from one element: one function for all channels, or one a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case")]
pub enum TableFormula {
    /// A requantization: rescaling, RELU, RELU6 and every other monotone formula.
    Rescale(Rescale),
    /// Float32 operations between a dequantization and a quantization (`ort`).
    Ort(OrtTable),
    /// One rescaling from 0 on, another below (LEAKY_RELU and PRELU of TensorFlow Lite).
    PiecewiseRescale(PiecewiseRescale),
    /// The same with one shift (LEAKY_RELU of `xnnpack`).
    LeakyShift(LeakyShift),
    /// A 16-bit hard swish (TensorFlow Lite).
    HardSwish(HardSwish),
    /// A logistic function or hyperbolic tangent (TensorFlow Lite).
    TfliteCurve(TfliteCurve),
    /// An operator of two elements one of which is constant.
    JoinConstant(JoinConstant),
}

impl TableFormula {
    /// Functions: 1 for all channels, or one for each.
    pub fn channels(&self) -> usize {
        match self {
            TableFormula::Rescale(formula) => formula.formula.channels(),
            TableFormula::Ort(formula) => formula.channels,
            TableFormula::PiecewiseRescale(formula) => formula.negative.len(),
            TableFormula::LeakyShift(_) | TableFormula::HardSwish(_) | TableFormula::TfliteCurve(_) => 1,
            TableFormula::JoinConstant(formula) => formula.constants.len(),
        }
    }

    /// The result of a stored element, by the profile's own formula. `channel` must be below
    /// [`TableFormula::channels`] and the formula valid.
    pub fn evaluate(&self, channel: usize, x: i64) -> i64 {
        match self {
            TableFormula::Rescale(formula) => formula.evaluate(channel, x),
            TableFormula::Ort(formula) => formula.evaluate(channel, x),
            TableFormula::PiecewiseRescale(formula) => formula.evaluate(channel, x),
            TableFormula::LeakyShift(formula) => formula.evaluate(x),
            TableFormula::HardSwish(formula) => formula.evaluate(x),
            TableFormula::TfliteCurve(formula) => formula.evaluate(x),
            TableFormula::JoinConstant(formula) => formula.evaluate(channel, x),
        }
    }

    /// Type of the result; none where it follows from the operand's range.
    pub fn output_type(&self) -> Option<IntType> {
        match self {
            TableFormula::Rescale(formula) => formula.formula.output_type(),
            TableFormula::Ort(formula) => Some(formula.output.element),
            TableFormula::PiecewiseRescale(formula) => Some(formula.output.element),
            TableFormula::LeakyShift(formula) => Some(formula.output.element),
            TableFormula::HardSwish(formula) => Some(formula.output.element),
            TableFormula::TfliteCurve(formula) => Some(formula.output.element),
            TableFormula::JoinConstant(formula) => formula.join.output_type(),
        }
    }

    /// Checks what the constructors guarantee, for formulas that come from a file.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn validate(&self) -> Result<(), FormulaError> {
        match self {
            TableFormula::Rescale(formula) => formula.formula.validate(),
            TableFormula::Ort(formula) => formula.validate(),
            TableFormula::PiecewiseRescale(formula) => formula.validate(),
            TableFormula::LeakyShift(formula) => formula.validate(),
            TableFormula::HardSwish(formula) => formula.validate(),
            TableFormula::TfliteCurve(formula) => formula.validate(),
            TableFormula::JoinConstant(formula) => formula.validate(),
        }
    }
}

impl fmt::Display for TableFormula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableFormula::Rescale(formula) => formula.fmt(f),
            TableFormula::Ort(formula) => formula.fmt(f),
            TableFormula::PiecewiseRescale(formula) => formula.fmt(f),
            TableFormula::LeakyShift(formula) => formula.fmt(f),
            TableFormula::HardSwish(formula) => formula.fmt(f),
            TableFormula::TfliteCurve(formula) => formula.fmt(f),
            TableFormula::JoinConstant(formula) => formula.fmt(f),
        }
    }
}

/// A function of one integer, or one a channel, by its values over all reachable operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Least operand.
    pub lowest: i64,
    /// `[channel][operand - lowest]`; one channel for all, or one for each.
    pub values: Vec<Vec<i64>>,
    /// Type of the results.
    pub output: IntType,
}

impl Table {
    /// The table of `formula` over `domain`.
    ///
    /// # Errors
    /// If the formula is invalid, or operands or results have more than [`MAX_OUTPUT_BITS`] bits.
    pub fn derive(formula: &TableFormula, domain: Range) -> Result<Table, StepError> {
        formula.validate()?;
        let too_wide = |bits| StepError::TooWide { bits, limit: MAX_OUTPUT_BITS };
        let width = domain.hi as i128 - domain.lo as i128;
        if width >= 1 << MAX_OUTPUT_BITS {
            return Err(too_wide(domain.signed_bits()));
        }
        let function = |channel| (domain.lo..=domain.hi).map(|x| formula.evaluate(channel, x)).collect();
        let values: Vec<Vec<i64>> = (0..formula.channels()).map(function).collect();
        let hull = values.iter().flatten().map(|&y| Range::point(y)).reduce(Range::hull).unwrap_or(Range::point(0));
        let output = formula.output_type().unwrap_or(IntType::Signed(hull.signed_bits()));
        if output.bits() > MAX_OUTPUT_BITS {
            return Err(too_wide(output.bits()));
        }
        Ok(Table { lowest: domain.lo, values, output })
    }

    /// The result of an operand of the domain.
    pub fn evaluate(&self, channel: usize, x: i64) -> i64 {
        let function = &self.values[if self.values.len() == 1 { 0 } else { channel }];
        function[(x - self.lowest) as usize]
    }

    /// Least and greatest result.
    pub fn output_range(&self) -> Option<Range> {
        self.values.iter().flatten().map(|&y| Range::point(y)).reduce(Range::hull)
    }
}

/// Checks that an operand's zero point is of a type that a table can enumerate.
fn check_input_zero_point(zero_point: i64) -> Result<(), FormulaError> {
    let element = IntType::Signed(16);
    match element.contains(zero_point) {
        true => Ok(()),
        false => Err(FormulaError::ZeroPoint { zero_point, element }),
    }
}
