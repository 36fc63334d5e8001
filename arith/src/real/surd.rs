//! Numbers `p + r*sqrt(v)` with rational `p`, `r` and one `v`: closed under what batch
//! normalisation does to an accumulator, and ordered exactly by signs and squares.

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};
use std::cmp::Ordering;

/// `rational + coefficient * sqrt(radicand)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Surd {
    rational: BigRational,
    coefficient: BigRational,
    radicand: BigRational,
}

impl Surd {
    /// A rational number.
    pub fn rational(value: BigRational) -> Self {
        Surd { rational: value, coefficient: BigRational::zero(), radicand: BigRational::zero() }
    }

    /// `coefficient * sqrt(radicand)`; the radicand must not be negative.
    pub fn root(coefficient: BigRational, radicand: BigRational) -> Self {
        Surd { rational: BigRational::zero(), coefficient, radicand }
    }

    /// `scale * self + offset`.
    pub fn affine(&self, scale: &BigRational, offset: &BigRational) -> Self {
        Surd {
            rational: &self.rational * scale + offset,
            coefficient: &self.coefficient * scale,
            radicand: self.radicand.clone(),
        }
    }

    /// `self / (factor * sqrt(radicand))`. `self` must be rational or over the same radicand, and
    /// `factor` and `radicand` positive.
    pub fn divide_by_root(&self, factor: &BigRational, radicand: &BigRational) -> Self {
        Surd {
            rational: &self.coefficient / factor,
            coefficient: &self.rational / (factor * radicand),
            radicand: radicand.clone(),
        }
    }

    /// `self - value`.
    pub fn minus_rational(&self, value: &BigRational) -> Self {
        Surd { rational: &self.rational - value, ..self.clone() }
    }

    /// `-self`.
    pub fn negated(&self) -> Self {
        Surd { rational: -&self.rational, coefficient: -&self.coefficient, radicand: self.radicand.clone() }
    }

    /// The sign, decided by signs and squares.
    pub fn sign(&self) -> Sign {
        let rational = self.rational.numer().sign();
        let root = if self.radicand.is_zero() { Sign::NoSign } else { self.coefficient.numer().sign() };
        if root == Sign::NoSign || rational == root {
            return rational;
        }
        if rational == Sign::NoSign {
            return root;
        }
        let squared = &self.coefficient * &self.coefficient * &self.radicand;
        match (&self.rational * &self.rational).cmp(&squared) {
            Ordering::Greater => rational,
            Ordering::Less => root,
            Ordering::Equal => Sign::NoSign,
        }
    }

    /// How `self` compares with an integer.
    pub fn cmp_integer(&self, value: i64) -> Ordering {
        self.cmp_rational(&BigRational::from_integer(BigInt::from(value)))
    }

    /// How `self` compares with a rational.
    pub fn cmp_rational(&self, value: &BigRational) -> Ordering {
        match self.minus_rational(value).sign() {
            Sign::Minus => Ordering::Less,
            Sign::NoSign => Ordering::Equal,
            Sign::Plus => Ordering::Greater,
        }
    }

    /// An approximation, for reports and search hints only.
    pub fn approximate(&self) -> f64 {
        let float = |value: &BigRational| value.to_f64().unwrap_or(f64::NAN);
        float(&self.rational) + float(&self.coefficient) * float(&self.radicand.abs()).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_traits::One;
    use proptest::prelude::*;

    fn ratio(n: i64, d: i64) -> BigRational {
        BigRational::new(n.into(), d.into())
    }

    #[test]
    fn numbers_closer_than_any_float_are_told_apart() {
        // 665857/470832 is a convergent of sqrt(2), above it by about 1.6e-12 of a unit squared away.
        let close = Surd::root(BigRational::one(), ratio(2, 1));
        assert_eq!(close.cmp_rational(&ratio(665_857, 470_832)), Ordering::Less);
        assert_eq!(close.cmp_rational(&ratio(1_607_521, 1_136_689)), Ordering::Greater);
    }

    #[test]
    fn dividing_twice_by_the_same_root_is_dividing_by_the_radicand() {
        let x = Surd::rational(ratio(7, 3)).divide_by_root(&BigRational::one(), &ratio(5, 1));
        let twice = x.divide_by_root(&BigRational::one(), &ratio(5, 1));
        assert_eq!(twice.cmp_rational(&ratio(7, 15)), Ordering::Equal);
    }

    #[test]
    fn a_square_radicand_can_cancel_exactly() {
        let zero = Surd::root(ratio(-1, 1), ratio(9, 4)).affine(&ratio(1, 1), &ratio(3, 2));
        assert_eq!(zero.sign(), Sign::NoSign);
    }

    proptest! {
        #[test]
        fn order_agrees_with_floats_where_floats_can_tell(p in -999i64..999, r in -999i64..999, v in 1i64..999, c in -999i64..999) {
            let surd = Surd::root(ratio(r, 7), ratio(v, 3)).affine(&BigRational::one(), &ratio(p, 11));
            let difference = surd.approximate() - c as f64;
            prop_assume!(difference.abs() > 1e-9);
            prop_assert_eq!(surd.cmp_integer(c) == Ordering::Greater, difference > 0.0);
        }
    }
}
