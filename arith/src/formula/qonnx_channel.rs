//! One channel of a QONNX formula, prepared: exact numbers, and float64 where they provably decide.

use super::pick;
use super::qonnx::{Qonnx, Quantizer, RealOp};
use crate::real::{rational_from_integer, rational_sqrt, rational_to_f64, Surd};
use crate::rounding::{Fraction, RoundingMode};
use num_bigint::Sign;
use num_rational::BigRational;
use num_traits::{One, Zero};
use std::cmp::Ordering;

/// Relative error that one float64 step of the fast path may add: eight times the 2^-50 that rounding
/// a root's three factors, the product and the sum can.
const STEP_ERROR: f64 = 1.0 / (1u64 << 47) as f64;
/// Covers underflow of a product.
const ABSOLUTE_ERROR: f64 = 1e-290;
/// Accumulators up to here are exact in float64.
const EXACT_IN_F64: u64 = 1 << 53;

/// A channel's operations and quantizer.
#[derive(Clone, Debug)]
pub struct QonnxChannel {
    ops: Vec<ExactOp>,
    fast: Option<Vec<FastOp>>,
    target: Target,
    slope: f64,
}

#[derive(Clone, Debug)]
enum ExactOp {
    Affine(BigRational, BigRational),
    /// Division by `factor * sqrt(radicand)`.
    DivideByRoot {
        factor: BigRational,
        radicand: BigRational,
    },
    Relu,
}

#[derive(Clone, Copy, Debug)]
enum FastOp {
    Affine(f64, f64),
    Relu,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Levels { lo: i64, hi: i64, rounding: RoundingMode },
    Sign,
}

impl QonnxChannel {
    /// Prepares a channel of a valid formula.
    pub(super) fn new(formula: &Qonnx, channel: usize) -> Self {
        let mut ops: Vec<ExactOp> = Vec::with_capacity(formula.ops.len() + 1);
        let mut base: Option<BigRational> = None;
        for op in &formula.ops {
            match op {
                RealOp::Affine { scale, offset } => {
                    push_affine(&mut ops, pick(scale, channel).clone(), pick(offset, channel).clone());
                }
                RealOp::DivideBySqrt { radicand } => {
                    let radicand = pick(radicand, channel);
                    if let Some(root) = rational_sqrt(radicand) {
                        push_affine(&mut ops, root.recip(), BigRational::zero());
                        continue;
                    }
                    let base = base.get_or_insert_with(|| radicand.clone());
                    // A valid formula has only radicands that are the first one times a square.
                    let factor = rational_sqrt(&(radicand / &*base)).unwrap_or_else(BigRational::one);
                    ops.push(ExactOp::DivideByRoot { factor, radicand: base.clone() });
                }
                RealOp::Relu => ops.push(ExactOp::Relu),
            }
        }
        let target = match &formula.quantizer {
            Quantizer::Quant { scale, zero_point, lo, hi, rounding } => {
                push_affine(&mut ops, pick(scale, channel).recip(), rational_from_integer(*zero_point));
                Target::Levels { lo: *lo, hi: *hi, rounding: *rounding }
            }
            Quantizer::Bipolar => Target::Sign,
        };
        let fast = ops.iter().map(FastOp::of).collect::<Option<Vec<_>>>();
        let slope = fast.iter().flatten().fold(1.0, |slope, op| match op {
            FastOp::Affine(scale, _) => slope * scale,
            FastOp::Relu => slope,
        });
        QonnxChannel { ops, fast, target, slope }
    }

    /// Levels an accumulator step adds where nothing clamps, or 0 where unknown.
    pub(super) fn slope(&self) -> f64 {
        self.slope
    }

    /// The stored integer of an accumulator.
    pub(super) fn evaluate(&self, acc: i64) -> i64 {
        self.evaluate_fast(acc).unwrap_or_else(|| self.evaluate_exact(acc))
    }

    /// The result where the float64 value lies farther from every decision than its error bound.
    fn evaluate_fast(&self, acc: i64) -> Option<i64> {
        let ops = self.fast.as_ref()?;
        if acc.unsigned_abs() > EXACT_IN_F64 {
            return None;
        }
        let (mut value, mut error) = (acc as f64, 0f64);
        for op in ops {
            match *op {
                FastOp::Affine(scale, offset) => {
                    let product = scale * value;
                    let magnitude = product.abs() + offset.abs();
                    value = product + offset;
                    error = 1.001 * (scale.abs() * error + (magnitude + value.abs()) * STEP_ERROR) + ABSOLUTE_ERROR;
                }
                // Moves two numbers no farther apart.
                FastOp::Relu => value = value.max(0.0),
            }
        }
        match self.target {
            // Negated comparisons would also hold for NaN.
            Target::Sign if value > error => Some(1),
            Target::Sign if value < -error => Some(-1),
            Target::Sign => None,
            Target::Levels { lo, hi, rounding } => {
                if value - error > hi as f64 {
                    Some(hi)
                } else if value + error < lo as f64 {
                    Some(lo)
                } else {
                    let shifted = if rounding.is_to_nearest() { value - 0.5 } else { value };
                    let distance = (shifted - shifted.round()).abs();
                    (distance > error).then(|| (rounding.round_f64(value) as i64).clamp(lo, hi))
                }
            }
        }
    }

