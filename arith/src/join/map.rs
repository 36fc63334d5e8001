//! The canonical form of a function of two integers: one number from both, then a step.

use super::JoinFormula;
use crate::int_type::{IntType, Range};
use crate::step::{Direction, Step, StepChannel, StepError, MAX_OUTPUT_BITS};

/// Most pairs over which a form is certified: two operands of 12 bits.
const MAX_PAIRS: u64 = 1 << 24;

/// What an operand contributes to a sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperandMap {
    /// `factor * x`.
    Linear {
        /// The factor.
        factor: i64,
    },
    /// `values[x - lowest]`.
    Table {
        /// Least stored operand.
        lowest: i64,
        /// One entry an operand.
        values: Vec<i64>,
    },
}

impl OperandMap {
    /// The table of a function over all operands of a range.
    pub fn table(range: Range, value: impl Fn(i64) -> i64) -> Self {
        OperandMap::Table { lowest: range.lo, values: (range.lo..=range.hi).map(value).collect() }
    }

    /// The contribution of an operand; none where the table ends.
    pub fn get(&self, x: i64) -> Option<i64> {
        match self {
            OperandMap::Linear { factor } => Some(factor * x),
            OperandMap::Table { lowest, values } => values.get(usize::try_from(x.checked_sub(*lowest)?).ok()?).copied(),
        }
    }

    /// The contribution of an operand of the range that the map was made for.
    ///
    /// # Panics
    /// If the operand lies outside, which would be a bug of the caller.
    pub fn evaluate(&self, x: i64) -> i64 {
        self.get(x).expect("the operand is of the map's range")
    }

    /// Contributions of the operands in `range`.
    pub fn range(&self, range: Range) -> Range {
        (range.lo..=range.hi)
            .filter_map(|x| self.get(x))
            .map(Range::point)
            .reduce(Range::hull)
            .unwrap_or(Range::point(0))
    }
}

/// How two operands become one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The sum of what each contributes.
    Sum {
        /// Of the first operand.
        left: OperandMap,
        /// Of the second.
        right: OperandMap,
    },
    /// `(a - left_zero) * (b - right_zero)`.
    Product {
        /// Stored value of the first operand that stands for 0.
        left_zero: i64,
        /// The same of the second.
        right_zero: i64,
    },
}

impl Combine {
    /// The combined number.
    pub fn evaluate(&self, a: i64, b: i64) -> i64 {
        match self {
            Combine::Sum { left, right } => left.evaluate(a) + right.evaluate(b),
            Combine::Product { left_zero, right_zero } => (a - left_zero) * (b - right_zero),
        }
    }
}

/// A function of two integers in canonical form, certified over all reachable pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinMap {
    /// Two operands become one number.
    pub combine: Combine,
    /// The result as a step of that number: one channel.
    pub step: Step,
}

impl JoinMap {
    /// The form of `formula` for operands in `left` and `right`, proved by evaluating the formula
    /// on every pair. None of the formula's numbers is trusted: pairs with the same combined
    /// number must have the same result, and results must follow its order.
    ///
    /// # Errors
    /// If the formula is invalid, its output wider than [`MAX_OUTPUT_BITS`] bits, there are more
    /// than 2^24 pairs, or the result is not a monotone function of the combined number.
    pub fn derive(formula: &JoinFormula, left: Range, right: Range) -> Result<JoinMap, StepError> {
        formula.validate()?;
        let width = |range: Range| (range.hi as i128 - range.lo as i128 + 1) as u128;
        let pairs = width(left) * width(right);
        if pairs > u128::from(MAX_PAIRS) {
            return Err(StepError::TooWide {
                bits: left.signed_bits() + right.signed_bits(),
                limit: MAX_PAIRS.trailing_zeros(),
            });
        }
        let combine = formula.combine(left, right)?;
        let mut points: Vec<(i64, i64)> = Vec::with_capacity(pairs as usize);
        for a in left.lo..=left.hi {
            points.extend((right.lo..=right.hi).map(|b| (combine.evaluate(a, b), formula.evaluate(a, b))));
        }
        points.sort_unstable();
        points.dedup();
        let output = match formula.output_type() {
            Some(output) => output,
            None => IntType::Signed(
                points
                    .iter()
                    .map(|&(_, y)| Range::point(y))
                    .reduce(Range::hull)
                    .unwrap_or(Range::point(0))
                    .signed_bits(),
            ),
        };
        if output.bits() > MAX_OUTPUT_BITS {
            return Err(StepError::TooWide { bits: output.bits(), limit: MAX_OUTPUT_BITS });
        }
        let step = Step { output, increment: if output == IntType::Bipolar { 2 } else { 1 }, channels: vec![] };
        let channel = staircase(&points, step.increment)?;
        Ok(JoinMap { combine, step: Step { channels: vec![channel], ..step } })
    }

    /// The result for operands of the ranges that the map was derived for.
    pub fn evaluate(&self, a: i64, b: i64) -> i64 {
        self.step.evaluate(0, self.combine.evaluate(a, b))
    }
}

/// The step function through points that are sorted by their first coordinate.
fn staircase(points: &[(i64, i64)], increment: i64) -> Result<StepChannel, StepError> {
    let (Some(&(lo, start)), Some(&(hi, end))) = (points.first(), points.last()) else {
        return Err(StepError::Domain { channel: 0, lo: 0, hi: 0 });
    };
    let direction = if end < start { Direction::Falling } else { Direction::Rising };
    let mut edges = Vec::new();
    let mut before = (lo, start);
    for &(at, y) in &points[1..] {
        let rise = direction.sign() * (y - before.1);
        if rise < 0 || rise % increment != 0 || (rise > 0 && at == before.0) {
            return Err(StepError::NotMonotone { channel: 0, acc: at, got: y });
        }
        edges.extend(std::iter::repeat_n(at, (rise / increment) as usize));
        before = (at, y);
    }
    Ok(StepChannel { domain: Range::new(lo, hi), start, direction, edges })
}

#[cfg(test)]
mod tests {
    use super::super::WeightedSum;
    use super::*;
    use crate::formula::Formula;

    #[test]
    fn a_weighted_sum_equals_its_formula_on_every_pair() {
        for offset in [0, 5] {
            let formula = JoinFormula::WeightedSum(WeightedSum {
                left: 2,
                right: -3,
                offset,
                formula: Formula::Identity { channels: 1 },
            });
            let (left, right) = (Range::new(-8, 7), Range::new(0, 15));
            let map = JoinMap::derive(&formula, left, right).unwrap();
            for a in -8..=7 {
                for b in 0..=15 {
                    assert_eq!(map.evaluate(a, b), 2 * a - 3 * b + offset);
                }
            }
        }
    }

    #[test]
    fn a_function_that_is_not_of_the_combined_number_is_refused() {
        assert!(staircase(&[(0, 0), (1, 1), (1, 2)], 1).is_err());
        assert!(staircase(&[(0, 0), (1, 2), (2, 1)], 1).is_err());
        assert_eq!(staircase(&[(0, 0), (4, 2), (9, 2)], 1).unwrap().edges, vec![4, 4]);
    }
}
