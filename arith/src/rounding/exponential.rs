//! The exponential and the reciprocal in 32-bit fixed point, as TensorFlow Lite's kernels have them.
//!
//! Source: gemmlowp `fixedpoint/fixedpoint.h`, restated: the exponential of a non-positive number is a series about -1/8
//! for the last quarter, times powers of e for the bits of the whole quarters; the division is Newton's from the
//! line 48/17 - 32/17 d. Q`i`.`f` has i integer and f fraction bits besides the sign.

use super::{rounding_divide_by_power_of_two, saturate_int32, saturating_rounding_doubling_high_mul as high};

/// One in Q0.31, saturated.
pub(crate) const ONE: i64 = i32::MAX as i64;
/// exp(-1/8) in Q0.31.
const EXP_MINUS_EIGHTH: i64 = 1_895_147_668;
/// 1/3 in Q0.31.
const THIRD: i64 = 715_827_883;
/// exp(-2^k) in Q0.31, k = -2 to 4.
const EXP_MINUS_POWERS: [i64; 7] = [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
/// 48/17 and -32/17 in Q2.29.
const NEWTON_LINE: (i64, i64) = (1_515_870_810, -1_010_580_540);

/// exp(a) in Q0.31 of a <= 0 with `integer_bits` of 4 or 5.
pub(crate) fn exp_negative(a: i64, integer_bits: u32) -> i64 {
    if a == 0 {
        return ONE;
    }
    let quarter_bit = 29 - integer_bits;
    let quarter = 1i64 << quarter_bit;
    let small = (a & (quarter - 1)) - quarter;
    let quarters = small - a;
    let powers = EXP_MINUS_POWERS.iter().take(integer_bits as usize + 2).enumerate();
    powers
        .filter(|(k, _)| quarters >> (quarter_bit as usize + k) & 1 == 1)
        .fold(exp_small(small << integer_bits), |product, (_, &power)| high(product, power))
}

/// exp(a) in Q0.31 of a in [-1/4, 0) in Q0.31.
fn exp_small(a: i64) -> i64 {
    let x = a + (1 << 28);
    let x2 = high(x, x);
    let (x3, x4) = (high(x2, x), high(x2, x2));
    let quartic = rounding_divide_by_power_of_two(x4, 2);
    let tail = rounding_divide_by_power_of_two(high(quartic + x3, THIRD) + x2, 1);
    saturate_int32(i128::from(EXP_MINUS_EIGHTH + high(EXP_MINUS_EIGHTH, x + tail)))
}

/// 2 / (1 + a) in Q2.29 of a in [0, 1] in Q0.31.
pub(crate) fn newton(a: i64) -> i64 {
    let half = (a + (1 << 31)) >> 1;
    let mut x = NEWTON_LINE.0 + high(half, NEWTON_LINE.1);
    for _ in 0..3 {
        let error = (1 << 29) - high(half, x);
        x = saturate_int32(i128::from(x) + i128::from(saturate_int32(i128::from(high(x, error)) << 2)));
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_the_rounded_numbers_they_stand_for() {
        let fixed = |real: f64, bits: i32| (real * 2f64.powi(bits)).round() as i64;
        assert_eq!((EXP_MINUS_EIGHTH, THIRD), (fixed((-0.125f64).exp(), 31), fixed(1.0 / 3.0, 31)));
        assert_eq!(NEWTON_LINE, (fixed(48.0 / 17.0, 29), fixed(-32.0 / 17.0, 29)));
        for (k, &power) in EXP_MINUS_POWERS.iter().enumerate() {
            assert_eq!(power, fixed((-(2f64.powi(k as i32 - 2))).exp(), 31));
        }
    }
}