    /// The result by exact arithmetic.
    fn evaluate_exact(&self, acc: i64) -> i64 {
        let one = BigRational::one();
        let mut value = Surd::rational(rational_from_integer(acc));
        for op in &self.ops {
            value = match op {
                ExactOp::Affine(scale, offset) => value.affine(scale, offset),
                ExactOp::DivideByRoot { factor, radicand } => value.divide_by_root(factor, radicand),
                ExactOp::Relu if value.sign() == Sign::Minus => {
                    value.affine(&BigRational::zero(), &BigRational::zero())
                }
                ExactOp::Relu => value,
            };
        }
        match self.target {
            Target::Sign if value.sign() == Sign::Minus => -1,
            Target::Sign => 1,
            Target::Levels { lo, hi, rounding } => {
                if value.cmp_integer(lo) != Ordering::Greater {
                    return lo;
                }
                if value.cmp_integer(hi) != Ordering::Less {
                    return hi;
                }
                let (mut floor, mut above) = (lo, hi);
                while above - floor > 1 {
                    let middle = floor + (above - floor) / 2;
                    if value.cmp_integer(middle) == Ordering::Less {
                        above = middle;
                    } else {
                        floor = middle;
                    }
                }
                let half =
                    (rational_from_integer(floor) + rational_from_integer(floor) + one) / rational_from_integer(2);
                let fraction = match value.cmp_rational(&half) {
                    Ordering::Greater => Fraction::AboveHalf,
                    Ordering::Equal => Fraction::Half,
                    Ordering::Less if value.cmp_integer(floor) == Ordering::Equal => Fraction::Zero,
                    Ordering::Less => Fraction::BelowHalf,
                };
                rounding.round_exact(floor, fraction)
            }
        }
    }
}

impl FastOp {
    fn of(op: &ExactOp) -> Option<FastOp> {
        Some(match op {
            ExactOp::Affine(scale, offset) => FastOp::Affine(rational_to_f64(scale)?, rational_to_f64(offset)?),
            ExactOp::DivideByRoot { factor, radicand } => {
                FastOp::Affine(1.0 / (rational_to_f64(factor)? * rational_to_f64(radicand)?.sqrt()), 0.0)
            }
            ExactOp::Relu => FastOp::Relu,
        })
    }
}

/// Appends `scale * x + offset`, merged with an affine operation before it.
fn push_affine(ops: &mut Vec<ExactOp>, scale: BigRational, offset: BigRational) {
    if let Some(ExactOp::Affine(before, summand)) = ops.last_mut() {
        *before *= &scale;
        *summand = &*summand * &scale + offset;
    } else {
        ops.push(ExactOp::Affine(scale, offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int_type::IntType;
    use proptest::prelude::*;

    fn ratio(n: i64, d: i64) -> BigRational {
        BigRational::new(n.into(), d.into())
    }

    #[test]
    fn decisions_too_close_for_floats_go_to_exact_arithmetic() {
        // acc * (1/3) / (1/6) is even-integer: every second rounding boundary is hit exactly.
        let ops = vec![RealOp::Affine { scale: vec![ratio(1, 12)], offset: vec![ratio(0, 1)] }];
        let quantizer = Quantizer::Quant {
            scale: vec![ratio(1, 6)],
            zero_point: 0,
            lo: -100,
            hi: 100,
            rounding: RoundingMode::HalfEven,
        };
        let channel = QonnxChannel::new(&Qonnx::new(1, ops, quantizer, IntType::Signed(8)).unwrap(), 0);
        assert_eq!(channel.evaluate_fast(1), None);
        assert_eq!([1, 3, 5].map(|acc| channel.evaluate(acc)), [0, 2, 2]);
        assert_eq!(channel.evaluate_fast(4), Some(2));
    }

    #[test]
    fn constants_beyond_the_fast_paths_range_are_decided_exactly() {
        let tiny = BigRational::new(1.into(), num_bigint::BigInt::from(10).pow(300));
        let ops = vec![
            RealOp::Affine { scale: vec![tiny.clone()], offset: vec![BigRational::zero()] },
            RealOp::Relu,
            RealOp::Affine { scale: vec![tiny.recip()], offset: vec![BigRational::zero()] },
        ];
        let quantizer =
            Quantizer::Quant { scale: vec![ratio(2, 1)], zero_point: 0, lo: 0, hi: 15, rounding: RoundingMode::Floor };
        let channel = QonnxChannel::new(&Qonnx::new(1, ops, quantizer, IntType::Unsigned(4)).unwrap(), 0);
        assert!(channel.fast.is_none());
        assert_eq!([-5, 0, 7, 8, 1000].map(|acc| channel.evaluate(acc)), [0, 0, 3, 4, 15]);
    }

    proptest! {
        #[test]
        fn the_fast_path_never_contradicts_exact_arithmetic(
            s in -2000i64..2000, o in -90_000i64..90_000, v in 1i64..5000, s2 in -50i64..50, step in 1i64..99,
            mode in 0usize..7, relu in any::<bool>(), accs in prop::collection::vec(-200_000i64..200_000, 40),
        ) {
            let mut ops = vec![
                RealOp::Affine { scale: vec![ratio(s, 64)], offset: vec![ratio(o, 128)] },
                RealOp::DivideBySqrt { radicand: vec![ratio(v, 16)] },
                RealOp::Affine { scale: vec![ratio(s2, 1000)], offset: vec![ratio(o % 77, 8)] },
            ];
            if relu {
                ops.insert(1, RealOp::Relu);
            }
            let quantizer = Quantizer::Quant {
                scale: vec![ratio(step, 32)], zero_point: step % 5, lo: -120, hi: 127, rounding: RoundingMode::ALL[mode],
            };
            let channel = QonnxChannel::new(&Qonnx::new(1, ops, quantizer, IntType::Signed(8)).unwrap(), 0);
            for acc in accs {
                prop_assert_eq!(channel.evaluate(acc), channel.evaluate_exact(acc));
            }
        }
    }
}
