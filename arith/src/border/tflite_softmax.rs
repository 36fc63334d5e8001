//! The int8 `SOFTMAX` of TensorFlow Lite in fixed point; all four runtimes agree on it.
//!
//! Qa.b is a number with b bits behind the point. Differences to the row's greatest logit are scaled
//! to Q5.26, their exponentials (Q0.31) summed in Q12.19, and the reciprocal of the sum found by
//! three Newton steps from the minimax line 48/17 - 32/17 d.

use super::tflite_quantize::positive;
use super::BorderError;
use crate::real::text;
use crate::rounding::{
    exp_negative, newton, rounding_divide_by_power_of_two, saturate_int32,
    saturating_rounding_doubling_high_mul as high, QuantizedMultiplier, ONE,
};
use ndarray::{ArrayD, Axis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Integer bits of scaled differences: Q5.26.
const DIFFERENCE_BITS: u32 = 5;
/// Fraction bits of the sum: Q12.19.
const SUM_INTEGER_BITS: u32 = 12;

/// Softmax over the last axis: int8 logits to int8 probabilities of scale 1/256 and zero point -128.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfliteSoftmax {
    /// Real value of a logit's step.
    #[serde(with = "text::single")]
    pub input_scale: f32,
    /// Factor in the exponent.
    #[serde(with = "text::single")]
    pub beta: f32,
}

impl TfliteSoftmax {
    /// An operation that the runtimes accept.
    ///
    /// # Errors
    /// If a number is not positive and finite, or beta * scale * 2^26 is at most 1, where the runtimes
    /// end the process.
    pub fn new(input_scale: f32, beta: f32) -> Result<Self, BorderError> {
        let softmax = TfliteSoftmax { input_scale, beta };
        softmax.scaling("tflite-softmax").map(|_| softmax)
    }

    /// The multiplier to Q5.26.
    fn scaling(&self, op: &'static str) -> Result<QuantizedMultiplier, BorderError> {
        positive(op, self.input_scale)?;
        positive(op, self.beta)?;
        let real = f64::from(self.beta) * f64::from(self.input_scale) * 2f64.powi(31 - DIFFERENCE_BITS as i32);
        let refuse = || BorderError::Parameter {
            op,
            parameter: "beta * scale",
            value: (f64::from(self.beta) * f64::from(self.input_scale)).to_string(),
            remedy: "it must exceed 2^-26, as the runtimes demand",
        };
        if real <= 1.0 {
            return Err(refuse());
        }
        QuantizedMultiplier::new(real.min(ONE as f64)).map_err(|_| refuse())
    }

    pub(super) fn apply(&self, op: &'static str, mut tensor: ArrayD<i64>) -> Result<ArrayD<i64>, BorderError> {
        let multiplier = self.scaling(op)?;
        let shape = tensor.shape().to_vec();
        let Some(last) = shape.len().checked_sub(1) else {
            return Err(BorderError::Shape { op, wanted: "a last axis".to_owned(), tensor: shape });
        };
        if let Some(logit) = tensor.iter().find(|logit| !(-128..=127).contains(*logit)) {
            let (value, remedy) = (logit.to_string(), "logits are int8");
            return Err(BorderError::Parameter { op, parameter: "logit", value, remedy });
        }
        for mut row in tensor.lanes_mut(Axis(last)) {
            let logits = row.to_vec();
            row.iter_mut().zip(softmax_row(multiplier, &logits)).for_each(|(slot, value)| *slot = value);
        }
        Ok(tensor)
    }
}

impl fmt::Display for TfliteSoftmax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scale {:?}, beta {:?}", self.input_scale, self.beta)
    }
}

fn softmax_row(multiplier: QuantizedMultiplier, logits: &[i64]) -> Vec<i64> {
    let greatest = logits.iter().copied().max().unwrap_or(0);
    // Differences below this leave Q5.26 and count as minus infinity.
    let least = -(((1i64 << DIFFERENCE_BITS) - 1) << (31 - DIFFERENCE_BITS) >> multiplier.shift.max(0));
    let powers: Vec<Option<i64>> = logits
        .iter()
        .map(|logit| logit - greatest)
        .map(|difference| {
            (difference >= least).then(|| {
                exp_negative(high(multiplier.shifted_left(difference), multiplier.multiplier.into()), DIFFERENCE_BITS)
            })
        })
        .collect();
    let sum: i64 = powers.iter().flatten().map(|&power| rounding_divide_by_power_of_two(power, SUM_INTEGER_BITS)).sum();
    // The greatest logit alone contributes 2^19, so the sum is positive.
    let bits = 64 - sum.leading_zeros();
    let inverse = reciprocal(((i128::from(sum) << 32 >> bits) - (1 << 31)) as i64);
    // The sum is 2^(bits - 20) * (1 + fraction); the result has 8 fraction bits.
    let exponent = (bits + 31).saturating_sub(20 + 8);
    let scaled = |power| rounding_divide_by_power_of_two(high(inverse, power), exponent) - 128;
    powers.into_iter().map(|power| power.map_or(-128, |power| scaled(power).clamp(-128, 127))).collect()
}

/// 1 / (1 + a) in Q0.31 of a in [0, 1) in Q0.31.
fn reciprocal(a: i64) -> i64 {
    saturate_int32(i128::from(newton(a)) << 1)
}

#[cfg(test)]
mod tests {
    use super::super::{BorderOp, BorderValue};
    use super::*;
    use ndarray::{arr0, array, Array1};
    use proptest::prelude::*;

    fn run(scale: f32, logits: &[i64]) -> Vec<i64> {
        let op = BorderOp::TfliteSoftmax(TfliteSoftmax::new(scale, 1.0).unwrap());
        let row = BorderValue::Int(Array1::from(logits.to_vec()).into_dyn());
        op.apply(row).unwrap().int("test").unwrap().into_iter().collect()
    }

    #[test]
    fn equal_logits_share_and_a_single_one_saturates() {
        assert_eq!(run(0.1, &[5, 5, 5, 5]), [-64; 4]);
        assert_eq!(run(0.1, &[-128]), [127]);
        assert_eq!(run(1.0, &[127, -128]), [127, -128]);
    }

    #[test]
    fn scales_that_end_the_runtimes_are_refused() {
        assert!(TfliteSoftmax::new(1e-9, 1.0).is_err());
        assert!(TfliteSoftmax::new(0.0, 1.0).is_err());
        assert!(TfliteSoftmax::new(1.0, f32::NAN).is_err());
        let op = BorderOp::TfliteSoftmax(TfliteSoftmax::new(0.1, 1.0).unwrap());
        assert!(op.apply(BorderValue::Int(array![1, 1000].into_dyn())).is_err());
        assert!(op.apply(BorderValue::Int(arr0(1).into_dyn())).is_err());
    }

    proptest! {
        #[test]
        fn probabilities_are_within_one_step_of_the_real_ones(
            scale in 1e-6f32..1e3, logits in prop::collection::vec(-128i64..=127, 1..40),
        ) {
            let got = run(scale, &logits);
            let greatest = logits.iter().copied().max().unwrap();
            let powers: Vec<f64> = logits.iter().map(|&l| ((l - greatest) as f64 * f64::from(scale)).exp()).collect();
            let sum: f64 = powers.iter().sum();
            for (got, power) in got.into_iter().zip(powers) {
                let real = (power / sum * 256.0 - 128.0).min(127.0);
                prop_assert!((got as f64 - real).abs() < 1.01, "{got} for {real}");
            }
        }
    }
}
