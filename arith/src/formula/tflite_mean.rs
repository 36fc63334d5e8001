//! MEAN of the TensorFlow Lite runtimes.

use super::fixed_point::rescale;
use super::tflite::quantized;
use super::{Activation, Formula, FormulaError, OutputStage, TfliteProfile, TfliteTensorScale, TieRule};
use crate::int_type::IntType;
use crate::real::text;
use crate::rounding::QuantizedMultiplier;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Channels that LiteRT's optimized kernel averages at once.
const BLOCK: u32 = 16;
/// Most elements a mean is taken over.
const MOST: u32 = 1 << 24;

/// A rescaled sum of stored values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfliteMean {
    /// Output channels: 1 unless the rounding depends on the channel.
    pub channels: usize,
    /// The rescaling.
    pub rescale: MeanRescale,
    /// Zero point and clamp.
    pub output: OutputStage,
}

/// How a sum of stored values becomes a mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeanRescale {
    /// `shift(high_mul(acc - subtract, m)) + bias`, then the zero point and the clamp.
    Fixed {
        /// Ratio of the scales over the count.
        multiplier: QuantizedMultiplier,
        /// Rounding of the shift.
        ties: TieRule,
        /// Subtracted from the sum.
        subtract: i64,
        /// Added to the result.
        bias: i64,
    },
    /// `clamp(rint_half_even(f32(f32(f32(acc) * scale) + bias)))`; the bias holds the zero point.
    Float32 {
        /// Ratio of the scales over the count.
        #[serde(with = "text::single")]
        scale: f32,
        /// Zero points.
        #[serde(with = "text::single")]
        bias: f32,
    },
}

/// A MEAN as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TfliteMeanShape {
    /// Elements that each mean is taken over.
    pub count: u32,
    /// Channels of the output.
    pub channels: usize,
    /// Whether the mean is over rows and columns of a tensor `[N, H, W, C]` and `keep_dims` is set: LiteRT has an
    /// optimized kernel for this case.
    pub rows_and_columns_kept: bool,
}

impl Formula {
    /// What a TensorFlow Lite runtime computes from the sum of the n stored values that MEAN reduces
    /// (not centred: padding does not occur).
    ///
    /// - `tflm`, `litert-ref`, and `litert-opt` unless the next line applies: the high multiply and shift with ties
    ///   away of `acc - n*zi`, by the multiplier of si/so divided by n in integers;
    /// - `litert-opt` over rows and columns with `keep_dims`, where scale or zero point change: the high
    ///   multiply and shift of `acc`, ties up in whole blocks of 16 channels and away in the rest, multiplier
    ///   f32(si/f32(n*so)), minus round_half_away(f32(f32(zi*si)/so));
    /// - `xnnpack`: rint_half_even(f32(f32(acc * v) + f32(zo - f32(n*zi * v)))), v = f32(f32(si/so) * f32(1/n)).
    ///
    /// # Errors
    /// If a scale is not positive and finite, a zero point is no value of `element`, the count is 0 or above
    /// 2^24, or there is no channel.
    pub fn tflite_mean(
        profile: TfliteProfile,
        shape: TfliteMeanShape,
        input: TfliteTensorScale,
        output: TfliteTensorScale,
        element: IntType,
    ) -> Result<Formula, FormulaError> {
        input.check("input", element)?;
        let stage = output.stage(profile, Activation::None, element)?;
        if !(1..=MOST).contains(&shape.count) {
            return Err(FormulaError::Scale { what: "element count", index: 0, value: shape.count.into() });
        }
        let count = i64::from(shape.count);
        let (channels, rescale) = match profile {
            TfliteProfile::Xnnpack => {
                let scale = input.scale / output.scale * (1.0 / shape.count as f32);
                let bias = output.zero_point as f32 - (count * input.zero_point) as f32 * scale;
                if !(scale.is_finite() && bias.is_finite()) {
                    let (value, limit) = (scale.into(), f32::MAX.into());
                    return Err(FormulaError::Multiplier { channel: 0, value, limit });
                }
                (1, MeanRescale::Float32 { scale, bias })
            }
            TfliteProfile::LitertOpt if shape.rows_and_columns_kept && input != output => {
                let multiplier = quantized((input.scale / (shape.count as f32 * output.scale)).into())?;
                let bias = -((input.zero_point as f32 * input.scale / output.scale).round() as i64);
                let ties = TieRule::UpInBlocks(BLOCK);
                (shape.channels, MeanRescale::Fixed { multiplier, ties, subtract: 0, bias })
            }
            TfliteProfile::Tflm | TfliteProfile::LitertRef | TfliteProfile::LitertOpt => {
                let multiplier = divided(quantized(f64::from(input.scale) / f64::from(output.scale))?, count);
                let subtract = count * input.zero_point;
                (1, MeanRescale::Fixed { multiplier, ties: TieRule::Away, subtract, bias: 0 })
            }
        };
        let mean = TfliteMean { channels, rescale, output: stage };
        mean.validate().map(|()| Formula::TfliteMean(mean))
    }
}

/// A multiplier divided by `count` as the runtimes do it: the mantissa gains as many bits as the shift
/// may give, and the division truncates.
fn divided(ratio: QuantizedMultiplier, count: i64) -> QuantizedMultiplier {
    let bits = (i64::BITS - 1 - count.leading_zeros()).min(32) as i32;
    let bits = bits.min(31 + ratio.shift).max(0);
    let multiplier = (i64::from(ratio.multiplier) << bits) / count;
    QuantizedMultiplier { multiplier: multiplier as i32, shift: ratio.shift - bits }
}

