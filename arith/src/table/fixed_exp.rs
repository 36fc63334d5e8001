//! Logistic function and hyperbolic tangent in 32-bit fixed point, from the exponential of a non-positive number.
//!
//! Source: gemmlowp `fixedpoint/fixedpoint.h`, restated. Q`i`.`f` has i integer and f fraction bits besides the sign.

use crate::rounding::{exp_negative, newton, saturate_int32, ONE};

/// `1 / (1 + exp(-x))` in Q0.31 of x in Q4.27.
pub(super) fn logistic(x: i64) -> i64 {
    if x == 0 {
        return 1 << 30;
    }
    let positive = saturate_int32(i128::from(newton(exp_negative(-x.abs(), 4))) << 1);
    if x > 0 {
        positive
    } else {
        ONE - positive
    }
}

/// tanh(x) in Q0.31 of x in Q4.27: `(1 - e) / (1 + e)` of e = exp(-2|x|).
pub(super) fn tanh(x: i64) -> i64 {
    if x == 0 {
        return 0;
    }
    // The same bits with one more integer bit are twice the number.
    let magnitude = saturate_int32(i128::from(newton(exp_negative(-x.abs(), 5)) - (1 << 29)) << 2);
    if x > 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_functions_stay_near_the_real_ones() {
        for step in -1500..1500i64 {
            let x = step * (1 << 27) / 100;
            let real = x as f64 / 2f64.powi(27);
            let near = |fixed: i64, exact: f64| (fixed as f64 / 2f64.powi(31) - exact).abs() < 2e-7;
            assert!(near(logistic(x), 1.0 / (1.0 + (-real).exp())), "logistic {real}");
            assert!(near(tanh(x), real.tanh()), "tanh {real}");
        }
    }
}
