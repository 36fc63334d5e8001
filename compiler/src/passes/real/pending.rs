//! Pending accumulators and the exact real function behind them.

use super::sum::Sum;
use super::Geometry;
use crate::passes::layout::Layout;
use crate::quant::TensorId;
use ndarray::Array2;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use std::sync::Arc;
use systole_arith::formula::RealOp;
use systole_arith::real::rational_sqrt;
use systole_arith::Window;

/// Integers that an operator of the accelerator sums, or takes as they are, in front of its formula.
#[derive(Clone, Debug)]
pub struct Accumulators {
    /// Name of the node.
    pub node: String,
    /// Name of the accumulators' tensor in the model file.
    pub tensor: String,
    /// The integer operand, the first of two.
    pub input: TensorId,
    /// Its stored value that stands for 0.
    pub input_zero_point: i64,
    /// Shape of the accumulators of one sample, channels innermost.
    pub shape: Vec<usize>,
    /// How they follow from the operand.
    pub kind: AccumulatorKind,
}

/// How accumulators follow from integer tensors.
#[derive(Clone, Debug)]
pub enum AccumulatorKind {
    /// A product with integer weights.
    Product {
        /// Where it reads its input.
        geometry: Geometry,
        /// Integer weights as the geometry's operator has them.
        weights: Arc<Array2<i64>>,
    },
    /// `x - input_zero_point`, element by element of a tensor of so many channels.
    Elements {
        /// Channels.
        channels: usize,
    },
    /// The sum of `x - input_zero_point` over the taps of a window that are not padding, each channel
    /// alone.
    Taps {
        /// Geometry.
        window: Window,
        /// Numbers of real taps that occur, ascending; where their divisors differ, the functions are
        /// one for each and not one a channel.
        counts: Vec<usize>,
        /// Whether the divisors differ.
        by_count: bool,
    },
    /// A weighted sum of two tensors of one shape.
    Sum {
        /// The second operand.
        other: TensorId,
        /// Factors and zero points of both.
        sum: Sum,
    },
}

/// A real function of accumulators, exact in every step.
#[derive(Clone, Debug)]
pub struct PendingReal {
    /// The accumulators.
    pub source: Accumulators,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// How the file's elements follow from these.
    pub layout: Layout,
    /// Operations on the accumulators in order, neighbouring affine ones merged.
    pub chain: Vec<RealOp>,
    /// Maxima over windows of the function, in order: they are taken of the integers that a quantizer
    /// makes of it, which is the same as long as what follows is rising.
    pub maxima: Vec<(Window, Layout)>,
    /// Whether an operation behind a maximum was falling.
    pub falls: bool,
}

impl PendingReal {
    /// The accumulators times `scale` (one, or one an output), in the file's order.
    pub fn new(source: Accumulators, scale: Vec<BigRational>) -> Self {
        let layout = Layout::in_order(&source.shape);
        PendingReal::held(source, layout, scale)
    }

    /// The accumulators times `scale` (one, or one an output), held with `layout`.
    pub fn held(source: Accumulators, layout: Layout, scale: Vec<BigRational>) -> Self {
        let shape = source.shape.clone();
        let chain = vec![RealOp::Affine { scale, offset: vec![BigRational::zero()] }];
        PendingReal { source, shape, layout, chain, maxima: Vec::new(), falls: false }
    }

    /// The function in front of everything else, one factor for each number of real taps.
    pub fn divided_by_count(mut self, factors: Vec<BigRational>) -> Self {
        self.chain.insert(0, RealOp::Affine { scale: factors, offset: vec![BigRational::zero()] });
        self
    }

    /// Functions that it may consist of: one for each output, channel or number of real taps.
    pub fn channels(&self) -> usize {
        match &self.source.kind {
            AccumulatorKind::Product { weights, .. } => weights.nrows(),
            AccumulatorKind::Elements { channels } => *channels,
            AccumulatorKind::Taps { counts, by_count: true, .. } => counts.len(),
            AccumulatorKind::Taps { .. } => self.source.shape.last().copied().unwrap_or(1),
            AccumulatorKind::Sum { .. } => 1,
        }
    }

    /// The chain with one entry in each list, if all channels have the same function. A sum of taps
    /// keeps one divisor for each number of real taps.
    pub fn uniform_chain(&self) -> Option<Vec<RealOp>> {
        let one = |list: &[BigRational]| match list {
            [first, rest @ ..] if rest.iter().all(|value| value == first) => Some(vec![first.clone()]),
            _ => None,
        };
        let by_count = matches!(self.source.kind, AccumulatorKind::Taps { by_count: true, .. });
        let op = |(place, op): (usize, &RealOp)| match op {
            _ if by_count && place == 0 => Some(op.clone()),
            RealOp::Affine { scale, offset } => Some(RealOp::Affine { scale: one(scale)?, offset: one(offset)? }),
            RealOp::DivideBySqrt { radicand } => Some(RealOp::DivideBySqrt { radicand: one(radicand)? }),
            RealOp::Relu => Some(RealOp::Relu),
        };
        self.chain.iter().enumerate().map(op).collect()
    }

