//! Sums of two integers whose scales stand in a ratio of large numbers: smaller factors that give the
//! same results.

use super::pending::PendingReal;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::One;
use systole_arith::formula::RealOp;
use systole_arith::{Formula, Range};

/// Greatest factor or offset of a sum in the accelerator.
pub const SUM_LIMIT: i64 = 1 << 24;

/// Factors up to here are left as they are: their products are as cheap as any.
const CHEAP: i64 = 1 << 8;

/// Most pairs of operands over which smaller factors are compared.
const PAIR_LIMIT: u64 = 1 << 20;

/// `left * (x - zero) + right * (y - zero)` with both operands and their zero points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Factors.
    pub factors: [i64; 2],
    /// Stored operands that stand for 0.
    pub zero_points: [i64; 2],
}

impl Sum {
    /// What is added to the weighted stored operands.
    pub fn offset(&self) -> i64 {
        -(self.factors[0] * self.zero_points[0] + self.factors[1] * self.zero_points[1])
    }

    /// Whether the accelerator has such a sum.
    pub fn fits(&self) -> bool {
        self.factors.iter().all(|factor| factor.abs() <= SUM_LIMIT) && self.offset().abs() <= SUM_LIMIT
    }

    fn at(&self, x: i64, y: i64) -> i64 {
        self.factors[0] * (x - self.zero_points[0]) + self.factors[1] * (y - self.zero_points[1])
    }

    /// A sum with smaller factors and the function of it, which together give the same result for
    /// every pair of operands in `ranges`: the factors are convergents of the ratio, and every pair is
    /// compared. None where there is none, or there are too many pairs.
    pub fn narrowed(
        &self,
        ranges: [Range; 2],
        chain: &[RealOp],
        close: impl Fn(Vec<RealOp>) -> Option<Formula>,
    ) -> Option<(Sum, Formula)> {
        let [left, right] = self.factors;
        let size = |range: Range| range.hi.abs_diff(range.lo).saturating_add(1);
        let cheap = self.factors.iter().all(|factor| factor.abs() <= CHEAP);
        if cheap || left == 0 || right == 0 || size(ranges[0]).saturating_mul(size(ranges[1])) > PAIR_LIMIT {
            return None;
        }
        let pairs = || (ranges[0].lo..=ranges[0].hi).flat_map(|x| (ranges[1].lo..=ranges[1].hi).map(move |y| (x, y)));
        let exact = close(chain.to_vec())?.channel(0);
        let expected: Vec<i64> = pairs().map(|(x, y)| exact.evaluate(self.at(x, y))).collect();
        for (p, q) in convergents(left.unsigned_abs(), right.unsigned_abs()) {
            let (Ok(p), Ok(q)) = (i64::try_from(p), i64::try_from(q)) else { break };
            if p == 0 || q == 0 {
                continue;
            }
            let sum = Sum { factors: [left.signum() * p, right.signum() * q], ..*self };
            if !sum.fits() {
                break;
            }
            let scale = vec![BigRational::new(BigInt::from(left.abs()), BigInt::from(p))];
            let step = RealOp::Affine { scale, offset: vec![num_traits::Zero::zero()] };
            let formula = close(PendingReal::merged([step].into_iter().chain(chain.iter().cloned())))?;
            let function = formula.channel(0);
            if pairs().zip(&expected).all(|((x, y), &result)| function.evaluate(sum.at(x, y)) == result) {
                return Some((sum, formula));
            }
        }
        None
    }
}

/// Convergents of the continued fraction of `a / b`, coarsest first.
fn convergents(mut a: u64, mut b: u64) -> Vec<(u64, u64)> {
    let (mut last, mut current) = ((0u64, 1u64), (1u64, 0u64));
    let mut found = Vec::new();
    while b != 0 {
        let digit = a / b;
        (a, b) = (b, a % b);
        let next = |last: u64, current: u64| digit.checked_mul(current).and_then(|v| v.checked_add(last));
        let (Some(p), Some(q)) = (next(last.0, current.0), next(last.1, current.1)) else { break };
        (last, current) = (current, (p, q));
        found.push(current);
    }
    found
}

