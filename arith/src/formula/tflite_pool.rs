//! AVERAGE_POOL_2D of the TensorFlow Lite runtimes.

use super::{pick, Activation, Formula, FormulaError, OutputStage, TfliteProfile, TfliteTensorScale};
use crate::int_type::IntType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `clamp(acc / n)`, rounded to nearest with ties away from zero; acc = sum of the *stored* values of
/// the n real taps of a window. No zero point is involved: input and output have one scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TfliteAveragePool {
    /// One a count class: how many real taps a window of the class has.
    pub counts: Vec<u32>,
    /// The clamp; its zero point belongs to the tensor and is not added.
    pub output: OutputStage,
}

impl Formula {
    /// What every TensorFlow Lite runtime computes from the sum of the stored values under a window of
    /// AVERAGE_POOL_2D. Padded taps count neither in the sum nor in the divisor, so that channel i of the
    /// formula is the count class of windows with `counts[i]` real taps.
    ///
    /// The XNNPACK delegate leaves the operator to LiteRT, and with it the bounds of its activation.
    ///
    /// # Errors
    /// If there is no count or one is 0, the scale is not positive and finite, or the zero point is no
    /// value of `element`.
    pub fn tflite_average_pool(
        profile: TfliteProfile,
        counts: Vec<u32>,
        activation: Activation,
        scale: TfliteTensorScale,
        element: IntType,
    ) -> Result<Formula, FormulaError> {
        let bounds = match profile {
            TfliteProfile::Xnnpack => TfliteProfile::LitertOpt,
            profile => profile,
        };
        let pool = TfliteAveragePool { counts, output: scale.stage(bounds, activation, element)? };
        pool.validate().map(|()| Formula::TfliteAveragePool(pool))
    }
}

impl TfliteAveragePool {
    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        if self.counts.is_empty() {
            return Err(FormulaError::NoChannels);
        }
        if let Some(index) = self.counts.iter().position(|&count| count == 0) {
            return Err(FormulaError::Scale { what: "window count", index, value: 0.0 });
        }
        self.output.validate()
    }

    pub(super) fn class(&self, channel: usize) -> TflitePoolClass {
        TflitePoolClass { count: i64::from(*pick(&self.counts, channel)), output: self.output }
    }
}

/// One count class of a [`TfliteAveragePool`].
#[derive(Clone, Copy, Debug)]
pub struct TflitePoolClass {
    count: i64,
    output: OutputStage,
}

impl TflitePoolClass {
    #[inline]
    pub(super) fn evaluate(&self, acc: i64) -> i64 {
        let magnitude = acc.saturating_abs().saturating_add(self.count / 2) / self.count;
        self.output.saturate(if acc < 0 { -magnitude } else { magnitude })
    }

    pub(super) fn slope(&self) -> f64 {
        1.0 / self.count as f64
    }
}

impl fmt::Display for TfliteAveragePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutputStage { lo, hi, element, .. } = self.output;
        write!(f, "average over {:?}, ties away, clamp [{lo}, {hi}] -> {element}", self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(counts: Vec<u32>, activation: Activation) -> Result<Formula, FormulaError> {
        let scale = TfliteTensorScale { scale: 4.0, zero_point: 3 };
        Formula::tflite_average_pool(TfliteProfile::Xnnpack, counts, activation, scale, IntType::Signed(8))
    }

    #[test]
    fn ties_go_away_from_zero_in_every_count_class() {
        let pool = pool(vec![2, 4, 1], Activation::None).unwrap();
        assert_eq!([-3, -1, 0, 1, 3].map(|acc| pool.evaluate(0, acc)), [-2, -1, 0, 1, 2]);
        assert_eq!([-6, -5, 5, 6].map(|acc| pool.evaluate(1, acc)), [-2, -1, 1, 2]);
        assert_eq!([-128, 127].map(|acc| pool.evaluate(2, acc)), [-128, 127]);
    }

    #[test]
    fn bounds_are_those_of_litert_under_the_delegate_too() {
        let pool = pool(vec![1], Activation::Relu6).unwrap();
        assert_eq!([-128, 127].map(|acc| pool.evaluate(0, acc)), [3, 5]);
    }

    #[test]
    fn windows_without_taps_are_refused() {
        assert!(pool(vec![], Activation::None).is_err());
        assert!(pool(vec![3, 0], Activation::None).unwrap_err().to_string().contains("entry 1"));
    }
}