    /// Continues with the maximum over a window; the result is held with `layout`.
    pub fn maximum(&mut self, window: Window, layout: Layout) {
        self.shape = layout.shape().to_vec();
        self.layout = layout.clone();
        self.maxima.push((window, layout));
    }

    /// Continues with `scale[c] * x + offset[c]`; lists of one count for all channels.
    pub fn affine(&mut self, scale: Vec<BigRational>, offset: Vec<BigRational>) {
        self.falls |= !self.maxima.is_empty() && scale.iter().any(Signed::is_negative);
        if let Some(RealOp::Affine { scale: s, offset: o }) = self.chain.last_mut() {
            *o = zip(&zip(o, &scale, |a, b| a * b), &offset, |a, b| a + b);
            *s = zip(s, &scale, |a, b| a * b);
            return;
        }
        self.chain.push(RealOp::Affine { scale, offset });
    }

    /// Operations one after the other, neighbouring affine ones merged.
    pub fn merged(operations: impl Iterator<Item = RealOp>) -> Vec<RealOp> {
        let mut chain: Vec<RealOp> = Vec::new();
        for op in operations {
            match (chain.last_mut(), op) {
                (Some(RealOp::Affine { scale: s, offset: o }), RealOp::Affine { scale, offset }) => {
                    *o = zip(&zip(o, &scale, |a, b| a * b), &offset, |a, b| a + b);
                    *s = zip(s, &scale, |a, b| a * b);
                }
                (_, op) => chain.push(op),
            }
        }
        chain
    }

    /// Continues with `x / sqrt(radicand[c])`, radicands positive. Where all roots are rational
    /// this is an affine operation.
    pub fn divide_by_sqrt(&mut self, radicand: Vec<BigRational>) {
        let roots: Option<Vec<BigRational>> = radicand.iter().map(rational_sqrt).collect();
        match roots {
            Some(roots) => {
                let inverse = roots.iter().map(BigRational::recip).collect();
                self.affine(inverse, vec![BigRational::zero()]);
            }
            None => self.chain.push(RealOp::DivideBySqrt { radicand }),
        }
    }

    /// Continues with `max(x, 0)`.
    pub fn relu(&mut self) {
        self.chain.push(RealOp::Relu);
    }

    /// The function's value at an accumulator; none where it has an irrational root.
    pub fn value_at(&self, channel: usize, accumulator: i64) -> Option<BigRational> {
        let of = |list: &[BigRational]| match list {
            [one] => Some(one.clone()),
            _ => list.get(channel).cloned(),
        };
        let mut value = BigRational::from_integer(accumulator.into());
        for op in &self.chain {
            value = match op {
                RealOp::Affine { scale, offset } => value * of(scale)? + of(offset)?,
                RealOp::Relu if value.is_negative() => BigRational::zero(),
                RealOp::Relu => value,
                RealOp::DivideBySqrt { .. } => return None,
            };
        }
        Some(value)
    }

    /// Whether the function has an integer value at every integer accumulator, because all of its
    /// coefficients are integers.
    pub fn is_integral(&self) -> bool {
        let mut scale = vec![BigRational::one()];
        let mut offset = vec![BigRational::zero()];
        // Values at which a Relu may hold the function constant.
        let mut constants: Vec<Vec<BigRational>> = Vec::new();
        for op in &self.chain {
            match op {
                RealOp::Affine { scale: s, offset: o } => {
                    let apply = |v: &[BigRational]| zip(&zip(v, s, |a, b| a * b), o, |a, b| a + b);
                    offset = apply(&offset);
                    scale = zip(&scale, s, |a, b| a * b);
                    constants = constants.iter().map(|c| apply(c)).collect();
                }
                RealOp::Relu => constants.push(vec![BigRational::zero()]),
                RealOp::DivideBySqrt { .. } => return false,
            }
        }
        let integers = |list: &[BigRational]| list.iter().all(BigRational::is_integer);
        integers(&scale) && integers(&offset) && constants.iter().all(|c| integers(c))
    }
}

/// Combines two lists of one or one a channel.
pub fn zip(
    a: &[BigRational],
    b: &[BigRational],
    f: impl Fn(&BigRational, &BigRational) -> BigRational,
) -> Vec<BigRational> {
    match (a, b) {
        ([a], b) => b.iter().map(|b| f(a, b)).collect(),
        (a, [b]) => a.iter().map(|a| f(a, b)).collect(),
        (a, b) => a.iter().zip(b).map(|(a, b)| f(a, b)).collect(),
    }
}