/// `a` and `b` as whole multiples, without a common factor, of one positive number.
pub fn whole_factors(a: &BigRational, b: &BigRational) -> (BigInt, BigInt, BigRational) {
    use num_integer::Integer;
    let denominator = a.denom().lcm(b.denom());
    let whole = |value: &BigRational| (value * BigRational::from_integer(denominator.clone())).to_integer();
    let (a, b) = (whole(a), whole(b));
    let common = match a.gcd(&b) {
        zero if num_traits::Zero::is_zero(&zero) => BigInt::one(),
        common => common,
    };
    let step = BigRational::new(common.clone(), denominator);
    (a / &common, b / &common, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_traits::{ToPrimitive, Zero};
    use systole_arith::formula::{Qonnx, Quantizer};
    use systole_arith::rounding::RoundingMode;
    use systole_arith::IntType;

    fn ratio(numerator: i64, denominator: i64) -> BigRational {
        BigRational::new(numerator.into(), denominator.into())
    }

    #[test]
    fn scales_become_whole_factors_of_one_step() {
        let whole = |a, b| {
            let (left, right, step) = whole_factors(&a, &b);
            assert_eq!(&step * BigRational::from_integer(left.clone()), a);
            assert_eq!(&step * BigRational::from_integer(right.clone()), b);
            (left.to_i64().unwrap(), right.to_i64().unwrap())
        };
        assert_eq!(whole(ratio(1, 4), ratio(5, 16)), (4, 5));
        assert_eq!(whole(ratio(3, 8), ratio(-3, 8)), (1, -1));
        assert_eq!(whole(ratio(1, 3), ratio(1, 7)), (7, 3));
        let single = |v: f32| BigRational::from_float(v).unwrap();
        assert_eq!(whole(single(0.1), single(0.1) * ratio(3, 1)), (1, 3));
        assert!(whole(single(0.1), single(0.3)).0 > 1 << 20, "0.3 is not three times 0.1 in float32");
    }

    #[test]
    fn convergents_end_at_the_fraction() {
        assert_eq!(convergents(415, 93), [(4, 1), (9, 2), (58, 13), (415, 93)]);
        assert_eq!(convergents(1, 3), [(0, 1), (1, 3)]);
    }

    fn narrowed(sum: Sum, step: BigRational) -> Option<(Sum, Formula)> {
        let ranges = [Range::new(-16, 15), Range::new(0, 31)];
        let chain = [RealOp::Affine { scale: vec![step], offset: vec![BigRational::zero()] }];
        sum.narrowed(ranges, &chain, |chain| {
            let (scale, rounding) = (vec![ratio(1, 1)], RoundingMode::HalfEven);
            let quantizer = Quantizer::Quant { scale, zero_point: 0, lo: -32, hi: 31, rounding };
            Qonnx::new(1, chain, quantizer, IntType::Signed(6)).map(Formula::Qonnx).ok()
        })
    }

    #[test]
    fn a_ratio_near_a_small_one_gets_small_factors_that_change_no_result() {
        let sum = Sum { factors: [17_852_596, -14_282_077], zero_points: [0, 4] };
        let step = ratio(1, 10_000_000);
        let (small, formula) = narrowed(sum, step.clone()).unwrap();
        assert!(small.factors[0].abs() <= 1 << 12, "{small:?}");
        let closest = |value: BigRational| {
            let floor = value.floor();
            let half = &value - &floor - ratio(1, 2);
            let up = half > BigRational::zero() || half.is_zero() && floor.to_integer().bit(0);
            (floor.to_integer().to_i64().unwrap() + i64::from(up)).clamp(-32, 31)
        };
        for x in -16..16 {
            for y in 0..32 {
                let real = BigRational::from_integer((17_852_596 * x - 14_282_077 * (y - 4)).into()) * &step;
                let stored = small.factors[0] * x + small.factors[1] * y + small.offset();
                assert_eq!(formula.evaluate(0, stored), closest(real), "{x} {y}");
            }
        }
    }

    #[test]
    fn small_factors_are_left_alone() {
        assert_eq!(narrowed(Sum { factors: [5, 4], zero_points: [0, 0] }, ratio(1, 8)), None);
    }
}
