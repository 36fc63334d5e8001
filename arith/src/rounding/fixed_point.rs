//! Fixed-point rescaling as gemmlowp and TensorFlow Lite define it.
//!
//! Source: gemmlowp `fixedpoint/fixedpoint.h` and TensorFlow Lite
//! `kernels/internal/quantization_util.cc`, restated. Everything is evaluated in 64 or 128 bits, and
//! the 32-bit saturations of the originals are applied by name.

use super::saturate_int32;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Splits a finite `x` into `(mantissa, exponent)`, `x = mantissa * 2^exponent` exactly, with
/// `0.5 <= |mantissa| < 1`; zero, infinities and NaN come back unchanged with exponent 0.
pub fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    // Subnormals are first scaled into the normal range, which is exact.
    let (normal, bias) = if x.is_normal() { (x, 0) } else { (x * 2f64.powi(64), -64) };
    let bits = normal.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    (f64::from_bits(bits & !(0x7ff << 52) | (1022 << 52)), exponent + bias)
}

/// Why a real number cannot be a fixed-point multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("multiplier {0} is not a finite number >= 0; requantize the model with positive, finite scales")]
pub struct MultiplierError(pub f64);

/// A non-negative real as `multiplier * 2^(shift - 31)`.
///
/// `multiplier` is 0 or in `2^30 ..= 2^31 - 1`, `shift` (left when positive) in -31 to 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QuantizedMultiplier {
    /// Mantissa in units of 2^-31.
    pub multiplier: i32,
    /// Power of two, positive to the left.
    pub shift: i32,
}

impl QuantizedMultiplier {
    /// The fixed-point form of `real`: mantissa times 2^31 rounded half away from zero; below
    /// about 2^-32 it becomes 0, from 2^30 on it saturates to `(2^31 - 1) * 2^(30 - 31)`.
    ///
    /// # Errors
    /// If `real` is negative, infinite or NaN.
    pub fn new(real: f64) -> Result<Self, MultiplierError> {
        if !real.is_finite() || real < 0.0 {
            return Err(MultiplierError(real));
        }
        if real == 0.0 {
            return Ok(QuantizedMultiplier { multiplier: 0, shift: 0 });
        }
        let (mantissa, mut shift) = frexp(real);
        // Scaling by a power of two is exact; `round` is half away from zero.
        let mut fixed = (mantissa * 2f64.powi(31)).round() as i64;
        if fixed == 1 << 31 {
            fixed /= 2;
            shift += 1;
        }
        Ok(match shift {
            ..=-32 => QuantizedMultiplier { multiplier: 0, shift: 0 },
            -31..=30 => QuantizedMultiplier { multiplier: fixed as i32, shift },
            31.. => QuantizedMultiplier { multiplier: i32::MAX, shift: 30 },
        })
    }

    /// The real number it stands for, exactly.
    pub fn real(self) -> f64 {
        f64::from(self.multiplier) * 2f64.powi(self.shift - 31)
    }

    /// `acc << max(shift, 0)`, saturated to 32 bits.
    ///
    /// The runtimes shift in 32 bits and wrap when the value does not fit (undefined in C++). We
    /// saturate: the result is monotone and is the one the formula means. Both agree for every
    /// accumulator in [`QuantizedMultiplier::defined_limit`].
    pub fn shifted_left(self, acc: i64) -> i64 {
        saturate_int32(i128::from(acc) << self.shift.max(0))
    }

    /// Greatest magnitude of an accumulator for which the runtimes' 32-bit left shift does not wrap.
    pub fn defined_limit(self) -> i64 {
        i64::from(i32::MAX) >> self.shift.max(0)
    }
}

/// High half of the doubled product with rounding: `(a*b + nudge) / 2^31` truncating, where nudge
/// is `2^30` for a product >= 0 and `1 - 2^30` below; which is rounding to nearest with ties toward
/// plus infinity. `a` and `b` are 32-bit values; -2^31 times itself saturates to 2^31 - 1.
pub fn saturating_rounding_doubling_high_mul(a: i64, b: i64) -> i64 {
    saturate_int32((i128::from(a) * i128::from(b) + (1 << 30)) >> 31)
}

/// `x / 2^exponent`, rounded to nearest with ties away from zero. `exponent` is 0 to 62.
pub fn rounding_divide_by_power_of_two(x: i64, exponent: u32) -> i64 {
    let half = if exponent == 0 { 0 } else { 1i128 << (exponent - 1) };
    let magnitude = (i128::from(x).abs() + half) >> exponent;
    (if x < 0 { -magnitude } else { magnitude }) as i64
}