/// `1 / sqrt(value)` of a positive rational with a relative error below 2^-100.
pub fn inverse_root(value: &BigRational) -> BigRational {
    if let Some(root) = rational_sqrt(value) {
        return root.recip();
    }
    // 1/sqrt(n/d) = sqrt(n*d) / n; scaling n*d by 4^k gives the root k more bits.
    let product = value.numer() * value.denom();
    let digits = product.bits() / 2;
    let extra = 110u64.saturating_sub(digits) as usize + 2;
    let root = (product << (2 * extra)).sqrt();
    BigRational::new(root, value.numer() << extra)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;

    fn ratio(numerator: i64, denominator: i64) -> BigRational {
        BigRational::new(numerator.into(), denominator.into())
    }

    fn pending() -> PendingReal {
        let source = Accumulators {
            node: "n".into(),
            tensor: "t".into(),
            input: TensorId(0),
            input_zero_point: 0,
            shape: vec![2],
            kind: AccumulatorKind::Product { geometry: Geometry::Pixels, weights: Arc::new(Array2::zeros((2, 3))) },
        };
        PendingReal::new(source, vec![ratio(1, 2)])
    }

    #[test]
    fn neighbouring_affine_operations_merge_exactly() {
        let mut real = pending();
        real.affine(vec![ratio(1, 1)], vec![ratio(1, 3), ratio(-1, 3)]);
        real.affine(vec![ratio(6, 1), ratio(3, 1)], vec![ratio(1, 1)]);
        let RealOp::Affine { scale, offset } = &real.chain[0] else { panic!("{:?}", real.chain) };
        assert_eq!(real.chain.len(), 1);
        assert_eq!(scale, &[ratio(3, 1), ratio(3, 2)]);
        assert_eq!(offset, &[ratio(3, 1), ratio(0, 1)]);
    }

    #[test]
    fn division_by_a_rational_sqrt_is_affine() {
        let mut real = pending();
        real.divide_by_sqrt(vec![ratio(9, 4)]);
        assert!(matches!(real.chain.as_slice(), [RealOp::Affine { scale, .. }] if scale == &[ratio(1, 3)]));
        real.divide_by_sqrt(vec![ratio(2, 1)]);
        assert!(matches!(real.chain.as_slice(), [_, RealOp::DivideBySqrt { .. }]));
    }

    #[test]
    fn a_chain_is_uniform_where_all_channels_have_one_function() {
        let mut real = pending();
        real.affine(vec![ratio(3, 1), ratio(3, 1)], vec![ratio(1, 2), ratio(1, 2)]);
        let one = RealOp::Affine { scale: vec![ratio(3, 2)], offset: vec![ratio(1, 2)] };
        assert_eq!(real.uniform_chain(), Some(vec![one]));
        real.affine(vec![ratio(1, 1)], vec![ratio(0, 1), ratio(1, 1)]);
        assert_eq!(real.uniform_chain(), None);
    }

    #[test]
    fn a_falling_operation_matters_behind_a_maximum_only() {
        let mut real = pending();
        real.affine(vec![ratio(-1, 1)], vec![ratio(0, 1)]);
        assert!(!real.falls);
        real.maximum(Window::pointwise([1, 1]), Layout::in_order(&[2]));
        real.affine(vec![ratio(1, 1)], vec![ratio(0, 1)]);
        assert!(!real.falls);
        real.affine(vec![ratio(1, 1), ratio(-1, 1)], vec![ratio(0, 1)]);
        assert!(real.falls);
    }

    #[test]
    fn integrality_looks_at_constants_behind_a_relu() {
        let mut real = pending();
        assert!(!real.is_integral());
        real.affine(vec![ratio(4, 1)], vec![ratio(0, 1)]);
        assert!(real.is_integral());
        real.relu();
        real.affine(vec![ratio(1, 1)], vec![ratio(1, 2)]);
        assert!(!real.is_integral());
        real.affine(vec![ratio(2, 1)], vec![ratio(0, 1)]);
        assert!(real.is_integral());
    }

    #[test]
    fn inverse_roots_are_exact_to_a_hundred_bits() {
        for value in [ratio(2, 1), ratio(1, 3), ratio(1, i64::MAX), ratio(i64::MAX, 7), ratio(9, 16)] {
            let root = inverse_root(&value);
            // (root^2 * value - 1) is twice the relative error.
            let error = (&root * &root * &value - BigRational::one()).abs();
            assert!(error * BigRational::from_integer(BigInt::one() << 99) < BigRational::one(), "{value}");
        }
    }
}