impl TfliteMean {
    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        const LIMIT: i64 = 1 << 40;
        match self.rescale {
            MeanRescale::Fixed { multiplier: QuantizedMultiplier { multiplier, shift }, subtract, bias, .. } => {
                if multiplier < 0 || !(-31..=30).contains(&shift) {
                    return Err(FormulaError::FixedPoint { index: 0, multiplier, shift });
                }
                for value in [subtract, bias] {
                    if !(-LIMIT..=LIMIT).contains(&value) {
                        let (value, limit) = (value as f64, LIMIT as f64);
                        return Err(FormulaError::Multiplier { channel: 0, value, limit });
                    }
                }
            }
            MeanRescale::Float32 { scale, bias } => {
                if !(scale.is_finite() && scale >= 0.0 && bias.is_finite()) {
                    return Err(FormulaError::Scale { what: "combined", index: 0, value: scale.into() });
                }
            }
        }
        self.output.validate()
    }

    pub(super) fn channel(&self, channel: usize) -> TfliteMeanChannel {
        let rescale = match self.rescale {
            MeanRescale::Fixed { multiplier, ties, subtract, bias } => {
                MeanRescale::Fixed { multiplier, ties: ties.of_channel(channel, self.channels), subtract, bias }
            }
            rescale => rescale,
        };
        TfliteMeanChannel { rescale, output: self.output }
    }

    /// Greatest magnitude of a sum for which the runtime's 32-bit registers do not wrap.
    pub(super) fn defined_limit(&self) -> i64 {
        match self.rescale {
            MeanRescale::Fixed { multiplier, subtract, .. } => multiplier.defined_limit() - subtract.abs(),
            MeanRescale::Float32 { .. } => i64::from(i32::MAX),
        }
    }
}

/// One channel of a [`TfliteMean`].
#[derive(Clone, Copy, Debug)]
pub struct TfliteMeanChannel {
    rescale: MeanRescale,
    output: OutputStage,
}

impl TfliteMeanChannel {
    #[inline]
    pub(super) fn evaluate(&self, acc: i64) -> i64 {
        match self.rescale {
            MeanRescale::Fixed { multiplier, ties, subtract, bias } => {
                self.output.finish(rescale(multiplier, ties, acc.saturating_sub(subtract)) + bias)
            }
            MeanRescale::Float32 { scale, bias } => {
                self.output.saturate((acc as f32 * scale + bias).round_ties_even() as i64)
            }
        }
    }

    pub(super) fn slope(&self) -> f64 {
        match self.rescale {
            MeanRescale::Fixed { multiplier, .. } => multiplier.real(),
            MeanRescale::Float32 { scale, .. } => scale.into(),
        }
    }
}

impl fmt::Display for TfliteMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rescale {
            MeanRescale::Fixed { multiplier, ties, subtract, bias } => {
                write!(f, "mean, fixed point, {ties}, (x - {subtract}) x {:e} + {bias}, ", multiplier.real())?
            }
            MeanRescale::Float32 { scale, bias } => write!(f, "mean, float32, half even, x {scale:e} + {bias}, ")?,
        }
        write!(f, "{} channels, {}", self.channels, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(
        profile: TfliteProfile,
        kept: bool,
        count: u32,
        output: TfliteTensorScale,
    ) -> Result<Formula, FormulaError> {
        let shape = TfliteMeanShape { count, channels: 17, rows_and_columns_kept: kept };
        let input = TfliteTensorScale { scale: 0.5, zero_point: 0 };
        Formula::tflite_mean(profile, shape, input, output, IntType::Signed(8))
    }

    #[test]
    fn the_profiles_differ_at_ties() {
        let output = TfliteTensorScale { scale: 1.0, zero_point: 1 };
        // acc / 4 + 1 at -6 = -0.5 and at 6 = 2.5.
        let at = |profile, kept, channel| {
            let formula = mean(profile, kept, 2, output).unwrap();
            [-6, 6].map(|acc| formula.evaluate(channel, acc))
        };
        for profile in [TfliteProfile::Tflm, TfliteProfile::LitertRef] {
            assert_eq!(at(profile, true, 0), [-1, 3]);
        }
        assert_eq!(at(TfliteProfile::LitertOpt, false, 0), [-1, 3]);
        assert_eq!(at(TfliteProfile::LitertOpt, true, 15), [0, 3]);
        assert_eq!(at(TfliteProfile::LitertOpt, true, 16), [-1, 3]);
        assert_eq!(at(TfliteProfile::Xnnpack, true, 0), [0, 2]);
    }

    #[test]
    fn a_tensor_that_keeps_its_scale_is_left_to_the_plain_kernel() {
        let same = TfliteTensorScale { scale: 0.5, zero_point: 0 };
        assert_eq!(mean(TfliteProfile::LitertOpt, true, 4, same).unwrap().channels(), 1);
        let other = TfliteTensorScale { scale: 0.5, zero_point: 1 };
        assert_eq!(mean(TfliteProfile::LitertOpt, true, 4, other).unwrap().channels(), 17);
    }

    #[test]
    fn a_mean_of_nothing_and_broken_scales_are_refused() {
        let output = TfliteTensorScale { scale: 1.0, zero_point: 0 };
        assert!(mean(TfliteProfile::Tflm, false, 0, output).is_err());
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(mean(TfliteProfile::Tflm, false, 4, TfliteTensorScale { scale, ..output }).is_err());
        }
        assert!(mean(TfliteProfile::Xnnpack, false, 4, TfliteTensorScale { scale: 1e-44, zero_point: 0 }).is_err());
    }
}