/// `x / 2^exponent`, rounded to nearest with ties toward plus infinity. `exponent` is 0 to 62.
pub fn shift_ties_up(x: i64, exponent: u32) -> i64 {
    let half = if exponent == 0 { 0 } else { 1i128 << (exponent - 1) };
    ((i128::from(x) + half) >> exponent) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frexp_splits_normals_subnormals_and_zero() {
        assert_eq!(frexp(1.0), (0.5, 1));
        assert_eq!(frexp(-6.0), (-0.75, 3));
        assert_eq!(frexp(0.0), (0.0, 0));
        assert_eq!(frexp(f64::from_bits(1)), (0.5, -1073));
        assert_eq!(frexp(f64::MAX), (1.0 - f64::EPSILON / 2.0, 1024));
    }

    #[test]
    fn multiplier_renormalises_vanishes_and_saturates() {
        let q = |real| QuantizedMultiplier::new(real).map(|q| (q.multiplier, q.shift));
        assert_eq!(q(0.5), Ok((1 << 30, 0)));
        assert_eq!(q(1.0), Ok((1 << 30, 1)));
        // The mantissa rounds up to 2^31.
        assert_eq!(q(1.0 - 2f64.powi(-40)), Ok((1 << 30, 1)));
        assert_eq!(q(2f64.powi(-32)), Ok((1 << 30, -31)));
        assert_eq!(q(2f64.powi(-33)), Ok((0, 0)));
        assert_eq!(q(2f64.powi(29)), Ok((1 << 30, 30)));
        assert_eq!(q(2f64.powi(30)), Ok((i32::MAX, 30)));
        assert_eq!(q(0.0), Ok((0, 0)));
        assert!(q(-1.0).is_err() && q(f64::NAN).is_err() && q(f64::INFINITY).is_err());
    }

    #[test]
    fn high_multiply_takes_negative_ties_up() {
        // 2^30 * 3 / 2^31 = 1.5 and its negative.
        assert_eq!(saturating_rounding_doubling_high_mul(3, 1 << 30), 2);
        assert_eq!(saturating_rounding_doubling_high_mul(-3, 1 << 30), -1);
        assert_eq!(saturating_rounding_doubling_high_mul(-1, 1 << 30), 0);
        let least = i64::from(i32::MIN);
        assert_eq!(saturating_rounding_doubling_high_mul(least, least), i64::from(i32::MAX));
    }

    #[test]
    fn division_takes_negative_ties_away_from_zero_and_the_plain_shift_takes_them_up() {
        let away: Vec<_> = [-6, -5, -3, -2, -1, 2, 6].map(|x| rounding_divide_by_power_of_two(x, 2)).into();
        assert_eq!(away, [-2, -1, -1, -1, 0, 1, 2]);
        let up: Vec<_> = [-6, -5, -3, -2, -1, 2, 6].map(|x| shift_ties_up(x, 2)).into();
        assert_eq!(up, [-1, -1, -1, 0, 0, 1, 2]);
        assert_eq!((rounding_divide_by_power_of_two(-7, 0), shift_ties_up(-7, 0)), (-7, -7));
        assert_eq!(rounding_divide_by_power_of_two(i64::from(i32::MIN), 31), -1);
    }

    proptest! {
        #[test]
        fn frexp_is_exact(bits in any::<u64>()) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite() && x != 0.0);
            let (mantissa, exponent) = frexp(x);
            prop_assert!((0.5..1.0).contains(&mantissa.abs()));
            // In two steps, for neither power alone need be a number.
            let half = exponent / 2;
            prop_assert_eq!(mantissa * 2f64.powi(half) * 2f64.powi(exponent - half), x);
        }

        #[test]
        fn high_multiply_equals_the_truncating_definition(a in any::<i32>(), b in any::<i32>()) {
            prop_assume!((a, b) != (i32::MIN, i32::MIN));
            let product = i64::from(a) * i64::from(b);
            let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
            let definition = (product + nudge) / (1i64 << 31);
            prop_assert_eq!(saturating_rounding_doubling_high_mul(a.into(), b.into()), definition);
        }

        #[test]
        fn multiplier_stays_within_half_a_unit(real in 1e-9f64..1e9) {
            let fixed = QuantizedMultiplier::new(real).unwrap();
            prop_assert!((fixed.real() - real).abs() <= real * 2f64.powi(-31));
        }

        #[test]
        fn left_shift_is_plain_within_the_defined_limit(real in 1.0f64..1e6, acc in any::<i32>()) {
            let fixed = QuantizedMultiplier::new(real).unwrap();
            let limit = fixed.defined_limit();
            let acc = i64::from(acc).clamp(-limit, limit);
            prop_assert_eq!(fixed.shifted_left(acc), acc << fixed.shift.max(0));
        }
    }
}
