//! Integer contributions that decide a rounded float sum.

use super::{Combine, OperandMap};
use crate::int_type::Range;

/// Widest contribution that is tried.
const WIDEST: f64 = (1u64 << 46) as f64;
/// Fraction bits tried for two linear contributions, from about one bit of the greater slope on.
const LINEAR_TRIALS: i32 = 30;
/// Fraction bits tried for tables, finer than a float32's of a stored value.
const TABLE_TRIALS: i32 = 56;

/// A monotone function of a sum of two real contributions, over all pairs of operands.
pub(super) struct Separation {
    /// Of the first and second operand.
    pub ranges: [Range; 2],
    /// What a step of each operand adds, without the rounding of single contributions.
    pub slopes: [f64; 2],
    /// Exact contributions, one an operand value.
    pub values: [Vec<f64>; 2],
    /// `[first operand][second operand]`
    pub results: Vec<i64>,
}

impl Separation {
    /// The narrowest sum of integers that decides every result: two factors where some do, tables of
    /// rounded contributions otherwise. Where not even the finest tables decide, those are returned,
    /// and the caller's proof over all pairs fails.
    pub(super) fn narrowest(&self) -> Combine {
        let coarsest = 1 - self.slopes.iter().map(|slope| exponent(*slope)).max().unwrap_or(0);
        for bits in coarsest..coarsest + LINEAR_TRIALS {
            let factors = self.slopes.map(|slope| (slope * power(bits)).round());
            let [left, right] = [0, 1].map(|which| self.linear(which, factors[which]));
            let (Some(left), Some(right)) = (left, right) else { break };
            if self.decided_by(&left, &right) {
                let [left, right] = factors.map(|factor| OperandMap::Linear { factor: factor as i64 });
                return Combine::Sum { left, right };
            }
        }
        let mut finest = None;
        for bits in coarsest..coarsest + TABLE_TRIALS {
            let [left, right] = [0, 1].map(|which| self.rounded(which, bits));
            let (Some(left), Some(right)) = (left, right) else { break };
            let decided = self.decided_by(&left, &right);
            finest = Some((left, right));
            if decided {
                break;
            }
        }
        let (left, right) = finest.unwrap_or_else(|| (vec![0; self.values[0].len()], vec![0; self.values[1].len()]));
        let [a, b] = self.ranges;
        Combine::Sum {
            left: OperandMap::Table { lowest: a.lo, values: left },
            right: OperandMap::Table { lowest: b.lo, values: right },
        }
    }

    /// `factor * x` of every operand, where none is too wide.
    fn linear(&self, which: usize, factor: f64) -> Option<Vec<i64>> {
        let range = self.ranges[which];
        let reach = range.lo.unsigned_abs().max(range.hi.unsigned_abs()) as f64;
        (factor.abs() * reach < WIDEST).then(|| (range.lo..=range.hi).map(|x| factor as i64 * x).collect())
    }

    /// Contributions rounded to `bits` fraction bits, where none is too wide.
    fn rounded(&self, which: usize, bits: i32) -> Option<Vec<i64>> {
        self.values[which]
            .iter()
            .map(|value| Some((value * power(bits)).round()).filter(|scaled| scaled.abs() < WIDEST).map(|v| v as i64))
            .collect()
    }

    /// Whether the results are a monotone function of the sum of these contributions.
    fn decided_by(&self, left: &[i64], right: &[i64]) -> bool {
        let (Some(&least), Some(&greatest)) = (self.results.iter().min(), self.results.iter().max()) else {
            return true;
        };
        // Least and greatest sum of every result.
        let mut sums = vec![(i64::MAX, i64::MIN); (greatest - least) as usize + 1];
        for (a, row) in left.iter().zip(self.results.chunks(right.len().max(1))) {
            for (b, result) in right.iter().zip(row) {
                let entry = &mut sums[(result - least) as usize];
                *entry = (entry.0.min(a + b), entry.1.max(a + b));
            }
        }
        let reached = sums.iter().filter(|(lo, hi)| lo <= hi);
        reached.clone().zip(reached.skip(1)).all(|(below, above)| below.1 < above.0)
    }
}

fn power(bits: i32) -> f64 {
    2f64.powi(bits)
}

/// The exponent e of `2^e <= |x| < 2^(e+1)`.
fn exponent(x: f64) -> i32 {
    x.abs().log2().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separation(slopes: [f64; 2], results: impl Fn(f64) -> i64) -> Separation {
        let ranges = [Range::new(-8, 7); 2];
        let values = slopes.map(|slope| (-8..8).map(|x| slope * f64::from(x)).collect::<Vec<_>>());
        let sums = values[0].iter().flat_map(|a| values[1].iter().map(move |b| a + b));
        Separation { ranges, slopes, results: sums.map(results).collect(), values: values.clone() }
    }

    #[test]
    fn the_narrowest_factors_are_found() {
        let halves = separation([1.0, 0.5], |sum| sum.floor() as i64);
        let linear = |factor| OperandMap::Linear { factor };
        assert_eq!(halves.narrowest(), Combine::Sum { left: linear(2), right: linear(1) });
    }

    #[test]
    fn an_offset_that_no_factor_gives_needs_tables() {
        let mut bent = separation([1.0, 1.0], |sum| sum.floor() as i64);
        bent.values[1][3] += 0.75;
        for (a, row) in bent.values[0].clone().iter().zip(bent.results.chunks_mut(16)) {
            row[3] = (a - 5.0 + 0.75 + 0.25) as i64;
        }
        let Combine::Sum { right: OperandMap::Table { values, .. }, .. } = bent.narrowest() else { panic!("no table") };
        assert!(values[3] > values[2] && values.len() == 16, "{values:?}");
    }
}
