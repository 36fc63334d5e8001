//! Exact real numbers: rationals, numbers `p + r*sqrt(v)`, and their text forms in files.

mod surd;
pub mod text;

pub use surd::Surd;

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// The rational that a finite float is; none for infinities and NaN.
pub fn rational_from_f32(value: f32) -> Option<BigRational> {
    BigRational::from_float(value)
}

/// The rational that a finite float is; none for infinities and NaN.
pub fn rational_from_f64(value: f64) -> Option<BigRational> {
    BigRational::from_float(value)
}

/// The rational of an integer.
pub fn rational_from_integer(value: i64) -> BigRational {
    BigRational::from_integer(BigInt::from(value))
}

/// The rational square root of `value`, where it has one.
pub fn rational_sqrt(value: &BigRational) -> Option<BigRational> {
    if value.is_negative() {
        return None;
    }
    let root = |n: &BigInt| {
        let root = n.sqrt();
        (&root * &root == *n).then_some(root)
    };
    Some(BigRational::new_raw(root(value.numer())?, root(value.denom())?))
}

/// The float64 nearest to `value` within a relative error of 2^-52; none outside `1e-200 ..= 1e200`
/// in magnitude, zero excepted, where chains of such numbers could leave the normal range.
pub fn rational_to_f64(value: &BigRational) -> Option<f64> {
    if value.is_zero() {
        return Some(0.0);
    }
    let float = value.to_f64()?;
    (1e-200..=1e200).contains(&float.abs()).then_some(float)
}

/// The float32 nearest to `value`, ties to even; infinite from the overflow threshold on.
pub fn nearest_f32(value: &Surd) -> f32 {
    let sign = value.sign();
    if sign == Sign::NoSign {
        return 0.0;
    }
    let magnitude = if sign == Sign::Minus { value.negated() } else { value.clone() };
    // Positive floats are ordered like their bits: bisect for the greatest one not above the value.
    let (mut low, mut high) = (0u32, f32::INFINITY.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let not_above = rational_from_f32(f32::from_bits(middle))
            .is_some_and(|float| magnitude.minus_rational(&float).sign() != Sign::Minus);
        if not_above {
            low = middle;
        } else {
            high = middle;
        }
    }
    let below = f32::from_bits(low);
    // Above the greatest float, rounding pretends that the next one is 2^128.
    let next = rational_from_f32(f32::from_bits(high)).unwrap_or_else(|| BigRational::one() * BigInt::from(2).pow(128));
    let middle = rational_from_f32(below).map(|below| (below + next) / BigInt::from(2));
    let up = middle.is_some_and(|middle| match magnitude.minus_rational(&middle).sign() {
        Sign::Plus => true,
        Sign::NoSign => low & 1 == 1,
        Sign::Minus => false,
    });
    let rounded = if up { f32::from_bits(high) } else { below };
    if sign == Sign::Minus {
        -rounded
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn square_roots_exist_only_for_squares_of_rationals() {
        let ratio = |n: i64, d: i64| BigRational::new(n.into(), d.into());
        assert_eq!(rational_sqrt(&ratio(9, 4)), Some(ratio(3, 2)));
        assert_eq!(rational_sqrt(&ratio(0, 1)), Some(ratio(0, 1)));
        assert_eq!(rational_sqrt(&ratio(2, 1)), None);
        assert_eq!(rational_sqrt(&ratio(-4, 1)), None);
    }

    #[test]
    fn values_past_the_greatest_float_round_to_infinity_at_its_midpoint() {
        let power = |n: u32| BigRational::from_integer(BigInt::from(2).pow(n));
        let midpoint = power(128) - power(103);
        assert_eq!(nearest_f32(&Surd::rational(midpoint.clone())), f32::INFINITY);
        assert_eq!(nearest_f32(&Surd::rational(midpoint - power(0))), f32::MAX);
    }

    proptest! {
        #[test]
        fn nearest_float32_equals_the_conversion_from_float64(bits in any::<u64>()) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            let exact = Surd::rational(rational_from_f64(x).unwrap());
            prop_assert_eq!(nearest_f32(&exact).abs(), (x as f32).abs());
        }

        #[test]
        fn conversion_to_float64_is_within_two_units(n in any::<i64>(), d in 1i64..i64::MAX, shift in 0u32..200) {
            prop_assume!(n != 0);
            let exact = BigRational::new(BigInt::from(n) << shift, BigInt::from(d) * 3);
            let float = rational_to_f64(&exact).unwrap();
            let error = (rational_from_f64(float).unwrap() - &exact).abs() / exact.abs();
            prop_assert!(error <= BigRational::new(1.into(), BigInt::from(1i64 << 52)));
        }
    }
}
